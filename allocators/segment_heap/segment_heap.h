/*
 * The segment heap, inside: what its files share. The theory is at the top of segment_heap.c.
 *
 *     segment_heap.c  the backend: create, routing of alloc and free, options
 *     lookaside.c     dynamic lookaside lists in front of the variable-size layer
 *     lfh.c           low-fragmentation heap: buckets, slots, subsegments with bitmaps
 *     vs.c            variable-size layer: chunks in subsegments, best fit, delayed frees
 *     segment.c       back end: page ranges in segments
 *     large.c         blocks beyond a segment's reach
 *     inspect.c       walk and counters
 *     check.c         the invariants
 */
#ifndef POOLBENCH_SEGMENT_HEAP_H
#define POOLBENCH_SEGMENT_HEAP_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocators/pages.h"
#include "allocators/pool.h"
#include "allocators/rb_tree.h"
#include "allocators/spinlock.h"

#define SH_LINE        64
#define SH_UNIT_BYTES  16u
#define SH_PAGE_UNITS  (POOL_OS_PAGE / SH_UNIT_BYTES)
/* The largest chunk of a block that shares a page with its pool header. */
#define SH_CHUNK_UNITS_MAX (SH_PAGE_UNITS + 1)
#define SH_MIB_SHIFT   20
#define SH_RANDOMS     256u

/* Circular, doubly linked. */
struct sh_links {
	struct sh_links *next, *previous;
};

static inline void sh_links_init(struct sh_links *links)
{
	links->next = links->previous = links;
}

static inline void sh_links_append(struct sh_links *head, struct sh_links *links)
{
	links->next = head;
	links->previous = head->previous;
	head->previous->next = links;
	head->previous = links;
}

static inline void sh_links_remove(struct sh_links *links)
{
	links->next->previous = links->previous;
	links->previous->next = links->next;
}

#define SH_CONTAINER(pointer, type, member) \
	((type *)(void *)((char *)(pointer) - offsetof(type, member)))

/* ---- the pool header ---- */

/* States of a block; each plus its pool type (0 or 1). Zero, and anything else, is no block. */
enum sh_kind {
	SH_FREE = 0,
	SH_LFH = 0xA0,     /* live, in a subsegment of the low-fragmentation heap */
	SH_VS = 0xB0,      /* live, a chunk of the variable-size layer */
	SH_INTERNAL = 0xC0, /* a chunk that the heap itself uses */
	SH_CACHED = 0xD0,  /* a chunk kept by a lookaside list */
	SH_DELAYED = 0xE0, /* a chunk in the list of delayed frees */
	SH_REMOTE = 0xF0   /* an LFH block on its way back to its slot */
};

/*
 * In front of every block of less than a page, in the same OS page; so no such block is
 * page-aligned, and the others are known by their alignment. It belongs to whoever holds the block.
 */
struct sh_header {
	union {
		struct {
			uint16_t index; /* LFH: the block's; VS: the chunk's units */
			uint8_t page;   /* LFH: OS pages from the subsegment's start */
			uint8_t kind;   /* enum sh_kind + pool type */
			uint32_t tag;
		};
		uint64_t word;
	};
	uint64_t process_billed; /* Windows: a quota's owner, encoded; never touched here */
};
#define SH_HEADER_BYTES 16u
_Static_assert(sizeof(struct sh_header) == SH_HEADER_BYTES, "one unit");

static inline struct sh_header *sh_header_of(const void *block)
{
	return (struct sh_header *)((uintptr_t)block - SH_HEADER_BYTES);
}

static inline bool sh_page_aligned(const void *address)
{
	return ((uintptr_t)address & (POOL_OS_PAGE - 1)) == 0;
}

/* All fields in one store. `word`: kind << 24 | page << 16 | index. */
static inline void sh_header_set(struct sh_header *header, uint32_t word, uint32_t tag)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	header->word = (uint64_t)tag << 32 | word;
#else
	header->index = (uint16_t)word;
	header->page = (uint8_t)(word >> 16);
	header->kind = (uint8_t)(word >> 24);
	header->tag = tag;
