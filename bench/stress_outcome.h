/*
 * What a session tells: outcomes of backends, one finding at length. For stress_session.c and stress_replay.c.
 */
#ifndef POOLBENCH_STRESS_OUTCOME_H
#define POOLBENCH_STRESS_OUTCOME_H

#include <jansson.h>
#include <stdint.h>

#include "bench/stress.h"

/* What a backend's rounds came to. */
struct stress_outcome {
	const char *spec;
	const char *verdict; /* "sound", "finding", "skipped", "missing", "inconclusive", "usage" */
	char why[512];
	uint64_t rounds, operations, failures;
	uint64_t start_ns;
	double seconds;
	json_t *finding; /* or NULL */
};

/* Sorts the outcome's verdict into poolbench's exit codes. */
int stress_exit_code(const char *verdict);
/* Of two: a finding outweighs everything; of the rest the first that is not good stands. */
int stress_worse(int code, int other);

/* One line for people, where the session is not one of JSON; what cannot be run is said on stderr in both. */
void stress_tell_outcome(const struct stress_session *session,
			 const struct stress_outcome *outcome);
/* A new object, which takes the outcome's finding over. */
json_t *stress_outcome_json(const struct stress_outcome *outcome);
/* The JSON document of all backends, where that is wanted; takes `backends` over. The exit code, changed if it fails. */
int stress_tell_all(const struct stress_session *session, json_t *backends, int code);

/* ---- stress_report.c: a finding at length ---- */

/* Shrinks and saves its trace, prints it or keeps it as JSON, and notes it in the outcome. */
void stress_tell_finding(const struct stress_session *session, const struct stress_round *round,
			 const struct trace *trace, const struct finding *finding,
			 struct stress_outcome *outcome);

/* The same of a backend that could not even be loaded: there is no round yet. */
void stress_tell_load(const struct stress_session *session, const struct finding *finding,
		      struct stress_outcome *outcome);

/* Events of all phases. */
uint64_t stress_trace_events(const struct trace *trace);

#endif
