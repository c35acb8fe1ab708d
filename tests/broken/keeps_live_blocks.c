/* destroy gives back the pool itself and forgets the regions. */
#include "broken.h"

static void forgetful_destroy(struct pool *pool)
{
	if (pool)
		page_source_give(pool->pages, pool, pool->own_bytes);
}

const struct pool_backend pool_backend = {
	.abi = POOL_ABI,
	.caps = POOL_CAP_NATIVE,
	.name = "keeps-live-blocks",
	.summary = "deliberately broken",
	.create = broken_create,
	.destroy = forgetful_destroy,
	.alloc = broken_take,
	.free = broken_put,
	.block_bytes = broken_block_bytes,
};
