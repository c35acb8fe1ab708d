/*
 * The low-fragmentation heap: buckets of one block size, activated by use.
 *
 *     subsegment: 1 to 16 OS pages from the back end               slot of a processor
 *     |block|head, bitmap|block|..:|block|block|block|..:| ...     front: what is claimed, linked
 *      bits[0]: blocks 0 .. 63, bits[1]: 64 .. 127, ...                   in the order of its use
 *      the blocks under the head are never free                    active, partial subsegments
 *      ..: the end of a page is too short for a block
 *
 * Activation. While a bucket is not active its requests are served by the layers below, which count
 * them. The one that would be the `lfh_live`th (17th) held at a time, or the `lfh_total`th (2040th)
 * in all, activates the bucket and is the first that the LFH serves (Yason, 2.4, "LFH Bucket
 * Activation": a counter of 5 bits of what is held, and one of 11 bits of what was asked for). So
 * does `lfh_row`: after 18 requests in a row the next goes to the LFH. That rule is the older LFH's,
 * not in Yason's paper, and reported of pools; lfh_row=1M turns it off.
 *
 * Counts are kept by the context of the variable-size layer that served instead (vs.c); a processor looks at
 * its own each time, and every LFH_COUNT_STEP requests at the sum of all.
 *
 * Placement is random: a slot claims a word of the active subsegment's bitmap, 64 blocks, and takes
 * its free blocks one after the other, each search for the next beginning at a random bit. The numbers are a table of
 * the processor's own, drawn from the seed at create and used in turn: the same seed and the same
 * calls, the same places. A claimed word is the original's hint of where to search, taken at its
 * word: what it holds is busy to the bitmap. The searches are made together when the word is
 * claimed, and the blocks linked in their order, with their headers written: so a slot hands blocks out as a lookaside
 * list does, and one way through the allocator serves both.
 *
 * Which word. A claim costs as much as several allocations, so it should find many blocks: from a random word
 * on the first with LFH_CLAIM_ENOUGH free ones, or the one with most; and an active subsegment with fewer is left for
 * the oldest other one.
 *
 * Slots. A slot is where a processor allocates the blocks of a bucket. With lfh_slots=processor
 * each has its own from the start. With lfh_slots=contention, as in Windows, all share one under
 * its lock until `lfh_contention` acquisitions had to wait; then each allocates from its own.
 *
 * Concurrency. A subsegment belongs to its slot for life, and only the slot's owner (or who holds a
 * shared slot's lock) reads or writes its bitmap: no interlocked operation to allocate, none to
 * free where it was allocated. Windows changes the bitmap with interlocked operations from
 * everywhere. Blocks freed by another processor are handed over in batches (lfh_remote.c); the owner takes them in
 * when its active subsegment is exhausted, before any other.
 *
 * Bounds. Allocation: a link is followed, and one in at most 64 blocks claims the next word: a search of at most 32
 * words, and 64 blocks. Subsegments of a slot double, 1 to 16 pages, from the second on. A slot
 * keeps one empty subsegment besides the active one. What was freed remotely waits until its owner
 * needs it, or trim.
 */
#include <string.h>

#include "segment_heap.h"

/* Blocks that the first subsegment of a slot should have. */
#define LFH_FIRST_BLOCKS 16u
/* Free blocks that are worth a claim, where there is a choice. */
#define LFH_CLAIM_ENOUGH 16u
/* Requests of a processor from one look at the others' counts of a bucket to the next. */
#define LFH_COUNT_STEP 16u

/* ---- activation ---- */

static void bucket_activate(struct sh_heap *heap, struct lfh_bucket *state)
{
	if (!atomic_exchange_explicit(&state->is_active, true, memory_order_relaxed))
		atomic_fetch_add_explicit(&heap->activations, 1, memory_order_relaxed);
}

void lfh_note_alloc(struct sh_heap *heap, struct vs_use *use, unsigned bucket, unsigned row)
{
	struct lfh_bucket *state = &heap->buckets[bucket];
	int32_t live = atomic_load_explicit(&use->live, memory_order_relaxed);
	uint32_t requests = atomic_load_explicit(&use->requests, memory_order_relaxed);

	atomic_store_explicit(&use->live, live + 1, memory_order_relaxed);
	atomic_store_explicit(&use->requests, requests + 1, memory_order_relaxed);
	if (row >= heap->pool->options.lfh_row)
		bucket_activate(heap, state);
}

void lfh_note_free(struct vs_use *use)
{
	int32_t live = atomic_load_explicit(&use->live, memory_order_relaxed);

	atomic_store_explicit(&use->live, live - 1, memory_order_relaxed);
}

