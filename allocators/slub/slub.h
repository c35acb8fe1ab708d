/*
 * SLUB, inside: what its files share. The theory is at the top of slub.c.
 *
 *     slub.c         the backend: options, create, the two fast paths
 *     geometry.c     size classes, slab order, how objects lie in a slab
 *     sheaves.c      arrays of free objects in front of the slabs
 *     slabs.c        slabs between processors and nodes: refill, free, freeze, partial lists
 *     page_layer.c   page runs, the page map, slab descriptors
 *     inspect.c      walk and check
 *     counters.c     counters
 */
#ifndef POOLBENCH_SLUB_H
#define POOLBENCH_SLUB_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocators/pages.h"
#include "allocators/pool.h"
#include "allocators/spinlock.h"

#define SLUB_LINE          64
#define SLUB_UNIT_BYTES    16u /* addresses inside a slab are counted in these */
#define SLUB_CLASSES       26u /* at most */
#define SLUB_ROWS          32u /* of a processor's table: what the low bits of a map entry can say */
#define SLUB_ROW_FIRST     3u /* row of class 0; entries of no slab lead to those in front */
#define SLUB_LARGEST_BYTES 8192u
#define SLUB_UNITS         (SLUB_LARGEST_BYTES / SLUB_UNIT_BYTES)
#define SLUB_SLAB_BYTES    ((size_t)2 << 20) /* no slab is larger, whatever the options */
#define SLUB_RUN_LISTS     64u /* kept page runs: lists by length in pool pages, 1 .. 64 */

#define likely(x)          __builtin_expect(!!(x), 1)
#define unlikely(x)        __builtin_expect(!!(x), 0)

/*
 * What `struct page` is in Linux: a slab's descriptor, outside of the slab, in nonpaged memory.
 *
 * `state` has what one compare-and-exchange must change together:
 *
 *     bits  0..23  head of the slab's own free list: unit + 1; 0: empty
 *     bits 24..47  objects not on that list
 *     bit  48      frozen: a processor owns the slab, no node list may have it
 */
struct slab {
	alignas(SLUB_LINE) _Atomic uint64_t state;
	char *base; /* NULL: a descriptor that is not in use */
	struct slab *next,
		*previous; /* node partial list; next alone: partial list of a processor */
	uint32_t objects, bytes; /* how many, of what size */
	uint32_t pages; /* pool pages */
	uint8_t class_index, type;
	uint32_t in_sheaves; /* objects in sheaves: counted by walk and check for themselves */
};

#define STATE_HEAD_MASK   (((uint64_t)1 << 24) - 1)
#define STATE_INUSE_SHIFT 24
#define STATE_INUSE_MASK  STATE_HEAD_MASK
#define STATE_FROZEN      ((uint64_t)1 << 48)

/* Free objects of one cache, whatever their slabs. */
#define SLUB_SHEAF_OBJECTS 62u
struct sheaf {
	struct sheaf *next; /* in the barn, or among the unused */
	uint32_t size, capacity;
	void *objects[SLUB_SHEAF_OBJECTS];
};

/*
 * What a processor has of one cache: only the thread that stands for the processor uses it. The fast paths need the
 * first line alone. Here is how many objects main and spare have; the sheaves' own sizes are out of date.
 */
struct slub_cpu_cache {
	alignas(2 * SLUB_LINE) void **top; /* next free place of main */
	void **bottom, **end; /* of main's objects; all NULL without a main */
	uint64_t free_fast; /* to main, or to `slab` */
	uint64_t inflow; /* see slub_alloc_fast() */
	struct sheaf *main; /* NULL: no sheaves, or no memory for one */
	void *freelist; /* objects of `slab` that are this processor's alone */
	struct slab *slab; /* frozen; NULL: none */
	struct sheaf *spare; /* NULL, or as large as main */
	uint32_t spare_size; /* full or empty */
	uint32_t partial_slabs;
	struct slab *partial; /* frozen slabs with free objects, for later */
	/* The barn's sheaves that it left there. Under the node's lock; looked at without it. */
	_Atomic(struct sheaf *) full, empty;
};

