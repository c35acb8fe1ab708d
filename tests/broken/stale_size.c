/* A block that comes from a list keeps the size of its last owner in its header. */
#include "broken.h"

static void *stale(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	const unsigned class = broken_class(bytes < BROKEN_REGION ? bytes : 1);
	struct broken_free_block *first;

	pthread_mutex_lock(&pool->lock);
	first = bytes < BROKEN_REGION / 2 ? pool->lists[type][class] : NULL;
	if (first)
		pool->lists[type][class] = first->next;
	pthread_mutex_unlock(&pool->lock);
	return first ? (void *)first : broken_take(pool, type, bytes, tag);
}

const struct pool_backend pool_backend = { BROKEN_REUSING("stale-size", POOL_CAP_NATIVE, stale,
							  broken_put) };
