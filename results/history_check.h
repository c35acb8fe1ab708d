/*
 * What a history says: the course of a series, its levels and its baseline; and whether a new run is on it.
 *
 * The course of a series is its good points since the last accepted change, forgotten runs left out. Change points
 * (change_points.h) cut it into levels. The baseline is the first level, and moves on by itself to a later one only if
 * that is better: a gain that is lost again is a regression, and a loss becomes the baseline only when somebody
 * accepts it. With a pinned run, that run is the baseline.
 *
 * A run is judged twice:
 *
 *   by itself    its value against the K >= 5 runs of the baseline level, as logarithms: t = (y - mean) /
 *                (s' sqrt(1 + 1/K)), Student with K - 1 degrees of freedom; s' is the runs' standard deviation or the
 *                error that the new run's own repetitions show, whichever is larger. REGRESSION: p after Holm over
 *                the cells at most alpha, the ratio at least the threshold, and slower than every run of the
 *                baseline (so that heavy tails raise no alarm). EQUIVALENT: the interval lies within the threshold.
 *   by its level it belongs to a later level that lies above the baseline by `change_threshold`: a change too small
 *                for one run to show, and significant over all cells of the measure together.
 *
 * A second run of the same commit confirms the first kind or takes it back: one-sided p at most 5 % and a change of
 * at least half the threshold, as in verdict.h.
 *
 * Against a pinned run there is one sample of repetitions on each side: Mann-Whitney, as `poolbench compare`.
 * Pure functions but for the memory they return; thread-safe. 0 or -ENOMEM.
 */
#ifndef POOLBENCH_HISTORY_CHECK_H
#define POOLBENCH_HISTORY_CHECK_H

#include "change_points.h"
#include "history.h"
#include "verdict.h"

#define CHECK_LEAST_RUNS 5

struct check_rules {
	double alpha; /* of a measure's family of cells: 0.01 */
	double threshold; /* of one run, as a ratio less 1: 0.05 */
	double change_threshold; /* of a level of five runs or more: 0.02 */
	uint64_t seed; /* of the permutations */
};

void check_rules_init(struct check_rules *rules);

struct level {
	size_t first, count; /* of the course */
	double centre; /* median of the logarithms */
	double p; /* of the change at its start; NaN for the first */
};

struct course {
	size_t *points; /* indices into history->points; SIZE_MAX is the new run */
	double *logs;
	size_t count;
	struct level *levels;
	size_t level_count;
	size_t baseline; /* a level */
	size_t pinned; /* index into history->points, SIZE_MAX for none */
	size_t accepted; /* index of the decision, SIZE_MAX for none */
};

/*
 * The course of a series, with `new_value` (NaN for none) at its end. `significance` is that of one cut. For
 * course_release().
 */
int course_make(const struct history *history, size_t series, double new_value,
		const struct check_rules *rules, double significance, struct course *course);
void course_release(struct course *course);

/* The ratio of a level to the baseline. */
double course_ratio(const struct course *course, size_t level);

enum check_basis { CHECK_NOTHING, CHECK_RUNS, CHECK_PINNED };

struct check_row {
	const struct history_series *series; /* the entry's */
	const struct history_point *point;
	enum verdict verdict;
	bool failed; /* the cell failed where the history has values */
	char note[320];
	enum check_basis basis;
	size_t runs; /* of the baseline */
	size_t first_run, last_run; /* indices into history->runs; SIZE_MAX without a basis */
	double ratio, p, p_holm; /* to the baseline */
	struct interval interval; /* of the ratio, at 1 - alpha */
	double noise; /* s' above, as a ratio less 1 */
	size_t change_run; /* where the level of this run began, SIZE_MAX for none */
	double change_ratio, change_p;
};

/*
 * One row a point of the entry, in its order. `history`: runs of the same machine and the wanted branch, before this
 * one, with points and samples. For free().
 */
int history_check(const struct history_entry *entry, const struct history *history,
		  const struct check_rules *rules, struct check_row **rows);

/*
 * What `rows` says of one run alone stays only where the rows of a second run against the same history agree; else it is
 * INCONCLUSIVE, and the note says what the second one showed.
 */
void history_confirm(struct check_row *rows, size_t count, const struct check_row *second,
		     size_t second_count, const struct check_rules *rules);

/* How many cells of the history's last run this one lacks, by backend, workload and threads. */
size_t history_missing(const struct history_entry *entry, const struct history *history,
		       const struct history_series **first);

#endif
