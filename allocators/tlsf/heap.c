/*
 * A heap by itself: its lists at the start, operations for whoever is not in a hurry, spans that come and
 * go. The algorithm is in fit.h.
 */
#include "fit.h"

void tlsf_heap_init(struct tlsf_heap *heap, unsigned sli, struct tlsf_block **lists)
{
	heap->sli = sli;
	heap->lists = lists;
	for (size_t i = 0; i < (size_t)TLSF_ROWS << sli; i++)
		lists[i] = &heap->none;
}

struct tlsf_block *tlsf_heap_take(struct tlsf_heap *heap, size_t size)
{
	return TLSF_PER_SLI(heap, heap_take, size);
}

struct tlsf_block *tlsf_heap_take_near(struct tlsf_heap *heap, size_t size)
{
	struct tlsf_block *block = heap->lists[tlsf_list_of(heap->sli, size)];
	unsigned steps = 0;

	for (unsigned looked = 0; block != &heap->none; block = block->next) {
		if (tlsf_size(block) >= size) {
			block_unlink(heap, heap->sli, block);
			block_use(heap, heap->sli, block, size, &steps);
			heap->counts.allocations++;
			return block;
		}
		if (++looked == TLSF_LOOK_MAX)
			break;
	}
	return NULL;
}

struct tlsf_span *tlsf_heap_give(struct tlsf_heap *heap, struct tlsf_block *block)
{
	return TLSF_PER_SLI(heap, heap_give, block);
}

/* ---- spans ---- */

static void span_link(struct tlsf_heap *heap, struct tlsf_span *span)
{
	span->previous = NULL;
	span->next = heap->spans;
	if (span->next)
		span->next->previous = span;
	heap->spans = span;
	heap->span_bytes += span->bytes;
}

void tlsf_span_unlink(struct tlsf_heap *heap, struct tlsf_span *span)
{
	if (span->next)
		span->next->previous = span->previous;
	if (span->previous)
		span->previous->next = span->next;
	else
		heap->spans = span->next;
	heap->span_bytes -= span->bytes;
	heap->counts.spans_given++;
	heap->counts.pages_given += span->bytes / heap->source->page_size;
}

struct tlsf_block *tlsf_heap_extend(struct tlsf_heap *heap, void *run, size_t bytes, size_t size)
{
	struct tlsf_span *span = run;
	struct tlsf_block *block = tlsf_span_first(span);
	unsigned steps = 0;

	span->bytes = bytes;
	span_link(heap, span);
	heap->free_span_bytes += bytes;
	heap->counts.spans_taken++;
	tlsf_word_set(block, (bytes - TLSF_SPAN_OVERHEAD) | heap->tag | TLSF_FREE | TLSF_FIRST);
	tlsf_word_set(tlsf_span_end(span), heap->tag | TLSF_PREVIOUS_FREE);
	block_use(heap, heap->sli, block, size, &steps);
	heap->counts.allocations++;
	steps_done(heap, steps);
	return block;
}

struct tlsf_span *tlsf_heap_shrink(struct tlsf_heap *heap, size_t keep)
{
	struct tlsf_span *taken = NULL, *next;

	for (struct tlsf_span *span = heap->spans; span && heap->free_span_bytes > keep;
	     span = next) {
		struct tlsf_block *block = tlsf_span_first(span);

		next = span->next;
		if (!(tlsf_word(block) & TLSF_FREE) || !tlsf_span_whole(block))
			continue;
		block_unlink(heap, heap->sli, block);
		heap->free_span_bytes -= span->bytes;
		tlsf_span_unlink(heap, span);
		span->next = taken;
		taken = span;
	}
	return taken;
}
