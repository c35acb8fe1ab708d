/* nt-pool: big blocks, the page layer, stops, exhaustion and threads. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "allocators/nt_pool/nt_pool.h"
#include "pool_rig.h"

/* ---- big blocks ---- */

static void a_page_takes_a_page_and_one_byte_more_takes_two(void **state)
{
	struct rig rig;
	size_t before;
	void *one, *two;

	(void)state;
	rig_up(&rig, &nt_pool_backend, "expand=4K,retain=0");
	before = rig_committed(&rig, POOL_NONPAGED);
	give(&rig, take_of(&rig, POOL_PAGED, 1));
	one = take(&rig, 4096);
	/* The page bitmaps come with the first page; the second is what is measured. */
	before = rig_committed(&rig, POOL_NONPAGED);
	two = take(&rig, 4096);
	assert_int_equal(rig_committed(&rig, POOL_NONPAGED), before + 4096);
	assert_int_equal(nt_pool_backend.block_bytes(rig.pool, two), 4096);
	give(&rig, two);
	assert_int_equal(rig_committed(&rig, POOL_NONPAGED), before);
	two = take(&rig, 4097);
	assert_int_equal(rig_committed(&rig, POOL_NONPAGED), before + 8192);
	give(&rig, two);
	give(&rig, one);
	rig_down(&rig);
}

static void slack_of_the_last_page_is_used_for_small_blocks(void **state)
{
	struct rig rig;
	char *big, *small;

	(void)state;
	rig_up(&rig, &nt_pool_backend, "lookaside=off,retain=0");
	big = take(&rig, 0x1A08);
	assert_int_equal(nt_pool_backend.block_bytes(rig.pool, big), 0x1A10);
	small = take(&rig, 64);
	assert_ptr_equal(small, big + 0x2000 - 64);
	memset(big, 0x11, 0x1A08);
	memset(small, 0x22, 64);
	rig_check(&rig);
	assert_int_equal(rig_walk(&rig).used_blocks, 2);
	/* The big block goes; its last page stays for the small one. */
	give(&rig, big);
	rig_check(&rig);
	assert_int_equal(small[63], 0x22);
	assert_int_equal(nt_header_of(small)->previous_size, 256 - 5);
	assert_int_equal(rig_walk(&rig).used_blocks, 1);
	give(&rig, small);
	assert_int_equal(rig_walk(&rig).bytes[POOL_NONPAGED][POOL_RANGE_FREE], 0);
	/* The other order: the small one first, then the page is whole again with the big one. */
	big = take(&rig, 0x1A08);
	small = take(&rig, 64);
	give(&rig, small);
	give(&rig, big);
	assert_int_equal(rig_walk(&rig).bytes[POOL_NONPAGED][POOL_RANGE_FREE], 0);
	rig_down(&rig);
}

static void every_slack_leaves_a_consistent_pool(void **state)
{
	struct rig rig;

	(void)state;
	rig_up(&rig, &nt_pool_backend, "lookaside=off,retain=0");
	for (size_t bytes = 4097; bytes <= 8192; bytes += 5) {
		char *big = take_of(&rig, POOL_PAGED, bytes);
		char *small = take_of(&rig, POOL_PAGED, 40);

		memset(big, 0x33, bytes);
		memset(small, 0x44, 40);
		rig_check(&rig);
		give(&rig, bytes % 2 ? big : small);
		rig_check(&rig);
		give(&rig, bytes % 2 ? small : big);
	}
	rig_down(&rig);
}

