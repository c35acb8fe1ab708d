#include "csv.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CSV_COLUMNS 96

struct csv {
	FILE *file;
	char *line; /* the row, cut into fields in place */
	size_t line_bytes;
	char *field[CSV_COLUMNS];
	int fields;
	char *header; /* the first row, kept: names point into it */
	char *name[CSV_COLUMNS];
	int names;
};

/* Cuts `line` at its commas, in place; a doubled quote inside quotes is one quote. */
static int csv_split(char *line, char **field)
{
	char *in = line;
	int fields = 0;

	while (fields < CSV_COLUMNS) {
		char *out = in;
		int quoted = 0;

		field[fields++] = out;
		for (; *in && (quoted || *in != ','); in++) {
			if (*in != '"')
				*out++ = *in;
			else if (quoted && in[1] == '"')
				*out++ = *in++;
			else
				quoted = !quoted;
		}
		int more = *in == ',';
		in += more;
		*out = '\0';
		if (!more)
			break;
	}
	return fields;
}

/* One line without its end; 0 at the end of the file and for a line that was torn off. */
static int csv_line(struct csv *csv)
{
	ssize_t bytes = getline(&csv->line, &csv->line_bytes, csv->file);

	if (bytes <= 0 || csv->line[bytes - 1] != '\n')
		return 0;
	csv->line[--bytes] = '\0';
	if (bytes && csv->line[bytes - 1] == '\r')
		csv->line[bytes - 1] = '\0';
	return 1;
}

int csv_open(const char *path, struct csv **out)
{
	struct csv *csv = calloc(1, sizeof(*csv));
	int err = 0;

	if (!csv)
		return -ENOMEM;
	csv->file = fopen(path, "re");
	if (!csv->file) {
		err = -errno;
	} else if (!csv_line(csv)) {
		err = -EBADMSG;
	} else {
		csv->header = csv->line;
		csv->line = NULL;
		csv->line_bytes = 0;
		csv->names = csv_split(csv->header, csv->name);
	}
	if (err) {
		csv_close(csv);
		return err;
	}
	*out = csv;
	return 0;
}

void csv_close(struct csv *csv)
{
	if (!csv)
		return;
	if (csv->file)
		fclose(csv->file);
	free(csv->line);
	free(csv->header);
	free(csv);
}

int csv_column(const struct csv *csv, const char *name)
{
	for (int i = 0; i < csv->names; i++) {
		if (strcmp(csv->name[i], name) == 0)
			return i;
	}
	return -1;
}

int csv_next(struct csv *csv)
{
	do {
		if (!csv_line(csv))
			return 0;
		csv->fields = csv_split(csv->line, csv->field);
	} while (csv->fields < csv->names);
	return 1;
}

const char *csv_field(const struct csv *csv, int column)
{
	return column >= 0 && column < csv->fields ? csv->field[column] : "";
}

double csv_number(const struct csv *csv, int column)
{
	const char *text = csv_field(csv, column);
	char *end;
	double value = strtod(text, &end);

	return end == text || *end ? NAN : value;
}

void csv_cell_find(const struct csv *csv, struct csv_cell_columns *columns)
{
	columns->backend = csv_column(csv, "backend");
	columns->workload = csv_column(csv, "workload");
	columns->threads = csv_column(csv, "threads");
	columns->page_size = csv_column(csv, "page_size");
	columns->backing = csv_column(csv, "backing");
}

int csv_cell_is(const struct csv *csv, const struct csv_cell_columns *columns, const char *backend,
		const char *workload, unsigned threads, size_t page_size, const char *backing)
{
	return strcmp(csv_field(csv, columns->workload), workload) == 0 &&
	       strcmp(csv_field(csv, columns->backend), backend) == 0 &&
	       strcmp(csv_field(csv, columns->backing), backing) == 0 &&
	       strtoul(csv_field(csv, columns->threads), NULL, 10) == threads &&
	       strtoull(csv_field(csv, columns->page_size), NULL, 10) == page_size;
}
