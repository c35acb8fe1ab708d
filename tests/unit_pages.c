/*
 * The page source: addresses, account, limits, failure plans. What the kernel says is in
 * unit_pages_kernel.c.
 */
#include "pages_support.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "allocators/pages_range.h"
#include "workloads/random.h"

static struct page_source *open_simple(enum pool_type type, size_t page_size, size_t range_bytes)
{
	return open_source((struct page_source_config){
		.type = type, .page_size = page_size, .range_bytes = range_bytes, .node = -1 });
}

static void configurations_are_checked(void **state)
{
	static const struct {
		struct page_source_config config;
		int error;
		const char *expect;
	} cases[] = {
		{ { .page_size = 2048, .node = -1 }, -EINVAL, "power of two" },
		{ { .page_size = 12288, .node = -1 }, -EINVAL, "12288" },
		{ { .page_size = 4 * MIB, .node = -1 }, -EINVAL, "2M" },
		{ { .page_size = 4096, .paging_file = true, .node = -1 }, -EINVAL, "paged" },
		{ { .type = POOL_PAGED,
		    .page_size = 4096,
		    .paging_file = true,
		    .node = -1,
		    .backing = PAGE_BACKING_THP },
		  -EINVAL,
		  "thp" },
		{ { .page_size = 4096, .faults = { .fail_probability = 1.5 }, .node = -1 },
		  -EINVAL,
		  "probability" },
		{ { .page_size = 4096, .range_bytes = MIB, .node = 12345 }, -ENODEV, "node 12345" },
		{ { .page_size = 4096, .range_bytes = (size_t)1 << 50, .node = -1 },
		  -EINVAL,
		  "1T" },
		{ { .type = POOL_PAGED,
		    .page_size = 4096,
		    .range_bytes = MIB,
		    .paging_file = true,
		    .paging_directory = "/nonexistent/there",
		    .node = -1 },
		  -EACCES,
		  "/nonexistent/there" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct page_source *untouched = (void *)&state, *source = untouched;
		char why[256] = "";

		assert_int_equal(page_source_create(&cases[i].config, &source, why, sizeof(why)),
				 cases[i].error);
		assert_ptr_equal(source, untouched);
		if (!strstr(why, cases[i].expect))
			fail_msg("case %zu: '%s' lacks '%s'", i, why, cases[i].expect);
	}
	page_source_destroy(NULL);
}

static void the_lowest_run_that_fits_is_taken(void **state)
{
	struct page_source *source = open_simple(POOL_PAGED, 4 * KIB, 64 * MIB);
	char *a = page_source_reserve(source, 8 * KIB, 0);
	char *b = page_source_reserve(source, 16 * KIB, 0);
	char *c = page_source_reserve(source, 4 * KIB, 0);

	(void)state;
	assert_ptr_equal(a, source->base);
	assert_ptr_equal(b, a + 8 * KIB);
	assert_ptr_equal(c, b + 16 * KIB);
	page_source_release(source, b, 16 * KIB);
	assert_ptr_equal(page_source_reserve(source, 20 * KIB, 0), c + 4 * KIB);
	assert_ptr_equal(page_source_reserve(source, 12 * KIB, 0), b);
	assert_ptr_equal(page_source_reserve(source, 4 * KIB, 0), b + 12 * KIB);
	/* Part of a run can go back. */
	page_source_release(source, b + 4 * KIB, 4 * KIB);
	assert_ptr_equal(page_source_reserve(source, 4 * KIB, 0), b + 4 * KIB);
	assert_int_equal(stats_of(source).reserved_bytes, (2 + 4 + 1 + 5) * 4 * KIB);
	page_source_destroy(source);
}

static void runs_are_aligned(void **state)
{
	struct page_source *source = open_simple(POOL_PAGED, 4 * KIB, 0);

	(void)state;
	for (size_t alignment = 4 * KIB; alignment <= 256 * MIB; alignment *= 2) {
		const char *run = page_source_reserve(source, 4 * KIB, alignment);

		assert_non_null(run);
		assert_int_equal((uintptr_t)run % alignment, 0);
		assert_true(page_source_contains(source, run));
	}
	/* What alignment skipped is not lost. */
	assert_true((char *)page_source_reserve(source, 4 * KIB, 0) < source->base + 64 * KIB);
	assert_int_equal((uintptr_t)page_source_reserve(source, 3 * MIB, 2 * MIB) % (2 * MIB), 0);
	page_source_destroy(source);
}

static void a_range_runs_out_and_comes_back(void **state)
{
	struct page_source *source = open_simple(POOL_PAGED, 64 * KIB, 16 * MIB);
	char *runs[256];

	(void)state;
	assert_null(page_source_reserve(source, 16 * MIB + 64 * KIB, 0));
	for (int i = 0; i < 256; i++)
		assert_non_null(runs[i] = page_source_reserve(source, 64 * KIB, 0));
	assert_null(page_source_reserve(source, 64 * KIB, 0));
	for (int i = 0; i < 256; i += 2)
		page_source_release(source, runs[i], 64 * KIB);
	assert_null(page_source_reserve(source, 128 * KIB, 0));
	for (int i = 255; i > 0; i -= 2)
		page_source_release(source, runs[i], 64 * KIB);
	assert_ptr_equal(page_source_reserve(source, 16 * MIB, 0), source->base);
	page_source_destroy(source);
}

/* First fit over one byte a page, the obvious way. */
static size_t model_take(char *used, size_t first_page, size_t pages, size_t count,
			 size_t alignment)
{
	for (size_t at = 0; at + count <= pages; at++) {
		size_t run = 0;

		if ((first_page + at) % alignment)
			continue;
		while (run < count && !used[at + run])
			run++;
		if (run == count) {
			memset(used + at, 1, count);
			return at;
		}
	}
	return PAGE_RANGE_NONE;
}

/* The tree against the model, over ranges whose sizes sit on and beside the tree's boundaries. */
static void first_fit_agrees_with_a_model(void **state)
{
	static const size_t sizes[] = { 1, 63, 64, 65, 511, 512, 513, 4096, 5000, 40000 };

	(void)state;
	for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
		const size_t pages = sizes[s], first_page = s * 7;
		char *used = calloc(pages, 1);
		struct page_range range;
		struct random random;

		assert_non_null(used);
		random_seed(&random, s);
		assert_int_equal(page_range_init(&range, first_page, pages), 0);
		for (int step = 0; step < 3000; step++) {
			/* Mostly short runs, some as long as the range. */
			const uint32_t scale = random_below(&random, 20);
			const uint32_t most = scale == 0 ? (uint32_t)pages : scale < 4 ? 700 : 12;
			const size_t count = random_between(&random, 1, most);

			if (random_below(&random, 100) < 60) {
				const size_t alignment = (size_t)1 << random_below(&random, 8);
				const size_t expect = model_take(used, first_page, pages, count,
								 alignment);

				assert_int_equal(page_range_take(&range, count, alignment), expect);
			} else {
				size_t at = random_below(&random, (uint32_t)pages), run = 0;

				while (at + run < pages && run < count && used[at + run])
					run++;
				if (run == 0)
					continue;
				assert_true(page_range_is_taken(&range, at, run));
				page_range_give(&range, at, run);
				memset(used + at, 0, run);
			}
		}
		page_range_fini(&range);
		free(used);
	}
}