static bool is_due(const struct sh_options *options, int64_t live, int64_t requests)
{
	return live + 1 >= (int64_t)options->lfh_live ||
	       requests + 1 >= (int64_t)options->lfh_total;
}

/* The same of what all have served together. */
static bool is_due_together(const struct sh_heap *heap, unsigned bucket)
{
	int64_t live = 0, requests = 0;

	for (unsigned i = 0; i < heap->vs_count; i++) {
		const struct vs_use *use = &heap->vs[i].use[bucket];

		live += atomic_load_explicit(&use->live, memory_order_relaxed);
		requests += atomic_load_explicit(&use->requests, memory_order_relaxed);
	}
	return is_due(&heap->pool->options, live, requests);
}

/* Whether the bucket is active, which the request that asks may bring about. */
static bool bucket_is_active(struct sh_heap *heap, const struct sh_processor *processor,
			     unsigned bucket)
{
	struct lfh_bucket *state = &heap->buckets[bucket];
	const struct vs_use *use =
		&heap->vs[heap->vs_count > 1 ? 1 + processor->number : 0].use[bucket];
	uint32_t requests = atomic_load_explicit(&use->requests, memory_order_relaxed);
	int32_t live = atomic_load_explicit(&use->live, memory_order_relaxed);

	if (atomic_load_explicit(&state->is_active, memory_order_relaxed))
		return true;
	/* What others have served is looked at now and then: it is in their caches. */
	if (!is_due(&heap->pool->options, live, requests) &&
	    (requests % LFH_COUNT_STEP || !is_due_together(heap, bucket)))
		return false;
	bucket_activate(heap, state);
	return true;
}

/* ---- subsegments ---- */

void lfh_slot_init(const struct pool *pool, struct lfh_slot *slot, struct sh_front *front,
		   struct sh_processor *owner, enum pool_type type, unsigned bucket)
{
	unsigned most = (unsigned)(pool->options.lfh_subsegment / POOL_OS_PAGE), pages;
	unsigned stride = (unsigned)sh_bucket_bytes(bucket) + SH_HEADER_BYTES;
	unsigned per_page = POOL_OS_PAGE / stride;

	slot->layout = (struct lfh_layout){
		.magic = ((1u << LFH_MAGIC_SHIFT) + per_page - 1) / per_page,
		.stride = stride,
		.slack = POOL_OS_PAGE - per_page * stride,
	};
	slot->word = sh_word((unsigned)SH_RETURNED + type, owner ? owner->number : SH_NOBODY, 0);
	if (stride >= SH_ROOMY_BYTES + SH_HEADER_BYTES)
		slot->word |= (uint32_t)SH_ROOMY_BIT;
	slot->front = front;
	slot->owner = owner;
	slot->type = (uint8_t)type;
	slot->bucket = (uint8_t)bucket;
	pages = (LFH_FIRST_BLOCKS * stride + POOL_OS_PAGE - 1) / POOL_OS_PAGE;
	slot->next_pages = (uint8_t)(pages < most ? pages : most);
	sh_links_init(&slot->partial);
}

static struct sh_links *links_of(struct lfh_subsegment *subsegment)
{
	return (struct sh_links *)(void *)&subsegment->bits[subsegment->words];
}

/* All of a head is in the subsegment's first page. */
static struct lfh_subsegment *linked(const struct sh_links *links)
{
	return lfh_head_of((uintptr_t)links & ~(uintptr_t)(POOL_OS_PAGE - 1));
}

/* Blocks whose bits are not set: held, claimed, on their way back. */
static unsigned busy_count(const struct lfh_subsegment *subsegment)
{
	switch (subsegment->state) {
	case LFH_ACTIVE:
		return subsegment->room;
	case LFH_FULL:
		return subsegment->block_count;
	case LFH_PARTIAL:
		return subsegment->room + 1;
	default:
		return 0;
	}
}

static void state_set(struct lfh_subsegment *subsegment, enum lfh_state state, unsigned busy)
{
	subsegment->state = (uint8_t)state;
	subsegment->room = state == LFH_ACTIVE ? busy : state == LFH_PARTIAL ? busy - 1 : 0;
}

unsigned lfh_free_count(const struct lfh_subsegment *subsegment)
{
	return subsegment->block_count - busy_count(subsegment);
}

/* All blocks but those that the head takes the place of. */
static void bitmap_fill(struct lfh_subsegment *subsegment, unsigned blocks)
{
	uintptr_t head = (uintptr_t)subsegment;
	uintptr_t head_end = head + LFH_HEAD_BYTES(subsegment->words);

	for (unsigned index = 0; index < blocks; index++) {
		uintptr_t block = (uintptr_t)lfh_header_at(subsegment, index);

		if (block < head_end && block + subsegment->stride > head)
			continue;
		subsegment->bits[index / 64] |= 1ull << index % 64;
		subsegment->block_count++;
	}
}

