/* The threads of a stage: a trace's stream each, every block verified. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/irql.h"
#include "bench/irql_enforce.h"
#include "bench/stress.h"
#include "workloads/random.h"

#define RECENT         64u /* blocks of its own that a thread may touch again */
#define TOUCH_EVERY    8u
#define RESIDENT_EVERY 32u
#define PROGRESS_EVERY 64u
#define SPINS_MOST     200u
#define YIELDS_MOST    208u
#define NAP_NS         20000

struct worker {
	struct stress_run *run;
	const struct trace_event *events;
	uint64_t count;
	unsigned stream, processor;
	const char *stage;
	struct random random;
	uint64_t serial; /* of contents; distinct over all threads of a round */
	uint32_t recent[RECENT];
	unsigned recents;
	pthread_t thread;
};

uint64_t stress_refused_commits(const struct stress_run *run)
{
	uint64_t refused = 0;

	for (int type = 0; type < POOL_TYPES; type++) {
		struct page_source_stats stats;

		page_source_stats(run->pages[type], &stats);
		refused += stats.failed_commits;
	}
	return refused;
}

/*
 * Waits until the slot is empty, or until it is not. Sleeps when that takes long: on a busy machine a thread that
 * only yields burns the time that the one it waits for needs.
 */
static unsigned wait_slot(struct stress_slot *slot, bool empty)
{
	const struct timespec nap = { 0, NAP_NS };

	for (unsigned spins = 1;; spins++) {
		const unsigned state = atomic_load_explicit(&slot->state, memory_order_acquire);

		if ((state == SLOT_EMPTY) == empty)
			return state;
		if (spins > YIELDS_MOST)
			clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
		else if (spins > SPINS_MOST)
			sched_yield();
	}
}

/* NULL is data where a commit was refused; where none was, it is a broken promise. */
static void judge_null(const struct worker *worker, const struct stress_block *block)
{
	struct stress_run *run = worker->run;
	const struct finding_block what = { NULL, block->bytes, block->tag, block->type, NULL, 0 };

	if ((run->round->verify & VERIFIER_LOW_RESOURCES) && !run->recovering)
		return;
	if (run->recovering)
		finding_report("recovery", &what,
			       "a request of %u bytes is refused after the shortage was over",
			       block->bytes);
	if (stress_refused_commits(run) == run->failed_before)
		finding_report("null", &what,
			       "a request of %u bytes was refused, and no commit was",
			       block->bytes);
}

static _Noreturn void refused_again(const struct stress_block *block)
{
	const struct finding_block what = { NULL, block->bytes, block->tag, block->type, NULL, 0 };

	finding_report("recovery", &what,
		       "a request of %u bytes is refused again after one commit failed",
		       block->bytes);
}

static void do_alloc(struct worker *worker, const struct trace_event *event)
{
	struct stress_run *run = worker->run;
	struct stress_slot *slot = &run->slots[event->slot];
	struct stress_block block = {
		.bytes = event->bytes,
		.tag = run->trace->tag_table[event->tag].tag,
		.type = event->flags & TRACE_PAGED ? POOL_PAGED : POOL_NONPAGED,
		.serial = worker->serial,
		.stream = (uint16_t)worker->stream,
		.processor = (uint16_t)worker->processor,
		.event = (uint32_t)(event - worker->events),
		.stage = worker->stage,
	};

	worker->serial += TRACE_MAX_PROCESSORS;
	wait_slot(slot, true);
	block.at = run->ops->alloc(run->pool, block.type, block.bytes, block.tag);
	if (!block.at && run->one_failure) {
		/* The one commit that was to fail has failed: asked again, the pool must say yes. */
		judge_null(worker, &block);
		block.at = run->ops->alloc(run->pool, block.type, block.bytes, block.tag);
		if (!block.at)
			refused_again(&block);
	}
	if (!block.at) {
		judge_null(worker, &block);
		atomic_store_explicit(&slot->state, SLOT_REFUSED, memory_order_release);
		return;
	}
	atomic_fetch_add_explicit(&run->met_bytes, block.bytes, memory_order_relaxed);
	slot->block = block; /* before the shadow has it: who meets its bits looks for it here */
	if (random_below(&worker->random, RESIDENT_EVERY) == 0)
		stress_block_resident(run, &block);
	stress_block_born(run, &slot->block);
	if (run->owners[event->slot] == worker->stream)
		worker->recent[worker->recents++ % RECENT] = event->slot;
	atomic_store_explicit(&slot->state, SLOT_FULL, memory_order_release);
}

