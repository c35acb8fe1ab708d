/*
 * Histograms: the bins tile all of uint64_t within the promised error; percentiles against sorted
 * samples.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bench/histogram.h"
#include "workloads/random.h"

static struct histogram histogram, other;

static void bins_tile_without_gaps(void **state)
{
	(void)state;
	assert_int_equal(histogram_bin_low(0), 0);
	for (unsigned bin = 0; bin + 1 < HISTOGRAM_BINS; bin++) {
		uint64_t low = histogram_bin_low(bin), width = histogram_bin_width(bin);

		assert_true(histogram_bin_low(bin + 1) == low + width);
		assert_int_equal(histogram_bin(low), bin);
		assert_int_equal(histogram_bin(low + width - 1), bin);
		/* The promise of the header. */
		assert_true(width == 1 || width <= low / HISTOGRAM_SUB_BINS);
	}
	assert_int_equal(histogram_bin(UINT64_MAX), HISTOGRAM_BINS - 1);
}

static void small_values_are_exact(void **state)
{
	(void)state;
	for (uint64_t value = 0; value < 256; value++) {
		histogram_clear(&histogram, 1);
		histogram_record(&histogram, value);
		histogram_record(&histogram, value + 1000000);
		assert_true(histogram_percentile_ns(&histogram, 50) == (double)value);
	}
}

static void an_empty_one_has_no_values(void **state)
{
	(void)state;
	histogram_clear(&histogram, 1);
	assert_int_equal(histogram_count(&histogram), 0);
	assert_int_equal(histogram_used_bins(&histogram), 0);
	assert_true(isnan(histogram_percentile_ns(&histogram, 50)));
	assert_true(isnan(histogram_min_ns(&histogram)));
	assert_true(isnan(histogram_max_ns(&histogram)));
	assert_true(isnan(histogram_mean_ns(&histogram)));
}

static int compare_u64(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

#define SAMPLES 100000u

/* Uniform within an octave drawn from 31: every octave gets its share. */
static uint64_t *make_samples(uint64_t seed)
{
	uint64_t *samples = malloc(SAMPLES * sizeof(*samples));
	struct random random;

	assert_non_null(samples);
	random_seed(&random, seed);
	for (unsigned i = 0; i < SAMPLES; i++) {
		uint64_t octave = 1ull << random_below(&random, 31);

		samples[i] = octave | (random_next(&random) & (octave - 1));
	}
	return samples;
}

static void percentiles_agree_with_sorted_samples(void **state)
{
	static const double percents[] = { 0.001, 1, 10, 25, 50, 75, 90, 99, 99.9, 99.99, 99.999 };
	const unsigned count = sizeof(percents) / sizeof(percents[0]);
	const double ns_per_unit = 0.385;
	uint64_t *samples = make_samples(7);
	double out[sizeof(percents) / sizeof(percents[0])];

	(void)state;
	histogram_clear(&histogram, ns_per_unit);
	for (unsigned i = 0; i < SAMPLES; i++)
		histogram_record(&histogram, samples[i]);
	qsort(samples, SAMPLES, sizeof(*samples), compare_u64);
	histogram_percentiles_ns(&histogram, percents, count, out);
	for (unsigned i = 0; i < count; i++) {
		/*
		 * Nearest rank in thousandths of a percent: whole numbers, no rounding to argue
		 * about.
		 */
		uint64_t thousandths = (uint64_t)llround(percents[i] * 1000);
		uint64_t rank = (thousandths * SAMPLES + 99999) / 100000;
		double exact = (double)samples[rank - 1] * ns_per_unit;

		assert_true(fabs(out[i] - exact) <= exact / 256 + 1e-9);
		assert_true(out[i] == histogram_percentile_ns(&histogram, percents[i]));
	}
	assert_true(histogram_percentile_ns(&histogram, 0) == (double)samples[0] * ns_per_unit);
	assert_true(histogram_percentile_ns(&histogram, 100) ==
		    (double)samples[SAMPLES - 1] * ns_per_unit);
	assert_int_equal(histogram_count(&histogram), SAMPLES);
	free(samples);
}

static void extremes_and_mean_are_exact(void **state)
{
	(void)state;
	histogram_clear(&histogram, 2);
	histogram_record(&histogram, 1000001);
	histogram_record(&histogram, 5);
	histogram_record(&histogram, 123456789);
	assert_true(histogram_min_ns(&histogram) == 10);
	assert_true(histogram_max_ns(&histogram) == 2.0 * 123456789);
	assert_true(histogram_mean_ns(&histogram) == 2.0 * (1000001 + 5 + 123456789) / 3);
	/* A bin's middle is never reported outside what was recorded. */
	assert_true(histogram_percentile_ns(&histogram, 99.9999) <= 2.0 * 123456789);
	histogram_record(&histogram, UINT64_MAX);
	histogram_record(&histogram, UINT64_MAX);
	assert_int_equal(histogram_count(&histogram), 5);
	assert_true(histogram_mean_ns(&histogram) > 1e19);
}

struct walk {
	double end_ns;
	uint64_t count;
	unsigned bins;
};

static void visit(void *arg, double low_ns, double high_ns, uint64_t count)
{
	struct walk *walk = arg;

	assert_true(low_ns >= walk->end_ns);
	assert_true(high_ns > low_ns);
	assert_true(count > 0);
	walk->end_ns = high_ns;
	walk->count += count;
	walk->bins++;
}

static void merge_and_walk_lose_nothing(void **state)
{
	uint64_t *samples = make_samples(8);
	struct walk walk = { 0, 0, 0 };
	static struct histogram both;

	(void)state;
	histogram_clear(&histogram, 0.5);
	histogram_clear(&other, 0.5);
	histogram_clear(&both, 0.5);
	for (unsigned i = 0; i < SAMPLES; i++) {
		histogram_record(i % 3 ? &histogram : &other, samples[i]);
		histogram_record(&both, samples[i]);
	}
	assert_int_equal(histogram_merge(&histogram, &other), 0);
	assert_memory_equal(&histogram, &both, sizeof(both));
	histogram_for_each(&histogram, visit, &walk);
	assert_int_equal(walk.count, SAMPLES);
	assert_int_equal(walk.bins, histogram_used_bins(&histogram));
	free(samples);
}

static void different_units_do_not_merge(void **state)
{
	(void)state;
	histogram_clear(&histogram, 1);
	histogram_clear(&other, 0.5);
	histogram_record(&other, 3);
	assert_int_equal(histogram_merge(&histogram, &other), -EINVAL);
	assert_int_equal(histogram_count(&histogram), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bins_tile_without_gaps),
		cmocka_unit_test(small_values_are_exact),
		cmocka_unit_test(an_empty_one_has_no_values),
		cmocka_unit_test(percentiles_agree_with_sorted_samples),
		cmocka_unit_test(extremes_and_mean_are_exact),
		cmocka_unit_test(merge_and_walk_lose_nothing),
		cmocka_unit_test(different_units_do_not_merge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
