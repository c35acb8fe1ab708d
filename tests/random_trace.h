/* Random but sound traces for tests: any processor frees, both pools, IRQL, a mark, sometimes an own epilogue. */
#ifndef POOLBENCH_RANDOM_TRACE_H
#define POOLBENCH_RANDOM_TRACE_H

#include "workloads/trace.h"

/* About `start` objects live at the body's start, about `events` events in the body. Fails the test itself. */
struct trace *random_trace(unsigned processors, unsigned start, unsigned events, uint64_t seed);

#endif
