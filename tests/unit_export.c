/*
 * The formats of other programs, each against its own rules: what github-action-benchmark and Bencher read (their
 * sources of 2024 and later), the schema of the Bencher Metric Format, the ABNF of OpenMetrics. JUnit XML is checked by
 * an XML parser, in export.sh.
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "openmetrics_check.h"
#include "plots_sample.h"
#include "results/export.h"
#include "results/run_dir.h"

static struct export_run run;
static char directory[512];

static int open_sample(enum sample kind)
{
	char why[512] = "";

	if (sample_run(kind, directory, sizeof(directory)) != 0)
		return -1;
	if (export_run_read(directory, &run, why, sizeof(why)) == 0)
		return 0;
	fprintf(stderr, "%s\n", why);
	return -1;
}

static int open_whole(void **state)
{
	(void)state;
	return open_sample(SAMPLE_WHOLE);
}

static int open_hostile(void **state)
{
	(void)state;
	return open_sample(SAMPLE_HOSTILE);
}

static int open_failed(void **state)
{
	(void)state;
	return open_sample(SAMPLE_FAILED);
}

static int close_sample(void **state)
{
	(void)state;
	export_run_release(&run);
	sample_remove(directory);
	return 0;
}

static char *text_of(const char *format)
{
	char *text = NULL;
	size_t bytes = 0;

	assert_non_null(export_find(format));
	assert_int_equal(export_text(export_find(format), &run, &text, &bytes), 0);
	assert_int_equal(strlen(text), bytes);
	return text;
}

static json_t *json_of(const char *format)
{
	char *text = text_of(format);
	json_error_t error;
	/* names that come twice would be lost in a reader */
	json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, &error);

	if (!json)
		fail_msg("%s: %s", format, error.text);
	free(text);
	return json;
}

/* Whether a pass of the cell of this name did not end well: its numbers must not be anywhere. */
static bool pass_failed(const char *name, enum pass pass)
{
	for (size_t i = 0; i < run.count; i++) {
		char other[EXPORT_NAME_BYTES];

		export_cell_name(&run.records[i].cell, other);
		if (run.records[i].pass == pass && run.records[i].status != CELL_OK &&
		    strcmp(name, other) == 0)
			return true;
	}
	return false;
}

static size_t cells_whole(enum pass pass)
{
	size_t count = 0;

	for (size_t c = 0; c < run.cell_count; c++)
		count += run.cells[c].pass_status[pass] == CELL_OK;
	return count;
}

/* ---- Bencher Metric Format: its published schema, and the limits of names ---- */

static bool slug_is_good(const char *slug)
{
	const size_t length = strlen(slug);

	for (size_t i = 0; i < length; i++)
		if (!islower((unsigned char)slug[i]) && !isdigit((unsigned char)slug[i]) &&
		    slug[i] != '-')
			return false;
	return length > 0 && length <= 64 && slug[0] != '-' && slug[length - 1] != '-';
}

static void check_metric(const json_t *metric)
{
	const json_t *low = json_object_get(metric, "lower_value");
	const json_t *high = json_object_get(metric, "upper_value");
	const double value = json_number_value(json_object_get(metric, "value"));

	assert_true(json_is_number(json_object_get(metric, "value")));
	assert_int_equal(json_object_size(metric), 1 + !!low + !!high);
	if (low)
		assert_true(json_is_number(low) && json_number_value(low) <= value);
	if (high)
		assert_true(json_is_number(high) && json_number_value(high) >= value);
}

static size_t check_bmf(json_t *root)
{
	const char *name, *slug;
	json_t *measures, *metric;
	size_t latencies = 0;

	assert_true(json_is_object(root));
	json_object_foreach(root, name, measures)
	{
		assert_true(*name && strlen(name) <= 1024);
		assert_true(json_is_object(measures) && json_object_size(measures) > 0);
		json_object_foreach(measures, slug, metric)
		{
			bool known = false;

			assert_true(slug_is_good(slug));
			check_metric(metric);
			for (int i = 0; i < EXPORT_MEASURES; i++) {
				if (strcmp(export_measures[i].slug, slug) != 0)
					continue;
				known = true;
				assert_false(pass_failed(
					name, metric_table[export_measures[i].metric].pass));
			}
			assert_true(known);
		}
		latencies += json_object_get(measures, "latency") != NULL;
	}
	return latencies;
}

static void bmf_follows_its_schema(void **state)
{
	json_t *root = json_of("bmf");

	(void)state;
	assert_int_equal(check_bmf(root), cells_whole(PASS_THROUGHPUT));
	json_decref(root);
}

