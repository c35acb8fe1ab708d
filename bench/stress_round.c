/* A round: sources, pool, stages, and what is asked between them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/irql_enforce.h"
#include "bench/replay.h"
#include "bench/stress.h"

#define OWNER_NONE    0xFFFEu
#define SPECIAL_EVERY 4u

static void open_sources(struct stress_run *run)
{
	for (int type = 0; type < POOL_TYPES; type++) {
		const struct page_source_config config = {
			.type = (enum pool_type)type,
			.page_size = run->round->page_size,
			.backing = PAGE_BACKING_BASE,
			.node = -1,
		};
		char why[256];

		if (page_source_create(&config, &run->pages[type], why, sizeof(why)) != 0)
			finding_report("harness", NULL, "no page source: %s", why);
	}
}

/* 0 or create's error. */
static int open_pool(struct stress_run *run, char *why, size_t why_bytes)
{
	const struct pool_config config = {
		.page_size = run->round->page_size,
		.processors = run->trace->processors,
		.pages = { run->pages[POOL_NONPAGED], run->pages[POOL_PAGED] },
		.seed = run->round->seed,
		.stop = finding_stop,
	};
	int error = backend_create_pool(run->round->backend, &config, &run->pool, why, why_bytes);

	for (int type = 0; type < POOL_TYPES && !error; type++) {
		struct page_source_stats stats;

		page_source_stats(run->pages[type], &stats);
		run->base_bytes[type] = stats.committed_bytes;
	}
	return error;
}

/* Nothing may be left of a pool that is gone, or that could not be made. */
static void close_sources(struct stress_run *run)
{
	for (int type = 0; type < POOL_TYPES; type++) {
		struct page_source_stats stats;

		page_source_stats(run->pages[type], &stats);
		if (stats.committed_bytes || stats.reserved_bytes)
			finding_report(
				"leak", NULL,
				"%zu bytes committed and %zu reserved are left in the %s source",
				stats.committed_bytes, stats.reserved_bytes,
				type == POOL_PAGED ? "paged" : "nonpaged");
		page_source_destroy(run->pages[type]);
	}
}

static int note_owner(void *arg, enum trace_phase phase, unsigned processor,
		      const struct trace_event *event)
{
	struct stress_run *run = arg;
	uint16_t *owner = &run->owners[event->slot];

	(void)phase;
	if (event->kind > TRACE_FREE)
		return 0;
	if (*owner == OWNER_NONE)
		*owner = (uint16_t)processor;
	else if (*owner != processor)
		*owner = STRESS_SHARED;
	return 0;
}

static void make_tables(struct stress_run *run)
{
	const size_t slots = (size_t)run->trace->slots + 1;

	run->slots = table_map(slots * sizeof(*run->slots));
	run->owners = table_map(slots * sizeof(*run->owners));
	run->shadow = stress_has(run, POOL_CAP_FLOOR) ? NULL : shadow_create();
	if (!run->slots || !run->owners || (!run->shadow && !stress_has(run, POOL_CAP_FLOOR)))
		finding_report("harness", NULL, "out of memory");
	for (size_t i = 0; i < slots; i++)
		run->owners[i] = OWNER_NONE;
	trace_walk(run->trace, note_owner, run);
}

static void free_tables(struct stress_run *run)
{
	const size_t slots = (size_t)run->trace->slots + 1;

	table_unmap(run->slots, slots * sizeof(*run->slots));
	table_unmap(run->owners, slots * sizeof(*run->owners));
	shadow_destroy(run->shadow);
}

/* ---- shortage ---- */

static void begin_shortage(struct stress_run *run)
{
	const struct stress_round *round = run->round;

	for (int type = 0; type < POOL_TYPES; type++) {
		if (round->room_bytes)
			page_source_set_limit(run->pages[type],
					      run->base_bytes[type] + round->room_bytes);
		if (round->fault_types >> type & 1)
			page_source_set_faults(run->pages[type], &round->faults);
	}
}

static bool has_shortage(const struct stress_round *round)
{
	return round->room_bytes || round->fault_types || (round->verify & VERIFIER_LOW_RESOURCES);
}

static void end_shortage(struct stress_run *run)
{
	const struct page_faults none = { 0 };

	for (int type = 0; type < POOL_TYPES; type++) {
		page_source_set_limit(run->pages[type], 0);
		page_source_set_faults(run->pages[type], &none);
	}
	if (run->verifier)
		verifier_set_low(run->verifier, &(struct verifier_low){ .probability = 0 });
}

/* ---- laps ---- */

struct laps {
	size_t early_bytes; /* committed after the lap from which it should not grow any more */
	uint64_t first_met; /* allocations that the first lap got */
};

