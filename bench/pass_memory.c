/*
 * The memory pass: the trace with stops. All threads meet at each checkpoint, which lies on a consistent cut
 * of the trace's real order; there one thread reads the account: what callers hold (from the events), what
 * their blocks take (from the backend), what is committed (from the page sources), what is resident (from
 * the kernel) and, where the backend can be walked, where every committed byte went.
 *
 * Resident is read the same way for all backends: anonymous and huge-page bytes of the process by
 * smaps_rollup, less what was there before the backend came; a paging file's pages, which are not anonymous,
 * are added from the page source. All tables of the harness are faulted in before that first reading.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/team.h"
#include "bench/waste.h"

#define EDGE_PARTS            24 /* checkpoints on the way up (prologue) and on the way down (drain) */
#define FOOTPRINT_FLOOR_BYTES (1u << 20) /* Below this a ratio says nothing */

struct memory_state {
	struct measurement *m;
	struct replay_sums *sums; /* [threads] */
	struct tag_total *tags; /* [trace tags] */
	struct memory_point *points;
	size_t count, capacity;
	unsigned parts[TRACE_PHASES]; /* checkpoints of the prologue, of a lap, of the drain */
	uint64_t *cuts[TRACE_PHASES];
};

/* ---- the account ---- */

static void sum_threads(const struct memory_state *state, struct memory_point *point)
{
	const struct trace *trace = &state->m->image.trace;

	for (unsigned p = 0; p < trace->processors; p++) {
		point->live_bytes += (uint64_t)state->sums[p].live_bytes;
		point->live_blocks += (uint64_t)state->sums[p].live_blocks;
		point->block_bytes += (uint64_t)state->sums[p].block_bytes;
		point->event += state->sums[p].operations;
	}
}

static void update_tags(struct memory_state *state)
{
	const struct trace *trace = &state->m->image.trace;

	for (unsigned t = 0; t < trace->tags; t++) {
		struct tag_total *total = &state->tags[t];
		uint64_t live_bytes = 0;

		total->allocs = total->frees = total->bytes_allocated = 0;
		for (unsigned p = 0; p < trace->processors; p++) {
			const struct replay_tag_sums *sums = &state->sums[p].tags[t];

			total->allocs += sums->allocs;
			total->frees += sums->frees;
			total->bytes_allocated += sums->bytes_allocated;
			live_bytes += (uint64_t)sums->live_bytes;
		}
		if (live_bytes > total->live_peak_bytes)
			total->live_peak_bytes = live_bytes;
		if (total->allocs - total->frees > total->live_peak_blocks)
			total->live_peak_blocks = total->allocs - total->frees;
	}
}

static double committed_bytes(const struct measurement *m)
{
	double bytes = 0;

	if (!(m->backend->ops->caps & POOL_CAP_NATIVE))
		return NAN;
	for (int type = 0; type < POOL_TYPES; type++) {
		struct page_source_stats stats;

		page_source_stats(m->pages[type], &stats);
		bytes += (double)stats.committed_bytes;
	}
	return bytes;
}

static double resident_bytes(const struct measurement *m)
{
	double bytes = measure_resident_bytes(m);
	size_t paged;

	if (m->spec->paging_file && page_source_resident(m->pages[POOL_PAGED], &paged) == 0)
		bytes += (double)paged;
	return bytes;
}

/* Called by one thread while the others wait at the barrier. */
static void take_checkpoint(struct memory_state *state, unsigned lap)
{
	struct measurement *m = state->m;
	struct memory_point *point;

	if (state->count == state->capacity)
		return;
	point = &state->points[state->count++];
	memset(point, 0, sizeof(*point));
	point->lap = lap;
	sum_threads(state, point);
	update_tags(state);
	point->resident_bytes = resident_bytes(m);
	point->committed_bytes = committed_bytes(m);
	waste_measure(m->backend->ops, m->pool, point);
}

/* ---- the replay ---- */

static void checkpoint_together(struct team *team, struct memory_state *state, unsigned processor,
				unsigned lap)
{
	barrier_wait(&team->barrier);
	if (processor == 0)
		take_checkpoint(state, lap);
	barrier_wait(&team->barrier);
}

static uint64_t replay_phase(struct team *team, struct memory_state *state, unsigned processor,
			     enum trace_phase phase, unsigned lap)
{
	const struct replay *replay = &state->m->replay;
	const unsigned n = replay->trace->processors;
	const uint64_t *cut = &state->cuts[phase][processor];
	uint64_t failed = 0;

