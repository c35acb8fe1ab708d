/*
 * segment-heap: the Windows kernel pool since Windows 10 19H1.
 *
 * 1. Sources. Yason, "Windows 10 Segment Heap Internals" (Black Hat USA 2016: layers, segments,
 *    chunks, buckets, sizes); Bayet and Fariello, "Scoop the Windows 10 Pool!" (SSTIC 2020: the
 *    kernel's use of it, pool headers, dynamic lookaside lists, delayed frees); Microsoft's driver
 *    documentation (the rules of the interface). docs/segment-heap.md has the details.
 *
 * 2. Layers. Each pool type is a heap of its own over its own page source:
 *
 *                              alloc(n)                                    file
 *        n <= lfh_max and its bucket is active ---> LFH slot               lfh.c
 *        0x200 < n <= 0xF80 ---> lookaside list --miss--+                  lookaside.c
 *        n <= 0xFE0 ------------------------------------+-> VS chunk       vs.c
 *        n <= vs_max, its last page has room to share --'    |
 *        n <= 127 units of 4 KiB (508 KiB) -----> page range v             segment.c
 *        n <= 127 units of 64 KiB (8128 KiB) ---> in 1 or 16 MiB segments
 *        more ---------------------------------> page source, tree         large.c
 *
 *     |pool hdr|LFH block|  |chunk hdr|pool hdr|VS block|  |chunk hdr|big VS block|  |page range|
 *       16                    16        16                   16      ^ page          ^ page
 *
 * 3. Freeing. Blocks of less than a page have a pool header in front, in the same OS page: they are
 *    never page-aligned, all others are. The header leads to where the block goes, a list or a subsegment, without a
 *    branch between them (route.c); for an aligned block a map of
 *    the source's MiB says whether it is in a segment, whose descriptors say the rest.
 *
 * 4. Concurrency. A processor's LFH slots, its lookaside lists and its context of the variable-size layer
 *    take no lock and no interlocked operation: the contract has at most one thread a processor. What one frees of
 *    another's is handed over. Each layer below has a lock of its own, taken in the order lookaside, VS; segment
 *    and large locks are leaves. Each file argues its own case.
 *
 * 5. Bounds. LFH and lookaside: constant. VS and page ranges: O(log n) in free chunks or ranges.
 *    Waste inside a block: the pool header and the bucket's step (1/16 and less beyond 1 KiB), a
 *    chunk header more in VS; under a sixteenth of a page for a page range from VS's reach, 64 KiB
 *    for one in a large segment. Free pages kept: `retain` bytes a context.
 *
 * 6. Capabilities: page rules, residency, tags, trim, walk, check, counters. All memory, its own
 *    included, comes from the page sources; what a nonpaged call touches is nonpaged.
 *
 * 7. Departures from the original, each argued where it is made: an LFH bitmap is its slot owner's
 *    alone and remote frees are handed over (lfh.c); lookaside lists are a processor's by default
 *    (lookaside.c; lookaside=shared is the original), and so is the variable-size layer for small requests (vs.c;
 *    vs_slots=one is the original); re-balancing counts operations. Tags of page
 *    ranges are in their descriptors, of big VS blocks in their chunk headers, of large blocks in
 *    their tree: Windows has one big-page table for all three. A VS subsegment is committed as a
 *    whole. Requests of 0xFE1 bytes and more whose last page would be nearly full are page ranges.
 */
#include <errno.h>

#include "allocators/backends.h"
#include "allocators/options.h"
#include "segment_heap.h"

static const char *const lookaside_names[] = { "off", "processor", "shared", NULL };
static const char *const slots_names[] = { "processor", "contention", NULL };
static const char *const vs_slots_names[] = { "processor", "one", NULL };

