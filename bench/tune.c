/* What a tuning consists of, and the numbers that are said of it. */
#include "tune.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/cmd.h"
#include "results/summary.h"
#include "results/verdict.h"
#include "workloads/workload.h"

#define PAGING_LAPS 100
#define WORDS_LEVEL 0.95 /* of the intervals in the words and tables */

/* ---- life ---- */

static int add_conditions(struct tune_session *session, char *why, size_t why_bytes)
{
	const struct plan_options *plan = &session->options.plan;
	int error = 0;

	if (!plan->workloads[0]) {
		snprintf(why, why_bytes,
			 "which workload? --workload LIST "
			 "(`poolbench list workloads` shows them)");
		return -EINVAL;
	}
	for (char *const *workload = plan->workloads; *workload && !error; workload++) {
		error = workload_check(*workload, why, why_bytes);
		for (const unsigned *threads = plan->threads; *threads && !error; threads++) {
			struct tune_condition *grown = reallocarray(
				session->conditions, session->condition_count + 1u, sizeof(*grown));

			if (!grown)
				return -ENOMEM;
			session->conditions = grown;
			grown += session->condition_count++;
			*grown = (struct tune_condition){ .threads = *threads };
			snprintf(grown->workload, sizeof(grown->workload), "%s", *workload);
		}
	}
	return error;
}

static void clear_values(struct tune_values *values)
{
	double *number = (double *)(void *)values;

	for (size_t i = 0; i < sizeof(*values) / sizeof(double); i++)
		number[i] = NAN;
}

static int allocate(struct tune_session *session)
{
	session->entries = calloc(session->setting_count, sizeof(*session->entries));
	if (!session->entries)
		return -ENOMEM;
	for (unsigned i = 0; i < session->setting_count; i++) {
		struct tune_setting *setting = &session->settings[i];

		setting->values = calloc(session->condition_count, sizeof(*setting->values));
		if (!setting->values)
			return -ENOMEM;
		for (unsigned c = 0; c < session->condition_count; c++)
			clear_values(&setting->values[c]);
		for (unsigned block = 0; block < RACE_BLOCKS_MAX; block++)
			setting->scores[block] = NAN;
		session->entries[i] =
			(struct race_entry){ .scores = setting->scores, .cost = NAN, .rank = i };
	}
	return 0;
}

/* The records' plan: what a reader of the directory sees of it. */
static int describe_plan(struct tune_session *session)
{
	struct run_plan *record = &session->options.record;
	int error = 0;

	record->seed = session->options.plan.prototype.seed;
	record->repetitions = session->options.blocks;
	for (int pass = 0; pass < PASSES; pass++)
		record->passes |= 1u << pass;
	for (unsigned c = 0; c < session->condition_count; c++) {
		for (unsigned i = 0; i < session->setting_count && !error; i++) {
			const struct tune_setting *setting = &session->settings[i];
			struct cell cell = { .threads = session->conditions[c].threads,
					     .page_size = setting->page_size };

			memcpy(cell.backend, setting->backend, sizeof(cell.backend));
			memcpy(cell.workload, session->conditions[c].workload,
			       sizeof(cell.workload));
			memcpy(cell.backing, setting->backing, sizeof(cell.backing));
			error = run_plan_add_cell(record, &cell);
		}
	}
	return error;
}

/*
 * The balance set looks every few milliseconds: laps enough for it to take pages away again and again. And a lap that
 * met few hard faults says nothing of those that met many: not the fastest, the mean.
 */
static void adapt_to_paging(struct tune_options *options)
{
	if (!options->statistic_asked)
		options->statistic = METRIC_ns_per_op_mean;
	if (!run_plan_option(&options->record, "laps"))
		options->plan.prototype.laps = PAGING_LAPS;
}

int tune_create(struct tune_options *options, struct tune_session *out, char *why, size_t why_bytes)
{
	struct tune_session session = { .options = *options };
	int error = 0;

	why[0] = '\0';
	memset(options, 0, sizeof(*options));
	if (!session.options.backend[0]) {
		snprintf(why, why_bytes,
			 "which backend? --backend SPEC (`poolbench list backends` shows them)");
		error = -EINVAL;
	}
	if (session.options.plan.prototype.paging_file)
		adapt_to_paging(&session.options);
	if (!error)
		error = add_conditions(&session, why, why_bytes);
	if (!error)
		error = tune_grid(&session, why, why_bytes);
	if (!error)
		error = allocate(&session);
	if (!error)
		error = describe_plan(&session);
	if (!error)
		error = race_rules_init(&session.rules, session.setting_count,
					session.options.blocks);
	if (error) {
		if (!why[0])
			snprintf(why, why_bytes, "%s", strerror(-error));
		tune_release(&session);
		return error;
	}
	session.rules.alpha = session.options.alpha;
	session.rules.threshold = session.options.threshold;
	race_init(&session.race, &session.rules, session.entries, session.setting_count);
	*out = session;
	return 0;
}

void tune_release(struct tune_session *session)
{
	for (unsigned i = 0; i < session->setting_count; i++)
		free(session->settings[i].values);
	free(session->settings);
	free(session->conditions);
	free(session->entries);
	tune_options_release(&session->options);
	memset(session, 0, sizeof(*session));
}