/*
 * A run that grows at the end of one part of the tree, where that part has a longer one elsewhere.
 */
static void a_run_across_parts_of_the_tree_is_found(void **state)
{
	struct page_range range;

	(void)state;
	assert_int_equal(page_range_init(&range, 0, 1024), 0);
	assert_int_equal(page_range_take(&range, 1024, 1), 0);
	page_range_give(&range, 0, 200);
	page_range_give(&range, 512, 128);
	page_range_give(&range, 412, 100);
	assert_int_equal(page_range_take(&range, 220, 1), 412);
	assert_int_equal(page_range_take(&range, 200, 1), 0);
	assert_int_equal(page_range_take(&range, 8, 1), 632);
	assert_int_equal(range.free_pages, 0);
	assert_int_equal(page_range_take(&range, 1, 1), PAGE_RANGE_NONE);
	page_range_fini(&range);
}

static void the_account_is_exact(void **state)
{
	struct page_source *source = open_simple(POOL_NONPAGED, 4 * KIB, 64 * MIB);
	char *run = page_source_reserve(source, 64 * KIB, 0);

	(void)state;
	assert_int_equal(page_source_commit(source, run, 16 * KIB), 0);
	assert_int_equal(page_source_commit(source, run + 32 * KIB, 8 * KIB), 0);
	assert_int_equal(stats_of(source).committed_bytes, 24 * KIB);
	assert_true(page_source_is_committed(source, run + 1, 16 * KIB - 1));
	assert_false(page_source_is_committed(source, run + 1, 16 * KIB));
	assert_false(page_source_is_committed(source, run - 1, 2));
	page_source_decommit(source, run + 4 * KIB, 8 * KIB);
	assert_false(page_source_is_committed(source, run + 4 * KIB, 1));
	assert_true(page_source_is_committed(source, run + 12 * KIB, 4 * KIB));
	assert_int_equal(stats_of(source).committed_bytes, 16 * KIB);
	assert_int_equal(stats_of(source).committed_peak_bytes, 24 * KIB);
	page_source_reset_peak(source);
	assert_int_equal(stats_of(source).committed_peak_bytes, 16 * KIB);
	assert_int_equal(stats_of(source).commits, 2);
	assert_int_equal(stats_of(source).decommits, 1);
	assert_int_equal(stats_of(source).failed_commits, 0);
	page_source_destroy(source);
}

