/*
 * The latency pass: a time stamp before and after every alloc and free of the measured laps, into one
 * histogram a thread and operation. The cost of the pair of stamps, measured in this process, is subtracted
 * from every sample (never below zero) and kept beside the percentiles.
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
			histogram_clear(&times[0], tick_clock.ns_per_tick);
			histogram_clear(&times[1], tick_clock.ns_per_tick);
		}
		failed += replay_events_timed(replay, processor, stream->start[TRACE_BODY],
					      stream->count[TRACE_BODY], &times[0], &times[1]);
		barrier_wait(&team->barrier);
	}
	return failed + replay_events(replay, processor, stream->start[TRACE_EPILOGUE],
				      stream->count[TRACE_EPILOGUE]);
}

/* Percentiles of one operation, into consecutive metrics from `first` on, in the order of the list. */
static void keep_percentiles(const struct histogram *times, double *metrics, enum metric first)
{
	static const double percents[] = { 50, 90, 99, 99.9, 99.99, 100 };

	histogram_percentiles_ns(times, percents, sizeof(percents) / sizeof(*percents),
				 &metrics[first]);
}

struct bin_list {
	struct latency_bin *bins;
	size_t count;
	char op;
};

static void keep_bin(void *arg, double low_ns, double high_ns, uint64_t count)
{
	struct bin_list *list = arg;

	list->bins[list->count++] = (struct latency_bin){ list->op, low_ns, high_ns, count };
}

static int keep_results(struct measurement *m, struct latency_state *state, unsigned threads)
{
	struct result *result = m->result;
	struct histogram *allocs = &state->times[0], *frees = &state->times[1];
	struct bin_list list = { .op = 'a' };

	for (unsigned t = 1; t < threads; t++) {
		histogram_merge(allocs, &state->times[2 * t]);
		histogram_merge(frees, &state->times[2 * t + 1]);
	}
	result->record.metrics[METRIC_clock_ns] = tick_clock.pair_median_ns;
	result->record.operations = histogram_count(allocs) + histogram_count(frees);
	keep_percentiles(allocs, result->record.metrics, METRIC_alloc_ns_p50);
	keep_percentiles(frees, result->record.metrics, METRIC_free_ns_p50);
	list.bins = calloc(histogram_used_bins(allocs) + histogram_used_bins(frees) + 1u,
			   sizeof(*list.bins));
	if (!list.bins)
		return measure_fail(m, CELL_CRASHED, "out of memory");
	histogram_for_each(allocs, keep_bin, &list);
	list.op = 'f';
	histogram_for_each(frees, keep_bin, &list);
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

	ticks_initialise();
	state.times = table_map(state.times_bytes);
	if (!state.times)
		return measure_fail(m, CELL_CRASHED, "out of memory for histograms");
	for (unsigned i = 0; i < 2 * threads; i++)
		histogram_clear(&state.times[i], tick_clock.ns_per_tick);
	error = team_run(m, replay_thread, &state);
	if (!error)
		error = keep_results(m, &state, threads);
	table_unmap(state.times, state.times_bytes);
	return error;
}
