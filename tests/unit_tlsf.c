/* tlsf: what makes it two-level segregated fit, each from the paper's rules. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allocators/tlsf/tlsf.h"
#include "pool_rig.h"
#include "workloads/random.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MILLION 100000u
#else
#define MILLION 1000000u
#endif

static int range_sum(void *arg, const struct pool_range *range)
{
	((size_t *)arg)[range->kind] += range->bytes;
	return 0;
}

/* ---- mapping ---- */

/* Lists in the order of their numbers hold sizes in rising order, without a gap, 2^sli to a power of two. */
static void classes_rise_and_cut_each_power_of_two_evenly(void **state)
{
	(void)state;
	for (unsigned sli = 2; sli <= TLSF_SLI_MAX; sli++) {
		unsigned before = tlsf_list_of(sli, 32);

		assert_int_equal(before, 2);
		for (size_t size = 48; size < (size_t)1 << 20; size += 16) {
			const unsigned list = tlsf_list_of(sli, size);

			assert_true(list == before || list == before + 1);
			before = list;
		}
		for (unsigned power = 12; power < 40; power++) {
			const size_t size = (size_t)1 << power, step = size >> sli;
			const unsigned first = tlsf_list_of(sli, size);

			for (unsigned column = 0; column < 1u << sli; column++) {
				assert_int_equal(tlsf_list_of(sli, size + column * step),
						 first + column);
				assert_int_equal(tlsf_list_of(sli, size + (column + 1) * step - 16),
						 first + column);
			}
			assert_int_equal(tlsf_list_of(sli, 2 * size), first + (1u << sli));
			assert_true(first + (2u << sli) <= TLSF_ROWS << sli);
		}
	}
}

/* The paper's search mapping: whatever is in the list that is found fits, and the one below need not. */
static void search_begins_where_every_block_fits(void **state)
{
	struct random random;

	(void)state;
	random_seed(&random, 1);
	for (unsigned round = 0; round < 200000; round++) {
		const unsigned sli = 2 + round % (TLSF_SLI_MAX - 1);
		const size_t size = ((random_next(&random) >> (24 + round % 30)) | 2) * 16;
		const size_t class_size = tlsf_class_size(sli, size);
		const unsigned list = tlsf_list_of(sli, class_size), own = tlsf_list_of(sli, size);

		/* It begins its list, 16 bytes less map below; and it is the first that does from `size` on. */
		assert_true(class_size >= size && class_size % 16 == 0);
		assert_true(class_size == 32 || tlsf_list_of(sli, class_size - 16) == list - 1);
		assert_true(list == own ? class_size == size : list == own + 1);
	}
}

/* ---- fitting ---- */

static void a_used_block_costs_eight_bytes(void **state)
{
	struct rig rig;

	(void)state;
	rig_up(&rig, &tlsf_backend, "");
	for (size_t bytes = 1; bytes < 20000; bytes += 7) {
		char *block = take_of(&rig, POOL_PAGED, bytes);
		const size_t whole = bytes <= 24 ? 32 : (bytes + 8 + 15) / 16 * 16;

		assert_int_equal((uintptr_t)block % 16, 0);
		assert_int_equal(tlsf_backend.block_bytes(rig.pool, block), whole);
		memset(block, 0xA5, bytes);
		give(&rig, block);
	}
	rig_down(&rig);
}

/* A hole is used again by the size that it was made for, and its rest by what fits into that. */
static void holes_are_filled_and_split_from_the_front(void **state)
{
	struct rig rig;
	char *a, *b, *c;

	(void)state;
	rig_up(&rig, &tlsf_backend, "");
	a = take(&rig, 504);
	b = take(&rig, 504);
	c = take(&rig, 504);
	assert_ptr_equal(b, a + 512);
	assert_ptr_equal(c, b + 512);
	give(&rig, b);
	assert_ptr_equal(take(&rig, 120), b);
	assert_ptr_equal(take(&rig, 376), b + 128);
	assert_ptr_equal(take(&rig, 24), c + 512);
	rig_down(&rig);
}

/* Used up to the last byte by blocks of 1000, the heap has no free block. */
static void use_up(struct rig *rig)
{
	while (rig_walk(rig).bytes[POOL_NONPAGED][POOL_RANGE_FREE] +
		       rig_walk(rig).bytes[POOL_NONPAGED][POOL_RANGE_FREE_PAGES] >
	       0)
		take(rig, 24);
}

/*
 * Good fit: the search begins one class above the request's own, which also has blocks that are too short. Of the
 * own class the head alone is looked at.
 */
