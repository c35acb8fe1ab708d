/* Statistics against published tables, worked examples and the enumeration of everything. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "results/statistics.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static void assert_near(double value, double expect, double tolerance)
{
	if (!(fabs(value - expect) <= tolerance))
		fail_msg("%.17g is not %.17g", value, expect);
}

static void quantiles_are_of_type_7(void **state)
{
	double values[] = { 9, 1, NAN, 4, INFINITY, 2, -INFINITY };
	size_t n = sort_finite(values, COUNT(values));

	(void)state;
	assert_int_equal(n, 4);
	assert_near(sorted_median(values, n), 3, 0);
	assert_near(sorted_quantile(values, n, 0), 1, 0);
	assert_near(sorted_quantile(values, n, 0.25), 1.75, 0); /* R: quantile(c(1,2,4,9), 0.25) */
	assert_near(sorted_quantile(values, n, 0.75), 5.25, 0);
	assert_near(sorted_quantile(values, n, 1), 9, 0);
	assert_true(isnan(sorted_quantile(values, 0, 0.5)));
	assert_true(isnan(sorted_median(values, 0)));
	assert_near(sorted_median(values, 1), 1, 0);
	values[0] = values[1] = 1.5e308;
	assert_near(sorted_median(values, 2), 1.5e308, 0); /* no overflow on the way */
}

/* The usual table of order-statistic intervals for a median, 95 %: ranks and exact confidence. */
static void median_intervals_match_the_table(void **state)
{
	static const struct {
		size_t n, low;
		double coverage;
	} table[] = {
		{ 1, 1, 0 },
		{ 2, 1, 0.5 },
		{ 5, 1, 0.9375 },
		{ 6, 1, 0.96875 },
		{ 8, 1, 0.9921875 },
		{ 9, 2, 0.9609375 },
		{ 10, 2, 0.978515625 },
		{ 12, 3, 0.96142578125 },
		{ 15, 4, 0.96484375 },
		{ 20, 6, 0.95861053466796875 },
		{ 25, 8, 0.9567147493 },
		{ 30, 10, 0.9572260547 },
	};
	double values[64];

	(void)state;
	for (size_t i = 0; i < COUNT(values); i++)
		values[i] = (double)i + 1;
	for (size_t i = 0; i < COUNT(table); i++) {
		struct interval interval = sorted_median_interval(values, table[i].n, 0.95);

		assert_near(interval.low, (double)table[i].low, 0);
		assert_near(interval.high, (double)(table[i].n + 1 - table[i].low), 0);
		assert_near(interval.coverage, table[i].coverage, 1e-9);
	}
	assert_true(isnan(sorted_median_interval(values, 0, 0.95).low));
}

/* Differences 1..n with signs such that the positive ranks sum to `sum`. */
static void with_rank_sum(double *differences, size_t n, size_t sum)
{
	for (size_t rank = n; rank > 0; rank--) {
		int positive = sum >= rank;

		differences[rank - 1] = positive ? (double)rank : -(double)rank;
		sum -= positive ? rank : 0;
	}
	assert_int_equal(sum, 0);
}

/*
 * Critical values as printed in every textbook: the largest T with a two-sided p of at most alpha.
 */
static void signed_rank_matches_the_published_critical_values(void **state)
{
	static const struct {
		size_t n;
		int at_5_percent, at_1_percent; /* -1: none */
	} table[] = {
		{ 5, -1, -1 },  { 6, 0, -1 },   { 7, 2, -1 },     { 8, 3, 0 },    { 9, 5, 1 },
		{ 10, 8, 3 },   { 11, 10, 5 },  { 12, 13, 7 },    { 13, 17, 9 },  { 14, 21, 12 },
		{ 15, 25, 15 }, { 16, 29, 19 }, { 17, 34, 23 },   { 18, 40, 27 }, { 19, 46, 32 },
		{ 20, 52, 37 }, { 25, 89, 68 }, { 30, 137, 109 },
	};
	double differences[30];

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		int critical[2] = { -1, -1 };
		struct signed_rank test;

		for (size_t sum = 0; sum <= table[i].n * (table[i].n + 1) / 4; sum++) {
			with_rank_sum(differences, table[i].n, sum);
			assert_int_equal(signed_rank_test(differences, table[i].n, &test), 0);
			assert_near(test.rank_sum, (double)sum, 0);
			if (test.p <= 0.05)
				critical[0] = (int)sum;
			if (test.p <= 0.01)
				critical[1] = (int)sum;
		}
		assert_int_equal(critical[0], table[i].at_5_percent);
		assert_int_equal(critical[1], table[i].at_1_percent);
	}
}

