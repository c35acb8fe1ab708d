/* Once a commit was refused it believes that there will never be memory again. */
#include "broken.h"

static void *sulking(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	static _Atomic unsigned refused;
	void *block;

	if (refused && bytes > 64)
		return NULL;
	block = broken_take(pool, type, bytes, tag);
	if (!block && bytes < BROKEN_REGION / 2)
		refused = 1;
	return block;
}

const struct pool_backend pool_backend = { BROKEN_REUSING("gives-up", POOL_CAP_NATIVE, sulking,
							  broken_put) };
