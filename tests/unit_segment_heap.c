/*
 * segment-heap in front: routing, low-fragmentation buckets, lookaside lists; from the design's own
 * rules.
 */
#include <stdio.h>
#include <string.h>

#include "allocators/segment_heap/segment_heap.h"
#include "pool_rig.h"

/* Only the variable-size layer and the back end, each free at once. */
#define BARE "lfh=off,lookaside=off,vs_delay=0,vs_slots=one"

/* ---- buckets and routing ---- */

static void buckets_have_the_published_granularity(void **state)
{
	static const struct {
		size_t bytes;
		unsigned bucket;
	} edges[] = {
		{ 1, 1 },     { 16, 1 },    { 17, 2 },     { 512, 32 },   { 1008, 63 },
		{ 1009, 64 }, { 1072, 64 }, { 1073, 65 },  { 2032, 79 },  { 2033, 80 },
		{ 4080, 95 }, { 4081, 96 }, { 8176, 111 }, { 8177, 112 }, { 16368, 127 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(edges) / sizeof(*edges); i++)
		assert_int_equal(sh_bucket(edges[i].bytes), edges[i].bucket);
	for (size_t bytes = 1; bytes <= 16368; bytes++) {
		unsigned bucket = sh_bucket(bytes);
		size_t most = sh_bucket_bytes(bucket);

		assert_true(bytes <= most);
		assert_true(bucket == 1 || bytes > sh_bucket_bytes(bucket - 1));
		assert_true(most - bytes < 16 || (most - bytes) * 16 < most);
	}
}

/* The layer that serves a request, told by the counter that rises. */
static const char *layer_of(struct rig *rig, void *block)
{
	const struct seg_context *context = NULL;
	struct sh_heap *heap = &rig->pool->heaps[POOL_NONPAGED];
	const struct seg_segment *segment = seg_find(heap, block, &context);
	size_t unit;

	if (!segment)
		return "large";
	unit = (size_t)((char *)block - (const char *)segment) >> context->unit_shift;
	if (segment->descriptors[unit].kind == SEG_LFH)
		return "lfh";
	if (segment->descriptors[unit].kind == SEG_VS)
		return "vs";
	return context == &heap->segments[0] ? "4K units" : "64K units";
}

static void requests_are_routed_by_size(void **state)
{
	static const struct {
		size_t bytes;
		const char *layer;
		size_t block_bytes;
	} routes[] = {
		{ 1, "lfh", 32 },
		{ 512, "lfh", 528 },
		{ 513, "vs", 528 + 32 }, /* rounded to its lookaside bucket */
		{ 0xF80, "vs", 4080 + 32 },
		{ 0xF81, "vs", 0xF90 + 32 }, /* no lookaside list: to 16 bytes */
		{ 0xFE0, "vs", 0xFE0 + 32 },
		{ 0xFE1, "4K units", 4096 },
		{ 4096, "4K units", 4096 },
		{ 4097, "vs", 4112 + 16 },
		{ 8192 - 255, "4K units", 8192 },
		{ 8192 - 256, "vs", 8192 - 256 + 16 },
		{ 128 * KIB - 300, "vs", 128 * KIB - 304 + 16 + 16 },
		{ 128 * KIB + 1, "4K units", 132 * KIB },
		{ 508 * KIB, "4K units", 508 * KIB },
		{ 508 * KIB + 1, "64K units", 512 * KIB },
		{ 512 * KIB + 1, "64K units", 576 * KIB },
		{ 8128 * KIB, "64K units", 8128 * KIB },
		{ 8128 * KIB + 1, "large", 8132 * KIB },
		{ 20 * MIB, "large", 20 * MIB },
	};
	struct rig rig;

	(void)state;
	rig_up(&rig, &segment_heap_backend, "lfh_live=1");
	give(&rig, take(&rig, 1));
	give(&rig, take(&rig, 512));
	for (size_t i = 0; i < sizeof(routes) / sizeof(*routes); i++) {
		void *block = take(&rig, routes[i].bytes);
		uint32_t tag = 0;

		if (strcmp(layer_of(&rig, block), routes[i].layer) != 0)
			fail_msg("%zu bytes from %s, not %s", routes[i].bytes,
				 layer_of(&rig, block), routes[i].layer);
		assert_int_equal(bytes_of(&rig, block), routes[i].block_bytes);
		assert_int_equal(segment_heap_backend.tag_of(rig.pool, block, &tag), 0);
		assert_int_equal(tag, TAG);
		give(&rig, block);
	}
	rig_down(&rig);
}

static void edges_move_with_their_options(void **state)
{
	struct rig rig;
	void *block;

	(void)state;
	rig_up(&rig, &segment_heap_backend, "lfh_live=1,lfh_max=2000,vs_max=8K,large_segment=4M");
	give(&rig, take(&rig, 2000));
	block = take(&rig, 2000);
	assert_string_equal(layer_of(&rig, block), "lfh");
	give(&rig, block);
	block = take(&rig, 9000);
	assert_string_equal(layer_of(&rig, block), "4K units");
	give(&rig, block);
	/* 127 units of 16 KiB. */
	block = take(&rig, 2032 * KIB);
	assert_string_equal(layer_of(&rig, block), "64K units");
	assert_int_equal(bytes_of(&rig, block), 2032 * KIB);
	give(&rig, block);
	block = take(&rig, 2032 * KIB + 1);
	assert_string_equal(layer_of(&rig, block), "large");
	give(&rig, block);
	rig_down(&rig);
}

/* ---- LFH ---- */

static void lfh_activates_at_17_live_blocks_and_not_before(void **state)
{
	struct rig rig;
	void *blocks[17], *other[16];

	(void)state;
	rig_up(&rig, &segment_heap_backend, "");
	take_many(&rig, blocks, 16, 100);
	/* 16 live, however often one comes and goes, as long as others come in between. */
	for (int i = 0; i < 1000; i++) {
		give(&rig, blocks[i % 16]);
		other[i % 16] = take(&rig, 300);
		blocks[i % 16] = take(&rig, 100);
		give(&rig, other[i % 16]);
	}
	assert_int_equal(counter(&rig, "lfh_activations"), 0);
	assert_string_equal(layer_of(&rig, blocks[15]), "vs");
	/* The 17th activates the bucket and is its first block. */
	blocks[16] = take(&rig, 100);
	assert_string_equal(layer_of(&rig, blocks[16]), "lfh");
	assert_int_equal(counter(&rig, "lfh_activations"), 1);
	assert_int_equal(counter(&rig, "lfh_allocs"), 1);
	/* What the other layer served goes back there. */
	give_many(&rig, blocks, 17);
	rig_down(&rig);
}

static void lfh_activates_after_18_requests_in_a_row(void **state)
{
	struct rig rig;

	(void)state;
	rig_up(&rig, &segment_heap_backend, "");
	for (int i = 0; i < 17; i++)
		give(&rig, take(&rig, 100));
	give(&rig, take(&rig, 200));
	for (int i = 0; i < 17; i++)
		give(&rig, take(&rig, 100));
	assert_int_equal(counter(&rig, "lfh_activations"), 0);
	give(&rig, take(&rig, 100));
	assert_int_equal(counter(&rig, "lfh_activations"), 1);
	give(&rig, take(&rig, 100));
	assert_int_equal(counter(&rig, "lfh_allocs"), 1);
	rig_down(&rig);
}

static void lfh_activates_after_a_total_and_never_when_off(void **state)
{
	struct rig rig;
	void *blocks[100];

	(void)state;
	rig_up(&rig, &segment_heap_backend, "lfh_total=50");
	for (int i = 0; i < 49; i++) {
		give(&rig, take(&rig, 100));
		give(&rig, take(&rig, 4096));
		give(&rig, take(&rig, (size_t)300 + 16 * (size_t)(i % 10)));
	}
	assert_int_equal(counter(&rig, "lfh_activations"), 0);
	give(&rig, take(&rig, 100));
	assert_int_equal(counter(&rig, "lfh_activations"), 1);
	assert_int_equal(counter(&rig, "lfh_allocs"), 1);
	rig_down(&rig);
	rig_up(&rig, &segment_heap_backend, "lfh=off");
	take_many(&rig, blocks, 100, 64);
	assert_int_equal(counter(&rig, "lfh_allocs"), 0);
	give_many(&rig, blocks, 100);
	rig_down(&rig);
}

/* Offsets of the first `count` LFH blocks of 48 bytes from the first one's page. */
static void placements(uint64_t seed, const char *options, long *offsets, size_t count)
{
	void *blocks[1000];
	struct rig rig;

	rig_up_seeded(&rig, &segment_heap_backend, options, seed);
	give(&rig, take(&rig, 48));
	take_many(&rig, blocks, count, 48);
	for (size_t i = 0; i < count; i++)
		offsets[i] = (long)((uintptr_t)blocks[i] -
				    ((uintptr_t)blocks[0] & ~(uintptr_t)4095));
	give_many(&rig, blocks, count);
	rig_down(&rig);
}

static void lfh_placement_is_the_seeds(void **state)
{
	static long first[500], second[500];
	unsigned ascending = 0, jumps = 0;

	(void)state;
	placements(7, "lfh_live=1", first, 500);
	placements(7, "lfh_live=1", second, 500);
	assert_memory_equal(first, second, sizeof(first));
	placements(8, "lfh_live=1", second, 500);
	assert_memory_not_equal(first, second, sizeof(first));
	for (int i = 1; i < 500; i++)
		ascending += first[i] > first[i - 1];
	/* Random order ascends half of the time, a bump of a pointer always. */
	assert_true(ascending > 150 && ascending < 350);
	/* From the front, over the head's place. */
	placements(7, "lfh_live=1,random=off", first, 50);
	for (int i = 1; i < 50; i++) {
		assert_true(first[i] == first[i - 1] + 64 || (first[i] > first[i - 1] && !jumps));
		jumps += first[i] != first[i - 1] + 64;
	}
}

/* The first block of a page of 64 may be any: over many seeds each place comes about as often. */
static void lfh_placement_is_spread(void **state)
{
	unsigned counts[64] = { 0 }, hit = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 640; seed++) {
		long offset;

		placements(seed, "lfh_live=1,lfh_subsegment=8K", &offset, 1);
		assert_true(offset >= 16 && offset < 4096);
		counts[(offset - 16) / 64]++;
	}
	for (int i = 0; i < 64; i++) {
		hit += counts[i] != 0;
		/* Mean 10; the head's places go to their successor. */
		assert_true(counts[i] < 60);
	}
	assert_true(hit >= 58);
}

