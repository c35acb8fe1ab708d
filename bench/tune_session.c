/* Measuring: the survey, the race's blocks, the confirming pairs; and when to stop. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/sampler.h"
#include "bench/tune.h"

#define ORDER_STREAM 0x54554E454F524452u /* keeps the order's randomness apart from the traces' */
#define LEAST_NS     1.0 /* a percentile that the clock's cost ate up */

struct tune_run {
	struct tune_session *session;
	struct sampler sampler;
	unsigned *order; /* tasks of a block: setting * PASSES + pass */
	uint64_t begin_ns;
};

static double elapsed(const struct tune_run *run)
{
	return (double)(monotonic_ns() - run->begin_ns) * 1e-9;
}

static bool is_over_budget(const struct tune_run *run, double ahead)
{
	const double budget = run->session->options.budget_seconds;

	return budget > 0 && elapsed(run) + ahead > budget;
}

/* ---- one process ---- */

static void make_spec(const struct tune_session *session, const struct tune_setting *setting,
		      const struct tune_condition *condition, enum pass pass,
		      struct measure_spec *spec)
{
	*spec = session->options.plan.prototype;
	memset(&spec->cell, 0, sizeof(spec->cell));
	memcpy(spec->cell.backend, setting->backend, sizeof(spec->cell.backend));
	memcpy(spec->cell.workload, condition->workload, sizeof(spec->cell.workload));
	memcpy(spec->cell.backing, setting->backing, sizeof(spec->cell.backing));
	spec->cell.threads = condition->threads;
	spec->cell.page_size = setting->page_size;
	spec->pass = pass;
	if (pass != PASS_THROUGHPUT)
		spec->laps = 4;
}

static double aspect_value(const struct tune_session *session, const struct record *record,
			   enum tune_aspect aspect)
{
	const double *metrics = record->metrics;

	switch (aspect) {
	case TUNE_SPEED:
		return metrics[session->options.statistic];
	case TUNE_MEMORY:
		return fmax(metrics[METRIC_resident_bytes_peak], POOL_OS_PAGE);
	default:
		return sqrt(fmax(metrics[METRIC_alloc_ns_p99], LEAST_NS) *
			    fmax(metrics[METRIC_free_ns_p99], LEAST_NS));
	}
}

/* The first failure of a setting takes it out of the race; the others go on. */
static void note_failure(struct tune_session *session, unsigned index, const struct record *record)
{
	struct tune_setting *setting = &session->settings[index];

	setting->status = record->status;
	snprintf(setting->reason, sizeof(setting->reason), "%s", record->reason);
	session->entries[index].state = RACE_OUT;
}

static int measure_one(struct tune_run *run, unsigned index, unsigned c, enum pass pass,
		       unsigned repetition)
{
	struct tune_session *session = run->session;
	struct tune_setting *setting = &session->settings[index];
	struct tune_values *values = &setting->values[c];
	struct measure_spec spec;
	struct record record;
	int error;

	make_spec(session, setting, &session->conditions[c], pass, &spec);
	spec.repetition = repetition;
	error = launcher_interrupted()
			? -EINTR
			: sampler_take(&run->sampler, &spec, &spec.cell, NULL, &record);
	if (error)
		return error;
	if (record.status != CELL_OK) {
		note_failure(session, index, &record);
		return 0;
	}
	setting->seconds[pass] += record.wall_seconds;
	setting->processes[pass]++;
	for (int aspect = 0; aspect < TUNE_ASPECTS; aspect++) {
		const double value = aspect_value(session, &record, (enum tune_aspect)aspect);

		if (tune_aspect_table[aspect].pass != pass)
			continue;
		if (repetition >= TUNE_CONFIRM)
			values->confirm[aspect][repetition - TUNE_CONFIRM] = value;
		else
			values->race[aspect][repetition] = value;
	}
	return 0;
}

/* ---- a block ---- */

static bool is_weighed(const struct tune_session *session, enum pass pass)
{
	for (int aspect = 0; aspect < TUNE_ASPECTS; aspect++)
		if (tune_aspect_table[aspect].pass == pass && session->options.weights[aspect] > 0)
			return true;
	return false;
}

static void show_progress(const struct tune_run *run, unsigned block, unsigned done, unsigned all)
{
	const struct tune_session *session = run->session;
	unsigned open = 0;

	if (!isatty(STDERR_FILENO))
		return;
	for (unsigned i = 0; i < session->setting_count; i++)
		open += session->entries[i].state == RACE_OPEN;
	if (block >= TUNE_CONFIRM)
		fprintf(stderr, "\r\033[Kconfirming: pair %u of %u", block - TUNE_CONFIRM + 1,
			session->options.pairs);
	else if (block == 0)
		fprintf(stderr, "\r\033[Ksurvey: %u of %u processes", done, all);
	else
		fprintf(stderr, "\r\033[Kblock %u of at most %u: %u of %u settings open", block + 1,
			session->options.blocks, open, session->setting_count);
}

