/*
 * The algorithm of TLSF: segregated lists, splitting, immediate coalescing. Nothing here loops: alloc and
 * free are straight lines, inlined into whoever has the heap.
 *
 * What was measured and is not done: conditional moves instead of branches, with a block of size 0 in the place
 * of a neighbour that is not free. There are fewer wrong guesses then, but an operation's loads wait for the
 * stores of the one before, and a guess, even one that is wrong every third time, is what lets them start early.
 *
 * Each operation counts its steps (see TLSF_STEPS_MAX) where they happen, and the most there ever were is
 * kept: the bound that the paper proves is a number here that tests hold against it.
 */
#ifndef POOLBENCH_TLSF_FIT_H
#define POOLBENCH_TLSF_FIT_H

#include "tlsf.h"

#define LIKELY(condition)   __builtin_expect(condition, 1)
#define UNLIKELY(condition) __builtin_expect(condition, 0)
/* Steps are counted in a register, and shifts are by constants: see TLSF_SLI_USUAL. */
#define STRAIGHT static inline __attribute__((always_inline))

STRAIGHT void steps_done(struct tlsf_heap *heap, unsigned steps)
{
	if (UNLIKELY(steps > heap->counts.steps_max))
		heap->counts.steps_max = steps;
}

/* ---- lists ---- */

/* A free block at the head of its list: what was freed last is used first. */
STRAIGHT void block_link(struct tlsf_heap *heap, unsigned sli, struct tlsf_block *block,
			 size_t size)
{
	const unsigned list = tlsf_list_of(sli, size), row = list >> sli;
	struct tlsf_block **head = &heap->lists[list], *next = *head;

	block->next = next;
	block->link = head;
	next->link = &block->next;
	*head = block;
	heap->second_level[row] |= 1ull << (list & ((1u << sli) - 1));
	heap->first_level |= 1ull << row;
}

/* A list has no block any more. */
STRAIGHT void list_emptied(struct tlsf_heap *heap, unsigned sli, size_t list)
{
	const size_t row = list >> sli;
	const uint64_t columns = heap->second_level[row] & ~(1ull << (list & ((1u << sli) - 1)));

	heap->second_level[row] = columns;
	if (UNLIKELY(!columns))
		heap->first_level &= ~(1ull << row);
}

/* What points to a list's first block is in lists[], and so says which list it is. */
STRAIGHT void block_unlink(struct tlsf_heap *heap, unsigned sli, struct tlsf_block *block)
{
	struct tlsf_block *next = block->next, **link = block->link;
	const size_t list = ((uintptr_t)link - (uintptr_t)heap->lists) / sizeof(*link);
	const bool was_only = (next == &heap->none) & (list < (size_t)TLSF_ROWS << sli);

	*link = next;
	next->link = link;
	if (was_only)
		list_emptied(heap, sli, list);
}

/* Unlinks the head of the first non-empty list from `list` on; NULL if there is none. */
STRAIGHT struct tlsf_block *list_take(struct tlsf_heap *heap, unsigned sli, unsigned list,
				      unsigned *steps)
{
	unsigned row = list >> sli;
	uint64_t columns = heap->second_level[row] & (~0ull << (list & ((1u << sli) - 1)));
	struct tlsf_block *block, *next, **link;

	++*steps;
	if (!columns) {
		const uint64_t rows = heap->first_level & (~1ull << row);

		*steps += 2;
		if (UNLIKELY(!rows))
			return NULL;
		row = (unsigned)__builtin_ctzll(rows);
		columns = heap->second_level[row];
	}
	list = (row << sli) + (unsigned)__builtin_ctzll(columns);
	link = &heap->lists[list];
	block = *link;
	next = block->next;
	*link = next;
	next->link = link;
	if (next == &heap->none)
		list_emptied(heap, sli, list);
	++*steps;
	return block;
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
		*steps += 2;
		block_link(heap, sli, rest, over);
	} else {
		tlsf_word_set(block, word & ~TLSF_FREE);
		tlsf_word_set(behind, tlsf_word(behind) & ~TLSF_PREVIOUS_FREE);
	}
}

/*
 * The class that the size itself belongs to has blocks that are too short as well, so the paper's search begins
 * one above, and what was freed by a request of the very size is not found by the next. Its head, which was
 * freed last, is therefore looked at first. (An empty list's head is heap->none, of size 0.)
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
	if (tlsf_size(block) < size) {
		block = list_take(heap, sli, tlsf_list_of(sli, class_size), &steps);
	} else {
		block_unlink(heap, sli, block);
		steps++;
	}
	if (LIKELY(block != NULL)) {
		block_use(heap, sli, block, size, &steps);
		heap->counts.allocations++;
	}
	steps_done(heap, steps);
	return block;
}

/* Takes a span out of the heap. */
void tlsf_span_unlink(struct tlsf_heap *heap, struct tlsf_span *span);

/*
 * A free block of `word` that is in no list. A span that is all this block, and more than the heap retains,
 * leaves the heap and is returned; otherwise the block is linked.
 */
STRAIGHT struct tlsf_span *block_keep(struct tlsf_heap *heap, unsigned sli,
				      struct tlsf_block *block, size_t word)
{
	if (UNLIKELY(word & TLSF_FIRST)) {
		struct tlsf_span *span = tlsf_span_whole(block);

		if (span && heap->free_span_bytes + span->bytes > heap->retain_bytes) {
			tlsf_span_unlink(heap, span);
			return span;
		}
		if (span)
			heap->free_span_bytes += span->bytes;
	}
	block_link(heap, sli, block, word & TLSF_SIZE_MASK);
	return NULL;
}

/*
 * A used block becomes free and merges with its neighbours. A span that it was the last of and that is
 * more than the heap retains leaves the heap and is returned; otherwise NULL.
 */
STRAIGHT struct tlsf_span *heap_give(struct tlsf_heap *heap, unsigned sli, struct tlsf_block *block)
{
	size_t word = tlsf_word(block), size = word & TLSF_SIZE_MASK;
	struct tlsf_block *behind = tlsf_at(block, size);
	const size_t behind_word = tlsf_word(behind);
	unsigned steps = 1;

	heap->counts.frees++;
	if (word & TLSF_PREVIOUS_FREE) {
		block = block->previous_physical;
		word = tlsf_word(block);
		block_unlink(heap, sli, block);
		size += word & TLSF_SIZE_MASK;
		heap->counts.merges++;
		steps += 2;
	}
	if (behind_word & TLSF_FREE) {
		block_unlink(heap, sli, behind);
		size += behind_word & TLSF_SIZE_MASK;
		behind = tlsf_at(behind, behind_word & TLSF_SIZE_MASK);
		heap->counts.merges++;
		steps += 2;
	} else {
		tlsf_word_set(behind, behind_word | TLSF_PREVIOUS_FREE);
	}
	behind->previous_physical = block;
	word = size | heap->tag | TLSF_FREE | (word & TLSF_FIRST);
	tlsf_word_set(block, word);
	steps_done(heap, steps);
	return block_keep(heap, sli, block, word);
}

/* The usual second level has code of its own, in which it is a constant. */
#define TLSF_SLI_USUAL 5u
#define TLSF_PER_SLI(heap, call, ...) \
	(LIKELY((heap)->sli == TLSF_SLI_USUAL) ? call(heap, TLSF_SLI_USUAL, __VA_ARGS__) \
					       : call(heap, (heap)->sli, __VA_ARGS__))

#endif
