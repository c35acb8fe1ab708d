/*
 * Slabs: Bonwick, "The Slab Allocator: An Object-Caching Kernel Memory Allocator" (USENIX 1994).
 *
 *     embedded    |colour|obj 0|obj 1|....|obj n-1|  slack  |struct slab|      a page
 *     external    |colour|obj 0|....|obj k-1| slack ||colour|obj k|....| slack |    pages; struct slab: a record
 *
 * Which objects are free is a bitmap in the slab, where the paper links them: objects are then not written
 * to while free, walk can tell them, and a freed object is checked by a bit. Objects of less than a page
 * do not cross one; those of several pages follow each other.
 */
#include "magazine.h"

#include <string.h>

struct slab *slab_of(const struct slab_cache *cache, const void *object)
{
	const struct page_map *map = &cache->pool->maps[cache->type];

	if (cache->embedded)
		return (struct slab *)(((uintptr_t)object | (POOL_OS_PAGE - 1)) + 1 -
				       cache->header_bytes);
	return map->slabs[page_map_index(map, object)];
}

unsigned slab_index(const struct slab_cache *cache, const struct slab *slab, const void *object)
{
	size_t offset = (size_t)((const char *)object - slab->memory), first = 0, index;

	if (cache->per_page) {
		first = (offset >> MAGAZINE_PAGE_SHIFT) * cache->per_page;
		offset = (offset & (POOL_OS_PAGE - 1)) - slab->colour;
	}
	index = offset < cache->slab_bytes ? offset * cache->reciprocal >> 40 : cache->objects;
	if (index * cache->bytes != offset || (cache->per_page && index >= cache->per_page) ||
	    first + index >= cache->objects)
		return cache->objects;
	return (unsigned)(first + index);
}

char *slab_object(const struct slab_cache *cache, const struct slab *slab, unsigned index)
{
	if (!cache->per_page)
		return slab->memory + index * cache->bytes;
	return slab->memory + (index / cache->per_page << MAGAZINE_PAGE_SHIFT) + slab->colour +
	       index % cache->per_page * cache->bytes;
}

/* ---- the list of slabs with free objects ---- */

static void partial_insert(struct slab_cache *cache, struct slab *slab, bool last)
{
	slab->listed = true;
	if (!cache->partial) {
		slab->next = slab->previous = NULL;
		cache->partial = cache->partial_last = slab;
	} else if (last) {
		slab->next = NULL;
		slab->previous = cache->partial_last;
		cache->partial_last->next = slab;
		cache->partial_last = slab;
	} else {
		slab->previous = NULL;
		slab->next = cache->partial;
		cache->partial->previous = slab;
		cache->partial = slab;
	}
}

static void partial_remove(struct slab_cache *cache, struct slab *slab)
{
	slab->listed = false;
	if (slab->next)
		slab->next->previous = slab->previous;
	else
		cache->partial_last = slab->previous;
	if (slab->previous)
		slab->previous->next = slab->next;
	else
		cache->partial = slab->next;
}

/* ---- making and destroying ---- */

static void slab_init(struct slab_cache *cache, struct slab *slab, char *memory)
{
	memset(slab, 0, cache->header_bytes);
	slab->memory = memory;
	slab->id = cache->id;
	for (unsigned i = 0; i < cache->objects; i++)
		slab->bits[i / 64] |= 1ull << i % 64;
}

/* No lock held. NULL when a source refuses. */
static struct slab *slab_make(struct slab_cache *cache)
{
	const struct vmem_request request = { cache->slab_bytes, POOL_OS_PAGE, 0 };
	char *memory = (char *)vmem_alloc(cache->arena, &request);
	struct slab *slab;

	if (!memory)
		return NULL;
	if (cache->embedded)
		slab = (struct slab *)(memory + POOL_OS_PAGE - cache->header_bytes);
	else
		slab = records_alloc(&cache->pool->slabs);
	if (!slab) {
		vmem_free(cache->arena, (uintptr_t)memory);
		return NULL;
	}
	slab_init(cache, slab, memory);
	page_map_set(&cache->pool->maps[cache->type], memory, cache->slab_bytes, cache->id,
		     cache->embedded ? NULL : slab);
	return slab;
}

/* A list of slabs, linked by next, that the cache has let go of. No lock held. */
static void slabs_destroy(struct slab_cache *cache, struct slab *slab)
{
	struct slab *next;

	for (; slab; slab = next) {
		char *memory = slab->memory;

		next = slab->next;
		page_map_set(&cache->pool->maps[cache->type], memory, cache->slab_bytes, 0, NULL);
		if (!cache->embedded)
			records_free(&cache->pool->slabs, slab);
		vmem_free(cache->arena, (uintptr_t)memory);
	}
}

