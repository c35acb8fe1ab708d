/*
 * The segment heap, inside: what its files share. The theory is at the top of segment_heap.c.
 *
 *     segment_heap.c  the backend: options, create, trim
 *     route.c         alloc and free: who serves what, the fast paths
 *     lookaside.c     dynamic lookaside lists in front of the variable-size layer
 *     lfh.c           low-fragmentation heap: buckets, slots, subsegments with bitmaps
 *     lfh_remote.c    its blocks freed by another processor than the owner
 *     vs.c            variable-size layer: chunks in subsegments, best fit, delayed frees
 *     vs_chunks.h     its chunks: encoded headers, free lists
 *     header.h        the pool header
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
#include "header.h"

#define SH_UNIT_BYTES 16u
#define SH_PAGE_UNITS (POOL_OS_PAGE / SH_UNIT_BYTES)
/* The largest chunk of a block that shares a page with its pool header. */
#define SH_CHUNK_UNITS_MAX (SH_PAGE_UNITS + 1)
#define SH_MIB_SHIFT       20
#define SH_RANDOMS         256u

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
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* ---- buckets: shared by LFH and lookaside lists ---- */

#define SH_BUCKETS 128u /* 1 .. 127 in use */
/* The largest block that shares a page with its header. */
#define SH_SMALL_BYTES_MAX 0xFE0u
#define SH_SMALL_BUCKETS   96u
#define SH_LOOKASIDE_MIN   0x200u /* larger than this ... */
#define SH_LOOKASIDE_MAX   0xF80u /* ... up to this */
#define SH_LOOKASIDE_FIRST 33u /* bucket of 0x201 bytes */
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
	uint8_t units; /* first: of the range */
	uint8_t back; /* units to the range's first one */
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
	size_t header_bytes; /* committed with a new segment */
	struct rb_tree free; /* ranges by units, then address */
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
	unsigned state, page; /* OS pages from the subsegment's start */
};

struct vs_chunk {
	uint64_t encoded; /* struct vs_sizes, a checksum; under the lock of the layer only */
	uint32_t tag; /* VS_BIG: belongs to the block's holder */
	uint32_t units; /* VS_BIG: again, for who has no lock */
	struct sh_header header; /* VS_SMALL; of a free chunk the kind stays SH_FREE */
	/* Free chunks of at least VS_LISTED_UNITS: sh_links or rb_node at VS_NODE_OFFSET. */
};
#define VS_CHUNK_BYTES    16u
#define VS_SMALL_BYTES    (VS_CHUNK_BYTES + SH_HEADER_BYTES)
#define VS_NODE_OFFSET    24u
#define VS_LISTED_UNITS   3u
#define VS_BINS           64u /* sizes, of up to 1 KiB */
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

/* What was served from here in the place of an LFH bucket. Written under the lock, read without it. */
struct vs_use {
	_Atomic int32_t live; /* blocks held */
	_Atomic uint32_t requests;
};

/* A heap's, under its lock, or a processor's, for its thread alone but `remote`. */
struct vs_context {
	alignas(2 * SH_LINE) struct sh_processor *owner; /* NULL: the heap's */
	struct spinlock lock;
	/* Free chunks: below VS_BINS units a list each size, its bit set if there is any; else by units, then address. */
	uint64_t bins_used;
	struct rb_tree free;
	struct sh_links bins[VS_BINS];
	struct sh_links subsegments;
	size_t subsegment_bytes; /* all together */
	unsigned row_bucket, row; /* the last bucket asked for, how often in a row */
	struct sh_header *delayed;
	uint32_t delayed_count;
	uint64_t allocations, frees, splits, merges, flushes, subsegments_taken, subsegments_given;
	struct vs_use use[SH_SMALL_BUCKETS];
	/* A processor's: what others freed. */
	alignas(2 * SH_LINE) struct sh_header *_Atomic remote;
};

/* ---- fronts: where a processor takes blocks of one size from ---- */

