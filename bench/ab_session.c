/* Measuring and judging: phases, rounds, looks. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/ab.h"
#include "bench/clock.h"
#include "bench/sampler.h"
#include "bench/slowdown.h"

#define ORDER_STREAM  0x41424F52444552u /* keeps the order's randomness apart from the traces' */
#define POWER_DRAWS   400
#define SLOWED_SUFFIX " (slowed)"

struct session_run {
	struct ab_session *session;
	struct sampler sampler;
	uint64_t begin_ns;
};

/* ---- one process ---- */

static enum metric metric_of(const struct ab_session *session, int series)
{
	return series == AB_TIME ? session->options.statistic : ab_series_table[series].metric;
}

/* The slowed A is another cell in the records: figures must not take it for A. */
static void recorded_cell(const struct ab_cell *cell, enum ab_role role, struct cell *out)
{
	const size_t room = sizeof(out->backend) - sizeof(SLOWED_SUFFIX);

	*out = role == AB_B ? cell->b : cell->a;
	if (role == AB_SLOWED || role == AB_PILOT || (role == AB_B && cell->slow_b_steps)) {
		out->backend[strnlen(out->backend, room)] = '\0';
		strcat(out->backend, SLOWED_SUFFIX);
	}
}

static void make_spec(const struct session_run *run, const struct ab_cell *cell, enum pass pass,
		      enum ab_role role, struct measure_spec *spec)
{
	*spec = run->session->options.plan.prototype;
	spec->cell = role == AB_B ? cell->b : cell->a;
	spec->pass = pass;
	if (pass != PASS_THROUGHPUT)
		spec->laps = 4;
	if (role == AB_PILOT)
		spec->slowdown_steps = 1;
	else if (role == AB_SLOWED)
		spec->slowdown_steps = cell->slow_steps;
	else if (role == AB_B)
		spec->slowdown_steps = cell->slow_b_steps;
}

/* The record of one process, measured now or before. */
static int obtain(struct session_run *run, struct ab_cell *cell, enum pass pass, unsigned batch,
		  unsigned round, enum ab_role role, struct record *out)
{
	struct measure_spec spec;
	struct cell kept;
	const double share = run->session->options.plan.quiet_wait;
	int error;

	recorded_cell(cell, role, &kept);
	make_spec(run, cell, pass, role, &spec);
	spec.repetition = (batch * AB_BATCH + round) * AB_ROLES + role;
	for (;; spec.repetition += AB_AGAIN) {
		if (pass == PASS_THROUGHPUT)
			quiet_ask(&cell->quiet, share, run->session->options.plan.timeout_seconds,
				  &spec);
		error = sampler_take(&run->sampler, &spec, &kept,
				     spec.slowdown_steps ? SLOWED_SUFFIX : NULL, out);
		if (error || quiet_keep(&cell->quiet, share, out))
			return error;
	}
}

static void note_failure(struct ab_cell *cell, enum pass pass, enum ab_role role,
			 const struct record *record)
{
	char text[sizeof(cell->failed[pass])];

	snprintf(text, sizeof(text), "%.100s: %s: %.180s", record->cell.backend,
		 cell_status_names[record->status], record->reason);
	memcpy(cell->failed[pass], text, sizeof(text));
	cell->failed_b = cell->failed_b || (role == AB_B && record->status != CELL_SKIPPED);
}

/* ---- a round ---- */

static uint64_t place_of(unsigned batch, unsigned round)
{
	return (uint64_t)batch << 32 | round;
}

static unsigned round_roles(const struct ab_cell *cell, enum pass pass, unsigned batch,
			    unsigned *roles)
{
	unsigned count = 0;

	roles[count++] = AB_A;
	roles[count++] = AB_B;
	if (batch == 0)
		roles[count++] = AB_CONTROL;
	if (batch == 0 && pass == PASS_THROUGHPUT && cell->slow_steps)
		roles[count++] = AB_SLOWED;
	return count;
}

