/*
 * A run's directory (docs/results-schema.md). Whatever ends the run, every repetition that
 * run_dir_append() took is there: a record is one line of records.jsonl, written with one write(2)
 * and synced, after the rows of its series went into the CSV files. Each line also says how long
 * the CSV files were then, so that resuming cuts off rows that a kill left without their record.
 *
 * One writer a directory, enforced by a lock that the kernel drops when the process ends. A struct
 * run_dir belongs to one thread.
 */
#ifndef POOLBENCH_RUN_DIR_H
#define POOLBENCH_RUN_DIR_H

#include <stdbool.h>
#include <stddef.h>

#include "record.h"
#include "run_plan.h"

#define RUN_DIR_ROOT    "results/runs" /* where runs go that were given no place */
#define RUN_DIR_RECORDS "records.jsonl"

struct run_dir;

/*
 * Creates `out`, which must not exist or be empty, or with `out` NULL a new `<root>/<UTC time>-<6
 * hex digits>` (`root` NULL: RUN_DIR_ROOT), and writes the plan and the empty files. 0; -EEXIST
 * where `out` already holds something; or -errno; with a sentence in `why` and nothing in *run.
 */
int run_dir_create(const char *root, const char *out, const struct run_plan *plan,
		   struct run_dir **run, char *why, size_t why_bytes);

/*
 * Opens a run to go on with it: drops a half-written last line and rows without a record. -EBUSY
 * while another process writes it; -ENOENT where there is no run; -EBADMSG where a file is damaged
 * elsewhere than at its end. The plan is the caller's (plan may be NULL).
 */
int run_dir_open_resume(const char *directory, struct run_plan *plan, struct run_dir **run,
			char *why, size_t why_bytes);

/*
 * Adds one repetition of one pass: series, then record. 0, or -errno (-ENOSPC, -EFBIG, -EACCES ...;
 * -EEXIST if it is there already) with `why`, and then the files are as before the call.
 */
int run_dir_append(struct run_dir *run, const struct result *result, char *why, size_t why_bytes);

/* Whether that repetition is in the directory, from this process or the one before. */
bool run_dir_has(const struct run_dir *run, const struct cell *cell, enum pass pass,
		 unsigned repetition);

/* How many records there are. */
size_t run_dir_count(const struct run_dir *run);

/* Puts `name` (environment.json, topology.xml ...) into the directory, all or nothing. */
int run_dir_write(struct run_dir *run, const char *name, const void *data, size_t bytes, char *why,
		  size_t why_bytes);

/* Writes run.json and tracker.json from records.jsonl. May be called again after more appends. */
int run_dir_finish(struct run_dir *run, char *why, size_t why_bytes);

const char *run_dir_path(const struct run_dir *run);

/* Closes the files and drops the lock. NULL is fine. */
void run_dir_close(struct run_dir *run);

/*
 * Every whole record of a run, in file order; needs no lock and may be called while the run goes
 * on. A last line without its line feed is left out. The array is the caller's, for free(); NULL
 * when there is none. 0 or -errno with `why`; -EBADMSG with the line's number where one is damaged.
 */
int records_read(const char *directory, struct record **records, size_t *count, char *why,
		 size_t why_bytes);

/*
 * The same for the text of a records.jsonl; `used` (may be NULL) gets the bytes of the whole lines.
 */
int records_parse(const char *text, size_t length, struct record **records, size_t *count,
		  size_t *used, char *why, size_t why_bytes);

#endif
