/*
 * Two clocks. monotonic_ns is the kernel's, for everything that is longer than a microsecond. A
 * tick stamp is the processor's own counter, for the pair around a single alloc or free:
 *
 *   x86-64   the time stamp counter, where the processor says that it is invariant (the kernel
 *            shows it as constant_tsc and nonstop_tsc), has rdtscp, and the kernel has not thrown
 *            the counter out of its list of clock sources (it does so when processors disagree);
 *   arm64    cntvct_el0, which the architecture keeps constant and the same on all processors;
 *   else     clock_gettime(CLOCK_MONOTONIC_RAW): a tick is a nanosecond.
 *
 * Order. On x86-64 rdtsc is not ordered with the instructions around it. ticks_start is lfence,
 * rdtsc, lfence: what comes before has finished, what comes after has not begun. ticks_stop is
 * rdtscp, lfence: rdtscp waits for earlier instructions, lfence holds back later ones. Stores may
 * still be in the store buffer, which is as it should be: the caller does not wait for them either.
 * On arm64 isb does the same.
 *
 * Length of a tick: ticks are compared with CLOCK_MONOTONIC_RAW (not steered by NTP) at several
 * moments over about 20 ms. Each moment is the narrowest of a few raw-tick-raw sandwiches, so that
 * an interrupt between the two reads does not count; the slope is the median over all pairs of
 * moments that are far apart (Theil 1950, Sen 1968), which a quarter of bad moments does not move.
 * The error is the sandwich's width over the time: some 50 ns in 20 ms, 3 in 10^6.
 *
 * Cost. A pair around nothing is not free (some 10 to 40 ns) and would be counted into every
 * sample: it is measured, and ticks_net subtracts the median pair.
 */
#ifndef POOLBENCH_CLOCK_H
#define POOLBENCH_CLOCK_H

#include <stdint.h>
#include <time.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

enum tick_source { TICKS_CLOCK_GETTIME, TICKS_TSC, TICKS_CNTVCT };

/* Written by ticks_initialise, read-only afterwards. */
struct tick_clock {
	enum tick_source source;
	double ns_per_tick; /* > 0 */
	double ns_per_tick_error; /* relative: half the spread of the middle half of the slopes */
	uint64_t pair_ticks; /* median of back-to-back pairs: what ticks_net subtracts */
	double pair_min_ns, pair_median_ns;
};
extern struct tick_clock tick_clock;

/*
 * Chooses the source, calibrates it and measures a pair; about 25 ms. Before it ticks are
 * nanoseconds. Call before the threads that take stamps are started; again changes nothing. 0, or
 * -ENOSYS when the system has no monotonic clock.
 */
int ticks_initialise(void);
/* "tsc", "cntvct_el0" or "clock_gettime". */
const char *tick_source_name(enum tick_source source);

static inline uint64_t clock_read_ns(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline uint64_t monotonic_ns(void)
{
	return clock_read_ns(CLOCK_MONOTONIC);
}

/* Takes the stamp before what is timed. */
static inline uint64_t ticks_start(void)
{
#if defined(__x86_64__)
	if (__builtin_expect(tick_clock.source == TICKS_TSC, 1)) {
		uint64_t now;

		_mm_lfence();
		now = __rdtsc();
		_mm_lfence();
		return now;
	}
#elif defined(__aarch64__)
	if (__builtin_expect(tick_clock.source == TICKS_CNTVCT, 1)) {
		uint64_t now;

		__asm__ volatile("isb\n\tmrs %0, cntvct_el0\n\tisb" : "=r"(now) : : "memory");
		return now;
	}
#endif
	return clock_read_ns(CLOCK_MONOTONIC_RAW);
}

/* Takes the stamp after it. */
static inline uint64_t ticks_stop(void)
{
#if defined(__x86_64__)
	if (__builtin_expect(tick_clock.source == TICKS_TSC, 1)) {
		unsigned processor;
		uint64_t now = __rdtscp(&processor);

		_mm_lfence();
		return now;
	}
#endif
	return ticks_start();
}

/* Ticks between two stamps, less the cost of the pair; never below 0. */
static inline uint64_t ticks_net(uint64_t start, uint64_t stop)
{
	uint64_t gross = stop - start;

	return gross > tick_clock.pair_ticks ? gross - tick_clock.pair_ticks : 0;
}

static inline double ticks_to_ns(uint64_t ticks)
{
	return (double)ticks * tick_clock.ns_per_tick;
}

#endif