#endif
}

/* ---- buckets: shared by LFH and lookaside lists ---- */

#define SH_BUCKETS 128u /* 1 .. 127 in use */
/* The largest block that shares a page with its header. */
#define SH_SMALL_BYTES_MAX 0xFE0u
#define SH_SMALL_BUCKETS   96u
#define SH_LOOKASIDE_MIN   0x200u /* larger than this ... */
#define SH_LOOKASIDE_MAX   0xF80u /* ... up to this */
#define SH_LOOKASIDE_FIRST 33u    /* bucket of 0x201 bytes */
#define SH_LOOKASIDES      64u

/*
 * 16-byte steps to 1008, 64 to 2032, 128 to 4080, 256 to 8176, 512 to 16368. `bytes`: 1 .. 16368.
 */
static inline unsigned sh_bucket(size_t bytes)
{
	unsigned octave;
	size_t beyond;

	if (__builtin_expect(bytes <= 1008, 1))
		return (unsigned)(bytes + 15) / 16;
	/* Sizes end 16 short of a power of two: 1009 .. 2032 is octave 0. */
	octave = (unsigned)(63 - __builtin_clzll(bytes + 15)) - 10;
	beyond = bytes + 15 - ((size_t)1024 << octave);
	return 64 + octave * 16 + (unsigned)(beyond >> (6 + octave));
}

/* The largest request of a bucket. */
static inline size_t sh_bucket_bytes(unsigned bucket)
{
	unsigned octave;

	if (bucket <= 63)
		return (size_t)bucket * 16;
	octave = (bucket - 64) / 16;
	return ((size_t)1024 << octave) + (((size_t)(bucket - 64) % 16 + 1) << (6 + octave)) - 16;
}

/* ---- segment.c ---- */

#define SEG_UNITS      256u
#define SEG_UNITS_MOST 127u /* in one allocation */
/* Not an option: a unit must be an OS page, for a block of a page to take exactly that. */
#define SEG_SMALL_BYTES ((size_t)1 << 20)

enum seg_kind { SEG_FREE, SEG_HEAD, SEG_PAGES, SEG_VS, SEG_LFH };

/*
 * One a unit, 32 bytes. In a free range the first and the last are valid, in an allocated one all.
 */
struct seg_descriptor {
	union {
		struct rb_node node; /* first of a free range */
		struct {
			size_t bytes; /* first of SEG_PAGES */
			uint32_t tag;
		} block;
	};
	uint8_t kind;
	uint8_t units;     /* first: of the range */
	uint8_t back;      /* units to the range's first one */
	uint8_t committed; /* of this unit alone; valid for every unit */
};
_Static_assert(sizeof(struct seg_descriptor) == 32, "descriptors are 32 bytes");

/* At the start of a segment, in the place of the first descriptor, whose unit it lies in. */
struct seg_segment {
	union {
		struct {
			struct sh_links links;
			uint32_t used_units;
			bool is_spare; /* empty and counted as such */
		};
		struct seg_descriptor descriptors[SEG_UNITS];
	};
};

/* Segments of one size. */
struct seg_context {
	alignas(2 * SH_LINE) struct spinlock lock;
	struct sh_heap *heap;
	size_t segment_bytes;
	unsigned unit_shift, first_unit; /* units before it hold the descriptors */
	unsigned granule_units; /* least that can be committed */
	size_t header_bytes;    /* committed with a new segment */
	struct rb_tree free;    /* ranges by units, then address */
	struct sh_links segments;
	size_t committed_units, used_units; /* of those that can be allocated */
	size_t retain_units, give_above; /* decommit when more than the latter are free */
	unsigned spare_segments;
	uint64_t splits, merges, commits, decommits, segments_taken, segments_given;
	uint64_t bytes_given; /* segment heads included */
};

/* ---- vs.c ---- */

enum vs_state { VS_FREE = 1, VS_SMALL = 2, VS_BIG = 3 };

