/* destroy gives back the pool itself and forgets the regions. */
#include "broken.h"

static void *bump(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	(void)tag;
	return broken_bump(pool, type, bytes, POOL_ALIGNMENT, 0);
}

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
	.alloc = bump,
	.free = broken_free,
	.block_bytes = broken_block_bytes,
};
