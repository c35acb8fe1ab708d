/* buddy: what makes it the binary buddy system, each from Knowlton's and Knuth's rules and Linux's caches. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allocators/buddy/buddy.h"
#include "allocators/options.h"
#include "pool_rig.h"
#include "workloads/random.h"

static void shuffle(void **blocks, size_t count, struct random *random)
{
	for (size_t i = count; i > 1; i--) {
		const size_t other = random_below(random, (uint32_t)i);
		void *swapped = blocks[other];

		blocks[other] = blocks[i - 1];
		blocks[i - 1] = swapped;
	}
}

/* ---- sizes ---- */

/* Knowlton's bound: a block is the next power of two, so less than half of it is waste, above `min`. */
static void a_block_is_the_next_power_of_two_aligned_to_itself(void **state)
{
	struct rig rig;

	(void)state;
	rig_up(&rig, &buddy_backend, "");
	for (size_t bytes = 1; bytes <= 2 * MIB; bytes += bytes < 9000 ? 1 : bytes / 97) {
		char *block = take(&rig, bytes);
		const size_t whole = buddy_backend.block_bytes(rig.pool, block);

		memset(block, 0xA5, bytes);
		if (bytes > MIB) {
			assert_int_equal(whole, (bytes + 4095) / 4096 * 4096);
		} else {
			assert_true(whole >= bytes && (whole & (whole - 1)) == 0);
			assert_true(whole == 32 || whole < 2 * bytes);
			assert_int_equal((uintptr_t)block & (whole - 1), 0);
		}
		give(&rig, block);
	}
	rig_down(&rig);
}

/*
 * For sizes that are equally likely Knuth's figure is 4/3 of the requests: what is lost to rounding is a quarter
 * of the memory. The bound of a half holds for any sizes.
 */
static void waste_is_a_quarter_on_average_and_under_a_half(void **state)
{
	enum { COUNT = 4096 };
	void *blocks[COUNT];
	size_t asked = 0, used;
	struct random random;
	struct rig rig;

	(void)state;
	random_seed(&random, 5);
	rig_up(&rig, &buddy_backend, "pcp=off");
	for (int i = 0; i < COUNT; i++) {
		const size_t bytes = random_between(&random, 2049, 4096);

		asked += bytes;
		blocks[i] = take_of(&rig, POOL_PAGED, bytes);
	}
	used = rig_walk(&rig).bytes[POOL_PAGED][POOL_RANGE_USED];
	assert_int_equal(used, COUNT * 4096u);
	assert_in_range((used - asked) * 1000 / used, 240, 260);
	for (int i = 0; i < COUNT; i++)
		give(&rig, blocks[i]);
	/* The worst case: a byte more than a power of two. */
	for (int i = 0; i < COUNT; i++)
		blocks[i] = take_of(&rig, POOL_PAGED, 1025);
	used = rig_walk(&rig).bytes[POOL_PAGED][POOL_RANGE_USED];
	assert_in_range(used, 1025 * COUNT, 2 * 1025 * COUNT - 1);
	rig_down(&rig);
}

/* ---- splitting and merging ---- */

/* From a span of 2^15 units a unit: one split an order; its free gives back the very same span. */
static void a_split_an_order_and_a_merge_an_order(void **state)
{
	struct rig rig;
	void *block;

	(void)state;
	rig_up(&rig, &buddy_backend, "pcp=off,expand=4K");
	block = take_of(&rig, POOL_PAGED, 32);
	assert_int_equal(counter(&rig, "splits"), 15);
	give(&rig, block);
	assert_int_equal(counter(&rig, "merges"), 15);
	assert_ptr_equal(take_of(&rig, POOL_PAGED, MIB), block);
	assert_int_equal(counter(&rig, "spans_taken"), 1);
	rig_down(&rig);
}

/* Neighbours of a size that are not buddies stay apart: 0 1 | 2 3, and 1 and 2 are free. */
static void only_buddies_merge(void **state)
{
	struct rig rig;
	char *blocks[4];
	uint64_t merges;

	(void)state;
	rig_up(&rig, &buddy_backend, "pcp=off");
	for (int i = 0; i < 4; i++)
		blocks[i] = take_of(&rig, POOL_PAGED, 256);
	for (int i = 1; i < 4; i++)
		assert_ptr_equal(blocks[i], blocks[0] + 256 * i);
	merges = counter(&rig, "merges");
	give(&rig, blocks[1]);
	give(&rig, blocks[2]);
	assert_int_equal(counter(&rig, "merges"), merges);
	give(&rig, blocks[0]);
	assert_int_equal(counter(&rig, "merges"), merges + 1);
	assert_ptr_equal(take_of(&rig, POOL_PAGED, 512), blocks[0]);
	rig_down(&rig);
}

