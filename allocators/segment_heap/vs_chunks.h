/*
 * Chunks of the variable-size layer: their encoded headers, and the lists and the tree of the free ones. Included by
 * vs.c and check.c; inline, since a request of a bucket that is not active goes through all of it.
 *
 * Free chunks below VS_BINS units are in a list for each size, found by a bitmap, the others in a red-black tree by
 * units, then address: best fit, and what small blocks come and go with costs no descent.
 */
#ifndef POOLBENCH_SEGMENT_HEAP_VS_CHUNKS_H
#define POOLBENCH_SEGMENT_HEAP_VS_CHUNKS_H

#include "segment_heap.h"

/* ---- encoded headers ---- */

static inline uint64_t checksum_of(uint64_t fields)
{
	return (fields * 0x9E3779B97F4A7C15u) >> 48;
}

static inline uint64_t encode_key(const struct pool *pool, const struct vs_chunk *chunk)
{
	return pool->cookie ^ (uintptr_t)chunk;
}

static inline void encode(const struct pool *pool, struct vs_chunk *chunk, struct vs_sizes sizes)
{
	uint64_t fields = sizes.units | (uint64_t)sizes.previous << 16 |
			  (uint64_t)sizes.state << 32 | (uint64_t)sizes.page << 40;

	chunk->encoded = (fields | checksum_of(fields) << 48) ^ encode_key(pool, chunk);
}

static inline bool decode(const struct pool *pool, const struct vs_chunk *chunk,
			  struct vs_sizes *sizes)
{
	uint64_t word = chunk->encoded ^ encode_key(pool, chunk);
	uint64_t fields = word & 0xFFFFFFFFFFFFu;

	sizes->units = fields & 0xFFFF;
	sizes->previous = fields >> 16 & 0xFFFF;
	sizes->state = fields >> 32 & 0xFF;
	sizes->page = fields >> 40 & 0xFF;
	return word >> 48 == checksum_of(fields) && sizes->units &&
	       sizes->state - VS_FREE <= VS_BIG - VS_FREE;
}

/* Changes `previous` alone; the header is sound, or it stays unsound. */
static inline void encode_previous(const struct pool *pool, struct vs_chunk *chunk,
				   unsigned previous)
{
	uint64_t key = encode_key(pool, chunk), word = chunk->encoded ^ key;
	uint64_t was = word & 0xFFFFFFFFFFFFu;
	uint64_t fields = (was & ~((uint64_t)0xFFFF << 16)) | (uint64_t)previous << 16;

	/* The checksum's difference, so that one that was wrong does not become right. */
	word ^= was ^ fields ^ (checksum_of(was) ^ checksum_of(fields)) << 48;
	chunk->encoded = word ^ key;
}

static inline struct vs_chunk *chunk_at(const struct vs_chunk *chunk, long units)
{
	return (struct vs_chunk *)((uintptr_t)chunk + (uintptr_t)(units * (long)SH_UNIT_BYTES));
}

static inline struct rb_node *node_of(struct vs_chunk *chunk)
{
	return (struct rb_node *)((uintptr_t)chunk + VS_NODE_OFFSET);
}

static inline struct vs_chunk *chunk_of(struct rb_node *node)
{
	return (struct vs_chunk *)((uintptr_t)node - VS_NODE_OFFSET);
}

static inline struct vs_subsegment *subsegment_of(const struct vs_chunk *chunk, unsigned page)
{
	uintptr_t start = (uintptr_t)chunk & ~(uintptr_t)(POOL_OS_PAGE - 1);

	return (struct vs_subsegment *)(start - (uintptr_t)page * POOL_OS_PAGE);
}

static inline unsigned page_of(const struct vs_subsegment *subsegment, const struct vs_chunk *chunk)
{
	return (unsigned)(((uintptr_t)chunk - (uintptr_t)subsegment) / POOL_OS_PAGE);
}

