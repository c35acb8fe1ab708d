/*
 * Looking at a pool that stands still: walk, check and counters.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "tlsf.h"

/* ---- walk ---- */

struct walk {
	pool_visit visit;
	void *arg;
	enum pool_type type;
	size_t page_size;
};

static int visit_bytes(const struct walk *walk, uintptr_t start, size_t bytes,
		       enum pool_range_kind kind)
{
	const struct pool_range range = {
		.start = (const void *)start, .bytes = bytes, .kind = kind, .type = walk->type
	};

	return bytes ? walk->visit(walk->arg, &range) : 0;
}

/* A free block: whole pool pages in it are told apart from what shares a page with something else. */
static int visit_free(const struct walk *walk, uintptr_t start, size_t bytes)
{
	const uintptr_t mask = walk->page_size - 1, end = start + bytes;
	const uintptr_t first = (start + mask) & ~mask, last = end & ~mask;
	int stopped;

	if (first >= last)
		return visit_bytes(walk, start, bytes, POOL_RANGE_FREE);
	stopped = visit_bytes(walk, start, first - start, POOL_RANGE_FREE);
	if (!stopped)
		stopped = visit_bytes(walk, first, last - first, POOL_RANGE_FREE_PAGES);
	if (!stopped)
		stopped = visit_bytes(walk, last, end - last, POOL_RANGE_FREE);
	return stopped;
}

static int visit_used(const struct walk *walk, struct tlsf_block *block)
{
	const struct pool_range waiting = {
		.start = &block->word,
		.bytes = tlsf_size(block),
		.kind = POOL_RANGE_CACHED,
		.type = walk->type,
	};
	const struct pool_range range = {
		.start = &block->word,
		.bytes = tlsf_size(block),
		.kind = POOL_RANGE_USED,
		.type = walk->type,
		.header_bytes = TLSF_HEADER,
		.block = tlsf_body(block),
	};

	return walk->visit(walk->arg, tlsf_word(block) & TLSF_WAITING ? &waiting : &range);
}

/* Marks the blocks that wait for their heap's owner to free them, or unmarks them. */
static size_t mark_waiting(const struct tlsf_heap *heap, size_t mark)
{
	struct tlsf_block *chains[] = {
		heap->pending,
		atomic_load_explicit(&heap->remote, memory_order_acquire),
	};
	size_t count = 0;

	for (int i = 0; i < 2; i++)
		for (struct tlsf_block *block = chains[i]; block; block = block->next, count++)
			tlsf_word_set(block, (tlsf_word(block) & ~TLSF_WAITING) | mark);
	return count;
}

/* A span that is one free block is free as a whole, header included: it can go back as it is. */
static int visit_span(const struct walk *walk, const struct tlsf_span *span)
{
	struct tlsf_block *block = tlsf_span_first(span);
	int stopped;

	if ((tlsf_word(block) & TLSF_FREE) && tlsf_span_whole(block))
		return visit_bytes(walk, (uintptr_t)span, span->bytes, POOL_RANGE_FREE_PAGES);
	stopped = visit_bytes(walk, (uintptr_t)span, sizeof(*span), POOL_RANGE_METADATA);
	for (; tlsf_size(block) && !stopped; block = tlsf_behind(block))
		stopped = tlsf_word(block) & TLSF_FREE
				  ? visit_free(walk, (uintptr_t)&block->word, tlsf_size(block))
				  : visit_used(walk, block);
	if (!stopped)
		stopped = visit_bytes(walk, (uintptr_t)&block->word, TLSF_HEADER,
				      POOL_RANGE_METADATA);
	return stopped;
}

int tlsf_walk(struct pool *pool, pool_visit visit, void *arg)
{
	struct walk walk = { .visit = visit, .arg = arg, .type = pool->control_source->type };
	int stopped = visit_bytes(&walk, (uintptr_t)pool, pool->control_bytes, POOL_RANGE_METADATA);

	for (unsigned i = 0; i < pool->heap_count; i++) {
		walk.type = pool->heaps[i].type;
		walk.page_size = pool->heaps[i].source->page_size;
		mark_waiting(&pool->heaps[i], TLSF_WAITING);
		for (struct tlsf_span *span = pool->heaps[i].spans; span && !stopped;
		     span = span->next)
			stopped = visit_span(&walk, span);
		mark_waiting(&pool->heaps[i], 0);
	}
	return stopped;
}

