#include "heap_series.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "csv.h"

#define BLOCK_BYTES 65536u
#define POOL_SHIFT  48 /* of a block's key: pools one after the other, addresses below */

static uint64_t key_of(char pool, uint64_t address)
{
	return ((uint64_t)(pool == 'P') << POOL_SHIFT) + address / BLOCK_BYTES;
}

/* ---- reading ---- */

static void *grown(void *array, size_t count, size_t *room, size_t bytes)
{
	if (count < *room)
		return array;
	*room = *room ? 2 * *room : 64;
	return realloc(array, *room * bytes);
}

static int row_add(struct heap_series *series, struct heap_row *row, const char *cells)
{
	struct heap_row *rows = grown(series->rows, series->count, &series->room, sizeof(*rows));

	row->cells = strdup(cells);
	if (rows)
		series->rows = rows;
	if (!rows || !row->cells) {
		free(row->cells);
		return -ENOMEM;
	}
	series->rows[series->count++] = *row;
	if (row->snapshot >= series->snapshots)
		series->snapshots = row->snapshot + 1;
	if (!series->cell_bytes || row->cell_bytes < series->cell_bytes)
		series->cell_bytes = row->cell_bytes;
	return 0;
}

static int heap_rows(const struct model *model, size_t run, size_t panel, struct csv *csv,
		     struct heap_series *all)
{
	static const char *const names[] = { "snapshot",   "event", "lap",  "offset_bytes",
					     "cell_bytes", "pool",  "tags", "cells" };
	unsigned threads = panel_threads(model, panel);
	struct csv_cell_columns columns;
	int at[8], err = 0;

	csv_cell_find(csv, &columns);
	for (size_t i = 0; i < 8; i++)
		at[i] = csv_column(csv, names[i]);
	while (!err && csv_next(csv)) {
		for (size_t s = 0; s < model->series_count && !err; s++) {
			const struct contender *series = &model->series[s];
			struct heap_row row = { 0 };
			if (series->run != run ||
			    !csv_cell_is(csv, &columns, series->backend,
					 model->panel[panel].workload, threads, series->page_size,
					 series->backing))
				continue;
			row.snapshot = (unsigned)csv_number(csv, at[0]);
			row.event = csv_number(csv, at[1]);
			row.lap = csv_number(csv, at[2]);
			row.offset = strtoull(csv_field(csv, at[3]), NULL, 10);
			row.cell_bytes = strtoull(csv_field(csv, at[4]), NULL, 10);
			row.pool = *csv_field(csv, at[5]);
			snprintf(all[s].tags, sizeof(all[s].tags), "%s", csv_field(csv, at[6]));
			if (row.cell_bytes && row.snapshot < 1000)
				err = row_add(&all[s], &row, csv_field(csv, at[7]));
		}
	}
	return err;
}

/* ---- layout ---- */

/* The next run of a row: its symbol and how many cells. NULL at the end, or where the text is no picture. */
static const char *next_run(const char *text, char *symbol, uint64_t *cells)
{
	char *end;

	if (!*text)
		return NULL;
	*symbol = *text++;
	*cells = 1;
	if (*text < '0' || *text > '9')
		return text;
	*cells = strtoull(text, &end, 10);
	return *cells && *cells < 1ull << 40 ? end : NULL;
}

static int add_blocks(struct heap_series *series, const struct heap_row *row)
{
	const char *text = row->cells;
	uint64_t address = row->offset, cells;
	char symbol;

	while ((text = next_run(text, &symbol, &cells))) {
		const uint64_t end = address + cells * row->cell_bytes;
		for (uint64_t at = address & ~(uint64_t)(BLOCK_BYTES - 1);
		     symbol != '.' && at < end; at += BLOCK_BYTES) {
			const uint64_t key = key_of(row->pool, at);
			uint64_t *blocks;
			if (series->block_count && series->blocks[series->block_count - 1] == key)
				continue;
			blocks = grown(series->blocks, series->block_count, &series->block_room,
				       sizeof(*blocks));
			if (!blocks)
				return -ENOMEM;
			series->blocks = blocks;
			series->blocks[series->block_count++] = key;
		}
		address = end;
	}
	return 0;
}

static int by_key(const void *a, const void *b)
{
	const uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return left < right ? -1 : left > right;
}

static int lay_out(struct heap_series *series)
{
	size_t kept = 0;

	for (size_t i = 0; i < series->count; i++) {
		int err = add_blocks(series, &series->rows[i]);
		if (err)
			return err;
	}
	if (series->block_count)
		qsort(series->blocks, series->block_count, sizeof(*series->blocks), by_key);
	for (size_t i = 0; i < series->block_count; i++)
		if (!kept || series->blocks[i] != series->blocks[kept - 1])
			series->blocks[kept++] = series->blocks[i];
	series->block_count = kept;
	series->block_bytes = BLOCK_BYTES;
	return 0;
}

int heap_series_read(const struct model *model, size_t panel, struct heap_series **out)
{
	struct heap_series *all = calloc(model->series_count + 1, sizeof(*all));
	int err = all ? 0 : -ENOMEM;

	for (size_t r = 0; r < model->runs && !err; r++) {
		char path[4400];
		struct csv *csv;
		snprintf(path, sizeof(path), "%s/heap_map.csv", model->run[r].path);
		err = csv_open(path, &csv);
		if (err == -ENOENT || err == -EBADMSG) {
			err = 0;
			continue;
		}
		if (!err) {
			err = heap_rows(model, r, panel, csv, all);
			csv_close(csv);
		}
	}
	for (size_t s = 0; s < model->series_count && !err; s++)
		err = lay_out(&all[s]);
	if (err) {
		heap_series_free(model, all);
		return err;
	}
	*out = all;
	return 0;
}

void heap_series_free(const struct model *model, struct heap_series *all)
{
	for (size_t s = 0; all && s < model->series_count; s++) {
		for (size_t i = 0; i < all[s].count; i++)
			free(all[s].rows[i].cells);
		free(all[s].rows);
		free(all[s].blocks);
	}
	free(all);
}

uint64_t heap_series_bytes(const struct heap_series *series)
{
	return series->block_count * series->block_bytes;
}

/* Where an address lies in the layout; the block is known to be there. */
static uint64_t place_of(const struct heap_series *series, char pool, uint64_t address)
{
	const uint64_t key = key_of(pool, address);
	size_t low = 0, high = series->block_count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		if (series->blocks[middle] < key)
			low = middle + 1;
		else
			high = middle;
	}
	return low * series->block_bytes + address % series->block_bytes;
}

void heap_series_visit(const struct heap_series *series, unsigned snapshot, heap_run_visit visit,
		       void *arg)
{
	for (size_t i = 0; i < series->count; i++) {
		const struct heap_row *row = &series->rows[i];
		const char *text = row->cells;
		uint64_t address = row->offset, cells;
		char symbol;

		while (row->snapshot == snapshot && (text = next_run(text, &symbol, &cells))) {
			const uint64_t end = address + cells * row->cell_bytes;
			while (symbol != '.' && address < end) {
				uint64_t stop = (address | (series->block_bytes - 1)) + 1;
				stop = stop < end ? stop : end;
				visit(arg, place_of(series, row->pool, address), stop - address,
				      symbol);
				address = stop;
			}
			address = end;
		}
	}
}
