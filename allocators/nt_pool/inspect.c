/*
 * Looking at a pool that stands still: walk, check and counters.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include "nt_pool.h"

#define WALK_LANES 16 /* pages that are walked side by side */

/* ---- walk ---- */

struct walk {
	struct pool *pool;
	pool_visit visit;
	void *arg;
	enum pool_type type; /* the page source that is being walked */
};

static int range_visit(const struct walk *walk, const void *start, size_t bytes,
		       enum pool_range_kind kind)
{
	struct pool_range range = {
		.start = start, .bytes = bytes, .kind = kind, .type = walk->type
	};

	return bytes ? walk->visit(walk->arg, &range) : 0;
}

/* Visits a block; *at becomes the next one of its page, NULL behind the last. */
static int block_walk(const struct walk *walk, struct nt_header **at)
{
	struct nt_header *header = *at;
	struct pool_range range = {
		.start = header,
		.bytes = header->block_size * NT_UNIT_BYTES,
		.kind = POOL_RANGE_FREE,
		.type = walk->type,
	};
	unsigned state = nt_state(header);

	if (!header->block_size)
		return -EUCLEAN;
	if (state & NT_CACHED) {
		range.kind = POOL_RANGE_CACHED;
	} else if (state) {
		range.kind = POOL_RANGE_USED;
		range.tag = header->tag;
		range.header_bytes = NT_HEADER_BYTES;
		range.block = nt_body_of(header);
	}
	header = nt_header_after(header, header->block_size);
	*at = nt_page_aligned(header) ? NULL : header;
	return walk->visit(walk->arg, &range);
}

/* The chain of blocks from `header` to the end of its page. */
static int blocks_walk(const struct walk *walk, struct nt_header *header)
{
	int stopped = 0;

	while (header && !stopped)
		stopped = block_walk(walk, &header);
	return stopped;
}

/*
 * Several pages, a block of each in turn: while one page's next header comes from memory the others are visited. A
 * header tells where the next one is, so that a page alone is one cache miss after the other.
 */
static int lanes_walk(const struct walk *walk, struct nt_header **lane, unsigned lanes)
{
	for (bool open = true; open;) {
		open = false;
		for (unsigned i = 0; i < lanes; i++) {
			int stopped = lane[i] ? block_walk(walk, &lane[i]) : 0;

			if (stopped)
				return stopped;
			if (!lane[i])
				continue;
			__builtin_prefetch(lane[i]);
			open = true;
		}
	}
	return 0;
}

static int big_walk(const struct walk *walk, const struct nt_big_entry *entry)
{
	struct pool_range range = {
		.start = (void *)entry->address,
		.bytes = nt_big_block_bytes(entry),
		.kind = POOL_RANGE_USED,
		.type = walk->type,
		.tag = entry->tag,
		.block = (void *)entry->address,
	};
	int stopped = walk->visit(walk->arg, &range);

	if (stopped || !entry->slack_units)
		return stopped;
	return blocks_walk(walk, (struct nt_header *)(entry->address + range.bytes));
}

/* A free run: the pool pages that are free as a whole, and its parts of others at its two ends. */
static int free_run_walk(const struct walk *walk, const struct nt_pages *pages, size_t page,
			 size_t end)
{
	size_t unit = pages->unit, low = (page + unit - 1) / unit * unit, high = end / unit * unit;
	int stopped;

	if (low >= high)
		return range_visit(walk, nt_pages_address(pages, page),
				   (end - page) << NT_PAGE_SHIFT, POOL_RANGE_FREE);
	stopped = range_visit(walk, nt_pages_address(pages, page), (low - page) << NT_PAGE_SHIFT,
			      POOL_RANGE_FREE);
	if (!stopped)
		stopped = range_visit(walk, nt_pages_address(pages, low),
				      (high - low) << NT_PAGE_SHIFT, POOL_RANGE_FREE_PAGES);
	if (!stopped)
		stopped = range_visit(walk, nt_pages_address(pages, high),
				      (end - high) << NT_PAGE_SHIFT, POOL_RANGE_FREE);
	return stopped;
}

