/*
 * What the processor and the kernel count while a thread works.
 *
 * Hardware events, by perf_event_open(2): one group a thread, user mode only, so that all events
 * count over exactly the same instructions. An event that the machine does not grant is left out,
 * alone, and reads as NaN; the reason is kept as a sentence. Debian's libbenchmark has no perf
 * counters, hence these.
 *
 * Trust. A group that shared its counters with somebody ran for less time than it was enabled. The
 * kernel then leaves it to us to scale; values are scaled by enabled / running, and `exact` is
 * false, because a scaled value is an estimate. A group that never ran reads as NaN.
 *
 * Page faults come from getrusage(2), which every system grants.
 *
 * Threads: a struct counters belongs to the thread that opened it, which is the one it counts.
 */
#ifndef POOLBENCH_COUNTERS_H
#define POOLBENCH_COUNTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COUNTERS_MAX 8

struct counter_event {
	const char *name; /* as in the metrics: "instructions" */
	uint32_t type; /* PERF_TYPE_* */
	uint64_t config; /* PERF_COUNT_* */
};

/* Indices into counter_hardware and into the values read. */
enum {
	COUNTER_INSTRUCTIONS,
	COUNTER_CYCLES,
	COUNTER_L1D_MISSES,
	COUNTER_DTLB_MISSES,
	COUNTER_HARDWARE
};
extern const struct counter_event counter_hardware[COUNTER_HARDWARE];

/* What the kernel counts without any hardware: which of these moved tells a disturbed sample. */
enum {
	COUNTER_TASK_CLOCK_NS,
	COUNTER_PAGE_FAULTS,
	COUNTER_SWITCHES,
	COUNTER_MIGRATIONS,
	COUNTER_SOFTWARE
};
extern const struct counter_event counter_software[COUNTER_SOFTWARE];

struct counters {
	const struct counter_event *events;
	unsigned count;
	int fd[COUNTERS_MAX]; /* -1: left out */
	int refused[COUNTERS_MAX]; /* errno of the refusal; 0 */
	int leader; /* descriptor of the group's first; -1: no event at all */
	unsigned opened;
};

struct counter_values {
	double value[COUNTERS_MAX]; /* since counters_start; NaN where left out or never run */
	uint64_t enabled_ns, running_ns;
	bool exact; /* enabled == running, and it ran */
};

/*
 * Opens a group of 1..COUNTERS_MAX events for the calling thread, stopped. `events` is kept. 0 when
 * all were opened. -ENOENT, -EACCES, ... (the first refusal) when some or all were left out, with a
 * sentence in `why` (may be NULL) about it and what would help: the rest still counts. Close it in
 * any case.
 */
int counters_open(struct counters *counters, const struct counter_event *events, unsigned count,
		  char *why, size_t why_bytes);
void counters_close(struct counters *counters);

/* Zero and go; halt. Nothing happens, and 0 is returned, when there is no event. */
int counters_start(struct counters *counters);
int counters_stop(struct counters *counters);
/* Best after counters_stop. All NaN, and 0, without any event. -errno, and all NaN, on failure. */
int counters_read(const struct counters *counters, struct counter_values *values);

/*
 * The arithmetic of counters_read, for itself: `raw` is what the kernel hands out for a group with
 * both times: number of values, enabled, running, values. Value i belongs to the i-th event not
 * left out. -EIO when the number is not what was opened.
 */
int counters_decode(const struct counters *counters, const uint64_t *raw, size_t words,
		    struct counter_values *values);

/* Why the kernel refused an event, in words a user can act on. `error` is a positive errno. */
void counters_explain(const char *event, int error, char *why, size_t why_bytes);

/* ---- page faults ---- */

struct fault_counts {
	uint64_t page_faults; /* minor and major */
	uint64_t major_faults; /* those that waited for a device: the paging file */
};

enum fault_scope { FAULTS_OF_THREAD, FAULTS_OF_PROCESS };

/* So far: of the calling thread, or of the process. 0 or -errno. */
int faults_read(enum fault_scope scope, struct fault_counts *counts);
/* after - before. */
struct fault_counts faults_between(const struct fault_counts *before,
				   const struct fault_counts *after);

#endif
