/* The report: one self-contained HTML page, and the table for a terminal. Made from the runs' files alone. */
#ifndef POOLBENCH_PLOTS_REPORT_H
#define POOLBENCH_PLOTS_REPORT_H

#include <stddef.h>
#include <stdio.h>

#include "figures.h"

/*
 * Draws the figures of these runs and writes the page.
 * `out`: the page's path, its figures beside it in "<out without .html>-plots"; NULL: report.html and plots/
 * in the run's directory (of the first, when there are several).
 * 0, or with a sentence in `why` the errors of figures_make. Where only gnuplot failed or is missing (-ENOENT,
 * -EIO), the page is written all the same, with its tables, and says so. An old page is replaced whole.
 */
int report_make(const char *const *run_dirs, size_t n, const char *out, char *why,
		size_t why_bytes);

/* The same with these figures alone: names, ended by NULL; NULL for all. */
int report_make_only(const char *const *run_dirs, size_t n, const char *out,
		     const char *const *only, char *why, size_t why_bytes);

/* Where report_make writes: fills `path`. */
void report_path(const char *const *run_dirs, const char *out, char *path, size_t bytes);

/* ---- the page's parts ---- */

/* From the doctype to <main>, style sheet in; and the end. */
void report_head(FILE *out, const char *title);
void report_end(FILE *out);
/* A picture of plots_dir, inside the page. */
void report_picture(FILE *out, const struct picture *picture, const char *plots_dir);

/* Instead of summary, tables and counters where the first directory is one of `poolbench ab`. */
void report_comparison(FILE *out, const struct model *model);
/* Of a tuning: the answer, and the table of its settings. */
void report_tune(FILE *out, const struct model *model);
void report_settings(FILE *out, const struct model *model);
void report_summary(FILE *out, const struct model *model);
void report_tables(FILE *out, const struct model *model);
void report_counters(FILE *out, const struct model *model);
void report_machine(FILE *out, const struct model *model);
void report_reproduce(FILE *out, const struct model *model);
void report_glossary(FILE *out);

#endif
