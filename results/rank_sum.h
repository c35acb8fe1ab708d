/*
 * Two independent samples: by how much is one larger? For measurements that were not made in pairs.
 *
 * References: H. B. Mann and D. R. Whitney, On a test of whether one of two random variables is stochastically
 * larger than the other (1947); Hodges and Lehmann (1963) for the shift; M. Hollander and D. A. Wolfe, Nonparametric
 * statistical methods, chapter 4. Pure functions, thread-safe; 0 or -ENOMEM.
 */
#ifndef POOLBENCH_RANK_SUM_H
#define POOLBENCH_RANK_SUM_H

#include <stddef.h>

#include "statistics.h"

/* Exact, given the ties, up to this many values of both samples together; a normal approximation beyond. */
#define RANK_SUM_EXACT 80

/* Two-sided p of the Mann-Whitney test; NaN where a sample is empty. Values must be finite. */
int rank_sum_test(const double *x, size_t nx, const double *y, size_t ny, double *p);

/*
 * The shift of y against x: the median of all differences y - x, with the interval that inverts the test. Where there
 * are too few values for `level`, the range of the differences, and `coverage` says what it is worth.
 */
int rank_sum_shift(const double *x, size_t nx, const double *y, size_t ny, double level,
		   double *shift, struct interval *interval);

#endif
