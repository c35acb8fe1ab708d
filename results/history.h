/*
 * A history: what runs of one machine, at different times, say of the same cells. Absolute times of different hours
 * cannot be held against each other, so every time is stored as a ratio to a reference backend that was interleaved
 * in the same run, repetition by repetition; counters an operation and bytes stand beside it as they are.
 *
 * A series is what may be joined by a line: one measure of one cell on one machine, under the same settings and on
 * the same trace. A point is what one run says of a series. A decision is what a person made of it: accept, pin,
 * forget. Nothing is ever taken out.
 */
#ifndef POOLBENCH_HISTORY_H
#define POOLBENCH_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "environment.h"
#include "record.h"

/* M(symbol, name, metric, relative, unit): lower is better for all of them. */
#define MEASURES(M) \
	M(TIME, "time", ns_per_op_q1, true, "x") \
	M(ALLOC_P99, "alloc-p99", alloc_ns_p99, true, "x") \
	M(FREE_P99, "free-p99", free_ns_p99, true, "x") \
	M(FOOTPRINT, "footprint", resident_bytes_peak, false, "bytes") \
	M(COMMITTED, "committed", committed_bytes_peak, false, "bytes") \
	M(INSTRUCTIONS, "instructions", instructions_per_op, false, "1/op") \
	M(CYCLES, "cycles", cycles_per_op, false, "1/op") \
	M(L1D_MISSES, "l1d-misses", l1d_misses_per_op, false, "1/op") \
	M(DTLB_MISSES, "dtlb-misses", dtlb_misses_per_op, false, "1/op")

enum measure {
#define M(symbol, name, metric, relative, unit) MEASURE_##symbol,
	MEASURES(M)
#undef M
		MEASURES_COUNT
};

struct measure_info {
	const char *name;
	enum metric metric;
	bool relative; /* to the reference of the same repetition; unit "x": times as much */
	const char *unit;
};
extern const struct measure_info measure_table[MEASURES_COUNT];
extern const char *const measure_names[MEASURES_COUNT + 1];

/* -1 for no such name. */
int measure_find(const char *name);

struct history_run {
	char id[64];
	char machine[FINGERPRINT_BYTES];
	char branch[256], commit[80]; /* empty where not known */
	char settings[17]; /* digest of the options that change what is measured */
	char made_with[96]; /* poolbench's version and commit */
	char digest[17]; /* of records.jsonl */
	double started, added; /* Unix seconds */
	uint64_t records;
	bool forgotten;
	bool outside; /* here only because it is pinned: of another branch, or too old for the filter */
	size_t points; /* that the history has of it */
};

struct history_series {
	int64_t id;
	char machine[FINGERPRINT_BYTES], settings[17];
	struct cell cell; /* a plugin's backend by name, not by path: history_backend() */
	char trace[20]; /* checksum */
	enum measure measure;
};

struct history_point {
	size_t run, series; /* indices */
	enum cell_status status; /* the worst of the pass */
	char reason[200];
	size_t n; /* repetitions with a value; the numbers are NaN for 0 */
	double value, low, high; /* median and its 95 % interval */
	double absolute; /* median before it was divided by the reference */
	double *samples; /* n values, where they were asked for; else NULL */
};

enum decision_kind { DECISION_ACCEPT, DECISION_PIN, DECISION_FORGET, DECISION_KINDS };
extern const char *const decision_names[DECISION_KINDS + 1];

struct history_decision {
	int64_t id;
	enum decision_kind kind;
	char run[64];
	char backend[512], workload[512], measure[20]; /* empty: all; FORGET is of the whole run */
	char reason[512], made_by[64];
	double made;
	double withdrawn; /* Unix seconds; NaN while it holds */
	char withdrawn_reason[512];
};

struct history {
	struct history_run *runs; /* by time */
	size_t run_count;
	struct history_series *series; /* by cell, then measure */
	size_t series_count;
	struct history_point *points; /* by series, then run */
	size_t point_count;
	struct history_decision *decisions; /* as made */
	size_t decision_count;
};

void history_release(struct history *history);

/* The points of a series: the first and how many. */
const struct history_point *history_points(const struct history *history, size_t series,
					   size_t *count);

/* Whether the decision holds now and is about this series. */
bool decision_holds(const struct history_decision *decision, const struct history_series *series);

/* ---- what a run's directory adds ---- */

struct history_entry {
	struct history_run run;
	char reference[512];
	char settings_text[2048];
	char machine_text[256];
	struct history_series *series; /* one a point; ids are not set */
	struct history_point *points;
	size_t count;
};

/*
 * Reads a finished or unfinished run. 0, or with a sentence in `why`: -EINVAL (a comparison, no cells of the
 * reference, no machine), -ENODATA (nothing measured yet), and the errors of records_read and run_plan_read.
 */
int history_entry_read(const char *directory, const char *reference, struct history_entry *entry,
		       char *why, size_t why_bytes);
void history_entry_release(struct history_entry *entry);

/*
 * What a backend is called in a history: the spec as it is, or for a file "file:NAME" and its options, so that two
 * builds of one plugin from different places are the same.
 */
void history_backend(const struct record *record, char *name, size_t bytes);

#endif
