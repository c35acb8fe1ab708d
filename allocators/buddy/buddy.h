/*
 * The binary buddy system, inside: what its files share. The theory is at the top of buddy.c.
 *
 *     buddy.c    the backend: options, create, alloc and free
 *     caches.c   what processors keep: stacks, shelves, batches to and from the lists
 *     heap.c     the algorithm: lists by order, splitting, merging
 *     spans.c    memory: spans of addresses, pages that are backed or not, blocks beyond a span
 *     inspect.c  walk, check and counters
 */
#ifndef POOLBENCH_BUDDY_H
#define POOLBENCH_BUDDY_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocators/pages.h"
#include "allocators/pages_bitmap.h"
#include "allocators/pool.h"
#include "allocators/spinlock.h"

/* Orders 0 (a unit of `min` bytes) .. max_order (a span), in 5 bits. */
#define BUDDY_ORDERS 32u
/* Those that caches may keep: from the smallest unit, 16 bytes, to an OS page. */
#define BUDDY_CACHED_ORDERS 9u

/*
 * The order map has a byte for every unit. That of a block's first unit has its order and its state;
 * others mean nothing. Bytes are changed under the lock, or by who has just taken a block out, and looked at by
 * whoever frees the block or its buddy: atomic, all accesses relaxed. A line of the map covers 64 units, blocks of
 * several processors: no fast path writes to it.
 */
typedef _Atomic uint8_t buddy_mark;
#define BUDDY_ORDER_MASK 0x1Fu
#define BUDDY_FREE       0x20u /* in a free list */
#define BUDDY_USED \
	0x40u /* the caller's; in a processor's cache; or taken out for a while, by who (de)commits it */
#define BUDDY_CACHED 0x80u /* in a cache, as walk and check mark it for themselves */

/* Doubly linked, circular. In a free block's body; in the map behind its mark where it is of whole pages. */
struct buddy_links {
	struct buddy_links *next, *previous;
};
#define BUDDY_LINKS_AT 8u /* in the map, from the block's mark */

enum buddy_span_kind { BUDDY_SPAN_NONE, BUDDY_SPAN_BLOCKS, BUDDY_SPAN_HUGE };

/* A record a span of addresses, whether it is ours or not. */
struct buddy_span {
	_Atomic uint32_t kind; /* enum buddy_span_kind */
	size_t huge_bytes; /* of the one block that begins here, and is larger than a span */
	bitmap_word backed[]; /* a bit a pool page: committed */
};

/* A free block of whole pages is in the lists of BACKED if any page of it is; smaller ones always are. */
enum buddy_class { BUDDY_UNBACKED, BUDDY_BACKED, BUDDY_CLASSES };

struct buddy_counts {
	uint64_t splits, merges, allocations, frees, huge;
	uint64_t spans_taken, spans_given;
	uint64_t given_bytes; /* to the page source */
};

/* One buddy system a pool type. What create() sets is never written again; the rest is under `lock`. */
struct buddy_heap {
	char *base; /* the source's range */
	size_t range_bytes;
	struct page_source *source;
	enum pool_type type;
	unsigned unit_shift, page_shift, span_shift;
	unsigned page_order, chunk_order, max_order;
	uintptr_t origin; /* the source's base, rounded down to a span */
	buddy_mark *map; /* reserved for the whole range, committed for the spans that are ours */
	size_t map_bytes, map_span_bytes;
	char *records; /* of spans: reserved for the whole range */
	size_t record_bytes, records_bytes, record_count;
	size_t retain_pages;

	alignas(128) struct spinlock lock;
	uint32_t occupied[BUDDY_CLASSES]; /* bit n: lists[][n] is not empty */
	size_t free_backed; /* committed pages in free blocks of whole pages */
	struct buddy_counts counts;
	struct buddy_links lists[BUDDY_CLASSES][BUDDY_ORDERS];

	alignas(128) struct spinlock records_lock;
	size_t records_low, records_high; /* bytes of them between which they are committed */
};

/* Blocks of one order that one processor keeps: a stack, the newest on top. */
struct buddy_cache {
	alignas(64) void **blocks;
	uint32_t count, high; /* high 0: none are kept */
	uint64_t hits;
	uint32_t batch;
	uint64_t refills, overflows;
	uint64_t
		inflow; /* blocks from the lists less those that went back there or to a refiller */
};