/*
 * Where a block goes back to, and what its header leads to: a lookaside list, or a subsegment of the LFH. One
 * layout for both, for a free that does not ask which it is, and so may alias either.
 */
struct __attribute__((may_alias)) sh_place {
	uint64_t key; /* its address xored with the cookie */
	uint32_t
		room; /* a free that finds it equal to `used` is the slow side's, any other counts it down */
	uint32_t used; /* list: counted down by allocations; subsegment: 0 */
	uint64_t words[]; /* list: one, its first header; subsegment: the bitmap */
};

/* A slot of the LFH or a lookaside list, as the fast paths see it. */
struct sh_front {
	alignas(SH_LINE / 2) uint64_t key;
	uint32_t room; /* list: room - used: blocks that it may still keep */
	uint32_t used;
	struct sh_header
		*next; /* list: what it keeps; LFH: what is claimed. NULL: see the slow side */
	uint32_t word; /* list: of the headers that it keeps */
	uint32_t reserved;
};
_Static_assert(sizeof(struct sh_front) == SH_LINE / 2, "two a line");
_Static_assert(offsetof(struct sh_front, key) == offsetof(struct sh_place, key), "places");
_Static_assert(offsetof(struct sh_front, room) == offsetof(struct sh_place, room), "places");
_Static_assert(offsetof(struct sh_front, used) == offsetof(struct sh_place, used), "places");
_Static_assert(offsetof(struct sh_front, next) == offsetof(struct sh_place, words), "places");

/* ---- lfh.c ---- */

#define LFH_PAGES_MAX   16u
#define LFH_WORDS_MAX   (LFH_PAGES_MAX * (POOL_OS_PAGE / 32) / 64)
#define LFH_MAGIC_SHIFT 20

/* Empty ones are partial ones too. */
enum lfh_state { LFH_ACTIVE, LFH_FULL, LFH_PARTIAL, LFH_EMPTY };

/*
 * In the first page of a subsegment, in the place of some of its blocks, whose bits are never set. What its owner's
 * frees touch is one line up to four words of bits, which is most subsegments.
 *
 * `room` counts blocks down whose bits are not set to the free that its state does not outlast:
 *
 *     LFH_ACTIVE   all of them: it never comes, the one that is freed is among them
 *     LFH_FULL     0: it is the next
 *     LFH_PARTIAL  all but one: it is the last
 */
struct lfh_subsegment {
	alignas(SH_LINE) struct lfh_slot *slot;
	uint16_t block_count, stride;
	uint8_t words, pages;
	uint8_t state;
	uint8_t reserved;
	uint64_t signature; /* from here on a struct sh_place, the target of its blocks */
	uint32_t room;
	uint32_t zero;
	uint64_t bits[]; /* 1: free and not claimed; 64 a word. Then sh_links, in slot->partial */
};
#define LFH_PLACE offsetof(struct lfh_subsegment, signature)
#define LFH_HEAD_BYTES(words) \
	(offsetof(struct lfh_subsegment, bits) + (words) * sizeof(uint64_t) + \
	 sizeof(struct sh_links))
_Static_assert(offsetof(struct lfh_subsegment, room) == LFH_PLACE + offsetof(struct sh_place, room),
	       "places");
_Static_assert(offsetof(struct lfh_subsegment, zero) == LFH_PLACE + offsetof(struct sh_place, used),
	       "places");
_Static_assert(offsetof(struct lfh_subsegment, bits) ==
		       LFH_PLACE + offsetof(struct sh_place, words),
	       "places");

/*
 * Where the blocks of a bucket lie: as many as fit in each OS page, from the subsegment's start on, so that none
 * crosses one. With n a page, block i is i * stride + (i / n) * slack from the start;
 * i / n is i * magic >> LFH_MAGIC_SHIFT, exact for all i < 2^LFH_MAGIC_SHIFT / n, and there are at
 * most 16 n.
 */
struct lfh_layout {
	uint32_t magic, stride, slack;
};

