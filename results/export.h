/*
 * A run in the formats that other programs read: trackers, CI servers, monitoring. A format is one file
 * export_NAME.c, or one function, and one line in export_formats. docs/interfaces.md says what each holds.
 *
 * What all of them keep to: a pass of a cell that did not end OK in every repetition has no number, in any format,
 * for a median of those that survived would hide the others; NaN and infinities never appear; names may hold any
 * bytes, and come out as the format allows.
 */
#ifndef POOLBENCH_EXPORT_H
#define POOLBENCH_EXPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "record.h"
#include "summary.h"

/* What a run's directory says. */
struct export_run {
	struct record *records;
	size_t count;
	struct cell_summary *cells;
	size_t cell_count;
	json_t *environment; /* NULL where there is none */
};

/*
 * 0; -EINVAL for a comparison, whose processes are no cells to be tracked; or the errors of records_read(); with
 * a sentence in `why`. export_run_release() is due only after 0.
 */
int export_run_read(const char *directory, struct export_run *run, char *why, size_t why_bytes);
void export_run_release(struct export_run *run);

struct export_format {
	const char *name;
	const char *reader; /* the programs that want it */
	/* 0; -ENODATA where the run has nothing that the format could say; -ENOMEM */
	int (*write)(FILE *out, const struct export_run *run);
};

extern const struct export_format export_formats[]; /* ended by a NULL name */
const struct export_format *export_find(const char *name); /* or NULL */

/* The whole document, for free(). As write(). */
int export_text(const struct export_format *format, const struct export_run *run, char **text,
		size_t *bytes);

/* ---- for the formats ---- */

/* What of a cell is worth tracking, and the slug that Bencher knows it by. */
struct export_measure {
	enum metric metric;
	const char *slug;
};
#define EXPORT_MEASURES 8
extern const struct export_measure export_measures[EXPORT_MEASURES];

/* The metric's summary, or NULL where its pass is not whole or it could not be measured. */
const struct metric_summary *export_metric(const struct cell_summary *cell, enum metric metric);

/* Whether its interval says anything: one process has none. */
bool export_has_interval(const struct metric_summary *summary);

/*
 * The cell's name as valid UTF-8 of at most EXPORT_NAME_BYTES - 1 bytes; a longer one is cut and ends in a hash of
 * the whole, so that two cells never share a name.
 */
#define EXPORT_NAME_BYTES 1025
void export_cell_name(const struct cell *cell, char *name);

int export_bmf(FILE *out, const struct export_run *run);
int export_custom_smaller(FILE *out, const struct export_run *run);
int export_junit(FILE *out, const struct export_run *run);
int export_openmetrics(FILE *out, const struct export_run *run);

#endif
