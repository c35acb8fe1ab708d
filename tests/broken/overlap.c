/* Hands out every hundredth block twice: its neighbour starts inside it. */
#include "broken.h"

static void *overlapping(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	static _Atomic unsigned count;
	void *block = broken_bump(pool, type, bytes, POOL_ALIGNMENT, 0);

	(void)tag;
	if (block && ++count % 100 == 0) {
		pthread_mutex_lock(&pool->lock);
		pool->regions[type].used -= POOL_ALIGNMENT + BROKEN_HEADER;
		pthread_mutex_unlock(&pool->lock);
	}
	return block;
}

const struct pool_backend pool_backend = BROKEN_BACKEND("overlap", POOL_CAP_NATIVE, overlapping);
