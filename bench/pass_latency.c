/*
 * The latency pass: a time stamp before and after every alloc and free of the measured laps, into one
 * histogram a thread and operation. The clock's own cost, measured in this process, is subtracted from
 * every percentile (never below zero) and kept beside them.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/clock.h"
#include "bench/team.h"

struct latency_state {
	struct histogram *times; /* [threads][2]: allocs, frees */
	size_t times_bytes;
};

static uint64_t replay_thread(struct team *team, unsigned processor, void *arg)
{
	struct latency_state *state = arg;
	const struct measure_spec *spec = team->measurement->spec;
	const struct replay *replay = &team->measurement->replay;
	const struct trace_stream *stream = &replay->trace->streams[processor];
	struct histogram *times = &state->times[2 * processor];
	uint64_t failed;

	failed = replay_events(replay, processor, 0, stream->start[TRACE_BODY]);
	barrier_wait(&team->barrier);
	for (unsigned lap = 0; lap < spec->warmup_laps + spec->laps; lap++) {
		if (lap == spec->warmup_laps) {
			histogram_init(&times[0]);
			histogram_init(&times[1]);
		}
		failed += replay_events_timed(replay, processor, stream->start[TRACE_BODY],
					      stream->count[TRACE_BODY], &times[0], &times[1]);
		barrier_wait(&team->barrier);
	}
	return failed + replay_events(replay, processor, stream->start[TRACE_EPILOGUE],
				      stream->count[TRACE_EPILOGUE]);
}

/* Percentiles of one operation, into consecutive metrics from `first` on, in the order of the list. */
static void keep_percentiles(const struct histogram *times, double ns_per_tick, double clock_ns,
			     double *metrics, enum metric first)
{
	static const double percentiles[] = { 50, 90, 99, 99.9, 99.99, 100 };

	for (size_t i = 0; i < sizeof(percentiles) / sizeof(*percentiles); i++) {
		double ns = (double)histogram_percentile(times, percentiles[i]) * ns_per_tick;

		metrics[first + (int)i] = fmax(ns - clock_ns, 0);
	}
}

struct bin_list {
	struct latency_bin *bins;
	size_t count;
	char op;
	double ns_per_tick, clock_ns;
};

static void keep_bin(void *arg, uint64_t low, uint64_t high, uint64_t count)
{
	struct bin_list *list = arg;

	list->bins[list->count++] = (struct latency_bin){
		.op = list->op,
		.low_ns = fmax((double)low * list->ns_per_tick - list->clock_ns, 0),
		.high_ns = fmax((double)high * list->ns_per_tick - list->clock_ns, 0),
		.count = count,
	};
}

static int keep_results(struct measurement *m, struct latency_state *state, unsigned threads)
{
	struct result *result = m->result;
	const double ns_per_tick = clock_ns_per_tick();
	const double clock_ns = clock_pair_ticks() * ns_per_tick;
	struct bin_list list = { .ns_per_tick = ns_per_tick, .clock_ns = clock_ns };

	for (unsigned t = 1; t < threads; t++) {
		histogram_merge(&state->times[0], &state->times[2 * t]);
		histogram_merge(&state->times[1], &state->times[2 * t + 1]);
	}
	result->record.metrics[METRIC_clock_ns] = clock_ns;
	result->record.operations = histogram_count(&state->times[0]) +
				    histogram_count(&state->times[1]);
	keep_percentiles(&state->times[0], ns_per_tick, clock_ns, result->record.metrics,
			 METRIC_alloc_ns_p50);
	keep_percentiles(&state->times[1], ns_per_tick, clock_ns, result->record.metrics,
			 METRIC_free_ns_p50);
	list.bins = calloc(2 * (size_t)HISTOGRAM_BINS, sizeof(*list.bins));
	if (!list.bins)
		return measure_fail(m, CELL_CRASHED, "out of memory");
	list.op = 'a';
	histogram_visit(&state->times[0], keep_bin, &list);
	list.op = 'f';
	histogram_visit(&state->times[1], keep_bin, &list);
	result->latency = list.bins;
	result->latency_bins = list.count;
	return 0;
}

int pass_latency(struct measurement *m)
{
	const unsigned threads = m->image.trace.processors;
	struct latency_state state = {
		.times_bytes = 2 * threads * sizeof(struct histogram),
	};
	int error;

	clock_calibrate();
	state.times = table_map(state.times_bytes);
	if (!state.times)
		return measure_fail(m, CELL_CRASHED, "out of memory for histograms");
	for (unsigned i = 0; i < 2 * threads; i++)
		histogram_init(&state.times[i]);
	error = team_run(m, replay_thread, &state);
	if (!error)
		error = keep_results(m, &state, threads);
	table_unmap(state.times, state.times_bytes);
	return error;
}