/* More of them, linked, for all who need memory. Under the processor's lock; the count is looked at without it. */
struct buddy_shelf {
	void *first;
	_Atomic uint32_t count;
	uint32_t most;
	uint64_t gets, puts; /* batches */
	uint64_t lost; /* blocks that went to the lists or to another processor */
};

/* What belongs to one processor; but for the shelves only the thread that stands for it touches it. */
struct buddy_processor {
	alignas(128) struct buddy_cache caches[POOL_TYPES][BUDDY_ORDERS];
	alignas(128) struct spinlock lock;
	struct buddy_shelf shelves[POOL_TYPES][BUDDY_CACHED_ORDERS];
};

enum buddy_pcp { BUDDY_PCP_OFF, BUDDY_PCP_PAGES, BUDDY_PCP_ON };

struct buddy_options {
	size_t min, span, retain, expand, cache, shelf;
	unsigned high, batch;
	int pcp;
};

struct pool {
	struct buddy_heap heaps[POOL_TYPES];
	struct buddy_options options;
	void (*stop)(void *stop_arg, const struct pool_stop *stop);
	void *stop_arg;
	struct page_source *control_source;
	size_t control_bytes;
	uint64_t secret;
	unsigned processor_count, cached_orders; /* orders from this one on are not cached */
	struct buddy_processor *processors;
};

/* ---- addresses ---- */

static inline buddy_mark *buddy_mark_of(const struct buddy_heap *heap, const void *block)
{
	return &heap->map[((uintptr_t)block - heap->origin) >> heap->unit_shift];
}

static inline unsigned buddy_mark_get(const buddy_mark *mark)
{
	return atomic_load_explicit(mark, memory_order_relaxed);
}

static inline void buddy_mark_set(buddy_mark *mark, unsigned value)
{
	atomic_store_explicit(mark, (uint8_t)value, memory_order_relaxed);
}

static inline size_t buddy_bytes(const struct buddy_heap *heap, unsigned order)
{
	return (size_t)1 << (heap->unit_shift + order);
}

/* The smallest order that has `bytes` (1 .. a span). */
static inline unsigned buddy_order_for(const struct buddy_heap *heap, size_t bytes)
{
	const size_t units = (bytes - 1) >> heap->unit_shift;

	return units ? 64 - (unsigned)__builtin_clzll(units) : 0;
}

static inline void *buddy_other(const struct buddy_heap *heap, const void *block, unsigned order)
{
	return (void *)((uintptr_t)block ^ buddy_bytes(heap, order));
}

static inline bool buddy_contains(const struct buddy_heap *heap, const void *address)
{
	return (size_t)((const char *)address - heap->base) < heap->range_bytes;
}

/*
 * The first word of a block in a cache, by which a second free of it is noticed; alloc overwrites it. The chance
 * that a caller leaves this very word in a block of his is 2^-64.
 */
static inline uint64_t buddy_seal(const struct pool *pool, const void *block)
{
	return (uintptr_t)block ^ pool->secret;
}

static inline void buddy_seal_set(void *block, uint64_t seal)
{
	*(uint64_t *)block = seal;
}

/* On a shelf a block's second word links it: the first has its seal. */
static inline void *buddy_shelf_next(const void *block)
{
	return ((void *const *)block)[1];
}

static inline void buddy_shelf_link(void *block, void *next)
{
	((void **)block)[1] = next;
}

static inline size_t buddy_span_number(const struct buddy_heap *heap, const void *address)
{
	return ((uintptr_t)address - heap->origin) >> heap->span_shift;
}

static inline void *buddy_span_address(const struct buddy_heap *heap, size_t number)
{
	return (void *)(heap->origin + (number << heap->span_shift));
}

static inline struct buddy_span *buddy_span_at(const struct buddy_heap *heap, size_t number)
{
	return (struct buddy_span *)(void *)(heap->records + number * heap->record_bytes);
}

static inline struct buddy_span *buddy_span_of(const struct buddy_heap *heap, const void *address)
{
	return buddy_span_at(heap, buddy_span_number(heap, address));
}

/* Numbers of the records that are committed, whole ones. */
static inline size_t buddy_records_first(const struct buddy_heap *heap)
{
	return (heap->records_low + heap->record_bytes - 1) / heap->record_bytes;
}

static inline size_t buddy_records_end(const struct buddy_heap *heap)
{
	const size_t end = heap->records_high / heap->record_bytes;

	return end < heap->record_count ? end : heap->record_count;
}

