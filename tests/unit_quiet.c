/* Waiting for a quiet core: what counts as quiet, how long, and that nothing else is looked at. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/quiet.h"

static void teach(struct quiet *quiet, double sharing, double waited_seconds, double wall_seconds)
{
	struct record record;

	memset(&record, 0, sizeof(record));
	record.metrics[METRIC_canary_sharing] = sharing;
	record.metrics[METRIC_quiet_wait_ns] = 1e9 * waited_seconds;
	record.wall_seconds = wall_seconds;
	assert_true(quiet_keep(quiet, 1, &record));
}

static struct measure_spec ask(const struct quiet *quiet, double share)
{
	struct measure_spec spec;

	measure_spec_init(&spec);
	quiet_ask(quiet, share, 120, &spec);
	return spec;
}

static void nothing_is_known_at_first(void **state)
{
	struct quiet quiet = { 0 };

	(void)state;
	assert_true(ask(&quiet, 1).quiet_sharing == 0);
	teach(&quiet, 0.6, 0, 0.03);
	teach(&quiet, 0.6, 0, 0.03);
	assert_true(ask(&quiet, 1).quiet_sharing == 0);
	teach(&quiet, 0.6, 0, 0.03);
	assert_true(fabs(ask(&quiet, 1).quiet_sharing - 0.63) < 1e-12);
}

static void quiet_is_the_lowest_tenth(void **state)
{
	struct quiet quiet = { 0 };

	(void)state;
	/* it began in bad company: the first that had the core to themselves set the mark */
	for (int i = 0; i < 18; i++)
		teach(&quiet, 0.9 + 0.001 * i, 0, 0.03);
	assert_true(quiet_limit(&quiet) > 0.9);
	teach(&quiet, 0.6, 0, 0.03);
	teach(&quiet, 0.601, 0, 0.03);
	teach(&quiet, 0.602, 0, 0.03);
	assert_true(fabs(quiet_limit(&quiet) - 1.05 * 0.602) < 1e-12);
	/* one error of the clock does not: nobody could ever reach it */
	quiet = (struct quiet){ 0 };
	for (int i = 0; i < 19; i++)
		teach(&quiet, i ? 0.6 : 0.3, 0, 0.03);
	assert_true(fabs(quiet_limit(&quiet) - 1.05 * 0.6) < 1e-12);
	/* another machine after a migration: what is long ago is forgotten */
	for (int i = 0; i < QUIET_SEEN; i++)
		teach(&quiet, 0.8, 0, 0.03);
	assert_true(fabs(quiet_limit(&quiet) - 1.05 * 0.8) < 1e-12);
}

static void waiting_is_bounded(void **state)
{
	struct quiet quiet = { 0 };
	struct measure_spec spec;

	(void)state;
	for (int i = 0; i < 100; i++)
		teach(&quiet, 0.6, 0, 0.05);
	assert_true(fabs(ask(&quiet, 1).quiet_wait_seconds - (QUIET_START + 5)) < 1e-9);
	assert_true(fabs(ask(&quiet, 0.2).quiet_wait_seconds - (QUIET_START + 1)) < 1e-9);
	assert_true(ask(&quiet, 0).quiet_wait_seconds == 0); /* --quiet-wait 0 */
	quiet_ask(&quiet, 1, 6, &spec); /* half of --timeout */
	assert_true(fabs(spec.quiet_wait_seconds - 3) < 1e-9);
	teach(&quiet, 0.9, QUIET_START + 6, QUIET_START + 6.05);
	assert_true(ask(&quiet, 1).quiet_wait_seconds == 0);
	/* a second more was measured, a second more may be waited */
	teach(&quiet, 0.9, 0, 2);
	assert_true(fabs(ask(&quiet, 1).quiet_wait_seconds - 1.05) < 1e-9);
}

