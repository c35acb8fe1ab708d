/*
 * The account adds up: for every native backend under every workload with one thread and two, the parts of waste and
 * the live bytes are the committed bytes at every checkpoint, to the byte; and the series beside say the same. What a
 * backend with a wrong walk gets, what is known of a malloc library, and resident bytes against the kernel's own list.
 */
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "allocators/registry.h"
#include "bench/account.h"
#include "bench/measure.h"

static const char *const workload_specs[] = {
	"irp-storm:files=512",
	"registry-churn:keys=1024,bins=128",
	"section-mapping:files=2048,cached=512",
	"object-churn:population=4096,processes=16",
	"mixed",
	"trace:disk-io",
};
#define WORKLOADS (sizeof(workload_specs) / sizeof(*workload_specs))

static void emit(const struct result *result)
{
	fail_msg("the pool stopped: %s", result->record.reason);
}

static void run_pass(const char *backend, const char *workload, unsigned threads, enum pass pass,
		     struct result *result)
{
	struct measure_spec spec;

	measure_spec_init(&spec);
	snprintf(spec.cell.backend, sizeof(spec.cell.backend), "%s", backend);
	snprintf(spec.cell.workload, sizeof(spec.cell.workload), "%s", workload);
	snprintf(spec.cell.backing, sizeof(spec.cell.backing), "base");
	snprintf(spec.bind, sizeof(spec.bind), "none");
	snprintf(spec.age, sizeof(spec.age), "3");
	spec.cell.threads = threads;
	spec.cell.page_size = 4096;
	spec.pass = pass;
	spec.laps = 2;
	spec.events = 4000;
	spec.seed = 3;
	measure(&spec, result, emit);
}

/* ---- one result ---- */

static void check_points(const struct memory_point *points, size_t count, double largest_request,
			 const char *what)
{
	for (size_t i = 0; i < count; i++) {
		const struct memory_point *point = &points[i];
		const double parts = (double)point->live_bytes + point->header_bytes +
				     point->rounding_bytes + point->cached_bytes +
				     point->free_bytes + point->free_page_bytes +
				     point->metadata_bytes;

		if (!(parts == point->committed_bytes) || point->rounding_bytes < 0)
			fail_msg("%s, checkpoint %zu: %.0f bytes in parts, %.0f committed", what, i,
				 parts, point->committed_bytes);
		assert_true(point->unusable_free_index >= 0 && point->unusable_free_index <= 1);
		if (largest_request >= POOL_OS_PAGE)
			assert_true(point->unusable_free_index_largest >=
				    point->unusable_free_index);
		assert_true(point->unusable_free_index_largest <= 1);
		assert_true(point->resident_bytes >= 0);
	}
}

static void check_spectra(const struct result *result)
{
	assert_int_equal(result->free_range_points, result->memory_points);
	for (size_t i = 0; i < result->memory_points; i++) {
		const struct free_ranges *free_ranges = &result->free_ranges[i];
		uint64_t bytes = 0;

		assert_true(free_ranges->event == result->memory[i].event);
		for (int bin = 0; bin < FREE_BINS; bin++) {
			const uint64_t low = bin ? 16ull << bin : 1;

			bytes += free_ranges->bytes[bin];
			assert_true(free_ranges->bytes[bin] >= low * free_ranges->count[bin]);
			assert_true(free_ranges->bytes[bin] <=
				    (32ull << bin) * free_ranges->count[bin]);
		}
		assert_true((double)bytes ==
			    result->memory[i].free_bytes + result->memory[i].free_page_bytes);
	}
}

static void check_tags(const struct result *result)
{
	size_t point = 0, points = 0;

	for (size_t row = 0; row < result->tag_live_rows; points++) {
		const uint64_t event = result->tag_live[row].event;
		uint64_t bytes = 0, blocks = 0;

		for (; row < result->tag_live_rows && result->tag_live[row].event == event; row++) {
			bytes += result->tag_live[row].live_bytes;
			blocks += result->tag_live[row].live_blocks;
		}
		while (point < result->memory_points && result->memory[point].event != event)
			point++;
		assert_true(point < result->memory_points);
		assert_true(bytes == result->memory[point].live_bytes);
		assert_true(blocks == result->memory[point].live_blocks);
	}
	assert_true(points >= 50);
}

/* Cells that are not bare, in bytes; and that the text is well formed. */
static uint64_t drawn_bytes(const struct heap_map *map)
{
	uint64_t bytes = 0;

	for (const char *at = map->cells; *at;) {
		const char symbol = *at++;
		uint64_t cells = 1;

		if (!strchr("ABCDEFGHabcdefgh~-=#+.", symbol))
			fail_msg("symbol '%c'", symbol);
		if (*at >= '0' && *at <= '9')
			cells = strtoull(at, (char **)&at, 10);
		bytes += symbol == '.' ? 0 : cells * map->cell_bytes;
	}
	return bytes;
}

