/*
 * slub: the unqueued slab allocator of Linux behind the kmalloc size classes.
 *
 * 1. Sources. C. Lameter, "SLUB: the unqueued slab allocator" (Linux 2.6.22, 2007), and his "Slab allocators in
 *    the Linux kernel: SLAB, SLOB, SLUB" (LinuxCon 2014); the comments of mm/slub.c; J. Bonwick, "The slab
 *    allocator" (USENIX 1994). The frozen bit and per-processor partial lists are of 3.1 and 3.2, links
 *    hardened of 4.14, shuffled of 4.7, sheaves of 6.18, for all caches of 7.0 (V. Babka). docs/slub.md has the details.
 *
 * 2. Layout. A slab is 2^order pool pages of objects of one size, nothing else: no header in front of an
 *    object or in the slab. A free object's first word links it. Slab descriptors and the page map, which leads
 *    from an address to its slab, lie apart in nonpaged memory (struct page in Linux).
 *
 *                    processor                              another processor
 *        freelist --> o -> o -> o                           free(x)
 *        slab -----------------+                              | page map
 *        partial --> slab ---+ |                              v
 *                            | |   +--------------------------------------------+
 *                            | +-->| used | o | used | o | x | used | o | ...   |  slab (frozen)
 *                            |     +--------------------------------------------+
 *                            |       state: {own list -> x, in use, frozen}, one word
 *                            v
 *                           slab (frozen)          node: lock, list of partial slabs (not frozen)
 *
 *        In front of it all, with sheaves (the default, sheaves.c): an array of free objects of any slabs, to
 *        which alloc and free go first, and which is filled and emptied by what follows.
 *
 *        alloc:  pop freelist; else take the slab's own list; else a partial slab of the processor;
 *                else of the node (lock); else a new slab from the page layer
 *        free:   push on freelist if it is the processor's slab; else on the slab's own list (slabs.c)
 *
 * 3. Concurrency. Linux guards {freelist, transaction id} of a processor by a compare-and-exchange
 *    without lock prefix: it fails if the task was interrupted or moved meanwhile, and the operation restarts.
 *    Here a processor is owned by one thread from thread_enter to thread_exit, and nothing interrupts it
 *    within alloc or free: the sequence would never restart, so it is plain loads and stores. The fast
 *    paths have no lock and no atomic read-modify-write, as there. All else hangs on the word `state` of a slab,
 *    see slabs.c. Locks: one a cache for its node's list, one a pool type for page runs, one for
 *    descriptors; none is taken while another is held. Threads that entered another pool share one more
 *    processor, under a lock that is taken before all others.
 *
 * 4. Bounds. Waste inside a block: under half of it, by kmalloc's classes; under a quarter from 64 to 1360
 *    bytes by the fitted ones. An empty slab is kept only as a processor's current or partial one
 *    (cpu_partial_slabs a cache) or as one of min_partial of the node; objects in sheaves, at most two a
 *    processor and `barn` a cache, keep theirs. Steps: constant, but for the partial lists that are handed over under one
 *    hold of the lock, at most cpu_partial_slabs, and the linking of a new slab's objects.
 *
 * 5. Capabilities: native, page rules, residency, trim, walk, check, counters. No tags: a block has no header.
 *
 * 6. Departures from the original. kmalloc-8 is left out (blocks are aligned to 16). Objects of 96 and 192
 *    bytes are laid out page by page (page rules; geometry.c). The link lies in an object's first word, also
 *    when hardened, not in its middle: the owner writes there next. The slab's word is 64 bits, a list
 *    head counted in units from the slab's start, not 128. The node's lock is dropped before empty slabs go
 *    back, and a new slab's objects are linked at once. Sheaves are twice as large by default. One node: a page source has one. Large blocks take
 *    whole pool pages, not a power of two of them. Neither accounting by control group nor debugging red zones.
 */
#include <errno.h>

#include "allocators/backends.h"
#include "allocators/options.h"
#include "slub.h"

static const char *const class_set_names[] = { "kmalloc", "fitted", NULL };

