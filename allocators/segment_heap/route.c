/*
 * Who serves a request, and where a block goes back to.
 *
 *     alloc: units of 16 bytes -> front_of[] -> front (a slot of the LFH, or a lookaside list)
 *            the first of its chain: its header gets the tag and is live -> done
 *            no chain, or no front for the size -> the slow ways, layer by layer
 *     free:  header: tag, kind, owner: one comparison -> target -> a list: pushed
 *                                                               -> an LFH subsegment: the bit is set
 *            page-aligned -> the segment's descriptors
 *            not this processor's -> handed over (LFH), or kept by a list of this processor (VS)
 *
 * Sizes come in no order that a branch could guess, so neither way has a branch between the layers: a free computes
 * what it writes for either and masks one. Both call nothing but in tail position, so that the common case needs no
 * frame.
 */
#include <errno.h>

#include "segment_heap.h"

/* A VS block that leaves less than this of its last page is better a page range. */
#define VS_TAIL_MIN (POOL_OS_PAGE / 16)

/* What a thread that entered no pool stands for: a processor of none. Never written. */
static struct sh_processor outsider;
static _Thread_local struct sh_processor *current = &outsider;

struct sh_processor *sh_current(const struct pool *pool)
{
	return current->pool == pool ? current : NULL;
}

int sh_thread_enter(struct pool *pool, unsigned processor)
{
	if (processor >= pool->processor_count)
		return -EINVAL;
	current = &pool->processors[processor];
	return 0;
}

void sh_thread_exit(struct pool *pool)
{
	struct sh_processor *processor = sh_current(pool);

	if (processor) {
		lfh_post(processor);
		for (unsigned type = 0; type < POOL_TYPES; type++)
			vs_flush(&pool->heaps[type], processor);
	}
	current = &outsider;
}

/* ---- alloc ---- */

static bool has_lookaside(size_t bytes)
{
	return bytes - (SH_LOOKASIDE_MIN + 1) <= SH_LOOKASIDE_MAX - (SH_LOOKASIDE_MIN + 1);
}

/* A page and more: page-aligned, without a pool header. */
static void *alloc_big(struct sh_heap *heap, size_t bytes, uint32_t tag)
{
	size_t tail;

	if (bytes < POOL_OS_PAGE)
		bytes = POOL_OS_PAGE;
	if (bytes > seg_reach(&heap->segments[1]))
		return large_alloc(heap, bytes, tag);
	tail = -bytes & (POOL_OS_PAGE - 1);
	if (bytes <= heap->pool->options.vs_max && tail >= VS_TAIL_MIN)
		return vs_alloc_big(heap, bytes, tag);
	return seg_alloc(heap, bytes, SEG_PAGES, tag);
}

/*
 * No memory: what the lookaside lists keep may be what is missing. Whether another try is worth it.
 */
static bool lookaside_reclaim(struct sh_heap *heap)
{
	struct sh_processor *processor = sh_current(heap->pool);
	bool any = lookaside_flush(heap, &heap->shared_lookasides);

	if (processor) {
		lfh_post(processor);
		any |= lookaside_flush(heap, &processor->lookasides[heap->type]);
	}
	return any;
}

/* The lists that the calling thread uses, or NULL. */
static struct sh_lookasides *lookasides_of(struct sh_heap *heap)
{
	struct sh_processor *processor = sh_current(heap->pool);

	if (heap->pool->options.lookaside == SH_LOOKASIDE_SHARED)
		return &heap->shared_lookasides;
	if (heap->pool->options.lookaside == SH_LOOKASIDE_PROCESSOR && processor)
		return &processor->lookasides[heap->type];
	return NULL;
}

static void *alloc_small(struct sh_heap *heap, size_t bytes, uint32_t tag)
{
	struct sh_processor *processor = sh_current(heap->pool);
	struct sh_lookasides *lookasides = lookasides_of(heap);
	void *block;

	if (processor && bytes <= processor->lfh_bytes) {
		block = lfh_alloc_slow(heap->pool, processor, heap->type, sh_bucket(bytes), tag);
		if (block)
			return block;
	}
	if (has_lookaside(bytes) && heap->pool->options.lookaside != SH_LOOKASIDE_OFF) {
		block = lookasides ? lookaside_pop(heap, lookasides, sh_bucket(bytes), tag) : NULL;
		if (block)
			return block;
		bytes = sh_bucket_bytes(sh_bucket(bytes));
	}
	return vs_alloc_small(heap, bytes, SH_VS, tag);
}

/* What a processor does now and then. */
static void tick(struct pool *pool, struct sh_processor *processor)
{
	processor->until = SH_TICK;
	for (unsigned type = 0; type < POOL_TYPES; type++)
		lookaside_step(&pool->heaps[type], &processor->lookasides[type], SH_TICK);
}

