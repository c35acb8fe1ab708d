/*
 * Slabs, and how they pass between processors, the node and the page layer.
 *
 *                       all objects taken                  the processor's partial list is full
 *     +---------------- frozen, on a processor <-------+ -----------------------+
 *     |                  cpu slab | cpu partial        | refill                 | unfreeze
 *     v                                 ^              |                        v
 *     full, on no list ----- first free +       node partial list  <------------+
 *                                                      | empty, and min_partial others there
 *                                                      v
 *                                                 page layer
 *
 * The word `state` decides every race. Whoever frees puts his object on the slab's list by compare-and-
 * exchange, and by the state that he replaced knows what he owes:
 *
 *     frozen                        nothing: the owner will find the object when it runs dry
 *     not frozen, list was empty    the slab was full and on no list. He freezes it in the same exchange and
 *                                   so owns it: onto his own partial list (none kept: the node's, locked)
 *     not frozen, now empty         it is on the node's list: he takes the lock before the exchange, and gives
 *                                   the slab back if there are min_partial others
 *     not frozen, else              nothing: it stays on the node's list
 *
 * A slab is put on the node's list, or taken from it, under the node's lock, and its frozen bit changes under
 * the same hold. So an unfrozen slab with a free object, seen under the lock, is on the list.
 *
 * ABA. The word has no version and needs none: objects are pushed one by one but only ever taken all at once,
 * and a push is right whenever the head that it linked to is the head, whatever happened between.
 */
#include "slub.h"

static bool state_change(struct slub_cpu *cpu, struct slab *slab, uint64_t *old, uint64_t new)
{
	cpu->events.atomics++;
	if (likely(atomic_compare_exchange_strong_explicit(
		    &slab->state, old, new, memory_order_acq_rel, memory_order_acquire)))
		return true;
	cpu->events.retries++;
	return false;
}

static uint64_t state_make(const struct slab *slab, const void *head, uint32_t inuse,
			   uint64_t frozen)
{
	uint64_t unit = 0;

	if (head)
		unit = (uint64_t)((const char *)head - slab->base) / SLUB_UNIT_BYTES + 1;
	return unit | (uint64_t)inuse << STATE_INUSE_SHIFT | frozen;
}

static struct slub_cache *cache_of(struct pool *pool, const struct slab *slab)
{
	return &pool->caches[slab->type][slab->class_index];
}

static void lock_node(struct slub_cpu *cpu, struct slub_cache *cache)
{
	cpu->events.atomics++;
	spinlock_acquire(&cache->lock);
}

void *slub_link_checked(struct pool *pool, const struct slab *slab, const void *object)
{
	void *next = slub_link(pool, object);
	uint32_t index;

	if (likely(!pool->options.hardened) || !next)
		return next;
	if ((uintptr_t)next >= (uintptr_t)slab->base) {
		index = slub_object_index(slab, next);
		if (index < slab->objects && slub_object_at(slab, index) == next)
			return next;
	}
	slub_stop(pool, 0x19, 3, object, (uintptr_t)next, (uintptr_t)slab->base,
		  "a free object's link leads out of its slab: written after it was freed");
	return NULL;
}

/* ---- the node's list, under its lock ---- */

static size_t partial_count(const struct slub_cache *cache)
{
	return atomic_load_explicit(&cache->partial_count, memory_order_relaxed);
}

static void partial_count_add(struct slub_cache *cache, size_t change)
{
	atomic_store_explicit(&cache->partial_count, partial_count(cache) + change,
			      memory_order_relaxed);
}

static void node_add(struct slub_cache *cache, struct slab *slab)
{
	slab->next = NULL;
	slab->previous = cache->last;
	if (cache->last)
		cache->last->next = slab;
	else
		cache->first = slab;
	cache->last = slab;
	partial_count_add(cache, 1);
}

static void node_remove(struct slub_cache *cache, struct slab *slab)
{
	if (slab->previous)
		slab->previous->next = slab->next;
	else
		cache->first = slab->next;
	if (slab->next)
		slab->next->previous = slab->previous;
	else
		cache->last = slab->previous;
	partial_count_add(cache, (size_t)-1);
}

