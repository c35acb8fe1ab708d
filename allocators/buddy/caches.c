/*
 * What a processor keeps of each order: a stack of its own, and behind it a shelf.
 *
 *        alloc, free      the stack: no lock, no atomic instruction, no line that another processor writes
 *        a batch          to and from the shelf: a list through the blocks, under the processor's own lock, which nobody
 *                         else wants as a rule
 *        a batch          to and from the lists, under the heap's lock, when the shelf is full or empty
 *
 * What is on the shelf can be had by all: before memory is committed for a block, all shelves are emptied into the
 * lists. So they make no heap larger, and what they hold need not be weighed against what other processors
 * want, as a larger stack would. Linux has one list a processor for that, under a lock of its own since 5.19, which is
 * drained by who reclaims memory; here the stack in front of it needs none.
 *
 * A shelf's lock and a heap's are never held together.
 */
#include <string.h>

#include "buddy.h"

/* ---- the lists ---- */

void buddy_blocks_free(struct buddy_heap *heap, void *const *blocks, unsigned count, unsigned order)
{
	size_t free_backed;

	spinlock_acquire(&heap->lock);
	heap->counts.frees += count;
	for (unsigned i = 0; i < count; i++)
		buddy_put(heap, blocks[i], order);
	free_backed = heap->free_backed;
	spinlock_release(&heap->lock);
	if (__builtin_expect(free_backed > heap->retain_pages, 0))
		buddy_shrink(heap, heap->retain_pages / 2);
}

static unsigned lists_take(struct buddy_heap *heap, unsigned order, void **blocks, unsigned want)
{
	unsigned count;

	spinlock_acquire(&heap->lock);
	count = buddy_take_many(heap, order, blocks, want);
	heap->counts.allocations += count;
	spinlock_release(&heap->lock);
	return count;
}

/* ---- shelves ---- */

static unsigned shelf_count(const struct buddy_shelf *shelf)
{
	return atomic_load_explicit(&shelf->count, memory_order_relaxed);
}

static void shelf_set(struct buddy_shelf *shelf, void *first, unsigned count)
{
	shelf->first = first;
	atomic_store_explicit(&shelf->count, count, memory_order_relaxed);
}

/* Up to `want` blocks, the newest last. */
static unsigned shelf_take(struct buddy_processor *processor, struct buddy_shelf *shelf,
			   void **blocks, unsigned want, bool own)
{
	unsigned count;
	void *block;

	if (shelf_count(shelf) == 0)
		return 0;
	spinlock_acquire(&processor->lock);
	count = shelf_count(shelf) < want ? shelf_count(shelf) : want;
	block = shelf->first;
	for (unsigned i = count; i-- > 0; block = buddy_shelf_next(block))
		blocks[i] = block;
	shelf_set(shelf, block, shelf_count(shelf) - count);
	shelf->gets += own && count;
	shelf->lost += own ? 0 : count;
	spinlock_release(&processor->lock);
	return count;
}

/* Blocks, the newest last; false: there is no room for so many. */
static bool shelf_put(struct buddy_processor *processor, struct buddy_shelf *shelf,
		      void *const *blocks, unsigned count)
{
	void *first;

	if (shelf_count(shelf) + count > shelf->most)
		return false;
	spinlock_acquire(&processor->lock);
	first = shelf->first;
	for (unsigned i = 0; i < count; first = blocks[i++])
		buddy_shelf_link(blocks[i], first);
	shelf_set(shelf, first, shelf_count(shelf) + count);
	shelf->puts++;
	spinlock_release(&processor->lock);
	return true;
}

/* All its blocks go to the lists. */
static void shelf_empty(struct buddy_heap *heap, struct buddy_processor *processor, unsigned order)
{
	struct buddy_shelf *shelf = &processor->shelves[heap->type][order];
	void *block, *blocks[64];
	unsigned left;

	spinlock_acquire(&processor->lock);
	block = shelf->first;
	left = shelf_count(shelf);
	shelf_set(shelf, NULL, 0);
	shelf->lost += left;
	spinlock_release(&processor->lock);
	while (left > 0) {
		unsigned count = 0;

		for (; left > 0 && count < 64; left--, block = buddy_shelf_next(block))
			blocks[count++] = block;
		buddy_blocks_free(heap, blocks, count, order);
	}
}