/* What a chunk's header says, decoded. */
struct vs_sizes {
	unsigned units, previous; /* 16 bytes each, header included; previous 0: the first */
	unsigned state, page;     /* OS pages from the subsegment's start */
};

struct vs_chunk {
	uint64_t encoded; /* struct vs_sizes, a checksum; under the lock of the layer only */
	uint32_t tag;     /* VS_BIG: belongs to the block's holder */
	uint32_t units;   /* VS_BIG: again, for who has no lock */
	struct sh_header header; /* VS_SMALL; of a free chunk the kind stays SH_FREE */
	/* Free chunks of at least VS_LISTED_UNITS: struct rb_node at VS_NODE_OFFSET. */
};
#define VS_CHUNK_BYTES   16u
#define VS_SMALL_BYTES   (VS_CHUNK_BYTES + SH_HEADER_BYTES)
#define VS_NODE_OFFSET   24u
#define VS_LISTED_UNITS  3u
#define VS_SUBSEGMENT_MIN ((size_t)64 << 10)
#define VS_SUBSEGMENT_MAX ((size_t)256 << 10)

struct vs_subsegment {
	struct sh_links links;
	uint64_t signature;
	uint32_t units; /* of chunks behind this header */
	uint32_t reserved;
	uint64_t reserved_more[4];
};
_Static_assert(sizeof(struct vs_subsegment) == 64, "chunks begin on a cache line");

struct vs_context {
	alignas(2 * SH_LINE) struct spinlock lock;
	struct rb_tree free; /* chunks by units, then address */
	struct sh_links subsegments;
	size_t subsegment_bytes; /* all together */
	unsigned row_bucket, row; /* the last bucket asked for, how often in a row */
	uint64_t allocations, frees, splits, merges, flushes, subsegments_taken, subsegments_given;
	/* Delayed frees: pushed without the lock, taken all at once under it. */
	alignas(SH_LINE) void *_Atomic delayed;
	_Atomic uint32_t delayed_count;
};

/* ---- lfh.c ---- */

#define LFH_PAGES_MAX 16u
#define LFH_WORDS_MAX (LFH_PAGES_MAX * (POOL_OS_PAGE / 32) / 64)
#define LFH_MAGIC_SHIFT 20

enum lfh_state { LFH_ACTIVE, LFH_FULL, LFH_PARTIAL };

/*
 * Where the blocks of one size lie: as many as fit in each OS page, from its start on, so that none
 * crosses one. With n a page, block i is i * stride + (i / n) * slack from the subsegment's start;
 * i / n is i * magic >> LFH_MAGIC_SHIFT, exact for all i < 2^LFH_MAGIC_SHIFT / n, and there are at
 * most 16 n.
 */
struct lfh_layout {
	uint32_t magic;
	uint16_t stride; /* block and header */
	uint16_t slack;  /* of a page, too short for a block */
};

/*
 * In the first page of a subsegment, in the place of some of its blocks, whose bits are never set. Whoever frees a
 * block of another processor reads the first line, which therefore does not change; the owner writes the rest.
 */
struct lfh_subsegment {
	uint64_t signature;
	struct sh_processor *owner; /* of slot: NULL if shared */
	struct lfh_slot *slot;
	struct lfh_layout layout;
	uint16_t block_count;
	uint8_t words, pages;
	alignas(SH_LINE) uint32_t available; /* bit n: bits[n] is not zero */
	uint16_t free_count;
	uint8_t state;
	struct sh_links links; /* LFH_PARTIAL: in slot->partial */
	uint64_t bits[]; /* 1: free and not claimed; 64 blocks a word */
};
#define LFH_HEAD_BYTES(words) (offsetof(struct lfh_subsegment, bits) + (words) * sizeof(uint64_t))

