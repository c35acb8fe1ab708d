/*
 * The throughput pass: laps of the trace's body through Google Benchmark, in batches of one lap, a fixed
 * number of them, wall time; nothing but the calls is in the timed region.
 *
 * Google Benchmark starts the threads, times the region and reports the iterations. What a lap costs is taken
 * from our own clock at the lap's barriers: its threaded times and rates changed their meaning between
 * versions, and the median of laps wants each lap. A lap's wall time is from the barrier that
 * starts it to the last thread's end.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/barrier.h"
#include "bench/canary.h"
#include "bench/clock.h"
#include "bench/counters.h"
#include "bench/gbench.h"
#include "bench/measure.h"
#include "bench/slowdown.h"
#include "results/statistics.h"

#define QUIET_PAUSE_NS 5000000 /* between two looks at a core */
#define QUIET_LOOKS    3 /* in a row, after one at which it was shared */

struct thread_sums {
	_Alignas(64) struct counters counters;
	struct counter_values values;
	struct fault_counts faults;
	uint64_t failed_allocs;
	double sharing; /* what this thread's core is like before the laps, and then after them */
};

struct throughput_state {
	struct measurement *m;
	struct barrier barrier;
	atomic_bool failed;
	uint64_t operations; /* a lap, all threads */
	int64_t batch; /* the same, a thread: what Google Benchmark counts as iterations */
	uint64_t *start_ns, *end_ns; /* [laps][threads] */
	struct thread_sums *threads;
	size_t times_bytes, threads_bytes;
	unsigned quiet_looks; /* in a row */
	bool wait_on; /* for a quiet core; thread 0 decides, between two barriers */
	double commits; /* in the timed region; NaN where the backend takes pages elsewhere */
};

static void replay_phase(struct throughput_state *state, unsigned thread, enum trace_phase phase)
{
	const struct trace_stream *stream = &state->m->image.trace.streams[thread];

	state->threads[thread].failed_allocs += slowdown_replay(
		&state->m->replay, thread, stream->start[phase], stream->count[phase],
		phase == TRACE_BODY ? state->m->spec->slowdown_steps : 0);
}

/* The most that a thread's core was shared, of their last readings. */
static double worst_sharing(const struct throughput_state *state)
{
	double sharing = 0;

	for (unsigned t = 0; t < state->m->spec->cell.threads; t++)
		sharing = fmax(sharing, state->threads[t].sharing);
	return sharing;
}

/*
 * Whether to look again: never by what was measured, only by the canary, which was read `looks` times before. After
 * a look at which a core was shared, several in a row have to find it quiet: neighbours pause for breath.
 */
static bool wait_longer(struct throughput_state *state, uint64_t begin_ns, unsigned looks)
{
	const struct measure_spec *spec = state->m->spec;
	double *metrics = state->m->result->record.metrics;
	const double waited_ns = (double)(monotonic_ns() - begin_ns);
	const double sharing = worst_sharing(state);

	metrics[METRIC_canary_sharing] = sharing;
	metrics[METRIC_quiet_limit] = spec->quiet_sharing > 0 ? spec->quiet_sharing : NAN;
	metrics[METRIC_quiet_wait_ns] = waited_ns;
	if (!(spec->quiet_sharing > 0) || waited_ns >= 1e9 * spec->quiet_wait_seconds)
		return false;
	state->quiet_looks = sharing <= spec->quiet_sharing ? state->quiet_looks + 1 : 0;
	return state->quiet_looks < (looks ? QUIET_LOOKS : 1);
}

/*
 * A busy sibling thread would slow down this whole process, and not its twin a moment later (bench/quiet.h). Between
 * looks all threads sleep: what is left of the core is then another's, and who sleeps may wake up on a better one.
 */
static void await_quiet(struct throughput_state *state, unsigned thread)
{
	const struct timespec pause = { .tv_nsec = QUIET_PAUSE_NS };
	const uint64_t begin_ns = monotonic_ns();

	for (unsigned looks = 0;; looks++) {
		state->threads[thread].sharing = canary_sharing();
		barrier_wait(&state->barrier);
		if (thread == 0)
			state->wait_on = wait_longer(state, begin_ns, looks);
		barrier_wait(&state->barrier);
		if (!state->wait_on)
			return;
		nanosleep(&pause, NULL);
	}
}

/* To the steady state, and the laps that are thrown away. False: this thread or another cannot go on. */
static bool warm_up(struct throughput_state *state, unsigned thread)
{
	struct measurement *m = state->m;
	const void *foreign;

	if (measure_thread_enter(m, thread) != 0)
		atomic_store(&state->failed, true);
	barrier_wait(&state->barrier);
	if (atomic_load(&state->failed))
		return false;
	await_quiet(state, thread);
	replay_phase(state, thread, TRACE_PROLOGUE);
	barrier_wait(&state->barrier);
	for (unsigned lap = 0; lap < m->spec->warmup_laps; lap++) {
		replay_phase(state, thread, TRACE_BODY);
		barrier_wait(&state->barrier);
	}
	if (thread == 0 && (m->backend->ops->caps & POOL_CAP_NATIVE)) {
		foreign = replay_foreign_block(&m->replay, m->pages);
		if (foreign) {
			measure_fail(m, CELL_CORRUPT,
				     "block %p lies outside the backend's page sources", foreign);
			atomic_store(&state->failed, true);
		}
	}
	barrier_wait(&state->barrier);
	return !atomic_load(&state->failed);
}

