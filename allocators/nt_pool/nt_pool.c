/*
 * nt-pool: the classic Windows kernel pool, as from Windows 2000 to Windows 10 1809.
 *
 * 1. Sources. Microsoft's driver documentation (the rules of the interface); Solomon, Russinovich
 *    and Ionescu, Windows Internals (structure, lookaside lists, limits); Mandt, "Kernel Pool
 *    Exploitation on Windows 7" (2011: headers, lists, splitting, deferred frees). docs/nt-pool.md
 *    has the details.
 *
 * 2. Layout. A pool page is carved into blocks in units of 16 bytes. Each begins with a header that
 *    has its own and its predecessor's size, so that both neighbours are found when it is freed:
 *
 *        page start                                                                    page end
 *        |hdr| block A     |hdr| free .............................. |hdr| block C |hdr| block B |
 *        prev 0, size a    prev a, size f                            prev f, size c prev c, size b
 *        A from the front of the fresh page; B, then C from the back of what was left over
 *
 *                       alloc(n)                             free(block)
 *                          |                                     |
 *              n <= 0x1F0  v                                     v  headers disagree: stop
 *            lookaside list of this processor <------------- push while count < depth
 *                 empty    |                                     | full
 *                          v                                     v
 *            descriptor: 256 lists by size, one lock <------ merge with neighbours
 *                 empty    |                                     | page wholly free
 *                          v                                     v
 *            page layer: runs of OS pages, one lock a type <---- page
 *                 empty    |                                     | more than `retain` is free
 *                          v                                     v
 *            page source (reserve, commit)                  page source (decommit, release)
 *
 *    A request of more than 0xFE0 bytes goes to the page layer at once, and into the big-page table.
 *
 * 3. Concurrency. Lookaside lists belong to a processor; the contract has at most one thread a
 *    processor, so they need neither locks nor atomics. A block freed on another processor goes to
 *    that one's list. Everything else is behind spin locks: one a descriptor, one a page layer, one
 *    for the big-page table. None is held while another is taken, and none across a call into the
 *    page source but control_lock, which only guards the growth of the control area. A busy block's
 *    header is its owner's, except previous_size, which whoever changes the block in front writes
 *    under the descriptor's lock and nobody reads without it but the owner of that block in front
 *    (whose size, being busy, does not change).
 *
 * 4. Bounds. Waste inside a block: the header and under one unit, 31 bytes at most (an IRP that is
 *    rounded up to its I/O list's stack locations excepted). A whole OS page is never kept in a
 *    descriptor. Search: four bitmap words. Lookaside lists keep at most depth blocks each, 256 *
 *    512 bytes; the sum is seen by walk as cached. Free pages kept: `retain` bytes a type.
 *
 * 5. Pool pages larger than an OS page are taken from the page source and given back as units. In
 *    between they are OS pages: blocks obey the page rules and never merge across one, big blocks
 *    and free runs may span pool pages.
 *
 * 6. Capabilities: page rules, residency, tags, trim, walk, check, counters; all memory, its own
 *    included, comes from the page sources (control data from the nonpaged one). What the lookaside
 *    lists do not serve of nonpaged pool is behind one lock a node: POOL_CAP_GLOBAL_LOCK says so.
 *
 * 7. Departures from the original. Speed only: a bitmap finds the first non-empty list; a processor
 *    has its own turn of the paged descriptors, where Windows shares one counter; locks yield when
 *    the holder has lost its core. By the harness: lookaside lists are tuned by the processor
 *    itself at intervals that repeat, not once a second by another thread; memory goes back to the
 *    page source above `retain`. There is one nonpaged descriptor because a page source has one
 *    NUMA node, unless nonpaged_pools models several; session pool and quotas have no counterpart. A block kept by a lookaside list is
 *    marked, so that a double free is caught at once.
 */
#include <errno.h>

#include "allocators/backends.h"
#include "allocators/options.h"
#include "nt_pool.h"

static const char *const tuning_names[] = { "count", "clock", "off", NULL };