static void a_limit_refuses_and_recovers(void **state)
{
	struct page_source *source = open_source((struct page_source_config){
		.page_size = 4 * KIB, .range_bytes = 64 * MIB, .limit_bytes = MIB, .node = -1 });
	char *run = page_source_reserve(source, 4 * MIB, 0);
	struct page_source_stats stats;

	(void)state;
	assert_int_equal(page_source_commit(source, run, MIB), 0);
	assert_int_equal(page_source_commit(source, run + MIB, 4 * KIB), -ENOMEM);
	assert_null(page_source_take(source, 4 * KIB, 0));
	assert_false(page_source_is_committed(source, run + MIB, 4 * KIB));
	stats = stats_of(source);
	assert_int_equal(stats.failed_commits, 2);
	assert_int_equal(stats.injected_failures, 0);
	assert_int_equal(stats.committed_bytes, MIB);
	assert_int_equal(stats.committed_peak_bytes, MIB);
	assert_int_equal(stats.reserved_bytes, 4 * MIB);
	page_source_decommit(source, run, 4 * KIB);
	assert_int_equal(page_source_commit(source, run + MIB, 4 * KIB), 0);
	/* A limit below what is committed lets nothing in, and takes nothing away. */
	page_source_set_limit(source, 8 * KIB);
	assert_int_equal(page_source_commit(source, run + 2 * MIB, 4 * KIB), -ENOMEM);
	page_source_set_limit(source, 0);
	assert_int_equal(page_source_commit(source, run + 2 * MIB, 2 * MIB), 0);
	page_source_destroy(source);
}

/* Which of the first `count` commits fail, as bits. */
static uint64_t failing_commits(struct page_source *source, int count)
{
	char *run = page_source_reserve(source, 4 * KIB, 0);
	uint64_t failing = 0;

	for (int i = 0; i < count; i++) {
		if (page_source_commit(source, run, 4 * KIB) == 0)
			page_source_decommit(source, run, 4 * KIB);
		else
			failing |= 1ull << i;
	}
	page_source_release(source, run, 4 * KIB);
	return failing;
}