static const struct option_def sh_option_table[] = {
	OPTION_BOOL(struct sh_options, lfh, "on", "low-fragmentation heap"),
	OPTION_SIZE(struct sh_options, lfh_max, "512", 16, SH_SMALL_BYTES_MAX,
		    "largest request that it serves"),
	OPTION_UINT(struct sh_options, lfh_live, "17", 1, 1u << 20, "blocks",
		    "a bucket activates when so many of its blocks are held"),
	OPTION_UINT(struct sh_options, lfh_row, "18", 1, 1u << 20, "requests",
		    "... or after so many requests in a row"),
	OPTION_UINT(struct sh_options, lfh_total, "2040", 1, 1u << 30, "requests",
		    "... or after so many requests in all"),
	OPTION_SIZE(struct sh_options, lfh_subsegment, "64K", 8192, LFH_PAGES_MAX *POOL_OS_PAGE,
		    "largest subsegment"),
	OPTION_BOOL(struct sh_options, random, "on",
		    "search the bitmap from a random start, drawn from the seed"),
	OPTION_ENUM(struct sh_options, lfh_slots, "processor", slots_names,
		    "a slot for each processor: from the start, or once they contend"),
	OPTION_UINT(struct sh_options, lfh_contention, "4", 1, 1u << 20, "waits",
		    "waits for a bucket's slot until it gets one a processor (contention)"),
	OPTION_ENUM(struct sh_options, lookaside, "processor", lookaside_names,
		    "dynamic lookaside lists for 0x201 to 0xF80 bytes: none, each processor's, one "
		    "set"),
	OPTION_UINT(struct sh_options, lookaside_depth, "256", SH_DEPTH_MIN, 65535, "blocks",
		    "largest depth of a list (it starts with 4)"),
	OPTION_UINT(struct sh_options, lookaside_interval, "16384", 64, 1u << 30, "allocations",
		    "allocations between two re-balancings, the LFH's included"),
	OPTION_SIZE(struct sh_options, lookaside_bytes, "512K", 0, 1ull << 30,
		    "what a set of lists may keep above the least depth"),
	OPTION_ENUM(struct sh_options, vs_slots, "processor", vs_slots_names,
		    "variable-size layer: each processor's for up to 0x200 bytes and one, one"),
	OPTION_UINT(struct sh_options, vs_delay, "32", 0, 4096, "blocks",
		    "small VS blocks are freed in batches of so many; 0: at once"),
	OPTION_SIZE(struct sh_options, vs_delay_max, "1K", 16, 4096,
		    "chunks below this are freed late"),
	OPTION_SIZE(struct sh_options, vs_max, "128K", POOL_OS_PAGE, 128u << 10,
		    "largest request of the variable-size layer"),
	OPTION_SIZE(struct sh_options, large_segment, "16M", 4u << 20, 256u << 20,
		    "large segments, of 256 units; a power of two"),
	OPTION_SIZE(struct sh_options, retain, "8M", 0, 1ull << 40,
		    "free pages kept committed for each segment size; above, half of it is left"),
	OPTION_END,
};

void sh_stop(struct pool *pool, uint32_t code, uint64_t reason, const void *where, uint64_t a,
	     uint64_t b, const char *text)
{
	struct pool_stop stop = {
		.code = code,
		.arguments = { reason, (uintptr_t)where, a, b },
		.text = text,
	};

	pool->stop(pool->stop_arg, &stop);
}

/* ---- trim ---- */

static uint64_t bytes_given(const struct pool *pool)
{
	uint64_t bytes = 0;

	for (unsigned type = 0; type < POOL_TYPES; type++)
		bytes += pool->heaps[type].segments[0].bytes_given +
			 pool->heaps[type].segments[1].bytes_given;
	return bytes;
}

/* Top down: what one layer frees, the next can give back; some of it goes before the last step. */
static size_t sh_trim(struct pool *pool)
{
	uint64_t before = bytes_given(pool);

	for (unsigned type = 0; type < POOL_TYPES; type++) {
		lookaside_flush(&pool->heaps[type], &pool->heaps[type].shared_lookasides);
		for (unsigned i = 0; i < pool->processor_count; i++)
			lookaside_flush(&pool->heaps[type], &pool->processors[i].lookasides[type]);
		vs_flush(&pool->heaps[type], NULL);
		for (unsigned i = 0; i < pool->processor_count; i++)
			vs_flush(&pool->heaps[type], &pool->processors[i]);
	}
	lfh_trim(pool);
	for (unsigned type = 0; type < POOL_TYPES; type++)
		seg_give_all(&pool->heaps[type]);
	return (size_t)(bytes_given(pool) - before);
}

/* ---- create and destroy ---- */

int sh_map_reach(struct pool *pool, const struct page_source *source, const char *end)
{
	size_t mibs = ((size_t)(end - source->base) + (1u << SH_MIB_SHIFT) - 1) >> SH_MIB_SHIFT;
	size_t need = (size_t)((char *)pool->map - (char *)pool) + mibs * POOL_TYPES;
	int error = 0;

	need = page_source_round_up(pool->control_source, need);
	spinlock_acquire(&pool->control_lock);
	if (need > pool->control_committed) {
		error = page_source_commit(pool->control_source,
					   (char *)pool + pool->control_committed,
					   need - pool->control_committed);
		if (!error) {
			pool->control_committed = need;
			atomic_store_explicit(&pool->map_entries,
					      (size_t)((char *)pool + need - (char *)pool->map),
					      memory_order_relaxed);
		}
	}
	spinlock_release(&pool->control_lock);
	return error;
}

