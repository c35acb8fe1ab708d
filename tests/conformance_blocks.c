/* Checks of blocks: sizes, contents, overlap, tags, and the behaviours that drivers rely on. */
#include <stdlib.h>

#include "conformance.h"

/* Every size up to two pages and a bit, both types, kept until all are there. */
static void every_small_size(struct suite *suite)
{
	enum { SIZES = 2 * 4096 + 64 };
	struct block *blocks = calloc(SIZES, sizeof(*blocks));
	size_t step = suite->full ? 1 : 3;

	suite_open(suite);
	for (int type = 0; type < POOL_TYPES; type++) {
		for (size_t i = 0; i < SIZES; i += step)
			block_take(suite, &blocks[i], (enum pool_type)type, i + 1, i);
		blocks_do_not_overlap(suite, blocks, SIZES);
		suite_check(suite, "with one block of every size");
		for (size_t i = 0; i < SIZES; i += step)
			block_give(suite, &blocks[i]);
	}
	suite_check(suite, "after all were freed");
	suite_close(suite);
	free(blocks);
}

/* Sizes around every power of two up to 16 MiB, where classes, orders and thresholds change. */
static void sizes_around_powers(struct suite *suite)
{
	const size_t largest = suite->full ? 16u << 20 : 2u << 20;

	suite_open(suite);
	for (size_t power = 16; power <= largest; power *= 2) {
		for (int type = 0; type < POOL_TYPES; type++) {
			struct block blocks[5];
			const size_t sizes[5] = { power - 16, power - 1, power, power + 1,
						  power + 16 };

			for (int i = 0; i < 5; i++)
				block_take(suite, &blocks[i], (enum pool_type)type,
					   sizes[i] ? sizes[i] : 1, power + (size_t)i);
			blocks_do_not_overlap(suite, blocks, 5);
			for (int i = 0; i < 5; i++)
				block_give(suite, &blocks[i]);
		}
	}
	suite_check(suite, "after all were freed");
	suite_close(suite);
}

/* Random births and deaths of one thread, with a quiet look now and then. */
static void random_churn(struct suite *suite)
{
	enum { SLOTS = 2000 };
	struct block *blocks = calloc(SLOTS, sizeof(*blocks));
	const size_t events = suite_scale(suite, 200000);
	struct random random;

	random_seed(&random, 7);
	suite_open(suite);
	for (size_t i = 0; i < events; i++) {
		struct block *block = &blocks[random_below(&random, SLOTS)];

		if (block->at)
			block_give(suite, block);
		else
			block_take(suite, block, (enum pool_type)random_below(&random, POOL_TYPES),
				   random_bytes(&random), random_next(&random));
		if (i % (events / 4) == 0) {
			blocks_do_not_overlap(suite, blocks, SLOTS);
			suite_check(suite, "in the middle of churn");
		}
	}
	for (size_t i = 0; i < SLOTS; i++)
		block_give(suite, &blocks[i]);
	suite_check(suite, "after the drain");
	suite_close(suite);
	free(blocks);
}

/*
 * Sizes that no page source has, and sums that wrap around: NULL, and the pool works on. What a malloc library
 * makes of a request that fits into the address space is the kernel's overcommit and not held against it.
 */
static void impossible_sizes(struct suite *suite)
{
	const size_t sizes[] = { SIZE_MAX, SIZE_MAX - 15, SIZE_MAX - 4095, SIZE_MAX / 2 + 1,
				 (size_t)1 << 46 };
	const size_t count = sizeof(sizes) / sizeof(*sizes) - !suite_has(suite, POOL_CAP_NATIVE);

	suite_open(suite);
	for (size_t i = 0; i < count; i++) {
		for (int type = 0; type < POOL_TYPES; type++) {
			struct block block;

			if (suite->ops->alloc(suite->pool, (enum pool_type)type, sizes[i],
					      tag_from(i)))
				violated("impossible", "a request of %zu bytes got a block",
					 sizes[i]);
			block_take(suite, &block, (enum pool_type)type, 100, i);
			block_give(suite, &block);
		}
	}
	suite_check(suite, "after impossible requests");
	suite_close(suite);
}

