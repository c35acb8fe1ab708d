/*
 * The variable-size layer: chunks of any size, in subsegments of 64 to 256 KiB from the back end.
 *
 *     |subsegment head|chunk|chunk|free chunk|chunk| ... |     a chunk: 16 bytes of header, then
 *      units, links    previous size, own size, state           small: pool header, block
 *                                                               big:   block, page-aligned
 *
 * A chunk's header is xored with a secret of the heap and its address, and holds a checksum of
 * itself: an overrun is noticed when the chunk, or a neighbour, is freed. Free chunks are in a
 * red-black tree by size, then address; best fit, the rest split off; free neighbours merge at
 * once.
 *
 * Page rules. A small block and its pool header may not cross an OS page, and a block of a page or
 * more must begin on one. So a request is placed inside a free chunk: at its start if the rules
 * allow, else where the pool header (or the big block) falls on the next page boundary; what is in
 * front becomes a free chunk of its own. A chunk that is large enough may be too small once placed:
 * the search tries VS_PROBES chunks in order of size, then takes the first that fits wherever it
 * lies. Pieces below 3 units hold no tree node: they wait, unlisted, for a neighbour to be freed.
 *
 * Delayed frees. Chunks below `vs_delay_max` (1 KiB) are pushed on a list without the lock and
 * freed `vs_delay` (32) at a time under one hold of it, and before a new subsegment is taken.
 *
 * Concurrency. One lock a heap. A chunk's header is only looked at under it (a neighbour may write
 * the previous size at any time); what free must know without it is in the pool header, or for a
 * big block in the second half of the chunk's header, which belong to the block's holder.
 *
 * Bounds. Two descents of the tree and VS_PROBES steps, O(log chunks). Padding in front: under 2
 * KiB for small blocks that fit twice in a page, under 4 KiB for any; it stays usable.
 */
#include "segment_heap.h"

#define VS_PROBES 8u

struct vs_request {
	unsigned units; /* of the chunk */
	unsigned padding_most; /* units in front, wherever it is placed */
	bool big;
	size_t bytes;
};

/* ---- encoded headers ---- */

static uint64_t checksum_of(uint64_t fields)
{
	return (fields * 0x9E3779B97F4A7C15u) >> 48;
}

static uint64_t encode_key(const struct pool *pool, const struct vs_chunk *chunk)
{
	return pool->cookie ^ (uintptr_t)chunk;
}

static void vs_encode(const struct pool *pool, struct vs_chunk *chunk, struct vs_sizes sizes)
{
	uint64_t fields = sizes.units | (uint64_t)sizes.previous << 16 |
			  (uint64_t)sizes.state << 32 | (uint64_t)sizes.page << 40;

	chunk->encoded = (fields | checksum_of(fields) << 48) ^ encode_key(pool, chunk);
}

bool vs_decode(const struct pool *pool, const struct vs_chunk *chunk, struct vs_sizes *sizes)
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

static struct vs_chunk *chunk_at(const struct vs_chunk *chunk, long units)
{
	return (struct vs_chunk *)((uintptr_t)chunk + (uintptr_t)(units * (long)SH_UNIT_BYTES));
}

static struct rb_node *node_of(struct vs_chunk *chunk)
{
	return (struct rb_node *)((uintptr_t)chunk + VS_NODE_OFFSET);
}

static struct vs_chunk *chunk_of(struct rb_node *node)
{
	return (struct vs_chunk *)((uintptr_t)node - VS_NODE_OFFSET);
}

static struct vs_subsegment *subsegment_of(const struct vs_chunk *chunk, unsigned page)
{
	uintptr_t start = (uintptr_t)chunk & ~(uintptr_t)(POOL_OS_PAGE - 1);

	return (struct vs_subsegment *)(start - (uintptr_t)page * POOL_OS_PAGE);
}

static unsigned page_of(const struct vs_subsegment *subsegment, const struct vs_chunk *chunk)
{
	return (unsigned)(((uintptr_t)chunk - (uintptr_t)subsegment) / POOL_OS_PAGE);
}

static struct vs_chunk *first_chunk(const struct vs_subsegment *subsegment)
{
	return (struct vs_chunk *)((uintptr_t)subsegment + sizeof(*subsegment));
}

static struct vs_chunk *end_chunk(const struct vs_subsegment *subsegment)
{
	return chunk_at(first_chunk(subsegment), subsegment->units);
}

/* ---- the tree of free chunks; all under the lock ---- */

/* The size alone: whether the header is sound is asked when a chunk is freed or a neighbour of one that is. */
static unsigned listed_units(const struct pool *pool, struct rb_node *node)
{
	const struct vs_chunk *chunk = chunk_of(node);

	return (chunk->encoded ^ encode_key(pool, chunk)) & 0xFFFF;
}

