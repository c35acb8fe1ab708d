/* poolbench track list: what the history holds. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allocators/options.h"
#include "bench/arguments.h"
#include "bench/cmd.h"
#include "bench/plan.h"
#include "bench/track.h"
#include "results/history_check.h"
#include "results/record_json.h"

enum { KEY_BRANCH = 0x1000, KEY_MACHINE, KEY_LAST };

static const char *const list_names[] = {
	"runs", "cells", "series", "machines", "decisions", NULL
};
enum list_what { LIST_RUNS, LIST_CELLS, LIST_SERIES, LIST_MACHINES, LIST_DECISIONS, LISTS };

struct list_arguments {
	struct track_options track;
	enum list_what what;
	bool chosen;
	const char *branch, *machine;
	unsigned last;
};

static void choose(struct argp_state *state, struct list_arguments *arguments, const char *text)
{
	int what = 0;

	if (arguments->chosen)
		argp_error(state, "one list at a time: what is '%s'?", text);
	while (list_names[what] && strcmp(list_names[what], text) != 0)
		what++;
	if (!list_names[what]) {
		const char *near = name_suggest(text, list_names, LISTS);

		argp_error(state, "no list '%s'%s%s%s: runs, cells, series, machines or decisions",
			   text, near ? ", did you mean '" : "", near ? near : "",
			   near ? "'?" : "");
	}
	arguments->what = (enum list_what)what;
	arguments->chosen = true;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
	struct list_arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &arguments->track;
		return 0;
	case KEY_BRANCH:
		arguments->branch = text;
		return 0;
	case KEY_MACHINE:
		arguments->machine = text;
		return 0;
	case KEY_LAST:
		arguments->last = argument_count(state, "last", text, 1, 1000000);
		return 0;
	case ARGP_KEY_ARG:
		choose(state, arguments, text);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{ "branch", KEY_BRANCH, "NAME", 0, "Only runs of this branch", 0 },
	{ "machine", KEY_MACHINE, "START", 0, "Only of the machine whose fingerprint begins so",
	  0 },
	{ "last", KEY_LAST, "N", 0, "Only the last N runs", 0 },
	{ 0 },
};

/* ---- runs ---- */

static int list_runs(const struct list_arguments *arguments, const struct history *history)
{
	if (arguments->track.json) {
		json_t *runs = json_array();

		for (size_t i = 0; i < history->run_count; i++)
			json_array_append_new(runs, track_run_json(&history->runs[i]));
		return track_print_json(&arguments->track,
					json_pack("{si so}", "schema", TRACK_SCHEMA, "runs", runs));
	}
	printf("%-26s %-16s %-12s %-20s %-16s %8s %7s\n", "run", "started (UTC)", "commit",
	       "branch", "machine", "records", "values");
	for (size_t i = 0; i < history->run_count; i++) {
		const struct history_run *run = &history->runs[i];
		char when[32], commit[32];

		track_time(run->started, when, sizeof(when));
		track_commit(run->commit, commit, sizeof(commit));
		printf("%-26s %-16s %-12s %-20s %-16s %8" PRIu64 " %7zu%s\n", run->id, when, commit,
		       *run->branch ? run->branch : "-", run->machine, run->records, run->points,
		       run->forgotten ? "  forgotten" : "");
	}
	return fflush(stdout) ? EXIT_FAILED : EXIT_GOOD;
}

/* ---- cells: one line for the measures of each ---- */

static bool same_line(const struct history_series *a, const struct history_series *b)
{
	return !strcmp(a->machine, b->machine) && cell_same(&a->cell, &b->cell);
}

static json_t *cell_line_json(const struct history_series *series, size_t runs, size_t measures)
{
	return json_pack("{so so si sI so so sI sI}", "backend", json_text(series->cell.backend),
			 "workload", json_text(series->cell.workload), "threads",
			 (int)series->cell.threads, "page_size", (json_int_t)series->cell.page_size,
			 "backing", json_text(series->cell.backing), "machine",
			 json_text(series->machine), "runs", (json_int_t)runs, "series",
			 (json_int_t)measures);
}

