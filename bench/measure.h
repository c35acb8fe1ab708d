/*
 * One measurement: one cell, one pass, in this process. The runner starts a fresh process for each; a person
 * may do the same by hand (`poolbench measure SPEC`) under a debugger or a profiler.
 */
#ifndef POOLBENCH_MEASURE_H
#define POOLBENCH_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocators/pages.h"
#include "allocators/registry.h"
#include "bench/mappings.h"
#include "bench/replay.h"
#include "bench/resident.h"
#include "bench/trace_image.h"
#include "results/record.h"

struct measure_spec {
	struct cell cell;
	enum pass pass;
	unsigned repetition, order;
	uint64_t seed;
	uint64_t events;      /* wanted in a lap, all threads together */
	unsigned laps;        /* measured laps of the body */
	unsigned warmup_laps; /* replayed first and discarded */
	enum touch_mode touch;
	char bind[128];       /* compact, scatter, none, or a list of processors */
	int node;             /* NUMA node of the page sources, by hwloc; -1: no binding */
	bool paging_file;
	size_t paged_resident_bytes;
	size_t limit_bytes[POOL_TYPES]; /* 0: none */
	unsigned checkpoints; /* memory pass; a lap of the ageing pass has a tenth of them, 8 at least */
	char heap_map[192];   /* memory pass: which of them get a picture (bench/heap_map.h) */
	char age[128];        /* ageing pass: laps and options (workloads/ageing.h) */
	unsigned slowdown_steps; /* planted in the throughput pass (bench/slowdown.h); 0: none */
	double quiet_sharing; /* throughput pass: the laps wait for a canary_sharing() of at most this; 0: no wait */
	double quiet_wait_seconds; /* and no longer than this */
	int trace_fd;         /* an image of the trace, or -1: generate it */
};

/* Defaults of everything but the cell. */
void measure_spec_init(struct measure_spec *spec);

/* The specification as one line of JSON, allocated; NULL: out of memory. */
char *measure_spec_format(const struct measure_spec *spec);
/* 0, or -EINVAL with a sentence in `why`. */
int measure_spec_parse(const char *text, struct measure_spec *spec, char *why, size_t why_bytes);

/* The trace of the cell and pass: the workload's own, or aged. 0 and *out, or -errno with a sentence in `why`. */
int measure_trace(const struct measure_spec *spec, struct trace **out, char *why, size_t why_bytes);

/* A cleared result whose record says what is (or was to be) measured, from now on. */
void measure_record_init(const struct measure_spec *spec, struct result *result);

/* What a pass works with. */
struct measurement {
	const struct measure_spec *spec;
	struct trace_image image;
	struct page_source *pages[POOL_TYPES];
	struct backend *backend;
	struct pool *pool;
	struct replay replay;
	unsigned *processors;       /* [threads] the kernel's number to bind to, or PLACEMENT_UNBOUND */
	struct resident_reader resident;
	uint64_t baseline_bytes;    /* resident before the backend came, and what the harness mapped since */
	struct mappings harness;    /* mapped before the backend came, or by the harness since; without brk's */
	struct result *result;
};

/*
 * Measures and fills `result`: always a record, with a status. Returns 0 when status is OK, else 1. A pool
 * that reports corruption ends the process through `emit` (called with the result, does not return).
 */
int measure(const struct measure_spec *spec, struct result *result,
	    void (*emit)(const struct result *result));

/*
 * The stages of measure(), for whoever brings its own loop (the gbench command): trace, tables, page sources,
 * backend and pool, in that order. 0, or measure_fail's value with status and reason in the record;
 * measurement_close is due in both cases. `result` is cleared first and stays the caller's.
 */
int measurement_open(struct measurement *measurement, const struct measure_spec *spec,
		     struct result *result, void (*emit)(const struct result *result));
void measurement_close(struct measurement *measurement);

/* The passes, called by measure(): 0, or -errno with the record's status and reason set. */
int pass_throughput(struct measurement *measurement);
int pass_latency(struct measurement *measurement);
int pass_memory(struct measurement *measurement);
int pass_ageing(struct measurement *measurement);

/* For the passes: sets status and reason (printf-like) and returns -ECANCELED. */
int measure_fail(struct measurement *measurement, enum cell_status status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Resident bytes that came with the backend: anonymous, shared and huge, less the baseline; never below 0. */
double measure_resident_bytes(const struct measurement *measurement);

/* Binds the calling thread and enters the pool as `thread`; 0, or measure_fail's value. */
int measure_thread_enter(struct measurement *measurement, unsigned thread);
void measure_thread_exit(struct measurement *measurement);

#endif
