/*
 * What the figures and the report show, once, for both: the records of one run or several, ordered into
 * panels (a workload), series (a backend as it was configured) and points (a series in a panel at a number
 * of threads).
 */
#ifndef POOLBENCH_PLOTS_MODEL_H
#define POOLBENCH_PLOTS_MODEL_H

#include <jansson.h>
#include <stddef.h>

#include "palette.h"
#include "results/summary.h"

/* One run's directory, as read. */
struct model_run {
	char *path;
	char name[96]; /* the directory's last part */
	json_t *environment; /* NULL where environment.json is missing or unreadable */
	json_t *comparison; /* ab.json, NULL for a run that is none or was cut off */
	json_t *tune; /* what `poolbench tune` found; NULL for any other run */
	struct record *records;
	size_t count;
	struct cell_summary *cells; /* medians and intervals over the repetitions */
	size_t cell_count;
};

/* A line, a bar, a mark: told apart by everything that varies among the cells but workload and threads. */
struct contender {
	unsigned run;
	char backend[512]; /* the spec */
	size_t page_size;
	char backing[8];
	char base[96]; /* the backend's name alone: it fixes the colour */
	char name[160]; /* for people: the base and what tells this series from its like */
	char caveats[256];
	int floor; /* the null backend: a reference, not a competitor */
	struct style style;
};

struct panel {
	char workload[512]; /* the spec */
	char name[96]; /* for people: cut where it is long */
	char slug[64]; /* for file names: lower-case letters, digits and '-', unique in the model */
};

struct point {
	unsigned series, panel, threads;
	const struct cell_summary *cell;
};

struct model {
	struct model_run *run;
	size_t runs;
	struct contender *series;
	size_t series_count;
	struct panel *panel;
	size_t panels;
	struct point *point;
	size_t points;
	unsigned threads[64]; /* the thread counts, ascending */
	size_t thread_counts;
};

/*
 * Reads the runs' files and orders them. 0 and *out, or with a sentence in `why`: -ENOENT (no directory, no
 * records.jsonl), -ENODATA (no record in it), -EBADMSG, -ENOMEM.
 */
int model_load(const char *const *run_dirs, size_t n, struct model **out, char *why,
	       size_t why_bytes);
void model_free(struct model *model);

/* The tuning that these runs are, or NULL: one run alone, with a tune.json. */
const json_t *model_tune(const struct model *model);

/* The point of a series in a panel; NULL if that cell is in no record. */
const struct point *model_point(const struct model *model, size_t series, size_t panel,
				unsigned threads);

/* The most threads at which anything was recorded in this panel. */
unsigned panel_threads(const struct model *model, size_t panel);

/* The status of a pass that failed in that cell, for people; "" where it is OK or was not asked for. */
const char *panel_failure(const struct model *model, size_t series, size_t panel, enum pass pass);

/* 1 if the point is there and has a median of this metric. */
int point_has(const struct point *point, enum metric metric);

/*
 * Series of a panel at `threads`, best `metric` first, those without a number behind them, the floor left
 * out. Fills order[], at most series_count, and returns how many; *measured of them have the number.
 */
size_t panel_order(const struct model *model, size_t panel, unsigned threads, enum metric metric,
		   unsigned *order, size_t *measured);

#endif
