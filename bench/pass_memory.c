/*
 * The memory pass: the trace with stops. All threads meet at each checkpoint, which lies on a consistent cut
 * of the trace's real order; there one thread reads the account (account.h). An eighth of the checkpoints lie on
 * the way up (the prologue), an eighth on the way down (the drain), the others in the laps of the body.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/account.h"

#define FOOTPRINT_FLOOR_BYTES (1u << 20) /* Below this a ratio says nothing */

struct memory_state {
	struct account account;
	struct account_stage stages[TRACE_PHASES];
};

static uint64_t replay_thread(struct team *team, unsigned processor, void *arg)
{
	struct memory_state *state = arg;
	const unsigned laps = state->account.m->spec->laps;
	uint64_t failed = 0;

	for (int phase = 0; phase < TRACE_PHASES; phase++) {
		const struct account_stage *stage = &state->stages[phase];
		const unsigned times = phase == TRACE_BODY ? laps : 1;
		const unsigned first = phase == TRACE_EPILOGUE ? laps : 0;

		for (unsigned lap = first; lap < first + times; lap++)
			failed += account_replay(&state->account, team, processor, stage, lap,
						 stage->parts);
	}
	return failed;
}

/* ---- the metrics ---- */

static double ratio(double numerator, double denominator, double floor)
{
	return denominator >= floor ? numerator / denominator : NAN;
}

/* What is a mean over checkpoints: of points where there is something to take the mean of. */
static void keep_means(const struct account *account, double *metrics)
{
	double excess = 0, unusable = 0, unusable_largest = 0;
	size_t excess_points = 0, unusable_points = 0;

	for (size_t i = 0; i < account->count; i++) {
		const struct memory_point *point = &account->points[i];

		if (point->live_bytes >= FOOTPRINT_FLOOR_BYTES) {
			excess += point->resident_bytes / (double)point->live_bytes - 1;
			excess_points++;
		}
		if (!isnan(point->unusable_free_index)) {
			unusable += point->unusable_free_index;
			unusable_largest += point->unusable_free_index_largest;
			unusable_points++;
		}
	}
	metrics[METRIC_fragmentation_f1] = ratio(excess, (double)excess_points, 1);
	metrics[METRIC_unusable_free_index] = ratio(unusable, (double)unusable_points, 1);
	metrics[METRIC_unusable_free_index_largest] = ratio(unusable_largest,
							    (double)unusable_points, 1);
}

static void keep_peaks(const struct account *account, double *metrics)
{
	const struct memory_point *live = account->points, *resident = account->points;
	double block = 0, committed = -1;

	for (const struct memory_point *point = account->points;
	     point < account->points + account->count; point++) {
		if (point->live_bytes > live->live_bytes)
			live = point;
		if (point->resident_bytes > resident->resident_bytes)
			resident = point;
		block = fmax(block, (double)point->block_bytes);
		committed = fmax(committed, point->committed_bytes);
	}
	metrics[METRIC_live_bytes_peak] = (double)live->live_bytes;
	metrics[METRIC_request_bytes_max] = account->largest_request;
	metrics[METRIC_block_bytes_peak] = block > 0 ? block : NAN;
	metrics[METRIC_committed_bytes_peak] = committed >= 0 ? committed : NAN;
	metrics[METRIC_resident_bytes_peak] = resident->resident_bytes;
	metrics[METRIC_internal_fragmentation] =
		block > 0 ? 1 - ratio((double)live->live_bytes, (double)live->block_bytes, 1) : NAN;
	metrics[METRIC_external_fragmentation] =
		block > 0 ? 1 - ratio((double)live->block_bytes, live->committed_bytes, 1) : NAN;
	metrics[METRIC_header_bytes_per_block] = ratio(live->header_bytes,
						       (double)live->live_blocks, 1);
	metrics[METRIC_footprint_ratio] = ratio(resident->resident_bytes, (double)live->live_bytes,
						FOOTPRINT_FLOOR_BYTES);
	metrics[METRIC_fragmentation_f2] =
		ratio(live->resident_bytes, (double)live->live_bytes, FOOTPRINT_FLOOR_BYTES) - 1;
	metrics[METRIC_fragmentation_f3] = ratio(resident->resident_bytes,
						 (double)resident->live_bytes,
						 FOOTPRINT_FLOOR_BYTES) -
					   1;
	metrics[METRIC_fragmentation_f4] = metrics[METRIC_footprint_ratio] - 1;
}

