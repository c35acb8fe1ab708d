/* nt-pool: blocks, lookaside lists and descriptors, each by the design's own rules. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "allocators/nt_pool/nt_pool.h"
#include "pool_rig.h"

/* ---- placement ---- */

static void sizes_are_rounded_to_units_with_a_header(void **state)
{
	struct rig rig;

	(void)state;
	rig_up(&rig, &nt_pool_backend, "slack=off");
	for (size_t bytes = 1; bytes <= 3 * POOL_OS_PAGE; bytes++) {
		void *block = take(&rig, bytes);
		size_t whole = (bytes + 4095) / 4096 * 4096;
		size_t expected = bytes <= 0xFE0 ? ((bytes + 0x1F) >> 4) * 16 : whole;
		uint32_t tag = 0;

		assert_int_equal(nt_pool_backend.block_bytes(rig.pool, block), expected);
		assert_int_equal(offset_of(block) % 16, 0);
		if (bytes > 0xFE0)
			assert_int_equal(offset_of(block), 0);
		else
			assert_true(offset_of(block) + bytes <= POOL_OS_PAGE);
		assert_int_equal(nt_pool_backend.tag_of(rig.pool, block, &tag), 0);
		assert_int_equal(tag, TAG);
		memset(block, 0xA5, bytes);
		give(&rig, block);
	}
	rig_down(&rig);
}

static void a_fresh_page_is_cut_from_the_front_then_from_the_back(void **state)
{
	struct rig rig;
	char *a, *b, *c;

	(void)state;
	rig_up(&rig, &nt_pool_backend, "lookaside=off");
	a = take(&rig, 100); /* 8 units */
	b = take(&rig, 200); /* 14 units */
	c = take(&rig, 300); /* 20 units */
	assert_int_equal(offset_of(a), 16);
	assert_ptr_equal(b, (char *)page_of(a) + 4096 - 14 * 16 + 16);
	assert_ptr_equal(c, (char *)page_of(a) + 4096 - 34 * 16 + 16);
	/* The neighbours know each other. */
	assert_int_equal(nt_header_of(a)->previous_size, 0);
	assert_int_equal(nt_header_of(a)->block_size, 8);
	assert_int_equal(nt_header_of(b)->previous_size, 20);
	assert_int_equal(nt_header_of(c)->previous_size, 256 - 8 - 34);
	assert_int_equal(counter(&rig, "splits"), 3);
	rig_check(&rig);
	/* The front is free again: it begins the page, so it is cut from its front. */
	give(&rig, a);
	give(&rig, c);
	assert_ptr_equal(take(&rig, 500), a);
	rig_down(&rig);
}

static void a_remnant_of_one_unit_waits_for_its_neighbour(void **state)
{
	struct rig rig;
	void *full, *again;

	(void)state;
	rig_up(&rig, &nt_pool_backend, "lookaside=off");
	full = take(&rig, 0xFE0); /* 255 of 256 units */
	assert_int_equal(rig_walk(&rig).bytes[POOL_NONPAGED][POOL_RANGE_FREE], 16);
	again = take(&rig, 1);
	assert_int_not_equal(page_of(full), page_of(again));
	give(&rig, again);
	give(&rig, full);
	assert_int_equal(rig_walk(&rig).bytes[POOL_NONPAGED][POOL_RANGE_FREE], 0);
	rig_down(&rig);
}

static void list_search_goes_upwards_and_prefers_what_was_freed_last(void **state)
{
	struct rig rig;
	void *blocks[6];

	(void)state;
	rig_up(&rig, &nt_pool_backend, "lookaside=off");
	for (int i = 0; i < 6; i++)
		blocks[i] = take(&rig, 240);
	give(&rig, blocks[1]);
	give(&rig, blocks[3]);
	/* Two free blocks of the same size that are no neighbours: last freed, first used. */
	assert_ptr_equal(take(&rig, 240), blocks[3]);
	assert_ptr_equal(take(&rig, 240), blocks[1]);
	/* A smaller request takes the next larger block's back, not the page's large rest. */
	give(&rig, blocks[2]);
	assert_ptr_equal(take(&rig, 100), (char *)blocks[2] + 8 * 16);
	rig_down(&rig);
}

