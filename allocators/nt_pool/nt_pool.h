/*
 * The classic Windows pool, inside: what its files share. The theory is at the top of nt_pool.c.
 *
 *     nt_pool.c     the backend: create, alloc, free, options
 *     lookaside.c   per-processor lists and the tuning of their depth
 *     blocks.c      pool descriptors: 256 free lists, splitting, coalescing, deferred frees
 *     big_pages.c   blocks of whole pages: the big-page table, the slack of the last page
 *     page_layer.c  page runs: taken from and given back to the page source
 *     inspect.c     walk, check and counters
 */
#ifndef POOLBENCH_NT_POOL_H
#define POOLBENCH_NT_POOL_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocators/pages.h"
#include "allocators/pool.h"
#include "allocators/spinlock.h"

/* Sizes are counted in units of 16 bytes; an OS page has 256 of them. */
#define NT_UNIT_BYTES   16u
#define NT_PAGE_UNITS   (POOL_OS_PAGE / NT_UNIT_BYTES)
#define NT_PAGE_SHIFT   12
#define NT_HEADER_BYTES 16u
/* A block of 255 units: BlockSize has 8 bits, so one unit of a page stays over. */
#define NT_SMALL_BYTES_MAX 0xFE0u
#define NT_DEPTH_MIN       4u
#define NT_DEPTH_MAX       256u
#define NT_PENDING_MAX     0x20u
#define NT_IO_CLASSES      3u
#define NT_RUN_LISTS       64u
#define NT_LINE            64

/*
 * In front of every small block. `pool_type` is the block's state. The owner of a block changes it
 * without the descriptor's lock (busy <-> cached) while a neighbour that is being freed looks at it
 * under the lock (free or not?), hence the atomic; all accesses are relaxed, the lock orders what
 * matters.
 */
struct nt_header {
	uint8_t previous_size; /* units of the block before this one; 0: the first of its page */
	uint8_t pool_index; /* descriptor that the page belongs to */
	uint8_t block_size; /* units, header included */
	_Atomic uint8_t pool_type;
	uint32_t tag;
	uint64_t process_billed; /* a quota's owner in Windows; 0: nobody is billed here */
};
_Static_assert(sizeof(struct nt_header) == NT_HEADER_BYTES, "pool header is one unit");

/* pool_type: 0 when free, else 1 + enum pool_type with one of these. */
#define NT_BUSY   0x04u
#define NT_CACHED 0x08u

/* Doubly linked, circular; in the body of a free block or the first page of a free run. */
struct nt_links {
	struct nt_links *next, *previous;
};

/* A lookaside list: blocks of one size and type, kept by one processor. One cache line. */
struct nt_lookaside {
	alignas(NT_LINE) void *head; /* linked through the first word of the blocks' bodies */
	uint32_t count, depth; /* blocks kept now; a free is accepted while count < depth */
	uint64_t allocates, allocate_misses, free_misses;
	uint64_t seen_allocates, seen_misses; /* at the last tuning */
	uint16_t units, type; /* of its blocks */
};
_Static_assert(sizeof(struct nt_lookaside) == NT_LINE, "one cache line");

/*
 * A processor's lists by number: 0 is for the sizes that have none (nothing is ever in it, so it always
 * misses), then the I/O lists, then the general ones from 2 units on, `list_count` in all.
 */
#define NT_NO_LIST                   0u
#define NT_IO_LIST                   1u
#define NT_GENERAL_LIST(units, type) ((units)*2 + (unsigned)(type))

/* What belongs to one processor; only the thread that stands for it touches it while it runs. */
struct nt_processor {
	alignas(2 * NT_LINE) struct pool *pool;
	uint8_t nonpaged; /* its node's descriptor */
	uint8_t paged_turn; /* paged descriptor that was used last, round-robin */
	unsigned since_tuning; /* allocations since the lists were tuned, in steps */
	uint64_t tuned_at_ns;
	uint64_t tunings, depth_changes, flushed;
	struct nt_lookaside lists[]; /* list_count */
};

/* Deferred frees: the block that was freed last, linked to those before it, and how many they are. */
#define NT_PENDING_SHIFT 48 /* above every address of user space */
#define NT_PENDING_ONE   (1ull << NT_PENDING_SHIFT)