static void free_insert(const struct pool *pool, struct vs_context *vs, struct vs_chunk *chunk,
			unsigned units)
{
	struct rb_node *node = node_of(chunk), *parent = NULL, *at = vs->free.root;
	int side = 0;

	if (units < VS_LISTED_UNITS)
		return;
	sh_set_kind(&chunk->header, SH_FREE);
	while (at) {
		unsigned other = listed_units(pool, at);

		parent = at;
		side = units != other ? units > other : node > at;
		at = at->child[side];
	}
	rb_insert(&vs->free, node, parent, side);
}

static void free_remove(struct vs_context *vs, struct vs_chunk *chunk, unsigned units)
{
	if (units >= VS_LISTED_UNITS)
		rb_remove(&vs->free, node_of(chunk));
}

/* The smallest chunk of at least `units`. */
static struct rb_node *free_find(const struct pool *pool, const struct vs_context *vs,
				 unsigned units)
{
	struct rb_node *best = NULL, *at = vs->free.root;

	while (at) {
		if (listed_units(pool, at) >= units) {
			best = at;
			at = at->child[0];
		} else {
			at = at->child[1];
		}
	}
	return best;
}

/* ---- placement ---- */

static struct vs_request request_small(size_t bytes)
{
	unsigned units = (unsigned)((bytes + VS_SMALL_BYTES + SH_UNIT_BYTES - 1) / SH_UNIT_BYTES);

	/*
	 * At worst the pool header and all but one unit of the block are in front of the boundary.
	 */
	return (struct vs_request){ .units = units, .padding_most = units - 1, .bytes = bytes };
}

static struct vs_request request_big(size_t bytes)
{
	unsigned units = (unsigned)((bytes + VS_CHUNK_BYTES + SH_UNIT_BYTES - 1) / SH_UNIT_BYTES);

	return (struct vs_request){
		.units = units, .padding_most = SH_PAGE_UNITS - 1, .big = true, .bytes = bytes
	};
}

/* Units to leave free at the front of a free chunk for the page rules to hold. */
static unsigned padding_in(const struct vs_chunk *chunk, const struct vs_request *request)
{
	uintptr_t body = (uintptr_t)chunk + VS_CHUNK_BYTES;
	unsigned offset = body & (POOL_OS_PAGE - 1);
	unsigned room = POOL_OS_PAGE - offset;

	if (request->big)
		return offset ? room / SH_UNIT_BYTES : 0;
	return (request->units - 1) * SH_UNIT_BYTES <= room ? 0 : room / SH_UNIT_BYTES;
}

static struct vs_chunk *chunk_find(const struct pool *pool, const struct vs_context *vs,
				   const struct vs_request *request)
{
	struct rb_node *node = free_find(pool, vs, request->units);

	for (unsigned i = 0; node && i < VS_PROBES; i++, node = rb_step(node, 1))
		if (padding_in(chunk_of(node), request) + request->units <=
		    listed_units(pool, node))
			return chunk_of(node);
	if (node)
		node = free_find(pool, vs, request->units + request->padding_most);
	return node ? chunk_of(node) : NULL;
}

/* Writes a chunk's header, and its size into the next one's. */
static void chunk_write(const struct pool *pool, const struct vs_subsegment *subsegment,
			struct vs_chunk *chunk, unsigned units, unsigned previous, unsigned state)
{
	struct vs_chunk *next = chunk_at(chunk, units);
	struct vs_sizes sizes;

	vs_encode(pool, chunk,
		  (struct vs_sizes){ .units = units,
				     .previous = previous,
				     .state = state,
				     .page = page_of(subsegment, chunk) });
	if (next == end_chunk(subsegment))
		return;
	vs_decode(pool, next, &sizes);
	sizes.previous = units;
	vs_encode(pool, next, sizes);
}

/* Cuts the request out of a free chunk in the tree: padding, chunk, rest. */
static struct vs_chunk *chunk_cut(const struct pool *pool, struct vs_context *vs,
				  struct vs_chunk *chunk, const struct vs_request *request)
{
	struct vs_subsegment *subsegment;
	struct vs_sizes sizes;
	unsigned padding = padding_in(chunk, request), rest;