/* The slot's new active subsegment, or NULL when the page source refuses. */
static struct lfh_subsegment *subsegment_create(struct pool *pool, struct lfh_slot *slot)
{
	struct sh_heap *heap = &pool->heaps[slot->type];
	size_t bytes = seg_round_up(heap, (size_t)slot->next_pages * POOL_OS_PAGE);
	void *range = seg_alloc(heap, bytes, SEG_LFH, 0);
	struct lfh_subsegment *subsegment;
	unsigned stride = slot->layout.stride;
	unsigned blocks = (unsigned)(bytes / POOL_OS_PAGE) * (POOL_OS_PAGE / stride);

	if (!range)
		return NULL;
	subsegment = lfh_head_of((uintptr_t)range);
	memset(subsegment, 0, LFH_HEAD_BYTES(LFH_WORDS_MAX));
	subsegment->signature = lfh_signature(pool, subsegment);
	subsegment->slot = slot;
	subsegment->stride = (uint16_t)stride;
	subsegment->pages = (uint8_t)(bytes / POOL_OS_PAGE);
	subsegment->words = (uint8_t)((blocks + 63) / 64);
	state_set(subsegment, LFH_ACTIVE, 0);
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
 * A subsegment that is not the active one, or is no longer, has free blocks: it may be of use again, or of none.
 */
static void settle(struct pool *pool, struct lfh_subsegment *subsegment, unsigned busy)
{
	struct lfh_slot *slot = subsegment->slot;

	if (subsegment->state != LFH_PARTIAL)
		sh_links_append(&slot->partial, links_of(subsegment));
	state_set(subsegment, busy ? LFH_PARTIAL : LFH_EMPTY, busy);
	if (busy)
		return;
	if (!slot->has_empty) {
		slot->has_empty = true;
		return;
	}
	sh_links_remove(links_of(subsegment));
	subsegment_release(pool, subsegment);
}

void lfh_return(struct pool *pool, struct lfh_subsegment *subsegment, unsigned index)
{
	unsigned busy = busy_count(subsegment) - 1;

	subsegment->bits[index / 64] |= 1ull << index % 64;
	if (subsegment->room)
		subsegment->room--;
	else
		settle(pool, subsegment, busy);
}

void lfh_free_slow(struct pool *pool, struct sh_header *header)
{
	struct lfh_subsegment *subsegment = lfh_subsegment_of(header, pool->cookie);

	sh_set_kind(header, SH_RETURNED);
	lfh_return(pool, subsegment, sh_index(header));
}

void lfh_free_shared(struct pool *pool, struct sh_header *header)
{
	struct lfh_slot *slot = lfh_subsegment_of(header, pool->cookie)->slot;

	spinlock_acquire(&slot->lock);
	lfh_free_slow(pool, header);
	spinlock_release(&slot->lock);
}

/* ---- what a slot claims ---- */

/* The word to claim: from a random one on the first that has enough, or has most; one has any. */
static unsigned word_choose(const struct lfh_subsegment *active, unsigned random)
{
	unsigned word = random * active->words / 64, best = word, most = 0;

	for (unsigned i = 0; i < active->words && most < LFH_CLAIM_ENOUGH; i++) {
		unsigned count = (unsigned)__builtin_popcountll(active->bits[word]);

		if (count > most) {
			most = count;
			best = word;
		}
		if (++word == active->words)
			word = 0;
	}
	return best;
}

/*
 * Takes all free blocks of a word of the active subsegment, which has one, in the order in which they will be handed
 * out: each is the first from a random bit on.
 */
static void claim(struct lfh_slot *slot, struct sh_processor *processor)
{
	struct lfh_subsegment *active = slot->active;
	unsigned word = word_choose(active, lfh_random(processor));
	uint64_t bits = active->bits[word], key = active->signature;
	uintptr_t start = lfh_start_of(active);
	struct sh_header **end = &slot->front->next, *header;

	active->bits[word] = 0;
	active->room += (unsigned)__builtin_popcountll(bits);
	do {
		unsigned bit = lfh_pick(bits, lfh_random(processor)), index = word * 64 + bit;

		bits &= ~(1ull << bit);
		header = (struct sh_header *)(start + lfh_offset(&slot->layout, index));
		sh_header_write(header, key, slot->word | index);
		*end = header;
		end = sh_link(header);
	} while (bits);
	*end = NULL;
}

/* The reverse. */
static void unclaim(struct lfh_slot *slot)
{
	struct lfh_subsegment *active = slot->active;

	for (struct sh_header *header = slot->front->next; header; header = *sh_link(header)) {
		active->bits[sh_index(header) / 64] |= 1ull << sh_index(header) % 64;
		active->room--;
	}
	slot->front->next = NULL;
}

/* The active one goes back among the others. */
static void deactivate(struct pool *pool, struct lfh_slot *slot)
{
	struct lfh_subsegment *active = slot->active;
	unsigned busy;

	if (!active)
		return;
	slot->active = NULL;
	busy = busy_count(active);
	if (busy < active->block_count)
		settle(pool, active, busy);
	else
		state_set(active, LFH_FULL, busy);
}

/* Makes the oldest with free blocks the active one, or a new one; false when there is no memory. */
static bool activate_next(struct pool *pool, struct lfh_slot *slot)
{
	struct lfh_subsegment *next;

	deactivate(pool, slot);
	if (slot->partial.next == &slot->partial) {
		next = subsegment_create(pool, slot);
		if (!next)
			return false;
	} else {
		next = linked(slot->partial.next);
		sh_links_remove(links_of(next));
		if (next->state == LFH_EMPTY)
			slot->has_empty = false;
		state_set(next, LFH_ACTIVE, busy_count(next));
	}
	slot->active = next;
	return true;
}

static unsigned active_free(const struct lfh_slot *slot)
{
	return slot->active ? lfh_free_count(slot->active) : 0;
}

/*
 * Claims a word for a slot that has none; false when the page source refuses. An active subsegment with few free
 * blocks is left for the oldest other one, whose have had the time to become more: a claim costs as much as the
 * allocation of several blocks.
 */
static bool slot_refill(struct pool *pool, struct lfh_slot *slot, struct sh_processor *processor)
{
	unsigned count = active_free(slot);

	slot->reported += slot->seen_used - slot->front->used;
	slot->seen_used = slot->front->used;
	if (!count && slot->owner) {
		lfh_collect(pool, slot->owner);
		count = active_free(slot);
	}
	if (!count || (count < LFH_CLAIM_ENOUGH && slot->partial.next != &slot->partial))
		if (!activate_next(pool, slot))
			return false;
	claim(slot, processor);
	return true;
}

/* ---- allocation, the slow ways ---- */

static void *slot_take(struct pool *pool, struct lfh_slot *slot, struct sh_processor *processor,
		       uint32_t tag)
{
	struct sh_front *front = slot->front;

	if (!front->next && !slot_refill(pool, slot, processor))
		return NULL;
	return front_take(front, front->next, tag);
}

static void *shared_alloc(struct pool *pool, struct sh_processor *processor, struct lfh_slot *slot,
			  struct lfh_bucket *state, uint32_t tag)
{
	uint64_t contentions;
	void *block;

