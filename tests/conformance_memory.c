/* Checks of memory: exhaustion, failed commits, leaks, giving back. All of them through the page sources. */
#include <errno.h>
#include <stdlib.h>

#include "conformance.h"

static const char *type_name(int type)
{
	return type == POOL_PAGED ? "paged" : "nonpaged";
}

/* Takes blocks until NULL; the caller frees. A source that never says no is a violation. */
static size_t take_until_null(struct suite *suite, int type, struct block *blocks, size_t most,
			      size_t bytes)
{
	struct random random;
	size_t count = 0;

	random_seed(&random, 3);
	while (count < most && block_try(suite, &blocks[count], (enum pool_type)type,
					 bytes ? bytes : random_between(&random, 1, 3000), count))
		count++;
	if (count == most)
		violated("exhaustion", "%zu %s blocks and still no NULL: the limit is not honoured",
			 count, type_name(type));
	return count;
}

/*
 * Blocks (of a page; then of many sizes) until NULL, freed in reverse; then the pool must hold about as many
 * again. What it may keep for itself, in caches and partly used pages, is a quarter.
 */
static void exhaust(struct suite *suite, int type, size_t bytes)
{
	const size_t room = suite->page_size * 8 > 2u << 20 ? suite->page_size * 8 : 2u << 20;
	const size_t most = room / (bytes ? bytes / 4 : 64) + 64;
	struct block *blocks = calloc(most, sizeof(*blocks));
	size_t first, second;

	suite_open(suite);
	page_source_set_limit(suite->pages[type], suite->base_bytes[type] + room);
	first = take_until_null(suite, type, blocks, most, bytes);
	if (first == 0)
		violated("exhaustion", "not one block out of %zu bytes", room);
	blocks_do_not_overlap(suite, blocks, first);
	suite_check(suite, "exhausted");
	suite_walk(suite, blocks, first);
	for (size_t i = first; i-- > 0;)
		block_give(suite, &blocks[i]);
	suite_check(suite, "after exhaustion, all freed");
	second = take_until_null(suite, type, blocks, most, bytes);
	if (second < first - first / 4)
		violated("exhaustion", "%zu %s blocks fitted at first and %zu after all were freed",
			 first, type_name(type), second);
	for (size_t i = 0; i < second; i++)
		block_give(suite, &blocks[i]);
	page_source_set_limit(suite->pages[type], 0);
	suite_close(suite);
	free(blocks);
}

static void exhaustion_by_pages(struct suite *suite)
{
	for (int type = 0; type < POOL_TYPES; type++)
		exhaust(suite, type, POOL_OS_PAGE);
}

static void exhaustion_by_sizes(struct suite *suite)
{
	for (int type = 0; type < POOL_TYPES; type++)
		exhaust(suite, type, 0);
}

/* ------------------------------------------------------------------------------------------------
 * The k-th commit fails, for every k until a run has no failure left (as SQLite tests malloc).
 */

/* A request that was refused by the one injected failure must be met when it is made again. */
static void take_twice(struct suite *suite, struct block *block, int type, size_t bytes,
		       uint64_t seed)
{
	if (block_try(suite, block, (enum pool_type)type, bytes, seed))
		return;
	suite_check(suite, "after a failed commit");
	if (!block_try(suite, block, (enum pool_type)type, bytes, seed))
		violated("commit-failure",
			 "a request of %zu bytes is refused again after one commit failed", bytes);
}

static void work_under_failure(struct suite *suite, uint64_t seed)
{
	enum { COUNT = 64 };
	struct block blocks[POOL_TYPES * COUNT];
	const size_t large = 3 * suite->page_size + 1;

	for (int type = 0; type < POOL_TYPES; type++) {
		struct block *mine = &blocks[type * COUNT];
		struct random random;

		random_seed(&random, 11);
		for (size_t i = 0; i < COUNT; i++)
			take_twice(suite, &mine[i], type,
				   i % 16 == 15 ? large : random_between(&random, 1, 6000),
				   seed + i);
		blocks_do_not_overlap(suite, mine, COUNT);
	}
	suite_walk(suite, blocks, POOL_TYPES * COUNT);
	for (size_t i = 0; i < POOL_TYPES * COUNT; i++)
		block_give(suite, &blocks[i]);
	if (suite->ops->trim)
		suite->ops->trim(suite->pool);
	suite_check(suite, "after failed commits, all freed");
	suite_walk(suite, NULL, 0);
}