static __attribute__((noinline)) void *alloc_slow(struct pool *pool, enum pool_type type,
						  size_t bytes, uint32_t tag)
{
	struct sh_heap *heap = &pool->heaps[type];
	bool is_small = bytes <= SH_SMALL_BYTES_MAX;
	void *block;

	if (current->pool == pool && !current->until)
		tick(pool, current);
	block = is_small ? alloc_small(heap, bytes, tag) : alloc_big(heap, bytes, tag);

	if (!block) {
		bool any = vs_flush(heap, sh_current(pool));

		any |= lookaside_reclaim(heap);
		if (any)
			block = is_small ? alloc_small(heap, bytes, tag)
					 : alloc_big(heap, bytes, tag);
	}
	return block;
}

void *sh_alloc(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	struct sh_processor *processor = current;
	struct sh_header *header;
	struct sh_front *front;

	if (__builtin_expect(processor->pool != pool || bytes > SH_SMALL_BYTES_MAX, 0))
		return alloc_slow(pool, type, bytes, tag);
	front = &processor->fronts_of[type][processor->front_of[(bytes + SH_UNIT_BYTES - 1) /
								SH_UNIT_BYTES]];
	header = front->next;
	if (__builtin_expect(!header || --processor->until == 0, 0))
		return alloc_slow(pool, type, bytes, tag);
	return front_take(front, header, tag);
}

/* ---- free ---- */

/* What an aligned address is. */
struct big_block {
	struct sh_heap *heap; /* NULL: in neither source */
	enum { BIG_NONE, BIG_FREE, BIG_VS, BIG_RANGE, BIG_LARGE } place;
	size_t bytes;
	uint32_t tag;
};

static struct sh_heap *heap_of(struct pool *pool, const void *address)
{
	for (unsigned type = 0; type < POOL_TYPES; type++)
		if (page_source_contains(pool->heaps[type].source, address))
			return &pool->heaps[type];
	return NULL;
}

/* Reads only what does not change while the block is live. */
static struct big_block big_find(struct pool *pool, const void *block)
{
	struct big_block big = { .heap = heap_of(pool, block), .place = BIG_NONE };
	const struct seg_context *context;
	const struct seg_segment *segment;
	const struct seg_descriptor *descriptor;
	size_t offset;

	if (!big.heap)
		return big;
	segment = seg_find(big.heap, block, &context);
	if (!segment) {
		struct large_block large;

		if (large_find(big.heap, block, &large)) {
			big.place = BIG_LARGE;
			big.bytes = large.bytes;
			big.tag = large.tag;
		}
		return big;
	}
	offset = (size_t)((const char *)block - (const char *)segment);
	descriptor = &segment->descriptors[offset >> context->unit_shift];
	if (offset >> context->unit_shift < context->first_unit)
		return big;
	if (descriptor->kind == SEG_FREE) {
		big.place = BIG_FREE;
	} else if (descriptor->kind == SEG_VS) {
		big.place = BIG_VS;
		big.bytes = (size_t)vs_big_chunk_of(block)->units * SH_UNIT_BYTES;
		big.tag = vs_big_chunk_of(block)->tag;
	} else if (descriptor->kind == SEG_PAGES && !descriptor->back &&
		   !(offset & (((size_t)1 << context->unit_shift) - 1))) {
		big.place = BIG_RANGE;
		big.bytes = (size_t)descriptor->units << context->unit_shift;
		big.tag = descriptor->block.tag;
	}
	return big;
}

static __attribute__((noinline)) void free_big(struct pool *pool, void *block, uint32_t tag)
{
	struct big_block big = big_find(pool, block);

	if (big.place > BIG_FREE && big.tag != tag)
		sh_stop(pool, 0xC2, 0xA, block, big.tag, tag,
			"freed a block with another tag than it was allocated with");
	else if (big.place == BIG_VS)
		vs_free_big(big.heap, block);
	else if (big.place == BIG_RANGE)
		seg_free(big.heap, block);
	else if (big.place == BIG_FREE)
		sh_stop(pool, 0xC2, 7, block, 0, 0, "freed a block that is free already");
	else if (big.place == BIG_NONE)
		sh_stop(pool, 0xC2, big.heap || !block ? 0x46 : 0x99, block, 0, 0,
			"freed an address that is no block of this pool");
	else if (!large_free(big.heap, block))
		sh_stop(pool, 0xC2, 7, block, 0, 0, "freed a block that is free already");
}

/* Names what is wrong with a small block that free refused. */
static __attribute__((noinline)) void free_refuse(struct pool *pool, const struct sh_header *header,
						  uint32_t tag)
{
	const void *block = header + 1;
	unsigned kind;

	if (!heap_of(pool, block)) {
		sh_stop(pool, 0xC2, 0x99, block, 0, 0, "freed an address outside of both pools");
		return;
	}
	kind = sh_kind(header);
	if (kind == SH_FREE || kind == SH_RETURNED || kind == SH_CACHED || kind == SH_DELAYED ||
	    kind == SH_REMOTE)
		sh_stop(pool, 0xC2, 7, block, sh_tag(header), 0,
			"freed a block that is free already");
	else if (kind != SH_LFH && kind != SH_VS)
		sh_stop(pool, 0x19, 0x20, block, kind, 0,
			"the header is no block's: overwritten, or no pool block");
	else if (sh_tag(header) != tag)
		sh_stop(pool, 0xC2, 0xA, block, sh_tag(header), tag,
			"freed a block with another tag than it was allocated with");
	else
		sh_stop(pool, 0x19, 0x20, block, header->word, header->target,
			"the header does not lead to where it should: overwritten");
}

