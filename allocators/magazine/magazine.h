/*
 * Object caches over a vmem arena: what the backends `magazine` and `vmem` (its quantum caches) share. The
 * theory is at the top of backend.c.
 *
 *     backend.c   the backend `magazine`: its options
 *     pool.c      create, alloc, free, trim of both backends
 *     classes.c   size classes and the geometry of their slabs
 *     depot.c     magazines: per-processor slots, depots, growth, the working set
 *     slab.c      slabs: their making, objects in and out, their return
 *     page_map.c  which cache and which slab a page belongs to
 *     inspect.c   walk and counters;  check.c  check
 *
 * Lock order: a depot's lock, a cache's slab lock and an arena's lock are never held together.
 */
#ifndef POOLBENCH_MAGAZINE_H
#define POOLBENCH_MAGAZINE_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocators/pages.h"
#include "allocators/pool.h"
#include "allocators/spinlock.h"
#include "allocators/vmem/records.h"
#include "allocators/vmem/vmem.h"

#define MAGAZINE_LINE       64
#define MAGAZINE_PAGE_SHIFT 12
#define MAGAZINE_UNIT_SHIFT 4 /* classes are looked up by 16 bytes up to a page */
#define MAGAZINE_UNITS      (POOL_OS_PAGE >> MAGAZINE_UNIT_SHIFT)
#define MAGAZINE_CLASSES    64u /* class 0: none; a cache's id is type * 64 + class */
#define MAGAZINE_SIZES      9u
#define MAGAZINE_FILL       64u /* objects moved under one hold of a slab lock */
#define MAGAZINE_SLAB_PAGES 64u

extern const uint16_t magazine_rounds[MAGAZINE_SIZES]; /* capacities, rising */

struct magazine_setup {
	size_t quantum; /* of the arenas */
	enum vmem_fit fit;
	size_t import_bytes, retain_bytes;
	size_t cached_max; /* largest size that has a cache; 0: none */
	bool multiples; /* classes are multiples of the quantum, not fractions of a page */
	bool colour;
	unsigned slab_objects; /* least that a slab should hold */
	unsigned rounds_min, rounds_max; /* 0 for rounds_max: no magazines */
	size_t rounds_bytes; /* a magazine starts with at most so many bytes of objects */
	size_t depot_bytes; /* full magazines of a cache; 0: no depot */
	unsigned interval; /* depot visits between two looks at contention and working set */
	unsigned contention; /* contended visits in an interval that make magazines grow */
};

/*
 * Objects that a processor or depot keeps. `rounds` counts them while it lies in a depot; a slot counts for
 * the magazines that it has.
 */
struct magazine {
	struct magazine *next;
	uint32_t rounds;
	uint16_t capacity, size; /* magazine_rounds[size] */
	void *round[];
};

/*
 * A processor's share in a cache: one cache line, touched by the thread that stands for it alone. The rounds of
 * the loaded magazine are bottom .. top - 1, its room ends at limit; all three are NULL if there is none.
 */
struct magazine_slot {
	alignas(MAGAZINE_LINE) void **top;
	void **bottom, **limit;
	struct magazine *loaded, *previous; /* previous: full or empty */
	uint32_t previous_rounds;
	uint32_t swaps;
	uint64_t frees;
	uint64_t inflow; /* rounds that came from depot and slabs less those that went there */
};

static inline uint32_t slot_rounds(const struct magazine_slot *slot)
{
	return (uint32_t)(slot->top - slot->bottom);
}

/* Counted like this since the fast path then counts frees alone. */
static inline uint64_t slot_allocations(const struct magazine_slot *slot)
{
	return slot->frees + slot->inflow - slot_rounds(slot) - slot->previous_rounds;
}

/* What of a depot a processor left there: its memory is in that one's cache. Under the depot's lock. */
struct magazine_shelf {
	struct magazine *full, *empty;
};

struct magazine_processor {
	alignas(2 * MAGAZINE_LINE) struct pool *pool;
	uint8_t class_of[MAGAZINE_UNITS + 1]; /* the pool's */
	struct magazine_slot
		slots[POOL_TYPES * MAGAZINE_CLASSES]; /* by id; class 0: always empty */
	uint64_t fills, direct_frees; /* from slabs and, for want of a magazine, to them */
	struct magazine_shelf shelves[POOL_TYPES * MAGAZINE_CLASSES]; /* by id */
};

