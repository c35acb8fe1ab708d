/* A round: its stages, and what is asked between them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bench/irql_enforce.h"
#include "bench/stress.h"

#define SPECIAL_EVERY 4u

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
	uint64_t first_bytes,
		learnt_bytes; /* met in the first lap, and in that after which a pool has learnt */
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

/*
 * The same shortage must leave room for about as many bytes again, once everything was freed. Bytes, for one large
 * block more may take the place of a hundred small ones. Until a pool has learnt (which sizes deserve a bucket of their
 * own, how much a processor keeps), a little of what the first lap got is enough; from then on three quarters of what
 * the lap before that got. Laps after that are alike: none begins trimmed.
 */
static void judge_met(struct stress_run *run, struct laps *laps, unsigned lap)
{
	const uint64_t met = atomic_load(&run->met_bytes);
	const unsigned learnt = early_lap(run) + 2, with = lap <= learnt ? 1 : learnt;
	uint64_t before, least;

	if (lap == 1)
		laps->first_bytes = met;
	before = lap <= learnt ? laps->first_bytes : laps->learnt_bytes;
	least = lap <= learnt ? before / 32 : before - before / 4;
	if (lap == learnt)
		laps->learnt_bytes = met;
	if (run->round->scenario == STRESS_SHORTAGE && met < least)
		finding_report("recovery", NULL,
			       "under the same limit %llu bytes were met in lap %u, %llu in lap %u",
			       (unsigned long long)before, with, (unsigned long long)met, lap);
}

static void play_laps(struct stress_run *run)
{
	struct laps laps = { 0, 0, 0 };

	for (unsigned lap = 1; lap <= run->round->laps; lap++) {
		const char *name = run->lap_names[lap];

		finding_thread(-1, name);
		stress_stage(run, TRACE_BODY, lap, name);
		stress_check(run);
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
	const struct stress_block *live = stress_live_block(run, address, 1, NULL);

	if (!live)
		return false;
	*block = (struct finding_block){ live->at, live->bytes, live->tag, live->type, NULL, 0 };
	return true;
}

/* Puts the verifier between the threads and the backend. */
static void begin_verifier(struct stress_run *run)
{
	const struct verifier_config config = {
		.ops = run->ops,
		.pool = run->pool,
		.parts = run->round->verify,
		.guard = verifier_guard_of(run->round->verify, run->round->seed),
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
	error = irql_enforce_start(run->pages[POOL_PAGED], irql_enforce_means(), find_live, run);
	if (error)
		finding_report("harness", NULL, "no IRQL enforcement: %s", strerror(-error));
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
	stress_open_sources(run);
	error = stress_open_pool(run, why, sizeof(why));
	if (error)
		finding_report("create", NULL, "%s", why);
	play_stages(run);
	finding_thread(-1, "destroyed");
	run->ops->destroy(run->pool);
	verifier_destroy(run->verifier);
	stress_close_sources(run);
}

/* ---- plays ---- */

void stress_round_play(const struct stress_round *round, const struct trace *trace,
		       struct finding *finding)
{
	struct stress_run run;

	stress_run_init(&run, round, trace, finding);
	run.one_failure = round->one_failure;
	if (round->one_failure) {
		stress_play_failure(&run, round->fault_types & 1 ? POOL_NONPAGED : POOL_PAGED,
				    round->faults.fail_nth);
	} else {
		if (round->scenario == STRESS_FAILURES)
			stress_probe_creates(&run);
		play_pool(&run);
	}
	stress_run_fini(&run);
}
