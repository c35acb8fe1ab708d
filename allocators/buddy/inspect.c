/*
 * Looking at a pool that stands still: walk, check and counters.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "buddy.h"

/* ---- walk ---- */

struct walk {
	pool_visit visit;
	void *arg;
	const struct buddy_heap *heap;
	enum pool_type type;
};

static int visit_bytes(const struct walk *walk, const void *start, size_t bytes,
		       enum pool_range_kind kind)
{
	const struct pool_range range = {
		.start = start,
		.bytes = bytes,
		.kind = kind,
		.type = walk->type,
		.block = kind == POOL_RANGE_USED ? start : NULL,
	};

	return bytes ? walk->visit(walk->arg, &range) : 0;
}

/* The committed pages of a free block of whole pages. */
static int visit_free_pages(const struct walk *walk, const char *block, unsigned order)
{
	const struct buddy_heap *heap = walk->heap;
	bitmap_word *backed = buddy_span_of(heap, block)->backed;
	const size_t first = buddy_page_in_span(heap, block);
	const size_t end = first + ((size_t)1 << (order - heap->page_order));
	size_t page = first;
	int stopped = 0;

	while (!stopped && (page = bitmap_next(backed, page, end)) < end) {
		size_t run = 1;

		while (page + run < end && bitmap_any(backed, page + run, 1))
			run++;
		stopped = visit_bytes(walk, block + ((page - first) << heap->page_shift),
				      run << heap->page_shift, POOL_RANGE_FREE_PAGES);
		page += run;
	}
	return stopped;
}

static int visit_block(const struct walk *walk, const void *block, unsigned mark)
{
	const unsigned order = mark & BUDDY_ORDER_MASK;
	const size_t bytes = buddy_bytes(walk->heap, order);

	switch (mark & ~BUDDY_ORDER_MASK) {
	case BUDDY_FREE:
		if (order >= walk->heap->page_order)
			return visit_free_pages(walk, block, order);
		return visit_bytes(walk, block, bytes, POOL_RANGE_FREE);
	case BUDDY_USED:
		return visit_bytes(walk, block, bytes, POOL_RANGE_USED);
	case BUDDY_CACHED:
		return visit_bytes(walk, block, bytes, POOL_RANGE_CACHED);
	default:
		return -EUCLEAN;
	}
}

static int visit_span(const struct walk *walk, char *span)
{
	const struct buddy_heap *heap = walk->heap;
	const char *end = span + ((size_t)1 << heap->span_shift);
	int stopped = visit_bytes(walk, (const void *)(uintptr_t)buddy_mark_of(heap, span),
				  heap->map_span_bytes, POOL_RANGE_METADATA);

	for (const char *block = span; block < end && !stopped;) {
		const unsigned mark = buddy_mark_get(buddy_mark_of(heap, block));

		stopped = visit_block(walk, block, mark);
		block += buddy_bytes(heap, mark & BUDDY_ORDER_MASK);
	}
	return stopped;
}

static int heap_walk(struct walk *walk)
{
	const struct buddy_heap *heap = walk->heap;
	int stopped;

	stopped = visit_bytes(walk, heap->records + heap->records_low,
			      heap->records_high - heap->records_low, POOL_RANGE_METADATA);
	for (size_t i = buddy_records_first(heap); i < buddy_records_end(heap) && !stopped; i++) {
		const struct buddy_span *record = buddy_span_at(heap, i);
		char *span = buddy_span_address(heap, i);

		if (buddy_span_kind(record) == BUDDY_SPAN_BLOCKS)
			stopped = visit_span(walk, span);
		else if (buddy_span_kind(record) == BUDDY_SPAN_HUGE)
			stopped = visit_bytes(walk, span, record->huge_bytes, POOL_RANGE_USED);
	}
	return stopped;
}

