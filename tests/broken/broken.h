/*
 * What the deliberately broken plugins share: a bump allocator over the page sources that obeys every rule
 * it can without ever reusing a block, so that each plugin breaks one rule only.
 *
 *     run:  | struct pool |   region: | size, tag | block ... | size, tag | block ... |
 *
 * A header of BROKEN_HEADER bytes in front of every block keeps its size. One region a pool type is
 * reserved at create and committed page by page under a lock.
 *
 * For bugs that need reuse, broken_take and broken_put keep free lists over the same regions: one a power of two,
 * linked through the blocks, last in first out. With them the allocator is sound, if wasteful.
 */
#ifndef POOLBENCH_TESTS_BROKEN_H
#define POOLBENCH_TESTS_BROKEN_H

#include <errno.h>
#include <pthread.h>
#include <stdint.h>

#include "allocators/pages.h"
#include "allocators/pool.h"

#define BROKEN_HEADER  16u
#define BROKEN_REGION  ((size_t)1 << 30)

#define BROKEN_CLASSES 28 /* of 16 bytes and up */

struct broken_header {
	uint64_t bytes;
	uint32_t tag;
	uint8_t type, class; /* broken_take's */
	uint16_t processor;
};

struct broken_free_block {
	struct broken_free_block *next;
};

struct region {
	struct page_source *pages;
	char *base;
	size_t used, committed;
};

struct pool {
	pthread_mutex_t lock;
	struct page_source *pages; /* that the pool itself lies in */
	size_t own_bytes;
	struct region regions[POOL_TYPES];
	struct broken_free_block *lists[POOL_TYPES][BROKEN_CLASSES];
};

static inline int broken_create(const struct pool_config *config, struct pool **out)
{
	struct page_source *pages = config->pages[POOL_NONPAGED];
	size_t own_bytes = page_source_round_up(pages, sizeof(struct pool));
	struct pool *pool = (struct pool *)page_source_take(pages, own_bytes, 0);

	if (!pool)
		return -ENOMEM;
	pthread_mutex_init(&pool->lock, NULL);
	pool->pages = pages;
	pool->own_bytes = own_bytes;
	for (int type = 0; type < POOL_TYPES; type++)
		for (int class = 0; class < BROKEN_CLASSES; class++)
			pool->lists[type][class] = NULL;
	for (int type = 0; type < POOL_TYPES; type++) {
		struct region *region = &pool->regions[type];

		region->pages = config->pages[type];
		region->used = region->committed = 0;
		region->base = (char *)page_source_reserve(region->pages, BROKEN_REGION, 0);
	}
	*out = pool;
	return 0;
}

static inline void broken_destroy(struct pool *pool)
{
	if (!pool)
		return;
	for (int type = 0; type < POOL_TYPES; type++) {
		struct region *region = &pool->regions[type];

		if (region->committed)
			page_source_decommit(region->pages, region->base, region->committed);
		if (region->base)
			page_source_release(region->pages, region->base, BROKEN_REGION);
	}
	page_source_give(pool->pages, pool, pool->own_bytes);
}

/* Commits up to `end` of the region. Called with the lock held. */
static inline int broken_commit(struct region *region, size_t end)
{
	size_t target = page_source_round_up(region->pages, end);

	if (!region->base || target > BROKEN_REGION)
		return -ENOMEM;
	if (target > region->committed) {
		if (page_source_commit(region->pages, region->base + region->committed,
				       target - region->committed) != 0)
			return -ENOMEM;
		region->committed = target;
	}
	return 0;
}

/* With the lock held: a block whose address is `offset` past a multiple of `alignment`. */
static inline void *broken_carve(struct pool *pool, enum pool_type type, size_t bytes,
				 size_t alignment, size_t offset)
{
	struct region *region = &pool->regions[type];
	struct broken_header *header;
	size_t start, end;

	if (bytes > BROKEN_REGION)
		return NULL;
	start = region->used + BROKEN_HEADER;
	start = ((start + alignment - 1) & ~(alignment - 1)) + offset;
	end = start + ((bytes + POOL_ALIGNMENT - 1) & ~(size_t)(POOL_ALIGNMENT - 1));
	if (broken_commit(region, end) != 0)
		return NULL;
	region->used = end;
	header = (struct broken_header *)(void *)(region->base + start - BROKEN_HEADER);
	header->bytes = bytes + BROKEN_HEADER;
	return region->base + start;
}

