#include "history.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "compare.h"
#include "files.h"
#include "hash.h"
#include "run_dir.h"
#include "summary.h"

const struct measure_info measure_table[MEASURES_COUNT] = {
#define M(symbol, name, metric, relative, unit) { name, METRIC_##metric, relative, unit },
	MEASURES(M)
#undef M
};

const char *const measure_names[MEASURES_COUNT + 1] = {
#define M(symbol, name, metric, relative, unit) name,
	MEASURES(M)
#undef M
		NULL
};

const char *const decision_names[DECISION_KINDS + 1] = { "accept", "pin", "forget", NULL };

int measure_find(const char *name)
{
	for (int i = 0; i < MEASURES_COUNT; i++)
		if (strcmp(measure_table[i].name, name) == 0)
			return i;
	return -1;
}

void history_release(struct history *history)
{
	for (size_t i = 0; i < history->point_count; i++)
		free(history->points[i].samples);
	free(history->runs);
	free(history->series);
	free(history->points);
	free(history->decisions);
	*history = (struct history){ 0 };
}

const struct history_point *history_points(const struct history *history, size_t series,
					   size_t *count)
{
	size_t low = 0, high = history->point_count;

	while (low < high) { /* the first point that is not of a series before it */
		const size_t middle = (low + high) / 2;

		if (history->points[middle].series < series)
			low = middle + 1;
		else
			high = middle;
	}
	*count = 0;
	while (low + *count < history->point_count &&
	       history->points[low + *count].series == series)
		++*count;
	return history->points + low;
}

bool decision_holds(const struct history_decision *decision, const struct history_series *series)
{
	return isnan(decision->withdrawn) &&
	       (!*decision->backend || !strcmp(decision->backend, series->cell.backend)) &&
	       (!*decision->workload || !strcmp(decision->workload, series->cell.workload)) &&
	       (!*decision->measure ||
		!strcmp(decision->measure, measure_table[series->measure].name));
}

void history_backend(const struct record *record, char *name, size_t bytes)
{
	const char *slash = strrchr(record->cell.backend, '/');
	const char *options = slash ? strchr(slash, ':') : NULL;

	if (!slash)
		snprintf(name, bytes, "%s", record->cell.backend);
	else if (strchr(record->display_name, ':'))
		snprintf(name, bytes, "file:%s", record->display_name);
	else
		snprintf(name, bytes, "file:%s%s", record->display_name, options ? options : "");
}

/* ---- the run ---- */

struct run_source {
	const char *directory;
	struct run_plan plan;
	json_t *environment;
	char *text; /* records.jsonl, whole lines */
	size_t bytes;
	struct record *records;
	size_t count;
};

static void source_release(struct run_source *source)
{
	run_plan_release(&source->plan);
	json_decref(source->environment);
	free(source->text);
	free(source->records);
}

static int read_records(struct run_source *source, char *why, size_t why_bytes)
{
	int fd = open(source->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), error;
	char reason[512];

	if (fd < 0)
		return file_explain(why, why_bytes, errno, "cannot open the run %s",
				    source->directory);
	error = file_read_all(fd, RUN_DIR_RECORDS, source->directory, &source->text, &source->bytes,
			      why, why_bytes);
	close(fd);
	if (error)
		return error;
	error = records_parse(source->text, source->bytes, &source->records, &source->count,
			      &source->bytes, reason, sizeof(reason));
	if (error)
		snprintf(why, why_bytes, "%s/" RUN_DIR_RECORDS ": %s", source->directory, reason);
	return error;
}

static int source_read(struct run_source *source, char *why, size_t why_bytes)
{
	int error = run_plan_read(source->directory, &source->plan, why, why_bytes);

	if (!error)
		error = read_records(source, why, why_bytes);
	if (error)
		return error;
	if (run_plan_option(&source->plan, "a")) {
		snprintf(why, why_bytes,
			 "%s is a comparison of two backends (poolbench ab), no run: a history is "
			 "made "
			 "of runs of `poolbench run`",
			 source->directory);
		return -EINVAL;
	}
	if (!source->count) {
		snprintf(why, why_bytes, "%s: nothing has been measured yet", source->directory);
		return -ENODATA;
	}
	source->environment = environment_read(source->directory);
	return 0;
}