static void replay_lap(struct throughput_state *state, unsigned thread, unsigned lap)
{
	const size_t at = (size_t)lap * state->m->spec->cell.threads + thread;

	barrier_wait(&state->barrier);
	state->start_ns[at] = monotonic_ns();
	replay_phase(state, thread, TRACE_BODY);
	state->end_ns[at] = monotonic_ns();
}

/* Commits so far, of both page sources; NaN for a backend that does not use them. */
static double count_commits(const struct measurement *m)
{
	double commits = 0;

	if (!(m->backend->ops->caps & POOL_CAP_NATIVE))
		return NAN;
	for (int type = 0; type < POOL_TYPES; type++) {
		struct page_source_stats stats;

		page_source_stats(m->pages[type], &stats);
		commits += (double)stats.commits;
	}
	return commits;
}

static void benchmark_thread(struct gbench_state *gbench, void *arg)
{
	struct throughput_state *state = arg;
	const unsigned thread = (unsigned)gbench_thread_index(gbench);
	struct thread_sums *sums = &state->threads[thread];
	struct fault_counts before, after;
	unsigned lap = 0;

	if (!warm_up(state, thread)) {
		gbench_skip_with_error(gbench, "the pool could not be used");
		return;
	}
	counters_open(&sums->counters, counter_hardware, COUNTER_HARDWARE, NULL, 0);
	if (thread == 0)
		state->commits = -count_commits(state->m);
	faults_read(FAULTS_OF_THREAD, &before);
	counters_start(&sums->counters);
	while (gbench_keep_running_batch(gbench, state->batch))
		replay_lap(state, thread, lap++);
	counters_stop(&sums->counters);
	faults_read(FAULTS_OF_THREAD, &after);
	sums->faults = faults_between(&before, &after);
	counters_read(&sums->counters, &sums->values);
	counters_close(&sums->counters);
	barrier_wait(&state->barrier);
	sums->sharing = canary_sharing(); /* of all threads at once, as before the laps */
	if (thread == 0)
		state->commits += count_commits(state->m);
	barrier_wait(&state->barrier);
	replay_phase(state, thread, TRACE_EPILOGUE);
	measure_thread_exit(state->m);
}

/* ---- results ---- */

static double lap_wall_ns(const struct throughput_state *state, unsigned lap)
{
	const unsigned threads = state->m->spec->cell.threads;
	uint64_t start = UINT64_MAX, end = 0;

	for (unsigned t = 0; t < threads; t++) {
		const size_t at = (size_t)lap * threads + t;

		if (state->start_ns[at] < start)
			start = state->start_ns[at];
		if (state->end_ns[at] > end)
			end = state->end_ns[at];
	}
	return (double)(end - start);
}

static int keep_laps(struct throughput_state *state)
{
	struct measurement *m = state->m;
	const unsigned laps = m->spec->laps, threads = m->spec->cell.threads;
	double *metrics = m->result->record.metrics;
	double *sorted = malloc(sizeof(*sorted) * laps);

	m->result->lap_ns_per_op = malloc(sizeof(double) * laps);
	if (!sorted || !m->result->lap_ns_per_op) {
		free(sorted);
		return measure_fail(m, CELL_CRASHED, "out of memory");
	}
	for (unsigned lap = 0; lap < laps; lap++)
		m->result->lap_ns_per_op[lap] = lap_wall_ns(state, lap) * threads /
						(double)state->operations;
	m->result->laps = laps;
	memcpy(sorted, m->result->lap_ns_per_op, sizeof(*sorted) * laps);
	sort_finite(sorted, laps);
	metrics[METRIC_ns_per_op_mean] = 0;
	for (unsigned lap = 0; lap < laps; lap++)
		metrics[METRIC_ns_per_op_mean] += sorted[lap] / laps;
	metrics[METRIC_ns_per_op] = sorted_quantile(sorted, laps, 0.5);
	metrics[METRIC_ns_per_op_q1] = sorted_quantile(sorted, laps, 0.25);
	metrics[METRIC_ns_per_op_min] = sorted_quantile(sorted, laps, 0);
	metrics[METRIC_ops_per_second] = 1e9 * threads / metrics[METRIC_ns_per_op];
	m->result->record.operations = state->operations * laps;
	free(sorted);
	return 0;
}