/* Lets go of an empty slab: puts it in front of `*list`. */
static void slab_unlink(struct slab_cache *cache, struct slab *slab, struct slab **list)
{
	partial_remove(cache, slab);
	cache->slabs--;
	cache->empty_slabs--;
	cache->slabs_destroyed++;
	slab->next = *list;
	*list = slab;
}

void slab_reap(struct slab_cache *cache, size_t keep)
{
	struct slab *list = NULL;

	spinlock_acquire(&cache->slab_lock);
	while (cache->empty_slabs > keep)
		slab_unlink(cache, cache->partial_last, &list);
	spinlock_release(&cache->slab_lock);
	slabs_destroy(cache, list);
}

/* ---- objects ---- */

/* Up to `want` objects of a slab that has some. */
static unsigned slab_cut(struct slab_cache *cache, struct slab *slab, void **objects, unsigned want)
{
	unsigned count = 0;

	if (slab->used == 0)
		cache->empty_slabs--;
	for (unsigned word = 0; word < cache->words && count < want; word++) {
		while (slab->bits[word] && count < want) {
			unsigned bit = (unsigned)__builtin_ctzll(slab->bits[word]);

			slab->bits[word] &= slab->bits[word] - 1;
			objects[count++] = slab_object(cache, slab, word * 64 + bit);
		}
	}
	slab->used += count;
	if (slab->used == cache->objects)
		partial_remove(cache, slab);
	return count;
}

/* What the slabs have, under the lock. */
static unsigned partial_cut(struct slab_cache *cache, void **objects, unsigned want)
{
	unsigned count = 0;

	while (count < want && cache->partial)
		count += slab_cut(cache, cache->partial, objects + count, want - count);
	cache->out += count;
	cache->slab_allocations += count;
	return count;
}

/* Slabs that are there are used up before one is made, and then for as many as are wanted. */
unsigned slab_take(struct slab_cache *cache, void **objects, unsigned want)
{
	unsigned count;

	spinlock_acquire(&cache->slab_lock);
	count = partial_cut(cache, objects, want);
	if (count == 0) {
		struct slab *slab;

		spinlock_release(&cache->slab_lock);
		slab = slab_make(cache);
		spinlock_acquire(&cache->slab_lock);
		if (slab) {
			slab->colour = (uint16_t)(cache->colour_next * MAGAZINE_LINE);
			cache->colour_next = cache->colour_next < cache->colours
						     ? cache->colour_next + 1
						     : 0;
			partial_insert(cache, slab, false);
			cache->slabs++;
			cache->empty_slabs++;
			cache->slabs_made++;
		}
		count = partial_cut(cache, objects, want);
	}
	spinlock_release(&cache->slab_lock);
	return count;
}

/* False: no object starts there, or it is free already. */
static bool slab_put(struct slab_cache *cache, struct slab *slab, const void *object)
{
	const unsigned index = slab_index(cache, slab, object);

	if (index >= cache->objects || slab_bit(slab->bits, index))
		return false;
	slab->bits[index / 64] |= 1ull << index % 64;
	if (!slab->listed)
		partial_insert(cache, slab, false);
	if (--slab->used == 0) {
		cache->empty_slabs++;
		partial_remove(cache, slab);
		partial_insert(cache, slab, true);
	}
	cache->out--;
	cache->slab_frees++;
	return true;
}

/* One empty slab is kept, so that an object that comes and goes does not make one each time. */
void slab_give(struct slab_cache *cache, void *const *objects, unsigned count)
{
	const void *wrong = NULL;
	struct slab *list = NULL;

	for (unsigned i = 0; i < count;) {
		const unsigned end = count - i > MAGAZINE_FILL ? i + MAGAZINE_FILL : count;

		spinlock_acquire(&cache->slab_lock);
		for (; i < end; i++)
			if (!slab_put(cache, slab_of(cache, objects[i]), objects[i]))
				wrong = objects[i];
		while (cache->empty_slabs > 1)
			slab_unlink(cache, cache->partial_last, &list);
		spinlock_release(&cache->slab_lock);
	}
	slabs_destroy(cache, list);
	if (__builtin_expect(wrong != NULL, 0))
		magazine_pool_stop(cache->pool, 7, wrong,
				   "freed an object that is free already, or is none");
}
