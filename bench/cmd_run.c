/* poolbench run: measure, keep, show. */
#include <argp.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/cmd.h"
#include "bench/placement.h"
#include "bench/plan.h"
#include "bench/runner.h"
#include "plots/figures.h"
#include "plots/report.h"
#include "plots/table.h"
#include "results/environment.h"
#include "results/run_dir.h"

#define KEY_PLAN 0x1000 /* + index into plan_option_table */
enum { KEY_QUICK = 0x2000, KEY_OUT, KEY_RESUME, KEY_NO_PLOTS, KEY_JSON };

/* --quick: a first look in a minute or two; its record says what it was. */
static const char *const quick_options[][2] = {
	{ "repetitions", "5" }, { "events", "100000" }, { "threads", "2" },
};

struct run_arguments {
	struct plan_options options;
	struct run_plan record;
	const char *out, *resume;
	bool no_plots, json;
	int error;
};

static void set_option(struct run_arguments *arguments, struct argp_state *state, const char *name,
		       const char *value)
{
	char why[512];
	const int error = plan_set(&arguments->options, &arguments->record, name, value, why,
				   sizeof(why));

	if (error)
		argp_failure(state, exit_code_of(error), 0, "%s", why);
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
	struct run_arguments *arguments = state->input;

	if (key >= KEY_PLAN && key < KEY_QUICK) {
		set_option(arguments, state, plan_option_table[key - KEY_PLAN].name, text);
		return 0;
	}
	switch (key) {
	case KEY_QUICK:
		for (size_t i = 0; i < sizeof(quick_options) / sizeof(*quick_options); i++)
			set_option(arguments, state, quick_options[i][0], quick_options[i][1]);
		return 0;
	case KEY_OUT:
		arguments->out = text;
		return 0;
	case KEY_RESUME:
		arguments->resume = text;
		return 0;
	case KEY_NO_PLOTS:
		arguments->no_plots = true;
		return 0;
	case KEY_JSON:
		arguments->json = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "what is '%s'? Backends go behind --backend", text);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option own_options[] = {
	{ "quick", KEY_QUICK, NULL, 0, "A first look: fewer repetitions and events, two threads",
	  1 },
	{ "out", KEY_OUT, "DIR", 0, "Where the run goes (default results/runs/TIME-ID)", 1 },
	{ "resume", KEY_RESUME, "DIR", 0, "Go on with a run that was cut off", 1 },
	{ "no-plots", KEY_NO_PLOTS, NULL, 0, "Data only, no figures and no report", 1 },
	{ "json", KEY_JSON, NULL, 0, "The run's cells as JSON on stdout instead of a table", 1 },
	{ 0 },
};

#define OPTIONS_MAX 64

static void build_options(struct argp_option *options)
{
	int count = 0;

	for (int i = 0; plan_option_table[i].name; i++)
		options[count++] = (struct argp_option){ plan_option_table[i].name, KEY_PLAN + i,
							 plan_option_table[i].argument, 0,
							 plan_option_table[i].help, 0 };
	for (int i = 0; own_options[i].name; i++)
		options[count++] = own_options[i];
	options[count] = (struct argp_option){ 0 };
}

/* ---- the run's directory ---- */

static int write_environment(struct run_dir *run, const struct run_plan *plan,
			     const struct environment *before, char *why, size_t why_bytes)
{
	struct environment after;
	char *text;
	int error;

	environment_read(&after);
	text = environment_to_json(before, &after, plan);
	if (!text) {
		snprintf(why, why_bytes, "out of memory");
		return -ENOMEM;
	}
	error = run_dir_write(run, "environment.json", text, strlen(text), why, why_bytes);
	free(text);
	return error;
}

static int write_topology(struct run_dir *run, char *why, size_t why_bytes)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/topology.xml", run_dir_path(run));
	return placement_export_topology(path, why, why_bytes);
}