static bool block_mark(const struct buddy_heap *heap, const void *block, unsigned from, unsigned to)
{
	buddy_mark *mark = buddy_mark_of(heap, block);
	const bool right = buddy_mark_get(mark) == from;

	buddy_mark_set(mark, to);
	return right;
}

/* What caches keep looks used. Marks it as kept, or takes that back; how many were in the state that they should be. */
static size_t caches_mark(const struct pool *pool, enum pool_type type, unsigned from, unsigned to)
{
	const struct buddy_heap *heap = &pool->heaps[type];
	size_t marked = 0;

	for (unsigned i = 0; i < pool->processor_count; i++)
		for (unsigned order = 0; order < pool->cached_orders; order++) {
			const struct buddy_processor *processor = &pool->processors[i];
			const struct buddy_cache *cache = &processor->caches[type][order];
			const struct buddy_shelf *shelf = &processor->shelves[type][order];
			const void *block = shelf->first;

			for (unsigned j = 0; j < cache->count; j++)
				marked += block_mark(heap, cache->blocks[j], from | order,
						     to | order);
			for (unsigned j = 0; j < shelf->count; j++, block = buddy_shelf_next(block))
				marked += block_mark(heap, block, from | order, to | order);
		}
	return marked;
}

int buddy_walk(struct pool *pool, pool_visit visit, void *arg)
{
	struct walk walk = { .visit = visit, .arg = arg, .type = pool->control_source->type };
	int stopped = visit_bytes(&walk, pool, pool->control_bytes, POOL_RANGE_METADATA);

	for (unsigned type = 0; type < POOL_TYPES && !stopped; type++) {
		walk.heap = &pool->heaps[type];
		walk.type = type;
		caches_mark(pool, type, BUDDY_USED, BUDDY_CACHED);
		stopped = heap_walk(&walk);
		caches_mark(pool, type, BUDDY_CACHED, BUDDY_USED);
	}
	return stopped;
}

/* ---- check ---- */

struct audit {
	const struct pool *pool;
	const struct buddy_heap *heap;
	char *why;
	size_t why_bytes;
	size_t free_blocks, listed; /* by the map, by the lists */
	size_t cached, free_backed;
};

static int __attribute__((format(printf, 2, 3)))
audit_fail(const struct audit *audit, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	if (audit->why)
		vsnprintf(audit->why, audit->why_bytes, format, arguments);
	va_end(arguments);
	return -EUCLEAN;
}

static size_t pages_in(const struct buddy_heap *heap, unsigned order)
{
	return (size_t)1 << (order - heap->page_order);
}

/* A free block's buddy is not free as a whole; a used block has all its memory. */
static int check_block(struct audit *audit, const void *block, unsigned mark)
{
	const struct buddy_heap *heap = audit->heap;
	const unsigned state = mark & ~BUDDY_ORDER_MASK, order = mark & BUDDY_ORDER_MASK;
	const bool pages = order >= heap->page_order;
	const void *page = (const void *)((uintptr_t)block & ~(heap->source->page_size - 1));

	if (order > heap->max_order || ((uintptr_t)block & (buddy_bytes(heap, order) - 1)))
		return audit_fail(audit, "%p: a block of order %u", block, order);
	if (state != BUDDY_FREE && state != BUDDY_USED && state != BUDDY_CACHED)
		return audit_fail(audit, "%p: no block begins where one should", block);
	if (!(state == BUDDY_FREE && pages) &&
	    buddy_backed_pages(heap, page, pages ? order : heap->page_order) !=
		    (pages ? pages_in(heap, order) : 1))
		return audit_fail(audit, "%p: a block without all its memory", block);
	if (state == BUDDY_CACHED)
		audit->cached++;
	if (state != BUDDY_FREE)
		return 0;
	audit->free_blocks++;
	audit->free_backed += pages ? buddy_backed_pages(heap, block, order) : 0;
	if (order < heap->max_order &&
	    buddy_mark_get(buddy_mark_of(heap, buddy_other(heap, block, order))) == mark)
		return audit_fail(audit, "%p: both buddies of order %u are free", block, order);
	return 0;
}

