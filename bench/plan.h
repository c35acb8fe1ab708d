/*
 * The plan: what a run will measure, in which order.
 *
 * Cells are the cross product of the lists, with two exceptions that keep numbers honest: the floor (null) is
 * one cell a workload and thread count, and always there; a malloc library chooses its own pages, so it is one
 * cell whatever the page sizes, with page size 0, and backings other than base, to which it cannot be held,
 * are SKIPPED.
 *
 * Order. Repetition by repetition, each a random permutation (by the seed) of all cells and passes due in it:
 * drift of the machine then falls on all cells alike.
 */
#ifndef POOLBENCH_PLAN_H
#define POOLBENCH_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/measure.h"
#include "results/record.h"
#include "results/run_plan.h"

#define PLAN_LIST 64

/* What was asked for. Lists end with NULL or 0; their words are owned. */
struct plan_options {
	char *backends[PLAN_LIST + 1];
	char *workloads[PLAN_LIST + 1];
	char *backings[PLAN_LIST + 1];
	unsigned threads[PLAN_LIST + 1];
	size_t page_sizes[PLAN_LIST + 1];
	bool passes[PASSES];
	bool age;             /* the ageing pass, whatever the list of passes says */
	unsigned repetitions; /* of the throughput pass; latency a third of them, memory and ageing a fifth, >= 1 */
	unsigned timeout_seconds;      /* a process */
	double quiet_wait;             /* for quiet cores (quiet.h): share of the time measured; 0: none */
	size_t memory_limit_bytes;     /* resident, a process; 0: half of what is available */
	struct measure_spec prototype; /* everything of a spec but cell, pass and repetition */
};

struct plan_cell {
	struct cell cell;
	bool failed;    /* a process failed: the rest of this cell is dropped */
	char skip[256]; /* not empty: SKIPPED without a process, for this reason */
};

struct plan_task {
	unsigned cell;
	enum pass pass;
	unsigned repetition;
};

struct plan {
	struct plan_options options;
	struct plan_cell *cells;
	unsigned cell_count;
	struct plan_task *tasks; /* in the order in which they run */
	unsigned task_count;
	struct run_plan record;  /* what the run's directory keeps, enough to make this plan again */
};

/* One option of `poolbench run` that shapes a plan: its name is that of the command line's. */
struct plan_option {
	const char *name, *argument, *help;
	int (*set)(struct plan_options *options, const char *value, char *why, size_t why_bytes);
};
extern const struct plan_option plan_option_table[]; /* ended by a NULL name */

/* All defaults. 0 or -ENOMEM. */
int plan_options_init(struct plan_options *options);
void plan_options_release(struct plan_options *options);

/*
 * Sets one option and keeps it in `record`. Lists are comma-separated; a backend's or workload's own options
 * may hold commas: an item "key=value" belongs to the name before it. 0, or -EINVAL with a sentence.
 */
int plan_set(struct plan_options *options, struct run_plan *record, const char *name,
	     const char *value, char *why, size_t why_bytes);

/*
 * Checks all names and lays out cells and tasks; takes options and record over, also on failure. 0; -EINVAL (a
 * name or option), -ENOENT (a backend's library or file is missing), -ENOMEM, with a sentence in `why`.
 */
int plan_create(struct plan_options *options, struct run_plan *record, struct plan *out, char *why,
		size_t why_bytes);
void plan_release(struct plan *plan);

/* "nt-pool, irp-storm, 2 threads, 64K pages, thp" for people. */
void cell_describe(const struct cell *cell, char *text, size_t bytes);

/* What a process needs to measure one task; trace_fd is left at -1. */
void plan_task_spec(const struct plan *plan, unsigned task, struct measure_spec *spec);

#endif