	vs_decode(pool, chunk, &sizes);
	subsegment = subsegment_of(chunk, sizes.page);
	rest = sizes.units - padding - request->units;
	free_remove(vs, chunk, sizes.units);
	/* From the back, so that each header that is written next to exists. */
	if (rest) {
		struct vs_chunk *after = chunk_at(chunk, padding + request->units);

		chunk_write(pool, subsegment, after, rest, request->units, VS_FREE);
		free_insert(pool, vs, after, rest);
		vs->splits++;
	}
	if (padding) {
		chunk_write(pool, subsegment, chunk_at(chunk, padding), request->units, padding,
			    request->big ? VS_BIG : VS_SMALL);
		chunk_write(pool, subsegment, chunk, padding, sizes.previous, VS_FREE);
		free_insert(pool, vs, chunk, padding);
		vs->splits++;
		return chunk_at(chunk, padding);
	}
	chunk_write(pool, subsegment, chunk, request->units, sizes.previous,
		    request->big ? VS_BIG : VS_SMALL);
	return chunk;
}

/* ---- subsegments ---- */

/* The more there is, the larger the next. Under the lock. */
static size_t subsegment_bytes(const struct vs_context *vs, const struct vs_request *request)
{
	size_t bytes = VS_SUBSEGMENT_MIN;
	size_t need = sizeof(struct vs_subsegment) +
		      (size_t)(request->units + request->padding_most) * SH_UNIT_BYTES;

	while (bytes < VS_SUBSEGMENT_MAX && (bytes < need || vs->subsegment_bytes > bytes * 8))
		bytes *= 2;
	return bytes;
}

static bool subsegment_add(struct sh_heap *heap, struct vs_context *vs,
			   const struct vs_request *request)
{
	struct vs_subsegment *subsegment;
	struct vs_chunk *chunk;
	size_t bytes;

	spinlock_acquire(&vs->lock);
	bytes = seg_round_up(heap, subsegment_bytes(vs, request));
	spinlock_release(&vs->lock);
	subsegment = seg_alloc(heap, bytes, SEG_VS, 0);
	if (!subsegment)
		return false;
	chunk = first_chunk(subsegment);
	subsegment->signature = heap->pool->cookie ^ (uintptr_t)subsegment;
	subsegment->context = vs;
	subsegment->units = (uint32_t)((bytes - sizeof(*subsegment)) / SH_UNIT_BYTES);
	spinlock_acquire(&vs->lock);
	sh_links_append(&vs->subsegments, &subsegment->links);
	vs->subsegment_bytes += bytes;
	vs->subsegments_taken++;
	chunk_write(heap->pool, subsegment, chunk, subsegment->units, 0, VS_FREE);
	free_insert(heap->pool, vs, chunk, subsegment->units);
	spinlock_release(&vs->lock);
	return true;
}

static size_t subsegment_total(const struct vs_subsegment *subsegment)
{
	return sizeof(*subsegment) + (size_t)subsegment->units * SH_UNIT_BYTES;
}

/* ---- allocation ---- */

static bool context_flush(struct sh_heap *heap, struct vs_context *vs);

/* Requests for one bucket in a row, whatever was freed in between. Under the lock. */
static unsigned row_count(struct vs_context *vs, unsigned bucket)
{
	vs->row = vs->row_bucket == bucket ? vs->row + 1 : 1;
	vs->row_bucket = bucket;
	return vs->row;
}

/* The calling thread's context. */
static struct vs_context *context_mine(struct sh_heap *heap)
{
	const struct sh_processor *processor = sh_current(heap->pool);

	return &heap->vs[processor ? processor->number % heap->vs_count : 0];
}

/* A chunk of the context, or NULL. Under its lock. */
static struct vs_chunk *chunk_take(struct sh_heap *heap, struct vs_context *vs,
				   const struct vs_request *request)
{
	struct vs_chunk *chunk = chunk_find(heap->pool, vs, request);

	if (!chunk)
		return NULL;
	vs->allocations++;
	return chunk_cut(heap->pool, vs, chunk, request);
}

/* What the page source cannot give, another context may have. Returns it in *vs. */
static struct vs_chunk *alloc_elsewhere(struct sh_heap *heap, struct vs_context **vs,
					const struct vs_request *request)
{
	struct vs_chunk *chunk = NULL;

	for (unsigned i = 0; i < heap->vs_count && !chunk; i++) {
		*vs = &heap->vs[i];
		context_flush(heap, *vs);
		spinlock_acquire(&(*vs)->lock);
		chunk = chunk_take(heap, *vs, request);
		spinlock_release(&(*vs)->lock);
	}
	return chunk;
}

/* Notes a request of an LFH bucket for its activation. Under the lock. */
static void bucket_note(struct sh_heap *heap, struct vs_context *vs, unsigned bucket)
{
	if (bucket < heap->pool->lfh_buckets)
		lfh_note_alloc(heap, &vs->use[bucket], bucket, row_count(vs, bucket));
	else
		row_count(vs, bucket);
}

