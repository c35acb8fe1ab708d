/*
 * The runner: carries out a plan, one fresh process a repetition, and keeps every result as it comes.
 */
#ifndef POOLBENCH_RUNNER_H
#define POOLBENCH_RUNNER_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#include "bench/plan.h"
#include "results/run_dir.h"

struct runner_totals {
	unsigned measured;  /* processes of this session */
	unsigned resumed;   /* results that an earlier session had left */
	unsigned failed_cells, skipped_cells;
	unsigned again;        /* processes that a neighbour disturbed, set aside (quiet.h) */
	unsigned disturbed;    /* that count although one did */
	double waited_seconds; /* for quiet cores, what was set aside included */
	bool interrupted;
};

/*
 * Measures what is not in the directory yet. A cell that fails loses its remaining repetitions and nothing
 * else. 0; or -errno with a sentence in `why` when results can no longer be kept (disk full) or processes no
 * longer started; what was measured until then is in the directory.
 */
int runner_run(struct plan *plan, struct run_dir *run, struct runner_totals *totals, char *why,
	       size_t why_bytes);

#endif