/* One pool: 256 free lists under one lock. What each use of the lock touches comes first, in one line. */
struct nt_descriptor {
	alignas(2 * NT_LINE) struct spinlock lock;
	uint64_t occupied[NT_PAGE_UNITS / 64]; /* bit n: lists[n] is not empty */
	enum pool_type type;
	uint8_t index;
	uint64_t splits, merges, allocations, frees, flushes;
	/* Pushed without the lock, taken all at once under it. */
	alignas(NT_LINE) _Atomic uint64_t pending;
	alignas(NT_LINE) struct nt_links lists[NT_PAGE_UNITS]; /* by units; 0 and 1 stay empty */
};
_Static_assert(offsetof(struct nt_descriptor, splits) == NT_LINE,
	       "lock, bitmap and type share a line");

static inline void *nt_pending_block(uint64_t pending)
{
	return (void *)(uintptr_t)(pending & (NT_PENDING_ONE - 1));
}

static inline unsigned nt_pending_count(const struct nt_descriptor *descriptor)
{
	return (unsigned)(atomic_load_explicit(&descriptor->pending, memory_order_relaxed) >>
			  NT_PENDING_SHIFT);
}

/* Three bits a page for 2^15 pages (128 MiB of addresses). Zero: not ours. */
enum nt_plane {
	NT_OWNED, /* taken from the page source */
	NT_FREE, /* owned, and part of a free run */
	NT_END, /* the last page of an allocation */
	NT_PLANES
};
#define NT_CHUNK_SHIFT 15
#define NT_CHUNK_WORDS ((1u << NT_CHUNK_SHIFT) / 64)

struct nt_chunk {
	uint64_t bits[NT_PLANES][NT_CHUNK_WORDS];
};

/* A free run of nonpaged pages, written in its first page; `first` also in its last page. */
struct nt_run {
	struct nt_links links;
	size_t pages;
	struct nt_run *first;
};

/* The page layer of one pool type. Page numbers count from the page source's base. */
struct nt_pages {
	alignas(2 * NT_LINE) struct spinlock lock;
	struct page_source *source;
	enum pool_type type;
	struct nt_chunk *chunks; /* this type's, every second one: see nt_pages_word */
	unsigned unit; /* OS pages in a pool page */
	size_t top; /* no page from here on is owned */
	size_t owned_pages, free_pages;
	size_t retain_pages; /* more free ones than this: give back down to the half */
	size_t expand_bytes; /* least that is asked of the page source at a time */
	size_t hint; /* paged: no page below it is free */
	uint64_t run_mask; /* nonpaged: bit n: runs[n] is not empty */
	struct nt_links runs[NT_RUN_LISTS]; /* nonpaged: by length - 1, the last: and longer */
	uint64_t given; /* pool pages */
};

struct nt_big_entry {
	uintptr_t address; /* 0: empty slot */
	size_t bytes; /* as requested */
	uint32_t tag;
	uint8_t pool_index; /* descriptor that has the slack */
	uint8_t slack_units; /* at the end of the last page, returned to the free lists */
};

/* Open addressing, linear probing, at most three quarters full. */
struct nt_big_table {
	alignas(2 * NT_LINE) struct spinlock lock;
	struct nt_big_entry *entries;
	size_t capacity; /* power of two */
	size_t count;
	size_t bytes; /* of memory under it */
	uint64_t allocations, grows;
};

enum nt_tuning { NT_TUNING_COUNT, NT_TUNING_CLOCK, NT_TUNING_OFF };

struct nt_options {
	bool lookaside, io, deferred, slack;
	unsigned depth, interval, nonpaged_pools, paged_pools;
	int tuning;
	size_t lookaside_max, retain, expand;
};

struct pool {
	struct nt_options options;
	void (*stop)(void *stop_arg, const struct pool_stop *stop);
	void *stop_arg;
	unsigned processor_count, descriptor_count, list_count;
	size_t processor_bytes; /* from one processor to the next */
	struct nt_processor *processors; /* see nt_processor_of */
	struct nt_descriptor *descriptors; /* the nonpaged ones, then the paged ones */
	/* The control area: this structure, descriptors, processors, the page bitmaps' chunks. */
	struct page_source *control_source;
	size_t control_bytes; /* reserved */
	size_t control_committed; /* from the start; under control_lock */
	struct nt_chunk *chunks;
	struct spinlock control_lock;
	struct nt_pages pages[POOL_TYPES];
	struct nt_big_table big;
	/* By type, the types once more for IRPs, and units; never written after create. */
	alignas(NT_LINE) uint16_t list_numbers[2 * POOL_TYPES][NT_PAGE_UNITS];
};

static inline struct nt_processor *nt_processor_of(const struct pool *pool, unsigned index)
{
	return (struct nt_processor *)((char *)pool->processors + index * pool->processor_bytes);
}