/* Where one processor (or all, if shared) allocates blocks of one bucket and type. */
struct lfh_slot {
	/* All that allocation touches but the block; one line. */
	alignas(2 * SH_LINE) struct sh_header *next; /* chosen and prefetched; NULL: refill */
	uint64_t bits; /* the rest of the claimed word: free blocks of `active` */
	struct lfh_subsegment *active;
	uint64_t allocations;
	struct lfh_layout layout;
	uint32_t next_word; /* of next->word, without the tag */
	uint16_t first;     /* index of the claimed word's first block */
	uint8_t type, bucket;
	uint64_t reserved[2];
	/* The owner's, when it refills. */
	alignas(SH_LINE) struct sh_processor *owner;
	struct sh_links partial;
	uint32_t subsegments; /* owned */
	uint8_t next_pages;   /* of the next subsegment */
	bool has_empty;       /* one of the partial ones */
	uint64_t subsegments_taken;
	/* Other processors' frees, linked through the blocks. */
	alignas(2 * SH_LINE) void *_Atomic remote;
	struct spinlock lock; /* shared slots only */
};

/* Of one bucket and type. */
struct lfh_bucket {
	_Atomic int32_t live;      /* blocks held that were served elsewhere */
	_Atomic uint32_t requests; /* served elsewhere while not active */
	_Atomic bool is_active;    /* requests go to the LFH */
	_Atomic bool is_spread;    /* processors use slots of their own */
};

/* ---- lookaside.c ---- */

struct sh_lookaside {
	alignas(SH_LINE) void *head; /* linked through the first word of the blocks */
	uint32_t count, depth;
	uint64_t allocates, misses, frees_refused;
	uint64_t seen_allocates, seen_misses; /* at the last rebalance */
};

enum sh_lookaside_mode { SH_LOOKASIDE_OFF, SH_LOOKASIDE_PROCESSOR, SH_LOOKASIDE_SHARED };

/* 64 buckets of one type: a processor's, or everyone's and then under the lists' locks. */
struct sh_lookasides {
	struct spinlock lock; /* shared: rebalancing */
	struct spinlock *list_locks; /* shared: one a list; a processor's: NULL */
	_Atomic size_t pending; /* allocations since the last rebalance, in steps */
	uint64_t rebalances, depth_changes, drained;
	struct sh_lookaside lists[SH_LOOKASIDES];
};

/* ---- large.c ---- */

struct large_block {
	struct rb_node node;
	char *start;
	size_t bytes; /* committed */
	uint32_t tag;
};

struct large_context {
	alignas(2 * SH_LINE) struct spinlock lock;
	struct rb_tree blocks; /* by address */
	size_t count;
	uint64_t allocations;
};

/* ---- the heap ---- */

enum lfh_slots { LFH_SLOTS_PROCESSOR, LFH_SLOTS_CONTENTION };

struct sh_options {
	bool lfh, random;
	size_t lfh_max, lfh_subsegment;
	unsigned lfh_live, lfh_row, lfh_total, lfh_contention;
	int lfh_slots;
	int lookaside;
	unsigned lookaside_depth, lookaside_interval;
	size_t lookaside_bytes;
	unsigned vs_delay;
	size_t vs_delay_max, vs_max;
	size_t large_segment, retain;
};

/* One pool type. Everything below takes its pages from `source`. */
struct sh_heap {
	struct pool *pool;
	struct page_source *source;
	enum pool_type type;
	struct seg_context segments[2]; /* small, large */
	struct vs_context vs;
	struct large_context large;
	struct lfh_bucket buckets[SH_SMALL_BUCKETS];
	struct lfh_slot *shared_slots; /* by bucket, 0 .. lfh_buckets-1; NULL: none is shared */
	struct sh_lookasides shared_lookasides;
	struct spinlock shared_lookaside_locks[SH_LOOKASIDES];
	_Atomic uint64_t activations, fallbacks;
};

/* What belongs to one processor; only the thread that stands for it touches it while it runs. */
struct sh_processor {
	alignas(2 * SH_LINE) struct pool *pool;
	size_t lfh_bytes;     /* largest request that looks for a slot; 0: LFH off */
	uint64_t cookie;
	struct lfh_slot *slots[POOL_TYPES]; /* by bucket */
	uint64_t remote_frees;
	uint8_t cursor; /* in random[] */
	/*
	 * Which list serves a request, by its units of 16 bytes, and keeps a chunk, by the units of that: 1 +
	 * index in lookasides.lists; 0: none. Tables, since sizes come in no order that a branch could guess.
	 */
	alignas(SH_LINE) uint8_t list_of_request[SH_PAGE_UNITS];
	uint8_t list_of_chunk[SH_CHUNK_UNITS_MAX + 1];
	alignas(SH_LINE) uint8_t random[SH_RANDOMS]; /* 0 .. 63 */
	struct sh_lookasides lookasides[POOL_TYPES];
};

