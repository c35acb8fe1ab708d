/* Where the memory is, and what happened. */
#include "magazine.h"

#include <string.h>

struct slab *segment_slab(const struct pool *pool, const struct vmem_segment *segment,
			  struct slab_cache **cache)
{
	const char *start = (const char *)segment->start;
	const enum pool_type type = page_source_contains(pool->maps[POOL_NONPAGED].source, start)
					    ? POOL_NONPAGED
					    : POOL_PAGED;
	const struct page_map *map = &pool->maps[type];
	const unsigned id = map->ids[page_map_index(map, start)];

	if (segment->kind != VMEM_USED || id == 0)
		return NULL;
	*cache = cache_of(pool, id);
	return slab_of(*cache, start);
}

/* ---- marks: which objects magazines keep ---- */

static int slab_unmark(void *arg, const struct vmem_segment *segment)
{
	struct pool *pool = arg;
	struct slab_cache *cache;
	struct slab *slab = segment_slab(pool, segment, &cache);

	if (slab)
		memset(slab->bits + cache->words, 0, cache->words * sizeof(*slab->bits));
	return 0;
}

static int rounds_mark(struct slab_cache *cache, void *const *round, unsigned count,
		       int (*wrong)(void *arg, const void *object), void *arg)
{
	for (unsigned i = 0; i < count; i++) {
		struct slab *slab = slab_of(cache, round[i]);
		unsigned index = slab_index(cache, slab, round[i]);
		uint64_t *word = slab->bits + cache->words + index / 64;

		if (index >= cache->objects || (*word >> index % 64 & 1)) {
			int error = wrong ? wrong(arg, round[i]) : 0;

			if (error)
				return error;
			continue;
		}
		*word |= 1ull << index % 64;
	}
	return 0;
}

static int slot_mark(struct slab_cache *cache, const struct magazine_slot *slot,
		     int (*wrong)(void *arg, const void *object), void *arg)
{
	int error = 0;

	if (slot->loaded)
		error = rounds_mark(cache, slot->loaded->round, slot_rounds(slot), wrong, arg);
	if (!error && slot->previous)
		error = rounds_mark(cache, slot->previous->round, slot->previous_rounds, wrong,
				    arg);
	return error;
}

static int cache_mark(struct pool *pool, struct slab_cache *cache,
		      int (*wrong)(void *arg, const void *object), void *arg)
{
	int error = 0;

	for (unsigned i = 0; i < pool->processor_count && !error; i++) {
		const struct magazine *full = pool->processors[i].shelves[cache->id].full;

		error = slot_mark(cache, &pool->processors[i].slots[cache->id], wrong, arg);
		for (; full && !error; full = full->next)
			error = rounds_mark(cache, full->round, full->rounds, wrong, arg);
	}
	return error;
}

int magazine_mark(struct pool *pool, int (*wrong)(void *arg, const void *object), void *arg)
{
	int error = 0;

	for (unsigned type = 0; type < POOL_TYPES; type++)
		vmem_walk(&pool->arenas[type], slab_unmark, pool);
	for (unsigned i = 0; i < POOL_TYPES * pool->class_count && !error; i++)
		error = cache_mark(pool, &pool->caches[i], wrong, arg);
	return error;
}

/* ---- walk ---- */

struct walk {
	struct pool *pool;
	enum pool_type type;
	pool_visit visit;
	void *arg;
};

static int range_visit(const struct walk *walk, const void *start, size_t bytes,
		       enum pool_range_kind kind)
{
	const struct pool_range range = {
		.start = start,
		.bytes = bytes,
		.kind = kind,
		.type = walk->type,
		.block = kind == POOL_RANGE_USED ? start : NULL,
	};

	return bytes ? walk->visit(walk->arg, &range) : 0;
}

static int object_walk(const struct walk *walk, const struct slab_cache *cache,
		       const struct slab *slab, unsigned index)
{
	enum pool_range_kind kind = POOL_RANGE_USED;

	if (slab_bit(slab->bits, index))
		kind = POOL_RANGE_FREE;
	else if (slab_bit(slab->bits + cache->words, index))
		kind = POOL_RANGE_CACHED;
	return range_visit(walk, slab_object(cache, slab, index), cache->bytes, kind);
}

