/*
 * vmem: arenas of addresses.
 *
 * 1. Source. Bonwick and Adams, "Magazines and Vmem" (USENIX 2001), section 4: boundary tags outside of the
 *    memory that they describe, segregated free lists by powers of two, instant fit, a hash table from the
 *    address of an allocated segment to its tag, import of spans from a source, quantum caches on top.
 *
 * 2. Layout.
 *
 *    ring of tags      [anchor] [SPAN a] [USED] [FREE] [USED] [SPAN b] [FREE] ...
 *                                  |        |      |      |
 *    span a, imported            |~~~~~~~~|######|......|######|       bytes carry no header
 *
 *    lists[n]   free segments of 2^n .. 2^(n+1) - 1 bytes, last in first out; `occupied` has a bit a list
 *    buckets    allocated segments by start
 *
 *    A tag is made when a segment is split and retired when two merge; nothing is written into the
 *    segments themselves, so that an arena can manage paged memory, or what is not memory at all.
 *
 * 3. Bounds. Instant fit takes the head of a list in which every segment is large enough: one find-first-bit.
 *    A plain request of b bytes needs a segment of b. One aligned to a > quantum needs b + a - quantum
 *    at most, and one that must not cross a multiple of c >= b needs 2b - quantum: where the segment has a
 *    boundary less than b behind its start, b fits behind it. Before going up to the list where this is
 *    certain, the heads of the lists between are tried: lists log2 b to log2 (needed - 1), at most three for
 *    the requests of the backends here. So an allocation looks at four free segments at most, however many there
 *    are; `steps_worst` tells. Freeing merges with two neighbours at most: constant, but for the hash.
 *    A segment is in a list at least half its length, hence free memory that instant fit passes over is
 *    bounded by what lies in the list below; best fit and next fit search there, and so does instant fit
 *    when the source refuses a span: `searches` counts these.
 *
 * 4. Concurrency. One lock an arena over everything in struct vmem and all tags. The source and the tags'
 *    records are called without it: tags for the splits of an allocation are laid aside before, spans
 *    are taken before and given after. Lock order: arena, then nothing.
 *
 * 5. Departures. Spans that are free as a whole are kept up to retain_bytes; the original returns each at
 *    once and relies on the caches above to spare it the import. The hash table doubles when segments outnumber
 *    buckets, where the original resizes once in a while by a timer. Segments of two spans that happen to
 *    adjoin do not merge, as in the original, since spans are returned as they came.
 */
#include "vmem.h"

#include <assert.h>
#include <errno.h>

#define SPARES_NEEDED 4u /* two for a split on both sides, two for a span */
#define SPARES_KEPT   64u

const char *const vmem_fit_names[] = { "instant", "best", "next", NULL };

int vmem_init(struct vmem *arena, const struct vmem_config *config)
{
	size_t bytes = config->metadata->page_size;

	*arena = (struct vmem){ .config = *config };
	/* Whoever keeps any keeps one, however large the pool page: or a lone block imports one each time. */
	if (config->retain_bytes && config->retain_bytes < config->source->page_size)
		arena->config.retain_bytes = config->source->page_size;
	arena->buckets = page_source_take(config->metadata, bytes, 0);
	if (!arena->buckets)
		return -ENOMEM;
	arena->bucket_bytes = bytes;
	arena->bucket_shift = 64u - vmem_list_of(bytes / sizeof(*arena->buckets));
	arena->anchor.kind = VMEM_SPAN;
	arena->anchor.previous = arena->anchor.next = &arena->anchor;
	arena->rotor = &arena->anchor;
	return 0;
}

void vmem_fini(struct vmem *arena)
{
	const struct vmem_segment *segment;

	for (segment = arena->anchor.next; segment != &arena->anchor; segment = segment->next)
		if (segment->kind == VMEM_SPAN)
			page_source_give(arena->config.source, (void *)segment->start,
					 segment->bytes);
	page_source_give(arena->config.metadata, arena->buckets, arena->bucket_bytes);
}

/* ---- which segment ---- */

