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
 *    never page-aligned, all others are. The header says which layer; for an aligned block a map of
 *    the source's MiB says whether it is in a segment, whose descriptors say the rest.
 *
 * 4. Concurrency. The two fast paths, a processor's LFH slot and its lookaside lists, take no lock
 *    and no interlocked operation: the contract has at most one thread a processor. Each layer
 *    below has a lock of its own, taken in the order lookaside, VS; segment and large locks are
 *    leaves. Each file argues its own case.
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
 *    (lookaside.c; lookaside=shared is the original); re-balancing counts operations. Tags of page
 *    ranges are in their descriptors, of big VS blocks in their chunk headers, of large blocks in
 *    their tree: Windows has one big-page table for all three. A VS subsegment is committed as a
 *    whole. Requests of 0xFE1 bytes and more whose last page would be nearly full are page ranges.
 */
#include <errno.h>

#include "allocators/backends.h"
#include "allocators/options.h"
#include "segment_heap.h"

/* A VS block that leaves less than this of its last page is better a page range. */
#define VS_TAIL_MIN (POOL_OS_PAGE / 16)

static const char *const lookaside_names[] = { "off", "processor", "shared", NULL };
static const char *const slots_names[] = { "processor", "contention", NULL };

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
	OPTION_UINT(struct sh_options, lookaside_interval, "4096", 64, 1u << 30, "allocations",
		    "allocations between two re-balancings"),
	OPTION_SIZE(struct sh_options, lookaside_bytes, "512K", 0, 1ull << 30,
		    "what a set of lists may keep above the least depth"),
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

/* What a thread that entered no pool stands for: a processor of none. Never written. */
static struct sh_processor outsider;
static _Thread_local struct sh_processor *current = &outsider;

struct sh_processor *sh_current(const struct pool *pool)
{
	return current->pool == pool ? current : NULL;
}

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

/* ---- alloc ---- */

static bool has_lookaside(size_t bytes)
{
	return bytes - (SH_LOOKASIDE_MIN + 1) <= SH_LOOKASIDE_MAX - (SH_LOOKASIDE_MIN + 1);
}

static inline void *processor_pop(struct sh_processor *processor, enum pool_type type,
				  unsigned bucket, uint32_t tag)
{
	struct sh_lookasides *lookasides = &processor->lookasides[type];
	struct sh_lookaside *list = lookaside_list(lookasides, bucket);
	void *block = lookaside_pop(list, type, tag);

	if (__builtin_expect(lookaside_step_is_due(list), 0))
		lookaside_step(&processor->pool->heaps[type], lookasides);
	return block;
}

/* A page and more: page-aligned, without a pool header. */
static void *alloc_big(struct sh_heap *heap, size_t bytes, uint32_t tag)
{
	size_t tail;

	if (bytes < POOL_OS_PAGE)
		bytes = POOL_OS_PAGE;
	if (bytes > seg_reach(&heap->segments[1]))
		return large_alloc(heap, bytes, tag);
	tail = -bytes & (POOL_OS_PAGE - 1);
	if (bytes <= heap->pool->options.vs_max && tail >= VS_TAIL_MIN)
		return vs_alloc_big(heap, bytes, tag);
	return seg_alloc(heap, bytes, SEG_PAGES, tag);
}

/*
 * No memory: what the lookaside lists keep may be what is missing. Whether another try is worth it.
 */
static bool lookaside_reclaim(struct sh_heap *heap)
{
	struct sh_processor *processor = sh_current(heap->pool);
	bool any = lookaside_flush(heap, &heap->shared_lookasides);

	if (processor)
		any |= lookaside_flush(heap, &processor->lookasides[heap->type]);
	return any;
}

/*
 * The lookaside list that the fast path did not try: shared, or behind an LFH that had no memory.
 */
static void *alloc_kept(struct sh_heap *heap, size_t bytes, uint32_t tag)
{
	struct sh_processor *processor = sh_current(heap->pool);

	if (heap->pool->options.lookaside == SH_LOOKASIDE_SHARED)
		return lookaside_pop_shared(heap, sh_bucket(bytes), tag);
	if (processor && bytes <= processor->lfh_bytes)
		return processor_pop(processor, heap->type, sh_bucket(bytes), tag);
	return NULL;
}

