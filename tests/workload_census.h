/* For tests: a workload's trace, and what one pass over it counts. Asserts, so only inside a cmocka test. */
#ifndef POOLBENCH_TESTS_WORKLOAD_CENSUS_H
#define POOLBENCH_TESTS_WORKLOAD_CENSUS_H

#include <stdint.h>

#include "workloads/trace.h"

/* Of the body, unless it says otherwise. */
struct census {
	uint64_t allocs, frees, remote_frees, raises;
	uint64_t allocs_at_dispatch, frees_at_dispatch;
	uint64_t bytes, touched;
	uint64_t live_blocks_peak; /* of prologue and body */
	uint64_t live_blocks_start, live_bytes_start;
	uint32_t bytes_max;
	uint64_t work; /* a hash of all that happens, slots aside: of all phases */
};

/* Of one tag, in the body. */
struct tag_census {
	uint64_t allocs, frees, remote_frees, bytes;
	uint64_t live_start, live_bytes_start;
	uint32_t bytes_min, bytes_max;
};

/* Fails the test if the spec does not make a valid trace. The caller destroys it. */
struct trace *trace_of(const char *spec, unsigned processors, uint64_t events, uint64_t seed);

void census_take(const struct trace *trace, struct census *census);

/* All zero if the trace does not know the tag. `tag` is four characters. */
void census_take_tag(const struct trace *trace, const char *tag, struct tag_census *census);

/* trace_of, census_take and trace_destroy in one; seed 1. */
struct census census_of(const char *spec, unsigned processors, uint64_t events);
struct tag_census tag_census_of(const char *spec, const char *tag, unsigned processors,
				uint64_t events);

#endif
