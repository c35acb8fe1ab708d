#include "runner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/child.h"
#include "bench/placement.h"
#include "bench/progress.h"
#include "bench/trace_image.h"
#include "workloads/random.h"
#include "workloads/workload.h"

#define LAYOUT_STREAM 0x4C41594F55540000 /* the seeds of stack offsets */

/* The image of one trace; cells that differ only in the backend share it. */
struct runner_trace {
	char workload[sizeof(((struct cell *)NULL)->workload)];
	unsigned threads;
	int fd;           /* or -errno */
	char why[256];
};

struct runner {
	struct plan *plan;
	struct run_dir *run;
	struct runner_totals *totals;
	struct placement *placement;
	struct runner_trace *traces;
	unsigned trace_count;
	struct child_limits limits;
	struct random layout;
};

static volatile sig_atomic_t interrupted;

static void interrupt(int signal_number)
{
	interrupted = signal_number;
}

/* ---- traces ---- */

static struct runner_trace *find_trace(struct runner *runner, const struct cell *cell)
{
	struct runner_trace *trace;
	struct trace *made = NULL;
	const struct measure_spec *prototype = &runner->plan->options.prototype;
	int error;

	for (unsigned i = 0; i < runner->trace_count; i++) {
		trace = &runner->traces[i];
		if (trace->threads == cell->threads &&
		    strcmp(trace->workload, cell->workload) == 0)
			return trace;
	}
	trace = &runner->traces[runner->trace_count++];
	memcpy(trace->workload, cell->workload, sizeof(trace->workload));
	trace->threads = cell->threads;
	error = workload_trace(cell->workload, cell->threads, prototype->events, prototype->seed,
			       &made, trace->why, sizeof(trace->why));
	trace->fd = error ? error : trace_image_write(made);
	if (!error && trace->fd < 0)
		snprintf(trace->why, sizeof(trace->why), "cannot lay out the trace: %s",
			 strerror(-trace->fd));
	trace_destroy(made);
	return trace;
}

static void close_traces(struct runner *runner)
{
	for (unsigned i = 0; i < runner->trace_count; i++)
		if (runner->traces[i].fd >= 0)
			close(runner->traces[i].fd);
	free(runner->traces);
}

/* ---- tasks ---- */

/*
 * Turns the policy into numbers here, once, so that a measuring process needs no hwloc, whose topology would
 * churn the heap under test; memory goes to the node of the first thread where there are several.
 */
static int place(struct runner *runner, struct measure_spec *spec, char *why, size_t why_bytes)
{
	unsigned processors[256];
	size_t used = 0;
	int error = placement_order(runner->placement, spec->bind, spec->cell.threads, processors,
				    why, why_bytes);

	if (error || processors[0] == PLACEMENT_UNBOUND)
		return error;
	if (placement_nodes(runner->placement) > 1)
		spec->node = placement_node(runner->placement, processors[0]);
	for (unsigned t = 0; t < spec->cell.threads && used < sizeof(spec->bind); t++)
		used += (size_t)snprintf(spec->bind + used, sizeof(spec->bind) - used, "%s%u",
					 t ? "," : "", processors[t]);
	if (used >= sizeof(spec->bind)) {
		snprintf(why, why_bytes, "too many threads to bind one by one: use --bind none");
		return -EINVAL;
	}
	return 0;
}

/* A result without a process. */
static void skip_result(const struct measure_spec *spec, const char *reason, struct result *result)
{
	measure_record_init(spec, result);
	result->record.status = CELL_SKIPPED;
	snprintf(result->record.reason, sizeof(result->record.reason), "%s", reason);
}

static int measure_task(struct runner *runner, struct plan_cell *cell, struct measure_spec *spec,
			struct result *result)
{
	struct runner_trace *trace;
	char why[256];

	if (cell->skip[0]) {
		skip_result(spec, cell->skip, result);
		return 0;
	}
	trace = find_trace(runner, &cell->cell);
	if (trace->fd < 0) {
		skip_result(spec, trace->why, result);
		return 0;
	}
	if (place(runner, spec, why, sizeof(why)) != 0) {
		skip_result(spec, why, result);
		return 0;
	}
	spec->trace_fd = trace->fd;
	runner->limits.layout = random_next(&runner->layout);
	runner->totals->measured++;
	return child_measure(spec, &runner->limits, &interrupted, result);
}

