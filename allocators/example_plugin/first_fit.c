/*
 * first-fit: the example of a plugin. Sequential fit with boundary tags (Knuth, The Art of Computer
 * Programming, vol. 1, 2.5, algorithms A and C): small enough to be read in one go, complete enough to pass the
 * conformance suite.
 *
 *     region: | struct region | tag | bytes ... | tag | bytes ... | ... | end tag |
 *     tag:    | units | units before | caller's tag | used |      16 bytes, in front of each block
 *     free:   | tag | next, previous free | unused ...     |
 *
 * A pool type has a list of regions, each one run of its page source, and one list of free blocks, newest
 * first. alloc takes the first block that fits (or the best, by option) and splits off what is over; free
 * merges with both neighbours, which it finds in constant time by `units` and `units_before`. A free
 * block's neighbours are thus always in use.
 *
 * Concurrency: one mutex a pool type guards its lists and all its tags. It does not scale, and says so.
 * Bounds: alloc is linear in the number of free blocks, free is constant. 16 bytes a block; at least 32.
 * Capabilities: everything but the page rules: a block of a page is aligned to 16 bytes as any other.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

#include <poolbench/options.h>
#include <poolbench/pages.h>
#include <poolbench/pool.h>

#define UNIT       16u
#define MOST_UNITS ((size_t)UINT32_MAX - 16)

struct tag {
	uint32_t units; /* of this block, tag included; 0: the end of the region */
	uint32_t units_before; /* of the block in front; 0: the first of the region */
	uint32_t caller_tag;
	uint32_t used;
};

struct free_block {
	struct tag tag;
	struct free_block *next, *previous;
};

struct region {
	struct region *next, *previous;
	size_t bytes;
	size_t padding; /* keeps the blocks behind it aligned */
};

struct arena {
	pthread_mutex_t lock;
	enum pool_type type;
	struct page_source *pages;
	struct region *regions;
	struct free_block *free;
	uint64_t allocs, frees, steps, splits, merges, grown, given;
};

struct first_fit_options {
	size_t grow;
	int fit;
};

enum { FIT_FIRST, FIT_BEST };
static const char *const fit_names[] = { "first", "best", NULL };

static const struct option_def first_fit_option_table[] = {
	OPTION_SIZE(struct first_fit_options, grow, "256K", 4096, 64 << 20,
		    "least bytes of a region"),
	OPTION_ENUM(struct first_fit_options, fit, "first", fit_names, "which free block is taken"),
	OPTION_END,
};

struct pool {
	size_t own_bytes;
	struct first_fit_options options;
	void (*stop)(void *stop_arg, const struct pool_stop *stop);
	void *stop_arg;
	struct arena arenas[POOL_TYPES];
};

/* ------------------------------------------------------------------------------------------------
 * Blocks and regions. Everything here is called with the arena's lock held, or at a quiet point.
 */

static struct tag *tag_of_block(const void *block)
{
	return (struct tag *)(uintptr_t)block - 1;
}

static struct tag *tag_behind(struct tag *tag)
{
	return tag + tag->units; /* a tag is one unit */
}

static struct tag *tag_before(struct tag *tag)
{
	return tag - tag->units_before;
}

static struct tag *region_first(struct region *region)
{
	return (struct tag *)(region + 1);
}

static struct tag *region_end(struct region *region)
{
	return (struct tag *)((char *)region + region->bytes) - 1;
}

static void list_push(struct arena *arena, struct tag *tag)
{
	struct free_block *block = (struct free_block *)tag;

	tag->used = 0;
	block->previous = NULL;
	block->next = arena->free;
	if (block->next)
		block->next->previous = block;
	arena->free = block;
}

static void list_remove(struct arena *arena, struct tag *tag)
{
	struct free_block *block = (struct free_block *)tag;

	if (block->next)
		block->next->previous = block->previous;
	if (block->previous)
		block->previous->next = block->next;
	else
		arena->free = block->next;
}

