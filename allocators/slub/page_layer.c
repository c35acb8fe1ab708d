/*
 * The page layer: what Linux's page allocator and its array of struct page are to SLUB.
 *
 * Page map. One 8-byte entry a pool page of each source's range, in nonpaged memory: from an address to the
 * slab's descriptor and class in one load. Descriptors are an array besides, 64 bytes each.
 *
 *     control area, reserved once in the nonpaged source, committed as it is reached into:
 *
 *     | struct pool | processors | map, nonpaged ..... | map, paged ..... | sheaves . | descriptors ..... |
 *      committed by create ------->|-> so far           |-> ...            |-> ...     |-> ...
 *
 * Kept runs. A slab or a large block that is given back may be wanted again soon, and the page source is
 * a system call and a page fault away, which Linux's page allocator is not. So runs of up to 64 pool
 * pages are kept, as Linux keeps them on per-cpu page lists: listed by length, last in first out, at most
 * `retain` bytes of a pool type. The lists run through the map: a kept page is not touched, so that a paged
 * one may be paged out.
 */
#include <errno.h>

#include "slub.h"

static size_t page_round(const struct pool *pool, size_t bytes)
{
	return page_source_round_up(pool->control_source, bytes);
}

/* ---- the control area ---- */

/*
 * What lies within the part that create commits may begin anywhere; beyond it each region has pages of its
 * own, so that none is committed twice.
 */
static void region_place(const struct pool *pool, struct slub_region *region, size_t *at,
			 size_t bytes, size_t created)
{
	region->start = (*at + SLUB_LINE - 1) & ~(size_t)(SLUB_LINE - 1);
	region->low = region->high = 0;
	*at = region->start + bytes;
	if (*at > created)
		*at = page_round(pool, *at);
}

/* Two a processor and cache, full ones in the barn, and an empty one for each that was exchanged. */
static size_t most_sheaves(const struct pool_config *config)
{
	const struct slub_options *options = config->values;
	size_t processors = config->processors + 1;

	if (options->sheaf == 0)
		return 0;
	return POOL_TYPES * SLUB_CLASSES * (3 * processors + 2 * options->barn);
}

void slub_control_layout(struct pool *pool, const struct pool_config *config, size_t fixed_bytes)
{
	size_t created = page_round(pool, fixed_bytes), at = fixed_bytes, pages = 0;

	for (unsigned type = 0; type < POOL_TYPES; type++) {
		size_t count = config->pages[type]->range_bytes / config->page_size;

		region_place(pool, &pool->pages[type].map_region, &at, count * sizeof(uint64_t),
			     created);
		pages += count;
	}
	pool->sheaf_most = most_sheaves(config);
	region_place(pool, &pool->sheaf_region, &at, pool->sheaf_most * sizeof(struct sheaf),
		     created);
	region_place(pool, &pool->slab_region, &at, pages * sizeof(struct slab), created);
	pool->control_committed = created;
	pool->control_bytes = page_round(pool, at);
}

/* Whole pages of the region around from .. to (offsets in it), less what create committed. */
static void region_clip(const struct pool *pool, const struct slub_region *region, size_t *from,
			size_t *to)
{
	*from = (region->start + *from) & ~(pool->control_source->page_size - 1);
	*to = page_round(pool, region->start + *to);
	if (*from < pool->control_committed)
		*from = pool->control_committed;
	if (*to < *from)
		*to = *from;
}

static int control_commit(struct pool *pool, size_t from, size_t to)
{
	if (from >= to)
		return 0;
	return page_source_commit(pool->control_source, (char *)pool + from, to - from);
}

static size_t control_decommit(struct pool *pool, size_t from, size_t to)
{
	if (from >= to)
		return 0;
	page_source_decommit(pool->control_source, (char *)pool + from, to - from);
	return to - from;
}

/* Commits what is missing of from .. to, and what lies between it and the rest. 0 or -ENOMEM. Under the lock. */
static int region_reach(struct pool *pool, struct slub_region *region, size_t from, size_t to)
{
	int error;

	region_clip(pool, region, &from, &to);
	if (from == to)
		return 0;
	if (region->low == region->high)
		region->low = region->high = from;
	error = control_commit(pool, from, region->low);
	if (!error && from < region->low)
		region->low = from;
	if (!error)
		error = control_commit(pool, region->high, to);
	if (!error && to > region->high)
		region->high = to;
	return error;
}

/* Decommits what is outside of from .. to. Bytes. */
static size_t region_shrink(struct pool *pool, struct slub_region *region, size_t from, size_t to)
{
	size_t given;

	region_clip(pool, region, &from, &to);
	if (from < region->low)
		from = region->low;
	if (to > region->high)
		to = region->high;
	if (from >= to)
		from = to = region->high;
	given = control_decommit(pool, region->low, from);
	given += control_decommit(pool, to, region->high);
	region->low = from;
	region->high = to;
	return given;
}