/* A failed cell is over; what it says is kept once. */
static void note_status(struct runner *runner, struct plan_cell *cell, enum cell_status status)
{
	if (status == CELL_OK || cell->failed)
		return;
	cell->failed = true;
	if (status == CELL_SKIPPED)
		runner->totals->skipped_cells++;
	else
		runner->totals->failed_cells++;
}

static int run_task(struct runner *runner, unsigned index, char *why, size_t why_bytes)
{
	const struct plan_task *task = &runner->plan->tasks[index];
	struct plan_cell *cell = &runner->plan->cells[task->cell];
	struct measure_spec spec;
	struct result result;
	int error;

	if (cell->failed)
		return 0;
	if (run_dir_has(runner->run, &cell->cell, task->pass, task->repetition)) {
		runner->totals->resumed++;
		return 0;
	}
	plan_task_spec(runner->plan, index, &spec);
	error = measure_task(runner, cell, &spec, &result);
	if (error) {
		snprintf(why, why_bytes, "cannot start a measuring process: %s", strerror(-error));
		return error;
	}
	error = run_dir_append(runner->run, &result, why, why_bytes);
	if (!error)
		note_status(runner, cell, result.record.status);
	result_release(&result);
	return error;
}

static size_t default_memory_limit(void)
{
	const long pages = sysconf(_SC_AVPHYS_PAGES), page = sysconf(_SC_PAGESIZE);

	return pages > 0 && page > 0 ? (size_t)pages * (size_t)page / 2 : 0;
}

/* Cells that an earlier session found failing stay failed. */
static int recall_failures(struct runner *runner, char *why, size_t why_bytes)
{
	struct record *records = NULL;
	size_t count = 0;
	int error = records_read(run_dir_path(runner->run), &records, &count, why, why_bytes);

	for (size_t i = 0; !error && i < count; i++) {
		if (records[i].status == CELL_OK)
			continue;
		for (unsigned c = 0; c < runner->plan->cell_count; c++)
			if (cell_same(&runner->plan->cells[c].cell, &records[i].cell))
				note_status(runner, &runner->plan->cells[c], records[i].status);
	}
	free(records);
	return error;
}

static int run_tasks(struct runner *runner, char *why, size_t why_bytes)
{
	struct progress progress;
	int error = 0;

	progress_begin(&progress, runner->plan->cell_count, runner->plan->task_count);
	for (unsigned i = 0; i < runner->plan->task_count && !error && !interrupted; i++) {
		const unsigned cell = runner->plan->tasks[i].cell;
		char text[256];

		cell_describe(&runner->plan->cells[cell].cell, text, sizeof(text));
		progress_step(&progress, i, text);
		error = run_task(runner, i, why, why_bytes);
	}
	progress_end(&progress);
	return error;
}

int runner_run(struct plan *plan, struct run_dir *run, struct runner_totals *totals, char *why,
	       size_t why_bytes)
{
	const struct sigaction action = { .sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND };
	struct sigaction old_int, old_term;
	struct runner runner = {
		.plan = plan,
		.run = run,
		.totals = totals,
		.limits = { .timeout_seconds = plan->options.timeout_seconds,
			    .memory_bytes = plan->options.memory_limit_bytes },
	};
	int error;

	memset(totals, 0, sizeof(*totals));
	interrupted = 0;
	if (!runner.limits.memory_bytes)
		runner.limits.memory_bytes = default_memory_limit();
	random_seed(&runner.layout, plan->options.prototype.seed ^ LAYOUT_STREAM);
	runner.traces = calloc(plan->cell_count, sizeof(*runner.traces));
	if (!runner.traces) {
		snprintf(why, why_bytes, "out of memory");
		return -ENOMEM;
	}
	sigaction(SIGINT, &action, &old_int);
	sigaction(SIGTERM, &action, &old_term);
	error = placement_create(&runner.placement, why, why_bytes);
	if (!error)
		error = recall_failures(&runner, why, why_bytes);
	if (!error)
		error = run_tasks(&runner, why, why_bytes);
	sigaction(SIGINT, &old_int, NULL);
	sigaction(SIGTERM, &old_term, NULL);
	close_traces(&runner);
	placement_destroy(runner.placement);
	totals->interrupted = interrupted != 0;
	return error == -EINTR ? 0 : error;
}