/* Whatever the order of frees, everything merges back to whole spans, which go back. */
static void all_freed_is_whole_spans_again(void **state)
{
	enum { COUNT = 3000 };
	static const char *const options[] = { "pcp=off,retain=0", "pcp=on", "pcp=pages,min=64" };

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct random random;
		void *blocks[COUNT];
		struct tally tally;
		struct rig rig;
		uint64_t spans;

		random_seed(&random, 7);
		rig_up(&rig, &buddy_backend, options[i]);
		for (int j = 0; j < COUNT; j++)
			blocks[j] = take_of(&rig, POOL_PAGED, random_between(&random, 1, 9000));
		rig_check(&rig);
		rig_walk(&rig);
		shuffle(blocks, COUNT, &random);
		for (int j = 0; j < COUNT; j++)
			give(&rig, blocks[j]);
		rig_check(&rig);
		buddy_backend.trim(rig.pool);
		spans = counter(&rig, "spans_taken");
		assert_in_range(spans, 12, 100);
		assert_int_equal(counter(&rig, "spans_returned"), spans);
		assert_int_equal(counter(&rig, "splits"), counter(&rig, "merges"));
		tally = rig_walk(&rig);
		assert_int_equal(tally.bytes[POOL_PAGED][POOL_RANGE_METADATA],
				 rig_committed(&rig, POOL_PAGED));
		rig_down(&rig);
	}
}

/* ---- memory ---- */

/* A unit needs one page, not the span that it is split from. */
static void only_pages_that_blocks_reach_are_committed(void **state)
{
	struct rig rig;
	size_t map = MIB / 32, base;
	char *block;

	(void)state;
	rig_up(&rig, &buddy_backend, "pcp=off,expand=4K,retain=0");
	give(&rig, take_of(&rig, POOL_PAGED, 1)); /* the spans' records are committed for good */
	base = rig_committed(&rig, POOL_PAGED);
	assert_int_equal(
		base,
		4096); /* the record of the first span alone, wherever in the range that lies */
	block = take_of(&rig, POOL_PAGED, 1);
	assert_int_equal(rig_committed(&rig, POOL_PAGED), base + map + 4096);
	for (int i = 1; i < 128; i++)
		take_of(&rig, POOL_PAGED, 32);
	assert_int_equal(rig_committed(&rig, POOL_PAGED), base + map + 4096);
	take_of(&rig, POOL_PAGED, 32);
	assert_int_equal(rig_committed(&rig, POOL_PAGED), base + map + 8192);
	take_of(&rig, POOL_PAGED, 256 * KIB);
	assert_int_equal(rig_committed(&rig, POOL_PAGED), base + map + 8192 + 256 * KIB);
	give(&rig, block);
	rig_down(&rig);
}

/* Memory that is free is used before more is committed, even if that means to split a larger block. */
static void committed_memory_is_used_first(void **state)
{
	struct rig rig;
	void *large, *small;
	size_t committed;

	(void)state;
	rig_up(&rig, &buddy_backend, "pcp=off,expand=4K");
	large = take_of(&rig, POOL_PAGED, 256 * KIB);
	small = take_of(&rig, POOL_PAGED, 4096);
	give(&rig, large);
	committed = rig_committed(&rig, POOL_PAGED);
	for (int i = 0; i < 64; i++)
		take_of(&rig, POOL_PAGED, 4096);
	assert_int_equal(rig_committed(&rig, POOL_PAGED), committed);
	give(&rig, small);
	rig_down(&rig);
}

