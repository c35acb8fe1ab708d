/* The data of the pictures of the heap: each backend at one checkpoint, and as a strip over the trace. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "figures.h"
#include "heap_series.h"
#include "memory_series.h"

#define LETTERS 8 /* seven tags, and all others */

/* Colours of symbols; a pinned cell (a lower-case letter) is its tag's colour, paled. */
static const struct {
	char symbol;
	unsigned rgb;
	const char *name;
} looks[] = {
	{ 'A', 0x0072b2, NULL },
	{ 'B', 0xe69f00, NULL },
	{ 'C', 0x009e73, NULL },
	{ 'D', 0x882255, NULL },
	{ 'E', 0x56b4e9, NULL },
	{ 'F', 0xd55e00, NULL },
	{ 'G', 0x7a5fc0, NULL },
	{ 'H', 0x5f6b6d, "other tags" },
	{ '~', 0xf0e442, "cached for reuse" },
	{ '-', 0xf2c4c4, "free, between blocks" },
	{ '=', 0xe07b8b, "whole free pages" },
	{ '#', 0x111111, "the pool's tables" },
	{ '+', 0xd0d0d0, "resident, not live (library)" },
};
#define LOOKS (sizeof(looks) / sizeof(looks[0]))

static unsigned rgb_of(char symbol)
{
	for (size_t i = 0; i < LOOKS; i++) {
		if (looks[i].symbol == symbol)
			return looks[i].rgb;
		if (i < LETTERS && looks[i].symbol - 'A' + 'a' == symbol) {
			unsigned pale = 0;
			for (int shift = 0; shift < 24; shift += 8) {
				unsigned part = looks[i].rgb >> shift & 0xff;
				pale |= (part * 40 + 0xf0 * 60) / 100 << shift;
			}
			return pale;
		}
	}
	return 0xffffff;
}

/* ---- a picture: cells of the layout, each the mean of the colours in it ---- */

struct canvas {
	uint64_t cell_bytes;
	size_t cells;
	double *rgb; /* [cells * 3] bytes times colour */
	double *bytes;
};

static void paint(void *arg, uint64_t at, uint64_t bytes, char symbol)
{
	const struct canvas *canvas = arg;
	const unsigned rgb = rgb_of(symbol);

	while (bytes) {
		const size_t cell = at / canvas->cell_bytes;
		uint64_t part = canvas->cell_bytes - at % canvas->cell_bytes;
		part = part < bytes ? part : bytes;
		if (cell >= canvas->cells)
			return;
		for (int c = 0; c < 3; c++)
			canvas->rgb[3 * cell + (size_t)c] += (double)part *
							     (rgb >> (16 - 8 * c) & 0xff);
		canvas->bytes[cell] += (double)part;
		at += part;
		bytes -= part;
	}
}

/* column, row, red, green, blue: a line a cell that holds anything; returns the bytes that are not bare */
static double picture_block(FILE *data, const struct heap_series *series, unsigned snapshot,
			    uint64_t cell_bytes, size_t width)
{
	struct canvas canvas = { .cell_bytes = cell_bytes };
	double all = 0;

	canvas.cells = (heap_series_bytes(series) + cell_bytes - 1) / cell_bytes;
	canvas.rgb = calloc(3 * canvas.cells + 3, sizeof(*canvas.rgb));
	canvas.bytes = calloc(canvas.cells + 1, sizeof(*canvas.bytes));
	if (!canvas.rgb || !canvas.bytes) {
		free(canvas.rgb);
		free(canvas.bytes);
		return NAN;
	}
	heap_series_visit(series, snapshot, paint, &canvas);
	for (size_t cell = 0; cell < canvas.cells; cell++) {
		fprintf(data, "%zu %zu", cell % width, cell / width);
		for (size_t c = 0; c < 3; c++)
			fprintf(data, " %.0f",
				(canvas.rgb[3 * cell + c] +
				 255 * ((double)cell_bytes - canvas.bytes[cell])) /
					(double)cell_bytes);
		putc('\n', data);
		all += canvas.bytes[cell];
	}
	for (size_t cell = canvas.cells; cell % width || cell == 0; cell++) /* a whole last row */
		fprintf(data, "%zu %zu 255 255 255\n", cell % width, cell / width);
	fputs("\n\n", data);
	free(canvas.rgb);
	free(canvas.bytes);
	return all;
}

