/*
 * The page layer: runs of OS pages for the descriptors above and for big blocks.
 *
 * Three bitmaps over the page source's whole range (owned, free, end of allocation) stand for what
 * Windows keeps in page-table entries and in the paged pool's two bitmaps. A chunk of them is
 * committed when the pool first reaches its addresses. On top of them, as in Windows:
 *
 *     nonpaged   free runs are listed by length; the list entry is written in the run's first page
 *                (it is resident, so that costs no fault), its last page points to the first. A
 *                request is cut from a run's end, so that the entry stays where it is.
 *     paged      nothing is written in a free page (it might have to be read back from the paging
 *                file): a first-fit search of the bitmap from a hint below which no page is free.
 *
 * Pool pages larger than an OS page are taken from and given back to the page source as units and
 * handed out as OS pages in between; free runs therefore merge across pool pages, blocks never do.
 *
 * Concurrency. One lock a pool type. It is never held across a call into the page source, which may
 * enter the kernel: a new run is owned by whoever asked for it until its bits are set, and a run
 * that is given back has its bits cleared first.
 */
#include <errno.h>

#include "nt_pool.h"

#define NO_PAGE SIZE_MAX

static void bits_fill(struct nt_pages *pages, enum nt_plane plane, size_t page, size_t count,
		      bool value)
{
	while (count) {
		size_t shift = page % 64, part = 64 - shift < count ? 64 - shift : count;
		uint64_t mask = (part == 64 ? ~0ull : (1ull << part) - 1) << shift;
		uint64_t *word = nt_pages_word(pages, plane, page / 64);

		*word = value ? *word | mask : *word & ~mask;
		page += part;
		count -= part;
	}
}

size_t nt_pages_skip(const struct nt_pages *pages, enum nt_plane plane, size_t page, bool value)
{
	uint64_t flip = value ? ~0ull : 0;

	while (page < pages->top) {
		uint64_t word = (*nt_pages_word(pages, plane, page / 64) ^ flip) >> page % 64;

		if (word) {
			page += (size_t)__builtin_ctzll(word);
			break;
		}
		page += 64 - page % 64;
	}
	return page < pages->top ? page : pages->top;
}

/* ---- nonpaged: free runs by length ---- */

static unsigned run_list(size_t count)
{
	return (unsigned)(count < NT_RUN_LISTS ? count : NT_RUN_LISTS) - 1;
}

static void run_insert(struct nt_pages *pages, size_t page, size_t count)
{
	struct nt_run *run = nt_pages_address(pages, page);
	struct nt_run *last = nt_pages_address(pages, page + count - 1);
	unsigned list = run_list(count);

	run->pages = count;
	run->first = run;
	last->first = run;
	nt_links_insert_after(&pages->runs[list], &run->links);
	pages->run_mask |= 1ull << list;
}

static void run_remove(struct nt_pages *pages, struct nt_run *run)
{
	unsigned list = run_list(run->pages);

	nt_links_remove(&run->links);
	if (pages->runs[list].next == &pages->runs[list])
		pages->run_mask &= ~(1ull << list);
}

/* Only the list of the longest runs needs a search; every entry of another one fits. */
static size_t run_take(struct nt_pages *pages, size_t count)
{
	uint64_t mask = pages->run_mask & ~0ull << run_list(count);

	while (mask) {
		struct nt_links *head = &pages->runs[__builtin_ctzll(mask)];

		for (struct nt_links *at = head->next; at != head; at = at->next) {
			struct nt_run *run = (struct nt_run *)at;
			size_t page = nt_pages_number(pages, run), rest;

			if (run->pages < count)
				continue;
			rest = run->pages - count;
			run_remove(pages, run);
			if (rest)
				run_insert(pages, page, rest);
			return page + rest;
		}
		mask &= mask - 1;
	}
	return NO_PAGE;
}

/* ---- paged: the bitmap ---- */

static size_t bitmap_take(struct nt_pages *pages, size_t count)
{
	size_t page = nt_pages_skip(pages, NT_FREE, pages->hint, false);

	pages->hint = page;
	while (page < pages->top) {
		size_t end = nt_pages_skip(pages, NT_FREE, page, true);

		if (end - page >= count) {
			if (page == pages->hint)
				pages->hint += count;
			return page;
		}
		page = nt_pages_skip(pages, NT_FREE, end, false);
	}
	return NO_PAGE;
}

