/* poolbench track export: the history for other programs; a run's directory goes to track_export.c. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/arguments.h"
#include "bench/cmd.h"
#include "bench/track.h"
#include "bench/track_export.h"
#include "results/export.h"
#include "results/record_json.h"
#include "results/series.h"

enum { KEY_BRANCH = 0x1000, KEY_MACHINE };

static const char *const format_names[] = { "csv", "json", NULL };

struct export_arguments {
	struct track_options track;
	const char *out, *branch, *machine;
	const char *format, *directory; /* as given; a directory: that run, in a format of others */
	bool json;
};

/* Without a directory it is the history, and a format of a run lacks its run. */
static void set_format(struct argp_state *state, struct export_arguments *arguments)
{
	bool chosen[2];

	if (!arguments->format)
		return;
	if (export_find(arguments->format))
		argp_error(state, "--format %s is of a run: which? Give its directory",
			   arguments->format);
	argument_names(state, "format", arguments->format, format_names, chosen);
	arguments->json = chosen[1];
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
	struct export_arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &arguments->track;
		return 0;
	case 'F':
		arguments->format = text;
		return 0;
	case 'o':
		arguments->out = text;
		return 0;
	case KEY_BRANCH:
		arguments->branch = text;
		return 0;
	case KEY_MACHINE:
		arguments->machine = text;
		return 0;
	case ARGP_KEY_ARG:
		arguments->directory = text;
		return 0;
	case ARGP_KEY_END:
		if (!arguments->directory)
			set_format(state, arguments);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{ "format", 'F', "NAME", 0, "csv or json (csv); with DIR, a format of the list below", 0 },
	{ "out", 'o', "FILE", 0, "Where to (standard output)", 0 },
	{ "branch", KEY_BRANCH, "NAME", 0, "Only runs of this branch", 0 },
	{ "machine", KEY_MACHINE, "START", 0, "Only of the machine whose fingerprint begins so",
	  0 },
	{ 0 },
};

/* ---- CSV: a line a point ---- */

static void write_csv_point(const struct history *history, const struct history_point *point,
			    FILE *file)
{
	const struct history_run *run = &history->runs[point->run];
	const struct history_series *series = &history->series[point->series];
	const char *const texts[] = { run->id, run->machine, run->branch, run->commit };
	const char *const cell[] = { series->cell.backend, series->cell.workload };
	const double values[] = { point->value, point->low, point->high, point->absolute };

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		csv_text(texts[i], file);
		fputc(',', file);
	}
	csv_real(run->started, file);
	for (size_t i = 0; i < sizeof(cell) / sizeof(*cell); i++) {
		fputc(',', file);
		csv_text(cell[i], file);
	}
	fprintf(file, ",%u,%zu,", series->cell.threads, series->cell.page_size);
	csv_text(series->cell.backing, file);
	fprintf(file, ",%s,%s,%s,%s,%s,%zu", series->settings, series->trace,
		measure_table[series->measure].name, measure_table[series->measure].unit,
		cell_status_names[point->status], point->n);
	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		fputc(',', file);
		csv_real(values[i], file);
	}
	fprintf(file, ",%d,", run->forgotten);
	csv_text(point->reason, file);
	fputc('\n', file);
}

static void write_csv(const struct history *history, FILE *file)
{
	fputs("run,machine,branch,commit,started_unix_seconds,backend,workload,threads,page_size,"
	      "backing,"
	      "settings,trace_checksum,series,unit,status,n,value,low,high,absolute,forgotten,"
	      "reason\n",
	      file);
	for (size_t i = 0; i < history->point_count; i++)
		write_csv_point(history, &history->points[i], file);
}

/* ---- JSON: runs, and series with their points ---- */

static json_t *point_json(const struct history *history, const struct history_point *point)
{
	json_t *samples = json_array();

	for (size_t i = 0; point->samples && i < point->n; i++)
		json_array_append_new(samples, json_finite(point->samples[i]));
	return json_pack("{so ss so sI so so so so so}", "run",
			 json_text(history->runs[point->run].id), "status",
			 cell_status_names[point->status], "reason", json_text(point->reason), "n",
			 (json_int_t)point->n, "value", json_finite(point->value), "low",
			 json_finite(point->low), "high", json_finite(point->high), "absolute",
			 json_finite(point->absolute), "samples", samples);
}