static int check_span(struct audit *audit, const char *span)
{
	const struct buddy_heap *heap = audit->heap;
	const char *end = span + ((size_t)1 << heap->span_shift);

	while (span < end) {
		const unsigned mark = buddy_mark_get(buddy_mark_of(heap, span));
		int error = check_block(audit, span, mark);

		if (error)
			return error;
		span += buddy_bytes(heap, mark & BUDDY_ORDER_MASK);
	}
	return 0;
}

static int check_list(struct audit *audit, unsigned class, unsigned order)
{
	const struct buddy_links *list = &audit->heap->lists[class][order];

	if (!(audit->heap->occupied[class] >> order & 1) != (list->next == list))
		return audit_fail(audit, "order %u: the bit of its list is wrong", order);
	for (const struct buddy_links *links = list->next; links != list; links = links->next) {
		if (links->next->previous != links)
			return audit_fail(audit, "order %u: its list's links disagree", order);
		audit->listed++;
	}
	return 0;
}

static size_t cached_blocks(const struct pool *pool, enum pool_type type)
{
	size_t blocks = 0;

	for (unsigned i = 0; i < pool->processor_count; i++)
		for (unsigned order = 0; order < pool->cached_orders; order++)
			blocks += pool->processors[i].caches[type][order].count +
				  pool->processors[i].shelves[type][order].count;
	return blocks;
}

static int check_caches(const struct audit *audit)
{
	const struct pool *pool = audit->pool;

	for (unsigned i = 0; i < pool->processor_count * pool->cached_orders; i++) {
		const unsigned order = i % pool->cached_orders;
		const struct buddy_processor *processor =
			&pool->processors[i / pool->cached_orders];
		const struct buddy_cache *cache = &processor->caches[audit->heap->type][order];
		const struct buddy_shelf *shelf = &processor->shelves[audit->heap->type][order];

		if (cache->count > cache->high || shelf->count > shelf->most)
			return audit_fail(audit, "order %u: %u of %u blocks, on its shelf %u of %u",
					  order, cache->count, cache->high, shelf->count,
					  shelf->most);
	}
	return 0;
}

/* With what caches keep marked so. */
static int check_heap(struct audit *audit, size_t cached)
{
	const struct buddy_heap *heap = audit->heap;
	int error = check_caches(audit);

	if (cached != cached_blocks(audit->pool, heap->type))
		return audit_fail(audit, "%zu blocks kept, %zu of them taken out of the lists",
				  cached_blocks(audit->pool, heap->type), cached);
	for (size_t i = buddy_records_first(heap); i < buddy_records_end(heap) && !error; i++)
		if (buddy_span_kind(buddy_span_at(heap, i)) == BUDDY_SPAN_BLOCKS)
			error = check_span(audit, buddy_span_address(heap, i));
	for (unsigned i = 0; i < BUDDY_CLASSES * BUDDY_ORDERS && !error; i++)
		error = check_list(audit, i / BUDDY_ORDERS, i % BUDDY_ORDERS);
	if (error)
		return error;
	if (audit->listed != audit->free_blocks)
		return audit_fail(audit, "%zu free blocks, %zu in lists", audit->free_blocks,
				  audit->listed);
	if (audit->cached != cached)
		return audit_fail(audit, "%zu blocks marked as kept, %zu kept", audit->cached,
				  cached);
	if (audit->free_backed != heap->free_backed)
		return audit_fail(audit, "%zu free pages committed, counted %zu",
				  audit->free_backed, heap->free_backed);
	return 0;
}

