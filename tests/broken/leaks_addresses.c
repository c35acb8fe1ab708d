/* Reserves before it commits, and forgets the addresses when commit is refused. */
#include "broken.h"

static void *reserving(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	void *block = broken_take(pool, type, bytes, tag);

	if (!block && bytes < BROKEN_REGION / 2)
		page_source_reserve(pool->regions[type].pages, pool->regions[type].pages->page_size,
				    0);
	return block;
}

const struct pool_backend pool_backend = { BROKEN_REUSING("leaks-addresses", POOL_CAP_NATIVE,
							  reserving, broken_put) };
