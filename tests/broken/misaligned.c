/* Aligns requests below 16 bytes to 8, as most malloc libraries do. */
#include "broken.h"

static void *misaligned(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	if (bytes < POOL_ALIGNMENT)
		return broken_bump(pool, type, bytes, POOL_ALIGNMENT, 8);
	return broken_take(pool, type, bytes, tag);
}

static void put(struct pool *pool, void *block, uint32_t tag)
{
	if ((uintptr_t)block % POOL_ALIGNMENT == 0)
		broken_put(pool, block, tag);
}

const struct pool_backend pool_backend = { BROKEN_REUSING("misaligned", POOL_CAP_NATIVE, misaligned,
							  put) };
