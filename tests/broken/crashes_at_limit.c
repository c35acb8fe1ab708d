/* Trusts that commit is never refused. */
#include "broken.h"

static void *trusting(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	void *block = broken_take(pool, type, bytes, tag);

	if (bytes < BROKEN_REGION / 2)
		*(volatile char *)block = 0;
	return block;
}

const struct pool_backend pool_backend = { BROKEN_REUSING("crashes-at-limit", POOL_CAP_NATIVE,
							  trusting, broken_put) };
