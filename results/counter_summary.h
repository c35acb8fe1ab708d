/*
 * What backends counted of themselves, a cell at a time: the medians over its repetitions, absolute and an
 * operation. Pure functions, thread-safe.
 */
#ifndef POOLBENCH_COUNTER_SUMMARY_H
#define POOLBENCH_COUNTER_SUMMARY_H

#include <stdbool.h>
#include <stddef.h>

#include "record.h"

struct counter_median {
	char name[sizeof(((struct record_counter *)NULL)->name)];
	double events;
	double per_operation; /* NaN where a ratio says nothing: a maximum, or operations were not recorded */
};

struct counter_summary {
	struct cell cell;
	char display_name[96];
	enum pass pass; /* throughput where it has counters, else latency, else memory */
	unsigned repetitions; /* that are OK and have counters */
	double operations; /* allocs and frees since the pool was made; NaN where not recorded */
	unsigned count;
	struct counter_median counter[RECORD_COUNTERS]; /* in the backend's order */
};

/*
 * A summary of each cell that has counters, in order of first appearance. The array is the caller's, for free(),
 * NULL for none. 0 or -ENOMEM.
 */
int counters_summarise(const struct record *records, size_t count,
		       struct counter_summary **summaries, size_t *summary_count);

/* The cell's, or NULL. */
const struct counter_summary *counter_summary_find(const struct counter_summary *summaries,
						   size_t count, const struct cell *cell);

/* NULL where the cell has no counter of that name. */
const struct counter_median *counter_median_find(const struct counter_summary *summary,
						 const char *name);

#endif