/* What learns (depths, magazines) may still grow in the first laps, and each processor needs its turn. */
static unsigned early_lap(const struct stress_run *run)
{
	return run->trace->processors < 2 ? 2 : run->trace->processors;
}

/* What is committed when caches, which may fill as long as they like up to their bound, are trimmed away. */
static size_t lasting_bytes(struct stress_run *run)
{
	if (run->ops->trim)
		run->ops->trim(run->pool);
	return stress_committed(run);
}

static void judge_growth(struct stress_run *run, const struct laps *laps)
{
	const size_t late = lasting_bytes(run);
	const size_t slack = laps->early_bytes / 4 +
			     run->trace->processors *
				     (8 * run->round->page_size + ((size_t)128 << 10));

	if (stress_has(run, POOL_CAP_NATIVE) && late > laps->early_bytes + slack)
		finding_report(
			"growth", NULL,
			"the same work left %zu bytes committed after lap %u and %zu after lap %u",
			laps->early_bytes, early_lap(run), late, run->round->laps);
}

/* The same shortage must leave room for about as much again, once everything was freed. */
static void judge_met(struct stress_run *run, const struct laps *laps, unsigned lap)
{
	const uint64_t met = atomic_load(&run->met);
	const uint64_t least = run->trace->processors == 1 ? laps->first_met - laps->first_met / 4
							   : laps->first_met / 2;

	if (run->round->scenario == STRESS_SHORTAGE && met < least)
		finding_report(
			"recovery", NULL,
			"under the same limit %llu requests were met in lap 1, %llu in lap %u",
			(unsigned long long)laps->first_met, (unsigned long long)met, lap);
}

static void play_laps(struct stress_run *run)
{
	struct laps laps = { 0, 0 };
	char name[32];

	for (unsigned lap = 1; lap <= run->round->laps; lap++) {
		snprintf(name, sizeof(name), "lap %u", lap);
		finding_thread(-1, name);
		stress_stage(run, TRACE_BODY, lap, name);
		stress_check(run);
		if (lap == 1)
			laps.first_met = atomic_load(&run->met);
		else
			judge_met(run, &laps, lap);
		if (lap == 1 || lap == run->round->laps)
			stress_walk(run);
		if (lap == early_lap(run))
			laps.early_bytes = lasting_bytes(run);
	}
	if (run->round->laps > early_lap(run) && !has_shortage(run->round))
		judge_growth(run, &laps);
}

/* ---- IRQL ---- */

static bool find_live(void *arg, const void *address, struct finding_block *block)
{
	struct stress_run *run = arg;
	const uint32_t owner = shadow_owner(run->shadow, address);
	const struct stress_block *live;

	if (!owner)
		return false;
	live = &run->slots[owner - 1].block;
	*block = (struct finding_block){ live->at, live->bytes, live->tag, live->type };
	return true;
}

/* Puts the verifier between the threads and the backend. */
static void begin_verifier(struct stress_run *run)
{
	const struct verifier_config config = {
		.ops = run->ops,
		.pool = run->pool,
		.parts = run->round->verify,
		.guard = run->round->seed % 2 ? VERIFIER_GUARD_START : VERIFIER_GUARD_END,
		.special_every = SPECIAL_EVERY,
		.low = run->round->low,
	};
	int error;

	if (!run->round->verify)
		return;
	error = verifier_create(&config, &run->verifier);
	if (error)
		finding_report("harness", NULL, "no verifier: %s", strerror(-error));
	run->ops = verifier_ops(run->verifier);
	run->pool = verifier_pool(run->verifier);
}

static void begin_irql(struct stress_run *run)
{
	int error;

	if (!(run->round->verify & VERIFIER_IRQL))
		return;
	error = irql_enforce_start(run->pages[POOL_PAGED], irql_enforce_means(),
				   run->shadow ? find_live : NULL, run);
	if (error)
		finding_report("harness", NULL, "no IRQL enforcement: %s", strerror(-error));
}

/* ---- create under failure ---- */

/* Whether it was refused because commit `nth` of one source failed; nothing may be left either way. */
static bool probe_create(struct stress_run *run, enum pool_type type, uint64_t nth)
{
	const struct page_faults faults = { .fail_nth = nth };
	struct page_source_stats stats;
	char why[256];
	int error;

	open_sources(run);
	page_source_set_faults(run->pages[type], &faults);
	error = open_pool(run, why, sizeof(why));
	page_source_stats(run->pages[type], &stats);
	if (error && error != -ENOMEM)
		finding_report("commit-failure", NULL, "create returned %s when commit %llu failed",
			       strerror(-error), (unsigned long long)nth);
	if (error && stats.failed_commits == 0)
		finding_report("create", NULL, "%s, and no commit was refused", why);
	if (!error)
		run->ops->destroy(run->pool);
	close_sources(run);
	return stats.failed_commits > 0;
}

