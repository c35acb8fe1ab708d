/*
 * tlsf: two-level segregated fit.
 *
 * 1. Source. Masmano, Ripoll, Crespo and Real, "TLSF: a New Dynamic Memory Allocator for Real-Time
 *    Systems" (ECRTS 2004). docs/tlsf.md has the details.
 *
 * 2. Layout. A free block is in the list of its size class: the first level is the power of two, the
 *    second cuts it into 2^sli equal parts; below 2^(sli + 4) bytes the classes are exact. A bitmap of
 *    rows and one of columns a row find the first list that is not empty in two bit scans. A request
 *    takes the head of its own class if that fits, and is else looked for from the class on in which
 *    every block fits (good fit), so no list is walked.
 *
 *        first_level     ..0 1 0 0 1 1                        span from the page source
 *                             |     |                         +------+------+--------+------+---+
 *        second_level   row 4 |     row 0                     |header|w used|w free  |w used|w 0|
 *                   ..0 0 1 0 .     ..1 0 1 1                 +------+------+--------+------+---+
 *                         |               | '-> lists         w: word = size | flags | heap
 *                         '-> list -> free block <-> free block -> none
 *
 *    A used block costs its word, 8 bytes. What the next block needs to find a free one before it is
 *    written into that one's own last word.
 *
 * 3. Concurrency. TLSF is a single-threaded algorithm. With processors=on each processor has a TLSF of
 *    its own for each pool type, and a block's word names the one that it came from. The thread that
 *    stands for the processor holds its lock from thread_enter to thread_exit, so that its own allocs
 *    and frees need neither lock nor atomic. A block of another processor is given at once if that
 *    one's lock can be had (nobody stands for it), else pushed on its `remote` stack, from which the
 *    owner's allocs take all at a time (so ABA cannot arise) and give four each. A block pushed after
 *    the owner's last look waits for the next thread that gets the lock.
 *    With processors=off there is one TLSF a pool type, and a lock around each straight line of code.
 *    In both the page source is entered by a thread for a span that is nobody's: not yet added, or
 *    taken out. No operation holds two locks of a type.
 *
 * 4. Bounds. At most TLSF_STEPS_MAX steps an operation, however many blocks there are; counted, and
 *    checked by check(). An alloc may also give four blocks that others freed. A wait for the lock
 *    (processors=off) and growth come on top: TLSF_LOOK_MAX blocks of the own class are looked at before
 *    the page source is called. Waste in a block: its word and under one unit, or 31 bytes where the
 *    rest could not hold a free block. A new span may be taken although a block that fits lies deeper in
 *    the own class (the price of good fit).
 *
 * 5. Capabilities: residency, trim, walk, check, counters. Not the page rules: in TLSF a block of a page
 *    is aligned like any other, and tags have no place in its word.
 *
 * 6. Departures from the original. Memory comes in spans of `grow` bytes or what a large request needs,
 *    instead of one pool that is given once; spans do not merge with each other, and one that is wholly
 *    free goes back once more than `retain` bytes are. Units of 16 bytes. The own
 *    class is looked at (docs/tlsf.md, Memory): what was freed serves the next request of its size. A
 *    TLSF for each processor: the single one of the original, with a lock, is processors=off.
 */
#include <errno.h>
#include <limits.h>

#include "allocators/backends.h"
#include "allocators/options.h"
#include "fit.h"

static const struct option_def tlsf_option_table[] = {
	OPTION_UINT(struct tlsf_options, sli, "5", 2, TLSF_SLI_MAX, "bits",
		    "second level: each power of two is cut into 2^sli classes"),
	OPTION_SIZE(struct tlsf_options, grow, "64K", POOL_OS_PAGE, 1u << 30,
		    "taken from the page source at a time, at least"),
	OPTION_SIZE(struct tlsf_options, retain, "8M", 0, 1ull << 40,
		    "wholly free spans kept a pool type (a heap); above, they go back"),
	OPTION_BOOL(struct tlsf_options, processors, "on",
		    "a TLSF for each processor, without a lock; off: one a pool type, with one"),
	OPTION_END,
};

/* 0 with one heap a pool type. A thread that has not entered owns nothing, and must not be here. */
static _Thread_local unsigned thread_processor;

static struct tlsf_heap *heap_of_thread(struct pool *pool, enum pool_type type)
{
	return &pool->heaps[(unsigned)type * pool->heaps_each + thread_processor];
}

/* ---- alloc and free ---- */

