/*
 * The low-fragmentation heap: buckets of one block size, activated by use.
 *
 *     subsegment: 1 to 16 OS pages from the back end               slot of a processor
 *     |block|head, bitmap|block|..:|block|block|block|..:| ...     next: prefetched block
 *      bits[0]: blocks 0 .. 63, bits[1]: 64 .. 127, ...            bits: the claimed word
 *      the blocks under the head are never free                    active, partial subsegments
 *      ..: the end of a page is too short for a block              remote: others' frees
 *
 * Activation. While a bucket is not active its requests are served by the layers below, which count
 * them. The one that would be the `lfh_live`th (17th) held at a time, or the `lfh_total`th (2040th)
 * in all, activates the bucket and is the first that the LFH serves (Yason, 2.4, "LFH Bucket
 * Activation": a counter of 5 bits of what is held, and one of 11 bits of what was asked for). So
 * does `lfh_row`: after 18 requests in a row the next goes to the LFH. That rule is the older LFH's,
 * not in Yason's paper, and reported of pools; lfh_row=1M turns it off.
 *
 * Placement is random: a slot claims a random word of the active subsegment's bitmap, 64 blocks,
 * and in it each search for a free block begins at a random bit. The numbers are a table of the
 * processor's own, drawn from the seed at create and used in turn: the same seed and the same
 * calls, the same places. A claimed word is the original's hint of where to search, taken at its
 * word: what it holds is busy to the bitmap, so that allocation touches one line of the slot and
 * the block.
 *
 * Slots. A slot is where a processor allocates the blocks of a bucket. With lfh_slots=processor
 * each has its own from the start. With lfh_slots=contention, as in Windows, all share one under
 * its lock until `lfh_contention` acquisitions had to wait; then each allocates from its own.
 *
 * Concurrency. A subsegment belongs to its slot for life, and only the slot's owner (or who holds a
 * shared slot's lock) reads or writes its bitmap: no interlocked operation to allocate, none to
 * free where it was allocated. Windows changes the bitmap with interlocked operations from
 * everywhere. Here a processor that frees another's block pushes it on the slot's list of remote
 * frees, one compare-and-swap on a line that the owner does not touch; the owner takes the whole
 * list when its active subsegment is exhausted, before any other, and sets the bits. The slot lives
 * as long as the pool, and a subsegment at least as long as a block of it that is not back, so who
 * pushes touches nothing that can vanish.
 *
 * Bounds. Allocation: one word is searched, and one in at most 64 blocks claims the next, whatever
 * the subsegment's size. Subsegments of a slot double, 1 to 16 pages, from the second on. A slot
 * keeps one empty subsegment besides the active one. What was freed remotely waits until its owner
 * allocates from that bucket again, or trim.
 */
#include <string.h>

#include "segment_heap.h"

/* Blocks that the first subsegment of a slot should have. */
#define LFH_FIRST_BLOCKS 16u

/* ---- activation ---- */

static void bucket_activate(struct sh_heap *heap, struct lfh_bucket *state)
{
	if (!atomic_exchange_explicit(&state->is_active, true, memory_order_relaxed))
		atomic_fetch_add_explicit(&heap->activations, 1, memory_order_relaxed);
}

void lfh_note_alloc(struct sh_heap *heap, unsigned bucket, unsigned row)
{
	struct lfh_bucket *state = &heap->buckets[bucket];

	atomic_fetch_add_explicit(&state->live, 1, memory_order_relaxed);
	if (atomic_load_explicit(&state->is_active, memory_order_relaxed))
		return;
	atomic_fetch_add_explicit(&state->requests, 1, memory_order_relaxed);
	if (row >= heap->pool->options.lfh_row)
		bucket_activate(heap, state);
}

