/*
 * Counters: group reading, scaling and refusals, proven with software events, which work where
 * there is no hardware to count with; and the hardware events as far as this machine grants them.
 */
#include <errno.h>
#include <linux/perf_event.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bare_pages.h"
#include "bench/counters.h"

#define PAGES 64u

/* Touches PAGES fresh pages: as many minor faults, when huge pages are kept out. */
static void fault_in_pages(void)
{
	char *pages = bare_map(PAGES * BARE_PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	assert_true(pages != MAP_FAILED);
	bare_touch(pages, PAGES * BARE_PAGE);
	bare_unmap(pages, PAGES * BARE_PAGE);
}

static void spin(void)
{
	for (volatile unsigned i = 0; i < 3000000; i++)
		;
}

/* Skips where even software events are forbidden, as in a container with a seccomp filter. */
static void open_software(struct counters *counters)
{
	char why[256] = "";

	if (counters_open(counters, counter_software, COUNTER_SOFTWARE, why, sizeof(why))) {
		print_message("skipped: %s\n", why);
		counters_close(counters);
		skip();
	}
}

static void a_group_counts_together(void **state)
{
	struct counters counters;
	struct counter_values values;

	(void)state;
	open_software(&counters);
	assert_int_equal(counters_start(&counters), 0);
	fault_in_pages();
	spin();
	assert_int_equal(counters_stop(&counters), 0);
	assert_int_equal(counters_read(&counters, &values), 0);
	assert_true(values.exact);
	assert_true(values.enabled_ns > 0 && values.enabled_ns == values.running_ns);
	assert_true(values.value[COUNTER_PAGE_FAULTS] >= PAGES);
	assert_true(values.value[COUNTER_PAGE_FAULTS] < 2 * PAGES);
	assert_true(values.value[COUNTER_TASK_CLOCK_NS] > 100000);
	assert_true(values.value[COUNTER_TASK_CLOCK_NS] <= (double)values.enabled_ns * 1.01);
	assert_true(values.value[COUNTER_MIGRATIONS] >= 0);
	assert_true(isnan(values.value[COUNTER_SOFTWARE]));
	counters_close(&counters);
}

static void stopped_means_stopped_and_start_means_zero(void **state)
{
	struct counters counters;
	struct counter_values first, second;

	(void)state;
	open_software(&counters);
	assert_int_equal(counters_start(&counters), 0);
	fault_in_pages();
	assert_int_equal(counters_stop(&counters), 0);
	assert_int_equal(counters_read(&counters, &first), 0);
	fault_in_pages();
	assert_int_equal(counters_read(&counters, &second), 0);
	assert_true(first.value[COUNTER_PAGE_FAULTS] == second.value[COUNTER_PAGE_FAULTS]);
	assert_int_equal(counters_start(&counters), 0);
	assert_int_equal(counters_stop(&counters), 0);
	assert_int_equal(counters_read(&counters, &second), 0);
	assert_true(second.value[COUNTER_PAGE_FAULTS] < PAGES);
	counters_close(&counters);
}

static void a_refused_event_is_left_out_alone(void **state)
{
	static const struct counter_event mixed[] = {
		{ "nonsense", 0x7fffffff,
		  0 }, /* a type that no kernel has: ENOENT, also as leader */
		{ "task_clock_ns", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK },
		{ "nonsense too", 0x7fffffff, 1 },
		{ "page_faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS },
	};
	struct counters counters;
	struct counter_values values;
	char why[256] = "";
	int error;

	(void)state;
	open_software(&counters);
	counters_close(&counters);
	error = counters_open(&counters, mixed, 4, why, sizeof(why));
	assert_true(error == -ENOENT || error == -EINVAL);
	assert_int_equal(counters.opened, 2);
	assert_int_equal(counters.refused[0], -error);
	assert_int_equal(counters.refused[1], 0);
	assert_non_null(strstr(why, "nonsense: "));
	assert_int_equal(counters_start(&counters), 0);
	fault_in_pages();
	assert_int_equal(counters_stop(&counters), 0);
	assert_int_equal(counters_read(&counters, &values), 0);
	assert_true(isnan(values.value[0]));
	assert_true(values.value[1] > 0);
	assert_true(isnan(values.value[2]));
	assert_true(values.value[3] >= PAGES && values.value[3] < 2 * PAGES);
	counters_close(&counters);
}

static void nothing_granted_is_no_crash(void **state)
{
	static const struct counter_event none[] = { { "nonsense", 0x7fffffff, 0 } };
	struct counters counters;
	struct counter_values values;

	(void)state;
	assert_true(counters_open(&counters, none, 1, NULL, 0) < 0);
	assert_int_equal(counters_start(&counters), 0);
	assert_int_equal(counters_stop(&counters), 0);
	assert_int_equal(counters_read(&counters, &values), 0);
	assert_true(isnan(values.value[0]));
	assert_false(values.exact);
	counters_close(&counters);
	counters_close(&counters);
	assert_int_equal(counters_open(&counters, none, 0, NULL, 0), -EINVAL);
	counters_close(&counters);
	assert_int_equal(counters_open(&counters, none, COUNTERS_MAX + 1, NULL, 0), -EINVAL);
	counters_close(&counters);
}

static void hardware_events_count_or_say_why_not(void **state)
{
	struct counters counters;
	struct counter_values values;
	char why[256] = "";
	int error = counters_open(&counters, counter_hardware, COUNTER_HARDWARE, why, sizeof(why));

	(void)state;
	if (error) {
		assert_true(strlen(why) > 20);
		print_message("%s\n", why);
	}
	assert_int_equal(counters_start(&counters), 0);
	spin();
	assert_int_equal(counters_stop(&counters), 0);
	assert_int_equal(counters_read(&counters, &values), 0);
	for (unsigned i = 0; i < COUNTER_HARDWARE; i++)
		assert_true(counters.fd[i] >= 0 || isnan(values.value[i]));
	if (values.exact && counters.fd[COUNTER_INSTRUCTIONS] >= 0)
		assert_true(values.value[COUNTER_INSTRUCTIONS] > 3000000);
	counters_close(&counters);
}

/* What a kernel hands out when the group had to share: not to be had on demand, hence by hand. */
static void a_shared_group_is_scaled_and_not_exact(void **state)
{
	const struct counters counters = {
		.events = counter_hardware, .count = 3, .fd = { 5, -1, 6 }, .leader = 5, .opened = 2
	};
	const uint64_t shared[] = { 2, 1000, 250, 70, 9 };
	const uint64_t never[] = { 2, 1000, 0, 0, 0 };
	const uint64_t whole[] = { 2, 1000, 1000, 70, 9 };
	const uint64_t wrong[] = { 3, 1000, 1000, 1, 2, 3 };
	struct counter_values values;

	(void)state;
	assert_int_equal(counters_decode(&counters, shared, 5, &values), 0);
	assert_false(values.exact);
	assert_true(values.value[0] == 280 && values.value[2] == 36);
	assert_true(isnan(values.value[1]));
	assert_int_equal(counters_decode(&counters, never, 5, &values), 0);
	assert_false(values.exact);
	assert_true(isnan(values.value[0]) && isnan(values.value[2]));
	assert_int_equal(counters_decode(&counters, whole, 5, &values), 0);
	assert_true(values.exact);
	assert_true(values.value[0] == 70 && values.value[2] == 9);
	assert_int_equal(counters_decode(&counters, wrong, 6, &values), -EIO);
	assert_true(isnan(values.value[0]));
	assert_int_equal(counters_decode(&counters, whole, 4, &values), -EIO);
	assert_int_equal(counters_decode(&counters, whole, 2, &values), -EIO);
}

static void refusals_are_explained(void **state)
{
	char why[256];

	(void)state;
	counters_explain("cycles", ENOENT, why, sizeof(why));
	assert_non_null(strstr(why, "virtual machine"));
	counters_explain("cycles", EACCES, why, sizeof(why));
	assert_non_null(strstr(why, "perf_event_paranoid"));
	counters_explain("cycles", ENOSYS, why, sizeof(why));
	assert_non_null(strstr(why, "kernel"));
	counters_explain("cycles", EINVAL, why, sizeof(why));
	assert_non_null(strstr(why, "group"));
	counters_explain("cycles", EMFILE, why, sizeof(why));
	assert_non_null(strstr(why, "ulimit"));
	counters_explain("cycles", EIO, why, sizeof(why));
	assert_non_null(strstr(why, strerror(EIO)));
}

static void faults_are_counted(void **state)
{
	struct fault_counts before, after, delta;

	(void)state;
	for (int scope = FAULTS_OF_THREAD; scope <= FAULTS_OF_PROCESS; scope++) {
		assert_int_equal(faults_read((enum fault_scope)scope, &before), 0);
		fault_in_pages();
		assert_int_equal(faults_read((enum fault_scope)scope, &after), 0);
		delta = faults_between(&before, &after);
		assert_true(delta.page_faults >= PAGES && delta.page_faults < 2 * PAGES);
		assert_true(delta.major_faults <= delta.page_faults);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_group_counts_together),
		cmocka_unit_test(stopped_means_stopped_and_start_means_zero),
		cmocka_unit_test(a_refused_event_is_left_out_alone),
		cmocka_unit_test(nothing_granted_is_no_crash),
		cmocka_unit_test(hardware_events_count_or_say_why_not),
		cmocka_unit_test(a_shared_group_is_scaled_and_not_exact),
		cmocka_unit_test(refusals_are_explained),
		cmocka_unit_test(faults_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
