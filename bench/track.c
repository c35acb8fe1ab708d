#include "bench/track.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/arguments.h"
#include "bench/cmd.h"
#include "results/environment.h"
#include "results/record_json.h"

enum { KEY_STORE = 0x7000, KEY_WAIT, KEY_JSON };

void track_options_init(struct track_options *options, const char *command)
{
	const char *store = getenv(TRACK_STORE_NAME);

	*options = (struct track_options){
		.command = command,
		.store = store && *store ? store : STORE_DEFAULT,
		.wait_seconds = STORE_WAIT_SECONDS,
	};
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
	struct track_options *options = state->input;

	switch (key) {
	case KEY_STORE:
		if (!*text)
			argp_error(state, "--store: wants a file or postgresql://...");
		options->store = text;
		return 0;
	case KEY_WAIT:
		options->wait_seconds = argument_count(state, "wait", text, 0, 3600);
		return 0;
	case KEY_JSON:
		options->json = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option track_option_table[] = {
	{ "store", KEY_STORE, "FILE", 0,
	  "The history: an SQLite file, or postgresql://USER@HOST/DATABASE (default "
	  "$" TRACK_STORE_NAME ", else " STORE_DEFAULT ")",
	  8 },
	{ "wait", KEY_WAIT, "SECONDS", 0, "For a history that others have locked (10)", 8 },
	{ "json", KEY_JSON, NULL, 0, "A document instead of a table", 8 },
	{ 0 },
};

const struct argp track_argp = { .options = track_option_table, .parser = parse_option };

int track_open(const struct track_options *options, bool create, struct store **store, char *why,
	       size_t why_bytes)
{
	return store_open(options->store, create, options->wait_seconds, store, why, why_bytes);
}

int track_fail(const struct track_options *options, int error, const char *why)
{
	fprintf(stderr, "poolbench %s: %s\n", options->command, *why ? why : strerror(-error));
	return exit_code_of(error);
}

int track_print_json(const struct track_options *options, json_t *document)
{
	char *text = document ? json_dumps(document, JSON_INDENT(2)) : NULL;

	json_decref(document);
	if (!text)
		return track_fail(options, -ENOMEM, "");
	puts(text);
	free(text);
	return fflush(stdout) ? EXIT_FAILED : EXIT_GOOD;
}

/* ---- which machine, which branch ---- */

static void this_machine(char *fingerprint)
{
	json_t *machine = environment_machine("");

	environment_fingerprint(machine, fingerprint);
	json_decref(machine);
}

/* What begins with `start`: how many, and the last of them. */
static size_t match_machines(const struct history_machine *list, size_t count, const char *start,
			     size_t *match)
{
	size_t matches = 0;

	for (size_t i = 0; i < count; i++)
		if (!strncmp(list[i].fingerprint, start, strlen(start))) {
			matches++;
			*match = i;
		}
	return matches;
}

int track_choose_machine(struct store *store, const char *wanted, struct history_machine *machine,
			 char *why, size_t why_bytes)
{
	struct history_machine *list = NULL;
	char here[FINGERPRINT_BYTES];
	size_t count = 0, match = 0, matches;
	int error = store_machines(store, &list, &count, why, why_bytes);

	if (error)
		return error;
	this_machine(here);
	matches = match_machines(list, count, wanted ? wanted : here, &match);
	if (!wanted && matches == 0)
		matches = match_machines(list, count, "", &match); /* the only one */
	if (matches == 1) {
		*machine = list[match];
	} else if (!count) {
		snprintf(why, why_bytes, "the history is empty: `poolbench track add DIR`");
		error = -ENOENT;
	} else {
		size_t used = (size_t)snprintf(why, why_bytes,
					       "which machine? --machine takes the "
					       "start of a fingerprint; there are:");

		for (size_t i = 0; i < count && used < why_bytes; i++)
			used += (size_t)snprintf(why + used, why_bytes - used,
						 "\n  %s  %s, %" PRId64 " runs",
						 list[i].fingerprint, list[i].text, list[i].runs);
		error = -EINVAL;
	}
	free(list);
	return error;
}

/* The branches of runs, each once, as a list in words; how many. */
static size_t name_branches(const struct history *history, char *text, size_t bytes)
{
	size_t branches = 0, used = 0;

	for (size_t i = 0; i < history->run_count; i++) {
		bool known = history->runs[i].outside;

		for (size_t j = 0; j < i && !known; j++)
			known = !strcmp(history->runs[i].branch, history->runs[j].branch);
		if (known)
			continue;
		if (used < bytes)
			used += (size_t)snprintf(text + used, bytes - used, "%s'%s'",
						 branches ? ", " : "", history->runs[i].branch);
		branches++;
	}
	return branches;
}

static bool has_branch(const struct history *history, const char *branch)
{
	for (size_t i = 0; i < history->run_count; i++)
		if (!strcmp(history->runs[i].branch, branch))
			return true;
	return false;
}

int track_choose_branch(struct store *store, const char *machine, const char *wanted, char *branch,
			char *why, size_t why_bytes)
{
	const struct history_filter filter = { .machine = machine };
	struct history history;
	char commit[80], here[256], names[600] = "";
	bool detached;
	size_t branches;
	int error = store_read(store, &filter, &history, why, why_bytes);

	if (error)
		return error;
	track_git(commit, sizeof(commit), here, sizeof(here), &detached);
	branches = name_branches(&history, names, sizeof(names));
	branch[0] = '\0';
	if (wanted && (has_branch(&history, wanted) || !branches)) {
		snprintf(branch, 256, "%s", wanted);
	} else if (wanted) {
		snprintf(why, why_bytes,
			 "the history has no branch '%s' of this machine; it has %s", wanted,
			 names);
		error = -EINVAL;
	} else if (*here && has_branch(&history, here)) {
		snprintf(branch, 256, "%s", here);
	} else if (branches == 1) {
		snprintf(branch, 256, "%s", history.runs[0].branch);
	} else if (branches) {
		snprintf(why, why_bytes, "which branch's history? --branch takes one of %s", names);
		error = -EINVAL;
	}
	history_release(&history);
	return error;
}

/* ---- words ---- */

void track_time(double unix_seconds, char *text, size_t bytes)
{
	const time_t seconds = (time_t)unix_seconds;
	struct tm utc;

	if (!gmtime_r(&seconds, &utc) || !strftime(text, bytes, "%Y-%m-%d %H:%M", &utc))
		snprintf(text, bytes, "-");
}

void track_commit(const char *commit, char *text, size_t bytes)
{
	const char *dirty = strchr(commit, '-');

	snprintf(text, bytes, "%.10s%s", *commit ? commit : "-", dirty ? "+" : "");
}

bool track_text_is_clean(const char *text)
{
	json_t *string = json_string(text); /* NULL where it is no UTF-8 */
	const bool encoded = string != NULL;

	json_decref(string);
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return false;
	return encoded;
}

json_t *track_run_json(const struct history_run *run)
{
	return json_pack("{so so so so so so sf sf sI sI sb}", "run", json_text(run->id), "machine",
			 json_text(run->machine), "branch", json_text(run->branch), "commit",
			 json_text(run->commit), "settings", json_text(run->settings), "made_with",
			 json_text(run->made_with), "started_unix_seconds", run->started,
			 "added_unix_seconds", run->added, "records", (json_int_t)run->records,
			 "points", (json_int_t)run->points, "forgotten", run->forgotten);
}

json_t *track_cell_json(const struct history_series *series)
{
	return json_pack(
		"{so so si sI so so so so ss ss}", "backend", json_text(series->cell.backend),
		"workload", json_text(series->cell.workload), "threads", (int)series->cell.threads,
		"page_size", (json_int_t)series->cell.page_size, "backing",
		json_text(series->cell.backing), "trace_checksum", json_text(series->trace),
		"settings", json_text(series->settings), "machine", json_text(series->machine),
		"series", measure_table[series->measure].name, "unit",
		measure_table[series->measure].unit);
}