static size_t align_line(size_t bytes)
{
	return (bytes + 2 * SH_LINE - 1) & ~(size_t)(2 * SH_LINE - 1);
}

static size_t mibs_of(const struct page_source *source)
{
	return (source->range_bytes + (1u << SH_MIB_SHIFT) - 1) >> SH_MIB_SHIFT;
}

/* Where the parts of the control area begin; each is whole lines. */
struct control_layout {
	size_t processors, contexts, shared_fronts, slots, map; /* from the area's start */
	size_t bytes; /* all */
	unsigned vs_count;
};

static struct control_layout control_lay_out(const struct pool_config *config, size_t buckets)
{
	const struct sh_options *options = config->values;
	bool is_shared = options->lfh_slots == LFH_SLOTS_CONTENTION;
	size_t mibs = mibs_of(config->pages[POOL_NONPAGED]);
	struct control_layout at;

	if (mibs < mibs_of(config->pages[POOL_PAGED]))
		mibs = mibs_of(config->pages[POOL_PAGED]);
	at.vs_count = options->vs_slots == VS_SLOTS_PROCESSOR ? config->processors + 1 : 1;
	at.processors = align_line(sizeof(struct pool));
	at.contexts = at.processors + config->processors * sizeof(struct sh_processor);
	at.shared_fronts = at.contexts + POOL_TYPES * at.vs_count * sizeof(struct vs_context);
	at.slots = at.shared_fronts +
		   (is_shared ? align_line(POOL_TYPES * buckets * sizeof(struct sh_front)) : 0);
	at.map = at.slots +
		 (config->processors + is_shared) * POOL_TYPES * buckets * sizeof(struct lfh_slot);
	at.bytes = at.map + mibs * POOL_TYPES;
	return at;
}

/* Takes the control area: pool, processors, slots, segment map. */
static struct pool *control_create(const struct pool_config *config, size_t buckets)
{
	struct page_source *source = config->pages[POOL_NONPAGED];
	struct control_layout at = control_lay_out(config, buckets);
	size_t bytes = page_source_round_up(source, at.bytes);
	size_t commit = page_source_round_up(source, at.map);
	char *area = page_source_reserve(source, bytes, 0);
	struct lfh_slot *slots = (struct lfh_slot *)(void *)(area + at.slots);
	struct pool *pool = (struct pool *)(void *)area;

	if (!area)
		return NULL;
	if (page_source_commit(source, area, commit) != 0) {
		page_source_release(source, area, bytes);
		return NULL;
	}
	pool->processors = (struct sh_processor *)(void *)(area + at.processors);
	for (unsigned type = 0; type < POOL_TYPES; type++) {
		struct sh_heap *heap = &pool->heaps[type];

		heap->vs_count = at.vs_count;
		heap->vs = (struct vs_context *)(void *)(area + at.contexts) + type * at.vs_count;
		if (at.shared_fronts == at.slots)
			continue;
		heap->shared_fronts = (struct sh_front *)(void *)(area + at.shared_fronts) +
				      type * buckets;
		heap->shared_slots = slots;
		slots += buckets;
	}
	for (unsigned i = 0; i < config->processors; i++)
		for (unsigned type = 0; type < POOL_TYPES; type++, slots += buckets)
			pool->processors[i].slots[type] = slots;
	pool->map = (_Atomic uint8_t *)(area + at.map);
	pool->map_entries = commit - at.map;
	pool->control_source = source;
	pool->control_bytes = bytes;
	pool->control_committed = commit;
	return pool;
}

/* SplitMix64 (Steele, Lea and Flood 2014). */
static uint64_t random_next(uint64_t *state)
{
	uint64_t mixed = *state += 0x9E3779B97F4A7C15u;

	mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9u;
	mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EBu;
	return mixed ^ mixed >> 31;
}

