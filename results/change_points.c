#include "change_points.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/random.h"

#define PERMUTATIONS_LEAST 999

struct search {
	const struct change_rules *rules;
	struct random random;
	double *shuffled; /* n */
	double *sums; /* (n + 1) x (n + 1): sums[i][j] of |x - y| over the first i and the first j values */
	struct change *changes;
	size_t count;
};

/* ---- the statistic ---- */

static void sum_distances(const double *values, size_t n, double *sums)
{
	const size_t row = n + 1;

	memset(sums, 0, row * sizeof(*sums));
	for (size_t i = 0; i < n; i++) {
		double across = 0;

		sums[(i + 1) * row] = 0;
		for (size_t j = 0; j < n; j++) {
			across += fabs(values[i] - values[j]);
			sums[(i + 1) * row + j + 1] = sums[i * row + j + 1] + across;
		}
	}
}

/* The sum over i in [a, b) and j in [c, d). */
static double block(const double *sums, size_t row, size_t a, size_t b, size_t c, size_t d)
{
	return sums[b * row + d] - sums[a * row + d] - sums[b * row + c] + sums[a * row + c];
}

/* The largest Q of values[0..n) and where its first stretch ends. */
static double best_cut(const double *values, size_t n, size_t least, double *sums, size_t *at)
{
	const size_t row = n + 1;
	double best = -1;

	sum_distances(values, n, sums);
	for (size_t cut = least; cut + least <= n; cut++) {
		const double left = (double)cut;
		const double within = block(sums, row, 0, cut, 0, cut) / (left * (left - 1));

		for (size_t end = cut + least; end <= n; end++) {
			const double right = (double)(end - cut);
			const double between = block(sums, row, 0, cut, cut, end);
			const double beyond = block(sums, row, cut, end, cut, end);
			const double q = left * right / (left + right) *
					 (2 * between / (left * right) - within -
					  beyond / (right * (right - 1)));

			if (q > best) {
				best = q;
				*at = cut;
			}
		}
	}
	return best;
}

/* ---- its significance ---- */

static void shuffle(struct random *random, double *values, size_t n)
{
	for (size_t i = n; i > 1; i--) {
		const size_t j = random_below(random, (uint32_t)i);
		const double swap = values[i - 1];

		values[i - 1] = values[j];
		values[j] = swap;
	}
}

/* p of `observed`, or a number above the significance as soon as it is certain that p is. */
static double significance_of(struct search *search, const double *values, size_t n,
			      double observed)
{
	const double wanted = search->rules->significance;
	const double needed = fmax(PERMUTATIONS_LEAST, ceil(2 / wanted) - 1);
	double as_large = 0;

	memcpy(search->shuffled, values, n * sizeof(*values));
	for (double done = 0; done < needed; done++) {
		size_t at;

		shuffle(&search->random, search->shuffled, n);
		/* sums in another order differ in the last digits */
		if (best_cut(search->shuffled, n, search->rules->least, search->sums, &at) >=
		    observed * (1 - 1e-12))
			as_large++;
		if ((as_large + 1) / (needed + 1) > wanted)
			return (as_large + 1) / (done + 2);
	}
	return (as_large + 1) / (needed + 1);
}

/* ---- the search ---- */

static void search_part(struct search *search, const double *values, size_t first, size_t n)
{
	size_t at = 0;
	double q, p;

	if (n < 2 * search->rules->least)
		return;
	q = best_cut(values + first, n, search->rules->least, search->sums, &at);
	if (!(q > 0))
		return;
	p = significance_of(search, values + first, n, q);
	if (p > search->rules->significance)
		return;
	search_part(search, values, first, at);
	search->changes[search->count++] = (struct change){ first + at, p };
	search_part(search, values, first + at, n - at);
}

int change_points(const double *values, size_t n, const struct change_rules *rules,
		  struct change **changes, size_t *count)
{
	struct search search = { .rules = rules };
	int error;

	*changes = NULL;
	*count = 0;
	if (rules->least < 2 || !(rules->significance > 0 && rules->significance < 1))
		return -EINVAL;
	if (n < 2 * rules->least)
		return 0;
	random_seed(&search.random, rules->seed);
	search.shuffled = malloc(n * sizeof(*search.shuffled));
	search.sums = malloc((n + 1) * (n + 1) * sizeof(*search.sums));
	search.changes = malloc((n / rules->least + 1) * sizeof(*search.changes));
	error = search.shuffled && search.sums && search.changes ? 0 : -ENOMEM;
	if (!error)
		search_part(&search, values, 0, n);
	free(search.shuffled);
	free(search.sums);
	if (error || !search.count) {
		free(search.changes);
		return error;
	}
	*changes = search.changes;
	*count = search.count;
	return 0;
}
