/*
 * The algorithm of TLSF: mapping, segregated lists, splitting, immediate coalescing. Nothing here loops
 * but tlsf_heap_init, tlsf_heap_shrink and tlsf_heap_take_near: alloc and free are straight lines.
 *
 * Each operation counts its steps (see TLSF_STEPS_MAX) where they happen, and the most there ever were is
 * kept: the bound that the paper proves is a number here that tests hold against it.
 */
#include "tlsf.h"

#define LIKELY(condition)   __builtin_expect(condition, 1)
#define UNLIKELY(condition) __builtin_expect(condition, 0)
/* Steps are counted in a register, and shifts are by constants: see PER_SLI. */
#define STRAIGHT static inline __attribute__((always_inline))

void tlsf_heap_init(struct tlsf_heap *heap, unsigned sli, struct tlsf_block **lists)
{
	heap->sli = sli;
	heap->lists = lists;
	for (size_t i = 0; i < (size_t)TLSF_ROWS << sli; i++)
		lists[i] = &heap->none;
}

static void steps_done(struct tlsf_heap *heap, unsigned steps)
{
	if (UNLIKELY(steps > heap->counts.steps_max))
		heap->counts.steps_max = steps;
}

/* ---- lists ---- */

/* A free block at the head of its list: what was freed last is used first. */
STRAIGHT void block_link(struct tlsf_heap *heap, unsigned sli, struct tlsf_block *block,
			 size_t size, unsigned *steps)
{
	const unsigned list = tlsf_list_of(sli, size), row = list >> sli;
	struct tlsf_block *head = heap->lists[list];

	block->next = head;
	block->previous = &heap->none;
	head->previous = block;
	heap->lists[list] = block;
	heap->second_level[row] |= 1ull << (list & ((1u << sli) - 1));
	heap->first_level |= 1ull << row;
	++*steps;
}

STRAIGHT void list_emptied(struct tlsf_heap *heap, unsigned sli, unsigned list)
{
	const unsigned row = list >> sli;

	heap->second_level[row] &= ~(1ull << (list & ((1u << sli) - 1)));
	if (!heap->second_level[row])
		heap->first_level &= ~(1ull << row);
}

STRAIGHT void block_unlink(struct tlsf_heap *heap, unsigned sli, struct tlsf_block *block,
			   size_t size, unsigned *steps)
{
	struct tlsf_block *next = block->next, *previous = block->previous;

	next->previous = previous;
	previous->next = next;
	++*steps;
	if (previous == &heap->none) {
		const unsigned list = tlsf_list_of(sli, size);

		heap->lists[list] = next;
		if (next == &heap->none)
			list_emptied(heap, sli, list);
	}
}

/* The head of the first non-empty list from `list` on; NULL if there is none. */
STRAIGHT struct tlsf_block *list_search(const struct tlsf_heap *heap, unsigned sli, unsigned list,
					unsigned *steps)
{
	unsigned row = list >> sli;
	const unsigned column = list & ((1u << sli) - 1);
	uint64_t columns = heap->second_level[row] & (~0ull << column);

	++*steps;
	if (!columns) {
		const uint64_t rows = heap->first_level & (~1ull << row);

		++*steps;
		if (!rows)
			return NULL;
		row = (unsigned)__builtin_ctzll(rows);
		columns = heap->second_level[row];
		++*steps;
	}
	return heap->lists[(row << sli) + (unsigned)__builtin_ctzll(columns)];
}

/* ---- blocks ---- */

/* Makes `size` bytes at the front of an unlinked free block a used one; links what is over. */
STRAIGHT void block_use(struct tlsf_heap *heap, unsigned sli, struct tlsf_block *block, size_t size,
			unsigned *steps)
{
	const size_t word = tlsf_word(block), whole = word & TLSF_SIZE_MASK, over = whole - size;
	struct tlsf_block *behind = tlsf_at(block, whole);

	if (UNLIKELY(word & TLSF_FIRST)) {
		const struct tlsf_span *span = tlsf_span_whole(block);

		if (span)
			heap->free_span_bytes -= span->bytes;
	}
	if (over >= TLSF_BLOCK_MIN) {
		struct tlsf_block *rest = tlsf_at(block, size);

		tlsf_word_set(rest, over | heap->tag | TLSF_FREE);
		behind->previous_physical = rest;
		tlsf_word_set(block, size | heap->tag | (word & TLSF_FIRST));
		heap->counts.splits++;
		++*steps;
		block_link(heap, sli, rest, over, steps);
	} else {
		tlsf_word_set(block, word & ~TLSF_FREE);
		tlsf_word_set(behind, tlsf_word(behind) & ~TLSF_PREVIOUS_FREE);
	}
}