static void free_memory_above_retain_is_decommitted_to_its_half(void **state)
{
	struct rig rig;
	void *blocks[512];
	size_t full;

	(void)state;
	rig_up(&rig, &buddy_backend, "pcp=off,retain=1M");
	for (int i = 0; i < 512; i++)
		blocks[i] = take_of(&rig, POOL_PAGED, 4096);
	full = rig_committed(&rig, POOL_PAGED);
	for (int i = 0; i < 256; i++)
		give(&rig, blocks[i]);
	assert_int_equal(rig_committed(&rig, POOL_PAGED), full);
	give(&rig, blocks[256]);
	assert_true(rig_committed(&rig, POOL_PAGED) <= full - 512 * KIB);
	assert_true(rig_walk(&rig).bytes[POOL_PAGED][POOL_RANGE_FREE_PAGES] <= 512 * KIB);
	for (int i = 257; i < 512; i++)
		give(&rig, blocks[i]);
	buddy_backend.trim(rig.pool);
	assert_int_equal(rig_walk(&rig).bytes[POOL_PAGED][POOL_RANGE_FREE_PAGES], 0);
	rig_down(&rig);
}

/* A block with holes in its memory is filled hole by hole; one that is refused leaves nothing behind. */
static void a_refused_commit_leaves_everything_in_order(void **state)
{
	struct page_source *source;
	struct rig rig;
	void *low, *high;

	(void)state;
	rig_up(&rig, &buddy_backend, "pcp=off,expand=4K");
	source = rig.pages[POOL_PAGED];
	low = take_of(&rig, POOL_PAGED, 4 * KIB);
	high = take_of(&rig, POOL_PAGED, 256 * KIB);
	assert_ptr_equal(high, (char *)low + 256 * KIB);
	give(&rig, low);
	give(&rig, high);
	/* Enough for the hole of 252 KiB between the two, not for the half behind them. */
	page_source_set_limit(source, rig_committed(&rig, POOL_PAGED) + 252 * KIB);
	assert_null(buddy_backend.alloc(rig.pool, POOL_PAGED, MIB, TAG));
	assert_int_equal(rig_stats(&rig, POOL_PAGED).failed_commits, 3);
	rig_check(&rig);
	rig_walk(&rig);
	page_source_set_limit(source, 0);
	give(&rig, take_of(&rig, POOL_PAGED, MIB));
	give(&rig, take_of(&rig, POOL_PAGED, 3 * MIB));
	rig_down(&rig);
}

/* Large pool pages: the unit of memory is larger, blocks and page rules are the same. */
static void large_pool_pages_are_shared_by_small_blocks(void **state)
{
	struct rig rig;
	char *a, *b;
	size_t committed;

	(void)state;
	rig_up_sized(&rig, &buddy_backend, 64 * KIB, "pcp=off");
	a = take_of(&rig, POOL_PAGED, 4096);
	committed = rig_committed(&rig, POOL_PAGED);
	b = take_of(&rig, POOL_PAGED, 32 * KIB);
	assert_int_equal(rig_committed(&rig, POOL_PAGED), committed);
	assert_int_equal((uintptr_t)a / (64 * KIB), (uintptr_t)b / (64 * KIB));
	give(&rig, a);
	give(&rig, b);
	assert_int_equal(rig_walk(&rig).bytes[POOL_PAGED][POOL_RANGE_FREE_PAGES], 64 * KIB);
	rig_down(&rig);
}

/* ---- caches ---- */

/* While a processor pops what it pushed it meets no lock. */
static void within_what_a_cache_holds_no_lock_is_met(void **state)
{
	struct rig rig;
	void *blocks[64];
	uint64_t locks;

	(void)state;
	rig_up(&rig, &buddy_backend, "batch=16,high=64,cache=32K");
	for (int i = 0; i < 64; i++)
		blocks[i] = take(&rig, 200);
	buddy_backend.trim(rig.pool); /* what the last refill left over */
	for (int i = 0; i < 64; i++)
		give(&rig, blocks[i]);
	locks = counter(&rig, "lock_acquisitions");
	for (int round = 0; round < 100; round++) {
		for (int i = 0; i < 64; i++)
			blocks[i] = take(&rig, 200);
		for (int i = 0; i < 64; i++)
			give(&rig, blocks[i]);
	}
	assert_int_equal(counter(&rig, "lock_acquisitions"), locks);
	assert_true(counter(&rig, "fast_allocs") >= 6400);
	rig_down(&rig);
}

