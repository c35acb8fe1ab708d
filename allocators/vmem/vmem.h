/*
 * vmem: an arena of addresses with boundary tags out of line.
 *
 * Bonwick and Adams, "Magazines and Vmem: Extending the Slab Allocator to Many CPUs and Arbitrary
 * Resources" (USENIX 2001), section 4. The theory is at the top of vmem.c; quantum caches, which the paper
 * puts on top of an arena, are object caches and live in allocators/magazine.
 *
 *     vmem.c       allocation, freeing, spans
 *     segments.c   tags, free lists, the hash of allocated segments
 *     inspect.c    walk and check
 *     backend.c    the pool backend `vmem`
 *     records.c    where tags come from
 */
#ifndef POOLBENCH_VMEM_H
#define POOLBENCH_VMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocators/pages.h"
#include "allocators/spinlock.h"
#include "records.h"

enum vmem_fit { VMEM_INSTANT_FIT, VMEM_BEST_FIT, VMEM_NEXT_FIT };
extern const char *const vmem_fit_names[]; /* "instant" ..., NULL-terminated */

enum vmem_kind {
	VMEM_SPAN, /* marks where a span starts; its length is the span's */
	VMEM_FREE,
	VMEM_USED
};

/* A boundary tag. */
struct vmem_segment {
	uintptr_t start;
	size_t bytes;
	struct vmem_segment *previous,
		*next; /* ring: spans in turn, each in the order of addresses */
	/* Free: its list. Used: hash chain (list_next only). Spare: list_next. */
	struct vmem_segment *list_previous, *list_next;
	enum vmem_kind kind;
};

#define VMEM_LISTS 64u

struct vmem_config {
	struct page_source *source;
	struct page_source *metadata; /* the hash table's */
	struct records *tags; /* of sizeof(struct vmem_segment); may be shared by arenas */
	size_t quantum; /* power of two, 16 .. source->page_size */
	enum vmem_fit fit;
	size_t import_bytes; /* least that is asked of the source at a time */
	size_t retain_bytes; /* idle spans are kept up to this, or one page; 0: none */
	/* Asked about each span before its commit, without the lock; may be NULL. Not 0: refused. */
	int (*imported)(void *arg, const void *run, size_t bytes);
	void *imported_arg;
};

struct vmem {
	struct spinlock lock;
	struct vmem_config config;
	struct vmem_segment anchor; /* of the ring; counts as a span of no bytes */
	struct vmem_segment *rotor; /* next fit goes on behind it */
	struct vmem_segment *spare; /* tags for the next splits */
	unsigned spares;
	uint64_t occupied; /* bit n: lists[n] is not empty */
	struct vmem_segment *lists[VMEM_LISTS]; /* by log2 of the length: 2^n .. 2^(n+1) - 1 */
	struct vmem_segment **buckets; /* allocated segments by start */
	unsigned bucket_shift; /* 64 - log2 of their number */
	size_t bucket_bytes; /* of the table, as taken */
	size_t used_segments, used_bytes;
	size_t owned_bytes; /* all spans */
	size_t idle_bytes; /* spans that are free as a whole */
	uint64_t allocations, frees, splits, merges, imports, returns, rehashes;
	uint64_t steps, steps_worst; /* free segments looked at: in total, by one allocation */
	uint64_t searches; /* allocations that walked a list */
};

/* Restrictions of one allocation. */
struct vmem_request {
	size_t bytes; /* multiple of the quantum, at least one */
	size_t alignment; /* power of two; at most `bytes`, or the quantum */
	size_t nocross; /* power of two >= bytes that the segment must not cross; 0: may */
};

/* 0 or -ENOMEM (the table). */
int vmem_init(struct vmem *arena, const struct vmem_config *config);
/* Gives every span and the table back, allocated segments included. Tags stay with the records. */
void vmem_fini(struct vmem *arena);

/* A segment, or 0 when the source refuses. Thread-safe; calls the source without holding the lock. */
uintptr_t vmem_alloc(struct vmem *arena, const struct vmem_request *request);
/* The segment that starts at `start`. False, and nothing done, if there is none. */
bool vmem_free(struct vmem *arena, uintptr_t start);
/* Length of the segment that starts at `start`; 0 if there is none. */
size_t vmem_segment_bytes(struct vmem *arena, uintptr_t start);

/* Returns every idle span. Thread-safe; walks the whole arena. */
void vmem_reap(struct vmem *arena);
/* Returns idle spans, spare tags and most of an oversized table. Quiescent. */
void vmem_trim(struct vmem *arena);
/* Bytes committed by the arena itself: spans and table. */
size_t vmem_committed(const struct vmem *arena);

/*
 * Visits every segment in ring order, VMEM_USED and VMEM_FREE; the table is not among them. 0, or what
 * `visit` returned. Quiescent.
 */
int vmem_walk(const struct vmem *arena, int (*visit)(void *arg, const struct vmem_segment *segment),
	      void *arg);
/* A free segment as pool ranges: its whole pool pages, and what is in front of and behind them. */
int vmem_walk_free(const struct vmem *arena, const struct vmem_segment *segment, pool_visit visit,
		   void *arg);
/* The hash table as a pool range. */
int vmem_walk_table(const struct vmem *arena, pool_visit visit, void *arg);
/* 0 or -EUCLEAN with a sentence in `why` (may be NULL). Quiescent. */
int vmem_check(struct vmem *arena, char *why, size_t why_bytes);

/* ---- segments.c: all under the lock, or quiescent ---- */

static inline unsigned vmem_list_of(size_t bytes)
{
	return 63u - (unsigned)__builtin_clzll(bytes);
}

static inline bool vmem_is_idle(const struct vmem_segment *segment)
{
	return segment->previous->kind == VMEM_SPAN && segment->previous->bytes == segment->bytes;
}

void vmem_list_insert(struct vmem *arena, struct vmem_segment *segment);
void vmem_list_remove(struct vmem *arena, struct vmem_segment *segment);
void vmem_ring_insert_after(struct vmem_segment *at, struct vmem_segment *segment);
/* Takes a segment off the ring and keeps its tag as a spare. */
void vmem_ring_retire(struct vmem *arena, struct vmem_segment *segment);
struct vmem_segment *vmem_spare_take(struct vmem *arena);
void vmem_hash_insert(struct vmem *arena, struct vmem_segment *segment);
struct vmem_segment *vmem_hash_find(const struct vmem *arena, uintptr_t start);
struct vmem_segment *vmem_hash_remove(struct vmem *arena, uintptr_t start);
/* Twice the buckets when there are more segments than buckets. Takes the lock itself. */
void vmem_hash_grow(struct vmem *arena);
/* As few buckets as the segments need. Quiescent. */
void vmem_hash_shrink(struct vmem *arena);

#endif