static void *tlsf_alloc(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	struct tlsf_heap *heap = heap_of_thread(pool, type);
	struct tlsf_block *block;
	bool is_own;
	size_t size;

	(void)tag;
	if (UNLIKELY(bytes > TLSF_BYTES_MAX))
		return NULL;
	size = tlsf_size_for(bytes);
	is_own = pool->options.processors;
	if (!is_own)
		spinlock_acquire(&heap->lock);
	else if (UNLIKELY(tlsf_remote_waits(heap)))
		tlsf_remote_drain(heap, TLSF_DRAIN_MAX);
	if (LIKELY(heap->sli == TLSF_SLI_USUAL))
		block = heap_take(heap, TLSF_SLI_USUAL, size);
	else
		block = tlsf_heap_take(heap, size);
	if (!is_own)
		spinlock_release(&heap->lock);
	if (UNLIKELY(!block)) {
		block = tlsf_alloc_slow(pool, heap, size);
		if (!block)
			return NULL;
	}
	return tlsf_body(block);
}

static __attribute__((noinline)) void free_refuse(struct pool *pool, const void *body, size_t word)
{
	struct pool_stop stop = {
		.code = 0x19,
		.arguments = { 0x20, (uintptr_t)body, word & TLSF_SIZE_MASK, word },
		.text = "the block's word is no block's: overwritten, or no pool block",
	};

	if (word >> TLSF_HEAP_SHIFT < pool->heap_count && (word & TLSF_FREE)) {
		stop.code = 0xC2;
		stop.arguments[0] = 7;
		stop.text = "freed a block that is free already";
	} else if (word >> TLSF_HEAP_SHIFT < pool->heap_count &&
		   (word & TLSF_SIZE_MASK) >= TLSF_BLOCK_MIN) {
		stop.arguments[0] = 5;
		stop.text = "the next block's word disagrees: an overrun";
	}
	pool->stop(pool->stop_arg, &stop);
}

/* Under the heap's lock: whether the block is in use, and the next one has it so. */
static inline __attribute__((always_inline)) bool block_is_sound(const struct tlsf_block *block)
{
	const size_t word = tlsf_word(block);

	return !(word & TLSF_FREE) && (word & TLSF_SIZE_MASK) >= TLSF_BLOCK_MIN &&
	       !(tlsf_word(tlsf_behind(block)) & TLSF_PREVIOUS_FREE);
}

/* Into a heap that is the caller's, which it stops being; whatever happens. */
static void free_and_release(struct pool *pool, struct tlsf_heap *heap, struct tlsf_block *block)
{
	struct tlsf_span *span;

	if (UNLIKELY(!block_is_sound(block))) {
		spinlock_release(&heap->lock);
		free_refuse(pool, tlsf_body(block), tlsf_word(block));
		return;
	}
	span = tlsf_heap_give(heap, block);
	spinlock_release(&heap->lock);
	if (UNLIKELY(span != NULL))
		page_source_give(heap->source, span, span->bytes);
}

/* Another processor's block: given at once where nobody stands for that one, else left for its thread. */
static __attribute__((noinline)) void free_remote(struct pool *pool, struct tlsf_heap *heap,
						  struct tlsf_block *block)
{
	if (!spinlock_try(&heap->lock)) {
		tlsf_remote_push(heap, block);
		return;
	}
	tlsf_remote_drain(heap, TLSF_DRAIN_MAX);
	free_and_release(pool, heap, block);
}

static void tlsf_free(struct pool *pool, void *body, uint32_t tag)
{
	struct tlsf_block *block = tlsf_block_of(body);
	const size_t word = tlsf_word(block);
	struct tlsf_span *span = NULL;
	struct tlsf_heap *heap;
	bool is_own, is_sound;

	(void)tag;
	if (UNLIKELY(word >> TLSF_HEAP_SHIFT >= pool->heap_count)) {
		free_refuse(pool, body, word);
		return;
	}
	heap = &pool->heaps[word >> TLSF_HEAP_SHIFT];
	is_own = pool->options.processors;
	if (!is_own) {
		spinlock_acquire(&heap->lock);
	} else if (UNLIKELY(heap->processor != thread_processor)) {
		free_remote(pool, heap, block);
		return;
	}
	is_sound = block_is_sound(block);
	if (UNLIKELY(!is_sound || heap->sli != TLSF_SLI_USUAL))
		span = is_sound ? tlsf_heap_give(heap, block) : NULL;
	else
		span = heap_give(heap, TLSF_SLI_USUAL, block);
	if (!is_own)
		spinlock_release(&heap->lock);
	if (UNLIKELY(!is_sound))
		free_refuse(pool, body, word);
	else if (UNLIKELY(span != NULL))
		page_source_give(heap->source, span, span->bytes);
}

