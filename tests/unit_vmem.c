/* vmem: what makes it Bonwick and Adams's, each from section 4 of their paper. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pages_support.h"

#include "allocators/backends.h"
#include "allocators/vmem/vmem.h"
#include "workloads/random.h"

struct rig {
	struct page_source *source;
	struct records tags;
	struct vmem arena;
};

static void rig_up(struct rig *rig, struct vmem_config config)
{
	rig->source = open_source((struct page_source_config){
		.type = POOL_NONPAGED, .page_size = 4 * KIB, .range_bytes = GIB, .node = -1 });
	records_init(&rig->tags, rig->source, sizeof(struct vmem_segment));
	config.source = config.metadata = rig->source;
	config.tags = &rig->tags;
	if (!config.quantum)
		config.quantum = 16;
	assert_int_equal(vmem_init(&rig->arena, &config), 0);
}

static void rig_check(struct rig *rig)
{
	char why[256];

	if (vmem_check(&rig->arena, why, sizeof(why)) != 0)
		fail_msg("%s", why);
}

static void rig_down(struct rig *rig)
{
	rig_check(rig);
	vmem_fini(&rig->arena);
	records_fini(&rig->tags);
	assert_int_equal(stats_of(rig->source).reserved_bytes, 0);
	page_source_destroy(rig->source);
}

static uintptr_t take(struct rig *rig, size_t bytes)
{
	const struct vmem_request request = { .bytes = bytes, .alignment = 16 };
	uintptr_t start = vmem_alloc(&rig->arena, &request);

	assert_int_not_equal(start, 0);
	return start;
}

static void give(struct rig *rig, uintptr_t start)
{
	assert_true(vmem_free(&rig->arena, start));
}

/* Leaves `holes` free segments of `bytes` that cannot merge; the blocks between them stay. */
static void punch(struct rig *rig, size_t holes, size_t bytes)
{
	uintptr_t *blocks = calloc(holes, sizeof(*blocks));

	for (size_t i = 0; i < holes; i++) {
		blocks[i] = take(rig, bytes);
		take(rig, 16);
	}
	for (size_t i = 0; i < holes; i++)
		give(rig, blocks[i]);
	free(blocks);
}

/* Steps that the worst of a thousand allocations of mixed sizes takes among so many free segments. */
static uint64_t worst_steps(enum vmem_fit fit, size_t holes)
{
	struct rig rig;
	struct random random;
	uint64_t worst;

	rig_up(&rig, (struct vmem_config){ .fit = fit, .import_bytes = MIB });
	for (size_t bytes = 48; bytes <= 3072; bytes *= 2)
		punch(&rig, holes / 7 + 1, bytes);
	rig.arena.steps_worst = 0;
	random_seed(&random, 1);
	for (unsigned i = 0; i < 1000; i++) {
		struct vmem_request request = {
			.bytes = 16 * random_between(&random, 1, 255),
			.alignment = 16,
			.nocross = i % 2 ? 4096 : 0,
		};

		if (i % 10 == 0)
			request = (struct vmem_request){ 8192, 4096, 0 };
		assert_int_not_equal(vmem_alloc(&rig.arena, &request), 0);
	}
	worst = rig.arena.steps_worst;
	rig_down(&rig);
	return worst;
}

/* "instant fit": a constant, whether there are 70 free segments or 70,000. */
static void instant_fit_never_searches(void **state)
{
	(void)state;
	for (size_t holes = 70; holes <= 70000; holes *= 10)
		assert_true(worst_steps(VMEM_INSTANT_FIT, holes) <= 4);
	/* The counter can tell: best fit does search. */
	assert_true(worst_steps(VMEM_BEST_FIT, 7000) > 100);
}

static void instant_fit_takes_from_the_list_that_is_large_enough(void **state)
{
	struct rig rig;
	uintptr_t exact, large;

	(void)state;
	rig_up(&rig, (struct vmem_config){ .import_bytes = 64 * KIB });
	exact = take(&rig, 1024);
	take(&rig, 16);
	large = take(&rig, 4096);
	take(&rig, 16);
	give(&rig, exact);
	give(&rig, large);
	assert_int_equal(take(&rig, 1024), exact);
	/* 528 bytes: the head of the list of 512 to 1023 is looked at first; there is none, so 4096. */
	assert_int_equal(take(&rig, 528), large);
	assert_int_equal(rig.arena.searches, 0);
	rig_down(&rig);
}