static void the_big_page_table_grows_and_finds_every_block(void **state)
{
	struct rig rig;
	static void *blocks[2000];

	(void)state;
	rig_up(&rig, &nt_pool_backend, "");
	for (uint32_t i = 0; i < 2000; i++) {
		blocks[i] = nt_pool_backend.alloc(rig.pool, POOL_PAGED, 4096 + i, TAG + i);
		assert_non_null(blocks[i]);
	}
	assert_int_equal(counter(&rig, "table_grows"),
			 5); /* 128 .. 4096 entries, at most 3/4 full */
	rig_check(&rig);
	for (uint32_t i = 0; i < 2000; i++) {
		uint32_t tag = 0;

		assert_int_equal(nt_pool_backend.tag_of(rig.pool, blocks[i], &tag), 0);
		assert_int_equal(tag, TAG + i);
	}
	/* Deletion from the middle of clusters loses none of the others. */
	for (uint32_t i = 0; i < 2000; i += 2)
		nt_pool_backend.free(rig.pool, blocks[i], TAG + i);
	rig_check(&rig);
	for (uint32_t i = 1; i < 2000; i += 2)
		nt_pool_backend.free(rig.pool, blocks[i], TAG + i);
	rig_check(&rig);
	nt_pool_backend.trim(rig.pool);
	assert_int_equal(rig.pool->big.capacity, 128);
	rig_down(&rig);
}

/* ---- the page layer ---- */

static void nonpaged_runs_are_cut_from_their_end_and_paged_ones_from_the_bottom(void **state)
{
	struct rig rig;
	char *a, *b;

	(void)state;
	rig_up(&rig, &nt_pool_backend, "expand=64K");
	a = take(&rig, 4096);
	b = take(&rig, 4096);
	assert_ptr_equal(b, a - 4096);
	a = take_of(&rig, POOL_PAGED, 4096);
	b = take_of(&rig, POOL_PAGED, 4096);
	assert_ptr_equal(b, a + 4096);
	give(&rig, a);
	assert_ptr_equal(take_of(&rig, POOL_PAGED, 4096), a);
	rig_down(&rig);
}

static void free_runs_merge_and_serve_longer_requests(void **state)
{
	struct rig rig;
	char *pages[16], *long_one;
	uint64_t taken;

	(void)state;
	for (unsigned type = 0; type < POOL_TYPES; type++) {
		rig_up(&rig, &nt_pool_backend, "expand=64K");
		for (int i = 0; i < 16; i++)
			pages[i] = take_of(&rig, type, 4096);
		taken = counter(&rig, "pages_taken");
		for (int i = 0; i < 16; i += 2)
			give(&rig, pages[i]);
		rig_check(&rig);
		for (int i = 1; i < 16; i += 2)
			give(&rig, pages[i]);
		rig_check(&rig);
		long_one = take_of(&rig, type, 16 * 4096);
		assert_int_equal(counter(&rig, "pages_taken"), taken);
		give(&rig, long_one);
		rig_down(&rig);
	}
}

static void retain_gives_pages_back_with_hysteresis_and_trim_all(void **state)
{
	static const size_t page_sizes[] = { 4096, 65536, 2 << 20 };

	(void)state;
	for (unsigned p = 0; p < 3; p++)
		for (unsigned type = 0; type < POOL_TYPES; type++) {
			size_t page_size = page_sizes[p], unit = page_size >> 12, free_pages;
			struct rig rig;
			static void *blocks[4096];
			uint64_t returned;

			rig_up_sized(&rig, &nt_pool_backend, page_size, "retain=4M,expand=4K");
			for (int i = 0; i < 4096; i++)
				blocks[i] = take_of(&rig, type, 4096);
			returned = counter(&rig, "pages_returned"); /* smaller tables, as it grew */
			for (int i = 0; i < 1024; i++)
				give(&rig, blocks[i]);
			assert_int_equal(counter(&rig, "pages_returned"), returned);
			give(&rig, blocks[1024]);
			free_pages = rig.pool->pages[type].free_pages;
			assert_true(free_pages <= 512 && free_pages + unit > 512);
			assert_true((counter(&rig, "pages_returned") - returned) * unit >=
				    1025 - 512);
			rig_check(&rig);
			rig_walk(&rig);
			for (int i = 1025; i < 4096; i++)
				give(&rig, blocks[i]);
			rig_check(&rig);
			assert_true(nt_pool_backend.trim(rig.pool) > 0);
			assert_int_equal(rig.pool->pages[type].owned_pages, 0);
			assert_int_equal(nt_pool_backend.trim(rig.pool), 0);
			rig_walk(&rig);
			rig_down(&rig);
		}
}

