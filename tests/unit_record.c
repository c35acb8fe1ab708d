/* Records and results as JSON: exact round trips, hostile text, clear refusals. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "results/record.h"
#include "results/record_json.h"
#include "results/series.h"

static void sample_record(struct record *record)
{
	record_clear(record);
	strcpy(record->cell.backend, "malloc:lib,x=\"1\"");
	strcpy(record->cell.workload, "irp-storm:depth=256,remote=0.4");
	strcpy(record->cell.backing, "thp");
	record->cell.threads = 3;
	record->cell.page_size = 2 << 20;
	record->pass = PASS_LATENCY;
	record->repetition = 7;
	record->order = 41;
	record->status = CELL_UNTRUSTED;
	strcpy(record->reason, "line\nbreak, \"quote\" \\ tab\t and \x01");
	strcpy(record->display_name, "d\xc3\xa9j\xc3\xa0");
	strcpy(record->proof, "blocks in its page sources");
	strcpy(record->caveats, "no tags; no trim");
	record->seed = UINT64_MAX;
	record->trace_checksum = 0x8000000000000001;
	record->operations = 1234567890123456789;
	record->started_unix_seconds = 1700000000.123456789;
	record->wall_seconds = 0.1;
	record->harness_bytes = 5e-324;
	record->bound = 1;
	record->nonpaged_locked = -1;
	for (int i = 0; i < METRIC_COUNT; i++)
		record->metrics[i] = i % 3 ? sqrt(i + 2) * pow(10, 3 * i - 60) : NAN;
	record->counters = 2;
	strcpy(record->counter[0].name, "refills");
	record->counter[0].value = UINT64_MAX;
	strcpy(record->counter[1].name, "a \"name\"");
}

static void assert_same_double(double a, double b)
{
	if (isnan(a) && isnan(b))
		return;
	assert_memory_equal(&a, &b, sizeof(a));
}

static void assert_same_record(const struct record *a, const struct record *b)
{
	assert_true(cell_same(&a->cell, &b->cell));
	assert_int_equal(a->pass, b->pass);
	assert_int_equal(a->repetition, b->repetition);
	assert_int_equal(a->order, b->order);
	assert_int_equal(a->status, b->status);
	assert_string_equal(a->reason, b->reason);
	assert_string_equal(a->display_name, b->display_name);
	assert_string_equal(a->proof, b->proof);
	assert_string_equal(a->caveats, b->caveats);
	assert_true(a->seed == b->seed);
	assert_true(a->trace_checksum == b->trace_checksum);
	assert_true(a->operations == b->operations);
	assert_same_double(a->started_unix_seconds, b->started_unix_seconds);
	assert_same_double(a->wall_seconds, b->wall_seconds);
	assert_same_double(a->harness_bytes, b->harness_bytes);
	assert_int_equal(a->bound, b->bound);
	assert_int_equal(a->nonpaged_locked, b->nonpaged_locked);
	for (int i = 0; i < METRIC_COUNT; i++)
		assert_same_double(a->metrics[i], b->metrics[i]);
	assert_int_equal(a->counters, b->counters);
	for (unsigned i = 0; i < a->counters; i++) {
		assert_string_equal(a->counter[i].name, b->counter[i].name);
		assert_true(a->counter[i].value == b->counter[i].value);
	}
}

static void a_record_survives_the_round_trip_bit_by_bit(void **state)
{
	struct record before, after;
	char why[256], *text;

	(void)state;
	sample_record(&before);
	text = record_to_json(&before);
	assert_non_null(text);
	assert_null(strchr(text, '\n'));
	assert_int_equal(record_from_json(text, strlen(text), &after, why, sizeof(why)), 0);
	assert_same_record(&before, &after);
	free(text);
}

static void random_doubles_survive(void **state)
{
	uint64_t bits = 88172645463325252;

	(void)state;
	for (int round = 0; round < 200; round++) {
		struct record before, after;
		char why[256], *text;

		record_clear(&before);
		for (int i = 0; i < METRIC_COUNT; i++) {
			bits ^= bits << 13;
			bits ^= bits >> 7;
			bits ^= bits << 17;
			memcpy(&before.metrics[i], &bits, sizeof(bits));
			if (!isfinite(before.metrics[i]))
				before.metrics[i] = NAN;
		}
		text = record_to_json(&before);
		assert_int_equal(record_from_json(text, strlen(text), &after, why, sizeof(why)), 0);
		assert_same_record(&before, &after);
		free(text);
	}
}

static void nothing_but_json_is_written(void **state)
{
	struct record record, after;
	char why[256], *text;

	(void)state;
	sample_record(&record);
	record.metrics[0] = INFINITY;
	record.metrics[1] = -INFINITY;
	record.metrics[2] = NAN;
	strcpy(record.reason, "caf\xe9"); /* Latin-1: not UTF-8 */
	text = record_to_json(&record);
	assert_non_null(text);
	assert_null(strstr(text, "nan"));
	assert_null(strstr(text, "inf,"));
	assert_non_null(strstr(text, "\"ops_per_second\":null"));
	assert_non_null(strstr(text, "\"reason\":\"caf?\""));
	assert_int_equal(record_from_json(text, strlen(text), &after, why, sizeof(why)), 0);
	assert_true(isnan(after.metrics[0]));
	free(text);
}

