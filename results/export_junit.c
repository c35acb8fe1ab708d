/* A run as test results: a case a cell and pass; it passes when every repetition ended OK. */
#include <math.h>
#include <stdlib.h>

#include "export.h"
#include "junit.h"

/* A backend that does wrong fails; what could not be measured is an error or skipped. */
static enum junit_outcome outcome_of(enum cell_status status)
{
	switch (status) {
	case CELL_OK:
		return JUNIT_PASSED;
	case CELL_SKIPPED:
		return JUNIT_SKIPPED;
	case CELL_CORRUPT:
	case CELL_EXHAUSTED:
		return JUNIT_FAILURE;
	default:
		return JUNIT_ERROR;
	}
}

/* The reason of the first record that made the pass what it is, and the processes' time. */
static const char *reason_of(const struct export_run *run, const struct cell_summary *cell,
			     enum pass pass, double *seconds)
{
	const char *reason = NULL;

	*seconds = 0;
	for (size_t i = 0; i < run->count; i++) {
		const struct record *record = &run->records[i];

		if (record->pass != pass || !cell_same(&record->cell, &cell->cell))
			continue;
		if (isfinite(record->wall_seconds))
			*seconds += record->wall_seconds;
		if (!reason && record->status == cell->pass_status[pass])
			reason = record->reason;
	}
	return reason ? reason : "";
}

static void list_metrics(const struct cell_summary *cell, enum pass pass, FILE *out)
{
	for (int i = 0; i < METRIC_COUNT; i++) {
		const struct metric_summary *summary = metric_table[i].pass == pass
							       ? export_metric(cell, (enum metric)i)
							       : NULL;

		if (!summary)
			continue;
		fprintf(out, "%s: %.6g", metric_table[i].name, summary->median);
		if (export_has_interval(summary))
			fprintf(out, " (%.6g .. %.6g, n = %zu)", summary->interval.low,
				summary->interval.high, summary->n);
		putc('\n', out);
	}
}

static void add_case(struct junit *junit, const struct export_run *run,
		     const struct cell_summary *cell, enum pass pass)
{
	const enum cell_status status = cell->pass_status[pass];
	char name[EXPORT_NAME_BYTES], *output = NULL;
	size_t bytes = 0;
	FILE *file = open_memstream(&output, &bytes);
	struct junit_case test = { .classname = pass_names[pass],
				   .name = name,
				   .outcome = outcome_of(status),
				   .type = cell_status_names[status] };

	export_cell_name(&cell->cell, name);
	test.message = reason_of(run, cell, pass, &test.seconds);
	if (file) {
		list_metrics(cell, pass, file);
		fclose(file);
	}
	if (bytes)
		test.output = output;
	junit_add(junit, &test);
	free(output);
}

int export_junit(FILE *out, const struct export_run *run)
{
	struct junit *junit = junit_begin("poolbench run");
	double started = INFINITY;

	for (size_t i = 0; i < run->count; i++)
		started = fmin(started, run->records[i].started_unix_seconds);
	junit_origin(junit, started,
		     json_string_value(json_object_get(run->environment, "machine_fingerprint")));
	if (run->count) {
		char seed[24];

		snprintf(seed, sizeof(seed), "%llu", (unsigned long long)run->records[0].seed);
		junit_property(junit, "seed", seed);
	}
	for (size_t c = 0; c < run->cell_count; c++)
		for (int pass = 0; pass < PASSES; pass++)
			if (run->cells[c].records[pass])
				add_case(junit, run, &run->cells[c], (enum pass)pass);
	return junit_end(junit, out);
}