/* ---- both ---- */

/* Marks pages free and merges them with the free runs beside them. */
static void run_free(struct nt_pages *pages, size_t page, size_t count)
{
	bits_fill(pages, NT_FREE, page, count, true);
	pages->free_pages += count;
	if (pages->type == POOL_PAGED) {
		if (page < pages->hint)
			pages->hint = page;
		return;
	}
	if (nt_pages_bit(pages, NT_FREE, page + count)) {
		struct nt_run *next = nt_pages_address(pages, page + count);

		run_remove(pages, next);
		count += next->pages;
	}
	if (page && nt_pages_bit(pages, NT_FREE, page - 1)) {
		struct nt_run *last = nt_pages_address(pages, page - 1);
		struct nt_run *previous = last->first;

		run_remove(pages, previous);
		page -= previous->pages;
		count += previous->pages;
	}
	run_insert(pages, page, count);
}

void nt_pages_init(struct pool *pool, enum pool_type type, struct page_source *source)
{
	struct nt_pages *pages = &pool->pages[type];

	pages->source = source;
	pages->type = type;
	pages->chunks = pool->chunks + type;
	pages->unit = (unsigned)(source->page_size >> NT_PAGE_SHIFT);
	pages->retain_pages = pool->options.retain >> NT_PAGE_SHIFT;
	pages->expand_bytes = page_source_round_up(source, pool->options.expand);
	for (unsigned i = 0; i < NT_RUN_LISTS; i++)
		nt_links_init(&pages->runs[i]);
}

/*
 * More pool pages from the source; `count` of their OS pages are the caller's, the rest is free.
 * Asks for expand_bytes, to enter the kernel seldom, and if that is refused for no more than is
 * needed.
 */
static void *pages_expand(struct pool *pool, struct nt_pages *pages, size_t count)
{
	struct page_source *source = pages->source;
	size_t need = page_source_round_up(source, count << NT_PAGE_SHIFT);
	size_t bytes = need > pages->expand_bytes ? need : pages->expand_bytes;
	char *run = page_source_take(source, bytes, 0);
	size_t page, total, start;

	if (!run && bytes > need) {
		bytes = need;
		run = page_source_take(source, bytes, 0);
	}
	if (!run)
		return NULL;
	page = nt_pages_number(pages, run);
	total = bytes >> NT_PAGE_SHIFT;
	if (nt_control_reach(pool, page + total - 1) != 0) {
		page_source_give(source, run, bytes);
		return NULL;
	}
	spinlock_acquire(&pages->lock);
	if (page + total > pages->top)
		pages->top = page + total;
	bits_fill(pages, NT_OWNED, page, total, true);
	pages->owned_pages += total;
	start = pages->type == POOL_NONPAGED ? page + total - count : page;
	bits_fill(pages, NT_END, start + count - 1, 1, true);
	if (total > count)
		run_free(pages, start == page ? page + count : page, total - count);
	spinlock_release(&pages->lock);
	return nt_pages_address(pages, start);
}

/* A run of what is free already, or NO_PAGE. */
static size_t pages_take(struct nt_pages *pages, size_t count)
{
	size_t page = NO_PAGE;

	spinlock_acquire(&pages->lock);
	if (count <= pages->free_pages)
		page = pages->type == POOL_NONPAGED ? run_take(pages, count)
						    : bitmap_take(pages, count);
	if (page != NO_PAGE) {
		bits_fill(pages, NT_FREE, page, count, false);
		bits_fill(pages, NT_END, page + count - 1, 1, true);
		pages->free_pages -= count;
	}
	spinlock_release(&pages->lock);
	return page;
}

/* Deferred frees hold pages that may do, so they are merged before the source is asked. */
void *nt_pages_alloc(struct pool *pool, enum pool_type type, size_t count)
{
	struct nt_pages *pages = &pool->pages[type];
	size_t page = pages_take(pages, count);

	if (page == NO_PAGE && nt_pending_flush_type(pool, type))
		page = pages_take(pages, count);
	return page == NO_PAGE ? pages_expand(pool, pages, count) : nt_pages_address(pages, page);
}