static void keep_counters(struct throughput_state *state)
{
	static const enum metric kept[COUNTER_HARDWARE] = {
		[COUNTER_INSTRUCTIONS] = METRIC_instructions_per_op,
		[COUNTER_CYCLES] = METRIC_cycles_per_op,
		[COUNTER_L1D_MISSES] = METRIC_l1d_misses_per_op,
		[COUNTER_DTLB_MISSES] = METRIC_dtlb_misses_per_op,
	};
	struct record *record = &state->m->result->record;
	struct fault_counts faults = { 0 };

	for (int i = 0; i < COUNTER_HARDWARE; i++) {
		double sum =
			0; /* NaN on any thread makes it NaN, and so does a group that was shared */

		for (unsigned t = 0; t < state->m->spec->cell.threads; t++)
			sum += state->threads[t].values.exact ? state->threads[t].values.value[i]
							      : NAN;
		record->metrics[kept[i]] = sum / (double)record->operations;
	}
	for (unsigned t = 0; t < state->m->spec->cell.threads; t++) {
		faults.page_faults += state->threads[t].faults.page_faults;
		faults.major_faults += state->threads[t].faults.major_faults;
	}
	record->metrics[METRIC_page_faults] = (double)faults.page_faults;
	record->metrics[METRIC_major_faults] = (double)faults.major_faults;
	record->metrics[METRIC_commits] = state->commits;
}

static void keep_error(void *arg, const struct gbench_result *result)
{
	if (result->failed)
		measure_fail(arg, CELL_CRASHED, "Google Benchmark: %s", result->error);
}

/* One family of one benchmark, run once. */
static int run_benchmark(struct throughput_state *state)
{
	struct measurement *m = state->m;
	const struct gbench_reporter reporter = { .result = keep_error, .arg = m };
	const struct gbench_outputs outputs = { .reporter = &reporter };
	struct gbench *family = gbench_register("cell", benchmark_thread, state);
	int error;

	if (!family)
		return measure_fail(m, CELL_CRASHED, "out of memory");
	gbench_threads(family, (int)m->spec->cell.threads);
	gbench_iterations(family, state->batch * m->spec->laps);
	gbench_clock(family, GBENCH_REAL_TIME);
	error = gbench_run(NULL, &outputs, NULL);
	gbench_shutdown();
	if (error)
		return measure_fail(m, CELL_CRASHED, "Google Benchmark: %s", strerror(-error));
	return m->result->record.status == CELL_OK ? 0 : -ECANCELED;
}

static int finish(struct throughput_state *state)
{
	struct measurement *m = state->m;
	uint64_t failed = 0;
	int error;

	for (unsigned t = 0; t < m->spec->cell.threads; t++)
		failed += state->threads[t].failed_allocs;
	if (failed)
		return measure_fail(m, CELL_EXHAUSTED, "%llu allocations returned NULL",
				    (unsigned long long)failed);
	error = keep_laps(state);
	if (error)
		return error;
	keep_counters(state);
	if (m->spec->slowdown_steps)
		slowdown_report(m->spec->slowdown_steps,
				slowdown_chunks(&m->image.trace, TRACE_BODY), state->operations,
				&m->result->record);
	m->result->record.metrics[METRIC_failed_allocs] = 0;
	m->result->record.metrics[METRIC_canary_sharing_after] = worst_sharing(state);
	return 0;
}

/* What this process's moment on the machine was like, before anything else touches the caches. */
static int run_canary(struct measurement *m)
{
	double *metrics = m->result->record.metrics;
	struct canary *canary = NULL;
	struct canary_times times;
	int error = canary_create(&canary);

	if (!error)
		error = canary_run(canary, &times);
	canary_destroy(canary);
	if (error == -EILSEQ)
		return measure_fail(m, CELL_UNTRUSTED, "the canary computed a wrong result");
	if (error)
		return measure_fail(m, CELL_CRASHED, "canary: %s", strerror(-error));
	metrics[METRIC_canary_arithmetic_ns] = times.arithmetic_ns;
	metrics[METRIC_canary_memory_ns] = times.memory_ns;
	return 0;
}

int pass_throughput(struct measurement *m)
{
	const unsigned threads = m->spec->cell.threads;
	struct throughput_state state = {
		.m = m,
		.operations = replay_operations(&m->image.trace, TRACE_BODY),
		.times_bytes = 2 * sizeof(uint64_t) * m->spec->laps * threads,
		.threads_bytes = sizeof(struct thread_sums) * threads,
	};
	int error = 0;

	state.batch = (int64_t)(state.operations / threads);
	if (state.batch == 0)
		return measure_fail(m, CELL_SKIPPED, "the trace's body holds no operation");
	barrier_init(&state.barrier, threads);
	state.start_ns = table_map(state.times_bytes);
	state.threads = table_map(state.threads_bytes);
	if (!state.start_ns || !state.threads) {
		error = measure_fail(m, CELL_CRASHED, "out of memory for time stamps");
	} else {
		state.end_ns = state.start_ns + (size_t)m->spec->laps * threads;
		error = run_canary(m);
	}
	if (!error) {
		error = run_benchmark(&state);
	}
	if (!error)
		error = finish(&state);
	table_unmap(state.start_ns, state.times_bytes);
	table_unmap(state.threads, state.threads_bytes);
	return error;
}