static void bmf_numbers_are_those_of_the_summary(void **state)
{
	json_t *root = json_of("bmf");
	const struct cell_summary *cell = &run.cells[2];
	char name[EXPORT_NAME_BYTES];
	json_t *latency;

	(void)state;
	export_cell_name(&cell->cell, name);
	latency = json_object_get(json_object_get(root, name), "latency");
	assert_true(json_number_value(json_object_get(latency, "value")) ==
		    cell->metrics[METRIC_ns_per_op].median);
	assert_true(json_number_value(json_object_get(latency, "lower_value")) ==
		    cell->metrics[METRIC_ns_per_op].interval.low);
	json_decref(root);
}

/* ---- github-action-benchmark: a list of {name, unit, value, range?, extra?} that is not empty ---- */

static void check_custom(json_t *root)
{
	size_t index;
	json_t *entry;
	json_t *names = json_object();

	assert_true(json_is_array(root) && json_array_size(root) > 0);
	json_array_foreach(root, index, entry)
	{
		const char *name = json_string_value(json_object_get(entry, "name")), *word;
		char cell[2048];
		int metric = 0;

		assert_non_null(name);
		assert_true(json_is_number(json_object_get(entry, "value")));
		assert_true(json_is_string(json_object_get(entry, "unit")));
		assert_true(!json_object_get(entry, "range") ||
			    json_is_string(json_object_get(entry, "range")));
		assert_true(json_is_string(json_object_get(entry, "extra")));
		assert_int_equal(json_object_size(entry), json_object_get(entry, "range") ? 5 : 4);
		/* the action tells series apart by their name */
		assert_null(json_object_get(names, name));
		json_object_set_new(names, name, json_true());
		word = strrchr(name, ' ');
		assert_non_null(word);
		snprintf(cell, sizeof(cell), "%.*s", (int)(word - name), name);
		while (metric < METRIC_COUNT && strcmp(metric_table[metric].name, word + 1) != 0)
			metric++;
		assert_true(metric < METRIC_COUNT);
		assert_int_equal(metric_table[metric].better, BETTER_LOWER);
		assert_false(pass_failed(cell, metric_table[metric].pass));
	}
	json_decref(names);
}

static void custom_smaller_is_what_the_action_extracts(void **state)
{
	json_t *root = json_of("custom-smaller");

	(void)state;
	check_custom(root);
	json_decref(root);
}

/* ---- tracker.json: github-action-benchmark's googlecpp, Bencher's cpp_google ---- */

static void googlecpp_has_what_both_readers_want(void **state)
{
	static const char *const units[] = { "ns", "us", "ms", "s" };
	json_t *root = json_of("googlecpp"), *entry;
	const json_t *caches = json_object_get(json_object_get(root, "context"), "caches");
	size_t index;

	(void)state;
	/* Bencher's adapter wants a list of objects there, ours is empty */
	assert_true(json_is_array(caches) && json_array_size(caches) == 0);
	json_array_foreach(json_object_get(root, "benchmarks"), index, entry)
	{
		const char *name = json_string_value(json_object_get(entry, "name"));
		const char *unit = json_string_value(json_object_get(entry, "time_unit"));
		bool known = false;

		assert_true(name && *name && strlen(name) <= 1024 && unit);
		for (size_t i = 0; i < 4; i++)
			known |= strcmp(unit, units[i]) == 0;
		assert_true(known);
		assert_true(json_is_number(json_object_get(entry, "real_time")));
		assert_true(json_is_number(json_object_get(entry, "cpu_time")));
		assert_true(json_is_integer(json_object_get(entry, "iterations")));
		assert_true(json_is_integer(json_object_get(entry, "threads")));
		assert_false(pass_failed(name, PASS_THROUGHPUT));
	}
	assert_int_equal(index, cells_whole(PASS_THROUGHPUT));
	json_decref(root);
}

static void google_holds_every_repetition(void **state)
{
	json_t *root = json_of("google"), *entry;
	size_t index, failures = 0, expect = 0;

	(void)state;
	json_array_foreach(json_object_get(root, "benchmarks"), index, entry)
	{
		if (!json_is_true(json_object_get(entry, "error_occurred")))
			continue;
		failures++;
		assert_null(json_object_get(entry, "real_time"));
	}
	for (size_t i = 0; i < run.count; i++)
		expect += run.records[i].status != CELL_OK;
	assert_true(expect > 0);
	assert_int_equal(failures, expect);
	json_decref(root);
}

/* ---- OpenMetrics ---- */