void nt_pages_free(struct pool *pool, enum pool_type type, void *start)
{
	struct nt_pages *pages = &pool->pages[type];
	size_t page = nt_pages_number(pages, start), end;
	bool plenty;

	spinlock_acquire(&pages->lock);
	end = nt_pages_skip(pages, NT_END, page, false);
	bits_fill(pages, NT_END, end, 1, false);
	run_free(pages, page, end - page + 1);
	plenty = pages->free_pages > pages->retain_pages;
	spinlock_release(&pages->lock);
	if (plenty)
		nt_pages_give(pool, type, pages->retain_pages / 2);
}

void nt_pages_cut(struct pool *pool, enum pool_type type, void *start, size_t count)
{
	struct nt_pages *pages = &pool->pages[type];

	spinlock_acquire(&pages->lock);
	bits_fill(pages, NT_END, nt_pages_number(pages, start) + count - 1, 1, true);
	spinlock_release(&pages->lock);
}

/* The highest free run below `below`: its first page, and *end; NO_PAGE if there is none. */
static size_t run_below(const struct nt_pages *pages, size_t below, size_t *end)
{
	size_t page = below;

	while (page && !nt_pages_bit(pages, NT_FREE, page - 1)) {
		if (page % 64 == 0 && *nt_pages_word(pages, NT_FREE, page / 64 - 1) == 0)
			page -= 64;
		else
			page--;
	}
	if (!page)
		return NO_PAGE;
	*end = page;
	while (page && nt_pages_bit(pages, NT_FREE, page - 1)) {
		if (page % 64 == 0 && ~*nt_pages_word(pages, NT_FREE, page / 64 - 1) == 0)
			page -= 64;
		else
			page--;
	}
	return page;
}

/*
 * Takes whole free pool pages out of the layer: the highest ones below *below, at most about
 * `wanted` OS pages. The count in pages, *start the first; 0 when there is none. Under the lock.
 */
static size_t run_detach(struct nt_pages *pages, size_t *below, size_t wanted, size_t *start)
{
	size_t unit = pages->unit, end, first;

	while ((first = run_below(pages, *below, &end)) != NO_PAGE) {
		size_t low = (first + unit - 1) / unit * unit, high = end / unit * unit;

		*below = first;
		wanted = (wanted + unit - 1) / unit * unit;
		if (low >= high)
			continue;
		if (high - low > wanted)
			low = high - wanted;
		if (pages->type == POOL_NONPAGED) {
			run_remove(pages, nt_pages_address(pages, first));
			if (low > first)
				run_insert(pages, first, low - first);
			if (end > high)
				run_insert(pages, high, end - high);
		}
		bits_fill(pages, NT_FREE, low, high - low, false);
		bits_fill(pages, NT_OWNED, low, high - low, false);
		pages->free_pages -= high - low;
		pages->owned_pages -= high - low;
		pages->given += (high - low) / unit;
		*start = low;
		return high - low;
	}
	return 0;
}

/* From the top of the range downwards, so that what stays is dense at its bottom. */
void nt_pages_give(struct pool *pool, enum pool_type type, size_t target)
{
	struct nt_pages *pages = &pool->pages[type];
	size_t below = SIZE_MAX;

	for (;;) {
		size_t start = 0, count = 0;

		spinlock_acquire(&pages->lock);
		/* A run may have grown across `below` while the lock was not held. */
		below = nt_pages_skip(pages, NT_FREE, below, true);
		if (pages->free_pages > target)
			count = run_detach(pages, &below, pages->free_pages - target, &start);
		while (pages->top && *nt_pages_word(pages, NT_OWNED, (pages->top - 1) / 64) == 0)
			pages->top = (pages->top - 1) / 64 * 64;
		spinlock_release(&pages->lock);
		if (!count)
			return;
		page_source_give(pages->source, nt_pages_address(pages, start),
				 count << NT_PAGE_SHIFT);
	}
}

void nt_pages_destroy(struct nt_pages *pages)
{
	size_t page = 0;

	while ((page = nt_pages_skip(pages, NT_OWNED, page, false)) < pages->top) {
		size_t end = nt_pages_skip(pages, NT_OWNED, page, true);

		page_source_give(pages->source, nt_pages_address(pages, page),
				 (end - page) << NT_PAGE_SHIFT);
		page = end;
	}
}