#define KEY \
	"\"backend\":\"b\",\"workload\":\"w\",\"threads\":1,\"page_size\":4096," \
	"\"backing\":\"base\",\"pass\":\"memory\",\"repetition\":0,\"status\":\"OK\""

static void readers_ignore_what_they_do_not_know(void **state)
{
	static const char text[] = "{\"schema\":1," KEY
				   ",\"from_the_future\":[1,{}],\"ns_per_op\":5}";
	struct record record;
	char why[256] = "";

	(void)state;
	assert_int_equal(record_from_json(text, strlen(text), &record, why, sizeof(why)), 0);
	assert_true(record.metrics[METRIC_ns_per_op] == 5);
	assert_true(isnan(record.metrics[METRIC_ops_per_second]));
	assert_int_equal(record.nonpaged_locked, -1);
}

static void refusals_say_what_is_wrong(void **state)
{
	static const struct {
		const char *text, *expect;
		int error;
	} cases[] = {
		{ "", "not JSON", -EINVAL },
		{ "{\"schema\":1," KEY, "not JSON", -EINVAL },
		{ "[]", "schema", -EINVAL },
		{ "{" KEY "}", "schema", -EINVAL },
		{ "{\"schema\":2," KEY "}", "schema 2", -EPROTONOSUPPORT },
		{ "{\"schema\":1}", "'backend' is missing", -EINVAL },
		{ "{\"schema\":1," KEY ",\"ns_per_op\":\"5\"}", "'ns_per_op'", -EINVAL },
		{ "{\"schema\":1," KEY ",\"order\":-1}", "'order'", -EINVAL },
		{ "{\"schema\":1," KEY ",\"order\":4294967296}", "'order'", -EINVAL },
		{ "{\"schema\":1," KEY ",\"bound\":1e3}", "'bound'", -EINVAL },
		{ "{\"schema\":1," KEY ",\"seed\":\"12x\"}", "'seed'", -EINVAL },
		{ "{\"schema\":1," KEY ",\"seed\":\"99999999999999999999\"}", "'seed'", -EINVAL },
		{ "{\"schema\":1," KEY ",\"counters\":[]}", "'counters'", -EINVAL },
		{ "{\"schema\":1," KEY ",\"counters\":{\"a\":-1}}", "'a'", -EINVAL },
		{ "{\"schema\":1," KEY ",\"status\":\"OK\"}", "not JSON", -EINVAL }, /* twice */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct record record, untouched;
		char why[256] = "";
		int error;

		memset(&record, 0x5a, sizeof(record));
		memset(&untouched, 0x5a, sizeof(untouched));
		error = record_from_json(cases[i].text, strlen(cases[i].text), &record, why,
					 sizeof(why));
		if (error != cases[i].error || !strstr(why, cases[i].expect))
			fail_msg("case %zu: %d '%s' lacks '%s'", i, error, why, cases[i].expect);
		assert_memory_equal(&record, &untouched, sizeof(record));
	}
}

static void too_many_counters_are_refused(void **state)
{
	char text[8192] = "{\"schema\":1," KEY ",\"counters\":{", why[256];
	struct record record;

	(void)state;
	for (int i = 0; i <= RECORD_COUNTERS; i++)
		sprintf(text + strlen(text), "%s\"c%d\":1", i ? "," : "", i);
	strcat(text, "}}");
	assert_int_equal(record_from_json(text, strlen(text), &record, why, sizeof(why)), -EINVAL);
}

