/*
 * Walk, check and counters: all quiescent.
 *
 * Both go by the page map and, for a slab, by a bitmap of its free objects that is made from the lists they are
 * on. What is on a list of a processor, or on the own list of a frozen slab, is cached; what is on the own list
 * of any other is free; what is on none is in use. The bytes that page rules leave at the end of an OS page
 * count as the allocator's own.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "slub.h"

#define BITMAP_WORDS (SLUB_SLAB_BYTES / SLUB_UNIT_BYTES / 64)

/* One slab's free objects. */
struct slab_view {
	uint32_t own, local; /* on the slab's own list; on its processor's */
	bool broken; /* a link that leads out of the slab or round in a circle */
	uint64_t bits[BITMAP_WORDS];
};

static bool view_bit(const struct slab_view *view, uint32_t index)
{
	return view->bits[index / 64] >> index % 64 & 1;
}

/* Objects on one list; each is marked. */
static uint32_t view_list(const struct pool *pool, const struct slab *slab, struct slab_view *view,
			  const void *object)
{
	uint32_t count = 0;

	for (; object; object = slub_link(pool, object), count++) {
		uint32_t index = slub_object_index(slab, object);

		if ((const char *)object < slab->base || index >= slab->objects ||
		    slub_object_at(slab, index) != object || view_bit(view, index)) {
			view->broken = true;
			break;
		}
		view->bits[index / 64] |= (uint64_t)1 << index % 64;
	}
	return count;
}

static const struct slub_cpu_cache *slab_owner(const struct pool *pool, const struct slab *slab)
{
	for (unsigned i = 0; i <= pool->processors; i++) {
		const struct slub_cpu_cache *mine =
			&pool->cpus[i].caches[slab->type][slab->class_index];

		if (mine->slab == slab)
			return mine;
	}
	return NULL;
}

static void view_slab(const struct pool *pool, const struct slab *slab, struct slab_view *view)
{
	const struct slub_cpu_cache *owner = slab_owner(pool, slab);

	memset(view->bits, 0, (slab->objects + 63) / 64 * sizeof(view->bits[0]));
	view->broken = false;
	view->own = view_list(pool, slab, view, slub_state_head(slab, slub_state(slab)));
	view->local = owner ? view_list(pool, slab, view, owner->freelist) : 0;
}

/* ---- walk ---- */

struct walk {
	pool_visit visit;
	void *arg;
	enum pool_type type;
	struct pool_range pending; /* free objects in a row become one range */
	struct slab_view view;
};

static int walk_flush(struct walk *walk)
{
	int result = 0;

	if (walk->pending.bytes)
		result = walk->visit(walk->arg, &walk->pending);
	walk->pending.bytes = 0;
	return result;
}

static int walk_range(struct walk *walk, enum pool_range_kind kind, const void *start, size_t bytes)
{
	struct pool_range *pending = &walk->pending;
	int result;

	if (pending->bytes && kind == pending->kind && kind != POOL_RANGE_USED &&
	    (const char *)pending->start + pending->bytes == start) {
		pending->bytes += bytes;
		return 0;
	}
	result = walk_flush(walk);
	*pending = (struct pool_range){
		.start = start,
		.bytes = bytes,
		.kind = kind,
		.type = walk->type,
		.block = kind == POOL_RANGE_USED ? start : NULL,
	};
	return result;
}

static int walk_slab(struct walk *walk, const struct pool *pool, const struct slab *slab,
		     size_t slab_bytes)
{
	bool frozen = slub_state(slab) & STATE_FROZEN;
	size_t bytes = slub_class_bytes[slab->class_index];
	const char *at = slab->base;
	int result = 0;

	if (!frozen && slub_state_inuse(slub_state(slab)) == 0)
		return walk_range(walk, POOL_RANGE_FREE_PAGES, slab->base, slab_bytes);
	view_slab(pool, slab, &walk->view);
	for (uint32_t i = 0; i < slab->objects && !result; i++) {
		const char *object = slub_object_at(slab, i);
		enum pool_range_kind kind = POOL_RANGE_USED;

		if (view_bit(&walk->view, i))
			kind = frozen ? POOL_RANGE_CACHED : POOL_RANGE_FREE;
		if (object > at)
			result = walk_range(walk, POOL_RANGE_METADATA, at, (size_t)(object - at));
		if (!result)
			result = walk_range(walk, kind, object, bytes);
		at = object + bytes;
	}
	if (!result && at < slab->base + slab_bytes)
		result = walk_range(walk, POOL_RANGE_METADATA, at,
				    (size_t)(slab->base + slab_bytes - at));
	return result;
}

