#include "runner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/launcher.h"
#include "bench/progress.h"
#include "bench/quiet.h"

struct runner {
	struct plan *plan;
	struct run_dir *run;
	struct runner_totals *totals;
	struct launcher *launcher;
	struct quiet quiet
		[PLAN_LIST]; /* by number of threads: what they make of their cores is alike in all cells */
};

/* ---- tasks ---- */

static int measure_task(struct runner *runner, const struct plan_cell *cell,
			const struct measure_spec *spec, struct result *result)
{
	if (cell->skip[0]) {
		launcher_skip(spec, cell->skip, result);
		return 0;
	}
	runner->totals->measured++;
	return launcher_measure(runner->launcher, spec, result);
}

static struct quiet *quiet_of(struct runner *runner, const struct plan_cell *cell)
{
	unsigned i = 0;

	while (runner->plan->options.threads[i] != cell->cell.threads)
		i++;
	return &runner->quiet[i];
}

/* One that a neighbour disturbed is set aside, and measured again while there is time for it. */
static int measure_quietly(struct runner *runner, const struct plan_cell *cell,
			   struct measure_spec *spec, struct result *result)
{
	const double share = runner->plan->options.quiet_wait;
	struct quiet *quiet = quiet_of(runner, cell);
	int error;

	if (spec->pass != PASS_THROUGHPUT || !(share > 0))
		return measure_task(runner, cell, spec, result);
	for (;;) {
		quiet_ask(quiet, share, runner->plan->options.timeout_seconds, spec);
		error = measure_task(runner, cell, spec, result);
		if (error || quiet_keep(quiet, share, &result->record))
			return error;
		result_release(result);
	}
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
	error = measure_quietly(runner, cell, &spec, &result);
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
	for (unsigned i = 0; i < runner->plan->task_count && !error && !launcher_interrupted();
	     i++) {
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
	const struct launcher_limits limits = { .timeout_seconds = plan->options.timeout_seconds,
						.memory_bytes = plan->options.memory_limit_bytes };
	struct runner runner = { .plan = plan, .run = run, .totals = totals };
	int error;

	memset(totals, 0, sizeof(*totals));
	error = launcher_create(&plan->options.prototype, &limits, &runner.launcher, why,
				why_bytes);
	if (error)
		return error;
	error = recall_failures(&runner, why, why_bytes);
	if (!error)
		error = run_tasks(&runner, why, why_bytes);
	launcher_destroy(runner.launcher);
	for (unsigned i = 0; i < PLAN_LIST; i++) {
		totals->again += runner.quiet[i].again;
		totals->disturbed += runner.quiet[i].disturbed;
		totals->waited_seconds += runner.quiet[i].waited_seconds;
	}
	totals->interrupted = launcher_interrupted();
	return error == -EINTR ? 0 : error;
}