static void probe_creates(struct stress_run *run)
{
	finding_thread(-1, "create");
	for (int type = 0; type < POOL_TYPES; type++)
		for (uint64_t nth = 1; probe_create(run, (enum pool_type)type, nth); nth++)
			;
}

/* ---- the round ---- */

static void play_stages(struct stress_run *run)
{
	begin_irql(run);
	begin_verifier(run);
	begin_shortage(run);
	finding_thread(-1, "prologue");
	stress_stage(run, TRACE_PROLOGUE, 0, "prologue");
	stress_check(run);
	stress_walk(run);
	play_laps(run);
	finding_thread(-1, "epilogue");
	stress_stage(run, TRACE_EPILOGUE, run->round->laps + 1, "epilogue");
	if (has_shortage(run->round)) {
		end_shortage(run);
		stress_check(run);
		run->recovering = true;
		finding_thread(-1, "recovery");
		stress_stage(run, TRACE_PROLOGUE, 0, "recovery");
		stress_stage(run, TRACE_BODY, 1, "recovery");
		stress_stage(run, TRACE_EPILOGUE, 2, "recovery");
	}
	finding_thread(-1, "drained");
	if (run->verifier)
		verifier_expect_nothing_live(run->verifier);
	stress_drained(run);
	irql_enforce_stop();
}

/* One pool from create to destroy. */
static void play_pool(struct stress_run *run)
{
	char why[256];
	int error;

	finding_thread(-1, "create");
	open_sources(run);
	error = open_pool(run, why, sizeof(why));
	if (error)
		finding_report("create", NULL, "%s", why);
	play_stages(run);
	finding_thread(-1, "destroyed");
	run->ops->destroy(run->pool);
	verifier_destroy(run->verifier);
	close_sources(run);
}

/* ---- systematic failure ---- */

/* A run in which commit `nth` of one source fails; false when there was none such. */
static bool play_failure(struct stress_run *run, enum pool_type type, uint64_t nth)
{
	const struct page_faults faults = { .fail_nth = nth };
	struct page_source_stats stats;
	char why[256];
	int error;

	finding_thread(-1, "create");
	open_sources(run);
	page_source_set_faults(run->pages[type], &faults);
	error = open_pool(run, why, sizeof(why));
	if (error && error != -ENOMEM)
		finding_report("commit-failure", NULL, "create returned %s when commit %llu failed",
			       strerror(-error), (unsigned long long)nth);
	page_source_stats(run->pages[type], &stats);
	if (error && stats.failed_commits == 0)
		finding_report("create", NULL, "%s, and no commit was refused", why);
	if (!error) {
		finding_thread(-1, "prologue");
		stress_stage(run, TRACE_PROLOGUE, 0, "prologue");
		stress_check(run);
		finding_thread(-1, "body");
		stress_stage(run, TRACE_BODY, 0, "body");
		stress_check(run);
		stress_walk(run);
		finding_thread(-1, "epilogue");
		stress_stage(run, TRACE_EPILOGUE, 0, "epilogue");
		page_source_stats(run->pages[type], &stats);
		stress_drained(run);
		run->ops->destroy(run->pool);
	}
	finding_thread(-1, "destroyed");
	close_sources(run);
	return stats.injected_failures > 0;
}

/* ---- plays ---- */

void stress_round_play(const struct stress_round *round, const struct trace *trace,
		       struct finding *finding)
{
	struct stress_run run = {
		.round = round,
		.trace = trace,
		.ops = round->backend->ops,
		.finding = finding,
	};

	make_tables(&run);
	run.one_failure = round->one_failure;
	if (round->one_failure) {
		play_failure(&run, round->fault_types & 1 ? POOL_NONPAGED : POOL_PAGED,
			     round->faults.fail_nth);
	} else {
		if (round->scenario == STRESS_FAILURES)
			probe_creates(&run);
		play_pool(&run);
	}
	free_tables(&run);
}

void stress_systematic_play(const struct stress_round *round, const struct trace *trace,
			    struct finding *finding)
{
	struct stress_run run = {
		.round = round,
		.trace = trace,
		.ops = round->backend->ops,
		.finding = finding,
	};

	run.one_failure = true;
	make_tables(&run);
	for (int type = 0; type < POOL_TYPES; type++) {
		uint64_t nth = 1;

		do {
			atomic_store(&finding->fail_type, type);
			atomic_store(&finding->fail_nth, nth);
			atomic_fetch_add(&finding->failures, 1);
		} while (play_failure(&run, (enum pool_type)type, nth++));
		atomic_fetch_sub(&finding->failures, 1); /* the last had none to fail */
	}
	free_tables(&run);
}