/* ---- coalescing ---- */

static void a_page_of_mixed_frees_comes_back_whole(void **state)
{
	struct rig rig;
	void *blocks[400];
	size_t before;

	(void)state;
	rig_up(&rig, &nt_pool_backend, "lookaside=off,retain=0,expand=4K,slack=off");
	before = rig_committed(&rig, POOL_PAGED);
	srand(7);
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 400; i++)
			blocks[i] = take_of(&rig, POOL_PAGED, 1 + (size_t)rand() % 900);
		rig_check(&rig);
		rig_walk(&rig);
		for (int i = 399; i > 0; i--) {
			int j = rand() % (i + 1);
			void *swap = blocks[i];

			blocks[i] = blocks[j];
			blocks[j] = swap;
		}
		for (int i = 0; i < 400; i++)
			give(&rig, blocks[i]);
		rig_check(&rig);
		assert_int_equal(rig_committed(&rig, POOL_PAGED), before);
	}
	assert_true(counter(&rig, "merges") > 0);
	rig_down(&rig);
}

/* Pages of four blocks that fill them; the first and the last of each are freed, so that free ones meet at each border. */
static void blocks_never_merge_across_pages(void **state)
{
	static const size_t page_sizes[] = { 4096, 65536 };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct rig rig;
		char *blocks[128], *largest;

		rig_up_sized(&rig, &nt_pool_backend, page_sizes[i], "lookaside=off,expand=256K");
		for (int n = 0; n < 128; n++)
			blocks[n] = take(&rig, 1024 - NT_HEADER_BYTES);
		for (int n = 0; n < 128; n++)
			if (offset_of(blocks[n]) < 1024 || offset_of(blocks[n]) >= 3072)
				give(&rig, blocks[n]);
		assert_int_equal(counter(&rig, "merges"), 0);
		rig_check(&rig);
		assert_int_equal(rig_walk(&rig).bytes[POOL_NONPAGED][POOL_RANGE_FREE], 64 * 1024);
		/* What is free lies end to end, yet nothing larger can be had from it. */
		largest = take(&rig, 1024);
		for (int n = 0; n < 128; n++)
			assert_int_not_equal(page_of(largest), page_of(blocks[n]));
		rig_down(&rig);
	}
}

/* ---- lookaside lists ---- */

static unsigned list_depth(struct rig *rig, size_t bytes)
{
	return nt_processor_of(rig->pool, 0)->lists[NT_GENERAL_LIST(nt_units(bytes), 0)].depth;
}

static void lookaside_starts_with_depth_four(void **state)
{
	struct rig rig;
	void *blocks[8];

	(void)state;
	rig_up(&rig, &nt_pool_backend, "");
	for (int i = 0; i < 8; i++)
		blocks[i] = take(&rig, 100);
	assert_int_equal(counter(&rig, "lookaside_misses"), 8);
	for (int i = 0; i < 8; i++)
		give(&rig, blocks[i]);
	assert_int_equal(counter(&rig, "lookaside_overflows"), 4);
	assert_int_equal(rig_walk(&rig).bytes[POOL_NONPAGED][POOL_RANGE_CACHED], 4 * 8 * 16);
	/* Last in, first out. */
	for (int i = 3; i >= 0; i--)
		assert_ptr_equal(take(&rig, 97), blocks[i]);
	assert_int_equal(counter(&rig, "lookaside_hits"), 4);
	rig_down(&rig);
}