static void large_pool_pages_obey_the_page_rules(void **state)
{
	struct rig rig;

	(void)state;
	rig_up_sized(&rig, &nt_pool_backend, 65536, "");
	for (size_t bytes = 8; bytes < 40000; bytes += 24) {
		char *block = take_of(&rig, bytes % 48 ? POOL_PAGED : POOL_NONPAGED, bytes);

		if (bytes >= POOL_OS_PAGE)
			assert_int_equal(offset_of(block), 0);
		else
			assert_true(offset_of(block) + bytes <= POOL_OS_PAGE);
	}
	rig_check(&rig);
	rig_walk(&rig);
	rig_down(&rig);
}

/* ---- stops ---- */

static void bad_frees_stop(void **state)
{
	static const char *const variants[] = { "", "lookaside=off", "lookaside=off,deferred=on" };

	(void)state;
	for (unsigned v = 0; v < 3; v++) {
		struct rig rig;
		void *block, *keep;
		alignas(64) char stack[64] = { 0 };

		rig_up(&rig, &nt_pool_backend, variants[v]);
		block = take(&rig, 100);
		keep = take(&rig, 100);
		assert_stop(&rig, 0xC2, 0xA, nt_pool_backend.free(rig.pool, block, TAG + 1));
		give(&rig, block);
		assert_stop(&rig, 0xC2, 7, give(&rig, block));
		assert_stop(&rig, 0xC2, 0x99, give(&rig, stack + 32));
		assert_stop(&rig, 0xC2, 0x46, give(&rig, NULL));
		block = take_of(&rig, POOL_PAGED, 5000);
		assert_stop(&rig, 0xC2, 0xA, nt_pool_backend.free(rig.pool, block, TAG + 1));
		give(&rig, block);
		assert_stop(&rig, 0xC2, 0x46, give(&rig, block));
		rig_check(&rig);
		give(&rig, keep);
		rig_down(&rig);
	}
}

static void an_overrun_is_found_at_free(void **state)
{
	struct rig rig;
	char *a, *b, *c;

	(void)state;
	rig_up(&rig, &nt_pool_backend, "lookaside=off");
	take(&rig, 1000);
	c = take(&rig, 96);
	b = take(&rig, 96);
	a = take(&rig, 96);
	assert_ptr_equal(b, a + 112);
	/* One byte past a's end: b's PreviousSize. */
	a[96] ^= 0x40;
	assert_stop(&rig, 0x19, 5, give(&rig, a));
	assert_stop(&rig, 0x19, 5, give(&rig, b));
	a[96] ^= 0x40;
	/* b's own header, beyond recognition. */
	b[-13] = (char)0xEE;
	b[-13] &= (char)~NT_CACHED;
	assert_stop(&rig, 0x19, 0x20, give(&rig, b));
	nt_state_set(nt_header_of(b), nt_busy_state(POOL_NONPAGED));
	give(&rig, b);
	/* A write to a freed block breaks its links. */
	((struct nt_links *)(void *)b)->next = (struct nt_links *)(void *)c;
	((struct nt_links *)(void *)c)->previous = NULL;
	assert_stop(&rig, 0x19, 3, give(&rig, a));
	nt_pool_backend.thread_exit(rig.pool);
	nt_pool_backend.destroy(rig.pool);
	rig_sources_down(&rig);
}