static const struct option_def nt_option_table[] = {
	OPTION_BOOL(struct nt_options, lookaside, "on",
		    "per-processor lookaside lists up to lookaside_max"),
	OPTION_SIZE(struct nt_options, lookaside_max, "512", 2 * NT_UNIT_BYTES,
		    (NT_PAGE_UNITS - 1) * NT_UNIT_BYTES,
		    "largest block, header included, that has lookaside lists (Windows: 512)"),
	OPTION_BOOL(struct nt_options, io, "on",
		    "lookaside lists for IRPs of 5 to 20 stack locations"),
	OPTION_UINT(struct nt_options, depth, "256", 1, NT_DEPTH_MAX, "blocks",
		    "largest depth of a lookaside list (it starts with 4)"),
	OPTION_ENUM(struct nt_options, tuning, "count", tuning_names,
		    "when the depths are tuned: every `interval` allocations, each second, never"),
	OPTION_UINT(struct nt_options, interval, "4096", 64, 1 << 30, "allocations",
		    "allocations of a processor between two tunings (tuning=count)"),
	OPTION_BOOL(struct nt_options, deferred, "off", "merge freed blocks in batches of 32"),
	OPTION_UINT(struct nt_options, nonpaged_pools, "1", 1, 16, "descriptors",
		    "nonpaged descriptors, one a modelled NUMA node of neighbouring processors"),
	OPTION_UINT(struct nt_options, paged_pools, "4", 1, 16, "descriptors",
		    "paged descriptors, used in turn"),
	OPTION_BOOL(struct nt_options, slack, "on",
		    "return the end of a big block's last page to the free lists"),
	OPTION_SIZE(struct nt_options, retain, "8M", 0, 1ull << 40,
		    "free pages kept a pool type; above, pages go back until half of it is left"),
	OPTION_SIZE(struct nt_options, expand, "64K", POOL_OS_PAGE, 1u << 30,
		    "asked of the page source at a time, at least"),
	OPTION_END,
};

#define UNLIKELY(condition) __builtin_expect(condition, 0)

/* What a thread that entered no pool stands for: a processor of none. Never written. */
static struct nt_processor outsider;
static _Thread_local struct nt_processor *current = &outsider;

void nt_stop(struct pool *pool, uint32_t code, uint64_t reason, const void *where, uint64_t a,
	     uint64_t b, const char *text)
{
	struct pool_stop stop = {
		.code = code,
		.arguments = { reason, (uintptr_t)where, a, b },
		.text = text,
	};

	pool->stop(pool->stop_arg, &stop);
}

static struct nt_processor *current_of(const struct pool *pool)
{
	return current->pool == pool ? current : NULL;
}

/* The nonpaged descriptor is that of the processor's node; the paged ones are taken in turn. */
static unsigned descriptor_choose(struct pool *pool, enum pool_type type)
{
	struct nt_processor *processor = current_of(pool);
	unsigned paged = pool->options.nonpaged_pools;

	if (!processor)
		return type == POOL_NONPAGED ? 0 : paged;
	if (type == POOL_NONPAGED)
		return processor->nonpaged;
	if (++processor->paged_turn >= pool->descriptor_count)
		processor->paged_turn = (uint8_t)paged;
	return processor->paged_turn;
}

static __attribute__((noinline)) void *alloc_slow(struct pool *pool, enum pool_type type,
						  size_t bytes, uint32_t tag)
{
	if (bytes > NT_SMALL_BYTES_MAX)
		return nt_big_alloc(pool, descriptor_choose(pool, type), bytes, tag);
	return nt_block_alloc(pool, descriptor_choose(pool, type), nt_units(bytes), tag);
}

/* A list is empty, or due to report to its processor. */
static __attribute__((noinline)) void *alloc_uncommon(struct pool *pool, enum pool_type type,
						      size_t bytes, uint32_t tag)
{
	unsigned number = nt_list_number(pool, type, nt_units(bytes), tag);
	struct nt_lookaside *list = &current->lists[number];

	if (number == NT_NO_LIST)
		return alloc_slow(pool, type, bytes, tag);
	if (list->allocates % NT_TUNING_STEP == 0)
		nt_lookaside_step(current);
	if (list->head)
		return nt_lookaside_pop(list, type, tag);
	list->allocate_misses++;
	/* An I/O list's blocks are larger than what was asked for. */
	return nt_block_alloc(pool, descriptor_choose(pool, type), list->units, tag);
}