/* Where nothing could be measured: 3 if nothing was to be had, 1 if something failed. */
int tune_exit_code(const struct tune_session *session)
{
	bool failed = false, measured = false;

	for (unsigned i = 0; i < session->setting_count; i++) {
		const enum cell_status status = session->settings[i].status;

		measured |= status == CELL_OK;
		failed |= status != CELL_OK && status != CELL_SKIPPED;
	}
	if (!measured)
		return failed ? EXIT_FAILED : EXIT_MISSING;
	if (session->surveyed && !session->answered && failed)
		return EXIT_FAILED;
	return session->answered && session->race.settled ? EXIT_GOOD : EXIT_INCONCLUSIVE;
}

/* ---- numbers ---- */

double tune_spent_seconds(const struct tune_session *session)
{
	double sum = 0;

	for (unsigned i = 0; i < session->setting_count; i++)
		for (int pass = 0; pass < PASSES; pass++)
			sum += session->settings[i].seconds[pass];
	return sum;
}

/* Each setting's own time a process, times the processes that the answer got. */
double tune_full_seconds(const struct tune_session *session)
{
	const struct tune_setting *answer = &session->settings[session->race.leader];
	double sum = 0;

	for (unsigned i = 0; i < session->setting_count; i++) {
		const struct tune_setting *setting = &session->settings[i];

		for (int pass = 0; pass < PASSES; pass++)
			if (setting->processes[pass])
				sum += setting->seconds[pass] / setting->processes[pass] *
				       answer->processes[pass];
	}
	return sum;
}

/* ln of one over the other in a block, over one condition or the mean over all. NaN where not both were measured. */
static double difference(const struct tune_session *session, const struct tune_setting *over,
			 const struct tune_setting *under, unsigned condition,
			 enum tune_aspect aspect, bool confirm, unsigned block)
{
	const bool all = condition == session->condition_count;
	const unsigned from = all ? 0 : condition, to = all ? condition : condition + 1;
	double sum = 0;

	for (unsigned c = from; c < to; c++) {
		const struct tune_values *a = &over->values[c], *b = &under->values[c];

		sum += confirm ? log(a->confirm[aspect][block] / b->confirm[aspect][block])
			       : log(a->race[aspect][block] / b->race[aspect][block]);
	}
	return sum / (to - from);
}

static int ratio_of(const struct tune_session *session, unsigned over, unsigned under,
		    unsigned condition, enum tune_aspect aspect, bool confirm,
		    struct paired_ratio *out)
{
	double logs[RACE_BLOCKS_MAX];
	const unsigned blocks = confirm ? session->pairs : session->blocks;
	size_t count = 0;

	for (unsigned block = 0; block < blocks; block++) {
		const double log_ratio_here = difference(session, &session->settings[over],
							 &session->settings[under], condition,
							 aspect, confirm, block);

		if (isfinite(log_ratio_here))
			logs[count++] = log_ratio_here;
	}
	return log_ratio(logs, count, WORDS_LEVEL, out);
}

int tune_over_baseline(const struct tune_session *session, unsigned setting, unsigned condition,
		       enum tune_aspect aspect, struct paired_ratio *out)
{
	return ratio_of(session, setting, session->baseline, condition, aspect, false, out);
}

int tune_confirmed(const struct tune_session *session, unsigned condition, enum tune_aspect aspect,
		   struct paired_ratio *out)
{
	return ratio_of(session, session->race.leader, session->baseline, condition, aspect, true,
			out);
}

int tune_score_ratio(const struct tune_session *session, unsigned over, unsigned under,
		     struct paired_ratio *out)
{
	double logs[RACE_BLOCKS_MAX];
	size_t count = 0;

	for (unsigned block = 0; block < session->blocks; block++) {
		const double log_ratio_here = session->settings[over].scores[block] -
					      session->settings[under].scores[block];

		if (isfinite(log_ratio_here))
			logs[count++] = log_ratio_here;
	}
	return log_ratio(logs, count, WORDS_LEVEL, out);
}

const char *tune_standing(const struct tune_session *session, unsigned i)
{
	if (session->settings[i].status != CELL_OK)
		return cell_status_names[session->settings[i].status];
	if (session->answered && i == session->race.leader)
		return session->race.settled ? "answer" : "leads";
	switch (session->entries[i].state) {
	case RACE_DROPPED:
		return "worse";
	case RACE_RESTING:
		return "level";
	default:
		return session->race.settled ? "undecided" : "open";
	}
}

const struct cell_summary *tune_summary(const struct tune_session *session,
					const struct cell_summary *cells, size_t count,
					unsigned setting, unsigned condition)
{
	const struct tune_setting *wanted = &session->settings[setting];

	for (size_t i = 0; i < count; i++) {
		const struct cell *cell = &cells[i].cell;

		if (cell->threads == session->conditions[condition].threads &&
		    cell->page_size == wanted->page_size &&
		    strcmp(cell->workload, session->conditions[condition].workload) == 0 &&
		    strcmp(cell->backend, wanted->backend) == 0 &&
		    strcmp(cell->backing, wanted->backing) == 0)
			return &cells[i];
	}
	return NULL;
}
