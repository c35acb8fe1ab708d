/*
 * The back end: page ranges in segments.
 *
 *     segment, aligned to its size
 *     |descriptors| range ............| free ...........| range |     units 0 .. 255
 *      [0] segment head   [n] first: kind, units         every other unit: back = distance to first
 *
 * A heap has two contexts: 1 MiB segments of 4 KiB units and 16 MiB segments of 64 KiB units. 256
 * descriptors of 32 bytes are the first 8 KiB of a segment: two units of a small one, one of a
 * large one. Free ranges of all segments of a context are in one red-black tree, by units, then by
 * address: the smallest that fits, the lowest of those, cut from its front.
 *
 * Memory. A segment is an address range; units are committed when they are first allocated. Freed
 * ranges stay committed until more than `retain` bytes of a context are free; then the longest go
 * back until half of it is left. An empty segment goes back as a whole, but for one. Where the
 * pool page is larger than a unit, whole pool pages (granules) are committed and decommitted; a
 * segment is at least a pool page, and its unit a 256th of it.
 *
 * Concurrency. One lock a context, held across the page source's commit and decommit: the commit
 * state belongs to what it guards, and who waits for it waits for memory. A new segment is reserved
 * without the lock.
 *
 * Bound. Best fit is one descent, O(log ranges); all else is O(units), 256.
 */
#include "segment_heap.h"

/* ---- the tree of free ranges ---- */

static struct seg_descriptor *descriptor_of(struct rb_node *node)
{
	return SH_CONTAINER(node, struct seg_descriptor, node);
}

static void free_insert(struct seg_context *context, struct seg_descriptor *first)
{
	struct rb_node *parent = NULL, *at = context->free.root;
	int side = 0;

	while (at) {
		const struct seg_descriptor *other = descriptor_of(at);

		parent = at;
		side = first->units != other->units ? first->units > other->units : first > other;
		at = at->child[side];
	}
	rb_insert(&context->free, &first->node, parent, side);
}

/* The smallest range of at least `units`. */
static struct seg_descriptor *free_find(const struct seg_context *context, unsigned units)
{
	struct seg_descriptor *best = NULL;

	for (struct rb_node *at = context->free.root; at;) {
		struct seg_descriptor *first = descriptor_of(at);

		if (first->units >= units) {
			best = first;
			at = at->child[0];
		} else {
			at = at->child[1];
		}
	}
	return best;
}

static struct seg_segment *segment_of(const struct seg_context *context, const void *address)
{
	return (struct seg_segment *)((uintptr_t)address & ~(context->segment_bytes - 1));
}

static unsigned unit_of(const struct seg_segment *segment, const struct seg_descriptor *descriptor)
{
	return (unsigned)(descriptor - segment->descriptors);
}

/* Marks the ends of a free range that is in no tree yet, and puts it there. */
static void range_make_free(struct seg_context *context, struct seg_segment *segment,
			    unsigned first, unsigned units)
{
	struct seg_descriptor *start = &segment->descriptors[first], *end = start + units - 1;

	end->kind = SEG_FREE;
	end->back = (uint8_t)(units - 1);
	start->kind = SEG_FREE;
	start->back = 0;
	start->units = (uint8_t)units;
	free_insert(context, start);
}

/* ---- memory ---- */

/* Commits or decommits granules [from, to) of a segment and marks their units. 0 or -ENOMEM. */
static int granules_set(struct seg_context *context, struct seg_segment *segment, unsigned from,
			unsigned to, bool committed)
{
	struct page_source *source = context->heap->source;
	unsigned first = from * context->granule_units,
		 units = (to - from) * context->granule_units;
	char *start = seg_unit_address(context, segment, first);
	size_t bytes = (size_t)units << context->unit_shift;

	if (committed) {
		int error = page_source_commit(source, start, bytes);

		if (error)
			return error;
		context->commits++;
		context->committed_units += units;
	} else {
		page_source_decommit(source, start, bytes);
		context->decommits++;
		context->bytes_given += bytes;
		context->committed_units -= units;
	}
	for (unsigned unit = first; unit < first + units; unit++)
		segment->descriptors[unit].committed = committed;
	return 0;
}