static const char *environment_text(const struct run_source *source, const char *part,
				    const char *key)
{
	const json_t *object = part ? json_object_get(source->environment, part)
				    : source->environment;
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/* "AMD EPYC Processor, 2 processors, 24 GiB" */
static void describe_machine(const struct run_source *source, char *text, size_t bytes)
{
	const json_t *machine = json_object_get(source->environment, "machine");
	const char *model = environment_text(source, "machine", "cpu_model");
	const double memory = (double)json_integer_value(json_object_get(machine, "memory_bytes"));

	snprintf(text, bytes, "%s, %lld processors, %.0f GiB", *model ? model : "unknown processor",
		 (long long)json_integer_value(json_object_get(machine, "processors_online")),
		 memory / (1 << 30));
}

static int compare_options_by_name(const void *left, const void *right)
{
	const struct run_option *a = left, *b = right;

	return strcmp(a->name, b->name);
}

/* "events=20000 sanitizers=address": what changes the numbers, in one order; -EINVAL where it does not fit. */
static int describe_settings(struct run_source *source, char *text, size_t bytes)
{
	const char *sanitizers = environment_text(source, "build", "sanitizers");
	size_t used = 0;

	text[0] = '\0';
	qsort(source->plan.options, source->plan.option_count, sizeof(*source->plan.options),
	      compare_options_by_name);
	for (size_t i = 0; i < source->plan.option_count && used < bytes; i++)
		if (compare_option_matters(source->plan.options[i].name))
			used += (size_t)snprintf(text + used, bytes - used, "%s%s=%s",
						 used ? " " : "", source->plan.options[i].name,
						 source->plan.options[i].value);
	if (*sanitizers && used < bytes)
		used += (size_t)snprintf(text + used, bytes - used, "%ssanitizers=%s",
					 used ? " " : "", sanitizers);
	return used < bytes ? 0 : -EINVAL;
}

/* Both stay as they are while a run goes on: its first record is the first line of a file that only grows. */
static int name_run(const struct run_source *source, struct history_run *run, char *why,
		    size_t why_bytes)
{
	const char *end = memchr(source->text, '\n', source->bytes);
	const double started = source->records[0].started_unix_seconds;
	const time_t seconds = isfinite(started) && started > 0 && started < 1e11 ? (time_t)started
										  : 0;
	char stamp[40] = "";
	struct tm utc;

	if (!seconds || !gmtime_r(&seconds, &utc) ||
	    !strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &utc)) {
		snprintf(why, why_bytes, "%s: the first record does not say when it started",
			 source->directory);
		return -EBADMSG;
	}
	snprintf(run->id, sizeof(run->id), "%s-%08" PRIx64, stamp,
		 hash_bytes(HASH_SEED, source->text, (size_t)(end - source->text)) >> 32);
	snprintf(run->digest, sizeof(run->digest), "%016" PRIx64,
		 hash_bytes(HASH_SEED, source->text, source->bytes));
	run->started = started;
	run->records = source->count;
	return 0;
}

static int describe_run(struct run_source *source, struct history_entry *entry, char *why,
			size_t why_bytes)
{
	const char *machine = environment_text(source, NULL, "machine_fingerprint");
	struct history_run *run = &entry->run;

	if (strlen(machine) != FINGERPRINT_BYTES - 1) {
		snprintf(why, why_bytes,
			 "%s does not say which machine it was made on (environment.json): "
			 "histories "
			 "of machines are never mixed",
			 source->directory);
		return -EINVAL;
	}
	if (describe_settings(source, entry->settings_text, sizeof(entry->settings_text))) {
		snprintf(why, why_bytes, "%s: its options are too long for a history",
			 source->directory);
		return -EINVAL;
	}
	snprintf(run->machine, sizeof(run->machine), "%s", machine);
	snprintf(run->settings, sizeof(run->settings), "%016" PRIx64,
		 hash_bytes(HASH_SEED, entry->settings_text, strlen(entry->settings_text)));
	snprintf(run->made_with, sizeof(run->made_with), "%.20s %.60s",
		 environment_text(source, "build", "version"),
		 environment_text(source, "build", "git_commit"));
	describe_machine(source, entry->machine_text, sizeof(entry->machine_text));
	return name_run(source, run, why, why_bytes);
}

/* ---- points ---- */

/* The cell's values of a measure, over its repetitions that are OK; `raw` gets them undivided. */
static size_t collect(const struct run_source *source, const struct cell *cell,
		      enum measure measure, const char *reference, double *values, double *raw)
{
	const struct measure_info *info = &measure_table[measure];
	size_t n = 0;

	for (size_t i = 0; i < source->count; i++) {
		const struct record *record = &source->records[i];
		const struct record *divisor = NULL;
		double value = record->metrics[info->metric];

		if (record->pass != metric_table[info->metric].pass || record->status != CELL_OK ||
		    !cell_same(&record->cell, cell))
			continue;
		raw[n] = value;
		if (info->relative) {
			divisor = compare_reference(source->records, source->count, record,
						    reference);
			value = divisor ? value / divisor->metrics[info->metric] : NAN;
		}
		if (isfinite(value) && value > 0)
			values[n++] = value;
	}
	return n;
}

static int fill_point(const struct run_source *source, const struct cell_summary *cell,
		      enum measure measure, const char *reference, double *room,
		      struct history_point *point)
{
	double *const values = room, *const raw = room + source->count;
	const enum pass pass = metric_table[measure_table[measure].metric].pass;
	size_t n = 0;

