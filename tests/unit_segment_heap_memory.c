/* segment-heap behind: variable-size chunks, what corruption does to them, segments. */
#include <stdio.h>
#include <string.h>

#include "allocators/segment_heap/segment_heap.h"
#include "pool_rig.h"

/* Only the variable-size layer and the back end, each free at once. */
#define BARE "lfh=off,lookaside=off,vs_delay=0,vs_slots=one"

/* ---- VS ---- */

/* Three free chunks of these sizes, each with a block behind it that keeps it from its neighbour. */
static void holes_between_walls(struct rig *rig, const size_t sizes[3], size_t wall, void *holes[3],
				void *walls[3])
{
	for (int i = 0; i < 3; i++) {
		holes[i] = take(rig, sizes[i]);
		walls[i] = take(rig, wall);
	}
	give_many(rig, holes, 3);
}

static void vs_takes_the_best_fit(void **state)
{
	static const size_t sizes[] = { 900, 500, 700 };
	struct rig rig;
	void *holes[3], *walls[3];

	(void)state;
	rig_up(&rig, &segment_heap_backend, BARE);
	holes_between_walls(&rig, sizes, 32, holes, walls);
	/* The smallest that is large enough, wherever it lies. */
	assert_ptr_equal(take(&rig, 700), holes[2]);
	assert_ptr_equal(take(&rig, 490), holes[1]);
	assert_ptr_equal(take(&rig, 890), holes[0]);
	give_many(&rig, holes, 3);
	give_many(&rig, walls, 3);
	rig_down(&rig);
}

static void vs_splits_and_merges_both_ways(void **state)
{
	struct rig rig;
	void *blocks[3], *whole, *wall;

	(void)state;
	rig_up(&rig, &segment_heap_backend, BARE);
	take_many(&rig, blocks, 3, 480);
	wall = take(&rig, 32);
	/* The middle one last: it merges with both. */
	give(&rig, blocks[0]);
	give(&rig, blocks[2]);
	assert_int_equal(counter(&rig, "vs_merges"), 0);
	give(&rig, blocks[1]);
	assert_int_equal(counter(&rig, "vs_merges"), 2);
	whole = take(&rig, 3 * 512 - 32);
	assert_ptr_equal(whole, blocks[0]);
	give(&rig, whole);
	/* The rest of a chunk that is too large is the next to be taken. */
	assert_ptr_equal(take(&rig, 480), blocks[0]);
	assert_ptr_equal(take(&rig, 480), blocks[1]);
	give(&rig, blocks[0]);
	give(&rig, blocks[1]);
	give(&rig, wall);
	assert_int_equal(counter(&rig, "vs_subsegments_returned"), 1);
	rig_down(&rig);
}

static void vs_keeps_the_page_rules_and_uses_the_padding(void **state)
{
	static void *blocks[300], *small[300];
	struct rig rig;
	uint64_t subsegments;
	size_t kept = 0;

	(void)state;
	rig_up(&rig, &segment_heap_backend, BARE);
	for (size_t bytes = 1; bytes <= 0xFE0; bytes += 7) {
		void *block = take(&rig, bytes);

		assert_int_equal((uintptr_t)block >> 12, ((uintptr_t)block + bytes - 1) >> 12);
		if (bytes % 3 == 0)
			blocks[kept++] = block; /* holes of all sizes between those that stay */
		else
			give(&rig, block);
	}
	give_many(&rig, blocks, kept);
	/* One block of 2100 bytes fits in a page; what is left of each serves others. */
	take_many(&rig, blocks, 100, 2100);
	subsegments = counter(&rig, "vs_subsegments");
	take_many(&rig, small, 95, 1800);
	assert_int_equal(counter(&rig, "vs_subsegments"), subsegments);
	give_many(&rig, blocks, 100);
	give_many(&rig, small, 95);
	rig_down(&rig);
}