static void disturbed_processes_are_counted(void **state)
{
	struct quiet quiet = { 0 };
	struct record record;

	(void)state;
	for (int i = 0; i < 10; i++)
		teach(&quiet, 0.6, 0, 0.03);
	teach(&quiet, 0.62, 0, 0.03);
	assert_int_equal(quiet.disturbed, 0);
	teach(&quiet, 0.7, 0, 0.03);
	assert_int_equal(quiet.disturbed, 1);
	/* another pass, or a process that failed: nothing was read */
	memset(&record, 0, sizeof(record));
	for (int i = 0; i < METRIC_COUNT; i++)
		record.metrics[i] = NAN;
	record.wall_seconds = 1;
	assert_true(quiet_keep(&quiet, 1, &record));
	assert_int_equal(quiet.readings, 12);
	assert_true(isfinite(quiet.waited_seconds) && quiet.measured_seconds < 1);
}

static void who_was_disturbed_is_measured_again(void **state)
{
	struct quiet quiet = { 0 };
	struct record record;
	unsigned again = 0;

	(void)state;
	for (int i = 0; i < 10; i++)
		teach(&quiet, 0.6, 0, 0.1);
	memset(&record, 0, sizeof(record));
	record.metrics[METRIC_canary_sharing] = 0.6;
	record.metrics[METRIC_canary_sharing_after] = 0.61;
	record.wall_seconds = 0.5;
	assert_true(quiet_keep(&quiet, 1, &record));
	record.metrics[METRIC_canary_sharing_after] = 0.7;
	/* not where no time may be spent for it */
	assert_true(quiet_keep(&quiet, 0, &record));
	assert_int_equal(quiet.disturbed, 1);
	/* its time counts as waiting, and so it ends: (4 + 1 + 2 * 0.5) / 0.5 processes */
	while (!quiet_keep(&quiet, 1, &record))
		again++;
	assert_int_equal(again, 12);
	assert_int_equal(quiet.again, 12);
	assert_int_equal(quiet.disturbed, 2);
}

/* A fast process teaches what a slow one does: a lap's time is not looked at. */
static void what_was_measured_does_not_count(void **state)
{
	struct quiet one = { 0 }, other = { 0 };

	(void)state;
	for (int i = 0; i < 20; i++) {
		struct record record;

		memset(&record, 0, sizeof(record));
		record.metrics[METRIC_canary_sharing] = 0.6 + 0.01 * i;
		record.metrics[METRIC_canary_sharing_after] = 0.6 + 0.1 * (i % 3);
		record.wall_seconds = 0.03;
		record.metrics[METRIC_ns_per_op_min] = record.metrics[METRIC_ns_per_op] = 10;
		quiet_keep(&one, 1, &record);
		record.metrics[METRIC_ns_per_op_min] = record.metrics[METRIC_ns_per_op] = 10 + i;
		strcpy(record.cell.backend, "other");
		quiet_keep(&other, 1, &record);
	}
	assert_memory_equal(&one, &other, sizeof(one));
}

static void a_specification_carries_it(void **state)
{
	struct measure_spec spec, read;
	char why[256], *text;

	(void)state;
	measure_spec_init(&spec);
	assert_true(spec.quiet_sharing == 0 && spec.quiet_wait_seconds == 0);
	strcpy(spec.cell.backend, "null");
	strcpy(spec.cell.workload, "irp-storm");
	spec.cell.threads = 1;
	spec.quiet_sharing = 0.625;
	spec.quiet_wait_seconds = 1.5;
	text = measure_spec_format(&spec);
	assert_non_null(text);
	assert_int_equal(measure_spec_parse(text, &read, why, sizeof(why)), 0);
	free(text);
	assert_true(read.quiet_sharing == 0.625 && read.quiet_wait_seconds == 1.5);
	assert_int_not_equal(measure_spec_parse("{\"backend\":\"null\",\"workload\":\"irp-storm\","
						"\"quiet_wait_seconds\":-1}",
						&read, why, sizeof(why)),
			     0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_known_at_first),
		cmocka_unit_test(quiet_is_the_lowest_tenth),
		cmocka_unit_test(waiting_is_bounded),
		cmocka_unit_test(disturbed_processes_are_counted),
		cmocka_unit_test(who_was_disturbed_is_measured_again),
		cmocka_unit_test(what_was_measured_does_not_count),
		cmocka_unit_test(a_specification_carries_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