static void *alloc_small(struct sh_heap *heap, size_t bytes, uint32_t tag)
{
	struct sh_processor *processor = sh_current(heap->pool);
	void *block;

	if (processor && bytes <= processor->lfh_bytes) {
		block = lfh_alloc_slow(heap->pool, processor, heap->type, sh_bucket(bytes), tag);
		if (block)
			return block;
	}
	if (has_lookaside(bytes) && heap->pool->options.lookaside != SH_LOOKASIDE_OFF) {
		block = alloc_kept(heap, bytes, tag);
		if (block)
			return block;
		bytes = sh_bucket_bytes(sh_bucket(bytes));
	}
	return vs_alloc_small(heap, bytes, SH_VS, tag);
}

static __attribute__((noinline)) void *alloc_slow(struct pool *pool, enum pool_type type,
						  size_t bytes, uint32_t tag)
{
	struct sh_heap *heap = &pool->heaps[type];
	bool is_small = bytes <= SH_SMALL_BYTES_MAX;
	void *block = is_small ? alloc_small(heap, bytes, tag) : alloc_big(heap, bytes, tag);

	if (!block) {
		bool any = vs_flush(heap);

		any |= lookaside_reclaim(heap);
		if (any)
			block = is_small ? alloc_small(heap, bytes, tag)
					 : alloc_big(heap, bytes, tag);
	}
	return block;
}

/* A processor's list that is empty, or due to report. */
static __attribute__((noinline)) void *alloc_list_slow(struct pool *pool, enum pool_type type,
						       size_t bytes, uint32_t tag)
{
	void *block = processor_pop(current, type, sh_bucket(bytes), tag);

	return block ? block : alloc_slow(pool, type, bytes, tag);
}

static __attribute__((noinline)) void *alloc_lookaside(struct pool *pool, enum pool_type type,
						       size_t bytes, uint32_t tag)
{
	struct sh_processor *processor = current;
	struct sh_lookaside *list;
	unsigned number;

	if (__builtin_expect(bytes > SH_LOOKASIDE_MAX, 0))
		return alloc_slow(pool, type, bytes, tag);
	number = processor->list_of_request[(bytes + SH_UNIT_BYTES - 1) / SH_UNIT_BYTES];
	if (__builtin_expect(!number, 0))
		return alloc_slow(pool, type, bytes, tag);
	list = &processor->lookasides[type].lists[number - 1];
	if (__builtin_expect(!list->head || (list->allocates + 1) % SH_REBALANCE_STEP == 0, 0))
		return alloc_list_slow(pool, type, bytes, tag);
	return lookaside_pop(list, type, tag);
}

/* Only the LFH is inline: what it calls, it calls last, and so it needs no stack. */
static void *sh_alloc(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	struct sh_processor *processor = current;
	struct lfh_slot *slot;

	if (__builtin_expect(processor->pool != pool, 0))
		return alloc_slow(pool, type, bytes, tag);
	if (bytes > processor->lfh_bytes)
		return alloc_lookaside(pool, type, bytes, tag);
	slot = &processor->slots[type][sh_bucket(bytes)];
	if (__builtin_expect(!slot->next, 0))
		return alloc_slow(pool, type, bytes, tag);
	return lfh_take(slot, processor, tag);
}

/* ---- free ---- */

/* What an aligned address is. */
struct big_block {
	struct sh_heap *heap; /* NULL: in neither source */
	enum { BIG_NONE, BIG_FREE, BIG_VS, BIG_RANGE, BIG_LARGE } place;
	size_t bytes;
	uint32_t tag;
};

static struct sh_heap *heap_of(struct pool *pool, const void *address)
{
	for (unsigned type = 0; type < POOL_TYPES; type++)
		if (page_source_contains(pool->heaps[type].source, address))
			return &pool->heaps[type];
	return NULL;
}

