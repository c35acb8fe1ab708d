/* Choosing, calibrating and pricing the tick stamp; clock.h says how and why. */
#include "clock.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define CALIBRATION_MOMENTS 33
#define CALIBRATION_GAP_NS  600000u
#define SANDWICHES          8
#define PRICED_PAIRS        4096

struct tick_clock tick_clock = { .source = TICKS_CLOCK_GETTIME, .ns_per_tick = 1 };

const char *tick_source_name(enum tick_source source)
{
	switch (source) {
	case TICKS_TSC:
		return "tsc";
	case TICKS_CNTVCT:
		return "cntvct_el0";
	case TICKS_CLOCK_GETTIME:
		break;
	}
	return "clock_gettime";
}

#if defined(__x86_64__)
/*
 * The kernel drops a counter that it caught going wrong. Where it does not say, the processor is
 * believed.
 */
static bool kernel_lists_tsc(void)
{
	char line[256] = "";
	FILE *file = fopen("/sys/devices/system/clocksource/clocksource0/available_clocksource",
			   "re");
	bool listed = true;

	if (!file)
		return true;
	if (fgets(line, sizeof(line), file))
		listed = strstr(line, "tsc") != NULL;
	fclose(file);
	return listed;
}

/*
 * CPUID 0x80000001 EDX bit 27 is rdtscp, 0x80000007 EDX bit 8 the invariant counter (both vendors'
 * manuals).
 */
static bool processor_has_invariant_tsc(void)
{
	unsigned a, b, c, d;

	if (!__get_cpuid(0x80000001u, &a, &b, &c, &d) || !(d & (1u << 27)))
		return false;
	return __get_cpuid(0x80000007u, &a, &b, &c, &d) && (d & (1u << 8));
}
#endif

static enum tick_source best_source(void)
{
#if defined(__x86_64__)
	return processor_has_invariant_tsc() && kernel_lists_tsc() ? TICKS_TSC
								   : TICKS_CLOCK_GETTIME;
#elif defined(__aarch64__)
	return TICKS_CNTVCT;
#else
	return TICKS_CLOCK_GETTIME;
#endif
}

/* The same moment on both clocks. */
struct moment {
	uint64_t raw_ns, ticks;
};

static struct moment narrowest_sandwich(void)
{
	struct moment best = { 0, 0 };
	uint64_t best_width = UINT64_MAX;

	for (int i = 0; i < SANDWICHES; i++) {
		uint64_t before = clock_read_ns(CLOCK_MONOTONIC_RAW);
		uint64_t ticks = ticks_start();
		uint64_t width = clock_read_ns(CLOCK_MONOTONIC_RAW) - before;

		if (width < best_width) {
			best_width = width;
			best.raw_ns = before + width / 2;
			best.ticks = ticks;
		}
	}
	return best;
}

static int compare_double(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

static int compare_ticks(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

/* The median slope, over pairs at least half of the time apart: near ones only add noise. */
static void fit(const struct moment *moments, unsigned count)
{
	double slopes[CALIBRATION_MOMENTS * CALIBRATION_MOMENTS];
	unsigned used = 0;

	for (unsigned i = 0; i < count; i++) {
		for (unsigned j = i + count / 2; j < count; j++) {
			uint64_t ticks = moments[j].ticks - moments[i].ticks;

			if (moments[j].ticks > moments[i].ticks)
				slopes[used++] = (double)(moments[j].raw_ns - moments[i].raw_ns) /
						 (double)ticks;
		}
	}
	if (!used) {
		/* A counter that stands still is no clock. */
		tick_clock.source = TICKS_CLOCK_GETTIME;
		tick_clock.ns_per_tick = 1;
		return;
	}
	qsort(slopes, used, sizeof(slopes[0]), compare_double);
	tick_clock.ns_per_tick = slopes[used / 2];
	tick_clock.ns_per_tick_error = (slopes[used * 3 / 4] - slopes[used / 4]) / 2 /
				       tick_clock.ns_per_tick;
}

static void calibrate(void)
{
	struct moment moments[CALIBRATION_MOMENTS];
	struct timespec gap = { .tv_nsec = CALIBRATION_GAP_NS };

	for (unsigned i = 0; i < CALIBRATION_MOMENTS; i++) {
		moments[i] = narrowest_sandwich();
		nanosleep(&gap, NULL);
	}
	fit(moments, CALIBRATION_MOMENTS);
}

static void price_pair(void)
{
	static uint64_t pairs[PRICED_PAIRS];

	/* The first half warms up the code and is thrown away. */
	for (unsigned i = 0; i < 2 * PRICED_PAIRS; i++) {
		uint64_t start = ticks_start();
		uint64_t stop = ticks_stop();

		pairs[i % PRICED_PAIRS] = stop - start;
	}
	qsort(pairs, PRICED_PAIRS, sizeof(pairs[0]), compare_ticks);
	tick_clock.pair_ticks = pairs[PRICED_PAIRS / 2];
	tick_clock.pair_min_ns = ticks_to_ns(pairs[0]);
	tick_clock.pair_median_ns = ticks_to_ns(pairs[PRICED_PAIRS / 2]);
}

static int initialise_error;

static void initialise(void)
{
	struct timespec now;

	if (clock_gettime(CLOCK_MONOTONIC, &now) || clock_gettime(CLOCK_MONOTONIC_RAW, &now)) {
		initialise_error = -ENOSYS;
		return;
	}
	tick_clock.source = best_source();
	if (tick_clock.source != TICKS_CLOCK_GETTIME)
		calibrate();
	price_pair();
}

int ticks_initialise(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, initialise);
	return initialise_error;
}