static void a_full_cache_gives_its_oldest_batch_back(void **state)
{
	struct rig rig;
	void *blocks[65];

	(void)state;
	rig_up(&rig, &buddy_backend, "batch=16,high=64,cache=32K,shelf=0");
	for (int i = 0; i < 65; i++)
		blocks[i] = take(&rig, 512);
	buddy_backend.trim(rig.pool); /* what the last refill left over */
	for (int i = 0; i < 65; i++)
		give(&rig, blocks[i]);
	assert_int_equal(counter(&rig, "cache_overflows"), 1);
	assert_int_equal(rig_walk(&rig).bytes[POOL_NONPAGED][POOL_RANGE_CACHED],
			 (64 - 16 + 1) * 512);
	/* Newest first, down to the 17th that was freed. */
	for (int i = 64; i >= 16; i--)
		assert_ptr_equal(take(&rig, 512), blocks[i]);
	rig_down(&rig);
}

/* A swing that no stack holds goes to the shelf and comes back: the heap's lock and lists are left alone. */
static void a_shelf_takes_what_a_processor_swings_by(void **state)
{
	struct rig rig;
	void *blocks[200];
	uint64_t locks, lists;

	(void)state;
	rig_up(&rig, &buddy_backend, "batch=16,high=32,cache=16K,shelf=256K");
	for (int i = 0; i < 200; i++)
		blocks[i] = take(&rig, 512);
	locks = rig.pool->heaps[POOL_NONPAGED].lock.acquisitions;
	lists = counter(&rig, "list_allocs") + counter(&rig, "list_frees");
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 200; i++)
			give(&rig, blocks[i]);
		rig_check(&rig);
		/* The newest first: those in the stack, and then what was put on the shelf last. */
		for (int i = 199; i >= 0; i--)
			assert_ptr_equal(take(&rig, 512), blocks[i]);
	}
	assert_int_equal(rig.pool->heaps[POOL_NONPAGED].lock.acquisitions, locks);
	assert_int_equal(counter(&rig, "list_allocs") + counter(&rig, "list_frees"), lists);
	assert_int_equal(counter(&rig, "shelf_gets"), counter(&rig, "shelf_puts"));
	assert_true(counter(&rig, "shelf_puts") >= 20 * (200 - 32) / 16);
	rig_down(&rig);
}

/* A batch, and not all, of another's shelf, where that has the very order. What is counted agrees with what was done. */
static void another_s_shelf_is_taken_from_by_the_batch(void **state)
{
	struct rig rig;
	void *blocks[256];

	(void)state;
	rig_up(&rig, &buddy_backend, "expand=4K,batch=16,high=32,cache=16K,shelf=256K");
	for (int i = 0; i < 256; i++)
		blocks[i] = take(&rig, 512);
	for (int i = 0; i < 256; i++)
		give(&rig, blocks[i]);
	rig_become(&rig, 1);
	for (int i = 0; i < 17; i++)
		blocks[i] = take(&rig, 512);
	assert_int_equal(counter(&rig, "shelf_lost"), 32);
	assert_int_equal(rig.pool->processors[0].shelves[POOL_NONPAGED][4].count, 256 - 64);
	for (int i = 0; i < 17; i++)
		give(&rig, blocks[i]);
	assert_int_equal(counter(&rig, "fast_frees"), 256 + 17);
	assert_int_equal(counter(&rig, "fast_allocs") + counter(&rig, "refills"), 256 + 17);
	rig_down(&rig);
}

/* No more than so many bytes, and eight stacks; what is beyond goes to the lists. */
static void a_shelf_has_its_bound(void **state)
{
	static const struct {
		const char *options;
		unsigned most;
	} cases[] = { { "high=32,cache=16K,shelf=32K", 64 },
		      { "high=16,cache=8K,shelf=1M", 128 },
		      { "high=16,cache=8K,shelf=1M,retain=0", 0 } };
	struct rig rig;
	void *blocks[600];

	(void)state;
	for (int i = 0; i < 3; i++) {
		rig_up(&rig, &buddy_backend, cases[i].options);
		for (int j = 0; j < 600; j++)
			blocks[j] = take(&rig, 512);
		for (int j = 0; j < 600; j++)
			give(&rig, blocks[j]);
		assert_int_equal(rig.pool->processors[0].shelves[POOL_NONPAGED][4].count,
				 cases[i].most);
		assert_true(counter(&rig, "list_frees") > 0);
		assert_true(rig_walk(&rig).bytes[POOL_NONPAGED][POOL_RANGE_CACHED] >=
			    cases[i].most * 512);
		rig_down(&rig);
	}
}

