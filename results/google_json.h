/*
 * A run in Google Benchmark's JSON schema, version 1, for programs that read that: run.json with
 * every repetition (Google's compare.py) and tracker.json with the median of each cell (trackers
 * that ingest "googlecpp" output). Made from records.jsonl, and environment.json where it is there,
 * so it can be made again at any time. docs/results-schema.md says what the keys mean here.
 */
#ifndef POOLBENCH_GOOGLE_JSON_H
#define POOLBENCH_GOOGLE_JSON_H

#include <jansson.h>
#include <stddef.h>

#include "record.h"
#include "summary.h"

/* Writes both files into the run's directory, each all or nothing. 0 or -errno with `why`. */
int google_json_write(const char *directory, char *why, size_t why_bytes);

/* The documents themselves; `environment` may be NULL. NULL when memory ran out. */
json_t *google_json_run(const struct record *records, size_t count,
			const struct cell_summary *cells, size_t cell_count,
			const json_t *environment);
json_t *google_json_tracker(const struct record *records, size_t count,
			    const struct cell_summary *cells, size_t cell_count,
			    const json_t *environment);

#endif
