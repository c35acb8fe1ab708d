/*
 * The plan of a run, run.plan.json: what was asked for and the cells that follow from it. It is the
 * first file of a run's directory, so that --resume can go on with the same options after any kind
 * of end.
 */
#ifndef POOLBENCH_RUN_PLAN_H
#define POOLBENCH_RUN_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "record.h"

struct run_option {
	char name[64];
	char value[1024];
};

struct run_plan {
	uint64_t seed;
	unsigned repetitions;
	unsigned passes; /* bit 1 << enum pass for each that is wanted */
	struct run_option *options; /* as on the command line, for the same run again */
	size_t option_count;
	struct cell *cells;
	size_t cell_count;
};

/* JSON text with line feeds, for free(); NULL when memory ran out. */
char *run_plan_to_json(const struct run_plan *plan);

/*
 * 0, -EINVAL, -EPROTONOSUPPORT or -ENOMEM with `why`; `out` is the caller's, for
 * run_plan_release().
 */
int run_plan_from_json(const char *text, size_t length, struct run_plan *out, char *why,
		       size_t why_bytes);

/* The plan of a run's directory; also -ENOENT and other errors of open. */
int run_plan_read(const char *directory, struct run_plan *out, char *why, size_t why_bytes);

/* Appends. 0, -ENOMEM, or -ENAMETOOLONG where it does not fit. The plan starts as { 0 }. */
int run_plan_add_option(struct run_plan *plan, const char *name, const char *value);
int run_plan_add_cell(struct run_plan *plan, const struct cell *cell);

/* The value, or NULL where the plan has none. */
const char *run_plan_option(const struct run_plan *plan, const char *name);

void run_plan_release(struct run_plan *plan);

#endif
