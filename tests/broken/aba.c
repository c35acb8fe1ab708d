/*
 * A lock-free stack that compares addresses only: between reading the first block's link and the exchange it can be
 * taken, and freed again with another link (Treiber, 1986, has a counter against it).
 */
#include "broken.h"

#include <sched.h>

static void *pop(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	static _Thread_local unsigned calls;
	const unsigned class = broken_class(bytes < BROKEN_REGION ? bytes : 1);
	struct broken_free_block **list = &pool->lists[type][class];
	struct broken_free_block *first, *next;

	if (bytes > BROKEN_REGION / 2)
		return NULL;
	do {
		first = __atomic_load_n(list, __ATOMIC_ACQUIRE);
		if (!first) {
			void *block;

			pthread_mutex_lock(&pool->lock);
			block = broken_carve(pool, type, (size_t)POOL_ALIGNMENT << class,
					     POOL_ALIGNMENT, 0);
			pthread_mutex_unlock(&pool->lock);
			return block ? broken_label(block, type, class, bytes, tag) : NULL;
		}
		next = __atomic_load_n(&first->next, __ATOMIC_RELAXED);
		if (++calls % 32 == 0)
			sched_yield(); /* a preemption at the wrong moment, as it comes by itself on busy machines */
	} while (!__atomic_compare_exchange_n(list, &first, next, 0, __ATOMIC_ACQ_REL,
					      __ATOMIC_RELAXED));
	return broken_label(first, type, class, bytes, tag);
}

static void push(struct pool *pool, void *block, uint32_t tag)
{
	const struct broken_header *header = broken_header_of(block);
	struct broken_free_block **list = &pool->lists[header->type][header->class];
	struct broken_free_block *mine = block;

	(void)tag;
	do {
		__atomic_store_n(&mine->next, __atomic_load_n(list, __ATOMIC_ACQUIRE),
				 __ATOMIC_RELAXED);
	} while (!__atomic_compare_exchange_n(list, &mine->next, mine, 0, __ATOMIC_ACQ_REL,
					      __ATOMIC_RELAXED));
}

const struct pool_backend pool_backend = { BROKEN_REUSING("aba", POOL_CAP_NATIVE, pop, push) };
