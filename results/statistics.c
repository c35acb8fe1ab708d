#include "statistics.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static int compare_doubles(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

size_t sort_finite(double *values, size_t count)
{
	size_t finite = 0;

	for (size_t i = 0; i < count; i++) {
		double value = values[i];

		if (!isfinite(value))
			continue;
		values[i] = values[finite];
		values[finite++] = value;
	}
	qsort(values, finite, sizeof(*values), compare_doubles);
	return finite;
}

double sorted_quantile(const double *sorted, size_t count, double p)
{
	double rank, below;
	size_t index;

	if (!count)
		return NAN;
	rank = p * (double)(count - 1);
	below = floor(rank);
	index = (size_t)below;
	if (index + 1 >= count)
		return sorted[count - 1];
	return sorted[index] + (rank - below) * (sorted[index + 1] - sorted[index]);
}

double sorted_median(const double *sorted, size_t count)
{
	if (!count)
		return NAN;
	return count % 2 ? sorted[count / 2] : sorted[count / 2 - 1] / 2 + sorted[count / 2] / 2;
}

/*
 * P(Bin(n, 1/2) = i) is C(n, i) / 2^n; by logarithms, so that any n is good. The tail below k is
 * grown until it no longer fits into half of what the level leaves.
 */
struct interval sorted_median_interval(const double *sorted, size_t count, double level)
{
	double n = (double)count, tail = 0, kept = 0;
	size_t k = 0;

	if (!count)
		return (struct interval){ NAN, NAN, 0 };
	while (k < (count + 1) / 2) {
		double i = (double)k;

		tail += exp(lgamma(n + 1) - lgamma(i + 1) - lgamma(n - i + 1) - n * M_LN2);
		/* k = 0 here tries x(1); the range is taken even if it covers too little */
		if (k > 0 && 2 * tail > 1 - level)
			break;
		kept = tail;
		k++;
	}
	return (struct interval){ sorted[k - 1], sorted[count - k], fmax(0, 1 - 2 * kept) };
}

/* ---- the signed-rank distribution ---- */

/*
 * probability[s] = P(sum of the chosen of `ranks` = s), each chosen with 1/2; ranks are doubled
 * where mean ranks may be halves. One pass a rank over an array of `total` + 1. Halving at each
 * step keeps all sums at 1; the smallest value that matters, 2^-200, is far from the smallest
 * double.
 */
static double *rank_sum_distribution(const uint32_t *ranks, size_t count, size_t total)
{
	double *probability = calloc(total + 1, sizeof(*probability));
	size_t reached = 0;

	if (!probability)
		return NULL;
	probability[0] = 1;
	for (size_t i = 0; i < count; i++) {
		reached += ranks[i];
		for (size_t s = reached + 1; s-- > 0;)
			probability[s] = (probability[s] +
					  (s >= ranks[i] ? probability[s - ranks[i]] : 0)) /
					 2;
	}
	return probability;
}

struct difference {
	double size;
	int positive;
};

static int compare_differences(const void *left, const void *right)
{
	const struct difference *a = left, *b = right;

	return (a->size > b->size) - (a->size < b->size);
}

static double normal_upper(double z)
{
	return erfc(z / M_SQRT2) / 2;
}

/* Twice the mean ranks of sorted differences; returns the sum of t^3 - t over groups of t ties. */
static double rank_doubled(const struct difference *sorted, size_t count, uint32_t *ranks)
{
	double ties = 0;

	for (size_t from = 0, to; from < count; from = to) {
		for (to = from + 1; to < count && !(sorted[to].size > sorted[from].size);)
			to++;
		for (size_t i = from; i < to; i++)
			ranks[i] = (uint32_t)(from + 1 + to);
		ties += pow((double)(to - from), 3) - (double)(to - from);
	}
	return ties;
}

static int exact_tails(const uint32_t *ranks, size_t count, size_t doubled_sum,
		       struct signed_rank *out)
{
	size_t total = count * (count + 1);
	double *probability = rank_sum_distribution(ranks, count, total);

	if (!probability)
		return -ENOMEM;
	for (size_t s = 0; s <= total; s++) {
		if (s <= doubled_sum)
			out->p_less += probability[s];
		if (s >= doubled_sum)
			out->p_greater += probability[s];
	}
	free(probability);
	return 0;
}