/* Sizes kept in lists and in the tree are one order. All lie in one page, walls between them. */
static void vs_best_fit_crosses_from_lists_to_tree(void **state)
{
	static const size_t sizes[] = { 1300, 700, 1100 };
	struct rig rig;
	void *holes[3], *walls[3];

	(void)state;
	rig_up(&rig, &segment_heap_backend, BARE);
	holes_between_walls(&rig, sizes, 16, holes, walls);
	rig_check(&rig);
	assert_ptr_equal(take(&rig, 900), holes[2]);
	assert_ptr_equal(take(&rig, 650), holes[1]);
	assert_ptr_equal(take(&rig, 1150), holes[0]);
	give_many(&rig, holes, 3);
	give_many(&rig, walls, 3);
	rig_down(&rig);
}

static uintptr_t place_of(const void *block)
{
	return (uintptr_t)block / (64 * KIB);
}

static void vs_slots_are_a_processors_own_or_one(void **state)
{
	(void)state;
	for (int one = 0; one < 2; one++) {
		struct rig rig;
		void *mine[40], *others, *large[2];

		rig_up(&rig, &segment_heap_backend,
		       one ? "lfh=off,lookaside=off,vs_slots=one" : "lfh=off,lookaside=off");
		take_many(&rig, mine, 40, 200);
		large[0] = take(&rig, 600);
		rig_become(&rig, 1);
		others = take(&rig, 200);
		large[1] = take(&rig, 600);
		assert_int_equal(counter(&rig, "vs_subsegments"), one ? 1 : 3);
		/* Larger requests are the heap's, whoever asks. */
		assert_int_equal(place_of(large[0]), place_of(large[1]));
		give_many(&rig, mine, 40);
		expect_stop(&rig, mine[7], TAG, 0xC2, 7);
		/* Handed over, or freed in a batch by whoever fills it. */
		assert_int_equal(counter(&rig, "vs_frees"), one ? 32 : 0);
		rig_check(&rig);
		rig_walk(&rig);
		rig_become(&rig, 0);
		take_many(&rig, mine, 32, 200);
		give_many(&rig, mine, 32);
		assert_true(counter(&rig, "vs_frees") >= 64);
		give(&rig, others);
		give_many(&rig, large, 2);
		segment_heap_backend.trim(rig.pool);
		assert_int_equal(counter(&rig, "vs_frees"), 40 + 32 + 1 + 2);
		rig_down(&rig);
	}
}

static void vs_subsegments_are_64_to_256_kib(void **state)
{
	static void *blocks[2000];
	struct rig rig;
	struct vs_context *vs;
	size_t first = 0, most = 0;

	(void)state;
	rig_up(&rig, &segment_heap_backend, BARE);
	vs = &rig.pool->heaps[POOL_NONPAGED].vs[0];
	take_many(&rig, blocks, 2000, 3000);
	for (struct sh_links *at = vs->subsegments.next; at != &vs->subsegments; at = at->next) {
		struct vs_subsegment *subsegment = SH_CONTAINER(at, struct vs_subsegment, links);
		size_t bytes = sizeof(*subsegment) + subsegment->units * 16;

		if (!first)
			first = bytes;
		assert_true(bytes >= 64 * KIB && bytes <= 256 * KIB);
		most = bytes > most ? bytes : most;
	}
	assert_int_equal(first, 64 * KIB);
	assert_int_equal(most, 256 * KIB);
	give_many(&rig, blocks, 2000);
	assert_int_equal(vs->subsegment_bytes, 0);
	rig_down(&rig);
}