static void lookaside_depth_grows_under_misses_up_to_its_maximum_and_falls_when_idle(void **state)
{
	static const unsigned maxima[] = { 256, 40, 2 };

	(void)state;
	for (unsigned m = 0; m < 3; m++) {
		struct rig rig;
		static void *blocks[600];
		char options[64];

		snprintf(options, sizeof(options), "interval=1024,depth=%u", maxima[m]);
		rig_up(&rig, &nt_pool_backend, options);
		assert_int_equal(list_depth(&rig, 64), maxima[m] < 4 ? maxima[m] : 4);
		for (int round = 0; round < 100; round++) {
			for (int i = 0; i < 600; i++)
				blocks[i] = take(&rig, 64);
			for (int i = 0; i < 600; i++)
				give(&rig, blocks[i]);
			assert_true(list_depth(&rig, 64) <= maxima[m]);
		}
		assert_int_equal(list_depth(&rig, 64), maxima[m]);
		/* Another size keeps the tuning going; this one is idle. */
		for (int i = 0; i < 100 * 1024; i++)
			give(&rig, take(&rig, 128));
		assert_int_equal(list_depth(&rig, 64), maxima[m] < 4 ? maxima[m] : 4);
		if (maxima[m] > 4)
			assert_true(counter(&rig, "depth_changes") > 0);
		rig_down(&rig);
	}
}

static void lookaside_tuning_can_be_off(void **state)
{
	struct rig rig;
	static void *blocks[600];

	(void)state;
	rig_up(&rig, &nt_pool_backend, "interval=64,tuning=off");
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 600; i++)
			blocks[i] = take(&rig, 64);
		for (int i = 0; i < 600; i++)
			give(&rig, blocks[i]);
	}
	assert_int_equal(list_depth(&rig, 64), 4);
	assert_int_equal(counter(&rig, "tunings"), 0);
	rig_down(&rig);
}

static void lookaside_serves_up_to_32_units_and_the_io_lists_irps_beyond(void **state)
{
	const uint32_t irp = POOL_TAG('I', 'r', 'p', ' ');
	struct rig rig;
	void *block;

	(void)state;
	rig_up(&rig, &nt_pool_backend, "");
	give(&rig, take_of(&rig, POOL_PAGED, 0x1F0));
	assert_int_equal(counter(&rig, "descriptor_frees"), 0);
	give(&rig, take_of(&rig, POOL_PAGED, 0x1F1));
	assert_int_equal(counter(&rig, "descriptor_frees"), 1);
	/* An IRP with 6 stack locations comes from the list for 10, one with 21 from none. */
	block = nt_pool_backend.alloc(rig.pool, POOL_NONPAGED, 0xD0 + 6 * 0x48, irp);
	assert_int_equal(nt_pool_backend.block_bytes(rig.pool, block), 0xD0 + 10 * 0x48 + 16);
	nt_pool_backend.free(rig.pool, block, irp);
	assert_ptr_equal(nt_pool_backend.alloc(rig.pool, POOL_NONPAGED, 0xD0 + 10 * 0x48, irp),
			 block);
	nt_pool_backend.free(rig.pool, block, irp);
	assert_int_equal(counter(&rig, "io_hits"), 1);
	block = nt_pool_backend.alloc(rig.pool, POOL_NONPAGED, 0xD0 + 21 * 0x48, irp);
	nt_pool_backend.free(rig.pool, block, irp);
	assert_int_equal(counter(&rig, "io_hits") + counter(&rig, "io_misses"), 2);
	assert_int_equal(counter(&rig, "descriptor_frees"), 2);
	rig_down(&rig);
}

static void lookaside_max_moves_the_largest_size_with_lists(void **state)
{
	struct rig rig;

	(void)state;
	for (size_t maximum = 32; maximum <= 4080; maximum += 368) {
		uint64_t beyond = 0;
		char options[64];

		snprintf(options, sizeof(options), "lookaside_max=%zu,io=off", maximum);
		rig_up(&rig, &nt_pool_backend, options);
		for (unsigned type = 0; type < POOL_TYPES; type++) {
			give(&rig, take_of(&rig, type, maximum - NT_HEADER_BYTES));
			assert_int_equal(counter(&rig, "descriptor_frees"), beyond);
			if (maximum == 4080)
				continue;
			give(&rig, take_of(&rig, type, maximum - NT_HEADER_BYTES + 1));
			assert_int_equal(counter(&rig, "descriptor_frees"), ++beyond);
		}
		rig_down(&rig);
	}
}