/* ---- headers ---- */

static inline struct nt_header *nt_header_of(const void *block)
{
	return (struct nt_header *)((uintptr_t)block - NT_HEADER_BYTES);
}

static inline void *nt_body_of(const struct nt_header *header)
{
	return (void *)((uintptr_t)header + NT_HEADER_BYTES);
}

static inline struct nt_header *nt_header_after(const struct nt_header *header, unsigned units)
{
	return (struct nt_header *)((uintptr_t)header + units * NT_UNIT_BYTES);
}

static inline bool nt_page_aligned(const void *address)
{
	return ((uintptr_t)address & (POOL_OS_PAGE - 1)) == 0;
}

static inline unsigned nt_state(const struct nt_header *header)
{
	return atomic_load_explicit(&header->pool_type, memory_order_relaxed);
}

static inline void nt_state_set(struct nt_header *header, unsigned state)
{
	atomic_store_explicit(&header->pool_type, (uint8_t)state, memory_order_relaxed);
}

static inline unsigned nt_busy_state(enum pool_type type)
{
	return NT_BUSY | ((unsigned)type + 1);
}

static inline enum pool_type nt_state_type(unsigned state)
{
	return (enum pool_type)((state & 3) - 1);
}

/* (n + 0x1F) >> 4: the request rounded up, and the header. */
static inline unsigned nt_units(size_t bytes)
{
	return (unsigned)((bytes + NT_HEADER_BYTES + NT_UNIT_BYTES - 1) / NT_UNIT_BYTES);
}

/* The compiler is to choose a value, not a way to go, where that cannot be guessed. */
static inline size_t nt_chosen(size_t value)
{
	__asm__("" : "+r"(value));
	return value;
}

/*
 * Where the size of a block of `units` is written once more: in the header behind it, or for a page's last block,
 * which has none, in its own. Which blocks end a page cannot be guessed, and a wrong guess would cost more than all
 * else that a free does; so there is nothing to guess.
 */
static inline uint8_t *nt_size_witness(struct nt_header *header, unsigned units)
{
	size_t offset = (size_t)units * NT_UNIT_BYTES;

	offset = nt_page_aligned((char *)header + offset)
			 ? offsetof(struct nt_header, block_size)
			 : offset + offsetof(struct nt_header, previous_size);
	return (uint8_t *)header + nt_chosen(offset);
}

/* ---- lists ---- */

static inline void nt_links_init(struct nt_links *links)
{
	links->next = links->previous = links;
}

static inline void nt_links_insert_after(struct nt_links *at, struct nt_links *links)
{
	links->next = at->next;
	links->previous = at;
	at->next->previous = links;
	at->next = links;
}

static inline void nt_links_remove(struct nt_links *links)
{
	links->next->previous = links->previous;
	links->previous->next = links->next;
}

/* ---- nt_pool.c ---- */

/* Reports corruption through the pool's stop, which does not return. No lock may be held. */
void nt_stop(struct pool *pool, uint32_t code, uint64_t reason, const void *where, uint64_t a,
	     uint64_t b, const char *text);
/* Commits the chunks of page numbers up to `page`. 0 or -ENOMEM. Takes control_lock. */
int nt_control_reach(struct pool *pool, size_t page);

/* ---- lookaside.c ---- */

/* The I/O manager's lists are for this tag. */
#define NT_IO_TAG POOL_TAG('I', 'r', 'p', ' ')

/* The number of the list that serves a block: a table, since IRPs and the rest come in no order. */
static inline unsigned nt_list_number(const struct pool *pool, enum pool_type type, unsigned units,
				      uint32_t tag)
{
	return pool->list_numbers[(unsigned)type + (tag == NT_IO_TAG ? POOL_TYPES : 0)][units];
}

/* Lists of a processor with these options. */
unsigned nt_list_count(const struct nt_options *options);
/* Fills the table from the options. */
void nt_list_numbers_init(struct pool *pool);

/* A list reports to its processor after so many allocations: a power of two. */
#define NT_TUNING_STEP 64u
void nt_lookaside_init(struct pool *pool, struct nt_processor *processor);
/* A list of this processor has served NT_TUNING_STEP allocations more. */
void nt_lookaside_step(struct nt_processor *processor);
/* Returns every kept block to its descriptor. Quiescent. */
void nt_lookaside_flush(struct pool *pool);

