/*
 * Sheaves: arrays of free objects, two a processor and cache, in front of the slabs. In Linux 6.18 a cache may
 * ask for them, from 7.0 on every cache has them and neither slabs nor partial lists of a processor are left
 * behind them (V. Babka, "slab: replace cpu (partial) slabs with sheaves"). Here they are.
 *
 *        processor                        barn, one a cache, under the node's lock
 *        main  [ o o o o . . ]            full:  [oooooo] [oooooo] ...   at most `barn` of them
 *        spare [ o o o o o o ]            empty: [......] ...            as many
 *
 *        alloc: from main; main empty: swap with spare; both empty: main for a full one of the barn, or main
 *               is filled from slabs
 *        free:  into main; main full: swap with spare; both full: main for an empty one of the barn, or main
 *               is emptied into slabs
 *
 * With a spare, a processor must take or free as many objects as a sheaf holds between two visits to the barn:
 * Bonwick's magazines, in SLUB's words. A sheaf takes objects of all slabs alike, which a processor's free list
 * cannot: without sheaves a free to another slab than the current one is a compare-and-exchange, and that is
 * most frees when objects live for as long as others come and go.
 *
 * A sheaf that is emptied into slabs makes one chain of the objects of each slab, which costs one exchange
 * (Linux's detached free lists). The chains are built in a small table indexed by slab; where two slabs
 * meet in it, the earlier chain goes back as long as it is.
 */
#include <string.h>

#include "slub.h"

#define CHAINS 32u

struct chain {
	struct slab *slab;
	void *head, *tail;
	uint32_t count;
};

/*
 * Fewer of larger objects, in the proportions of calculate_sheaf_capacity(): 60, 26, 12 and 4, which Linux
 * enlarges to fill a kmalloc bucket, 26 to 28.
 */
static uint32_t sheaf_capacity(const struct pool *pool, const struct slub_cache *cache)
{
	const uint32_t of_60 = cache->bytes >= POOL_OS_PAGE ? 4
			       : cache->bytes >= 1024       ? 12
			       : cache->bytes >= 256        ? 26
							    : 60;
	const uint32_t capacity = (pool->options.sheaf * of_60 + 59) / 60;

	return capacity < SLUB_SHEAF_OBJECTS ? capacity : SLUB_SHEAF_OBJECTS;
}

static struct sheaf *sheaf_create(struct pool *pool, const struct slub_cache *cache)
{
	struct sheaf *sheaf = slub_sheaf_get(pool);

	if (sheaf) {
		sheaf->next = NULL;
		sheaf->size = 0;
		sheaf->capacity = sheaf_capacity(pool, cache);
	}
	return sheaf;
}

/* ---- to and from slabs ---- */

static void chain_give(struct pool *pool, struct slub_cpu *cpu, struct chain *chain)
{
	if (chain->slab)
		slub_slab_free(pool, cpu, chain->slab, chain->head, chain->tail, chain->count);
	chain->slab = NULL;
}

static void sheaf_empty(struct pool *pool, struct slub_cpu *cpu, struct slub_cache *cache,
			struct sheaf *sheaf)
{
	struct slub_pages *pages = &pool->pages[cache->type];
	struct chain chains[CHAINS];

	memset(chains, 0, sizeof(chains));
	while (sheaf->size > 0) {
		void *object = sheaf->objects[--sheaf->size];
		struct slab *slab = slub_entry_slab(*slub_entry(pages, object));
		struct chain *chain = &chains[(uintptr_t)slab / sizeof(*slab) % CHAINS];

		if (chain->slab == slab) {
			slub_link_set(pool, object, chain->head);
		} else {
			chain_give(pool, cpu, chain);
			*chain = (struct chain){ .slab = slab, .tail = object };
		}
		chain->head = object;
		chain->count++;
	}
	for (unsigned i = 0; i < CHAINS; i++)
		chain_give(pool, cpu, &chains[i]);
	cpu->events.sheaf_flush++;
}

/* As many as fit, or as there is memory for. */
static void sheaf_fill(struct pool *pool, struct slub_cpu *cpu, struct slub_cache *cache,
		       struct sheaf *sheaf)
{
	while (sheaf->size < sheaf->capacity) {
		void *object = slub_object_alloc(pool, cpu, cache);

		if (!object)
			break;
		sheaf->objects[sheaf->size++] = object;
	}
	cpu->events.sheaf_refill++;
}

/* ---- the barn ---- */

static struct sheaf *sheaf_pop(struct sheaf **list)
{
	struct sheaf *sheaf = *list;

	if (sheaf)
		*list = sheaf->next;
	return sheaf;
}

static void sheaf_push(struct sheaf **list, struct sheaf *sheaf)
{
	sheaf->next = *list;
	*list = sheaf;
}

/* Changed under the lock; looked at without it, and then it may be out of date. */
static uint32_t full_count(const struct slub_cache *cache)
{
	return atomic_load_explicit(&cache->full_count, memory_order_relaxed);
}

static void full_count_add(struct slub_cache *cache, int change)
{
	atomic_store_explicit(&cache->full_count, full_count(cache) + (uint32_t)change,
			      memory_order_relaxed);
}

