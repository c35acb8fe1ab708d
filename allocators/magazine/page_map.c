/* Which cache a page belongs to: a byte a page, which every free reads; and which slab: a pointer a page. */
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

	*map = (struct page_map){ .base = source->base, .source = source, .metadata = metadata };
	for (unsigned i = 0; i < 2; i++)
		map->reserved[i] = page_source_round_up(metadata, pages * entry_bytes[i]);
	map->ids = page_source_reserve(metadata, map->reserved[0], 0);
	map->slabs = page_source_reserve(metadata, map->reserved[1], 0);
	if (map->ids && map->slabs)
		return 0;
	page_map_fini(map);
	return -ENOMEM;
}

void page_map_fini(struct page_map *map)
{
	for (unsigned i = 0; i < 2; i++) {
		char *table = table_of(map, i);

		if (!table)
			continue;
		if (map->committed[i])
			page_source_decommit(map->metadata, table, map->committed[i]);
		page_source_release(map->metadata, table, map->reserved[i]);
	}
}

/* The lock is held across the commits: whoever waits for it needs the same memory. */
int page_map_reach(struct page_map *map, const void *run, size_t bytes)
{
	const size_t end = (size_t)((const char *)run - map->base) + bytes;
	size_t covered = SIZE_MAX;
	int error = 0;

	if (end <= atomic_load_explicit(&map->covered, memory_order_acquire))
		return 0;
	spinlock_acquire(&map->lock);
	for (unsigned i = 0; i < 2; i++) {
		size_t need = page_source_round_up(map->metadata,
						   (end >> MAGAZINE_PAGE_SHIFT) * entry_bytes[i]);
		size_t reach;

		if (!error && need > map->committed[i]) {
			error = page_source_commit(map->metadata,
						   table_of(map, i) + map->committed[i],
						   need - map->committed[i]);
			if (!error)
				map->committed[i] = need;
		}
		reach = map->committed[i] / entry_bytes[i] << MAGAZINE_PAGE_SHIFT;
		covered = reach < covered ? reach : covered;
	}
	atomic_store_explicit(&map->covered, covered, memory_order_release);
	spinlock_release(&map->lock);
	return error;
}

void page_map_set(struct page_map *map, const void *run, size_t bytes, uint8_t id,
		  struct slab *slab)
{
	const size_t first = (size_t)((const char *)run - map->base) >> MAGAZINE_PAGE_SHIFT;

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
			.start = table_of(map, i),
			.bytes = map->committed[i],
			.kind = POOL_RANGE_METADATA,
			.type = map->metadata->type,
		};

		stopped = range.bytes ? visit(arg, &range) : 0;
	}
	return stopped;
}