/* The rank sum of a sign pattern, slowly: mean ranks by counting. */
static double slow_rank_sum(const double *sizes, size_t n, unsigned signs)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++) {
		double rank = 0.5;

		for (size_t j = 0; j < n; j++)
			rank += sizes[j] < sizes[i] ? 1 : sizes[j] > sizes[i] ? 0 : 0.5;
		if (signs & 1u << i)
			sum += rank;
	}
	return sum;
}

static uint64_t random_state = 0x9e3779b97f4a7c15;

static unsigned random_below(unsigned bound)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)(random_state >> 33) % bound;
}

/* All 2^n signs of the sizes at hand, with ties and zeros, for n up to 10. */
static void signed_rank_equals_enumeration(void **state)
{
	(void)state;
	for (int round = 0; round < 60; round++) {
		size_t n = 1 + random_below(10), used = 0, less = 0, greater = 0;
		double differences[10], sizes[10], total;
		struct signed_rank test;
		unsigned signs = 0;

		for (size_t i = 0; i < n; i++) {
			differences[i] = (double)random_below(9) - 4; /* many ties, some zeros */
			if (differences[i] > 0)
				signs |= 1u << used;
			if (fabs(differences[i]) > 0)
				sizes[used++] = fabs(differences[i]);
		}
		for (unsigned other = 0; other < 1u << used; other++) {
			double a = slow_rank_sum(sizes, used, other);
			double b = slow_rank_sum(sizes, used, signs);

			less += a <= b;
			greater += a >= b;
		}
		total = ldexp(1, (int)used);
		assert_int_equal(signed_rank_test(differences, n, &test), 0);
		assert_int_equal(test.used, used);
		assert_near(test.rank_sum, slow_rank_sum(sizes, used, signs), 0);
		assert_near(test.p_less, (double)less / total, 1e-12);
		assert_near(test.p_greater, (double)greater / total, 1e-12);
		assert_near(test.p, fmin(1, 2 * fmin((double)less, (double)greater) / total),
			    1e-12);
	}
}

static void extremes_of_large_samples(void **state)
{
	double differences[1000];
	struct signed_rank test;

	(void)state;
	for (size_t i = 0; i < COUNT(differences); i++)
		differences[i] = (double)i + 1;
	assert_int_equal(signed_rank_test(differences, 60, &test), 0);
	assert_near(test.p * ldexp(1, 59), 1, 1e-12); /* 2 / 2^60, exactly */
	assert_int_equal(signed_rank_test(differences, SIGNED_RANK_EXACT, &test), 0);
	assert_near(test.p * ldexp(1, SIGNED_RANK_EXACT - 1), 1, 1e-12);
	assert_int_equal(signed_rank_test(differences, 1000, &test), 0);
	assert_true(test.p < 1e-100);
	assert_int_equal(signed_rank_test(differences, 0, &test), 0);
	assert_near(test.p, 1, 0);
}

/*
 * Beyond the exact range: against the exact value, counted once with whole numbers of any length.
 */
static void the_approximation_is_close_to_the_exact_value(void **state)
{
	double differences[SIGNED_RANK_EXACT + 1];
	struct signed_rank test;

	(void)state;
	for (size_t i = 0; i < COUNT(differences); i++) {
		double size = (double)i + 1;

		differences[i] = i % 7 < 4 ? size : -size;
	}
	assert_int_equal(signed_rank_test(differences, COUNT(differences), &test), 0);
	assert_near(test.rank_sum, 11658, 0);
	assert_near(test.p, 0.06791379757032431, 1e-4);
}

/* Depression scale factors before and after a tranquilliser: Hollander and Wolfe's table 3.1. */
static const double hamilton_before[] = { 1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30 };
static const double hamilton_after[] = { 0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29 };

