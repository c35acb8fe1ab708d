/* A processor's place is taken at thread_enter and never given back: its next thread is turned away. */
#include "broken.h"

#define PLACES 1024u

static _Atomic unsigned char taken[PLACES];

static int create(const struct pool_config *config, struct pool **out)
{
	for (unsigned i = 0; i < PLACES; i++)
		taken[i] = 0;
	return broken_create(config, out);
}

static int enter(struct pool *pool, unsigned processor)
{
	(void)pool;
	return taken[processor % PLACES]++ ? -EBUSY : 0;
}

const struct pool_backend pool_backend = {
	.abi = POOL_ABI,
	.caps = POOL_CAP_NATIVE,
	.name = "enters-once",
	.summary = "deliberately broken",
	.create = create,
	.destroy = broken_destroy,
	.alloc = broken_take,
	.free = broken_put,
	.block_bytes = broken_block_bytes,
	.thread_enter = enter,
};