int buddy_check(struct pool *pool, char *why, size_t why_bytes)
{
	for (unsigned type = 0; type < POOL_TYPES; type++) {
		struct audit audit = {
			.pool = pool, .heap = &pool->heaps[type], .why = why, .why_bytes = why_bytes
		};
		size_t cached = caches_mark(pool, type, BUDDY_USED, BUDDY_CACHED);
		int error = check_heap(&audit, cached);

		caches_mark(pool, type, BUDDY_CACHED, BUDDY_USED);
		if (error)
			return error;
	}
	return 0;
}

/* ---- counters ---- */

struct totals {
	struct buddy_counts counts;
	uint64_t hits, kept_frees, refills, overflows, acquisitions, contentions;
	uint64_t gets, puts, lost;
};

static void totals_heap(struct totals *totals, const struct buddy_heap *heap)
{
	totals->counts.splits += heap->counts.splits;
	totals->counts.merges += heap->counts.merges;
	totals->counts.allocations += heap->counts.allocations;
	totals->counts.frees += heap->counts.frees;
	totals->counts.huge += heap->counts.huge;
	totals->counts.spans_taken += heap->counts.spans_taken;
	totals->counts.spans_given += heap->counts.spans_given;
	totals->acquisitions += heap->lock.acquisitions + heap->records_lock.acquisitions;
	totals->contentions += heap->lock.contentions + heap->records_lock.contentions;
}

static void totals_processor(struct totals *totals, const struct buddy_processor *processor)
{
	for (unsigned i = 0; i < POOL_TYPES * BUDDY_CACHED_ORDERS; i++) {
		const unsigned type = i / BUDDY_CACHED_ORDERS, order = i % BUDDY_CACHED_ORDERS;
		const struct buddy_cache *cache = &processor->caches[type][order];
		const struct buddy_shelf *shelf = &processor->shelves[type][order];

		totals->hits += cache->hits;
		/* What is there, was handed out or lost came from the lists or from frees. */
		totals->kept_frees += cache->hits + cache->count + shelf->count + shelf->lost -
				      cache->inflow;
		totals->refills += cache->refills;
		totals->overflows += cache->overflows;
		totals->gets += shelf->gets;
		totals->puts += shelf->puts;
		totals->lost += shelf->lost;
	}
	totals->acquisitions += processor->lock.acquisitions;
	totals->contentions += processor->lock.contentions;
}

void buddy_counters(struct pool *pool, pool_counter_visit visit, void *arg)
{
	struct totals t = { 0 };

	for (unsigned type = 0; type < POOL_TYPES; type++)
		totals_heap(&t, &pool->heaps[type]);
	for (unsigned i = 0; i < pool->processor_count; i++)
		totals_processor(&t, &pool->processors[i]);
	visit(arg, "fast_allocs", "allocations served by a processor's cache", t.hits);
	visit(arg, "fast_frees", "frees that it kept", t.kept_frees);
	visit(arg, "refills", "allocations that found it empty and took a batch", t.refills);
	visit(arg, "cache_overflows", "frees that found it full and gave a batch back",
	      t.overflows);
	visit(arg, "shelf_gets", "batches that refilled it from the processor's shelf", t.gets);
	visit(arg, "shelf_puts", "batches that went to the shelf", t.puts);
	visit(arg, "shelf_lost",
	      "blocks from shelves to another processor or the lists, for want of memory there",
	      t.lost);
	visit(arg, "list_allocs", "blocks taken from the lists", t.counts.allocations);
	visit(arg, "list_frees", "blocks put back into the lists", t.counts.frees);
	visit(arg, "splits", "blocks cut in two", t.counts.splits);
	visit(arg, "merges", "buddies merged", t.counts.merges);
	visit(arg, "huge_allocs", "blocks of more than a span", t.counts.huge);
	visit(arg, "spans_taken", "spans of addresses reserved", t.counts.spans_taken);
	visit(arg, "spans_returned", "spans of addresses released", t.counts.spans_given);
	visit(arg, "lock_acquisitions", "acquisitions of any lock", t.acquisitions);
	visit(arg, "lock_contentions", "acquisitions that had to wait", t.contentions);
}
