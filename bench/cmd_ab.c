/* poolbench ab: two backends in interleaved pairs of fresh processes, and a verdict. */
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/ab.h"
#include "bench/ab_selftest.h"
#include "bench/cmd.h"
#include "bench/plan_argp.h"
#include "bench/recording.h"
#include "plots/report.h"

#define KEY_AB PLAN_ARGP_OWN /* + index into ab_option_table */
enum {
	KEY_OUT = KEY_AB + 0x100,
	KEY_RESUME,
	KEY_JSON,
	KEY_MARKDOWN,
	KEY_JUNIT,
	KEY_JUNIT_INCONCLUSIVE,
	KEY_NO_PLOTS,
	KEY_BISECT,
	KEY_SELF_TEST,
	KEY_SESSIONS,
	KEY_REAL,
	KEY_RECORDED
};

/* One whose pool stays in the caches, and one of some 64 MiB that does not. */
#define SELF_TEST_WORKLOADS "irp-storm,object-churn:population=131072"
#define SELF_TEST_SECONDS   (18 * 60.0)

#define EXIT_BISECT_SKIP    125 /* what `git bisect run` takes for "cannot be tested" */

struct ab_arguments {
	struct ab_options options;
	const char *out, *resume, *markdown, *junit;
	enum junit_outcome undecided; /* what INCONCLUSIVE and UNKNOWN are to a CI server */
	bool json, bisect, self_test, no_plots;
	unsigned recorded, sessions, real; /* of the self-test */
};

static void set_option(struct ab_arguments *arguments, struct argp_state *state, const char *name,
		       const char *value)
{
	char why[512];

	if (ab_set(&arguments->options, name, value, why, sizeof(why)) != 0)
		argp_failure(state, EXIT_USAGE, 0, "%s", why);
}

static unsigned parse_count(struct argp_state *state, const char *option, const char *text,
			    unsigned low, unsigned high)
{
	char *end;
	const unsigned long number = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || number < low || number > high)
		argp_error(state, "--%s %s: wants a number from %u to %u", option, text, low, high);
	return (unsigned)number;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
	struct ab_arguments *arguments = state->input;

	if (plan_argp_name(key)) {
		set_option(arguments, state, plan_argp_name(key), text);
		return 0;
	}
	if (key >= KEY_AB && key < KEY_OUT) {
		set_option(arguments, state, ab_option_table[key - KEY_AB].name, text);
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
	case KEY_MARKDOWN:
		arguments->markdown = text;
		return 0;
	case KEY_NO_PLOTS:
		arguments->no_plots = true;
		return 0;
	case KEY_JUNIT:
		arguments->junit = text;
		return 0;
	case KEY_JUNIT_INCONCLUSIVE:
		if (junit_outcome_parse(text, &arguments->undecided) != 0)
			argp_error(state, "--junit-inconclusive %s: wants " JUNIT_OUTCOME_NAMES,
				   text);
		return 0;
	case KEY_SELF_TEST:
		arguments->self_test = true;
		return 0;
	case KEY_RECORDED:
		arguments->recorded = parse_count(state, "recorded", text, 20, 900);
		return 0;
	case KEY_SESSIONS:
		arguments->sessions = parse_count(state, "sessions", text, 1, 1000000);
		return 0;
	case KEY_REAL:
		arguments->real = parse_count(state, "real", text, 0, 1000);
		return 0;
	case KEY_BISECT:
		arguments->bisect = true;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num > 1)
			argp_error(state, "two backends, not more: what is '%s'?", text);
		set_option(arguments, state, state->arg_num ? "b" : "a", text);
		return 0;
	case ARGP_KEY_END:
		if (arguments->self_test && state->arg_num > 1)
			argp_error(state, "--self-test takes one backend");
		if (!arguments->self_test && !arguments->resume && state->arg_num != 2)
			argp_error(state, "which two? poolbench ab A B");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option own_options[] = {
	{ "out", KEY_OUT, "DIR", 0, "Where the records go (default results/runs/TIME-ID)", 1 },
	{ "resume", KEY_RESUME, "DIR", 0, "Go on with a comparison that was cut off", 1 },
	{ "json", KEY_JSON, NULL, 0, "The document of the verdicts on stdout instead of a table",
	  1 },
	{ "markdown", KEY_MARKDOWN, "FILE", 0, "Also a summary for a pull request", 1 },
	{ "junit", KEY_JUNIT, "FILE", 0, "Also the verdicts as test results, for a CI server", 1 },
	{ "junit-inconclusive", KEY_JUNIT_INCONCLUSIVE, "WHAT", 0,
	  "What no verdict is in there: skipped, error or failure (skipped)", 1 },
	{ "no-plots", KEY_NO_PLOTS, NULL, 0, "Data only, no figures and no report", 1 },
	{ "bisect", KEY_BISECT, NULL, 0,
	  "For `git bisect run`: exit with 125 where no verdict can be had", 1 },
	{ "self-test", KEY_SELF_TEST, NULL, 0,
	  "How often this would be wrong here: false alarms, and what is found "
	  "(docs/ab-self-test.md)",
	  2 },
	{ "recorded", KEY_RECORDED, "N", 0, "Rounds that the self-test records (150)", 2 },
	{ "sessions", KEY_SESSIONS, "N", 0, "Sessions that it rehearses, each effect (2000)", 2 },
	{ "real", KEY_REAL, "N", 0,
	  "Real sessions that it holds, with and without effect (40); --budget ends them (18m)",
	  2 },
	{ 0 },
};

