/*
 * Dynamic lookaside lists: 64 buckets for requests of 0x201 to 0xF80 bytes, in front of the
 * variable-size layer.
 *
 * The buckets are those of the LFH (16-byte steps, 64 from 1 KiB on, 128 from 2 KiB on), and a
 * request is rounded up to its bucket before it goes further down, so that any block of a bucket
 * serves any request of it. Every list starts with depth 4 and never goes below. After
 * `lookaside_interval` allocations all lists are re-balanced by their use since the last time:
 *
 *     under 16 allocations              depth is halved: what it would keep is of no use
 *     fewer than 1 miss in 256          depth stays
 *     else                              depth rises by misses or by refused frees, whichever are
 *                                       fewer: so many blocks it refused and lacked
 *
 * and, where the depths together would keep more than `lookaside_bytes`, those above the least are
 * cut in proportion. What a list keeps above its new depth is freed. Windows re-balances from the
 * balance-set manager once in a while; counted operations repeat exactly from run to run. A processor counts all its
 * allocations, SH_TICK at a time, a shared set those of its lists.
 *
 * lookaside=processor: each processor has lists of its own, no lock, no atomic operation. What a list keeps has a header
 * that leads back to it, so that its processor's next free needs no look at the size (route.c).
 * lookaside=shared: the heap has one set, as in Windows, where a list is a lock-free stack; here
 * each is under a lock of its own, which is as many interlocked operations (one each way).
 */
#include "segment_heap.h"

#define IDLE_ALLOCATIONS 16u

static unsigned chunk_units(unsigned bucket)
{
	return (unsigned)(sh_bucket_bytes(bucket) + VS_SMALL_BYTES) / SH_UNIT_BYTES;
}

void lookaside_init(const struct pool *pool, struct sh_lookasides *lookasides,
		    struct sh_front *fronts, enum pool_type type, unsigned owner,
		    struct spinlock *list_locks)
{
	unsigned most = pool->options.lookaside_depth;

	lookasides->list_locks = list_locks;
	for (unsigned i = 0; i < SH_LOOKASIDES; i++) {
		struct sh_lookaside *list = &lookasides->lists[i];
		struct sh_front *front = &fronts[i];

		list->front = front;
		list->depth = most < SH_DEPTH_MIN ? most : SH_DEPTH_MIN;
		front->room = list->depth;
		front->word = sh_word((unsigned)SH_CACHED + type, owner,
				      chunk_units(i + SH_LOOKASIDE_FIRST));
		front->key = (uintptr_t)front ^ pool->cookie;
	}
}

void lookaside_chunks_init(struct pool *pool)
{
	for (unsigned bucket = SH_LOOKASIDE_FIRST; bucket < SH_SMALL_BUCKETS; bucket++)
		pool->bucket_of_chunk[chunk_units(bucket)] = (uint8_t)bucket;
}

void lookaside_fronts_init(struct sh_processor *processor)
{
	for (size_t bytes = SH_LOOKASIDE_MIN + SH_UNIT_BYTES; bytes <= SH_LOOKASIDE_MAX;
	     bytes += SH_UNIT_BYTES)
		processor->front_of[bytes / SH_UNIT_BYTES] =
			(uint8_t)(SH_FRONT_LISTS + sh_bucket(bytes) - SH_LOOKASIDE_FIRST);
}

uint64_t lookaside_allocates(const struct sh_lookaside *list)
{
	return list->reported + (list->seen_used - list->front->used);
}

unsigned lookaside_count(const struct sh_lookaside *list)
{
	return list->depth - (list->front->room - list->front->used);
}

static void list_lock(struct sh_lookasides *lookasides, unsigned index)
{
	if (lookasides->list_locks)
		spinlock_acquire(&lookasides->list_locks[index]);
}

static void list_unlock(struct sh_lookasides *lookasides, unsigned index)
{
	if (lookasides->list_locks)
		spinlock_release(&lookasides->list_locks[index]);
}

/* Frees what is kept above `count`. Blocks freed. */
static unsigned list_drain(struct sh_heap *heap, struct sh_lookaside *list, unsigned count)
{
	unsigned drained = 0;

	for (unsigned kept = lookaside_count(list); kept > count; kept--) {
		struct sh_header *header = list->front->next;

		list->front->next = *sh_link(header);
		list->front->room++;
		sh_set_kind(header, SH_VS);
		vs_free_small(heap, header);
		drained++;
	}
	return drained;
}