static void best_fit_takes_the_smallest_that_serves(void **state)
{
	struct rig rig;
	uintptr_t holes[3];

	(void)state;
	rig_up(&rig, (struct vmem_config){ .fit = VMEM_BEST_FIT, .import_bytes = 64 * KIB });
	for (unsigned i = 0; i < 3; i++) {
		holes[i] = take(&rig, (const size_t[]){ 960, 640, 800 }[i]);
		take(&rig, 16);
	}
	for (unsigned i = 0; i < 3; i++)
		give(&rig, holes[i]);
	assert_int_equal(take(&rig, 624), holes[1]);
	assert_int_equal(take(&rig, 656), holes[2]);
	rig_down(&rig);
}

/* A block that was just freed is not taken again before the arena has been gone through once. */
static void next_fit_goes_on(void **state)
{
	struct rig rig;
	uintptr_t last = 0;

	(void)state;
	rig_up(&rig, (struct vmem_config){
			     .fit = VMEM_NEXT_FIT, .import_bytes = 64 * KIB, .retain_bytes = MIB });
	take(&rig, 16);
	for (unsigned i = 0; i < 1000; i++) {
		uintptr_t start = take(&rig, 48);

		assert_int_not_equal(start, last);
		last = start;
		take(&rig, 16);
		give(&rig, start);
	}
	rig_down(&rig);
}

static void free_segments_merge_with_both_neighbours(void **state)
{
	struct rig rig;
	uintptr_t blocks[5];

	(void)state;
	rig_up(&rig, (struct vmem_config){ .import_bytes = 64 * KIB, .retain_bytes = MIB });
	for (unsigned i = 0; i < 5; i++)
		blocks[i] = take(&rig, 1024);
	give(&rig, blocks[1]);
	give(&rig, blocks[3]);
	assert_int_equal(rig.arena.merges, 0);
	give(&rig, blocks[2]);
	assert_int_equal(rig.arena.merges, 2);
	assert_int_equal(take(&rig, 3072), blocks[1]);
	rig_down(&rig);
}

static int segment_count(void *arg, const struct vmem_segment *segment)
{
	(void)segment;
	++*(size_t *)arg;
	return 0;
}

/* All freed, in any order: one free segment a span; trim gives the spans back as they came. */
static void everything_freed_is_one_segment_a_span(void **state)
{
	enum { COUNT = 5000 };
	static uintptr_t blocks[COUNT];
	struct rig rig;
	struct random random;
	size_t segments = 0;

	(void)state;
	rig_up(&rig, (struct vmem_config){ .import_bytes = 64 * KIB, .retain_bytes = GIB });
	random_seed(&random, 7);
	for (unsigned i = 0; i < COUNT; i++)
		blocks[i] = take(&rig, 16 * random_between(&random, 1, 600));
	assert_true(rig.arena.imports > 10);
	for (unsigned i = COUNT; i-- > 0;) {
		unsigned other = random_below(&random, i + 1);

		give(&rig, blocks[other]);
		blocks[other] = blocks[i];
		if (i % 500 == 0)
			rig_check(&rig);
	}
	vmem_walk(&rig.arena, segment_count, &segments);
	assert_int_equal(segments, rig.arena.imports);
	assert_int_equal(rig.arena.idle_bytes, rig.arena.owned_bytes);
	vmem_trim(&rig.arena);
	records_trim(&rig.tags);
	assert_int_equal(rig.arena.owned_bytes, 0);
	assert_int_equal(rig.arena.returns, rig.arena.imports);
	assert_int_equal(rig.tags.pages, 0);
	assert_int_equal(stats_of(rig.source).committed_bytes, 4 * KIB); /* the hash table */
	rig_down(&rig);
}

