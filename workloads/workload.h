/*
 * Workloads: named, parameterised generators of traces. One file and one line in workload.c adds one.
 */
#ifndef POOLBENCH_WORKLOAD_H
#define POOLBENCH_WORKLOAD_H

#include <stddef.h>
#include <stdint.h>

#include "allocators/options.h"
#include "trace.h"

struct workload_config {
	unsigned processors; /* >= 1 */
	uint64_t events;     /* wanted in the body, all processors together; met within a few per cent */
	uint64_t seed;
	const void *options; /* filled from the workload's table */
};

struct workload {
	const char *name, *summary;
	const struct option_def *options;
	size_t options_bytes;
	/*
	 * Emits prologue and body (the epilogue is added by trace_builder_finish). Deterministic: the same
	 * config gives the same bytes on any machine, so integer arithmetic only. 0 or -errno.
	 */
	int (*generate)(const struct workload_config *config, struct trace_builder *builder);
};

/*
 * Both end with NULL. A workload's table is its class: what drivers do is what everything runs by default; the
 * literature's patterns (literature.h) run when they are named.
 */
extern const struct workload *const workloads[];
extern const struct workload *const literature_workloads[];

/*
 * The trace that `spec` names: "irp-storm:depth=256", or "trace:FILE" (then events and seed do not matter,
 * and it is folded onto `processors`). 0; -EINVAL (unknown name or option; near names are suggested);
 * -ERANGE (a recording of fewer processors: the cell is SKIPPED); trace_read's errors. `why` as elsewhere.
 */
int workload_trace(const char *spec, unsigned processors, uint64_t events, uint64_t seed,
		   struct trace **out, char *why, size_t why_bytes);

/* Checks a spec without generating: 0 or as above. */
int workload_check(const char *spec, char *why, size_t why_bytes);

/*
 * Another spec of the same workload: its options as `spec` has them, changed by `change`, which keeps to their
 * ranges. That of a recording comes back as it is. 0; -EINVAL; -ENAMETOOLONG; -ENOMEM.
 */
struct random;
int workload_vary(const char *spec,
		  void (*change)(const struct option_def *table, void *values,
				 struct random *random),
		  struct random *random, char *out, size_t out_bytes, char *why, size_t why_bytes);

#endif
