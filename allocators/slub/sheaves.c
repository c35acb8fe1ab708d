/*
 * Sheaves: arrays of free objects, two a processor and cache, in front of the slabs. In Linux 6.18 a cache may
 * ask for them, from 7.0 on every cache has them and neither slabs nor partial lists of a processor are left
 * behind them (V. Babka, "slab: replace cpu (partial) slabs with sheaves"). Here they are.
 *
 *        processor                        barn, one a cache, under the node's lock
 *        main  [ o o o o . . ]            full:  [oooooo] [oooooo] ...   at most `barn` of them
 *        spare [ o o o o o o ]            empty: [......] ...            as many
 *
 *        alloc: from main; main empty: swap with spare; both empty: main for a full one of the barn, first for
 *               one that the same processor left there; or main is filled from slabs
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

static struct sheaf *list_head(const _Atomic(struct sheaf *) *list)
{
	return atomic_load_explicit(list, memory_order_relaxed);
}

static struct sheaf *list_pop(_Atomic(struct sheaf *) *list)
{
	struct sheaf *sheaf = list_head(list);

	if (sheaf)
		atomic_store_explicit(list, sheaf->next, memory_order_relaxed);
	return sheaf;
}

static void list_push(_Atomic(struct sheaf *) *list, struct sheaf *sheaf)
{
	sheaf->next = list_head(list);
	atomic_store_explicit(list, sheaf, memory_order_relaxed);
}

/* Counts are changed under the lock; looked at without it they may be out of date. */
static uint32_t count_get(const _Atomic uint32_t *count)
{
	return atomic_load_explicit(count, memory_order_relaxed);
}

static void count_add(_Atomic uint32_t *count, int change)
{
	atomic_store_explicit(count, count_get(count) + (uint32_t)change, memory_order_relaxed);
}

/*
 * A full sheaf of the barn: one that this processor left there while there is one, since its objects are in this
 * processor's cache, and those of another's would have to come from there line by line.
 */
static struct sheaf *barn_pop_full(struct pool *pool, struct slub_cache *cache,
				   struct slub_cpu_cache *mine)
{
	struct sheaf *sheaf = list_pop(&mine->full);

	for (unsigned i = 0; !sheaf && i <= pool->processors && count_get(&cache->full_count); i++)
		sheaf = list_pop(&pool->cpus[i].rows[slub_row(cache)].full);
	if (sheaf)
		count_add(&cache->full_count, -1);
	return sheaf;
}

static struct sheaf *barn_pop_empty(struct pool *pool, struct slub_cache *cache,
				    struct slub_cpu_cache *mine)
{
	struct sheaf *sheaf = list_pop(&mine->empty);

	for (unsigned i = 0; !sheaf && i <= pool->processors && count_get(&cache->empty_count); i++)
		sheaf = list_pop(&pool->cpus[i].rows[slub_row(cache)].empty);
	if (sheaf)
		count_add(&cache->empty_count, -1);
	return sheaf;
}

/* A full sheaf for an empty one, which the barn keeps; NULL: it has none. */
static struct sheaf *barn_full_for_empty(struct pool *pool, struct slub_cpu *cpu,
					 struct slub_cache *cache, struct slub_cpu_cache *mine,
					 struct sheaf *empty)
{
	struct sheaf *full;

	if (!list_head(&mine->full) && count_get(&cache->full_count) == 0)
		return NULL;
	cpu->events.atomics++;
	spinlock_acquire(&cache->lock);
	full = barn_pop_full(pool, cache, mine);
	if (full) {
		list_push(&mine->empty, empty);
		count_add(&cache->empty_count, 1);
		cpu->events.barn_get++;
	}
	spinlock_release(&cache->lock);
	return full;
}

/* An empty sheaf for a full one; NULL: the barn has enough full ones, or there is no empty one. */
static struct sheaf *barn_empty_for_full(struct pool *pool, struct slub_cpu *cpu,
					 struct slub_cache *cache, struct slub_cpu_cache *mine,
					 struct sheaf *full)
{
	struct sheaf *empty = NULL;

	/* Under the lock a sheaf is only exchanged: a new one is made before it, when none is in sight. */
	if (!list_head(&mine->empty)) {
		if (count_get(&cache->full_count) >= pool->options.barn)
			return NULL;
		if (!count_get(&cache->empty_count)) {
			empty = sheaf_create(pool, cache);
			if (!empty)
				return NULL;
		}
	}
	cpu->events.atomics++;
	spinlock_acquire(&cache->lock);
	if (!empty && count_get(&cache->full_count) < pool->options.barn)
		empty = barn_pop_empty(pool, cache, mine);
	if (empty) {
		list_push(&mine->full, full);
		count_add(&cache->full_count, 1);
		cpu->events.barn_put++;
	}
	spinlock_release(&cache->lock);
	return empty;
}