/* ---- life of a slab ---- */

static void slab_discard(struct pool *pool, struct slub_cpu *cpu, struct slab *slab)
{
	struct slub_pages *pages = &pool->pages[slab->type];
	uint64_t *entry = slub_entry(pages, slab->base);

	for (uint32_t i = 0; i < slab->pages; i++)
		entry[i] = SLUB_PAGE_NONE;
	cpu->events.discard++;
	slub_pages_give(pool, slab->type, slab->base, slab->pages);
	slub_slab_put(pool, slab);
}

static void slabs_discard(struct pool *pool, struct slub_cpu *cpu, struct slab *slab)
{
	while (slab) {
		struct slab *next = slab->next;

		slab_discard(pool, cpu, slab);
		slab = next;
	}
}

/* A slab whose objects are all the processor's; NULL: no memory. */
static struct slab *slab_create(struct pool *pool, struct slub_cpu *cpu, struct slub_cache *cache)
{
	struct slub_pages *pages = &pool->pages[cache->type];
	struct slab *slab = slub_slab_get(pool);
	uint32_t count = cache->pages;
	uint64_t *entry;
	char *base;

	if (!slab)
		return NULL;
	base = slub_pages_take(pool, cache->type, count);
	if (!base && cache->least_pages < count) {
		count = cache->least_pages;
		base = slub_pages_take(pool, cache->type, count);
		cpu->events.alloc_fallback += base != NULL;
	}
	if (!base) {
		slub_slab_put(pool, slab);
		return NULL;
	}
	slab->base = base;
	slab->pages = count;
	slab->bytes = cache->bytes;
	slab->class_index = cache->class_index;
	slab->type = (uint8_t)cache->type;
	slab->objects = slub_objects_in((size_t)count << pages->shift, cache->bytes);
	slab->next = slab->previous = NULL;
	atomic_store_explicit(&slab->state, state_make(slab, NULL, slab->objects, STATE_FROZEN),
			      memory_order_relaxed);
	entry = slub_entry(pages, base);
	for (uint32_t i = 0; i < count; i++)
		entry[i] = (uintptr_t)slab | SLUB_PAGE_SLAB | (SLUB_ROW_FIRST + cache->class_index);
	cpu->events.alloc_slab++;
	return slab;
}

/* ---- a processor's partial slabs ---- */

/* Gives a chain of frozen slabs to the node, and back to the page layer what it has enough of. */
static void slabs_unfreeze(struct pool *pool, struct slub_cpu *cpu, struct slub_cache *cache,
			   struct slab *slab)
{
	struct slab *discard = NULL;

	if (!slab)
		return;
	lock_node(cpu, cache);
	while (slab) {
		struct slab *next = slab->next;
		uint64_t old = slub_state(slab);

		while (!state_change(cpu, slab, &old, old & ~STATE_FROZEN))
			;
		if (slub_state_inuse(old) == 0 && partial_count(cache) >= cache->min_partial) {
			slab->next = discard;
			discard = slab;
		} else {
			node_add(cache, slab);
			cpu->events.cpu_partial_node++;
		}
		slab = next;
	}
	spinlock_release(&cache->lock);
	slabs_discard(pool, cpu, discard);
}

static void partial_push(struct slub_cpu_cache *mine, struct slab *slab)
{
	slab->next = mine->partial;
	mine->partial = slab;
	mine->partial_slabs++;
}

/* A full slab of which this processor has just frozen the first free object. */
static void partial_put(struct pool *pool, struct slub_cpu *cpu, struct slub_cache *cache,
			struct slab *slab)
{
	struct slub_cpu_cache *mine = &cpu->rows[slub_row(cache)];
	struct slab *drain = NULL;