/* The plan's options that make sense here, ab's own table, and what only the command line knows. */
static void build_options(struct argp_option *options)
{
	struct argp_option own[PLAN_ARGP_MOST];
	int count = 0;

	for (int i = 0; ab_option_table[i].name; i++)
		if (ab_option_table[i].help)
			own[count++] = (struct argp_option){ .name = ab_option_table[i].name,
							     .key = KEY_AB + i,
							     .arg = ab_option_table[i].argument,
							     .doc = ab_option_table[i].help };
	memcpy(own + count, own_options, sizeof(own_options));
	plan_argp_fill(options, ab_takes, own);
}

/* ---- the directory ---- */

static int set_stored(void *arg, const char *name, const char *value, char *why, size_t why_bytes)
{
	struct ab_arguments *arguments = arg;

	return ab_set(&arguments->options, name, value, why, why_bytes);
}

static int open_run(struct ab_arguments *arguments, struct ab_session *session,
		    struct run_dir **run, char *why, size_t why_bytes)
{
	int error;

	if (!arguments->resume) {
		error = ab_create(&arguments->options, session, why, why_bytes);
		if (error)
			return error;
		return run_dir_create(NULL, arguments->out, &session->options.record, run, why,
				      why_bytes)
			       ? -EIO
			       : 0;
	}
	error = recording_resume(arguments->resume, "a", "poolbench run", set_stored, arguments,
				 run, why, why_bytes);
	return error ? error : ab_create(&arguments->options, session, why, why_bytes);
}

static int measure_pairs(void *arg, struct run_dir *run, char *why, size_t why_bytes)
{
	struct ab_session *session = arg;
	int error = ab_run(session, run, why, why_bytes);

	return error || session->interrupted ? error
					     : ab_write_verdicts(session, run, why, why_bytes);
}

/* ---- what is said ---- */

/* 0, or -EIO with a sentence on stderr. `path` may be NULL: nothing to write. */
static int write_file(const struct ab_arguments *arguments, const struct ab_session *session,
		      const char *path,
		      int (*print)(const struct ab_arguments *, const struct ab_session *, FILE *))
{
	FILE *file = path ? fopen(path, "w") : NULL;
	int error = 0;

	if (!path)
		return 0;
	if (file) {
		error = print(arguments, session, file);
		if (fclose(file) == 0 && !error)
			return 0;
	}
	fprintf(stderr, "poolbench ab: cannot write %s: %s\n", path,
		strerror(error ? -error : errno));
	return -EIO;
}

static int print_markdown(const struct ab_arguments *arguments, const struct ab_session *session,
			  FILE *file)
{
	(void)arguments;
	ab_print_markdown(session, file);
	return 0;
}

static int print_junit(const struct ab_arguments *arguments, const struct ab_session *session,
		       FILE *file)
{
	return ab_print_junit(session, arguments->undecided, file);
}

/* The verdict stands without its figures: what keeps them away is only said. */
static void draw(const char *directory)
{
	char why[1024] = "";

	if (report_make(&directory, 1, NULL, why, sizeof(why)) != 0)
		fprintf(stderr,
			"poolbench ab: %s\n  the data is safe in %s; `poolbench report %s` draws "
			"it "
			"later\n",
			why, directory, directory);
}

static int show(const struct ab_arguments *arguments, const struct ab_session *session,
		const char *directory)
{
	int exit_code = ab_exit_code(session);

	if (arguments->json) {
		char *text = ab_to_json(session);

		puts(text ? text : "null");
		free(text);
	} else {
		ab_print_table(session, stdout);
		printf("records: %s%s\n", directory,
		       arguments->no_plots ? "" : ", and report.html in it");
	}
	if (fflush(stdout) != 0 ||
	    write_file(arguments, session, arguments->markdown, print_markdown) != 0 ||
	    write_file(arguments, session, arguments->junit, print_junit) != 0)
		exit_code = EXIT_FAILED;
	if (!arguments->no_plots)
		draw(directory);
	return exit_code;
}

