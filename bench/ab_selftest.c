#include "ab_selftest.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/clock.h"
#include "results/run_dir.h"

#define REAL_EFFECT  "3" /* per cent planted into B of a real session */
#define RECORDED     "recorded" /* directory of step 1 */
#define DECIDED_MOST 10.0 /* seconds of machine time a decided cell */
#define CELLS_MOST   64

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

/* What was set last counts, and is what is stored. */
static const char *last_value(const struct run_plan *plan, const char *name)
{
	const char *value = NULL;

	for (size_t i = 0; i < plan->option_count; i++)
		if (strcmp(plan->options[i].name, name) == 0)
			value = plan->options[i].value;
	return value;
}

static bool same_options(const struct run_plan *a, const struct run_plan *b)
{
	for (int side = 0; side < 2; side++) {
		const struct run_plan *one = side ? b : a, *other = side ? a : b;

		for (size_t i = 0; i < one->option_count; i++) {
			const char *name = one->options[i].name, *value = last_value(other, name);

			if (!value || strcmp(value, last_value(one, name)) != 0)
				return false;
		}
	}
	return true;
}

/* A session that was begun before is gone on with, if it is the same. */
static int open_session(const char *path, const struct ab_session *session, struct run_dir **run,
			char *why, size_t why_bytes)
{
	struct run_plan stored = { 0 };
	int error;

	if (access(path, F_OK) != 0)
		return run_dir_create(NULL, path, &session->options.record, run, why, why_bytes);
	error = run_dir_open_resume(path, &stored, run, why, why_bytes);
	if (!error && !same_options(&stored, &session->options.record)) {
		snprintf(why, why_bytes,
			 "%s was begun with other options: give another --out, or those", path);
		error = -EINVAL;
	}
	run_plan_release(&stored);
	return error;
}

/* What a finished session took when it was measured. */
static void recall_seconds(const char *path, struct ab_session *session)
{
	char name[4300];
	json_t *document;

	snprintf(name, sizeof(name), "%s/ab.json", path);
	document = json_load_file(name, 0, NULL);
	if (json_is_number(json_object_get(document, "seconds")))
		session->seconds = json_number_value(json_object_get(document, "seconds"));
	if (json_is_number(json_object_get(document, "processor_seconds")))
		session->processor_seconds = json_number_value(
			json_object_get(document, "processor_seconds"));
	json_decref(document);
}

static int measure_session(struct ab_session *session, struct run_dir *run, const char *path,
			   char *why, size_t why_bytes)
{
	int error = ab_run(session, run, why, why_bytes);

	if (!error && session->interrupted) {
		snprintf(why, why_bytes, "interrupted: the same call goes on");
		error = -EINTR;
	}
	for (unsigned i = 0; i < session->cell_count && !error; i++) {
		if (!session->cells[i].failed[PASS_THROUGHPUT][0])
			continue;
		snprintf(why, why_bytes, "%s", session->cells[i].failed[PASS_THROUGHPUT]);
		error = -EIO;
	}
	if (!error && session->processes)
		error = ab_write_verdicts(session, run, why, why_bytes);
	else if (!error)
		recall_seconds(path, session);
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
	error = open_session(path, session, &run, why, why_bytes);
	if (!error)
		error = measure_session(session, run, path, why, why_bytes);
	run_dir_close(run);
	if (error)
		ab_release(session);
	return error;
}

/* ---- real sessions ---- */

struct real_counts {
	unsigned sessions[2], verdicts[2][VERDICTS], pairs[2]; /* without and with a slow-down */
	double seconds[2], processor_seconds[2], waited_seconds[2], longest;
};

static void count_session(struct real_counts *counts, unsigned slow,
			  const struct ab_session *session)
{
	const struct trial *trial = session->cells[0].tracks[AB_TIME].trial;

	counts->sessions[slow]++;
	counts->verdicts[slow][session->verdict]++;
	counts->pairs[slow] += (unsigned)(trial->searched + trial->confirmed);
	counts->seconds[slow] += session->seconds;
	counts->processor_seconds[slow] += session->processor_seconds;
	counts->waited_seconds[slow] += session->cells[0].quiet.waited_seconds;
	counts->longest = fmax(counts->longest, session->seconds);
}

static int hold_real(const struct ab_selftest *test, const char *workload, uint64_t begin_ns,
		     struct real_counts *counts, char *why, size_t why_bytes)
{
	const char *const same[] = { "workload", workload, NULL };
	const char *const slowed[] = { "workload", workload, "slow-b", REAL_EFFECT, NULL };
	int error = 0;

	for (unsigned i = 0; i < 2 * test->real && !error; i++) {
		const unsigned slow = i % 2;
		struct ab_session session;
		char name[48];

		if (!slow && (double)(monotonic_ns() - begin_ns) * 1e-9 > test->budget_seconds)
			break;
		snprintf(name, sizeof(name), "real-%03u-%s", i / 2, slow ? "slowed" : "same");
		error = hold_session(test, name, slow ? slowed : same, &session, why, why_bytes);
		if (error)
			break;
		count_session(counts, slow, &session);
		ab_release(&session);
	}
	return error;
}

