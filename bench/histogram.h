/*
 * Log-linear histograms of non-negative integers: times in ticks or nanoseconds.
 *
 * Layout. With b = HISTOGRAM_SUB_BITS = 7, values below 2^(b+1) = 256 have a bin of their own.
 * Above, each octave [2^(b+k), 2^(b+k+1)), k >= 1, is cut into 2^b = 128 bins of equal width 2^k.
 * The bin of v is
 *
 *	k = max(0, floor(log2 v) - b),   bin = k * 2^b + floor(v / 2^k)
 *
 * which numbers the bins without gaps: k = 0 covers 0..255, and every further octave adds 128.
 *
 * Error. A bin of octave k starts at L >= 2^(b+k) and is w = 2^k wide, so any two values in it
 * differ by less than w <= L / 2^b: relative error < 1/128 for any value reported for a bin, and <=
 * 1/256 for its middle, which is what percentiles report. Below 256 they are exact. The minimum and
 * maximum are kept apart and exact.
 *
 * Every 64-bit value has a bin ((64 - 8) * 128 + 256 = 7424 bins, 58 KiB): nothing saturates,
 * nothing is dropped, and the sum of the bins is the number of records by construction. A record is
 * a count of leading zeros, two shifts, an increment, and the updates of minimum, maximum and sum;
 * it allocates nothing.
 *
 * A histogram is plain data; whoever owns it maps it before the clock starts (histogram_clear
 * writes all of it). One thread writes; merge and read when it has stopped.
 */
#ifndef POOLBENCH_HISTOGRAM_H
#define POOLBENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SUB_BITS 7
#define HISTOGRAM_SUB_BINS (1u << HISTOGRAM_SUB_BITS)
#define HISTOGRAM_BINS     ((64 - HISTOGRAM_SUB_BITS + 1) * HISTOGRAM_SUB_BINS)

struct histogram {
	double ns_per_unit; /* what a unit of the recorded values is; > 0 */
	uint64_t min, max; /* exact, in units; UINT64_MAX and 0 while empty */
	unsigned __int128 sum; /* of the recorded values, in units: cannot overflow */
	uint64_t bins[HISTOGRAM_BINS];
};

/* Bin numbers and their first values, in units. */
static inline unsigned histogram_bin(uint64_t value)
{
	/*
	 * Setting the bit 2^b gives values below it the logarithm b, hence k = 0, without a branch.
	 */
	unsigned k = 63u - (unsigned)__builtin_clzll(value | HISTOGRAM_SUB_BINS) -
		     HISTOGRAM_SUB_BITS;

	return k * HISTOGRAM_SUB_BINS + (unsigned)(value >> k);
}

/* The bin covers low .. low + width - 1. */
static inline uint64_t histogram_bin_low(unsigned bin)
{
	unsigned k = bin < 2 * HISTOGRAM_SUB_BINS ? 0 : bin / HISTOGRAM_SUB_BINS - 1;

	return (uint64_t)(bin - k * HISTOGRAM_SUB_BINS) << k;
}

static inline uint64_t histogram_bin_width(unsigned bin)
{
	return bin < 2 * HISTOGRAM_SUB_BINS ? 1 : 1ull << (bin / HISTOGRAM_SUB_BINS - 1);
}

static inline void histogram_record(struct histogram *histogram, uint64_t value)
{
	histogram->bins[histogram_bin(value)]++;
	histogram->sum += value;
	if (value < histogram->min)
		histogram->min = value;
	if (value > histogram->max)
		histogram->max = value;
}

/*
 * Empties it, and by writing all of it faults it in. `ns_per_unit` > 0: 1 for nanoseconds, or a
 * tick's length.
 */
void histogram_clear(struct histogram *histogram, double ns_per_unit);

/* Adds `from` to `into`. -EINVAL, and nothing is added, when their units differ. */
int histogram_merge(struct histogram *into, const struct histogram *from);

/* Records: the sum of the bins. */
uint64_t histogram_count(const struct histogram *histogram);

/*
 * The value, in ns, that `percent` (0..100) of the records do not exceed (nearest rank): the middle
 * of its bin, between minimum and maximum. 0 is the exact minimum, 100 the exact maximum. NaN when
 * empty.
 */
double histogram_percentile_ns(const struct histogram *histogram, double percent);
/* Several at once, in one pass; `percents` ascend. */
void histogram_percentiles_ns(const struct histogram *histogram, const double *percents,
			      unsigned count, double *out_ns);
double histogram_min_ns(const struct histogram *histogram); /* NaN when empty */
double histogram_max_ns(const struct histogram *histogram); /* NaN when empty */
double
histogram_mean_ns(const struct histogram *histogram); /* of the exact values; NaN when empty */

/* Calls `visit` for every bin that is not empty, in order: values in [low_ns, high_ns). */
typedef void (*histogram_visit)(void *arg, double low_ns, double high_ns, uint64_t count);
void histogram_for_each(const struct histogram *histogram, histogram_visit visit, void *arg);
/* How many bins are not empty: how often histogram_for_each will call. */
unsigned histogram_used_bins(const struct histogram *histogram);

#endif