/* A new region with one free block of at least `units`; false when the page source refuses. */
static bool arena_grow(struct arena *arena, size_t units, size_t least)
{
	size_t bytes = sizeof(struct region) + (units + 1) * UNIT;
	struct region *region;
	struct tag *first, *end;

	bytes = page_source_round_up(arena->pages, bytes < least ? least : bytes);
	region = page_source_take(arena->pages, bytes, 0);
	if (!region)
		return false;
	*region = (struct region){ .next = arena->regions, .bytes = bytes };
	if (region->next)
		region->next->previous = region;
	arena->regions = region;
	first = region_first(region);
	end = region_end(region);
	*first = (struct tag){ .units = (uint32_t)(end - first) };
	*end = (struct tag){ .units_before = first->units, .used = 1 };
	list_push(arena, first);
	arena->grown++;
	return true;
}

static void arena_give(struct arena *arena, struct region *region)
{
	if (region->next)
		region->next->previous = region->previous;
	if (region->previous)
		region->previous->next = region->next;
	else
		arena->regions = region->next;
	arena->given++;
	page_source_give(arena->pages, region, region->bytes);
}

static struct tag *arena_find(struct arena *arena, size_t units, int fit)
{
	struct free_block *found = NULL;

	for (struct free_block *block = arena->free; block; block = block->next) {
		arena->steps++;
		if (block->tag.units < units || (found && block->tag.units >= found->tag.units))
			continue;
		found = block;
		if (fit == FIT_FIRST || block->tag.units == units)
			break;
	}
	return found ? &found->tag : NULL;
}

/* Takes `units` from the front of a free block; what is over stays free if it can hold a block. */
static void block_take(struct arena *arena, struct tag *tag, size_t units)
{
	size_t over = tag->units - units;

	list_remove(arena, tag);
	if (over >= sizeof(struct free_block) / UNIT) {
		struct tag *rest = tag + units;

		tag->units = (uint32_t)units;
		*rest = (struct tag){ .units = (uint32_t)over, .units_before = (uint32_t)units };
		tag_behind(rest)->units_before = (uint32_t)over;
		list_push(arena, rest);
		arena->splits++;
	}
	tag->used = 1;
}

/* Frees a block and merges it with the free ones beside it; returns the whole. */
static struct tag *block_merge(struct arena *arena, struct tag *tag)
{
	struct tag *behind = tag_behind(tag);

	if (!behind->used) {
		list_remove(arena, behind);
		tag->units += behind->units;
		arena->merges++;
	}
	if (tag->units_before && !tag_before(tag)->used) {
		struct tag *before = tag_before(tag);

		list_remove(arena, before);
		before->units += tag->units;
		tag = before;
		arena->merges++;
	}
	tag_behind(tag)->units_before = tag->units;
	list_push(arena, tag);
	return tag;
}

/* ------------------------------------------------------------------------------------------------
 * The contract's hooks.
 */

static int first_fit_create(const struct pool_config *config, struct pool **out)
{
	struct page_source *pages = config->pages[POOL_NONPAGED];
	size_t own_bytes = page_source_round_up(pages, sizeof(struct pool));
	struct pool *pool = page_source_take(pages, own_bytes, 0);

	if (!pool)
		return -ENOMEM;
	*pool = (struct pool){
		.own_bytes = own_bytes,
		.options = *(const struct first_fit_options *)config->values,
		.stop = config->stop,
		.stop_arg = config->stop_arg,
	};
	for (int type = 0; type < POOL_TYPES; type++) {
		pthread_mutex_init(&pool->arenas[type].lock, NULL);
		pool->arenas[type].type = (enum pool_type)type;
		pool->arenas[type].pages = config->pages[type];
	}
	*out = pool;
	return 0;
}

static void first_fit_destroy(struct pool *pool)
{
	if (!pool)
		return;
	for (int type = 0; type < POOL_TYPES; type++) {
		struct arena *arena = &pool->arenas[type];

		while (arena->regions)
			arena_give(arena, arena->regions);
		pthread_mutex_destroy(&arena->lock);
	}
	page_source_give(pool->arenas[POOL_NONPAGED].pages, pool, pool->own_bytes);
}

static void *first_fit_alloc(struct pool *pool, enum pool_type type, size_t bytes,
			     uint32_t caller_tag)
{
	struct arena *arena = &pool->arenas[type];
	size_t units = (bytes - 1) / UNIT + 2;
	struct tag *tag;

	if (units > MOST_UNITS)
		return NULL;
	pthread_mutex_lock(&arena->lock);
	tag = arena_find(arena, units, pool->options.fit);
	if (!tag && arena_grow(arena, units, pool->options.grow))
		tag = &arena->free->tag;
	if (tag) {
		block_take(arena, tag, units);
		tag->caller_tag = caller_tag;
		arena->allocs++;
	}
	pthread_mutex_unlock(&arena->lock);
	return tag ? tag + 1 : NULL;
}