static int open_run(struct run_arguments *arguments, struct plan *plan, struct run_dir **run,
		    char *why, size_t why_bytes)
{
	struct run_plan stored = { 0 };
	int error;

	if (!arguments->resume) {
		error = plan_create(&arguments->options, &arguments->record, plan, why, why_bytes);
		return error ? error
			     : run_dir_create(NULL, arguments->out, &plan->record, run, why,
					      why_bytes);
	}
	error = run_dir_open_resume(arguments->resume, &stored, run, why, why_bytes);
	if (error)
		return error;
	for (size_t i = 0; !error && i < stored.option_count; i++)
		error = plan_set(&arguments->options, &arguments->record, stored.options[i].name,
				 stored.options[i].value, why, why_bytes);
	run_plan_release(&stored);
	return error ? error
		     : plan_create(&arguments->options, &arguments->record, plan, why, why_bytes);
}

static void show(const struct run_arguments *arguments, struct run_dir *run, int *exit_code)
{
	const char *directory = run_dir_path(run);
	char why[512] = "";
	int error = 0;

	if (!arguments->no_plots) {
		error = figures_make(&directory, 1, NULL, NULL, why, sizeof(why));
		if (!error)
			error = report_make(&directory, 1, NULL, why, sizeof(why));
	}
	if (error) {
		fprintf(stderr, "poolbench run: no figures: %s\n  the data is safe: `poolbench report %s` "
				"makes them later\n", why, directory);
		*exit_code = exit_code_of(error);
	}
	error = arguments->json ? summary_json_print(stdout, directory, why, sizeof(why))
				: summary_table_print(stdout, directory, why, sizeof(why));
	if (error)
		fprintf(stderr, "poolbench run: no summary: %s\n", why);
	if (!arguments->json && !arguments->no_plots && *exit_code != EXIT_MISSING)
		printf("\nreport: %s/report.html\n", directory);
}

static int measure_all(struct run_arguments *arguments, struct plan *plan, struct run_dir *run)
{
	struct environment before;
	struct runner_totals totals;
	char why[512] = "";
	int exit_code = EXIT_GOOD;
	int error;

	environment_read(&before);
	error = write_topology(run, why, sizeof(why));
	if (error) /* a run is worth having without it */
		fprintf(stderr, "poolbench run: no topology.xml: %s\n", why);
	error = runner_run(plan, run, &totals, why, sizeof(why));
	if (!error)
		error = write_environment(run, &plan->record, &before, why, sizeof(why));
	if (!error)
		error = run_dir_finish(run, why, sizeof(why));
	if (error) {
		fprintf(stderr, "poolbench run: %s\n  what was measured until then is in %s\n", why,
			run_dir_path(run));
		return EXIT_FAILED;
	}
	if (totals.interrupted) {
		fprintf(stderr, "interrupted; everything finished is kept. Go on with:\n"
				"  poolbench run --resume %s\n", run_dir_path(run));
		return EXIT_FAILED;
	}
	show(arguments, run, &exit_code);
	if (totals.failed_cells && exit_code == EXIT_GOOD)
		exit_code = EXIT_FAILED;
	return exit_code;
}

int cmd_run(int argc, char **argv)
{
	struct argp_option options[OPTIONS_MAX];
	const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.doc = "Measures every backend under every workload in fresh interleaved processes, "
		       "keeps every repetition, and draws the figures.\vExamples:\n"
		       "  poolbench run --quick\n"
		       "  poolbench run --backend nt-pool,jemalloc --workload irp-storm --threads 1,2\n"
		       "  poolbench run --backend nt-pool:lookaside=off,./mine.so --workload mixed\n"
		       "  poolbench run --backend nt-pool --page-size 4K,64K,2M --backing base,thp\n"
		       "\nWithout lists: all built-in backends and malloc libraries, all workloads and "
		       "the recording that poolbench ships.",
	};
	struct run_arguments arguments = { 0 };
	struct plan plan = { 0 };
	struct run_dir *run = NULL;
	char why[1024] = "";
	int error;

	build_options(options);
	if (plan_options_init(&arguments.options) != 0)
		return EXIT_FAILED;
	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	error = open_run(&arguments, &plan, &run, why, sizeof(why));
	if (error) {
		fprintf(stderr, "poolbench run: %s\n", why);
		error = exit_code_of(error);
	} else {
		error = measure_all(&arguments, &plan, run);
	}
	run_dir_close(run);
	plan_release(&plan);
	plan_options_release(&arguments.options);
	run_plan_release(&arguments.record);
	return error;
}
