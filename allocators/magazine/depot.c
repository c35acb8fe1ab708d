/*
 * Magazines: Bonwick and Adams, "Magazines and Vmem" (USENIX 2001), section 3.
 *
 * A processor's slot in a cache has a loaded magazine and the previous one, which is full or empty: M rounds
 * can be taken or put before the slot goes to the depot, wherever in the two it starts, so that an
 * allocation and a free in turn never touch it. The depot has lists of full and of empty magazines. A full one goes
 * from a processor that frees to one that allocates without its rounds being looked at. The lists are by who left
 * the magazine there, and everybody is served from his own first, which the paper does not do.
 *
 * Magazines start by the object's size, as FreeBSD's UMA sizes its buckets, and grow when the depot's lock is
 * contended, as in the paper. A magazine that became empty and has not the present size is replaced.
 */
#include "magazine.h"

/* ---- magazines ---- */

static void magazine_release(struct slab_cache *cache, struct magazine *magazine)
{
	records_free(&cache->pool->magazines[magazine->size], magazine);
}

/* Releases a list; the rounds of full ones go back to their slabs. */
static void magazines_release(struct slab_cache *cache, struct magazine *magazine)
{
	struct magazine *next;

	for (; magazine; magazine = next) {
		next = magazine->next;
		slab_give(cache, magazine->round, magazine->rounds);
		magazine_release(cache, magazine);
	}
}

static struct magazine *magazine_make(struct slab_cache *cache)
{
	const uint16_t size = atomic_load_explicit(&cache->size, memory_order_relaxed);
	struct magazine *magazine = records_alloc(&cache->pool->magazines[size]);

	if (magazine) {
		magazine->rounds = 0;
		magazine->size = size;
		magazine->capacity = magazine_rounds[size];
	}
	return magazine;
}

/* ---- the depot ---- */

static struct magazine *list_pop(struct magazine **list)
{
	struct magazine *magazine = *list;

	if (magazine)
		*list = magazine->next;
	return magazine;
}

static void list_push(struct magazine **list, struct magazine *magazine)
{
	magazine->next = *list;
	*list = magazine;
}

static struct magazine_shelf *shelf_of(const struct slab_cache *cache, unsigned processor)
{
	return &cache->pool->processors[processor].shelves[cache->id];
}

/*
 * A full magazine, from one's own shelf while there is one: the memory of its rounds is in this processor's cache, that
 * of another's would have to come from there line by line.
 */
static struct magazine *full_pop(struct slab_cache *cache, struct magazine_shelf *own)
{
	struct magazine *full = own ? list_pop(&own->full) : NULL;

	for (unsigned i = 0; !full && cache->full_count > 0; i++)
		full = list_pop(&shelf_of(cache, i)->full);
	if (full && --cache->full_count < cache->full_min)
		cache->full_min = cache->full_count;
	return full;
}

static struct magazine *empty_pop(struct slab_cache *cache, struct magazine_shelf *own)
{
	struct magazine *empty = own ? list_pop(&own->empty) : NULL;

	for (unsigned i = 0; !empty && cache->empty_count > 0; i++)
		empty = list_pop(&shelf_of(cache, i)->empty);
	if (empty && --cache->empty_count < cache->empty_min)
		cache->empty_min = cache->empty_count;
	return empty;
}

/*
 * After an interval: magazines that lay there all the time are no part of the working set and go; contention
 * makes new magazines larger. The paper does the first each 15 seconds; here it is a number of visits,
 * which repeats from run to run. What is to be released is added to `*list`.
 */
static void depot_look(struct slab_cache *cache, struct magazine **list)
{
	const struct magazine_setup *setup = &cache->pool->setup;

	cache->reaped += cache->full_min + cache->empty_min;
	for (size_t i = cache->full_min; i > 0; i--)
		list_push(list, full_pop(cache, NULL));
	for (size_t i = cache->empty_min; i > 0; i--)
		list_push(list, empty_pop(cache, NULL));
	if (cache->contended > setup->contention && cache->size < cache->size_max) {
		atomic_store_explicit(&cache->size, (uint16_t)(cache->size + 1),
				      memory_order_relaxed);
		cache->full_max = depot_room(cache);
		cache->grown++;
	}
	cache->full_min = cache->full_count;
	cache->empty_min = cache->empty_count;
	cache->visits = cache->contended = 0;
}

static void depot_enter(struct slab_cache *cache)
{
	if (spinlock_acquire(&cache->depot_lock))
		cache->contended++;
	cache->visits++;
}

static void depot_leave(struct slab_cache *cache)
{
	struct magazine *list = NULL;

	if (__builtin_expect(cache->visits >= cache->pool->setup.interval, 0))
		depot_look(cache, &list);
	spinlock_release(&cache->depot_lock);
	magazines_release(cache, list);
}

/* Leaves an empty magazine (or NULL) and takes a full one, or NULL and leaves nothing. */
static struct magazine *depot_take_full(struct slab_cache *cache, struct magazine_shelf *own,
					struct magazine *empty)
{
	struct magazine *full;

	depot_enter(cache);
	full = full_pop(cache, own);
	if (!full) {
		cache->misses++;
	} else {
		cache->full_loads++;
		if (empty && empty->size == cache->size) {
			empty->rounds = 0;
			list_push(&own->empty, empty);
			cache->empty_count++;
			empty = NULL;
		}
	}
	depot_leave(cache);
	if (full && empty)
		magazine_release(cache, empty);
	return full;
}

/*
 * Leaves a full magazine (or NULL) and takes an empty one of the present size. NULL, and the full one is still the
 * caller's, when there is no memory for one. Where the depot has no room the full one is emptied into the slabs.
 */