/* Such a block has a size between the I/O lists': it must not get onto one of them. */
static void an_irp_from_outside_is_no_io_lists_block(void **state)
{
	const uint32_t irp = NT_IO_TAG;
	struct rig rig;
	void *block, *other;

	(void)state;
	rig_up(&rig, &nt_pool_backend, "");
	nt_pool_backend.thread_exit(rig.pool);
	block = nt_pool_backend.alloc(rig.pool, POOL_NONPAGED, 0xD0 + 6 * 0x48, irp);
	assert_int_equal(nt_pool_backend.block_bytes(rig.pool, block), 0xD0 + 6 * 0x48 + 16);
	assert_int_equal(nt_pool_backend.thread_enter(rig.pool, 0), 0);
	nt_pool_backend.free(rig.pool, block, irp);
	assert_int_equal(counter(&rig, "descriptor_frees"), 1);
	other = nt_pool_backend.alloc(rig.pool, POOL_NONPAGED, 0xD0 + 10 * 0x48, irp);
	assert_int_equal(nt_pool_backend.block_bytes(rig.pool, other), 0xD0 + 10 * 0x48 + 16);
	nt_pool_backend.free(rig.pool, other, irp);
	rig_down(&rig);
}

static void a_processor_keeps_what_it_frees(void **state)
{
	struct rig rig;
	void *block;

	(void)state;
	rig_up(&rig, &nt_pool_backend, "");
	block = take(&rig, 50);
	nt_pool_backend.thread_exit(rig.pool);
	assert_int_equal(nt_pool_backend.thread_enter(rig.pool, 3), -EINVAL);
	assert_int_equal(nt_pool_backend.thread_enter(rig.pool, 2), 0);
	give(&rig, block);
	nt_pool_backend.thread_exit(rig.pool);
	assert_int_equal(nt_pool_backend.thread_enter(rig.pool, 1), 0);
	assert_ptr_not_equal(take(&rig, 50), block);
	nt_pool_backend.thread_exit(rig.pool);
	assert_int_equal(nt_pool_backend.thread_enter(rig.pool, 2), 0);
	assert_ptr_equal(take(&rig, 50), block);
	rig_down(&rig);
}

/* ---- deferred frees ---- */

static void deferred_frees_are_merged_at_32(void **state)
{
	struct rig rig;
	void *blocks[32];

	(void)state;
	rig_up(&rig, &nt_pool_backend, "lookaside=off,deferred=on");
	for (int i = 0; i < 32; i++)
		blocks[i] = take(&rig, 48);
	for (int i = 0; i < 31; i++)
		give(&rig, blocks[i]);
	assert_int_equal(counter(&rig, "descriptor_frees"), 0);
	assert_int_equal(rig_walk(&rig).bytes[POOL_NONPAGED][POOL_RANGE_CACHED], 31 * 64);
	rig_check(&rig);
	give(&rig, blocks[31]);
	assert_int_equal(counter(&rig, "descriptor_frees"), 32);
	assert_int_equal(counter(&rig, "pending_flushes"), 1);
	assert_int_equal(rig_walk(&rig).bytes[POOL_NONPAGED][POOL_RANGE_CACHED], 0);
	rig_down(&rig);
}