static void the_textbook_example(void **state)
{
	double differences[9], estimate;
	struct signed_rank test;
	struct interval interval;

	(void)state;
	for (size_t i = 0; i < 9; i++)
		differences[i] = hamilton_after[i] - hamilton_before[i];
	assert_int_equal(signed_rank_test(differences, 9, &test), 0);
	assert_near(test.rank_sum, 5, 0);
	assert_near(test.p_less, 0.01953125, 1e-12);
	assert_near(test.p, 0.0390625, 1e-12);
	assert_int_equal(hodges_lehmann(differences, 9, 0.95, &estimate, &interval), 0);
	assert_near(estimate, -0.46, 1e-9);
	assert_near(interval.low, -0.786, 1e-9);
	assert_near(interval.high, -0.010, 1e-9);
	assert_near(interval.coverage, 1 - 2 * 10.0 / 512, 1e-12); /* P(T <= 5) = 10/512 */
}

/*
 * An interval excludes 0 exactly when the test rejects at its level: both must be right, or both
 * wrong.
 */
static void the_interval_inverts_the_test(void **state)
{
	int rejected = 0, kept = 0;

	(void)state;
	for (int round = 0; round < 400; round++) {
		size_t n = 6 + random_below(20);
		double values[26], estimate;
		struct signed_rank test;
		struct interval interval;

		for (size_t i = 0; i < n; i++)
			values[i] = (double)random_below(1u << 30) / (1 << 30) - 0.35;
		assert_int_equal(signed_rank_test(values, n, &test), 0);
		assert_int_equal(hodges_lehmann(values, n, 0.95, &estimate, &interval), 0);
		assert_int_equal(interval.low > 0 || interval.high < 0, test.p <= 0.05);
		assert_true(interval.low <= estimate && estimate <= interval.high);
		assert_true(interval.coverage >= 0.95);
		rejected += test.p <= 0.05;
		kept += test.p > 0.05;
	}
	assert_true(rejected > 20 && kept > 20);
}

/* Walsh averages above `limit`, or from it on, in the mean over all sign assignments of the values. */
static double mean_beyond(const double *values, size_t n, double limit, bool from)
{
	size_t beyond = 0;

	for (size_t signs = 0; signs < (size_t)1 << n; signs++) {
		for (size_t i = 0; i < n; i++) {
			for (size_t j = i; j < n; j++) {
				const double a = signs >> i & 1 ? values[i] : -values[i];
				const double b = signs >> j & 1 ? values[j] : -values[j];

				beyond += from ? a / 2 + b / 2 >= limit : a / 2 + b / 2 > limit;
			}
		}
	}
	return (double)beyond / (double)((size_t)1 << n);
}

static void the_half_width_is_a_mean_over_signs(void **state)
{
	const double values[] = { 0.3, -1.1, 2.7, 0.9, -5.3, 1.7, -0.4, 3.1, 0.2 };
	const size_t n = COUNT(values);
	double sorted[COUNT(values) * (COUNT(values) + 1) / 2], estimate, half, other;
	double flipped[COUNT(values)];
	struct interval interval;
	size_t averages = 0, outside = 0;

	(void)state;
	assert_int_equal(hodges_lehmann(values, n, 0.95, &estimate, &interval), 0);
	for (size_t i = 0; i < n; i++) {
		flipped[i] = i % 2 ? -values[i] : values[i];
		for (size_t j = i; j < n; j++)
			sorted[averages++] = values[i] / 2 + values[j] / 2;
	}
	for (size_t i = 0; i < averages; i++)
		outside += sorted[i] > interval.high;
	/* as many as lie outside of the exact interval, here counted over all 2^9 assignments */
	assert_int_equal(signed_rank_half_width(values, n, 0.95, &half), 0);
	assert_true(mean_beyond(values, n, half, false) <= (double)outside);
	assert_true(mean_beyond(values, n, half, true) > (double)outside);
	/* which one was drawn does not matter */
	assert_int_equal(signed_rank_half_width(flipped, n, 0.95, &other), 0);
	assert_near(other, half, 0);
	assert_int_equal(signed_rank_half_width(values, 0, 0.95, &half), 0);
	assert_true(isnan(half));
	/* too few for the level: the largest there is */
	assert_int_equal(signed_rank_half_width(values, 3, 0.99, &half), 0);
	assert_near(half, 2.7, 0);
}