/* The slow side of a front of the LFH: one processor's (or all's, if shared) for one bucket and type. */
struct lfh_slot {
	alignas(SH_LINE) struct sh_front *front;
	struct sh_processor *owner; /* NULL: shared */
	struct lfh_subsegment *active;
	struct lfh_layout layout;
	uint32_t word; /* of the headers, without the index */
	struct sh_links partial;
	uint64_t reported; /* allocations, and the front's count, at the last refill */
	uint32_t seen_used;
	uint32_t subsegments; /* owned */
	uint64_t subsegments_taken;
	uint8_t next_pages; /* of the next subsegment */
	bool has_empty; /* one of the partial ones */
	uint8_t type, bucket;
	struct spinlock lock; /* shared slots only */
};

/* Blocks of one owner, freed by another processor, which hands them over so many at a time. */
#define SH_BATCH    15u
#define SH_OUTBOXES 8u /* owners whose blocks one processor collects at a time */
struct lfh_carrier;
struct sh_outbox {
	struct lfh_carrier *first, *last; /* a chain of carriers; NULL: empty */
	uint32_t owner, blocks;
	uint32_t room; /* names that the first can still take */
};

/* Of one bucket and type. */
struct lfh_bucket {
	_Atomic bool is_active; /* requests go to the LFH */
	_Atomic bool is_spread; /* processors use slots of their own */
};

/* ---- lookaside.c ---- */

/* The slow side of a front that is a list. */
struct sh_lookaside {
	struct sh_front *front;
	uint32_t depth;
	uint32_t seen_used; /* the front's count and ... */
	uint64_t reported; /* ... allocations, at the last rebalance, ... */
	uint64_t seen_misses, seen_refused;
	uint64_t misses, frees_refused;
};

enum sh_lookaside_mode { SH_LOOKASIDE_OFF, SH_LOOKASIDE_PROCESSOR, SH_LOOKASIDE_SHARED };