static int walk_pages(struct walk *walk, const struct pool *pool, const struct slub_pages *pages)
{
	int result = 0;

	for (size_t page = pages->bottom; page < pages->top && !result;) {
		uint64_t entry = pages->map[page];
		const char *start = pages->base + (page << pages->shift);
		size_t count = 1;

		if (slub_entry_kind(entry) == SLUB_PAGE_SLAB) {
			count = slub_entry_slab(entry)->pages;
			result = walk_slab(walk, pool, slub_entry_slab(entry),
					   count << pages->shift);
		} else if (entry) {
			bool large = slub_entry_kind(entry) == SLUB_PAGE_LARGE;

			count = slub_entry_pages(entry);
			result = walk_range(walk, large ? POOL_RANGE_USED : POOL_RANGE_FREE_PAGES,
					    start, count << pages->shift);
		}
		page += count;
	}
	return result;
}

static int walk_region(struct walk *walk, const struct pool *pool, const struct slub_region *region)
{
	if (region->low == region->high)
		return 0;
	return walk_range(walk, POOL_RANGE_METADATA, (const char *)pool + region->low,
			  region->high - region->low);
}

int slub_walk(struct pool *pool, pool_visit visit, void *arg)
{
	struct walk walk = { .visit = visit, .arg = arg, .type = POOL_NONPAGED };
	int result = walk_range(&walk, POOL_RANGE_METADATA, pool, pool->control_committed);

	for (unsigned type = 0; type < POOL_TYPES && !result; type++)
		result = walk_region(&walk, pool, &pool->pages[type].map_region);
	if (!result)
		result = walk_region(&walk, pool, &pool->slab_region);
	for (unsigned type = 0; type < POOL_TYPES && !result; type++) {
		result = walk_flush(&walk);
		walk.type = type;
		if (!result)
			result = walk_pages(&walk, pool, &pool->pages[type]);
	}
	return result ? result : walk_flush(&walk);
}

/* ---- check ---- */

struct audit {
	struct pool *pool;
	char *why;
	size_t why_bytes;
	size_t frozen, listed; /* slabs that a processor must have; that a node's list must have */
	struct slab_view view;
};

static __attribute__((format(printf, 2, 3))) int audit_fail(const struct audit *audit,
							    const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	if (audit->why && audit->why_bytes)
		vsnprintf(audit->why, audit->why_bytes, format, arguments);
	va_end(arguments);
	return -EUCLEAN;
}

static int check_slab(struct audit *audit, const struct slub_pages *pages, const struct slab *slab,
		      size_t page)
{
	uint64_t state = slub_state(slab);

	if (slab->base != pages->base + (page << pages->shift))
		return audit_fail(audit, "%p: a slab whose descriptor says %p",
				  (void *)(pages->base + (page << pages->shift)),
				  (void *)slab->base);
	for (uint32_t i = 1; i < slab->pages; i++)
		if (pages->map[page + i] != pages->map[page])
			return audit_fail(audit, "%p: page %u of a slab has another entry",
					  (void *)slab->base, i);
	view_slab(audit->pool, slab, &audit->view);
	if (audit->view.broken)
		return audit_fail(audit, "%p: a free list leads out of its slab or in a circle",
				  (void *)slab->base);
	if (slub_state_inuse(state) + audit->view.own != slab->objects)
		return audit_fail(audit, "%p: %u objects, %u not on the own list, which has %u",
				  (void *)slab->base, slab->objects, slub_state_inuse(state),
				  audit->view.own);
	audit->frozen += (state & STATE_FROZEN) != 0;
	audit->listed += !(state & STATE_FROZEN) && audit->view.own > 0;
	return 0;
}

static int check_pages(struct audit *audit, const struct slub_pages *pages)
{
	size_t kept = 0;

	for (size_t page = pages->bottom; page < pages->top;) {
		uint64_t entry = pages->map[page];
		size_t count = 1;

		if (slub_entry_kind(entry) == SLUB_PAGE_SLAB) {
			int error = check_slab(audit, pages, slub_entry_slab(entry), page);

			if (error)
				return error;
			count = slub_entry_slab(entry)->pages;
		} else if (entry) {
			count = slub_entry_pages(entry);
		}
		kept += slub_entry_kind(entry) == SLUB_PAGE_FREE ? count : 0;
		page += count;
	}
	if (kept != pages->kept_pages)
		return audit_fail(audit, "%zu pages in kept runs, %zu counted", kept,
				  pages->kept_pages);
	return 0;
}

static int check_node(struct audit *audit, const struct slub_cache *cache)
{
	size_t count = 0, expected = atomic_load(&cache->partial_count);
	const struct slab *previous = NULL;

	for (const struct slab *slab = cache->first; slab; slab = slab->next, count++) {
		uint64_t state = slub_state(slab);

		if (count >= expected || slab->previous != previous)
			return audit_fail(audit, "%u bytes: the node's list is broken at %p",
					  cache->bytes, (const void *)slab);
		if ((state & STATE_FROZEN) || !(state & STATE_HEAD_MASK) ||
		    slab->class_index != cache->class_index || slab->type != cache->type)
			return audit_fail(audit, "%u bytes: %p does not belong on the node's list",
					  cache->bytes, (void *)slab->base);
		previous = slab;
	}
	if (count != expected || cache->last != previous)
		return audit_fail(audit, "%u bytes: %zu slabs on the node's list, %zu counted",
				  cache->bytes, count, expected);
	audit->listed -= count;
	return 0;
}