/* Whether the bucket is active, which the request that asks may bring about. */
static bool bucket_is_active(struct sh_heap *heap, struct lfh_bucket *state)
{
	const struct sh_options *options = &heap->pool->options;

	if (atomic_load_explicit(&state->is_active, memory_order_relaxed))
		return true;
	if (1 + atomic_load_explicit(&state->live, memory_order_relaxed) <
		    (int32_t)options->lfh_live &&
	    1 + atomic_load_explicit(&state->requests, memory_order_relaxed) < options->lfh_total)
		return false;
	bucket_activate(heap, state);
	return true;
}

void lfh_note_free(struct sh_heap *heap, unsigned bucket)
{
	atomic_fetch_sub_explicit(&heap->buckets[bucket].live, 1, memory_order_relaxed);
}

/* ---- subsegments ---- */

static struct lfh_layout layout_of(unsigned bucket)
{
	unsigned stride = (unsigned)sh_bucket_bytes(bucket) + SH_HEADER_BYTES;
	unsigned per_page = POOL_OS_PAGE / stride;

	return (struct lfh_layout){
		.magic = ((1u << LFH_MAGIC_SHIFT) + per_page - 1) / per_page,
		.stride = (uint16_t)stride,
		.slack = (uint16_t)(POOL_OS_PAGE - per_page * stride),
	};
}

void lfh_slot_init(const struct pool *pool, struct lfh_slot *slot, struct sh_processor *owner,
		   enum pool_type type, unsigned bucket)
{
	unsigned most = (unsigned)(pool->options.lfh_subsegment / POOL_OS_PAGE), pages;

	slot->owner = owner;
	slot->type = (uint8_t)type;
	slot->bucket = (uint8_t)bucket;
	slot->layout = layout_of(bucket);
	pages = (LFH_FIRST_BLOCKS * slot->layout.stride + POOL_OS_PAGE - 1) / POOL_OS_PAGE;
	slot->next_pages = (uint8_t)(pages < most ? pages : most);
	sh_links_init(&slot->partial);
}

/* All blocks but those that the head takes the place of. */
static void bitmap_fill(struct lfh_subsegment *subsegment, unsigned blocks)
{
	uintptr_t head = (uintptr_t)subsegment;
	uintptr_t head_end = head + LFH_HEAD_BYTES(subsegment->words);

	for (unsigned index = 0; index < blocks; index++) {
		uintptr_t block = (uintptr_t)lfh_header_at(subsegment, index);

		if (block < head_end && block + subsegment->layout.stride > head)
			continue;
		subsegment->bits[index / 64] |= 1ull << index % 64;
		subsegment->available |= 1u << index / 64;
		subsegment->free_count++;
	}
	subsegment->block_count = subsegment->free_count;
}

/* The slot's new active subsegment, or NULL when the page source refuses. */
static struct lfh_subsegment *subsegment_create(struct pool *pool, struct lfh_slot *slot)
{
	struct sh_heap *heap = &pool->heaps[slot->type];
	size_t bytes = seg_round_up(heap, (size_t)slot->next_pages * POOL_OS_PAGE);
	void *range = seg_alloc(heap, bytes, SEG_LFH, 0);
	struct lfh_subsegment *subsegment;
	unsigned blocks = (unsigned)(bytes / POOL_OS_PAGE) * (POOL_OS_PAGE / slot->layout.stride);

	if (!range)
		return NULL;
	subsegment = lfh_head_of((uintptr_t)range);
	memset(subsegment, 0, LFH_HEAD_BYTES(LFH_WORDS_MAX));
	subsegment->signature = lfh_signature(pool, subsegment);
	subsegment->owner = slot->owner;
	subsegment->slot = slot;
	subsegment->layout = slot->layout;
	subsegment->pages = (uint8_t)(bytes / POOL_OS_PAGE);
	subsegment->words = (uint8_t)((blocks + 63) / 64);
	subsegment->state = LFH_ACTIVE;
	bitmap_fill(subsegment, blocks);
	slot->subsegments_taken++;
	if (++slot->subsegments > 1 &&
	    slot->next_pages * 2 * POOL_OS_PAGE <= pool->options.lfh_subsegment)
		slot->next_pages = (uint8_t)(slot->next_pages * 2);
	return subsegment;
}

