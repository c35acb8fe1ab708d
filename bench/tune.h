/*
 * Which page size, backing and page options a workload wants: `poolbench tune`. results/race.h has the decisions; here
 * is what is measured, in which order, and what is said of it.
 *
 *     setting     a backend's options, a page size and a backing: an entry of the race
 *     condition   a workload at a number of threads; one answer is given for all of them together
 *     aspect      speed, memory or latency, each with its pass, its metric and its weight in the score
 *     block       one fresh process a condition and weighed pass of every setting that is still open
 *     baseline    the first setting: smallest page, first backing, first options
 *
 * A setting's score in a block is the weighted mean of the logarithms of its aspects, averaged over the conditions. Block 0
 * is the survey, and takes the memory pass too, because of equals the leaner is preferred. After the race come confirming
 * pairs of the answer and the baseline, which nothing was selected by: the numbers in the answer's words are theirs. Last,
 * the passes that were not needed, once of every setting, for the pictures.
 *
 * A record's repetition is its block, or TUNE_CONFIRM and up for the confirming pairs.
 */
#ifndef POOLBENCH_TUNE_H
#define POOLBENCH_TUNE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "bench/plan.h"
#include "results/race.h"
#include "results/run_dir.h"

#define TUNE_SETTINGS_MAX 512
#define TUNE_VARIES_MAX   16
#define TUNE_PAIRS_MAX    100
#define TUNE_CONFIRM      1000 /* repetition of the first confirming pair */
#define TUNE_FILE         "tune.json"

enum tune_aspect { TUNE_SPEED, TUNE_MEMORY, TUNE_LATENCY, TUNE_ASPECTS };

struct tune_aspect_info {
	const char *name;
	enum pass pass;
	const char *better, *worse, *noun; /* "faster", "slower", "time an operation" */
};
extern const struct tune_aspect_info tune_aspect_table[TUNE_ASPECTS];

struct tune_options {
	char backend[512]; /* alternatives of an option's value with '|' */
	char vary[TUNE_VARIES_MAX][256];
	unsigned varies;
	struct plan_options plan; /* its backends, passes and repetitions are not used */
	struct run_plan record;
	char goal[128]; /* as asked for: "speed", or the weights */
	double weights[TUNE_ASPECTS]; /* their sum is 1 */
	double threshold, alpha, budget_seconds;
	unsigned blocks, pairs; /* at most; of the confirmation */
	enum metric statistic;
	bool statistic_asked;
};

/* One option that is tune's own; the others are plan_option_table's. */
struct tune_option {
	const char *name, *argument, *help;
	int (*set)(struct tune_options *options, const char *value, char *why, size_t why_bytes);
};
extern const struct tune_option tune_option_table[]; /* ended by a NULL name */

int tune_options_init(struct tune_options *options); /* 0 or -ENOMEM */
void tune_options_release(struct tune_options *options);
/* An option of either table, kept in the record. 0 or -EINVAL with a sentence. */
int tune_set(struct tune_options *options, const char *name, const char *value, char *why,
	     size_t why_bytes);
/* Whether a plan's option makes sense here. */
bool tune_takes(const char *plan_option);

/* One setting of one condition. */
struct tune_values {
	double race[TUNE_ASPECTS][RACE_BLOCKS_MAX]; /* NaN where not measured */
	double confirm[TUNE_ASPECTS][TUNE_PAIRS_MAX]; /* of answer and baseline only */
	double scores[RACE_BLOCKS_MAX]; /* of this condition alone */
};

struct tune_setting {
	char backend[512]; /* full spec */
	size_t page_size;
	char backing[8];
	char name[640]; /* "64K pages on thp, order=2" */
	struct tune_values *values; /* [conditions] */
	double scores[RACE_BLOCKS_MAX]; /* over all conditions */
	enum cell_status status; /* not OK: out of the race */
	char reason[512];
	unsigned blocks; /* in which it was measured */
	unsigned processes[PASSES]; /* confirmation in */
	double seconds[PASSES];
};

/* What a condition alone would have chosen, by the same measurements. */
struct tune_condition {
	char workload[512];
	unsigned threads;
	unsigned answer;
	bool settled;
	double confidence;
};

struct tune_session {
	struct tune_options options;
	struct tune_setting *settings;
	unsigned setting_count;
	struct tune_condition *conditions;
	unsigned condition_count;
	struct race_rules rules;
	struct race race;
	struct race_entry *entries;
	unsigned blocks; /* complete ones */
	unsigned pairs; /* of the confirmation */
	unsigned baseline;
	bool answered; /* there is an answer, settled or not */
	bool surveyed; /* block 0 is complete */
	bool out_of_budget, interrupted;
	unsigned processes; /* measured now */
	double seconds; /* this process's time */
	unsigned surveyed_processes, survey_processes; /* done, of all */
};

/*
 * Lays out the grid: backend specs from the alternatives and --vary, times page sizes and backings. Refuses a grid of one
 * setting. 0; -EINVAL, -ENOENT, -ENOEXEC, -ENOMEM with a sentence.
 */
int tune_grid(struct tune_session *session, char *why, size_t why_bytes);

/* "4K", "2M". */
void tune_page_name(size_t page_size, char *text, size_t bytes);

/* Takes the options over, also on failure. As tune_grid. */
int tune_create(struct tune_options *options, struct tune_session *out, char *why,
		size_t why_bytes);
void tune_release(struct tune_session *session);

/* Measures and decides, or goes on with what is in the directory. 0 or -errno with a sentence. */
int tune_run(struct tune_session *session, struct run_dir *run, char *why, size_t why_bytes);

/* GOOD (settled), INCONCLUSIVE, MISSING (nothing here can be had), FAILED. */
int tune_exit_code(const struct tune_session *session);

/* Seconds of all measuring processes, and of the same grid with every setting as often as the answer. */
double tune_spent_seconds(const struct tune_session *session);
double tune_full_seconds(const struct tune_session *session);

/* ---- what is said ---- */

/* One setting over the baseline in one aspect; `condition` == condition_count: all together. */
int tune_over_baseline(const struct tune_session *session, unsigned setting, unsigned condition,
		       enum tune_aspect aspect, struct paired_ratio *out);
/* The answer over the baseline, from the confirming pairs; no pairs where there were none. */
int tune_confirmed(const struct tune_session *session, unsigned condition, enum tune_aspect aspect,
		   struct paired_ratio *out);

/* One setting over another by the goal: the score that was raced. */
int tune_score_ratio(const struct tune_session *session, unsigned over, unsigned under,
		     struct paired_ratio *out);

/* "answer", "leads", "level", "worse", "undecided", "open", or the status of what was not measured. */
const char *tune_standing(const struct tune_session *session, unsigned setting);

/* Medians of a setting under a condition, from the run's records; NULL: none. */
struct cell_summary;
const struct cell_summary *tune_summary(const struct tune_session *session,
					const struct cell_summary *cells, size_t count,
					unsigned setting, unsigned condition);

/* The answer in sentences, a line each, without markup. */
void tune_print_words(const struct tune_session *session, const struct cell_summary *cells,
		      size_t count, FILE *file);
void tune_print_table(const struct tune_session *session, const struct cell_summary *cells,
		      size_t count, FILE *file);
/* "--backend slub:order=2 --page-size 64K --backing thp", and the whole command that measures it. */
void tune_print_setting(const struct tune_session *session, unsigned setting, FILE *file);
void tune_print_command(const struct tune_session *session, unsigned setting, FILE *file);
char *tune_to_json(const struct tune_session *session, const struct cell_summary *cells,
		   size_t count); /* for free(); NULL: out of memory */

#endif