/* Calls nothing but in tail position, so that the common case needs no frame. */
static void *nt_alloc(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	struct nt_processor *processor = current;
	struct nt_lookaside *list;

	if (UNLIKELY(processor->pool != pool || bytes > NT_SMALL_BYTES_MAX))
		return alloc_slow(pool, type, bytes, tag);
	list = &processor->lists[nt_list_number(pool, type, nt_units(bytes), tag)];
	if (UNLIKELY(++list->allocates % NT_TUNING_STEP == 0 || !list->head))
		return alloc_uncommon(pool, type, bytes, tag);
	return nt_lookaside_pop(list, type, tag);
}

/* Names what is wrong with a block that free refused. */
static __attribute__((noinline)) void free_refuse(struct pool *pool, const struct nt_header *header,
						  uint32_t tag)
{
	const void *block = nt_body_of(header);
	unsigned state, units;

	if (!page_source_contains(pool->pages[POOL_NONPAGED].source, block) &&
	    !page_source_contains(pool->pages[POOL_PAGED].source, block)) {
		nt_stop(pool, 0xC2, 0x99, block, 0, 0, "freed an address outside of both pools");
		return;
	}
	state = nt_state(header);
	units = header->block_size;
	if (state == 0 || (state & NT_CACHED))
		nt_stop(pool, 0xC2, 7, block, header->tag, 0, "freed a block that is free already");
	else if (state != nt_busy_state(POOL_NONPAGED) && state != nt_busy_state(POOL_PAGED))
		nt_stop(pool, 0x19, 0x20, block, state, units,
			"the header is no block's: overwritten, or no pool block");
	else if (units < 2 ||
		 (((uintptr_t)header & (POOL_OS_PAGE - 1)) + units * NT_UNIT_BYTES > POOL_OS_PAGE))
		nt_stop(pool, 0x19, 0x20, block, units, 0,
			"the header's size is impossible: overwritten");
	else if (header->tag != tag)
		nt_stop(pool, 0xC2, 0xA, block, header->tag, tag,
			"freed a block with another tag than it was allocated with");
	else
		nt_stop(pool, 0x19, 5, header, units, nt_header_after(header, units)->previous_size,
			"the next block's header disagrees about the size: an overrun");
}

/* The block's type by its header, if header and witness are a live block's of this tag; else POOL_TYPES or more. */
static inline unsigned live_type(struct nt_header *header, uint32_t tag)
{
	unsigned type = nt_state(header) - nt_busy_state(POOL_NONPAGED);
	unsigned units = header->block_size;

	if (UNLIKELY(type >= POOL_TYPES || header->tag != tag ||
		     *nt_size_witness(header, units) != units))
		return POOL_TYPES;
	return type;
}

/* What no list keeps, and what is no block: looks again, so that the common case has nothing to hand over. */
static __attribute__((noinline)) void free_uncommon(struct pool *pool, void *block, uint32_t tag)
{
	struct nt_header *header = nt_header_of(block);

	if (nt_page_aligned(block))
		nt_big_free(pool, block, tag);
	else if (live_type(header, tag) >= POOL_TYPES || header->block_size < 2)
		free_refuse(pool, header, tag);
	else
		nt_block_free(pool, header);
}

/* As in nt_alloc, no frame. */
static void nt_free(struct pool *pool, void *block, uint32_t tag)
{
	struct nt_processor *processor = current;
	struct nt_header *header = nt_header_of(block);
	struct nt_lookaside *list;
	unsigned type, units;

	if (UNLIKELY(nt_page_aligned(block) || processor->pool != pool)) {
		free_uncommon(pool, block, tag);
		return;
	}
	type = live_type(header, tag);
	if (UNLIKELY(type >= POOL_TYPES)) {
		free_uncommon(pool, block, tag);
		return;
	}
	units = header->block_size;
	list = &processor->lists[nt_list_number(pool, type, units, tag)];
	/* An IRP that no I/O list handed out may have a size between theirs. */
	if (UNLIKELY(list->units != units || !nt_lookaside_push(list, header, type)))
		free_uncommon(pool, block, tag);
}

