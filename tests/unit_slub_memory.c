/* slub: memory taken, kept and given back. */
#include <stdio.h>

#include "slub_rig.h"

/* ---- taking ---- */

static void the_least_order_is_tried_when_memory_is_short(void **state)
{
	struct rig rig;
	void *block;

	(void)state;
	rig_up(&rig, &slub_backend, CLASSIC);
	/* Room for one page of descriptors, one of the map, and one of the slab, not for eight. */
	page_source_set_limit(rig.pages[POOL_NONPAGED],
			      rig_committed(&rig, POOL_NONPAGED) + 3 * 4096);
	block = take(&rig, 2048);
	assert_int_equal(slab_of(&rig, block)->pages, 1);
	assert_int_equal(slab_of(&rig, block)->objects, 2);
	assert_int_equal(counter(&rig, "order_fallback"), 1);
	page_source_set_limit(rig.pages[POOL_NONPAGED], 0);
	give(&rig, block);
	rig_down(&rig);
}

/* ---- giving back ---- */

/* The one that becomes empty counts among the min_partial, as in __slab_free(). */
static void a_node_keeps_slabs_up_to_min_partial(void **state)
{
	(void)state;
	for (unsigned min_partial = 0; min_partial < 8; min_partial += 3) {
		struct rig rig;
		unsigned kept = min_partial ? min_partial - 1 : 0;
		void *blocks[32 * 10];
		char options[80];

		snprintf(options, sizeof(options), CLASSIC "cpu_partial=0,retain=0,min_partial=%u",
			 min_partial);
		rig_up(&rig, &slub_backend, options);
		fill_slabs(&rig, blocks, 10);
		for (unsigned i = 0; i < 320; i++)
			give(&rig, blocks[i]);
		assert_int_equal(atomic_load(&cache_of(&rig, 128)->partial_count), kept);
		assert_int_equal(counter(&rig, "free_slab"), 10 - kept);
		assert_int_equal(counter(&rig, "pages_returned"), 10 - kept);
		rig_down(&rig);
	}
}

static void all_empty_slabs_are_returned_by_trim(const char *options)
{
	struct rig rig;
	void *blocks[2000];
	size_t before[POOL_TYPES], given;

	rig_up(&rig, &slub_backend, options);
	for (unsigned type = 0; type < POOL_TYPES; type++)
		before[type] = rig_committed(&rig, type);
	for (unsigned i = 0; i < 2000; i++) {
		blocks[i] = slub_backend.alloc(rig.pool, i % 2, 1 + i * 37 % 9000, TAG);
		assert_non_null(blocks[i]);
	}
	given = rig_committed(&rig, POOL_NONPAGED) + rig_committed(&rig, POOL_PAGED);
	for (unsigned i = 0; i < 2000; i++)
		give(&rig, blocks[i]);
	assert_true(slub_backend.trim(rig.pool) > 0);
	for (unsigned type = 0; type < POOL_TYPES; type++)
		assert_int_equal(rig_committed(&rig, type), before[type]);
	assert_true(given > before[0] + before[1]);
	rig_down(&rig);
}

static void empty_slabs_are_returned(void **state)
{
	(void)state;
	all_empty_slabs_are_returned_by_trim(CLASSIC);
	all_empty_slabs_are_returned_by_trim("");
	all_empty_slabs_are_returned_by_trim("hardened=on,random=on");
}

static void page_runs_are_kept_for_reuse(void **state)
{
	struct rig rig;
	void *block, *other;
	uint64_t taken;

	(void)state;
	rig_up(&rig, &slub_backend, "retain=64K");
	block = take(&rig, 40000);
	assert_int_equal(bytes_of(&rig, block), 40960);
	taken = counter(&rig, "pages_taken");
	give(&rig, block);
	other = take(&rig, 39000);
	assert_ptr_equal(other, block);
	assert_int_equal(counter(&rig, "pages_taken"), taken);
	assert_int_equal(counter(&rig, "runs_reused"), 1);
	block = take(&rig, 40000);
	give(&rig, other);
	give(&rig, block); /* 80 KiB would be more than is kept */
	assert_int_equal(counter(&rig, "pages_returned"), 10);
	rig_down(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_least_order_is_tried_when_memory_is_short),
		cmocka_unit_test(a_node_keeps_slabs_up_to_min_partial),
		cmocka_unit_test(empty_slabs_are_returned),
		cmocka_unit_test(page_runs_are_kept_for_reuse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
