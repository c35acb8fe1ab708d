/*
 * buddy: the binary buddy system, with per-processor caches in front.
 *
 * 1. Sources. Knowlton, "A Fast Storage Allocator" (CACM 8(10), 1965); Knuth, The Art of Computer
 *    Programming, volume 1, 2.5, algorithms R and S; for the caches the page allocator of Linux (free
 *    lists by order, per-cpu lists of a batch and a high mark). docs/buddy.md has the details.
 *
 * 2. Layout. A span of addresses is cut in halves until a block of the right order is there; a block that is
 *    freed merges with the other half, its buddy, if that is free as a whole, and so on upwards. Block
 *    and buddy differ in one bit of their addresses.
 *
 *        order   3 |               0                |        free lists, a pair an order
 *                2 |       0       |    free        |        [0] -> B
 *                1 |   A   |   0   |                |        [1]
 *                0 |       | C | B |                |        [2] -> the upper half
 *        map       A1......Cu..Bf..2f..............
 *                  a byte a unit; a block's first has its order and state
 *
 *    Blocks have no header. What is known of them is in the order map, out of line; the links of free
 *    blocks are in the blocks themselves, or in the map where a block is whole pages, because these
 *    may have no memory: a page is committed when a block reaches it and decommitted while it is free
 *    and more than `retain` is. Free blocks with memory are in lists of their own and taken first.
 *
 * 3. Concurrency. One lock a pool type, for its lists and for the marks of free blocks. A processor's stacks
 *    are its own: they need neither lock nor atomic instruction, and the map is only read. A batch goes to and
 *    from the processor's shelf, under its lock, and what the shelf has no room for to the lists (caches.c). A used
 *    block's mark does not change until it is freed to the lists; who frees its buddy looks at it under the lock, sees "not
 *    free", and stops there. The page source is entered without the lock, for blocks that are taken out (spans.c).
 *
 * 4. Bounds. A block is less than twice its request, above `min`. At most max_order splits or merges an
 *    operation. The map takes 1/min of a span. Stacks keep at most `high` blocks, and at most `cache`
 *    bytes, an order, shelves `shelf` bytes; `retain` bounds what is free and committed besides. Blocks are aligned to
 *    their size, so that none smaller than a page crosses one.
 *
 * 5. Capabilities: page rules, residency, trim, walk, check, counters. No tags: there is no header.
 *
 * 6. Departures from the originals. A map instead of a tag bit and a size in the block. More than a span:
 *    pages of its own, not rounded to a power of two. Free blocks of whole pages need not be committed.
 *    pcp=off is the plain system, pcp=pages caches pages only, as Linux 2.6 did.
 */
#include <errno.h>

#include "allocators/backends.h"
#include "allocators/options.h"
#include "buddy.h"

#define UNLIKELY(condition) __builtin_expect(condition, 0)

static const char *const pcp_names[] = { "off", "pages", "on", NULL };

static const struct option_def buddy_option_table[] = {
	OPTION_SIZE(struct buddy_options, min, "32", 16, 128,
		    "the smallest block, a power of two: order 0"),
	OPTION_SIZE(struct buddy_options, span, "1M", 16 << 10, 1 << 30,
		    "the largest block, a power of two; raised to min pool pages"),
	OPTION_SIZE(struct buddy_options, expand, "32K", POOL_OS_PAGE, 1 << 30,
		    "committed at a time where that much is free, a power of two"),
	OPTION_SIZE(struct buddy_options, retain, "8M", 0, 1ull << 40,
		    "free memory kept a pool type; above, half of it is given back"),
	OPTION_ENUM(struct buddy_options, pcp, "on", pcp_names,
		    "per-processor caches: of no order, of OS pages, of all orders up to OS pages"),
	OPTION_UINT(struct buddy_options, batch, "16", 1, 1024, "blocks",
		    "moved between a cache and the lists at a time"),
	OPTION_UINT(struct buddy_options, high, "64", 1, 4096, "blocks",
		    "most blocks of an order in a processor's cache"),
	OPTION_SIZE(struct buddy_options, cache, "32K", 0, 1 << 30,
		    "most bytes of an order in a processor's cache, but 4 blocks at least"),
	OPTION_SIZE(struct buddy_options, shelf, "256K", 0, 1 << 30,
		    "most bytes of an order on a processor's shelf, and 8 * high blocks; 0: none"),
	OPTION_END,
};