/* ---- page runs ---- */

void slub_pages_init(struct pool *pool, enum pool_type type, struct page_source *source)
{
	struct slub_pages *pages = &pool->pages[type];

	pages->source = source;
	pages->base = source->base;
	pages->range_bytes = source->range_bytes;
	pages->shift = (unsigned)__builtin_ctzll(source->page_size);
	pages->keep_pages = pool->options.retain >> pages->shift;
	pages->map = (uint64_t *)(void *)((char *)pool + pages->map_region.start);
}

static void *run_address(const struct slub_pages *pages, size_t page)
{
	return pages->base + (page << pages->shift);
}

static void *run_pop(struct slub_pages *pages, size_t count)
{
	uint32_t first = pages->runs[count];
	void *run;

	if (!first)
		return NULL;
	run = run_address(pages, first - 1);
	pages->runs[count] = (uint32_t)(pages->map[first - 1] >> 32);
	pages->map[first - 1] = SLUB_PAGE_NONE;
	pages->kept_pages -= count;
	return run;
}

static void run_push(struct slub_pages *pages, void *run, size_t count)
{
	uint64_t *entry = slub_entry(pages, run);

	*entry = (uint64_t)pages->runs[count] << 32 | count << 6 | SLUB_PAGE_FREE;
	pages->runs[count] = (uint32_t)(entry - pages->map) + 1;
	pages->kept_pages += count;
}

bool slub_pages_flush(struct pool *pool, enum pool_type type)
{
	struct slub_pages *pages = &pool->pages[type];
	bool any = false;

	for (size_t count = 1; count <= SLUB_RUN_LISTS; count++)
		for (;;) {
			void *run;

			spinlock_acquire(&pages->lock);
			run = run_pop(pages, count);
			if (run)
				pages->given += count;
			spinlock_release(&pages->lock);
			if (!run)
				break;
			page_source_give(pages->source, run, count << pages->shift);
			any = true;
		}
	return any;
}

/* The source's pages, and a map that reaches as far. The kept runs go first when it refuses. */
static void *run_fetch(struct pool *pool, enum pool_type type, size_t count)
{
	struct slub_pages *pages = &pool->pages[type];
	size_t bytes = count << pages->shift, page;
	void *run = page_source_take(pages->source, bytes, 0);
	int error;

	if (!run && slub_pages_flush(pool, type))
		run = page_source_take(pages->source, bytes, 0);
	if (!run)
		return NULL;
	page = (size_t)(slub_entry(pages, run) - pages->map);
	spinlock_acquire(&pages->lock);
	error = region_reach(pool, &pages->map_region, page * sizeof(*pages->map),
			     (page + count) * sizeof(*pages->map));
	if (!error) {
		if (pages->top == 0 || page < pages->bottom)
			pages->bottom = page;
		if (page + count > pages->top)
			pages->top = page + count;
	}
	spinlock_release(&pages->lock);
	if (!error)
		return run;
	page_source_give(pages->source, run, bytes);
	return NULL;
}

void *slub_pages_take(struct pool *pool, enum pool_type type, size_t count)
{
	struct slub_pages *pages = &pool->pages[type];
	void *run = NULL;

	if (count <= SLUB_RUN_LISTS) {
		spinlock_acquire(&pages->lock);
		run = run_pop(pages, count);
		pages->reused += run != NULL;
		spinlock_release(&pages->lock);
	}
	return run ? run : run_fetch(pool, type, count);
}

void slub_pages_give(struct pool *pool, enum pool_type type, void *run, size_t count)
{
	struct slub_pages *pages = &pool->pages[type];
	bool keep;

	spinlock_acquire(&pages->lock);
	keep = count <= SLUB_RUN_LISTS && pages->kept_pages + count <= pages->keep_pages;
	if (keep) {
		run_push(pages, run, count);
	} else {
		*slub_entry(pages, run) = SLUB_PAGE_NONE;
		pages->given += count;
	}
	spinlock_release(&pages->lock);
	if (!keep)
		page_source_give(pages->source, run, count << pages->shift);
}

/* ---- large blocks ---- */

void *slub_large_alloc(struct pool *pool, enum pool_type type, size_t bytes)
{
	struct slub_pages *pages = &pool->pages[type];
	size_t count;
	void *run;

	if (bytes > pages->range_bytes)
		return NULL;
	count = page_source_round_up(pages->source, bytes) >> pages->shift;
	run = slub_pages_take(pool, type, count);
	if (!run)
		return NULL;
	*slub_entry(pages, run) = count << 6 | SLUB_PAGE_LARGE;
	spinlock_acquire(&pages->lock);
	pages->large_allocs++;
	spinlock_release(&pages->lock);
	return run;
}

