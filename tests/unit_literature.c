/*
 * The literature's patterns held to what was published of them: by models of allocators that know nothing of the
 * generators, which play the traces.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "workload_census.h"

/* ---- a heap of units: one byte each ---- */

enum fit { FIRST, BEST, ALIGNED };

struct heap {
	enum fit fit;
	uint32_t unit, header;
	uint8_t *used;
	uint32_t units, high; /* high: one behind the highest unit ever used */
	uint32_t *at; /* [slots] */
};

static uint32_t units_of(const struct heap *heap, uint32_t bytes)
{
	return (bytes + heap->header + heap->unit - 1) / heap->unit;
}

/* The free units from `at` on. */
static uint32_t run_at(const struct heap *heap, uint32_t at)
{
	uint32_t end = at;

	while (end < heap->units && !heap->used[end])
		end++;
	return end - at;
}

static uint32_t find_place(const struct heap *heap, uint32_t size)
{
	uint32_t best = UINT32_MAX, best_run = UINT32_MAX;

	for (uint32_t at = 0; at < heap->units;) {
		const uint32_t run = run_at(heap, at);

		if (heap->fit == ALIGNED) {
			if (run >= size)
				return at;
			at += size;
			continue;
		}
		if (run >= size && run < best_run) {
			best = at;
			best_run = run;
			if (heap->fit == FIRST)
				return at;
		}
		at += run ? run : 1;
	}
	return best;
}

static int play(void *arg, enum trace_phase phase, unsigned processor,
		const struct trace_event *event)
{
	struct heap *heap = arg;
	const uint32_t size = units_of(heap, event->bytes);
	uint32_t at;

	(void)processor;
	if (phase == TRACE_EPILOGUE || event->kind > TRACE_FREE)
		return 0;
	if (event->kind == TRACE_FREE) {
		memset(heap->used + heap->at[event->slot], 0, size);
		return 0;
	}
	at = heap->at[event->slot] = find_place(heap, size);
	assert_in_range(at, 0, heap->units - size);
	for (uint32_t i = at; i < at + size; i++)
		assert_false(heap->used[i]);
	memset(heap->used + at, 1, size);
	if (at + size > heap->high)
		heap->high = at + size;
	return 0;
}

/* The units that a model of `fit` needs for a trace. */
static uint32_t heap_units(const char *spec, enum fit fit, uint32_t unit, uint32_t header)
{
	struct trace *trace = trace_of(spec, 1, 1000, 1);
	struct heap heap = { .fit = fit, .unit = unit, .header = header, .units = 1 << 17 };

	heap.used = calloc(heap.units, 1);
	heap.at = calloc(trace->slots, sizeof(*heap.at));
	assert_non_null(heap.used);
	assert_non_null(heap.at);
	trace_walk(trace, play, &heap);
	free(heap.used);
	free(heap.at);
	trace_destroy(trace);
	return heap.high;
}

/* Robson 1974: with M units live and blocks of 1 to n = 2^steps, at least M (1 + steps / 2) - n + 1. */
static void robson_reaches_the_lower_bound(void **state)
{
	static const char *const policies[] = { "first-fit", "best-fit", "aligned" };

	(void)state;
	for (unsigned steps = 2; steps <= 8; steps += 3) {
		for (int fit = FIRST; fit <= ALIGNED; fit++) {
			const uint32_t live = 4096; /* units: 64 KiB */
			const uint32_t bound = live + live * steps / 2 - (1u << steps) + 1;
			char spec[128];
			uint32_t needed;

			snprintf(spec, sizeof(spec),
				 "robson:live=64K,unit=16,header=8,steps=%u,policy=%s", steps,
				 policies[fit]);
			needed = heap_units(spec, (enum fit)fit, 16, 8);
			print_message("%s: %u units, bound %u\n", spec, needed, bound);
			assert_true(needed >= bound);
			/* Robson's upper bound of first fit is about M log2 n. */
			assert_true(needed <= live * (steps + 1));
		}
	}
}

