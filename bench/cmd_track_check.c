/* poolbench track check: a run against its history. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/arguments.h"
#include "bench/cmd.h"
#include "bench/plan.h"
#include "bench/track.h"
#include "results/history_check.h"
#include "results/record_json.h"

enum {
	KEY_BRANCH = 0x1000,
	KEY_THRESHOLD,
	KEY_CHANGE_THRESHOLD,
	KEY_ALPHA,
	KEY_GATE,
	KEY_WINDOW,
	KEY_CONFIRM,
	KEY_ALL
};

struct check_arguments {
	struct track_options track;
	const char *directory, *second, *branch;
	struct check_rules rules;
	bool gate[MEASURES_COUNT], all;
	unsigned window;
};

static error_t parse_option(int key, char *text, struct argp_state *state)
{
	struct check_arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &arguments->track;
		return 0;
	case KEY_BRANCH:
		arguments->branch = text;
		return 0;
	case KEY_THRESHOLD:
		arguments->rules.threshold = argument_share(state, "threshold", text, 100, 1e5);
		return 0;
	case KEY_CHANGE_THRESHOLD:
		arguments->rules.change_threshold = argument_share(state, "change-threshold", text,
								   100, 1e5);
		return 0;
	case KEY_ALPHA:
		arguments->rules.alpha = argument_share(state, "alpha", text, 1, 0.5);
		return 0;
	case KEY_GATE:
		argument_names(state, "gate", text, measure_names, arguments->gate);
		return 0;
	case KEY_WINDOW:
		arguments->window = argument_count(state, "window", text, 5, 500);
		return 0;
	case KEY_CONFIRM:
		arguments->second = text;
		return 0;
	case KEY_ALL:
		arguments->all = true;
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->directory)
			argp_error(state, "one run: what is '%s'?", text);
		arguments->directory = text;
		return 0;
	case ARGP_KEY_END:
		if (!arguments->directory)
			argp_error(state, "which run? poolbench track check DIR");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{ "branch", KEY_BRANCH, "NAME", 0,
	  "Whose history (the branch that is checked out here, or the only one)", 0 },
	{ "threshold", KEY_THRESHOLD, "PERCENT", 0,
	  "Smallest change of this one run that matters (5%)", 0 },
	{ "change-threshold", KEY_CHANGE_THRESHOLD, "PERCENT", 0,
	  "Smallest change that matters when five runs or more show it (2%)", 0 },
	{ "alpha", KEY_ALPHA, "P", 0, "Chance of a false alarm in a series, all cells (0.01)", 0 },
	{ "gate", KEY_GATE, "LIST", 0, "Series that decide the exit code (time,footprint)", 0 },
	{ "window", KEY_WINDOW, "N", 0, "Runs of the history that are looked at (60)", 0 },
	{ "confirm", KEY_CONFIRM, "DIR2", 0,
	  "A second run of the same commit: what one run alone shows must be in both", 0 },
	{ "all", KEY_ALL, NULL, 0, "Show every series, not only those that gate or changed", 0 },
	{ 0 },
};

/* ---- what is compared ---- */

struct checked {
	struct history_entry entry;
	struct history history;
	struct history_entry second; /* empty without --confirm */
	struct check_row *rows;
	char branch[256];
	struct history_machine *machines;
	size_t machine_count;
	size_t missing;
	const struct history_series *missing_first;
	enum verdict verdict;
	bool failed;
};

static void checked_release(struct checked *checked)
{
	history_entry_release(&checked->entry);
	history_entry_release(&checked->second);
	history_release(&checked->history);
	free(checked->rows);
	free(checked->machines);
}

static int read_second(const struct check_arguments *arguments, struct checked *checked, char *why,
		       size_t why_bytes)
{
	int error = history_entry_read(arguments->second, checked->entry.reference,
				       &checked->second, why, why_bytes);

	if (error)
		return error;
	if (strcmp(checked->second.run.machine, checked->entry.run.machine) != 0) {
		snprintf(why, why_bytes, "%s was made on another machine (%s) than %s (%s)",
			 arguments->second, checked->second.run.machine, arguments->directory,
			 checked->entry.run.machine);
		return -EINVAL;
	}
	if (!strcmp(checked->second.run.id, checked->entry.run.id)) {
		snprintf(why, why_bytes, "%s is the same run as %s: it confirms nothing",
			 arguments->second, arguments->directory);
		return -EINVAL;
	}
	return 0;
}