static int measure_round(struct session_run *run, unsigned index, enum pass pass, unsigned batch,
			 unsigned round, struct ab_round *out)
{
	struct ab_cell *cell = &run->session->cells[index];
	unsigned roles[AB_ROLES], count = round_roles(cell, pass, batch, roles);
	struct record record;
	double true_steps = NAN, time_a = NAN;

	for (int role = 0; role < AB_ROLES; role++)
		for (int series = 0; series < AB_SERIES; series++)
			out->value[role][series] = NAN;
	sampler_shuffle(&run->sampler, index, (uint64_t)pass, place_of(batch, round), roles, count);
	for (unsigned i = 0; i < count; i++) {
		int error = obtain(run, cell, pass, batch, round, (enum ab_role)roles[i], &record);

		if (error)
			return error;
		if (record.status != CELL_OK) {
			note_failure(cell, pass, (enum ab_role)roles[i], &record);
			return 0;
		}
		for (int series = 0; series < AB_SERIES; series++)
			if (ab_series_table[series].pass == pass)
				out->value[roles[i]][series] =
					record.metrics[metric_of(run->session, series)];
		if (roles[i] == AB_SLOWED)
			true_steps = slowdown_true_share(&record, 1);
		else if (roles[i] == AB_A)
			time_a = record.metrics[metric_of(run->session, AB_TIME)];
	}
	out->true_share = true_steps / time_a;
	return 0;
}

/* ---- calibration ---- */

static uint32_t steps_of(double doubling, double share)
{
	const double steps = doubling * share + 0.5;

	return steps < 1 ? steps > 0.5 : (uint32_t)fmin(steps, 1e9);
}

/*
 * By the fastest of some pilots: a neighbour makes A slower, and what is planted too large. Where they fail, so will the
 * cell's rounds, and say why.
 */
static int calibrate(struct session_run *run, struct ab_cell *cell)
{
	double steps = INFINITY; /* that would double A's time */

	for (unsigned i = 0; i < AB_PILOTS; i++) {
		struct record record;
		int error = obtain(run, cell, PASS_THROUGHPUT, 0, i, AB_PILOT, &record);

		if (error)
			return error;
		if (record.status == CELL_OK)
			steps = fmin(steps, slowdown_calibrate(&record, 1));
	}
	if (!isfinite(steps))
		steps = 0;
	cell->slow_steps = steps_of(steps, run->session->options.planted);
	cell->slow_b_steps = steps_of(steps, run->session->options.slow_b);
	return 0;
}

static int calibrate_all(struct session_run *run)
{
	int error = 0;

	if (!(run->session->options.planted > 0 || run->session->options.slow_b > 0) ||
	    !run->session->options.plan.passes[PASS_THROUGHPUT])
		return 0;
	for (unsigned i = 0; i < run->session->cell_count && !error; i++)
		error = calibrate(run, &run->session->cells[i]);
	return error;
}

/* ---- from values to logarithms ---- */

static size_t fill_logs(const struct ab_batch *batch, int series, enum ab_role role, double *logs)
{
	size_t count = 0;

	for (unsigned i = 0; i < batch->count; i++) {
		const double a = batch->rounds[i].value[AB_A][series];
		const double b = batch->rounds[i].value[role][series];

		if (isfinite(a) && isfinite(b) && a > 0 && b > 0)
			logs[count++] = log(b / a);
	}
	return count;
}

static void fill_trial(struct ab_cell *cell, int series)
{
	const enum pass pass = ab_series_table[series].pass;
	struct ab_track *track = &cell->tracks[series];
	struct trial *trial = track->trial;

	if (trial->state == TRIAL_DECIDED)
		return;
	trial->search = track->logs[0];
	trial->searched = fill_logs(&cell->search[pass], series, AB_B, track->logs[0]);
	trial->control = track->logs[1];
	trial->controls = fill_logs(&cell->search[pass], series, AB_CONTROL, track->logs[1]);
	trial->confirm = track->logs[2];
	trial->confirmed = fill_logs(&cell->confirm[pass], series, AB_B, track->logs[2]);
	track->measured = trial->searched > 0;
	if (trial->state == TRIAL_OPEN && (!track->measured || cell->failed[pass][0]))
		trial_unknown(trial);
}

static bool cell_has(const struct ab_cell *cell, enum pass pass, enum trial_state state)
{
	for (int series = 0; series < AB_SERIES; series++)
		if (ab_series_table[series].pass == pass &&
		    cell->tracks[series].trial->state == state)
			return true;
	return false;
}

/* ---- a phase ---- */