static size_t tlsf_block_bytes(struct pool *pool, const void *body)
{
	(void)pool;
	return tlsf_size(tlsf_block_of(body));
}

/* ---- whose a heap is, create and destroy ---- */

/* The processor's heaps are the thread's until it leaves. It may have to wait for a remote free's end. */
static int tlsf_thread_enter(struct pool *pool, unsigned processor)
{
	if (!pool->options.processors)
		return 0;
	thread_processor = processor;
	for (unsigned type = 0; type < POOL_TYPES; type++)
		spinlock_acquire(&heap_of_thread(pool, type)->lock);
	return 0;
}

static void tlsf_thread_exit(struct pool *pool)
{
	if (!pool->options.processors)
		return;
	for (unsigned type = 0; type < POOL_TYPES; type++) {
		struct tlsf_heap *heap = heap_of_thread(pool, type);

		tlsf_remote_drain(heap, UINT_MAX);
		spinlock_release(&heap->lock);
	}
	thread_processor = 0;
}

static size_t align_line(size_t bytes)
{
	return (bytes + 127) & ~(size_t)127;
}

static void heap_create(struct pool *pool, unsigned index, const struct pool_config *config,
			struct tlsf_block **lists)
{
	struct tlsf_heap *heap = &pool->heaps[index];

	heap->type = index < pool->heaps_each ? POOL_NONPAGED : POOL_PAGED;
	heap->source = config->pages[heap->type];
	heap->processor = index % pool->heaps_each;
	heap->tag = (size_t)index << TLSF_HEAP_SHIFT;
	heap->retain_bytes = pool->options.retain / pool->heaps_each;
	tlsf_heap_init(heap, pool->options.sli, lists);
}

/* The control area, nonpaged: struct pool, the heaps, their lists. Fresh pages are zero. */
static int tlsf_create(const struct pool_config *config, struct pool **out)
{
	const struct tlsf_options *options = config->values;
	struct page_source *source = config->pages[POOL_NONPAGED];
	const unsigned each = options->processors ? config->processors : 1;
	const size_t list_bytes = ((size_t)TLSF_ROWS << options->sli) * sizeof(struct tlsf_block *);
	const size_t heaps_at = align_line(sizeof(struct pool));
	const size_t lists_at = heaps_at + POOL_TYPES * each * sizeof(struct tlsf_heap);
	size_t bytes = lists_at + POOL_TYPES * each * list_bytes;
	struct pool *pool;

	if (POOL_TYPES * each > TLSF_HEAPS_MAX)
		return -EINVAL;
	bytes = page_source_round_up(source, bytes);
	pool = page_source_take(source, bytes, 0);
	if (!pool)
		return -ENOMEM;
	pool->options = *options;
	pool->stop = config->stop;
	pool->stop_arg = config->stop_arg;
	pool->control_source = source;
	pool->control_bytes = bytes;
	pool->heaps_each = each;
	pool->heap_count = POOL_TYPES * each;
	pool->heaps = (struct tlsf_heap *)((char *)pool + heaps_at);
	for (unsigned i = 0; i < pool->heap_count; i++)
		heap_create(pool, i, config,
			    (struct tlsf_block **)((char *)pool + lists_at + i * list_bytes));
	*out = pool;
	return 0;
}

static void tlsf_destroy(struct pool *pool)
{
	if (!pool)
		return;
	for (unsigned i = 0; i < pool->heap_count; i++)
		tlsf_spans_release(pool->heaps[i].source, pool->heaps[i].spans);
	page_source_give(pool->control_source, pool, pool->control_bytes);
}

const struct pool_backend tlsf_backend = {
	.abi = POOL_ABI,
	.caps = POOL_CAP_NATIVE | POOL_CAP_RESIDENT | POOL_CAP_TRIM | POOL_CAP_WALK |
		POOL_CAP_CHECK | POOL_CAP_COUNTERS,
	.name = "tlsf",
	.summary = "two-level segregated fit: O(1) good fit, immediate coalescing",
	.options = tlsf_option_table,
	.options_bytes = sizeof(struct tlsf_options),
	.create = tlsf_create,
	.destroy = tlsf_destroy,
	.alloc = tlsf_alloc,
	.free = tlsf_free,
	.block_bytes = tlsf_block_bytes,
	.thread_enter = tlsf_thread_enter,
	.thread_exit = tlsf_thread_exit,
	.trim = tlsf_spans_trim,
	.walk = tlsf_walk,
	.check = tlsf_check,
	.counters = tlsf_counters,
};
