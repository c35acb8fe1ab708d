/* free does nothing: the same work needs more and more memory. */
#include "broken.h"

static void *bump(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	(void)tag;
	return broken_bump(pool, type, bytes, POOL_ALIGNMENT, 0);
}

const struct pool_backend pool_backend = BROKEN_BACKEND("never-reuses", POOL_CAP_NATIVE, bump);
