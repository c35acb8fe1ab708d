/*
 * Cuts a free block of the class above in two when its own list is empty, and keeps the second half for the next
 * request that it fits; one cut in twenty is made in the middle of the first half.
 */
#include "broken.h"

static void *halves[POOL_TYPES][BROKEN_CLASSES];

/* With the lock held. */
static void *take_half(enum pool_type type, unsigned class, size_t bytes, uint32_t tag)
{
	void *half = halves[type][class];

	halves[type][class] = NULL;
	return half ? broken_label(half, type, class, bytes, tag) : NULL;
}

/* With the lock held. */
static void *split(struct pool *pool, enum pool_type type, unsigned class, size_t bytes,
		   uint32_t tag)
{
	static unsigned splits;
	struct broken_free_block *whole = pool->lists[type][class + 1];
	size_t cut = ((size_t)POOL_ALIGNMENT << class) + BROKEN_HEADER;

	if (!whole || halves[type][class - 1])
		return NULL;
	pool->lists[type][class + 1] = whole->next;
	if (++splits % 20 == 0)
		cut -= (size_t)POOL_ALIGNMENT << (class - 1);
	halves[type][class - 1] = (char *)whole + cut;
	return broken_label(whole, type, class, bytes, tag);
}

static void *splitting(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	const unsigned class = bytes < POOL_OS_PAGE ? broken_class(bytes) : 0;
	void *block = NULL;

	pthread_mutex_lock(&pool->lock);
	if (class > 2 && !pool->lists[type][class]) {
		block = take_half(type, class, bytes, tag);
		if (!block)
			block = split(pool, type, class, bytes, tag);
	}
	pthread_mutex_unlock(&pool->lock);
	return block ? block : broken_take(pool, type, bytes, tag);
}

const struct pool_backend pool_backend = { BROKEN_REUSING("rare-split", POOL_CAP_NATIVE, splitting,
							  broken_put) };