/* A block of the size's own class that was looked at, or that a search found. */
STRAIGHT void block_take(struct tlsf_heap *heap, unsigned sli, struct tlsf_block *block,
			 size_t size, unsigned *steps)
{
	block_unlink(heap, sli, block, tlsf_size(block), steps);
	block_use(heap, sli, block, size, steps);
	heap->counts.allocations++;
}

/*
 * The class that the size itself belongs to has blocks that are too short as well, so the paper's search begins
 * one above, and what was freed by a request of the very size is not found by the next. Its head, which was
 * freed last, is therefore looked at first.
 */
STRAIGHT struct tlsf_block *heap_take(struct tlsf_heap *heap, unsigned sli, size_t size)
{
	const size_t class_size = tlsf_class_size(sli, size);
	struct tlsf_block *block = &heap->none;
	unsigned steps = 0;

	if (class_size != size) {
		block = heap->lists[tlsf_list_of(sli, size)];
		steps++;
	}
	if (block == &heap->none || tlsf_size(block) < size)
		block = list_search(heap, sli, tlsf_list_of(sli, class_size), &steps);
	if (LIKELY(block != NULL))
		block_take(heap, sli, block, size, &steps);
	steps_done(heap, steps);
	return block;
}

/* The usual second level has code of its own, in which it is a constant. */
#define PER_SLI(heap, call, ...) \
	(LIKELY((heap)->sli == 5) ? call(heap, 5, __VA_ARGS__) \
				  : call(heap, (heap)->sli, __VA_ARGS__))

struct tlsf_block *tlsf_heap_take(struct tlsf_heap *heap, size_t size)
{
	return PER_SLI(heap, heap_take, size);
}

struct tlsf_block *tlsf_heap_take_near(struct tlsf_heap *heap, size_t size)
{
	struct tlsf_block *block = heap->lists[tlsf_list_of(heap->sli, size)];
	unsigned steps = 0;

	for (unsigned looked = 0; block != &heap->none; block = block->next) {
		if (tlsf_size(block) >= size) {
			block_take(heap, heap->sli, block, size, &steps);
			return block;
		}
		if (++looked == TLSF_LOOK_MAX)
			break;
	}
	return NULL;
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

static void span_unlink(struct tlsf_heap *heap, struct tlsf_span *span)
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

STRAIGHT struct tlsf_span *heap_give(struct tlsf_heap *heap, unsigned sli, struct tlsf_block *block)
{
	size_t word = tlsf_word(block), size = word & TLSF_SIZE_MASK;
	struct tlsf_block *behind = tlsf_at(block, size);
	const size_t behind_word = tlsf_word(behind);
	unsigned steps = 0;

	heap->counts.frees++;
	if (word & TLSF_PREVIOUS_FREE) {
		struct tlsf_block *before = block->previous_physical;

		word = tlsf_word(before);
		block_unlink(heap, sli, before, word & TLSF_SIZE_MASK, &steps);
		size += word & TLSF_SIZE_MASK;
		block = before;
		heap->counts.merges++;
		steps++;
	}
	if (behind_word & TLSF_FREE) {
		block_unlink(heap, sli, behind, behind_word & TLSF_SIZE_MASK, &steps);
		size += behind_word & TLSF_SIZE_MASK;
		behind = tlsf_at(behind, behind_word & TLSF_SIZE_MASK);
		heap->counts.merges++;
		steps++;
	} else {
		tlsf_word_set(behind, behind_word | TLSF_PREVIOUS_FREE);
	}
	behind->previous_physical = block;
	tlsf_word_set(block, size | heap->tag | TLSF_FREE | (word & TLSF_FIRST));
	if (UNLIKELY(word & TLSF_FIRST)) {
		struct tlsf_span *span = tlsf_span_whole(block);

		if (span && heap->free_span_bytes + span->bytes > heap->retain_bytes) {
			span_unlink(heap, span);
			steps_done(heap, steps);
			return span;
		}
		if (span)
			heap->free_span_bytes += span->bytes;
	}
	block_link(heap, sli, block, size, &steps);
	steps_done(heap, steps);
	return NULL;
}

struct tlsf_span *tlsf_heap_give(struct tlsf_heap *heap, struct tlsf_block *block)
{
	return PER_SLI(heap, heap_give, block);
}

struct tlsf_span *tlsf_heap_shrink(struct tlsf_heap *heap, size_t keep)
{
	struct tlsf_span *taken = NULL, *next;

	for (struct tlsf_span *span = heap->spans; span && heap->free_span_bytes > keep;
	     span = next) {
		struct tlsf_block *block = tlsf_span_first(span);
		unsigned steps = 0;

		next = span->next;
		if (!(tlsf_word(block) & TLSF_FREE) || !tlsf_span_whole(block))
			continue;
		block_unlink(heap, heap->sli, block, tlsf_size(block), &steps);
		heap->free_span_bytes -= span->bytes;
		span_unlink(heap, span);
		span->next = taken;
		taken = span;
	}
	return taken;
}