/* The depth that a list's use since the last time asks for. */
static unsigned depth_wanted(const struct sh_options *options, struct sh_lookaside *list)
{
	uint32_t allocates = list->seen_used - list->front->used;
	uint64_t misses = list->misses - list->seen_misses;
	uint64_t refused = list->frees_refused - list->seen_refused;
	uint64_t depth = list->depth;

	list->reported += allocates;
	list->seen_used = list->front->used;
	list->seen_misses = list->misses;
	list->seen_refused = list->frees_refused;
	if (allocates < IDLE_ALLOCATIONS)
		depth /= 2;
	else if (misses * 256 >= allocates)
		depth += misses < refused ? misses : refused;
	if (depth < SH_DEPTH_MIN)
		depth = SH_DEPTH_MIN;
	return depth < options->lookaside_depth ? (unsigned)depth : options->lookaside_depth;
}

static void rebalance(struct sh_heap *heap, struct sh_lookasides *lookasides)
{
	const struct sh_options *options = &heap->pool->options;
	unsigned wanted[SH_LOOKASIDES];
	size_t bytes = 0;

	for (unsigned i = 0; i < SH_LOOKASIDES; i++) {
		list_lock(lookasides, i);
		wanted[i] = depth_wanted(options, &lookasides->lists[i]);
		list_unlock(lookasides, i);
		if (wanted[i] > SH_DEPTH_MIN)
			bytes += wanted[i] * sh_bucket_bytes(i + SH_LOOKASIDE_FIRST);
	}
	for (unsigned i = 0; i < SH_LOOKASIDES; i++) {
		struct sh_lookaside *list = &lookasides->lists[i];

		if (bytes > options->lookaside_bytes && wanted[i] > SH_DEPTH_MIN) {
			wanted[i] = (unsigned)(wanted[i] * options->lookaside_bytes / bytes);
			if (wanted[i] < SH_DEPTH_MIN)
				wanted[i] = SH_DEPTH_MIN;
		}
		list_lock(lookasides, i);
		if (list->depth != wanted[i])
			lookasides->depth_changes++;
		lookasides->drained += list_drain(heap, list, wanted[i]);
		list->front->room += wanted[i] - list->depth;
		list->depth = wanted[i];
		list_unlock(lookasides, i);
	}
	lookasides->rebalances++;
}

void lookaside_step(struct sh_heap *heap, struct sh_lookasides *lookasides, unsigned allocations)
{
	size_t pending = atomic_load_explicit(&lookasides->pending, memory_order_relaxed) +
			 allocations;

	/* Shared lists may lose a step to another processor's: it is a period, not an account. */
	if (pending < heap->pool->options.lookaside_interval) {
		atomic_store_explicit(&lookasides->pending, pending, memory_order_relaxed);
		return;
	}
	atomic_store_explicit(&lookasides->pending, 0, memory_order_relaxed);
	spinlock_acquire(&lookasides->lock);
	rebalance(heap, lookasides);
	spinlock_release(&lookasides->lock);
}

bool lookaside_flush(struct sh_heap *heap, struct sh_lookasides *lookasides)
{
	unsigned drained = 0;

	for (unsigned i = 0; i < SH_LOOKASIDES; i++) {
		list_lock(lookasides, i);
		drained += list_drain(heap, &lookasides->lists[i], 0);
		list_unlock(lookasides, i);
	}
	return drained != 0;
}

void *lookaside_pop(struct sh_heap *heap, struct sh_lookasides *lookasides, unsigned bucket,
		    uint32_t tag)
{
	struct sh_lookaside *list = lookaside_list(lookasides, bucket);
	struct sh_front *front = list->front;
	unsigned index = bucket - SH_LOOKASIDE_FIRST, step = 1;
	void *block = NULL;

	list_lock(lookasides, index);
	if (front->next) {
		block = front_take(front, front->next, tag);
	} else {
		list->misses++;
		/* Counted as used, of which what is kept does not depend. */
		front->used--;
		front->room--;
	}
	if (lookasides->list_locks)
		step = front->used % SH_SHARED_STEP ? 0 : SH_SHARED_STEP;
	list_unlock(lookasides, index);
	if (step)
		lookaside_step(heap, lookasides, step);
	return block;
}

bool lookaside_push(struct sh_lookasides *lookasides, unsigned bucket, struct sh_header *header)
{
	struct sh_lookaside *list = lookaside_list(lookasides, bucket);
	struct sh_front *front = list->front;
	unsigned index = bucket - SH_LOOKASIDE_FIRST;
	bool kept;

	list_lock(lookasides, index);
	kept = front->room != front->used;
	if (kept) {
		sh_header_write(header, front->key, front->word);
		*sh_link(header) = front->next;
		front->next = header;
		front->room--;
	} else {
		list->frees_refused++;
	}
	list_unlock(lookasides, index);
	return kept;
}