static void do_free(struct worker *worker, const struct trace_event *event)
{
	struct stress_run *run = worker->run;
	struct stress_slot *slot = &run->slots[event->slot];

	if (wait_slot(slot, false) == SLOT_FULL) {
		char *at = slot->block.at;

		stress_block_dies(run, &slot->block);
		slot->block.at = NULL;
		run->ops->free(run->pool, at, slot->block.tag);
	}
	atomic_store_explicit(&slot->state, SLOT_EMPTY, memory_order_release);
}

/* Looks again at a block that nobody else may free, and writes it anew, as its owner would. */
static void touch_again(struct worker *worker)
{
	const unsigned known = worker->recents < RECENT ? worker->recents : RECENT;
	struct stress_slot *slot;

	if (!known)
		return;
	slot = &worker->run->slots[worker->recent[random_below(&worker->random, known)]];
	if (atomic_load_explicit(&slot->state, memory_order_relaxed) != SLOT_FULL ||
	    !irql_allows(slot->block.type))
		return;
	stress_block_touch(worker->run, &slot->block, worker->serial);
	worker->serial += TRACE_MAX_PROCESSORS;
}

static void change_irql(const struct worker *worker, const struct trace_event *event)
{
	const enum irql to = (enum irql)event->bytes;

	if (event->kind == TRACE_RAISE) {
		irql_raise(to);
		if (worker->run->round->verify & VERIFIER_IRQL)
			irql_enforce_level(to);
	} else if (event->kind == TRACE_LOWER) {
		if (worker->run->round->verify & VERIFIER_IRQL)
			irql_enforce_level(to);
		irql_lower(to);
	}
}

static void *worker_run(void *arg)
{
	struct worker *worker = arg;
	struct stress_run *run = worker->run;
	int error = 0;

	finding_thread((int)worker->processor, worker->stage);
	if (run->ops->thread_enter)
		error = run->ops->thread_enter(run->pool, worker->processor);
	if (error)
		finding_report("enter", NULL, "thread_enter(%u): %s", worker->processor,
			       strerror(-error));
	for (uint64_t i = 0; i < worker->count; i++) {
		const struct trace_event *event = &worker->events[i];

		if (event->kind == TRACE_ALLOC)
			do_alloc(worker, event);
		else if (event->kind == TRACE_FREE)
			do_free(worker, event);
		else
			change_irql(worker, event);
		if (random_below(&worker->random, TOUCH_EVERY) == 0)
			touch_again(worker);
		if ((i + 1) % PROGRESS_EVERY == 0)
			atomic_fetch_add_explicit(&run->finding->operations, PROGRESS_EVERY,
						  memory_order_relaxed);
	}
	atomic_fetch_add_explicit(&run->finding->operations, worker->count % PROGRESS_EVERY,
				  memory_order_relaxed);
	if (run->ops->thread_exit)
		run->ops->thread_exit(run->pool);
	return NULL;
}

void stress_stage(struct stress_run *run, enum trace_phase phase, unsigned turn, const char *name)
{
	const unsigned threads = run->trace->processors;
	struct worker *workers = calloc(threads, sizeof(*workers));

	if (!workers)
		finding_report("harness", NULL, "out of memory");
	run->failed_before = stress_refused_commits(run);
	atomic_store(&run->met_bytes, 0);
	for (unsigned i = 0; i < threads; i++) {
		const struct trace_stream *stream = &run->trace->streams[i];

		workers[i] = (struct worker){
			.run = run,
			.events = stream->events + stream->start[phase],
			.count = stream->count[phase],
			.stream = i,
			.processor = (i + turn) % threads,
			.stage = name,
			.serial = (uint64_t)turn << 40 | (uint64_t)phase << 36 | i,
		};
		random_seed(&workers[i].random, run->round->seed ^ (uint64_t)turn << 32 ^ i);
	}
	for (unsigned i = 0; i < threads; i++)
		if (pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]) != 0)
			finding_report("harness", NULL, "no thread");
	for (unsigned i = 0; i < threads; i++)
		pthread_join(workers[i].thread, NULL);
	free(workers);
}