/* A ramp of sizes, each filled and freed at once: what ReactOS's and Wine's tests of the pool do. */
static void size_ramp(struct suite *suite)
{
	const size_t step = suite->full && !SANITIZED ? 1 : 23;

	suite_open(suite);
	for (size_t i = 1; i <= 9999; i += step) {
		const size_t odd = (i % 10 ? 1u : 0u) + (i % 25 ? 13u : 0u);
		struct block block;

		block_take(suite, &block, POOL_NONPAGED, 10 * i + odd, i);
		block_give(suite, &block);
		block_take(suite, &block, POOL_PAGED, 50 * i + odd, i);
		block_give(suite, &block);
	}
	suite_close(suite);
}

/* 100,000 blocks of 42 bytes, freed in the order in which they came. */
static void many_of_42(struct suite *suite)
{
	enum { COUNT = 100000 };
	struct block *blocks = calloc(COUNT, sizeof(*blocks));

	suite_open(suite);
	for (size_t i = 0; i < COUNT; i++)
		block_take(suite, &blocks[i], POOL_NONPAGED, 42, i);
	blocks_do_not_overlap(suite, blocks, COUNT);
	for (size_t i = 0; i < COUNT; i++)
		block_give(suite, &blocks[i]);
	suite_check(suite, "after all were freed");
	suite_close(suite);
	free(blocks);
}

/* A page takes a page (and less than two, headers included); one byte more does not fit into one. */
static void a_page_and_a_byte(struct suite *suite)
{
	struct block page, more;
	size_t page_bytes, more_bytes;

	suite_open(suite);
	for (int type = 0; type < POOL_TYPES; type++) {
		block_take(suite, &page, (enum pool_type)type, POOL_OS_PAGE, 1);
		block_take(suite, &more, (enum pool_type)type, POOL_OS_PAGE + 1, 2);
		page_bytes = suite->ops->block_bytes(suite->pool, page.at);
		more_bytes = suite->ops->block_bytes(suite->pool, more.at);
		if (suite->page_size == POOL_OS_PAGE && page_bytes >= 2 * POOL_OS_PAGE)
			violated("block-bytes", "a block of a page takes %zu bytes", page_bytes);
		if (more_bytes <= POOL_OS_PAGE)
			violated("block-bytes", "a page and a byte take %zu bytes", more_bytes);
		block_give(suite, &page);
		block_give(suite, &more);
	}
	suite_close(suite);
}

/* tag_of answers for every block below a page: that is what finds a leaking driver. */
static void tags_are_readable(struct suite *suite)
{
	suite_open(suite);
	for (size_t bytes = 1; bytes < POOL_OS_PAGE - 64; bytes += 7) {
		struct block block;
		uint32_t tag = 0;

		block_take(suite, &block, POOL_PAGED, bytes, bytes);
		if (suite->ops->tag_of(suite->pool, block.at, &tag) != 0 || tag != block.tag)
			violated("tag", "no tag for a block of %zu bytes", bytes);
		block_give(suite, &block);
	}
	suite_close(suite);
}

const struct check block_checks[] = {
	{ "every-small-size", every_small_size, 0, 0, false },
	{ "sizes-around-powers", sizes_around_powers, 0, POOL_CAP_FLOOR, false },
	{ "random-churn", random_churn, 0, 0, false },
	{ "impossible-sizes", impossible_sizes, 0, 0, false },
	{ "size-ramp", size_ramp, 0, 0, true },
	{ "many-of-42", many_of_42, 0, 0, true },
	{ "a-page-and-a-byte", a_page_and_a_byte, 0, POOL_CAP_FLOOR, false },
	{ "tags-are-readable", tags_are_readable, POOL_CAP_TAGS, 0, false },
	{ NULL, NULL, 0, 0, false },
};