void slub_large_free(struct pool *pool, enum pool_type type, void *block)
{
	struct slub_pages *pages = &pool->pages[type];

	slub_pages_give(pool, type, block, slub_entry_pages(*slub_entry(pages, block)));
}

/* ---- descriptors ---- */

struct slab *slub_slab_get(struct pool *pool)
{
	struct slab *slab;

	spinlock_acquire(&pool->slab_lock);
	slab = pool->free_slabs;
	if (slab) {
		pool->free_slabs = slab->next;
	} else if (region_reach(pool, &pool->slab_region, 0,
				(pool->slab_count + 1) * sizeof(*slab)) == 0) {
		slab = &pool->slabs[pool->slab_count++];
	}
	spinlock_release(&pool->slab_lock);
	return slab;
}

void slub_slab_put(struct pool *pool, struct slab *slab)
{
	slab->base = NULL;
	spinlock_acquire(&pool->slab_lock);
	slab->next = pool->free_slabs;
	pool->free_slabs = slab;
	spinlock_release(&pool->slab_lock);
}

/* ---- sheaves ---- */

struct sheaf *slub_sheaf_get(struct pool *pool)
{
	struct sheaf *sheaf;

	spinlock_acquire(&pool->slab_lock);
	sheaf = pool->free_sheaves;
	if (sheaf) {
		pool->free_sheaves = sheaf->next;
	} else if (pool->sheaf_count < pool->sheaf_most &&
		   region_reach(pool, &pool->sheaf_region, 0,
				(pool->sheaf_count + 1) * sizeof(*sheaf)) == 0) {
		sheaf = &pool->sheaves[pool->sheaf_count++];
	}
	spinlock_release(&pool->slab_lock);
	return sheaf;
}

void slub_sheaf_put(struct pool *pool, struct sheaf *sheaf)
{
	spinlock_acquire(&pool->slab_lock);
	sheaf->next = pool->free_sheaves;
	pool->free_sheaves = sheaf;
	spinlock_release(&pool->slab_lock);
}

/* ---- the end ---- */

/* To the first and the last run that is ours; only a slab's pages all have an entry. */
static void pages_narrow(struct slub_pages *pages)
{
	size_t page = pages->top;
	uint64_t entry;

	while (page > pages->bottom && !pages->map[page - 1])
		page--;
	if (page == pages->bottom) {
		pages->bottom = pages->top = 0;
		return;
	}
	entry = pages->map[page - 1];
	pages->top = page;
	if (slub_entry_kind(entry) != SLUB_PAGE_SLAB)
		pages->top += slub_entry_pages(entry) - 1;
	while (!pages->map[pages->bottom])
		pages->bottom++;
}

size_t slub_control_shrink(struct pool *pool)
{
	size_t given;

	/* They were all put back. */
	pool->free_sheaves = NULL;
	pool->sheaf_count = 0;
	given = region_shrink(pool, &pool->sheaf_region, 0, 0);
	for (unsigned type = 0; type < POOL_TYPES; type++) {
		struct slub_pages *pages = &pool->pages[type];

		pages_narrow(pages);
		given += region_shrink(pool, &pages->map_region,
				       pages->bottom * sizeof(*pages->map),
				       pages->top * sizeof(*pages->map));
	}
	while (pool->slab_count > 0 && !pool->slabs[pool->slab_count - 1].base)
		pool->slab_count--;
	given += region_shrink(pool, &pool->slab_region, 0,
			       pool->slab_count * sizeof(*pool->slabs));
	pool->free_slabs = NULL;
	for (size_t i = pool->slab_count; i-- > 0;)
		if (!pool->slabs[i].base) {
			pool->slabs[i].next = pool->free_slabs;
			pool->free_slabs = &pool->slabs[i];
		}
	return given;
}

void slub_pages_destroy(struct slub_pages *pages)
{
	for (size_t page = pages->bottom; page < pages->top;) {
		uint64_t entry = pages->map[page];
		size_t count = 1;

		if (slub_entry_kind(entry) == SLUB_PAGE_SLAB)
			count = slub_entry_slab(entry)->pages;
		else if (entry)
			count = slub_entry_pages(entry);
		if (entry)
			page_source_give(pages->source, run_address(pages, page),
					 count << pages->shift);
		page += count;
	}
}

void slub_control_destroy(struct pool *pool)
{
	struct page_source *source = pool->control_source;
	size_t bytes = pool->control_bytes;

	for (unsigned type = 0; type < POOL_TYPES; type++)
		control_decommit(pool, pool->pages[type].map_region.low,
				 pool->pages[type].map_region.high);
	control_decommit(pool, pool->slab_region.low, pool->slab_region.high);
	control_decommit(pool, pool->sheaf_region.low, pool->sheaf_region.high);
	page_source_decommit(source, pool, pool->control_committed);
	page_source_release(source, pool, bytes);
}