struct pool {
	struct sh_options options;
	void (*stop)(void *stop_arg, const struct pool_stop *stop);
	void *stop_arg;
	uint64_t cookie;
	unsigned processor_count;
	unsigned lfh_buckets; /* those below this may go to the LFH; 0: off */
	struct sh_processor *processors;
	struct sh_heap heaps[POOL_TYPES];
	/* The control area: this structure, processors, slots, the segment map. */
	struct page_source *control_source;
	size_t control_bytes, control_committed;
	struct spinlock control_lock;
	/*
	 * What each MiB of a source holds: 0, or 1 + index of the context whose segment it is part
	 * of.
	 */
	_Atomic uint8_t *map; /* [mib * POOL_TYPES + type] */
	_Atomic size_t map_entries; /* committed */
};

/* ---- segment_heap.c ---- */

/* Reports corruption through the pool's stop, which does not return. No lock may be held. */
void sh_stop(struct pool *pool, uint32_t code, uint64_t reason, const void *where, uint64_t a,
	     uint64_t b, const char *text);
/* Commits the segment map up to `end` of a source's range. 0 or -ENOMEM. */
int sh_map_reach(struct pool *pool, const struct page_source *source, const char *end);
/* The processor that the calling thread stands for in this pool, or NULL. */
struct sh_processor *sh_current(const struct pool *pool);

/* ---- segment.c ---- */

void seg_init(struct sh_heap *heap, unsigned index, size_t segment_bytes);
/*
 * A committed range of at least `bytes` (up to what sh_segment_reach() says), rounded up to units
 * of the context that serves it; NULL when the page source refuses. `kind` is SEG_PAGES, SEG_VS or
 * SEG_LFH.
 */
void *seg_alloc(struct sh_heap *heap, size_t bytes, enum seg_kind kind, uint32_t tag);
void seg_free(struct sh_heap *heap, void *range);
/* What seg_alloc() would really take. */
size_t seg_round_up(const struct sh_heap *heap, size_t bytes);
/* The largest range of a context. */
size_t seg_reach(const struct seg_context *context);
/* The segment that `address` lies in and its context; NULL if in none. */
struct seg_segment *seg_find(const struct sh_heap *heap, const void *address,
			     const struct seg_context **context);
/*
 * Decommits free ranges and empty segments until `target` units of a context are left. Bytes given.
 */
size_t seg_give(struct seg_context *context, size_t target);
/* Both contexts, down to nothing. */
size_t seg_give_all(struct sh_heap *heap);
/* Gives everything back, live or not. */
void seg_destroy(struct seg_context *context);

static inline char *seg_unit_address(const struct seg_context *context,
				     const struct seg_segment *segment, unsigned unit)
{
	return (char *)(uintptr_t)segment + ((size_t)unit << context->unit_shift);
}

/* ---- vs.c ---- */

void vs_init(struct vs_context *vs);
/* A small block (pool header in front) of `kind` SH_VS or SH_INTERNAL: up to 4080 bytes. */
void *vs_alloc_small(struct sh_heap *heap, size_t bytes, enum sh_kind kind, uint32_t tag);
/* A page-aligned block without a pool header. */
void *vs_alloc_big(struct sh_heap *heap, size_t bytes, uint32_t tag);
/* Frees a small block: at once, or delayed. */
void vs_free_small(struct sh_heap *heap, struct sh_header *header);
void vs_free_big(struct sh_heap *heap, void *block);
/* Frees what is delayed; whether there was any. */
bool vs_flush(struct sh_heap *heap);
/*
 * Decodes a chunk's header; false if it was overwritten. Under the layer's lock, or when quiescent.
 */