static void processor_init(struct pool *pool, struct sh_processor *processor, uint64_t *random)
{
	const struct sh_options *options = &pool->options;

	processor->pool = pool;
	processor->until = SH_TICK;
	processor->number = (uint32_t)(processor - pool->processors);
	processor->cookie = pool->cookie;
	processor->live = sh_word(SH_LFH, processor->number, 0);
	processor->lfh_bytes = options->lfh ? options->lfh_max : 0;
	if (options->lookaside == SH_LOOKASIDE_PROCESSOR)
		lookaside_fronts_init(processor);
	for (size_t bytes = 1; bytes <= processor->lfh_bytes; bytes++)
		processor->front_of[(bytes + SH_UNIT_BYTES - 1) / SH_UNIT_BYTES] =
			(uint8_t)sh_bucket(bytes);
	for (unsigned i = 0; i < SH_RANDOMS; i++)
		processor->random[i] = options->random ? random_next(random) & 63 : 0;
	for (unsigned type = 0; type < POOL_TYPES; type++) {
		processor->fronts_of[type] = processor->fronts[type];
		lookaside_init(pool, &processor->lookasides[type],
			       &processor->fronts[type][SH_FRONT_LISTS], (enum pool_type)type,
			       processor->number, NULL);
		for (unsigned bucket = 1; bucket < pool->lfh_buckets; bucket++)
			lfh_slot_init(pool, &processor->slots[type][bucket],
				      &processor->fronts[type][bucket], processor,
				      (enum pool_type)type, bucket);
	}
}

static void heap_init(struct pool *pool, struct sh_heap *heap, enum pool_type type,
		      struct page_source *source)
{
	bool is_spread = pool->options.lfh_slots == LFH_SLOTS_PROCESSOR;

	heap->pool = pool;
	heap->source = source;
	heap->type = type;
	seg_init(heap, 0, SEG_SMALL_BYTES);
	seg_init(heap, 1, pool->options.large_segment);
	for (unsigned i = 0; i < heap->vs_count; i++)
		vs_init(&heap->vs[i], i ? &pool->processors[i - 1] : NULL);
	lookaside_init(pool, &heap->shared_lookasides, heap->shared_lists, type, SH_NOBODY,
		       heap->shared_lookaside_locks);
	for (unsigned bucket = 1; bucket < pool->lfh_buckets; bucket++) {
		if (heap->shared_slots)
			lfh_slot_init(pool, &heap->shared_slots[bucket],
				      &heap->shared_fronts[bucket], NULL, type, bucket);
		heap->buckets[bucket].is_spread = is_spread;
	}
}

static int sh_create(const struct pool_config *config, struct pool **out)
{
	const struct sh_options *options = config->values;
	uint64_t random = config->seed;
	unsigned buckets = options->lfh ? sh_bucket(options->lfh_max) + 1 : 0;
	struct pool *pool;

	if (options->large_segment & (options->large_segment - 1) || config->processors > SH_NOBODY)
		return -EINVAL;
	pool = control_create(config, buckets);
	if (!pool)
		return -ENOMEM;
	pool->options = *options;
	pool->stop = config->stop;
	pool->stop_arg = config->stop_arg;
	pool->cookie = random_next(&random);
	pool->processor_count = config->processors;
	pool->lfh_buckets = buckets;
	lookaside_chunks_init(pool);
	for (unsigned type = 0; type < POOL_TYPES; type++)
		heap_init(pool, &pool->heaps[type], (enum pool_type)type, config->pages[type]);
	for (unsigned i = 0; i < config->processors; i++)
		processor_init(pool, &pool->processors[i], &random);
	*out = pool;
	return 0;
}

static void sh_destroy(struct pool *pool)
{
	struct page_source *source;
	size_t control_bytes;

	if (!pool)
		return;
	source = pool->control_source;
	for (unsigned type = 0; type < POOL_TYPES; type++)
		large_destroy(&pool->heaps[type].large, pool->heaps[type].source);
	for (unsigned type = 0; type < POOL_TYPES; type++) {
		seg_destroy(&pool->heaps[type].segments[0]);
		seg_destroy(&pool->heaps[type].segments[1]);
	}
	control_bytes = pool->control_bytes;
	page_source_decommit(source, pool, pool->control_committed);
	page_source_release(source, pool, control_bytes);
}

const struct pool_backend segment_heap_backend = {
	.abi = POOL_ABI,
	.caps = POOL_CAP_NATIVE | POOL_CAP_PAGE_RULES | POOL_CAP_RESIDENT | POOL_CAP_TAGS |
		POOL_CAP_TRIM | POOL_CAP_WALK | POOL_CAP_CHECK | POOL_CAP_COUNTERS,
	.name = "segment-heap",
	.summary = "the Windows pool since 10 19H1: LFH and lookaside lists over variable-size "
		   "chunks and segments",
	.options = sh_option_table,
	.options_bytes = sizeof(struct sh_options),
	.create = sh_create,
	.destroy = sh_destroy,
	.alloc = sh_alloc,
	.free = sh_free,
	.block_bytes = sh_block_bytes,
	.thread_enter = sh_thread_enter,
	.thread_exit = sh_thread_exit,
	.trim = sh_trim,
	.walk = sh_walk,
	.check = sh_check,
	.tag_of = sh_tag_of,
	.counters = sh_counters,
};