static void sample_result(struct result *result)
{
	result_clear(result);
	sample_record(&result->record);
	result->memory_points = 2;
	result->memory = calloc(2, sizeof(*result->memory));
	result->memory[0] = (struct memory_point){
		.event = UINT64_MAX,
		.lap = UINT32_MAX,
		.live_bytes = 1,
		.live_blocks = 2,
		.block_bytes = 3,
		.committed_bytes = NAN,
		.resident_bytes = 0.1,
		.free_bytes = 7,
	};
	result->memory[1].unusable_free_index = 1.0 / 3;
	result->latency_bins = 1;
	result->latency = calloc(1, sizeof(*result->latency));
	result->latency[0] = (struct latency_bin){ 'f', 10.5, 11.25, 99 };
	result->tag_totals = 2;
	result->tags = calloc(2, sizeof(*result->tags));
	result->tags[0] =
		(struct tag_total){ "Irp ", "I/O request, \"packets\"", 'N', 5, 4, 3, 2, 1 };
	result->tags[1] = (struct tag_total){ "A\xff\x01z", "", 'P', 0, 0, 0, 0, 0 };
	result->laps = 3;
	result->lap_ns_per_op = calloc(3, sizeof(double));
	result->lap_ns_per_op[0] = 5.7;
	result->lap_ns_per_op[2] = NAN;
}

static void a_result_survives_with_its_series(void **state)
{
	struct result before, after;
	char why[256] = "", *text;

	(void)state;
	sample_result(&before);
	text = result_to_json(&before);
	assert_non_null(text);
	assert_null(strchr(text, '\n'));
	assert_int_equal(result_from_json(text, strlen(text), &after, why, sizeof(why)), 0);
	assert_same_record(&before.record, &after.record);
	assert_int_equal(after.memory_points, 2);
	assert_true(after.memory[0].event == UINT64_MAX);
	assert_true(after.memory[0].lap == UINT32_MAX);
	assert_true(isnan(after.memory[0].committed_bytes));
	assert_same_double(after.memory[0].resident_bytes, 0.1);
	assert_same_double(after.memory[1].unusable_free_index, 1.0 / 3);
	assert_int_equal(after.latency_bins, 1);
	assert_memory_equal(after.latency, before.latency, sizeof(*after.latency));
	assert_int_equal(after.tag_totals, 2);
	assert_string_equal(after.tags[0].tag, "Irp ");
	assert_string_equal(after.tags[0].name, before.tags[0].name);
	assert_true(after.tags[0].bytes_allocated == 1);
	assert_string_equal(after.tags[1].tag, "A..z");
	assert_int_equal(after.laps, 3);
	assert_same_double(after.lap_ns_per_op[0], 5.7);
	assert_true(isnan(after.lap_ns_per_op[2]));
	free(text);
	result_release(&before);
	result_release(&after);
}

static void malformed_series_are_refused(void **state)
{
	static const char *const series[] = {
		"\"laps\":{}",
		"\"laps\":[5]",
		"\"laps\":[[\"5\"]]",
		"\"laps\":[[1,2]]",
		"\"latency\":[[\"a\",1,2]]",
		"\"latency\":[[\"ab\",1,2,3]]",
		"\"latency\":[[\"a\",1,2,-3]]",
		"\"memory\":[[1,2,3,4,5,6,7,8,9,10,11,12,13,14]]",
		"\"tags\":[[7,\"\",\"N\",1,2,3,4,5]]",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(series) / sizeof(*series); i++) {
		char text[1024], why[256] = "";
		struct result result;

		snprintf(text, sizeof(text), "{\"schema\":1," KEY ",%s}", series[i]);
		if (result_from_json(text, strlen(text), &result, why, sizeof(why)) != -EINVAL)
			fail_msg("%s was accepted", series[i]);
		assert_non_null(strchr(why, '\''));
	}
}

/* Any prefix of a good line is refused, and nothing leaks (seen by the sanitizers). */
static void every_truncation_is_refused(void **state)
{
	struct result before, after;
	char why[256], *text;

	(void)state;
	sample_result(&before);
	text = result_to_json(&before);
	for (size_t length = strlen(text); length-- > 0;)
		assert_int_equal(result_from_json(text, length, &after, why, sizeof(why)), -EINVAL);
	free(text);
	result_release(&before);
}

