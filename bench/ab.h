/*
 * The comparison of two backends by interleaved pairs of fresh processes: `poolbench ab`. results/verdict.h has
 * the decisions; here is what is measured, and in which order.
 *
 * A round of a cell is one process each of
 *
 *     A, B       the two that are compared
 *     control    A once more: A against itself, through the same pipeline
 *     slowed     A with a known amount of work planted (throughput pass only; bench/slowdown.h)
 *
 * in random order, all on the same trace. Rounds go cell by cell in random order, so that drift falls on all
 * alike. Three phases, one a pass; each has looks: more rounds are measured only of cells that hold a
 * trial which is still open. A suspicion is followed by a confirming batch of fresh A and B rounds.
 *
 * Every process's record goes into a run's directory as it comes. Its repetition says what it was:
 * (batch * AB_BATCH + round) * AB_ROLES + role, and AB_AGAIN more for every time that it was set aside because a neighbour
 * disturbed it (bench/quiet.h); the last one counts. The chance in the order comes from the seed and those numbers only, so
 * that a comparison that is resumed goes the way it would have gone.
 */
#ifndef POOLBENCH_AB_H
#define POOLBENCH_AB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "bench/plan.h"
#include "bench/quiet.h"
#include "results/junit.h"
#include "results/run_dir.h"
#include "results/verdict.h"

enum ab_role { AB_A, AB_B, AB_CONTROL, AB_SLOWED, AB_PILOT, AB_ROLES };

#define AB_BATCH 1000 /* rounds of a batch at most; batch 0 is the search, 1.. confirm after each look */
#define AB_AGAIN  (AB_BATCH * AB_ROLES * (VERDICT_LOOKS_MAX + 1)) /* above all of those numbers */
#define AB_PILOTS 5   /* processes that calibrate the planted slow-down of a cell */

enum ab_series {
	AB_TIME,
	AB_INSTRUCTIONS,
	AB_L1D_MISSES,
	AB_DTLB_MISSES,
	AB_ALLOC_P99,
	AB_FREE_P99,
	AB_FOOTPRINT,
	AB_SERIES
};

struct ab_series_info {
	const char *name, *unit;
	enum metric metric;
	enum pass pass;
	bool gate; /* by default */
};
extern const struct ab_series_info ab_series_table[AB_SERIES];

struct ab_options {
	char a[256], b[256];
	struct plan_options plan; /* its backends are not used */
	struct run_plan record;
	struct verdict_rules rules;
	unsigned pairs, max_pairs;
	double budget_seconds; /* 0: none; no look is started after it */
	double planted;        /* share of A's time; 0: no positive control */
	double slow_b;         /* for tests of the comparison itself: planted into B */
	enum metric statistic; /* of a process's laps: ns_per_op_min, _q1 or ns_per_op */
	bool gate[AB_SERIES];
};

/* One option that is ab's own; the others are plan_option_table's. */
struct ab_option {
	const char *name, *argument, *help;
	int (*set)(struct ab_options *options, const char *value, char *why, size_t why_bytes);
};
extern const struct ab_option ab_option_table[]; /* ended by a NULL name */

int ab_options_init(struct ab_options *options); /* 0 or -ENOMEM */
void ab_options_release(struct ab_options *options);
/* An option of either table, kept in the record. 0 or -EINVAL with a sentence. */
int ab_set(struct ab_options *options, const char *name, const char *value, char *why,
	   size_t why_bytes);
/* Whether a plan's option makes sense here: not the lists of backends and the repetitions. */
bool ab_takes(const char *plan_option);

/* The values of a round, NaN where not measured. */
struct ab_round {
	double value[AB_ROLES][AB_SERIES];
	double true_share; /* planted, by the slowed process's own clock */
};

struct ab_batch {
	struct ab_round *rounds;
	unsigned count;
};

/* A series of a cell: the trial, its logarithms, and the positive control. */
struct ab_track {
	struct trial *trial;  /* in ab_session.trials */
	double *logs[4];      /* search, control, confirm, planted */
	bool measured;        /* false: the metric is not to be had on this machine */
	struct paired_ratio planted;
	double power;         /* to see a change of the rules' threshold, with the pairs it has */
	double median_a, median_b;
	const char *note;     /* why a verdict was withdrawn, or NULL */
};

struct ab_cell {
	struct cell a, b;
	uint32_t slow_steps, slow_b_steps; /* of the slowed A and of B; 0: none planted */
	struct ab_batch search[PASSES], confirm[PASSES];
	struct ab_track tracks[AB_SERIES];
	struct quiet quiet;  /* when its processes of the throughput pass may begin */
	double true_share;   /* median of the slowed processes' */
	char failed[PASSES][320]; /* not empty: a process failed, and how */
	bool failed_b;            /* it was B that failed, where A did not */
};

struct ab_session {
	struct ab_options options;
	struct ab_cell *cells;
	unsigned cell_count;
	struct trial *trials; /* [series][cell] */
	struct verdict_rules rules[PASSES];
	unsigned processes;   /* measured now; what was resumed is not counted */
	double seconds;       /* from the first process to the verdict */
	double processor_seconds; /* of the measuring processes: what a quiet machine would take */
	bool interrupted, out_of_budget;
	enum verdict verdict; /* the worst of the gated series */
};

/*
 * Checks names and lays out the cells; takes the options over, also on failure. 0; -EINVAL, -ENOENT, -ENOEXEC,
 * -ENOMEM with a sentence.
 */
int ab_create(struct ab_options *options, struct ab_session *out, char *why, size_t why_bytes);
void ab_release(struct ab_session *session);

/* Measures and judges, or goes on with what is in the directory. 0 or -errno with a sentence. */
int ab_run(struct ab_session *session, struct run_dir *run, char *why, size_t why_bytes);

/* GOOD, FAILED (a regression, or B fails where A does not), INCONCLUSIVE. */
int ab_exit_code(const struct ab_session *session);

/* ---- what is shown ---- */

/* "irp-storm, 2 threads, 64K pages, base": a cell without its two backends. */
#define AB_TITLE_BYTES (sizeof(((struct cell *)NULL)->workload) + 100)
void ab_cell_title(const struct ab_cell *cell, char *text, size_t bytes);
/* Whether a series of the cell has anything to say: measured, or failed. */
bool ab_shown(const struct ab_session *session, const struct ab_cell *cell, int series);
/* What a cell's controls and notes say, one line each behind `indent`. */
void ab_print_notes(const struct ab_session *session, const struct ab_cell *cell,
		    const char *indent, FILE *file);

void ab_print_table(const struct ab_session *session, FILE *file);
void ab_print_markdown(const struct ab_session *session, FILE *file);
char *ab_to_json(const struct ab_session *session); /* for free(); NULL: out of memory */
/* Test results, a case a cell and series; no verdict is `undecided` to the CI server. 0 or -errno. */
int ab_print_junit(const struct ab_session *session, enum junit_outcome undecided, FILE *file);
/* Every pair: cell, series, batch, round, A, B, control, slowed. */
void ab_print_pairs(const struct ab_session *session, FILE *file);
/* ab.json and pairs.csv of the directory. 0 or -errno with a sentence. */
int ab_write_verdicts(const struct ab_session *session, struct run_dir *run, char *why,
		      size_t why_bytes);

#endif