/* A chunk: to a list of this processor or of all, or down. */
static void free_vs(struct pool *pool, struct sh_header *header)
{
	struct sh_heap *heap = &pool->heaps[sh_type(header)];
	struct sh_lookasides *lookasides = lookasides_of(heap);
	unsigned units = sh_index(header), bucket = 0;

	if (lookasides && units <= SH_CHUNK_UNITS_MAX)
		bucket = pool->bucket_of_chunk[units];
	if (!bucket || !lookaside_push(lookasides, bucket, header))
		vs_free_small(heap, header);
}

/* Whether a header that nobody else may write leads to a place that is one. */
static bool leads_home(const struct pool *pool, const struct sh_header *header)
{
	uint64_t key = sh_place_key(header, header->word);

	return !((key ^ pool->cookie) >> SH_ADDRESS_BITS) &&
	       ((const struct sh_place *)(key ^ pool->cookie))->key == key;
}

/* All that is not a block of this processor's own that only needs its bit or its list. */
static __attribute__((noinline)) void free_other(struct pool *pool, struct sh_header *header,
						 uint32_t tag)
{
	unsigned kind = sh_kind(header), owner = sh_owner(header);
	struct sh_processor *processor = sh_current(pool);
	bool is_mine = processor && owner == processor->number;

	if (sh_tag(header) != tag || (kind != SH_LFH && kind != SH_VS)) {
		free_refuse(pool, header, tag);
	} else if (kind == SH_VS && !is_mine) {
		free_vs(pool, header); /* another's list is not asked: this processor's keeps it */
	} else if (!is_mine && owner < pool->processor_count) {
		/* Its subsegment is in the owner's cache, and stays there. */
		if (sh_target(header, pool->cookie) >> SH_ADDRESS_BITS)
			free_refuse(pool, header, tag);
		else
			lfh_free_remote(pool, processor, header);
	} else if ((!is_mine && owner != SH_NOBODY) || !leads_home(pool, header)) {
		free_refuse(pool, header, tag);
	} else if (kind == SH_VS) {
		free_vs(pool, header);
	} else if (is_mine) {
		lfh_free_slow(pool, header);
	} else {
		lfh_free_shared(pool, header);
	}
}

void sh_free(struct pool *pool, void *block, uint32_t tag)
{
	struct sh_header *header = sh_header_of(block);
	struct sh_processor *processor = current;
	uint64_t word, live, key, is_list, was, *at;
	struct sh_place *place;

	if (__builtin_expect(sh_page_aligned(block), 0)) {
		free_big(pool, block, tag);
		return;
	}
	word = header->word;
	live = (uint64_t)tag << SH_TAG_SHIFT | processor->live;
	key = sh_place_key(header, word);
	place = (struct sh_place *)(key ^ processor->cookie);
	if (__builtin_expect(((word ^ live) & SH_LIVE_MASK) != 0 || processor->pool != pool ||
				     (uintptr_t)place >> SH_ADDRESS_BITS != 0 ||
				     place->key != key || place->room == place->used,
			     0)) {
		free_other(pool, header, tag);
		return;
	}
	place->room--;
	header->word = word ^ SH_FREED_BITS;
	is_list = front_list_mask(word);
	at = &place->words[(word & 0xFFF & ~is_list) / 64];
	was = *at;
	/* Either way the word goes to the block: a list's is the link, the LFH's no harm. */
	*sh_link(header) = (struct sh_header *)was;
	*at = ((was | 1ull << word % 64) & ~is_list) | ((uintptr_t)header & is_list);
}

/* ---- queries ---- */

size_t sh_block_bytes(struct pool *pool, const void *block)
{
	const struct sh_header *header = sh_header_of(block);
	const struct lfh_subsegment *subsegment;

	if (sh_page_aligned(block))
		return big_find(pool, block).bytes;
	if (sh_kind(header) != SH_LFH)
		return (size_t)sh_index(header) * SH_UNIT_BYTES;
	subsegment = lfh_subsegment_of(header, pool->cookie);
	return subsegment->stride;
}

int sh_tag_of(struct pool *pool, const void *block, uint32_t *tag)
{
	struct big_block big;

	if (!sh_page_aligned(block)) {
		*tag = sh_tag(sh_header_of(block));
		return 0;
	}
	big = big_find(pool, block);
	if (big.place <= BIG_FREE)
		return -ENODATA;
	*tag = big.tag;
	return 0;
}