/*
 * Rounds up to `until` of every cell that holds a trial in `state`. Batch 0 goes on where it was; a confirming batch
 * starts anew.
 */
static int measure_rounds(struct session_run *run, enum pass pass, unsigned batch,
			  enum trial_state state, unsigned until)
{
	struct ab_session *session = run->session;
	unsigned *order = calloc(session->cell_count, sizeof(*order));
	int error = order ? 0 : -ENOMEM;
	unsigned from = until;

	for (unsigned i = 0; i < session->cell_count && !error; i++) {
		struct ab_cell *cell = &session->cells[i];

		order[i] = i;
		if (batch && cell_has(cell, pass, state))
			cell->confirm[pass].count = 0;
		else if (!batch && cell->search[pass].count < from)
			from = cell->search[pass].count;
	}
	for (unsigned round = batch ? 0 : from; round < until && !error; round++) {
		sampler_shuffle(&run->sampler, UINT64_MAX, (uint64_t)pass, place_of(batch, round),
				order, session->cell_count);
		for (unsigned i = 0; i < session->cell_count && !error; i++) {
			struct ab_cell *cell = &session->cells[order[i]];
			struct ab_batch *rounds = batch ? &cell->confirm[pass]
							: &cell->search[pass];

			if (!cell_has(cell, pass, state) || cell->failed[pass][0] ||
			    rounds->count != round)
				continue;
			error = launcher_interrupted()
					? -EINTR
					: measure_round(run, order[i], pass, batch, round,
							&rounds->rounds[round]);
			rounds->count += !error && !cell->failed[pass][0];
		}
		if (isatty(STDERR_FILENO))
			fprintf(stderr, "\r%s: %s %u of %u pairs ", pass_names[pass],
				batch ? "confirming," : "", round + 1, until);
	}
	free(order);
	return error;
}

static int judge(struct session_run *run, enum pass pass, unsigned look, bool final)
{
	struct ab_session *session = run->session;
	int error = 0;

	for (int series = 0; series < AB_SERIES && !error; series++) {
		if (ab_series_table[series].pass != pass)
			continue;
		for (unsigned i = 0; i < session->cell_count; i++)
			fill_trial(&session->cells[i], series);
		error = trials_look(&session->trials[(size_t)series * session->cell_count],
				    session->cell_count, &session->rules[pass], final);
	}
	if (!error)
		error = measure_rounds(run, pass, look + 1, TRIAL_SUSPECT,
				       session->rules[pass].confirm_pairs);
	for (int series = 0; series < AB_SERIES && !error; series++) {
		for (unsigned i = 0; i < session->cell_count && !error; i++) {
			struct trial *trial = session->cells[i].tracks[series].trial;

			if (ab_series_table[series].pass != pass || trial->state != TRIAL_SUSPECT)
				continue;
			fill_trial(&session->cells[i], series);
			error = trial_confirm(trial, &session->rules[pass], final);
		}
	}
	return error;
}

static bool phase_open(const struct ab_session *session, enum pass pass)
{
	for (unsigned i = 0; i < session->cell_count; i++)
		if (cell_has(&session->cells[i], pass, TRIAL_OPEN))
			return true;
	return false;
}

static int run_phase(struct session_run *run, enum pass pass)
{
	struct ab_session *session = run->session;
	const struct verdict_rules *rules = &session->rules[pass];
	int error = 0;

	for (unsigned look = 0; look < rules->looks && !error; look++) {
		const double budget = session->options.budget_seconds;
		bool final = look + 1 == rules->looks;

		if (!phase_open(session, pass))
			break;
		error = measure_rounds(run, pass, 0, TRIAL_OPEN, rules->pairs[look]);
		if (!final && budget > 0 &&
		    (double)(monotonic_ns() - run->begin_ns) * 1e-9 > budget)
			final = session->out_of_budget = true;
		if (!error)
			error = judge(run, pass, look, final);
		if (final)
			break;
	}
	return error;
}

/* ---- the end ---- */

static double median_of(const struct ab_batch *batch, enum ab_role role, int series)
{
	double values[AB_BATCH];

	for (unsigned i = 0; i < batch->count; i++)
		values[i] = series < 0 ? batch->rounds[i].true_share
				       : batch->rounds[i].value[role][series];
	return sorted_median(values, sort_finite(values, batch->count));
}

