/* Its list of page-sized free blocks is one for both pool types. */
#include "broken.h"

static void *mixing(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	const enum pool_type other = type == POOL_PAGED ? POOL_NONPAGED : POOL_PAGED;
	void *block = NULL;

	pthread_mutex_lock(&pool->lock);
	if (bytes <= POOL_OS_PAGE && bytes > POOL_OS_PAGE / 2 && pool->lists[other][8])
		block = broken_take_locked(pool, other, bytes, tag);
	pthread_mutex_unlock(&pool->lock);
	return block ? block : broken_take(pool, type, bytes, tag);
}

const struct pool_backend pool_backend = { BROKEN_REUSING(
	"wrong-type", POOL_CAP_NATIVE | POOL_CAP_RESIDENT, mixing, broken_put) };
