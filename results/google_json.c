/*
 * How a record becomes an entry. A throughput repetition that is OK is an "iteration" entry:
 * real_time and cpu_time are both ns_per_op (threads x wall time / operations: the processor time
 * that an operation occupies), for Google's own fields changed their meaning for threads between
 * versions. The metrics of the other passes of the same repetition ride along as counters.
 *
 * A repetition that is not OK has no times, and must not be ranked by a reader that never looks at
 * error_occurred. compare.py is such a reader, and it needs real_time in every entry except
 * aggregates. So a failure is an "aggregate" with the aggregate_name "error" and, as Google's own
 * aggregates, the suffix "_error" in its name: it pairs with nothing, and enters no geometric mean.
 */
#include "google_json.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "environment.h"
#include "files.h"
#include "record_json.h"
#include "run_dir.h"

static json_t *context_json(const struct record *records, size_t count, const json_t *environment)
{
	const json_t *machine = json_object_get(environment, "machine");
	const json_t *build = json_object_get(environment, "build");
	json_t *load = json_object_get(json_object_get(environment, "before"), "load_average");
	const char *host = json_string_value(json_object_get(environment, "machine_fingerprint"));
	json_t *version = json_object_get(build, "benchmark_version");
	json_int_t processors = json_integer_value(json_object_get(machine, "processors_online"));
	double started = INFINITY;
	char date[40];
	time_t seconds;
	struct tm utc;

	for (size_t i = 0; i < count; i++)
		started = fmin(started, records[i].started_unix_seconds);
	seconds = isfinite(started) ? (time_t)started : 0;
	gmtime_r(&seconds, &utc);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S+00:00", &utc);
	/*
	 * readers with strict types want every key of Google's; the host's name is not ours to tell
	 */
	return json_pack("{ss ss ss sI sf sb so so ss sO* si}", "date", date, "host_name",
			 host ? host : "unknown", "executable", "poolbench", "num_cpus", processors,
			 "mhz_per_cpu", 0.0, "cpu_scaling_enabled", 0, "caches", json_array(),
			 "load_avg", json_is_array(load) ? json_incref(load) : json_array(),
			 "library_build_type", "release", "library_version", version,
			 "json_schema_version", 1);
}

static json_t *entry_json(const struct cell *cell, size_t family, const char *suffix,
			  const char *run_type, unsigned repetitions)
{
	json_t *entry = json_object();
	char name[1200], full[1300];

	cell_name(cell, name, sizeof(name));
	snprintf(full, sizeof(full), "%s%s", name, suffix);
	json_object_set_new(entry, "name", json_text(full));
	json_object_set_new(entry, "family_index", json_integer((json_int_t)family));
	json_object_set_new(entry, "per_family_instance_index", json_integer(0));
	json_object_set_new(entry, "run_name", json_text(name));
	json_object_set_new(entry, "run_type", json_string(run_type));
	json_object_set_new(entry, "repetitions", json_integer(repetitions));
	json_object_set_new(entry, "threads", json_integer(cell->threads));
	return entry;
}

static void set_time(json_t *entry, uint64_t iterations, double ns)
{
	json_object_set_new(entry, "iterations", json_integer((json_int_t)iterations));
	json_object_set_new(entry, "real_time", json_finite(ns));
	json_object_set_new(entry, "cpu_time", json_finite(ns));
	json_object_set_new(entry, "time_unit", json_string("ns"));
}

static void set_metrics(json_t *entry, const struct record *record)
{
	for (int i = 0; i < METRIC_COUNT; i++) {
		if (metric_table[i].pass == record->pass && isfinite(record->metrics[i]))
			json_object_set_new(entry, metric_table[i].name,
					    json_finite(record->metrics[i]));
	}
}

static json_t *repetition_json(const struct record *records, size_t count, size_t index,
			       const struct cell_summary *cell, size_t family)
{
	const struct record *record = &records[index];
	json_t *entry = entry_json(&cell->cell, family, "", "iteration", cell->repetitions);

	json_object_set_new(entry, "repetition_index", json_integer(record->repetition));
	set_time(entry, record->operations, record->metrics[METRIC_ns_per_op]);
	for (size_t i = 0; i < count; i++) {
		if (records[i].status == CELL_OK && records[i].repetition == record->repetition &&
		    cell_same(&records[i].cell, &record->cell))
			set_metrics(entry, &records[i]);
	}
	return entry;
}