/* Embedded at the end of its page, or a record. A set bit is a free object. */
struct slab {
	struct slab *next, *previous; /* in the list of slabs with free objects */
	char *memory;
	uint32_t used;
	uint16_t colour; /* bytes in front of the first object of a page */
	uint8_t id;
	bool listed;
	uint64_t bits[]; /* as many words again: marks of walk and check */
};

struct slab_cache {
	/* The depot; its magazines are on the processors' shelves. */
	alignas(2 * MAGAZINE_LINE) struct spinlock depot_lock;
	size_t full_count, full_min, empty_count, empty_min; /* min: since the last look */
	unsigned visits, contended; /* since the last look */
	_Atomic uint16_t size; /* of new magazines: index into magazine_rounds */
	uint16_t size_max;
	size_t full_max;
	uint64_t full_loads, empty_loads, misses, overflows, reaped, grown;
	/* The slabs. */
	alignas(2 * MAGAZINE_LINE) struct spinlock slab_lock;
	struct slab *partial; /* slabs with free objects; empty ones last */
	struct slab *partial_last;
	size_t slabs, empty_slabs, out; /* out: objects in magazines or held by callers */
	unsigned colour_next;
	uint64_t slab_allocations, slab_frees, slabs_made, slabs_destroyed;
	/* Fixed. */
	alignas(MAGAZINE_LINE) struct vmem *arena;
	struct pool *pool;
	size_t bytes; /* of an object */
	uint64_t reciprocal; /* 2^40 / bytes, rounded up */
	size_t slab_bytes;
	unsigned objects, per_page; /* per_page 0: objects of whole pages */
	unsigned words; /* of bits */
	unsigned header_bytes;
	unsigned colours; /* of MAGAZINE_LINE bytes each */
	enum pool_type type;
	uint8_t id;
	bool embedded;
};

/* The committed part of a table, in bytes of it. */
struct page_map_window {
	size_t start, end, reserved;
};

/* A byte and a pointer for each OS page of a source, committed where the arena has spans. */
struct page_map {
	_Atomic uintptr_t low; /* address from which pages can be looked up */
	_Atomic size_t covered; /* bytes from low on */
	uintptr_t ids_bias; /* ids as if they were indexed by address / 4096 */
	uint8_t *ids; /* by page of the source: the cache; 0: the arena's own segments */
	struct slab **slabs; /* by page: where the slab is a record */
	struct page_source *source, *metadata;
	struct spinlock lock;
	struct page_map_window window[2]; /* of ids and of slabs */
};

struct pool {
	struct page_map maps[POOL_TYPES]; /* first: read by every free */
	struct page_source *source; /* of the metadata: nonpaged */
	size_t own_bytes;
	void (*stop)(void *stop_arg, const struct pool_stop *stop);
	void *stop_arg;
	struct magazine_setup setup;
	unsigned processor_count, class_count; /* classes 1 .. class_count */
	uint32_t class_bytes[MAGAZINE_CLASSES];
	uint8_t class_of[MAGAZINE_UNITS + 1]; /* by 16 bytes */
	struct magazine_processor *processors;
	struct slab_cache *caches; /* [type * class_count + class - 1] */
	struct vmem arenas[POOL_TYPES];
	struct records tags, slabs, magazines[MAGAZINE_SIZES];
	_Atomic uint64_t reclaims;
};

static inline unsigned magazine_id(enum pool_type type, unsigned class)
{
	return (unsigned)type * MAGAZINE_CLASSES + class;
}

static inline struct slab_cache *cache_of(const struct pool *pool, unsigned id)
{
	return &pool->caches[id / MAGAZINE_CLASSES * pool->class_count + id % MAGAZINE_CLASSES - 1];
}

/* ---- classes.c ---- */

/* Fills bytes[1 ..] with the classes' sizes; their number, below MAGAZINE_CLASSES. */
unsigned classes_make(const struct magazine_setup *setup, uint32_t bytes[MAGAZINE_CLASSES]);
/* The class of a request by the sizes of classes_make, or 0. */
unsigned class_find(const uint32_t *bytes, unsigned count, size_t request);
/* How many full magazines of the present size a depot may keep. */
size_t depot_room(const struct slab_cache *cache);
/* Slab geometry and sizes of magazines of an object of `bytes`. */
void cache_init(struct slab_cache *cache, struct pool *pool, enum pool_type type, unsigned class,
		size_t bytes);

