/*
 * Joins a freed block with the free block of its class behind it. What then comes from the joined ones still says
 * the size that it had before.
 *
 *     | header | block of class c | header | block of class c |   becomes   | header | block of class c + 1 and 16 bytes |
 */
#include "broken.h"

static struct broken_free_block *joined[POOL_TYPES][BROKEN_CLASSES];

static int create(const struct pool_config *config, struct pool **out)
{
	for (int type = 0; type < POOL_TYPES; type++)
		for (int class = 0; class < BROKEN_CLASSES; class ++)
			joined[type][class] = NULL;
	return broken_create(config, out);
}

static void *take(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	const unsigned class = broken_class(bytes < BROKEN_REGION / 2 ? bytes : 1);
	struct broken_free_block *first = NULL;

	pthread_mutex_lock(&pool->lock);
	if (bytes < BROKEN_REGION / 2)
		first = joined[type][class];
	if (first)
		joined[type][class] = first->next;
	pthread_mutex_unlock(&pool->lock);
	if (!first)
		return broken_take(pool, type, bytes, tag);
	broken_header_of(first)->tag = tag;
	broken_header_of(first)->class = (uint8_t) class; /* and its bytes? */
	return first;
}

static void put(struct pool *pool, void *block, uint32_t tag)
{
	const struct broken_header *header = broken_header_of(block);
	const unsigned class = header->class;
	const enum pool_type type = (enum pool_type)header->type;
	char *behind = (char *)block + ((size_t)POOL_ALIGNMENT << class) + BROKEN_HEADER;
	struct broken_free_block *mine = block, *first;

	(void)tag;
	pthread_mutex_lock(&pool->lock);
	first = pool->lists[type][class];
	if (class + 1 < BROKEN_CLASSES && (char *)first == behind) {
		pool->lists[type][class] = first->next;
		mine->next = joined[type][class + 1];
		joined[type][class + 1] = mine;
	} else {
		broken_put_locked(pool, block);
	}
	pthread_mutex_unlock(&pool->lock);
}

const struct pool_backend pool_backend = {
	.abi = POOL_ABI,
	.caps = POOL_CAP_NATIVE,
	.name = "coalesces-stale",
	.summary = "deliberately broken",
	.create = create,
	.destroy = broken_destroy,
	.alloc = take,
	.free = put,
	.block_bytes = broken_block_bytes,
};
