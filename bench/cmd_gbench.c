/*
 * poolbench gbench: Google Benchmark's own command line over backends x workloads, in this process: its
 * filters, repetitions, formats and output files. For a look with familiar tools; a comparison that is to be
 * believed wants the fresh interleaved processes of `poolbench run`.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allocators/registry.h"
#include "bench/barrier.h"
#include "bench/cmd.h"
#include "bench/gbench.h"
#include "bench/measure.h"
#include "workloads/workload.h"

#define MAX_FAMILIES 512

/* One family; thread counts share it, one run at a time. */
struct gbench_cell {
	struct measure_spec spec;
	struct measurement measurement;
	struct result result;
	struct barrier barrier;
	atomic_bool failed;
	int64_t batch;
};

/* Corruption in one cell ends the process: nothing after it could be trusted. */
static void emit_stop(const struct result *result)
{
	fprintf(stderr, "poolbench gbench: %s: %s\n", result->record.display_name,
		result->record.reason);
}

static void cell_setup(const struct gbench_state *gbench, void *arg)
{
	struct gbench_cell *cell = arg;
	const unsigned threads = (unsigned)gbench_thread_count(gbench);

	cell->spec.cell.threads = threads;
	barrier_init(&cell->barrier, threads);
	atomic_store(&cell->failed, false);
	if (measurement_open(&cell->measurement, &cell->spec, &cell->result, emit_stop) != 0)
		atomic_store(&cell->failed, true);
	else
		cell->batch = (int64_t)(replay_operations(&cell->measurement.image.trace,
							  TRACE_BODY) /
					threads);
}

static void cell_teardown(const struct gbench_state *gbench, void *arg)
{
	struct gbench_cell *cell = arg;

	(void)gbench;
	measurement_close(&cell->measurement);
	result_release(&cell->result);
}

static uint64_t replay_phase(struct gbench_cell *cell, unsigned thread, enum trace_phase phase)
{
	const struct trace_stream *stream = &cell->measurement.image.trace.streams[thread];

	return replay_events(&cell->measurement.replay, thread, stream->start[phase],
			     stream->count[phase]);
}

static void cell_run(struct gbench_state *gbench, void *arg)
{
	struct gbench_cell *cell = arg;
	const unsigned thread = (unsigned)gbench_thread_index(gbench);
	uint64_t failed = 0;

	if (!atomic_load(&cell->failed) && measure_thread_enter(&cell->measurement, thread) != 0)
		atomic_store(&cell->failed, true);
	barrier_wait(&cell->barrier);
	if (atomic_load(&cell->failed)) {
		gbench_skip_with_error(gbench, cell->result.record.reason);
		return;
	}
	failed += replay_phase(cell, thread, TRACE_PROLOGUE);
	barrier_wait(&cell->barrier);
	while (gbench_keep_running_batch(gbench, cell->batch)) {
		failed += replay_phase(cell, thread, TRACE_BODY);
		barrier_wait(&cell->barrier);
	}
	failed += replay_phase(cell, thread, TRACE_EPILOGUE);
	measure_thread_exit(&cell->measurement);
	gbench_set_counter(gbench, "failed_allocs", (double)failed, GBENCH_COUNTER_PLAIN);
	gbench_set_items_processed(gbench, gbench_iterations_done(gbench));
}

static int register_cell(struct gbench_cell *cell, const char *backend, bool library,
			 const char *workload)
{
	struct gbench *family;
	char name[300];

	measure_spec_init(&cell->spec);
	snprintf(cell->spec.cell.backend, sizeof(cell->spec.cell.backend), "%s", backend);
	snprintf(cell->spec.cell.workload, sizeof(cell->spec.cell.workload), "%s", workload);
	snprintf(cell->spec.cell.backing, sizeof(cell->spec.cell.backing), "base");
	cell->spec.cell.page_size = library ? 0 : POOL_OS_PAGE;
	snprintf(name, sizeof(name), "%s/%s", backend, workload);
	family = gbench_register(name, cell_run, cell);
	if (!family)
		return -errno;
	gbench_threads(family, 1);
	gbench_threads(family, 2);
	gbench_clock(family, GBENCH_REAL_TIME);
	return gbench_setup_teardown(family, cell_setup, cell_teardown);
}

static int register_backend(struct gbench_cell *cells, size_t *count, const char *backend,
			    bool library)
{
	int error = 0;

	for (int w = 0; workloads[w] && *count < MAX_FAMILIES && !error; w++)
		error = register_cell(&cells[(*count)++], backend, library, workloads[w]->name);
	return error;
}

int cmd_gbench(int argc, char **argv)
{
	struct gbench_cell *cells = calloc(MAX_FAMILIES, sizeof(*cells));
	size_t count = 0;
	int error = cells ? 0 : -ENOMEM;

	for (int i = 0; !error && builtin_backends[i]; i++)
		error = register_backend(cells, &count, builtin_backends[i]->name, false);
	for (int i = 0; !error && known_libraries[i].name; i++) {
		struct backend *backend = NULL;
		char why[512];

		if (backend_open(known_libraries[i].name, &backend, why, sizeof(why)) != 0)
			continue; /* `poolbench list backends` says what is missing */
		backend_close(backend);
		error = register_backend(cells, &count, known_libraries[i].name, true);
	}
	if (error)
		fprintf(stderr, "poolbench gbench: %s\n", strerror(-error));
	else
		error = gbench_main(argc, argv) ? EXIT_USAGE : 0;
	free(cells);
	return error < 0 ? EXIT_FAILED : error;
}