/* Reads only what does not change while the block is live. */
static struct big_block big_find(struct pool *pool, const void *block)
{
	struct big_block big = { .heap = heap_of(pool, block), .place = BIG_NONE };
	const struct seg_context *context;
	const struct seg_segment *segment;
	const struct seg_descriptor *descriptor;
	size_t offset;

	if (!big.heap)
		return big;
	segment = seg_find(big.heap, block, &context);
	if (!segment) {
		struct large_block large;

		if (large_find(big.heap, block, &large)) {
			big.place = BIG_LARGE;
			big.bytes = large.bytes;
			big.tag = large.tag;
		}
		return big;
	}
	offset = (size_t)((const char *)block - (const char *)segment);
	descriptor = &segment->descriptors[offset >> context->unit_shift];
	if (offset >> context->unit_shift < context->first_unit)
		return big;
	if (descriptor->kind == SEG_FREE) {
		big.place = BIG_FREE;
	} else if (descriptor->kind == SEG_VS) {
		big.place = BIG_VS;
		big.bytes = (size_t)vs_big_chunk_of(block)->units * SH_UNIT_BYTES;
		big.tag = vs_big_chunk_of(block)->tag;
	} else if (descriptor->kind == SEG_PAGES && !descriptor->back &&
		   !(offset & (((size_t)1 << context->unit_shift) - 1))) {
		big.place = BIG_RANGE;
		big.bytes = (size_t)descriptor->units << context->unit_shift;
		big.tag = descriptor->block.tag;
	}
	return big;
}

static __attribute__((noinline)) void free_big(struct pool *pool, void *block, uint32_t tag)
{
	struct big_block big = big_find(pool, block);

	if (big.place > BIG_FREE && big.tag != tag)
		sh_stop(pool, 0xC2, 0xA, block, big.tag, tag,
			"freed a block with another tag than it was allocated with");
	else if (big.place == BIG_VS)
		vs_free_big(big.heap, block);
	else if (big.place == BIG_RANGE)
		seg_free(big.heap, block);
	else if (big.place == BIG_FREE)
		sh_stop(pool, 0xC2, 7, block, 0, 0, "freed a block that is free already");
	else if (big.place == BIG_NONE)
		sh_stop(pool, 0xC2, big.heap || !block ? 0x46 : 0x99, block, 0, 0,
			"freed an address that is no block of this pool");
	else if (!large_free(big.heap, block))
		sh_stop(pool, 0xC2, 7, block, 0, 0, "freed a block that is free already");
}

/* Names what is wrong with a small block that free refused. */
static __attribute__((noinline)) void free_refuse(struct pool *pool, const struct sh_header *header,
						  uint32_t tag)
{
	const void *block = header + 1;
	unsigned kind;

	if (!heap_of(pool, block)) {
		sh_stop(pool, 0xC2, 0x99, block, 0, 0, "freed an address outside of both pools");
		return;
	}
	kind = header->kind & ~1u;
	if (kind == SH_FREE || kind == SH_CACHED || kind == SH_DELAYED || kind == SH_REMOTE)
		sh_stop(pool, 0xC2, 7, block, header->tag, 0, "freed a block that is free already");
	else if (kind != SH_LFH && kind != SH_VS)
		sh_stop(pool, 0x19, 0x20, block, header->kind, 0,
			"the header is no block's: overwritten, or no pool block");
	else if (header->tag != tag)
		sh_stop(pool, 0xC2, 0xA, block, header->tag, tag,
			"freed a block with another tag than it was allocated with");
	else if (lfh_subsegment_of(header)->signature !=
		 lfh_signature(pool, lfh_subsegment_of(header)))
		sh_stop(pool, 0x19, 0x20, block, header->page, 0,
			"the header leads to no subsegment: overwritten");
	else
		sh_stop(pool, 0x19, 0x20, block, header->index, 0,
			"the header's index is another block's, or the block is free already");
}