/* Events off the fast paths; where Linux has them, the names are those of /sys/kernel/slab. */
struct slub_events {
	uint64_t alloc_slow, free_slow, freelist_hits;
	uint64_t sheaf_flush, sheaf_refill, barn_get, barn_put;
	uint64_t free_frozen, free_add_partial, free_remove_partial;
	uint64_t alloc_refill, alloc_from_partial, alloc_slab, alloc_fallback;
	uint64_t cpu_partial_alloc, cpu_partial_free, cpu_partial_node, cpu_partial_drain;
	uint64_t deactivate_full, deactivate, discard;
	uint64_t atomics, retries;
};

struct slub_cpu {
	alignas(2 * SLUB_LINE) struct pool *pool;
	struct pool
		*unchecked; /* the same; NULL in a hardened pool, where each free is looked at */
	uint8_t row_of[SLUB_UNITS]; /* by (bytes - 1) / 16; 0 beyond `largest` */
	uint64_t random; /* state of this processor's generator */
	struct slub_events events;
	struct slub_cpu_cache
		rows[POOL_TYPES * SLUB_ROWS]; /* those of no class are empty for good */
};

/* A cache: one size class of one pool type, with its node's list of partial slabs. */
struct slub_cache {
	alignas(2 * SLUB_LINE) uint32_t bytes; /* of an object */
	uint8_t class_index;
	enum pool_type type;
	uint32_t pages,
		least_pages; /* of a slab in pool pages: as wished, and when memory is short */
	uint32_t cpu_partial_slabs; /* most that a processor keeps aside; 0: none */
	uint32_t min_partial; /* empty slabs go back when the node has so many partial ones */
	alignas(SLUB_LINE) struct spinlock lock; /* from here on */
	struct slab *first, *last;
	_Atomic size_t partial_count; /* read without it too */
	_Atomic uint32_t full_count, empty_count; /* of the barn; read without the lock too */
};

/*
 * The page map's entries: one a pool page. The low bits say what the rest is; those below SLUB_PAGE_SLAB are the row
 * of the slab's class, or a kind, whose row is always empty.
 */
enum slub_page_kind {
	SLUB_PAGE_NONE = 0, /* not ours */
	SLUB_PAGE_LARGE = 1, /* pages << 6 | kind; the first page of the block alone */
	SLUB_PAGE_FREE =
		2, /* (next page + 1) << 32 | pages << 6 | kind; the first page of a kept run */
	SLUB_PAGE_SLAB = 32 /* descriptor | kind | row; each page of the slab has it */
};
#define SLUB_ENTRY_ROW   31u
#define SLUB_ENTRY_REST  (~(uint64_t)63)

/*
 * A part of the control area, committed as it is reached into: low .. high, besides what of it lies in the part
 * that create commits. Offsets are from the pool. low == high: nothing.
 */
struct slub_region {
	size_t start;
	size_t low, high;
};

/* The page layer of one pool type. Page numbers count from the source's base. */
struct slub_pages {
	char *base;
	size_t range_bytes;
	unsigned shift; /* log2 of the pool page */
	uint64_t *map;
	struct page_source *source;
	alignas(SLUB_LINE) struct spinlock lock; /* from here on */
	struct slub_region map_region;
	size_t bottom, top; /* no entry outside of these is set */
	size_t kept_pages, keep_pages; /* in kept runs; most of it */
	uint32_t runs[SLUB_RUN_LISTS + 1]; /* by length: page number + 1 of the first; 0: none */
	uint64_t given, reused, large_allocs;
};

enum slub_class_set { SLUB_KMALLOC, SLUB_FITTED };

struct slub_options {
	unsigned sheaf, barn, cpu_partial, min_partial, min_objects, order;
	int classes;
	bool hardened, random;
	size_t largest, retain;
};

struct pool {
	struct slub_pages pages[POOL_TYPES];
	unsigned class_count;
	const uint16_t *class_bytes;
	uint8_t class_of[SLUB_UNITS]; /* by (bytes - 1) / 16 */
	struct slub_options options;
	uint64_t secret; /* hardened: mixed into each link */
	void (*stop)(void *stop_arg, const struct pool_stop *stop);
	void *stop_arg;
	unsigned processors;
	struct slub_cpu *cpus; /* one a processor, and the outsiders' */
	struct spinlock
		outsider_lock; /* cpus[processors]: of threads that stand for no processor here */
	struct page_source *control_source;
	size_t control_bytes, control_committed; /* reserved; committed by create */
	alignas(SLUB_LINE) struct spinlock slab_lock; /* from here on */
	struct slub_region slab_region;
	struct slab *slabs; /* descriptors */
	size_t slab_count; /* no descriptor from here on was ever used */
	struct slab *free_slabs;
	struct slub_region sheaf_region;
	struct sheaf *sheaves;
	size_t sheaf_count, sheaf_most;
	struct sheaf *free_sheaves;
	alignas(2 * SLUB_LINE) struct slub_cache caches[POOL_TYPES][SLUB_CLASSES];
};