static int list_cells(const struct list_arguments *arguments, const struct history *history)
{
	json_t *cells = json_array();

	for (size_t i = 0, next; i < history->series_count; i = next) {
		const struct history_series *series = &history->series[i];
		char title[1400];
		size_t runs = 0, count;

		for (next = i;
		     next < history->series_count && same_line(series, &history->series[next]);
		     next++) {
			history_points(history, next, &count);
			runs = count > runs ? count : runs;
		}
		if (arguments->track.json)
			json_array_append_new(cells, cell_line_json(series, runs, next - i));
		cell_describe(&series->cell, title, sizeof(title));
		if (!arguments->track.json)
			printf("%5zu runs, %zu series  %s  on %s\n", runs, next - i, title,
			       series->machine);
	}
	if (arguments->track.json)
		return track_print_json(&arguments->track, json_pack("{si so}", "schema",
								     TRACK_SCHEMA, "cells", cells));
	json_decref(cells);
	return fflush(stdout) ? EXIT_FAILED : EXIT_GOOD;
}

/* ---- series: the levels of each ---- */

static json_t *levels_json(const struct history *history, const struct course *course)
{
	json_t *levels = json_array();

	for (size_t i = 0; i < course->level_count && course->count; i++) {
		const struct level *level = &course->levels[i];
		const size_t run = history->points[course->points[level->first]].run;

		json_array_append_new(
			levels,
			json_pack("{so sI so so so sb}", "from", json_text(history->runs[run].id),
				  "runs", (json_int_t)level->count, "median",
				  json_finite(exp(level->centre)), "ratio_to_baseline",
				  json_finite(course_ratio(course, i)), "p", json_finite(level->p),
				  "baseline", i == course->baseline));
	}
	return levels;
}

static void print_levels(const struct history *history, const struct course *course)
{
	for (size_t i = 1; i < course->level_count; i++) {
		const struct level *level = &course->levels[i];
		const struct history_run *run =
			&history->runs[history->points[course->points[level->first]].run];
		char when[32], commit[32];

		track_time(run->started, when, sizeof(when));
		track_commit(run->commit, commit, sizeof(commit));
		printf("    %+6.1f %% since %s, commit %s, run %s (%zu runs, p %.2g)%s\n",
		       100 * expm1(level->centre - course->levels[i - 1].centre), when, commit,
		       run->id, level->count, level->p,
		       i == course->baseline ? ": the baseline now" : "");
	}
}

static int one_series(const struct list_arguments *arguments, const struct history *history,
		      size_t index, json_t *list)
{
	const struct history_series *series = &history->series[index];
	struct check_rules rules;
	struct course course;
	char title[1400];
	json_t *object;
	int error;

	check_rules_init(&rules);
	error = course_make(history, index, NAN, &rules,
			    rules.alpha / (double)history->series_count, &course);
	if (error)
		return error;
	if (arguments->track.json) {
		object = track_cell_json(series);
		json_object_set_new(object, "levels", levels_json(history, &course));
		json_array_append_new(list, object);
	} else {
		cell_describe(&series->cell, title, sizeof(title));
		printf("%-12s %s: %zu runs, baseline %.6g %s\n",
		       measure_table[series->measure].name, title, course.count,
		       course.count ? exp(course.levels[course.baseline].centre) : NAN,
		       measure_table[series->measure].unit);
		print_levels(history, &course);
	}
	course_release(&course);
	return 0;
}

static int list_series(const struct list_arguments *arguments, const struct history *history)
{
	json_t *list = json_array();
	int error = 0;

	for (size_t i = 0; i < history->series_count && !error; i++)
		error = one_series(arguments, history, i, list);
	if (error) {
		json_decref(list);
		return track_fail(&arguments->track, error, "");
	}
	if (arguments->track.json)
		return track_print_json(&arguments->track, json_pack("{si so}", "schema",
								     TRACK_SCHEMA, "series", list));
	json_decref(list);
	return fflush(stdout) ? EXIT_FAILED : EXIT_GOOD;
}

/* ---- machines, decisions ---- */

static int list_machines(const struct list_arguments *arguments, struct store *store)
{
	struct history_machine *machines = NULL;
	json_t *list = json_array();
	size_t count = 0;
	char why[2048] = "";
	int error = store_machines(store, &machines, &count, why, sizeof(why)), code = EXIT_GOOD;

	for (size_t i = 0; i < count && !error; i++) {
		json_array_append_new(list, json_pack("{so so sI}", "machine",
						      json_text(machines[i].fingerprint),
						      "description", json_text(machines[i].text),
						      "runs", (json_int_t)machines[i].runs));
		if (!arguments->track.json)
			printf("%s %5" PRId64 " runs  %s\n", machines[i].fingerprint,
			       machines[i].runs, machines[i].text);
	}
	free(machines);
	if (error)
		code = track_fail(&arguments->track, error, why);
	else if (arguments->track.json)
		return track_print_json(
			&arguments->track,
			json_pack("{si so}", "schema", TRACK_SCHEMA, "machines", list));
	json_decref(list);
	return fflush(stdout) ? EXIT_FAILED : code;
}