static void vs_frees_small_chunks_32_at_a_time(void **state)
{
	struct rig rig;
	void *blocks[40];

	(void)state;
	rig_up(&rig, &segment_heap_backend, "lfh=off,lookaside=off");
	take_many(&rig, blocks, 40, 200);
	give_many(&rig, blocks, 31);
	assert_int_equal(counter(&rig, "vs_frees"), 0);
	expect_stop(&rig, blocks[3], TAG, 0xC2, 7);
	give(&rig, blocks[31]);
	assert_int_equal(counter(&rig, "vs_frees"), 32);
	assert_int_equal(counter(&rig, "vs_batches"), 1);
	/* A chunk of 1 KiB and more is freed at once: 991 bytes make one of exactly that. */
	give(&rig, take(&rig, 992));
	assert_int_equal(counter(&rig, "vs_frees"), 33);
	give(&rig, take(&rig, 976));
	assert_int_equal(counter(&rig, "vs_frees"), 33);
	give_many(&rig, blocks + 32, 8);
	/* Before new memory is asked for, the delayed ones are freed. */
	segment_heap_backend.trim(rig.pool);
	assert_int_equal(counter(&rig, "vs_frees"), 33 + 9);
	rig_down(&rig);
}

/* ---- corruption ---- */

static void an_overwritten_chunk_header_is_noticed(void **state)
{
	/* Any bit of the next chunk's header, when the block in front is freed or its own. */
	(void)state;
	for (unsigned bit = 0; bit < 64; bit += 5) {
		struct rig rig;
		char *first, *second;

		rig_up(&rig, &segment_heap_backend, BARE);
		first = take(&rig, 96);
		second = take(&rig, 96);
		assert_ptr_equal(second, first + 128);
		second[-32 + (int)bit / 8] ^= (char)(1 << bit % 8);
		assert_int_not_equal(segment_heap_backend.check(rig.pool, NULL, 0), 0);
		if (bit & 1)
			expect_stop(&rig, second, TAG, 0x19, 3);
		else
			expect_stop(&rig, first, TAG, 0x19, 5);
		rig_drop(&rig);
	}
}

/* The chunk in front is split, which writes its size into the overwritten header: no repair. */
static void an_overwritten_chunk_header_stays_so(void **state)
{
	struct rig rig;
	char *front, *behind;

	(void)state;
	rig_up(&rig, &segment_heap_backend, BARE);
	front = take(&rig, 480);
	behind = take(&rig, 96);
	assert_ptr_equal(behind, front + 512);
	give(&rig, front);
	behind[-32] ^= 0x10;
	take(&rig, 200);
	expect_stop(&rig, behind, TAG, 0x19, 3);
	rig_drop(&rig);
}

static void a_header_moved_elsewhere_does_not_decode(void **state)
{
	struct rig rig;
	char *first, *second;

	(void)state;
	rig_up(&rig, &segment_heap_backend, BARE);
	first = take(&rig, 96);
	second = take(&rig, 96);
	/* Encoded with the address: a copy from a chunk of the same size is no good. */
	memcpy(second - 32, first - 32, 8);
	expect_stop(&rig, second, TAG, 0x19, 3);
	rig_drop(&rig);
}

static void a_bad_free_stops_in_every_layer(void **state)
{
	static const size_t sizes[] = { 100, 600, 3970, 4096, 5000, 600 * KIB, 9 * MIB };
	struct rig rig;

	(void)state;
	rig_up(&rig, &segment_heap_backend, "lfh_live=1");
	give(&rig, take(&rig, 100));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		bool was_large = sizes[i] > 8128 * KIB;
		void *block = take(&rig, sizes[i]), *wall = take(&rig, sizes[i]);

		expect_stop(&rig, block, TAG + 1, 0xC2, 0xA);
		give(&rig, block);
		if (sizes[i] == 5000) /* the chunk header of a merged or listed chunk */
			expect_stop(&rig, block, TAG, 0x19, 3);
		else
			expect_stop(&rig, block, TAG, 0xC2, was_large ? 0x46 : 7);
		give(&rig, wall);
	}
	expect_stop(&rig, NULL, TAG, 0xC2, 0x46);
	expect_stop(&rig, rig.pages + 1, TAG, 0xC2, 0x99);
	rig_down(&rig);
}

