/*
 * When to measure: not while a neighbour has the other half of the core.
 *
 * Two hardware threads of a core share what starts and executes instructions. On a virtual machine the other one
 * often belongs to another guest. While it works, this one's code takes 25 to 40 % longer, for tenths of seconds to
 * some seconds: longer than a measuring process lives, so that one process is slow in every lap and its twin is not.
 * docs/measurement.md has the measurements. The canary can tell (canary_sharing in bench/canary.h), before the first
 * lap and without looking at what is measured. So a process of a comparison waits for its moment:
 *
 *   quiet       canary_sharing() is at most 5 % above the lowest tenth of what the last processes of the same cell began
 *               with. The lowest tenth and not the lowest, which may be an error of the clock; of the same cell, because
 *               the threads of a cell may share cores among themselves. Of 20,000 readings 2 % lay between 2 and 8 %
 *               above.
 *   how long    until it has waited, with the others of its cell, for a given share of the time in which they measured.
 *               A neighbour who never rests costs at most that, and is then measured with.
 *
 * A and B, the control and the slowed A wait by the same rule. It knows neither which of them it is asked for nor any
 * lap's time. Nothing that was measured is thrown away.
 *
 * Pure functions of what they were told, for one thread; the state needs no release. All zero is a good beginning.
 */
#ifndef POOLBENCH_QUIET_H
#define POOLBENCH_QUIET_H

#include "bench/measure.h"
#include "results/record.h"

#define QUIET_SEEN      256   /* readings that are remembered */
#define QUIET_LEAST     3     /* readings before the first wait */
#define QUIET_TOLERANCE 1.05
#define QUIET_START     4.0   /* seconds that a cell may wait in any case */

struct quiet {
	double seen[QUIET_SEEN];
	unsigned long readings; /* all; the last QUIET_SEEN are in `seen` */
	double waited_seconds, measured_seconds;
	unsigned disturbed;     /* processes that had to begin on a shared core */
};

/* Sets how long the laps of `spec` may wait, and for what. `share`: of the time measured; 0: no waiting. */
void quiet_ask(const struct quiet *quiet, double share, struct measure_spec *spec);

/* Learns from a process's record. One without the canary's reading teaches nothing. */
void quiet_learn(struct quiet *quiet, const struct record *record);

/* The most that counts as quiet; 0: too few readings to say. */
double quiet_limit(const struct quiet *quiet);

#endif
