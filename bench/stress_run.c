/* What a round stands on: page sources, the pool, the tables. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/replay.h"
#include "bench/stress.h"

#define OWNER_NONE 0xFFFEu

void stress_open_sources(struct stress_run *run)
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

int stress_open_pool(struct stress_run *run, char *why, size_t why_bytes)
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
void stress_close_sources(struct stress_run *run)
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
	run->lap_names = calloc(run->round->laps + 1, sizeof(*run->lap_names));
	for (unsigned lap = 1; run->lap_names && lap <= run->round->laps; lap++)
		snprintf(run->lap_names[lap], sizeof(run->lap_names[lap]), "lap %u", lap);
	if (!run->slots || !run->owners || !run->lap_names ||
	    (!run->shadow && !stress_has(run, POOL_CAP_FLOOR)))
		finding_report("harness", NULL, "out of memory");
	for (size_t i = 0; i < slots; i++)
		run->owners[i] = OWNER_NONE;
	trace_walk(run->trace, note_owner, run);
}

void stress_run_init(struct stress_run *run, const struct stress_round *round,
		     const struct trace *trace, struct finding *finding)
{
	*run = (struct stress_run){
		.round = round,
		.trace = trace,
		.ops = round->backend->ops,
		.finding = finding,
	};
	make_tables(run);
}

void stress_run_fini(struct stress_run *run)
{
	const size_t slots = (size_t)run->trace->slots + 1;

	table_unmap(run->slots, slots * sizeof(*run->slots));
	table_unmap(run->owners, slots * sizeof(*run->owners));
	shadow_destroy(run->shadow);
	free(run->lap_names);
}
