/*
 * Memory under the buddy system. A span of addresses is reserved, aligned to its size; its pages are
 * committed when blocks reach them, and decommitted while they are free and more than `retain`.
 *
 * The page source is entered with no lock held: the block whose pages are committed or decommitted has been
 * taken out of the lists, is marked used and so is nobody else's. The bits that say which pages are
 * backed share words with other blocks' and are changed by atomic operations.
 */
#include <errno.h>

#include "buddy.h"

/* ---- pages of a block that is nobody else's ---- */

/* Commits what is not committed of a block of whole pages. 0, or -ENOMEM: some pages may be then. */
static int block_back(struct buddy_heap *heap, char *block, unsigned order)
{
	bitmap_word *backed = buddy_span_of(heap, block)->backed;
	const size_t first = buddy_page_in_span(heap, block);
	const size_t count = (size_t)1 << (order - heap->page_order);

	for (size_t page = 0; page < count;) {
		size_t run = 0;

		while (page + run < count && !bitmap_any(backed, first + page + run, 1))
			run++;
		if (run == 0) {
			page++;
			continue;
		}
		if (page_source_commit(heap->source, block + (page << heap->page_shift),
				       run << heap->page_shift) != 0)
			return -ENOMEM;
		bitmap_flip(backed, first + page, run, true);
		page += run;
	}
	return 0;
}

/* Decommits what is committed of a block of whole pages; pages. */
static size_t block_unback(struct buddy_heap *heap, char *block, unsigned order)
{
	bitmap_word *backed = buddy_span_of(heap, block)->backed;
	const size_t first = buddy_page_in_span(heap, block);
	const size_t end = first + ((size_t)1 << (order - heap->page_order));
	size_t pages = 0;

	for (size_t page = bitmap_next(backed, first, end); page < end;
	     page = bitmap_next(backed, page, end)) {
		size_t run = 1;

		while (page + run < end && bitmap_any(backed, page + run, 1))
			run++;
		bitmap_flip(backed, page, run, false);
		page_source_decommit(heap->source, block + ((page - first) << heap->page_shift),
				     run << heap->page_shift);
		pages += run;
	}
	return pages;
}

/* ---- spans ---- */

static int records_commit(struct buddy_heap *heap, size_t from, size_t to)
{
	if (from >= to)
		return 0;
	return page_source_commit(heap->source, heap->records + from, to - from);
}

/*
 * Commits the record of `number`, and what lies between it and the rest: the first spans come behind the map's
 * addresses. 0 or -ENOMEM. Who waits for the lock needs the same.
 */
static int records_reach(struct buddy_heap *heap, size_t number)
{
	const size_t at = number * heap->record_bytes;
	const size_t from = at & ~(heap->source->page_size - 1);
	const size_t to = page_source_round_up(heap->source, at + heap->record_bytes);
	int error;

	spinlock_acquire(&heap->records_lock);
	if (heap->records_low == heap->records_high)
		heap->records_low = heap->records_high = from;
	error = records_commit(heap, from, heap->records_low);
	if (!error && from < heap->records_low)
		heap->records_low = from;
	if (!error)
		error = records_commit(heap, heap->records_high, to);
	if (!error && to > heap->records_high)
		heap->records_high = to;
	spinlock_release(&heap->records_lock);
	return error;
}

static void *span_map(const struct buddy_heap *heap, const void *span)
{
	return (void *)(uintptr_t)buddy_mark_of(heap, span);
}

static void span_kind_set(struct buddy_heap *heap, const void *span, enum buddy_span_kind kind)
{
	atomic_store_explicit(&buddy_span_of(heap, span)->kind, kind, memory_order_relaxed);
}

