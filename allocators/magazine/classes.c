/* Size classes, and how a slab of each is laid out. */
#include "magazine.h"

#include <string.h>

/*
 * Capacities such that records of 16 bytes and a word a round fill the pages of 4 KiB that records are cut from:
 * 126, 63, 28, 15, 8, 5, 4, 3 and 2 a page.
 */
const uint16_t magazine_rounds[MAGAZINE_SIZES] = { 2, 6, 14, 30, 60, 98, 124, 166, 250 };

static unsigned round_unit(size_t bytes)
{
	return (unsigned)(bytes & ~(size_t)(POOL_ALIGNMENT - 1));
}

/*
 * No object may cross a page, so that what matters of a size is how many fit into one: a class for each such
 * number has the largest size of it, and a class in between would save nothing. Below 1/16 of a page
 * that is each multiple of 16.
 */
static unsigned fractions_make(size_t most, uint32_t *bytes)
{
	unsigned count = 0, size = 0;

	while (size < POOL_OS_PAGE && size < most) {
		unsigned next = size + POOL_ALIGNMENT;

		size = round_unit(POOL_OS_PAGE / (POOL_OS_PAGE / next));
		bytes[++count] = size;
	}
	for (size = 2 * POOL_OS_PAGE; size <= most && count < MAGAZINE_CLASSES - 1;
	     size += POOL_OS_PAGE)
		bytes[++count] = size;
	return count;
}

unsigned classes_make(const struct magazine_setup *setup, uint32_t bytes[MAGAZINE_CLASSES])
{
	unsigned count = 0;

	bytes[0] = 0;
	if (!setup->multiples)
		return setup->cached_max ? fractions_make(setup->cached_max, bytes) : 0;
	while (count < MAGAZINE_CLASSES - 1 && (count + 1) * setup->quantum <= setup->cached_max) {
		count++;
		bytes[count] = (uint32_t)(count * setup->quantum);
	}
	return count;
}

unsigned class_find(const uint32_t *bytes, unsigned count, size_t request)
{
	for (unsigned class = 1; class <= count; class ++)
		if (bytes[class] >= request)
			/* A page rule: what is of a page and more is aligned to one. */
			if (request < POOL_OS_PAGE || bytes[class] % POOL_OS_PAGE == 0)
				return class;
	return 0;
}

/* Objects in `pages` pages, each of which (or, of objects of pages, the last) has `reserved` bytes less. */
static unsigned objects_in(size_t bytes, size_t pages, size_t reserved)
{
	if (bytes >= POOL_OS_PAGE)
		return (unsigned)((pages * POOL_OS_PAGE - reserved) / bytes);
	return (unsigned)(pages * ((POOL_OS_PAGE - reserved) / bytes));
}

static unsigned header_bytes(unsigned words)
{
	return round_unit(sizeof(struct slab) + 2 * words * sizeof(uint64_t) + POOL_ALIGNMENT - 1);
}

/*
 * The header lies at the page's end where it costs little: objects that give way to it are at most twice
 * its size. Otherwise, and for slabs of several pages, it is a record.
 */
static void slab_layout(struct slab_cache *cache)
{
	const unsigned least = cache->pool->setup.slab_objects;
	size_t pages = (cache->bytes + POOL_OS_PAGE - 1) >> MAGAZINE_PAGE_SHIFT, slack;
	unsigned whole;

	while (objects_in(cache->bytes, pages, 0) < least && pages * 2 <= MAGAZINE_SLAB_PAGES)
		pages *= 2;
	whole = objects_in(cache->bytes, pages, 0);
	cache->objects = whole;
	cache->words = (whole + 63) / 64;
	cache->header_bytes = header_bytes(cache->words);
	if (pages == 1) {
		unsigned left = objects_in(cache->bytes, 1, cache->header_bytes);

		if ((whole - left) * cache->bytes <= 2 * (size_t)cache->header_bytes) {
			cache->embedded = true;
			cache->objects = left;
		}
	}
	cache->slab_bytes = pages << MAGAZINE_PAGE_SHIFT;
	if (cache->bytes >= POOL_OS_PAGE)
		return;
	cache->per_page = cache->objects / (unsigned)pages;
	slack = POOL_OS_PAGE - cache->per_page * cache->bytes -
		(cache->embedded ? cache->header_bytes : 0);
	cache->colours = cache->pool->setup.colour ? (unsigned)(slack / MAGAZINE_LINE) : 0;
}

/* The largest size whose objects take `limit` bytes at most; not below rounds_min. */
static uint16_t magazine_size(const struct magazine_setup *setup, size_t bytes, size_t limit)
{
	unsigned size = 0;

	while (size + 1 < MAGAZINE_SIZES && magazine_rounds[size + 1] <= setup->rounds_max &&
	       (magazine_rounds[size + 1] * bytes <= limit ||
		magazine_rounds[size] < setup->rounds_min))
		size++;
	return (uint16_t)size;
}

size_t depot_room(const struct slab_cache *cache)
{
	const size_t bytes = cache->pool->setup.depot_bytes;
	const size_t room = bytes / (magazine_rounds[cache->size] * cache->bytes);

	return bytes && !room ? 1 : room;
}

void cache_init(struct slab_cache *cache, struct pool *pool, enum pool_type type, unsigned class,
		size_t bytes)
{
	const struct magazine_setup *setup = &pool->setup;

	memset(cache, 0, sizeof(*cache));
	cache->pool = pool;
	cache->arena = &pool->arenas[type];
	cache->type = type;
	cache->id = (uint8_t)magazine_id(type, class);
	cache->bytes = bytes;
	cache->reciprocal = ((1ull << 40) + bytes - 1) / bytes;
	slab_layout(cache);
	atomic_init(&cache->size, magazine_size(setup, bytes, setup->rounds_bytes));
	cache->size_max = magazine_size(setup, bytes, 4 * setup->rounds_bytes);
	cache->full_max = depot_room(cache);
}