	spinlock_acquire(&slot->lock);
	block = slot_take(pool, slot, processor, tag);
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

	if (!bucket_is_active(heap, processor, bucket))
		return NULL;
	if (!atomic_load_explicit(&state->is_spread, memory_order_relaxed))
		return shared_alloc(pool, processor, &heap->shared_slots[bucket], state, tag);
	return slot_take(pool, &processor->slots[type][bucket], processor, tag);
}

uint64_t lfh_allocations(const struct lfh_slot *slot)
{
	return slot->reported + (slot->seen_used - slot->front->used);
}

/* ---- trim ---- */

static void slot_trim(struct pool *pool, struct lfh_slot *slot)
{
	struct sh_links *at, *next;

	unclaim(slot);
	for (at = slot->partial.next; at != &slot->partial; at = next) {
		struct lfh_subsegment *subsegment = linked(at);

		next = at->next;
		if (subsegment->state != LFH_EMPTY)
			continue;
		sh_links_remove(at);
		subsegment_release(pool, subsegment);
	}
	slot->has_empty = false;
	if (slot->active && !busy_count(slot->active)) {
		subsegment_release(pool, slot->active);
		slot->active = NULL;
	}
}

void lfh_trim(struct pool *pool)
{
	for (unsigned i = 0; i < pool->processor_count; i++)
		lfh_post(&pool->processors[i]);
	for (unsigned i = 0; i < pool->processor_count; i++)
		lfh_collect(pool, &pool->processors[i]);
	for (unsigned type = 0; type < POOL_TYPES; type++)
		for (unsigned bucket = 1; bucket < pool->lfh_buckets; bucket++) {
			if (pool->heaps[type].shared_slots)
				slot_trim(pool, &pool->heaps[type].shared_slots[bucket]);
			for (unsigned i = 0; i < pool->processor_count; i++)
				slot_trim(pool, &pool->processors[i].slots[type][bucket]);
		}
}
