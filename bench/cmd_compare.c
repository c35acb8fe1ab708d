/* poolbench compare: two stored runs, by their ratios to a reference backend. */
#include <argp.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/arguments.h"
#include "bench/cmd.h"
#include "bench/plan.h"
#include "results/compare.h"
#include "results/environment.h"
#include "results/junit.h"
#include "results/record_json.h"
#include "results/run_dir.h"

enum {
	KEY_REFERENCE = 0x1000,
	KEY_THRESHOLD,
	KEY_ALPHA,
	KEY_GATE,
	KEY_FORCE,
	KEY_JSON,
	KEY_JUNIT,
	KEY_JUNIT_INCONCLUSIVE
};

struct compare_arguments {
	const char *directories[2]; /* BASE, NEW */
	struct compare_rules rules;
	bool gate[COMPARE_SERIES];
	bool force, json;
	const char *junit;
	enum junit_outcome undecided; /* what INCONCLUSIVE and UNKNOWN are to a CI server */
};

static error_t parse_option(int key, char *text, struct argp_state *state)
{
	struct compare_arguments *arguments = state->input;

	switch (key) {
	case KEY_REFERENCE:
		arguments->rules.reference = text;
		return 0;
	case KEY_THRESHOLD:
		arguments->rules.threshold = argument_share(state, "threshold", text, 100, 1e5);
		return 0;
	case KEY_ALPHA:
		arguments->rules.alpha = argument_share(state, "alpha", text, 1, 0.5);
		return 0;
	case KEY_GATE:
		argument_names(state, "gate", text, compare_series_names, arguments->gate);
		return 0;
	case KEY_FORCE:
		arguments->force = true;
		return 0;
	case KEY_JSON:
		arguments->json = true;
		return 0;
	case KEY_JUNIT:
		arguments->junit = text;
		return 0;
	case KEY_JUNIT_INCONCLUSIVE:
		if (junit_outcome_parse(text, &arguments->undecided) != 0)
			argp_error(state, "--junit-inconclusive %s: wants " JUNIT_OUTCOME_NAMES,
				   text);
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num > 1)
			argp_error(state, "two runs, not more: what is '%s'?", text);
		arguments->directories[state->arg_num] = text;
		return 0;
	case ARGP_KEY_END:
		if (state->arg_num != 2)
			argp_error(state, "which two runs? poolbench compare BASE NEW");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{ "reference", KEY_REFERENCE, "BACKEND", 0,
	  "What times are divided by, in both runs (null, the floor)", 0 },
	{ "threshold", KEY_THRESHOLD, "PERCENT", 0, "Smallest change that matters (5%)", 0 },
	{ "alpha", KEY_ALPHA, "P", 0, "Chance of a false alarm in a series, all cells (0.01)", 0 },
	{ "gate", KEY_GATE, "LIST", 0, "Series that decide the exit code (time,footprint)", 0 },
	{ "force", KEY_FORCE, NULL, 0, "Compare what should not be compared", 0 },
	{ "json", KEY_JSON, NULL, 0, "A document instead of a table", 0 },
	{ "junit", KEY_JUNIT, "FILE", 0, "Also the verdicts as test results, for a CI server", 0 },
	{ "junit-inconclusive", KEY_JUNIT_INCONCLUSIVE, "WHAT", 0,
	  "What no verdict is in there: skipped, error or failure (skipped)", 0 },
	{ 0 },
};

/* ---- runs ---- */

struct stored_run {
	struct run_plan plan;
	struct record *records;
	size_t count;
	json_t *environment;
};

static int run_read(const char *directory, struct stored_run *run, char *why, size_t why_bytes)
{
	int error = run_plan_read(directory, &run->plan, why, why_bytes);

	if (!error)
		error = records_read(directory, &run->records, &run->count, why, why_bytes);
	if (!error && run_plan_option(&run->plan, "a")) {
		snprintf(why, why_bytes, "%s is a comparison already: its verdict is in ab.json",
			 directory);
		error = -EINVAL;
	}
	if (!error)
		run->environment = environment_read(directory);
	return error;
}

static void run_release(struct stored_run *run)
{
	run_plan_release(&run->plan);
	free(run->records);
	json_decref(run->environment);
}

/* ---- what is said ---- */