/* What all shelves may hold is taken from what the lists may keep. */
static void shelves_count_as_retained(void **state)
{
	struct rig rig;
	size_t bytes = 0;

	(void)state;
	rig_up(&rig, &buddy_backend, "");
	for (unsigned order = 0; order < BUDDY_CACHED_ORDERS; order++)
		bytes += rig.pool->processors[0].shelves[POOL_PAGED][order].most * (32ul << order);
	assert_in_range(bytes, MIB, 4 * MIB / 3);
	assert_int_equal(rig.pool->heaps[POOL_PAGED].retain_pages,
			 (8 * MIB - RIG_PROCESSORS * bytes) / 4096);
	rig_down(&rig);
	rig_up(&rig, &buddy_backend, "retain=1M");
	assert_int_equal(rig.pool->heaps[POOL_PAGED].retain_pages, 512 * KIB / 4096);
	rig_down(&rig);
}

/* What lies on any processor's shelf is used before memory is committed, merged to whatever is needed. */
static void shelves_are_emptied_before_memory_is_committed(void **state)
{
	struct rig rig;
	void *blocks[256];
	size_t committed;

	(void)state;
	rig_up(&rig, &buddy_backend, "expand=4K,high=32,cache=16K,shelf=256K");
	for (int i = 0; i < 256; i++)
		blocks[i] = take_of(&rig, POOL_PAGED, 512);
	committed = rig_committed(&rig, POOL_PAGED);
	for (int i = 0; i < 256; i++)
		give(&rig, blocks[i]);
	assert_int_equal(rig.pool->processors[0].shelves[POOL_PAGED][4].count, 256 - 32);
	rig_become(&rig, 1);
	for (int i = 0; i < 20; i++)
		take_of(&rig, POOL_PAGED, 4096);
	assert_int_equal(rig_committed(&rig, POOL_PAGED), committed);
	assert_int_equal(counter(&rig, "shelf_lost"), 256 - 32);
	assert_int_equal(rig.pool->processors[0].shelves[POOL_PAGED][4].count, 0);
	rig_check(&rig);
	/* And so at the limit. */
	page_source_set_limit(rig.pages[POOL_PAGED], committed);
	while (buddy_backend.alloc(rig.pool, POOL_PAGED, 512, TAG))
		;
	assert_true(rig_walk(&rig).bytes[POOL_PAGED][POOL_RANGE_CACHED] <= 32 * 512);
	rig_down(&rig);
}

/* What other stacks hold cannot be had, what the own one holds can: it merges to what is needed. */
static void the_own_cache_is_no_loss_at_the_limit(void **state)
{
	struct rig rig;
	void *blocks[32];

	(void)state;
	rig_up(&rig, &buddy_backend, "expand=4K,high=64,cache=1M");
	for (int i = 0; i < 32; i++)
		blocks[i] = take_of(&rig, POOL_PAGED, 2048);
	page_source_set_limit(rig.pages[POOL_PAGED], rig_committed(&rig, POOL_PAGED));
	for (int i = 0; i < 32; i++)
		give(&rig, blocks[i]);
	assert_non_null(take_of(&rig, POOL_PAGED, 64 * KIB));
	rig_down(&rig);
}

/* ---- corruption ---- */

static void wrong_frees_are_noticed_with(const char *options)
{
	struct rig rig;
	char *block, *other;
	int local;

	rig_up(&rig, &buddy_backend, options);
	block = take_of(&rig, POOL_PAGED, 1000);
	other = take_of(&rig, POOL_PAGED, 1000);
	assert_stop(&rig, 0xC2, 0x99, give(&rig, block + 512));
	assert_stop(&rig, 0xC2, 0x99, give(&rig, block + 8));
	assert_stop(&rig, 0xC2, 0x99, give(&rig, &local));
	give(&rig, block);
	assert_stop(&rig, 0xC2, 7, give(&rig, block));
	give(&rig, other);
	rig_down(&rig);
}

static void wrong_frees_are_noticed(void **state)
{
	(void)state;
	wrong_frees_are_noticed_with("pcp=on");
	wrong_frees_are_noticed_with("pcp=off");
}

static void free_again(struct rig *rig, void *block)
{
	assert_stop(rig, 0xC2, 7, give(rig, block));
}