static struct magazine *depot_take_empty(struct slab_cache *cache, struct magazine_shelf *own,
					 struct magazine *full)
{
	struct magazine *empty, *outgrown = NULL, *made = NULL;
	bool kept = false;

	depot_enter(cache);
	while ((empty = empty_pop(cache, own)) && empty->size != cache->size)
		list_push(&outgrown, empty);
	if (!empty) {
		spinlock_release(&cache->depot_lock);
		made = magazine_make(cache);
		spinlock_acquire(&cache->depot_lock);
		empty = made;
	}
	if (empty) {
		cache->empty_loads++;
		kept = full && cache->full_count < cache->full_max;
		if (kept) {
			list_push(&own->full, full);
			cache->full_count++;
		}
		cache->overflows += full && !kept;
	}
	depot_leave(cache);
	magazines_release(cache, outgrown);
	if (empty && full && !kept) {
		full->next = NULL;
		magazines_release(cache, full);
	}
	return empty;
}

void depot_flush(struct slab_cache *cache)
{
	struct magazine *magazine, *list = NULL;

	spinlock_acquire(&cache->depot_lock);
	while ((magazine = full_pop(cache, NULL)))
		list_push(&list, magazine);
	while ((magazine = empty_pop(cache, NULL)))
		list_push(&list, magazine);
	spinlock_release(&cache->depot_lock);
	magazines_release(cache, list);
	slab_reap(cache, 0);
}

/* ---- a processor's slot ---- */

/* Makes a magazine (or NULL) with so many rounds the loaded one. */
static void slot_set(struct magazine_slot *slot, struct magazine *magazine, uint32_t rounds)
{
	slot->loaded = magazine;
	slot->bottom = magazine ? magazine->round : NULL;
	slot->top = magazine ? magazine->round + rounds : NULL;
	slot->limit = magazine ? magazine->round + magazine->capacity : NULL;
}

/* The loaded magazine becomes the previous one. */
static void slot_load(struct magazine_slot *slot, struct magazine *magazine, uint32_t rounds)
{
	slot->previous = slot->loaded;
	slot->previous_rounds = slot_rounds(slot);
	slot_set(slot, magazine, rounds);
}

static void slot_swap(struct magazine_slot *slot)
{
	slot_load(slot, slot->previous, slot->previous_rounds);
	slot->swaps++;
}

static struct magazine_processor *slot_processor(const struct slab_cache *cache,
						 struct magazine_slot *slot)
{
	return (struct magazine_processor *)((char *)(slot - cache->id) -
					     offsetof(struct magazine_processor, slots));
}

static struct magazine_shelf *slot_shelf(const struct slab_cache *cache, struct magazine_slot *slot)
{
	return &slot_processor(cache, slot)->shelves[cache->id];
}

/*
 * No full magazine anywhere: the loaded one is filled by half from the slabs, as UMA fills a bucket; the
 * paper takes one object. Half of it stays free for what is freed next.
 */
static void *slot_fill(struct slab_cache *cache, struct magazine_slot *slot)
{
	unsigned count;
	void *object;

	if (!slot->loaded)
		slot_set(slot, magazine_make(cache), 0);
	if (!slot->loaded) {
		count = slab_take(cache, &object, 1);
		slot->inflow += count;
		slot_processor(cache, slot)->fills += count;
		return count ? object : NULL;
	}
	count = slab_take(cache, slot->bottom, (slot->loaded->capacity + 1u) / 2);
	slot->inflow += count;
	slot->top += count;
	slot_processor(cache, slot)->fills += count != 0;
	return count ? *--slot->top : NULL;
}

void *depot_alloc(struct slab_cache *cache, struct magazine_slot *slot)
{
	if (slot->previous_rounds) {
		slot_swap(slot);
		return *--slot->top;
	}
	if (cache->pool->setup.depot_bytes) {
		struct magazine *full = depot_take_full(cache, slot_shelf(cache, slot),
							slot->previous);

		if (full) {
			slot->inflow += full->rounds;
			slot_load(slot, full, full->rounds);
			return *--slot->top;
		}
	}
	return slot_fill(cache, slot);
}

void depot_free(struct slab_cache *cache, struct magazine_slot *slot, void *object)
{
	struct magazine *empty;

	slot->frees++;
	if (slot->previous && slot->previous_rounds == 0) {
		slot_swap(slot);
	} else {
		if (slot->previous)
			slot->previous->rounds = slot->previous_rounds;
		empty = depot_take_empty(cache, slot_shelf(cache, slot), slot->previous);
		if (!empty) {
			slot->inflow--;
			slot_processor(cache, slot)->direct_frees++;
			slab_give(cache, &object, 1);
			return;
		}
		slot->inflow -= slot->previous_rounds;
		slot_load(slot, empty, 0);
	}
	*slot->top++ = object;
}

static void magazine_flush(struct slab_cache *cache, struct magazine *magazine, uint32_t rounds)
{
	if (!magazine)
		return;
	magazine->rounds = rounds;
	magazine->next = NULL;
	magazines_release(cache, magazine);
}

void slot_flush(struct slab_cache *cache, struct magazine_slot *slot)
{
	const uint32_t rounds = slot_rounds(slot);

	slot->inflow -= rounds + slot->previous_rounds;
	magazine_flush(cache, slot->loaded, rounds);
	magazine_flush(cache, slot->previous, slot->previous_rounds);
	slot_set(slot, NULL, 0);
	slot->previous = NULL;
	slot->previous_rounds = 0;
}