bool vs_decode(const struct pool *pool, const struct vs_chunk *chunk, struct vs_sizes *sizes);

static inline struct vs_chunk *vs_chunk_of(const struct sh_header *header)
{
	return (struct vs_chunk *)((uintptr_t)header - VS_CHUNK_BYTES);
}

static inline struct vs_chunk *vs_big_chunk_of(const void *block)
{
	return (struct vs_chunk *)((uintptr_t)block - VS_CHUNK_BYTES);
}

/* ---- lfh.c ---- */

void lfh_slot_init(const struct pool *pool, struct lfh_slot *slot, struct sh_processor *owner,
		   enum pool_type type, unsigned bucket);
/* The slow way: activation, shared slots, refill. NULL: the variable-size layer should serve it. */
void *lfh_alloc_slow(struct pool *pool, struct sh_processor *processor, enum pool_type type,
		     unsigned bucket, uint32_t tag);
/* A block freed by who is not its slot's owner. */
void lfh_free_remote(struct pool *pool, struct lfh_subsegment *subsegment,
		     struct sh_header *header);
/* Its subsegment was not the active one. Owner only. */
void lfh_settle(struct lfh_subsegment *subsegment);
/* A request of an inactive bucket was served elsewhere, `row` times in a row. */
void lfh_note_alloc(struct sh_heap *heap, unsigned bucket, unsigned row);
void lfh_note_free(struct sh_heap *heap, unsigned bucket);
/* The free blocks of the slot's claimed word, the chosen one included. */
uint64_t lfh_claimed(const struct lfh_slot *slot);
/* Takes remote frees in and gives empty subsegments back. Quiescent. */
void lfh_trim(struct pool *pool);

static inline uint64_t lfh_signature(const struct pool *pool,
				     const struct lfh_subsegment *subsegment)
{
	return pool->cookie ^ (uintptr_t)subsegment;
}

/*
 * The head of the subsegment that begins at `start`: somewhere in the first half of its first page,
 * by address, since heads that all began on a page would share one set of the first-level cache.
 */
static inline struct lfh_subsegment *lfh_head_of(uintptr_t start)
{
	return (struct lfh_subsegment *)(start + ((start >> 12 ^ start >> 16) & 31) * SH_LINE);
}

static inline uintptr_t lfh_start_of(const struct lfh_subsegment *subsegment)
{
	return (uintptr_t)subsegment & ~(uintptr_t)(POOL_OS_PAGE - 1);
}

static inline struct lfh_subsegment *lfh_subsegment_of(const struct sh_header *header)
{
	uintptr_t page = (uintptr_t)header & ~(uintptr_t)(POOL_OS_PAGE - 1);

	return lfh_head_of(page - (uintptr_t)header->page * POOL_OS_PAGE);
}

static inline size_t lfh_offset(struct lfh_layout layout, uint32_t index)
{
	return (size_t)index * layout.stride +
	       (size_t)(index * layout.magic >> LFH_MAGIC_SHIFT) * layout.slack;
}

static inline struct sh_header *lfh_header_at(const struct lfh_subsegment *subsegment,
					      unsigned index)
{
	return (struct sh_header *)(lfh_start_of(subsegment) +
				    lfh_offset(subsegment->layout, index));
}

/* The first set bit from `start` on, around the end. `bits` is not zero; `start` < 64. */
static inline unsigned lfh_pick(uint64_t bits, unsigned start)
{
	uint64_t turned = bits >> start | bits << (-start & 63);

	return ((unsigned)__builtin_ctzll(turned) + start) & 63;
}

static inline unsigned lfh_random(struct sh_processor *processor)
{
	return processor->random[processor->cursor++];
}

/*
 * Chooses the slot's next block: of the claimed word, the first from a random start. It is fetched
 * for the write that its allocation begins with: random placement has no use for what was freed
 * last and is warm.
 */