/* The chunk, and in *from its context; NULL when the page source refuses. */
static struct vs_chunk *vs_alloc(struct sh_heap *heap, struct vs_context **from,
				 const struct vs_request *request, unsigned bucket)
{
	struct vs_context *vs = *from = context_mine(heap);
	struct vs_chunk *chunk;

	spinlock_acquire(&vs->lock);
	while (!(chunk = chunk_take(heap, vs, request))) {
		spinlock_release(&vs->lock);
		if (!context_flush(heap, vs) && !subsegment_add(heap, vs, request)) {
			chunk = alloc_elsewhere(heap, from, request);
			if (!chunk)
				return NULL;
			vs = *from;
			spinlock_acquire(&vs->lock);
			break;
		}
		spinlock_acquire(&vs->lock);
	}
	bucket_note(heap, vs, bucket);
	spinlock_release(&vs->lock);
	return chunk;
}

void *vs_alloc_small(struct sh_heap *heap, size_t bytes, enum sh_kind kind, uint32_t tag)
{
	struct vs_request request = request_small(bytes);
	unsigned bucket = kind == SH_VS ? sh_bucket(bytes) : SH_BUCKETS;
	uint32_t word = sh_word((unsigned)kind + heap->type, SH_NOBODY, request.units);
	struct vs_context *vs;
	struct vs_chunk *chunk = vs_alloc(heap, &vs, &request, bucket);

	if (!chunk)
		return NULL;
	sh_header_write(&chunk->header, (uintptr_t)vs ^ heap->pool->cookie, word);
	sh_set_tag(&chunk->header, tag);
	return &chunk->header + 1;
}

void *vs_alloc_big(struct sh_heap *heap, size_t bytes, uint32_t tag)
{
	struct vs_request request = request_big(bytes);
	struct vs_context *vs;
	struct vs_chunk *chunk = vs_alloc(heap, &vs, &request, SH_BUCKETS);

	if (!chunk)
		return NULL;
	chunk->tag = tag;
	chunk->units = request.units;
	return (char *)chunk + VS_CHUNK_BYTES;
}

/* ---- free ---- */

struct vs_corruption {
	const void *where;
	uint64_t reason, found, expected;
	const char *text;
};

/*
 * Frees a chunk under the lock. An empty subsegment is unlinked and left in *empty for the caller
 * to give back. False, with *corruption set, if this header or a neighbour's was overwritten.
 */
static bool chunk_free(struct sh_heap *heap, struct vs_context *vs, struct vs_chunk *chunk,
		       struct vs_subsegment **empty, struct vs_corruption *corruption)
{
	const struct pool *pool = heap->pool;
	struct vs_sizes sizes, other;
	struct vs_subsegment *subsegment;
	struct vs_chunk *next;
	unsigned units;

	*empty = NULL;
	if (!vs_decode(pool, chunk, &sizes) || sizes.state == VS_FREE) {
		*corruption = (struct vs_corruption){ chunk, 3, chunk->encoded, 0,
						      "a chunk's header was overwritten: an "
						      "overrun of the block in front" };
		return false;
	}
	subsegment = subsegment_of(chunk, sizes.page);
	units = sizes.units;
	next = chunk_at(chunk, units);
	if (next != end_chunk(subsegment)) {
		if (!vs_decode(pool, next, &other) || other.previous != units) {
			*corruption = (struct vs_corruption){ next, 5, other.previous, units,
							      "the next chunk's header disagrees "
							      "about the size: an overrun" };
			return false;
		}
		if (other.state == VS_FREE) {
			free_remove(vs, next, other.units);
			units += other.units;
			vs->merges++;
		}
	}
	if (sizes.previous) {
		struct vs_chunk *before = chunk_at(chunk, -(long)sizes.previous);

		if (!vs_decode(pool, before, &other) || other.units != sizes.previous) {
			*corruption = (struct vs_corruption){ before, 5, other.units,
							      sizes.previous,
							      "the header of the chunk in front "
							      "disagrees about its size" };
			return false;
		}
		if (other.state == VS_FREE) {
			chunk->encoded = 0; /* freed again, it must not look like a chunk */
			free_remove(vs, before, other.units);
			units += other.units;
			sizes.previous = other.previous;
			chunk = before;
			vs->merges++;
		}
	}
	vs->frees++;
	if (units == subsegment->units) {
		sh_links_remove(&subsegment->links);
		vs->subsegment_bytes -= subsegment_total(subsegment);
		vs->subsegments_given++;
		*empty = subsegment;
		return true;
	}
	chunk_write(pool, subsegment, chunk, units, sizes.previous, VS_FREE);
	free_insert(pool, vs, chunk, units);
	return true;
}

