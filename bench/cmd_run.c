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
#include "bench/plan_argp.h"
#include "bench/recording.h"
#include "bench/runner.h"
#include "plots/report.h"
#include "plots/table.h"
#include "results/run_dir.h"

enum { KEY_QUICK = PLAN_ARGP_OWN, KEY_OUT, KEY_RESUME, KEY_NO_PLOTS, KEY_JSON };

/* --quick: a first look in a minute or two; its record says what it was. */
static const char *const quick_options[][2] = {
	{ "repetitions", "6" },
	{ "events", "100000" },
	{ "threads", "1,2" },
	{ "quiet-wait", "100%" }, /* few processes: none of them is to be a neighbour's */
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

	if (plan_argp_name(key)) {
		set_option(arguments, state, plan_argp_name(key), text);
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
	{ "quick", KEY_QUICK, NULL, 0,
	  "A first look: fewer repetitions and events, one and two threads, --quiet-wait 100%", 1 },
	{ "out", KEY_OUT, "DIR", 0, "Where the run goes (default results/runs/TIME-ID)", 1 },
	{ "resume", KEY_RESUME, "DIR", 0, "Go on with a run that was cut off", 1 },
	{ "no-plots", KEY_NO_PLOTS, NULL, 0, "Data only, no figures and no report", 1 },
	{ "json", KEY_JSON, NULL, 0, "The run's cells as JSON on stdout instead of a table", 1 },
	{ 0 },
};

/* ---- the run's directory ---- */

/* A policy or list that this machine cannot honour is a mistake of the command line, not of every cell. */
static int check_binding(const struct plan *plan, char *why, size_t why_bytes)
{
	struct placement *placement = NULL;
	unsigned processors[256];
	int error = placement_create(&placement, why, why_bytes);

	for (const unsigned *threads = plan->options.threads; !error && *threads; threads++)
		error = placement_order(placement, plan->options.prototype.bind, *threads,
					processors, why, why_bytes);
	placement_destroy(placement);
	return error ? -EINVAL : 0;
}

static int set_stored(void *arg, const char *name, const char *value, char *why, size_t why_bytes)
{
	struct run_arguments *arguments = arg;

	return plan_set(&arguments->options, &arguments->record, name, value, why, why_bytes);
}

static int open_run(struct run_arguments *arguments, struct plan *plan, struct run_dir **run,
		    char *why, size_t why_bytes)
{
	int error;

	if (!arguments->resume) {
		error = plan_create(&arguments->options, &arguments->record, plan, why, why_bytes);
		if (!error)
			error = check_binding(plan, why, why_bytes);
		if (error)
			return error;
		/* Where the results cannot be kept is not a missing library: the code is 1. */
		return run_dir_create(NULL, arguments->out, &plan->record, run, why, why_bytes)
			       ? -EIO
			       : 0;
	}
	error = recording_resume(arguments->resume, NULL, NULL, set_stored, arguments, run, why,
				 why_bytes);
	return error ? error
		     : plan_create(&arguments->options, &arguments->record, plan, why, why_bytes);
}

static int show(const struct run_arguments *arguments, const char *directory)
{
	char why[1024] = "", path[4096];
	int exit_code = EXIT_GOOD, error;

	error = arguments->json ? summary_json_print(stdout, directory, why, sizeof(why))
				: summary_table_print(stdout, directory, why, sizeof(why));
	if (error) {
		fprintf(stderr, "poolbench run: no summary: %s\n", why[0] ? why : strerror(-error));
		exit_code = EXIT_FAILED;
	}
	if (arguments->no_plots)
		return exit_code;
	error = report_make(&directory, 1, NULL, why, sizeof(why));
	report_path(&directory, NULL, path, sizeof(path));
	if (error) {
		fprintf(stderr,
			"poolbench run: %s\n  the data is safe in %s; `poolbench report %s` draws "
			"it "
			"later\n",
			why, directory, directory);
		return exit_code_of(error);
	}
	fprintf(arguments->json ? stderr : stdout, "\nreport: %s\n", path);
	return exit_code;
}

struct measuring {
	struct plan *plan;
	struct runner_totals *totals;
};

static int measure_cells(void *arg, struct run_dir *run, char *why, size_t why_bytes)
{
	const struct measuring *measuring = arg;

	return runner_run(measuring->plan, run, measuring->totals, why, why_bytes);
}

/* Where it was asked for: what waiting took, and whether it was enough. */
static void print_waiting(const struct runner_totals *totals, FILE *file)
{
	fprintf(file,
		"waited %.1f s for cores that no neighbour shared, %u processes measured again for "
		"it; "
		"%u shared one all the same\n",
		totals->waited_seconds, totals->again, totals->disturbed);
}

static int carry_out(const struct run_arguments *arguments, struct plan *plan, struct run_dir *run)
{
	const char *directory = run_dir_path(run);
	struct runner_totals totals = { 0 };
	struct measuring measuring = { plan, &totals };
	char why[512] = "";
	int exit_code;

	if (recording_measure(run, &plan->record, measure_cells, &measuring, why, sizeof(why))) {
		fprintf(stderr,
			"poolbench run: %s\n  what was measured until then is in %s; go on with:\n"
			"  poolbench run --resume %s\n",
			why, directory, directory);
		return EXIT_FAILED;
	}
	if (totals.interrupted) {
		fprintf(stderr,
			"interrupted; everything finished is kept. Go on with:\n"
			"  poolbench run --resume %s\n",
			directory);
		return EXIT_FAILED;
	}
	if (plan->options.quiet_wait > 0)
		print_waiting(&totals, arguments->json ? stderr : stdout);
	exit_code = show(arguments, directory);
	return totals.failed_cells && exit_code == EXIT_GOOD ? EXIT_FAILED : exit_code;
}

int cmd_run(int argc, char **argv)
{
	struct argp_option options[PLAN_ARGP_MOST];
	const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.doc = "Measures every backend under every workload in fresh interleaved "
		       "processes, "
		       "keeps every repetition, and draws the figures.\vExamples:\n"
		       "  poolbench run --quick\n"
		       "  poolbench run --backend nt-pool,jemalloc --workload irp-storm --threads "
		       "1,2\n"
		       "  poolbench run --backend nt-pool:lookaside=off,./mine.so --workload "
		       "mixed\n"
		       "  poolbench run --backend nt-pool --page-size 4K,64K,2M --backing "
		       "base,thp\n"
		       "  poolbench run --age 12 --workload object-churn\n"
		       "  poolbench run --backend slub --heap-map at:20,100,190\n"
		       "\nWithout lists: all built-in backends and malloc libraries, all workloads "
		       "and "
		       "the recording that poolbench ships.",
	};
	struct run_arguments arguments = { 0 };
	struct plan plan = { 0 };
	struct run_dir *run = NULL;
	char why[1024] = "";
	int error;

	plan_argp_fill(options, NULL, own_options);
	if (plan_options_init(&arguments.options) != 0)
		return EXIT_FAILED;
	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	error = open_run(&arguments, &plan, &run, why, sizeof(why));
	if (error) {
		fprintf(stderr, "poolbench run: %s\n", why);
		error = exit_code_of(error);
	} else {
		error = carry_out(&arguments, &plan, run);
	}
	run_dir_close(run);
	plan_release(&plan);
	plan_options_release(&arguments.options);
	run_plan_release(&arguments.record);
	return error;
}
