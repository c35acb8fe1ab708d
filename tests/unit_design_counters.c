/* The counters of the designs: common names mean the same, and the account agrees with what was done. */
#include <ctype.h>
#include <stdio.h>

#include "allocators/registry.h"
#include "pool_rig.h"
#include "results/record.h"
#include "workloads/random.h"

#define BLOCKS 3000u

struct seen {
	char names[RECORD_COUNTERS][64];
	unsigned count;
};

/* Lower case and digits between underscores, each name once, none longer than a record can hold. */
static void note_name(void *arg, const char *name, const char *help, uint64_t value)
{
	struct seen *seen = arg;

	(void)value;
	assert_true(seen->count < RECORD_COUNTERS);
	assert_true(strlen(name) < sizeof(((struct record_counter *)NULL)->name));
	assert_true(strlen(help) > 0);
	for (const char *c = name; *c; c++)
		assert_true(islower((unsigned char)*c) || isdigit((unsigned char)*c) || *c == '_');
	for (unsigned i = 0; i < seen->count; i++)
		assert_string_not_equal(seen->names[i], name);
	snprintf(seen->names[seen->count++], sizeof(seen->names[0]), "%s", name);
}

static void names_are_sound_and_fit_a_record(void **state)
{
	(void)state;
	for (unsigned i = 0; builtin_backends[i]; i++) {
		struct seen seen = { .count = 0 };
		struct rig rig;

		if (!builtin_backends[i]->counters)
			continue;
		rig_up(&rig, builtin_backends[i], NULL);
		backend_counters(rig.ops, rig.pool, rig.pages, note_name, &seen);
		rig_down(&rig);
	}
}

/* Many sizes, in bursts, freed in another order. */
static void work(struct rig *rig)
{
	static void *blocks[BLOCKS];
	struct random random;

	random_seed(&random, 7);
	for (unsigned i = 0; i < BLOCKS; i++)
		blocks[i] = take_of(rig, i % POOL_TYPES,
				    i % 100 == 99 ? 20000 : random_between(&random, 1, 1200));
	for (unsigned i = 0; i < BLOCKS; i++)
		give(rig, blocks[(i * 7919u) % BLOCKS]);
	for (unsigned i = 0; i < BLOCKS; i++)
		blocks[i] = take_of(rig, i % POOL_TYPES, 64 + i % 3 * 200);
	for (unsigned i = 0; i < BLOCKS; i++)
		give(rig, blocks[i]);
}

static uint64_t pages(const struct rig *rig, bool returned)
{
	uint64_t bytes = 0;

	for (unsigned type = 0; type < POOL_TYPES; type++) {
		const struct page_source_stats stats = rig_stats(rig, type);

		bytes += stats.committed_total_bytes - (returned ? stats.committed_bytes : 0);
	}
	return bytes / POOL_OS_PAGE;
}

struct expectation {
	const struct pool_backend *ops;
	const char *options;
	bool fast; /* has a fast path at all */
	bool cuts; /* splits and merges */
};

static void the_account_agrees_with_the_work(void **state)
{
	static const struct expectation expectations[] = {
		{ &nt_pool_backend, "", true, true },
		{ &nt_pool_backend, "lookaside=off", false, true },
		{ &segment_heap_backend, "", true, true },
		{ &segment_heap_backend, "lfh=off,lookaside=off", false, true },
		{ &slub_backend, "", true, false },
		{ &slub_backend, "sheaf=0", true, false },
		{ &magazine_backend, "", true, true },
		{ &magazine_backend, "depot=0", true, true },
		{ &magazine_backend, "magazines=off", false, true },
		{ &vmem_backend, "", true, true },
		{ &vmem_backend, "cached=0", false, true },
		{ &tlsf_backend, "", true, true },
		{ &tlsf_backend, "processors=off", true, true },
		{ &buddy_backend, "", true, true },
		{ &buddy_backend, "pcp=off", false, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(expectations) / sizeof(*expectations); i++) {
		const struct expectation *expected = &expectations[i];
		struct rig rig;

		rig_up(&rig, expected->ops, expected->options);
		work(&rig);
		assert_in_range(counter(&rig, "fast_allocs"), expected->fast, 2 * BLOCKS);
		assert_int_equal(counter(&rig, "fast_allocs") > 0, expected->fast);
		/* What the LFH frees is not counted. */
		if (expected->ops != &segment_heap_backend) {
			assert_in_range(counter(&rig, "fast_frees"), expected->fast, 2 * BLOCKS);
			assert_int_equal(counter(&rig, "fast_frees") > 0, expected->fast);
		}
		assert_int_equal(counter(&rig, "refills") > 0, expected->fast);
		assert_true(counter(&rig, "lock_acquisitions") > 0);
		assert_int_equal(counter(&rig, "lock_contentions"), 0);
		assert_int_equal(counter(&rig, "pages_taken"), pages(&rig, false));
		rig.ops->trim(rig.pool);
		assert_int_equal(counter(&rig, "pages_returned"), pages(&rig, true));
		assert_true(counter(&rig, "pages_returned") > 0);
		/* Of what the caches kept, too. */
		if (expected->cuts)
			assert_true(counter(&rig, "splits") > 0 && counter(&rig, "merges") > 0);
		/* Flushed is not freed once more. */
		if (expected->ops != &segment_heap_backend)
			assert_in_range(counter(&rig, "fast_frees"), 0, 2 * BLOCKS);
		rig_down(&rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_sound_and_fit_a_record),
		cmocka_unit_test(the_account_agrees_with_the_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
