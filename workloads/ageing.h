/*
 * Ageing: hours of a machine's life in one trace. N laps of a workload, each up, at work and down again, with
 * another seed and other parameters each time; and a share of every lap's objects that outlives it, so that
 * fragmentation has time to grow.
 *
 * Theory.
 *
 * 1. A lap is a whole trace of the workload: prologue, body, drain. Lap 1 and lap N are the same one, with the
 *    parameters and the seed that were asked for, so that they can be compared: what differs is age alone. Laps
 *    between have seeds of their own, and every numeric option scaled by a random factor (option `swing`).
 *
 * 2. Survivors. A share of the objects is not freed where the lap frees them, but 1 .. `keep` laps later, at a random
 *    moment, by the processor that would have freed them. They hold the pages that they lie on.
 *
 * 3. Leaks. A smaller share is held until the next drain: every `drain` laps, in a lap's middle, all that leaked until
 *    then is freed at once, in the order in which it was allocated, as when a service is restarted.
 *
 * 4. The trace's contract is kept: everything is the body of a trace that begins and ends empty. A mark stands at the
 *    end of each lap, when its own work is drained and survivors alone are left; behind the last one survivors
 *    and leaks are freed.
 *
 * It works on finished traces, and so for every workload and for recordings (of which the parameters do not change).
 * The same arguments give the same bytes on any machine.
 */
#ifndef POOLBENCH_AGEING_H
#define POOLBENCH_AGEING_H

#include "allocators/options.h"
#include "trace.h"

#define AGEING_MARK "end of lap"

struct ageing_options {
	unsigned laps;
	double survivors, leaks;
	unsigned keep, drain;
	bool swing;
};

/* All but the laps: for parsing and for --help. */
extern const struct option_def ageing_option_table[];

/* "12" or "12:survivors=0.02,keep=4". 0, or -EINVAL with a sentence in `why`. */
int ageing_parse(const char *text, struct ageing_options *options, char *why, size_t why_bytes);

/*
 * The trace of the workload `spec`; `events` are those of one lap's body. 0 and *out, or the errors of
 * workload_trace and trace_builder_finish with a sentence in `why`.
 */
int ageing_trace(const char *spec, unsigned processors, uint64_t events, uint64_t seed,
		 const struct ageing_options *options, struct trace **out, char *why,
		 size_t why_bytes);

/*
 * Where the laps end: how many events of the body are done by then, all processors together. Fills at most
 * `most`, returns how many laps there are.
 */
size_t ageing_lap_ends(const struct trace *trace, uint64_t *ends, size_t most);

#endif