static void check_sees_what_is_broken(void **state)
{
	struct rig rig;
	char *a, why[256];

	(void)state;
	rig_up(&rig, &nt_pool_backend, "");
	a = take(&rig, 96);
	take(&rig, 4096);
	nt_header_of(a)->block_size++;
	assert_int_equal(nt_pool_backend.check(rig.pool, why, sizeof(why)), -EUCLEAN);
	assert_int_equal(nt_pool_backend.check(rig.pool, NULL, 0), -EUCLEAN);
	nt_header_of(a)->block_size--;
	rig_check(&rig);
	nt_state_set(nt_header_of(a), NT_CACHED | 1);
	assert_int_equal(nt_pool_backend.check(rig.pool, why, sizeof(why)), -EUCLEAN);
	assert_non_null(strstr(why, "kept"));
	nt_state_set(nt_header_of(a), nt_busy_state(POOL_NONPAGED));
	rig.pool->pages[POOL_NONPAGED].free_pages++;
	assert_int_equal(nt_pool_backend.check(rig.pool, why, sizeof(why)), -EUCLEAN);
	rig.pool->pages[POOL_NONPAGED].free_pages--;
	rig_down(&rig);
}

/* ---- exhaustion ---- */

/* A script that meets every kind of commit: small, big, slack, tables that grow, expansion. */
static unsigned failing_script(struct rig *rig, void **blocks, unsigned count)
{
	unsigned failures = 0;

	for (unsigned i = 0; i < count; i++) {
		size_t bytes = i % 3 == 0 ? 5000 + i : i % 3 == 1 ? 4096 : 40 + i % 600;

		blocks[i] = nt_pool_backend.alloc(rig->pool, i % 2, bytes, TAG);
		failures += !blocks[i];
		if (blocks[i])
			memset(blocks[i], (int)i, bytes);
	}
	return failures;
}

static void every_commit_may_fail(void **state)
{
	enum { COUNT = 300 };
	static void *blocks[COUNT];
	bool passed = false;

	(void)state;
	for (uint64_t k = 1; !passed; k++) {
		struct page_faults faults = { .fail_nth = k };
		struct page_source_stats stats[POOL_TYPES];
		struct rig rig;

		rig_sources(&rig, &nt_pool_backend, POOL_OS_PAGE, "expand=4K,retain=64K");
		for (unsigned type = 0; type < POOL_TYPES; type++)
			page_source_set_faults(rig.pages[type], &faults);
		if (rig_pool(&rig, 1) != 0) {
			rig_sources_down(&rig);
			continue;
		}
		failing_script(&rig, blocks, COUNT);
		rig_check(&rig);
		rig_walk(&rig);
		for (unsigned i = 0; i < COUNT; i++)
			if (blocks[i])
				give(&rig, blocks[i]);
		rig_check(&rig);
		/* It works on. */
		assert_int_equal(failing_script(&rig, blocks, 1), 0);
		for (unsigned type = 0; type < POOL_TYPES; type++)
			page_source_stats(rig.pages[type], &stats[type]);
		passed = stats[0].injected_failures + stats[1].injected_failures == 0;
		rig_down(&rig);
		assert_true(k < 10000);
	}
}

static void single_pages_until_exhaustion_then_in_reverse(void **state)
{
	static void *blocks[4096];

	(void)state;
	for (unsigned type = 0; type < POOL_TYPES; type++) {
		struct rig rig;
		unsigned count = 0;

		rig_up(&rig, &nt_pool_backend, "");
		page_source_set_limit(rig.pages[type], 4 << 20);
		while ((blocks[count] = nt_pool_backend.alloc(rig.pool, type, 4096, TAG)))
			count++;
		assert_true(count > 900);
		assert_null(nt_pool_backend.alloc(rig.pool, type, SIZE_MAX, TAG));
		while (count)
			give(&rig, blocks[--count]);
		rig_check(&rig);
		give(&rig, take_of(&rig, type, 4096));
		give(&rig, take_of(&rig, type, 40));
		rig_down(&rig);
	}
}