/* ---- the slow paths ---- */

/* A sheaf of `size` objects, or none, becomes main. */
static void main_set(struct slub_cpu_cache *mine, struct sheaf *main, uint32_t size)
{
	mine->main = main;
	mine->bottom = main ? main->objects : NULL;
	mine->top = main ? main->objects + size : NULL;
	mine->end = main ? main->objects + main->capacity : NULL;
}

/* Main, which is empty or full, for the spare one, which is the other: neither sheaf is looked at. */
static void main_swap(struct slub_cpu_cache *mine)
{
	const uint32_t capacity = (uint32_t)(mine->end - mine->bottom);
	const uint32_t size = mine->spare_size;
	struct sheaf *main = mine->main;

	mine->spare_size = slub_main_size(mine);
	mine->main = mine->spare;
	mine->spare = main;
	mine->bottom = mine->main->objects;
	mine->top = mine->bottom + size;
	mine->end = mine->bottom + capacity;
}

/* A full sheaf from the barn for main, or main is filled from slabs. */
static void main_fill(struct pool *pool, struct slub_cpu *cpu, struct slub_cache *cache,
		      struct slub_cpu_cache *mine)
{
	struct sheaf *main = mine->main, *full;

	if (!main)
		main = sheaf_create(pool, cache);
	if (!main)
		return;
	main->size = 0;
	full = barn_full_for_empty(pool, cpu, cache, mine, main);
	if (!full)
		sheaf_fill(pool, cpu, cache, main);
	main = full ? full : main;
	main_set(mine, main, main->size);
	mine->inflow += main->size;
}

void *slub_sheaf_alloc(struct pool *pool, struct slub_cpu *cpu, struct slub_cache *cache)
{
	struct slub_cpu_cache *mine = &cpu->rows[slub_row(cache)];

	if (mine->top == mine->bottom) {
		if (mine->spare_size > 0)
			main_swap(mine);
		else
			main_fill(pool, cpu, cache, mine);
		if (!mine->main)
			return slub_object_alloc(pool, cpu, cache);
	}
	if (mine->top == mine->bottom)
		return NULL;
	mine->inflow--;
	return *--mine->top;
}

/* An empty sheaf from the barn for main, or main is emptied into slabs. */
static void main_empty(struct pool *pool, struct slub_cpu *cpu, struct slub_cache *cache,
		       struct slub_cpu_cache *mine)
{
	struct sheaf *main = mine->main, *empty;

	main->size = slub_main_size(mine);
	mine->inflow -= main->size;
	empty = barn_empty_for_full(pool, cpu, cache, mine, main);
	if (!empty)
		sheaf_empty(pool, cpu, cache, main);
	main_set(mine, empty ? empty : main, 0);
}

void slub_sheaf_free(struct pool *pool, struct slub_cpu *cpu, struct slub_cache *cache,
		     struct slab *slab, void *object)
{
	struct slub_cpu_cache *mine = &cpu->rows[slub_row(cache)];

	if (!mine->main)
		main_set(mine, sheaf_create(pool, cache), 0);
	if (mine->main && !mine->spare)
		mine->spare = sheaf_create(pool, cache);
	if (mine->top == mine->end) {
		if (!mine->spare) {
			slub_slab_free(pool, cpu, slab, object, object, 1);
			return;
		}
		if (mine->spare_size == 0)
			main_swap(mine);
		else
			main_empty(pool, cpu, cache, mine);
	}
	mine->inflow++;
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
	struct slub_cpu_cache *mine = &cpu->rows[slub_row(cache)];
	struct sheaf *main = mine->main, *spare = mine->spare;

	if (main)
		main->size = slub_main_size(mine);
	if (spare)
		spare->size = mine->spare_size;
	mine->inflow -= slub_main_size(mine) + mine->spare_size;
	main_set(mine, NULL, 0);
	mine->spare = NULL;
	mine->spare_size = 0;
	sheaf_destroy(pool, cpu, cache, main);
	sheaf_destroy(pool, cpu, cache, spare);
}

void slub_barn_flush(struct pool *pool, struct slub_cpu *cpu, struct slub_cache *cache)
{
	for (unsigned i = 0; i <= pool->processors; i++) {
		struct slub_cpu_cache *of = &pool->cpus[i].rows[slub_row(cache)];

		while (list_head(&of->full))
			sheaf_destroy(pool, cpu, cache, list_pop(&of->full));
		while (list_head(&of->empty))
			sheaf_destroy(pool, cpu, cache, list_pop(&of->empty));
	}
	count_add(&cache->full_count, -(int)count_get(&cache->full_count));
	count_add(&cache->empty_count, -(int)count_get(&cache->empty_count));
}