static void lfh_placement_is_bounded(void **state)
{
	struct rig rig;
	static void *blocks[1000];

	(void)state;
	rig_up(&rig, &segment_heap_backend, "lfh_live=1");
	give(&rig, take(&rig, 48));
	/* 62 blocks a page at least: never more pages than the doubling of subsegments asks for. */
	for (int round = 0; round < 5; round++) {
		take_many(&rig, blocks, 1000, 48);
		give_many(&rig, blocks, 1000);
	}
	assert_true(rig.pool->processors[0].slots[POOL_NONPAGED][3].subsegments <= 6);
	assert_true(counter(&rig, "pages_taken") < 80);
	rig_down(&rig);
}

static void lfh_blocks_obey_the_page_rules(void **state)
{
	struct rig rig;

	(void)state;
	rig_up(&rig, &segment_heap_backend, "lfh_live=1,lfh_max=4064");
	for (size_t bytes = 16; bytes <= 4064; bytes += 16) {
		void *blocks[40];

		take_many(&rig, blocks, 40, bytes);
		for (int i = 0; i < 40; i++) {
			uintptr_t at = (uintptr_t)blocks[i];

			assert_int_equal(at % 16, 0);
			assert_int_equal(at >> 12, (at + bytes - 1) >> 12);
			assert_int_equal(at >> 12, (at - 16) >> 12);
		}
		give_many(&rig, blocks, 40);
	}
	rig_down(&rig);
}

