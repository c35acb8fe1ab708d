/*
 * The statistics of small samples: robust, distribution-free and exact where that is possible, so
 * that a table can say which interval it shows and how sure it is. Pure functions, thread-safe;
 * those that need memory return 0 or -ENOMEM.
 *
 * References: J. L. Hodges and E. L. Lehmann, Estimates of location based on rank tests (1963); F.
 * Wilcoxon, Individual comparisons by ranking methods (1945); M. Hollander and D. A. Wolfe,
 * Nonparametric statistical methods, chapter 3; S. Holm, A simple sequentially rejective multiple
 * test procedure (1979); R. J. Hyndman and Y. Fan, Sample quantiles in statistical packages (1996).
 */
#ifndef POOLBENCH_STATISTICS_H
#define POOLBENCH_STATISTICS_H

#include <stddef.h>

/*
 * Signed-rank probabilities are exact up to this many non-zero differences and a normal
 * approximation (continuity and tie corrected) beyond.
 */
#define SIGNED_RANK_EXACT 200

struct interval {
	double low, high;
	double coverage; /* what it really has: less than was asked for where n is too small */
};

/* Ascending. NaN and infinities are moved behind the rest; returns how many finite values lead. */
size_t sort_finite(double *values, size_t count);

/*
 * The p-quantile (0 <= p <= 1) of sorted values by linear interpolation between closest ranks: type
 * 7 of Hyndman and Fan, the default of R and NumPy. NaN for no values.
 */
double sorted_quantile(const double *sorted, size_t count, double p);
double sorted_median(const double *sorted, size_t count);

/*
 * Distribution-free interval for the median from order statistics: [x(k), x(n+1-k)] with the
 * largest k whose binomial tails leave at least `level` (0.95). Where even the whole range has less
 * (n < 6 for 0.95), it is the range, and `coverage` says what that is worth: 0.9375 for 5 values.
 */
struct interval sorted_median_interval(const double *sorted, size_t count, double level);

/*
 * The Hodges-Lehmann estimate of the centre, the median of all n(n+1)/2 Walsh averages, with the
 * interval that inverts the exact signed-rank test. Zeros and ties are kept here; ties make the
 * interval conservative. Where n is too small for `level`, the range, as above. `values` must be
 * finite.
 */
int hodges_lehmann(const double *values, size_t count, double level, double *estimate,
		   struct interval *interval);

/*
 * Half the width of that interval for values whose signs are fair coins, as the differences of one thing from itself
 * are: the distance that as many Walsh averages exceed, in the mean over all 2^n sign assignments, as lie outside
 * of the interval. One assignment's own interval is as wide as its luck: two of twenty values that are far off and
 * happen to have the same sign make it reach out to them. NaN for no values.
 */
int signed_rank_half_width(const double *values, size_t count, double level, double *half_width);

struct signed_rank {
	size_t used; /* differences that are not zero: zeros are dropped, as Wilcoxon did */
	double rank_sum; /* of the positive ones; ties share their mean rank */
	double p; /* two-sided: twice the smaller tail, at most 1 */
	double p_greater; /* the chance of a rank sum at least as large, if the centre is 0 */
	double p_less;
};

/* Exact given the ties: the distribution of the mean ranks at hand, by dynamic programming. */
int signed_rank_test(const double *differences, size_t count, struct signed_rank *out);

struct paired_ratio {
	size_t pairs, dropped; /* a pair with a value that is not finite and positive is dropped */
	double ratio; /* b over a: exp of the Hodges-Lehmann estimate of ln(b/a) */
	struct interval interval;
	double p;
};

/* The ratio of paired measurements a[i], b[i]. NaNs where no pair is left. */
int paired_ratio(const double *a, const double *b, size_t count, double level,
		 struct paired_ratio *out);

/*
 * Student's t with `degrees` >= 1 degrees of freedom: two-sided p of |t|, exact finite sums (M. Abramowitz and I. A.
 * Stegun, Handbook of mathematical functions, 26.7.3 and 26.7.4), good to about 1e-14; and the |t| with that p.
 */
double student_p(double t, unsigned degrees);
double student_quantile(double p, unsigned degrees);

/*
 * Holm's step-down correction: adjusted[i] is the smallest family-wise error rate at which test i
 * is rejected. NaN in p stays NaN and does not count. The arrays may be the same.
 */
int holm_adjust(const double *p, double *adjusted, size_t count);

#endif