static void normal_tails(size_t count, double ties, struct signed_rank *out)
{
	double n = (double)count, mean = n * (n + 1) / 4;
	double sigma = sqrt(n * (n + 1) * (2 * n + 1) / 24 - ties / 48);

	out->p_greater = normal_upper((out->rank_sum - mean - 0.5) / sigma);
	out->p_less = normal_upper((mean - out->rank_sum - 0.5) / sigma);
}

int signed_rank_test(const double *differences, size_t count, struct signed_rank *out)
{
	struct difference *sorted = malloc((count + 1) * sizeof(*sorted));
	uint32_t *ranks = malloc((count + 1) * sizeof(*ranks));
	struct signed_rank test = { 0 };
	size_t doubled_sum = 0, used = 0;
	double ties;
	int error = sorted && ranks ? 0 : -ENOMEM;

	if (error)
		goto out;
	for (size_t i = 0; i < count; i++) {
		if (differences[i] > 0 || differences[i] < 0) {
			sorted[used].size = fabs(differences[i]);
			sorted[used++].positive = differences[i] > 0;
		}
	}
	qsort(sorted, used, sizeof(*sorted), compare_differences);
	ties = rank_doubled(sorted, used, ranks);
	for (size_t i = 0; i < used; i++)
		doubled_sum += sorted[i].positive ? ranks[i] : 0;
	test.used = used;
	test.rank_sum = (double)doubled_sum / 2;
	if (used <= SIGNED_RANK_EXACT)
		error = exact_tails(ranks, used, doubled_sum, &test);
	else
		normal_tails(used, ties, &test);
	test.p = fmin(1, 2 * fmin(test.p_less, test.p_greater));
	if (!error)
		*out = test;
out:
	free(sorted);
	free(ranks);
	return error;
}

/*
 * The largest c with P(W <= c - 1) <= (1 - level) / 2: the c-th Walsh average from either end
 * bounds the interval. At least 1, so that small samples get their range; *tail is the probability
 * that is left out.
 */
static int signed_rank_critical(size_t count, double level, size_t *critical, double *tail)
{
	double n = (double)count, sigma, below = 0;
	uint32_t ranks[SIGNED_RANK_EXACT] = { 0 };
	double *probability;
	size_t c = 0;

	if (count > SIGNED_RANK_EXACT) {
		sigma = sqrt(n * (n + 1) * (2 * n + 1) / 24);
		for (c = (size_t)(n * (n + 1) / 4); c > 1; c--) {
			below = normal_upper((n * (n + 1) / 4 - (double)(c - 1) - 0.5) / sigma);
			if (2 * below <= 1 - level)
				break;
		}
		*critical = c;
		*tail = below;
		return 0;
	}
	for (size_t i = 0; i < count; i++)
		ranks[i] = (uint32_t)i + 1;
	probability = rank_sum_distribution(ranks, count, count * (count + 1) / 2);
	if (!probability)
		return -ENOMEM;
	*tail = probability[0];
	for (c = 1; c <= count * (count + 1) / 4; c++) {
		below = *tail + probability[c];
		if (2 * below > 1 - level)
			break;
		*tail = below;
	}
	free(probability);
	*critical = c;
	return 0;
}

/* Room for Walsh averages, and which of them bound the interval (signed_rank_critical). 0 or -ENOMEM. */
static int walsh_create(size_t count, double level, size_t averages, double **walsh,
			size_t *critical, double *tail)
{
	int error = signed_rank_critical(count, level, critical, tail);

	if (error)
		return error;
	*walsh = malloc(averages * sizeof(**walsh));
	return *walsh ? 0 : -ENOMEM;
}

int hodges_lehmann(const double *values, size_t count, double level, double *estimate,
		   struct interval *interval)
{
	size_t averages = count * (count + 1) / 2, next = 0, c;
	double *walsh, tail;
	int error;

	if (!count) {
		*estimate = NAN;
		*interval = (struct interval){ NAN, NAN, 0 };
		return 0;
	}
	error = walsh_create(count, level, averages, &walsh, &c, &tail);
	if (error)
		return error;
	for (size_t i = 0; i < count; i++) {
		for (size_t j = i; j < count; j++)
			walsh[next++] = values[i] / 2 + values[j] / 2;
	}
	qsort(walsh, averages, sizeof(*walsh), compare_doubles);
	*estimate = sorted_median(walsh, averages);
	*interval = (struct interval){ walsh[c - 1], walsh[averages - c], fmax(0, 1 - 2 * tail) };
	free(walsh);
	return 0;
}