static void all_free_again(struct rig *rig, unsigned processor, unsigned order)
{
	const struct buddy_processor *of = &rig->pool->processors[processor];
	void *block = of->shelves[POOL_PAGED][order].first;

	for (unsigned i = 0; i < of->caches[POOL_PAGED][order].count; i++)
		free_again(rig, of->caches[POOL_PAGED][order].blocks[i]);
	for (; block; block = buddy_shelf_next(block))
		free_again(rig, block);
}

/* Wherever the block is by then: on a shelf, or by way of the lists in another processor's stack. */
static void a_second_free_is_noticed_however_late(void **state)
{
	struct rig rig;
	void *blocks[300];

	(void)state;
	rig_up(&rig, &buddy_backend, "batch=16,high=32,cache=16K,shelf=64K");
	for (int i = 0; i < 300; i++)
		blocks[i] = take_of(&rig, POOL_PAGED, 512);
	for (int i = 0; i < 300; i++)
		give(&rig, blocks[i]);
	assert_int_equal(rig.pool->processors[0].shelves[POOL_PAGED][4].count, 128);
	all_free_again(&rig, 0, 4);
	rig_become(&rig, 1);
	give(&rig, take_of(&rig, POOL_PAGED, 512));
	assert_int_equal(rig.pool->processors[1].caches[POOL_PAGED][4].count, 16);
	all_free_again(&rig, 1, 4);
	rig_down(&rig);
}

/* The seals of blocks that merged long ago mean nothing, whoever gets that memory. */
static void old_seals_accuse_nobody(void **state)
{
	struct random random;
	void *blocks[64];
	struct rig rig;

	(void)state;
	random_seed(&random, 11);
	rig_up(&rig, &buddy_backend, "expand=4K,shelf=16K");
	for (int i = 0; i < 64; i++)
		blocks[i] = take(&rig, 512);
	for (int i = 0; i < 20000; i++) {
		const uint32_t at = random_below(&random, 64);

		give(&rig, blocks[at]);
		blocks[at] = take(&rig, random_between(&random, 1, 9000));
		if (i % 1000 == 0)
			buddy_backend.trim(rig.pool);
	}
	rig_down(&rig);
}

static void sizes_must_be_powers_of_two(void **state)
{
	static const char *const options[] = { "min=48", "span=1000K", "expand=12K" };
	struct rig rig;

	(void)state;
	rig_up(&rig, &buddy_backend, "");
	for (int i = 0; i < 3; i++) {
		struct pool_config config = { .page_size = 4096, .processors = 1 };
		struct buddy_options values;
		struct pool *pool = NULL;
		char error[256];

		assert_int_equal(options_parse(buddy_backend.options, &values, options[i], error,
					       sizeof(error)),
				 0);
		config.pages[0] = rig.pages[0];
		config.pages[1] = rig.pages[1];
		config.values = &values;
		assert_true(buddy_backend.create(&config, &pool) < 0);
		assert_null(pool);
	}
	rig_down(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_block_is_the_next_power_of_two_aligned_to_itself),
		cmocka_unit_test(waste_is_a_quarter_on_average_and_under_a_half),
		cmocka_unit_test(a_split_an_order_and_a_merge_an_order),
		cmocka_unit_test(only_buddies_merge),
		cmocka_unit_test(all_freed_is_whole_spans_again),
		cmocka_unit_test(only_pages_that_blocks_reach_are_committed),
		cmocka_unit_test(committed_memory_is_used_first),
		cmocka_unit_test(free_memory_above_retain_is_decommitted_to_its_half),
		cmocka_unit_test(a_refused_commit_leaves_everything_in_order),
		cmocka_unit_test(large_pool_pages_are_shared_by_small_blocks),
		cmocka_unit_test(within_what_a_cache_holds_no_lock_is_met),
		cmocka_unit_test(a_full_cache_gives_its_oldest_batch_back),
		cmocka_unit_test(a_shelf_takes_what_a_processor_swings_by),
		cmocka_unit_test(another_s_shelf_is_taken_from_by_the_batch),
		cmocka_unit_test(a_shelf_has_its_bound),
		cmocka_unit_test(shelves_count_as_retained),
		cmocka_unit_test(shelves_are_emptied_before_memory_is_committed),
		cmocka_unit_test(the_own_cache_is_no_loss_at_the_limit),
		cmocka_unit_test(wrong_frees_are_noticed),
		cmocka_unit_test(a_second_free_is_noticed_however_late),
		cmocka_unit_test(old_seals_accuse_nobody),
		cmocka_unit_test(sizes_must_be_powers_of_two),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