static inline struct vs_chunk *first_chunk(const struct vs_subsegment *subsegment)
{
	return (struct vs_chunk *)((uintptr_t)subsegment + sizeof(*subsegment));
}

static inline struct vs_chunk *end_chunk(const struct vs_subsegment *subsegment)
{
	return chunk_at(first_chunk(subsegment), subsegment->units);
}

/* ---- free chunks, by size; all under the lock ---- */

/* The size alone: whether the header is sound is asked when a chunk is freed or a neighbour of one that is. */
static inline unsigned listed_units(const struct pool *pool, const struct vs_chunk *chunk)
{
	return (chunk->encoded ^ encode_key(pool, chunk)) & 0xFFFF;
}

static inline struct sh_links *links_of(struct vs_chunk *chunk)
{
	return (struct sh_links *)((uintptr_t)chunk + VS_NODE_OFFSET);
}

static inline struct vs_chunk *linked(const struct sh_links *links)
{
	return (struct vs_chunk *)((uintptr_t)links - VS_NODE_OFFSET);
}

static inline void tree_insert(const struct pool *pool, struct vs_context *vs,
			       struct vs_chunk *chunk, unsigned units)
{
	struct rb_node *node = node_of(chunk), *parent = NULL, *at = vs->free.root;
	int side = 0;

	while (at) {
		unsigned other = listed_units(pool, chunk_of(at));

		parent = at;
		side = units != other ? units > other : node > at;
		at = at->child[side];
	}
	rb_insert(&vs->free, node, parent, side);
}

/* Of small chunks the last to come is the first to go: it is the warmest. */
static inline void free_insert(const struct pool *pool, struct vs_context *vs,
			       struct vs_chunk *chunk, unsigned units)
{
	if (units < VS_LISTED_UNITS)
		return;
	sh_set_kind(&chunk->header, SH_FREE);
	if (units >= VS_BINS) {
		tree_insert(pool, vs, chunk, units);
		return;
	}
	vs->bins_used |= 1ull << units;
	sh_links_append(vs->bins[units].next, links_of(chunk));
}

static inline void free_remove(struct vs_context *vs, struct vs_chunk *chunk, unsigned units)
{
	struct sh_links *bin;

	if (units < VS_LISTED_UNITS)
		return;
	if (units >= VS_BINS) {
		rb_remove(&vs->free, node_of(chunk));
		return;
	}
	bin = &vs->bins[units];
	sh_links_remove(links_of(chunk));
	vs->bins_used &= ~((uint64_t)(bin->next == bin) << units);
}

/* The smallest in the tree of at least `units`. */
static inline struct rb_node *tree_find(const struct pool *pool, const struct vs_context *vs,
					unsigned units)
{
	struct rb_node *best = NULL, *at = vs->free.root;

	while (at) {
		if (listed_units(pool, chunk_of(at)) >= units) {
			best = at;
			at = at->child[0];
		} else {
			at = at->child[1];
		}
	}
	return best;
}

/* The first in order of size of at least `units`. */
static inline struct vs_chunk *free_first(const struct pool *pool, const struct vs_context *vs,
					  unsigned units)
{
	uint64_t bins = units < VS_BINS ? vs->bins_used >> units << units : 0;
	struct rb_node *node;

	if (bins)
		return linked(vs->bins[__builtin_ctzll(bins)].next);
	node = tree_find(pool, vs, units);
	return node ? chunk_of(node) : NULL;
}

/* The one after it. */
static inline struct vs_chunk *free_next(const struct pool *pool, const struct vs_context *vs,
					 struct vs_chunk *chunk)
{
	unsigned units = listed_units(pool, chunk);
	struct rb_node *node;

	if (units < VS_BINS)
		return links_of(chunk)->next == &vs->bins[units] ? free_first(pool, vs, units + 1)
								 : linked(links_of(chunk)->next);
	node = rb_step(node_of(chunk), 1);
	return node ? chunk_of(node) : NULL;
}

#endif
