/* What a quiescent heap looks like from outside: the ranges of walk, and the counters. */
#include "segment_heap.h"

struct walk {
	struct pool *pool;
	const struct sh_heap *heap;
	pool_visit visit;
	void *arg;
};

static int visit_plain(const struct walk *walk, const void *start, size_t bytes,
		       enum pool_range_kind kind)
{
	struct pool_range range = {
		.start = start,
		.bytes = bytes,
		.kind = kind,
		.type = walk->heap ? walk->heap->type : POOL_NONPAGED,
	};

	return bytes ? walk->visit(walk->arg, &range) : 0;
}

static int visit_used(const struct walk *walk, const void *start, size_t bytes, unsigned header,
		      uint32_t tag)
{
	struct pool_range range = {
		.start = start,
		.bytes = bytes,
		.kind = POOL_RANGE_USED,
		.type = walk->heap->type,
		.tag = tag,
		.header_bytes = header,
		.block = (const char *)start + header,
	};

	return walk->visit(walk->arg, &range);
}

/* ---- LFH ---- */

static int walk_lfh_block(const struct walk *walk, const struct lfh_subsegment *subsegment,
			  unsigned index)
{
	const struct sh_header *header = lfh_header_at(subsegment, index);
	uint64_t bits = subsegment->bits[index / 64];
	size_t stride = subsegment->stride;

	/* Free, or claimed by the slot. */
	if (bits >> index % 64 & 1 || sh_kind(header) == SH_RETURNED)
		return visit_plain(walk, header, stride, POOL_RANGE_FREE);
	if (sh_kind(header) == SH_REMOTE)
		return visit_plain(walk, header, stride, POOL_RANGE_CACHED);
	return visit_used(walk, header, stride, SH_HEADER_BYTES, sh_tag(header));
}

/* Never used: under the subsegment's head (its first byte to the last), or a page's short end. */
static bool is_under_head(const struct lfh_subsegment *subsegment, const char *block)
{
	const char *head = (const char *)subsegment;
	const char *end = head + LFH_HEAD_BYTES(subsegment->words);

	return block < end && block + subsegment->stride > head;
}

static int walk_lfh(const struct walk *walk, const struct lfh_subsegment *subsegment)
{
	unsigned stride = subsegment->stride, per_page = POOL_OS_PAGE / stride;
	int error = 0;

	for (unsigned index = 0; index < subsegment->pages * per_page && !error; index++) {
		const char *block = (const char *)lfh_header_at(subsegment, index);

		if (is_under_head(subsegment, block))
			error = visit_plain(walk, block, stride, POOL_RANGE_METADATA);
		else
			error = walk_lfh_block(walk, subsegment, index);
		if (!error && (index + 1) % per_page == 0)
			error = visit_plain(walk, block + stride, POOL_OS_PAGE - per_page * stride,
					    POOL_RANGE_METADATA);
	}
	return error;
}

/* ---- VS ---- */

static int walk_chunk(const struct walk *walk, const struct vs_chunk *chunk,
		      const struct vs_sizes *sizes)
{
	size_t bytes = (size_t)sizes->units * SH_UNIT_BYTES;
	unsigned kind;

	if (sizes->state == VS_FREE)
		return visit_plain(walk, chunk, bytes, POOL_RANGE_FREE);
	if (sizes->state == VS_BIG)
		return visit_used(walk, chunk, bytes, VS_CHUNK_BYTES, chunk->tag);
	kind = sh_kind(&chunk->header);
	if (kind == SH_VS)
		return visit_used(walk, chunk, bytes, VS_SMALL_BYTES, sh_tag(&chunk->header));
	return visit_plain(walk, chunk, bytes,
			   kind == SH_INTERNAL ? POOL_RANGE_METADATA : POOL_RANGE_CACHED);
}

static int walk_vs(const struct walk *walk, const struct vs_subsegment *subsegment, size_t bytes)
{
	const char *at = (const char *)subsegment + sizeof(*subsegment);
	const char *end = at + (size_t)subsegment->units * SH_UNIT_BYTES;
	int error = visit_plain(walk, subsegment, sizeof(*subsegment), POOL_RANGE_METADATA);

	while (at < end && !error) {
		const struct vs_chunk *chunk = (const void *)at;
		struct vs_sizes sizes;

		/* A heap that fails check is walked as far as it makes sense. */
		if (!vs_decode(walk->pool, chunk, &sizes))
			return visit_plain(walk, at, (size_t)(end - at), POOL_RANGE_METADATA);
		error = walk_chunk(walk, chunk, &sizes);
		at += (size_t)sizes.units * SH_UNIT_BYTES;
	}
	return error ? error
		     : visit_plain(walk, end, (size_t)((const char *)subsegment + bytes - end),
				   POOL_RANGE_METADATA);
}

/* ---- segments ---- */