/* Without retention a span goes back with its last segment, as in the original. */
static void an_idle_span_is_returned_at_once(void **state)
{
	struct rig rig;
	uintptr_t first, second;

	(void)state;
	rig_up(&rig, (struct vmem_config){ .import_bytes = 64 * KIB });
	first = take(&rig, 1024);
	second = take(&rig, 1024);
	give(&rig, first);
	assert_int_equal(rig.arena.returns, 0);
	give(&rig, second);
	assert_int_equal(rig.arena.returns, 1);
	assert_int_equal(rig.arena.owned_bytes, 0);
	rig_down(&rig);
}

static void alignment_and_nocross_hold(void **state)
{
	struct rig rig;
	struct random random;

	(void)state;
	rig_up(&rig, (struct vmem_config){ .import_bytes = 64 * KIB });
	random_seed(&random, 3);
	for (unsigned i = 0; i < 20000; i++) {
		const size_t bytes = 16 * random_between(&random, 1, 256);
		const struct vmem_request request = { bytes, 16, 4096 };
		const struct vmem_request aligned = { 4096 + bytes, 4096, 0 };
		uintptr_t start = vmem_alloc(&rig.arena, &request);

		assert_int_equal(start / 4096, (start + bytes - 1) / 4096);
		assert_int_equal(vmem_segment_bytes(&rig.arena, start), bytes);
		if (i % 50 == 0)
			assert_int_equal(vmem_alloc(&rig.arena, &aligned) % 4096, 0);
		if (random_below(&random, 3))
			give(&rig, start);
	}
	rig_down(&rig);
}

/* A refused span is no reason to refuse: what instant fit passes over is searched then. */
static void search_before_refusal(void **state)
{
	const struct vmem_request request = { .bytes = 640, .alignment = 16 };
	struct rig rig;
	uintptr_t hole, head;

	(void)state;
	rig_up(&rig, (struct vmem_config){ .import_bytes = 4 * KIB });
	hole = take(&rig, 640);
	take(&rig, 16);
	head = take(&rig, 528);
	take(&rig, 4096 - 640 - 16 - 528);
	give(&rig, hole);
	give(&rig, head); /* in front of the hole on the list of 512 to 1023 */
	page_source_set_limit(rig.source, 1);
	assert_int_equal(vmem_alloc(&rig.arena, &request), hole);
	assert_true(rig.arena.searches > 0);
	assert_int_equal(vmem_alloc(&rig.arena, &request), 0);
	page_source_set_limit(rig.source, 0);
	assert_int_not_equal(vmem_alloc(&rig.arena, &request), 0);
	rig_down(&rig);
}

static void the_hash_grows_and_shrinks(void **state)
{
	enum { COUNT = 20000 };
	static uintptr_t blocks[COUNT];
	struct rig rig;

	(void)state;
	rig_up(&rig, (struct vmem_config){ .import_bytes = MIB });
	for (unsigned i = 0; i < COUNT; i++)
		blocks[i] = take(&rig, 16);
	assert_true(rig.arena.bucket_bytes / sizeof(void *) >= COUNT / 2);
	assert_false(vmem_free(&rig.arena, blocks[5] + 1));
	for (unsigned i = 0; i < COUNT; i++)
		give(&rig, blocks[i]);
	assert_false(vmem_free(&rig.arena, blocks[5]));
	vmem_trim(&rig.arena);
	assert_int_equal(rig.arena.bucket_bytes, 4 * KIB);
	rig_down(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(instant_fit_never_searches),
		cmocka_unit_test(instant_fit_takes_from_the_list_that_is_large_enough),
		cmocka_unit_test(best_fit_takes_the_smallest_that_serves),
		cmocka_unit_test(next_fit_goes_on),
		cmocka_unit_test(free_segments_merge_with_both_neighbours),
		cmocka_unit_test(everything_freed_is_one_segment_a_span),
		cmocka_unit_test(an_idle_span_is_returned_at_once),
		cmocka_unit_test(alignment_and_nocross_hold),
		cmocka_unit_test(search_before_refusal),
		cmocka_unit_test(the_hash_grows_and_shrinks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
