/* poolbench track accept, pin, forget: what people decide about a history, with their reasons. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "allocators/options.h"
#include "bench/cmd.h"
#include "bench/track.h"
#include "results/record_json.h"

enum { KEY_REASON = 0x1000, KEY_UNDO, KEY_MACHINE, KEY_BACKEND, KEY_WORKLOAD, KEY_SERIES };

struct decide_arguments {
	struct track_options track;
	enum decision_kind kind;
	const char *run, *machine;
	struct history_decision decision;
	bool undo;
};

static void set_text(struct argp_state *state, const char *option, const char *text, char *out,
		     size_t bytes)
{
	if (!*text || !track_text_is_clean(text) || strlen(text) >= bytes)
		argp_error(state, "--%s: wants plain text of less than %zu bytes", option, bytes);
	snprintf(out, bytes, "%s", text);
}

static void set_measure(struct argp_state *state, const char *text, struct history_decision *out)
{
	const char *near = name_suggest(text, measure_names, MEASURES_COUNT);

	if (measure_find(text) < 0)
		argp_error(state, "--series %s: no such series%s%s%s", text,
			   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
	snprintf(out->measure, sizeof(out->measure), "%s", text);
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
	struct decide_arguments *arguments = state->input;
	struct history_decision *decision = &arguments->decision;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &arguments->track;
		if (arguments->kind != DECISION_FORGET) /* that is of whole runs */
			state->child_inputs[1] = decision;
		return 0;
	case KEY_REASON:
		set_text(state, "reason", text, decision->reason, sizeof(decision->reason));
		return 0;
	case KEY_UNDO:
		arguments->undo = true;
		return 0;
	case KEY_MACHINE:
		arguments->machine = text;
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->run)
			argp_error(state, "one run: what is '%s'?", text);
		arguments->run = text;
		return 0;
	case ARGP_KEY_END:
		if (!arguments->run)
			argp_error(state,
				   "which run? An id or its start, a commit's start, or 'last'");
		if (!*decision->reason)
			argp_error(state,
				   "--reason is missing: whoever reads the history will ask");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{ "reason", KEY_REASON, "TEXT", 0, "Why; is stored, and shown with the history", 0 },
	{ "undo", KEY_UNDO, NULL, 0, "Take it back; it stays in the list of decisions", 0 },
	{ "machine", KEY_MACHINE, "START", 0,
	  "Whose last run 'last' is (this machine's, or the only one's)", 0 },
	{ 0 },
};

/* ---- which cells ---- */