static _Thread_local unsigned thread_processor;

/* ------------------------------------------------------------------------------------------------
 * The contract's hooks.
 */

static __attribute__((noinline)) void *alloc_slow(struct pool *pool, enum pool_type type,
						  unsigned order)
{
	struct buddy_processor *processor = &pool->processors[thread_processor];
	void *block;

	if (processor->caches[type][order].high == 0)
		return buddy_block_alloc(pool, type, processor, order);
	block = buddy_cache_refill(pool, type, processor, order);
	if (block)
		buddy_seal_set(block, 0);
	return block;
}

static void *buddy_alloc(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	struct buddy_heap *heap = &pool->heaps[type];
	struct buddy_cache *cache;
	unsigned order;
	void *block;

	(void)tag;
	if (UNLIKELY(bytes > (size_t)1 << heap->span_shift))
		return buddy_huge_alloc(heap, bytes);
	order = buddy_order_for(heap, bytes);
	cache = &pool->processors[thread_processor].caches[type][order];
	if (UNLIKELY(cache->count == 0))
		return alloc_slow(pool, type, order);
	block = cache->blocks[--cache->count];
	cache->hits++;
	buddy_seal_set(block, 0);
	return block;
}

static __attribute__((noinline)) void free_refuse(struct pool *pool, const void *block,
						  unsigned mark, bool twice)
{
	struct pool_stop stop = {
		.code = 0xC2,
		.arguments = { 0x99, (uintptr_t)block, mark, 0 },
		.text = "freed an address that no block begins at",
	};

	if (twice) {
		stop.arguments[0] = 7;
		stop.text = "freed a block that is free already";
	}
	pool->stop(pool->stop_arg, &stop);
}

/* The heap whose page source an address lies in; NULL: neither. */
static struct buddy_heap *heap_of(struct pool *pool, const void *block)
{
	for (unsigned type = 0; type < POOL_TYPES; type++)
		if (buddy_contains(&pool->heaps[type], block))
			return &pool->heaps[type];
	return NULL;
}

static void buddy_free(struct pool *pool, void *block, uint32_t tag)
{
	struct buddy_heap *heap = heap_of(pool, block);
	struct buddy_cache *cache;
	unsigned mark, order;

	(void)tag;
	if (UNLIKELY(!heap)) {
		free_refuse(pool, block, 0, false);
		return;
	}
	if (buddy_is_huge(heap, block)) {
		buddy_huge_free(heap, block);
		return;
	}
	mark = buddy_mark_get(buddy_mark_of(heap, block));
	order = mark & BUDDY_ORDER_MASK;
	if (UNLIKELY((mark & ~BUDDY_ORDER_MASK) != BUDDY_USED ||
		     ((uintptr_t)block & (buddy_bytes(heap, order) - 1)) != 0)) {
		free_refuse(pool, block, mark, mark & BUDDY_FREE);
		return;
	}
	cache = &pool->processors[thread_processor].caches[heap->type][order];
	if (!cache->high) {
		buddy_blocks_free(heap, &block, 1, order);
		return;
	}
	if (UNLIKELY(*(uint64_t *)block == buddy_seal(pool, block))) {
		free_refuse(pool, block, mark, true);
		return;
	}
	if (UNLIKELY(cache->count >= cache->high))
		buddy_cache_overflow(heap, &pool->processors[thread_processor], order);
	buddy_seal_set(block, buddy_seal(pool, block));
	cache->blocks[cache->count++] = block;
}

static size_t buddy_block_bytes(struct pool *pool, const void *block)
{
	const struct buddy_heap *heap = heap_of(pool, block);

	if (!heap)
		return 0;
	if (buddy_is_huge(heap, block))
		return buddy_span_of(heap, block)->huge_bytes;
	return buddy_bytes(heap, buddy_mark_get(buddy_mark_of(heap, block)) & BUDDY_ORDER_MASK);
}