/* Of n units live and blocks of m: 0.32 m n by best fit, a small part of it by first fit. */
static void misfit_makes_best_fit_worst(void **state)
{
	const char *spec = "misfit:live=64K,unit=16,header=8,sizes=64";
	const uint32_t live = 4096, best = heap_units(spec, BEST, 16, 8),
		       first = heap_units(spec, FIRST, 16, 8);
	const double expected = 1 / (1 + log(3)) * (64 - 21) * live;

	(void)state;
	print_message("best fit %u units of %u live, %.0f expected; first fit %u\n", best, live,
		      expected, first);
	assert_true(best > expected * 0.9 && best < expected * 1.1);
	/* Robson's upper bound of first fit, M log2 n, and more than the lower bound of every allocator. */
	assert_true(first < live * 6);
	assert_true(best > live * 4 * 4);
}

static void robson_keeps_to_its_limit(void **state)
{
	const struct census census = census_of("robson:live=1M,unit=64,steps=9", 1, 1000);

	(void)state;
	assert_int_equal(census.bytes_max, 64 << 9);
	assert_int_equal(census.live_bytes_start, 1 << 20);
	assert_int_equal(census.touched, census.bytes);
}

/* A generation of M bytes of s-byte blocks leaves M / page blocks of s. */
static void pinning_leaves_a_block_a_page(void **state)
{
	const uint64_t live = 1 << 20;
	struct census census;
	uint64_t pinned = 0;

	(void)state;
	for (uint64_t size = 64; size < 2048; size *= 2)
		pinned += live / 4096 * size;
	census = census_of("pinning:live=1M", 1, 1000);
	assert_int_equal(census.live_bytes_start, live + pinned);
	assert_int_equal(census.bytes_max, 2048);
}

static void deletion_deletes_its_share(void **state)
{
	const struct census census = census_of("redis-deletion:live=5M,size=128", 1, 1000);

	(void)state;
	assert_true(llabs((long long)census.live_bytes_start - (3ll << 20)) < 512);
}

/* The store is at its limit by the classes it counts: 224 bytes a key of the first wave, 384 of the second. */
static void eviction_fills_its_store(void **state)
{
	struct tag_census first = tag_census_of("redis-eviction:maxmemory=10M,second=154", "Valu",
						1, 1000);
	struct tag_census both = tag_census_of("redis-eviction:maxmemory=10M", "Valu", 1, 1000);
	const double keys = 10485760.0 / 224;

	(void)state;
	assert_true(fabs((double)first.live_start / keys - 1) < 0.01);
	/* 17,000 keys of the second wave came, and as many bytes of the first had to go. */
	assert_int_equal(both.bytes_min, 154);
	assert_int_equal(both.bytes_max, 306);
	assert_in_range(both.live_start, 10485760 / 384, (uint64_t)keys);
}

/* All of it is freed by another processor, and no more than `live` is ever held. */
static void work_goes_to_the_next_processor(void **state)
{
	const struct census turns = census_of("producer-consumer:live=1M,size=256", 4, 100000);
	const struct census pairs = census_of("xmalloc", 4, 100000);

	(void)state;
	assert_int_equal(turns.remote_frees, turns.frees);
	assert_int_equal(turns.live_blocks_peak, 4097);
	assert_int_equal(turns.live_blocks_start, 0);
	assert_int_equal(pairs.remote_frees, pairs.frees);
	assert_int_equal(pairs.live_blocks_start, 0);
}

static void threads_work_as_published(void **state)
{
	const struct census many = census_of("threadtest", 2, 400000);
	const struct census server = census_of("larson", 2, 100000);

	(void)state;
	assert_true(llabs((long long)many.live_blocks_peak - 100000) < 3000);
	assert_int_equal(many.bytes_max, 8);
	assert_int_equal(many.remote_frees, 0);
	assert_int_equal(server.live_blocks_start, 10000);
	assert_in_range(server.bytes_max, 990, 1000);
	/* After 5,000 replacements each works on what the other has allocated. */
	assert_true(server.remote_frees > server.frees / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(robson_reaches_the_lower_bound),
		cmocka_unit_test(misfit_makes_best_fit_worst),
		cmocka_unit_test(robson_keeps_to_its_limit),
		cmocka_unit_test(pinning_leaves_a_block_a_page),
		cmocka_unit_test(deletion_deletes_its_share),
		cmocka_unit_test(eviction_fills_its_store),
		cmocka_unit_test(work_goes_to_the_next_processor),
		cmocka_unit_test(threads_work_as_published),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