static int carry_out(const struct ab_arguments *arguments, struct ab_session *session,
		     struct run_dir *run)
{
	const char *directory = run_dir_path(run);
	char why[512] = "";
	const int error = recording_measure(run, &session->options.record, measure_pairs, session,
					    why, sizeof(why));

	if (error || session->interrupted) {
		fprintf(stderr,
			"poolbench ab: %s; what is finished is kept. Go on with:\n"
			"  poolbench ab --resume %s\n",
			error ? why : "interrupted", directory);
		return EXIT_FAILED;
	}
	return show(arguments, session, directory);
}

/* For git bisect: good, bad, or cannot be told. */
static int bisect_code(int exit_code, const struct ab_session *session)
{
	if (exit_code == EXIT_GOOD || session->verdict == VERDICT_REGRESSION)
		return exit_code;
	return EXIT_BISECT_SKIP;
}

/* ---- the self-test ---- */

static void self_test_place(const struct ab_arguments *arguments, char *path, size_t bytes)
{
	char stamp[32];
	const time_t now = time(NULL);
	struct tm utc;

	gmtime_r(&now, &utc);
	strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &utc);
	if (arguments->out)
		snprintf(path, bytes, "%s", arguments->out);
	else
		snprintf(path, bytes, RUN_DIR_ROOT "/self-test-%s-%ld", stamp, (long)getpid());
}

static int self_test(struct ab_arguments *arguments)
{
	char place[3000], why[1024] = "";
	const struct ab_selftest test = { .options = &arguments->options,
					  .pairs = arguments->recorded,
					  .sessions = arguments->sessions,
					  .real = arguments->real,
					  .budget_seconds =
						  arguments->options.budget_seconds > 0
							  ? arguments->options.budget_seconds
							  : SELF_TEST_SECONDS,
					  .out = place };
	int error = 0;

	self_test_place(arguments, place, sizeof(place));
	if (!arguments->options.a[0])
		error = ab_set(&arguments->options, "a", "nt-pool", why, sizeof(why));
	if (!error && !run_plan_option(&arguments->options.record, "workload"))
		error = ab_set(&arguments->options, "workload", SELF_TEST_WORKLOADS, why,
			       sizeof(why));
	if (!error && !run_plan_option(&arguments->options.record, "threads"))
		error = ab_set(&arguments->options, "threads", "1", why, sizeof(why));
	if (!error)
		error = ab_selftest_run(&test, stdout, why, sizeof(why));
	if (error)
		fprintf(stderr, "poolbench ab: %s\n", why[0] ? why : strerror(-error));
	else
		printf("\nrecords: %s\n", place);
	return exit_code_of(error);
}

int cmd_ab(int argc, char **argv)
{
	struct argp_option options[PLAN_ARGP_MOST];
	const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.args_doc = "A B",
		.doc = "Is B slower than A? Interleaved pairs of fresh processes on the same "
		       "traces, "
		       "exact signed-rank intervals, more pairs where it is undecided, and a "
		       "second "
		       "batch before it says so; with A against A and a planted slow-down beside "
		       "it.\v"
		       "Examples:\n"
		       "  poolbench ab ./before.so ./after.so --workload irp-storm\n"
		       "  poolbench ab nt-pool nt-pool:lookaside=off --threads 1,2\n"
		       "  poolbench ab glibc jemalloc --markdown summary.md --budget 120\n"
		       "  poolbench ab --self-test nt-pool\n"
		       "\nExit codes: 0 equivalent or better; 1 a regression, or B fails; 2 usage; "
		       "3 "
		       "something needed is missing; 4 inconclusive.",
	};
	struct ab_arguments arguments = {
		.recorded = 150, .sessions = 2000, .real = 40, .undecided = JUNIT_SKIPPED
	};
	struct ab_session session = { 0 };
	struct run_dir *run = NULL;
	char why[1024] = "";
	int exit_code;

	argp_err_exit_status = EXIT_USAGE;
	build_options(options);
	if (ab_options_init(&arguments.options) != 0)
		return EXIT_FAILED;
	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	if (arguments.self_test) {
		exit_code = self_test(&arguments);
		ab_options_release(&arguments.options);
		return exit_code;
	}
	exit_code = exit_code_of(open_run(&arguments, &session, &run, why, sizeof(why)));
	if (exit_code != EXIT_GOOD)
		fprintf(stderr, "poolbench ab: %s\n", why);
	else
		exit_code = carry_out(&arguments, &session, run);
	if (arguments.bisect)
		exit_code = bisect_code(exit_code, &session);
	run_dir_close(run);
	ab_release(&session);
	ab_options_release(&arguments.options);
	return exit_code;
}