static int pages_walk(const struct walk *walk)
{
	const struct nt_pages *pages = &walk->pool->pages[walk->type];
	struct nt_header *lane[WALK_LANES];
	unsigned lanes = 0;
	size_t page = 0;

	while ((page = nt_pages_skip(pages, NT_OWNED, page, false)) < pages->top) {
		char *address = nt_pages_address(pages, page);
		struct nt_big_entry entry;
		size_t end;
		int stopped = 0;

		if (nt_pages_bit(pages, NT_FREE, page)) {
			end = nt_pages_skip(pages, NT_FREE, page, true);
			stopped = free_run_walk(walk, pages, page, end);
		} else {
			end = nt_pages_skip(pages, NT_END, page, false) + 1;
			if (nt_big_find(walk->pool, address, &entry)) {
				stopped = big_walk(walk, &entry);
			} else {
				lane[lanes++] = (struct nt_header *)address;
				__builtin_prefetch(address);
			}
		}
		if (!stopped && lanes == WALK_LANES) {
			stopped = lanes_walk(walk, lane, lanes);
			lanes = 0;
		}
		if (stopped)
			return stopped;
		page = end;
	}
	return lanes_walk(walk, lane, lanes);
}

int nt_walk(struct pool *pool, pool_visit visit, void *arg)
{
	struct walk walk = { .pool = pool, .visit = visit, .arg = arg };
	int stopped;

	walk.type = pool->control_source->type;
	stopped = range_visit(&walk, pool, pool->control_committed, POOL_RANGE_METADATA);
	if (!stopped)
		stopped = range_visit(&walk, pool->big.entries, pool->big.bytes,
				      POOL_RANGE_METADATA);
	for (unsigned type = 0; type < POOL_TYPES && !stopped; type++) {
		walk.type = type;
		stopped = pages_walk(&walk);
	}
	return stopped;
}

/* ---- check ---- */

struct audit {
	struct pool *pool;
	char *why;
	size_t why_bytes;
	size_t cached; /* blocks marked as kept */
	size_t big; /* entries met in the page walk */
	size_t listed; /* free blocks with links, as the pages have them */
};

static int __attribute__((format(printf, 2, 3)))
audit_fail(const struct audit *audit, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	if (audit->why)
		vsnprintf(audit->why, audit->why_bytes, format, arguments);
	va_end(arguments);
	return -EUCLEAN;
}

static int blocks_check(struct audit *audit, struct nt_header *header, enum pool_type type)
{
	unsigned before = 0;
	bool free_before = false;

	do {
		unsigned state = nt_state(header), units = header->block_size;
		size_t offset = (uintptr_t)header & (POOL_OS_PAGE - 1);

		if (!units || offset + units * NT_UNIT_BYTES > POOL_OS_PAGE)
			return audit_fail(audit, "%p: a block of %u units at offset %zu",
					  (void *)header, units, offset);
		if (header->previous_size != before)
			return audit_fail(audit, "%p: PreviousSize %u behind a block of %u units",
					  (void *)header, header->previous_size, before);
		if (header->pool_index >= audit->pool->descriptor_count ||
		    audit->pool->descriptors[header->pool_index].type != type)
			return audit_fail(audit, "%p: PoolIndex %u in the wrong pool",
					  (void *)header, header->pool_index);
		if (state && nt_state_type(state) != type)
			return audit_fail(audit, "%p: PoolType %#x in the wrong pool",
					  (void *)header, state);
		if (!state && free_before)
			return audit_fail(audit, "%p: two free neighbours", (void *)header);
		audit->cached += (state & NT_CACHED) != 0;
		audit->listed += !state && units >= 2;
		free_before = !state;
		before = units;
		header = nt_header_after(header, units);
	} while (!nt_page_aligned(header));
	return 0;
}

static int allocation_check(struct audit *audit, const struct nt_pages *pages, size_t page,
			    size_t end)
{
	char *address = nt_pages_address(pages, page);
	struct nt_big_entry entry;

	if (nt_pages_skip(pages, NT_OWNED, page, true) < end)
		return audit_fail(audit, "%p: allocated pages that are not owned", (void *)address);
	if (!nt_big_find(audit->pool, address, &entry)) {
		if (end - page != 1)
			return audit_fail(audit,
					  "%p: %zu pages without an entry in the big-page table",
					  (void *)address, end - page);
		return blocks_check(audit, (struct nt_header *)address, pages->type);
	}
	audit->big++;
	if (end - page != (entry.bytes + POOL_OS_PAGE - 1) >> NT_PAGE_SHIFT)
		return audit_fail(audit, "%p: %zu pages, the big-page table has %zu bytes",
				  (void *)address, end - page, entry.bytes);
	if (!entry.slack_units)
		return 0;
	return blocks_check(audit, (struct nt_header *)(address + nt_big_block_bytes(&entry)),
			    pages->type);
}