static void barn_push_empty(struct slub_cache *cache, struct sheaf *sheaf)
{
	sheaf_push(&cache->empty, sheaf);
	atomic_store_explicit(&cache->empty_count,
			      atomic_load_explicit(&cache->empty_count, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

static struct sheaf *barn_pop_empty(struct slub_cache *cache)
{
	struct sheaf *sheaf = sheaf_pop(&cache->empty);

	if (sheaf)
		atomic_store_explicit(
			&cache->empty_count,
			atomic_load_explicit(&cache->empty_count, memory_order_relaxed) - 1,
			memory_order_relaxed);
	return sheaf;
}

/* A full sheaf for an empty one, which the barn keeps; NULL: it has none. */
static struct sheaf *barn_full_for_empty(struct slub_cpu *cpu, struct slub_cache *cache,
					 struct sheaf *empty)
{
	struct sheaf *full = NULL;

	if (full_count(cache) == 0)
		return NULL;
	cpu->events.atomics++;
	spinlock_acquire(&cache->lock);
	full = sheaf_pop(&cache->full);
	if (full) {
		barn_push_empty(cache, empty);
		full_count_add(cache, -1);
		cpu->events.barn_get++;
	}
	spinlock_release(&cache->lock);
	return full;
}

/* An empty sheaf for a full one; NULL: the barn has enough full ones, or there is no empty one. */
static struct sheaf *barn_empty_for_full(struct pool *pool, struct slub_cpu *cpu,
					 struct slub_cache *cache, struct sheaf *full)
{
	struct sheaf *empty = NULL;

	if (full_count(cache) >= pool->options.barn)
		return NULL;
	/* Under the lock a sheaf is only exchanged: a new one is made before it, when none is in sight. */
	if (!atomic_load_explicit(&cache->empty_count, memory_order_relaxed)) {
		empty = sheaf_create(pool, cache);
		if (!empty)
			return NULL;
	}
	cpu->events.atomics++;
	spinlock_acquire(&cache->lock);
	if (!empty)
		empty = barn_pop_empty(cache);
	if (empty) {
		sheaf_push(&cache->full, full);
		full_count_add(cache, 1);
		cpu->events.barn_put++;
	}
	spinlock_release(&cache->lock);
	return empty;
}

/* ---- the slow paths ---- */

static void main_set(struct slub_cpu_cache *mine, struct sheaf *main)
{
	mine->main = main;
	mine->bottom = main ? main->objects : NULL;
	mine->top = main ? main->objects + main->size : NULL;
	mine->end = main ? main->objects + main->capacity : NULL;
}

/* Takes main away from the fast paths; its size is right again. */
static struct sheaf *main_get(struct slub_cpu_cache *mine)
{
	struct sheaf *main = mine->main;

	if (main)
		main->size = slub_main_size(mine);
	return main;
}

static void main_swap(struct slub_cpu_cache *mine, struct sheaf *main)
{
	struct sheaf *spare = mine->spare;

	mine->spare = main;
	main_set(mine, spare);
}

void *slub_sheaf_alloc(struct pool *pool, struct slub_cpu *cpu, struct slub_cache *cache)
{
	struct slub_cpu_cache *mine = &cpu->caches[cache->type][cache->class_index];
	struct sheaf *main = main_get(mine), *full;

	if (!main)
		main = sheaf_create(pool, cache);
	if (!main)
		return slub_object_alloc(pool, cpu, cache);
	if (main->size == 0 && mine->spare && mine->spare->size > 0) {
		main_swap(mine, main);
	} else if (main->size == 0) {
		full = barn_full_for_empty(cpu, cache, main);
		if (!full)
			sheaf_fill(pool, cpu, cache, main);
		main_set(mine, full ? full : main);
	}
	return mine->top == mine->bottom ? NULL : *--mine->top;
}

void slub_sheaf_free(struct pool *pool, struct slub_cpu *cpu, struct slub_cache *cache,
		     struct slab *slab, void *object)
{
	struct slub_cpu_cache *mine = &cpu->caches[cache->type][cache->class_index];
	struct sheaf *main = main_get(mine), *empty;

	if (!main) {
		main = sheaf_create(pool, cache);
		main_set(mine, main);
	}
	if (main && !mine->spare)
		mine->spare = sheaf_create(pool, cache);
	if (!main || !mine->spare) {
		slub_slab_free(pool, cpu, slab, object, object, 1);
		return;
	}
	if (main->size == main->capacity && mine->spare->size < mine->spare->capacity) {
		main_swap(mine, main);
	} else if (main->size == main->capacity) {
		empty = barn_empty_for_full(pool, cpu, cache, main);
		if (!empty)
			sheaf_empty(pool, cpu, cache, main);
		main_set(mine, empty ? empty : main);
	}
	*mine->top++ = object;
}

/* ---- trim ---- */

static void sheaf_destroy(struct pool *pool, struct slub_cpu *cpu, struct slub_cache *cache,
			  struct sheaf *sheaf)
{
	if (!sheaf)
		return;
	sheaf_empty(pool, cpu, cache, sheaf);
	slub_sheaf_put(pool, sheaf);
}

void slub_cpu_sheaves_flush(struct pool *pool, struct slub_cpu *cpu, struct slub_cache *cache)
{
	struct slub_cpu_cache *mine = &cpu->caches[cache->type][cache->class_index];
	struct sheaf *main = main_get(mine), *spare = mine->spare;

	main_set(mine, NULL);
	mine->spare = NULL;
	sheaf_destroy(pool, cpu, cache, main);
	sheaf_destroy(pool, cpu, cache, spare);
}

void slub_barn_flush(struct pool *pool, struct slub_cpu *cpu, struct slub_cache *cache)
{
	while (cache->full)
		sheaf_destroy(pool, cpu, cache, sheaf_pop(&cache->full));
	while (cache->empty)
		sheaf_destroy(pool, cpu, cache, barn_pop_empty(cache));
	atomic_store_explicit(&cache->full_count, 0, memory_order_relaxed);
}