static inline void lfh_choose(struct lfh_slot *slot, struct sh_processor *processor)
{
	uint64_t bits = slot->bits;
	unsigned bit = lfh_pick(bits, lfh_random(processor));
	unsigned index = slot->first + bit;
	size_t offset = lfh_offset(slot->layout, index);

	slot->next = (struct sh_header *)(lfh_start_of(slot->active) + offset);
	__builtin_prefetch(slot->next, 1);
	slot->bits = bits & ~(1ull << bit);
	slot->next_word = (uint32_t)(((unsigned)SH_LFH + slot->type) << 24 |
				     (unsigned)(offset / POOL_OS_PAGE) << 16 | index);
}

/* The block that was chosen, and the choice of the next. `slot->next` is not NULL. */
static inline void *lfh_take(struct lfh_slot *slot, struct sh_processor *processor, uint32_t tag)
{
	struct sh_header *header = slot->next;

	sh_header_set(header, slot->next_word, tag);
	slot->allocations++;
	if (__builtin_expect(slot->bits != 0, 1))
		lfh_choose(slot, processor);
	else
		slot->next = NULL;
	return header + 1;
}

/* ---- lookaside.c ---- */

#define SH_DEPTH_MIN      4u
#define SH_REBALANCE_STEP 64u /* a list reports every so many allocations */
void lookaside_init(const struct pool *pool, struct sh_lookasides *lookasides,
		    struct spinlock *list_locks);
/* A list has served SH_REBALANCE_STEP allocations more. */
void lookaside_step(struct sh_heap *heap, struct sh_lookasides *lookasides);
/* Returns what is kept to the variable-size layer; whether there was any. */
bool lookaside_flush(struct sh_heap *heap, struct sh_lookasides *lookasides);
void *lookaside_pop_shared(struct sh_heap *heap, unsigned bucket, uint32_t tag);
bool lookaside_push_shared(struct sh_heap *heap, unsigned bucket, struct sh_header *header);

/* Processors' lists: which serves whom. */
void lookaside_tables_init(struct sh_processor *processor);

static inline struct sh_lookaside *lookaside_list(struct sh_lookasides *lookasides, unsigned bucket)
{
	return &lookasides->lists[bucket - SH_LOOKASIDE_FIRST];
}

/* By the list's processor, or under its lock. */
static inline void *lookaside_pop(struct sh_lookaside *list, enum pool_type type, uint32_t tag)
{
	void *block = list->head;

	list->allocates++;
	if (__builtin_expect(!block, 0)) {
		list->misses++;
		return NULL;
	}
	list->head = *(void **)block;
	__builtin_prefetch(list->head); /* for the next pop's look at its link */
	list->count--;
	sh_header_of(block)->kind = (uint8_t)((unsigned)SH_VS + type);
	sh_header_of(block)->tag = tag;
	return block;
}

static inline bool lookaside_push(struct sh_lookaside *list, struct sh_header *header,
				  enum pool_type type)
{
	void **block = (void **)(header + 1);

	if (__builtin_expect(list->count >= list->depth, 0)) {
		list->frees_refused++;
		return false;
	}
	*block = list->head;
	list->head = block;
	list->count++;
	header->kind = (uint8_t)((unsigned)SH_CACHED + type);
	return true;
}

static inline bool lookaside_step_is_due(const struct sh_lookaside *list)
{
	return !(list->allocates & (SH_REBALANCE_STEP - 1));
}

/* ---- large.c ---- */

void *large_alloc(struct sh_heap *heap, size_t bytes, uint32_t tag);
/* Copies the entry of a large block; false if there is none. */
bool large_find(struct sh_heap *heap, const void *block, struct large_block *copy);
/* False, and nothing done, if there is no such block. */
bool large_free(struct sh_heap *heap, void *block);
void large_destroy(struct large_context *large, struct page_source *source);

/* ---- inspect.c, check.c ---- */

int sh_walk(struct pool *pool, pool_visit visit, void *arg);
int sh_check(struct pool *pool, char *why, size_t why_bytes);
void sh_counters(struct pool *pool, pool_counter_visit visit, void *arg);

#endif