/* ---- slub.c ---- */

/* Which of a processor's rows is a cache's. */
static inline unsigned slub_row(const struct slub_cache *cache)
{
	return (unsigned)cache->type * SLUB_ROWS + SLUB_ROW_FIRST + cache->class_index;
}

/* Reports corruption through the pool's stop, which does not return. No lock may be held. */
void slub_stop(struct pool *pool, uint32_t code, uint64_t reason, const void *where, uint64_t a,
	       uint64_t b, const char *text);

/* ---- links between free objects ---- */

/*
 * The link lies in the first word of a free object. Hardened, it is stored xor a secret of the pool xor the
 * byte-swapped address of the word: a leaked link does not tell an address, and an overwritten one
 * decodes to something that lies in no slab.
 */
static inline void *slub_link_code(const struct pool *pool, const void *object, const void *link)
{
	return (void *)((uintptr_t)link ^ pool->secret ^ __builtin_bswap64((uintptr_t)object));
}

static inline void slub_link_set(const struct pool *pool, void *object, void *next)
{
	*(void **)object = unlikely(pool->options.hardened) ? slub_link_code(pool, object, next)
							    : next;
}

static inline void *slub_link(const struct pool *pool, const void *object)
{
	void *next = *(void *const *)object;

	return unlikely(pool->options.hardened) ? slub_link_code(pool, object, next) : next;
}

/* ---- geometry.c ---- */

/* Sets class_bytes, class_count and class_of. */
void slub_classes_init(struct pool *pool);
/* Objects of `bytes` in a slab of `slab_bytes`, none of them across an OS page. */
uint32_t slub_objects_in(size_t slab_bytes, uint32_t bytes);
/* Address of the object of that index; and the index of the object at or around an address. */
char *slub_object_at(const struct slab *slab, uint32_t index);
uint32_t slub_object_index(const struct slab *slab, const void *address);
/* Of `whole` objects as many as Linux keeps of this size where it keeps `whole` of the smallest. */
uint32_t slub_scale(uint32_t bytes, uint32_t whole);
/* Sets bytes, pages and least_pages of a cache by the options. */
void slub_cache_geometry(const struct pool *pool, struct slub_cache *cache, uint32_t bytes);
/* Links all objects of a new slab, in address order or shuffled; the first. */
void *slub_slab_link(struct pool *pool, struct slub_cpu *cpu, struct slab *slab);

/* ---- slabs.c ---- */

static inline void *slub_state_head(const struct slab *slab, uint64_t state)
{
	uint64_t head = state & STATE_HEAD_MASK;

	return head ? slab->base + (head - 1) * SLUB_UNIT_BYTES : NULL;
}

static inline uint32_t slub_state_inuse(uint64_t state)
{
	return (uint32_t)(state >> STATE_INUSE_SHIFT & STATE_INUSE_MASK);
}

static inline uint64_t slub_state(const struct slab *slab)
{
	return atomic_load_explicit(&slab->state, memory_order_acquire);
}

/* The object behind `object` on a free list; a hardened pool stops when it is none of the slab's. */
void *slub_link_checked(struct pool *pool, const struct slab *slab, const void *object);
/* From the processor's free list, or from what refills it; NULL: no memory. */
void *slub_object_alloc(struct pool *pool, struct slub_cpu *cpu, struct slub_cache *cache);
/* A chain of `count` linked objects of one slab goes back to that slab's own list. */
void slub_slab_free(struct pool *pool, struct slub_cpu *cpu, struct slab *slab, void *head,
		    void *tail, uint32_t count);
/* Gives up the processor's slab and its partial slabs of one cache. Quiescent. */
void slub_cpu_flush(struct pool *pool, struct slub_cpu *cpu, struct slub_cache *cache);
/* Gives the node's empty slabs back and sorts the rest, the fullest first. Quiescent. */
void slub_cache_shrink(struct pool *pool, struct slub_cpu *cpu, struct slub_cache *cache);