/* A picture shows what is committed: cells that are committed in half or more, and pool pages are whole cells. */
static void check_maps(const struct result *result, const char *what)
{
	unsigned pictures = 0;

	for (size_t i = 0; i < result->heap_maps;) {
		const unsigned snapshot = result->heap_map[i].snapshot;
		const uint64_t event = result->heap_map[i].event;
		uint64_t bytes = 0;

		assert_int_equal(snapshot, pictures++);
		for (; i < result->heap_maps && result->heap_map[i].snapshot == snapshot; i++)
			bytes += drawn_bytes(&result->heap_map[i]);
		for (size_t p = 0; p < result->memory_points; p++)
			if (result->memory[p].event == event &&
			    (double)bytes != result->memory[p].committed_bytes)
				fail_msg("%s, picture %u: %" PRIu64 " bytes drawn, %.0f committed",
					 what, snapshot, bytes, result->memory[p].committed_bytes);
	}
	assert_int_equal(pictures, 8);
}

/* ---- all native backends, all workloads ---- */

static void parts_add_up_everywhere(void **state)
{
	unsigned backends = 0;

	(void)state;
	for (int b = 0; builtin_backends[b]; b++) {
		if (!(builtin_backends[b]->caps & POOL_CAP_WALK))
			continue;
		backends++;
		for (size_t w = 0; w < WORKLOADS; w++) {
			for (unsigned threads = 1; threads <= 2; threads++) {
				struct result result;
				char what[160];

				snprintf(what, sizeof(what), "%s, %s, %u threads",
					 builtin_backends[b]->name, workload_specs[w], threads);
				run_pass(builtin_backends[b]->name, workload_specs[w], threads,
					 PASS_MEMORY, &result);
				if (result.record.status != CELL_OK)
					fail_msg("%s: %s", what, result.record.reason);
				assert_true(result.memory_points >= 200);
				check_points(result.memory, result.memory_points,
					     result.record.metrics[METRIC_request_bytes_max], what);
				check_spectra(&result);
				check_tags(&result);
				check_maps(&result, what);
				result_release(&result);
			}
		}
	}
	assert_true(backends >= 7);
}

static void parts_add_up_with_age(void **state)
{
	(void)state;
	for (int b = 0; builtin_backends[b]; b++) {
		struct result result;

		if (!(builtin_backends[b]->caps & POOL_CAP_WALK))
			continue;
		run_pass(builtin_backends[b]->name, workload_specs[3], 2, PASS_AGEING, &result);
		if (result.record.status != CELL_OK)
			fail_msg("%s: %s", builtin_backends[b]->name, result.record.reason);
		/* Three laps, twenty checkpoints each, and one behind them. */
		assert_int_equal(result.ageing_points, 61);
		assert_int_equal(result.ageing[60].lap, 3);
		assert_int_equal(result.ageing[60].live_bytes, 0);
		assert_true(result.ageing[59].live_bytes > 0);
		check_points(result.ageing, result.ageing_points, 0, builtin_backends[b]->name);
		assert_true(result.record.metrics[METRIC_ageing_laps] == 3);
		assert_true(result.record.metrics[METRIC_ageing_residue_bytes] >= 0);
		result_release(&result);
	}
}

/* ---- who cannot be believed, and who does not tell ---- */

static void a_walk_that_forgets_is_found(void **state)
{
	struct result result;

	(void)state;
	run_pass(BROKEN_DIRECTORY "/walk_forgets.so", workload_specs[0], 1, PASS_MEMORY, &result);
	assert_int_equal(result.record.status, CELL_CORRUPT);
	assert_non_null(strstr(result.record.reason, "parts do not add up at checkpoint 1 "));
	assert_non_null(strstr(result.record.reason, "are committed"));
	for (int i = 0; i < METRIC_COUNT; i++)
		assert_true(isnan(result.record.metrics[i]));
	result_release(&result);
}

static void of_a_library_resident_and_rounding_are_known(void **state)
{
	struct result result;
	double most = 0;

	(void)state;
	run_pass("glibc", workload_specs[3], 2, PASS_MEMORY, &result);
	assert_int_equal(result.record.status, CELL_OK);
	for (size_t i = 0; i < result.memory_points; i++) {
		const struct memory_point *point = &result.memory[i];

		assert_true(isnan(point->committed_bytes) && isnan(point->header_bytes));
		assert_true(isnan(point->free_bytes) && isnan(point->metadata_bytes));
		assert_true(point->rounding_bytes ==
			    (double)(point->block_bytes - point->live_bytes));
		most = fmax(most, point->resident_bytes - (double)point->live_bytes);
	}
	assert_true(most > 0);
	assert_int_equal(result.free_range_points, 0);
	check_tags(&result);
	/* Its picture shows live blocks and free memory, and not a byte more than a MiB beyond what is resident. */
	assert_true(result.heap_maps >= 8);
	for (size_t i = 0; i < result.heap_maps; i++) {
		assert_int_equal(result.heap_map[i].pool, 'M');
		for (size_t p = 0; p < result.memory_points; p++)
			if (result.memory[p].event == result.heap_map[i].event)
				assert_true((double)drawn_bytes(&result.heap_map[i]) <=
					    result.memory[p].resident_bytes + (1 << 20));
	}
	result_release(&result);
}

