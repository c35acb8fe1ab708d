/*
 * A team: the threads of a measurement, each bound and entered into the pool as one processor, with a
 * barrier between them. For the latency and memory passes; the throughput pass runs on Google Benchmark's
 * threads.
 */
#ifndef POOLBENCH_TEAM_H
#define POOLBENCH_TEAM_H

#include "bench/barrier.h"
#include "bench/measure.h"

struct team {
	struct measurement *measurement;
	struct barrier barrier;
	atomic_bool failed;    /* a thread could not enter: nobody starts */
	atomic_ullong failed_allocs;
	void *arg;
};

/*
 * Runs `work` on every processor of the measurement's trace and joins them. `work` returns the
 * number of its allocations that failed. 0, or measure_fail's value.
 */
int team_run(struct measurement *measurement,
	     uint64_t (*work)(struct team *team, unsigned processor, void *arg), void *arg);

#endif