/* Whether the request fits into a free segment, and where: as low as it can lie. */
static bool segment_fits(const struct vmem_segment *segment, const struct vmem_request *request,
			 uintptr_t *start)
{
	uintptr_t at = (segment->start + request->alignment - 1) & ~(request->alignment - 1);

	if (request->nocross && ((at ^ (at + request->bytes - 1)) & ~(request->nocross - 1)))
		at = (at + request->nocross - 1) & ~(request->nocross - 1);
	*start = at;
	return at - segment->start <= segment->bytes &&
	       segment->bytes - (at - segment->start) >= request->bytes;
}

/* The length from which on every free segment can serve the request. */
static size_t certain_bytes(const struct vmem *arena, const struct vmem_request *request)
{
	if (request->nocross)
		return 2 * request->bytes - arena->config.quantum;
	if (request->alignment > arena->config.quantum)
		return request->bytes + request->alignment - arena->config.quantum;
	return request->bytes;
}

static struct vmem_segment *find_instant(const struct vmem *arena,
					 const struct vmem_request *request, uintptr_t *start,
					 uint64_t *steps)
{
	const unsigned certain = vmem_list_of(certain_bytes(arena, request) * 2 - 1);
	uint64_t occupied = arena->occupied & (~0ull << vmem_list_of(request->bytes));

	while (occupied) {
		unsigned list = (unsigned)__builtin_ctzll(occupied);
		struct vmem_segment *segment = arena->lists[list];

		++*steps;
		if (segment_fits(segment, request, start))
			return segment;
		assert(list < certain);
		(void)certain;
		occupied &= occupied - 1;
	}
	return NULL;
}

/* The smallest segment that serves, of the first list in which any does. */
static struct vmem_segment *find_best(const struct vmem *arena, const struct vmem_request *request,
				      uintptr_t *start, uint64_t *steps)
{
	uint64_t occupied = arena->occupied & (~0ull << vmem_list_of(request->bytes));
	struct vmem_segment *best = NULL;

	for (; occupied && !best; occupied &= occupied - 1) {
		struct vmem_segment *segment = arena->lists[__builtin_ctzll(occupied)];

		for (; segment; segment = segment->list_next) {
			uintptr_t at;

			++*steps;
			if (best && segment->bytes >= best->bytes)
				continue;
			if (segment_fits(segment, request, &at)) {
				best = segment;
				*start = at;
			}
		}
	}
	return best;
}

/* The next segment in ring order, from where the last allocation ended. */
static struct vmem_segment *find_next(struct vmem *arena, const struct vmem_request *request,
				      uintptr_t *start, uint64_t *steps)
{
	struct vmem_segment *const from = arena->rotor;
	struct vmem_segment *segment = from;

	do {
		segment = segment->next;
		if (segment->kind != VMEM_FREE)
			continue;
		++*steps;
		if (segment_fits(segment, request, start))
			return segment;
	} while (segment != from);
	return NULL;
}

static struct vmem_segment *segment_find(struct vmem *arena, const struct vmem_request *request,
					 enum vmem_fit fit, uintptr_t *start)
{
	struct vmem_segment *segment;
	uint64_t steps = 0;

	switch (fit) {
	case VMEM_BEST_FIT:
		arena->searches++;
		segment = find_best(arena, request, start, &steps);
		break;
	case VMEM_NEXT_FIT:
		arena->searches++;
		segment = find_next(arena, request, start, &steps);
		break;
	default:
		segment = find_instant(arena, request, start, &steps);
		break;
	}
	arena->steps += steps;
	if (steps > arena->steps_worst)
		arena->steps_worst = steps;
	return segment;
}

/* ---- allocation ---- */

/* Lays tags aside. The lock is dropped while records are asked for. False: no memory for tags. */
static bool spares_fill(struct vmem *arena)
{
	while (arena->spares < SPARES_NEEDED) {
		struct vmem_segment *segment;

		spinlock_release(&arena->lock);
		segment = records_alloc(arena->config.tags);
		spinlock_acquire(&arena->lock);
		if (!segment)
			return false;
		segment->list_next = arena->spare;
		arena->spare = segment;
		arena->spares++;
	}
	return true;
}

static void spares_drain(struct vmem *arena, unsigned keep)
{
	while (arena->spares > keep)
		records_free(arena->config.tags, vmem_spare_take(arena));
}