static void the_openmetrics_checker_refuses(void **state)
{
	static const char *const bad[] = {
		"",
		"# EOF",
		"# TYPE a gauge\na 1\n",
		"# TYPE a gauge\na 1\n# EOF\n\n",
		"# TYPE a gauge\na 1\n# EOF\na 2\n",
		"\n# EOF\n",
		"a 1\n# EOF\n",
		"# TYPE a counter\na 1\n# EOF\n",
		"# TYPE a gauge\n# TYPE a gauge\n# EOF\n",
		"# TYPE a gauge\na 1\n# HELP a late\n# EOF\n",
		"# TYPE a gauge\na{x=\"1\"} 1\n# TYPE b gauge\nb 1\na{x=\"2\"} 1\n# EOF\n",
		"# TYPE a gauge\n# UNIT a seconds\n# EOF\n",
		"# TYPE a_bytes gauge\n# UNIT a_bytes seconds\n# EOF\n",
		"# TYPE a gauge\n# HELP a say \"it\"\n# EOF\n",
		"# TYPE a gauge\n# HELP a bad \\x escape\n# EOF\n",
		"# TYPE a gauge\na{x=\"1\",x=\"2\"} 1\n# EOF\n",
		"# TYPE a gauge\na{x=\"1\"} 1\na{x=\"1\"} 2\n# EOF\n",
		"# TYPE a gauge\na{__x=\"1\"} 1\n# EOF\n",
		"# TYPE a gauge\na{1x=\"1\"} 1\n# EOF\n",
		"# TYPE a gauge\na{x=\"1\" } 1\n# EOF\n",
		"# TYPE a gauge\na{x=\"\xff\"} 1\n# EOF\n",
		"# TYPE a gauge\na{x=\"1\n\"} 1\n# EOF\n",
		"# TYPE a gauge\na NaN\n# EOF\n",
		"# TYPE a gauge\na nan\n# EOF\n",
		"# TYPE a gauge\na +Inf\n# EOF\n",
		"# TYPE a gauge\na  1\n# EOF\n",
		"# TYPE a gauge\na 1 \n# EOF\n",
		"# TYPE a gauge\na 0x1\n# EOF\n",
		"# TYPE a gauge\na\n# EOF\n",
		"# TYPE 1a gauge\n# EOF\n",
		"#TYPE a gauge\n# EOF\n",
		"# a comment\n# EOF\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (!openmetrics_check(bad[i], NULL, NULL))
			fail_msg("taken: %s", bad[i]);
	assert_null(openmetrics_check("# TYPE a_seconds gauge\n# UNIT a_seconds seconds\n"
				      "# HELP a_seconds \\\"x\\\\\\n\na_seconds{x=\"\\\"\"} -1e-9\n"
				      "a_seconds{} 2\n# EOF\n",
				      NULL, NULL));
}

static bool cell_is_labelled(const struct openmetrics_sample *sample, const struct cell *cell)
{
	char threads[16], page[24];

	snprintf(threads, sizeof(threads), "%u", cell->threads);
	snprintf(page, sizeof(page), "%zu", cell->page_size);
	return strcmp(openmetrics_label(sample, "backend"), cell->backend) == 0 &&
	       strcmp(openmetrics_label(sample, "workload"), cell->workload) == 0 &&
	       strcmp(openmetrics_label(sample, "backing"), cell->backing) == 0 &&
	       strcmp(openmetrics_label(sample, "threads"), threads) == 0 &&
	       strcmp(openmetrics_label(sample, "page_size"), page) == 0;
}

struct census {
	size_t samples, times, statuses, failed;
};

static void count_sample(const struct openmetrics_sample *sample, void *arg)
{
	struct census *census = arg;
	const struct cell_summary *cell = NULL;

	census->samples++;
	if (strcmp(sample->family, "poolbench_run_started_seconds") == 0)
		return;
	for (size_t c = 0; c < run.cell_count; c++)
		if (cell_is_labelled(sample, &run.cells[c].cell))
			cell = &run.cells[c];
	assert_non_null(cell);
	if (strcmp(sample->family, "poolbench_pass_ok") == 0) {
		census->statuses++;
		census->failed += sample->value == 0;
		assert_int_equal(sample->value == 1,
				 strcmp(openmetrics_label(sample, "status"), "OK") == 0);
	} else if (strcmp(sample->family, "poolbench_time_per_op_seconds") == 0) {
		census->times++;
		assert_int_equal(cell->pass_status[PASS_THROUGHPUT], CELL_OK);
		assert_true(sample->value == cell->metrics[METRIC_ns_per_op].median * 1e-9);
	}
}

static void count_failures(struct census *expect)
{
	for (size_t c = 0; c < run.cell_count; c++)
		for (int pass = 0; pass < PASSES; pass++) {
			const struct cell_summary *cell = &run.cells[c];

			expect->statuses += cell->records[pass] > 0;
			expect->failed += cell->records[pass] && cell->pass_status[pass] != CELL_OK;
		}
}

static void openmetrics_follows_its_grammar(void **state)
{
	struct census census = { 0 }, expect = { 0 };
	char *text = text_of("openmetrics");
	const char *wrong = openmetrics_check(text, count_sample, &census);

	(void)state;
	if (wrong)
		fail_msg("%s", wrong);
	count_failures(&expect);
	assert_int_equal(census.times, cells_whole(PASS_THROUGHPUT));
	assert_int_equal(census.statuses, expect.statuses);
	assert_int_equal(census.failed, expect.failed);
	free(text);
}

/* ---- strange names, nothing but failures, other things than runs ---- */

static void strange_names_come_through_whole(void **state)
{
	json_t *bmf = json_of("bmf"), *custom = json_of("custom-smaller");
	char name[EXPORT_NAME_BYTES];
	struct census census = { 0 };
	char *text = text_of("openmetrics");
	const char *wrong = openmetrics_check(text, count_sample, &census); /* finds each cell */

	(void)state;
	if (wrong)
		fail_msg("%s", wrong);
	assert_true(census.times > 0);
	check_bmf(bmf);
	check_custom(custom);
	for (size_t c = 0; c < run.cell_count; c++) {
		export_cell_name(&run.cells[c].cell, name);
		assert_non_null(json_object_get(bmf, name));
	}
	json_decref(bmf);
	json_decref(custom);
	free(text);
}

static void a_run_of_failures_has_no_numbers(void **state)
{
	static const char *const numbers[] = { "bmf", "custom-smaller", "googlecpp" };
	struct census census = { 0 };
	char *text = NULL;
	size_t bytes = 0;

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(export_text(export_find(numbers[i]), &run, &text, &bytes),
				 -ENODATA);
	text = text_of("openmetrics");
	assert_null(openmetrics_check(text, count_sample, &census));
	assert_true(census.failed > 0);
	assert_int_equal(census.statuses, census.failed);
	/* the beginning of the run, and a status for each */
	assert_int_equal(census.samples, census.statuses + 1);
	free(text);
}

static void long_names_are_cut_and_stay_apart(void **state)
{
	static struct cell a, b;
	char one[EXPORT_NAME_BYTES], two[EXPORT_NAME_BYTES];

	(void)state;
	memset(a.backend, 'x', sizeof(a.backend) - 1);
	memset(a.workload, 'y', sizeof(a.workload) - 1);
	a.workload[7] = '\xff'; /* no UTF-8 */
	strcpy(a.backing, "base");
	b = a;
	b.threads = 1;
	export_cell_name(&a, one);
	export_cell_name(&b, two);
	assert_true(strlen(one) <= 1024 && strlen(two) <= 1024);
	assert_string_not_equal(one, two);
	assert_null(strchr(one, '\xff'));
}

static void a_comparison_is_no_run(void **state)
{
	struct run_plan plan = { .seed = 1, .repetitions = 1, .passes = 1 };
	struct run_dir *comparison = NULL;
	struct export_run other;
	char path[1024], why[512] = "";

	(void)state;
	snprintf(path, sizeof(path), "%s/ab", directory);
	assert_int_equal(run_plan_add_option(&plan, "a", "slub"), 0);
	assert_int_equal(run_dir_create(NULL, path, &plan, &comparison, why, sizeof(why)), 0);
	run_dir_close(comparison);
	run_plan_release(&plan);
	assert_int_equal(export_run_read(path, &other, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "ab.json"));
	assert_int_equal(export_run_read("/nonexistent", &other, why, sizeof(why)), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest whole[] = {
		cmocka_unit_test(bmf_follows_its_schema),
		cmocka_unit_test(bmf_numbers_are_those_of_the_summary),
		cmocka_unit_test(custom_smaller_is_what_the_action_extracts),
		cmocka_unit_test(googlecpp_has_what_both_readers_want),
		cmocka_unit_test(google_holds_every_repetition),
		cmocka_unit_test(the_openmetrics_checker_refuses),
		cmocka_unit_test(openmetrics_follows_its_grammar),
		cmocka_unit_test(long_names_are_cut_and_stay_apart),
		cmocka_unit_test(a_comparison_is_no_run),
	};
	const struct CMUnitTest hostile[] = {
		cmocka_unit_test(strange_names_come_through_whole),
	};
	const struct CMUnitTest failed[] = {
		cmocka_unit_test(a_run_of_failures_has_no_numbers),
	};

	return cmocka_run_group_tests(whole, open_whole, close_sample) |
	       cmocka_run_group_tests(hostile, open_hostile, close_sample) |
	       cmocka_run_group_tests(failed, open_failed, close_sample);
}
