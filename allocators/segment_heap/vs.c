/*
 * The variable-size layer: chunks of any size, in subsegments of 64 to 256 KiB from the back end.
 *
 *     |subsegment head|chunk|chunk|free chunk|chunk| ... |     a chunk: 16 bytes of header, then
 *      units, links    previous size, own size, state           small: pool header, block
 *                                                               big:   block, page-aligned
 *
 * A chunk's header is xored with a secret of the heap and its address, and holds a checksum of
 * itself: an overrun is noticed when the chunk, or a neighbour, is freed. Best fit (vs_chunks.h), the rest split off;
 * free neighbours merge at once.
 *
 * Contexts. A heap has one, under its lock. With vs_slots=processor each processor has another for requests of up to
 * 0x200 bytes, those of buckets whose LFH is not active yet; it is the processor's alone, needs no lock, and stays in its
 * caches. Larger requests come here when a lookaside list misses, and page-aligned ones; they stay in the heap's context, so that any
 * processor can use again at once what any other freed. Windows has had affinity slots with a lock, tree and delayed
 * frees of their own since Windows 11, by its public symbols, and one context in 19H1: vs_slots=one.
 *
 * Page rules. A small block and its pool header may not cross an OS page, and a block of a page or
 * more must begin on one. So a request is placed inside a free chunk: at its start if the rules
 * allow, else where the pool header (or the big block) falls on the next page boundary; what is in
 * front becomes a free chunk of its own. A chunk that is large enough may be too small once placed:
 * the search tries VS_PROBES chunks in order of size, then takes the first that fits wherever it
 * lies. Pieces below 3 units hold no tree node: they wait, unlisted, for a neighbour to be freed.
 *
 * Delayed frees. Chunks below `vs_delay_max` (1 KiB) are put on a list of their context and
 * freed `vs_delay` (32) at a time under one hold of its lock, and before a new subsegment is taken.
 *
 * Concurrency. All of a context is under its lock, or its processor's. A chunk's header is only looked at there (a
 * neighbour may write the previous size at any time); what free must know before is in the pool header,
 * for a big block in the second half of the chunk's header, which belong to the block's holder. The target in the pool
 * header of a chunk too small for a lookaside list is its context; all others are the heap's. A processor's chunk that
 * another frees is pushed on the context's `remote` list, one compare-and-swap; the owner takes it in with its
 * next batch, or when it finds nothing.
 *
 * Bounds. Small sizes constant, else two descents of the tree and VS_PROBES steps, O(log chunks). Padding in front:
 * under 2 KiB for small blocks that fit twice in a page, under 4 KiB for any; it stays usable.
 */
#include "vs_chunks.h"

#define VS_PROBES 8u

struct vs_request {
	unsigned units; /* of the chunk */
	unsigned padding_most; /* units in front, wherever it is placed */
	bool big;
	size_t bytes;
};

bool vs_decode(const struct pool *pool, const struct vs_chunk *chunk, struct vs_sizes *sizes)
{
	return decode(pool, chunk, sizes);
}

/* ---- contexts ---- */

/* A processor's own is no one else's to lock: its thread is the only one to come here. */
static void context_lock(struct vs_context *vs)
{
	if (!vs->owner)
		spinlock_acquire(&vs->lock);
}

static void context_unlock(struct vs_context *vs)
{
	if (!vs->owner)
		spinlock_release(&vs->lock);
}

/* Who serves the calling thread: its processor's context, if it has one, small requests; the heap's, all others. */
static struct vs_context *context_for(struct sh_heap *heap, size_t bytes, enum sh_kind kind)
{
	const struct sh_processor *processor = sh_current(heap->pool);

	if (processor && bytes <= SH_LOOKASIDE_MIN && kind == SH_VS && heap->vs_count > 1)
		return &heap->vs[1 + processor->number];
	return &heap->vs[0];
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
	struct vs_chunk *chunk = free_first(pool, vs, request->units);

	for (unsigned i = 0; chunk && i < VS_PROBES; i++, chunk = free_next(pool, vs, chunk))
		if (padding_in(chunk, request) + request->units <= listed_units(pool, chunk))
			return chunk;
	return chunk ? free_first(pool, vs, request->units + request->padding_most) : NULL;
}

static void chunk_write(const struct pool *pool, const struct vs_subsegment *subsegment,
			struct vs_chunk *chunk, unsigned units, unsigned previous, unsigned state)
{
	encode(pool, chunk,
	       (struct vs_sizes){ .units = units,
				  .previous = previous,
				  .state = state,
				  .page = page_of(subsegment, chunk) });
}

/* Tells the chunk behind one of so many units, if there is one. */
static void next_tell(const struct pool *pool, const struct vs_subsegment *subsegment,
		      struct vs_chunk *chunk, unsigned units)
{
	struct vs_chunk *next = chunk_at(chunk, units);

	if (next != end_chunk(subsegment))
		encode_previous(pool, next, units);
}