/* What made the self-test miss changes: two of twenty pairs far off, by chance to the same side. */
static void two_far_values_do_not_make_the_half_width(void **state)
{
	double values[20], estimate, half;
	struct interval interval;

	(void)state;
	for (int i = 0; i < 20; i++)
		values[i] = (i % 2 ? 0.001 : -0.001) * (i + 1);
	values[3] = values[8] = 0.3;
	assert_int_equal(hodges_lehmann(values, 20, 0.99, &estimate, &interval), 0);
	assert_int_equal(signed_rank_half_width(values, 20, 0.99, &half), 0);
	assert_true((interval.high - interval.low) / 2 > 0.05);
	assert_true(half < 0.02);
}

static void small_samples_get_their_range_and_its_worth(void **state)
{
	static const double values[] = { 3, 1, 2, 10, 4 };
	struct interval interval;
	double estimate;

	(void)state;
	assert_int_equal(hodges_lehmann(values, 5, 0.95, &estimate, &interval), 0);
	assert_near(estimate, 3, 0);
	assert_near(interval.low, 1, 0);
	assert_near(interval.high, 10, 0);
	assert_near(interval.coverage, 0.9375, 1e-12);
	assert_int_equal(hodges_lehmann(values, 1, 0.95, &estimate, &interval), 0);
	assert_near(interval.coverage, 0, 0);
	assert_int_equal(hodges_lehmann(values, 0, 0.95, &estimate, &interval), 0);
	assert_true(isnan(estimate) && isnan(interval.low));
}

static void ratios_of_pairs(void **state)
{
	double a[20], b[20];
	struct paired_ratio ratio;

	(void)state;
	for (size_t i = 0; i < 20; i++) {
		a[i] = 5 + (double)(i * 7 % 11); /* drift that both share */
		b[i] = a[i] * (1.1 + 0.001 * ((double)i - 9.5));
	}
	a[3] = NAN;
	b[4] = 0;
	assert_int_equal(paired_ratio(a, b, 20, 0.95, &ratio), 0);
	assert_int_equal(ratio.pairs, 18);
	assert_int_equal(ratio.dropped, 2);
	assert_near(ratio.ratio, 1.1, 0.002);
	assert_true(ratio.interval.low > 1.09 && ratio.interval.high < 1.11);
	assert_near(ratio.p, 2 / ldexp(1, 18), 1e-12);
	assert_int_equal(paired_ratio(a, b, 0, 0.95, &ratio), 0);
	assert_true(isnan(ratio.ratio) && isnan(ratio.p));
}

static void holm_steps_down(void **state)
{
	static const double p[] = { 0.01, 0.04, NAN, 0.03, 0.005 };
	static const double expect[] = { 0.03, 0.06, NAN, 0.06, 0.02 };
	double adjusted[5], one = 0.9, many[] = { 0.9, 0.8 };

	(void)state;
	assert_int_equal(holm_adjust(p, adjusted, 5), 0);
	for (size_t i = 0; i < 5; i++) {
		if (i == 2)
			assert_true(isnan(adjusted[i]));
		else
			assert_near(adjusted[i], expect[i], 1e-15);
	}
	assert_int_equal(holm_adjust(&one, &one, 1), 0);
	assert_near(one, 0.9, 0);
	assert_int_equal(holm_adjust(many, many, 2), 0);
	assert_near(many[0], 1, 0);
	assert_near(many[1], 1, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quantiles_are_of_type_7),
		cmocka_unit_test(median_intervals_match_the_table),
		cmocka_unit_test(signed_rank_matches_the_published_critical_values),
		cmocka_unit_test(signed_rank_equals_enumeration),
		cmocka_unit_test(extremes_of_large_samples),
		cmocka_unit_test(the_approximation_is_close_to_the_exact_value),
		cmocka_unit_test(the_textbook_example),
		cmocka_unit_test(the_interval_inverts_the_test),
		cmocka_unit_test(the_half_width_is_a_mean_over_signs),
		cmocka_unit_test(two_far_values_do_not_make_the_half_width),
		cmocka_unit_test(small_samples_get_their_range_and_its_worth),
		cmocka_unit_test(ratios_of_pairs),
		cmocka_unit_test(holm_steps_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
