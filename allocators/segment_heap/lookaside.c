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
 *     else                              depth rises by the misses: each is a block it lacked
 *
 * and, where the depths together would keep more than `lookaside_bytes`, those above the least are
 * cut in proportion. What a list keeps above its new depth is freed. Windows re-balances from the
 * balance-set manager once in a while; counted operations repeat exactly from run to run.
 *
 * lookaside=processor: each processor has lists of its own, no lock, no atomic operation.
 * lookaside=shared: the heap has one set, as in Windows, where a list is a lock-free stack; here
 * each is under a lock of its own, which is as many interlocked operations (one each way).
 */
#include "segment_heap.h"

#define IDLE_ALLOCATIONS 16u

void lookaside_init(const struct pool *pool, struct sh_lookasides *lookasides,
		    struct spinlock *list_locks)
{
	unsigned most = pool->options.lookaside_depth;

	lookasides->list_locks = list_locks;
	for (unsigned i = 0; i < SH_LOOKASIDES; i++)
		lookasides->lists[i].depth = most < SH_DEPTH_MIN ? most : SH_DEPTH_MIN;
}

void lookaside_tables_init(struct sh_processor *processor)
{
	for (unsigned bucket = SH_LOOKASIDE_FIRST; bucket < SH_SMALL_BUCKETS; bucket++) {
		size_t bytes = sh_bucket_bytes(bucket);
		uint8_t list = (uint8_t)(bucket - SH_LOOKASIDE_FIRST + 1);

		processor->list_of_chunk[(bytes + VS_SMALL_BYTES) / SH_UNIT_BYTES] = list;
	}
	for (size_t bytes = SH_LOOKASIDE_MIN + SH_UNIT_BYTES; bytes <= SH_LOOKASIDE_MAX;
	     bytes += SH_UNIT_BYTES)
		processor->list_of_request[bytes / SH_UNIT_BYTES] =
			(uint8_t)(sh_bucket(bytes) - SH_LOOKASIDE_FIRST + 1);
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

	while (list->count > count) {
		struct sh_header *header = sh_header_of(list->head);

		list->head = *(void **)list->head;
		list->count--;
		drained++;
		header->kind = (uint8_t)((unsigned)SH_VS + heap->type);
		vs_free_small(heap, header);
	}
	return drained;
}

/* The depth that a list's use since the last time asks for. */
static unsigned depth_wanted(const struct sh_options *options, struct sh_lookaside *list)
{
	uint64_t allocates = list->allocates - list->seen_allocates;
	uint64_t misses = list->misses - list->seen_misses;
	uint64_t depth = list->depth;

	list->seen_allocates = list->allocates;
	list->seen_misses = list->misses;
	if (allocates < IDLE_ALLOCATIONS)
		depth /= 2;
	else if (misses * 256 >= allocates)
		depth += misses;
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
		list->depth = wanted[i];
		lookasides->drained += list_drain(heap, list, wanted[i]);
		list_unlock(lookasides, i);
	}
	lookasides->rebalances++;
}

void lookaside_step(struct sh_heap *heap, struct sh_lookasides *lookasides)
{
	size_t pending = atomic_load_explicit(&lookasides->pending, memory_order_relaxed) +
			 SH_REBALANCE_STEP;

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

void *lookaside_pop_shared(struct sh_heap *heap, unsigned bucket, uint32_t tag)
{
	struct sh_lookasides *lookasides = &heap->shared_lookasides;
	struct sh_lookaside *list = lookaside_list(lookasides, bucket);
	unsigned index = bucket - SH_LOOKASIDE_FIRST;
	void *block;
	bool is_due;

	list_lock(lookasides, index);
	block = lookaside_pop(list, heap->type, tag);
	is_due = lookaside_step_is_due(list);
	list_unlock(lookasides, index);
	if (is_due)
		lookaside_step(heap, lookasides);
	return block;
}

bool lookaside_push_shared(struct sh_heap *heap, unsigned bucket, struct sh_header *header)
{
	struct sh_lookasides *lookasides = &heap->shared_lookasides;
	unsigned index = bucket - SH_LOOKASIDE_FIRST;
	bool kept;

	list_lock(lookasides, index);
	kept = lookaside_push(&lookasides->lists[index], header, heap->type);
	list_unlock(lookasides, index);
	return kept;
}