static enum verdict worst(const struct compare_arguments *arguments, const struct compare_row *rows,
			  size_t count)
{
	enum verdict verdict = VERDICT_IMPROVEMENT;
	bool any = false;

	for (size_t i = 0; i < count; i++) {
		/* a metric that neither run could measure is no reason to fail */
		if (!arguments->gate[rows[i].series] ||
		    (!rows[i].base_values && !rows[i].new_values))
			continue;
		any = true;
		verdict = verdict_worse(verdict, rows[i].verdict);
	}
	return any ? verdict : VERDICT_UNKNOWN;
}

static void print_table(const struct compare_row *rows, size_t count, enum verdict verdict,
			const struct compare_rules *rules)
{
	const struct cell *last = NULL;

	for (size_t i = 0; i < count; i++) {
		const struct compare_row *row = &rows[i];
		char title[1400], interval[64] = "-";

		if (!last || !cell_same(last, &row->cell)) {
			cell_describe(&row->cell, title, sizeof(title));
			printf("%s%s\n", last ? "\n" : "", title);
			last = &row->cell;
		}
		if (isfinite(row->ratio))
			snprintf(interval, sizeof(interval), "%.4f (%.4f .. %.4f)", row->ratio,
				 row->interval.low, row->interval.high);
		printf("  %-10s %-28s p %.4f  %3zu, %3zu  %s%s%s\n",
		       compare_series_names[row->series], interval, row->p_holm, row->base_values,
		       row->new_values, verdict_names[row->verdict], row->note ? ": " : "",
		       row->note ? row->note : "");
	}
	printf("\nNEW over BASE, times as ratios to %s of the same repetition; intervals %.3g %%, "
	       "exact "
	       "rank sum; p after Holm; repetitions of each\n"
	       "Runs of different times have no pairs and no second batch: before a REGRESSION is "
	       "believed, `poolbench ab` should say so.\n%s\n",
	       rules->reference, 100 * (1 - rules->alpha), verdict_names[verdict]);
}

static json_t *row_json(const struct compare_row *row)
{
	return json_pack("{so so si sI ss ss ss so so so so so sI sI so}", "backend",
			 json_text(row->cell.backend), "workload", json_text(row->cell.workload),
			 "threads", (int)row->cell.threads, "page_size",
			 (json_int_t)row->cell.page_size, "backing", row->cell.backing, "series",
			 compare_series_names[row->series], "verdict", verdict_names[row->verdict],
			 "ratio", json_finite(row->ratio), "low", json_finite(row->interval.low),
			 "high", json_finite(row->interval.high), "p", json_finite(row->p),
			 "p_holm", json_finite(row->p_holm), "base_values",
			 (json_int_t)row->base_values, "new_values", (json_int_t)row->new_values,
			 "note", row->note ? json_text(row->note) : json_null());
}

static int print_json(const struct compare_row *rows, size_t count, enum verdict verdict,
		      const struct compare_rules *rules, const char *differences)
{
	json_t *list = json_array(), *root;
	char *text;

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, row_json(&rows[i]));
	root = json_pack("{si ss so sf sf so so}", "schema", 1, "verdict", verdict_names[verdict],
			 "reference", json_text(rules->reference), "threshold", rules->threshold,
			 "alpha", rules->alpha, "forced_over",
			 *differences ? json_text(differences) : json_null(), "rows", list);
	text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
	json_decref(root);
	if (!text)
		return -ENOMEM;
	puts(text);
	free(text);
	return 0;
}

static void add_case(struct junit *junit, const struct compare_arguments *arguments,
		     const struct compare_row *row)
{
	char title[1400], numbers[200] = "nothing to compare", output[400];
	const struct junit_case test = {
		.classname = title,
		.name = compare_series_names[row->series],
		.seconds = NAN,
		.outcome = junit_outcome_of(row->verdict, arguments->gate[row->series],
					    arguments->undecided),
		.type = verdict_names[row->verdict],
		.message = row->note ? row->note : numbers,
		.output = output,
	};

	cell_describe(&row->cell, title, sizeof(title));
	if (isfinite(row->ratio))
		snprintf(numbers, sizeof(numbers),
			 "NEW/BASE %.4f (%.4f .. %.4f), p %.2g after Holm, %zu and %zu repetitions",
			 row->ratio, row->interval.low, row->interval.high, row->p_holm,
			 row->base_values, row->new_values);
	snprintf(output, sizeof(output), "%s%s\n%s\n", verdict_names[row->verdict],
		 arguments->gate[row->series] ? "" : " (not gating)", numbers);
	junit_add(junit, &test);
}

