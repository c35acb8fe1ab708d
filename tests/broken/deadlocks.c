/* Takes its lock twice when a commit is refused. */
#include "broken.h"

static void *relocking(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	void *block = broken_take(pool, type, bytes, tag);

	if (!block && bytes < BROKEN_REGION / 2) {
		pthread_mutex_lock(&pool->lock);
		block = broken_take(pool, type, bytes, tag);
		pthread_mutex_unlock(&pool->lock);
	}
	return block;
}

const struct pool_backend pool_backend = { BROKEN_REUSING("deadlocks", POOL_CAP_NATIVE, relocking,
							  broken_put) };