/* The committed parts of a free range: wholly free pool pages, and what shares one. */
static int walk_free(const struct walk *walk, const struct seg_context *context,
		     const struct seg_segment *segment, unsigned first, unsigned units)
{
	unsigned step = context->granule_units, end = first + units;
	int error = 0;

	for (unsigned unit = first, next; unit < end && !error; unit = next) {
		bool is_whole = unit % step == 0 && unit + step <= end;

		next = is_whole ? unit + step : (unit / step + 1) * step;
		if (next > end)
			next = end;
		if (segment->descriptors[unit].committed)
			error = visit_plain(walk, seg_unit_address(context, segment, unit),
					    (size_t)(next - unit) << context->unit_shift,
					    is_whole ? POOL_RANGE_FREE_PAGES : POOL_RANGE_FREE);
	}
	return error;
}

static int walk_range(const struct walk *walk, const struct seg_context *context,
		      const struct seg_segment *segment, unsigned unit)
{
	const struct seg_descriptor *first = &segment->descriptors[unit];
	char *start = seg_unit_address(context, segment, unit);
	size_t bytes = (size_t)first->units << context->unit_shift;

	switch (first->kind) {
	case SEG_PAGES:
		return visit_used(walk, start, bytes, 0, first->block.tag);
	case SEG_VS:
		return walk_vs(walk, (const void *)start, bytes);
	case SEG_LFH:
		return walk_lfh(walk, lfh_head_of((uintptr_t)start));
	default:
		return walk_free(walk, context, segment, unit, first->units);
	}
}

static int walk_segment(const struct walk *walk, const struct seg_context *context,
			const struct seg_segment *segment)
{
	size_t head = (size_t)context->first_unit << context->unit_shift;
	int error = visit_plain(walk, segment,
				head < context->header_bytes ? head : context->header_bytes,
				POOL_RANGE_METADATA);
	unsigned unit = context->first_unit;

	while (unit < SEG_UNITS && !error) {
		error = walk_range(walk, context, segment, unit);
		unit += segment->descriptors[unit].units;
	}
	return error;
}

static int walk_heap(struct walk *walk, struct sh_heap *heap)
{
	int error = 0;

	walk->heap = heap;
	for (unsigned i = 0; i < 2; i++) {
		const struct seg_context *context = &heap->segments[i];

		for (const struct sh_links *at = context->segments.next;
		     at != &context->segments && !error; at = at->next)
			error = walk_segment(walk, context,
					     SH_CONTAINER(at, struct seg_segment, links));
	}
	for (struct rb_node *at = rb_end(&heap->large.blocks, 0); at && !error;
	     at = rb_step(at, 1)) {
		const struct large_block *block = SH_CONTAINER(at, struct large_block, node);

		error = visit_used(walk, block->start, block->bytes, 0, block->tag);
	}
	return error;
}

int sh_walk(struct pool *pool, pool_visit visit, void *arg)
{
	struct walk walk = { .pool = pool, .visit = visit, .arg = arg };
	int error = visit_plain(&walk, pool, pool->control_committed, POOL_RANGE_METADATA);

	for (unsigned type = 0; type < POOL_TYPES && !error; type++)
		error = walk_heap(&walk, &pool->heaps[type]);
	return error;
}

/* ---- counters ---- */

struct totals {
	uint64_t lfh, lfh_subsegments, remote, lookaside_hits, lookaside_misses, lookaside_refused;
	uint64_t rebalances, depth_changes, drained, activations;
	uint64_t vs_allocations, vs_frees, vs_splits, vs_merges, vs_flushes, vs_subsegments;
	uint64_t vs_returned, range_splits, range_merges, commits, decommits;
	uint64_t segments, segments_given, large, acquisitions, contentions;
};

static void add_lock(struct totals *totals, const struct spinlock *lock)
{
	totals->acquisitions += lock->acquisitions;
	totals->contentions += lock->contentions;
}

static void add_lookasides(struct totals *totals, const struct sh_lookasides *lookasides)
{
	for (unsigned i = 0; i < SH_LOOKASIDES; i++) {
		const struct sh_lookaside *list = &lookasides->lists[i];

		totals->lookaside_hits += lookaside_allocates(list) - list->misses;
		totals->lookaside_misses += list->misses;
		totals->lookaside_refused += list->frees_refused;
		if (lookasides->list_locks)
			add_lock(totals, &lookasides->list_locks[i]);
	}
	totals->rebalances += lookasides->rebalances;
	totals->depth_changes += lookasides->depth_changes;
	totals->drained += lookasides->drained;
	add_lock(totals, &lookasides->lock);
}

static void add_slots(struct totals *totals, const struct pool *pool, const struct lfh_slot *slots)
{
	for (unsigned bucket = 1; bucket < pool->lfh_buckets; bucket++) {
		totals->lfh += lfh_allocations(&slots[bucket]);
		totals->lfh_subsegments += slots[bucket].subsegments_taken;
		add_lock(totals, &slots[bucket].lock);
	}
}

