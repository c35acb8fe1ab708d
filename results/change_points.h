/*
 * Where does a series of values change? Divisive estimation of multiple change points by the energy distance, which
 * assumes no distribution.
 *
 * Reference: D. S. Matteson and N. A. James, A nonparametric approach for multiple change point analysis of
 * multivariate data (2014), sections 2 and 3; exponent 1. The distance between two neighbouring stretches X (n values)
 * and Y (m) is
 *
 *     Q = nm/(n+m) * ( 2 mean|x - y| - mean|x - x'| - mean|y - y'| )
 *
 * The candidate is the pair of stretches with the largest Q, over where the first ends and where the second does. Its
 * p-value is the share of random orders of the same values whose best Q is as large. If it is at most the significance,
 * the series is cut there and each part is searched in the same way, until no part has a change.
 *
 * No stretch is shorter than `least`, so that a single spike is none. The test holds for values that could as well
 * have come in any other order: a machine whose noise has a memory raises more alarms (docs/track.md has the rates).
 *
 * Cost: O(n^2) a permutation; a series without a change is given up as soon as too many permutations have done as well.
 * Pure functions, thread-safe; the same seed gives the same answer.
 */
#ifndef POOLBENCH_CHANGE_POINTS_H
#define POOLBENCH_CHANGE_POINTS_H

#include <stddef.h>
#include <stdint.h>

#define CHANGE_LEAST 5 /* values on each side */

struct change_rules {
	double significance; /* of each cut: 0.01 */
	size_t least; /* values on each side, at least 2 */
	uint64_t seed;
};

struct change {
	size_t at; /* the first value after it */
	double p;
};

/*
 * The changes of values[0..n), ascending; for free(), NULL for none. Values must be finite. 0 or -ENOMEM, -EINVAL
 * for senseless rules.
 */
int change_points(const double *values, size_t n, const struct change_rules *rules,
		  struct change **changes, size_t *count);

#endif