/* A free run is as long as it can be, and listed as such where there are lists. */
static int free_run_check(struct audit *audit, const struct nt_pages *pages, size_t page,
			  size_t end)
{
	struct nt_run *run = nt_pages_address(pages, page), *last;

	if (pages->type == POOL_PAGED)
		return page < pages->hint ? audit_fail(audit, "page %zu is free below the hint %zu",
						       page, pages->hint)
					  : 0;
	last = nt_pages_address(pages, end - 1);
	if (run->pages != end - page || last->first != run)
		return audit_fail(audit, "%p: a free run of %zu pages says %zu", (void *)run,
				  end - page, run->pages);
	if (run->links.next->previous != &run->links || run->links.previous->next != &run->links)
		return audit_fail(audit, "%p: a free run's links are broken", (void *)run);
	return 0;
}

static int pages_check(struct audit *audit, const struct nt_pages *pages)
{
	size_t page = 0, end, owned = 0, free = 0;
	int error = 0;

	while (!error && (page = nt_pages_skip(pages, NT_OWNED, page, false)) < pages->top) {
		if (nt_pages_bit(pages, NT_FREE, page)) {
			end = nt_pages_skip(pages, NT_FREE, page, true);
			error = free_run_check(audit, pages, page, end);
			free += end - page;
		} else {
			end = nt_pages_skip(pages, NT_END, page, false) + 1;
			if (end > pages->top)
				return audit_fail(audit, "page %zu: an allocation without an end",
						  page);
			error = allocation_check(audit, pages, page, end);
		}
		owned += end - page;
		page = end;
	}
	if (!error && (owned != pages->owned_pages || free != pages->free_pages))
		error = audit_fail(audit, "%zu pages owned and %zu free, counted %zu and %zu",
				   owned, free, pages->owned_pages, pages->free_pages);
	return error;
}

/* Every list holds free blocks of its size, and the bitmap knows which lists hold any. */
static int descriptor_check(struct audit *audit, struct nt_descriptor *descriptor, size_t *listed)
{
	for (unsigned units = 0; units < NT_PAGE_UNITS; units++) {
		struct nt_links *head = &descriptor->lists[units];
		bool occupied = descriptor->occupied[units / 64] >> units % 64 & 1;

		if (occupied != (head->next != head))
			return audit_fail(audit, "descriptor %u: list %u and its bit disagree",
					  descriptor->index, units);
		for (struct nt_links *at = head->next; at != head; at = at->next) {
			struct nt_header *header = nt_header_of(at);

			if (at->next->previous != at)
				return audit_fail(audit, "%p: a free block's links are broken",
						  (void *)at);
			if (nt_state(header) || header->block_size != units ||
			    header->pool_index != descriptor->index)
				return audit_fail(audit,
						  "%p: on the list of %u units, but size %u, "
						  "type %#x, index %u",
						  (void *)header, units, header->block_size,
						  nt_state(header), header->pool_index);
			++*listed;
		}
	}
	return 0;
}

static int lookaside_check(const struct audit *audit, const struct nt_lookaside *list)
{
	unsigned units = list->units, state = NT_CACHED | (list->type + 1u);
	size_t count = 0;

	for (void *block = list->head; block; block = *(void **)block, count++) {
		const struct nt_header *header = nt_header_of(block);

		if (count >= list->count)
			break;
		if (header->block_size != units || nt_state(header) != state)
			return audit_fail(audit, "%p: kept for %u units, but size %u, type %#x",
					  block, units, header->block_size, nt_state(header));
	}
	if (count != list->count)
		return audit_fail(audit, "a lookaside list for %u units has not its %u blocks",
				  units, list->count);
	return 0;
}

/* What the lookaside lists and the pending lists hold; they also hold what they say. */
static int cached_check(struct audit *audit, size_t *cached)
{
	struct pool *pool = audit->pool;
	int error = 0;

	for (unsigned i = 0; i < pool->processor_count; i++) {
		const struct nt_lookaside *lists = nt_processor_of(pool, i)->lists;

		for (unsigned n = 0; n < pool->list_count && !error; n++) {
			error = lookaside_check(audit, &lists[n]);
			*cached += lists[n].count;
		}
	}
	for (unsigned i = 0; i < pool->descriptor_count; i++)
		*cached += nt_pending_count(&pool->descriptors[i]);
	return error;
}

