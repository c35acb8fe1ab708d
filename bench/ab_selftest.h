/*
 * poolbench ab --self-test: how often would this comparison be wrong, here and now?
 *
 *   1. Records A against A, and A with a slow-down planted, in the same rounds as a comparison does, of every cell.
 *   2. Rehearses thousands of sessions on the differences recorded (results/rehearsal.h): false alarms, and what is
 *      found of 1, 2, 3 and 5 %.
 *   3. Judges the same recorded values as others would: the Mann-Whitney test of Google Benchmark's compare.py, and
 *      a plain threshold on the ratio of means; with repetitions interleaved, and in two blocks, as they are run.
 *   4. Holds real sessions of the first cell's workload, half of them with B slowed.
 *   5. Puts what came out beside the figures to reach.
 *
 * Every session is a directory of its own in `out`, as one of `poolbench ab`. The same call again goes on where it was
 * cut off.
 */
#ifndef POOLBENCH_AB_SELFTEST_H
#define POOLBENCH_AB_SELFTEST_H

#include <stdio.h>

#include "bench/ab.h"

struct ab_selftest {
	const struct ab_options *options; /* A, workloads and sizes */
	unsigned pairs;    /* recorded */
	unsigned sessions; /* rehearsed, each effect */
	unsigned real;     /* real sessions without a difference, and as many with one */
	double budget_seconds; /* no real session is started after so long */
	const char *out;   /* directory for the records */
};

/* Prints Markdown as it goes. 0 or -errno with a sentence. */
int ab_selftest_run(const struct ab_selftest *test, FILE *file, char *why, size_t why_bytes);

/* ---- its parts ---- */

#define AB_SELFTEST_EFFECT 0.02 /* planted while recording */

/* What the rehearsals of a cell say, as shares of sessions. */
struct ab_rates {
	double false_alarms;  /* of no change: REGRESSION */
	double found_2_in_60; /* of 2 %: with at most 60 pairs, the confirming batch in */
	double found_3_in_40;
	double found_2, found_5; /* in the end */
};

/* The tables of one recorded cell. `directory` holds its records. 0 or -errno with a sentence. */
int ab_selftest_print(const struct ab_selftest *test, const struct ab_session *recorded,
		      const struct ab_cell *cell, const char *directory, struct ab_rates *rates,
		      FILE *file, char *why, size_t why_bytes);

#endif
