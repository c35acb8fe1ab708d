/* poolbench track add: runs into the history. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/cmd.h"
#include "bench/track.h"
#include "results/record_json.h"

#define ADD_RUNS          64
#define DEFAULT_REFERENCE "null"

enum { KEY_COMMIT = 0x1000, KEY_BRANCH, KEY_REFERENCE };

struct add_arguments {
	struct track_options track;
	const char *directories[ADD_RUNS];
	size_t count;
	const char *commit, *branch, *reference; /* NULL where not given */
};

static void set_text(struct argp_state *state, const char *option, const char *text, size_t bytes,
		     const char **out)
{
	if (!track_text_is_clean(text) || strlen(text) >= bytes)
		argp_error(state, "--%s: wants plain text of less than %zu bytes", option, bytes);
	*out = text;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
	struct add_arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &arguments->track;
		return 0;
	case KEY_COMMIT:
		set_text(state, "commit", text, 80, &arguments->commit);
		return 0;
	case KEY_BRANCH:
		set_text(state, "branch", text, 256, &arguments->branch);
		return 0;
	case KEY_REFERENCE:
		set_text(state, "reference", text, 512, &arguments->reference);
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->count == ADD_RUNS)
			argp_error(state, "more than %d runs", ADD_RUNS);
		arguments->directories[arguments->count++] = text;
		return 0;
	case ARGP_KEY_END:
		if (!arguments->count)
			argp_error(state, "which run? poolbench track add DIR");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{ "commit", KEY_COMMIT, "SHA", 0, "What was measured (that of the git checkout here)", 0 },
	{ "branch", KEY_BRANCH, "NAME", 0, "Its branch (that of the git checkout here)", 0 },
	{ "reference", KEY_REFERENCE, "BACKEND", 0,
	  "What times are divided by; the first run fixes it for the whole history (null, the "
	  "floor)",
	  0 },
	{ 0 },
};

/* Commit and branch: as given, else from git. A branch that CI did not check out has to be named. */
static int find_place(struct add_arguments *arguments, char *commit, size_t commit_bytes,
		      char *branch, size_t branch_bytes, char *why, size_t why_bytes)
{
	bool detached;

	track_git(commit, commit_bytes, branch, branch_bytes, &detached);
	if (arguments->commit)
		snprintf(commit, commit_bytes, "%s", arguments->commit);
	if (arguments->branch) {
		snprintf(branch, branch_bytes, "%s", arguments->branch);
	} else if (detached) {
		snprintf(
			why, why_bytes,
			"the git checkout here is on no branch (CI services do so): say which with "
			"--branch NAME, because histories of branches are kept apart");
		return -EINVAL;
	}
	return 0;
}

/* The history's own reference, or for a new one what was asked for. */
static int find_reference(struct add_arguments *arguments, struct store *store, char *reference,
			  size_t bytes, char *why, size_t why_bytes)
{
	const char *wanted = arguments->reference ? arguments->reference : DEFAULT_REFERENCE;
	int error = 0;

	reference[0] = '\0';
	if (store)
		error = store_reference(store, reference, bytes, why, why_bytes);
	if (error)
		return error;
	if (*reference && arguments->reference && strcmp(reference, wanted) != 0) {
		snprintf(why, why_bytes,
			 "this history's ratios are to '%s': leave --reference away, or keep "
			 "another "
			 "history with --store",
			 reference);
		return -EINVAL;
	}
	if (!*reference)
		snprintf(reference, bytes, "%s", wanted);
	return 0;
}

static json_t *added_json(const char *directory, const struct history_entry *entry,
			  enum store_added added)
{
	static const char *const words[] = { "added", "present", "grown" };

	return json_pack("{so so ss so so so sI sI}", "directory", json_text(directory), "run",
			 json_text(entry->run.id), "result", words[added], "machine",
			 json_text(entry->run.machine), "branch", json_text(entry->run.branch),
			 "commit", json_text(entry->run.commit), "records",
			 (json_int_t)entry->run.records, "points", (json_int_t)entry->count);
}