/* Changes those of granules [from, to) that are not yet as wanted, in as few calls as possible. */
static int granules_change(struct seg_context *context, struct seg_segment *segment, unsigned from,
			   unsigned to, bool committed)
{
	const struct seg_descriptor *descriptors = segment->descriptors;
	unsigned step = context->granule_units;

	while (from < to) {
		unsigned end;
		int error;

		if (descriptors[from * step].committed == committed) {
			from++;
			continue;
		}
		for (end = from + 1; end < to && descriptors[end * step].committed != committed;)
			end++;
		error = granules_set(context, segment, from, end, committed);
		if (error)
			return error;
		from = end;
	}
	return 0;
}

static int range_commit(struct seg_context *context, struct seg_segment *segment, unsigned first,
			unsigned units)
{
	unsigned step = context->granule_units;

	return granules_change(context, segment, first / step, (first + units - 1) / step + 1,
			       true);
}

/* Only granules that lie in the free range as a whole can go. */
static void range_decommit(struct seg_context *context, struct seg_segment *segment, unsigned first,
			   unsigned units)
{
	unsigned step = context->granule_units;
	unsigned from = (first + step - 1) / step, to = (first + units) / step;

	if (from < to)
		granules_change(context, segment, from, to, false);
}

/* ---- segments ---- */

/* In the map, so that free finds it. */
static void segment_announce(struct seg_context *context, const struct seg_segment *segment,
			     bool present)
{
	struct sh_heap *heap = context->heap;
	size_t mib = (size_t)((const char *)segment - heap->source->base) >> SH_MIB_SHIFT;
	uint8_t value = present ? (uint8_t)(1 + (context - heap->segments)) : 0;

	for (size_t i = 0; i < context->segment_bytes >> SH_MIB_SHIFT; i++)
		atomic_store_explicit(&heap->pool->map[(mib + i) * POOL_TYPES + heap->type], value,
				      memory_order_relaxed);
}

/* The units that can be allocated and whose memory came with the header's. */
static unsigned header_extra_units(const struct seg_context *context)
{
	unsigned units = (unsigned)(context->header_bytes >> context->unit_shift);

	return units > context->first_unit ? units - context->first_unit : 0;
}

/* A new segment as one free range. Without the lock; false if there is no memory. */
static bool segment_create(struct seg_context *context)
{
	struct sh_heap *heap = context->heap;
	struct seg_segment *segment = page_source_reserve(heap->source, context->segment_bytes,
							  context->segment_bytes);
	unsigned extra = header_extra_units(context), first = context->first_unit;

	if (!segment)
		return false;
	if (sh_map_reach(heap->pool, heap->source, (char *)segment + context->segment_bytes) ||
	    page_source_commit(heap->source, segment, context->header_bytes) != 0) {
		page_source_release(heap->source, segment, context->segment_bytes);
		return false;
	}
	for (unsigned unit = 0; unit < SEG_UNITS; unit++)
		segment->descriptors[unit].committed = unit < first + extra;
	segment->used_units = 0;
	segment->is_spare = true;
	spinlock_acquire(&context->lock);
	sh_links_append(&context->segments, &segment->links);
	segment_announce(context, segment, true);
	context->spare_segments++;
	context->segments_taken++;
	context->committed_units += extra;
	range_make_free(context, segment, first, SEG_UNITS - first);
	spinlock_release(&context->lock);
	return true;
}

/* An empty segment, whose only range is in no tree. Under the lock. */
static void segment_release(struct seg_context *context, struct seg_segment *segment)
{
	struct page_source *source = context->heap->source;
	unsigned step = context->granule_units;
	unsigned kept = (unsigned)(context->header_bytes >> context->unit_shift) / step;

	if (kept * step < context->first_unit)
		kept = context->first_unit / step;
	granules_change(context, segment, kept, SEG_UNITS / step, false);
	context->committed_units -= header_extra_units(context);
	sh_links_remove(&segment->links);
	segment_announce(context, segment, false);
	context->segments_given++;
	context->bytes_given += context->header_bytes;
	page_source_decommit(source, segment, context->header_bytes);
	page_source_release(source, segment, context->segment_bytes);
}