static json_t *history_json(const struct history *history, const char *reference)
{
	json_t *runs = json_array(), *list = json_array();

	for (size_t i = 0; i < history->run_count; i++)
		json_array_append_new(runs, track_run_json(&history->runs[i]));
	for (size_t s = 0; s < history->series_count; s++) {
		json_t *series = track_cell_json(&history->series[s]), *points = json_array();
		size_t count;
		const struct history_point *first = history_points(history, s, &count);

		for (size_t i = 0; i < count; i++)
			json_array_append_new(points, point_json(history, &first[i]));
		json_object_set_new(series, "points", points);
		json_array_append_new(list, series);
	}
	return json_pack("{si so so so}", "schema", TRACK_SCHEMA, "reference", json_text(reference),
			 "runs", runs, "series", list);
}

static int write_json(const struct history *history, const char *reference, FILE *file)
{
	json_t *document = history_json(history, reference);
	int error = document ? 0 : -ENOMEM;

	if (!error && json_dumpf(document, file, JSON_INDENT(1) | JSON_REAL_PRECISION(17)))
		error = -EIO;
	fputc('\n', file);
	json_decref(document);
	return error;
}

/* ---- all of it ---- */

static int write_out(const struct export_arguments *arguments, const struct history *history,
		     const char *reference, char *why, size_t why_bytes)
{
	FILE *file = arguments->out ? fopen(arguments->out, "we") : stdout;
	int error = 0;

	if (!file) {
		snprintf(why, why_bytes, "cannot write %s: %s", arguments->out, strerror(errno));
		return -EIO;
	}
	if (arguments->json || arguments->track.json)
		error = write_json(history, reference, file);
	else
		write_csv(history, file);
	if (fflush(file) || ferror(file))
		error = -errno;
	if (arguments->out && fclose(file) && !error)
		error = -errno;
	if (error)
		snprintf(why, why_bytes, "cannot write %s: %s",
			 arguments->out ? arguments->out : "to standard output", strerror(-error));
	return error;
}

static int export_history(const struct export_arguments *arguments, char *why, size_t why_bytes)
{
	struct history_filter filter = { .branch = arguments->branch,
					 .points = true,
					 .samples = true };
	struct history_machine machine;
	struct history history = { 0 };
	struct store *store;
	char reference[512];
	int error = track_open(&arguments->track, false, &store, why, why_bytes);

	if (error)
		return error;
	if (arguments->machine) {
		error = track_choose_machine(store, arguments->machine, &machine, why, why_bytes);
		filter.machine = machine.fingerprint;
	}
	if (!error)
		error = store_reference(store, reference, sizeof(reference), why, why_bytes);
	if (!error)
		error = store_read(store, &filter, &history, why, why_bytes);
	store_close(store);
	if (!error)
		error = write_out(arguments, &history, reference, why, why_bytes);
	history_release(&history);
	return error;
}

int track_export_history(int argc, char **argv)
{
	const struct argp_child children[] = { { &track_argp, 0, NULL, 0 }, { 0 } };
	const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.args_doc = "[DIR]",
		.doc = "Writes the whole history, forgotten runs included and marked: CSV with a "
		       "line a "
		       "value, or JSON with the values of the repetitions. With DIR, that run "
		       "alone in the "
		       "format of another program (docs/interfaces.md).\v"
		       "Examples:\n"
		       "  poolbench track export --format bmf run | bencher run --adapter json\n"
		       "  poolbench track export --out history.csv\n"
		       "  poolbench track export --format json --branch main | jq '.series[0]'",
		.children = children,
		.help_filter = track_export_help,
	};
	struct export_arguments arguments = { .json = false };
	char why[2048] = "";
	int error;

	track_options_init(&arguments.track, "track export");
	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	if (arguments.directory)
		return track_export(argc, argv);
	error = export_history(&arguments, why, sizeof(why));
	return error ? track_fail(&arguments.track, error, why) : EXIT_GOOD;
}
