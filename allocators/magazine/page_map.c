/*
 * Which cache a page belongs to: a byte a page, which every free reads; and which slab: a pointer a page.
 *
 * Both tables are reserved for the whole range of the source and committed for a window of it that starts where
 * the first span lay, since a nonpaged source begins with what the pool itself reserved. The window grows
 * at its ends only.
 */
#include "magazine.h"

#include <errno.h>
#include <string.h>

static const size_t entry_bytes[2] = { sizeof(uint8_t), sizeof(struct slab *) };

static char *table_of(const struct page_map *map, unsigned table)
{
	return table ? (char *)map->slabs : (char *)map->ids;
}

int page_map_init(struct page_map *map, struct page_source *source, struct page_source *metadata)
{
	const size_t pages = source->range_bytes >> MAGAZINE_PAGE_SHIFT;

	*map = (struct page_map){ .source = source, .metadata = metadata };
	for (unsigned i = 0; i < 2; i++)
		map->window[i].reserved = page_source_round_up(metadata, pages * entry_bytes[i]);
	map->ids = page_source_reserve(metadata, map->window[0].reserved, 0);
	map->slabs = page_source_reserve(metadata, map->window[1].reserved, 0);
	if (!map->ids || !map->slabs) {
		page_map_fini(map);
		return -ENOMEM;
	}
	map->ids_bias = (uintptr_t)map->ids - ((uintptr_t)source->base >> MAGAZINE_PAGE_SHIFT);
	return 0;
}

void page_map_fini(struct page_map *map)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct page_map_window *window = &map->window[i];
		char *table = table_of(map, i);

		if (!table)
			continue;
		if (window->end > window->start)
			page_source_decommit(map->metadata, table + window->start,
					     window->end - window->start);
		page_source_release(map->metadata, table, window->reserved);
	}
}

/* Makes a table's window reach from `start` to `end`, bytes of the table. 0 or -ENOMEM. */
static int window_reach(struct page_map *map, unsigned table, size_t start, size_t end)
{
	struct page_map_window *window = &map->window[table];
	char *at = table_of(map, table);
	int error = 0;

	start &= ~(map->metadata->page_size - 1);
	end = page_source_round_up(map->metadata, end);
	if (window->start == window->end)
		window->start = window->end = start;
	if (start < window->start) {
		error = page_source_commit(map->metadata, at + start, window->start - start);
		if (!error)
			window->start = start;
	}
	if (!error && end > window->end) {
		error = page_source_commit(map->metadata, at + window->end, end - window->end);
		if (!error)
			window->end = end;
	}
	return error;
}

/*
 * What both windows cover becomes known. A free reads `low` and then `covered`: where it reads the new low it
 * reads the new length too, or an address at the upper end would seem to be outside.
 */
static void window_publish(struct page_map *map)
{
	size_t low = 0, high = SIZE_MAX;

	for (unsigned i = 0; i < 2; i++) {
		size_t first = map->window[i].start / entry_bytes[i] << MAGAZINE_PAGE_SHIFT;
		size_t end = map->window[i].end / entry_bytes[i] << MAGAZINE_PAGE_SHIFT;

		low = first > low ? first : low;
		high = end < high ? end : high;
	}
	if (high <= low)
		return;
	atomic_store_explicit(&map->covered, high - low, memory_order_release);
	atomic_store_explicit(&map->low, (uintptr_t)map->source->base + low, memory_order_release);
}

/* The lock is held across the commits: whoever waits for it needs the same memory. */
int page_map_reach(struct page_map *map, const void *run, size_t bytes)
{
	const size_t first = page_map_index(map, run);
	const size_t end = first + (bytes >> MAGAZINE_PAGE_SHIFT);
	int error = 0;

	spinlock_acquire(&map->lock);
	for (unsigned i = 0; i < 2 && !error; i++)
		error = window_reach(map, i, first * entry_bytes[i], end * entry_bytes[i]);
	window_publish(map);
	spinlock_release(&map->lock);
	return error;
}

void page_map_set(struct page_map *map, const void *run, size_t bytes, uint8_t id,
		  struct slab *slab)
{
	const size_t first = page_map_index(map, run);

	for (size_t i = 0; i < bytes >> MAGAZINE_PAGE_SHIFT; i++) {
		map->ids[first + i] = id;
		map->slabs[first + i] = slab;
	}
}

int page_map_walk(const struct page_map *map, pool_visit visit, void *arg)
{
	int stopped = 0;

	for (unsigned i = 0; i < 2 && !stopped; i++) {
		const struct pool_range range = {
			.start = table_of(map, i) + map->window[i].start,
			.bytes = map->window[i].end - map->window[i].start,
			.kind = POOL_RANGE_METADATA,
			.type = map->metadata->type,
		};

		stopped = range.bytes ? visit(arg, &range) : 0;
	}
	return stopped;
}

size_t page_map_committed(const struct page_map *map)
{
	return map->window[0].end - map->window[0].start + map->window[1].end -
	       map->window[1].start;
}
