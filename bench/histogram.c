/*
 * Log-linear histograms: what is not on the hot path. The layout and its error are derived in
 * histogram.h.
 */
#include "histogram.h"

#include <errno.h>
#include <math.h>

void histogram_clear(struct histogram *histogram, double ns_per_unit)
{
	histogram->ns_per_unit = ns_per_unit;
	histogram->min = UINT64_MAX;
	histogram->max = 0;
	histogram->sum = 0;
	for (unsigned bin = 0; bin < HISTOGRAM_BINS; bin++)
		histogram->bins[bin] = 0;
}

int histogram_merge(struct histogram *into, const struct histogram *from)
{
	if (into->ns_per_unit != from->ns_per_unit)
		return -EINVAL;
	if (from->min < into->min)
		into->min = from->min;
	if (from->max > into->max)
		into->max = from->max;
	into->sum += from->sum;
	for (unsigned bin = 0; bin < HISTOGRAM_BINS; bin++)
		into->bins[bin] += from->bins[bin];
	return 0;
}

uint64_t histogram_count(const struct histogram *histogram)
{
	uint64_t count = 0;

	for (unsigned bin = 0; bin < HISTOGRAM_BINS; bin++)
		count += histogram->bins[bin];
	return count;
}

/* The middle of a bin's integers; never outside what was recorded. */
static double bin_value(const struct histogram *histogram, unsigned bin)
{
	double low = (double)histogram_bin_low(bin);
	double middle = low + ((double)histogram_bin_width(bin) - 1) / 2;

	return fmin(fmax(middle, (double)histogram->min), (double)histogram->max);
}

/*
 * 99.9 % of 1000 records is 999 of them, although 99.9 is not a binary fraction: hence the last
 * factor.
 */
static uint64_t nearest_rank(double percent, uint64_t records)
{
	return (uint64_t)fmax(ceil(percent / 100 * (double)records * (1 - 1e-13)), 1);
}

void histogram_percentiles_ns(const struct histogram *histogram, const double *percents,
			      unsigned count, double *out_ns)
{
	uint64_t records = histogram_count(histogram), below = 0;
	unsigned bin = 0;

	for (unsigned i = 0; i < count; i++) {
		uint64_t rank = nearest_rank(percents[i], records);

		if (!records) {
			out_ns[i] = NAN;
		} else if (percents[i] <= 0) {
			out_ns[i] = histogram_min_ns(histogram);
		} else if (percents[i] >= 100) {
			out_ns[i] = histogram_max_ns(histogram);
		} else {
			while (below + histogram->bins[bin] < rank)
				below += histogram->bins[bin++];
			out_ns[i] = bin_value(histogram, bin) * histogram->ns_per_unit;
		}
	}
}

double histogram_percentile_ns(const struct histogram *histogram, double percent)
{
	double ns;

	histogram_percentiles_ns(histogram, &percent, 1, &ns);
	return ns;
}

/* No record leaves the minimum above the maximum. */
static int is_empty(const struct histogram *histogram)
{
	return histogram->min > histogram->max;
}

double histogram_min_ns(const struct histogram *histogram)
{
	return is_empty(histogram) ? NAN : (double)histogram->min * histogram->ns_per_unit;
}

double histogram_max_ns(const struct histogram *histogram)
{
	return is_empty(histogram) ? NAN : (double)histogram->max * histogram->ns_per_unit;
}

double histogram_mean_ns(const struct histogram *histogram)
{
	return is_empty(histogram) ? NAN
				   : (double)histogram->sum / (double)histogram_count(histogram) *
					     histogram->ns_per_unit;
}

void histogram_for_each(const struct histogram *histogram, histogram_visit visit, void *arg)
{
	for (unsigned bin = 0; bin < HISTOGRAM_BINS; bin++) {
		double low = (double)histogram_bin_low(bin);

		if (histogram->bins[bin])
			visit(arg, low * histogram->ns_per_unit,
			      (low + (double)histogram_bin_width(bin)) * histogram->ns_per_unit,
			      histogram->bins[bin]);
	}
}

unsigned histogram_used_bins(const struct histogram *histogram)
{
	unsigned used = 0;

	for (unsigned bin = 0; bin < HISTOGRAM_BINS; bin++)
		used += histogram->bins[bin] != 0;
	return used;
}