/* The finest cell with which the largest of the pools fits, the same for all: so area is memory. */
static uint64_t common_cell(const struct model *model, const struct heap_series *all, size_t cells)
{
	uint64_t cell = UINT64_MAX, most = 0;

	for (size_t s = 0; s < model->series_count; s++) {
		const uint64_t bytes = heap_series_bytes(&all[s]);
		if (!bytes)
			continue;
		most = bytes > most ? bytes : most;
		cell = all[s].cell_bytes < cell ? all[s].cell_bytes : cell;
	}
	while (most / cell > cells)
		cell *= 2;
	return cell;
}

/* The last picture before the drain: what the pool looks like after all that work. */
static unsigned chosen_snapshot(const struct heap_series *series)
{
	double drain = 0;
	unsigned chosen = 0;
	int any = 0;

	for (size_t i = 0; i < series->count; i++)
		drain = fmax(drain, series->rows[i].lap);
	for (size_t i = 0; i < series->count; i++) {
		const struct heap_row *row = &series->rows[i];
		if (row->lap < drain && (!any || row->snapshot > chosen)) {
			chosen = row->snapshot;
			any = 1;
		}
	}
	return any || !series->snapshots ? chosen : series->snapshots - 1;
}

static double event_of(const struct heap_series *series, unsigned snapshot)
{
	for (size_t i = 0; i < series->count; i++)
		if (series->rows[i].snapshot == snapshot)
			return series->rows[i].event;
	return NAN;
}

/* look_name[], look_rgb[] from 1, and their count: the legend. */
static void write_looks(struct drawing *drawing, const char *tags)
{
	drawing_array_begin(drawing, "look_name", LOOKS + 1);
	fprintf(drawing->variables, "looks = %zu\narray look_rgb[%zu]\n", LOOKS + 1, LOOKS + 1);
	for (size_t i = 0; i < LOOKS; i++) {
		char name[32] = "";
		if (looks[i].name)
			snprintf(name, sizeof(name), "%s", looks[i].name);
		else if (strlen(tags) >= 4 * i + 4)
			snprintf(name, sizeof(name), "%.4s", tags + 4 * i);
		drawing_array_text(drawing, "look_name", i + 1, name);
		fprintf(drawing->variables, "look_rgb[%zu] = 0x%06x\n", i + 1, looks[i].rgb);
	}
	drawing_array_text(drawing, "look_name", LOOKS + 1, "pale: less than half live");
	fprintf(drawing->variables, "look_rgb[%zu] = 0x%06x\n", LOOKS + 1, rgb_of('a'));
}

struct heap_layout {
	struct heap_series *all;
	unsigned *order;
	size_t n; /* of order: those that have pictures, or whose cell failed */
	size_t drawn; /* those that have pictures */
};

/* Backends that have pictures or failed, the leanest first. */
static int layout_read(struct drawing *drawing, struct heap_layout *layout)
{
	const struct model *model = drawing->model;
	const char *tags = "";
	size_t measured, kept = 0;
	int err;

	layout->drawn = 0;
	layout->order = calloc(model->series_count + 1, sizeof(*layout->order));
	err = layout->order ? heap_series_read(model, drawing->panel, &layout->all) : -ENOMEM;
	if (err) {
		free(layout->order);
		return err;
	}
	layout->n = panel_order(model, drawing->panel, panel_threads(model, drawing->panel),
				METRIC_footprint_ratio, layout->order, &measured);
	prepare_series(drawing);
	fprintf(drawing->variables, "array panel_series[%zu]\n", layout->n + 1);
	drawing_array_begin(drawing, "panel_missing", layout->n);
	for (size_t k = 0; k < layout->n; k++) {
		const unsigned s = layout->order[k];
		const char *missing = panel_failure(model, s, drawing->panel, PASS_MEMORY);
		if (layout->all[s].block_count)
			layout->drawn++;
		else if (!*missing)
			continue;
		layout->order[kept++] = s;
		fprintf(drawing->variables, "panel_series[%zu] = %u\n", kept, s + 1);
		drawing_array_text(drawing, "panel_missing", kept, missing);
		if (layout->all[s].block_count)
			tags = layout->all[s].tags;
	}
	layout->n = kept;
	drawing_text(drawing, "workload", model->panel[drawing->panel].name);
	write_looks(drawing, tags);
	return 0;
}

static void layout_free(const struct model *model, struct heap_layout *layout)
{
	heap_series_free(model, layout->all);
	free(layout->order);
}

/* ---- the two figures ---- */

static void write_cell(struct drawing *drawing, uint64_t cell_bytes, size_t width, size_t rows)
{
	char text[32];

	if (cell_bytes >= 1024)
		snprintf(text, sizeof(text), "%llu KiB", (unsigned long long)(cell_bytes >> 10));
	else
		snprintf(text, sizeof(text), "%llu bytes", (unsigned long long)cell_bytes);
	drawing_text(drawing, "cell_text", text);
	fprintf(drawing->variables, "cell_columns = %zu\ncell_rows = %zu\n", width, rows);
}

