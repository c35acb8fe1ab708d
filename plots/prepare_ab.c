/* The data of a comparison's figures, from its ab.json and pairs.csv: docs/ab.md. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "comparison.h"
#include "csv.h"
#include "figures.h"
#include "results/verdict.h"

#define CHANGE_MOST 50.0 /* per cent: what lies further out is an arrow at the edge */
#define ROWS_MOST   200
#define PANELS_MOST 24

static const unsigned verdict_rgb[VERDICTS] = {
	[VERDICT_EQUIVALENT] = 0x007a5e,   [VERDICT_IMPROVEMENT] = 0x0072b2,
	[VERDICT_INCONCLUSIVE] = 0x767676, [VERDICT_REGRESSION] = 0xb00020,
	[VERDICT_UNKNOWN] = 0xb06000,
};

static unsigned rgb_of(const json_t *series)
{
	const char *name = json_string_value(json_object_get(series, "verdict"));

	for (int i = 0; i < VERDICTS; i++)
		if (name && strcmp(name, verdict_names[i]) == 0)
			return verdict_rgb[i];
	return verdict_rgb[VERDICT_UNKNOWN];
}

/* ---- ratios ---- */

/* "+2.38 % (+1.90 .. +2.87)  REGRESSION" */
static void row_words(const json_t *series, char *text, size_t bytes)
{
	const json_t *ratio = json_object_get(series, "b_over_a");
	const char *gate = json_is_true(json_object_get(series, "gate")) ? "" : ", not gating";

	if (!isfinite(comparison_number(ratio, "ratio")))
		snprintf(text, bytes, "%s%s", comparison_text(series, "verdict"), gate);
	else
		snprintf(text, bytes, "%+.2f %% (%+.2f .. %+.2f)  %s%s",
			 comparison_change(ratio, "ratio"), comparison_change(ratio, "low"),
			 comparison_change(ratio, "high"), comparison_text(series, "verdict"),
			 gate);
}

static void put_row(struct drawing *drawing, size_t row, const json_t *series)
{
	const json_t *ratio = json_object_get(series, "b_over_a");
	const double threshold = comparison_number(series, "threshold");
	const double change = comparison_change(ratio, "ratio");
	char words[200];

	row_words(series, words, sizeof(words));
	drawing_array_text(drawing, "row_name", row, comparison_text(series, "series"));
	drawing_array_text(drawing, "row_text", row, words);
	fprintf(drawing->variables, "row_head[%zu] = 0; row_rgb[%zu] = 0x%06x; row_edge[%zu] = 0\n",
		row, row, rgb_of(series), row);
	if (!isfinite(change))
		return;
	fprintf(drawing->variables, "row_edge[%zu] = %d\n", row,
		(change > CHANGE_MOST) - (change < -CHANGE_MOST));
	fprintf(drawing->data, "%zu %.6g %.6g %.6g %.6g %.6g %u %d\n", row, change,
		comparison_change(ratio, "low"), comparison_change(ratio, "high"),
		isfinite(threshold) ? 100 * (1 / (1 + threshold) - 1) : 0,
		isfinite(threshold) ? 100 * threshold : 0, rgb_of(series),
		json_is_true(json_object_get(series, "gate")));
}

/* How far the x axis goes: the widest interval, but no further than CHANGE_MOST. */
static double widest(const json_t *cells)
{
	double limit = 3;
	const json_t *cell, *series;
	size_t i, k;

	json_array_foreach(cells, i, cell)
	{
		json_array_foreach(json_object_get(cell, "series"), k, series)
		{
			const json_t *ratio = json_object_get(series, "b_over_a");

			limit = fmax(limit, fabs(comparison_change(ratio, "low")));
			limit = fmax(limit, fabs(comparison_change(ratio, "high")));
			limit = fmax(limit, 100 * comparison_number(series, "threshold"));
		}
	}
	return fmin(limit * 1.05, CHANGE_MOST);
}