/* ---- resident bytes, by the kernel's list of mappings ---- */

/* Anonymous bytes of the mappings in [start, end), from /proc/self/smaps. */
static uint64_t smaps_bytes(uintptr_t start, uintptr_t end)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	uint64_t bytes = 0, kib;
	uintptr_t low = 0, high;
	char line[512];

	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		uintptr_t from;

		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &high) == 2)
			low = from;
		else if (sscanf(line, "Anonymous: %" SCNu64 " kB", &kib) == 1 && low >= start &&
			 low < end)
			bytes += kib * 1024;
	}
	fclose(file);
	return bytes;
}

static uint64_t source_bytes(const struct measurement *m)
{
	uint64_t bytes = 0;

	for (int type = 0; type < POOL_TYPES; type++)
		bytes += smaps_bytes((uintptr_t)m->pages[type]->base,
				     (uintptr_t)m->pages[type]->base + m->pages[type]->range_bytes);
	return bytes;
}

static void resident_is_the_kernels_own_sum(void **state)
{
	enum { BLOCKS = 24000, STEPS = 12 };
	static void *blocks[BLOCKS];

	(void)state;
	memset(blocks, 1, sizeof(blocks)); /* resident before the first baseline is read */
	memset(blocks, 0, sizeof(blocks));
	for (int b = 0; builtin_backends[b]; b++) {
		struct measure_spec spec;
		struct measurement m;
		struct account account;
		struct result result;
		double own;

		if (!(builtin_backends[b]->caps & POOL_CAP_WALK))
			continue;
		measure_spec_init(&spec);
		snprintf(spec.cell.backend, sizeof(spec.cell.backend), "%s",
			 builtin_backends[b]->name);
		snprintf(spec.cell.workload, sizeof(spec.cell.workload), "%s", workload_specs[0]);
		snprintf(spec.cell.backing, sizeof(spec.cell.backing), "base");
		snprintf(spec.bind, sizeof(spec.bind), "none");
		spec.cell.threads = 1;
		spec.cell.page_size = 4096;
		spec.events = 1000;
		assert_int_equal(measurement_open(&m, &spec, &result, emit), 0);
		assert_int_equal(account_open(&account, &m, 10), 0);
		assert_int_equal(measure_thread_enter(&m, 0), 0);
		/* This test's own heap and buffers, which a measuring process does not have. */
		source_bytes(&m);
		own = account_resident_bytes(&account) - (double)source_bytes(&m);
		assert_true(own >= 0 && own < 256 << 10);
		for (int step = 0; step < STEPS; step++) {
			uint64_t kernel;
			double counted;

			/* Up for eight steps, down for four; every owner writes all of its block. */
			for (int i = step; i < BLOCKS; i += STEPS) {
				const enum pool_type type = i % 2 ? POOL_PAGED : POOL_NONPAGED;
				const size_t bytes = 64 + (size_t)i % 1500;

				if (step < 8) {
					blocks[i] = m.backend->ops->alloc(
						m.pool, type, bytes, POOL_TAG('T', 'e', 's', 't'));
					assert_non_null(blocks[i]);
					memset(blocks[i], 1, bytes);
				} else if (blocks[i - 8]) {
					m.backend->ops->free(m.pool, blocks[i - 8],
							     POOL_TAG('T', 'e', 's', 't'));
					blocks[i - 8] = NULL;
				}
			}
			kernel = source_bytes(&m);
			counted = account_resident_bytes(&account) - own;
			if (fabs(counted - (double)kernel) > 0.01 * (double)kernel)
				fail_msg("%s, step %d: %.0f bytes counted, %" PRIu64 " in smaps",
					 builtin_backends[b]->name, step, counted, kernel);
			assert_true(kernel > 500000);
		}
		measure_thread_exit(&m);
		memset(blocks, 0, sizeof(blocks));
		account_close(&account);
		measurement_close(&m);
		result_release(&result);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_walk_that_forgets_is_found),
		cmocka_unit_test(of_a_library_resident_and_rounding_are_known),
		cmocka_unit_test(resident_is_the_kernels_own_sum),
		cmocka_unit_test(parts_add_up_with_age),
		cmocka_unit_test(parts_add_up_everywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
