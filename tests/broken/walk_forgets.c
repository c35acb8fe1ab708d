/* Its walk leaves out the last 16 committed bytes of each region. */
#include "broken.h"

static void *bump(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	(void)tag;
	return broken_bump(pool, type, bytes, POOL_ALIGNMENT, 0);
}

static int visit_region(const struct region *region, pool_visit visit, void *arg)
{
	const struct pool_range range = {
		.start = region->base,
		.bytes = region->committed - POOL_ALIGNMENT,
		.kind = POOL_RANGE_CACHED,
		.type = region->pages->type,
	};

	return region->committed ? visit(arg, &range) : 0;
}

static int forgetful_walk(struct pool *pool, pool_visit visit, void *arg)
{
	const struct pool_range own = {
		.start = pool,
		.bytes = pool->own_bytes,
		.kind = POOL_RANGE_METADATA,
		.type = POOL_NONPAGED,
	};
	int result = visit(arg, &own);

	for (int type = 0; type < POOL_TYPES && !result; type++)
		result = visit_region(&pool->regions[type], visit, arg);
	return result;
}

const struct pool_backend pool_backend = {
	.abi = POOL_ABI,
	.caps = POOL_CAP_NATIVE | POOL_CAP_WALK,
	.name = "walk-forgets",
	.summary = "deliberately broken",
	.create = broken_create,
	.destroy = broken_destroy,
	.alloc = bump,
	.free = broken_free,
	.block_bytes = broken_block_bytes,
	.walk = forgetful_walk,
};
