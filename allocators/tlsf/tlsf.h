/*
 * TLSF, inside: what its files share. The theory is at the top of tlsf.c.
 *
 *     fit.h      the algorithm: lists, splitting, coalescing; knows no lock, calls nobody
 *     heap.c     a heap's setting up, its spans
 *     tlsf.c     the backend: options, create, alloc, free; whose a heap is
 *     spans.c    memory beyond the lists: spans, blocks freed elsewhere, other processors' heaps
 *     inspect.c  walk, check and counters
 */
#ifndef POOLBENCH_TLSF_H
#define POOLBENCH_TLSF_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocators/pages.h"
#include "allocators/pool.h"
#include "allocators/spinlock.h"

#define TLSF_UNIT       16u
#define TLSF_UNIT_SHIFT 4u
#define TLSF_SLI_MAX    6u
/* Blocks are smaller than 2^46 bytes; what a page source can have is far below. */
#define TLSF_SIZE_SHIFT 46u
/* Row 0 is linear; a row more for each power of two from 2^(sli + 4) on, sli >= 2. */
#define TLSF_ROWS       (TLSF_SIZE_SHIFT - TLSF_UNIT_SHIFT)
#define TLSF_HEADER     sizeof(size_t)
#define TLSF_BLOCK_MIN  sizeof(struct tlsf_block)
#define TLSF_BYTES_MAX  ((size_t)1 << (TLSF_SIZE_SHIFT - 1))
#define TLSF_HEAP_SHIFT 48u
#define TLSF_HEAPS_MAX  (1u << (64 - TLSF_HEAP_SHIFT))

/* In the low bits of a block's word. */
#define TLSF_FREE          ((size_t)1)
#define TLSF_PREVIOUS_FREE ((size_t)2) /* previous_physical is valid */
#define TLSF_FIRST         ((size_t)4) /* of its span */
#define TLSF_WAITING       ((size_t)8) /* freed elsewhere; set and seen within walk() and check() only */
#define TLSF_SIZE_MASK     ((((size_t)1 << TLSF_SIZE_SHIFT) - 1) & ~(size_t)(TLSF_UNIT - 1))

/*
 * A block by its boundary tag. Its own bytes are [word, next block's word): previous_physical is the
 * last word of the block before, written there while that one is free. A block's word is changed under
 * its heap's lock, by the owners of its neighbours too (TLSF_PREVIOUS_FREE), while block_bytes and free
 * read size and heap from it without: hence the atomic. All accesses are relaxed; the lock orders.
 */
struct tlsf_block {
	struct tlsf_block *previous_physical;
	_Atomic size_t word; /* size | flags | heap << TLSF_HEAP_SHIFT */
	struct tlsf_block *next; /* of its list, while it is free */
	struct tlsf_block *
		*link; /* what points to it: the head of its list or the `next` before it */
};

/*
 * A run of pages from the page source. It begins with this, and its first block's word comes right
 * behind; its last word is that of a block of size 0, which is never free.
 */
struct tlsf_span {
	struct tlsf_span *next, *previous;
	size_t bytes;
};
#define TLSF_SPAN_FIRST_AT \
	16u /* of the first tlsf_block: its previous_physical lies over `bytes` */
#define TLSF_SPAN_OVERHEAD (sizeof(struct tlsf_span) + sizeof(size_t))
_Static_assert(TLSF_SPAN_FIRST_AT + offsetof(struct tlsf_block, word) == sizeof(struct tlsf_span),
	       "the first block's word follows the span's header");

struct tlsf_counts {
	uint64_t allocations, frees, splits, merges, spans_taken, spans_given, pages_given;
	uint64_t remote_frees; /* blocks that other processors left for this heap's owner */
	uint64_t steals; /* of this heap's memory by other processors that found no other */
	unsigned steps_max; /* of any operation so far; at most TLSF_STEPS_MAX */
};

/*
 * One TLSF structure. All under `lock`, but `remote` and what create() sets. With processors=on the
 * thread that stands for the processor holds the lock for as long as it does.
 */