static size_t nt_block_bytes(struct pool *pool, const void *block)
{
	struct nt_big_entry entry;

	if (!nt_page_aligned(block))
		return (size_t)nt_header_of(block)->block_size * NT_UNIT_BYTES;
	return nt_big_find(pool, block, &entry) ? nt_big_block_bytes(&entry) : 0;
}

static int nt_tag_of(struct pool *pool, const void *block, uint32_t *tag)
{
	struct nt_big_entry entry;

	if (!nt_page_aligned(block)) {
		*tag = nt_header_of(block)->tag;
		return 0;
	}
	if (!nt_big_find(pool, block, &entry))
		return -ENODATA;
	*tag = entry.tag;
	return 0;
}

static int nt_thread_enter(struct pool *pool, unsigned processor)
{
	if (processor >= pool->processor_count)
		return -EINVAL;
	current = nt_processor_of(pool, processor);
	return 0;
}

static void nt_thread_exit(struct pool *pool)
{
	(void)pool;
	current = &outsider;
}

static uint64_t pages_given(const struct pool *pool)
{
	return (pool->pages[POOL_NONPAGED].given + pool->pages[POOL_PAGED].given) *
	       pool->control_source->page_size;
}

/* What the flushes free may already be more than `retain` and go back then: the counters know. */
static size_t nt_trim(struct pool *pool)
{
	uint64_t before = pages_given(pool);
	size_t table_bytes;

	nt_lookaside_flush(pool);
	for (unsigned type = 0; type < POOL_TYPES; type++)
		nt_pending_flush_type(pool, type);
	table_bytes = nt_big_shrink(pool);
	for (unsigned type = 0; type < POOL_TYPES; type++)
		nt_pages_give(pool, type, 0);
	return table_bytes + (size_t)(pages_given(pool) - before);
}

/* control_lock is held across the commit: who waits for it needs the same memory. */
int nt_control_reach(struct pool *pool, size_t page)
{
	size_t chunks = ((page >> NT_CHUNK_SHIFT) + 1) * POOL_TYPES, need;
	int error = 0;

	need = page_source_round_up(pool->control_source,
				    (size_t)((char *)&pool->chunks[chunks] - (char *)pool));
	spinlock_acquire(&pool->control_lock);
	if (need > pool->control_committed) {
		error = page_source_commit(pool->control_source,
					   (char *)pool + pool->control_committed,
					   need - pool->control_committed);
		if (!error)
			pool->control_committed = need;
	}
	spinlock_release(&pool->control_lock);
	return error;
}

static size_t align_line(size_t bytes)
{
	return (bytes + 2 * NT_LINE - 1) & ~(size_t)(2 * NT_LINE - 1);
}

static size_t chunks_of(const struct page_source *source)
{
	return ((source->range_bytes >> NT_PAGE_SHIFT) >> NT_CHUNK_SHIFT) + 1;
}

/* Takes the control area and lays it out: pool, descriptors, processors, page bitmaps. */
static struct pool *control_create(const struct pool_config *config)
{
	const struct nt_options *options = config->values;
	struct page_source *source = config->pages[POOL_NONPAGED];
	unsigned descriptors = options->nonpaged_pools + options->paged_pools;
	unsigned lists = nt_list_count(options);
	size_t processor_bytes = align_line(sizeof(struct nt_processor) +
					    lists * sizeof(struct nt_lookaside));
	size_t chunks = chunks_of(source), descriptors_at, processors_at, chunks_at, bytes, commit;
	struct pool *pool;

