/*
 * Walk and check: both quiescent.
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
	uint32_t own, local, sheaved; /* on the slab's own list; on its processor's; in sheaves */
	bool broken; /* a link that leads out of the slab or round in a circle */
	uint64_t bits[BITMAP_WORDS];
	uint64_t sheaf_bits[BITMAP_WORDS]; /* those in sheaves; valid if sheaved */
};

static bool bit(const uint64_t *bits, uint32_t index)
{
	return bits[index / 64] >> index % 64 & 1;
}

static void bit_set(uint64_t *bits, uint32_t index)
{
	bits[index / 64] |= (uint64_t)1 << index % 64;
}

/* Objects on one list; each is marked. */
static uint32_t view_list(const struct pool *pool, const struct slab *slab, struct slab_view *view,
			  const void *object)
{
	uint32_t count = 0;

	for (; object; object = slub_link(pool, object), count++) {
		uint32_t index = slub_object_index(slab, object);

		if ((const char *)object < slab->base || index >= slab->objects ||
		    slub_object_at(slab, index) != object || bit(view->bits, index)) {
			view->broken = true;
			break;
		}
		bit_set(view->bits, index);
	}
	return count;
}

static const struct slub_cpu_cache *slab_owner(const struct pool *pool, const struct slab *slab)
{
	for (unsigned i = 0; i <= pool->processors; i++) {
		const struct slub_cpu_cache *mine =
			&pool->cpus[i].rows[slub_row(&pool->caches[slab->type][slab->class_index])];

		if (mine->slab == slab)
			return mine;
	}
	return NULL;
}

static void view_mark(const struct slab *slab, struct slab_view *view, const void *object)
{
	uint32_t index = slub_object_index(slab, object);

	if (bit(view->bits, index))
		view->broken = true;
	bit_set(view->bits, index);
	bit_set(view->sheaf_bits, index);
	view->sheaved++;
}

typedef void object_visit(void *arg, struct slab *slab, const void *object);

static void each_in_sheaf(const struct pool *pool, enum pool_type type, const struct sheaf *sheaf,
			  uint32_t size, object_visit *visit, void *arg)
{
	for (uint32_t i = 0; i < size; i++) {
		uint64_t entry = *slub_entry(&pool->pages[type], sheaf->objects[i]);

		visit(arg, slub_entry_slab(entry), sheaf->objects[i]);
	}
}

/* Every object of a cache that is in a sheaf. */
static void each_sheaved(const struct pool *pool, const struct slub_cache *cache,
			 object_visit *visit, void *arg)
{
	for (unsigned i = 0; i <= pool->processors; i++) {
		const struct slub_cpu_cache *mine = &pool->cpus[i].rows[slub_row(cache)];

		each_in_sheaf(pool, cache->type, mine->main, slub_main_size(mine), visit, arg);
		each_in_sheaf(pool, cache->type, mine->spare, mine->spare_size, visit, arg);
		for (const struct sheaf *sheaf = mine->full; sheaf; sheaf = sheaf->next)
			each_in_sheaf(pool, cache->type, sheaf, sheaf->size, visit, arg);
	}
}

static void count_sheaved(void *arg, struct slab *slab, const void *object)
{
	(void)object;
	slab->in_sheaves += (uint32_t) * (const int *)arg;
}

/* Before and after a look at the slabs: `change` 1 counts, -1 takes the counts away. */
static void sheaves_count(const struct pool *pool, int change)
{
	for (unsigned type = 0; type < POOL_TYPES; type++)
		for (unsigned i = 0; i < pool->class_count; i++)
			each_sheaved(pool, &pool->caches[type][i], count_sheaved, &change);
}

struct mark {
	const struct slab *slab;
	struct slab_view *view;
};

static void mark_sheaved(void *arg, struct slab *slab, const void *object)
{
	const struct mark *mark = arg;

	if (slab == mark->slab)
		view_mark(slab, mark->view, object);
}

