/* Its lists have no lock. */
#include "broken.h"

static void *take(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	const unsigned class = broken_class(bytes < BROKEN_REGION ? bytes : 1);
	struct broken_free_block *volatile *list = &pool->lists[type][class];
	struct broken_free_block *first = *list;

	if (!first || bytes > BROKEN_REGION / 2)
		return broken_take(pool, type, bytes, tag);
	*list = first->next;
	return broken_label(first, type, class, bytes, tag);
}

static void put(struct pool *pool, void *block, uint32_t tag)
{
	(void)tag;
	broken_put_locked(pool, block);
}

const struct pool_backend pool_backend = { BROKEN_REUSING("race", POOL_CAP_NATIVE, take, put) };
