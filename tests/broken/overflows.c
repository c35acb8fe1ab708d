/* Adds its header to the request before it looks at the sum. */
#include "broken.h"

static void *adding(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	const size_t sum = bytes + BROKEN_HEADER;

	return broken_take(pool, type, sum ? sum : 1, tag);
}

const struct pool_backend pool_backend = { BROKEN_REUSING("overflows", POOL_CAP_NATIVE, adding,
							  broken_put) };
