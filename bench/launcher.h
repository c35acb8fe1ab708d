/*
 * The launcher: starts measuring processes one after another on the same traces and processors. What a run and
 * a comparison have in common: the trace's image is made once and shared, the policy of --bind becomes numbers,
 * and each process gets another stack offset.
 *
 * Not thread-safe: a launcher belongs to one thread, and only one may catch signals at a time.
 */
#ifndef POOLBENCH_LAUNCHER_H
#define POOLBENCH_LAUNCHER_H

#include <stdbool.h>
#include <stddef.h>

#include "bench/measure.h"

struct launcher;

struct launcher_limits {
	unsigned timeout_seconds;
	size_t memory_bytes; /* resident, a process; 0: half of what is available now */
};

/*
 * `prototype` gives the seed of the processes' layout. Catches SIGINT and SIGTERM
 * until launcher_destroy. 0 and *out, or -errno with a sentence.
 */
int launcher_create(const struct measure_spec *prototype, const struct launcher_limits *limits,
		    struct launcher **out, char *why, size_t why_bytes);
void launcher_destroy(struct launcher *launcher); /* NULL is fine */

/*
 * One fresh process. `result` always gets a record: SKIPPED where the trace cannot be had or the threads not be
 * placed. 0; -EINTR after a signal, or -errno when no process can be started, and then there is no result.
 */
int launcher_measure(struct launcher *launcher, const struct measure_spec *spec,
		     struct result *result);

/* A result without a process: SKIPPED, for this reason. */
void launcher_skip(const struct measure_spec *spec, const char *reason, struct result *result);

/* Whether a signal came. */
bool launcher_interrupted(void);

#endif