static error_t parse_cells(int key, char *text, struct argp_state *state)
{
	struct history_decision *decision = state->input;

	switch (key) {
	case KEY_BACKEND:
		set_text(state, "backend", text, decision->backend, sizeof(decision->backend));
		return 0;
	case KEY_WORKLOAD:
		set_text(state, "workload", text, decision->workload, sizeof(decision->workload));
		return 0;
	case KEY_SERIES:
		set_measure(state, text, decision);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option cell_options[] = {
	{ "backend", KEY_BACKEND, "NAME", 0, "Only of this backend, as `track list cells` names it",
	  0 },
	{ "workload", KEY_WORKLOAD, "NAME", 0, "Only of this workload", 0 },
	{ "series", KEY_SERIES, "NAME", 0, "Only of this series: time, footprint, ...", 0 },
	{ 0 },
};
static const struct argp cell_argp = { .options = cell_options, .parser = parse_cells };

/* ---- what is decided about must be there ---- */

/* Whether any series of the run is meant; -EINVAL names a near one. */
static int check_cells(struct store *store, const struct history_decision *decision, char *why,
		       size_t why_bytes)
{
	const struct history_filter filter = { .points = true };
	const char *names[64];
	struct history history;
	size_t count = 0, matches = 0;
	const char *wanted = *decision->backend ? decision->backend : decision->workload, *near;
	int error = store_read(store, &filter, &history, why, why_bytes);

	if (error)
		return error;
	for (size_t i = 0; i < history.point_count; i++) {
		const struct history_series *series = &history.series[history.points[i].series];

		if (strcmp(history.runs[history.points[i].run].id, decision->run) != 0)
			continue;
		matches += decision_holds(decision, series);
		if (count < sizeof(names) / sizeof(*names))
			names[count++] = *decision->backend ? series->cell.backend
							    : series->cell.workload;
	}
	near = name_suggest(wanted, names, count);
	if (!matches) {
		snprintf(why, why_bytes, "run %s has no such cell%s%s%s", decision->run,
			 near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "");
		error = -EINVAL;
	}
	history_release(&history);
	return error;
}

static int decide(struct decide_arguments *arguments, size_t *count, char *why, size_t why_bytes)
{
	struct history_decision *decision = &arguments->decision;
	struct history_machine machine = { .runs = 0 };
	struct history_run run;
	struct store *store;
	int error = track_open(&arguments->track, false, &store, why, why_bytes);

	if (error)
		return error;
	if (!strcmp(arguments->run, "last"))
		error = track_choose_machine(store, arguments->machine, &machine, why, why_bytes);
	if (!error)
		error = store_find_run(store, arguments->run, machine.fingerprint, &run, why,
				       why_bytes);
	if (!error) {
		snprintf(decision->run, sizeof(decision->run), "%s", run.id);
		decision->withdrawn = NAN;
		if (*decision->backend || *decision->workload || *decision->measure)
			error = check_cells(store, decision, why, why_bytes);
	}
	*count = 1;
	if (!error)
		error = arguments->undo ? store_withdraw(store, decision, count, why, why_bytes)
					: store_decide(store, decision, why, why_bytes);
	store_close(store);
	return error;
}

static int say(const struct decide_arguments *arguments, size_t count)
{
	static const char *const done[] = { "accepted: the baseline starts anew with run",
					    "pinned: the baseline is run",
					    "forgotten: kept, and ignored from now on, is run" };
	const struct history_decision *decision = &arguments->decision;

	if (arguments->track.json)
		return track_print_json(
			&arguments->track,
			json_pack("{si ss sb so so so so so sI}", "schema", TRACK_SCHEMA,
				  "decision", decision_names[arguments->kind], "undone",
				  arguments->undo, "run", json_text(decision->run), "backend",
				  json_text(decision->backend), "workload",
				  json_text(decision->workload), "series",
				  json_text(decision->measure), "reason",
				  json_text(decision->reason), "count", (json_int_t)count));
	if (arguments->undo)
		printf("taken back: %zu '%s' of run %s\n", count, decision_names[arguments->kind],
		       decision->run);
	else
		printf("%s %s\n", done[arguments->kind], decision->run);
	return fflush(stdout) ? EXIT_FAILED : EXIT_GOOD;
}

static int decide_main(int argc, char **argv, enum decision_kind kind, const char *command,
		       const char *doc)
{
	const struct argp_child children[] = {
		{ &track_argp, 0, NULL, 0 },
		{ kind == DECISION_FORGET ? NULL : &cell_argp, 0, NULL, 0 },
		{ 0 },
	};
	const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.args_doc = "RUN --reason TEXT",
		.doc = doc,
		.children = children,
	};
	struct decide_arguments arguments = { .kind = kind };
	char why[2048] = "";
	size_t count = 0;
	int error;

	arguments.decision.kind = kind;
	track_options_init(&arguments.track, command);
	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	error = decide(&arguments, &count, why, sizeof(why));
	return error ? track_fail(&arguments.track, error, why) : say(&arguments, count);
}

int track_accept(int argc, char **argv)
{
	return decide_main(
		argc, argv, DECISION_ACCEPT, "track accept",
		"Accepts a change: from RUN on, the baseline starts anew; what was before is "
		"kept and no longer compared with. Takes a pin of the same cells away.\v"
		"Examples:\n"
		"  poolbench track accept last --reason 'checks headers now, #412'\n"
		"  poolbench track accept 4f5e6a7 --workload irp-storm --series time --reason "
		"'wanted'\n"
		"  poolbench track accept --undo last --reason 'was not meant after all'");
}

int track_pin(int argc, char **argv)
{
	return decide_main(
		argc, argv, DECISION_PIN, "track pin",
		"Makes one run the baseline, whatever came after it and on whatever branch: a "
		"release, say. `track check` then compares the repetitions of two runs, as "
		"`poolbench compare` does.\v"
		"Examples:\n"
		"  poolbench track pin 20260131T120000Z --reason 'release 1.4'\n"
		"  poolbench track pin --undo 20260131T120000Z --reason '1.5 is out'");
}

int track_forget(int argc, char **argv)
{
	return decide_main(
		argc, argv, DECISION_FORGET, "track forget",
		"Leaves a bad run out of every comparison. It is kept, shown as forgotten, and "
		"comes back with --undo.\v"
		"Examples:\n"
		"  poolbench track forget last --reason 'a backup ran at the same time'\n"
		"  poolbench track forget --undo 20260131T120000Z --reason 'it was right'");
}