static void lfh_remote_frees_come_back_to_their_slot(void **state)
{
	struct rig rig;
	static void *blocks[2000], *again[2000];
	uint64_t pages;

	(void)state;
	rig_up(&rig, &segment_heap_backend, "lfh_live=1");
	give(&rig, take(&rig, 100));
	take_many(&rig, blocks, 2000, 100);
	pages = counter(&rig, "pages_taken");
	rig_become(&rig, 1);
	give_many(&rig, blocks, 2000);
	assert_int_equal(counter(&rig, "lfh_remote_frees"), 2000);
	expect_stop(&rig, blocks[5], TAG, 0xC2, 7);
	rig_become(&rig, 0);
	take_many(&rig, again, 2000, 100);
	assert_int_equal(counter(&rig, "pages_taken"), pages);
	give_many(&rig, again, 2000);
	rig_down(&rig);
}

/* Handed over in batches, large blocks carrying the names of small ones; what is not yet is by trim. */
static void lfh_remote_frees_are_handed_over_in_batches(void **state)
{
	static const size_t sizes[] = { 16, 500, 48, 100, 200 };
	struct rig rig;
	void *blocks[200];
	const struct sh_processor *owner;

	(void)state;
	rig_up(&rig, &segment_heap_backend, "lfh_live=1");
	owner = &rig.pool->processors[0];
	for (size_t i = 0; i < 200; i++)
		blocks[i] = take(&rig, sizes[i % 5]);
	rig_become(&rig, 1);
	give_many(&rig, blocks, SH_BATCH - 1);
	assert_null(owner->inbox);
	rig_check(&rig);
	rig_walk(&rig);
	give(&rig, blocks[SH_BATCH - 1]);
	assert_non_null(owner->inbox);
	give_many(&rig, blocks + SH_BATCH, 100 - SH_BATCH);
	/* This one's and another's to the same owner, by who leaves its processor, and by trim. */
	rig_become(&rig, 2);
	give_many(&rig, blocks + 100, 100);
	assert_int_equal(counter(&rig, "lfh_remote_frees"), 200);
	segment_heap_backend.trim(rig.pool);
	assert_null(owner->inbox);
	assert_int_equal(rig_walk(&rig).used_blocks, 0);
	rig_down(&rig);
}