	if (mine->partial_slabs >= cache->cpu_partial_slabs) {
		drain = mine->partial;
		mine->partial = NULL;
		mine->partial_slabs = 0;
		cpu->events.cpu_partial_drain += drain != NULL;
	}
	partial_push(mine, slab);
	cpu->events.cpu_partial_free++;
	slabs_unfreeze(pool, cpu, cache, drain);
}

/* ---- free ---- */

/* Out of line: hardened pools only. */
static __attribute__((noinline)) void free_twice(struct pool *pool, const void *object)
{
	slub_stop(pool, 0xC2, 7, object, 0, 0, "freed a block that is free already");
}

/* What is owed under the node's lock, which is released. */
static void free_settle(struct pool *pool, struct slub_cpu *cpu, struct slub_cache *cache,
			struct slab *slab, bool was_listed, bool empty)
{
	bool discard = empty && partial_count(cache) >= cache->min_partial;

	if (was_listed && discard) {
		node_remove(cache, slab);
		cpu->events.free_remove_partial++;
	} else if (!was_listed && !discard) {
		node_add(cache, slab);
		cpu->events.free_add_partial++;
	}
	spinlock_release(&cache->lock);
	if (discard)
		slab_discard(pool, cpu, slab);
}

void slub_slab_free(struct pool *pool, struct slub_cpu *cpu, struct slab *slab, void *head,
		    void *tail, uint32_t count)
{
	struct slub_cache *cache = cache_of(pool, slab);
	uint64_t old = slub_state(slab), new;
	bool locked = false, owned;
	uint32_t inuse;
	void *prior;

	do {
		if (locked)
			spinlock_release(&cache->lock);
		locked = owned = false;
		prior = slub_state_head(slab, old);
		if (unlikely(pool->options.hardened && prior == head)) {
			free_twice(pool, head);
			return;
		}
		slub_link_set(pool, tail, prior);
		inuse = slub_state_inuse(old) - count;
		if (!(old & STATE_FROZEN) && (!prior || inuse == 0)) {
			owned = !prior && cache->cpu_partial_slabs > 0;
			locked = !owned;
			if (locked)
				lock_node(cpu, cache);
		}
		new = state_make(slab, head, inuse, owned ? STATE_FROZEN : old & STATE_FROZEN);
	} while (unlikely(!state_change(cpu, slab, &old, new)));
	if (locked)
		free_settle(pool, cpu, cache, slab, prior != NULL, inuse == 0);
	else if (owned)
		partial_put(pool, cpu, cache, slab);
	else
		cpu->events.free_frozen += (old & STATE_FROZEN) != 0;
}

/* ---- refill ---- */

/* All that the slab's own list has, for its owner; NULL: nothing, and the slab is full and no one's. */
static void *slab_take_all(struct slub_cpu *cpu, struct slab *slab)
{
	uint64_t old = slub_state(slab), new;
	void *head;

	do {
		head = slub_state_head(slab, old);
		new = state_make(slab, NULL, slab->objects, head ? STATE_FROZEN : 0);
	} while (!state_change(cpu, slab, &old, new));
	return head;
}

/*
 * Freezes slabs of the node's list: the first becomes the processor's, more go to its partial list up to half
 * of what that may hold. NULL: the list is empty.
 */
static struct slab *node_take(struct slub_cpu *cpu, struct slub_cache *cache)
{
	struct slub_cpu_cache *mine = &cpu->rows[slub_row(cache)];
	struct slab *first = NULL;

	/* Without the lock: may be out of date, and then a slab is created that was not needed yet. */
	if (partial_count(cache) == 0)
		return NULL;
	lock_node(cpu, cache);
	while (cache->first) {
		struct slab *slab = cache->first;
		uint64_t old = slub_state(slab);

		node_remove(cache, slab);
		while (!state_change(cpu, slab, &old, old | STATE_FROZEN))
			;
		if (first)
			partial_push(mine, slab);
		else
			first = slab;
		if (mine->partial_slabs >= (cache->cpu_partial_slabs + 1) / 2)
			break;
	}
	spinlock_release(&cache->lock);
	return first;
}

