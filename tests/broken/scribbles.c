/* Writes a list pointer into a block that its owner still holds, as a double free would. */
#include "broken.h"

static void *scribbling(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	static _Atomic(void *) last;
	void **victim = broken_bump(pool, type, bytes, POOL_ALIGNMENT, 0);
	void **earlier = victim;

	(void)tag;
	if (victim && bytes >= sizeof(*victim)) {
		earlier = __atomic_exchange_n((void **)&last, victim, __ATOMIC_SEQ_CST);
		if (earlier)
			*earlier = victim;
	}
	return victim;
}

const struct pool_backend pool_backend = BROKEN_BACKEND("scribbles", POOL_CAP_NATIVE, scribbling);