static void deferred_frees_serve_before_a_new_page_is_taken(void **state)
{
	struct rig rig;
	void *a, *b;
	size_t committed;

	(void)state;
	rig_up(&rig, &nt_pool_backend, "lookaside=off,deferred=on,expand=4K");
	a = take(&rig, 2000);
	b = take(&rig, 2000);
	assert_int_equal(page_of(a), page_of(b));
	committed = rig_committed(&rig, POOL_NONPAGED);
	give(&rig, a);
	assert_ptr_equal(take(&rig, 2000), a);
	assert_int_equal(rig_committed(&rig, POOL_NONPAGED), committed);
	rig_down(&rig);
}

/* ---- descriptors ---- */

static void paged_descriptors_are_taken_in_turn(void **state)
{
	struct rig rig;
	unsigned seen[5] = { 0 };

	(void)state;
	rig_up(&rig, &nt_pool_backend, "lookaside=off,paged_pools=4");
	for (int i = 0; i < 40; i++)
		seen[nt_header_of(take_of(&rig, POOL_PAGED, 100))->pool_index]++;
	assert_int_equal(seen[0], 0);
	for (int i = 1; i <= 4; i++)
		assert_int_equal(seen[i], 10);
	assert_int_equal(nt_header_of(take(&rig, 100))->pool_index, 0);
	rig_down(&rig);
}

static void a_processor_uses_the_nonpaged_descriptor_of_its_node(void **state)
{
	static const unsigned node_of[RIG_PROCESSORS] = { 0, 0, 1 };
	void *blocks[RIG_PROCESSORS];
	struct rig rig;

	(void)state;
	rig_up(&rig, &nt_pool_backend, "lookaside=off,nonpaged_pools=2,paged_pools=3");
	for (unsigned i = 0; i < RIG_PROCESSORS; i++) {
		rig_become(&rig, i);
		blocks[i] = take(&rig, 100);
		assert_int_equal(nt_header_of(blocks[i])->pool_index, node_of[i]);
		for (unsigned n = 0; n < 6; n++)
			assert_int_equal(nt_header_of(take_of(&rig, POOL_PAGED, 100))->pool_index,
					 2 + n % 3);
	}
	assert_int_equal(page_of(blocks[0]), page_of(blocks[1]));
	assert_int_not_equal(page_of(blocks[0]), page_of(blocks[2]));
	/* A block goes back to the descriptor that it came from, whoever frees it. */
	rig_become(&rig, 0);
	give(&rig, blocks[2]);
	rig_become(&rig, 2);
	assert_int_equal(rig.pool->descriptors[1].frees, 1);
	rig_check(&rig);
	rig_down(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_rounded_to_units_with_a_header),
		cmocka_unit_test(a_fresh_page_is_cut_from_the_front_then_from_the_back),
		cmocka_unit_test(a_remnant_of_one_unit_waits_for_its_neighbour),
		cmocka_unit_test(list_search_goes_upwards_and_prefers_what_was_freed_last),
		cmocka_unit_test(a_page_of_mixed_frees_comes_back_whole),
		cmocka_unit_test(blocks_never_merge_across_pages),
		cmocka_unit_test(lookaside_starts_with_depth_four),
		cmocka_unit_test(
			lookaside_depth_grows_under_misses_up_to_its_maximum_and_falls_when_idle),
		cmocka_unit_test(lookaside_tuning_can_be_off),
		cmocka_unit_test(lookaside_serves_up_to_32_units_and_the_io_lists_irps_beyond),
		cmocka_unit_test(lookaside_max_moves_the_largest_size_with_lists),
		cmocka_unit_test(an_irp_from_outside_is_no_io_lists_block),
		cmocka_unit_test(a_processor_keeps_what_it_frees),
		cmocka_unit_test(deferred_frees_are_merged_at_32),
		cmocka_unit_test(deferred_frees_serve_before_a_new_page_is_taken),
		cmocka_unit_test(paged_descriptors_are_taken_in_turn),
		cmocka_unit_test(a_processor_uses_the_nonpaged_descriptor_of_its_node),
	};

	return cmocka_run_group_tests_name("nt_pool", tests, NULL, NULL);
}
