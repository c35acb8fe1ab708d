/* Summaries of cells, and the documents in Google's schema against golden ones. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "results/google_json.h"
#include "results/metrics_markdown.h"
#include "results/run_dir.h"
#include "results/summary.h"

static struct record records[64];
static size_t count;

static int no_records(void **state)
{
	(void)state;
	count = 0;
	return 0;
}

static struct record *add(const char *backend, const char *workload, unsigned repetition, double ns)
{
	struct record *record = &records[count++];

	record_clear(record);
	strcpy(record->cell.backend, backend);
	strcpy(record->cell.workload, workload);
	strcpy(record->cell.backing, "base");
	record->cell.threads = 1;
	record->cell.page_size = 4096;
	record->repetition = repetition;
	record->operations = 1000 + repetition;
	record->metrics[METRIC_ns_per_op] = ns;
	return record;
}

static struct cell_summary *summaries(size_t expect)
{
	struct cell_summary *cells;
	size_t cell_count;

	assert_int_equal(summarise(records, count, &cells, &cell_count), 0);
	assert_int_equal(cell_count, expect);
	return cells;
}

static void net_is_less_the_floor_of_the_same_workload_and_threads(void **state)
{
	struct cell_summary *cells;

	(void)state;
	add("null", "w", 0, 2);
	add("null", "w", 1, 9);
	add("null:touch=on", "w", 2, 3);
	add("null", "other", 0, 100);
	add("null", "w", 0, 50)->cell.threads = 2;
	add("null", "w", 3, 1000)->status = CELL_UNTRUSTED;
	add("slub", "w", 0, 10)->cell.page_size = 65536; /* the floor does not depend on pages */
	add("slub", "w", 0, 60)->cell.threads = 2;
	add("slub", "lonely", 0, 10);
	add("nullable", "w", 0, 10);
	cells = summaries(8);
	assert_true(isnan(records[0].metrics[METRIC_net_ns_per_op]));
	assert_true(records[6].metrics[METRIC_net_ns_per_op] == 7); /* the floor is 3 */
	assert_true(records[7].metrics[METRIC_net_ns_per_op] == 10);
	assert_true(isnan(records[8].metrics[METRIC_net_ns_per_op]));
	assert_true(records[9].metrics[METRIC_net_ns_per_op] == 7);
	assert_true(cells[4].floor_ns == 3);
	assert_true(cells[4].metrics[METRIC_net_ns_per_op].median == 7);
	assert_true(isnan(cells[6].floor_ns));
	free(cells);
}

static void a_summary_is_of_good_repetitions_of_the_right_pass(void **state)
{
	const struct metric_summary *ns;
	struct cell_summary *cells;
	struct record *record;

	(void)state;
	for (unsigned i = 0; i < 7; i++)
		add("slub", "w", i, 10 + i);
	add("slub", "w", 7, 1)->status = CELL_UNTRUSTED;
	record = add("slub", "w", 0, 1); /* a time from a pass that is slowed by its instruments */
	record->pass = PASS_LATENCY;
	record->metrics[METRIC_alloc_ns_p50] = 25;
	cells = summaries(1);
	ns = &cells[0].metrics[METRIC_ns_per_op];
	assert_int_equal(ns->n, 7);
	assert_true(ns->median == 13 && ns->min == 10 && ns->max == 16);
	assert_true(ns->q1 == 11.5 && ns->q3 == 14.5);
	assert_true(ns->interval.low == 10 && ns->interval.high == 16);
	assert_true(fabs(ns->interval.coverage - 0.984375) < 1e-12);
	assert_true(cells[0].metrics[METRIC_alloc_ns_p50].median == 25);
	assert_int_equal(cells[0].metrics[METRIC_residue_bytes].n, 0);
	assert_true(isnan(cells[0].metrics[METRIC_residue_bytes].median));
	assert_true(isnan(cells[0].metrics[METRIC_residue_bytes].interval.low));
	assert_int_equal(cells[0].records[PASS_THROUGHPUT], 8);
	assert_int_equal(cells[0].ok[PASS_THROUGHPUT], 7);
	assert_int_equal(cells[0].repetitions, 8);
	free(cells);
}