/* ---- threads ---- */

struct exchange {
	struct rig *rig;
	unsigned processor;
	void *_Atomic *slots;
};

enum { SLOTS = 256, STEPS = 60000 };

static void *exchange_run(void *arg)
{
	struct exchange *exchange = arg;
	struct rig *rig = exchange->rig;
	uint32_t random = exchange->processor + 1;

	nt_pool_backend.thread_enter(rig->pool, exchange->processor);
	for (int i = 0; i < STEPS; i++) {
		size_t bytes;
		char *block;

		random = random * 1664525 + 1013904223;
		bytes = (random >> 8) % 100 < 90 ? 8 + (random >> 16) % 700
						 : 4000 + (random >> 16) % 9000;
		block = nt_pool_backend.alloc(rig->pool, random >> 31, bytes, TAG);
		assert_non_null(block);
		memset(block, (int)bytes, bytes < 64 ? bytes : 64);
		/* What another thread left in the slot is freed here. */
		block = atomic_exchange(&exchange->slots[(random >> 9) % SLOTS], block);
		if (block)
			nt_pool_backend.free(rig->pool, block, TAG);
	}
	nt_pool_backend.thread_exit(rig->pool);
	return NULL;
}

static void threads_exchange_blocks(void **state)
{
	static const char *const variants[] = { "interval=256,retain=64K", "lookaside=off",
						"lookaside=off,deferred=on,retain=0",
						"slack=off,paged_pools=1" };

	(void)state;
	for (unsigned v = 0; v < 4; v++) {
		static void *_Atomic slots[SLOTS];
		struct exchange exchanges[3];
		pthread_t threads[3];
		struct rig rig;

		rig_up_sized(&rig, &nt_pool_backend, v == 2 ? 65536 : 4096, variants[v]);
		nt_pool_backend.thread_exit(rig.pool);
		for (unsigned i = 0; i < 3; i++) {
			exchanges[i] = (struct exchange){ &rig, i, slots };
			assert_int_equal(
				pthread_create(&threads[i], NULL, exchange_run, &exchanges[i]), 0);
		}
		for (unsigned i = 0; i < 3; i++)
			pthread_join(threads[i], NULL);
		rig_check(&rig);
		rig_walk(&rig);
		/* A thread that stands for no processor has no lists of its own, and works. */
		for (unsigned i = 0; i < SLOTS; i++) {
			void *block = atomic_exchange(&slots[i], NULL);

			if (block)
				give(&rig, block);
		}
		rig_check(&rig);
		nt_pool_backend.trim(rig.pool);
		for (unsigned type = 0; type < POOL_TYPES; type++)
			assert_int_equal(rig.pool->pages[type].owned_pages, 0);
		rig_down(&rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_takes_a_page_and_one_byte_more_takes_two),
		cmocka_unit_test(slack_of_the_last_page_is_used_for_small_blocks),
		cmocka_unit_test(every_slack_leaves_a_consistent_pool),
		cmocka_unit_test(the_big_page_table_grows_and_finds_every_block),
		cmocka_unit_test(
			nonpaged_runs_are_cut_from_their_end_and_paged_ones_from_the_bottom),
		cmocka_unit_test(free_runs_merge_and_serve_longer_requests),
		cmocka_unit_test(retain_gives_pages_back_with_hysteresis_and_trim_all),
		cmocka_unit_test(large_pool_pages_obey_the_page_rules),
		cmocka_unit_test(bad_frees_stop),
		cmocka_unit_test(an_overrun_is_found_at_free),
		cmocka_unit_test(check_sees_what_is_broken),
		cmocka_unit_test(every_commit_may_fail),
		cmocka_unit_test(single_pages_until_exhaustion_then_in_reverse),
		cmocka_unit_test(threads_exchange_blocks),
	};

	return cmocka_run_group_tests_name("nt_pool_pages", tests, NULL, NULL);
}