static int buddy_thread_enter(struct pool *pool, unsigned processor)
{
	(void)pool;
	thread_processor = processor;
	return 0;
}

static void buddy_thread_exit(struct pool *pool)
{
	(void)pool;
	thread_processor = 0;
}

static uint64_t given_bytes(const struct pool *pool)
{
	return pool->heaps[POOL_NONPAGED].counts.given_bytes +
	       pool->heaps[POOL_PAGED].counts.given_bytes;
}

static size_t buddy_trim(struct pool *pool)
{
	const uint64_t before = given_bytes(pool);

	for (unsigned type = 0; type < POOL_TYPES; type++) {
		for (unsigned i = 0; i < pool->processor_count; i++)
			buddy_caches_flush(pool, type, &pool->processors[i]);
		buddy_shelves_empty(pool, type);
		buddy_shrink(&pool->heaps[type], 0);
	}
	return (size_t)(given_bytes(pool) - before);
}

/* ------------------------------------------------------------------------------------------------
 * Create and destroy.
 */

static unsigned log2_of(size_t power)
{
	return (unsigned)__builtin_ctzll(power);
}

static bool is_power(size_t value)
{
	return value && !(value & (value - 1));
}

/* Bytes that all processors' shelves of a type may hold. */
static size_t shelves_bytes(const struct pool *pool, enum pool_type type)
{
	size_t bytes = 0;

	for (unsigned order = 0; order < pool->cached_orders; order++)
		bytes += pool->processors[0].shelves[type][order].most *
			 (pool->options.min << order);
	return bytes * pool->processor_count;
}

/* Bytes that the lists may keep: shelves count, up to half. */
static size_t lists_retain(const struct pool *pool, enum pool_type type)
{
	const size_t retain = pool->options.retain, shelves = shelves_bytes(pool, type);

	return retain - (shelves < retain / 2 ? shelves : retain / 2);
}

static int heap_create(struct pool *pool, enum pool_type type, struct page_source *source)
{
	const struct buddy_options *options = &pool->options;
	struct buddy_heap *heap = &pool->heaps[type];

	heap->base = source->base;
	heap->range_bytes = source->range_bytes;
	heap->source = source;
	heap->type = type;
	heap->unit_shift = log2_of(options->min);
	heap->page_shift = log2_of(source->page_size);
	/* A span's part of the map is whole pages then, and the smallest span a page or more. */
	heap->span_shift = heap->page_shift + heap->unit_shift;
	if (heap->span_shift < log2_of(options->span))
		heap->span_shift = log2_of(options->span);
	heap->page_order = heap->page_shift - heap->unit_shift;
	heap->max_order = heap->span_shift - heap->unit_shift;
	heap->chunk_order = log2_of(options->expand) - heap->unit_shift;
	if (heap->chunk_order > heap->max_order)
		heap->chunk_order = heap->max_order;
	heap->retain_pages = lists_retain(pool, type) >> heap->page_shift;
	buddy_heap_init(heap);
	return buddy_spans_init(heap);
}

/* Blocks of an order that a cache keeps at most. */
static unsigned cache_high(const struct buddy_options *options, unsigned order)
{
	const size_t fit = options->cache / (options->min << order);
	const size_t high = fit < options->high ? fit : options->high;

	return high < 4 ? 4 : (unsigned)high;
}

static void cache_create(struct buddy_processor *processor, enum pool_type type, unsigned order,
			 const struct buddy_options *options, void **slots)
{
	struct buddy_cache *cache = &processor->caches[type][order];
	const size_t fit = options->retain ? options->shelf / (options->min << order) : 0;

	cache->high = cache_high(options, order);
	cache->batch = options->batch < cache->high / 2 ? options->batch : cache->high / 2;
	cache->blocks = slots;
	processor->shelves[type][order].most = fit < 8 * options->high ? (uint32_t)fit
								       : 8 * options->high;
}