static json_t *error_json(const struct record *record, const struct cell_summary *cell,
			  size_t family)
{
	json_t *entry = entry_json(&cell->cell, family, "_error", "aggregate", cell->repetitions);
	char message[600];

	snprintf(message, sizeof(message), "%s in the %s pass: %s",
		 cell_status_names[record->status], pass_names[record->pass], record->reason);
	json_object_set_new(entry, "aggregate_name", json_string("error"));
	json_object_set_new(entry, "repetition_index", json_integer(record->repetition));
	json_object_set_new(entry, "error_occurred", json_true());
	json_object_set_new(entry, "error_message", json_text(message));
	return entry;
}

static json_t *document(json_t *context, json_t *benchmarks)
{
	return json_pack("{so so}", "context", context, "benchmarks", benchmarks);
}

json_t *google_json_run(const struct record *records, size_t count,
			const struct cell_summary *cells, size_t cell_count,
			const json_t *environment)
{
	json_t *benchmarks = json_array();

	for (size_t c = 0; c < cell_count; c++) {
		for (size_t i = 0; i < count; i++) {
			const struct record *record = &records[i];

			if (!cell_same(&record->cell, &cells[c].cell))
				continue;
			if (record->status != CELL_OK)
				json_array_append_new(benchmarks, error_json(record, &cells[c], c));
			else if (record->pass == PASS_THROUGHPUT &&
				 isfinite(record->metrics[METRIC_ns_per_op]))
				json_array_append_new(benchmarks, repetition_json(records, count, i,
										  &cells[c], c));
		}
	}
	return document(context_json(records, count, environment), benchmarks);
}

/*
 * The largest number of operations that a repetition of the cell did: laps are of fixed length, so
 * as a rule all.
 */
static uint64_t typical_operations(const struct record *records, size_t count,
				   const struct cell *cell)
{
	uint64_t operations = 0;

	for (size_t i = 0; i < count; i++) {
		if (records[i].pass == PASS_THROUGHPUT && records[i].status == CELL_OK &&
		    cell_same(&records[i].cell, cell) && records[i].operations > operations)
			operations = records[i].operations;
	}
	return operations;
}

json_t *google_json_tracker(const struct record *records, size_t count,
			    const struct cell_summary *cells, size_t cell_count,
			    const json_t *environment)
{
	json_t *benchmarks = json_array();

	for (size_t c = 0; c < cell_count; c++) {
		const struct cell_summary *cell = &cells[c];
		json_t *entry;

		/* a median of the repetitions that survived would hide those that did not */
		if (cell->pass_status[PASS_THROUGHPUT] != CELL_OK ||
		    !cell->metrics[METRIC_ns_per_op].n)
			continue;
		entry = entry_json(&cell->cell, c, "", "iteration", cell->repetitions);
		json_object_set_new(entry, "repetition_index", json_integer(0));
		set_time(entry, typical_operations(records, count, &cell->cell),
			 cell->metrics[METRIC_ns_per_op].median);
		for (int i = 0; i < METRIC_COUNT; i++) {
			if (cell->metrics[i].n)
				json_object_set_new(entry, metric_table[i].name,
						    json_finite(cell->metrics[i].median));
		}
		json_array_append_new(benchmarks, entry);
	}
	return document(context_json(records, count, environment), benchmarks);
}

/* Takes the document. */
static int write_document(int directory_fd, const char *directory, const char *name, json_t *json,
			  char *why, size_t why_bytes)
{
	char *text = json ? json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) : NULL;
	int error;

	json_decref(json);
	if (!text)
		return file_explain(why, why_bytes, ENOMEM, "cannot write %s/%s", directory, name);
	error = file_replace(directory_fd, name, directory, text, strlen(text), why, why_bytes);
	free(text);
	return error;
}

int google_json_write(const char *directory, char *why, size_t why_bytes)
{
	struct record *records = NULL;
	struct cell_summary *cells = NULL;
	json_t *environment = NULL;
	size_t count, cell_count;
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), error;

	if (fd < 0)
		return file_explain(why, why_bytes, errno, "cannot open the run %s", directory);
	error = records_read(directory, &records, &count, why, why_bytes);
	if (error)
		goto out;
	error = summarise(records, count, &cells, &cell_count);
	if (error) {
		file_explain(why, why_bytes, -error, "cannot summarise %s", directory);
		goto out;
	}
	environment = environment_read(directory);
	error = write_document(fd, directory, "run.json",
			       google_json_run(records, count, cells, cell_count, environment), why,
			       why_bytes);
	if (!error)
		error = write_document(
			fd, directory, "tracker.json",
			google_json_tracker(records, count, cells, cell_count, environment), why,
			why_bytes);
out:
	json_decref(environment);
	free(records);
	free(cells);
	close(fd);
	return error;
}
