#include "ab_selftest.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "results/rank_sum.h"
#include "results/rehearsal.h"
#include "results/run_dir.h"

#define OTHERS_REPETITIONS 20 /* of each side, for the methods of others: one look of ours */
#define COMPARE_PY_ALPHA   0.05 /* compare.py's default */
#define REAL_EFFECT        "3" /* per cent planted into B of a real session */
#define RECORDED           "recorded" /* directory of step 1 */
#define RECORDED_EFFECT    0.02 /* planted while recording */

static const double effects[] = { 0, 0.01, 0.02, 0.03, 0.05 };
#define EFFECTS (sizeof(effects) / sizeof(*effects))

/* ---- sessions ---- */

/* The options of the test once more, with B the same as A; `changes` are pairs of words ended by NULL. */
static int copy_options(const struct ab_selftest *test, const char *const *changes,
			struct ab_options *out, char *why, size_t why_bytes)
{
	const struct run_plan *record = &test->options->record;
	int error = ab_options_init(out);

	if (!error)
		error = ab_set(out, "passes", "throughput", why, why_bytes);
	for (size_t i = 0; i < record->option_count && !error; i++)
		error = ab_set(out, record->options[i].name, record->options[i].value, why,
			       why_bytes);
	if (!error)
		error = ab_set(out, "b", test->options->a, why, why_bytes);
	for (; *changes && !error; changes += 2)
		error = ab_set(out, changes[0], changes[1], why, why_bytes);
	if (error)
		ab_options_release(out);
	return error;
}

static int hold_session(const struct ab_selftest *test, const char *name,
			const char *const *changes, struct ab_session *session, char *why,
			size_t why_bytes)
{
	struct ab_options options;
	struct run_dir *run = NULL;
	char path[4096];
	int error = copy_options(test, changes, &options, why, why_bytes);

	if (error)
		return error;
	error = ab_create(&options, session, why, why_bytes);
	if (error)
		return error;
	snprintf(path, sizeof(path), "%s/%s", test->out, name);
	error = run_dir_create(NULL, path, &session->options.record, &run, why, why_bytes);
	if (!error)
		error = ab_run(session, run, why, why_bytes);
	if (!error && session->interrupted) {
		snprintf(why, why_bytes, "interrupted");
		error = -EINTR;
	}
	if (!error && session->cells[0].failed[PASS_THROUGHPUT][0]) {
		snprintf(why, why_bytes, "%s", session->cells[0].failed[PASS_THROUGHPUT]);
		error = -EIO;
	}
	run_dir_close(run);
	if (error)
		ab_release(session);
	return error;
}

/* ---- 2: rehearsed sessions ---- */

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

static int print_rehearsals(const struct ab_selftest *test, const struct ab_session *recorded,
			    const double *noise, size_t count, FILE *file)
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

/* ---- 2, once more for each statistic of a process's laps ---- */

