#include "plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allocators/registry.h"
#include "bench/heap_map.h"
#include "workloads/random.h"
#include "workloads/workload.h"

#define FLOOR_BACKEND  "null"
#define SHUFFLE_STREAM 0x504C414E /* keeps the order's randomness apart from the traces' */

void cell_describe(const struct cell *cell, char *text, size_t bytes)
{
	char pages[48] = "own pages";

	if (cell->page_size)
		snprintf(pages, sizeof(pages), "%zuK pages, %s", cell->page_size >> 10,
			 cell->backing);
	snprintf(text, bytes, "%s, %s, %u thread%s, %s", cell->backend, cell->workload,
		 cell->threads, cell->threads == 1 ? "" : "s", pages);
}

static int add_cell(struct plan *plan, const char *backend, const char *workload, unsigned threads,
		    size_t page_size, const char *backing, const char *skip)
{
	struct plan_cell *grown = realloc(plan->cells,
					  sizeof(*grown) * (plan->cell_count + (size_t)1));
	struct plan_cell *cell;

	if (!grown)
		return -ENOMEM;
	plan->cells = grown;
	cell = &grown[plan->cell_count];
	memset(cell, 0, sizeof(*cell));
	snprintf(cell->cell.backend, sizeof(cell->cell.backend), "%s", backend);
	snprintf(cell->cell.workload, sizeof(cell->cell.workload), "%s", workload);
	snprintf(cell->cell.backing, sizeof(cell->cell.backing), "%s", backing);
	snprintf(cell->skip, sizeof(cell->skip), "%s", skip);
	cell->cell.threads = threads;
	cell->cell.page_size = page_size;
	plan->cell_count++;
	return run_plan_add_cell(&plan->record, &cell->cell);
}

/* A backend as the check found it. */
struct checked_backend {
	bool library;
	char missing[256]; /* not empty: it is not on this machine, and why */
};

/* A malloc library: one cell, and a word for the backings that it cannot be held to. */
static int add_library_cells(struct plan *plan, const char *backend, const char *workload,
			     unsigned threads)
{
	int error = 0;

	for (char **backing = plan->options.backings; *backing && !error; backing++)
		error = add_cell(plan, backend, workload, threads, 0, *backing,
				 strcmp(*backing, "base") == 0
					 ? ""
					 : "a malloc library maps its own memory: only backing "
					   "base can be held to it");
	return error;
}

static int add_backend_cells(struct plan *plan, const char *spec,
			     const struct checked_backend *checked, const char *workload,
			     unsigned threads)
{
	int error = 0;

	if (checked->missing[0])
		return add_cell(plan, spec, workload, threads, 0, "base", checked->missing);
	if (checked->library)
		return add_library_cells(plan, spec, workload, threads);
	for (size_t *page = plan->options.page_sizes; *page && !error; page++)
		for (char **backing = plan->options.backings; *backing && !error; backing++)
			error = add_cell(plan, spec, workload, threads, *page, *backing, "");
	return error;
}

static bool is_floor(const char *spec)
{
	return strncmp(spec, FLOOR_BACKEND, strlen(FLOOR_BACKEND)) == 0 &&
	       (spec[strlen(FLOOR_BACKEND)] == '\0' || spec[strlen(FLOOR_BACKEND)] == ':');
}

static int add_cells(struct plan *plan, const struct checked_backend *checked)
{
	struct plan_options *options = &plan->options;
	int error = 0;

	for (char **workload = options->workloads; *workload && !error; workload++) {
		for (unsigned *threads = options->threads; *threads && !error; threads++) {
			error = add_cell(plan, FLOOR_BACKEND, *workload, *threads, POOL_OS_PAGE,
					 "base", "");
			for (int b = 0; options->backends[b] && !error; b++)
				if (!is_floor(options->backends[b]))
					error = add_backend_cells(plan, options->backends[b],
								  &checked[b], *workload, *threads);
		}
	}
	return error;
}

/* ---- tasks ---- */

static unsigned pass_repetitions(const struct plan_options *options, enum pass pass)
{
	static const unsigned share[PASSES] = { 1, 3, 5, 5 };
	const unsigned repetitions = options->repetitions / share[pass];

	if (!options->passes[pass])
		return 0;
	return repetitions ? repetitions : 1;
}

static void shuffle(struct plan_task *tasks, unsigned count, struct random *random)
{
	for (unsigned i = count; i > 1; i--) {
		const unsigned j = random_below(random, i);
		const struct plan_task other = tasks[j];

		tasks[j] = tasks[i - 1];
		tasks[i - 1] = other;
	}
}

static int add_tasks(struct plan *plan)
{
	const unsigned rounds = plan->options.repetitions;
	struct random random;

	random_seed(&random, plan->options.prototype.seed ^ SHUFFLE_STREAM);
	plan->tasks = calloc((size_t)plan->cell_count * rounds * PASSES, sizeof(*plan->tasks));
	if (!plan->tasks)
		return -ENOMEM;
	for (unsigned round = 0; round < rounds; round++) {
		const unsigned first = plan->task_count;

		for (unsigned c = 0; c < plan->cell_count; c++)
			for (int pass = 0; pass < PASSES; pass++)
				if (round < pass_repetitions(&plan->options, (enum pass)pass))
					plan->tasks[plan->task_count++] =
						(struct plan_task){ c, (enum pass)pass, round };
		shuffle(plan->tasks + first, plan->task_count - first, &random);
	}
	return 0;
}

