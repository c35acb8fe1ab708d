/* Says that it gave a page back. */
#include "broken.h"

static size_t lie(struct pool *pool)
{
	return pool->own_bytes;
}

const struct pool_backend pool_backend = {
	BROKEN_REUSING("trim-lies", POOL_CAP_NATIVE | POOL_CAP_TRIM, broken_take, broken_put),
	.trim = lie
};
