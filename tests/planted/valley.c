/*
 * A pool whose cost is a known function of its page size, to see whether `poolbench tune` finds its bottom:
 *
 *     steps of work an allocation = base * (1 + slope % * octaves), octaves = |log2(page size / best)|
 *
 * With flat=on there is no slope above `best`: larger pages are as good, and the smallest of them is right. `waste`
 * pool pages are committed and never used, so that memory grows with the page size. Apart from that it is the sound
 * allocator of tests/broken.
 */
#include <stdlib.h>

#include "allocators/options.h"
#include "tests/broken/broken.h"

struct valley_options {
	size_t best;
	unsigned base, waste;
	double slope;
	bool flat, fails;
};

static const struct option_def valley_option_table[] = {
	OPTION_SIZE(struct valley_options, best, "64K", 4096, 2 << 20,
		    "the page size at the bottom"),
	OPTION_UINT(struct valley_options, base, "400", 1, 1000000, "steps",
		    "work an allocation at the bottom"),
	OPTION_REAL(struct valley_options, slope, "5", 0, 1000, "%", "more work an octave"),
	OPTION_BOOL(struct valley_options, flat, "off", "no slope above the bottom"),
	OPTION_UINT(struct valley_options, waste, "0", 0, 4096, "pages",
		    "pool pages committed for nothing"),
	OPTION_BOOL(struct valley_options, fails, "off", "ends the process at the first call"),
	OPTION_END,
};

/* Of the one pool of this process. */
static struct valley_options planted;
static uint32_t steps;
static void *wasted;

static double octaves(size_t page_size)
{
	double count = 0;

	for (; page_size > planted.best; page_size /= 2)
		count += !planted.flat;
	for (; page_size < planted.best; page_size *= 2)
		count++;
	return count;
}

static int valley_create(const struct pool_config *config, struct pool **out)
{
	int error = broken_create(config, out);

	if (error)
		return error;
	planted = *(const struct valley_options *)config->values;
	steps = (uint32_t)(planted.base * (1 + planted.slope / 100 * octaves(config->page_size)));
	wasted = planted.waste ? page_source_take(config->pages[POOL_NONPAGED],
						  planted.waste * config->page_size, 0)
			       : NULL;
	return 0;
}

static void valley_destroy(struct pool *pool)
{
	if (pool && wasted)
		page_source_give(pool->pages, wasted, planted.waste * pool->pages->page_size);
	broken_destroy(pool);
}

static void *valley_alloc(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	uint64_t value = bytes;

	if (planted.fails)
		abort();
	for (uint32_t i = 0; i < steps; i++) {
		value = value * 0xD1342543DE82EF95u + 0x2545F4914F6CDD1Du;
		__asm__ volatile("" : "+r"(value)); /* a chain that cannot be dropped */
	}
	return broken_take(pool, type, bytes, tag);
}

const struct pool_backend pool_backend = {
	.abi = POOL_ABI,
	.caps = POOL_CAP_NATIVE | POOL_CAP_RESIDENT,
	.name = "valley",
	.summary = "planted: its cost is a known function of the page size",
	.options = valley_option_table,
	.options_bytes = sizeof(struct valley_options),
	.create = valley_create,
	.destroy = valley_destroy,
	.alloc = valley_alloc,
	.free = broken_put,
	.block_bytes = broken_block_bytes,
};
