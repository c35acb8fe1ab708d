/*
 * The series that go with a record (checkpoints, latency bins, tag totals, laps, pictures of the
 * heap), described once: the same table gives the header and rows of the CSV files and the arrays in the line that a
 * measuring process sends to its parent.
 */
#ifndef POOLBENCH_SERIES_H
#define POOLBENCH_SERIES_H

#include <stddef.h>
#include <stdio.h>

#include "record.h"

enum column_type {
	COLUMN_U32,
	COLUMN_U64,
	COLUMN_REAL, /* double: NaN is an empty CSV field and null in JSON */
	COLUMN_CHAR, /* one character */
	COLUMN_TEXT, /* char[bytes], NUL-terminated */
	COLUMN_STRING, /* char *, malloc'd and owned by the element; never NULL in a finished one */
	COLUMN_TAG, /* char[5]: a byte that is not printable ASCII is shown as '.' */
	COLUMN_INDEX /* the row's number from 0; in CSV only */
};

struct column {
	const char *name;
	enum column_type type;
	size_t offset, bytes; /* of the member in the element */
};

struct series {
	const char *name; /* the key in JSON: "memory" */
	const char *file; /* "memory.csv" */
	const struct column *columns;
	size_t column_count;
	size_t element_bytes;
	size_t data_offset, count_offset; /* of the pointer and the size_t in struct result */
};

enum {
	SERIES_MEMORY,
	SERIES_LATENCY,
	SERIES_TAGS,
	SERIES_LAPS,
	SERIES_FREE_RANGES,
	SERIES_TAG_LIVE,
	SERIES_HEAP_MAP,
	SERIES_AGEING,
	SERIES
};
extern const struct series series_table[SERIES];

/* The elements of a series of a result, and how many; never NULL when the count is not 0. */
const void *series_data(const struct series *series, const struct result *result, size_t *count);

/* Hands `data` (malloc'd, `count` elements) to the result, whose old series must be empty. */
void series_adopt(const struct series *series, struct result *result, void *data, size_t count);

/* The header line of the CSV file: the cell's columns, repetition, then the series'. */
void series_csv_header(const struct series *series, FILE *file);

/*
 * One line an element. RFC 4180 quoting; lines end in LF. Reals with 17 significant digits at most.
 */
void series_csv_rows(const struct series *series, const struct result *result, FILE *file);

/* One field, quoted if it holds a comma, a quote, CR or LF. */
void csv_text(const char *text, FILE *file);

/*
 * The shortest decimal that reads back as the same double; nothing at all for NaN and infinities.
 */
void csv_real(double value, FILE *file);

/* "Irp " as it is, other bytes than printable ASCII as '.'; `text` gets 5 bytes. */
void tag_printable(const char *tag, char *text);

#endif