bool buddy_shelves_empty(struct pool *pool, enum pool_type type)
{
	bool any = false;

	for (unsigned i = 0; i < pool->processor_count; i++)
		for (unsigned order = 0; order < pool->cached_orders; order++) {
			struct buddy_processor *processor = &pool->processors[i];

			if (shelf_count(&processor->shelves[type][order]) == 0)
				continue;
			shelf_empty(&pool->heaps[type], processor, order);
			any = true;
		}
	return any;
}

/* ---- blocks, from whoever has them ---- */

/* From any processor's shelf of the order. */
static unsigned shelves_take(struct pool *pool, enum pool_type type, unsigned order, void **blocks,
			     unsigned want)
{
	unsigned count = 0;

	for (unsigned i = 0; !count && order < pool->cached_orders && i < pool->processor_count;
	     i++)
		count = shelf_take(&pool->processors[i], &pool->processors[i].shelves[type][order],
				   blocks, want, false);
	return count;
}

/*
 * Up to `want` blocks that have their memory, from the lists; when these have none, from another processor's shelf; or
 * from what all shelves and this processor's stacks can be merged to. Only then is memory committed.
 */
static unsigned blocks_take(struct pool *pool, enum pool_type type,
			    struct buddy_processor *processor, unsigned order, void **blocks,
			    unsigned want)
{
	unsigned count = lists_take(&pool->heaps[type], order, blocks, want);

	if (count == 0)
		count = shelves_take(pool, type, order, blocks, want);
	if (count == 0 && buddy_shelves_empty(pool, type))
		count = lists_take(&pool->heaps[type], order, blocks, want);
	if (count == 0 && buddy_caches_flush(pool, type, processor))
		count = lists_take(&pool->heaps[type], order, blocks, want);
	return count;
}

void *buddy_block_alloc(struct pool *pool, enum pool_type type, struct buddy_processor *processor,
			unsigned order)
{
	struct buddy_heap *heap = &pool->heaps[type];
	void *block;

	if (blocks_take(pool, type, processor, order, &block, 1))
		return block;
	block = buddy_alloc_unbacked(heap, order);
	if (block) {
		spinlock_acquire(&heap->lock);
		heap->counts.allocations++;
		spinlock_release(&heap->lock);
	}
	return block;
}

/* ---- a processor's stack ---- */

void *buddy_cache_refill(struct pool *pool, enum pool_type type, struct buddy_processor *processor,
			 unsigned order)
{
	struct buddy_cache *cache = &processor->caches[type][order];
	unsigned count = shelf_take(processor, &processor->shelves[type][order], cache->blocks,
				    cache->batch, true);

	cache->refills++;
	if (count == 0) {
		count = blocks_take(pool, type, processor, order, cache->blocks, cache->batch);
		cache->inflow += count;
		for (unsigned i = 0; i < count; i++)
			buddy_seal_set(cache->blocks[i], buddy_seal(pool, cache->blocks[i]));
	}
	if (count == 0)
		return buddy_block_alloc(pool, type, processor, order);
	cache->count = count - 1;
	cache->inflow--;
	return cache->blocks[count - 1];
}

/* The `count` oldest blocks leave the stack. */
static void cache_shift(struct buddy_cache *cache, unsigned count)
{
	cache->count -= count;
	memmove(cache->blocks, cache->blocks + count, cache->count * sizeof(*cache->blocks));
}

void buddy_cache_overflow(struct buddy_heap *heap, struct buddy_processor *processor,
			  unsigned order)
{
	struct buddy_cache *cache = &processor->caches[heap->type][order];

	cache->overflows++;
	if (!shelf_put(processor, &processor->shelves[heap->type][order], cache->blocks,
		       cache->batch)) {
		buddy_blocks_free(heap, cache->blocks, cache->batch, order);
		cache->inflow -= cache->batch;
	}
	cache_shift(cache, cache->batch);
}

unsigned buddy_caches_flush(struct pool *pool, enum pool_type type,
			    struct buddy_processor *processor)
{
	unsigned blocks = 0;

	for (unsigned order = 0; order < pool->cached_orders; order++) {
		struct buddy_cache *cache = &processor->caches[type][order];

		blocks += cache->count;
		cache->inflow -= cache->count;
		if (cache->count)
			buddy_blocks_free(&pool->heaps[type], cache->blocks, cache->count, order);
		cache->count = 0;
	}
	return blocks;
}