static int read_both(const struct check_arguments *arguments, struct checked *checked, char *why,
		     size_t why_bytes)
{
	struct history_filter filter = { .last = arguments->window,
					 .points = true,
					 .samples = true };
	struct store *store;
	char reference[512];
	int error = track_open(&arguments->track, false, &store, why, why_bytes);

	if (error)
		return error;
	error = store_reference(store, reference, sizeof(reference), why, why_bytes);
	if (!error)
		error = history_entry_read(arguments->directory, *reference ? reference : "null",
					   &checked->entry, why, why_bytes);
	if (!error && arguments->second)
		error = read_second(arguments, checked, why, why_bytes);
	if (!error)
		error = store_machines(store, &checked->machines, &checked->machine_count, why,
				       why_bytes);
	if (!error)
		error = track_choose_branch(store, checked->entry.run.machine, arguments->branch,
					    checked->branch, why, why_bytes);
	filter.machine = checked->entry.run.machine;
	filter.branch = checked->branch;
	filter.before = checked->entry.run.started; /* not itself, if it was added before */
	if (!error)
		error = store_read(store, &filter, &checked->history, why, why_bytes);
	store_close(store);
	return error;
}

static bool is_gated(const struct check_arguments *arguments, const struct check_row *row)
{
	return arguments->gate[row->series->measure];
}

/* The rows, after the second run had its say. */
static int check_both(const struct check_arguments *arguments, struct checked *checked)
{
	struct check_row *second = NULL;
	int error = history_check(&checked->entry, &checked->history, &arguments->rules,
				  &checked->rows);

	if (error || !arguments->second)
		return error;
	error = history_check(&checked->second, &checked->history, &arguments->rules, &second);
	if (error)
		return error;
	history_confirm(checked->rows, checked->entry.count, second, checked->second.count,
			&arguments->rules);
	free(second);
	return 0;
}

static void judge_all(const struct check_arguments *arguments, struct checked *checked)
{
	enum verdict verdict = VERDICT_IMPROVEMENT;
	bool any = false;

	for (size_t i = 0; i < checked->entry.count; i++) {
		const struct check_row *row = &checked->rows[i];

		if (!is_gated(arguments, row))
			continue;
		any = true;
		checked->failed |= row->failed;
		verdict = verdict_worse(verdict, row->verdict);
	}
	checked->verdict = any ? verdict : VERDICT_UNKNOWN;
	checked->missing = history_missing(&checked->entry, &checked->history,
					   &checked->missing_first);
}

static int exit_code(const struct checked *checked)
{
	if (checked->failed || checked->verdict == VERDICT_REGRESSION)
		return EXIT_FAILED;
	return verdict_passes(checked->verdict) ? EXIT_GOOD : EXIT_INCONCLUSIVE;
}

/* ---- a table ---- */

static void describe_run(const struct history *history, size_t run, char *text, size_t bytes)
{
	char commit[32], when[32];

	track_commit(history->runs[run].commit, commit, sizeof(commit));
	track_time(history->runs[run].started, when, sizeof(when));
	snprintf(text, bytes, "%s, commit %s, run %s", when, commit, history->runs[run].id);
}

