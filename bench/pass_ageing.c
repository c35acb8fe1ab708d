/*
 * The ageing pass: the account (account.h) over a trace of many laps (workloads/ageing.h). Each lap has as many
 * checkpoints, the last of them where its own work is drained and survivors alone are left; one more stands behind the
 * last lap, when they are gone too. The first and the last lap do the same work: what differs is age.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/account.h"
#include "workloads/ageing.h"

#define FOOTPRINT_FLOOR_BYTES (1u << 20) /* Below this a ratio says nothing */
#define CHECKPOINT_SHARE      10 /* of a lap, of what the memory pass has */
#define CHECKPOINTS_LEAST     8 /* a lap */

struct ageing_state {
	struct account account;
	struct account_stage stage;
	unsigned laps, parts_per_lap;
};

static uint64_t replay_thread(struct team *team, unsigned processor, void *arg)
{
	struct ageing_state *state = arg;

	return account_replay(&state->account, team, processor, &state->stage, 0,
			      state->parts_per_lap);
}

/* Where the checkpoints stand: each lap in equal parts, then the rest. */
static int make_stage(struct measurement *m, struct ageing_state *state)
{
	const struct trace *trace = &m->image.trace;
	const unsigned share = m->spec->checkpoints / CHECKPOINT_SHARE;
	uint64_t *lap_ends, *ends, begin = 0;
	size_t part = 0;

	state->parts_per_lap = share > CHECKPOINTS_LEAST ? share : CHECKPOINTS_LEAST;
	state->laps = (unsigned)ageing_lap_ends(trace, NULL, 0);
	state->stage.phase = TRACE_BODY;
	state->stage.parts = state->laps * state->parts_per_lap + 1;
	lap_ends = malloc(sizeof(*lap_ends) * (state->laps + 1u));
	ends = malloc(sizeof(*ends) * state->stage.parts);
	if (lap_ends && ends) {
		ageing_lap_ends(trace, lap_ends, state->laps);
		for (unsigned lap = 0; lap < state->laps; begin = lap_ends[lap++])
			for (unsigned i = 1; i <= state->parts_per_lap; i++)
				ends[part++] = begin +
					       (lap_ends[lap] - begin) * i / state->parts_per_lap;
		ends[part] = trace_phase_events(trace, TRACE_BODY);
		state->stage.cuts = replay_cuts_at(trace, TRACE_BODY, ends, state->stage.parts);
	}
	free(lap_ends);
	free(ends);
	return state->stage.cuts ? 0 : measure_fail(m, CELL_CRASHED, "out of memory");
}

/* ---- the metrics ---- */

struct lap_peaks {
	double live, resident, waste;
};

static struct lap_peaks peaks_of(const struct ageing_state *state, unsigned lap)
{
	const struct memory_point *point =
		&state->account.points[(size_t)lap * state->parts_per_lap];
	struct lap_peaks peaks = { 0 };

	for (unsigned i = 0; i < state->parts_per_lap; i++, point++) {
		peaks.live = fmax(peaks.live, (double)point->live_bytes);
		peaks.resident = fmax(peaks.resident, point->resident_bytes);
		peaks.waste = fmax(peaks.waste, point->resident_bytes - (double)point->live_bytes);
	}
	return peaks;
}

static double footprint(double resident, double live)
{
	return live >= FOOTPRINT_FLOOR_BYTES ? resident / live : NAN;
}

static void keep_metrics(const struct ageing_state *state, double *metrics)
{
	const struct lap_peaks first = peaks_of(state, 0), last = peaks_of(state, state->laps - 1);
	const struct memory_point *end = &state->account.points[state->account.count - 1];
	const struct memory_point *pinned = end - 1;

	metrics[METRIC_ageing_laps] = state->laps;
	metrics[METRIC_ageing_footprint_first] = footprint(first.resident, first.live);
	metrics[METRIC_ageing_footprint_last] = footprint(last.resident, last.live);
	metrics[METRIC_ageing_footprint_growth] = metrics[METRIC_ageing_footprint_last] /
						  metrics[METRIC_ageing_footprint_first];
	metrics[METRIC_ageing_waste_first_bytes] = first.waste;
	metrics[METRIC_ageing_waste_last_bytes] = last.waste;
	metrics[METRIC_ageing_pinned_ratio] = footprint(pinned->resident_bytes,
							(double)pinned->live_bytes);
	metrics[METRIC_ageing_residue_bytes] = end->resident_bytes;
}

static int keep(struct ageing_state *state, struct result *result)
{
	const struct account *account = &state->account;

	keep_metrics(state, result->record.metrics);
	result->ageing = malloc(sizeof(*result->ageing) * (account->count + 1));
	if (!result->ageing)
		return measure_fail(account->m, CELL_CRASHED, "out of memory");
	memcpy(result->ageing, account->points, sizeof(*result->ageing) * account->count);
	result->ageing_points = account->count;
	result->record.operations = account->points[account->count - 1].event;
	return 0;
}

int pass_ageing(struct measurement *m)
{
	struct ageing_state state = { .account = { .m = m } };
	int error = make_stage(m, &state);

	if (!error && state.laps < 2)
		error = measure_fail(m, CELL_CRASHED, "the trace is no ageing trace");
	if (!error)
		error = account_open(&state.account, m, state.stage.parts);
	if (!error)
		error = team_run(m, replay_thread, &state);
	if (!error)
		error = account_judge(&state.account);
	if (!error)
		error = keep(&state, m->result);
	account_close(&state.account);
	free(state.stage.cuts);
	return error;
}
