/* Between stages, when no call into the pool is under way: check, walk, trim, what is left. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/stress.h"

#define RESIDUE_PAGES 8u
#define RESIDUE_BYTES ((size_t)1 << 20)

size_t stress_committed(const struct stress_run *run)
{
	size_t bytes = 0;

	for (int type = 0; type < POOL_TYPES; type++) {
		struct page_source_stats stats;

		page_source_stats(run->pages[type], &stats);
		bytes += stats.committed_bytes;
	}
	return bytes;
}

void stress_check(struct stress_run *run)
{
	char why[256] = "no reason given";

	if (run->ops->check && run->ops->check(run->pool, why, sizeof(why)) != 0)
		finding_report("check", NULL, "%s", why);
}

/* ---- walk ---- */

struct ranges {
	struct pool_range *at;
	size_t count, room;
};

static int collect(void *arg, const struct pool_range *range)
{
	struct ranges *ranges = arg;

	if (ranges->count == ranges->room) {
		const size_t room = ranges->room ? 2 * ranges->room : 1024;
		struct pool_range *grown = realloc(ranges->at, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		ranges->at = grown;
		ranges->room = room;
	}
	ranges->at[ranges->count++] = *range;
	return 0;
}

static int by_start(const void *a, const void *b)
{
	const struct pool_range *left = a, *right = b;

	return ((uintptr_t)left->start > (uintptr_t)right->start) -
	       ((uintptr_t)left->start < (uintptr_t)right->start);
}

static int by_address(const void *a, const void *b)
{
	const struct stress_block *left = a, *right = b;

	return (left->at > right->at) - (left->at < right->at);
}

/* Copies of all live blocks, by address. NULL: out of memory. */
static struct stress_block *live_blocks(const struct stress_run *run, size_t *count)
{
	struct stress_block *live = malloc(((size_t)run->trace->slots + 1) * sizeof(*live));

	*count = 0;
	if (!live)
		return NULL;
	for (uint32_t i = 0; i < run->trace->slots; i++)
		if (atomic_load(&run->slots[i].state) == SLOT_FULL &&
		    !stress_is_special(run, run->slots[i].block.at))
			live[(*count)++] = run->slots[i].block;
	qsort(live, *count, sizeof(*live), by_address);
	return live;
}

static void check_used(struct stress_run *run, const struct pool_range *range,
		       const struct stress_block *live, size_t count)
{
	const struct stress_block key = { .at = (char *)(uintptr_t)range->block };
	const struct stress_block *block = bsearch(&key, live, count, sizeof(*live), by_address);
	const char *start = range->start;
	struct finding_block what;

	if (!block)
		finding_report("walk", NULL, "a used range at %p of block %p, which is not live",
			       range->start, range->block);
	what = (struct finding_block){ block->at, block->bytes, block->tag, block->type, NULL, 0 };
	if (block->at < start || block->at + block->bytes > start + range->bytes)
		finding_report("walk", &what, "the used range of %zu bytes at %p does not hold it",
			       range->bytes, range->start);
	if (range->bytes != block->block_bytes)
		finding_report("walk", &what, "its range has %zu bytes, block_bytes says %zu",
			       range->bytes, block->block_bytes);
	if (stress_has(run, POOL_CAP_TAGS) && range->tag && range->tag != block->tag)
		finding_report("walk", &what, "its range has the tag 0x%08x", range->tag);
}

static void check_range(struct stress_run *run, const struct pool_range *range)
{
	if (range->kind >= POOL_RANGE_KINDS || range->type >= POOL_TYPES || range->bytes == 0)
		finding_report("walk", NULL, "a range of kind %d, type %d and %zu bytes at %p",
			       (int)range->kind, (int)range->type, range->bytes, range->start);
	if (!page_source_contains(run->pages[range->type], range->start) ||
	    !page_source_is_committed(run->pages[range->type], range->start, range->bytes))
		finding_report("walk", NULL, "%zu bytes at %p (kind %d) are not committed",
			       range->bytes, range->start, (int)range->kind);
}

static void check_ranges(struct stress_run *run, const struct ranges *ranges,
			 const struct stress_block *live, size_t count)
{
	const char *end = NULL;
	size_t sum = 0, used = 0;

	for (size_t i = 0; i < ranges->count; i++) {
		const struct pool_range *range = &ranges->at[i];

		check_range(run, range);
		if (i && (const char *)range->start < end)
			finding_report("walk", NULL,
				       "the range at %p (kind %d) overlaps its neighbour",
				       range->start, (int)range->kind);
		end = (const char *)range->start + range->bytes;
		sum += range->bytes;
		if (range->kind == POOL_RANGE_USED) {
			check_used(run, range, live, count);
			used++;
		}
	}
	if (sum != stress_committed(run))
		finding_report("walk", NULL, "%zu bytes in ranges, %zu are committed", sum,
			       stress_committed(run));
	if (used != count)
		finding_report("walk", NULL, "%zu used ranges, %zu blocks are live", used, count);
}

void stress_walk(struct stress_run *run)
{
	struct ranges ranges = { NULL, 0, 0 };
	struct stress_block *live;
	size_t count;
	int result;

	if (!stress_has(run, POOL_CAP_WALK | POOL_CAP_NATIVE) || stress_has(run, POOL_CAP_FLOOR))
		return;
	live = live_blocks(run, &count);
	result = run->ops->walk(run->pool, collect, &ranges);
	if (!live || result == -ENOMEM)
		finding_report("harness", NULL, "out of memory");
	if (result)
		finding_report("walk", NULL, "walk returned %d, visit always 0", result);
	if (ranges.count)
		qsort(ranges.at, ranges.count, sizeof(*ranges.at), by_start);
	check_ranges(run, &ranges, live, count);
	free(ranges.at);
	free(live);
}

/* ---- drained ---- */

/* Requests that nothing can meet, and sums that wrap around. */
static void request_impossible(struct stress_run *run)
{
	static const size_t sizes[] = { SIZE_MAX, SIZE_MAX - 15, SIZE_MAX - 4095,
					SIZE_MAX / 2 + 1 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		for (int type = 0; type < POOL_TYPES; type++)
			if (run->ops->alloc(run->pool, (enum pool_type)type, sizes[i],
					    POOL_TAG('H', 'u', 'g', 'e')))
				finding_report("impossible", NULL,
					       "a request of 0x%zx bytes got a block", sizes[i]);
}

/* What a design keeps however empty it is: some pool pages a processor, a mebibyte. */
static void check_residue(struct stress_run *run)
{
	const unsigned processors = run->trace->processors;
	const size_t bound = run->base_bytes[POOL_NONPAGED] + run->base_bytes[POOL_PAGED] +
			     processors * (RESIDUE_PAGES * run->round->page_size + RESIDUE_BYTES);
	const size_t left = stress_committed(run);

	if (left > bound)
		finding_report(
			"residue", NULL,
			"%zu bytes are committed after all was freed and trimmed, more than %zu",
			left, bound);
}

void stress_drained(struct stress_run *run)
{
	size_t before, said, after;

	if (run->ops->thread_enter)
		run->ops->thread_enter(run->pool, 0);
	request_impossible(run);
	if (run->ops->thread_exit)
		run->ops->thread_exit(run->pool);
	stress_check(run);
	stress_walk(run);
	if (!stress_has(run, POOL_CAP_NATIVE | POOL_CAP_TRIM))
		return;
	before = stress_committed(run);
	said = run->ops->trim(run->pool);
	after = stress_committed(run);
	if (after > before || said != before - after)
		finding_report("trim", NULL, "it says %zu bytes; committed went from %zu to %zu",
			       said, before, after);
	stress_check(run);
	stress_walk(run);
	check_residue(run);
}
