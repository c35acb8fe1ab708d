/*
 * Clocks: stamps are ordered, calibrated against the kernel's clock, and their cost is plausible.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "bench/clock.h"

static void initialise(void **state)
{
	struct tick_clock first;

	(void)state;
	assert_int_equal(ticks_initialise(), 0);
	assert_true(tick_clock.ns_per_tick > 0);
	assert_true(tick_clock.pair_min_ns >= 0);
	assert_true(tick_clock.pair_median_ns >= tick_clock.pair_min_ns);
	first = tick_clock;
	assert_int_equal(ticks_initialise(), 0);
	assert_memory_equal(&first, &tick_clock, sizeof(first));
	print_message("%s: %.6f ns a tick (+- %.1e), a pair %.1f ns (least %.1f)\n",
		      tick_source_name(tick_clock.source), tick_clock.ns_per_tick,
		      tick_clock.ns_per_tick_error, tick_clock.pair_median_ns,
		      tick_clock.pair_min_ns);
}

static void stamps_never_run_backwards(void **state)
{
	uint64_t last = ticks_start();

	(void)state;
	for (int i = 0; i < 100000; i++) {
		uint64_t start = ticks_start(), stop = ticks_stop();

		assert_true(start >= last);
		assert_true(stop >= start);
		last = stop;
	}
}

/*
 * Over 50 ms the ticks, converted, are the kernel's nanoseconds. Preemption between the two clocks'
 * reads can only widen one try, so one good try of several is enough; a wrong length of a tick
 * fails all.
 */
static void ticks_are_as_long_as_calibrated(void **state)
{
	struct timespec pause = { .tv_nsec = 50 * 1000 * 1000 };
	double best = 1;

	(void)state;
	for (int try = 0; try < 5; try++) {
		uint64_t raw = clock_read_ns(CLOCK_MONOTONIC_RAW), start = ticks_start();
		double ns, error;

		nanosleep(&pause, NULL);
		ns = ticks_to_ns(ticks_stop() - start);
		raw = clock_read_ns(CLOCK_MONOTONIC_RAW) - raw;
		error = fabs(ns / (double)raw - 1);
		best = error < best ? error : best;
	}
	assert_true(best < 1e-4);
}

static void net_subtracts_the_pair_and_stops_at_zero(void **state)
{
	uint64_t pair = tick_clock.pair_ticks;

	(void)state;
	assert_int_equal(ticks_net(1000, 1000 + pair + 17), 17);
	assert_int_equal(ticks_net(1000, 1000 + pair), 0);
	assert_int_equal(ticks_net(1000, 1000), 0);
}

static void monotonic_counts_nanoseconds(void **state)
{
	struct timespec pause = { .tv_nsec = 2 * 1000 * 1000 };
	uint64_t start = monotonic_ns();

	(void)state;
	nanosleep(&pause, NULL);
	assert_true(monotonic_ns() - start >= 2000000);
}

static void sources_have_names(void **state)
{
	(void)state;
	assert_string_equal(tick_source_name(TICKS_TSC), "tsc");
	assert_string_equal(tick_source_name(TICKS_CNTVCT), "cntvct_el0");
	assert_string_equal(tick_source_name(TICKS_CLOCK_GETTIME), "clock_gettime");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(initialise),
		cmocka_unit_test(stamps_never_run_backwards),
		cmocka_unit_test(ticks_are_as_long_as_calibrated),
		cmocka_unit_test(net_subtracts_the_pair_and_stops_at_zero),
		cmocka_unit_test(monotonic_counts_nanoseconds),
		cmocka_unit_test(sources_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