static void the_worst_status_stands_for_the_cell(void **state)
{
	static const enum cell_status rising[] = { CELL_OK,        CELL_SKIPPED, CELL_UNTRUSTED,
						   CELL_EXHAUSTED, CELL_TIMEOUT, CELL_CRASHED,
						   CELL_CORRUPT };
	struct cell_summary *cells;
	struct record *record;

	(void)state;
	for (unsigned i = 1; i < CELL_STATUSES; i++) {
		assert_true(cell_status_severity(rising[i]) > cell_status_severity(rising[i - 1]));
		count = 0;
		record = add("b", "w", 0, NAN);
		record->status = rising[i];
		strcpy(record->reason, "the bad one");
		add("b", "w", 1, 5)->status = rising[i - 1];
		cells = summaries(1);
		assert_int_equal(cells[0].status, rising[i]);
		assert_string_equal(cells[0].reason, "the bad one");
		assert_int_equal(cells[0].pass_status[PASS_THROUGHPUT], rising[i]);
		assert_int_equal(cells[0].pass_status[PASS_MEMORY], CELL_SKIPPED);
		free(cells);
	}
}

static void nothing_gives_nothing(void **state)
{
	struct cell_summary *cells = (void *)1;
	size_t cell_count = 1;

	(void)state;
	assert_int_equal(summarise(records, 0, &cells, &cell_count), 0);
	assert_null(cells);
	assert_int_equal(cell_count, 0);
}

static void ratios_refuse_tiny_denominators(void **state)
{
	(void)state;
	assert_true(metric_ratio(METRIC_ns_per_op, 10, 5) == 2);
	assert_true(isnan(metric_ratio(METRIC_net_ns_per_op, 10, 0.05)));
	assert_true(isnan(metric_ratio(METRIC_net_ns_per_op, 10, -3)));
	assert_true(isnan(metric_ratio(METRIC_net_ns_per_op, 10, 0)));
	assert_true(isnan(metric_ratio(METRIC_net_ns_per_op, NAN, 5)));
	assert_true(isnan(metric_ratio(METRIC_residue_bytes, 1 << 30, (1 << 20) - 1)));
	assert_true(metric_ratio(METRIC_residue_bytes, 1 << 21, 1 << 20) == 2);
	assert_true(metric_ratio(METRIC_header_bytes_per_block, 32, 16) == 2);
	assert_true(isnan(metric_ratio(METRIC_internal_fragmentation, 0.5, 0.001)));
	assert_true(isnan(metric_ratio(METRIC_failed_allocs, 5, 0)));
}

/* ---- golden documents ---- */

static char *slurp(const char *path)
{
	FILE *file = fopen(path, "r");
	char *text = calloc(1, 1 << 20);

	if (!file)
		fail_msg("cannot open %s", path);
	text[fread(text, 1, (1 << 20) - 1, file)] = '\0';
	fclose(file);
	return text;
}

static void assert_same_text(const char *name, const char *made, const char *golden)
{
	size_t line = 1, at = 0;

	while (made[at] && made[at] == golden[at])
		line += made[at++] == '\n';
	if (made[at] != golden[at])
		fail_msg("%s differs from the golden one in line %zu:\n%.200s\ninstead of\n%.200s",
			 name, line, made + at, golden + at);
}