/* All tasks of a block under one condition, in random order. -ETIME: a survey's budget is spent. */
static int measure_tasks(struct tune_run *run, unsigned count, unsigned c, unsigned block)
{
	struct tune_session *session = run->session;
	int error = 0;

	sampler_shuffle(&run->sampler, c, 0, block, run->order, count);
	for (unsigned i = 0; i < count && !error; i++) {
		const unsigned index = run->order[i] / PASSES;

		show_progress(run, block, session->surveyed_processes, session->survey_processes);
		if (session->entries[index].state == RACE_OUT)
			continue;
		if (block == 0 && is_over_budget(run, 0))
			return -ETIME;
		error = measure_one(run, index, c, (enum pass)(run->order[i] % PASSES), block);
		session->surveyed_processes += block == 0;
	}
	return error;
}

/* Blocks take what is weighed, the survey memory too: of equals, the leaner is preferred. */
static bool is_due(const struct tune_session *session, enum pass pass, unsigned block)
{
	return is_weighed(session, pass) || (block == 0 && pass == PASS_MEMORY);
}

static unsigned block_tasks(const struct tune_run *run, unsigned block)
{
	const struct tune_session *session = run->session;
	unsigned count = 0;

	for (unsigned i = 0; i < session->setting_count; i++)
		for (int pass = 0; pass < PASSES && session->entries[i].state == RACE_OPEN; pass++)
			if (is_due(session, (enum pass)pass, block))
				run->order[count++] = i * PASSES + (unsigned)pass;
	return count;
}

static void score_block(struct tune_session *session, unsigned block)
{
	for (unsigned i = 0; i < session->setting_count; i++) {
		struct tune_setting *setting = &session->settings[i];
		double sum = 0;

		for (unsigned c = 0; c < session->condition_count; c++) {
			double score = 0;

			for (int aspect = 0; aspect < TUNE_ASPECTS; aspect++)
				if (session->options.weights[aspect] > 0)
					score += session->options.weights[aspect] *
						 log(setting->values[c].race[aspect][block]);
			setting->values[c].scores[block] = score;
			sum += score;
		}
		setting->scores[block] = sum / session->condition_count;
		setting->blocks += isfinite(sum);
	}
}

static int measure_block(struct tune_run *run, unsigned block)
{
	struct tune_session *session = run->session;
	unsigned *conditions = calloc(session->condition_count, sizeof(*conditions));
	int error = conditions ? 0 : -ENOMEM;

	for (unsigned c = 0; c < session->condition_count && !error; c++)
		conditions[c] = c;
	if (!error)
		sampler_shuffle(&run->sampler, UINT64_MAX, 0, block, conditions,
				session->condition_count);
	for (unsigned i = 0; i < session->condition_count && !error; i++)
		error = measure_tasks(run, block_tasks(run, block), conditions[i], block);
	free(conditions);
	if (!error)
		score_block(session, block);
	return error;
}

/* ---- the race ---- */

/* What a setting takes beside what is scored: the geometric mean of its peaks in the survey. */
static void find_costs(struct tune_session *session)
{
	for (unsigned i = 0; i < session->setting_count; i++) {
		double sum = 0;

		for (unsigned c = 0; c < session->condition_count; c++)
			sum += log(session->settings[i].values[c].race[TUNE_MEMORY][0]);
		session->entries[i].cost = exp(sum / session->condition_count);
	}
}

static int survey(struct tune_run *run)
{
	struct tune_session *session = run->session;
	int error;

	for (int pass = 0; pass < PASSES; pass++)
		if (is_due(session, (enum pass)pass, 0))
			session->survey_processes += session->setting_count *
						     session->condition_count;
	error = measure_block(run, 0);
	if (error == -ETIME) {
		session->out_of_budget = true;
		return 0;
	}
	if (error)
		return error;
	session->blocks = 1;
	session->surveyed = true;
	find_costs(session);
	return 0;
}

static unsigned open_settings(const struct tune_session *session)
{
	unsigned count = 0;

	for (unsigned i = 0; i < session->setting_count; i++)
		count += session->settings[i].status == CELL_OK;
	return count;
}

/* The confirming pairs' time, from what a process took so far. */
static double confirm_seconds(const struct tune_session *session)
{
	double seconds = 0;

	for (int pass = 0; pass < PASSES; pass++) {
		double sum = 0, processes = 0;

		for (unsigned i = 0; i < session->setting_count; i++) {
			sum += session->settings[i].seconds[pass];
			processes += session->settings[i].processes[pass];
		}
		if (processes > 0)
			seconds += sum / processes * 2 * session->condition_count *
				   session->options.pairs * (pass == PASS_THROUGHPUT ? 1 : 0.5);
	}
	return seconds;
}