static void good_fit_looks_one_class_up(void **state)
{
	struct rig rig;
	char *fits, *large, *short_one;

	(void)state;
	rig_up(&rig, &tlsf_backend, "sli=2");
	/* Classes of [1024, 2048) with sli=2 are 256 bytes wide. */
	fits = take(&rig, 1152 - 8);
	take(&rig, 24);
	large = take(&rig, 1280 - 8);
	take(&rig, 24);
	short_one = take(&rig, 1088 - 8);
	use_up(&rig);
	give(&rig, large);
	give(&rig, fits);
	/* The head of its class, and it fits. */
	assert_ptr_equal(take(&rig, 1140), fits);
	give(&rig, fits);
	give(&rig, short_one);
	/* The head is too short, and what is behind it is not looked at: from 1280 on. */
	assert_ptr_equal(take(&rig, 1140), large);
	rig_down(&rig);
}

/* Before a heap grows, the own class is looked through, no further than its bound. */
static void the_own_class_is_looked_through_before_the_heap_grows(void **state)
{
	char *holes[TLSF_LOOK_MAX + 1];
	struct rig rig;
	uint64_t taken;

	(void)state;
	for (unsigned shorts = TLSF_LOOK_MAX - 1; shorts <= TLSF_LOOK_MAX; shorts++) {
		rig_up(&rig, &tlsf_backend, "sli=2");
		for (unsigned i = 0; i <= shorts; i++) {
			holes[i] = take(&rig, i ? 1088 - 8 : 1152 - 8);
			take(&rig, 24);
		}
		use_up(&rig);
		for (unsigned i = 0; i <= shorts; i++)
			give(&rig, holes[i]);
		taken = counter(&rig, "refills");
		if (shorts < TLSF_LOOK_MAX) {
			assert_ptr_equal(take(&rig, 1140), holes[0]);
			assert_int_equal(counter(&rig, "refills"), taken);
		} else {
			assert_ptr_not_equal(take(&rig, 1140), holes[0]);
			assert_int_equal(counter(&rig, "refills"), taken + 1);
		}
		rig_down(&rig);
	}
}

/* What a very large request had made is found by the next of its size, not taken anew each time. */
static void a_very_large_block_comes_and_goes_without_new_memory(void **state)
{
	static const char *const options[] = { "", "processors=off", "sli=2", "sli=6" };
	struct rig rig;
	uint64_t taken;

	(void)state;
	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
		for (size_t bytes = 70000; bytes < 3 * MIB; bytes = bytes * 3 / 2 + 40) {
			rig_up(&rig, &tlsf_backend, options[i]);
			give(&rig, take(&rig, bytes));
			taken = counter(&rig, "pages_taken");
			for (int round = 0; round < 100; round++)
				give(&rig, take(&rig, bytes));
			assert_int_equal(counter(&rig, "pages_taken"), taken);
			rig_down(&rig);
		}
	}
}

/* ---- coalescing ---- */