static __attribute__((noinline)) void free_vs(struct pool *pool, struct sh_header *header)
{
	enum pool_type type = (enum pool_type)(header->kind & 1);
	struct sh_heap *heap = &pool->heaps[type];
	size_t bytes = (size_t)header->index * SH_UNIT_BYTES - VS_SMALL_BYTES;

	if (pool->options.lookaside == SH_LOOKASIDE_SHARED && has_lookaside(bytes)) {
		unsigned bucket = sh_bucket(bytes);

		if (bytes == sh_bucket_bytes(bucket) && lookaside_push_shared(heap, bucket, header))
			return;
	}
	vs_free_small(heap, header);
}

/* To the processor's list for the chunk's size. Calls nothing but in tail position. */
static inline void free_kept(struct pool *pool, struct sh_header *header)
{
	struct sh_processor *processor = current;
	enum pool_type type = (enum pool_type)(header->kind & 1);
	unsigned units = header->index, number;

	if (__builtin_expect(processor->pool == pool && units <= SH_CHUNK_UNITS_MAX, 1)) {
		number = processor->list_of_chunk[units];
		if (__builtin_expect(number != 0, 1) &&
		    lookaside_push(&processor->lookasides[type].lists[number - 1], header, type))
			return;
	}
	free_vs(pool, header);
}

/* A bitmap's owner frees a block of its own: no lock, nothing interlocked. */
static inline void free_own(struct pool *pool, struct lfh_subsegment *subsegment,
			    struct sh_header *header, uint32_t tag)
{
	unsigned word = header->index / 64;
	uint64_t bits = subsegment->bits[word], freed = bits | 1ull << header->index % 64;

	if (__builtin_expect(freed == bits, 0)) {
		free_refuse(pool, header, tag);
		return;
	}
	subsegment->bits[word] = freed;
	subsegment->available |= 1u << word;
	subsegment->free_count++;
	header->kind = SH_FREE;
	/* One branch that is nearly never taken, of three conditions. */
	if (__builtin_expect((subsegment->state == LFH_FULL) |
				     ((subsegment->state == LFH_PARTIAL) &
				      (subsegment->free_count == subsegment->block_count)),
			     0))
		lfh_settle(subsegment);
}

static inline void free_lfh(struct pool *pool, struct sh_header *header, uint32_t tag)
{
	struct lfh_subsegment *subsegment = lfh_subsegment_of(header);
	struct sh_processor *processor = current;

	if (__builtin_expect(subsegment->signature != lfh_signature(pool, subsegment) ||
				     lfh_header_at(subsegment, header->index) != header,
			     0)) {
		free_refuse(pool, header, tag);
	} else if (subsegment->owner == processor) {
		free_own(pool, subsegment, header, tag);
	} else {
		if (processor->pool == pool)
			processor->remote_frees++;
		lfh_free_remote(pool, subsegment, header);
	}
}

static void sh_free(struct pool *pool, void *block, uint32_t tag)
{
	struct sh_header *header = sh_header_of(block);
	unsigned kind;

	if (__builtin_expect(sh_page_aligned(block), 0)) {
		free_big(pool, block, tag);
		return;
	}
	kind = header->kind & ~1u;
	if (__builtin_expect(header->tag != tag, 0))
		free_refuse(pool, header, tag);
	else if (__builtin_expect(kind == SH_LFH, 1))
		free_lfh(pool, header, tag);
	else if (kind == SH_VS)
		free_kept(pool, header);
	else
		free_refuse(pool, header, tag);
}

/* ---- queries ---- */

static size_t sh_block_bytes(struct pool *pool, const void *block)
{
	const struct sh_header *header = sh_header_of(block);

	if (sh_page_aligned(block))
		return big_find(pool, block).bytes;
	if ((header->kind & ~1u) == SH_LFH)
		return lfh_subsegment_of(header)->layout.stride;
	return (size_t)header->index * SH_UNIT_BYTES;
}

static int sh_tag_of(struct pool *pool, const void *block, uint32_t *tag)
{
	struct big_block big;

	if (!sh_page_aligned(block)) {
		*tag = sh_header_of(block)->tag;
		return 0;
	}
	big = big_find(pool, block);
	if (big.place <= BIG_FREE)
		return -ENODATA;
	*tag = big.tag;
	return 0;
}

