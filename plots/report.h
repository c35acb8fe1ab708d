/* The report: one self-contained HTML page, and the table for a terminal. Made from the runs' files alone. */
#ifndef POOLBENCH_PLOTS_REPORT_H
#define POOLBENCH_PLOTS_REPORT_H

#include <stddef.h>
#include <stdio.h>

#include "figures.h"

/*
 * Draws the figures of these runs and writes the page.
 * `out`: the page's path, its figures beside it in "<out without .html>-plots"; NULL: report.html and plots/
 * in the run's directory (of the first, when there are several). `only`: the figures, NULL for all.
 * 0, or with a sentence in `why` the errors of figures_make. Where only gnuplot failed or is missing (-ENOENT,
 * -EIO), the page is written all the same, with its tables, and says so. An old page is replaced whole.
 */
int report_make(const char *const *run_dirs, size_t n, const char *out, const char *const *only, char *why,
		size_t why_bytes);

/* Where report_make writes: fills `path`. */
void report_path(const char *const *run_dirs, size_t n, const char *out, char *path, size_t bytes);

/*
 * The end of a run in a few lines for a terminal: a block a workload, at its most threads, fastest first.
 * 0 or the errors of model_load.
 */
int summary_table_print(FILE *out, const char *run_dir, char *why, size_t why_bytes);

/* ---- the page's parts ---- */

void report_summary(FILE *out, const struct model *model);
void report_tables(FILE *out, const struct model *model);
void report_counters(FILE *out, const struct model *model);
void report_machine(FILE *out, const struct model *model);
void report_reproduce(FILE *out, const struct model *model);
void report_glossary(FILE *out);

#endif
