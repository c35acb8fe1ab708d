/*
 * What the harness itself costs: the replay loop through the null backend against a hand-written loop that
 * makes the same indirect calls over the same events, interleaved in one process. The hand-written loop keeps a
 * plain table of blocks and waits for nobody; what the replay adds are the slots' acquire and release.
 *
 * Prints a table and fails where the replay is slower than the loop by more than the ratio given as the first
 * argument (default 1.10, the figure to reach).
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allocators/pages.h"
#include "allocators/registry.h"
#include "bench/barrier.h"
#include "bench/clock.h"
#include "bench/replay.h"
#include "results/statistics.h"
#include "workloads/workload.h"

#define ROUNDS      41
#define EVENTS      200000
#define MAX_THREADS 2

struct floor_state {
	struct trace *trace;
	struct replay replay;
	void **blocks;
	const struct pool_backend *ops;
	struct pool *pool;
	struct barrier barrier;
	double ns[2][ROUNDS]; /* by hand, replay: wall time of a lap */
	uint64_t end_ns[MAX_THREADS];
};

struct floor_thread {
	struct floor_state *state;
	unsigned processor;
};

/* The calls, and nothing that a replay needs besides. */
static void replay_by_hand(const struct floor_state *state, unsigned processor, uint64_t first,
			   uint64_t count)
{
	const struct trace_event *event = state->trace->streams[processor].events + first;
	const struct trace_event *end = event + count;
	const uint32_t *tags = state->replay.tags;
	void **blocks = state->blocks;
	struct pool *pool = state->pool;
	void *(*const alloc)(struct pool *, enum pool_type, size_t, uint32_t) = state->ops->alloc;
	void (*const release)(struct pool *, void *, uint32_t) = state->ops->free;

	for (; event < end; event++) {
		if (event->kind == TRACE_ALLOC) {
			void *block = alloc(pool, event->flags & TRACE_PAGED, event->bytes,
					    tags[event->tag]);

			for (uint32_t done = 0; done < event->touch; done += 64)
				*(volatile uint64_t *)(void *)((char *)block + done) = done;
			blocks[event->slot] = block;
		} else if (event->kind == TRACE_FREE) {
			release(pool, blocks[event->slot], tags[event->tag]);
			blocks[event->slot] = NULL;
		}
	}
}

static void lap(struct floor_state *state, unsigned processor, int which, unsigned round)
{
	const struct trace_stream *stream = &state->trace->streams[processor];
	uint64_t start;

	barrier_wait(&state->barrier);
	start = monotonic_ns();
	if (which == 0)
		replay_by_hand(state, processor, stream->start[TRACE_BODY],
			       stream->count[TRACE_BODY]);
	else
		replay_events(&state->replay, processor, stream->start[TRACE_BODY],
			      stream->count[TRACE_BODY]);
	state->end_ns[processor] = monotonic_ns();
	barrier_wait(&state->barrier);
	if (processor == 0) {
		uint64_t end = 0;

		for (unsigned p = 0; p < state->trace->processors; p++)
			if (state->end_ns[p] > end)
				end = state->end_ns[p];
		state->ns[which][round] = (double)(end - start);
	}
}

static void *run_thread(void *arg)
{
	struct floor_thread *thread = arg;
	struct floor_state *state = thread->state;
	const struct trace_stream *stream = &state->trace->streams[thread->processor];

	state->ops->thread_enter(state->pool, thread->processor);
	replay_by_hand(state, thread->processor, 0, stream->start[TRACE_BODY]);
	barrier_wait(&state->barrier);
	replay_events(&state->replay, thread->processor, 0, stream->start[TRACE_BODY]);
	for (unsigned round = 0; round < ROUNDS; round++) {
		/* Which goes first alternates, so that neither always finds the other's cache. */
		lap(state, thread->processor, (int)(round & 1), round);
		lap(state, thread->processor, (int)(~round & 1), round);
	}
	state->ops->thread_exit(state->pool);
	return NULL;
}

static void run_threads(struct floor_state *state)
{
	struct floor_thread threads[MAX_THREADS];
	pthread_t ids[MAX_THREADS];

	barrier_init(&state->barrier, state->trace->processors);
	for (unsigned p = 0; p < state->trace->processors; p++) {
		threads[p] = (struct floor_thread){ state, p };
		if (pthread_create(&ids[p], NULL, run_thread, &threads[p]) != 0)
			abort();
	}
	for (unsigned p = 0; p < state->trace->processors; p++)
		pthread_join(ids[p], NULL);
}

/* The null backend is taken from the registry, so that the calls are as indirect as in a run. */
static void open_floor(struct floor_state *state, const char *workload, unsigned threads)
{
	struct pool_config config = { .page_size = 4096, .processors = threads };
	struct backend *backend = NULL;
	char why[256];
	int error = workload_trace(workload, threads, EVENTS, 1, &state->trace, why, sizeof(why));

	if (!error)
		error = backend_open("null", &backend, why, sizeof(why));
	for (int type = 0; !error && type < POOL_TYPES; type++) {
		const struct page_source_config pages = {
			.type = (enum pool_type)type,
			.page_size = 4096,
			.node = -1,
		};

		error = page_source_create(&pages, &config.pages[type], why, sizeof(why));
	}
	if (!error)
		error = backend_create_pool(backend, &config, &state->pool, why, sizeof(why));
	if (!error)
		error = replay_create(state->trace, backend->ops, state->pool, TOUCH_TRACE,
				      &state->replay);
	if (error) {
		fprintf(stderr, "perf_floor: %s: %s\n", workload, why);
		exit(1);
	}
	state->ops = backend->ops;
	state->blocks = table_map(sizeof(void *) * ((size_t)state->trace->slots + 1));
}

/* The median ratio of interleaved laps, and the replay's own ns an event. */
static double measure_floor(const char *workload, unsigned threads, double *event_ns)
{
	static struct floor_state state;
	double ratios[ROUNDS], ns[ROUNDS];
	uint64_t events = 0;

	memset(&state, 0, sizeof(state));
	open_floor(&state, workload, threads);
	run_threads(&state);
	for (unsigned p = 0; p < threads; p++)
		events += state.trace->streams[p].count[TRACE_BODY];
	for (int i = 0; i < ROUNDS; i++) {
		ratios[i] = state.ns[1][i] / state.ns[0][i];
		ns[i] = state.ns[1][i] * threads / (double)events;
	}
	sort_finite(ratios, ROUNDS);
	sort_finite(ns, ROUNDS);
	*event_ns = sorted_median(ns, ROUNDS);
	return sorted_median(ratios, ROUNDS);
}

int main(int argc, char **argv)
{
	const double bound = argc > 1 ? atof(argv[1]) : 1.10;
	int status = 0;

	printf("%-18s %7s %12s %22s\n", "workload", "threads", "ns an event", "replay / by hand");
	for (int w = 0; workloads[w]; w++) {
		for (unsigned threads = 1; threads <= MAX_THREADS; threads++) {
			double event_ns;
			double ratio = measure_floor(workloads[w]->name, threads, &event_ns);

			printf("%-18s %7u %12.2f %22.3f%s\n", workloads[w]->name, threads, event_ns,
			       ratio, ratio > bound ? "  too slow" : "");
			if (ratio > bound)
				status = 1;
		}
	}
	return status;
}