static uintptr_t subsegment_of(const struct pool *pool, const void *block)
{
	return (uintptr_t)lfh_subsegment_of(sh_header_of(block), pool->cookie);
}

static void lfh_slots_are_a_processors_own_or_shared_until_contended(void **state)
{
	struct rig rig;
	void *mine, *others;
	struct lfh_bucket *bucket;

	(void)state;
	for (int shared = 0; shared < 2; shared++) {
		rig_up(&rig, &segment_heap_backend,
		       shared ? "lfh_live=1,lfh_slots=contention" : "lfh_live=1");
		bucket = &rig.pool->heaps[POOL_NONPAGED].buckets[sh_bucket(100)];
		give(&rig, take(&rig, 100));
		mine = take(&rig, 100);
		rig_become(&rig, 1);
		others = take(&rig, 100);
		assert_int_equal(subsegment_of(rig.pool, mine) == subsegment_of(rig.pool, others),
				 shared);
		give(&rig, mine);
		if (shared) {
			/* As when the slot's lock had to be waited for. */
			rig.pool->heaps[POOL_NONPAGED].shared_slots[7].lock.contentions =
				rig.pool->options.lfh_contention;
			give(&rig, take(&rig, 100));
			assert_true(bucket->is_spread);
			mine = take(&rig, 100);
			rig_become(&rig, 0);
			assert_int_not_equal(subsegment_of(rig.pool, mine),
					     subsegment_of(rig.pool, others));
			give(&rig, mine);
		}
		give(&rig, others);
		rig_down(&rig);
	}
}

/* ---- lookaside lists ---- */

static struct sh_lookaside *list_of(struct rig *rig, size_t bytes)
{
	return lookaside_list(&rig->pool->processors[0].lookasides[POOL_NONPAGED],
			      sh_bucket(bytes));
}

static void lookaside_lists_start_with_depth_4_and_keep_last_in_first_out(void **state)
{
	struct rig rig;
	void *blocks[8];

	(void)state;
	rig_up(&rig, &segment_heap_backend, "");
	take_many(&rig, blocks, 8, 1000);
	assert_int_equal(counter(&rig, "lookaside_misses"), 8);
	give_many(&rig, blocks, 8);
	assert_int_equal(lookaside_count(list_of(&rig, 1000)), 4);
	assert_int_equal(counter(&rig, "lookaside_overflows"), 4);
	expect_stop(&rig, blocks[2], TAG, 0xC2, 7);
	for (int i = 3; i >= 0; i--)
		assert_ptr_equal(take(&rig, 993), blocks[i]);
	assert_int_equal(counter(&rig, "lookaside_hits"), 4);
	give_many(&rig, blocks, 4);
	/* The edges: no list for 0x200 and for 0xF81 bytes. */
	give(&rig, take(&rig, 0x200));
	give(&rig, take(&rig, 0xF81));
	assert_int_equal(counter(&rig, "lookaside_misses"), 8);
	give(&rig, take(&rig, 0x201));
	give(&rig, take(&rig, 0xF80));
	assert_int_equal(counter(&rig, "lookaside_misses"), 10);
	rig_down(&rig);
}

static void storm(struct rig *rig, size_t bytes, size_t count, unsigned rounds)
{
	static void *blocks[400];

	while (rounds--) {
		take_many(rig, blocks, count, bytes);
		give_many(rig, blocks, count);
	}
}