/* Immediate: at no time are there two free neighbours, and the last free makes the span one block. */
static void neighbours_merge_at_once_in_every_order(void **state)
{
	static const int orders[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
					  { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };

	(void)state;
	for (int i = 0; i < 6; i++) {
		struct rig rig;
		char *blocks[3];
		size_t sums[POOL_RANGE_KINDS] = { 0 };

		rig_up(&rig, &tlsf_backend, "");
		for (int j = 0; j < 3; j++)
			blocks[j] = take_of(&rig, POOL_PAGED, 1000);
		for (int j = 0; j < 3; j++) {
			give(&rig, blocks[orders[i][j]]);
			rig_check(&rig);
		}
		/* Each block merges with each free neighbour; the rest of the span is the last one. */
		assert_int_equal(counter(&rig, "merges"), 3);
		assert_int_equal(tlsf_backend.walk(rig.pool, range_sum, sums), 0);
		assert_int_equal(sums[POOL_RANGE_USED] + sums[POOL_RANGE_FREE], 0);
		assert_int_equal(sums[POOL_RANGE_FREE_PAGES], 64 << 10);
		assert_ptr_equal(take_of(&rig, POOL_PAGED, 60000), blocks[0]);
		rig_down(&rig);
	}
}

/* ---- bounded steps ---- */

/* Fills the heap to `count` blocks with holes of all sizes, and gives the most steps seen by then. */
static uint64_t steps_with(struct rig *rig, void **blocks, size_t from, size_t count,
			   struct random *random)
{
	for (size_t i = from; i < count; i++)
		blocks[i] = take_of(rig, POOL_PAGED, random_between(random, 1, 600));
	/* Every third goes, and comes back in another size: lists of any length, merges of every kind. */
	for (size_t i = from; i < count; i += 3)
		give(rig, blocks[i]);
	for (size_t i = from; i < count; i += 3)
		blocks[i] = take_of(rig, POOL_PAGED, random_between(random, 1, 2000));
	return counter(rig, "steps_max");
}

static void steps_stay_constant_up_to_a_million_blocks(void **state)
{
	void **blocks = calloc(MILLION, sizeof(*blocks));
	uint64_t small, large;
	struct random random;
	struct rig rig;

	(void)state;
	assert_non_null(blocks);
	random_seed(&random, 3);
	rig_up(&rig, &tlsf_backend, "");
	small = steps_with(&rig, blocks, 0, 1000, &random);
	large = steps_with(&rig, blocks, 1000, MILLION, &random);
	assert_in_range(small, 4, TLSF_STEPS_MAX);
	assert_in_range(large, small, TLSF_STEPS_MAX);
	rig_check(&rig);
	for (size_t i = MILLION; i > 1; i--) {
		const size_t other = random_below(&random, (uint32_t)i);
		void *swapped = blocks[other];

		blocks[other] = blocks[i - 1];
		blocks[i - 1] = swapped;
	}
	for (size_t i = 0; i < MILLION; i++)
		give(&rig, blocks[i]);
	assert_in_range(counter(&rig, "steps_max"), large, TLSF_STEPS_MAX);
	free(blocks);
	rig_down(&rig);
}

/* Not by luck of the counter: the time of an operation does not follow the heap's size either. */
static void a_long_list_is_not_walked(void **state)
{
	enum { HOLES = 20000 };
	char **blocks = calloc(2 * HOLES, sizeof(*blocks));
	struct rig rig;
	uint64_t splits;

	(void)state;
	assert_non_null(blocks);
	rig_up(&rig, &tlsf_backend, "grow=32M");
	for (int i = 0; i < 2 * HOLES; i++)
		blocks[i] = take_of(&rig, POOL_PAGED, 504);
	for (int i = 0; i < 2 * HOLES; i += 2)
		give(&rig, blocks[i]);
	splits = counter(&rig, "splits");
	/* LIFO: the head of the one list of 20,000 is what was freed last, and fits exactly. */
	for (int i = 2 * HOLES - 2; i >= 0; i -= 2)
		assert_ptr_equal(take_of(&rig, POOL_PAGED, 504), blocks[i]);
	assert_int_equal(counter(&rig, "splits"), splits);
	free(blocks);
	rig_down(&rig);
}

/* ---- spans ---- */

static void spans_go_back_above_what_is_retained(void **state)
{
	struct rig rig;
	void *blocks[64];
	size_t base;

	(void)state;
	rig_up(&rig, &tlsf_backend, "processors=off,grow=64K,retain=256K");
	base = rig_committed(&rig, POOL_PAGED);
	for (int i = 0; i < 64; i++)
		blocks[i] = take_of(&rig, POOL_PAGED, 60000);
	assert_int_equal(rig_committed(&rig, POOL_PAGED) - base, 64u << 16);
	for (int i = 0; i < 64; i++)
		give(&rig, blocks[i]);
	assert_int_equal(rig_committed(&rig, POOL_PAGED) - base, 256u << 10);
	assert_int_equal(counter(&rig, "spans_returned"), 60);
	assert_int_equal(tlsf_backend.trim(rig.pool), 256u << 10);
	assert_int_equal(rig_committed(&rig, POOL_PAGED), base);
	rig_down(&rig);
}

/* A limit that leaves less than `grow` is used up to its last page. */
static void a_span_is_as_small_as_need_be_at_the_limit(void **state)
{
	struct rig rig;

	(void)state;
	rig_up(&rig, &tlsf_backend, "grow=1M");
	page_source_set_limit(rig.pages[POOL_PAGED], 8192);
	assert_non_null(take_of(&rig, POOL_PAGED, 4000));
	assert_non_null(take_of(&rig, POOL_PAGED, 4000));
	assert_null(tlsf_backend.alloc(rig.pool, POOL_PAGED, 4000, TAG));
	rig_down(&rig);
}

/* ---- processors ---- */

struct crossing {
	struct rig *rig;
	void **blocks;
	size_t count;
};

static void *free_on_processor_1(void *arg)
{
	struct crossing *crossing = arg;

	tlsf_backend.thread_enter(crossing->rig->pool, 1);
	for (size_t i = 0; i < crossing->count; i++)
		give(crossing->rig, crossing->blocks[i]);
	tlsf_backend.thread_exit(crossing->rig->pool);
	return NULL;
}

static void free_elsewhere(struct rig *rig, void **blocks, size_t count)
{
	struct crossing crossing = { rig, blocks, count };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, free_on_processor_1, &crossing), 0);
	pthread_join(thread, NULL);
}

