/* Checks of what a backend tells about itself: walk tiles what is committed, counters only rise. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "conformance.h"

struct ranges {
	struct pool_range *at;
	size_t count, room;
};

static int collect(void *arg, const struct pool_range *range)
{
	struct ranges *ranges = arg;

	if (ranges->count == ranges->room) {
		ranges->room = ranges->room ? ranges->room * 2 : 1024;
		ranges->at = realloc(ranges->at, ranges->room * sizeof(*ranges->at));
		if (!ranges->at)
			violated("suite", "out of memory");
	}
	ranges->at[ranges->count++] = *range;
	return 0;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct pool_range *left = a, *right = b;

	return ((uintptr_t)left->start > (uintptr_t)right->start) -
	       ((uintptr_t)left->start < (uintptr_t)right->start);
}

static int compare_blocks(const void *a, const void *b)
{
	const struct block *left = a, *right = b;

	return (left->at > right->at) - (left->at < right->at);
}

/* A used range must be one of the live blocks, wholly inside it and with its facts. */
static void check_used(struct suite *suite, const struct pool_range *range,
		       const struct block *blocks, size_t count)
{
	const struct block key = { .at = (char *)(uintptr_t)range->block };
	const struct block *block = bsearch(&key, blocks, count, sizeof(*blocks), compare_blocks);
	const char *start = range->start;

	if (!block)
		violated("walk", "a used range at %p of block %p, which is not live", range->start,
			 range->block);
	if (block->at < start || block->at + block->bytes > start + range->bytes)
		violated("walk", "the used range at %p does not hold its block of %zu bytes at %p",
			 range->start, block->bytes, (void *)block->at);
	if (range->bytes < block->bytes + range->header_bytes)
		violated("walk", "a used range of %zu bytes: header %u, block %zu", range->bytes,
			 range->header_bytes, block->bytes);
	if (range->bytes != suite->ops->block_bytes(suite->pool, block->at))
		violated("walk",
			 "a used range of %zu bytes for a block of which block_bytes says %zu",
			 range->bytes, suite->ops->block_bytes(suite->pool, block->at));
	if (suite_has(suite, POOL_CAP_TAGS) && range->tag && range->tag != block->tag)
		violated("walk", "tag 0x%08x for a block of tag 0x%08x", range->tag, block->tag);
}

static void check_range(struct suite *suite, const struct pool_range *range)
{
	if (range->kind >= POOL_RANGE_KINDS || range->type >= POOL_TYPES)
		violated("walk", "a range of kind %d and type %d", (int)range->kind,
			 (int)range->type);
	if (range->bytes == 0)
		violated("walk", "an empty range at %p", range->start);
	if (!page_source_contains(suite->pages[range->type], range->start))
		violated("walk", "a range at %p outside its page source", range->start);
	if (!page_source_is_committed(suite->pages[range->type], range->start, range->bytes))
		violated("walk", "%zu bytes at %p (kind %d) are not committed", range->bytes,
			 range->start, (int)range->kind);
	if (range->kind != POOL_RANGE_USED && range->block)
		violated("walk", "a range of kind %d names a block", (int)range->kind);
}

/* Live blocks in a copy sorted by address. */
static struct block *sort_live(const struct block *blocks, size_t count, size_t *live)
{
	struct block *sorted = malloc((count ? count : 1) * sizeof(*sorted));

	if (!sorted)
		violated("suite", "out of memory");
	*live = 0;
	for (size_t i = 0; i < count; i++)
		if (blocks[i].at)
			sorted[(*live)++] = blocks[i];
	qsort(sorted, *live, sizeof(*sorted), compare_blocks);
	return sorted;
}

static void check_sums(struct suite *suite, const size_t sum[POOL_TYPES])
{
	for (int type = 0; type < POOL_TYPES; type++)
		if (sum[type] != suite_committed(suite, (enum pool_type)type))
			violated("walk", "%zu bytes in ranges, %zu committed (pool type %d)",
				 sum[type], suite_committed(suite, (enum pool_type)type), type);
}

void suite_walk(struct suite *suite, const struct block *blocks, size_t count)
{
	struct ranges ranges = { NULL, 0, 0 };
	size_t sum[POOL_TYPES] = { 0, 0 }, used = 0, live;
	struct block *sorted;

	if (!suite_has(suite, POOL_CAP_WALK | POOL_CAP_NATIVE) || suite_has(suite, POOL_CAP_FLOOR))
		return;
	sorted = sort_live(blocks, count, &live);
	if (suite->ops->walk(suite->pool, collect, &ranges) != 0)
		violated("walk", "returned what visit did not");
	if (ranges.count)
		qsort(ranges.at, ranges.count, sizeof(*ranges.at), compare_ranges);
	for (size_t i = 0; i < ranges.count; i++) {
		const struct pool_range *range = &ranges.at[i];

		check_range(suite, range);
		sum[range->type] += range->bytes;
		if (i && (const char *)range->start <
				 (const char *)ranges.at[i - 1].start + ranges.at[i - 1].bytes)
			violated("walk", "the ranges at %p (kind %d) and %p (kind %d) overlap",
				 ranges.at[i - 1].start, (int)ranges.at[i - 1].kind, range->start,
				 (int)range->kind);
		if (range->kind == POOL_RANGE_USED) {
			check_used(suite, range, sorted, live);
			used++;
		}
	}
	check_sums(suite, sum);
	if (used != live)
		violated("walk", "%zu used ranges for %zu live blocks", used, live);
	free(ranges.at);
	free(sorted);
}