struct tlsf_heap {
	alignas(128) struct spinlock lock;
	unsigned sli; /* 2^sli lists a row */
	uint64_t first_level; /* bit r: second_level[r] is not 0 */
	uint64_t second_level[TLSF_ROWS]; /* bit c: lists[r << sli | c] is not empty */
	struct tlsf_block none; /* the end of every list; may be written, is never read */
	struct tlsf_block **lists;
	size_t tag; /* index << TLSF_HEAP_SHIFT: what every block's word has */
	struct page_source *source;
	enum pool_type type;
	struct tlsf_span *spans;
	size_t span_bytes; /* taken from the page source */
	size_t free_span_bytes; /* of them in spans that are one free block */
	size_t retain_bytes; /* wholly free spans go back above this */
	unsigned processor; /* whose it is with processors=on */
	struct tlsf_block *pending; /* taken from `remote`, not yet given; linked by next */
	struct tlsf_counts counts;
	/* Freed by others while the heap was not theirs; pushed one by one, taken all at once. */
	alignas(128) struct tlsf_block *_Atomic remote;
};

/*
 * The most an operation may do, in steps: a free block that is looked at, a bitmap word that is read to
 * search, a block that is linked or unlinked, a split, a merge. alloc: 1 looked at, 3 words, 1 unlinked,
 * 1 split, 1 linked; free: 2 merges of 2 (merge, unlink), 1 linked.
 */
#define TLSF_STEPS_MAX 7u
/* Before a heap grows, as many blocks of the request's own class are looked at. */
#define TLSF_LOOK_MAX 16u
/* With processors=on an alloc also gives at most so many of the blocks that others freed. */
#define TLSF_DRAIN_MAX 4u

struct tlsf_options {
	unsigned sli;
	size_t grow, retain;
	bool processors;
};

struct pool {
	struct tlsf_options options;
	void (*stop)(void *stop_arg, const struct pool_stop *stop);
	void *stop_arg;
	struct page_source *control_source;
	size_t control_bytes;
	unsigned heap_count; /* of both types */
	unsigned heaps_each; /* a type: 1, or one a processor */
	struct tlsf_heap *heaps; /* [type * heaps_each + processor] */
};

/* ---- blocks ---- */

static inline size_t tlsf_word(const struct tlsf_block *block)
{
	return atomic_load_explicit(&block->word, memory_order_relaxed);
}

static inline void tlsf_word_set(struct tlsf_block *block, size_t word)
{
	atomic_store_explicit(&block->word, word, memory_order_relaxed);
}

static inline size_t tlsf_size(const struct tlsf_block *block)
{
	return tlsf_word(block) & TLSF_SIZE_MASK;
}

static inline struct tlsf_block *tlsf_at(const struct tlsf_block *block, size_t bytes)
{
	return (struct tlsf_block *)((uintptr_t)block + bytes);
}

static inline struct tlsf_block *tlsf_behind(const struct tlsf_block *block)
{
	return tlsf_at(block, tlsf_size(block));
}

static inline void *tlsf_body(struct tlsf_block *block)
{
	return &block->next;
}

static inline struct tlsf_block *tlsf_block_of(const void *body)
{
	return (struct tlsf_block *)((uintptr_t)body - offsetof(struct tlsf_block, next));
}

/* What a request takes: its bytes and the word, in whole units; bytes <= TLSF_BYTES_MAX. */
static inline size_t tlsf_size_for(size_t bytes)
{
	size_t size = (bytes + TLSF_HEADER + TLSF_UNIT - 1) & ~(size_t)(TLSF_UNIT - 1);

	return size < TLSF_BLOCK_MIN ? TLSF_BLOCK_MIN : size;
}

static inline struct tlsf_block *tlsf_span_first(const struct tlsf_span *span)
{
	return (struct tlsf_block *)((uintptr_t)span + TLSF_SPAN_FIRST_AT);
}

/* The block of size 0 that ends the span: only its word is in it. */
static inline struct tlsf_block *tlsf_span_end(const struct tlsf_span *span)
{
	return (struct tlsf_block *)((uintptr_t)span + span->bytes - TLSF_SPAN_FIRST_AT);
}