int signed_rank_half_width(const double *values, size_t count, double level, double *half_width)
{
	const size_t averages = count * (count + 1);
	size_t critical, next = 0, beyond;
	double *walsh, tail;
	int error;

	*half_width = NAN;
	if (!count)
		return 0;
	error = walsh_create(count, level, averages, &walsh, &critical, &tail);
	if (error)
		return error;
	/* What is above 0 of (+-v[i] +- v[j]) / 2, each with chance 1/4; those of a value with itself twice, for 1/2. */
	for (size_t i = 0; i < count; i++) {
		const double a = fabs(values[i]) / 2;

		walsh[next++] = 2 * a;
		walsh[next++] = 2 * a;
		for (size_t j = i + 1; j < count; j++) {
			const double b = fabs(values[j]) / 2;

			walsh[next++] = a + b;
			walsh[next++] = fabs(a - b);
		}
	}
	qsort(walsh, averages, sizeof(*walsh), compare_doubles);
	beyond = 4 * (critical - 1);
	*half_width = beyond < averages ? walsh[averages - 1 - beyond] : 0;
	free(walsh);
	return 0;
}

int paired_ratio(const double *a, const double *b, size_t count, double level,
		 struct paired_ratio *out)
{
	double *logs = malloc((count + 1) * sizeof(*logs)), centre;
	struct paired_ratio result = { .p = NAN };
	struct signed_rank test;
	int error;

	if (!logs)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		if (isfinite(a[i]) && isfinite(b[i]) && a[i] > 0 && b[i] > 0)
			logs[result.pairs++] = log(b[i] / a[i]);
	}
	result.dropped = count - result.pairs;
	error = hodges_lehmann(logs, result.pairs, level, &centre, &result.interval);
	if (!error)
		error = signed_rank_test(logs, result.pairs, &test);
	free(logs);
	if (error)
		return error;
	result.ratio = exp(centre);
	result.interval.low = exp(result.interval.low);
	result.interval.high = exp(result.interval.high);
	if (result.pairs)
		result.p = test.p;
	*out = result;
	return 0;
}

struct ranked {
	double p;
	size_t index;
};

static int compare_ranked(const void *left, const void *right)
{
	const struct ranked *a = left, *b = right;

	return (a->p > b->p) - (a->p < b->p);
}

int holm_adjust(const double *p, double *adjusted, size_t count)
{
	struct ranked *sorted = malloc((count + 1) * sizeof(*sorted));
	size_t tests = 0;
	double largest = 0;

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		if (isnan(p[i]))
			adjusted[i] = NAN;
		else
			sorted[tests++] = (struct ranked){ p[i], i };
	}
	qsort(sorted, tests, sizeof(*sorted), compare_ranked);
	for (size_t i = 0; i < tests; i++) {
		largest = fmax(largest, fmin(1, (double)(tests - i) * sorted[i].p));
		adjusted[sorted[i].index] = largest;
	}
	free(sorted);
	return 0;
}

/* ---- Student's t ---- */

double student_p(double t, unsigned degrees)
{
	const double angle = atan(fabs(t) / sqrt(degrees));
	const double square = cos(angle) * cos(angle);
	double term = degrees % 2 ? cos(angle) : 1, sum = degrees > 1 ? term : 0;

	for (unsigned i = degrees % 2 ? 3 : 2; i + 2 <= degrees; i += 2) {
		term *= square * (i - 1) / i;
		sum += term;
	}
	if (degrees % 2)
		return fmax(0, 1 - 2 / M_PI * (angle + sin(angle) * sum));
	return fmax(0, 1 - sin(angle) * sum);
}

double student_quantile(double p, unsigned degrees)
{
	double low = 0, high = 1;

	while (student_p(high, degrees) > p && high < 1e15)
		high *= 2;
	for (int i = 0; i < 200 && high - low > 1e-12 * high; i++) {
		const double middle = (low + high) / 2;

		if (student_p(middle, degrees) > p)
			low = middle;
		else
			high = middle;
	}
	return (low + high) / 2;
}