static void print_row(const struct checked *checked, const struct check_row *row)
{
	char interval[64] = "-", basis[48] = "no baseline", from[200];

	if (isfinite(row->ratio) && isfinite(row->interval.low))
		snprintf(interval, sizeof(interval), "%.4f (%.4f .. %.4f)", row->ratio,
			 row->interval.low, row->interval.high);
	else if (isfinite(row->ratio))
		snprintf(interval, sizeof(interval), "%.4f", row->ratio);
	if (row->basis == CHECK_PINNED)
		snprintf(basis, sizeof(basis), "pinned run");
	else if (row->basis == CHECK_RUNS && isfinite(row->noise))
		snprintf(basis, sizeof(basis), "%zu runs, +-%.1f %%", row->runs, 100 * row->noise);
	else if (row->basis == CHECK_RUNS)
		snprintf(basis, sizeof(basis), "%zu run%s", row->runs, row->runs == 1 ? "" : "s");
	printf("  %-12s %-28s %-20s %s%s%s\n", measure_table[row->series->measure].name, interval,
	       basis, verdict_names[row->verdict], *row->note ? ": " : "", row->note);
	if (row->change_run == SIZE_MAX)
		return;
	describe_run(&checked->history, row->change_run, from, sizeof(from));
	printf("  %12s %+.1f %% since %s (p %.2g)\n", "", 100 * (row->change_ratio - 1), from,
	       row->change_p);
}

static bool is_shown(const struct check_arguments *arguments, const struct check_row *row)
{
	return arguments->all || is_gated(arguments, row) || row->failed ||
	       row->verdict == VERDICT_REGRESSION || row->verdict == VERDICT_IMPROVEMENT;
}

static void print_other_machines(const struct checked *checked)
{
	const char *own = checked->entry.run.machine;
	size_t others = 0;

	for (size_t i = 0; i < checked->machine_count; i++)
		others += strcmp(checked->machines[i].fingerprint, own) != 0;
	if (checked->history.run_count || !others)
		return;
	printf("This machine (%s) has no run in the history; it has others, and machines are never "
	       "mixed:\n",
	       own);
	for (size_t i = 0; i < checked->machine_count; i++)
		if (strcmp(checked->machines[i].fingerprint, own) != 0)
			printf("  %s  %s\n", checked->machines[i].fingerprint,
			       checked->machines[i].text);
}

static void print_end(const struct check_arguments *arguments, const struct checked *checked)
{
	const struct check_rules *rules = &arguments->rules;
	char title[1400];

	print_other_machines(checked);
	if (checked->missing) {
		cell_describe(&checked->missing_first->cell, title, sizeof(title));
		printf("%zu cell%s of the history's last run %s not in this one, such as %s\n",
		       checked->missing, checked->missing == 1 ? "" : "s",
		       checked->missing == 1 ? "is" : "are", title);
	}
	printf("\n%s against %zu runs of branch %s on machine %s (%s)\n"
	       "Ratios to the baseline, times as ratios to %s; intervals %.3g %%. One run counts "
	       "from "
	       "%.3g %% on, five or more from %.3g %%.\n"
	       "A REGRESSION is to be confirmed by `poolbench ab`; one that is meant is accepted "
	       "by "
	       "`poolbench track accept`.\n%s\n",
	       checked->entry.run.id, checked->history.run_count,
	       *checked->branch ? checked->branch : "-", checked->entry.run.machine,
	       checked->entry.machine_text, checked->entry.reference, 100 * (1 - rules->alpha),
	       100 * rules->threshold, 100 * rules->change_threshold,
	       checked->failed ? "FAILED" : verdict_names[checked->verdict]);
}

static void print_table(const struct check_arguments *arguments, const struct checked *checked)
{
	const struct cell *last = NULL;

	for (size_t i = 0; i < checked->entry.count; i++) {
		const struct check_row *row = &checked->rows[i];
		char title[1400];

		if (!is_shown(arguments, row))
			continue;
		if (!last || !cell_same(last, &row->series->cell)) {
			cell_describe(&row->series->cell, title, sizeof(title));
			printf("%s%s\n", last ? "\n" : "", title);
			last = &row->series->cell;
		}
		print_row(checked, row);
	}
	print_end(arguments, checked);
}

/* ---- a document ---- */

static json_t *run_or_null(const struct checked *checked, size_t run)
{
	return run == SIZE_MAX ? json_null() : track_run_json(&checked->history.runs[run]);
}

