/*
 * A measuring process: started fresh, watched, and turned into a result whatever becomes of it.
 */
#ifndef POOLBENCH_CHILD_H
#define POOLBENCH_CHILD_H

#include <signal.h>
#include <stddef.h>

#include "bench/measure.h"

struct child_limits {
	unsigned timeout_seconds;
	size_t memory_bytes; /* resident; 0: none */
	uint64_t layout;     /* randomises the length of the environment, and so the stack's offset */
};

/*
 * Measures `spec` in a fresh process of this program and fills `result`: from what the process reported, or
 * with the status that its end deserves (CRASHED with the signal and its last words, TIMEOUT, EXHAUSTED).
 * The process is killed as soon as *interrupted becomes non-zero; then -EINTR and no result. Else 0, or
 * -errno when no process could be started.
 */
int child_measure(const struct measure_spec *spec, const struct child_limits *limits,
		  const volatile sig_atomic_t *interrupted, struct result *result);

/* `poolbench measure SPEC`: the process's own side; also for people, who get the result on stdout. */
int cmd_measure(int argc, char **argv);

#endif