/* Cuts the request out of a free chunk in the tree: padding, chunk, rest. */
static struct vs_chunk *chunk_cut(const struct pool *pool, struct vs_context *vs,
				  struct vs_chunk *chunk, const struct vs_request *request)
{
	struct vs_subsegment *subsegment;
	struct vs_sizes sizes;
	unsigned padding = padding_in(chunk, request), rest;

	decode(pool, chunk, &sizes);
	subsegment = subsegment_of(chunk, sizes.page);
	rest = sizes.units - padding - request->units;
	free_remove(vs, chunk, sizes.units);
	if (rest) {
		struct vs_chunk *after = chunk_at(chunk, padding + request->units);

		chunk_write(pool, subsegment, after, rest, request->units, VS_FREE);
		next_tell(pool, subsegment, after, rest);
		free_insert(pool, vs, after, rest);
		vs->splits++;
	}
	if (padding) {
		struct vs_chunk *front = chunk;

		chunk_write(pool, subsegment, front, padding, sizes.previous, VS_FREE);
		free_insert(pool, vs, front, padding);
		vs->splits++;
		chunk = chunk_at(front, padding);
		sizes.previous = padding;
		if (!rest)
			next_tell(pool, subsegment, chunk, request->units);
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

	context_lock(vs);
	bytes = seg_round_up(heap, subsegment_bytes(vs, request));
	context_unlock(vs);
	subsegment = seg_alloc(heap, bytes, SEG_VS, 0);
	if (!subsegment)
		return false;
	chunk = first_chunk(subsegment);
	subsegment->signature = heap->pool->cookie ^ (uintptr_t)subsegment;
	subsegment->units = (uint32_t)((bytes - sizeof(*subsegment)) / SH_UNIT_BYTES);
	context_lock(vs);
	sh_links_append(&vs->subsegments, &subsegment->links);
	vs->subsegment_bytes += bytes;
	vs->subsegments_taken++;
	chunk_write(heap->pool, subsegment, chunk, subsegment->units, 0, VS_FREE);
	free_insert(heap->pool, vs, chunk, subsegment->units);
	context_unlock(vs);
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

/* Notes a request of an LFH bucket for its activation. Under the lock. */
static void bucket_note(struct sh_heap *heap, struct vs_context *vs, unsigned bucket)
{
	if (bucket < heap->pool->lfh_buckets)
		lfh_note_alloc(heap, &vs->use[bucket], bucket, row_count(vs, bucket));
	else
		row_count(vs, bucket);
}

/* NULL when the page source refuses. */
static struct vs_chunk *vs_alloc(struct sh_heap *heap, struct vs_context *vs,
				 const struct vs_request *request, unsigned bucket)
{
	struct vs_chunk *chunk;

	context_lock(vs);
	while (!(chunk = chunk_take(heap, vs, request))) {
		context_unlock(vs);
		if (!context_flush(heap, vs) && !subsegment_add(heap, vs, request))
			return NULL;
		context_lock(vs);
	}
	bucket_note(heap, vs, bucket);
	context_unlock(vs);
	return chunk;
}

void *vs_alloc_small(struct sh_heap *heap, size_t bytes, enum sh_kind kind, uint32_t tag)
{
	struct vs_request request = request_small(bytes);
	unsigned bucket = kind == SH_VS ? sh_bucket(bytes) : SH_BUCKETS;
	uint32_t word = sh_word((unsigned)kind + heap->type, SH_NOBODY, request.units);
	struct vs_context *vs = context_for(heap, bytes, kind);
	struct vs_chunk *chunk = vs_alloc(heap, vs, &request, bucket);

	/* What the page source cannot give the heap's may have. */
	if (!chunk && vs->owner) {
		vs = &heap->vs[0];
		chunk = vs_alloc(heap, vs, &request, bucket);
	}
	if (!chunk)
		return NULL;
	sh_header_write(&chunk->header, (uintptr_t)vs ^ heap->pool->cookie, word);
	sh_set_tag(&chunk->header, tag);
	return &chunk->header + 1;
}

void *vs_alloc_big(struct sh_heap *heap, size_t bytes, uint32_t tag)
{
	struct vs_request request = request_big(bytes);
	struct vs_chunk *chunk = vs_alloc(heap, &heap->vs[0], &request, SH_BUCKETS);

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
	if (!decode(pool, chunk, &sizes) || sizes.state == VS_FREE) {
		*corruption = (struct vs_corruption){ chunk, 3, chunk->encoded, 0,
						      "a chunk's header was overwritten: an "
						      "overrun of the block in front" };
		return false;
	}
	subsegment = subsegment_of(chunk, sizes.page);
	units = sizes.units;
	next = chunk_at(chunk, units);
	if (next != end_chunk(subsegment)) {
		if (!decode(pool, next, &other) || other.previous != units) {
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

		if (!decode(pool, before, &other) || other.units != sizes.previous) {
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
	if (units != sizes.units)
		next_tell(pool, subsegment, chunk, units);
	free_insert(pool, vs, chunk, units);
	return true;
}

/* A block of an LFH bucket that is not held any more. Under the lock. */
static void use_end(struct sh_heap *heap, struct vs_context *vs, const struct sh_header *header)
{
	unsigned bucket = sh_bucket((size_t)sh_index(header) * SH_UNIT_BYTES - VS_SMALL_BYTES);

	if (bucket < heap->pool->lfh_buckets)
		lfh_note_free(&vs->use[bucket]);
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
	context_unlock(vs);
	if (!is_sound)
		corruption_stop(heap->pool, &corruption);
	while (empties) {
		struct vs_subsegment *next = (struct vs_subsegment *)empties->links.next;

		seg_free(heap, empties);
		empties = next;
	}
	return is_sound;
}

/* Takes in what others freed of a processor's context. */
static void remote_take(struct sh_heap *heap, struct vs_context *vs)
{
	struct sh_header *header;

	if (!atomic_load_explicit(&vs->remote, memory_order_relaxed))
		return;
	header = atomic_exchange_explicit(&vs->remote, NULL, memory_order_acquire);
	while (header) {
		struct sh_header *next = *sh_link(header);

		*sh_link(header) = vs->delayed;
		vs->delayed = header;
		vs->delayed_count++;
		use_end(heap, vs, header);
		header = next;
	}
}

static bool context_flush(struct sh_heap *heap, struct vs_context *vs)
{
	context_lock(vs);
	remote_take(heap, vs);
	if (vs->delayed)
		return delayed_free(heap, vs);
	context_unlock(vs);
	return false;
}

bool vs_flush(struct sh_heap *heap, const struct sh_processor *processor)
{
	bool any = context_flush(heap, &heap->vs[0]);

	if (processor && heap->vs_count > 1)
		any |= context_flush(heap, &heap->vs[1 + processor->number]);
	return any;
}

/* Frees a chunk under the lock, which it gives up. */
static void chunk_free_now(struct sh_heap *heap, struct vs_context *vs, struct vs_chunk *chunk)
{
	struct vs_corruption corruption;
	struct vs_subsegment *empty;
	bool is_sound = chunk_free(heap, vs, chunk, &empty, &corruption);

	context_unlock(vs);
	if (!is_sound)
		corruption_stop(heap->pool, &corruption);
	else if (empty)
		seg_free(heap, empty);
}

static bool is_context(const struct sh_heap *heap, const struct vs_context *vs)
{
	uintptr_t offset = (uintptr_t)vs - (uintptr_t)heap->vs;

	return offset < heap->vs_count * sizeof(*vs) && offset % sizeof(*vs) == 0;
}

/* For another processor's context to take in. */
static void remote_put(struct vs_context *vs, struct sh_header *header)
{
	struct sh_header *head = atomic_load_explicit(&vs->remote, memory_order_relaxed);

	do
		*sh_link(header) = head;
	while (!atomic_compare_exchange_weak_explicit(&vs->remote, &head, header,
						      memory_order_release, memory_order_relaxed));
}

void vs_free_small(struct sh_heap *heap, struct sh_header *header)
{
	const struct sh_options *options = &heap->pool->options;
	size_t chunk_bytes = (size_t)sh_index(header) * SH_UNIT_BYTES;
	struct vs_context *vs = &heap->vs[0];

	/* What no list can have kept still leads to its context. */
	if (chunk_bytes - VS_SMALL_BYTES <= SH_LOOKASIDE_MIN) {
		vs = (struct vs_context *)sh_target(header, heap->pool->cookie);
		if (!is_context(heap, vs)) {
			sh_stop(heap->pool, 0x19, 0x20, header + 1, header->word, header->target,
				"the header does not lead to where it should: overwritten");
			return;
		}
	}
	if (vs->owner && vs->owner != sh_current(heap->pool)) {
		sh_set_kind(header, SH_DELAYED);
		remote_put(vs, header);
		return;
	}
	context_lock(vs);
	if (sh_kind(header) == SH_VS)
		use_end(heap, vs, header);
	if (!options->vs_delay || chunk_bytes >= options->vs_delay_max) {
		sh_set_kind(header, SH_FREE);
		chunk_free_now(heap, vs, vs_chunk_of(header));
		return;
	}
	sh_set_kind(header, SH_DELAYED);
	*sh_link(header) = vs->delayed;
	vs->delayed = header;
	if (++vs->delayed_count < options->vs_delay) {
		context_unlock(vs);
		return;
	}
	remote_take(heap, vs);
	delayed_free(heap, vs);
}

void vs_free_big(struct sh_heap *heap, void *block)
{
	context_lock(&heap->vs[0]);
	chunk_free_now(heap, &heap->vs[0], vs_big_chunk_of(block));
}

void vs_init(struct vs_context *vs, struct sh_processor *owner)
{
	vs->owner = owner;
	for (unsigned units = 0; units < VS_BINS; units++)
		sh_links_init(&vs->bins[units]);
	sh_links_init(&vs->subsegments);
}