static void subsegment_release(struct pool *pool, struct lfh_subsegment *subsegment)
{
	struct lfh_slot *slot = subsegment->slot;

	slot->subsegments--;
	seg_free(&pool->heaps[slot->type], (void *)lfh_start_of(subsegment));
}

/*
 * A free block came to a subsegment that is not the active one: it may be of use again, or of none.
 */
static void settle(struct pool *pool, struct lfh_subsegment *subsegment)
{
	struct lfh_slot *slot = subsegment->slot;

	if (subsegment->state == LFH_FULL) {
		subsegment->state = LFH_PARTIAL;
		sh_links_append(&slot->partial, &subsegment->links);
	}
	if (subsegment->free_count < subsegment->block_count)
		return;
	if (!slot->has_empty) {
		slot->has_empty = true;
		return;
	}
	sh_links_remove(&subsegment->links);
	subsegment_release(pool, subsegment);
}

void lfh_settle(struct lfh_subsegment *subsegment)
{
	settle(subsegment->owner->pool, subsegment);
}

/* Sets a block's bit. By the owner, or under a shared slot's lock. */
static void block_return(struct pool *pool, struct lfh_subsegment *subsegment,
			 struct sh_header *header)
{
	unsigned word = header->index / 64;

	header->kind = SH_FREE;
	subsegment->bits[word] |= 1ull << header->index % 64;
	subsegment->available |= 1u << word;
	subsegment->free_count++;
	if (subsegment->state != LFH_ACTIVE)
		settle(pool, subsegment);
}

/* Takes in what others freed. */
static void drain(struct pool *pool, struct lfh_slot *slot)
{
	void *block;

	if (!atomic_load_explicit(&slot->remote, memory_order_relaxed))
		return;
	block = atomic_exchange_explicit(&slot->remote, NULL, memory_order_acquire);
	while (block) {
		struct sh_header *header = sh_header_of(block);

		block = *(void **)block;
		block_return(pool, lfh_subsegment_of(header), header);
	}
}

/* Takes all free blocks of a random word of the active subsegment, which has one. */
static void claim(struct lfh_slot *slot, struct sh_processor *processor)
{
	struct lfh_subsegment *active = slot->active;
	unsigned word = lfh_pick(active->available, lfh_random(processor) % active->words);

	slot->bits = active->bits[word];
	slot->first = (uint16_t)(word * 64);
	active->bits[word] = 0;
	active->available &= ~(1u << word);
	active->free_count -= (uint16_t)__builtin_popcountll(slot->bits);
	lfh_choose(slot, processor);
}

uint64_t lfh_claimed(const struct lfh_slot *slot)
{
	return slot->next ? slot->bits | 1ull << (slot->next_word & 63) : 0;
}

/* The reverse. */
static void unclaim(struct lfh_slot *slot)
{
	struct lfh_subsegment *active = slot->active;
	uint64_t bits = lfh_claimed(slot);

	if (!bits)
		return;
	active->bits[slot->first / 64] |= bits;
	active->available |= 1u << slot->first / 64;
	active->free_count += (uint16_t)__builtin_popcountll(bits);
	slot->next = NULL;
	slot->bits = 0;
}

/* Makes another subsegment the active one; false when there is none and no memory for one. */
static bool activate_next(struct pool *pool, struct lfh_slot *slot)
{
	if (slot->active)
		slot->active->state = LFH_FULL;
	slot->active = NULL;
	if (slot->partial.next == &slot->partial) {
		slot->active = subsegment_create(pool, slot);
		return slot->active != NULL;
	}
	slot->active = SH_CONTAINER(slot->partial.next, struct lfh_subsegment, links);
	sh_links_remove(&slot->active->links);
	if (slot->active->free_count == slot->active->block_count)
		slot->has_empty = false;
	slot->active->state = LFH_ACTIVE;
	return true;
}