/* A page of a slab: colour, objects, what no object fits into, the header. */
static int slab_page_walk(const struct walk *walk, const struct slab_cache *cache,
			  const struct slab *slab, unsigned page)
{
	const char *start = slab->memory + (page << MAGAZINE_PAGE_SHIFT);
	const size_t header = cache->embedded ? cache->header_bytes : 0;
	const char *end = start + slab->colour + cache->per_page * cache->bytes;
	int stopped = range_visit(walk, start, slab->colour, POOL_RANGE_FREE);

	for (unsigned i = 0; i < cache->per_page && !stopped; i++)
		stopped = object_walk(walk, cache, slab, page * cache->per_page + i);
	if (!stopped)
		stopped = range_visit(walk, end, (size_t)(start + POOL_OS_PAGE - header - end),
				      POOL_RANGE_FREE);
	if (!stopped)
		stopped = range_visit(walk, start + POOL_OS_PAGE - header, header,
				      POOL_RANGE_METADATA);
	return stopped;
}

static int slab_walk(const struct walk *walk, const struct slab_cache *cache,
		     const struct slab *slab)
{
	const size_t objects_end = cache->objects * cache->bytes;
	int stopped = 0;

	if (cache->per_page) {
		for (unsigned page = 0; page < cache->slab_bytes >> MAGAZINE_PAGE_SHIFT && !stopped;
		     page++)
			stopped = slab_page_walk(walk, cache, slab, page);
		return stopped;
	}
	for (unsigned i = 0; i < cache->objects && !stopped; i++)
		stopped = object_walk(walk, cache, slab, i);
	if (!stopped)
		stopped = range_visit(walk, slab->memory + objects_end,
				      cache->slab_bytes - objects_end, POOL_RANGE_FREE);
	return stopped;
}

static int segment_walk(void *arg, const struct vmem_segment *segment)
{
	const struct walk *walk = arg;
	struct slab_cache *cache;
	struct slab *slab = segment_slab(walk->pool, segment, &cache);

	if (segment->kind == VMEM_FREE)
		return vmem_walk_free(&walk->pool->arenas[walk->type], segment, walk->visit,
				      walk->arg);
	if (slab)
		return slab_walk(walk, cache, slab);
	return range_visit(walk, (const void *)segment->start, segment->bytes, POOL_RANGE_USED);
}

static int metadata_walk(const struct walk *walk)
{
	struct pool *pool = walk->pool;
	int stopped = range_visit(walk, pool, pool->own_bytes, POOL_RANGE_METADATA);

	if (!stopped)
		stopped = records_walk(&pool->tags, walk->visit, walk->arg);
	if (!stopped)
		stopped = records_walk(&pool->slabs, walk->visit, walk->arg);
	for (unsigned size = 0; size < MAGAZINE_SIZES && !stopped; size++)
		stopped = records_walk(&pool->magazines[size], walk->visit, walk->arg);
	for (unsigned type = 0; type < POOL_TYPES && !stopped; type++) {
		stopped = page_map_walk(&pool->maps[type], walk->visit, walk->arg);
		if (!stopped)
			stopped = vmem_walk_table(&pool->arenas[type], walk->visit, walk->arg);
	}
	return stopped;
}

int magazine_pool_walk(struct pool *pool, pool_visit visit, void *arg)
{
	struct walk walk = { pool, pool->source->type, visit, arg };
	int stopped = metadata_walk(&walk);

	magazine_mark(pool, NULL, NULL);
	for (unsigned type = 0; type < POOL_TYPES && !stopped; type++) {
		walk.type = type;
		stopped = vmem_walk(&pool->arenas[type], segment_walk, &walk);
	}
	return stopped;
}

/* ---- counters ---- */

struct totals {
	uint64_t allocations, frees, swaps, fills, direct_frees;
	uint64_t full_loads, empty_loads, misses, overflows, reaped, grown;
	uint64_t slab_allocations, slab_frees, made, destroyed;
	uint64_t segments, segments_freed, steps, searches, splits, merges, imports, returns;
	uint64_t acquisitions, contentions;
};

static void totals_lock(struct totals *totals, const struct spinlock *lock)
{
	totals->acquisitions += lock->acquisitions;
	totals->contentions += lock->contentions;
}