/* Bytes changed, cut out and doubled at random: accepted or refused with a reason, never worse. */
static void mangled_lines_do_no_harm(void **state)
{
	static const char alphabet[] = "{}[],:\"0-9eE.ntu\\ \x80\xff";
	uint64_t random = 42;
	struct result before, after;
	char *text, *mangled, why[256];
	size_t length, refused = 0;

	(void)state;
	sample_result(&before);
	text = result_to_json(&before);
	length = strlen(text);
	mangled = malloc(2 * length);
	for (int round = 0; round < 4000; round++) {
		size_t used = length;

		memcpy(mangled, text, length);
		for (int i = 0; i <= round % 4; i++) {
			size_t at;

			random = random * 6364136223846793005 + 1442695040888963407;
			at = (size_t)(random >> 33) % (used - 8);
			switch ((random >> 20) % 3) {
			case 0:
				mangled[at] = alphabet[(random >> 8) % (sizeof(alphabet) - 1)];
				break;
			case 1:
				memmove(mangled + at, mangled + at + 3, used - at - 3);
				used -= 3;
				break;
			default:
				memmove(mangled + at + 5, mangled + at, used - at);
				used += 5;
			}
		}
		why[0] = '\0';
		if (result_from_json(mangled, used, &after, why, sizeof(why))) {
			assert_true(*why);
			refused++;
		} else {
			result_release(&after);
		}
	}
	assert_true(refused > 1000);
	free(mangled);
	free(text);
	result_release(&before);
}

static void fields_of_csv_are_quoted(void **state)
{
	static const struct {
		const char *text, *expect;
	} cases[] = {
		{ "plain text", "plain text" },
		{ "", "" },
		{ "a,b", "\"a,b\"" },
		{ "say \"x\"", "\"say \"\"x\"\"\"" },
		{ "two\nlines", "\"two\nlines\"" },
		{ "cr\r", "\"cr\r\"" },
	};
	static const double reals[] = { 0.1, 1.0 / 3, 5e-324, 1e300, -0.0, 123456789 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *text = NULL;
		size_t bytes;
		FILE *file = open_memstream(&text, &bytes);

		csv_text(cases[i].text, file);
		fclose(file);
		assert_string_equal(text, cases[i].expect);
		free(text);
	}
	for (size_t i = 0; i < sizeof(reals) / sizeof(*reals); i++) {
		char text[64] = "";
		FILE *file = fmemopen(text, sizeof(text), "w");

		csv_real(reals[i], file);
		csv_real(NAN, file);
		csv_real(INFINITY, file);
		fclose(file);
		assert_same_double(strtod(text, NULL), reals[i]);
	}
}

static void names_of_cells(void **state)
{
	static const struct {
		size_t page_size;
		const char *expect;
	} cases[] = {
		{ 4096, "slub/w:a=1/threads:2/page:4K/backing:base" },
		{ 2 << 20, "slub/w:a=1/threads:2/page:2M/backing:base" },
		{ 1000, "slub/w:a=1/threads:2/page:1000/backing:base" },
		{ 0, "slub/w:a=1/threads:2/page:0/backing:base" },
	};
	struct cell cell = { .backend = "slub", .workload = "w:a=1", .threads = 2 };
	struct cell other;
	char name[64];

	(void)state;
	strcpy(cell.backing, "base");
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		cell.page_size = cases[i].page_size;
		assert_int_equal(cell_name(&cell, name, sizeof(name)), strlen(cases[i].expect));
		assert_string_equal(name, cases[i].expect);
	}
	other = cell;
	assert_true(cell_same(&cell, &other));
	other.threads++;
	assert_false(cell_same(&cell, &other));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_survives_the_round_trip_bit_by_bit),
		cmocka_unit_test(random_doubles_survive),
		cmocka_unit_test(nothing_but_json_is_written),
		cmocka_unit_test(readers_ignore_what_they_do_not_know),
		cmocka_unit_test(refusals_say_what_is_wrong),
		cmocka_unit_test(too_many_counters_are_refused),
		cmocka_unit_test(a_result_survives_with_its_series),
		cmocka_unit_test(malformed_series_are_refused),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(mangled_lines_do_no_harm),
		cmocka_unit_test(fields_of_csv_are_quoted),
		cmocka_unit_test(names_of_cells),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