/* What others free waits for the owner, is told as cached, and each alloc takes four of it in. */
static void blocks_freed_elsewhere_come_home(void **state)
{
	struct rig rig;
	void *blocks[40];
	size_t sums[POOL_RANGE_KINDS] = { 0 };

	(void)state;
	rig_up(&rig, &tlsf_backend, "");
	for (int i = 0; i < 40; i++)
		blocks[i] = take(&rig, 200);
	free_elsewhere(&rig, blocks, 40);
	rig_check(&rig);
	tlsf_backend.walk(rig.pool, range_sum, sums);
	assert_int_equal(sums[POOL_RANGE_CACHED], 40 * 208);
	assert_int_equal(sums[POOL_RANGE_USED], 0);
	take(&rig, 200);
	assert_int_equal(counter(&rig, "remote_frees"), TLSF_DRAIN_MAX);
	tlsf_backend.trim(rig.pool);
	assert_int_equal(counter(&rig, "remote_frees"), 40);
	rig_down(&rig);
}

/* Where nobody stands for the processor, its blocks are freed at once, and its heap helps out. */
static void an_empty_processor_is_everyones(void **state)
{
	struct rig rig;
	void *blocks[100];

	(void)state;
	rig_up(&rig, &tlsf_backend, "");
	for (int i = 0; i < 100; i++)
		blocks[i] = take(&rig, 500);
	tlsf_backend.thread_exit(rig.pool);
	free_elsewhere(&rig, blocks, 100);
	assert_int_equal(counter(&rig, "fast_frees"), 100);
	assert_int_equal(counter(&rig, "remote_frees"), 0);
	tlsf_backend.thread_enter(rig.pool, 2);
	page_source_set_limit(rig.pages[POOL_NONPAGED], rig_committed(&rig, POOL_NONPAGED));
	assert_non_null(take(&rig, 500));
	assert_int_equal(counter(&rig, "steals"), 1);
	tlsf_backend.thread_exit(rig.pool);
	tlsf_backend.thread_enter(rig.pool, 0);
	rig_down(&rig);
}

/* With one heap a pool type every operation is one acquisition of its lock; without, none is. */
static void own_operations_take_no_lock(void **state)
{
	static const char *const options[] = { "processors=on", "processors=off" };

	(void)state;
	for (unsigned off = 0; off < 2; off++) {
		struct rig rig;
		uint64_t before;

		rig_up(&rig, &tlsf_backend, options[off]);
		give(&rig, take_of(&rig, POOL_PAGED, 100)); /* the span is there */
		before = counter(&rig, "lock_acquisitions");
		for (int i = 0; i < 1000; i++)
			give(&rig, take_of(&rig, POOL_PAGED, 1 + (size_t)i));
		assert_int_equal(counter(&rig, "lock_acquisitions") - before, off * 2000);
		rig_down(&rig);
	}
}

/* ---- corruption ---- */

static void corruption_is_noticed_with(const char *options)
{
	struct rig rig;
	char *a, *b;
	size_t word = 0;

	rig_up(&rig, &tlsf_backend, options);
	a = take_of(&rig, POOL_PAGED, 100);
	b = take_of(&rig, POOL_PAGED, 100);
	give(&rig, a);
	assert_stop(&rig, 0xC2, 7, give(&rig, a));
	a = take_of(&rig, POOL_PAGED, 100);
	memcpy(&word, b - 8, 8);
	memset(b - 8, 0xFF, 8); /* an overrun of a by a word */
	assert_stop(&rig, 0x19, 0x20, give(&rig, b));
	assert_stop(&rig, 0x19, 5, give(&rig, a));
	memcpy(b - 8, &word, 8);
	give(&rig, a);
	give(&rig, b);
	rig_down(&rig);
}

static void corruption_is_noticed(void **state)
{
	(void)state;
	corruption_is_noticed_with("processors=on");
	corruption_is_noticed_with("processors=off");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(classes_rise_and_cut_each_power_of_two_evenly),
		cmocka_unit_test(search_begins_where_every_block_fits),
		cmocka_unit_test(a_used_block_costs_eight_bytes),
		cmocka_unit_test(holes_are_filled_and_split_from_the_front),
		cmocka_unit_test(good_fit_looks_one_class_up),
		cmocka_unit_test(the_own_class_is_looked_through_before_the_heap_grows),
		cmocka_unit_test(a_very_large_block_comes_and_goes_without_new_memory),
		cmocka_unit_test(neighbours_merge_at_once_in_every_order),
		cmocka_unit_test(steps_stay_constant_up_to_a_million_blocks),
		cmocka_unit_test(a_long_list_is_not_walked),
		cmocka_unit_test(spans_go_back_above_what_is_retained),
		cmocka_unit_test(a_span_is_as_small_as_need_be_at_the_limit),
		cmocka_unit_test(blocks_freed_elsewhere_come_home),
		cmocka_unit_test(an_empty_processor_is_everyones),
		cmocka_unit_test(own_operations_take_no_lock),
		cmocka_unit_test(corruption_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