/* Makes `freelist` of `slab` the processor's, and takes the first. */
static void *object_take(struct pool *pool, struct slub_cpu_cache *mine, struct slab *slab,
			 void *freelist)
{
	mine->slab = slab;
	mine->freelist = slub_link_checked(pool, slab, freelist);
	return freelist;
}

static void *refill(struct pool *pool, struct slub_cpu *cpu, struct slub_cache *cache)
{
	struct slub_cpu_cache *mine = &cpu->rows[slub_row(cache)];
	struct slab *slab = mine->slab;
	void *freelist;

	if (slab) {
		freelist = slab_take_all(cpu, slab);
		if (freelist) {
			cpu->events.alloc_refill++;
			return object_take(pool, mine, slab, freelist);
		}
		mine->slab = NULL;
		cpu->events.deactivate_full++;
	}
	slab = mine->partial;
	if (slab) {
		mine->partial = slab->next;
		mine->partial_slabs--;
		cpu->events.cpu_partial_alloc++;
	} else {
		slab = node_take(cpu, cache);
		cpu->events.alloc_from_partial += slab != NULL;
	}
	/* It was frozen with a free object, and only its owner takes them. */
	if (slab)
		return object_take(pool, mine, slab, slab_take_all(cpu, slab));
	slab = slab_create(pool, cpu, cache);
	if (!slab)
		return NULL;
	return object_take(pool, mine, slab, slub_slab_link(pool, cpu, slab));
}

void *slub_object_alloc(struct pool *pool, struct slub_cpu *cpu, struct slub_cache *cache)
{
	struct slub_cpu_cache *mine = &cpu->rows[slub_row(cache)];
	void *object = mine->freelist;

	if (!object)
		return refill(pool, cpu, cache);
	mine->freelist = slub_link_checked(pool, mine->slab, object);
	cpu->events.freelist_hits++;
	return object;
}

/* ---- flush and shrink ---- */

void slub_cpu_flush(struct pool *pool, struct slub_cpu *cpu, struct slub_cache *cache)
{
	struct slub_cpu_cache *mine = &cpu->rows[slub_row(cache)];
	struct slab *slab = mine->slab, *partial = mine->partial;
	void *head = mine->freelist, *tail = NULL;
	uint32_t count = 0;

	mine->slab = mine->partial = NULL;
	mine->freelist = NULL;
	mine->partial_slabs = 0;
	for (void *object = head; object; object = slub_link_checked(pool, slab, object), count++)
		tail = object;
	if (head)
		slub_slab_free(pool, cpu, slab, head, tail, count);
	if (slab) {
		cpu->events.deactivate++;
		slab->next = NULL;
		if (slub_state(slab) & STATE_HEAD_MASK)
			slabs_unfreeze(pool, cpu, cache, slab);
		else
			atomic_fetch_and(&slab->state, ~STATE_FROZEN);
	}
	slabs_unfreeze(pool, cpu, cache, partial);
}

/* Lists by objects in use, of those that are used by few more than none. */
#define SHRINK_LISTS 32u

void slub_cache_shrink(struct pool *pool, struct slub_cpu *cpu, struct slub_cache *cache)
{
	struct slab *lists[SHRINK_LISTS] = { NULL }, *discard = NULL;

	lock_node(cpu, cache);
	while (cache->first) {
		struct slab *slab = cache->first;
		uint32_t inuse = slub_state_inuse(slub_state(slab));
		/* The fullest in list 0. */
		size_t list = (size_t)(slab->objects - inuse) * SHRINK_LISTS / (slab->objects + 1);

		node_remove(cache, slab);
		if (inuse == 0) {
			slab->next = discard;
			discard = slab;
		} else {
			slab->next = lists[list];
			lists[list] = slab;
		}
	}
	for (unsigned list = 0; list < SHRINK_LISTS; list++)
		while (lists[list]) {
			struct slab *slab = lists[list];

			lists[list] = slab->next;
			node_add(cache, slab);
		}
	spinlock_release(&cache->lock);
	slabs_discard(pool, cpu, discard);
}
