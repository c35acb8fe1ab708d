/*
 * poolbench ab --self-test: how often would this comparison be wrong, here and now?
 *
 *   1. Records A against A, and A with a slow-down planted, in the same rounds as a comparison does.
 *   2. Rehearses thousands of sessions on the differences recorded (results/rehearsal.h): false alarms, and what is
 *      found of 1, 2, 3 and 5 %.
 *   3. Judges the same recorded values as others would: the Mann-Whitney test of Google Benchmark's compare.py, and
 *      a plain threshold on the ratio of means; with repetitions interleaved, and in two blocks, as they are run.
 *   4. Holds real sessions, half of them with B slowed.
 */
#ifndef POOLBENCH_AB_SELFTEST_H
#define POOLBENCH_AB_SELFTEST_H

#include <stdio.h>

#include "bench/ab.h"

struct ab_selftest {
	const struct ab_options *options; /* A, workloads and sizes; the first cell is rehearsed */
	unsigned pairs;    /* recorded */
	unsigned sessions; /* rehearsed, each effect */
	unsigned real;     /* real sessions without a difference, and as many with one */
	const char *out;   /* directory for the records; must not exist or be empty */
};

/* Prints Markdown as it goes. 0 or -errno with a sentence. */
int ab_selftest_run(const struct ab_selftest *test, FILE *file, char *why, size_t why_bytes);

#endif