/* A new span: one free block without memory. 0 or -ENOMEM. */
static int span_create(struct buddy_heap *heap)
{
	const size_t bytes = (size_t)1 << heap->span_shift;
	void *span = page_source_reserve(heap->source, bytes, bytes);

	if (!span)
		return -ENOMEM;
	if (records_reach(heap, buddy_span_number(heap, span)) != 0 ||
	    page_source_commit(heap->source, span_map(heap, span), heap->map_span_bytes) != 0) {
		page_source_release(heap->source, span, bytes);
		return -ENOMEM;
	}
	span_kind_set(heap, span, BUDDY_SPAN_BLOCKS);
	spinlock_acquire(&heap->lock);
	heap->counts.spans_taken++;
	buddy_put(heap, span, heap->max_order);
	spinlock_release(&heap->lock);
	return 0;
}

/* A span that is one block, which has been taken out; bytes. */
static size_t span_give(struct buddy_heap *heap, void *span)
{
	const size_t pages = block_unback(heap, span, heap->max_order);

	span_kind_set(heap, span, BUDDY_SPAN_NONE);
	page_source_decommit(heap->source, span_map(heap, span), heap->map_span_bytes);
	page_source_release(heap->source, span, (size_t)1 << heap->span_shift);
	spinlock_acquire(&heap->lock);
	heap->counts.spans_given++;
	heap->counts.given_bytes += (pages << heap->page_shift) + heap->map_span_bytes;
	spinlock_release(&heap->lock);
	return (pages << heap->page_shift) + heap->map_span_bytes;
}

/* ---- giving memory back ---- */

/* The largest free block that has memory, while there is more of that than `target`. */
static void *shrink_choose(struct buddy_heap *heap, size_t target, unsigned *order)
{
	const uint32_t orders = heap->occupied[BUDDY_BACKED] & (~0u << heap->page_order);

	if (heap->free_backed <= target || !orders)
		return NULL;
	*order = 31 - (unsigned)__builtin_clz(orders);
	return buddy_take_whole(heap, *order, BUDDY_BACKED);
}

/* The block goes back to the lists without its memory; bytes. */
static size_t shrink_block(struct buddy_heap *heap, void *block, unsigned order)
{
	const size_t pages = block_unback(heap, block, order);

	spinlock_acquire(&heap->lock);
	heap->counts.given_bytes += pages << heap->page_shift;
	buddy_put(heap, block, order);
	spinlock_release(&heap->lock);
	return pages << heap->page_shift;
}

size_t buddy_shrink(struct buddy_heap *heap, size_t target)
{
	size_t bytes = 0;
	unsigned order;
	void *block;

	for (;;) {
		spinlock_acquire(&heap->lock);
		block = shrink_choose(heap, target, &order);
		spinlock_release(&heap->lock);
		if (!block)
			break;
		bytes += order == heap->max_order ? span_give(heap, block)
						  : shrink_block(heap, block, order);
	}
	for (;;) {
		spinlock_acquire(&heap->lock);
		block = buddy_take_whole(heap, heap->max_order, BUDDY_UNBACKED);
		spinlock_release(&heap->lock);
		if (!block)
			return bytes;
		bytes += span_give(heap, block);
	}
}

/* ---- memory for a block ---- */

/* A block of *order, marked used, at least partly without memory; of a new span if need be. */
static void *block_obtain(struct buddy_heap *heap, unsigned least, unsigned chunk, unsigned *order)
{
	void *block;

	do {
		spinlock_acquire(&heap->lock);
		*order = least;
		block = buddy_take(heap, least, BUDDY_BACKED);
		if (!block) {
			*order = chunk;
			block = buddy_take(heap, chunk, BUDDY_UNBACKED);
		}
		if (!block) {
			*order = least;
			block = buddy_take(heap, least, BUDDY_UNBACKED);
		}
		spinlock_release(&heap->lock);
	} while (!block && span_create(heap) == 0);
	return block;
}

/* Memory under all of the block, which is cut to `order`; or it is free again. */
static bool block_equip(struct buddy_heap *heap, void *block, unsigned from, unsigned order)
{
	const int error = block_back(heap, block, from);

	spinlock_acquire(&heap->lock);
	if (error)
		buddy_put(heap, block, from);
	else
		buddy_cut(heap, block, from, order);
	spinlock_release(&heap->lock);
	return !error;
}

