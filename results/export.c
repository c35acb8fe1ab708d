#include "export.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "environment.h"
#include "google_json.h"
#include "hash.h"
#include "run_dir.h"
#include "text.h"

/* ---- Google's schema, as in the run's own files ---- */

static int write_json(FILE *out, json_t *json)
{
	const int error = json && !json_dumpf(json, out, JSON_INDENT(2) | JSON_REAL_PRECISION(17))
				  ? 0
				  : -ENOMEM;

	json_decref(json);
	putc('\n', out);
	return error;
}

static int export_google(FILE *out, const struct export_run *run)
{
	return write_json(out, google_json_run(run->records, run->count, run->cells,
					       run->cell_count, run->environment));
}

static int export_tracker(FILE *out, const struct export_run *run)
{
	json_t *json = google_json_tracker(run->records, run->count, run->cells, run->cell_count,
					   run->environment);

	if (json && !json_array_size(json_object_get(json, "benchmarks"))) {
		json_decref(json);
		return -ENODATA;
	}
	return write_json(out, json);
}

/* ---- formats ---- */

const struct export_format export_formats[] = {
	{ "bmf", "Bencher's json adapter (Bencher Metric Format)", export_bmf },
	{ "custom-smaller", "github-action-benchmark's customSmallerIsBetter",
	  export_custom_smaller },
	{ "google", "Google Benchmark's compare.py (run.json)", export_google },
	{ "googlecpp", "github-action-benchmark's googlecpp, Bencher's cpp_google (tracker.json)",
	  export_tracker },
	{ "junit", "CI servers: JUnit XML, a test case for each pass of a cell", export_junit },
	{ "openmetrics", "Prometheus and what reads its text: OpenMetrics 1.0",
	  export_openmetrics },
	{ NULL, NULL, NULL },
};

const struct export_format *export_find(const char *name)
{
	for (const struct export_format *format = export_formats; format->name; format++)
		if (strcmp(format->name, name) == 0)
			return format;
	return NULL;
}

int export_text(const struct export_format *format, const struct export_run *run, char **text,
		size_t *bytes)
{
	char *buffer = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&buffer, &size);
	int error = out ? format->write(out, run) : -ENOMEM;

	if (out && (ferror(out) | fclose(out)) && !error)
		error = -ENOMEM;
	if (error) {
		free(buffer);
		return error;
	}
	*text = buffer;
	*bytes = size;
	return 0;
}

/* ---- the run ---- */

int export_run_read(const char *directory, struct export_run *run, char *why, size_t why_bytes)
{
	struct export_run read = { 0 };
	struct run_plan plan = { 0 };
	int error = records_read(directory, &read.records, &read.count, why, why_bytes);

	if (error)
		return error;
	/* a run whose plan is gone can still be told by its records */
	if (run_plan_read(directory, &plan, why, why_bytes) == 0 && run_plan_option(&plan, "a")) {
		snprintf(why, why_bytes,
			 "%s is a comparison: its verdicts are in ab.json, and `poolbench ab "
			 "--junit` tells them to a CI server",
			 directory);
		error = -EINVAL;
	}
	run_plan_release(&plan);
	if (!error)
		error = summarise(read.records, read.count, &read.cells, &read.cell_count);
	if (error == -ENOMEM)
		snprintf(why, why_bytes, "out of memory");
	if (error) {
		export_run_release(&read);
		return error;
	}
	read.environment = environment_read(directory);
	*run = read;
	return 0;
}

void export_run_release(struct export_run *run)
{
	free(run->records);
	free(run->cells);
	json_decref(run->environment);
	memset(run, 0, sizeof(*run));
}

/* ---- for the formats ---- */

const struct export_measure export_measures[EXPORT_MEASURES] = {
	{ METRIC_ns_per_op, "latency" }, /* Bencher's own two, in ns and operations a second */
	{ METRIC_ops_per_second, "throughput" },
	{ METRIC_instructions_per_op, "instructions-per-op" },
	{ METRIC_alloc_ns_p99, "alloc-ns-p99" },
	{ METRIC_free_ns_p99, "free-ns-p99" },
	{ METRIC_resident_bytes_peak, "resident-bytes-peak" },
	{ METRIC_committed_bytes_peak, "committed-bytes-peak" },
	{ METRIC_residue_bytes, "residue-bytes" },
};

const struct metric_summary *export_metric(const struct cell_summary *cell, enum metric metric)
{
	const struct metric_summary *summary = &cell->metrics[metric];

	return cell->pass_status[metric_table[metric].pass] == CELL_OK && summary->n ? summary
										     : NULL;
}

bool export_has_interval(const struct metric_summary *summary)
{
	return summary->n > 1 && isfinite(summary->interval.low) &&
	       isfinite(summary->interval.high);
}

void export_cell_name(const struct cell *cell, char *name)
{
	char whole[1400];
	size_t used = 0;

	cell_name(cell, whole, sizeof(whole));
	for (const char *from = whole; *from;) {
		const int bytes = utf8_length((const unsigned char *)from);

		if (used + 4 + 17 > EXPORT_NAME_BYTES - 1) {
			snprintf(name + used, EXPORT_NAME_BYTES - used, "~%016llx",
				 (unsigned long long)hash_bytes(HASH_SEED, whole, strlen(whole)));
			return;
		}
		if (bytes)
			memcpy(name + used, from, (size_t)bytes);
		else
			name[used] = '?';
		used += bytes ? (size_t)bytes : 1;
		from += bytes ? bytes : 1;
	}
	name[used] = '\0';
}