void seg_init(struct sh_heap *heap, unsigned index, size_t segment_bytes)
{
	struct seg_context *context = &heap->segments[index];
	size_t page = heap->source->page_size, unit, table = sizeof(struct seg_segment);

	context->heap = heap;
	context->segment_bytes = segment_bytes < page ? page : segment_bytes;
	unit = context->segment_bytes / SEG_UNITS;
	context->unit_shift = (unsigned)__builtin_ctzll(unit);
	context->first_unit = (unsigned)((table + unit - 1) / unit);
	context->granule_units = page > unit ? (unsigned)(page / unit) : 1;
	context->header_bytes = page_source_round_up(heap->source, table);
	context->retain_units = heap->pool->options.retain >> context->unit_shift;
	context->give_above = context->retain_units;
	sh_links_init(&context->segments);
}

/* ---- allocation ---- */

size_t seg_reach(const struct seg_context *context)
{
	return (size_t)SEG_UNITS_MOST << context->unit_shift;
}

static struct seg_context *context_for(struct sh_heap *heap, size_t bytes)
{
	return &heap->segments[bytes > seg_reach(&heap->segments[0])];
}

size_t seg_round_up(const struct sh_heap *heap, size_t bytes)
{
	const struct seg_context *context = context_for((struct sh_heap *)(uintptr_t)heap, bytes);
	size_t unit = (size_t)1 << context->unit_shift;

	return (bytes + unit - 1) & ~(unit - 1);
}

/* Takes the front of a free range out of the tree; the rest goes back. */
static void range_cut(struct seg_context *context, struct seg_segment *segment,
		      struct seg_descriptor *first, unsigned units)
{
	unsigned rest = first->units - units;

	rb_remove(&context->free, &first->node);
	first->units = (uint8_t)units;
	if (rest) {
		range_make_free(context, segment, unit_of(segment, first) + units, rest);
		context->splits++;
	}
	if (segment->is_spare) {
		segment->is_spare = false;
		context->spare_segments--;
	}
	segment->used_units += units;
	context->used_units += units;
}

/* The reverse, merging with free neighbours; the whole range's first descriptor. */
static struct seg_descriptor *range_return(struct seg_context *context, struct seg_segment *segment,
					   struct seg_descriptor *first)
{
	unsigned start = unit_of(segment, first), units = first->units, end = start + units;

	segment->used_units -= units;
	context->used_units -= units;
	for (unsigned unit = start; unit < end; unit++)
		segment->descriptors[unit].kind = SEG_FREE;
	if (end < SEG_UNITS && segment->descriptors[end].kind == SEG_FREE) {
		rb_remove(&context->free, &segment->descriptors[end].node);
		units += segment->descriptors[end].units;
		context->merges++;
	}
	if (start > context->first_unit && segment->descriptors[start - 1].kind == SEG_FREE) {
		start -= 1u + segment->descriptors[start - 1].back;
		rb_remove(&context->free, &segment->descriptors[start].node);
		units += segment->descriptors[start].units;
		context->merges++;
	}
	range_make_free(context, segment, start, units);
	return &segment->descriptors[start];
}

static void range_mark(struct seg_descriptor *first, size_t bytes, enum seg_kind kind, uint32_t tag)
{
	for (unsigned i = 0; i < first->units; i++) {
		first[i].kind = (uint8_t)kind;
		first[i].back = (uint8_t)i;
	}
	first->block.bytes = bytes;
	first->block.tag = tag;
}

/* Longest ranges first: fewest calls. Under the lock. */
static void decommit_down_to(struct seg_context *context, size_t target)
{
	for (struct rb_node *at = rb_end(&context->free, 1);
	     at && context->committed_units - context->used_units > target; at = rb_step(at, 0)) {
		struct seg_descriptor *first = descriptor_of(at);
		struct seg_segment *segment = segment_of(context, first);

		range_decommit(context, segment, unit_of(segment, first), first->units);
	}
}

size_t seg_give(struct seg_context *context, size_t target)
{
	struct sh_links *at, *next;
	uint64_t before;

	spinlock_acquire(&context->lock);
	before = context->bytes_given;
	for (at = context->segments.next; at != &context->segments; at = next) {
		struct seg_segment *segment = SH_CONTAINER(at, struct seg_segment, links);

		next = at->next;
		if (segment->used_units ||
		    (target && context->committed_units - context->used_units <= target))
			continue;
		rb_remove(&context->free, &segment->descriptors[context->first_unit].node);
		context->spare_segments--;
		segment_release(context, segment);
	}
	decommit_down_to(context, target);
	context->give_above = context->retain_units;
	before = context->bytes_given - before;
	spinlock_release(&context->lock);
	return (size_t)before;
}