static void view_slab(const struct pool *pool, const struct slab *slab, struct slab_view *view)
{
	const struct slub_cpu_cache *owner = slab_owner(pool, slab);

	memset(view->bits, 0, (slab->objects + 63) / 64 * sizeof(view->bits[0]));
	view->broken = false;
	view->own = view_list(pool, slab, view, slub_state_head(slab, slub_state(slab)));
	view->local = owner ? view_list(pool, slab, view, owner->freelist) : 0;
	view->sheaved = 0;
	if (slab->in_sheaves) {
		struct mark mark = { slab, view };

		memset(view->sheaf_bits, 0,
		       (slab->objects + 63) / 64 * sizeof(view->sheaf_bits[0]));
		each_sheaved(pool, &pool->caches[slab->type][slab->class_index], mark_sheaved,
			     &mark);
	}
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
	size_t bytes = slab->bytes;
	const char *at = slab->base;
	int result = 0;

	if (!frozen && slub_state_inuse(slub_state(slab)) == 0)
		return walk_range(walk, POOL_RANGE_FREE_PAGES, slab->base, slab_bytes);
	view_slab(pool, slab, &walk->view);
	for (uint32_t i = 0; i < slab->objects && !result; i++) {
		const char *object = slub_object_at(slab, i);
		enum pool_range_kind kind = POOL_RANGE_USED;

		if (bit(walk->view.bits, i))
			kind = frozen || (slab->in_sheaves && bit(walk->view.sheaf_bits, i))
				       ? POOL_RANGE_CACHED
				       : POOL_RANGE_FREE;
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

static int walk_pool(struct pool *pool, pool_visit visit, void *arg)
{
	struct walk walk = { .visit = visit, .arg = arg, .type = POOL_NONPAGED };
	int result = walk_range(&walk, POOL_RANGE_METADATA, pool, pool->control_committed);

	for (unsigned type = 0; type < POOL_TYPES && !result; type++)
		result = walk_region(&walk, pool, &pool->pages[type].map_region);
	if (!result)
		result = walk_region(&walk, pool, &pool->sheaf_region);
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

int slub_walk(struct pool *pool, pool_visit visit, void *arg)
{
	int result;

	sheaves_count(pool, 1);
	result = walk_pool(pool, visit, arg);
	sheaves_count(pool, -1);
	return result;
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

/* One of the barn's; main may have been filled in part, but it is whole when it gets there. */
static int check_sheaf(struct audit *audit, const struct sheaf *sheaf)
{
	if (sheaf->size == sheaf->capacity)
		return 0;
	return audit_fail(audit, "a sheaf of %u objects with room for %u", sheaf->size,
			  sheaf->capacity);
}

static int check_cpu(struct audit *audit, const struct slub_cpu *cpu,
		     const struct slub_cache *cache)
{
	const struct slub_cpu_cache *mine = &cpu->rows[slub_row(cache)];
	uint32_t count = 0;

	if (mine->spare_size && (!mine->spare || mine->spare_size != mine->spare->capacity))
		return audit_fail(audit, "%u bytes: spare is neither full nor empty", cache->bytes);
	if (mine->main && (mine->bottom != mine->main->objects || mine->top < mine->bottom ||
			   mine->top > mine->end))
		return audit_fail(audit, "%u bytes: the top of main is outside of it",
				  cache->bytes);
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

static int check_barn(struct audit *audit, const struct slub_cache *cache)
{
	const struct pool *pool = audit->pool;
	size_t count = 0, expected = atomic_load(&cache->full_count);

	for (unsigned cpu = 0; cpu <= pool->processors; cpu++) {
		const struct sheaf *sheaf = pool->cpus[cpu].rows[slub_row(cache)].full;

		for (; sheaf; sheaf = sheaf->next, count++)
			if (count >= expected || check_sheaf(audit, sheaf) != 0)
				return audit_fail(audit, "%u bytes: the barn's lists are broken",
						  cache->bytes);
	}
	if (count != expected)
		return audit_fail(audit, "%u bytes: %zu full sheaves, %zu counted", cache->bytes,
				  count, expected);
	return 0;
}

static int check_pool(struct pool *pool, char *why, size_t why_bytes)
{
	struct audit audit = { .pool = pool, .why = why, .why_bytes = why_bytes };
	int error = 0;

	for (unsigned type = 0; type < POOL_TYPES && !error; type++)
		error = check_pages(&audit, &pool->pages[type]);
	for (unsigned type = 0; type < POOL_TYPES; type++)
		for (unsigned i = 0; i < pool->class_count && !error; i++) {
			error = check_node(&audit, &pool->caches[type][i]);
			if (!error)
				error = check_barn(&audit, &pool->caches[type][i]);
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

int slub_check(struct pool *pool, char *why, size_t why_bytes)
{
	int error;

	sheaves_count(pool, 1);
	error = check_pool(pool, why, why_bytes);
	sheaves_count(pool, -1);
	return error;
}
