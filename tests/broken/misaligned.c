/* Aligns requests below 16 bytes to 8, as most malloc libraries do. */
#include "broken.h"

static void *misaligned(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	(void)tag;
	return broken_bump(pool, type, bytes, POOL_ALIGNMENT, bytes < POOL_ALIGNMENT ? 8 : 0);
}

const struct pool_backend pool_backend = BROKEN_BACKEND("misaligned", POOL_CAP_NATIVE, misaligned);
