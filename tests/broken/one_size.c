/* Rounds one size wrongly: blocks of exactly 1000 bytes begin 8 bytes late. */
#include "broken.h"

static void *late(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	if (bytes == 1000)
		return broken_bump(pool, type, bytes, POOL_ALIGNMENT, 8);
	return broken_take(pool, type, bytes, tag);
}

static void put(struct pool *pool, void *block, uint32_t tag)
{
	if ((uintptr_t)block % POOL_ALIGNMENT == 0)
		broken_put(pool, block, tag);
}

const struct pool_backend pool_backend = { BROKEN_REUSING("one-size", POOL_CAP_NATIVE, late, put) };
