/* Promises resident nonpaged blocks and takes everything from the paged source. */
#include "broken.h"

static void *paged(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	(void)type;
	(void)tag;
	return broken_bump(pool, POOL_PAGED, bytes, POOL_ALIGNMENT, 0);
}

const struct pool_backend pool_backend = BROKEN_BACKEND("wrong-source",
							POOL_CAP_NATIVE | POOL_CAP_RESIDENT, paged);
