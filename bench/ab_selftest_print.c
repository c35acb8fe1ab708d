/* What is said of recorded values: rehearsals, the statistics of laps, other methods. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/ab_selftest.h"
#include "bench/option_text.h"
#include "bench/slowdown.h"
#include "results/rank_sum.h"
#include "results/rehearsal.h"
#include "results/run_dir.h"

#define OTHERS_REPETITIONS 20 /* of each side, for the methods of others: one look of ours */
#define COMPARE_PY_ALPHA   0.05 /* compare.py's default */

static const double effects[] = { 0, 0.01, 0.02, 0.03, 0.05 };
#define EFFECTS (sizeof(effects) / sizeof(*effects))

/* ---- rehearsed sessions ---- */

/* Both differences of a round without an effect in them: B is A here. */
static size_t collect_noise(const struct ab_batch *batch, double *noise)
{
	size_t count = 0;

	for (unsigned i = 0; i < batch->count; i++) {
		const struct ab_round *round = &batch->rounds[i];

		noise[count++] = log(round->value[AB_B][AB_TIME] / round->value[AB_A][AB_TIME]);
		noise[count++] = log(round->value[AB_CONTROL][AB_TIME] /
				     round->value[AB_A][AB_TIME]);
	}
	return count;
}

static int compare_sizes(const void *left, const void *right)
{
	const double a = fabs(*(const double *)left), b = fabs(*(const double *)right);

	return (a > b) - (a < b);
}

static void print_noise(const double *noise, size_t count, FILE *file)
{
	double *sorted = calloc(count, sizeof(*sorted));

	if (!sorted || !count) {
		free(sorted);
		return;
	}
	memcpy(sorted, noise, count * sizeof(*sorted));
	qsort(sorted, count, sizeof(*sorted), compare_sizes);
	fprintf(file,
		"A pair differs from its twin by %.2f %% in the median, %.2f %% at the 90th and "
		"%.2f %% at the 99th percentile.\n\n",
		100 * expm1(fabs(sorted[count / 2])), 100 * expm1(fabs(sorted[count * 9 / 10])),
		100 * expm1(fabs(sorted[count * 99 / 100])));
	free(sorted);
}

static void keep_rates(const struct rehearsal_counts *counts, double effect, struct ab_rates *rates)
{
	const double found = (double)counts->verdicts[VERDICT_REGRESSION] / counts->sessions;

	if (effect == 0) {
		rates->false_alarms = found;
	} else if (effect == 0.02) {
		rates->found_2 = found;
		rates->found_2_in_60 = (double)counts->found_within[1] / counts->sessions;
	} else if (effect == 0.03) {
		rates->found_3_in_40 = (double)counts->found_within[0] / counts->sessions;
	} else if (effect == 0.05) {
		rates->found_5 = found;
	}
}

static int print_rehearsals(const struct ab_selftest *test, const struct ab_session *recorded,
			    const double *noise, size_t count, struct ab_rates *rates, FILE *file)
{
	struct verdict_rules rules = test->options->rules;
	struct random random;
	int error = 0;

	verdict_rules_looks(&rules, test->options->pairs, test->options->max_pairs);
	random_seed(&random, recorded->options.plan.prototype.seed);
	fprintf(file, "| true change | REGRESSION | within 40 pairs | within 60 | within 80 | "
		      "EQUIVALENT | "
		      "INCONCLUSIVE | IMPROVEMENT | mean pairs |\n"
		      "|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n");
	for (size_t i = 0; i < EFFECTS && !error; i++) {
		struct rehearsal_counts counts = { 0 };
		const struct rehearsal rehearsal = { .noise = noise,
						     .noises = count,
						     .cells = 1,
						     .effect = effects[i],
						     .rules = &rules };
		const double share = 100.0 / test->sessions;

		error = rehearse(&rehearsal, test->sessions, &random, &counts);
		keep_rates(&counts, effects[i], rates);
		fprintf(file,
			"| %+.0f %% | %.2f %% | %.1f %% | %.1f %% | %.1f %% | %.1f %% | %.1f %% | "
			"%.2f %% "
			"| %.1f |\n",
			100 * effects[i], share * counts.verdicts[VERDICT_REGRESSION],
			share * counts.found_within[0], share * counts.found_within[1],
			share * counts.found_within[2], share * counts.verdicts[VERDICT_EQUIVALENT],
			share * counts.verdicts[VERDICT_INCONCLUSIVE],
			share * counts.verdicts[VERDICT_IMPROVEMENT],
			(double)counts.pairs / test->sessions);
	}
	return error;
}

/* ---- once more for each statistic of a process's laps ---- */

/* The same differences from the records, which hold all three statistics. */
static size_t load_noise(const struct record *records, size_t count, const struct cell *cell,
			 enum metric metric, double *noise)
{
	double(*values)[AB_ROLES] = calloc(AB_BATCH, sizeof(*values));
	size_t found = 0;

