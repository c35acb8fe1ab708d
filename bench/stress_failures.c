/* Commits that fail one by one: those of create, and each of a whole trace. */
#include <errno.h>
#include <string.h>

#include "bench/stress.h"

/* ---- create under failure ---- */

/* A pool over fresh sources, one of which refuses its commit `nth`: whether there is one now. */
static bool create_failing(struct stress_run *run, enum pool_type type, uint64_t nth)
{
	const struct page_faults faults = { .fail_nth = nth };
	struct page_source_stats stats;
	char why[256];
	int error;

	stress_open_sources(run);
	page_source_set_faults(run->pages[type], &faults);
	error = stress_open_pool(run, why, sizeof(why));
	page_source_stats(run->pages[type], &stats);
	if (error && stats.failed_commits == 0)
		finding_report("create", NULL, "%s, and no commit was refused", why);
	if (error && error != -ENOMEM)
		finding_report("commit-failure", NULL, "create returned %s when commit %llu failed",
			       strerror(-error), (unsigned long long)nth);
	return !error;
}

/* Whether commit `nth` of one source was refused; nothing may be left either way. */
static bool probe_create(struct stress_run *run, enum pool_type type, uint64_t nth)
{
	const bool created = create_failing(run, type, nth);
	struct page_source_stats stats;

	page_source_stats(run->pages[type], &stats);
	if (created)
		run->ops->destroy(run->pool);
	stress_close_sources(run);
	return stats.failed_commits > 0;
}

void stress_probe_creates(struct stress_run *run)
{
	finding_thread(-1, "create");
	for (int type = 0; type < POOL_TYPES; type++)
		for (uint64_t nth = 1; probe_create(run, (enum pool_type)type, nth); nth++)
			;
}

/* ---- systematic failure ---- */

/* A run in which commit `nth` of one source fails; false when there was none such. */
bool stress_play_failure(struct stress_run *run, enum pool_type type, uint64_t nth)
{
	struct page_source_stats stats;
	bool created;

	finding_thread(-1, "create");
	created = create_failing(run, type, nth);
	if (created) {
		finding_thread(-1, "prologue");
		stress_stage(run, TRACE_PROLOGUE, 0, "prologue");
		stress_check(run);
		finding_thread(-1, "body");
		stress_stage(run, TRACE_BODY, 0, "body");
		stress_check(run);
		stress_walk(run);
		finding_thread(-1, "epilogue");
		stress_stage(run, TRACE_EPILOGUE, 0, "epilogue");
		stress_drained(run);
		run->ops->destroy(run->pool);
	}
	finding_thread(-1, "destroyed");
	page_source_stats(run->pages[type], &stats);
	stress_close_sources(run);
	return stats.injected_failures > 0;
}

void stress_systematic_play(const struct stress_round *round, const struct trace *trace,
			    struct finding *finding)
{
	struct stress_run run;

	stress_run_init(&run, round, trace, finding);
	run.one_failure = true;
	for (int type = 0; type < POOL_TYPES; type++) {
		uint64_t nth = 1;

		do {
			atomic_store(&finding->fail_type, type);
			atomic_store(&finding->fail_nth, nth);
			atomic_fetch_add(&finding->failures, 1);
		} while (stress_play_failure(&run, (enum pool_type)type, nth++));
		atomic_fetch_sub(&finding->failures, 1); /* the last had none to fail */
	}
	stress_run_fini(&run);
}
