/*
 * A planted slow-down: a known amount of work that comes on top of the backend's, to prove that a comparison
 * would see it (METHOD: the positive control).
 *
 * The lap's loop stays the machine code that it is. The body is replayed in chunks of SLOWDOWN_EVENTS events, and
 * after each chunk comes a chain of dependent steps (a multiplication and an addition each), fenced on both
 * sides so that out-of-order execution hides none of it under the calls. The size is in steps, not in
 * nanoseconds: a step and an operation slow down together when the machine does.
 *
 * Calibration: a pilot process plants one step a chunk and reports what a step takes on this machine beside
 * what an operation takes; a share s of the time is then s * ns_per_op * operations a chunk / ns a step.
 * A slowed process times its steps again and reports them, so that the true size is known without
 * comparing anything.
 */
#ifndef POOLBENCH_SLOWDOWN_H
#define POOLBENCH_SLOWDOWN_H

#include <stdint.h>

#include "bench/replay.h"
#include "results/record.h"

/*
 * A chunk: some tens of microseconds. What the fences themselves cost, the pipeline drained and filled again (40 ns
 * measured), is then below 0.1 % of it; with chunks of 256 events it was 1.3 % and made 3 % into 4.3 %.
 */
#define SLOWDOWN_EVENTS 4096u

/* Instructions of one step, on x86-64 and AArch64: multiply, add, count, branch. */
#define SLOWDOWN_STEP_INSTRUCTIONS 4u

/* The fenced chain; `steps` >= 1. Returns its end, so that it cannot be dropped. */
uint64_t slowdown_spin(uint32_t steps, uint64_t value);

/* replay_events with `steps` of work after each chunk; `steps` 0 is replay_events. */
uint64_t slowdown_replay(const struct replay *replay, unsigned processor, uint64_t first,
			 uint64_t count, uint32_t steps);

/* What a chunk's chain of `steps` takes now: the fastest of some timings, in ns. */
double slowdown_chunk_ns(uint32_t steps);

/* Names of the counters that a slowed process leaves in its record. */
#define SLOWDOWN_COUNTER_STEPS "slowdown_steps_per_chunk"
#define SLOWDOWN_COUNTER_SPIN "slowdown_ps_per_op"
#define SLOWDOWN_COUNTER_STEP "slowdown_ps_per_step"
#define SLOWDOWN_COUNTER_CHUNK "slowdown_ops_per_chunk"
#define SLOWDOWN_COUNTER_INSTRUCTIONS "slowdown_instructions_per_million_ops"

/*
 * Leaves those counters: `chunks` chains in `operations` operations, a lap, all threads. The times are those of
 * one thread's wall time, as ns_per_op is.
 */
void slowdown_report(uint32_t steps, uint64_t chunks, uint64_t operations, struct record *record);

/* The chunks of a phase, all processors. */
uint64_t slowdown_chunks(const struct trace *trace, enum trace_phase phase);

/*
 * Steps a chunk, not rounded, that add `share` (0.03) to a pilot's time an operation, from its record's counters.
 * 0: the record is no pilot's.
 */
double slowdown_calibrate(const struct record *pilot, double share);

/* The share that a slowed process really added, from its own counters, to `ns_per_op`. NaN without them. */
double slowdown_true_share(const struct record *slowed, double ns_per_op);

#endif