	if (chunks < chunks_of(config->pages[POOL_PAGED]))
		chunks = chunks_of(config->pages[POOL_PAGED]);
	descriptors_at = align_line(sizeof(struct pool));
	processors_at = descriptors_at + descriptors * sizeof(struct nt_descriptor);
	chunks_at = processors_at + config->processors * processor_bytes;
	bytes = page_source_round_up(source,
				     chunks_at + chunks * POOL_TYPES * sizeof(struct nt_chunk));
	commit = page_source_round_up(source, chunks_at);
	pool = page_source_reserve(source, bytes, 0);
	if (!pool)
		return NULL;
	if (page_source_commit(source, pool, commit) != 0) {
		page_source_release(source, pool, bytes);
		return NULL;
	}
	pool->descriptors = (struct nt_descriptor *)((char *)pool + descriptors_at);
	pool->descriptor_count = descriptors;
	pool->processors = (struct nt_processor *)((char *)pool + processors_at);
	pool->processor_count = config->processors;
	pool->processor_bytes = processor_bytes;
	pool->list_count = lists;
	pool->chunks = (struct nt_chunk *)((char *)pool + chunks_at);
	pool->control_source = source;
	pool->control_bytes = bytes;
	pool->control_committed = commit;
	return pool;
}

static void control_destroy(struct pool *pool)
{
	struct page_source *source = pool->control_source;
	size_t bytes = pool->control_bytes;

	page_source_decommit(source, pool, pool->control_committed);
	page_source_release(source, pool, bytes);
}

/* Neighbouring processors share a node. */
static void processor_init(struct pool *pool, unsigned index)
{
	struct nt_processor *processor = nt_processor_of(pool, index);
	unsigned nodes = pool->options.nonpaged_pools;

	processor->pool = pool;
	processor->nonpaged = (uint8_t)(index * nodes / pool->processor_count);
	processor->paged_turn = (uint8_t)(nodes - 1);
	nt_lookaside_init(pool, processor);
}

static int nt_create(const struct pool_config *config, struct pool **out)
{
	const struct nt_options *options = config->values;
	struct pool *pool = control_create(config);

	if (!pool)
		return -ENOMEM;
	pool->options = *options;
	pool->stop = config->stop;
	pool->stop_arg = config->stop_arg;
	if (nt_big_init(pool) != 0) {
		control_destroy(pool);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < pool->descriptor_count; i++)
		nt_descriptor_init(&pool->descriptors[i], i,
				   i < options->nonpaged_pools ? POOL_NONPAGED : POOL_PAGED);
	nt_list_numbers_init(pool);
	for (unsigned i = 0; i < pool->processor_count; i++)
		processor_init(pool, i);
	for (unsigned type = 0; type < POOL_TYPES; type++)
		nt_pages_init(pool, type, config->pages[type]);
	*out = pool;
	return 0;
}

static void nt_destroy(struct pool *pool)
{
	if (!pool)
		return;
	for (unsigned type = 0; type < POOL_TYPES; type++)
		nt_pages_destroy(&pool->pages[type]);
	page_source_give(pool->control_source, pool->big.entries, pool->big.bytes);
	control_destroy(pool);
}

const struct pool_backend nt_pool_backend = {
	.abi = POOL_ABI,
	.caps = POOL_CAP_NATIVE | POOL_CAP_PAGE_RULES | POOL_CAP_RESIDENT | POOL_CAP_GLOBAL_LOCK |
		POOL_CAP_TAGS | POOL_CAP_TRIM | POOL_CAP_WALK | POOL_CAP_CHECK | POOL_CAP_COUNTERS,
	.name = "nt-pool",
	.summary = "the classic Windows pool (2000 .. 10 1809): lookaside lists over boundary tags",
	.options = nt_option_table,
	.options_bytes = sizeof(struct nt_options),
	.create = nt_create,
	.destroy = nt_destroy,
	.alloc = nt_alloc,
	.free = nt_free,
	.block_bytes = nt_block_bytes,
	.thread_enter = nt_thread_enter,
	.thread_exit = nt_thread_exit,
	.trim = nt_trim,
	.walk = nt_walk,
	.check = nt_check,
	.tag_of = nt_tag_of,
	.counters = nt_counters,
};
