#include "rank_sum.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct pooled {
	double value;
	int second; /* from y */
};

static int compare_pooled(const void *left, const void *right)
{
	const struct pooled *a = left, *b = right;

	return (a->value > b->value) - (a->value < b->value);
}

static int compare_doubles(const void *left, const void *right)
{
	const double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

/* Twice the mean ranks; returns the sum of t^3 - t over groups of t ties. */
static double rank_doubled(const struct pooled *sorted, size_t count, uint32_t *ranks)
{
	double ties = 0;

	for (size_t from = 0, to; from < count; from = to) {
		for (to = from + 1; to < count && !(sorted[to].value > sorted[from].value);)
			to++;
		for (size_t i = from; i < to; i++)
			ranks[i] = (uint32_t)(from + 1 + to);
		ties += pow((double)(to - from), 3) - (double)(to - from);
	}
	return ties;
}

/*
 * chance[k][s]: of the ways to choose k of the ranks seen so far, the share of all C(count, chosen) ways that adds up to
 * s. Taking a rank moves (k, s) to (k + 1, s + rank); a plain count would overflow, so every way weighs
 * 1 / C(count, chosen) from the start.
 */
static double *chosen_sums(const uint32_t *ranks, size_t count, size_t chosen, size_t total)
{
	const size_t row = total + 1;
	double *chance = calloc((chosen + 1) * row, sizeof(*chance));
	const double n = (double)count, k = (double)chosen;

	if (!chance)
		return NULL;
	chance[0] = exp(lgamma(k + 1) + lgamma(n - k + 1) - lgamma(n + 1));
	for (size_t i = 0; i < count; i++)
		for (size_t c = (i + 1 < chosen ? i + 1 : chosen); c > 0; c--)
			for (size_t s = ranks[i]; s <= total; s++)
				chance[c * row + s] += chance[(c - 1) * row + s - ranks[i]];
	return chance;
}

static int exact_p(const uint32_t *ranks, size_t count, size_t chosen, size_t sum, double *p)
{
	const size_t total = count * (count + 1); /* of doubled ranks */
	double *chance = chosen_sums(ranks, count, chosen, total), below = 0, above = 0;
	const double *last;

	if (!chance)
		return -ENOMEM;
	last = chance + chosen * (total + 1);
	for (size_t s = 0; s <= total; s++) {
		below += s <= sum ? last[s] : 0;
		above += s >= sum ? last[s] : 0;
	}
	free(chance);
	*p = fmin(1, 2 * fmin(below, above));
	return 0;
}

static double normal_p(size_t nx, size_t ny, double doubled_sum, double ties)
{
	const double m = (double)ny, k = (double)nx, n = m + k;
	const double mean = m * (n + 1) / 2;
	const double sigma = sqrt(m * k / 12 * (n + 1 - ties / (n * (n - 1))));
	const double distance = fabs(doubled_sum / 2 - mean) - 0.5;

	return sigma > 0 ? fmin(1, erfc(fmax(distance, 0) / sigma / M_SQRT2)) : 1;
}

int rank_sum_test(const double *x, size_t nx, const double *y, size_t ny, double *p)
{
	const size_t count = nx + ny;
	struct pooled *sorted = calloc(count + 1, sizeof(*sorted));
	uint32_t *ranks = calloc(count + 1, sizeof(*ranks));
	size_t sum = 0;
	double ties;
	int error = sorted && ranks ? 0 : -ENOMEM;

	if (!error && (!nx || !ny)) {
		*p = NAN;
	} else if (!error) {
		for (size_t i = 0; i < count; i++)
			sorted[i] = (struct pooled){ i < nx ? x[i] : y[i - nx], i >= nx };
		qsort(sorted, count, sizeof(*sorted), compare_pooled);
		ties = rank_doubled(sorted, count, ranks);
		for (size_t i = 0; i < count; i++)
			sum += sorted[i].second ? ranks[i] : 0;
		if (count <= RANK_SUM_EXACT)
			error = exact_p(ranks, count, ny, sum, p);
		else
			*p = normal_p(nx, ny, (double)sum, ties);
	}
	free(sorted);
	free(ranks);
	return error;
}

/* The largest c with P(U <= c - 1) <= (1 - level) / 2, at least 1, and twice what it leaves out. */
static int critical_value(size_t nx, size_t ny, double level, size_t *critical, double *left_out)
{
	const size_t count = nx + ny, least = ny * (ny + 1); /* of doubled ranks */
	const double m = (double)ny, k = (double)nx;
	uint32_t ranks[RANK_SUM_EXACT];
	double *chance, below = 0;
	size_t c = 1;

	if (count > RANK_SUM_EXACT) {
		const double sigma = sqrt(m * k * (m + k + 1) / 12);

		for (c = (size_t)(m * k / 2); c > 1; c--) {
			*left_out = erfc((m * k / 2 - (double)(c - 1) - 0.5) / sigma / M_SQRT2);
			if (*left_out <= 1 - level)
				break;
		}
		*critical = c;
		return 0;
	}
	for (size_t i = 0; i < count; i++)
		ranks[i] = (uint32_t)(2 * (i + 1));
	chance = chosen_sums(ranks, count, ny, count * (count + 1));
	if (!chance)
		return -ENOMEM;
	below = chance[ny * (count * (count + 1) + 1) + least];
	*left_out = 2 * below;
	for (c = 1; c < nx * ny / 2; c++) {
		below += chance[ny * (count * (count + 1) + 1) + least + 2 * c];
		if (2 * below > 1 - level)
			break;
		*left_out = 2 * below;
	}
	free(chance);
	*critical = c;
	return 0;
}

int rank_sum_shift(const double *x, size_t nx, const double *y, size_t ny, double level,
		   double *shift, struct interval *interval)
{
	double *differences, left_out = 1;
	size_t count = 0, c;
	int error;

	if (!nx || !ny) {
		*shift = NAN;
		*interval = (struct interval){ NAN, NAN, 0 };
		return 0;
	}
	error = critical_value(nx, ny, level, &c, &left_out);
	if (error)
		return error;
	differences = calloc(nx * ny, sizeof(*differences));
	if (!differences)
		return -ENOMEM;
	for (size_t i = 0; i < nx; i++)
		for (size_t j = 0; j < ny; j++)
			differences[count++] = y[j] - x[i];
	qsort(differences, count, sizeof(*differences), compare_doubles);
	*shift = sorted_median(differences, count);
	*interval = (struct interval){ differences[c - 1], differences[count - c],
				       fmax(0, 1 - left_out) };
	free(differences);
	return 0;
}
