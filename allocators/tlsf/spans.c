/*
 * Where memory comes from when no list has any: spans from the page source, blocks that other processors
 * freed, other processors' heaps; and how it goes back.
 *
 * A heap is the caller's while it holds the heap's lock. With processors=on it holds its own ever
 * since thread_enter, and tries others' without waiting: two that wait for each other would never end.
 */
#include <limits.h>

#include "tlsf.h"

/* ---- blocks freed by other processors ---- */

void tlsf_remote_push(struct tlsf_heap *heap, struct tlsf_block *block)
{
	struct tlsf_block *head = atomic_load_explicit(&heap->remote, memory_order_relaxed);

	do {
		block->next = head;
	} while (!atomic_compare_exchange_weak_explicit(
		&heap->remote, &head, block, memory_order_release, memory_order_relaxed));
}

void tlsf_remote_drain(struct tlsf_heap *heap, unsigned most)
{
	for (; most > 0; most--) {
		struct tlsf_block *block = heap->pending;
		struct tlsf_span *span;

		if (!block && atomic_load_explicit(&heap->remote, memory_order_relaxed))
			block = atomic_exchange_explicit(&heap->remote, NULL, memory_order_acquire);
		if (!block)
			return;
		heap->pending = block->next;
		span = tlsf_heap_give(heap, block);
		heap->counts.remote_frees++;
		if (span)
			page_source_give(heap->source, span, span->bytes);
	}
}

/* ---- spans ---- */

size_t tlsf_spans_release(struct page_source *source, struct tlsf_span *spans)
{
	size_t bytes = 0;

	while (spans) {
		struct tlsf_span *span = spans;

		spans = span->next;
		bytes += span->bytes;
		page_source_give(source, span, span->bytes);
	}
	return bytes;
}

/* The heap, and what was left for it to free, without its wholly free spans. The heap is the caller's. */
static size_t heap_trim(struct tlsf_heap *heap)
{
	const uint64_t pages = heap->counts.pages_given;

	tlsf_remote_drain(heap, UINT_MAX);
	tlsf_spans_release(heap->source, tlsf_heap_shrink(heap, 0));
	return (size_t)(heap->counts.pages_given - pages) * heap->source->page_size;
}

size_t tlsf_spans_trim(struct pool *pool)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < pool->heap_count; i++)
		bytes += heap_trim(&pool->heaps[i]);
	return bytes;
}

/* ---- memory from elsewhere ---- */

/* Whether the heap becomes the caller's, whose own is `mine`; then heap_leave() must follow. */
static bool heap_enter(const struct pool *pool, struct tlsf_heap *mine, struct tlsf_heap *heap)
{
	if (!pool->options.processors) {
		spinlock_acquire(&heap->lock);
		return true;
	}
	return heap == mine || spinlock_try(&heap->lock);
}

static void heap_leave(const struct pool *pool, struct tlsf_heap *mine, struct tlsf_heap *heap)
{
	if (!pool->options.processors || heap != mine)
		spinlock_release(&heap->lock);
}

/* A new span of `bytes` for the heap, a block of `size` from it; NULL when the page source refuses. */
static struct tlsf_block *heap_grow(const struct pool *pool, struct tlsf_heap *heap, size_t bytes,
				    size_t size)
{
	void *run = page_source_take(heap->source, bytes, 0);
	struct tlsf_block *block;

	if (!run)
		return NULL;
	heap_enter(pool, heap, heap);
	block = tlsf_heap_extend(heap, run, bytes, size);
	heap_leave(pool, heap, heap);
	return block;
}

/* From what others left to free here, then from the heaps of processors that nobody stands for. */
static struct tlsf_block *heap_search(struct pool *pool, struct tlsf_heap *mine, size_t size)
{
	struct tlsf_block *block;

	tlsf_remote_drain(mine, UINT_MAX);
	block = tlsf_heap_take(mine, size);
	for (unsigned i = 0; i < pool->heaps_each && !block; i++) {
		struct tlsf_heap *heap = &pool->heaps[(unsigned)mine->type * pool->heaps_each + i];

		if (heap == mine || !spinlock_try(&heap->lock))
			continue;
		tlsf_remote_drain(heap, UINT_MAX);
		block = tlsf_heap_take(heap, size);
		heap->counts.steals += block != NULL;
		spinlock_release(&heap->lock);
	}
	return block;
}

/* Whether wholly free spans of the type went back. */
static bool type_trim(struct pool *pool, struct tlsf_heap *mine)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < pool->heaps_each; i++) {
		struct tlsf_heap *heap = &pool->heaps[(unsigned)mine->type * pool->heaps_each + i];

		if (!heap_enter(pool, mine, heap))
			continue;
		bytes += heap_trim(heap);
		heap_leave(pool, mine, heap);
	}
	return bytes > 0;
}

/*
 * A block of the own class after all; a span of the usual size, else as little as will do, else what others have;
 * at last as little as will do with all free spans given back, that may be too short each but not together.
 */
struct tlsf_block *tlsf_alloc_slow(struct pool *pool, struct tlsf_heap *heap, size_t size)
{
	const size_t least = page_source_round_up(heap->source, size + TLSF_SPAN_OVERHEAD);
	const size_t usual = page_source_round_up(heap->source, pool->options.grow);
	struct tlsf_block *block = NULL;

	if (pool->options.processors && tlsf_remote_waits(heap)) {
		tlsf_remote_drain(heap, UINT_MAX);
		block = tlsf_heap_take(heap, size);
	}
	if (!block) {
		heap_enter(pool, heap, heap);
		block = tlsf_heap_take_near(heap, size);
		heap_leave(pool, heap, heap);
	}
	if (!block)
		block = heap_grow(pool, heap, least > usual ? least : usual, size);
	if (!block && least < usual)
		block = heap_grow(pool, heap, least, size);
	if (!block && pool->options.processors)
		block = heap_search(pool, heap, size);
	if (!block && type_trim(pool, heap))
		block = heap_grow(pool, heap, least, size);
	return block;
}