	for (size_t i = 0; values && i < count; i++) {
		/* of those that were measured again, the last counts */
		const unsigned round = records[i].repetition % AB_AGAIN / AB_ROLES;

		if (round < AB_BATCH && records[i].status == CELL_OK &&
		    cell_same(&records[i].cell, cell))
			values[round][records[i].repetition % AB_ROLES] =
				records[i].metrics[metric];
	}
	for (unsigned round = 0; values && round < AB_BATCH; round++) {
		const double a = values[round][AB_A];

		if (a > 0 && values[round][AB_B] > 0)
			noise[found++] = log(values[round][AB_B] / a);
		if (a > 0 && values[round][AB_CONTROL] > 0)
			noise[found++] = log(values[round][AB_CONTROL] / a);
	}
	free(values);
	return found;
}

static int print_statistic(const struct ab_selftest *test, const char *name, double *noise,
			   size_t count, FILE *file)
{
	static const double shown[] = { 0, 0.02, 0.03 };
	struct rehearsal_counts counts[3] = { 0 };
	struct verdict_rules rules = test->options->rules;
	struct random random;
	const double share = 100.0 / test->sessions;
	int error = 0;

	verdict_rules_looks(&rules, test->options->pairs, test->options->max_pairs);
	random_seed(&random, 1);
	for (int i = 0; i < 3 && !error; i++) {
		const struct rehearsal rehearsal = { noise, count, 1, shown[i], &rules };

		error = rehearse(&rehearsal, test->sessions, &random, &counts[i]);
	}
	qsort(noise, count, sizeof(*noise), compare_sizes);
	fprintf(file, "| %s | %.2f %% | %.2f %% | %.2f %% | %.1f %% | %.1f %% |\n", name,
		100 * expm1(fabs(noise[count / 2])), 100 * expm1(fabs(noise[count * 9 / 10])),
		share * counts[0].verdicts[VERDICT_REGRESSION], share * counts[1].found_within[1],
		share * counts[2].found_within[0]);
	return error;
}

static int print_statistics(const struct ab_selftest *test, const struct cell *cell,
			    const char *directory, FILE *file, char *why, size_t why_bytes)
{
	static const char *const statistics[] = { "median", "q1", "min" };
	struct record *records = NULL;
	double *noise = calloc((size_t)2 * AB_BATCH, sizeof(*noise));
	size_t count = 0;
	int error = noise ? 0 : -ENOMEM;

	if (!error)
		error = records_read(directory, &records, &count, why, why_bytes);
	fprintf(file,
		"\nWhat a process reports of its laps (--statistic), on the same processes:\n\n"
		"| statistic | pair noise, median | 90th percentile | false alarms | 2 %% found "
		"within 60 "
		"pairs | 3 %% within 40 |\n|---|--:|--:|--:|--:|--:|\n");
	for (int i = 0; i < 3 && !error; i++) {
		enum metric metric = METRIC_ns_per_op;
		size_t found;

		option_statistic(statistics[i], &metric);
		found = load_noise(records, count, cell, metric, noise);
		if (found)
			error = print_statistic(test, statistics[i], noise, found, file);
	}
	free(records);
	free(noise);
	return error;
}

/* ---- as others judge ---- */

struct others {
	unsigned windows, u_test, mean;
};

static int judge_window(const double *x, const double *y, double effect, double threshold,
			struct others *others)
{
	double slowed[OTHERS_REPETITIONS], sums[2] = { 0, 0 }, p;
	int error;

	for (int i = 0; i < OTHERS_REPETITIONS; i++) {
		slowed[i] = y[i] * (1 + effect);
		sums[0] += x[i];
		sums[1] += slowed[i];
	}
	error = rank_sum_test(x, OTHERS_REPETITIONS, slowed, OTHERS_REPETITIONS, &p);
	others->windows++;
	others->u_test += p <= COMPARE_PY_ALPHA && sums[1] > sums[0];
	others->mean += sums[1] / sums[0] > 1 + threshold;
	return error;
}

/* All A first and then all B, where `blocks`; else both of the same rounds. */
static int judge_windows(const struct ab_batch *batch, bool blocks, double effect, double threshold,
			 struct others *others)
{
	const unsigned need = OTHERS_REPETITIONS * (blocks ? 2u : 1u);
	int error = 0;

	for (unsigned from = 0; from + need <= batch->count && !error; from++) {
		double x[OTHERS_REPETITIONS], y[OTHERS_REPETITIONS];

		for (unsigned i = 0; i < OTHERS_REPETITIONS; i++) {
			const unsigned other = from + i + (blocks ? OTHERS_REPETITIONS : 0);

			x[i] = batch->rounds[from + i].value[AB_A][AB_TIME];
			y[i] = batch->rounds[other].value[AB_B][AB_TIME];
		}
		error = judge_window(x, y, effect, threshold, others);
	}
	return error;
}