/* 0, or -EIO with a sentence on stderr. */
static int write_junit(const struct compare_arguments *arguments, const struct compare_row *rows,
		       size_t count, enum verdict verdict)
{
	struct junit *junit = junit_begin("poolbench compare");
	FILE *file = fopen(arguments->junit, "w");
	int error = file ? 0 : -errno;

	junit_property(junit, "base", arguments->directories[0]);
	junit_property(junit, "new", arguments->directories[1]);
	junit_property(junit, "reference", arguments->rules.reference);
	junit_property(junit, "verdict", verdict_names[verdict]);
	for (size_t i = 0; i < count; i++)
		/* what neither run could measure is no test */
		if (rows[i].base_values || rows[i].new_values)
			add_case(junit, arguments, &rows[i]);
	junit_add_whole(junit, "poolbench compare", verdict, arguments->undecided);
	if (file)
		error = junit_end(junit, file);
	else
		junit_discard(junit);
	if (file && fclose(file) && !error)
		error = -errno;
	if (error)
		fprintf(stderr, "poolbench compare: cannot write %s: %s\n", arguments->junit,
			strerror(-error));
	return error ? -EIO : 0;
}

static int carry_out(const struct compare_arguments *arguments, const struct stored_run *base,
		     const struct stored_run *new_run)
{
	const struct compare_side sides[2] = {
		{ base->environment, &base->plan, base->records, base->count },
		{ new_run->environment, &new_run->plan, new_run->records, new_run->count },
	};
	struct compare_row *rows = NULL;
	size_t count = 0;
	char differences[4096];
	enum verdict verdict;
	int error;

	if (compare_differences(&sides[0], &sides[1], differences, sizeof(differences))) {
		fprintf(stderr, "poolbench compare: %s (BASE / NEW):\n%s",
			arguments->force ? "compared in spite of"
					 : "these runs cannot be compared; --force does it anyway",
			differences);
		if (!arguments->force)
			return EXIT_USAGE;
	}
	error = compare_records(base->records, base->count, new_run->records, new_run->count,
				&arguments->rules, &rows, &count);
	if (error) {
		fprintf(stderr, "poolbench compare: %s\n", strerror(-error));
		return EXIT_FAILED;
	}
	verdict = worst(arguments, rows, count);
	if (!arguments->json)
		print_table(rows, count, verdict, &arguments->rules);
	else
		error = print_json(rows, count, verdict, &arguments->rules, differences);
	if (!error && arguments->junit)
		error = write_junit(arguments, rows, count, verdict);
	free(rows);
	if (error || fflush(stdout) != 0 || verdict == VERDICT_REGRESSION)
		return EXIT_FAILED;
	return verdict_passes(verdict) ? EXIT_GOOD : EXIT_INCONCLUSIVE;
}

int cmd_compare(int argc, char **argv)
{
	const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.args_doc = "BASE NEW",
		.doc = "Compares two stored runs of one machine: ratios to a reference backend "
		       "within each, "
		       "because times of different hours cannot be compared. Refuses runs of "
		       "different "
		       "machines, traces or options, and names the differences.\v"
		       "Exit codes: 0 equivalent or better; 1 a regression; 2 usage, or the runs "
		       "cannot "
		       "be compared; 3 a run is not there; 4 inconclusive, or nothing to compare "
		       "with.",
	};
	struct compare_arguments arguments = {
		.rules = { .alpha = 0.01, .threshold = 0.05, .reference = "null" },
		.gate = { [COMPARE_TIME] = true, [COMPARE_FOOTPRINT] = true },
		.undecided = JUNIT_SKIPPED,
	};
	struct stored_run runs[2] = { 0 };
	char why[1024] = "";
	int exit_code = EXIT_GOOD;

	argp_err_exit_status = EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	for (int i = 0; i < 2 && exit_code == EXIT_GOOD; i++)
		exit_code = exit_code_of(
			run_read(arguments.directories[i], &runs[i], why, sizeof(why)));
	if (exit_code != EXIT_GOOD)
		fprintf(stderr, "poolbench compare: %s\n", why);
	else
		exit_code = carry_out(&arguments, &runs[0], &runs[1]);
	run_release(&runs[0]);
	run_release(&runs[1]);
	return exit_code;
}