/* ---- check ---- */

struct audit {
	const struct tlsf_heap *heap;
	char *why;
	size_t why_bytes;
	size_t free_blocks, listed; /* by the spans, by the lists */
	size_t waiting; /* freed elsewhere, met in the spans */
	size_t span_bytes, free_span_bytes;
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

static int check_block(struct audit *audit, const struct tlsf_block *block,
		       const struct tlsf_block *before, const struct tlsf_span *span)
{
	const size_t word = tlsf_word(block), size = word & TLSF_SIZE_MASK;
	const bool previous_free = before && (tlsf_word(before) & TLSF_FREE);

	if (size < TLSF_BLOCK_MIN || size > (uintptr_t)tlsf_span_end(span) - (uintptr_t)block)
		return audit_fail(audit, "%p: a block of %zu bytes", (const void *)block, size);
	if (word >> TLSF_HEAP_SHIFT != audit->heap->tag >> TLSF_HEAP_SHIFT)
		return audit_fail(audit, "%p: a block of another heap", (const void *)block);
	if (!(word & TLSF_FIRST) != (before != NULL))
		return audit_fail(audit, "%p: wrong about being its span's first",
				  (const void *)block);
	if (!(word & TLSF_PREVIOUS_FREE) != !previous_free)
		return audit_fail(audit, "%p: wrong about the block before", (const void *)block);
	if (previous_free && block->previous_physical != before)
		return audit_fail(audit, "%p: does not find the free block before",
				  (const void *)block);
	if (previous_free && (word & TLSF_FREE))
		return audit_fail(audit, "%p: two free neighbours", (const void *)block);
	if ((word & TLSF_WAITING) && (word & TLSF_FREE))
		return audit_fail(audit, "%p: freed twice, once elsewhere", (const void *)block);
	audit->free_blocks += (word & TLSF_FREE) != 0;
	audit->waiting += (word & TLSF_WAITING) != 0;
	return 0;
}

static int check_span(struct audit *audit, const struct tlsf_span *span)
{
	const struct tlsf_block *block = tlsf_span_first(span), *before = NULL;
	const struct tlsf_block *end = tlsf_span_end(span);
	const bool whole = (tlsf_word(block) & TLSF_FREE) && tlsf_span_whole(block);
	bool end_free;

	for (; block < end; before = block, block = tlsf_behind(block)) {
		int error = check_block(audit, block, before, span);

		if (error)
			return error;
	}
	end_free = tlsf_word(before) & TLSF_FREE;
	if (tlsf_word(end) != (audit->heap->tag | (end_free ? TLSF_PREVIOUS_FREE : 0)))
		return audit_fail(audit, "%p: the end of a span is overwritten", (const void *)end);
	audit->span_bytes += span->bytes;
	audit->free_span_bytes += whole ? span->bytes : 0;
	return 0;
}

static int check_list(struct audit *audit, unsigned list)
{
	const struct tlsf_heap *heap = audit->heap;
	const unsigned row = list >> heap->sli, column = list & ((1u << heap->sli) - 1);
	struct tlsf_block *const *link = &heap->lists[list];

	if (!(heap->second_level[row] >> column & 1) != (heap->lists[list] == &heap->none))
		return audit_fail(audit, "list %u: its bit is wrong", list);
	for (const struct tlsf_block *block = heap->lists[list]; block != &heap->none;
	     link = &block->next, block = block->next) {
		const size_t word = tlsf_word(block);

		if (!(word & TLSF_FREE) || tlsf_list_of(heap->sli, word & TLSF_SIZE_MASK) != list)
			return audit_fail(audit, "%p: does not belong in list %u",
					  (const void *)block, list);
		if (block->link != link)
			return audit_fail(audit, "%p: its list's links disagree",
					  (const void *)block);
		audit->listed++;
	}
	return 0;
}

static int check_spans(struct audit *audit)
{
	const size_t waiting = mark_waiting(audit->heap, TLSF_WAITING);
	int error = 0;

	for (const struct tlsf_span *span = audit->heap->spans; span && !error; span = span->next)
		error = check_span(audit, span);
	mark_waiting(audit->heap, 0);
	if (!error && audit->waiting != waiting)
		error = audit_fail(audit, "%zu blocks freed elsewhere, %zu met in the spans",
				   waiting, audit->waiting);
	return error;
}

static int check_heap(struct audit *audit)
{
	const struct tlsf_heap *heap = audit->heap;
	int error = check_spans(audit);

	if (error)
		return error;
	for (unsigned list = 0; list < TLSF_ROWS << heap->sli; list++) {
		error = check_list(audit, list);
		if (error)
			return error;
	}
	for (unsigned row = 0; row < TLSF_ROWS; row++)
		if (!(heap->first_level >> row & 1) != !heap->second_level[row])
			return audit_fail(audit, "row %u: its bit is wrong", row);
	if (audit->listed != audit->free_blocks)
		return audit_fail(audit, "%zu free blocks, %zu in lists", audit->free_blocks,
				  audit->listed);
	if (audit->span_bytes != heap->span_bytes ||
	    audit->free_span_bytes != heap->free_span_bytes)
		return audit_fail(audit, "spans of %zu bytes, %zu free; counted %zu and %zu",
				  audit->span_bytes, audit->free_span_bytes, heap->span_bytes,
				  heap->free_span_bytes);
	if (heap->counts.steps_max > TLSF_STEPS_MAX)
		return audit_fail(audit, "an operation took %u steps, more than the bound of %u",
				  heap->counts.steps_max, TLSF_STEPS_MAX);
	return 0;
}

int tlsf_check(struct pool *pool, char *why, size_t why_bytes)
{
	for (unsigned i = 0; i < pool->heap_count; i++) {
		struct audit audit = { .heap = &pool->heaps[i],
				       .why = why,
				       .why_bytes = why_bytes };
		int error = check_heap(&audit);

		if (error)
			return error;
	}
	return 0;
}

/* ---- counters ---- */

void tlsf_counters(struct pool *pool, pool_counter_visit visit, void *arg)
{
	struct tlsf_counts sum = { 0 };
	uint64_t acquisitions = 0, contentions = 0;

	for (unsigned i = 0; i < pool->heap_count; i++) {
		const struct tlsf_counts *counts = &pool->heaps[i].counts;

		sum.allocations += counts->allocations;
		sum.frees += counts->frees;
		sum.splits += counts->splits;
		sum.merges += counts->merges;
		sum.remote_frees += counts->remote_frees;
		sum.steals += counts->steals;
		sum.spans_taken += counts->spans_taken;
		sum.spans_given += counts->spans_given;
		if (counts->steps_max > sum.steps_max)
			sum.steps_max = counts->steps_max;
		acquisitions += pool->heaps[i].lock.acquisitions;
		contentions += pool->heaps[i].lock.contentions;
	}
	visit(arg, "fast_allocs", "blocks from the lists of the caller's own heap",
	      sum.allocations - sum.spans_taken - sum.steals);
	visit(arg, "fast_frees", "blocks that went into their heap's lists at once",
	      sum.frees - sum.remote_frees);
	visit(arg, "refills", "allocations for which no list had a block: a span was taken",
	      sum.spans_taken);
	visit(arg, "splits", "blocks cut in two", sum.splits);
	visit(arg, "merges", "neighbours merged", sum.merges);
	visit(arg, "steps_max", "most steps of any operation: the bound is 7", sum.steps_max);
	visit(arg, "remote_frees", "blocks that others left for their heap's owner to free",
	      sum.remote_frees);
	visit(arg, "steals", "blocks from the heap of a processor that nobody stands for",
	      sum.steals);
	visit(arg, "spans_returned", "spans given back to the page source", sum.spans_given);
	visit(arg, "lock_acquisitions", "acquisitions of a heap's lock", acquisitions);
	visit(arg, "lock_contentions", "acquisitions that had to wait", contentions);
}