static void planned_commits_fail(void **state)
{
	struct page_source *source = open_source(
		(struct page_source_config){ .page_size = 4 * KIB,
					     .range_bytes = MIB,
					     .node = -1,
					     .faults = { .fail_nth = 3 } });
	uint64_t chance;

	(void)state;
	assert_int_equal(failing_commits(source, 20), 1u << 2);
	assert_int_equal(stats_of(source).injected_failures, 1);
	assert_int_equal(stats_of(source).failed_commits, 1);
	page_source_set_faults(source, &(struct page_faults){ .fail_every = 4 });
	assert_int_equal(failing_commits(source, 12), 1u << 3 | 1u << 7 | 1u << 11);
	page_source_set_faults(source, &(struct page_faults){ .fail_every = 4, .fail_nth = 1 });
	assert_int_equal(failing_commits(source, 8), 1u << 0 | 1u << 3 | 1u << 7);

	page_source_set_faults(source, &(struct page_faults){ .fail_probability = 0.5, .seed = 7 });
	chance = failing_commits(source, 64);
	assert_in_range(__builtin_popcountll(chance), 16, 48);
	page_source_set_faults(source, &(struct page_faults){ .fail_probability = 0.5, .seed = 7 });
	assert_true(failing_commits(source, 64) == chance);
	page_source_set_faults(source, &(struct page_faults){ .fail_probability = 0.5, .seed = 8 });
	assert_false(failing_commits(source, 64) == chance);
	page_source_set_faults(source, &(struct page_faults){ .fail_probability = 1 });
	assert_true(failing_commits(source, 64) == UINT64_MAX);
	page_source_set_faults(source, &(struct page_faults){ 0 });
	assert_int_equal(failing_commits(source, 64), 0);
	page_source_destroy(source);
}

static void recommitted_pages_are_zero(void **state)
{
	(void)state;
	for (int type = 0; type < POOL_TYPES; type++) {
		for (size_t page_size = 4 * KIB; page_size <= 2 * MIB; page_size *= 8) {
			struct page_source *source = open_simple((enum pool_type)type, page_size,
								 64 * MIB);
			char *run = page_source_reserve(source, 3 * page_size, 0);

			for (int round = 0; round < 3; round++) {
				assert_int_equal(page_source_commit(source, run, 3 * page_size), 0);
				for (size_t i = 0; i < 3 * page_size; i++)
					assert_int_equal(run[i], 0);
				memset(run, 0x5A, 3 * page_size);
				page_source_decommit(source, run + page_size, page_size);
				assert_int_equal(
					page_source_commit(source, run + page_size, page_size), 0);
				assert_int_equal(run[page_size - 1], 0x5A);
				assert_int_equal(run[page_size], 0);
				assert_int_equal(run[2 * page_size - 1], 0);
				assert_int_equal(run[2 * page_size], 0x5A);
				page_source_decommit(source, run, 3 * page_size);
			}
			page_source_destroy(source);
		}
	}
}

struct worker {
	struct page_source *source;
	uint64_t seed;
	int failures; /* of content checks */
	pthread_t thread;
};

#define WORKER_RUNS 32

/*
 * Takes and gives runs of 1 to 8 pages; each is stamped, and must still bear its stamp when it
 * goes.
 */
static void *take_and_give(void *argument)
{
	struct worker *worker = argument;
	struct page_source *source = worker->source;
	struct {
		char *run;
		size_t bytes;
		char stamp;
	} held[WORKER_RUNS] = { 0 };
	struct random random;

	random_seed(&random, worker->seed);
	for (int step = 0; step < 4000; step++) {
		const uint32_t i = random_below(&random, WORKER_RUNS);

		if (held[i].run) {
			for (size_t at = 0; at < held[i].bytes; at += 4 * KIB)
				worker->failures += held[i].run[at] != held[i].stamp;
			page_source_give(source, held[i].run, held[i].bytes);
			held[i].run = NULL;
			continue;
		}
		held[i].bytes = random_between(&random, 1, 8) * source->page_size;
		held[i].stamp = (char)random_between(&random, 1, 100);
		held[i].run = page_source_take(source, held[i].bytes, 0);
		if (!held[i].run)
			continue;
		for (size_t at = 0; at < held[i].bytes; at += 4 * KIB) {
			worker->failures += held[i].run[at] != 0;
			held[i].run[at] = held[i].stamp;
		}
	}
	for (int i = 0; i < WORKER_RUNS; i++) {
		if (held[i].run)
			page_source_give(source, held[i].run, held[i].bytes);
	}
	return NULL;
}

