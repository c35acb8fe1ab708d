/*
 * What verification costs: a lap of a workload with every block verified, as `poolbench stress` plays it, over the
 * same lap replayed by the throughput pass's loop, in turns in one process, on pools of the same backend. Processor
 * time, which other processes add little to: the verified lap is long enough to be interrupted, the other seldom is.
 *
 * Prints a table, and fails where verification costs more than the ratio given as the first argument (default 10, the
 * figure to reach) in the cell that is fastest without it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "bench/clock.h"
#include "bench/replay.h"
#include "bench/stress.h"
#include "results/statistics.h"
#include "workloads/workload.h"

#define LAPS   15
#define EVENTS 200000

static const char *const backends[] = { "magazine", "slub", "nt-pool", "tlsf" };

/* Nanoseconds a lap, written by the child. */
static struct figures {
	double verified[LAPS], plain[LAPS];
} * figures;

static void play_plain(struct replay *replay, enum trace_phase phase)
{
	const struct trace_stream *stream = &replay->trace->streams[0];

	if (replay->ops->thread_enter)
		replay->ops->thread_enter(replay->pool, 0);
	replay_events(replay, 0, stream->start[phase], stream->count[phase]);
	if (replay->ops->thread_exit)
		replay->ops->thread_exit(replay->pool);
}

static void open_run(struct stress_run *run, const struct stress_round *round,
		     const struct trace *trace, struct finding *finding)
{
	char why[256];

	stress_run_init(run, round, trace, finding);
	stress_open_sources(run);
	if (stress_open_pool(run, why, sizeof(why)) != 0)
		finding_report("create", NULL, "%s", why);
}

/* One thread: the verified one's, which stress_stage starts, is part of what it costs. */
static void play_both(const struct stress_round *round, const struct trace *trace,
		      struct finding *finding)
{
	struct stress_run run, bare;
	struct replay replay;

	open_run(&run, round, trace, finding);
	open_run(&bare, round, trace, finding);
	if (replay_create((struct trace *)(uintptr_t)trace, bare.ops, bare.pool, TOUCH_TRACE,
			  &replay) != 0)
		finding_report("harness", NULL, "out of memory");
	stress_stage(&run, TRACE_PROLOGUE, 0, "prologue");
	play_plain(&replay, TRACE_PROLOGUE);
	for (int lap = -1; lap < LAPS; lap++) { /* the first one is for the caches */
		const uint64_t start = clock_read_ns(CLOCK_PROCESS_CPUTIME_ID);
		uint64_t between;

		stress_stage(&run, TRACE_BODY, 0, "lap");
		between = clock_read_ns(CLOCK_PROCESS_CPUTIME_ID);
		play_plain(&replay, TRACE_BODY);
		if (lap >= 0) {
			figures->verified[lap] = (double)(between - start);
			figures->plain[lap] = (double)(clock_read_ns(CLOCK_PROCESS_CPUTIME_ID) -
						       between);
		}
	}
	/* The process ends here, and the pools with it. */
}

/* Median nanoseconds an event. */
static double event_ns(double *lap_ns, uint64_t events)
{
	sort_finite(lap_ns, LAPS);
	return sorted_median(lap_ns, LAPS) / (double)events;
}

struct cell {
	double plain_ns, ratio;
};

static struct cell measure(const char *spec, const char *workload, struct finding *finding)
{
	struct stress_round round = { .scenario = STRESS_WORKLOADS,
				      .seed = 1,
				      .processors = 1,
				      .page_size = 4096,
				      .laps = 1 };
	struct backend *backend;
	struct trace *trace;
	struct cell cell;
	uint64_t events;
	char why[256];

	if (workload_trace(workload, 1, EVENTS, 1, &trace, why, sizeof(why)) != 0 ||
	    backend_open(spec, &backend, why, sizeof(why)) != 0) {
		fprintf(stderr, "perf_verify: %s\n", why);
		exit(1);
	}
	round.backend = backend;
	if (stress_child(play_both, &round, trace, 60, finding) != 0 || finding->rule[0]) {
		fprintf(stderr, "perf_verify: %s, %s: %s: %s\n", spec, workload, finding->rule,
			finding->text);
		exit(1);
	}
	events = trace_phase_events(trace, TRACE_BODY);
	cell.plain_ns = event_ns(figures->plain, events);
	cell.ratio = event_ns(figures->verified, events) / cell.plain_ns;
	printf("%-12s %-18s %12.1f %12.1f %8.1f\n", spec, workload, cell.plain_ns,
	       cell.plain_ns * cell.ratio, cell.ratio);
	fflush(stdout);
	backend_close(backend);
	trace_destroy(trace);
	return cell;
}

int main(int argc, char **argv)
{
	const double bound = argc > 1 ? atof(argv[1]) : 10.0;
	struct finding *finding = finding_create();
	struct cell fastest = { 1e9, 0 };

	figures = mmap(NULL, sizeof(*figures), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	if (!finding || figures == MAP_FAILED)
		return 1;
	printf("%-12s %-18s %12s %12s %8s\n", "backend", "workload", "ns an event", "verified",
	       "times");
	for (size_t b = 0; b < sizeof(backends) / sizeof(*backends); b++) {
		for (int w = 0; workloads[w]; w++) {
			const struct cell cell = measure(backends[b], workloads[w]->name, finding);

			if (cell.plain_ns < fastest.plain_ns)
				fastest = cell;
		}
	}
	printf("fastest cell: %.1f ns an event, %.1f times that when verified; %.0f times are "
	       "wanted\n",
	       fastest.plain_ns, fastest.ratio, bound);
	return fastest.ratio > bound;
}