static int sh_thread_enter(struct pool *pool, unsigned processor)
{
	if (processor >= pool->processor_count)
		return -EINVAL;
	current = &pool->processors[processor];
	return 0;
}

static void sh_thread_exit(struct pool *pool)
{
	(void)pool;
	current = &outsider;
}

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
		vs_flush(&pool->heaps[type]);
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

/* Takes the control area and lays it out: pool, processors, slots, segment map. */
static struct pool *control_create(const struct pool_config *config, size_t buckets, bool is_shared)
{
	struct page_source *source = config->pages[POOL_NONPAGED];
	size_t mibs = mibs_of(source), processors_at, slots_at, map_at, bytes, commit;
	struct lfh_slot *slots;
	struct pool *pool;

	if (mibs < mibs_of(config->pages[POOL_PAGED]))
		mibs = mibs_of(config->pages[POOL_PAGED]);
	processors_at = align_line(sizeof(struct pool));
	slots_at = processors_at + config->processors * sizeof(struct sh_processor);
	map_at = slots_at +
		 (size_t)(config->processors + 1) * POOL_TYPES * buckets * sizeof(*slots);
	bytes = page_source_round_up(source, map_at + mibs * POOL_TYPES);
	commit = page_source_round_up(source, map_at);
	pool = page_source_reserve(source, bytes, 0);
	if (!pool)
		return NULL;
	if (page_source_commit(source, pool, commit) != 0) {
		page_source_release(source, pool, bytes);
		return NULL;
	}
	pool->processors = (struct sh_processor *)((char *)pool + processors_at);
	slots = (struct lfh_slot *)((char *)pool + slots_at);
	for (unsigned type = 0; is_shared && type < POOL_TYPES; type++, slots += buckets)
		pool->heaps[type].shared_slots = slots;
	for (unsigned i = 0; i < config->processors; i++)
		for (unsigned type = 0; type < POOL_TYPES; type++, slots += buckets)
			pool->processors[i].slots[type] = slots;
	pool->map = (_Atomic uint8_t *)((char *)pool + map_at);
	pool->map_entries = commit - map_at;
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
	processor->lfh_bytes = options->lfh ? options->lfh_max : 0;
	if (options->lookaside == SH_LOOKASIDE_PROCESSOR)
		lookaside_tables_init(processor);
	for (unsigned i = 0; i < SH_RANDOMS; i++)
		processor->random[i] = options->random ? random_next(random) & 63 : 0;
	for (unsigned type = 0; type < POOL_TYPES; type++) {
		lookaside_init(pool, &processor->lookasides[type], NULL);
		for (unsigned bucket = 1; bucket < pool->lfh_buckets; bucket++)
			lfh_slot_init(pool, &processor->slots[type][bucket], processor,
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
	vs_init(&heap->vs);
	lookaside_init(pool, &heap->shared_lookasides, heap->shared_lookaside_locks);
	for (unsigned bucket = 1; bucket < pool->lfh_buckets; bucket++) {
		if (heap->shared_slots)
			lfh_slot_init(pool, &heap->shared_slots[bucket], NULL, type, bucket);
		heap->buckets[bucket].is_spread = is_spread;
	}
}

static int sh_create(const struct pool_config *config, struct pool **out)
{
	const struct sh_options *options = config->values;
	uint64_t random = config->seed;
	unsigned buckets = options->lfh ? sh_bucket(options->lfh_max) + 1 : 0;
	struct pool *pool;

	if (options->large_segment & (options->large_segment - 1))
		return -EINVAL;
	pool = control_create(config, buckets, options->lfh_slots == LFH_SLOTS_CONTENTION);
	if (!pool)
		return -ENOMEM;
	pool->options = *options;
	pool->stop = config->stop;
	pool->stop_arg = config->stop_arg;
	pool->cookie = random_next(&random);
	pool->processor_count = config->processors;
	pool->lfh_buckets = buckets;
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