static void an_overwritten_pool_header_is_noticed(void **state)
{
	struct rig rig;
	char *lfh, *vs, *small;
	void *blocks[2];

	(void)state;
	rig_up(&rig, &segment_heap_backend, "lfh_live=2");
	give(&rig, take(&rig, 100));
	take_many(&rig, blocks, 2, 100);
	lfh = blocks[1];
	vs = take(&rig, 1000);
	small = take(&rig, 300); /* of a bucket that is not active: it would be the second */
	/* Kind, then the LFH block's index. */
	sh_header_of(vs)->word ^= (uint64_t)0x04 << SH_KIND_SHIFT;
	expect_stop(&rig, vs, TAG, 0x19, 0x20);
	sh_header_of(vs)->word ^= (uint64_t)0x04 << SH_KIND_SHIFT;
	sh_header_of(lfh)->word ^= 1;
	expect_stop(&rig, lfh, TAG, 0x19, 0x20);
	sh_header_of(lfh)->word ^= 1;
	/* What the header leads to, of a block of a list too: to no place, or outside of all. */
	give(&rig, vs);
	assert_ptr_equal(take(&rig, 1000), vs);
	for (int bit = 4; bit < 64; bit += bit == 4 ? 44 : 5) {
		sh_header_of(lfh)->target ^= 1ull << bit;
		expect_stop(&rig, lfh, TAG, 0x19, 0x20);
		sh_header_of(lfh)->target ^= 1ull << bit;
		sh_header_of(vs)->target ^= 1ull << bit;
		expect_stop(&rig, vs, TAG, 0x19, 0x20);
		sh_header_of(vs)->target ^= 1ull << bit;
	}
	sh_header_of(vs)->word ^= 1;
	expect_stop(&rig, vs, TAG, 0x19, 0x20);
	sh_header_of(vs)->word ^= 1;
	for (int bit = 3; bit < 64; bit += 5) {
		sh_header_of(small)->target ^= 1ull << bit;
		expect_stop(&rig, small, TAG, 0x19, 0x20);
		sh_header_of(small)->target ^= 1ull << bit;
	}
	give(&rig, small);
	give_many(&rig, blocks, 2);
	give(&rig, vs);
	rig_down(&rig);
}

/* ---- segments ---- */

static void a_segment_has_256_descriptors_of_which_254_units_are_usable(void **state)
{
	static void *blocks[254 + 1];
	struct rig rig;

	(void)state;
	rig_up(&rig, &segment_heap_backend, BARE);
	take_many(&rig, blocks, 254, 4096);
	assert_int_equal(counter(&rig, "segments"), 1);
	for (int i = 0; i < 254; i++) {
		/* First fit by address: right behind the descriptors, one after the other. */
		assert_int_equal((uintptr_t)blocks[i] % MIB, 8 * KIB + (size_t)i * 4096);
	}
	blocks[254] = take(&rig, 4096);
	assert_int_equal(counter(&rig, "segments"), 2);
	give_many(&rig, blocks, 255);
	/* One empty segment is kept. */
	assert_int_equal(counter(&rig, "segments_returned"), 1);
	/* Of 16 MiB, one unit holds them: 255 of 64 KiB remain, two blocks of 127. */
	blocks[0] = take(&rig, 8128 * KIB);
	blocks[1] = take(&rig, 8128 * KIB);
	assert_int_equal((uintptr_t)blocks[0] % (16 * MIB), 64 * KIB);
	assert_int_equal(counter(&rig, "segments"), 3);
	give_many(&rig, blocks, 2);
	rig_down(&rig);
}

