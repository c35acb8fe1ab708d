/*
 * The figure "a heap map of a 1 GiB pool renders in under 5 s": a run with one picture of 1 GiB in cells of 4 KiB, each
 * different from its neighbours (the longest text there is), drawn as SVG and PNG. usage: perf_heap_map [SECONDS]
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bench/clock.h"
#include "plots/figures.h"
#include "plots_sample.h"
#include "results/run_dir.h"
#include "workloads/random.h"

#define CELLS (1u << 18)

static char *random_cells(void)
{
	static const char symbols[] = "ABCDEFGHabcdefgh~-=#";
	char *cells = malloc(CELLS + 1);
	struct random random;

	random_seed(&random, 1);
	for (size_t i = 0; cells && i < CELLS; i++)
		cells[i] = symbols[random_below(&random, sizeof(symbols) - 1)];
	if (cells)
		cells[CELLS] = '\0';
	return cells;
}

static int write_run(char *path, char *why, size_t why_bytes)
{
	struct run_plan plan = { .seed = 1, .repetitions = 1, .passes = 1u << PASS_MEMORY };
	struct run_dir *run;
	struct result result;
	int error;

	if (!mkdtemp(path))
		return -1;
	error = run_dir_create(NULL, path, &plan, &run, why, why_bytes);
	if (error)
		return error;
	result_clear(&result);
	snprintf(result.record.cell.backend, sizeof(result.record.cell.backend), "nt-pool");
	snprintf(result.record.display_name, sizeof(result.record.display_name), "nt-pool");
	snprintf(result.record.cell.workload, sizeof(result.record.cell.workload), "mixed");
	snprintf(result.record.cell.backing, sizeof(result.record.cell.backing), "base");
	result.record.cell.threads = 1;
	result.record.cell.page_size = 4096;
	result.record.pass = PASS_MEMORY;
	result.record.metrics[METRIC_footprint_ratio] = 1.2;
	result.heap_map = calloc(1, sizeof(*result.heap_map));
	result.heap_maps = 1;
	result.heap_map[0] = (struct heap_map){ .pool = 'N',
						.cell_bytes = 4096,
						.tags = strdup("Irp MmStFile"),
						.cells = random_cells() };
	error = run_dir_append(run, &result, why, why_bytes);
	result_release(&result);
	run_dir_close(run);
	return error;
}

int main(int argc, char **argv)
{
	static const char *const only[] = { "heap-map", NULL };
	const double most = argc > 1 ? strtod(argv[1], NULL) : 5;
	char path[] = "/tmp/poolbench-heap-map-XXXXXX", picture[128], why[512] = "";
	const char *directory = path;
	struct stat info = { 0 };
	double seconds;
	uint64_t start;
	int error = write_run(path, why, sizeof(why));

	start = monotonic_ns();
	if (!error)
		error = figures_make(&directory, 1, NULL, only, why, sizeof(why));
	seconds = (double)(monotonic_ns() - start) * 1e-9;
	snprintf(picture, sizeof(picture), "%s/plots/heap-map-mixed.png", path);
	if (!error && stat(picture, &info) != 0)
		error = -1;
	sample_remove(path);
	if (error) {
		fprintf(stderr, "%s\n", why);
		return 1;
	}
	printf("1 GiB, %u cells: %.2f s, of at most %.1f; PNG %lld bytes\n", CELLS, seconds, most,
	       (long long)info.st_size);
	return seconds > most;
}
