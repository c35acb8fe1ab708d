/* Counters: what each processor counted for itself, summed. Quiescent. */
#include "slub.h"

struct totals {
	uint64_t alloc_fast, free_fast, acquisitions, contentions;
	struct slub_events events;
};

/* All members are counts. */
static void events_add(struct slub_events *sum, const struct slub_events *events)
{
	uint64_t *to = (uint64_t *)sum;
	const uint64_t *from = (const uint64_t *)events;

	for (size_t i = 0; i < sizeof(*sum) / sizeof(*to); i++)
		to[i] += from[i];
}

static void totals_lock(struct totals *totals, const struct spinlock *lock)
{
	totals->acquisitions += lock->acquisitions;
	totals->contentions += lock->contentions;
}

static void totals_pool(struct totals *totals, const struct pool *pool)
{
	for (unsigned cpu = 0; cpu <= pool->processors; cpu++) {
		const struct slub_cpu_cache *caches = pool->cpus[cpu].rows;

		for (unsigned i = 0; i < POOL_TYPES * SLUB_ROWS; i++) {
			totals->alloc_fast += slub_alloc_fast(&caches[i]);
			totals->free_fast += caches[i].free_fast;
		}
		events_add(&totals->events, &pool->cpus[cpu].events);
	}
	for (unsigned type = 0; type < POOL_TYPES; type++) {
		totals_lock(totals, &pool->pages[type].lock);
		for (unsigned i = 0; i < SLUB_CLASSES; i++)
			totals_lock(totals, &pool->caches[type][i].lock);
	}
	totals_lock(totals, &pool->slab_lock);
	totals_lock(totals, &pool->outsider_lock);
}

static void counters_sheaves(const struct slub_events *e, pool_counter_visit visit, void *arg)
{
	visit(arg, "sheaf_refill", "sheaves filled from slabs", e->sheaf_refill);
	visit(arg, "sheaf_flush", "sheaves emptied into slabs", e->sheaf_flush);
	visit(arg, "barn_get", "empty sheaves exchanged for full ones of the barn", e->barn_get);
	visit(arg, "barn_put", "full sheaves exchanged for empty ones", e->barn_put);
	visit(arg, "freelist_hits", "objects for a sheaf from the processor's free list",
	      e->freelist_hits);
}

static void counters_slow(const struct slub_events *e, pool_counter_visit visit, void *arg)
{
	visit(arg, "free_frozen", "chains freed to a slab that a processor owns", e->free_frozen);
	visit(arg, "free_add_partial", "chains that put a slab on the node's list",
	      e->free_add_partial);
	visit(arg, "free_remove_partial", "chains that took an empty slab from it",
	      e->free_remove_partial);
	visit(arg, "alloc_refill", "refills by the own list of the processor's slab",
	      e->alloc_refill);
	visit(arg, "cpu_partial_alloc", "refills by a partial slab of the processor",
	      e->cpu_partial_alloc);
	visit(arg, "alloc_from_partial", "refills by a slab of the node", e->alloc_from_partial);
	visit(arg, "alloc_slab", "refills by a new slab", e->alloc_slab);
	visit(arg, "order_fallback", "new slabs of the least order, for want of memory",
	      e->alloc_fallback);
	visit(arg, "cpu_partial_free", "full slabs frozen by a free and kept by the processor",
	      e->cpu_partial_free);
	visit(arg, "cpu_partial_node", "partial slabs that a processor passed to the node",
	      e->cpu_partial_node);
	visit(arg, "cpu_partial_drain", "times a processor's partial list was full and drained",
	      e->cpu_partial_drain);
	visit(arg, "deactivate_full", "processor's slabs left because all objects were taken",
	      e->deactivate_full);
	visit(arg, "cpuslab_flush", "processor's slabs given up by trim", e->deactivate);
	visit(arg, "free_slab", "empty slabs given to the page layer", e->discard);
	visit(arg, "cmpxchg", "compare-and-exchanges of a slab's state, and node locks",
	      e->atomics);
	visit(arg, "cmpxchg_fail", "exchanges that had to be repeated", e->retries);
}

void slub_counters(struct pool *pool, pool_counter_visit visit, void *arg)
{
	const struct slub_pages *nonpaged = &pool->pages[POOL_NONPAGED],
				*paged = &pool->pages[POOL_PAGED];
	struct totals t = { 0 };

	totals_pool(&t, pool);
	visit(arg, "fast_allocs", "allocations from the processor's sheaf or free list",
	      t.alloc_fast);
	visit(arg, "refills", "allocations that found it empty", t.events.alloc_slow);
	visit(arg, "fast_frees", "frees to the processor's sheaf or slab", t.free_fast);
	visit(arg, "slow_frees", "frees to a full sheaf, or to another slab", t.events.free_slow);
	counters_sheaves(&t.events, visit, arg);
	counters_slow(&t.events, visit, arg);
	visit(arg, "large_allocs", "blocks of whole pool pages",
	      nonpaged->large_allocs + paged->large_allocs);
	visit(arg, "runs_reused", "page runs taken from the kept ones",
	      nonpaged->reused + paged->reused);
	visit(arg, "lock_acquisitions", "acquisitions of any lock", t.acquisitions);
	visit(arg, "lock_contentions", "acquisitions that had to wait", t.contentions);
}