/* ---- page_map.c ---- */

int page_map_init(struct page_map *map, struct page_source *source, struct page_source *metadata);
void page_map_fini(struct page_map *map);
/* Makes [run, run + bytes) known. 0 or -ENOMEM. Takes the map's lock. */
int page_map_reach(struct page_map *map, const void *run, size_t bytes);
void page_map_set(struct page_map *map, const void *run, size_t bytes, uint8_t id,
		  struct slab *slab);
int page_map_walk(const struct page_map *map, pool_visit visit, void *arg);

size_t page_map_committed(const struct page_map *map);

static inline size_t page_map_index(const struct page_map *map, const void *address)
{
	return (size_t)((const char *)address - map->source->base) >> MAGAZINE_PAGE_SHIFT;
}

/* The id of the page that an address is in, or -1: the arena never had it. */
static inline int page_map_id(const struct page_map *map, const void *address)
{
	const uintptr_t low = atomic_load_explicit(&map->low, memory_order_acquire);

	if ((uintptr_t)address - low >= atomic_load_explicit(&map->covered, memory_order_relaxed))
		return -1;
	return *(const uint8_t *)(map->ids_bias + ((uintptr_t)address >> MAGAZINE_PAGE_SHIFT));
}

/* ---- slab.c ---- */

/* Takes up to `want` objects: what slabs have, or a new slab's. 0 when the source refuses. */
unsigned slab_take(struct slab_cache *cache, void **objects, unsigned want);
/* Any number of objects of this cache. An object that is free already is reported to stop. */
void slab_give(struct slab_cache *cache, void *const *objects, unsigned count);
/* Destroys empty slabs, all but `keep`. */
void slab_reap(struct slab_cache *cache, size_t keep);
struct slab *slab_of(const struct slab_cache *cache, const void *object);
/* Index of the object at an address of the slab, or cache->objects if none starts there. */
unsigned slab_index(const struct slab_cache *cache, const struct slab *slab, const void *object);
char *slab_object(const struct slab_cache *cache, const struct slab *slab, unsigned index);

/* ---- depot.c ---- */

/* The slot's loaded magazine is empty or full, or there is none. */
void *depot_alloc(struct slab_cache *cache, struct magazine_slot *slot);
void depot_free(struct slab_cache *cache, struct magazine_slot *slot, void *object);
/* Returns all objects and magazines. */
void depot_flush(struct slab_cache *cache);
void slot_flush(struct slab_cache *cache, struct magazine_slot *slot);

/* ---- pool.c: the hooks of both backends ---- */

/* 0, -ENOMEM, or -EINVAL for a setup that cannot be. */
int magazine_pool_create(const struct pool_config *config, const struct magazine_setup *setup,
			 struct pool **out);
void magazine_pool_destroy(struct pool *pool);
void *magazine_pool_alloc(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag);
void magazine_pool_free(struct pool *pool, void *block, uint32_t tag);
size_t magazine_pool_block_bytes(struct pool *pool, const void *block);
int magazine_pool_thread_enter(struct pool *pool, unsigned processor);
void magazine_pool_thread_exit(struct pool *pool);
size_t magazine_pool_trim(struct pool *pool);
void magazine_pool_stop(struct pool *pool, uint64_t reason, const void *block, const char *text);

/* ---- inspect.c, check.c ---- */

/*
 * Marks every object that a magazine keeps. `wrong` (may be NULL) hears of what is marked already or is no
 * object; what it returns ends the marking unless it is 0. Quiescent.
 */
int magazine_mark(struct pool *pool, int (*wrong)(void *arg, const void *object), void *arg);
/* The slab that a segment of an arena is, and its cache; NULL if it is none. */
struct slab *segment_slab(const struct pool *pool, const struct vmem_segment *segment,
			  struct slab_cache **cache);

static inline bool slab_bit(const uint64_t *bits, unsigned index)
{
	return bits[index / 64] >> index % 64 & 1;
}

int magazine_pool_walk(struct pool *pool, pool_visit visit, void *arg);
int magazine_pool_check(struct pool *pool, char *why, size_t why_bytes);
void magazine_pool_counters(struct pool *pool, pool_counter_visit visit, void *arg);

#endif
