/* poolbench tune: which page size, backing and page options a workload wants. */
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/cmd.h"
#include "bench/plan_argp.h"
#include "bench/recording.h"
#include "bench/tune.h"
#include "plots/report.h"
#include "results/summary.h"

#define KEY_TUNE PLAN_ARGP_OWN /* + index into tune_option_table */
enum { KEY_OUT = KEY_TUNE + 0x100, KEY_RESUME, KEY_JSON, KEY_NO_PLOTS };

struct tune_arguments {
	struct tune_options options;
	const char *out, *resume;
	bool json, no_plots;
};

static void set_option(struct tune_arguments *arguments, struct argp_state *state, const char *name,
		       const char *value)
{
	char why[512];

	if (tune_set(&arguments->options, name, value, why, sizeof(why)) != 0)
		argp_failure(state, EXIT_USAGE, 0, "%s", why);
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
	struct tune_arguments *arguments = state->input;

	if (plan_argp_name(key)) {
		set_option(arguments, state, plan_argp_name(key), text);
		return 0;
	}
	if (key >= KEY_TUNE && key < KEY_OUT) {
		set_option(arguments, state, tune_option_table[key - KEY_TUNE].name, text);
		return 0;
	}
	switch (key) {
	case KEY_OUT:
		arguments->out = text;
		return 0;
	case KEY_RESUME:
		arguments->resume = text;
		return 0;
	case KEY_JSON:
		arguments->json = true;
		return 0;
	case KEY_NO_PLOTS:
		arguments->no_plots = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "what is '%s'? The backend goes behind --backend", text);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option own_options[] = {
	{ "out", KEY_OUT, "DIR", 0, "Where the records go (default results/runs/TIME-ID)", 1 },
	{ "resume", KEY_RESUME, "DIR", 0, "Go on with a tuning that was cut off", 1 },
	{ "no-plots", KEY_NO_PLOTS, NULL, 0, "Data only, no figures and no report", 1 },
	{ "json", KEY_JSON, NULL, 0, "The answer as one JSON document on stdout", 1 },
	{ 0 },
};

/* The plan's options that make sense here, tune's own table, and what only the command line knows. */
static void build_options(struct argp_option *options)
{
	struct argp_option own[PLAN_ARGP_MOST];
	int count = 0;

	for (int i = 0; tune_option_table[i].name; i++)
		own[count++] = (struct argp_option){ .name = tune_option_table[i].name,
						     .key = KEY_TUNE + i,
						     .arg = tune_option_table[i].argument,
						     .doc = tune_option_table[i].help };
	memcpy(own + count, own_options, sizeof(own_options));
	plan_argp_fill(options, tune_takes, own);
}

/* ---- the directory ---- */

static int set_stored(void *arg, const char *name, const char *value, char *why, size_t why_bytes)
{
	struct tune_arguments *arguments = arg;

	return tune_set(&arguments->options, name, value, why, why_bytes);
}

static int open_run(struct tune_arguments *arguments, struct tune_session *session,
		    struct run_dir **run, char *why, size_t why_bytes)
{
	int error;

	if (!arguments->resume) {
		error = tune_create(&arguments->options, session, why, why_bytes);
		if (error)
			return error;
		return run_dir_create(NULL, arguments->out, &session->options.record, run, why,
				      why_bytes)
			       ? -EIO
			       : 0;
	}
	error = recording_resume(arguments->resume, "goal", "poolbench run", set_stored, arguments,
				 run, why, why_bytes);
	return error ? error : tune_create(&arguments->options, session, why, why_bytes);
}

/* What is said, when it was measured. */
struct outcome {
	struct tune_session *session;
	struct run_dir *run;
	struct record *records;
	size_t record_count;
	struct cell_summary *cells;
	size_t cell_count;
	char *json;
};

static int measure_all(void *arg, struct run_dir *run, char *why, size_t why_bytes)
{
	struct outcome *outcome = arg;
	struct tune_session *session = outcome->session;
	int error = tune_run(session, run, why, why_bytes);

	if (error || session->interrupted)
		return error;
	error = records_read(run_dir_path(run), &outcome->records, &outcome->record_count, why,
			     why_bytes);
	if (!error)
		error = summarise(outcome->records, outcome->record_count, &outcome->cells,
				  &outcome->cell_count);
	if (error)
		return error;
	outcome->json = tune_to_json(session, outcome->cells, outcome->cell_count);
	if (!outcome->json)
		return -ENOMEM;
	return run_dir_write(run, TUNE_FILE, outcome->json, strlen(outcome->json), why, why_bytes);
}

/* ---- what is shown ---- */

static int draw(const struct tune_arguments *arguments, const char *directory)
{
	char why[1024] = "", path[4096];
	int error;

	if (arguments->no_plots)
		return EXIT_GOOD;
	error = report_make(&directory, 1, NULL, why, sizeof(why));
	report_path(&directory, NULL, path, sizeof(path));
	if (error) {
		fprintf(stderr,
			"poolbench tune: %s\n  the data is safe in %s; `poolbench report %s` draws "
			"it later\n",
			why, directory, directory);
		return exit_code_of(error);
	}
	fprintf(arguments->json ? stderr : stdout, "report: %s\n", path);
	return EXIT_GOOD;
}

static int show(const struct tune_arguments *arguments, const struct outcome *outcome)
{
	const struct tune_session *session = outcome->session;
	const char *directory = run_dir_path(outcome->run);
	const int exit_code = tune_exit_code(session);
	int drawn = EXIT_GOOD;

	if (arguments->json) {
		puts(outcome->json);
	} else {
		tune_print_words(session, outcome->cells, outcome->cell_count, stdout);
		if (session->answered)
			tune_print_table(session, outcome->cells, outcome->cell_count, stdout);
		if (session->answered) {
			fputs("\nthe setting: ", stdout);
			tune_print_setting(session, session->race.leader, stdout);
			fputs("\nto measure it: ", stdout);
			tune_print_command(session, session->race.leader, stdout);
			fputc('\n', stdout);
		}
		printf("records: %s\n", directory);
	}
	if (session->answered)
		drawn = draw(arguments, directory);
	if (fflush(stdout) != 0)
		return EXIT_FAILED;
	return exit_code == EXIT_GOOD ? drawn : exit_code;
}

static int carry_out(const struct tune_arguments *arguments, struct tune_session *session,
		     struct run_dir *run)
{
	struct outcome outcome = { .session = session, .run = run };
	char why[512] = "out of memory";
	const int error = recording_measure(run, &session->options.record, measure_all, &outcome,
					    why, sizeof(why));
	int exit_code = EXIT_FAILED;

	if (error || session->interrupted)
		fprintf(stderr,
			"poolbench tune: %s; what is finished is kept. Go on with:\n"
			"  poolbench tune --resume %s\n",
			error ? why : "interrupted", run_dir_path(run));
	else
		exit_code = show(arguments, &outcome);
	free(outcome.records);
	free(outcome.cells);
	free(outcome.json);
	return exit_code;
}

int cmd_tune(int argc, char **argv)
{
	struct argp_option options[PLAN_ARGP_MOST];
	const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.doc = "Which page size, backing and page options does a workload want? Cheap "
		       "looks at the whole grid, more samples where the choice is close, in "
		       "interleaved blocks with exact tests, until the answer is settled or the "
		       "budget is spent.\v"
		       "Examples:\n"
		       "  poolbench tune --backend nt-pool --workload irp-storm\n"
		       "  poolbench tune --backend slub --workload irp-storm,registry-churn "
		       "--vary order=1,3,5 --budget 5m\n"
		       "  poolbench tune --backend 'tlsf:grow=64K|1M' --workload section-mapping "
		       "--goal balanced\n"
		       "  poolbench tune --backend buddy --workload mixed --backing base,thp "
		       "--vary pages --json\n"
		       "  poolbench tune --backend nt-pool --workload registry-churn --backing "
		       "base "
		       "--paging file --paged-resident 4M\n"
		       "\nWithout lists: page sizes 4K to 2M on base, thp and hugetlb. Exit codes: "
		       "0 settled; 1 what failed leaves no answer; 2 usage; 3 nothing of the grid "
		       "can be had here; 4 inconclusive.",
	};
	struct tune_arguments arguments = { .json = false };
	struct tune_session session = { 0 };
	struct run_dir *run = NULL;
	char why[1024] = "";
	int exit_code;

	argp_err_exit_status = EXIT_USAGE;
	build_options(options);
	if (tune_options_init(&arguments.options) != 0)
		return EXIT_FAILED;
	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	exit_code = exit_code_of(open_run(&arguments, &session, &run, why, sizeof(why)));
	if (exit_code != EXIT_GOOD)
		fprintf(stderr, "poolbench tune: %s\n", why);
	else
		exit_code = carry_out(&arguments, &session, run);
	run_dir_close(run);
	tune_release(&session);
	tune_options_release(&arguments.options);
	return exit_code;
}