/* One run in which commit number `nth` of the source of `type` fails; false when there was none such. */
static bool run_with_failure(struct suite *suite, int type, uint64_t nth)
{
	const struct page_faults faults = { .fail_nth = nth };
	struct page_source_stats stats;
	int error;

	suite_open_sources(suite);
	page_source_set_faults(suite->pages[type], &faults);
	error = suite_create_pool(suite);
	if (error) {
		if (error != -ENOMEM)
			violated("commit-failure", "create returned %d when a commit failed",
				 error);
		suite_close_sources(suite, "leak");
		return true;
	}
	suite_enter(suite, 0);
	work_under_failure(suite, nth);
	page_source_stats(suite->pages[type], &stats);
	suite_exit(suite);
	suite->ops->destroy(suite->pool);
	suite->pool = NULL;
	suite_close_sources(suite, "leak");
	return stats.injected_failures > 0;
}

static void every_commit_fails_once(struct suite *suite)
{
	const uint64_t most = 100000;

	for (int type = 0; type < POOL_TYPES; type++) {
		uint64_t nth = 1;

		while (run_with_failure(suite, type, nth))
			if (++nth > most)
				violated("commit-failure", "more than %llu commits in a small run",
					 (unsigned long long)most);
	}
}

/* A limit so low that create itself can hardly succeed: refused cleanly at every level. */
static void every_low_limit(struct suite *suite)
{
	for (size_t pages = 1; pages <= 64; pages = pages < 8 ? pages + 1 : pages * 2) {
		suite_open_sources(suite);
		for (int type = 0; type < POOL_TYPES; type++)
			page_source_set_limit(suite->pages[type], pages * suite->page_size);
		if (suite_create_pool(suite) == 0) {
			struct block blocks[32];

			suite_enter(suite, 0);
			for (size_t i = 0; i < 32; i++)
				block_try(suite, &blocks[i], (enum pool_type)(i % POOL_TYPES),
					  700 * i + 1, i);
			for (size_t i = 0; i < 32; i++)
				block_give(suite, &blocks[i]);
			suite_check(suite, "under a low limit");
			suite_exit(suite);
			suite->ops->destroy(suite->pool);
			suite->pool = NULL;
		}
		suite_close_sources(suite, "leak");
	}
}

/* ------------------------------------------------------------------------------------------------
 * Giving back.
 */

/* Fills the pool with about `bytes` of many sizes and frees it all, in another order. */
static void fill_and_drain(struct suite *suite, size_t bytes, uint64_t seed)
{
	const size_t most = bytes / 200;
	struct block *blocks = calloc(most, sizeof(*blocks));
	struct random random;
	size_t count = 0, taken = 0;

	random_seed(&random, seed);
	while (taken < bytes && count < most) {
		block_take(suite, &blocks[count], (enum pool_type)(count % POOL_TYPES),
			   random_bytes(&random), random_next(&random));
		taken += blocks[count++].bytes;
	}
	for (size_t i = count; i > 1; i--) {
		const size_t other = random_below(&random, (uint32_t)i);
		const struct block swapped = blocks[other];

		blocks[other] = blocks[i - 1];
		blocks[i - 1] = swapped;
	}
	for (size_t i = 0; i < count; i++)
		block_give(suite, &blocks[i]);
	free(blocks);
}

static size_t drained_bytes(struct suite *suite)
{
	return (size_t)(suite->full ? 32 : 16) << 20;
}

/*
 * After everything was freed, trim must bring committed memory down to what create took plus a bound: eight
 * pool pages and a mebibyte, for what a design keeps however empty it is. What it says it gave back
 * must be what the sources got.
 */