/* The span that is all this one free block, or NULL. */
static inline struct tlsf_span *tlsf_span_whole(const struct tlsf_block *block)
{
	if (!(tlsf_word(block) & TLSF_FIRST) || tlsf_size(tlsf_behind(block)) != 0)
		return NULL;
	return (struct tlsf_span *)((uintptr_t)block - TLSF_SPAN_FIRST_AT);
}

/* The list that a block of `size` belongs to: row << sli | column. */
static inline unsigned tlsf_list_of(unsigned sli, size_t size)
{
	const unsigned linear_shift = sli + TLSF_UNIT_SHIFT;
	/*
	 * Row r begins at 2^(linear_shift + r - 1); its columns are the sli bits behind the leading one. Row 0
	 * has parts as long as row 1's, so that both are counted by the same shift.
	 */
	const unsigned top = 63 - (unsigned)__builtin_clzll(size | (size_t)1 << linear_shift);
	const unsigned above = top - linear_shift;

	return (unsigned)((size >> (above + TLSF_UNIT_SHIFT)) + ((size_t)above << sli));
}

/* `size` rounded up to where a list begins: any block in that list, or in one above it, will do. */
static inline size_t tlsf_class_size(unsigned sli, size_t size)
{
	const unsigned linear_shift = sli + TLSF_UNIT_SHIFT;
	const unsigned top = 63 - (unsigned)__builtin_clzll(size | (size_t)1 << linear_shift);
	/* In the linear row this is one less than a unit, of which sizes are multiples. */
	const size_t rest = ((size_t)1 << (top - linear_shift + TLSF_UNIT_SHIFT)) - 1;

	return (size + rest) & ~rest;
}

/* ---- heap.c: with the heap's lock held ---- */

/* A heap without memory. `lists` has TLSF_ROWS << sli entries, which are set here. */
void tlsf_heap_init(struct tlsf_heap *heap, unsigned sli, struct tlsf_block **lists);
/*
 * A used block of at least `size`, a multiple of the unit: the head of the size's own class if that fits, else
 * good fit; NULL if no free one is sure to fit.
 */
struct tlsf_block *tlsf_heap_take(struct tlsf_heap *heap, size_t size);
/* After that found none: one of the first TLSF_LOOK_MAX blocks of the own class, or NULL. */
struct tlsf_block *tlsf_heap_take_near(struct tlsf_heap *heap, size_t size);
/*
 * A used block becomes free and merges with its neighbours. A span that it was the last of and that is
 * more than the heap retains leaves the heap and is returned; otherwise NULL.
 */
struct tlsf_span *tlsf_heap_give(struct tlsf_heap *heap, struct tlsf_block *block);
/* Adds a run of pages, and takes a block of `size` from its front, which must fit. */
struct tlsf_block *tlsf_heap_extend(struct tlsf_heap *heap, void *run, size_t bytes, size_t size);
/* Takes wholly free spans out of the heap, linked by next, until at most `keep` bytes of them are left. */
struct tlsf_span *tlsf_heap_shrink(struct tlsf_heap *heap, size_t keep);

/* ---- spans.c ---- */

/* No free block fits: memory from wherever there is some, or NULL. No lock is held, but the thread's own. */
struct tlsf_block *tlsf_alloc_slow(struct pool *pool, struct tlsf_heap *heap, size_t size);
/* Leaves a block for whoever the heap belongs to. */
void tlsf_remote_push(struct tlsf_heap *heap, struct tlsf_block *block);
/* Gives up to `most` blocks that others left. The heap is the caller's. */
void tlsf_remote_drain(struct tlsf_heap *heap, unsigned most);
/* Gives spans, linked by next, back to the page source; bytes. */
size_t tlsf_spans_release(struct page_source *source, struct tlsf_span *spans);
/* Every wholly free span goes back; bytes. Quiescent: takes no lock. */
size_t tlsf_spans_trim(struct pool *pool);

static inline bool tlsf_remote_waits(const struct tlsf_heap *heap)
{
	return heap->pending || atomic_load_explicit(&heap->remote, memory_order_relaxed) != NULL;
}

/* ---- inspect.c ---- */

int tlsf_walk(struct pool *pool, pool_visit visit, void *arg);
int tlsf_check(struct pool *pool, char *why, size_t why_bytes);
void tlsf_counters(struct pool *pool, pool_counter_visit visit, void *arg);

#endif
