/*
 * The invariants of a quiescent heap: ranges tile segments and chunks tile subsegments, nothing
 * free has a free neighbour, what is free is in its tree, bitmaps agree with their counts, lists
 * with theirs.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "segment_heap.h"

struct audit {
	struct pool *pool;
	const struct sh_heap *heap;
	char *why;
	size_t why_bytes;
	size_t listed_chunks; /* free chunks that should be in the tree */
	size_t delayed, cached; /* by the blocks' headers */
	size_t internal;
	size_t vs_bytes;
};

static __attribute__((format(printf, 2, 3))) int audit_fail(const struct audit *audit,
							    const char *format, ...)
{
	va_list arguments;

	if (audit->why && audit->why_bytes) {
		va_start(arguments, format);
		vsnprintf(audit->why, audit->why_bytes, format, arguments);
		va_end(arguments);
	}
	return -EUCLEAN;
}

/* ---- VS ---- */

static int check_chunk(struct audit *audit, const struct vs_subsegment *subsegment,
		       const struct vs_chunk *chunk, const struct vs_sizes *sizes)
{
	size_t page = ((uintptr_t)chunk - (uintptr_t)subsegment) / POOL_OS_PAGE;

	if (sizes->page != page)
		return audit_fail(audit, "chunk %p: %u pages from its subsegment, not %zu",
				  (const void *)chunk, sizes->page, page);
	if (sizes->state == VS_FREE) {
		audit->listed_chunks += sizes->units >= VS_LISTED_UNITS;
	} else if (sizes->state == VS_BIG) {
		if (!sh_page_aligned((const char *)chunk + VS_CHUNK_BYTES) ||
		    chunk->units != sizes->units)
			return audit_fail(audit,
					  "chunk %p: a big block that is not aligned, or of "
					  "%u units and not %u",
					  (const void *)chunk, chunk->units, sizes->units);
	} else { /* only here is there a pool header: a big block's owner has written over it */
		const unsigned kind = sh_kind(&chunk->header);

		if (sh_index(&chunk->header) != sizes->units)
			return audit_fail(audit, "chunk %p: its pool header says %u units, not %u",
					  (const void *)chunk, sh_index(&chunk->header),
					  sizes->units);
		audit->delayed += kind == SH_DELAYED;
		audit->cached += kind == SH_CACHED;
		audit->internal += kind == SH_INTERNAL;
		if (kind != SH_DELAYED && kind != SH_CACHED && kind != SH_INTERNAL && kind != SH_VS)
			return audit_fail(audit, "chunk %p: a pool header of kind %#x",
					  (const void *)chunk, kind);
	}
	return 0;
}

static int check_vs(struct audit *audit, const struct vs_subsegment *subsegment, size_t bytes)
{
	const char *at = (const char *)subsegment + sizeof(*subsegment);
	const char *end = (const char *)subsegment + bytes;
	unsigned previous = 0;
	bool was_free = false;

	if (subsegment->signature != (audit->pool->cookie ^ (uintptr_t)subsegment) ||
	    at + (size_t)subsegment->units * SH_UNIT_BYTES != end)
		return audit_fail(audit, "VS subsegment %p: its head is overwritten",
				  (const void *)subsegment);
	while (at < end) {
		const struct vs_chunk *chunk = (const void *)at;
		struct vs_sizes sizes;
		int error;

		if (!vs_decode(audit->pool, chunk, &sizes) ||
		    (size_t)(end - at) < (size_t)sizes.units * SH_UNIT_BYTES)
			return audit_fail(audit, "chunk %p: its header is overwritten",
					  (const void *)at);
		if (sizes.previous != previous)
			return audit_fail(audit, "chunk %p: %u units in front, not %u",
					  (const void *)at, previous, sizes.previous);
		if (was_free && sizes.state == VS_FREE)
			return audit_fail(audit, "chunk %p: two free neighbours", (const void *)at);
		error = check_chunk(audit, subsegment, chunk, &sizes);
		if (error)
			return error;
		was_free = sizes.state == VS_FREE;
		previous = sizes.units;
		at += (size_t)sizes.units * SH_UNIT_BYTES;
	}
	audit->vs_bytes += bytes;
	return 0;
}

/* Of all contexts. */
struct vs_sums {
	size_t listed_chunks, bytes, delayed;
};

static int check_vs_bin(struct audit *audit, const struct vs_context *vs, unsigned units,
			size_t *count)
{
	const struct sh_links *bin = &vs->bins[units];

	if ((bin->next != bin) != (vs->bins_used >> units & 1))
		return audit_fail(audit, "the list of chunks of %u units and its bit disagree",
				  units);
	for (const struct sh_links *at = bin->next; at != bin; at = at->next, ++*count) {
		const struct vs_chunk *chunk = (const void *)((const char *)at - VS_NODE_OFFSET);
		struct vs_sizes sizes;

		if (!vs_decode(audit->pool, chunk, &sizes) || sizes.state != VS_FREE ||
		    sizes.units != units || at->next->previous != at)
			return audit_fail(audit, "chunk %p: in the list of %u units, but not free",
					  (const void *)chunk, units);
	}
	return 0;
}

