/* A thread keeps what it frees in a cache of its own, which goes with the thread. */
#include "broken.h"

static _Thread_local struct broken_free_block *cache[POOL_TYPES][BROKEN_CLASSES];

static void *take(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	const unsigned class = broken_class(bytes < BROKEN_REGION ? bytes : 1);
	struct broken_free_block *first = cache[type][class];

	if (!first || bytes > BROKEN_REGION / 2)
		return broken_take(pool, type, bytes, tag);
	cache[type][class] = first->next;
	return broken_label(first, type, class, bytes, tag);
}

static void put(struct pool *pool, void *block, uint32_t tag)
{
	const struct broken_header *header = broken_header_of(block);
	struct broken_free_block *mine = block;

	(void)pool;
	(void)tag;
	mine->next = cache[header->type][header->class];
	cache[header->type][header->class] = mine;
}

static void leave(struct pool *pool)
{
	(void)pool;
	for (int type = 0; type < POOL_TYPES; type++)
		for (int class = 0; class < BROKEN_CLASSES; class ++)
			cache[type][class] = NULL;
}

static int enter(struct pool *pool, unsigned processor)
{
	(void)processor;
	leave(pool);
	return 0;
}

const struct pool_backend pool_backend = {
	BROKEN_REUSING("drops-caches", POOL_CAP_NATIVE, take, put),
	.thread_enter = enter,
	.thread_exit = leave,
};