static const struct option_def slub_option_table[] = {
	OPTION_UINT(struct slub_options, sheaf, "120", 0, 1024, "objects",
		    "objects of a sheaf, 62 at most, fewer of sizes from 256 bytes on; 0: none"),
	OPTION_UINT(struct slub_options, barn, "10", 0, 1024, "sheaves",
		    "full sheaves kept a cache"),
	OPTION_UINT(struct slub_options, cpu_partial, "120", 0, 65536, "objects",
		    "free objects a processor keeps in partial slabs of sizes below 256; fewer of "
		    "larger; 0: none"),
	OPTION_UINT(struct slub_options, min_partial, "5", 0, 65536, "slabs",
		    "partial slabs a node keeps before it gives empty ones back"),
	OPTION_UINT(
		struct slub_options, min_objects, "0", 0, 65536, "objects",
		"least objects of a slab, as far as order allows; 0: 4 * (bits of processors + 1)"),
	OPTION_UINT(struct slub_options, order, "3", 0, 9, "log2(pages)",
		    "largest slab, in powers of two of pool pages"),
	OPTION_ENUM(struct slub_options, classes, "kmalloc", class_set_names,
		    "size classes: Linux's, or 26 that fit an OS page with little rest"),
	OPTION_BOOL(struct slub_options, hardened, "off",
		    "store links mixed with a secret, and stop when one leads out of its slab"),
	OPTION_BOOL(struct slub_options, random, "off", "shuffle the free list of a new slab"),
	OPTION_SIZE(struct slub_options, largest, "8K", 256, SLUB_LARGEST_BYTES,
		    "largest class; beyond it a block is whole pool pages"),
	OPTION_SIZE(struct slub_options, retain, "2M", 0, 1ull << 40,
		    "free page runs kept a pool type"),
	OPTION_END,
};

/* What a thread that entered no pool stands for: a processor of none. Never written. */
static struct slub_cpu outsider;
static _Thread_local struct slub_cpu *current = &outsider;