static int check_cpu(struct audit *audit, const struct slub_cpu *cpu,
		     const struct slub_cache *cache)
{
	const struct slub_cpu_cache *mine = &cpu->caches[cache->type][cache->class_index];
	uint32_t count = 0;

	if (mine->slab && !(slub_state(mine->slab) & STATE_FROZEN))
		return audit_fail(audit, "%p: a processor's slab is not frozen",
				  (void *)mine->slab->base);
	if (!mine->slab && mine->freelist)
		return audit_fail(audit, "%p: free objects of no slab", mine->freelist);
	for (const struct slab *slab = mine->partial; slab; slab = slab->next, count++)
		if (count >= mine->partial_slabs || !(slub_state(slab) & STATE_FROZEN) ||
		    !(slub_state(slab) & STATE_HEAD_MASK))
			return audit_fail(audit, "%p: not a partial slab of a processor",
					  (void *)slab->base);
	if (count != mine->partial_slabs)
		return audit_fail(audit, "%u bytes: %u partial slabs of a processor, %u counted",
				  cache->bytes, count, mine->partial_slabs);
	audit->frozen -= count + (mine->slab != NULL);
	return 0;
}

int slub_check(struct pool *pool, char *why, size_t why_bytes)
{
	struct audit audit = { .pool = pool, .why = why, .why_bytes = why_bytes };
	int error = 0;

	for (unsigned type = 0; type < POOL_TYPES && !error; type++)
		error = check_pages(&audit, &pool->pages[type]);
	for (unsigned type = 0; type < POOL_TYPES; type++)
		for (unsigned i = 0; i < SLUB_CLASSES && !error; i++) {
			error = check_node(&audit, &pool->caches[type][i]);
			for (unsigned cpu = 0; cpu <= pool->processors && !error; cpu++)
				error = check_cpu(&audit, &pool->cpus[cpu], &pool->caches[type][i]);
		}
	if (error)
		return error;
	if (audit.frozen || audit.listed)
		return audit_fail(
			&audit,
			"slabs less those that processors and nodes have: %zd frozen, %zd "
			"partial",
			(ssize_t)audit.frozen, (ssize_t)audit.listed);
	return 0;
}

/* ---- counters ---- */

struct totals {
	uint64_t alloc_fast, free_fast, alloc_slow, free_slow, acquisitions, contentions;
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
		const struct slub_cpu_cache *caches = &pool->cpus[cpu].caches[0][0];

		for (unsigned i = 0; i < POOL_TYPES * SLUB_CLASSES; i++) {
			totals->alloc_fast += caches[i].alloc_fast;
			totals->free_fast += caches[i].free_fast;
			totals->alloc_slow += caches[i].alloc_slow;
			totals->free_slow += caches[i].free_slow;
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

static void counters_slow(const struct slub_events *e, pool_counter_visit visit, void *arg)
{
	visit(arg, "free_frozen", "slow frees to a slab that a processor owns", e->free_frozen);
	visit(arg, "free_add_partial", "slow frees that put a slab on the node's list",
	      e->free_add_partial);
	visit(arg, "free_remove_partial", "slow frees that took an empty slab from it",
	      e->free_remove_partial);
	visit(arg, "alloc_refill", "allocations that took the own list of the processor's slab",
	      e->alloc_refill);
	visit(arg, "cpu_partial_alloc", "allocations that took a partial slab of the processor",
	      e->cpu_partial_alloc);
	visit(arg, "alloc_from_partial", "allocations that took a slab of the node",
	      e->alloc_from_partial);
	visit(arg, "alloc_slab", "allocations that made a new slab", e->alloc_slab);
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
	visit(arg, "alloc_fastpath", "allocations from the processor's free list", t.alloc_fast);
	visit(arg, "alloc_slowpath", "allocations that had to refill it", t.alloc_slow);
	visit(arg, "free_fastpath", "frees to the processor's slab", t.free_fast);
	visit(arg, "free_slowpath", "frees to another slab", t.free_slow);
	counters_slow(&t.events, visit, arg);
	visit(arg, "large_allocs", "blocks of whole pool pages",
	      nonpaged->large_allocs + paged->large_allocs);
	visit(arg, "runs_reused", "page runs taken from the kept ones",
	      nonpaged->reused + paged->reused);
	visit(arg, "pages_taken", "pool pages taken from the page source",
	      nonpaged->taken + paged->taken);
	visit(arg, "pages_returned", "pool pages given back to it", nonpaged->given + paged->given);
	visit(arg, "lock_acquisitions", "acquisitions of any lock", t.acquisitions);
	visit(arg, "lock_contentions", "acquisitions that had to wait", t.contentions);
}