/* Blocks up to the next look, as far as the budget goes; a look; until nothing is open. */
static int race(struct tune_run *run)
{
	struct tune_session *session = run->session;
	struct race *const race = &session->race;
	int error = 0;

	while (!race->over && !error && open_settings(session)) {
		const unsigned until = session->rules.blocks[race->look];
		double block_seconds = 0;

		while (session->blocks < until && !error && !session->out_of_budget) {
			const double start = elapsed(run);

			if (is_over_budget(run, block_seconds + confirm_seconds(session))) {
				session->out_of_budget = true;
				break;
			}
			error = measure_block(run, session->blocks);
			session->blocks += !error;
			block_seconds = elapsed(run) - start;
		}
		if (!error && open_settings(session))
			error = race_look(race, session->blocks, session->out_of_budget);
	}
	session->answered = !error && open_settings(session);
	return error;
}

/* ---- confirmation ---- */

/* The smallest page on the first backing with the first options; if it was not to be had, the next that was. */
static unsigned find_baseline(const struct tune_session *session)
{
	unsigned i = 0;

	while (i + 1 < session->setting_count && session->settings[i].status != CELL_OK)
		i++;
	return i;
}

static unsigned confirm_tasks(const struct tune_run *run, unsigned pair)
{
	const struct tune_session *session = run->session;
	const unsigned sides[2] = { session->race.leader, session->baseline };
	unsigned count = 0;

	for (int side = 0; side < 2; side++)
		for (int pass = 0; pass < PASSES; pass++)
			if (pass == PASS_THROUGHPUT || pair % 2 == 0)
				run->order[count++] = sides[side] * PASSES + (unsigned)pass;
	return count;
}

/* Latency and memory vary less, or are asked more coarsely: every second pair. */
static int confirm(struct tune_run *run)
{
	struct tune_session *session = run->session;
	int error = 0;

	if (session->race.leader == session->baseline)
		return 0;
	for (unsigned pair = 0; pair < session->options.pairs && !error; pair++) {
		if (is_over_budget(run, 0))
			break;
		for (unsigned c = 0; c < session->condition_count && !error; c++)
			error = measure_tasks(run, confirm_tasks(run, pair), c,
					      TUNE_CONFIRM + pair);
		if (session->settings[session->race.leader].status != CELL_OK ||
		    session->settings[session->baseline].status != CELL_OK)
			break;
		session->pairs += !error;
	}
	/* an answer that fails is none */
	session->answered = session->settings[session->race.leader].status == CELL_OK;
	return error;
}

/* ---- each condition by itself ---- */

static int judge_alone(struct tune_session *session, unsigned c)
{
	struct race_entry *entries = calloc(session->setting_count, sizeof(*entries));
	struct tune_condition *condition = &session->conditions[c];
	struct race race;
	int error = entries ? 0 : -ENOMEM;

	for (unsigned i = 0; i < session->setting_count && !error; i++) {
		entries[i] = (struct race_entry){
			.scores = session->settings[i].values[c].scores,
			.cost = session->settings[i].values[c].race[TUNE_MEMORY][0],
			.rank = i,
			.state = session->settings[i].status == CELL_OK ? RACE_OPEN : RACE_OUT,
		};
	}
	if (!error) {
		race_init(&race, &session->rules, entries, session->setting_count);
		error = race_look(&race, session->blocks, true);
	}
	if (!error) {
		condition->answer = race.leader;
		condition->settled = race.settled;
		condition->confidence = race.confidence;
	}
	free(entries);
	return error;
}

/* What neither the race nor the preference asked for, once of every setting, for the pictures; as the budget allows. */
static int survey_the_rest(struct tune_run *run)
{
	struct tune_session *session = run->session;
	int error = 0;

	for (unsigned c = 0; c < session->condition_count && !error; c++) {
		unsigned count = 0;

		for (unsigned i = 0; i < session->setting_count; i++)
			for (int pass = 0; pass < PASSES; pass++)
				if (session->entries[i].state != RACE_OUT &&
				    !is_due(session, (enum pass)pass, 0))
					run->order[count++] = i * PASSES + (unsigned)pass;
		error = measure_tasks(run, count, c, 0);
	}
	return error == -ETIME ? 0 : error;
}

static int run_all(struct tune_run *run)
{
	struct tune_session *session = run->session;
	int error = survey(run);

	if (!error && session->surveyed)
		error = race(run);
	session->baseline = find_baseline(session);
	for (unsigned c = 0; c < session->condition_count && !error && session->answered; c++)
		error = judge_alone(session, c);
	if (!error && session->answered)
		error = confirm(run);
	if (!error && session->answered)
		error = survey_the_rest(run);
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K");
	return error;
}

int tune_run(struct tune_session *session, struct run_dir *dir, char *why, size_t why_bytes)
{
	struct tune_run run = { .session = session, .begin_ns = monotonic_ns() };
	int error = sampler_open(&run.sampler, &session->options.plan, dir, ORDER_STREAM, why,
				 why_bytes);

	run.order = calloc((size_t)session->setting_count * PASSES + 2 * PASSES,
			   sizeof(*run.order));
	if (!error && !run.order)
		error = -ENOMEM;
	if (!error)
		error = run_all(&run);
	session->interrupted = launcher_interrupted();
	session->processes = run.sampler.processes;
	sampler_close(&run.sampler);
	free(run.order);
	session->seconds = elapsed(&run);
	return error == -EINTR && session->interrupted ? 0 : error;
}