static json_t *row_json(const struct checked *checked, const struct check_row *row)
{
	static const char *const basis[] = { "none", "runs", "pinned" };
	json_t *object = track_cell_json(row->series), *change = json_null();

	if (row->change_run != SIZE_MAX)
		change = json_pack("{so so so}", "from", run_or_null(checked, row->change_run),
				   "ratio", json_finite(row->change_ratio), "p",
				   json_finite(row->change_p));
	json_object_update_new(
		object,
		json_pack("{ss so ss so so so so so so so ss sI so so so}", "verdict",
			  verdict_names[row->verdict], "note",
			  *row->note ? json_text(row->note) : json_null(), "status",
			  cell_status_names[row->point->status], "value",
			  json_finite(row->point->value), "ratio", json_finite(row->ratio), "low",
			  json_finite(row->interval.low), "high", json_finite(row->interval.high),
			  "p", json_finite(row->p), "p_holm", json_finite(row->p_holm), "noise",
			  json_finite(row->noise), "baseline", basis[row->basis], "baseline_runs",
			  (json_int_t)row->runs, "baseline_first",
			  run_or_null(checked, row->first_run), "baseline_last",
			  run_or_null(checked, row->last_run), "change", change));
	return object;
}

static json_t *document(const struct check_arguments *arguments, const struct checked *checked)
{
	json_t *rows = json_array(), *gate = json_array();

	for (size_t i = 0; i < checked->entry.count; i++)
		json_array_append_new(rows, row_json(checked, &checked->rows[i]));
	for (int i = 0; i < MEASURES_COUNT; i++)
		if (arguments->gate[i])
			json_array_append_new(gate, json_string(measure_table[i].name));
	return json_pack("{si ss sb so so so so so sI sf sf sf so sI so}", "schema", TRACK_SCHEMA,
			 "verdict", verdict_names[checked->verdict], "failed", checked->failed,
			 "run", json_text(checked->entry.run.id), "confirmed_by",
			 arguments->second ? json_text(checked->second.run.id) : json_null(),
			 "machine", json_text(checked->entry.run.machine), "branch",
			 json_text(checked->branch), "reference",
			 json_text(checked->entry.reference), "history_runs",
			 (json_int_t)checked->history.run_count, "threshold",
			 arguments->rules.threshold, "change_threshold",
			 arguments->rules.change_threshold, "alpha", arguments->rules.alpha, "gate",
			 gate, "missing_cells", (json_int_t)checked->missing, "rows", rows);
}

int track_check(int argc, char **argv)
{
	const struct argp_child children[] = { { &track_argp, 0, NULL, 0 }, { 0 } };
	const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.args_doc = "DIR",
		.doc = "Holds a run against the history of its machine and branch. By itself it "
		       "shows "
		       "changes that stand out from how runs of this cell vary; with the four or "
		       "more runs "
		       "before it, smaller ones. The baseline is what was there since the last "
		       "accepted "
		       "change, and moves on by itself only to what is better. Nothing is stored: "
		       "`poolbench track add` does that.\v"
		       "Examples:\n"
		       "  poolbench track check results/runs/20260131T120000Z-0a1b2c\n"
		       "  poolbench track check run --branch main --gate time --threshold 3% "
		       "--json\n"
		       "  poolbench track check run || poolbench track check run --confirm again\n"
		       "\nExit codes: 0 equivalent or better; 1 a regression, or a cell failed; 2 "
		       "usage; 3 "
		       "no history, or the server is away; 4 inconclusive, or nothing to compare "
		       "with.",
		.children = children,
	};
	struct check_arguments arguments = {
		.gate = { [MEASURE_TIME] = true, [MEASURE_FOOTPRINT] = true },
		.window = TRACK_WINDOW,
	};
	struct checked checked = { .verdict = VERDICT_UNKNOWN };
	char why[2048] = "";
	int error, code;

	track_options_init(&arguments.track, "track check");
	check_rules_init(&arguments.rules);
	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	error = read_both(&arguments, &checked, why, sizeof(why));
	if (!error)
		error = check_both(&arguments, &checked);
	if (error) {
		code = track_fail(&arguments.track, error, why);
	} else {
		judge_all(&arguments, &checked);
		code = exit_code(&checked);
		if (!arguments.track.json)
			print_table(&arguments, &checked);
		else if (track_print_json(&arguments.track, document(&arguments, &checked)))
			code = EXIT_FAILED;
		if (fflush(stdout))
			code = EXIT_FAILED;
	}
	checked_release(&checked);
	return code;
}
