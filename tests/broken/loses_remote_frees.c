/* A block that another processor frees is to be sent home, and nobody ever collects the post. */
#include "broken.h"

static _Thread_local unsigned here;

static int enter(struct pool *pool, unsigned processor)
{
	(void)pool;
	here = processor;
	return 0;
}

static void *take(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	void *block = broken_take(pool, type, bytes, tag);

	if (block)
		broken_header_of(block)->processor = (uint16_t)here;
	return block;
}

static void put(struct pool *pool, void *block, uint32_t tag)
{
	if (broken_header_of(block)->processor == here)
		broken_put(pool, block, tag);
}

const struct pool_backend pool_backend = {
	BROKEN_REUSING("loses-remote-frees", POOL_CAP_NATIVE, take, put), .thread_enter = enter
};