static int check_vs_tree(struct audit *audit, const struct vs_context *vs, struct vs_sums *sums)
{
	unsigned units = 0;
	size_t count;

	if (!rb_is_valid(&vs->free, &count))
		return audit_fail(audit, "the tree of free chunks is broken");
	for (struct rb_node *at = rb_end(&vs->free, 0); at; at = rb_step(at, 1)) {
		const struct vs_chunk *chunk = (const void *)((const char *)at - VS_NODE_OFFSET);
		struct vs_sizes sizes;

		if (!vs_decode(audit->pool, chunk, &sizes) || sizes.state != VS_FREE ||
		    sizes.units < units || sizes.units < VS_BINS)
			return audit_fail(audit, "chunk %p: in the tree, but not free or in order",
					  (const void *)chunk);
		units = sizes.units;
	}
	for (units = 0; units < VS_BINS; units++) {
		int error = check_vs_bin(audit, vs, units, &count);

		if (error)
			return error;
	}
	sums->listed_chunks += count;
	sums->bytes += vs->subsegment_bytes;
	sums->delayed += vs->delayed_count;
	for (struct sh_header *header = atomic_load_explicit(&vs->remote, memory_order_relaxed);
	     header; header = *sh_link(header))
		sums->delayed++;
	return 0;
}

static int check_vs_contexts(struct audit *audit)
{
	struct vs_sums sums = { 0 };

	for (unsigned i = 0; i < audit->heap->vs_count; i++) {
		int error = check_vs_tree(audit, &audit->heap->vs[i], &sums);

		if (error)
			return error;
	}
	if (sums.listed_chunks != audit->listed_chunks)
		return audit_fail(audit, "%zu free chunks, %zu in the trees", audit->listed_chunks,
				  sums.listed_chunks);
	if (sums.bytes != audit->vs_bytes)
		return audit_fail(audit, "%zu bytes in VS subsegments, counted %zu",
				  audit->vs_bytes, sums.bytes);
	if (sums.delayed != audit->delayed)
		return audit_fail(audit, "%zu chunks marked as delayed, counted %zu",
				  audit->delayed, sums.delayed);
	return 0;
}

/* ---- LFH ---- */

static int check_lfh(struct audit *audit, const struct lfh_subsegment *subsegment, size_t bytes)
{
	unsigned free_count = 0;

	if (subsegment->signature != lfh_signature(audit->pool, subsegment) ||
	    (size_t)subsegment->pages * POOL_OS_PAGE != bytes || subsegment->words > LFH_WORDS_MAX)
		return audit_fail(audit, "LFH subsegment %p: its head is overwritten",
				  (const void *)subsegment);
	for (unsigned word = 0; word < subsegment->words; word++)
		free_count += (unsigned)__builtin_popcountll(subsegment->bits[word]);
	if (free_count != lfh_free_count(subsegment))
		return audit_fail(audit, "LFH subsegment %p: %u bits, %u free of %u",
				  (const void *)subsegment, free_count, lfh_free_count(subsegment),
				  subsegment->block_count);
	if (subsegment->state == LFH_PARTIAL &&
	    (!free_count || free_count == subsegment->block_count))
		return audit_fail(audit,
				  "LFH subsegment %p: partly used, with %u blocks free of %u",
				  (const void *)subsegment, free_count, subsegment->block_count);
	if ((subsegment->state == LFH_ACTIVE) != (subsegment->slot->active == subsegment))
		return audit_fail(audit, "LFH subsegment %p: its slot has another active one",
				  (const void *)subsegment);
	return 0;
}

/* ---- segments ---- */

static int check_range(struct audit *audit, const struct seg_context *context,
		       const struct seg_segment *segment, unsigned unit)
{
	const struct seg_descriptor *first = &segment->descriptors[unit];
	size_t bytes = (size_t)first->units << context->unit_shift;
	const void *start = seg_unit_address(context, segment, unit);

	if (!first->units || unit + first->units > SEG_UNITS || first->back)
		return audit_fail(audit, "segment %p: unit %u is the first of no range",
				  (const void *)segment, unit);
	if (first[first->units - 1].back != first->units - 1 ||
	    first[first->units - 1].kind != first->kind)
		return audit_fail(audit, "segment %p: the range at unit %u has another end",
				  (const void *)segment, unit);
	if (first->kind != SEG_FREE)
		for (unsigned i = 0; i < first->units; i++)
			if (!first[i].committed)
				return audit_fail(audit, "segment %p: unit %u is not committed",
						  (const void *)segment, unit + i);
	if (first->kind == SEG_VS)
		return check_vs(audit, start, bytes);
	if (first->kind == SEG_LFH)
		return check_lfh(audit, lfh_head_of((uintptr_t)start), bytes);
	return 0;
}