/* The same without the lock held. */
static inline void *broken_bump(struct pool *pool, enum pool_type type, size_t bytes,
				size_t alignment, size_t offset)
{
	void *block;

	pthread_mutex_lock(&pool->lock);
	block = broken_carve(pool, type, bytes, alignment, offset);
	pthread_mutex_unlock(&pool->lock);
	return block;
}

static inline void broken_free(struct pool *pool, void *block, uint32_t tag)
{
	(void)pool;
	(void)block;
	(void)tag;
}

static inline size_t broken_block_bytes(struct pool *pool, const void *block)
{
	(void)pool;
	return ((const struct broken_header *)block - 1)->bytes;
}

/* ---- with reuse ---- */

static inline unsigned broken_class(size_t bytes)
{
	unsigned class = 0;

	while (((size_t)POOL_ALIGNMENT << class) < bytes)
		class++;
	return class;
}

static inline struct broken_header *broken_header_of(const void *block)
{
	return (struct broken_header *)(uintptr_t)block - 1;
}

/* What every block of broken_take says of itself. With the lock held. */
static inline void *broken_label(void *block, enum pool_type type, unsigned class, size_t bytes,
				 uint32_t tag)
{
	struct broken_header *header = broken_header_of(block);

	header->bytes = bytes + BROKEN_HEADER;
	header->tag = tag;
	header->type = (uint8_t)type;
	header->class = (uint8_t) class;
	return block;
}

/* With the lock held: the first of the class's list, or a new one; NULL when commit is refused. */
static inline void *broken_take_locked(struct pool *pool, enum pool_type type, size_t bytes,
				       uint32_t tag)
{
	const unsigned class = bytes <= BROKEN_REGION ? broken_class(bytes) : BROKEN_CLASSES;
	struct broken_free_block *first;

	if (class >= BROKEN_CLASSES)
		return NULL;
	first = pool->lists[type][class];
	if (first)
		pool->lists[type][class] = first->next;
	else
		first = (struct broken_free_block *)broken_carve(
			pool, type, (size_t)POOL_ALIGNMENT << class, POOL_ALIGNMENT, 0);
	return first ? broken_label(first, type, class, bytes, tag) : NULL;
}

static inline void broken_put_locked(struct pool *pool, void *block)
{
	const struct broken_header *header = broken_header_of(block);
	struct broken_free_block *first = (struct broken_free_block *)block;

	first->next = pool->lists[header->type][header->class];
	pool->lists[header->type][header->class] = first;
}

static inline void *broken_take(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	void *block;

	pthread_mutex_lock(&pool->lock);
	block = broken_take_locked(pool, type, bytes, tag);
	pthread_mutex_unlock(&pool->lock);
	return block;
}

static inline void broken_put(struct pool *pool, void *block, uint32_t tag)
{
	(void)tag;
	pthread_mutex_lock(&pool->lock);
	broken_put_locked(pool, block);
	pthread_mutex_unlock(&pool->lock);
}

#define BROKEN_REUSING(name_, caps_, alloc_, free_) \
	.abi = POOL_ABI, .caps = (caps_), .name = (name_), .summary = "deliberately broken", \
	.create = broken_create, .destroy = broken_destroy, .alloc = (alloc_), .free = (free_), \
	.block_bytes = broken_block_bytes

#define BROKEN_BACKEND(name_, caps_, alloc_) \
	{ \
		.abi = POOL_ABI, .caps = (caps_), .name = (name_), \
		.summary = "deliberately broken", .create = broken_create, \
		.destroy = broken_destroy, .alloc = (alloc_), .free = broken_free, \
		.block_bytes = broken_block_bytes \
	}

#endif