/*
 * An instrument that does not see what was planted cannot vouch that there is nothing, and one that sees a
 * difference between A and A cannot be believed about B.
 */
static void check_instrument(struct ab_track *track, const struct ab_session *session,
			     const struct verdict_rules *rules)
{
	struct trial *trial = track->trial;
	const double alpha = verdict_look_alpha(rules);
	const bool seen = track->planted.p <= alpha && track->planted.ratio > 1;

	if (trial->verdict == VERDICT_UNKNOWN)
		return;
	if (trial_control_differs(trial, rules)) {
		track->note = "A differs from A: this machine cannot be believed now";
		trial->verdict = VERDICT_INCONCLUSIVE;
	} else if (trial->verdict == VERDICT_EQUIVALENT && track->planted.pairs && !seen &&
		   session->options.planted >= trial->threshold) {
		track->note = "the planted slow-down was not seen";
		trial->verdict = VERDICT_INCONCLUSIVE;
	}
}

static int finish_track(struct ab_session *session, struct ab_cell *cell, int series)
{
	const enum pass pass = ab_series_table[series].pass;
	const struct verdict_rules *rules = &session->rules[pass];
	struct ab_track *track = &cell->tracks[series];
	const struct ab_batch *batch = &cell->search[pass];
	int error = 0;

	track->median_a = median_of(batch, AB_A, series);
	track->median_b = median_of(batch, AB_B, series);
	if (series == AB_TIME)
		error = log_ratio(track->logs[3],
				  fill_logs(batch, series, AB_SLOWED, track->logs[3]),
				  1 - verdict_look_alpha(rules), &track->planted);
	if (!error)
		error = trial_power(track->trial, rules, (unsigned)track->trial->searched,
				    rules->threshold, POWER_DRAWS,
				    session->options.plan.prototype.seed, &track->power);
	check_instrument(track, session, rules);
	return error;
}

static int finish(struct ab_session *session)
{
	bool any = false;
	int error = 0;

	session->verdict = VERDICT_IMPROVEMENT;
	for (unsigned i = 0; i < session->cell_count; i++) {
		struct ab_cell *cell = &session->cells[i];

		cell->true_share = median_of(&cell->search[PASS_THROUGHPUT], AB_SLOWED, -1);
		for (int series = 0; series < AB_SERIES && !error; series++) {
			const enum pass pass = ab_series_table[series].pass;

			if (!session->options.plan.passes[pass])
				continue;
			error = finish_track(session, cell, series);
			/* what cannot be had on this machine, and did not fail, does not gate */
			if (!session->options.gate[series] ||
			    (!cell->tracks[series].measured && !cell->failed[pass][0]))
				continue;
			any = true;
			session->verdict = verdict_worse(session->verdict,
							 cell->tracks[series].trial->verdict);
		}
	}
	if (!any)
		session->verdict = VERDICT_UNKNOWN;
	return error;
}

static int run_all(struct session_run *run)
{
	int error = calibrate_all(run);

	for (int pass = 0; pass < PASSES && !error; pass++)
		if (run->session->options.plan.passes[pass])
			error = run_phase(run, (enum pass)pass);
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%60s\r", "");
	return error;
}

/* Processor time of all processes that have ended, in seconds. */
static double children_seconds(void)
{
	struct rusage usage;

	if (getrusage(RUSAGE_CHILDREN, &usage) != 0)
		return NAN;
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

int ab_run(struct ab_session *session, struct run_dir *dir, char *why, size_t why_bytes)
{
	struct session_run run = { .session = session, .begin_ns = monotonic_ns() };
	const double processor_seconds = children_seconds();
	int error = sampler_open(&run.sampler, &session->options.plan, dir, ORDER_STREAM, why,
				 why_bytes);

	if (!error)
		error = run_all(&run);
	session->interrupted = launcher_interrupted();
	session->processes = run.sampler.processes;
	sampler_close(&run.sampler);
	session->seconds = (double)(monotonic_ns() - run.begin_ns) * 1e-9;
	session->processor_seconds = children_seconds() - processor_seconds;
	if (error == -EINTR && session->interrupted)
		return 0;
	return error ? error : finish(session);
}