struct segment_sums {
	size_t used, committed, free_ranges;
};

static int check_segment(struct audit *audit, const struct seg_context *context,
			 const struct seg_segment *segment, struct segment_sums *sums)
{
	unsigned unit = context->first_unit, used = 0;
	bool was_free = false;

	while (unit < SEG_UNITS) {
		const struct seg_descriptor *first = &segment->descriptors[unit];
		int error = check_range(audit, context, segment, unit);

		if (error)
			return error;
		if (was_free && first->kind == SEG_FREE)
			return audit_fail(audit, "segment %p: two free neighbours at unit %u",
					  (const void *)segment, unit);
		was_free = first->kind == SEG_FREE;
		sums->free_ranges += was_free;
		if (!was_free)
			used += first->units;
		for (unsigned i = 0; i < first->units; i++)
			sums->committed += first[i].committed;
		unit += first->units;
	}
	if (used != segment->used_units || segment->is_spare != !used)
		return audit_fail(audit, "segment %p: %u units used, counted %u (spare: %d)",
				  (const void *)segment, used, segment->used_units,
				  segment->is_spare);
	sums->used += used;
	return 0;
}

static int check_context(struct audit *audit, const struct seg_context *context)
{
	struct segment_sums sums = { 0 };
	size_t count;

	for (const struct sh_links *at = context->segments.next; at != &context->segments;
	     at = at->next) {
		int error = check_segment(audit, context,
					  SH_CONTAINER(at, struct seg_segment, links), &sums);

		if (error)
			return error;
	}
	if (!rb_is_valid(&context->free, &count) || count != sums.free_ranges)
		return audit_fail(audit, "%zu free ranges, %zu in the tree, or it is broken",
				  sums.free_ranges, count);
	if (sums.used != context->used_units || sums.committed != context->committed_units)
		return audit_fail(audit, "%zu units used and %zu committed, counted %zu and %zu",
				  sums.used, sums.committed, context->used_units,
				  context->committed_units);
	return 0;
}

/* ---- lists ---- */

static int check_lookasides(struct audit *audit, const struct sh_lookasides *lookasides,
			    size_t *cached)
{
	for (unsigned i = 0; i < SH_LOOKASIDES; i++) {
		const struct sh_lookaside *list = &lookasides->lists[i];
		size_t bytes = sh_bucket_bytes(i + SH_LOOKASIDE_FIRST), count = 0;

		for (struct sh_header *header = list->front->next; header;
		     header = *sh_link(header), count++) {
			if (count >= lookaside_count(list))
				break;
			if (sh_kind(header) != SH_CACHED || sh_type(header) != audit->heap->type ||
			    (size_t)sh_index(header) * SH_UNIT_BYTES != bytes + VS_SMALL_BYTES)
				return audit_fail(audit,
						  "%p: kept for %zu bytes, but kind %#x, %u "
						  "units",
						  (const void *)(header + 1), bytes,
						  sh_kind(header), sh_index(header));
		}
		if (count != lookaside_count(list) || count > list->depth)
			return audit_fail(audit, "the list for %zu bytes has not its %u blocks",
					  bytes, lookaside_count(list));
		*cached += count;
	}
	return 0;
}

static int check_heap(struct audit *audit, struct sh_heap *heap)
{
	size_t cached = 0, large;
	int error = 0;

	audit->heap = heap;
	for (unsigned i = 0; i < 2 && !error; i++)
		error = check_context(audit, &heap->segments[i]);
	if (!error)
		error = check_vs_contexts(audit);
	if (!error)
		error = check_lookasides(audit, &heap->shared_lookasides, &cached);
	for (unsigned i = 0; i < audit->pool->processor_count && !error; i++)
		error = check_lookasides(audit, &audit->pool->processors[i].lookasides[heap->type],
					 &cached);
	if (error)
		return error;
	if (cached != audit->cached)
		return audit_fail(audit, "%zu blocks marked as kept, %zu kept", audit->cached,
				  cached);
	if (!rb_is_valid(&heap->large.blocks, &large) || large != heap->large.count)
		return audit_fail(audit, "the tree of large blocks is broken");
	return 0;
}

int sh_check(struct pool *pool, char *why, size_t why_bytes)
{
	size_t internal = 0, large = 0;
	struct audit audit = { .pool = pool, .why = why, .why_bytes = why_bytes };

	for (unsigned type = 0; type < POOL_TYPES; type++) {
		int error;

		audit = (struct audit){ .pool = pool, .why = why, .why_bytes = why_bytes };
		error = check_heap(&audit, &pool->heaps[type]);
		if (error)
			return error;
		internal += audit.internal;
		large += pool->heaps[type].large.count;
	}
	if (internal != large)
		return audit_fail(&audit, "%zu nodes for %zu large blocks", internal, large);
	return 0;
}