/* A run's directory with the golden records gives the golden documents, byte by byte. */
static void documents_are_as_the_golden_ones(void **state)
{
	static const char *const names[] = { "run.json", "tracker.json" };
	char root[] = "/tmp/poolbench-golden-XXXXXX", path[256], why[512], *text;
	FILE *file;

	(void)state;
	assert_non_null(mkdtemp(root));
	text = slurp(GOLDEN_DIRECTORY "/records.jsonl");
	snprintf(path, sizeof(path), "%s/records.jsonl", root);
	file = fopen(path, "w");
	fputs(text, file);
	fclose(file);
	free(text);
	if (google_json_write(root, why, sizeof(why)))
		fail_msg("%s", why);
	for (int i = 0; i < 2; i++) {
		char *made, *golden;

		snprintf(path, sizeof(path), "%s/%s", root, names[i]);
		made = slurp(path);
		snprintf(path, sizeof(path), "%s/%s", GOLDEN_DIRECTORY, names[i]);
		golden = slurp(path);
		assert_same_text(names[i], made, golden);
		free(made);
		free(golden);
		snprintf(path, sizeof(path), "%s/%s", root, names[i]);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/records.jsonl", root);
	unlink(path);
	assert_int_equal(rmdir(root), 0);
}

/*
 * What Google's compare.py does with an entry, by its rules: all but aggregates must have both
 * times, and those with a time unit are compared by name. No failure may get there.
 */
static void no_failure_can_be_ranked(void **state)
{
	char *text = slurp(GOLDEN_DIRECTORY "/run.json");
	json_t *run = json_loads(text, 0, NULL), *entry;
	size_t i, failures = 0, times = 0;

	(void)state;
	json_array_foreach(json_object_get(run, "benchmarks"), i, entry)
	{
		const char *type = json_string_value(json_object_get(entry, "run_type"));

		if (json_object_get(entry, "error_occurred")) {
			failures++;
			assert_string_equal(type, "aggregate");
			assert_null(json_object_get(entry, "real_time"));
			assert_null(json_object_get(entry, "time_unit"));
			assert_true(json_string_length(json_object_get(entry, "error_message")) >
				    0);
			continue;
		}
		times++;
		assert_string_equal(type, "iteration");
		assert_true(json_number_value(json_object_get(entry, "real_time")) > 0);
		assert_true(json_number_value(json_object_get(entry, "cpu_time")) > 0);
	}
	assert_true(failures >= 3 && times >= 8);
	json_decref(run);
	free(text);
}

/* ---- the table of metrics ---- */

static void docs_hold_the_table_of_the_macro(void **state)
{
	char *made = NULL, *page = slurp(DOCS_DIRECTORY "/metrics.md"), *table;
	size_t bytes;
	FILE *file = open_memstream(&made, &bytes);

	(void)state;
	metrics_markdown(file);
	fclose(file);
	table = strstr(page, "| metric |");
	assert_non_null(table);
	table[strstr(table, "\n\n") ? (size_t)(strstr(table, "\n\n") + 1 - table) : strlen(table)] =
		'\0';
	assert_same_text("docs/metrics.md", made, table);
	free(made);
	free(page);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(net_is_less_the_floor_of_the_same_workload_and_threads,
				       no_records),
		cmocka_unit_test_setup(a_summary_is_of_good_repetitions_of_the_right_pass,
				       no_records),
		cmocka_unit_test_setup(the_worst_status_stands_for_the_cell, no_records),
		cmocka_unit_test(nothing_gives_nothing),
		cmocka_unit_test(ratios_refuse_tiny_denominators),
		cmocka_unit_test(documents_are_as_the_golden_ones),
		cmocka_unit_test(no_failure_can_be_ranked),
		cmocka_unit_test(docs_hold_the_table_of_the_macro),
	};

	if (argc == 2 && !strcmp(argv[1], "--metrics")) { /* to renew docs/metrics.md */
		metrics_markdown(stdout);
		return 0;
	}
	if (argc == 3 && !strcmp(argv[1], "--golden")) { /* to renew the documents in a directory */
		char why[512] = "";
		int error = google_json_write(argv[2], why, sizeof(why));

		fprintf(stderr, "%s\n", why);
		return error != 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