/*
 * First a chunk of `expand` bytes is backed, then as little as will do; at last that again, with all memory
 * given back that is free elsewhere.
 */
void *buddy_alloc_unbacked(struct buddy_heap *heap, unsigned order)
{
	const unsigned least = order > heap->page_order ? order : heap->page_order;
	const unsigned chunk = least > heap->chunk_order ? least : heap->chunk_order;

	for (int attempt = 0; attempt < 3; attempt++) {
		unsigned from;
		void *block;

		if (attempt == 2 && buddy_shrink(heap, 0) == 0)
			break;
		block = block_obtain(heap, least, attempt == 0 ? chunk : least, &from);
		if (block && block_equip(heap, block, from, order))
			return block;
	}
	return NULL;
}

/* ---- blocks of more than a span ---- */

void *buddy_huge_alloc(struct buddy_heap *heap, size_t bytes)
{
	struct page_source *source = heap->source;
	struct buddy_span *span;
	void *block;

	if (bytes > source->range_bytes)
		return NULL;
	bytes = page_source_round_up(source, bytes);
	block = page_source_take(source, bytes, (size_t)1 << heap->span_shift);
	if (!block)
		return NULL;
	if (records_reach(heap, buddy_span_number(heap, block)) != 0) {
		page_source_give(source, block, bytes);
		return NULL;
	}
	span = buddy_span_of(heap, block);
	span->huge_bytes = bytes;
	span_kind_set(heap, block, BUDDY_SPAN_HUGE);
	spinlock_acquire(&heap->lock);
	heap->counts.huge++;
	spinlock_release(&heap->lock);
	return block;
}

void buddy_huge_free(struct buddy_heap *heap, void *block)
{
	const size_t bytes = buddy_span_of(heap, block)->huge_bytes;

	span_kind_set(heap, block, BUDDY_SPAN_NONE);
	page_source_give(heap->source, block, bytes);
}

/* ---- create and destroy ---- */

int buddy_spans_init(struct buddy_heap *heap)
{
	struct page_source *source = heap->source;
	const uintptr_t end = (uintptr_t)source->base + source->range_bytes;
	const size_t pages = (size_t)1 << (heap->max_order - heap->page_order);

	heap->origin = (uintptr_t)source->base & ~(((uintptr_t)1 << heap->span_shift) - 1);
	heap->record_count = (end - heap->origin + ((size_t)1 << heap->span_shift) - 1) >>
			     heap->span_shift;
	heap->record_bytes = sizeof(struct buddy_span) +
			     (pages + BITMAP_WORD - 1) / BITMAP_WORD * sizeof(bitmap_word);
	heap->map_span_bytes = (size_t)1 << heap->max_order;
	heap->map_bytes = heap->record_count << heap->max_order;
	heap->records_bytes = page_source_round_up(source, heap->record_count * heap->record_bytes);
	heap->records = page_source_reserve(source, heap->records_bytes, 0);
	heap->map = page_source_reserve(source, heap->map_bytes, 0);
	if (heap->records && heap->map)
		return 0;
	buddy_spans_destroy(heap);
	return -ENOMEM;
}

static void span_destroy(struct buddy_heap *heap, size_t number)
{
	void *span = buddy_span_address(heap, number);

	switch (buddy_span_kind(buddy_span_at(heap, number))) {
	case BUDDY_SPAN_BLOCKS:
		span_give(heap, span);
		break;
	case BUDDY_SPAN_HUGE:
		buddy_huge_free(heap, span);
		break;
	case BUDDY_SPAN_NONE:
		break;
	}
}

void buddy_spans_destroy(struct buddy_heap *heap)
{
	struct page_source *source = heap->source;

	for (size_t i = buddy_records_first(heap); i < buddy_records_end(heap); i++)
		span_destroy(heap, i);
	if (heap->records_low < heap->records_high)
		page_source_decommit(source, heap->records + heap->records_low,
				     heap->records_high - heap->records_low);
	if (heap->records)
		page_source_release(source, heap->records, heap->records_bytes);
	if (heap->map)
		page_source_release(source, heap->map, heap->map_bytes);
}