static void walk_tiles_committed(struct suite *suite)
{
	const size_t count = suite_scale(suite, 8000);
	struct block *blocks = calloc(count, sizeof(*blocks));
	struct random random;

	random_seed(&random, 13);
	suite_open(suite);
	suite_walk(suite, blocks, 0);
	for (size_t i = 0; i < count; i++)
		block_take(suite, &blocks[i], (enum pool_type)(i % POOL_TYPES),
			   random_bytes(&random), random_next(&random));
	suite_walk(suite, blocks, count);
	for (size_t left = count; left >= count / 8; left /= 2) {
		/* Every other one by address goes, so that few pages become free as a whole. */
		qsort(blocks, left, sizeof(*blocks), compare_blocks);
		for (size_t i = 0; i < left / 2; i++) {
			block_give(suite, &blocks[2 * i]);
			blocks[i] = blocks[2 * i + 1];
		}
		if (left % 2)
			block_give(suite, &blocks[left - 1]);
		suite_walk(suite, blocks, left / 2);
	}
	suite_close(suite);
	free(blocks);
}

static void walk_is_empty_after_drain(struct suite *suite)
{
	struct block blocks[500];

	suite_open(suite);
	for (size_t i = 0; i < 500; i++)
		block_take(suite, &blocks[i], (enum pool_type)(i % POOL_TYPES), 1 + 37 * i, i);
	for (size_t i = 0; i < 500; i += 2)
		block_give(suite, &blocks[i]);
	for (size_t i = 1; i < 500; i += 2)
		block_give(suite, &blocks[i]);
	suite_walk(suite, blocks, 0);
	if (suite->ops->trim) {
		suite->ops->trim(suite->pool);
		suite_walk(suite, blocks, 0);
	}
	suite_close(suite);
}

static int stop_at_third(void *arg, const struct pool_range *range)
{
	(void)range;
	return ++*(int *)arg == 3 ? 77 : 0;
}

/* visit's word ends the walk and is what it returns. */
static void walk_can_be_ended(struct suite *suite)
{
	struct block blocks[16];
	int calls = 0, result;

	suite_open(suite);
	for (size_t i = 0; i < 16; i++)
		block_take(suite, &blocks[i], POOL_PAGED, 100 + i, i);
	result = suite->ops->walk(suite->pool, stop_at_third, &calls);
	if (result != 77 || calls != 3)
		violated("walk", "returned %d after %d calls when visit said 77 at the third",
			 result, calls);
	suite_close(suite);
}

enum { COUNTERS_MOST = 128 };

struct counters {
	const char *names[COUNTERS_MOST];
	uint64_t values[COUNTERS_MOST];
	size_t count;
};

static void count_one(void *arg, const char *name, const char *help, uint64_t value)
{
	struct counters *counters = arg;

	if (!name || !*name || !help || !*help)
		violated("counters", "one has no name or no help");
	for (const char *c = name; *c; c++)
		if (!islower((unsigned char)*c) && !isdigit((unsigned char)*c) && *c != '_')
			violated("counters", "'%s' is not lower_case", name);
	for (size_t i = 0; i < counters->count; i++)
		if (strcmp(counters->names[i], name) == 0)
			violated("counters", "'%s' comes twice", name);
	if (counters->count == COUNTERS_MOST)
		violated("counters", "more than %d", COUNTERS_MOST);
	counters->names[counters->count] = name;
	counters->values[counters->count++] = value;
}

static bool is_level(const char *name)
{
	return strncmp(name, POOL_COUNTER_LEVEL, strlen(POOL_COUNTER_LEVEL)) == 0;
}

/* Counts of events do not fall, and one of them moves while blocks come and go. Levels may stay or fall. */
static void counters_only_rise(struct suite *suite)
{
	struct counters before = { .count = 0 };
	bool moved = false, counts = false;

	suite_open(suite);
	suite->ops->counters(suite->pool, count_one, &before);
	for (size_t i = 0; i < before.count; i++)
		counts |= !is_level(before.names[i]);
	for (uint64_t round = 0; round < 4; round++) {
		struct counters after = { .count = 0 };
		struct block blocks[300];

		for (size_t i = 0; i < 300; i++)
			block_take(suite, &blocks[i], (enum pool_type)(i % POOL_TYPES), 1 + 31 * i,
				   i);
		for (size_t i = 0; i < 300; i++)
			block_give(suite, &blocks[i]);
		suite->ops->counters(suite->pool, count_one, &after);
		if (after.count != before.count)
			violated("counters", "%zu of them, then %zu", before.count, after.count);
		for (size_t i = 0; i < after.count; i++) {
			if (after.values[i] < before.values[i] && !is_level(after.names[i]))
				violated("counters", "%s fell from %llu to %llu", after.names[i],
					 (unsigned long long)before.values[i],
					 (unsigned long long)after.values[i]);
			moved |= after.values[i] > before.values[i];
		}
		before = after;
	}
	if (counts && !moved)
		violated("counters", "none of them counts anything");
	suite_close(suite);
}

const struct check walk_checks[] = {
	{ "walk-tiles-committed", walk_tiles_committed, POOL_CAP_WALK | POOL_CAP_NATIVE,
	  POOL_CAP_FLOOR, false },
	{ "walk-is-empty-after-drain", walk_is_empty_after_drain, POOL_CAP_WALK | POOL_CAP_NATIVE,
	  POOL_CAP_FLOOR, false },
	{ "walk-can-be-ended", walk_can_be_ended, POOL_CAP_WALK, 0, true },
	{ "counters-only-rise", counters_only_rise, POOL_CAP_COUNTERS, 0, true },
	{ NULL, NULL, 0, 0, false },
};