/* ---- checking ---- */

static int default_backends(struct plan_options *options)
{
	size_t count = 0;

	for (int i = 0; builtin_backends[i] && count < PLAN_LIST; i++)
		if (!(builtin_backends[i]->caps & POOL_CAP_FLOOR))
			options->backends[count++] = strdup(builtin_backends[i]->name);
	for (int i = 0; known_libraries[i].name && count < PLAN_LIST; i++)
		options->backends[count++] = strdup(known_libraries[i].name);
	for (size_t i = 0; i < count; i++)
		if (!options->backends[i])
			return -ENOMEM;
	return 0;
}

static int default_workloads(struct plan_options *options)
{
	static const char recording[] = "trace:disk-io";
	size_t count = 0;

	for (int i = 0; workloads[i] && count < PLAN_LIST - 1; i++)
		options->workloads[count++] = strdup(workloads[i]->name);
	options->workloads[count++] = strdup(recording);
	for (size_t i = 0; i < count; i++)
		if (!options->workloads[i])
			return -ENOMEM;
	return 0;
}

/*
 * Opens each backend once. One of the default list that is missing is measured as SKIPPED; one that was asked
 * for by name is an error.
 */
static int check_backends(struct plan_options *options, struct checked_backend *checked, char *why,
			  size_t why_bytes)
{
	const bool asked = options->backends[0];
	int error = asked ? 0 : default_backends(options);

	for (int i = 0; !error && options->backends[i]; i++) {
		struct backend *backend = NULL;

		error = backend_open(options->backends[i], &backend, why, why_bytes);
		if (error == -ENOENT && !asked) {
			snprintf(checked[i].missing, sizeof(checked[i].missing), "%s", why);
			error = 0;
		} else if (!error) {
			checked[i].library = backend->kind == BACKEND_LIBRARY;
			backend_close(backend);
		}
	}
	return error;
}

static int check_workloads(struct plan_options *options, char *why, size_t why_bytes)
{
	int error = options->workloads[0] ? 0 : default_workloads(options);

	for (int i = 0; !error && options->workloads[i]; i++)
		error = workload_check(options->workloads[i], why, why_bytes);
	return error;
}

/* Only now: how many checkpoints there are may have been said after which of them are to be drawn. */
static int check_heap_map(const struct plan_options *options, char *why, size_t why_bytes)
{
	struct heap_map_plan plan;
	char problem[256];
	int error = heap_map_plan_parse(options->prototype.heap_map, options->prototype.checkpoints,
					&plan, problem, sizeof(problem));

	if (error)
		snprintf(why, why_bytes, "--heap-map %s: %s", options->prototype.heap_map, problem);
	return error;
}

int plan_create(struct plan_options *options, struct run_plan *record, struct plan *out, char *why,
		size_t why_bytes)
{
	struct checked_backend checked[PLAN_LIST + 1] = { 0 };
	struct plan plan = { .options = *options, .record = *record };
	int error;

	why[0] = '\0';
	memset(options, 0, sizeof(*options));
	memset(record, 0, sizeof(*record));
	plan.options.passes[PASS_AGEING] |= plan.options.age;
	error = check_heap_map(&plan.options, why, why_bytes);
	if (!error)
		error = check_backends(&plan.options, checked, why, why_bytes);
	if (!error)
		error = check_workloads(&plan.options, why, why_bytes);
	if (!error)
		error = add_cells(&plan, checked);
	if (!error)
		error = add_tasks(&plan);
	if (error) {
		if (!why[0])
			snprintf(why, why_bytes, "%s", strerror(-error));
		plan_release(&plan);
		return error;
	}
	plan.record.seed = plan.options.prototype.seed;
	plan.record.repetitions = plan.options.repetitions;
	for (int pass = 0; pass < PASSES; pass++)
		if (plan.options.passes[pass])
			plan.record.passes |= 1u << pass;
	*out = plan;
	return 0;
}

void plan_release(struct plan *plan)
{
	plan_options_release(&plan->options);
	run_plan_release(&plan->record);
	free(plan->cells);
	free(plan->tasks);
	memset(plan, 0, sizeof(*plan));
}

void plan_task_spec(const struct plan *plan, unsigned index, struct measure_spec *spec)
{
	const struct plan_task *task = &plan->tasks[index];

	*spec = plan->options.prototype;
	spec->cell = plan->cells[task->cell].cell;
	spec->pass = task->pass;
	spec->repetition = task->repetition;
	spec->order = index;
	spec->trace_fd = -1;
	if (task->pass == PASS_MEMORY)
		spec->laps = 4;
	else if (task->pass == PASS_LATENCY)
		spec->laps = (spec->laps + 3) / 4;
}