void slub_stop(struct pool *pool, uint32_t code, uint64_t reason, const void *where, uint64_t a,
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

static struct slub_cpu *cpu_enter(struct pool *pool)
{
	if (likely(current->pool == pool))
		return current;
	spinlock_acquire(&pool->outsider_lock);
	return &pool->cpus[pool->processors];
}

static void cpu_leave(struct pool *pool)
{
	if (unlikely(current->pool != pool))
		spinlock_release(&pool->outsider_lock);
}

static __attribute__((noinline)) void *alloc_slow(struct pool *pool, enum pool_type type,
						  size_t bytes)
{
	struct slub_cache *cache;
	struct slub_cpu *cpu;
	void *object;

	if (bytes > pool->options.largest)
		return slub_large_alloc(pool, type, bytes);
	cache = &pool->caches[type][pool->class_of[(bytes - 1) / SLUB_UNIT_BYTES]];
	cpu = cpu_enter(pool);
	cpu->events.alloc_slow++;
	if (pool->options.sheaf)
		object = slub_sheaf_alloc(pool, cpu, cache);
	else
		object = slub_object_alloc(pool, cpu, cache);
	cpu_leave(pool);
	return object;
}

static void *slub_alloc(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	const size_t unit = (bytes - 1) / SLUB_UNIT_BYTES;
	struct slub_cpu *cpu = current;
	struct slub_cpu_cache *mine;

	(void)tag;
	if (unlikely(cpu->pool != pool || unit >= SLUB_UNITS))
		return alloc_slow(pool, type, bytes);
	mine = &cpu->rows[(unsigned)type * SLUB_ROWS + cpu->row_of[unit]];
	if (likely(mine->top != mine->bottom))
		return *--mine->top;
	if (mine->freelist && !mine->main && !pool->options.hardened) {
		void *object = mine->freelist, *next = *(void **)object;

		mine->freelist = next;
		mine->inflow++;
		__builtin_prefetch(next, 1);
		return object;
	}
	return alloc_slow(pool, type, bytes);
}

/* ---- free ---- */

/* The page layer that an address belongs to, or NULL. */
static inline struct slub_pages *pages_of(struct pool *pool, const void *block)
{
	for (unsigned type = 0; type < POOL_TYPES; type++)
		if (likely(slub_pages_have(&pool->pages[type], block)))
			return &pool->pages[type];
	return NULL;
}

static void free_refuse(struct pool *pool, const struct slub_pages *pages, const void *block)
{
	if (!pages)
		slub_stop(pool, 0xC2, 0x99, block, 0, 0, "freed an address outside of both pools");
	else
		slub_stop(pool, 0xC2, 0x46, block, 0, 0,
			  "freed an address that is no live pool block (freed twice?)");
}

static bool object_is_whole(const struct slab *slab, const void *block)
{
	uint32_t index = slub_object_index(slab, block);

	return index < slab->objects && slub_object_at(slab, index) == block;
}

static void free_object(struct pool *pool, struct slab *slab, void *block)
{
	struct slub_cpu *cpu = cpu_enter(pool);
	struct slub_cache *cache = &pool->caches[slab->type][slab->class_index];
	struct slub_cpu_cache *mine = &cpu->rows[slub_row(cache)];

	cpu->events.free_slow++;
	if (pool->options.sheaf) {
		slub_sheaf_free(pool, cpu, cache, slab, block);
	} else if (mine->slab != slab) {
		slub_slab_free(pool, cpu, slab, block, block, 1);
	} else if (pool->options.hardened && mine->freelist == block) {
		slub_stop(pool, 0xC2, 7, block, 0, 0, "freed a block that is free already");
	} else {
		slub_link_set(pool, block, mine->freelist);
		mine->freelist = block;
	}
	cpu_leave(pool);
}

static __attribute__((noinline)) void free_slow(struct pool *pool, void *block)
{
	struct slub_pages *pages = pages_of(pool, block);
	uint64_t entry;

	/* Where the map is not committed it reads as zero: no block. */
	entry = pages ? *slub_entry(pages, block) : SLUB_PAGE_NONE;
	if (slub_entry_kind(entry) == SLUB_PAGE_SLAB) {
		struct slab *slab = slub_entry_slab(entry);

		if (pool->options.hardened && !object_is_whole(slab, block))
			free_refuse(pool, pages, block);
		else
			free_object(pool, slab, block);
	} else if (slub_entry_kind(entry) == SLUB_PAGE_LARGE) {
		slub_large_free(pool, (enum pool_type)(pages - pool->pages), block);
	} else {
		free_refuse(pool, pages, block);
	}
}

static void slub_free(struct pool *pool, void *block, uint32_t tag)
{
	struct slub_pages *pages = &pool->pages[POOL_NONPAGED];
	struct slub_cpu *cpu = current;
	struct slub_cpu_cache *mine = cpu->rows;
	uint64_t entry;

	(void)tag;
	if (unlikely(!slub_pages_have(pages, block))) {
		pages = &pool->pages[POOL_PAGED];
		mine = cpu->rows + POOL_PAGED * SLUB_ROWS;
		if (unlikely(!slub_pages_have(pages, block))) {
			free_slow(pool, block);
			return;
		}
	}
	entry = *slub_entry(pages, block);
	mine += entry & SLUB_ENTRY_ROW;
	if (unlikely(cpu->unchecked != pool)) {
		free_slow(pool, block);
	} else if (likely(mine->top != mine->end)) {
		/* Not of a row of no class, which has no room. */
		mine->free_fast++;
		*mine->top++ = block;
	} else if (!mine->main && mine->slab &&
		   (entry & SLUB_ENTRY_REST) == (uintptr_t)mine->slab) {
		*(void **)block = mine->freelist;
		mine->freelist = block;
		mine->free_fast++;
		mine->inflow--;
	} else {
		free_slow(pool, block);
	}
}

static size_t slub_block_bytes(struct pool *pool, const void *block)
{
	const struct slub_pages *pages = pages_of(pool, block);
	uint64_t entry = pages ? *slub_entry(pages, block) : SLUB_PAGE_NONE;

	if (slub_entry_kind(entry) == SLUB_PAGE_SLAB)
		return slub_entry_slab(entry)->bytes;
	return slub_entry_kind(entry) == SLUB_PAGE_LARGE ? slub_entry_pages(entry) << pages->shift
							 : 0;
}

/* ---- life ---- */

static int slub_thread_enter(struct pool *pool, unsigned processor)
{
	if (processor >= pool->processors)
		return -EINVAL;
	current = &pool->cpus[processor];
	return 0;
}

static void slub_thread_exit(struct pool *pool)
{
	(void)pool;
	current = &outsider;
}

static size_t given_bytes(const struct pool *pool)
{
	size_t bytes = 0;

	for (unsigned type = 0; type < POOL_TYPES; type++)
		bytes += (size_t)pool->pages[type].given << pool->pages[type].shift;
	return bytes;
}

/* As kmem_cache_shrink() on all caches. */
static size_t slub_trim(struct pool *pool)
{
	struct slub_cpu *last = &pool->cpus[pool->processors];
	size_t before = given_bytes(pool);

	for (unsigned type = 0; type < POOL_TYPES; type++) {
		for (unsigned i = 0; i < pool->class_count; i++) {
			struct slub_cache *cache = &pool->caches[type][i];

			for (struct slub_cpu *cpu = pool->cpus; cpu <= last; cpu++)
				slub_cpu_sheaves_flush(pool, cpu, cache);
			slub_barn_flush(pool, last, cache);
			for (struct slub_cpu *cpu = pool->cpus; cpu <= last; cpu++)
				slub_cpu_flush(pool, cpu, cache);
			slub_cache_shrink(pool, last, cache);
		}
		slub_pages_flush(pool, type);
	}
	return given_bytes(pool) - before + slub_control_shrink(pool);
}

/* Reserves the control area and commits its fixed part; the layout is computed in a pool on the stack. */
static struct pool *control_create(const struct pool_config *config)
{
	struct page_source *source = config->pages[POOL_NONPAGED];
	size_t fixed = sizeof(struct pool) + (config->processors + 1) * sizeof(struct slub_cpu);
	struct pool plan = { .control_source = source }, *pool;

	slub_control_layout(&plan, config, fixed);
	pool = page_source_reserve(source, plan.control_bytes, 0);
	if (!pool)
		return NULL;
	if (page_source_commit(source, pool, plan.control_committed) != 0) {
		page_source_release(source, pool, plan.control_bytes);
		return NULL;
	}
	*pool = plan;
	return pool;
}

static void slub_destroy(struct pool *pool)
{
	if (!pool)
		return;
	for (unsigned type = 0; type < POOL_TYPES; type++)
		slub_pages_destroy(&pool->pages[type]);
	slub_control_destroy(pool);
}

static uint64_t mix(uint64_t seed)
{
	seed = (seed ^ seed >> 33) * 0xFF51AFD7ED558CCDu;
	seed = (seed ^ seed >> 33) * 0xC4CEB9FE1A85EC53u;
	return seed ^ seed >> 33;
}

static int slub_create(const struct pool_config *config, struct pool **out)
{
	struct pool *pool = control_create(config);

	if (!pool)
		return -ENOMEM;
	pool->options = *(const struct slub_options *)config->values;
	pool->secret = mix(config->seed + 1);
	pool->stop = config->stop;
	pool->stop_arg = config->stop_arg;
	pool->processors = config->processors;
	pool->cpus = (struct slub_cpu *)(pool + 1);
	pool->sheaves = (struct sheaf *)(void *)((char *)pool + pool->sheaf_region.start);
	pool->slabs = (struct slab *)(void *)((char *)pool + pool->slab_region.start);
	slub_classes_init(pool);
	/* The class that has room for `largest`. */
	pool->options.largest =
		pool->class_bytes[pool->class_of[(pool->options.largest - 1) / SLUB_UNIT_BYTES]];
	for (unsigned type = 0; type < POOL_TYPES; type++) {
		slub_pages_init(pool, type, config->pages[type]);
		for (unsigned i = 0; i < pool->class_count; i++) {
			struct slub_cache *cache = &pool->caches[type][i];

			cache->class_index = (uint8_t)i;
			cache->type = type;
			slub_cache_geometry(pool, cache, pool->class_bytes[i]);
		}
	}
	for (unsigned i = 0; i <= pool->processors; i++) {
		pool->cpus[i].pool = pool;
		pool->cpus[i].unchecked = pool->options.hardened ? NULL : pool;
		for (unsigned unit = 0; unit < pool->options.largest / SLUB_UNIT_BYTES; unit++)
			pool->cpus[i].row_of[unit] = (uint8_t)(SLUB_ROW_FIRST +
							       pool->class_of[unit]);
		pool->cpus[i].random = mix(config->seed ^ (i + 2) * 0x9E3779B97F4A7C15u);
	}
	*out = pool;
	return 0;
}

const struct pool_backend slub_backend = {
	.abi = POOL_ABI,
	.caps = POOL_CAP_NATIVE | POOL_CAP_PAGE_RULES | POOL_CAP_RESIDENT | POOL_CAP_TRIM |
		POOL_CAP_WALK | POOL_CAP_CHECK | POOL_CAP_COUNTERS,
	.name = "slub",
	.summary = "Linux's SLUB: kmalloc classes, a lock-free slab a processor, frozen and "
		   "partial slabs",
	.options = slub_option_table,
	.options_bytes = sizeof(struct slub_options),
	.create = slub_create,
	.destroy = slub_destroy,
	.alloc = slub_alloc,
	.free = slub_free,
	.block_bytes = slub_block_bytes,
	.thread_enter = slub_thread_enter,
	.thread_exit = slub_thread_exit,
	.trim = slub_trim,
	.walk = slub_walk,
	.check = slub_check,
	.counters = slub_counters,
};