	for (unsigned part = 0; part < state->parts[phase]; part++, cut += n) {
		failed += replay_events_counted(replay, processor, cut[0], cut[n] - cut[0],
						&state->sums[processor]);
		checkpoint_together(team, state, processor, lap);
	}
	return failed;
}

static uint64_t replay_thread(struct team *team, unsigned processor, void *arg)
{
	struct memory_state *state = arg;
	const unsigned laps = state->m->spec->laps;
	uint64_t failed;

	failed = replay_phase(team, state, processor, TRACE_PROLOGUE, 0);
	for (unsigned lap = 0; lap < laps; lap++)
		failed += replay_phase(team, state, processor, TRACE_BODY, lap);
	return failed + replay_phase(team, state, processor, TRACE_EPILOGUE, laps);
}

/* ---- the metrics ---- */

static double ratio(double numerator, double denominator, double floor)
{
	return denominator >= floor ? numerator / denominator : NAN;
}

static void keep_peaks(const struct memory_state *state, double *metrics)
{
	size_t live_peak = 0, resident_peak = 0;
	double block = 0, committed = -1, excess = 0, unusable = 0;
	size_t excess_points = 0, unusable_points = 0;
	const struct memory_point *at;

	for (size_t i = 0; i < state->count; i++) {
		const struct memory_point *point = &state->points[i];

		if (point->live_bytes > state->points[live_peak].live_bytes)
			live_peak = i;
		if (point->resident_bytes > state->points[resident_peak].resident_bytes)
			resident_peak = i;
		block = fmax(block, (double)point->block_bytes);
		committed = fmax(committed, point->committed_bytes);
		if (point->live_bytes >= FOOTPRINT_FLOOR_BYTES) {
			excess += point->resident_bytes / (double)point->live_bytes - 1;
			excess_points++;
		}
		if (!isnan(point->unusable_free_index)) {
			unusable += point->unusable_free_index;
			unusable_points++;
		}
	}
	at = &state->points[live_peak];
	metrics[METRIC_live_bytes_peak] = (double)at->live_bytes;
	metrics[METRIC_block_bytes_peak] = block > 0 ? block : NAN;
	metrics[METRIC_committed_bytes_peak] = committed >= 0 ? committed : NAN;
	metrics[METRIC_resident_bytes_peak] = state->points[resident_peak].resident_bytes;
	metrics[METRIC_internal_fragmentation] =
		block > 0 ? 1 - ratio((double)at->live_bytes, (double)at->block_bytes, 1) : NAN;
	metrics[METRIC_external_fragmentation] =
		block > 0 ? 1 - ratio((double)at->block_bytes, at->committed_bytes, 1) : NAN;
	metrics[METRIC_header_bytes_per_block] = ratio(at->header_bytes, (double)at->live_blocks,
						       1);
	metrics[METRIC_footprint_ratio] = ratio(state->points[resident_peak].resident_bytes,
						(double)at->live_bytes, FOOTPRINT_FLOOR_BYTES);
	metrics[METRIC_fragmentation_f1] = ratio(excess, (double)excess_points, 1);
	metrics[METRIC_fragmentation_f2] =
		ratio(at->resident_bytes, (double)at->live_bytes, FOOTPRINT_FLOOR_BYTES) - 1;
	metrics[METRIC_fragmentation_f3] = ratio(state->points[resident_peak].resident_bytes,
						 (double)state->points[resident_peak].live_bytes,
						 FOOTPRINT_FLOOR_BYTES) -
					   1;
	metrics[METRIC_fragmentation_f4] = metrics[METRIC_footprint_ratio] - 1;
	metrics[METRIC_unusable_free_index] = ratio(unusable, (double)unusable_points, 1);
}

/* After the drain: what is still held, before and after asking for it back. */
static void keep_residue(struct memory_state *state, double *metrics)
{
	struct measurement *m = state->m;

	metrics[METRIC_residue_bytes] = committed_bytes(m);
	metrics[METRIC_resident_residue_bytes] = resident_bytes(m);
	if (m->backend->ops->trim)
		m->backend->ops->trim(m->pool);
	metrics[METRIC_residue_after_trim_bytes] = committed_bytes(m);
}

static int check_promises(struct memory_state *state)
{
	struct measurement *m = state->m;
	char why[256] = "";

	for (unsigned p = 0; p < m->image.trace.processors; p++)
		if (state->sums[p].broken)
			return measure_fail(m, CELL_CORRUPT, "%s (block %p, %u bytes)",
					    state->sums[p].broken, state->sums[p].broken_block,
					    state->sums[p].broken_bytes);
	if (m->backend->ops->check && m->backend->ops->check(m->pool, why, sizeof(why)) != 0)
		return measure_fail(m, CELL_CORRUPT, "check after the drain: %s", why);
	return 0;
}