	*point = (struct history_point){ .value = NAN, .low = NAN, .high = NAN, .absolute = NAN };
	point->status = cell->pass_status[pass];
	if (point->status == CELL_OK)
		n = collect(source, &cell->cell, measure, reference, values, raw);
	else
		snprintf(point->reason, sizeof(point->reason), "%.199s", cell->reason);
	if (!n)
		return 0;
	point->samples = malloc(n * sizeof(*values));
	if (!point->samples)
		return -ENOMEM;
	memcpy(point->samples, values, n * sizeof(*values));
	point->n = sort_finite(values, n);
	point->value = sorted_median(values, n);
	point->low = sorted_median_interval(values, n, 0.95).low;
	point->high = sorted_median_interval(values, n, 0.95).high;
	point->absolute = sorted_median(raw, sort_finite(raw, n));
	return 0;
}

static void fill_series(const struct run_source *source, const struct cell_summary *cell,
			enum measure measure, const struct history_entry *entry,
			struct history_series *series)
{
	const struct record *first = source->records;

	while (!cell_same(&first->cell, &cell->cell))
		first++;
	*series = (struct history_series){ .cell = cell->cell, .measure = measure };
	history_backend(first, series->cell.backend, sizeof(series->cell.backend));
	memcpy(series->machine, entry->run.machine, sizeof(series->machine));
	memcpy(series->settings, entry->run.settings, sizeof(series->settings));
	/* a repetition that crashed before it read its trace has no checksum */
	for (size_t i = 0; i < source->count && !*series->trace; i++)
		if (source->records[i].trace_checksum &&
		    source->records[i].cell.threads == cell->cell.threads &&
		    !strcmp(source->records[i].cell.workload, cell->cell.workload))
			snprintf(series->trace, sizeof(series->trace), "0x%016" PRIx64,
				 source->records[i].trace_checksum);
}

/* What failed has one point a pass: the first measure's. */
static bool is_first_of_pass(enum measure measure)
{
	const enum pass pass = metric_table[measure_table[measure].metric].pass;

	for (int i = 0; i < (int)measure; i++)
		if (metric_table[measure_table[i].metric].pass == pass)
			return false;
	return true;
}

static int fill_cell(const struct run_source *source, const struct cell_summary *cell,
		     struct history_entry *entry, double *room)
{
	int error = 0;

	for (int measure = 0; measure < MEASURES_COUNT && !error; measure++) {
		const enum pass pass = metric_table[measure_table[measure].metric].pass;
		struct history_point *point = &entry->points[entry->count];

		if (!cell->records[pass])
			continue;
		error = fill_point(source, cell, (enum measure)measure, entry->reference, room,
				   point);
		/* what this machine or backend cannot tell is no point; what failed is */
		if (error || (!point->n && (point->status == CELL_OK ||
					    !is_first_of_pass((enum measure)measure))))
			continue;
		point->series = entry->count;
		fill_series(source, cell, (enum measure)measure, entry,
			    &entry->series[entry->count++]);
	}
	return error;
}

static bool has_reference(const struct run_source *source, const char *reference)
{
	for (size_t i = 0; i < source->count; i++)
		if (compare_is_reference(&source->records[i], reference) &&
		    source->records[i].status == CELL_OK)
			return true;
	return false;
}

static int fill_points(struct run_source *source, struct history_entry *entry)
{
	struct cell_summary *cells = NULL;
	double *room = calloc(2 * source->count + 1, sizeof(*room));
	size_t cell_count = 0;
	int error = room ? summarise(source->records, source->count, &cells, &cell_count) : -ENOMEM;

	if (!error) {
		entry->series = calloc(cell_count * MEASURES_COUNT + 1, sizeof(*entry->series));
		entry->points = calloc(cell_count * MEASURES_COUNT + 1, sizeof(*entry->points));
		error = entry->series && entry->points ? 0 : -ENOMEM;
	}
	for (size_t i = 0; i < cell_count && !error; i++)
		if (strcmp(cells[i].cell.backend, entry->reference) != 0)
			error = fill_cell(source, &cells[i], entry, room);
	free(cells);
	free(room);
	return error;
}

int history_entry_read(const char *directory, const char *reference, struct history_entry *entry,
		       char *why, size_t why_bytes)
{
	struct run_source source = { .directory = directory };
	struct history_entry made = { 0 };
	int error = source_read(&source, why, why_bytes);

	snprintf(made.reference, sizeof(made.reference), "%s", reference);
	if (!error)
		error = describe_run(&source, &made, why, why_bytes);
	if (!error && !has_reference(&source, reference)) {
		snprintf(why, why_bytes,
			 "%s has no good cell of the reference '%s': times of different hours can "
			 "only "
			 "be compared as ratios to it; measure it with the others (--backend "
			 "%s,...)",
			 directory, reference, reference);
		error = -EINVAL;
	}
	if (!error) {
		error = fill_points(&source, &made);
		if (error)
			snprintf(why, why_bytes, "out of memory");
	}
	source_release(&source);
	if (error) {
		history_entry_release(&made);
		return error;
	}
	*entry = made;
	return 0;
}

void history_entry_release(struct history_entry *entry)
{
	for (size_t i = 0; entry->points && i < entry->count; i++)
		free(entry->points[i].samples);
	free(entry->series);
	free(entry->points);
	*entry = (struct history_entry){ 0 };
}