static size_t characters_of(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

/* A row for each series, below a line that names the cell. */
static size_t put_rows(struct drawing *drawing, const json_t *cells, size_t *longest)
{
	const json_t *cell, *series;
	size_t i, k, rows = 0;

	json_array_foreach(cells, i, cell)
	{
		const size_t head = ++rows;

		drawing_array_text(drawing, "row_name", head, comparison_text(cell, "title"));
		drawing_array_text(drawing, "row_text", head, "");
		fprintf(drawing->variables,
			"row_head[%zu] = 1; row_rgb[%zu] = 0; row_edge[%zu] = 0\n", head, head,
			head);
		if (characters_of(comparison_text(cell, "title")) > *longest)
			*longest = characters_of(comparison_text(cell, "title"));
		json_array_foreach(json_object_get(cell, "series"), k,
				   series) if (comparison_shown(series) && rows < ROWS_MOST)
			put_row(drawing, ++rows, series);
		if (rows == ROWS_MOST)
			break;
	}
	return rows;
}

int prepare_ab_ratios(struct drawing *drawing)
{
	const json_t *root = drawing->model->run[0].comparison;
	const json_t *cells = json_object_get(root, "cells");
	char heading[300];
	size_t rows, longest = 12;

	if (!json_array_size(cells))
		return 1;
	snprintf(heading, sizeof(heading), "%s: B is %.100s, A is %.100s",
		 comparison_text(root, "verdict"), comparison_text(root, "b"),
		 comparison_text(root, "a"));
	drawing_text(drawing, "heading_text", heading);
	drawing_array_begin(drawing, "row_name", ROWS_MOST);
	drawing_array_begin(drawing, "row_text", ROWS_MOST);
	fprintf(drawing->variables, "array row_head[%d]\narray row_rgb[%d]\narray row_edge[%d]\n",
		ROWS_MOST, ROWS_MOST, ROWS_MOST);
	drawing_number(drawing, "limit", widest(cells));
	rows = put_rows(drawing, cells, &longest);
	fprintf(drawing->variables, "rows = %zu\nname_width = %zu\n", rows, 30 + longest * 36 / 5);
	drawing->height = (unsigned)(70 + 58 + 24 * rows);
	return 0;
}

/* ---- pairs ---- */

enum { PAIR_B, PAIR_CONTROL, PAIR_SLOWED, PAIR_KINDS };

struct pair {
	double change[PAIR_KINDS]; /* per cent against A; NaN where not measured */
	bool confirm;
};

static struct pair *read_pairs(const struct model_run *run, const char *cell, size_t *count)
{
	static const char *const columns[PAIR_KINDS] = { "b", "control", "slowed" };
	struct pair *pairs = NULL;
	struct csv *csv = NULL;
	char path[4400];
	size_t room = 0;

	*count = 0;
	snprintf(path, sizeof(path), "%s/pairs.csv", run->path);
	if (csv_open(path, &csv) != 0)
		return NULL;
	while (csv_next(csv)) {
		const double a = csv_number(csv, csv_column(csv, "a"));

		if (strcmp(csv_field(csv, csv_column(csv, "cell")), cell) != 0 ||
		    strcmp(csv_field(csv, csv_column(csv, "series")), "time") != 0 || !(a > 0))
			continue;
		if (*count == room) {
			struct pair *grown = reallocarray(pairs, room + 256, sizeof(*pairs));

			if (!grown)
				break;
			pairs = grown;
			room += 256;
		}
		for (int kind = 0; kind < PAIR_KINDS; kind++)
			pairs[*count].change[kind] =
				100 * (csv_number(csv, csv_column(csv, columns[kind])) / a - 1);
		pairs[*count].confirm = strcmp(csv_field(csv, csv_column(csv, "batch")),
					       "confirm") == 0;
		(*count)++;
	}
	csv_close(csv);
	return pairs;
}

static int compare_numbers(const void *left, const void *right)
{
	const double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

/*
 * How far the y axis goes in one direction: nine tenths of the points there and the band well within it, so that one
 * bad moment hides nothing.
 */
static double limit_of(const struct pair *pairs, size_t count, double threshold, int sign)
{
	double *sizes = calloc(count * PAIR_KINDS + 1, sizeof(*sizes));
	double limit = fmax(1.5 * threshold, 1);
	size_t n = 0;

	for (size_t i = 0; i < count && sizes; i++)
		for (int kind = 0; kind < PAIR_KINDS; kind++)
			if (sign * pairs[i].change[kind] > 0)
				sizes[n++] = fabs(pairs[i].change[kind]);
	if (n) {
		qsort(sizes, n, sizeof(*sizes), compare_numbers);
		limit = fmax(limit, 1.6 * sizes[n * 9 / 10]);
	}
	free(sizes);
	return limit;
}

static void put_pairs(struct drawing *drawing, const struct pair *pairs, size_t count, double low,
		      double high)
{
	for (size_t i = 0; i < count; i++) {
		fprintf(drawing->data, "%zu", i + 1);
		for (int kind = 0; kind < PAIR_KINDS; kind++)
			fprintf(drawing->data, isfinite(pairs[i].change[kind]) ? " %.5g" : " NaN",
				pairs[i].change[kind]);
		for (int kind = 0; kind < PAIR_KINDS; kind++)
			fprintf(drawing->data, " %d",
				(pairs[i].change[kind] > high) - (pairs[i].change[kind] < -low));
		putc('\n', drawing->data);
	}
	fputs("\n\n", drawing->data);
}

static void put_change(struct drawing *drawing, const char *name, size_t panel, const json_t *ratio)
{
	char text[64] = "";

	if (json_is_object(ratio) && isfinite(comparison_number(ratio, "ratio")))
		snprintf(text, sizeof(text), "%+.2f %%", comparison_change(ratio, "ratio"));
	drawing_array_text(drawing, name, panel, text);
}

static void put_panel(struct drawing *drawing, size_t panel, const json_t *cell, const json_t *time,
		      const struct pair *pairs, size_t count)
{
	const json_t *ratio = json_object_get(time, "b_over_a");
	const double threshold = 100 * comparison_number(time, "threshold");
	const double band = isfinite(threshold) ? threshold : 0;
	const double low = limit_of(pairs, count, band, -1);
	const double high = limit_of(pairs, count, band, 1);
	size_t search = 0;

	while (search < count && !pairs[search].confirm)
		search++;
	put_pairs(drawing, pairs, count, low, high);
	drawing_array_text(drawing, "panel_title", panel, comparison_text(cell, "title"));
	drawing_array_text(drawing, "panel_verdict", panel, comparison_text(time, "verdict"));
	put_change(drawing, "panel_b", panel, ratio);
	put_change(drawing, "panel_control", panel, json_object_get(time, "a_over_a"));
	put_change(drawing, "panel_slowed", panel, json_object_get(time, "planted"));
	fprintf(drawing->variables,
		"panel_pairs[%zu] = %zu; panel_search[%zu] = %zu; panel_rgb[%zu] = 0x%06x\n", panel,
		count, panel, search, panel, rgb_of(time));
	fprintf(drawing->variables,
		"panel_low[%zu] = %.6g; panel_high[%zu] = %.6g; panel_threshold[%zu] = %.6g\n",
		panel, -low, panel, high, panel, band);
	fprintf(drawing->variables,
		isfinite(comparison_number(ratio, "ratio")) ? "panel_line[%zu] = %.6g\n"
							    : "panel_line[%zu] = NaN\n",
		panel, comparison_change(ratio, "ratio"));
}

int prepare_ab_pairs(struct drawing *drawing)
{
	static const char *const arrays[] = { "panel_title",   "panel_verdict",   "panel_b",
					      "panel_control", "panel_slowed",    "panel_pairs",
					      "panel_search",  "panel_rgb",       "panel_low",
					      "panel_high",    "panel_threshold", "panel_line" };
	const struct model_run *run = &drawing->model->run[0];
	const json_t *cell, *series;
	size_t i, k, panels = 0;

	for (size_t a = 0; a < sizeof(arrays) / sizeof(*arrays); a++)
		drawing_array_begin(drawing, arrays[a], PANELS_MOST);
	json_array_foreach(json_object_get(run->comparison, "cells"), i, cell)
	{
		size_t count = 0;
		struct pair *pairs = read_pairs(run, comparison_text(cell, "cell"), &count);

		json_array_foreach(json_object_get(cell, "series"), k,
				   series) if (count && panels < PANELS_MOST &&
					       strcmp(comparison_text(series, "series"), "time") ==
						       0)
			put_panel(drawing, ++panels, cell, series, pairs, count);
		free(pairs);
	}
	fprintf(drawing->variables, "panels = %zu\n", panels);
	drawing->height = (unsigned)(74 + 214 * panels + 10);
	return panels ? 0 : 1;
}