static void print_real(const struct real_counts *counts, FILE *file)
{
	fprintf(file, "\n### Real sessions, from the first process to the verdict\n\n"
		      "| B | sessions | REGRESSION | EQUIVALENT | INCONCLUSIVE | IMPROVEMENT | "
		      "mean pairs | mean seconds | of processor time | waiting for a quiet core "
		      "|\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n");
	for (int slow = 0; slow < 2; slow++)
		fprintf(file, "| %s | %u | %u | %u | %u | %u | %.1f | %.1f | %.1f | %.1f |\n",
			slow ? "A, " REAL_EFFECT " % planted" : "A", counts->sessions[slow],
			counts->verdicts[slow][VERDICT_REGRESSION],
			counts->verdicts[slow][VERDICT_EQUIVALENT],
			counts->verdicts[slow][VERDICT_INCONCLUSIVE],
			counts->verdicts[slow][VERDICT_IMPROVEMENT],
			(double)counts->pairs[slow] / counts->sessions[slow],
			counts->seconds[slow] / counts->sessions[slow],
			counts->processor_seconds[slow] / counts->sessions[slow],
			counts->waited_seconds[slow] / counts->sessions[slow]);
}

/* ---- the figures to reach ---- */

static void print_figure(FILE *file, const char *what, const char *wanted, double got, bool reached)
{
	fprintf(file, "| %s | %s | %.2f %% | %s |\n", what, wanted, 100 * got,
		reached ? "yes" : "**no**");
}

static void print_figures(const struct ab_session *recorded, const struct ab_rates *rates,
			  const struct real_counts *counts, FILE *file)
{
	const unsigned all = counts->sessions[0] + counts->sessions[1];
	const unsigned alarms = counts->verdicts[0][VERDICT_REGRESSION];
	const double mean = (counts->seconds[0] + counts->seconds[1]) / all;

	fprintf(file, "\n### Figures to reach\n\n| figure | wanted | got | reached |\n"
		      "|---|--:|--:|---|\n");
	print_figure(file, "false alarms, rehearsed", "at most 1 %", rates[0].false_alarms,
		     rates[0].false_alarms <= 0.01);
	if (counts->sessions[0])
		fprintf(file, "| false alarms, real sessions | at most 1 %% | %u of %u | %s |\n",
			alarms, counts->sessions[0],
			alarms * 100 <= counts->sessions[0] ? "yes" : "**no**");
	print_figure(file, "2 % found with at most 60 pairs", "95 %", rates[0].found_2_in_60,
		     rates[0].found_2_in_60 >= 0.95);
	print_figure(file, "3 % found with at most 40 pairs", "95 %", rates[0].found_3_in_40,
		     rates[0].found_3_in_40 >= 0.95);
	if (counts->sessions[1])
		fprintf(file, "| 3 %% found, real sessions | 95 %% | %u of %u | %s |\n",
			counts->verdicts[1][VERDICT_REGRESSION], counts->sessions[1],
			counts->verdicts[1][VERDICT_REGRESSION] >= 0.95 * counts->sessions[1]
				? "yes"
				: "**no**");
	for (unsigned i = 1; i < recorded->cell_count; i++) {
		char what[AB_TITLE_BYTES + 80], title[AB_TITLE_BYTES];

		ab_cell_title(&recorded->cells[i], title, sizeof(title));
		snprintf(what, sizeof(what), "5 %% found in %s (2 %%: power %.0f %%)", title,
			 100 * rates[i].found_2);
		print_figure(file, what, "95 %", rates[i].found_5, rates[i].found_5 >= 0.95);
	}
	if (all)
		fprintf(file,
			"| seconds a decided cell, mean (longest %.1f) | at most %.0f | %.1f | %s "
			"|\n",
			counts->longest, DECIDED_MOST, mean,
			mean <= DECIDED_MOST ? "yes" : "**no**");
}

/* ---- all of it ---- */

static int record(const struct ab_selftest *test, struct ab_session *recorded, char *why,
		  size_t why_bytes)
{
	char pairs[16], planted[16];
	const char *const changes[] = {
		"pairs", pairs, "max-pairs", pairs, "planted", planted, NULL
	};

	snprintf(pairs, sizeof(pairs), "%u", test->pairs);
	snprintf(planted, sizeof(planted), "%g", 100 * AB_SELFTEST_EFFECT);
	return hold_session(test, RECORDED, changes, recorded, why, why_bytes);
}

int ab_selftest_run(const struct ab_selftest *test, FILE *file, char *why, size_t why_bytes)
{
	const uint64_t begin_ns = monotonic_ns();
	struct ab_rates rates[CELLS_MOST] = { 0 };
	struct real_counts counts = { 0 };
	struct ab_session recorded;
	char directory[4096];
	int error = record(test, &recorded, why, why_bytes);

	if (error)
		return error;
	snprintf(directory, sizeof(directory), "%s/" RECORDED, test->out);
	for (unsigned i = 0; i < recorded.cell_count && i < CELLS_MOST && !error; i++) {
		error = ab_selftest_print(test, &recorded, &recorded.cells[i], directory, &rates[i],
					  file, why, why_bytes);
		fflush(file);
	}
	if (!error)
		error = hold_real(test, recorded.cells[0].a.workload, begin_ns, &counts, why,
				  why_bytes);
	if (!error && counts.sessions[0])
		print_real(&counts, file);
	if (!error)
		print_figures(&recorded, rates, &counts, file);
	ab_release(&recorded);
	return error;
}