static int keep_tags(struct memory_state *state, struct result *result)
{
	const struct trace *trace = &state->m->image.trace;

	for (unsigned t = 0; t < trace->tags; t++) {
		struct tag_total *total = &state->tags[t];

		for (int i = 0; i < 4; i++)
			total->tag[i] = (char)(trace->tag_table[t].tag >> (8 * i) & 0xFF);
		snprintf(total->name, sizeof(total->name), "%s", trace->tag_table[t].name);
	}
	for (unsigned p = 0; p < trace->processors; p++) {
		const struct trace_stream *stream = &trace->streams[p];

		for (uint64_t i = 0; i < stream->total; i++)
			if (stream->events[i].kind == TRACE_ALLOC)
				state->tags[stream->events[i].tag].pool =
					stream->events[i].flags & TRACE_PAGED ? 'P' : 'N';
	}
	result->tags = malloc(sizeof(*result->tags) * (trace->tags + 1u));
	result->memory = malloc(sizeof(*result->memory) * (state->count + 1));
	if (!result->tags || !result->memory)
		return measure_fail(state->m, CELL_CRASHED, "out of memory");
	memcpy(result->tags, state->tags, sizeof(*result->tags) * trace->tags);
	memcpy(result->memory, state->points, sizeof(*result->memory) * state->count);
	result->tag_totals = trace->tags;
	result->memory_points = state->count;
	return 0;
}

struct memory_tables {
	void *block;
	size_t bytes;
};

/* One mapping for everything that the pass writes, so that none of it lies in a heap under test. */
static int map_tables(struct memory_state *state, struct memory_tables *tables)
{
	const struct trace *trace = &state->m->image.trace;
	const unsigned threads = trace->processors;
	const size_t sums = sizeof(*state->sums) * threads;
	const size_t thread_tags = sizeof(struct replay_tag_sums) * (trace->tags + 4u);
	const size_t totals = sizeof(*state->tags) * (trace->tags + 1u);
	char *at;

	state->capacity = (size_t)state->parts[TRACE_BODY] * state->m->spec->laps +
			  state->parts[TRACE_PROLOGUE] + state->parts[TRACE_EPILOGUE] + 1;
	tables->bytes = sums + thread_tags * threads + totals +
			sizeof(*state->points) * state->capacity + 4096;
	at = tables->block = table_map(tables->bytes);
	if (!at)
		return measure_fail(state->m, CELL_CRASHED, "out of memory for checkpoints");
	state->points = (struct memory_point *)(void *)at;
	at += sizeof(*state->points) * state->capacity;
	state->sums = (struct replay_sums *)(void *)at;
	at += sums;
	for (unsigned p = 0; p < threads; p++, at += thread_tags)
		state->sums[p].tags = (struct replay_tag_sums *)(void *)at;
	state->tags = (struct tag_total *)(void *)at;
	return 0;
}

static int make_cuts(struct memory_state *state)
{
	const struct measure_spec *spec = state->m->spec;

	state->parts[TRACE_PROLOGUE] = state->parts[TRACE_EPILOGUE] = EDGE_PARTS;
	state->parts[TRACE_BODY] = (spec->checkpoints + spec->laps - 1) / spec->laps;
	for (int phase = 0; phase < TRACE_PHASES; phase++) {
		state->cuts[phase] = replay_cuts(&state->m->image.trace, (enum trace_phase)phase,
						 state->parts[phase]);
		if (!state->cuts[phase])
			return measure_fail(state->m, CELL_CRASHED, "out of memory");
	}
	return 0;
}

int pass_memory(struct measurement *m)
{
	struct memory_state state = { .m = m };
	struct memory_tables tables = { 0 };
	struct record *record = &m->result->record;
	int error = make_cuts(&state);

	if (!error)
		error = map_tables(&state, &tables);
	if (!error)
		error = team_run(m, replay_thread, &state);
	if (!error)
		error = check_promises(&state);
	if (!error) {
		keep_peaks(&state, record->metrics);
		keep_residue(&state, record->metrics);
		for (unsigned p = 0; p < m->image.trace.processors; p++)
			record->operations += state.sums[p].operations;
		error = keep_tags(&state, m->result);
	}
	table_unmap(tables.block, tables.bytes);
	for (int phase = 0; phase < TRACE_PHASES; phase++)
		free(state.cuts[phase]);
	return error;
}