/* A free segment of `bytes` behind `at`. */
static void segment_add(struct vmem *arena, struct vmem_segment *at, uintptr_t start, size_t bytes)
{
	struct vmem_segment *segment = vmem_spare_take(arena);

	segment->start = start;
	segment->bytes = bytes;
	vmem_ring_insert_after(at, segment);
	vmem_list_insert(arena, segment);
}

/* Cuts `bytes` at `start` out of a free segment. Needs two spare tags. */
static void segment_take(struct vmem *arena, struct vmem_segment *segment, uintptr_t start,
			 size_t bytes)
{
	const size_t front = start - segment->start, back = segment->bytes - front - bytes;
	const uintptr_t low = segment->start;

	vmem_list_remove(arena, segment);
	segment->kind = VMEM_USED;
	segment->start = start;
	segment->bytes = bytes;
	if (front) {
		segment_add(arena, segment->previous, low, front);
		arena->splits++;
	}
	if (back) {
		segment_add(arena, segment, start + bytes, back);
		arena->splits++;
	}
	vmem_hash_insert(arena, segment);
	arena->rotor = segment;
	arena->allocations++;
}

/* A span becomes one free segment at the ring's end. Needs two spare tags. */
static struct vmem_segment *span_add(struct vmem *arena, void *start, size_t bytes)
{
	struct vmem_segment *span = vmem_spare_take(arena);

	*span = (struct vmem_segment){
		.start = (uintptr_t)start,
		.bytes = bytes,
		.kind = VMEM_SPAN,
	};
	vmem_ring_insert_after(arena->anchor.previous, span);
	segment_add(arena, span, (uintptr_t)start, bytes);
	arena->owned_bytes += bytes;
	arena->imports++;
	return span->next;
}

/* Asked before the commit: where the owner has no room for it, a span would be faulted in for nothing. */
static void *span_take(const struct vmem *arena, size_t bytes, size_t alignment)
{
	const struct vmem_config *config = &arena->config;
	void *run = page_source_reserve(config->source, bytes, alignment);

	if (!run)
		return NULL;
	if ((config->imported && config->imported(config->imported_arg, run, bytes) != 0) ||
	    page_source_commit(config->source, run, bytes) != 0) {
		page_source_release(config->source, run, bytes);
		return NULL;
	}
	return run;
}

/*
 * Takes a span in which the request fits, however it lies: no lock held. Spans grow with the arena, by a
 * 64th up to 16 times import_bytes: few enough imports, and small enough that some become idle and go back
 * when the arena empties. Under a tight limit as little as will do is taken.
 */
static void *span_import(const struct vmem *arena, const struct vmem_request *request,
			 size_t owned_bytes, size_t *bytes)
{
	struct page_source *source = arena->config.source;
	const size_t least = page_source_round_up(source, request->bytes);
	const size_t most = 16 * arena->config.import_bytes;
	size_t wanted = owned_bytes / 64 < most ? owned_bytes / 64 : most;
	void *run;

	if (least < request->bytes)
		return NULL;
	if (wanted < arena->config.import_bytes)
		wanted = arena->config.import_bytes;
	wanted = page_source_round_up(source, wanted);
	*bytes = wanted > least ? wanted : least;
	run = span_take(arena, *bytes, request->alignment);
	if (run || *bytes == least)
		return run;
	*bytes = least;
	return span_take(arena, least, request->alignment);
}

/* Called and left with the lock held, which is dropped meanwhile. */
static struct vmem_segment *segment_import(struct vmem *arena, const struct vmem_request *request,
					   uintptr_t *start)
{
	const size_t owned_bytes = arena->owned_bytes;
	struct vmem_segment *segment = NULL;
	size_t bytes;
	void *run;

	spinlock_release(&arena->lock);
	run = span_import(arena, request, owned_bytes, &bytes);
	spinlock_acquire(&arena->lock);
	if (run && !spares_fill(arena)) {
		spinlock_release(&arena->lock);
		page_source_give(arena->config.source, run, bytes);
		spinlock_acquire(&arena->lock);
		run = NULL;
	}
	if (run) {
		segment = span_add(arena, run, bytes);
		segment_fits(segment, request, start);
	} else if (spares_fill(arena)) {
		/* The list below may have what fits, and others may have freed meanwhile. */
		arena->searches++;
		segment = segment_find(arena, request, VMEM_BEST_FIT, start);
	}
	return segment;
}