/* After the drain: what is still held, before and after asking for it back. */
static void keep_residue(const struct account *account, double *metrics)
{
	struct measurement *m = account->m;

	metrics[METRIC_residue_bytes] = account_committed_bytes(account);
	metrics[METRIC_resident_residue_bytes] = account_resident_bytes(account);
	if (m->backend->ops->trim)
		m->backend->ops->trim(m->pool);
	metrics[METRIC_residue_after_trim_bytes] = account_committed_bytes(account);
	metrics[METRIC_resident_after_trim_bytes] = account_resident_bytes(account);
}

/* ---- the pass ---- */

static int make_stages(struct measurement *m, struct account_stage *stages, unsigned *checkpoints)
{
	const struct measure_spec *spec = m->spec;
	const unsigned edge = spec->checkpoints > 8 ? spec->checkpoints / 8 : 1;
	const unsigned middle = spec->checkpoints > 2 * edge ? spec->checkpoints - 2 * edge : 1;

	stages[TRACE_PROLOGUE].parts = stages[TRACE_EPILOGUE].parts = edge;
	stages[TRACE_BODY].parts = (middle + spec->laps - 1) / spec->laps;
	*checkpoints = 2 * edge + stages[TRACE_BODY].parts * spec->laps;
	for (int phase = 0; phase < TRACE_PHASES; phase++) {
		stages[phase].phase = (enum trace_phase)phase;
		stages[phase].cuts = replay_cuts(&m->image.trace, (enum trace_phase)phase,
						 stages[phase].parts);
		if (!stages[phase].cuts)
			return measure_fail(m, CELL_CRASHED, "out of memory");
	}
	return 0;
}

/* Pictures are of the first repetition: they differ from one to the next no more than the numbers do. */
static int plan_maps(struct account *account, unsigned checkpoints)
{
	const struct measure_spec *spec = account->m->spec;
	char why[160];

	if (spec->repetition == 0 &&
	    heap_map_plan_parse(spec->heap_map, checkpoints, &account->maps.plan, why,
				sizeof(why)) != 0)
		return measure_fail(account->m, CELL_SKIPPED, "heap map: %s", why);
	return 0;
}

static int keep(struct account *account, struct result *result)
{
	keep_means(account, result->record.metrics);
	keep_peaks(account, result->record.metrics);
	keep_residue(account, result->record.metrics);
	result->memory = malloc(sizeof(*result->memory) * (account->count + 1));
	if (!result->memory)
		return measure_fail(account->m, CELL_CRASHED, "out of memory");
	memcpy(result->memory, account->points, sizeof(*result->memory) * account->count);
	result->memory_points = account->count;
	result->record.operations = account->points[account->count - 1].event;
	return account_keep(account, result);
}

int pass_memory(struct measurement *m)
{
	struct memory_state state = { .account = { .m = m } };
	unsigned checkpoints;
	int error = make_stages(m, state.stages, &checkpoints);

	if (!error)
		error = account_open(&state.account, m, checkpoints);
	if (!error)
		error = plan_maps(&state.account, checkpoints);
	if (!error)
		error = team_run(m, replay_thread, &state);
	if (!error)
		error = account_judge(&state.account);
	if (!error)
		error = keep(&state.account, m->result);
	account_close(&state.account);
	for (int phase = 0; phase < TRACE_PHASES; phase++)
		free(state.stages[phase].cuts);
	return error;
}