/* The head of a list that is not empty. */
static inline void *nt_lookaside_pop(struct nt_lookaside *list, enum pool_type type, uint32_t tag)
{
	void *block = list->head, *next = *(void **)block;

	/* The next pop waits for nothing. */
	__builtin_prefetch(next, 1);
	list->head = next;
	list->count--;
	nt_header_of(block)->tag = tag;
	nt_state_set(nt_header_of(block), nt_busy_state(type));
	return block;
}

static inline bool nt_lookaside_push(struct nt_lookaside *list, struct nt_header *header,
				     enum pool_type type)
{
	void **block = nt_body_of(header);

	if (__builtin_expect(list->count >= list->depth, 0)) {
		list->free_misses++;
		return false;
	}
	*block = list->head;
	list->head = block;
	list->count++;
	nt_state_set(header, NT_CACHED | ((unsigned)type + 1));
	return true;
}

/* ---- blocks.c ---- */

void nt_descriptor_init(struct nt_descriptor *descriptor, unsigned index, enum pool_type type);
/* A block of `units` (2 .. 255) from a descriptor; NULL when the page source refuses. */
void *nt_block_alloc(struct pool *pool, unsigned index, unsigned units, uint32_t tag);
/* Back to the descriptor: merged now, or later with deferred=on. */
void nt_block_free(struct pool *pool, struct nt_header *header);
/* A stretch of units up to a page's end becomes a free block that nothing precedes. */
void nt_fragment_insert(struct pool *pool, unsigned index, void *start, unsigned units);
/* Whether there were deferred frees; they are merged now. */
bool nt_pending_flush(struct pool *pool, struct nt_descriptor *descriptor);
/* The same for all descriptors of a type. */
bool nt_pending_flush_type(struct pool *pool, enum pool_type type);

/* ---- big_pages.c ---- */

int nt_big_init(struct pool *pool);
void *nt_big_alloc(struct pool *pool, unsigned index, size_t bytes, uint32_t tag);
void nt_big_free(struct pool *pool, void *block, uint32_t tag);
/* Copies the entry of a big block: false if there is none. */
bool nt_big_find(struct pool *pool, const void *block, struct nt_big_entry *entry);
size_t nt_big_block_bytes(const struct nt_big_entry *entry);
/* Halves the table while it is nearly empty; bytes given back. Quiescent. */
size_t nt_big_shrink(struct pool *pool);

/* ---- page_layer.c ---- */

void nt_pages_init(struct pool *pool, enum pool_type type, struct page_source *source);
/* A run of OS pages, or NULL. May call the page source; takes the layer's lock. */
void *nt_pages_alloc(struct pool *pool, enum pool_type type, size_t count);
/* The allocation that starts at `start`, whose length the end bitmap knows. */
void nt_pages_free(struct pool *pool, enum pool_type type, void *start);
/* Cuts the allocation at `start` in two: its first `count` pages and the rest. */
void nt_pages_cut(struct pool *pool, enum pool_type type, void *start, size_t count);
/* Gives whole pool pages back until at most `target` OS pages are free, as far as that goes. */
void nt_pages_give(struct pool *pool, enum pool_type type, size_t target);
/* Gives everything back, live or not. */
void nt_pages_destroy(struct nt_pages *pages);

static inline uint64_t *nt_pages_word(const struct nt_pages *pages, enum nt_plane plane,
				      size_t word)
{
	return &pages->chunks[word / NT_CHUNK_WORDS * POOL_TYPES]
			.bits[plane][word % NT_CHUNK_WORDS];
}

static inline bool nt_pages_bit(const struct nt_pages *pages, enum nt_plane plane, size_t page)
{
	return page < pages->top && (*nt_pages_word(pages, plane, page / 64) >> page % 64 & 1);
}

static inline void *nt_pages_address(const struct nt_pages *pages, size_t page)
{
	return pages->source->base + (page << NT_PAGE_SHIFT);
}

static inline size_t nt_pages_number(const struct nt_pages *pages, const void *address)
{
	return (size_t)((const char *)address - pages->source->base) >> NT_PAGE_SHIFT;
}

/* The first page from `page` on, below `top`, whose bit in `plane` is not `value`; or top. */
size_t nt_pages_skip(const struct nt_pages *pages, enum nt_plane plane, size_t page, bool value);

/* ---- inspect.c ---- */

int nt_walk(struct pool *pool, pool_visit visit, void *arg);
int nt_check(struct pool *pool, char *why, size_t why_bytes);
void nt_counters(struct pool *pool, pool_counter_visit visit, void *arg);

#endif