/* Pixels: of a panel, and of a cell where there is room; a pool alone has more of both. */
int prepare_heap_map(struct drawing *drawing)
{
	const struct model *model = drawing->model;
	struct heap_layout layout;
	size_t columns, width, rows, pixel;
	uint64_t cell;
	int err = layout_read(drawing, &layout);

	if (err)
		return err;
	columns = layout.n < 4 ? layout.n ? layout.n : 1 : 4;
	width = (976 / columns - 22) / 2;
	rows = columns == 4 ? 75 : 130;
	cell = common_cell(model, layout.all, width * rows);
	if (layout.n == 1 && cell > layout.all[layout.order[0]].cell_bytes) {
		width = 954; /* one pixel a cell rather than a coarser cell: 1 GiB in pages of 4 KiB fits */
		cell = common_cell(model, layout.all, width * 275);
	}
	fprintf(drawing->variables, "array panel_mib[%zu]\nevent = NaN\n", layout.n + 1);
	rows = 1;
	for (size_t k = 0; k < layout.n; k++) {
		const struct heap_series *series = &layout.all[layout.order[k]];
		const unsigned snapshot = chosen_snapshot(series);
		const double bytes = picture_block(drawing->data, series, snapshot, cell, width);
		const size_t of_it = (heap_series_bytes(series) / cell + width - 1) / width;

		rows = of_it > rows ? of_it : rows;
		fprintf(drawing->variables, "panel_mib[%zu] = %.9g\n", k + 1, bytes / MIB);
		if (series->block_count)
			fprintf(drawing->variables, "event = %.6g\n",
				event_of(series, snapshot) / 1e6);
	}
	fprintf(drawing->variables, "panels = %zu\ncolumns = %zu\n", layout.n, columns);
	write_cell(drawing, cell, width, rows);
	pixel = width > 477 ? 1 : 2;
	fprintf(drawing->variables, "panel_height = %zu\npixel = %zu\n", 44 + rows * pixel, pixel);
	drawing->height = (unsigned)(124 +
				     (layout.n + columns - 1) / columns * (44 + rows * pixel));
	layout_free(model, &layout);
	return layout.drawn ? 0 : 1;
}

#define STRIP_WIDTH 96u /* cells of a picture of the strip, a pixel each */
#define STRIP_ROWS  44u
#define STRIP_MOST  8u /* pictures of a strip */

/* The pictures of a strip where there are more than fit: spread evenly. */
static unsigned strip_snapshot(unsigned column, unsigned columns, unsigned snapshots)
{
	return snapshots <= columns ? column : column * (snapshots - 1) / (columns - 1);
}

int prepare_heap_strip(struct drawing *drawing)
{
	const struct model *model = drawing->model;
	struct heap_layout layout;
	unsigned snapshots = 0, columns;
	size_t rows = 1;
	uint64_t cell;
	int err = layout_read(drawing, &layout);

	if (err)
		return err;
	cell = common_cell(model, layout.all, STRIP_WIDTH * STRIP_ROWS);
	for (size_t k = 0; k < layout.n; k++)
		if (layout.all[layout.order[k]].snapshots > snapshots)
			snapshots = layout.all[layout.order[k]].snapshots;
	columns = snapshots < STRIP_MOST ? snapshots : STRIP_MOST;
	fprintf(drawing->variables, "array column_event[%u]\n", columns + 1);
	for (size_t k = 0; k < layout.n; k++) {
		const struct heap_series *series = &layout.all[layout.order[k]];
		const size_t of_it = (heap_series_bytes(series) / cell + STRIP_WIDTH - 1) /
				     STRIP_WIDTH;

		rows = of_it > rows ? of_it : rows;
		for (unsigned c = 0; c < columns; c++) {
			const unsigned snapshot = strip_snapshot(c, columns, snapshots);
			picture_block(drawing->data, series, snapshot, cell, STRIP_WIDTH);
			if (series->block_count)
				fprintf(drawing->variables, "column_event[%u] = %.6g\n", c + 1,
					event_of(series, snapshot) / 1e6);
		}
	}
	fprintf(drawing->variables, "panels = %zu\ncolumns = %u\n", layout.n, columns);
	rows = rows < 24 ? 24 : rows; /* room for the name */
	write_cell(drawing, cell, STRIP_WIDTH, rows);
	drawing->height = (unsigned)(126 + layout.n * (rows + 12));
	layout_free(model, &layout);
	return layout.drawn && columns > 1 ? 0 : 1;
}