static void totals_cache(struct totals *totals, const struct slab_cache *cache)
{
	for (unsigned i = 0; i < cache->pool->processor_count; i++) {
		const struct magazine_slot *slot = &cache->pool->processors[i].slots[cache->id];

		totals->allocations += slot_allocations(slot);
		totals->frees += slot->frees;
		totals->swaps += slot->swaps;
	}
	totals->full_loads += cache->full_loads;
	totals->empty_loads += cache->empty_loads;
	totals->misses += cache->misses;
	totals->overflows += cache->overflows;
	totals->reaped += cache->reaped;
	totals->grown += cache->grown;
	totals->slab_allocations += cache->slab_allocations;
	totals->slab_frees += cache->slab_frees;
	totals->made += cache->slabs_made;
	totals->destroyed += cache->slabs_destroyed;
	totals_lock(totals, &cache->depot_lock);
	totals_lock(totals, &cache->slab_lock);
}

static void totals_arena(struct totals *totals, const struct vmem *arena)
{
	totals->segments += arena->allocations;
	totals->segments_freed += arena->frees;
	totals->steps += arena->steps;
	totals->searches += arena->searches;
	totals->splits += arena->splits;
	totals->merges += arena->merges;
	totals->imports += arena->imports;
	totals->returns += arena->returns;
	totals_lock(totals, &arena->lock);
}

void magazine_pool_counters(struct pool *pool, pool_counter_visit visit, void *arg)
{
	struct totals t = { 0 };

	for (unsigned i = 0; i < POOL_TYPES * pool->class_count; i++)
		totals_cache(&t, &pool->caches[i]);
	for (unsigned i = 0; i < pool->processor_count; i++) {
		t.fills += pool->processors[i].fills;
		t.direct_frees += pool->processors[i].direct_frees;
	}
	for (unsigned type = 0; type < POOL_TYPES; type++)
		totals_arena(&t, &pool->arenas[type]);
	visit(arg, "fast_allocs", "allocations from the processor's two magazines",
	      t.allocations - t.full_loads - t.fills);
	visit(arg, "fast_frees", "frees into them", t.frees - t.empty_loads - t.direct_frees);
	visit(arg, "refills", "times both were empty: a full one loaded, or one filled from slabs",
	      t.full_loads + t.fills);
	visit(arg, "magazine_allocs", "allocations of a cached size", t.allocations);
	visit(arg, "magazine_frees", "frees of a cached size", t.frees);
	visit(arg, "magazine_swaps", "loaded and previous magazine exchanged", t.swaps);
	visit(arg, "depot_full_loads", "full magazines loaded from a depot", t.full_loads);
	visit(arg, "depot_empty_loads", "empty magazines loaded, from a depot or new",
	      t.empty_loads);
	visit(arg, "depot_misses", "visits that found no full magazine", t.misses);
	visit(arg, "depot_overflows", "full magazines for which a depot had no room", t.overflows);
	visit(arg, "magazines_reaped", "magazines outside of the working set, released", t.reaped);
	visit(arg, "magazines_grown", "times contention made a cache's magazines larger", t.grown);
	visit(arg, "slab_allocs", "objects taken out of slabs", t.slab_allocations);
	visit(arg, "slab_frees", "objects put back into slabs", t.slab_frees);
	visit(arg, "slabs_made", "slabs made", t.made);
	visit(arg, "slabs_destroyed", "slabs given back to the arena", t.destroyed);
	visit(arg, "segment_allocs", "segments allocated from an arena", t.segments);
	visit(arg, "segment_frees", "segments freed to an arena", t.segments_freed);
	visit(arg, "steps", "free segments looked at", t.steps);
	visit(arg, "searches", "allocations that walked a list", t.searches);
	visit(arg, "splits", "segments cut in two", t.splits);
	visit(arg, "merges", "neighbours merged", t.merges);
	visit(arg, "spans_imported", "spans taken from the page source", t.imports);
	visit(arg, "spans_returned", "spans given back to the page source", t.returns);
	visit(arg, "reclaims", "times everything kept was given back for want of memory",
	      atomic_load_explicit(&pool->reclaims, memory_order_relaxed));
	visit(arg, "lock_acquisitions", "acquisitions of any lock", t.acquisitions);
	visit(arg, "lock_contentions", "acquisitions that had to wait", t.contentions);
}