/* 64 buckets of one type: a processor's, or everyone's and then under the lists' locks. */
struct sh_lookasides {
	struct spinlock lock; /* shared: rebalancing */
	struct spinlock *list_locks; /* shared: one a list; a processor's: NULL */
	_Atomic size_t pending; /* allocations since the last rebalance */
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
enum vs_slots { VS_SLOTS_PROCESSOR, VS_SLOTS_ONE };

struct sh_options {
	bool lfh, random;
	size_t lfh_max, lfh_subsegment;
	unsigned lfh_live, lfh_row, lfh_total, lfh_contention;
	int lfh_slots;
	int lookaside;
	int vs_slots;
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
	struct vs_context *vs; /* the heap's; then, unless vs_slots=one, by processor */
	unsigned vs_count;
	struct large_context large;
	struct lfh_bucket buckets[SH_SMALL_BUCKETS];
	struct lfh_slot *shared_slots; /* by bucket, 0 .. lfh_buckets-1; NULL: none is shared */
	struct sh_front *shared_fronts; /* of these */
	struct sh_lookasides shared_lookasides;
	struct sh_front shared_lists[SH_LOOKASIDES];
	struct spinlock shared_lookaside_locks[SH_LOOKASIDES];
	_Atomic uint64_t activations, fallbacks;
};

/* Fronts of a processor and type: none, slots by bucket, lists. */
#define SH_FRONT_LISTS SH_SMALL_BUCKETS
#define SH_FRONTS      (SH_FRONT_LISTS + SH_LOOKASIDES)

/* What belongs to one processor; only the thread that stands for it touches it while it runs. */
struct sh_processor {
	alignas(2 * SH_LINE) struct pool *pool;
	uint64_t cookie;
	uint64_t
		live; /* the word of the header of a live LFH block that it owns, less tag and index */
	size_t lfh_bytes; /* largest request that looks for a slot; 0: LFH off */
	uint32_t number;
	uint32_t until; /* allocations until it looks after its lists */
	uint8_t cursor; /* in random[] */
	struct sh_front *fronts_of[POOL_TYPES];
	struct lfh_slot *slots[POOL_TYPES]; /* by bucket */
	uint64_t remote_frees;
	/*
	 * Which front serves a request, by its units of 16 bytes; 0, which never has a block: none. A table, since
	 * sizes come in no order that a branch could guess.
	 */
	alignas(SH_LINE) uint8_t front_of[SH_PAGE_UNITS];
	alignas(SH_LINE) uint8_t random[SH_RANDOMS]; /* 0 .. 63 */
	alignas(SH_LINE) struct sh_front fronts[POOL_TYPES][SH_FRONTS];
	struct sh_lookasides lookasides[POOL_TYPES];
	/* LFH blocks of others that it freed, and those of its own that others handed over. */
	struct sh_outbox outboxes[SH_OUTBOXES];
	alignas(2 * SH_LINE) struct lfh_carrier *_Atomic inbox;
};

struct pool {
	struct sh_options options;
	void (*stop)(void *stop_arg, const struct pool_stop *stop);
	void *stop_arg;
	uint64_t cookie;
	unsigned processor_count;
	unsigned lfh_buckets; /* those below this may go to the LFH; 0: off */
	/* The bucket of the lists that keep a chunk, by its units; 0: none. */
	uint8_t bucket_of_chunk[SH_CHUNK_UNITS_MAX + 1];
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

/* ---- route.c: the backend's calls but those of its life ---- */

void *sh_alloc(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag);
void sh_free(struct pool *pool, void *block, uint32_t tag);
size_t sh_block_bytes(struct pool *pool, const void *block);
int sh_tag_of(struct pool *pool, const void *block, uint32_t *tag);
int sh_thread_enter(struct pool *pool, unsigned processor);
void sh_thread_exit(struct pool *pool);

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

void vs_init(struct vs_context *vs, struct sh_processor *owner);
/* A small block (pool header in front) of `kind` SH_VS or SH_INTERNAL: up to 4080 bytes. */
void *vs_alloc_small(struct sh_heap *heap, size_t bytes, enum sh_kind kind, uint32_t tag);
/* A page-aligned block without a pool header. */
void *vs_alloc_big(struct sh_heap *heap, size_t bytes, uint32_t tag);
/* Frees a small block, to where it came from: at once, or delayed. */
void vs_free_small(struct sh_heap *heap, struct sh_header *header);
void vs_free_big(struct sh_heap *heap, void *block);
/* Frees what is delayed in the heap's context, and in a processor's; whether there was any. */
bool vs_flush(struct sh_heap *heap, const struct sh_processor *processor);
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

void lfh_slot_init(const struct pool *pool, struct lfh_slot *slot, struct sh_front *front,
		   struct sh_processor *owner, enum pool_type type, unsigned bucket);
/* The slow way: activation, shared slots, refill. NULL: the variable-size layer should serve it. */
void *lfh_alloc_slow(struct pool *pool, struct sh_processor *processor, enum pool_type type,
		     unsigned bucket, uint32_t tag);
/* A block of a processor's, freed by another, or by none. */
void lfh_free_remote(struct pool *pool, struct sh_processor *processor, struct sh_header *header);
/* Hands over what a processor has collected of other processors' blocks. */
void lfh_post(struct sh_processor *processor);
/* Takes in what others freed of a processor's blocks. By the processor, or when all is quiet. */
void lfh_collect(struct pool *pool, struct sh_processor *processor);
/* Sets a block's bit. By the owner, or under a shared slot's lock. */
void lfh_return(struct pool *pool, struct lfh_subsegment *subsegment, unsigned index);
/* A block of the calling processor's own, which its subsegment's state does not outlast. */
void lfh_free_slow(struct pool *pool, struct sh_header *header);
/* A block of a shared slot. */
void lfh_free_shared(struct pool *pool, struct sh_header *header);
/* Blocks that a slot served. */
uint64_t lfh_allocations(const struct lfh_slot *slot);
/*
 * A request of a bucket was served by the variable-size layer, `row` times in a row, or came back. Under the lock of
 * what served it.
 */
void lfh_note_alloc(struct sh_heap *heap, struct vs_use *use, unsigned bucket, unsigned row);
void lfh_note_free(struct vs_use *use);
/* Blocks whose bits are set. */
unsigned lfh_free_count(const struct lfh_subsegment *subsegment);
/* Takes remote frees in and gives empty subsegments back. Quiescent. */
void lfh_trim(struct pool *pool);

static inline uint64_t lfh_signature(const struct pool *pool,
				     const struct lfh_subsegment *subsegment)
{
	return pool->cookie ^ ((uintptr_t)subsegment + LFH_PLACE);
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

static inline size_t lfh_offset(const struct lfh_layout *layout, uint32_t index)
{
	return index * layout->stride + (index * layout->magic >> LFH_MAGIC_SHIFT) * layout->slack;
}

static inline struct sh_header *lfh_header_at(const struct lfh_subsegment *subsegment,
					      unsigned index)
{
	return (struct sh_header *)(lfh_start_of(subsegment) +
				    lfh_offset(&subsegment->slot->layout, index));
}

/* What a header's target is the place of. */
static inline struct lfh_subsegment *lfh_subsegment_of(const struct sh_header *header,
						       uint64_t cookie)
{
	return (struct lfh_subsegment *)(sh_target(header, cookie) - LFH_PLACE);
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

/* ---- lookaside.c ---- */

#define SH_DEPTH_MIN   4u
#define SH_TICK        256u /* allocations of a processor that it reports at a time */
#define SH_SHARED_STEP 64u /* allocations of a shared list that it reports at a time */
/* `owner`: of its blocks. */
void lookaside_init(const struct pool *pool, struct sh_lookasides *lookasides,
		    struct sh_front *fronts, enum pool_type type, unsigned owner,
		    struct spinlock *list_locks);
/* A block of the bucket, or NULL; the list's use is counted, and may bring about a re-balancing. */
void *lookaside_pop(struct sh_heap *heap, struct sh_lookasides *lookasides, unsigned bucket,
		    uint32_t tag);
/* So many allocations more: they may bring about a re-balancing. */
void lookaside_step(struct sh_heap *heap, struct sh_lookasides *lookasides, unsigned allocations);
/* Keeps a live chunk of the bucket, or not. */
bool lookaside_push(struct sh_lookasides *lookasides, unsigned bucket, struct sh_header *header);
/* Returns what is kept to the variable-size layer; whether there was any. */
bool lookaside_flush(struct sh_heap *heap, struct sh_lookasides *lookasides);
/* Allocations, and what is kept. */
uint64_t lookaside_allocates(const struct sh_lookaside *list);
unsigned lookaside_count(const struct sh_lookaside *list);

/* The tables: which list keeps which chunk, and which serves which request of a processor. */
void lookaside_chunks_init(struct pool *pool);
void lookaside_fronts_init(struct sh_processor *processor);

static inline struct sh_lookaside *lookaside_list(struct sh_lookasides *lookasides, unsigned bucket)
{
	return &lookasides->lists[bucket - SH_LOOKASIDE_FIRST];
}

/* ---- fronts ---- */

/* All ones for a list or what it keeps, zero for the LFH. */
static inline uint64_t front_list_mask(uint64_t word)
{
	return (uint64_t)((int64_t)(word << (63 - 4 - SH_KIND_SHIFT)) >> 63);
}

/* Takes front->next, which is `header`. */
static inline void *front_take(struct sh_front *front, struct sh_header *header, uint32_t tag)
{
	front->used--;
	front->next = *sh_link(header);
	header->word = ((uint32_t)header->word ^ SH_FREED_BITS) | (uint64_t)tag << SH_TAG_SHIFT;
	return header + 1;
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