static void add_context(struct totals *totals, const struct seg_context *context)
{
	totals->range_splits += context->splits;
	totals->range_merges += context->merges;
	totals->commits += context->commits;
	totals->decommits += context->decommits;
	totals->segments += context->segments_taken;
	totals->segments_given += context->segments_given;
	add_lock(totals, &context->lock);
}

static void add_vs(struct totals *totals, const struct vs_context *vs)
{
	totals->vs_allocations += vs->allocations;
	totals->vs_frees += vs->frees;
	totals->vs_splits += vs->splits;
	totals->vs_merges += vs->merges;
	totals->vs_flushes += vs->flushes;
	totals->vs_subsegments += vs->subsegments_taken;
	totals->vs_returned += vs->subsegments_given;
	add_lock(totals, &vs->lock);
}

static void add_heap(struct totals *totals, const struct pool *pool, const struct sh_heap *heap)
{
	totals->activations += atomic_load_explicit(&heap->activations, memory_order_relaxed);
	for (unsigned n = 0; n < heap->vs_count; n++)
		add_vs(totals, &heap->vs[n]);
	totals->large += heap->large.allocations;
	add_lock(totals, &heap->large.lock);
	add_context(totals, &heap->segments[0]);
	add_context(totals, &heap->segments[1]);
	add_lookasides(totals, &heap->shared_lookasides);
	if (heap->shared_slots)
		add_slots(totals, pool, heap->shared_slots);
}

static struct totals totals_of(const struct pool *pool)
{
	struct totals totals = { 0 };

	for (unsigned type = 0; type < POOL_TYPES; type++)
		add_heap(&totals, pool, &pool->heaps[type]);
	for (unsigned i = 0; i < pool->processor_count; i++) {
		const struct sh_processor *processor = &pool->processors[i];

		totals.remote += processor->remote_frees;
		for (unsigned type = 0; type < POOL_TYPES; type++) {
			add_lookasides(&totals, &processor->lookasides[type]);
			add_slots(&totals, pool, processor->slots[type]);
		}
	}
	add_lock(&totals, &pool->control_lock);
	return totals;
}

void sh_counters(struct pool *pool, pool_counter_visit visit, void *arg)
{
	struct totals t = totals_of(pool);
	const struct {
		const char *name, *help;
		uint64_t value;
	} counters[] = {
		{ "fast_allocs", "allocations served by the LFH or a lookaside list",
		  t.lfh + t.lookaside_hits },
		{ "refills", "LFH subsegments taken, and allocations that found their list empty",
		  t.lfh_subsegments + t.lookaside_misses },
		{ "splits", "chunks and page ranges cut in two", t.vs_splits + t.range_splits },
		{ "merges", "neighbours merged", t.vs_merges + t.range_merges },
		{ "lfh_allocs", "blocks from the low-fragmentation heap", t.lfh },
		{ "lfh_remote_frees", "its blocks freed by another than the slot's owner",
		  t.remote },
		{ "lfh_subsegments", "subsegments taken for it", t.lfh_subsegments },
		{ "lfh_activations", "buckets that became active", t.activations },
		{ "lookaside_hits", "allocations served by a lookaside list", t.lookaside_hits },
		{ "lookaside_misses", "allocations that found their list empty",
		  t.lookaside_misses },
		{ "lookaside_overflows", "frees that found their list full", t.lookaside_refused },
		{ "rebalances", "times the lists' depths were set anew", t.rebalances },
		{ "depth_changes", "depths that a re-balancing changed", t.depth_changes },
		{ "lookaside_drained", "blocks freed from lists that became shorter", t.drained },
		{ "vs_allocs", "chunks allocated", t.vs_allocations },
		{ "vs_frees", "chunks freed", t.vs_frees },
		{ "vs_splits", "chunks cut in two", t.vs_splits },
		{ "vs_merges", "neighbouring chunks merged", t.vs_merges },
		{ "vs_batches", "batches of delayed frees", t.vs_flushes },
		{ "vs_subsegments", "variable-size subsegments taken", t.vs_subsegments },
		{ "vs_subsegments_returned", "... and given back", t.vs_returned },
		{ "range_splits", "page ranges cut in two", t.range_splits },
		{ "range_merges", "neighbouring page ranges merged", t.range_merges },
		{ "commits", "commits of page ranges, segments' heads aside", t.commits },
		{ "decommits", "decommits of page ranges", t.decommits },
		{ "segments", "segments taken", t.segments },
		{ "segments_returned", "segments given back", t.segments_given },
		{ "large_allocs", "blocks beyond a segment's reach", t.large },
		{ "lock_acquisitions", "acquisitions of any lock", t.acquisitions },
		{ "lock_contentions", "acquisitions that had to wait", t.contentions },
	};

	for (size_t i = 0; i < sizeof(counters) / sizeof(*counters); i++)
		visit(arg, counters[i].name, counters[i].help, counters[i].value);
}