static void trim_gives_back(struct suite *suite)
{
	size_t before, after, said, bound;

	suite_open(suite);
	fill_and_drain(suite, drained_bytes(suite), 1);
	before = suite_committed_total(suite);
	said = suite->ops->trim(suite->pool);
	after = suite_committed_total(suite);
	suite_check(suite, "after trim");
	suite_walk(suite, NULL, 0);
	if (after > before)
		violated("trim", "committed rose from %zu to %zu", before, after);
	if (said != before - after)
		violated("trim", "says %zu bytes, the sources got %zu", said, before - after);
	bound = suite->base_bytes[POOL_NONPAGED] + suite->base_bytes[POOL_PAGED] +
		8 * suite->page_size + (1u << 20);
	if (after > bound)
		violated("residue", "%zu bytes are left after the drain and trim, more than %zu",
			 after, bound);
	fill_and_drain(suite, 1 << 20, 2);
	suite_check(suite, "in use again after trim");
	suite_close(suite);
}

/*
 * The same work again and again must not need more and more. What a design keeps in caches, which may grow
 * while it learns, is trimmed away first where it can be.
 */
static void no_growth(struct suite *suite)
{
	size_t early = 0, late;

	suite_open(suite);
	for (uint64_t cycle = 0; cycle < 8; cycle++) {
		fill_and_drain(suite, 2 << 20, 5);
		if (suite_has(suite, POOL_CAP_TRIM))
			suite->ops->trim(suite->pool);
		if (cycle == 2)
			early = suite_committed_total(suite);
	}
	late = suite_committed_total(suite);
	if (late > early + early / 8 + 4 * suite->page_size)
		violated("leak", "the same work left %zu bytes committed at first and %zu later",
			 early, late);
	suite_close(suite);
}

/* Blocks that are live when the pool goes: walk tells them all, and everything must go back all the same. */
static void destroy_with_live_blocks(struct suite *suite)
{
	struct block blocks[200];
	struct random random;

	random_seed(&random, 9);
	suite_open(suite);
	for (size_t i = 0; i < 200; i++)
		block_take(suite, &blocks[i], (enum pool_type)(i % POOL_TYPES),
			   random_bytes(&random), i);
	suite_walk(suite, blocks, 200);
	suite_close(suite);
}

static void destroy_null_is_fine(struct suite *suite)
{
	suite->ops->destroy(NULL);
	suite_open(suite);
	suite_close(suite);
}

/* Two pools at once know nothing of each other. The second one's sources are its own. */
static void two_pools(struct suite *suite)
{
	struct suite other = *suite;
	struct block mine[50], its[50];

	suite_open(suite);
	suite_exit(suite);
	suite_open(&other);
	suite_exit(&other);
	for (size_t i = 0; i < 50; i++) {
		suite_enter(suite, 0);
		block_take(suite, &mine[i], POOL_PAGED, 10 + 97 * i, i);
		suite_exit(suite);
		suite_enter(&other, 0);
		block_take(&other, &its[i], POOL_PAGED, 10 + 97 * i, 1000 + i);
		suite_exit(&other);
	}
	suite_enter(&other, 0);
	for (size_t i = 0; i < 50; i++)
		block_give(&other, &its[i]);
	suite_close(&other);
	suite_enter(suite, 0);
	for (size_t i = 0; i < 50; i++)
		block_give(suite, &mine[i]);
	suite_close(suite);
}

const struct check memory_checks[] = {
	{ "exhaustion-by-pages", exhaustion_by_pages, POOL_CAP_NATIVE, POOL_CAP_FLOOR, false },
	{ "exhaustion-by-sizes", exhaustion_by_sizes, POOL_CAP_NATIVE, POOL_CAP_FLOOR, false },
	{ "every-commit-fails-once", every_commit_fails_once, POOL_CAP_NATIVE, POOL_CAP_FLOOR,
	  false },
	{ "every-low-limit", every_low_limit, POOL_CAP_NATIVE, 0, false },
	{ "trim-gives-back", trim_gives_back, POOL_CAP_NATIVE | POOL_CAP_TRIM, 0, false },
	{ "no-growth", no_growth, POOL_CAP_NATIVE, 0, false },
	{ "destroy-with-live-blocks", destroy_with_live_blocks, POOL_CAP_NATIVE, 0, false },
	{ "destroy-null-is-fine", destroy_null_is_fine, 0, 0, true },
	{ "two-pools", two_pools, 0, 0, false },
	{ NULL, NULL, 0, 0, false },
};
