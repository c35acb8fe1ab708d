/* What the parts of `poolbench track` share: where the history is, which machine and branch, what is said of errors. */
#ifndef POOLBENCH_TRACK_H
#define POOLBENCH_TRACK_H

#include <argp.h>
#include <jansson.h>
#include <stdbool.h>

#include "results/store.h"

#define TRACK_SCHEMA     1 /* of the JSON documents */
#define TRACK_WINDOW     60 /* runs of a history that are looked at */
#define TRACK_STORE_NAME "POOLBENCH_STORE" /* environment variable in place of --store */

struct track_options {
	const char *command; /* "track add", for messages */
	const char *store;
	unsigned wait_seconds;
	bool json;
};

void track_options_init(struct track_options *options, const char *command);

/* --store, --wait, --json: a child of each subcommand's parser, whose input is a struct track_options. */
extern const struct argp track_argp;

int track_open(const struct track_options *options, bool create, struct store **store, char *why,
	       size_t why_bytes);

/* "poolbench track add: why" on stderr; returns the exit code. */
int track_fail(const struct track_options *options, int error, const char *why);

/* Prints a document on stdout and drops it. An exit code. */
int track_print_json(const struct track_options *options, json_t *document);

/* The machine meant by --machine (the start of a fingerprint), or this one, or the only one there is. */
int track_choose_machine(struct store *store, const char *wanted, struct history_machine *machine,
			 char *why, size_t why_bytes);

/*
 * The branch whose history is meant: --branch, or the one that is checked out here, if the machine has runs of it, or the
 * only one there is. -EINVAL names the choices. `branch` gets 256 bytes.
 */
int track_choose_branch(struct store *store, const char *machine, const char *wanted, char *branch,
			char *why, size_t why_bytes);

/*
 * Commit and branch of the git checkout in which this runs, empty where there is none; "-dirty" behind a commit whose
 * tree was changed. `detached`: a checkout of no branch, as CI services make.
 */
void track_git(char *commit, size_t commit_bytes, char *branch, size_t branch_bytes,
	       bool *detached);

/* "2026-11-25 21:28" in UTC. */
void track_time(double unix_seconds, char *text, size_t bytes);

/* The commit's first 10 characters and a mark where the tree was changed; "-" for none. */
void track_commit(const char *commit, char *text, size_t bytes);

/* UTF-8, no control characters: what may go into a history. */
bool track_text_is_clean(const char *text);

json_t *track_run_json(const struct history_run *run);
json_t *track_cell_json(const struct history_series *series);

int track_add(int argc, char **argv);
int track_list(int argc, char **argv);
int track_check(int argc, char **argv);
int track_plot(int argc, char **argv);
int track_export_history(int argc, char **argv);
int track_accept(int argc, char **argv);
int track_pin(int argc, char **argv);
int track_forget(int argc, char **argv);

#endif