/* The same differences from the records, which hold all three statistics. */
static size_t load_noise(const struct record *records, size_t count, enum metric metric,
			 double *noise)
{
	double(*values)[AB_ROLES] = calloc(AB_BATCH, sizeof(*values));
	size_t found = 0;

	for (size_t i = 0; values && i < count; i++) {
		const unsigned round = records[i].repetition / AB_ROLES;

		if (round < AB_BATCH && records[i].status == CELL_OK)
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

static int print_statistics(const struct ab_selftest *test, FILE *file, char *why, size_t why_bytes)
{
	static const struct {
		const char *name;
		enum metric metric;
	} statistics[] = { { "median", METRIC_ns_per_op },
			   { "q1", METRIC_ns_per_op_q1 },
			   { "min", METRIC_ns_per_op_min } };
	struct record *records = NULL;
	double *noise = calloc((size_t)2 * AB_BATCH, sizeof(*noise));
	char path[4096];
	size_t count = 0;
	int error = noise ? 0 : -ENOMEM;

	snprintf(path, sizeof(path), "%s/" RECORDED, test->out);
	if (!error)
		error = records_read(path, &records, &count, why, why_bytes);
	fprintf(file,
		"\nWhat a process reports of its laps (--statistic), on the same processes:\n\n"
		"| statistic | pair noise, median | 90th percentile | false alarms | 2 %% found "
		"within 60 "
		"pairs | 3 %% within 40 |\n|---|--:|--:|--:|--:|--:|\n");
	for (int i = 0; i < 3 && !error; i++) {
		const size_t found = load_noise(records, count, statistics[i].metric, noise);

		if (found)
			error = print_statistic(test, statistics[i].name, noise, found, file);
	}
	free(records);
	free(noise);
	return error;
}

/* ---- 3: as others judge ---- */

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

/* ---- 4: real sessions ---- */

static int print_real(const struct ab_selftest *test, FILE *file, char *why, size_t why_bytes)
{
	static const char *const same[] = { NULL };
	static const char *const slowed[] = { "slow-b", REAL_EFFECT, NULL };
	unsigned counts[2][VERDICTS] = { 0 }, pairs[2] = { 0, 0 };
	double seconds[2] = { 0, 0 };
	int error = 0;

	for (unsigned i = 0; i < 2 * test->real && !error; i++) {
		const unsigned slow = i % 2;
		struct ab_session session;
		char name[48];

		snprintf(name, sizeof(name), "real-%03u-%s", i / 2, slow ? "slowed" : "same");
		error = hold_session(test, name, slow ? slowed : same, &session, why, why_bytes);
		if (error)
			break;
		counts[slow][session.verdict]++;
		pairs[slow] += (unsigned)(session.cells[0].tracks[AB_TIME].trial->searched +
					  session.cells[0].tracks[AB_TIME].trial->confirmed);
		seconds[slow] += session.seconds;
		ab_release(&session);
	}
	if (error || !test->real)
		return error;
	fprintf(file, "\nReal sessions, from the first process to the verdict:\n\n"
		      "| B | sessions | REGRESSION | EQUIVALENT | INCONCLUSIVE | IMPROVEMENT | "
		      "mean pairs | "
		      "mean seconds |\n|---|--:|--:|--:|--:|--:|--:|--:|\n");
	for (int slow = 0; slow < 2; slow++)
		fprintf(file, "| %s | %u | %u | %u | %u | %u | %.1f | %.1f |\n",
			slow ? "A, " REAL_EFFECT " % planted" : "A", test->real,
			counts[slow][VERDICT_REGRESSION], counts[slow][VERDICT_EQUIVALENT],
			counts[slow][VERDICT_INCONCLUSIVE], counts[slow][VERDICT_IMPROVEMENT],
			(double)pairs[slow] / test->real, seconds[slow] / test->real);
	return 0;
}

/* ---- all of it ---- */

static int print_recorded(const struct ab_selftest *test, const struct ab_session *recorded,
			  FILE *file, char *why, size_t why_bytes)
{
	const struct ab_cell *cell = &recorded->cells[0];
	const struct ab_batch *batch = &cell->search[PASS_THROUGHPUT];
	const struct ab_track *track = &cell->tracks[AB_TIME];
	double *noise = calloc(2 * (size_t)batch->count + 1, sizeof(*noise));
	size_t count;
	int error = 0;

	if (!noise)
		return -ENOMEM;
	count = collect_noise(batch, noise);
	fprintf(file,
		"%s, %s, %u thread%s: %u rounds recorded in %.0f s (%u processes).\n"
		"Planted %.1f %%: %.2f %% by the slowed processes' own clock, %+.2f %% (%+.2f .. "
		"%+.2f) by "
		"their pairs with A.\n",
		cell->a.backend, cell->a.workload, cell->a.threads, cell->a.threads == 1 ? "" : "s",
		batch->count, recorded->seconds, recorded->processes,
		100 * recorded->options.planted, 100 * cell->true_share,
		100 * (track->planted.ratio - 1), 100 * (track->planted.interval.low - 1),
		100 * (track->planted.interval.high - 1));
	print_noise(noise, count, file);
	fprintf(file, "%u rehearsed sessions each, with the recorded noise:\n\n", test->sessions);
	error = print_rehearsals(test, recorded, noise, count, file);
	if (!error)
		error = print_statistics(test, file, why, why_bytes);
	if (!error)
		error = print_others(test, batch, file);
	free(noise);
	return error;
}

int ab_selftest_run(const struct ab_selftest *test, FILE *file, char *why, size_t why_bytes)
{
	struct ab_session recorded;
	char pairs[16], planted[16];
	const char *const changes[] = {
		"pairs", pairs, "max-pairs", pairs, "planted", planted, NULL
	};
	int error;

	snprintf(pairs, sizeof(pairs), "%u", test->pairs);
	snprintf(planted, sizeof(planted), "%g", 100 * RECORDED_EFFECT);
	error = hold_session(test, RECORDED, changes, &recorded, why, why_bytes);
	if (error)
		return error;
	error = print_recorded(test, &recorded, file, why, why_bytes);
	ab_release(&recorded);
	fflush(file);
	return error ? error : print_real(test, file, why, why_bytes);
}
