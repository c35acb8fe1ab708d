/*
 * A reader of the series files (memory.csv, latency.csv): rows as fields, columns found by name, so that a
 * column that is added or moved breaks nothing. RFC 4180 quoting; a spec may hold commas and quotes.
 */
#ifndef POOLBENCH_PLOTS_CSV_H
#define POOLBENCH_PLOTS_CSV_H

#include <stddef.h>

struct csv;

/* Opens a file and reads its header: 0, -ENOENT, -EBADMSG (no header), -ENOMEM. */
int csv_open(const char *path, struct csv **out);
void csv_close(struct csv *csv);

/* The column's index, or -1 if there is none of that name. */
int csv_column(const struct csv *csv, const char *name);

/* The next complete row: 1, 0 at the end. A torn last line (a run that was killed) is the end. */
int csv_next(struct csv *csv);

/* A field of the row, "" where there is none; valid until the next row. */
const char *csv_field(const struct csv *csv, int column);
/* The same as a number; NaN where it is empty, null or no number. */
double csv_number(const struct csv *csv, int column);

/* Where the columns are that say which cell a row belongs to. */
struct csv_cell_columns {
	int backend, workload, threads, page_size, backing;
};
void csv_cell_find(const struct csv *csv, struct csv_cell_columns *columns);
/* 1 if the row belongs to this cell. */
int csv_cell_is(const struct csv *csv, const struct csv_cell_columns *columns, const char *backend,
		const char *workload, unsigned threads, size_t page_size, const char *backing);

#endif