static inline enum buddy_span_kind buddy_span_kind(const struct buddy_span *span)
{
	return (enum buddy_span_kind)atomic_load_explicit(&span->kind, memory_order_relaxed);
}

/* Whether this is a block of more than a span: only the first address of a span can be one. */
static inline bool buddy_is_huge(const struct buddy_heap *heap, const void *block)
{
	const size_t offset = (uintptr_t)block & (((size_t)1 << heap->span_shift) - 1);

	return __builtin_expect(offset == 0, 0) &&
	       buddy_span_kind(buddy_span_of(heap, block)) == BUDDY_SPAN_HUGE;
}

/* Number of the page in its span, to which the bits of buddy_span.backed refer. */
static inline size_t buddy_page_in_span(const struct buddy_heap *heap, const void *address)
{
	return ((uintptr_t)address & (((size_t)1 << heap->span_shift) - 1)) >> heap->page_shift;
}

/* ---- heap.c: with the heap's lock held ---- */

void buddy_heap_init(struct buddy_heap *heap);
/* How many pages of a block of whole pages are committed. */
size_t buddy_backed_pages(const struct buddy_heap *heap, const void *block, unsigned order);
/* A block of the order out of the lists of one class, marked used; NULL if they have none. */
void *buddy_take(struct buddy_heap *heap, unsigned order, enum buddy_class class);
/* Up to `want` blocks of the order that have all their memory, neighbours where there are any; how many. */
unsigned buddy_take_many(struct buddy_heap *heap, unsigned order, void **blocks, unsigned want);
/* A block, marked as anything, becomes free and merges with its buddy, and so on; the order it ends with. */
unsigned buddy_put(struct buddy_heap *heap, void *block, unsigned order);
/* Cuts a used block down to its first part of `order`; what is over becomes free. */
void buddy_cut(struct buddy_heap *heap, void *block, unsigned from, unsigned order);
/* Takes the first free block of the order and class out of its list, marked used; NULL if there is none. */
void *buddy_take_whole(struct buddy_heap *heap, unsigned order, enum buddy_class class);

/* ---- caches.c: without the lock ---- */

/* A block of an order that this processor's cache does not have; NULL when the page source refuses. */
void *buddy_block_alloc(struct pool *pool, enum pool_type type, struct buddy_processor *processor,
			unsigned order);
/* Blocks of one order go to the lists, under one hold of the lock; memory above `retain` is given back. */
void buddy_blocks_free(struct buddy_heap *heap, void *const *blocks, unsigned count,
		       unsigned order);
/* The cache is empty: a batch of what is at hand, at least the one block that is returned, or NULL. */
void *buddy_cache_refill(struct pool *pool, enum pool_type type, struct buddy_processor *processor,
			 unsigned order);
/* The cache is full: its oldest batch goes. */
void buddy_cache_overflow(struct buddy_heap *heap, struct buddy_processor *processor,
			  unsigned order);
/* All that a processor's stacks have goes to the lists; blocks. By its thread, or quiescent. */
unsigned buddy_caches_flush(struct pool *pool, enum pool_type type,
			    struct buddy_processor *processor);
/* The same of all shelves, by anyone; whether there were any blocks. */
bool buddy_shelves_empty(struct pool *pool, enum pool_type type);

/* ---- spans.c: without the lock ---- */

/* Reserves the map and the records, for the whole range. 0 or -ENOMEM, and then nothing is. */
int buddy_spans_init(struct buddy_heap *heap);
/* Gives everything back, used or not. */
void buddy_spans_destroy(struct buddy_heap *heap);
/* A block with memory under all of it, although no backed one is free; NULL when the page source refuses. */
void *buddy_alloc_unbacked(struct buddy_heap *heap, unsigned order);
/* Decommits free pages until at most `target` are left, and gives wholly free spans back; bytes. */
size_t buddy_shrink(struct buddy_heap *heap, size_t target);
/* A block of more than a span: pages of its own, the span's record says so. */
void *buddy_huge_alloc(struct buddy_heap *heap, size_t bytes);
void buddy_huge_free(struct buddy_heap *heap, void *block);

/* ---- inspect.c ---- */

int buddy_walk(struct pool *pool, pool_visit visit, void *arg);
int buddy_check(struct pool *pool, char *why, size_t why_bytes);
void buddy_counters(struct pool *pool, pool_counter_visit visit, void *arg);

#endif
