/*
 * What can be said of two runs that were made at different times. Times of one run cannot be held against those of
 * another: the machine was another one, if only by its neighbours. So every time is divided by the reference
 * backend's of the same repetition, which lay in the same minute, and the ratios of the two runs are compared
 * as independent samples (Mann-Whitney; Hodges-Lehmann shift). Bytes are compared as they are.
 *
 * There is no second batch and no A against A here, so the threshold is wider than that of `poolbench ab`, and a
 * REGRESSION is a reason to run that. Pure functions, thread-safe.
 */
#ifndef POOLBENCH_COMPARE_H
#define POOLBENCH_COMPARE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "record.h"
#include "run_plan.h"
#include "verdict.h"

enum compare_series {
	COMPARE_TIME,
	COMPARE_ALLOC_P99,
	COMPARE_FREE_P99,
	COMPARE_FOOTPRINT,
	COMPARE_SERIES
};
extern const char *const compare_series_names[COMPARE_SERIES + 1];

struct compare_rules {
	double alpha; /* of a series' family of cells, by Holm */
	double threshold; /* as a ratio less 1 */
	const char *reference; /* backend as given on the command line; "null" is the floor */
};

struct compare_row {
	struct cell cell; /* NEW's */
	enum compare_series series;
	size_t base_values, new_values;
	double ratio, p, p_holm;
	struct interval interval; /* of the ratio, at 1 - alpha */
	enum verdict verdict;
	const char *note; /* what the verdict rests on or lacks, or NULL */
};

/*
 * One row a cell of NEW and series, the reference's own cells left out; a cell that BASE lacks is UNKNOWN. A plugin
 * is the same backend wherever its file lies, if it calls itself the same. `rows` is the caller's, for free().
 * 0 or -ENOMEM.
 */
int compare_records(const struct record *base, size_t base_count, const struct record *new_records,
		    size_t new_count, const struct compare_rules *rules, struct compare_row **rows,
		    size_t *row_count);

/* A run as far as it matters whether another can be held against it. */
struct compare_side {
	const json_t *environment; /* may be NULL */
	const struct run_plan *plan;
	const struct record *records;
	size_t count;
};

/*
 * Writes a line "what: base / new" for each reason not to compare: machine, sanitizers, options that change what is
 * measured, traces. Returns how many there are.
 */
unsigned compare_differences(const struct compare_side *base, const struct compare_side *new_side,
			     char *text, size_t bytes);

/* ---- what a history of many runs shares with it ---- */

/* The verdict and note of a row whose other numbers are there; `counted`: bytes, which hardly vary. */
void compare_judge(struct compare_row *row, bool counted, const struct compare_rules *rules);

bool compare_is_reference(const struct record *record, const char *reference);

/*
 * The reference of the same workload, threads, pass and repetition, on the pages of `record` if it has such a cell;
 * NULL where it was not measured.
 */
const struct record *compare_reference(const struct record *records, size_t count,
				       const struct record *record, const char *reference);

/* False for an option of `run` that only says which cells there are, or when a process is given up. */
bool compare_option_matters(const char *name);

#endif
