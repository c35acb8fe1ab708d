/*
 * What a run says of each cell: the numbers behind tables, figures and tracker.json. Only
 * repetitions that are OK count, and a metric is taken from the pass that it belongs to. Pure
 * functions, thread-safe.
 */
#ifndef POOLBENCH_SUMMARY_H
#define POOLBENCH_SUMMARY_H

#include <stdbool.h>
#include <stddef.h>

#include "record.h"
#include "statistics.h"

struct metric_summary {
	size_t n; /* finite values; the rest is NaN when there are none */
	double median, q1, q3; /* quantiles of type 7 */
	double min, max;
	struct interval interval; /* of the median, 95 %, from order statistics: exact for any n */
};

struct cell_summary {
	struct cell cell;
	char display_name[96];
	char caveats[256];
	enum cell_status status; /* the worst of its records */
	char reason[512]; /* the first of that status; empty when OK */
	enum cell_status pass_status[PASSES]; /* SKIPPED where the pass has no record */
	unsigned repetitions; /* highest repetition + 1 */
	unsigned records[PASSES];
	unsigned ok[PASSES];
	double floor_ns; /* the floor that net_ns_per_op is less; NaN without one */
	struct metric_summary metrics[METRIC_COUNT];
};

/*
 * Fills net_ns_per_op in place: ns_per_op less the median of the `null` backend's with the same
 * workload and threads; NaN without such a floor and for the floor itself. May be negative by
 * noise. 0 or -ENOMEM.
 */
int records_fill_net(struct record *records, size_t count);

/*
 * One summary a cell, in order of first appearance, after records_fill_net(). The array is the
 * caller's, for free(), NULL for no records. 0 or -ENOMEM.
 */
int summarise(struct record *records, size_t count, struct cell_summary **cells,
	      size_t *cell_count);

/* How bad a status is, 0 for OK: what "the worst" means. */
int cell_status_severity(enum cell_status status);

/* Whether it is the floor: "null", with or without options. */
bool cell_is_floor(const struct cell *cell);

/*
 * numerator / denominator of two values of one metric, or NaN where the denominator is too small to
 * carry a ratio: 0.1 ns, 1 MiB, 0.01 of a plain ratio, 1 of anything else that is counted.
 */
double metric_ratio(enum metric metric, double numerator, double denominator);

#endif