static void threads_share_a_source(void **state)
{
	(void)state;
	for (int type = 0; type < POOL_TYPES; type++) {
		/* The limit is met now and then: two threads can hold up to 2 MiB. */
		struct page_source *source = open_source(
			(struct page_source_config){ .type = (enum pool_type)type,
						     .page_size = 4 * KIB,
						     .range_bytes = 16 * MIB,
						     .limit_bytes = 700 * KIB,
						     .node = -1 });
		struct worker workers[4];
		struct page_source_stats stats;

		for (unsigned i = 0; i < 4; i++) {
			workers[i] = (struct worker){ .source = source, .seed = i };
			assert_int_equal(pthread_create(&workers[i].thread, NULL, take_and_give,
							&workers[i]),
					 0);
		}
		for (unsigned i = 0; i < 4; i++) {
			pthread_join(workers[i].thread, NULL);
			assert_int_equal(workers[i].failures, 0);
		}
		stats = stats_of(source);
		assert_int_equal(stats.committed_bytes, 0);
		assert_int_equal(stats.reserved_bytes, 0);
		assert_true(stats.commits > 1000);
		assert_int_equal(stats.commits, stats.decommits);
		assert_true(stats.failed_commits > 0);
		assert_true(stats.committed_peak_bytes <= 700 * KIB);
		assert_true(stats.committed_peak_bytes >= 600 * KIB);
		page_source_destroy(source);
	}
}

#ifndef NDEBUG
enum misuse { COMMIT_TWICE, DECOMMIT_TWICE, RELEASE_COMMITTED, RELEASE_TWICE, MISUSES };

/* In a child, so that its abort is seen from outside. True if it was ended by one. */
static bool misuse_aborts(enum misuse misuse)
{
	const pid_t child = fork();
	int status;

	if (child == 0) {
		struct page_source *source = open_simple(POOL_PAGED, 4 * KIB, MIB);
		char *run = page_source_take(source, 8 * KIB, 0);

		signal(SIGABRT, SIG_DFL);
		close(STDERR_FILENO);
		if (misuse == COMMIT_TWICE)
			page_source_commit(source, run + 4 * KIB, 4 * KIB);
		if (misuse == RELEASE_COMMITTED)
			page_source_release(source, run, 8 * KIB);
		page_source_decommit(source, run, 8 * KIB);
		if (misuse == DECOMMIT_TWICE)
			page_source_decommit(source, run, 4 * KIB);
		page_source_release(source, run, 8 * KIB);
		if (misuse == RELEASE_TWICE)
			page_source_release(source, run, 8 * KIB);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void misuse_ends_builds_with_assertions(void **state)
{
	(void)state;
	for (int misuse = 0; misuse < MISUSES; misuse++)
		assert_true(misuse_aborts((enum misuse)misuse));
	assert_false(misuse_aborts(MISUSES));
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(configurations_are_checked),
		cmocka_unit_test(the_lowest_run_that_fits_is_taken),
		cmocka_unit_test(runs_are_aligned),
		cmocka_unit_test(a_range_runs_out_and_comes_back),
		cmocka_unit_test(first_fit_agrees_with_a_model),
		cmocka_unit_test(a_run_across_parts_of_the_tree_is_found),
		cmocka_unit_test(the_account_is_exact),
		cmocka_unit_test(a_limit_refuses_and_recovers),
		cmocka_unit_test(planned_commits_fail),
		cmocka_unit_test(recommitted_pages_are_zero),
		cmocka_unit_test(threads_share_a_source),
#ifndef NDEBUG
		cmocka_unit_test(misuse_ends_builds_with_assertions),
#endif
	};

	return cmocka_run_group_tests_name("pages", tests, NULL, NULL);
}