int nt_check(struct pool *pool, char *why, size_t why_bytes)
{
	struct audit audit = { .pool = pool, .why = why, .why_bytes = why_bytes };
	size_t listed = 0, cached = 0;
	int error = 0;

	for (unsigned type = 0; type < POOL_TYPES && !error; type++)
		error = pages_check(&audit, &pool->pages[type]);
	for (unsigned i = 0; i < pool->descriptor_count && !error; i++)
		error = descriptor_check(&audit, &pool->descriptors[i], &listed);
	if (!error)
		error = cached_check(&audit, &cached);
	if (error)
		return error;
	if (listed != audit.listed)
		return audit_fail(&audit, "%zu free blocks in the pages, %zu on the lists",
				  audit.listed, listed);
	if (cached != audit.cached)
		return audit_fail(&audit, "%zu blocks marked as kept, %zu kept", audit.cached,
				  cached);
	if (audit.big != pool->big.count)
		return audit_fail(&audit, "%zu big blocks in the pages, %zu in the table",
				  audit.big, pool->big.count);
	return 0;
}

/* ---- counters ---- */

struct totals {
	uint64_t kept_frees, hits, misses, overflows, io_hits, io_misses, io_overflows, tunings,
		depth_changes;
	uint64_t allocations, frees, splits, merges, flushes, acquisitions, contentions;
};

static void totals_processor(struct totals *totals, const struct nt_processor *processor)
{
	for (unsigned n = NT_NO_LIST + 1; n < processor->pool->list_count; n++) {
		const struct nt_lookaside *list = &processor->lists[n];
		uint64_t hits = list->allocates - list->allocate_misses;
		bool io = n < NT_IO_LIST + NT_IO_CLASSES;

		/* What was pushed was popped since, flushed, or is there. */
		totals->kept_frees += hits + list->count;
		*(io ? &totals->io_hits : &totals->hits) += hits;
		*(io ? &totals->io_misses : &totals->misses) += list->allocate_misses;
		*(io ? &totals->io_overflows : &totals->overflows) += list->free_misses;
	}
	totals->kept_frees += processor->flushed;
	totals->tunings += processor->tunings;
	totals->depth_changes += processor->depth_changes;
}

static void totals_lock(struct totals *totals, const struct spinlock *lock)
{
	totals->acquisitions += lock->acquisitions;
	totals->contentions += lock->contentions;
}

static void totals_pool(struct totals *totals, const struct pool *pool)
{
	for (unsigned i = 0; i < pool->processor_count; i++)
		totals_processor(totals, nt_processor_of(pool, i));
	for (unsigned i = 0; i < pool->descriptor_count; i++) {
		const struct nt_descriptor *descriptor = &pool->descriptors[i];

		totals->allocations += descriptor->allocations;
		totals->frees += descriptor->frees;
		totals->splits += descriptor->splits;
		totals->merges += descriptor->merges;
		totals->flushes += descriptor->flushes;
		totals_lock(totals, &descriptor->lock);
	}
	for (unsigned type = 0; type < POOL_TYPES; type++)
		totals_lock(totals, &pool->pages[type].lock);
	totals_lock(totals, &pool->big.lock);
	totals_lock(totals, &pool->control_lock);
}

void nt_counters(struct pool *pool, pool_counter_visit visit, void *arg)
{
	struct totals t = { 0 };

	totals_pool(&t, pool);
	visit(arg, "fast_allocs", "allocations served by a lookaside list of either kind",
	      t.hits + t.io_hits);
	visit(arg, "fast_frees", "frees that a list kept", t.kept_frees);
	visit(arg, "refills", "allocations that found their list empty", t.misses + t.io_misses);
	visit(arg, "lookaside_hits", "allocations served by a lookaside list", t.hits);
	visit(arg, "lookaside_misses", "allocations that found their list empty", t.misses);
	visit(arg, "lookaside_overflows", "frees that found their list full", t.overflows);
	visit(arg, "io_hits", "larger IRPs served by an I/O lookaside list", t.io_hits);
	visit(arg, "io_misses", "larger IRPs that found their list empty", t.io_misses);
	visit(arg, "io_overflows", "larger IRPs freed to a full list", t.io_overflows);
	visit(arg, "tunings", "times a processor's depths were tuned", t.tunings);
	visit(arg, "depth_changes", "depths that a tuning changed", t.depth_changes);
	visit(arg, "descriptor_allocs", "blocks allocated under a descriptor's lock",
	      t.allocations);
	visit(arg, "descriptor_frees", "blocks freed under a descriptor's lock", t.frees);
	visit(arg, "splits", "blocks cut in two", t.splits);
	visit(arg, "merges", "neighbours merged", t.merges);
	visit(arg, "pending_flushes", "batches of deferred frees merged", t.flushes);
	visit(arg, "big_allocs", "blocks of whole pages", pool->big.allocations);
	visit(arg, "table_grows", "times the big-page table doubled", pool->big.grows);
	visit(arg, "lock_acquisitions", "acquisitions of any lock", t.acquisitions);
	visit(arg, "lock_contentions", "acquisitions that had to wait", t.contentions);
}
