/* poolbench report: the figures and the page of stored runs, made again from their files. */
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/cmd.h"
#include "plots/report.h"

#define REPORT_RUNS    32
#define REPORT_FIGURES 32

struct report_arguments {
	const char *run_dirs[REPORT_RUNS];
	size_t runs;
	const char *out;
	const char *figures[REPORT_FIGURES + 1]; /* names, ended by NULL */
	size_t figure_count;
};

static const struct argp_option report_options[] = {
	{ "out", 'o', "FILE", 0, "The page's path (default: DIR/report.html); figures go beside it",
	  0 },
	{ "figures", 'f', "LIST", 0,
	  "Only these figures, comma-separated (see poolbench list figures)", 0 },
	{ 0 },
};

/* Cuts the list at its commas, in place: argv is ours. */
static void add_figures(struct report_arguments *arguments, char *list, struct argp_state *state)
{
	for (char *name = strtok(list, ","); name; name = strtok(NULL, ",")) {
		if (arguments->figure_count == REPORT_FIGURES)
			argp_error(state, "more than %d figures", REPORT_FIGURES);
		if (!figure_find(name)) {
			fprintf(stderr,
				"poolbench report: no figure is called \"%s\"; there are:", name);
			for (const struct figure *f = figure_table; f->name; f++)
				fprintf(stderr, " %s", f->name);
			fputc('\n', stderr);
			exit(EXIT_USAGE);
		}
		arguments->figures[arguments->figure_count++] = name;
	}
	if (!arguments->figure_count)
		argp_error(state, "--figures: an empty list");
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
	struct report_arguments *arguments = state->input;

	switch (key) {
	case 'o':
		arguments->out = text;
		return 0;
	case 'f':
		add_figures(arguments, text, state);
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->runs == REPORT_RUNS)
			argp_error(state, "more than %d runs", REPORT_RUNS);
		arguments->run_dirs[arguments->runs++] = text;
		return 0;
	case ARGP_KEY_END:
		if (!arguments->runs)
			argp_error(state, "the directory of a run is missing");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp report_argp = {
	.options = report_options,
	.parser = parse_option,
	.args_doc = "DIR...",
	.doc = "Draws the figures of a run, or of several side by side, and writes report.html, "
	       "one page that needs "
	       "nothing else. Reads the runs' files and changes none of them.\vExamples:\n"
	       "  poolbench report results/runs/20250102T030405Z-a1b2c3\n"
	       "  poolbench report --figures throughput,memory results/runs/LAST\n"
	       "  poolbench report --out compare.html results/runs/BEFORE results/runs/AFTER",
};

int cmd_report(int argc, char **argv)
{
	struct report_arguments arguments = { .out = NULL };
	char path[4300], why[1024] = "";
	int err;

	argp_err_exit_status = EXIT_USAGE;
	argp_parse(&report_argp, argc, argv, 0, NULL, &arguments);
	err = report_make_only(arguments.run_dirs, arguments.runs, arguments.out,
			       arguments.figure_count ? arguments.figures : NULL, why, sizeof(why));
	if (err) {
		fprintf(stderr, "poolbench report: %s\n", why[0] ? why : strerror(-err));
		return exit_code_of(err);
	}
	report_path(arguments.run_dirs, arguments.out, path, sizeof(path));
	printf("%s\n", path);
	return EXIT_GOOD;
}
