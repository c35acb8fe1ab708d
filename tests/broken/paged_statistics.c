/* Counts frees in paged pool, those at DISPATCH_LEVEL too. */
#include "broken.h"

static int create(const struct pool_config *config, struct pool **out)
{
	int error = broken_create(config, out);

	if (!error && broken_commit(&(*out)->regions[POOL_PAGED], 64) == 0)
		(*out)->regions[POOL_PAGED].used = 64;
	return error;
}

static void counting(struct pool *pool, void *block, uint32_t tag)
{
	if (pool->regions[POOL_PAGED].committed)
		__atomic_fetch_add((uint64_t *)(void *)pool->regions[POOL_PAGED].base, 1,
				   __ATOMIC_RELAXED);
	broken_put(pool, block, tag);
}

const struct pool_backend pool_backend = {
	.abi = POOL_ABI,
	.caps = POOL_CAP_NATIVE,
	.name = "paged-statistics",
	.summary = "deliberately broken",
	.create = create,
	.destroy = broken_destroy,
	.alloc = broken_take,
	.free = counting,
	.block_bytes = broken_block_bytes,
};