uintptr_t vmem_alloc(struct vmem *arena, const struct vmem_request *request)
{
	struct vmem_segment *segment;
	uintptr_t start = 0;
	bool crowded = false;

	if (request->bytes > arena->config.source->range_bytes)
		return 0;
	spinlock_acquire(&arena->lock);
	if (spares_fill(arena)) {
		segment = segment_find(arena, request, arena->config.fit, &start);
		if (!segment)
			segment = segment_import(arena, request, &start);
		if (segment)
			segment_take(arena, segment, start, request->bytes);
		else
			start = 0;
		crowded = arena->used_segments > arena->bucket_bytes / sizeof(*arena->buckets);
	}
	spinlock_release(&arena->lock);
	if (__builtin_expect(crowded, 0))
		vmem_hash_grow(arena);
	return start;
}

/* ---- freeing ---- */

/* Merges a segment that is no longer used with its neighbours and lists it. */
static struct vmem_segment *segment_merge(struct vmem *arena, struct vmem_segment *segment)
{
	struct vmem_segment *next = segment->next, *previous = segment->previous;

	if (next->kind == VMEM_FREE) {
		vmem_list_remove(arena, next);
		segment->bytes += next->bytes;
		vmem_ring_retire(arena, next);
		arena->merges++;
	}
	if (previous->kind == VMEM_FREE) {
		vmem_list_remove(arena, previous);
		segment->start = previous->start;
		segment->bytes += previous->bytes;
		vmem_ring_retire(arena, previous);
		arena->merges++;
	}
	vmem_list_insert(arena, segment);
	return segment;
}

/* Takes the span of an idle segment off the books; the caller gives it to the source. */
static void span_remove(struct vmem *arena, struct vmem_segment *segment)
{
	struct vmem_segment *span = segment->previous;

	vmem_list_remove(arena, segment);
	arena->owned_bytes -= segment->bytes;
	arena->returns++;
	vmem_ring_retire(arena, segment);
	vmem_ring_retire(arena, span);
}

bool vmem_free(struct vmem *arena, uintptr_t start)
{
	struct vmem_segment *segment;
	void *run = NULL;
	size_t bytes = 0;

	spinlock_acquire(&arena->lock);
	segment = vmem_hash_remove(arena, start);
	if (!segment) {
		spinlock_release(&arena->lock);
		return false;
	}
	arena->frees++;
	segment = segment_merge(arena, segment);
	if (vmem_is_idle(segment) && arena->idle_bytes > arena->config.retain_bytes) {
		run = (void *)segment->start;
		bytes = segment->bytes;
		span_remove(arena, segment);
	}
	spares_drain(arena, SPARES_KEPT);
	spinlock_release(&arena->lock);
	if (run)
		page_source_give(arena->config.source, run, bytes);
	return true;
}

size_t vmem_segment_bytes(struct vmem *arena, uintptr_t start)
{
	const struct vmem_segment *segment;
	size_t bytes;

	spinlock_acquire(&arena->lock);
	segment = vmem_hash_find(arena, start);
	bytes = segment ? segment->bytes : 0;
	spinlock_release(&arena->lock);
	return bytes;
}

/* An idle span off the books, or NULL. Under the lock. */
static void *idle_remove(struct vmem *arena, size_t *bytes)
{
	struct vmem_segment *segment;

	if (arena->idle_bytes == 0)
		return NULL;
	for (segment = arena->anchor.next; segment != &arena->anchor; segment = segment->next) {
		if (segment->kind == VMEM_FREE && vmem_is_idle(segment)) {
			void *run = (void *)segment->start;

			*bytes = segment->bytes;
			span_remove(arena, segment);
			return run;
		}
	}
	return NULL;
}

void vmem_reap(struct vmem *arena)
{
	size_t bytes = 0;
	void *run;

	do {
		spinlock_acquire(&arena->lock);
		run = idle_remove(arena, &bytes);
		spinlock_release(&arena->lock);
		if (run)
			page_source_give(arena->config.source, run, bytes);
	} while (run);
}

void vmem_trim(struct vmem *arena)
{
	vmem_reap(arena);
	spares_drain(arena, 0);
	vmem_hash_shrink(arena);
}

size_t vmem_committed(const struct vmem *arena)
{
	return arena->owned_bytes + arena->bucket_bytes;
}