/* Sets up the caches, or, without `at`, says how many slots they need for all processors. */
static size_t caches_create(struct pool *pool, const struct buddy_options *options,
			    unsigned processors, void **at)
{
	const unsigned page = log2_of(POOL_OS_PAGE) - log2_of(options->min);
	size_t slots = 0;

	for (unsigned i = 0; i < processors * POOL_TYPES; i++)
		for (unsigned order = 0; order <= page; order++) {
			if (options->pcp == BUDDY_PCP_OFF ||
			    (options->pcp == BUDDY_PCP_PAGES && order < page))
				continue;
			if (at)
				cache_create(&pool->processors[i / POOL_TYPES], i % POOL_TYPES,
					     order, options, at + slots);
			slots += cache_high(options, order);
		}
	return slots;
}

/* The control area, nonpaged: struct pool, the processors, the slots of their caches. */
static struct pool *control_create(const struct pool_config *config)
{
	const struct buddy_options *options = config->values;
	struct page_source *source = config->pages[POOL_NONPAGED];
	const size_t processors_at = (sizeof(struct pool) + 127) & ~(size_t)127;
	const size_t slots_at = processors_at + config->processors * sizeof(struct buddy_processor);
	const size_t slots = caches_create(NULL, options, config->processors, NULL);
	const size_t bytes = page_source_round_up(source, slots_at + slots * sizeof(void *));
	struct pool *pool = page_source_take(source, bytes, 0);

	if (!pool)
		return NULL;
	pool->options = *options;
	pool->stop = config->stop;
	pool->stop_arg = config->stop_arg;
	pool->secret = (config->seed + 1) * 0x9E3779B97F4A7C15u;
	pool->control_source = source;
	pool->control_bytes = bytes;
	pool->processor_count = config->processors;
	pool->cached_orders = log2_of(POOL_OS_PAGE) - log2_of(options->min) + 1;
	pool->processors = (struct buddy_processor *)((char *)pool + processors_at);
	caches_create(pool, options, config->processors, (void **)((char *)pool + slots_at));
	return pool;
}

static int buddy_create(const struct pool_config *config, struct pool **out)
{
	const struct buddy_options *options = config->values;
	struct pool *pool;

	if (!is_power(options->min) || !is_power(options->span) || !is_power(options->expand))
		return -EINVAL;
	pool = control_create(config);
	if (!pool)
		return -ENOMEM;
	for (unsigned type = 0; type < POOL_TYPES; type++) {
		if (heap_create(pool, type, config->pages[type]) == 0)
			continue;
		while (type-- > 0)
			buddy_spans_destroy(&pool->heaps[type]);
		page_source_give(pool->control_source, pool, pool->control_bytes);
		return -ENOMEM;
	}
	*out = pool;
	return 0;
}

static void buddy_destroy(struct pool *pool)
{
	if (!pool)
		return;
	for (unsigned type = 0; type < POOL_TYPES; type++)
		buddy_spans_destroy(&pool->heaps[type]);
	page_source_give(pool->control_source, pool, pool->control_bytes);
}

const struct pool_backend buddy_backend = {
	.abi = POOL_ABI,
	.caps = POOL_CAP_NATIVE | POOL_CAP_PAGE_RULES | POOL_CAP_RESIDENT | POOL_CAP_TRIM |
		POOL_CAP_WALK | POOL_CAP_CHECK | POOL_CAP_COUNTERS,
	.name = "buddy",
	.summary = "binary buddy system: powers of two, per-processor caches, pages backed lazily",
	.options = buddy_option_table,
	.options_bytes = sizeof(struct buddy_options),
	.create = buddy_create,
	.destroy = buddy_destroy,
	.alloc = buddy_alloc,
	.free = buddy_free,
	.block_bytes = buddy_block_bytes,
	.thread_enter = buddy_thread_enter,
	.thread_exit = buddy_thread_exit,
	.trim = buddy_trim,
	.walk = buddy_walk,
	.check = buddy_check,
	.counters = buddy_counters,
};