/* The arena whose page source a block lies in. */
static struct arena *arena_of(struct pool *pool, const void *block)
{
	return &pool->arenas[page_source_contains(pool->arenas[POOL_PAGED].pages, block)
				     ? POOL_PAGED
				     : POOL_NONPAGED];
}

static void stop_bad_block(struct pool *pool, const void *block, const struct tag *tag)
{
	const struct pool_stop stop = {
		.code = tag->used ? 0x19 : 0xC2,
		.arguments = { tag->used ? 5 : 7, (uintptr_t)block, tag->units, tag->caller_tag },
		.text = tag->used ? "the tags of two neighbours disagree: something wrote past a "
				    "block"
				  : "a block is freed that is free",
	};

	pool->stop(pool->stop_arg, &stop);
}

static void first_fit_free(struct pool *pool, void *block, uint32_t caller_tag)
{
	struct arena *arena = arena_of(pool, block);
	struct tag *tag = tag_of_block(block);

	(void)caller_tag;
	pthread_mutex_lock(&arena->lock);
	if (!tag->used || tag_behind(tag)->units_before != tag->units) {
		pthread_mutex_unlock(&arena->lock);
		stop_bad_block(pool, block, tag);
		return;
	}
	block_merge(arena, tag);
	arena->frees++;
	pthread_mutex_unlock(&arena->lock);
}

/* Without the lock: a live block's units do not change. */
static size_t first_fit_block_bytes(struct pool *pool, const void *block)
{
	(void)pool;
	return (size_t)tag_of_block(block)->units * UNIT;
}

static int first_fit_tag_of(struct pool *pool, const void *block, uint32_t *tag)
{
	(void)pool;
	*tag = tag_of_block(block)->caller_tag;
	return 0;
}

static size_t first_fit_trim(struct pool *pool)
{
	size_t given = 0;

	for (int type = 0; type < POOL_TYPES; type++) {
		struct arena *arena = &pool->arenas[type];
		struct region *next;

		for (struct region *region = arena->regions; region; region = next) {
			struct tag *first = region_first(region);

			next = region->next;
			if (first->used || tag_behind(first) != region_end(region))
				continue;
			given += region->bytes;
			list_remove(arena, first);
			arena_give(arena, region);
		}
	}
	return given;
}

/* ------------------------------------------------------------------------------------------------
 * Looking inside, at quiet points.
 */

struct walk {
	pool_visit visit;
	void *arg;
	struct arena *arena;
};

static int visit_bytes(const struct walk *walk, const void *start, size_t bytes,
		       enum pool_range_kind kind)
{
	const struct pool_range range = {
		.start = start, .bytes = bytes, .kind = kind, .type = walk->arena->type
	};

	return bytes ? walk->visit(walk->arg, &range) : 0;
}

/* A free block: the whole pool pages in it are told apart from what shares a page with something else. */
static int visit_free(const struct walk *walk, const struct tag *tag)
{
	const uintptr_t mask = walk->arena->pages->page_size - 1;
	const uintptr_t start = (uintptr_t)tag, end = start + (uintptr_t)tag->units * UNIT;
	const uintptr_t first = (start + mask) & ~mask, last = end & ~mask;
	int result;

	if (first >= last)
		return visit_bytes(walk, tag, end - start, POOL_RANGE_FREE);
	result = visit_bytes(walk, tag, first - start, POOL_RANGE_FREE);
	if (!result)
		result = visit_bytes(walk, (void *)first, last - first, POOL_RANGE_FREE_PAGES);
	if (!result)
		result = visit_bytes(walk, (void *)last, end - last, POOL_RANGE_FREE);
	return result;
}

static int visit_used(const struct walk *walk, const struct tag *tag)
{
	const struct pool_range range = {
		.start = tag,
		.bytes = (size_t)tag->units * UNIT,
		.kind = POOL_RANGE_USED,
		.type = walk->arena->type,
		.tag = tag->caller_tag,
		.header_bytes = sizeof(*tag),
		.block = tag + 1,
	};

	return walk->visit(walk->arg, &range);
}