static void corruption_stop(struct pool *pool, const struct vs_corruption *corruption)
{
	sh_stop(pool, 0x19, corruption->reason, corruption->where, corruption->found,
		corruption->expected, corruption->text);
}

/*
 * Frees what is delayed, under the lock, which it gives up. Whether all was sound. Empty subsegments are linked by
 * their `next` until they can be given back without the lock.
 */
static bool delayed_free(struct sh_heap *heap, struct vs_context *vs)
{
	struct sh_header *header = vs->delayed;
	struct vs_subsegment *empties = NULL, *empty;
	struct vs_corruption corruption;
	bool is_sound = true;

	vs->delayed = NULL;
	vs->delayed_count = 0;
	while (header && is_sound) {
		struct sh_header *next = *sh_link(header);

		is_sound = chunk_free(heap, vs, vs_chunk_of(header), &empty, &corruption);
		if (is_sound && empty) {
			empty->links.next = (struct sh_links *)empties;
			empties = empty;
		}
		header = next;
	}
	vs->flushes++;
	spinlock_release(&vs->lock);
	if (!is_sound)
		corruption_stop(heap->pool, &corruption);
	while (empties) {
		struct vs_subsegment *next = (struct vs_subsegment *)empties->links.next;

		seg_free(heap, empties);
		empties = next;
	}
	return is_sound;
}

static bool context_flush(struct sh_heap *heap, struct vs_context *vs)
{
	spinlock_acquire(&vs->lock);
	if (vs->delayed)
		return delayed_free(heap, vs);
	spinlock_release(&vs->lock);
	return false;
}

bool vs_flush(struct sh_heap *heap)
{
	bool any = false;

	for (unsigned i = 0; i < heap->vs_count; i++)
		any |= context_flush(heap, &heap->vs[i]);
	return any;
}

/* Frees a chunk under the lock, which it gives up. */
static void chunk_free_now(struct sh_heap *heap, struct vs_context *vs, struct vs_chunk *chunk)
{
	struct vs_corruption corruption;
	struct vs_subsegment *empty;
	bool is_sound = chunk_free(heap, vs, chunk, &empty, &corruption);

	spinlock_release(&vs->lock);
	if (!is_sound)
		corruption_stop(heap->pool, &corruption);
	else if (empty)
		seg_free(heap, empty);
}

/* By the segment's descriptors: a chunk's header may only be looked at under the lock that is looked for. */
static struct vs_context *context_of(struct sh_heap *heap, const void *address)
{
	const struct seg_context *context;
	const struct seg_segment *segment = seg_find(heap, address, &context);
	size_t unit = (size_t)((const char *)address - (const char *)segment) >> context->unit_shift;
	const struct vs_subsegment *subsegment;

	unit -= segment->descriptors[unit].back;
	subsegment = (const void *)seg_unit_address(context, segment, (unsigned)unit);
	return subsegment->context;
}

void vs_free_small(struct sh_heap *heap, struct sh_header *header)
{
	const struct sh_options *options = &heap->pool->options;
	size_t chunk_bytes = (size_t)sh_index(header) * SH_UNIT_BYTES;
	unsigned bucket = sh_bucket(chunk_bytes - VS_SMALL_BYTES);
	struct vs_context *vs;

	/* What no list ever kept still leads to its context. */
	if (chunk_bytes - VS_SMALL_BYTES <= SH_LOOKASIDE_MIN)
		vs = (struct vs_context *)sh_target(header, header->word, heap->pool->cookie);
	else
		vs = context_of(heap, header);
	spinlock_acquire(&vs->lock);
	if (sh_kind(header) == SH_VS && bucket < heap->pool->lfh_buckets)
		lfh_note_free(&vs->use[bucket]);
	if (!options->vs_delay || chunk_bytes >= options->vs_delay_max) {
		sh_set_kind(header, SH_FREE);
		chunk_free_now(heap, vs, vs_chunk_of(header));
		return;
	}
	sh_set_kind(header, SH_DELAYED);
	*sh_link(header) = vs->delayed;
	vs->delayed = header;
	if (++vs->delayed_count >= options->vs_delay)
		delayed_free(heap, vs);
	else
		spinlock_release(&vs->lock);
}

void vs_free_big(struct sh_heap *heap, void *block)
{
	struct vs_context *vs = context_of(heap, block);

	spinlock_acquire(&vs->lock);
	chunk_free_now(heap, vs, vs_big_chunk_of(block));
}

void vs_init(struct vs_context *vs)
{
	sh_links_init(&vs->subsegments);
}