static int print_others(const struct ab_selftest *test, const struct ab_batch *batch, FILE *file)
{
	const double threshold = test->options->rules.threshold;
	int error = 0;

	fprintf(file,
		"\nThe same recorded values as others would judge them, %d repetitions a side, "
		"every "
		"window of consecutive rounds:\n\n"
		"| true change | order | windows | U test (compare.py, p <= 0.05, slower) | ratio "
		"of "
		"means > %.3g %% |\n|--:|---|--:|--:|--:|\n",
		OTHERS_REPETITIONS, 100 * threshold);
	for (size_t i = 0; i < EFFECTS && !error; i++) {
		for (int blocks = 0; blocks < 2 && !error; blocks++) {
			struct others others = { 0, 0, 0 };

			error = judge_windows(batch, blocks, effects[i], threshold, &others);
			if (others.windows)
				fprintf(file, "| %+.0f %% | %s | %u | %.1f %% | %.1f %% |\n",
					100 * effects[i], blocks ? "A, then B" : "interleaved",
					others.windows, 100.0 * others.u_test / others.windows,
					100.0 * others.mean / others.windows);
		}
	}
	return error;
}

/* ---- what was planted ---- */

/* The median of a counter of the slowed processes; NaN without any. */
static double slowed_counter(const struct record *records, size_t count, const struct ab_cell *cell,
			     const char *name)
{
	double values[AB_BATCH];
	size_t found = 0;

	for (size_t i = 0; i < count && found < AB_BATCH; i++) {
		const struct record *record = &records[i];

		if (record->repetition % AB_ROLES != AB_SLOWED || record->status != CELL_OK ||
		    strcmp(record->cell.workload, cell->a.workload) != 0 ||
		    record->cell.threads != cell->a.threads)
			continue;
		for (unsigned c = 0; c < record->counters; c++)
			if (strcmp(record->counter[c].name, name) == 0)
				values[found++] = (double)record->counter[c].value;
	}
	return sorted_median(values, sort_finite(values, found));
}

/* Its size three ways: instructions, the chain timed by itself, and pairs that know nothing of it. */
static int print_planted(const struct ab_session *recorded, const struct ab_cell *cell,
			 const char *directory, FILE *file, char *why, size_t why_bytes)
{
	const struct ab_track *time = &cell->tracks[AB_TIME];
	const double instructions = cell->tracks[AB_INSTRUCTIONS].median_a;
	struct record *records = NULL;
	size_t count = 0;
	const int error = records_read(directory, &records, &count, why, why_bytes);
	double added, clock_ps;

	if (error)
		return error;
	added = slowed_counter(records, count, cell, SLOWDOWN_COUNTER_INSTRUCTIONS) * 1e-6;
	clock_ps = slowed_counter(records, count, cell, SLOWDOWN_COUNTER_SPIN);
	free(records);
	fprintf(file,
		"Planted %.1f %%. Its true size, three ways:\n\n"
		"- instructions: %.4f more an operation, counted from the chain's code and number "
		"of steps",
		100 * recorded->options.planted, added);
	if (isfinite(instructions))
		fprintf(file, "; A takes %.2f, so %+.2f %%", instructions,
			100 * added / instructions);
	else
		fprintf(file, " (this machine has no counters to hold A's against)");
	fprintf(file,
		"\n- its own clock: the chain alone takes %.4f ns an operation, %+.2f %% of A's "
		"time\n"
		"- pairs of slowed and plain processes, which know nothing of the chain: %+.2f %% "
		"(%+.2f .. %+.2f)\n\n",
		clock_ps * 1e-3, 100 * cell->true_share, 100 * (time->planted.ratio - 1),
		100 * (time->planted.interval.low - 1), 100 * (time->planted.interval.high - 1));
	return 0;
}

/* ---- a cell ---- */

int ab_selftest_print(const struct ab_selftest *test, const struct ab_session *recorded,
		      const struct ab_cell *cell, const char *directory, struct ab_rates *rates,
		      FILE *file, char *why, size_t why_bytes)
{
	const struct ab_batch *batch = &cell->search[PASS_THROUGHPUT];
	double *noise = calloc(2 * (size_t)batch->count + 1, sizeof(*noise));
	char title[AB_TITLE_BYTES];
	size_t count;
	int error = 0;

	if (!noise)
		return -ENOMEM;
	ab_cell_title(cell, title, sizeof(title));
	fprintf(file, "\n### %s: %s\n\n%u rounds recorded. ", cell->a.backend, title, batch->count);
	count = collect_noise(batch, noise);
	print_noise(noise, count, file);
	error = print_planted(recorded, cell, directory, file, why, why_bytes);
	fprintf(file, "%u rehearsed sessions each, with the recorded noise:\n\n", test->sessions);
	if (!error)
		error = print_rehearsals(test, recorded, noise, count, rates, file);
	if (!error)
		error = print_statistics(test, &cell->a, directory, file, why, why_bytes);
	if (!error)
		error = print_others(test, batch, file);
	free(noise);
	return error;
}
