/*
 * Figures: one gnuplot script each, fed from a run's files. Adding a figure is a script NAME.gp, a prepare
 * function and one line in figures.c.
 */
#ifndef POOLBENCH_PLOTS_FIGURES_H
#define POOLBENCH_PLOTS_FIGURES_H

#include <stddef.h>
#include <stdio.h>

#include "model.h"

#define FIGURE_EACH_PANEL 1u /* one picture a workload, not one for all */
#define FIGURE_COMPARISON 2u /* of a directory of `poolbench ab`, which has no others */
#define FIGURE_FOLDED     4u /* on the page, all pictures but the first are opened by a click */
#define FIGURE_TUNE       8u /* of a tuning, which has only these unless others are named */

struct drawing;

struct figure {
	const char *name; /* file stem, name in --figures */
	const char *title; /* on the page; says what is better */
	const char
		*summary; /* how to read it: a sentence or two, for the page and `list figures` */
	unsigned flags;
	/* Writes the drawing's data and variables. 0, 1 if there is nothing to show, -errno. */
	int (*prepare)(struct drawing *drawing);
};

extern const struct figure figure_table[]; /* ended by a NULL name */

/* One picture under way: what prepare reads, and where it writes. */
struct drawing {
	const struct model *model;
	size_t panel; /* for FIGURE_EACH_PANEL */
	const void *subject; /* of a figure that shows no runs' model: what its prepare knows */
	FILE *data; /* numbers only: blocks that two blank lines end */
	FILE *variables; /* gnuplot assignments: see the drawing_ functions */
	unsigned width, height; /* pixels at 96 to the inch; prepare sets them */
};

/* A string variable, and arrays of them: quoted so that no name can be taken for gnuplot's language. */
void drawing_text(struct drawing *drawing, const char *name, const char *value);
void drawing_array_begin(struct drawing *drawing, const char *name, size_t entries);
void drawing_array_text(struct drawing *drawing, const char *name, size_t index, const char *value);
void drawing_number(struct drawing *drawing, const char *name, double value);

/* One picture that is there. */
struct picture {
	const struct figure *figure;
	char stem[128]; /* OUT/STEM.svg and OUT/STEM.png */
	char title[256];
	char alt[512]; /* what a person hears who cannot see it */
	unsigned width, height;
};

/*
 * Draws every figure named in `only` (NULL: all) of these runs as SVG and PNG into out_dir, which is made
 * (NULL: plots/ in the first run's directory). Their data stay in out_dir/data, to be plotted by other means. Reads the runs' files and changes none.
 * 0, or with a sentence in `why`: -ENOENT (no gnuplot: names the package; no run), -EINVAL (no such figure),
 * -EIO (gnuplot failed: its own words), -errno. What was drawn before an error stays.
 */
int figures_make(const char *const *run_dirs, size_t n, const char *out_dir,
		 const char *const *only, char *why, size_t why_bytes);

/* The same from a model, with the list of what was drawn: the caller frees *pictures. */
int figures_draw(const struct model *model, const char *out_dir, const char *const *only,
		 struct picture **pictures, size_t *count, char *why, size_t why_bytes);

/* Makes out_dir and its data/, for figure_draw(). 0 or -errno with `why`. */
int figures_directory(const char *out_dir, char *why, size_t why_bytes);

/*
 * One picture, from what `drawing` names (model and panel, or subject): out_dir/STEM.svg and .png, its data and input in
 * out_dir/data. As prepare, and the errors of figures_make.
 */
int figure_draw(struct drawing *drawing, const struct figure *figure, const char *out_dir,
		const char *stem, char *why, size_t why_bytes);

/* The figure of this name, or NULL. */
const struct figure *figure_find(const char *name);

/*
 * The directory of the scripts and the style sheet: $POOLBENCH_PLOTS, or the source tree's while it is
 * there, or the installed one. Points to static storage or the environment.
 */
const char *plots_directory(void);

/* ---- prepare functions ---- */

int prepare_throughput(struct drawing *drawing);
int prepare_scaling(struct drawing *drawing);
int prepare_tradeoff(struct drawing *drawing);
int prepare_latency(struct drawing *drawing);
int prepare_memory(struct drawing *drawing);
int prepare_waste(struct drawing *drawing);
int prepare_ab_ratios(struct drawing *drawing);
int prepare_ab_pairs(struct drawing *drawing);
int prepare_waste_time(struct drawing *drawing);
int prepare_footprint(struct drawing *drawing);
int prepare_free_ranges(struct drawing *drawing);
int prepare_tags(struct drawing *drawing);
int prepare_heap_map(struct drawing *drawing);
int prepare_heap_strip(struct drawing *drawing);
int prepare_ageing(struct drawing *drawing);
int prepare_ageing_waste(struct drawing *drawing);
int prepare_pages(struct drawing *drawing);
int prepare_front(struct drawing *drawing);

/* Names and looks of all series: series_name[], series_rgb[], series_point[], series_dash[], from 1. */
void prepare_series(struct drawing *drawing);
/*
 * The layout of a figure of bars: `columns` of panels, fewer where names are long, and `name_width` in
 * pixels. Returns the picture's height for panels of this height and what is around them.
 */
unsigned prepare_bar_columns(struct drawing *drawing, size_t around, size_t panel_height);
/* panel_name[] from 1, and the count `panels`. */
void prepare_panels(struct drawing *drawing);
/* status_name[] from 1: what stands where a number is missing. */
void prepare_statuses(struct drawing *drawing);

#endif
