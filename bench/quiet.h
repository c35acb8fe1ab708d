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
 *               the threads of a cell may share cores among themselves. Of 12,000 readings 3 % lay between 2 and 8 %
 *               above, and 12 % beyond.
 *   again       a process that found its core shared when its last lap was done is set aside, and measured again.
 *   how long    until it has waited, with the others of its cell, for QUIET_START and a given share of the time in
 *               which they measured; what was set aside is waiting too. A neighbour who never rests costs at most
 *               that, and is then measured with.
 *
 * A and B, the control and the slowed A wait by the same rule. It knows neither which of them it is asked for nor any
 * lap's time. Who is set aside stays in the records, under a number of its own.
 *
 * Pure functions of what they were told, for one thread; the state needs no release. All zero is a good beginning.
 */
#ifndef POOLBENCH_QUIET_H
#define POOLBENCH_QUIET_H

#include <stdbool.h>

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
	unsigned again;         /* processes that were set aside, to be measured again */
	unsigned disturbed;     /* processes that count, though a core was shared before or after their laps */
};

/*
 * Sets how long the laps of `spec` may wait, and for what. `share`: of the time measured; 0: no waiting. At most half
 * of what a process may take in all.
 */
void quiet_ask(const struct quiet *quiet, double share, unsigned timeout_seconds,
	       struct measure_spec *spec);

/*
 * Learns from a process's record, and says whether it counts: true; or is to be measured again, because the neighbour
 * came back while it ran, and there is time left. One without the canary's readings teaches nothing, and counts.
 */
bool quiet_keep(struct quiet *quiet, double share, const struct record *record);

/* The most that counts as quiet; 0: too few readings to say. */
double quiet_limit(const struct quiet *quiet);

#endif