static json_t *decision_json(const struct history_decision *decision)
{
	const bool holds = isnan(decision->withdrawn);

	return json_pack(
		"{sI ss so so so so so so sf sb so so}", "id", (json_int_t)decision->id, "decision",
		decision_names[decision->kind], "run", json_text(decision->run), "backend",
		json_text(decision->backend), "workload", json_text(decision->workload), "series",
		json_text(decision->measure), "reason", json_text(decision->reason), "made_by",
		json_text(decision->made_by), "made_unix_seconds", decision->made, "holds", holds,
		"withdrawn_unix_seconds", json_finite(decision->withdrawn), "withdrawn_reason",
		holds ? json_null() : json_text(decision->withdrawn_reason));
}

static void print_decision(const struct history_decision *decision)
{
	char when[32];

	track_time(decision->made, when, sizeof(when));
	printf("%-16s %-7s %s  by %s", when, decision_names[decision->kind], decision->run,
	       decision->made_by);
	if (*decision->backend || *decision->workload || *decision->measure)
		printf("  only %s%s%s%s%s", decision->backend, *decision->backend ? " " : "",
		       decision->workload, *decision->workload ? " " : "", decision->measure);
	printf("\n    %s\n", decision->reason);
	if (!isnan(decision->withdrawn)) {
		track_time(decision->withdrawn, when, sizeof(when));
		printf("    taken back %s: %s\n", when, decision->withdrawn_reason);
	}
}

static int list_decisions(const struct list_arguments *arguments, const struct history *history)
{
	json_t *list = json_array();

	for (size_t i = 0; i < history->decision_count; i++) {
		if (arguments->track.json)
			json_array_append_new(list, decision_json(&history->decisions[i]));
		else
			print_decision(&history->decisions[i]);
	}
	if (arguments->track.json)
		return track_print_json(
			&arguments->track,
			json_pack("{si so}", "schema", TRACK_SCHEMA, "decisions", list));
	json_decref(list);
	return fflush(stdout) ? EXIT_FAILED : EXIT_GOOD;
}

/* ---- all of it ---- */

static int list_history(const struct list_arguments *arguments, struct store *store)
{
	const bool wants_points = arguments->what == LIST_CELLS || arguments->what == LIST_SERIES;
	struct history_filter filter = { .branch = arguments->branch,
					 .last = arguments->last,
					 .points = wants_points };
	struct history_machine machine;
	struct history history;
	char why[2048] = "", branch[256];
	int error = 0, code;

	/* levels are of one machine and branch */
	if (arguments->machine || arguments->what == LIST_SERIES) {
		error = track_choose_machine(store, arguments->machine, &machine, why, sizeof(why));
		filter.machine = machine.fingerprint;
	}
	if (!error && arguments->what == LIST_SERIES) {
		error = track_choose_branch(store, machine.fingerprint, arguments->branch, branch,
					    why, sizeof(why));
		filter.branch = branch;
	}
	if (!error)
		error = store_read(store, &filter, &history, why, sizeof(why));
	if (error)
		return track_fail(&arguments->track, error, why);
	if (arguments->what == LIST_RUNS)
		code = list_runs(arguments, &history);
	else if (arguments->what == LIST_CELLS)
		code = list_cells(arguments, &history);
	else if (arguments->what == LIST_SERIES)
		code = list_series(arguments, &history);
	else
		code = list_decisions(arguments, &history);
	history_release(&history);
	return code;
}

int track_list(int argc, char **argv)
{
	const struct argp_child children[] = { { &track_argp, 0, NULL, 0 }, { 0 } };
	const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.args_doc = "[runs|cells|series|machines|decisions]",
		.doc = "Shows what the history holds: runs if nothing is said; series with their "
		       "levels and "
		       "change points.\v"
		       "Examples:\n"
		       "  poolbench track list\n"
		       "  poolbench track list series --branch main\n"
		       "  poolbench track list decisions --json",
		.children = children,
	};
	struct list_arguments arguments = { .what = LIST_RUNS };
	struct store *store;
	char why[2048] = "";
	int error, code;

	track_options_init(&arguments.track, "track list");
	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	error = track_open(&arguments.track, false, &store, why, sizeof(why));
	if (error)
		return track_fail(&arguments.track, error, why);
	code = arguments.what == LIST_MACHINES ? list_machines(&arguments, store)
					       : list_history(&arguments, store);
	store_close(store);
	return code;
}