static void lookaside_lists_are_rebalanced_by_use(void **state)
{
	struct rig rig;
	unsigned depth;

	(void)state;
	rig_up(&rig, &segment_heap_backend, "lookaside_interval=1024,lookaside_depth=200");
	storm(&rig, 1000, 100, 60);
	depth = list_of(&rig, 1000)->depth;
	assert_true(depth >= 100 && depth <= 200);
	assert_int_equal(list_of(&rig, 2000)->depth, 4);
	storm(&rig, 1000, 100, 1);
	assert_int_equal(lookaside_count(list_of(&rig, 1000)), 100);
	/* Another size is used now: the first list shrinks, and frees what it kept. */
	storm(&rig, 2000, 50, 400);
	assert_int_equal(list_of(&rig, 1000)->depth, 4);
	assert_int_equal(lookaside_count(list_of(&rig, 1000)), 4);
	assert_true(list_of(&rig, 2000)->depth >= 50);
	assert_int_equal(counter(&rig, "lookaside_drained"), 96);
	assert_true(counter(&rig, "rebalances") >= 20);
	rig_down(&rig);
}

/* Who only allocates has no use for a deeper list: it is deepened by what was refused and then missed. */
static void lookaside_lists_of_who_frees_nothing_stay(void **state)
{
	static void *blocks[3000];
	struct rig rig;

	(void)state;
	rig_up(&rig, &segment_heap_backend, "lookaside_interval=256");
	take_many(&rig, blocks, 3000, 1000);
	assert_true(counter(&rig, "rebalances") >= 10);
	assert_int_equal(list_of(&rig, 1000)->depth, 4);
	give_many(&rig, blocks, 3000);
	rig_down(&rig);
}

static void lookaside_lists_share_a_budget(void **state)
{
	struct rig rig;

	(void)state;
	rig_up(&rig, &segment_heap_backend, "lookaside_interval=1024,lookaside_bytes=64K");
	for (int round = 0; round < 40; round++) {
		storm(&rig, 1000, 200, 1);
		storm(&rig, 3000, 200, 1);
	}
	/* Both are above the least, and what they may keep is within the budget. */
	assert_true(list_of(&rig, 1000)->depth > 4 && list_of(&rig, 3000)->depth > 4);
	assert_true(list_of(&rig, 1000)->depth * sh_bucket_bytes(sh_bucket(1000)) +
			    list_of(&rig, 3000)->depth * sh_bucket_bytes(sh_bucket(3000)) <=
		    64 * KIB);
	rig_down(&rig);
}

static void shared_lookaside_lists_serve_every_processor(void **state)
{
	struct rig rig;
	void *block;

	(void)state;
	rig_up(&rig, &segment_heap_backend, "lookaside=shared");
	block = take(&rig, 1000);
	give(&rig, block);
	rig_become(&rig, 1);
	assert_ptr_equal(take(&rig, 1000), block);
	give(&rig, block);
	rig_down(&rig);
	rig_up(&rig, &segment_heap_backend, "");
	block = take(&rig, 1000);
	give(&rig, block);
	rig_become(&rig, 1);
	assert_ptr_not_equal(take(&rig, 1000), block);
	rig_down(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buckets_have_the_published_granularity),
		cmocka_unit_test(requests_are_routed_by_size),
		cmocka_unit_test(edges_move_with_their_options),
		cmocka_unit_test(lfh_activates_at_17_live_blocks_and_not_before),
		cmocka_unit_test(lfh_activates_after_18_requests_in_a_row),
		cmocka_unit_test(lfh_activates_after_a_total_and_never_when_off),
		cmocka_unit_test(lfh_placement_is_the_seeds),
		cmocka_unit_test(lfh_placement_is_spread),
		cmocka_unit_test(lfh_placement_is_bounded),
		cmocka_unit_test(lfh_blocks_obey_the_page_rules),
		cmocka_unit_test(lfh_remote_frees_come_back_to_their_slot),
		cmocka_unit_test(lfh_remote_frees_are_handed_over_in_batches),
		cmocka_unit_test(lfh_slots_are_a_processors_own_or_shared_until_contended),
		cmocka_unit_test(lookaside_lists_start_with_depth_4_and_keep_last_in_first_out),
		cmocka_unit_test(lookaside_lists_are_rebalanced_by_use),
		cmocka_unit_test(lookaside_lists_of_who_frees_nothing_stay),
		cmocka_unit_test(lookaside_lists_share_a_budget),
		cmocka_unit_test(shared_lookaside_lists_serve_every_processor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
