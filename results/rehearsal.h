/*
 * Rehearsals: whole sessions of verdict.h's decisions on made-up pairs whose truth is known, to learn how often they
 * are wrong. The noise of a pair is drawn from recorded differences (or any others) and given a random sign, as the
 * random order within a real pair does; an effect is added to B. Pure functions but for the generator's state.
 */
#ifndef POOLBENCH_REHEARSAL_H
#define POOLBENCH_REHEARSAL_H

#include "verdict.h"
#include "workloads/random.h"

struct rehearsal {
	const double *noise; /* differences of logarithms with no effect in them */
	size_t noises;
	unsigned cells;      /* of a session, judged as one family */
	double effect;       /* the true B/A of every cell, less 1 */
	const struct verdict_rules *rules;
};

/* How sessions ended; a session counts by the worst of its cells, pairs are those of its first cell. */
struct rehearsal_counts {
	unsigned sessions;
	unsigned verdicts[VERDICTS];    /* of sessions */
	unsigned suspicious;            /* sessions with a suspicion in the search */
	unsigned found_within[3];       /* first cell REGRESSION with at most 40, 60, 80 pairs, confirmation in */
	uint64_t pairs;                 /* of the first cells, confirmation in, summed */
};

/* Adds `sessions` sessions to *counts. 0 or -ENOMEM. */
int rehearse(const struct rehearsal *rehearsal, unsigned sessions, struct random *random,
	     struct rehearsal_counts *counts);

#endif