static void free_ranges_merge_and_the_smallest_that_fits_is_taken(void **state)
{
	static void *blocks[20];
	struct rig rig;
	char *fit;

	(void)state;
	rig_up(&rig, &segment_heap_backend, BARE);
	take_many(&rig, blocks, 20, 4096);
	give_many(&rig, blocks + 1, 4);
	give_many(&rig, blocks + 10, 2);
	assert_int_equal(counter(&rig, "range_merges"), 3 + 1);
	fit = take(&rig, 8192);
	assert_ptr_equal(fit, blocks[10]);
	give(&rig, fit);
	fit = take(&rig, 4 * 4096);
	assert_ptr_equal(fit, blocks[1]);
	give(&rig, fit);
	give(&rig, blocks[0]);
	give_many(&rig, blocks + 5, 5);
	give_many(&rig, blocks + 12, 8);
	rig_down(&rig);
}

static void free_ranges_are_decommitted_above_what_is_retained(void **state)
{
	static void *blocks[1000];
	struct rig rig;
	size_t start, full;

	(void)state;
	rig_up(&rig, &segment_heap_backend, BARE ",retain=1M");
	start = rig_committed(&rig, POOL_NONPAGED);
	take_many(&rig, blocks, 1000, 4096);
	full = rig_committed(&rig, POOL_NONPAGED);
	assert_true(full >= start + 1000 * 4096);
	/* Every second page, so that no segment is empty: only ranges can go. */
	for (int i = 0; i < 1000; i += 2)
		give(&rig, blocks[i]);
	assert_true(rig_committed(&rig, POOL_NONPAGED) <= start + 500 * 4096 + MIB + 64 * KIB);
	assert_true(rig_committed(&rig, POOL_NONPAGED) >= start + 500 * 4096 + MIB / 2);
	assert_true(counter(&rig, "decommits") > 0);
	for (int i = 1; i < 1000; i += 2) {
		assert_int_equal(*(unsigned char *)blocks[i], 0x5A);
		give(&rig, blocks[i]);
	}
	assert_true(rig_committed(&rig, POOL_NONPAGED) <= start + MIB + 64 * KIB);
	assert_true(segment_heap_backend.trim(rig.pool) > 0);
	assert_int_equal(rig_committed(&rig, POOL_NONPAGED), start);
	rig_down(&rig);
}

static void a_new_segment_commits_its_descriptors_only(void **state)
{
	struct rig rig;
	size_t start;
	void *block;

	(void)state;
	rig_up(&rig, &segment_heap_backend, BARE);
	start = rig_committed(&rig, POOL_NONPAGED);
	block = take(&rig, 4096);
	assert_int_equal(rig_committed(&rig, POOL_NONPAGED), start + 8 * KIB + 4096);
	give(&rig, block);
	block = take(&rig, 520 * KIB);
	assert_int_equal(rig_committed(&rig, POOL_NONPAGED),
			 start + 8 * KIB + 4096 + 8 * KIB + 576 * KIB);
	give(&rig, block);
	rig_down(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vs_takes_the_best_fit),
		cmocka_unit_test(vs_splits_and_merges_both_ways),
		cmocka_unit_test(vs_keeps_the_page_rules_and_uses_the_padding),
		cmocka_unit_test(vs_best_fit_crosses_from_lists_to_tree),
		cmocka_unit_test(vs_slots_are_a_processors_own_or_one),
		cmocka_unit_test(vs_subsegments_are_64_to_256_kib),
		cmocka_unit_test(vs_frees_small_chunks_32_at_a_time),
		cmocka_unit_test(an_overwritten_chunk_header_is_noticed),
		cmocka_unit_test(an_overwritten_chunk_header_stays_so),
		cmocka_unit_test(a_header_moved_elsewhere_does_not_decode),
		cmocka_unit_test(a_bad_free_stops_in_every_layer),
		cmocka_unit_test(an_overwritten_pool_header_is_noticed),
		cmocka_unit_test(a_segment_has_256_descriptors_of_which_254_units_are_usable),
		cmocka_unit_test(free_ranges_merge_and_the_smallest_that_fits_is_taken),
		cmocka_unit_test(free_ranges_are_decommitted_above_what_is_retained),
		cmocka_unit_test(a_new_segment_commits_its_descriptors_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
