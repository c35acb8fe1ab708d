/*
 * The history in pictures: one a cell, a panel a series, runs along the x axis, the change against the baseline in per
 * cent along the y axis; with the levels that change points cut, the commits where they lie, and what people decided.
 * And one page with all of them, those that got worse first.
 */
#ifndef POOLBENCH_PLOTS_TRACK_H
#define POOLBENCH_PLOTS_TRACK_H

#include "figures.h"
#include "results/history_check.h"

struct track_view {
	const struct history *history; /* of one machine and branch, points in */
	const struct check_rules *rules;
	const char *reference, *machine, *machine_text, *branch;
	bool measures[MEASURES_COUNT]; /* which are drawn */
	const char *backend, *workload; /* NULL: all */
};

/* A series with its course, as drawn. */
struct track_series {
	size_t index; /* in the history */
	struct course course;
	double latest; /* the last level over the baseline, less 1; NaN without points */
};

struct track_cell {
	struct track_series *series;
	size_t count;
	const struct history_series *first;
	double worst; /* the largest `latest` */
	struct picture picture;
	bool drawn;
};

/* The picture of a cell: subject of its drawing. */
struct track_subject {
	const struct track_view *view;
	const struct track_cell *cell;
};
extern const struct figure track_figure;

/*
 * Draws into out_dir (made) and writes out_dir/track.html. 0, or with a sentence in `why`: -ENODATA (nothing to
 * draw), and the errors of figures_make; where only gnuplot failed or is missing, the page is written all the same.
 */
int track_draw(const struct track_view *view, const char *out_dir, char *why, size_t why_bytes);

/* The page; `missing` says why there are no pictures, or is NULL. */
int track_page_write(const struct track_view *view, const struct track_cell *cells, size_t count,
		     const char *out_dir, const char *missing, char *why, size_t why_bytes);

/* "nt-pool, irp-storm, 2 threads, 64K pages, thp" */
void track_cell_title(const struct history_series *series, char *text, size_t bytes);

#endif