static void say_added(const char *directory, const struct history_entry *entry,
		      enum store_added added)
{
	static const char *const words[] = { "added as", "is there already:",
					     "has grown since it was added; replaced:" };
	char commit[32];

	if (added == STORE_PRESENT) { /* with the commit and branch that it was added with */
		printf("%s %s %s\n", directory, words[added], entry->run.id);
		return;
	}
	track_commit(entry->run.commit, commit, sizeof(commit));
	printf("%s %s %s (%zu values, branch %s, commit %s, machine %s)\n", directory, words[added],
	       entry->run.id, entry->count, *entry->run.branch ? entry->run.branch : "-", commit,
	       entry->run.machine);
}

struct adding_runs {
	struct store *store; /* NULL until the first good run makes one */
	char commit[80], branch[256];
	json_t *list;
};

static int add_one(struct add_arguments *arguments, struct adding_runs *adding,
		   const char *directory, char *why, size_t why_bytes)
{
	struct history_entry entry = { 0 };
	enum store_added added;
	char reference[512];
	int error = find_reference(arguments, adding->store, reference, sizeof(reference), why,
				   why_bytes);

	if (!error)
		error = history_entry_read(directory, reference, &entry, why, why_bytes);
	if (!error && !adding->store)
		error = track_open(&arguments->track, true, &adding->store, why, why_bytes);
	if (!error) {
		snprintf(entry.run.commit, sizeof(entry.run.commit), "%s", adding->commit);
		snprintf(entry.run.branch, sizeof(entry.run.branch), "%s", adding->branch);
		error = store_add(adding->store, &entry, &added, why, why_bytes);
	}
	if (!error && arguments->track.json)
		json_array_append_new(adding->list, added_json(directory, &entry, added));
	else if (!error)
		say_added(directory, &entry, added);
	history_entry_release(&entry);
	return error;
}

static int add_all(struct add_arguments *arguments)
{
	struct adding_runs adding = { .list = json_array() };
	char why[2048] = "";
	int exit_code = EXIT_GOOD;
	int error = find_place(arguments, adding.commit, sizeof(adding.commit), adding.branch,
			       sizeof(adding.branch), why, sizeof(why));

	if (!error)
		error = track_open(&arguments->track, false, &adding.store, why, sizeof(why));
	if (error == -ENOENT)
		error = 0; /* made by the first run that can be added */
	for (size_t i = 0; i < arguments->count && !error; i++)
		error = add_one(arguments, &adding, arguments->directories[i], why, sizeof(why));
	store_close(adding.store);
	if (error)
		exit_code = track_fail(&arguments->track, error, why);
	if (!arguments->track.json)
		json_decref(adding.list);
	else if (track_print_json(&arguments->track,
				  json_pack("{si so so}", "schema", TRACK_SCHEMA, "error",
					    error ? json_text(why) : json_null(), "runs",
					    adding.list)) != EXIT_GOOD)
		exit_code = EXIT_FAILED;
	return exit_code;
}

int track_add(int argc, char **argv)
{
	const struct argp_child children[] = { { &track_argp, 0, NULL, 0 }, { 0 } };
	const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.args_doc = "DIR...",
		.doc = "Puts runs of `poolbench run` into the history: each cell's times as ratios "
		       "to the "
		       "reference backend of the same repetition, counters and bytes as they are. "
		       "A run that is there already is recognised, whatever its directory is "
		       "called now; "
		       "one that was resumed since replaces what was there.\v"
		       "Examples:\n"
		       "  poolbench track add results/runs/20260131T120000Z-0a1b2c\n"
		       "  poolbench track add run --branch main --commit \"$GITHUB_SHA\"\n"
		       "  poolbench track add run --store "
		       "postgresql://bench@db.example/poolbench\n",
		.children = children,
	};
	struct add_arguments arguments = { .count = 0 };

	track_options_init(&arguments.track, "track add");
	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	return add_all(&arguments);
}