/* Claims a word for a slot that has none; false when the page source refuses. */
static bool slot_refill(struct pool *pool, struct lfh_slot *slot, struct sh_processor *processor)
{
	if (!slot->active || !slot->active->available) {
		drain(pool, slot);
		if (!slot->active || !slot->active->available)
			if (!activate_next(pool, slot))
				return false;
	}
	claim(slot, processor);
	return true;
}

/* ---- allocation and free, the slow ways ---- */

static void *shared_alloc(struct pool *pool, struct sh_processor *processor, struct lfh_slot *slot,
			  struct lfh_bucket *state, uint32_t tag)
{
	void *block = NULL;
	uint64_t contentions;

	spinlock_acquire(&slot->lock);
	if (slot->next || slot_refill(pool, slot, processor))
		block = lfh_take(slot, processor, tag);
	contentions = slot->lock.contentions;
	spinlock_release(&slot->lock);
	if (contentions >= pool->options.lfh_contention)
		atomic_store_explicit(&state->is_spread, true, memory_order_relaxed);
	return block;
}

void *lfh_alloc_slow(struct pool *pool, struct sh_processor *processor, enum pool_type type,
		     unsigned bucket, uint32_t tag)
{
	struct sh_heap *heap = &pool->heaps[type];
	struct lfh_bucket *state = &heap->buckets[bucket];
	struct lfh_slot *slot = &processor->slots[type][bucket];

	if (!bucket_is_active(heap, state))
		return NULL;
	if (!atomic_load_explicit(&state->is_spread, memory_order_relaxed))
		return shared_alloc(pool, processor, &heap->shared_slots[bucket], state, tag);
	if (!slot->next && !slot_refill(pool, slot, processor))
		return NULL;
	return lfh_take(slot, processor, tag);
}

void lfh_free_remote(struct pool *pool, struct lfh_subsegment *subsegment, struct sh_header *header)
{
	struct lfh_slot *slot = subsegment->slot;
	void **block = (void **)(header + 1);
	void *head;

	if (!slot->owner) {
		spinlock_acquire(&slot->lock);
		block_return(pool, subsegment, header);
		spinlock_release(&slot->lock);
		return;
	}
	header->kind = (uint8_t)((unsigned)SH_REMOTE + slot->type);
	head = atomic_load_explicit(&slot->remote, memory_order_relaxed);
	do
		*block = head;
	while (!atomic_compare_exchange_weak_explicit(&slot->remote, &head, block,
						      memory_order_release, memory_order_relaxed));
}

static void slot_trim(struct pool *pool, struct lfh_slot *slot)
{
	struct sh_links *at, *next;

	drain(pool, slot);
	unclaim(slot);
	for (at = slot->partial.next; at != &slot->partial; at = next) {
		struct lfh_subsegment *subsegment = SH_CONTAINER(at, struct lfh_subsegment, links);

		next = at->next;
		if (subsegment->free_count < subsegment->block_count)
			continue;
		sh_links_remove(at);
		subsegment_release(pool, subsegment);
	}
	slot->has_empty = false;
	if (slot->active && slot->active->free_count == slot->active->block_count) {
		subsegment_release(pool, slot->active);
		slot->active = NULL;
	}
}

void lfh_trim(struct pool *pool)
{
	for (unsigned type = 0; type < POOL_TYPES; type++)
		for (unsigned bucket = 1; bucket < pool->lfh_buckets; bucket++) {
			if (pool->heaps[type].shared_slots)
				slot_trim(pool, &pool->heaps[type].shared_slots[bucket]);
			for (unsigned i = 0; i < pool->processor_count; i++)
				slot_trim(pool, &pool->processors[i].slots[type][bucket]);
		}
}