/* ---- sheaves.c ---- */

/*
 * Fast allocations, from main or `slab`, are not counted: what main and spare have came by fast frees or by the slow
 * paths, which keep `inflow` as what they brought less what they took, and has gone by fast allocations else.
 */
static inline uint64_t slub_alloc_fast(const struct slub_cpu_cache *mine)
{
	return mine->free_fast + mine->inflow - (uint64_t)(mine->top - mine->bottom) -
	       mine->spare_size;
}

static inline uint32_t slub_main_size(const struct slub_cpu_cache *mine)
{
	return (uint32_t)(mine->top - mine->bottom);
}

/* Where main is missing or empty; where it is missing or full. */
void *slub_sheaf_alloc(struct pool *pool, struct slub_cpu *cpu, struct slub_cache *cache);
void slub_sheaf_free(struct pool *pool, struct slub_cpu *cpu, struct slub_cache *cache,
		     struct slab *slab, void *object);
/* Back to the slabs with all their objects. Quiescent. */
void slub_cpu_sheaves_flush(struct pool *pool, struct slub_cpu *cpu, struct slub_cache *cache);
void slub_barn_flush(struct pool *pool, struct slub_cpu *cpu, struct slub_cache *cache);

/* ---- page_layer.c ---- */

/* Places the regions of map and descriptors behind the fixed part; sets control_bytes. */
void slub_control_layout(struct pool *pool, const struct pool_config *config, size_t fixed_bytes);
void slub_pages_init(struct pool *pool, enum pool_type type, struct page_source *source);
/* A run of pool pages whose map entries can be written; NULL when the source refuses. */
void *slub_pages_take(struct pool *pool, enum pool_type type, size_t count);
/* Back to the kept runs or to the source. The entry of the first page is all that may be set. */
void slub_pages_give(struct pool *pool, enum pool_type type, void *run, size_t count);
/* Gives all kept runs back; whether there were any. */
bool slub_pages_flush(struct pool *pool, enum pool_type type);
/* A descriptor, or NULL; and back. */
struct slab *slub_slab_get(struct pool *pool);
void slub_slab_put(struct pool *pool, struct slab *slab);
/* A sheaf, not initialised, or NULL; and back. */
struct sheaf *slub_sheaf_get(struct pool *pool);
void slub_sheaf_put(struct pool *pool, struct sheaf *sheaf);
void *slub_large_alloc(struct pool *pool, enum pool_type type, size_t bytes);
void slub_large_free(struct pool *pool, enum pool_type type, void *block);
/* Decommits what of map and descriptors is above the last used entry. Bytes. Quiescent. */
size_t slub_control_shrink(struct pool *pool);
/* Gives everything back, live or not. */
void slub_pages_destroy(struct slub_pages *pages);
void slub_control_destroy(struct pool *pool);

static inline bool slub_pages_have(const struct slub_pages *pages, const void *address)
{
	return (size_t)((const char *)address - pages->base) < pages->range_bytes;
}

static inline uint64_t *slub_entry(const struct slub_pages *pages, const void *address)
{
	return &pages->map[(size_t)((const char *)address - pages->base) >> pages->shift];
}

static inline enum slub_page_kind slub_entry_kind(uint64_t entry)
{
	return (enum slub_page_kind)(entry & SLUB_PAGE_SLAB ? SLUB_PAGE_SLAB
							    : entry & SLUB_ENTRY_ROW);
}

static inline struct slab *slub_entry_slab(uint64_t entry)
{
	return (struct slab *)(uintptr_t)(entry & SLUB_ENTRY_REST);
}

/* Pool pages of a large block or of a kept run. */
static inline size_t slub_entry_pages(uint64_t entry)
{
	return (size_t)((slub_entry_kind(entry) == SLUB_PAGE_FREE ? entry & UINT32_MAX : entry) >>
			6);
}

/* ---- inspect.c ---- */

int slub_walk(struct pool *pool, pool_visit visit, void *arg);
int slub_check(struct pool *pool, char *why, size_t why_bytes);

/* ---- counters.c ---- */

void slub_counters(struct pool *pool, pool_counter_visit visit, void *arg);

#endif