size_t seg_give_all(struct sh_heap *heap)
{
	return seg_give(&heap->segments[0], 0) + seg_give(&heap->segments[1], 0);
}

/* NULL: no memory, or no addresses. */
static void *range_alloc(struct seg_context *context, size_t bytes, enum seg_kind kind,
			 uint32_t tag)
{
	size_t unit_bytes = (size_t)1 << context->unit_shift;
	unsigned units = (unsigned)((bytes + unit_bytes - 1) >> context->unit_shift), unit;
	struct seg_descriptor *first;
	struct seg_segment *segment;

	spinlock_acquire(&context->lock);
	while (!(first = free_find(context, units))) {
		spinlock_release(&context->lock);
		if (!segment_create(context))
			return NULL;
		spinlock_acquire(&context->lock);
	}
	segment = segment_of(context, first);
	unit = unit_of(segment, first);
	range_cut(context, segment, first, units);
	if (range_commit(context, segment, unit, units) != 0) {
		range_return(context, segment, first);
		if (!segment->used_units) {
			segment->is_spare = true;
			context->spare_segments++;
		}
		spinlock_release(&context->lock);
		return NULL;
	}
	range_mark(first, bytes, kind, tag);
	spinlock_release(&context->lock);
	return seg_unit_address(context, segment, unit);
}

void *seg_alloc(struct sh_heap *heap, size_t bytes, enum seg_kind kind, uint32_t tag)
{
	struct seg_context *context = context_for(heap, bytes);
	void *range = range_alloc(context, bytes, kind, tag);

	/* What is kept for later is what another context, or size, lacks now. */
	if (!range && seg_give_all(heap))
		range = range_alloc(context, bytes, kind, tag);
	return range;
}

/*
 * After a free. A pass may find nothing (granules larger than units, all partly in use); the next
 * one waits until half of what is retained has been freed again.
 */
static void give_surplus(struct seg_context *context)
{
	size_t idle = context->committed_units - context->used_units;

	if (idle > context->give_above) {
		decommit_down_to(context, context->retain_units / 2);
		idle = context->committed_units - context->used_units;
		context->give_above = idle + context->retain_units / 2;
	}
	if (context->give_above > context->retain_units && idle <= context->retain_units)
		context->give_above = context->retain_units;
}

void seg_free(struct sh_heap *heap, void *range)
{
	const struct seg_context *found = heap->segments;
	struct seg_segment *segment = seg_find(heap, range, &found);
	struct seg_context *context = &heap->segments[found - heap->segments];
	struct seg_descriptor *first;

	spinlock_acquire(&context->lock);
	first = &segment->descriptors[((size_t)((char *)range - (char *)segment)) >>
				      context->unit_shift];
	first = range_return(context, segment, first);
	if (!segment->used_units) {
		if (context->spare_segments || !context->retain_units) {
			rb_remove(&context->free, &first->node);
			segment_release(context, segment);
		} else {
			segment->is_spare = true;
			context->spare_segments++;
		}
	}
	give_surplus(context);
	spinlock_release(&context->lock);
}

struct seg_segment *seg_find(const struct sh_heap *heap, const void *address,
			     const struct seg_context **context)
{
	const struct pool *pool = heap->pool;
	size_t mib = (size_t)((const char *)address - heap->source->base) >> SH_MIB_SHIFT;
	size_t entry = mib * POOL_TYPES + heap->type;
	uint8_t value;

	if (!page_source_contains(heap->source, address) ||
	    entry >= atomic_load_explicit(&pool->map_entries, memory_order_relaxed))
		return NULL;
	value = atomic_load_explicit(&pool->map[entry], memory_order_relaxed);
	if (!value)
		return NULL;
	*context = &heap->segments[value - 1];
	return segment_of(*context, address);
}

void seg_destroy(struct seg_context *context)
{
	struct sh_links *at, *next;

	for (at = context->segments.next; at != &context->segments; at = next) {
		next = at->next;
		segment_release(context, SH_CONTAINER(at, struct seg_segment, links));
	}
}
