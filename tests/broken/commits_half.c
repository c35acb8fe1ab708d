/* Commits as far as the middle of a block: where it crosses into a new page, its end is not committed. */
#include "broken.h"

static void *half(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	struct region *region = &pool->regions[type];
	const size_t room = (bytes + POOL_ALIGNMENT - 1) & ~(size_t)(POOL_ALIGNMENT - 1);
	void *block = NULL;

	if (bytes > BROKEN_REGION / 2)
		return NULL;
	pthread_mutex_lock(&pool->lock);
	if (broken_commit(region, region->used + BROKEN_HEADER + bytes / 2) == 0) {
		block = broken_label(region->base + region->used + BROKEN_HEADER, type, 0, bytes,
				     tag);
		region->used += BROKEN_HEADER + room;
	}
	pthread_mutex_unlock(&pool->lock);
	return block;
}

const struct pool_backend pool_backend = BROKEN_BACKEND("commits-half", POOL_CAP_NATIVE, half);
