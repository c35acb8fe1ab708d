/* poolbench track plot: the history in pictures, and one page with all of them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bench/arguments.h"
#include "bench/cmd.h"
#include "bench/track.h"
#include "plots/track.h"
#include "results/files.h"
#include "results/record_json.h"

#define DEFAULT_OUT "results/track"

enum {
	KEY_OUT = 0x1000,
	KEY_BRANCH,
	KEY_MACHINE,
	KEY_WINDOW,
	KEY_SERIES,
	KEY_BACKEND,
	KEY_WORKLOAD
};

struct plot_arguments {
	struct track_options track;
	struct track_view view;
	const char *out, *branch, *machine;
	unsigned window;
};

static error_t parse_option(int key, char *text, struct argp_state *state)
{
	struct plot_arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &arguments->track;
		return 0;
	case KEY_OUT:
		arguments->out = text;
		return 0;
	case KEY_BRANCH:
		arguments->branch = text;
		return 0;
	case KEY_MACHINE:
		arguments->machine = text;
		return 0;
	case KEY_WINDOW:
		arguments->window = argument_count(state, "window", text, 2, 500);
		return 0;
	case KEY_SERIES:
		argument_names(state, "series", text, measure_names, arguments->view.measures);
		return 0;
	case KEY_BACKEND:
		arguments->view.backend = text;
		return 0;
	case KEY_WORKLOAD:
		arguments->view.workload = text;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "the history is drawn, not a run: what is '%s'?", text);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{ "out", KEY_OUT, "DIR", 0, "Where the page and its figures go (" DEFAULT_OUT ")", 0 },
	{ "branch", KEY_BRANCH, "NAME", 0,
	  "Whose history (the branch that is checked out here, or the only one)", 0 },
	{ "machine", KEY_MACHINE, "START", 0,
	  "The machine whose fingerprint begins so (this one, or the only one)", 0 },
	{ "window", KEY_WINDOW, "N", 0, "The last N runs (60)", 0 },
	{ "series", KEY_SERIES, "LIST", 0, "Which series have a panel (time,footprint)", 0 },
	{ "backend", KEY_BACKEND, "NAME", 0, "Only this backend, as `track list cells` names it",
	  0 },
	{ "workload", KEY_WORKLOAD, "NAME", 0, "Only this workload", 0 },
	{ 0 },
};

static int draw(struct plot_arguments *arguments, struct store *store, char *why, size_t why_bytes)
{
	struct history_filter filter = { .last = arguments->window, .points = true };
	struct history_machine machine;
	struct check_rules rules;
	struct history history = { 0 };
	char branch[256], reference[512];
	int error = track_choose_machine(store, arguments->machine, &machine, why, why_bytes);

	check_rules_init(&rules);
	if (!error)
		error = track_choose_branch(store, machine.fingerprint, arguments->branch, branch,
					    why, why_bytes);
	if (!error)
		error = store_reference(store, reference, sizeof(reference), why, why_bytes);
	filter.machine = machine.fingerprint;
	filter.branch = branch;
	if (!error)
		error = store_read(store, &filter, &history, why, why_bytes);
	if (!error)
		error = file_make_directories(arguments->out, why, why_bytes);
	if (!error) {
		arguments->view.history = &history;
		arguments->view.rules = &rules;
		arguments->view.reference = reference;
		arguments->view.machine = machine.fingerprint;
		arguments->view.machine_text = machine.text;
		arguments->view.branch = branch;
		error = track_draw(&arguments->view, arguments->out, why, why_bytes);
	}
	history_release(&history);
	return error;
}

int track_plot(int argc, char **argv)
{
	const struct argp_child children[] = { { &track_argp, 0, NULL, 0 }, { 0 } };
	const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.args_doc = "",
		.doc = "Draws the history of one machine and branch: a figure a cell as SVG and "
		       "PNG, with "
		       "levels, change points and the commits they came with; and track.html, one "
		       "page that "
		       "needs nothing else, with what got worse on top.\v"
		       "Examples:\n"
		       "  poolbench track plot\n"
		       "  poolbench track plot --branch main --series time,instructions,footprint "
		       "--out "
		       "history",
		.children = children,
	};
	struct plot_arguments arguments = {
		.view = { .measures = { [MEASURE_TIME] = true, [MEASURE_FOOTPRINT] = true } },
		.out = DEFAULT_OUT,
		.window = TRACK_WINDOW,
	};
	struct store *store = NULL;
	char why[2048] = "", page[4300];
	int error;

	track_options_init(&arguments.track, "track plot");
	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	error = track_open(&arguments.track, false, &store, why, sizeof(why));
	if (!error)
		error = draw(&arguments, store, why, sizeof(why));
	store_close(store);
	if (error)
		return track_fail(&arguments.track, error, why);
	snprintf(page, sizeof(page), "%s/track.html", arguments.out);
	if (arguments.track.json)
		return track_print_json(
			&arguments.track,
			json_pack("{si so}", "schema", TRACK_SCHEMA, "page", json_text(page)));
	puts(page);
	return fflush(stdout) ? EXIT_FAILED : EXIT_GOOD;
}