static int visit_region(const struct walk *walk, struct region *region)
{
	struct tag *end = region_end(region);
	int result = visit_bytes(walk, region, sizeof(*region), POOL_RANGE_METADATA);

	for (struct tag *tag = region_first(region); tag != end && !result; tag = tag_behind(tag))
		result = tag->used ? visit_used(walk, tag) : visit_free(walk, tag);
	return result ? result : visit_bytes(walk, end, sizeof(*end), POOL_RANGE_METADATA);
}

static int first_fit_walk(struct pool *pool, pool_visit visit, void *arg)
{
	struct walk walk = { visit, arg, &pool->arenas[POOL_NONPAGED] };
	int result = visit_bytes(&walk, pool, pool->own_bytes, POOL_RANGE_METADATA);

	for (int type = 0; type < POOL_TYPES; type++) {
		walk.arena = &pool->arenas[type];
		for (struct region *region = walk.arena->regions; region && !result;
		     region = region->next)
			result = visit_region(&walk, region);
	}
	return result;
}

/* Free blocks of a region, or -1 where its tags contradict each other. */
static long check_region(struct region *region)
{
	uint32_t units_before = 0;
	bool free_before = false;
	long count = 0;
	struct tag *tag = region_first(region), *end = region_end(region);

	for (; tag < end; tag = tag_behind(tag)) {
		if (tag->units_before != units_before || !tag->units || (free_before && !tag->used))
			return -1;
		free_before = !tag->used;
		count += free_before;
		units_before = tag->units;
	}
	return tag == end && end->used && end->units_before == units_before ? count : -1;
}

static int first_fit_check(struct pool *pool, char *why, size_t why_bytes)
{
	for (int type = 0; type < POOL_TYPES; type++) {
		struct arena *arena = &pool->arenas[type];
		long found = 0, listed = 0;

		for (struct region *region = arena->regions; region; region = region->next) {
			long count = check_region(region);

			if (count < 0) {
				if (why)
					snprintf(why, why_bytes, "the tags of region %p disagree",
						 (void *)region);
				return -EUCLEAN;
			}
			found += count;
		}
		for (struct free_block *block = arena->free; block; block = block->next)
			listed++;
		if (found != listed) {
			if (why)
				snprintf(why, why_bytes, "%ld free blocks, %ld in the list", found,
					 listed);
			return -EUCLEAN;
		}
	}
	return 0;
}

static void first_fit_counters(struct pool *pool, pool_counter_visit visit, void *arg)
{
	const struct arena *n = &pool->arenas[POOL_NONPAGED], *p = &pool->arenas[POOL_PAGED];

	visit(arg, "allocs", "blocks handed out", n->allocs + p->allocs);
	visit(arg, "frees", "blocks taken back", n->frees + p->frees);
	visit(arg, "search_steps", "free blocks looked at", n->steps + p->steps);
	visit(arg, "splits", "blocks cut in two", n->splits + p->splits);
	visit(arg, "merges", "neighbours joined", n->merges + p->merges);
	visit(arg, "regions_taken", "runs taken from the page sources", n->grown + p->grown);
	visit(arg, "regions_given", "runs given back", n->given + p->given);
}

const struct pool_backend pool_backend = {
	.abi = POOL_ABI,
	.caps = POOL_CAP_NATIVE | POOL_CAP_RESIDENT | POOL_CAP_GLOBAL_LOCK | POOL_CAP_TAGS |
		POOL_CAP_TRIM | POOL_CAP_WALK | POOL_CAP_CHECK | POOL_CAP_COUNTERS,
	.name = "first-fit",
	.summary = "example plugin: first fit with boundary tags under one lock",
	.options = first_fit_option_table,
	.options_bytes = sizeof(struct first_fit_options),
	.create = first_fit_create,
	.destroy = first_fit_destroy,
	.alloc = first_fit_alloc,
	.free = first_fit_free,
	.block_bytes = first_fit_block_bytes,
	.trim = first_fit_trim,
	.walk = first_fit_walk,
	.check = first_fit_check,
	.tag_of = first_fit_tag_of,
	.counters = first_fit_counters,
};
