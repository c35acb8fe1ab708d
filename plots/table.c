#include "table.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"
#include "results/record_json.h"

/* Columns that a string takes: one a character; enough for the names that are shown. */
static int columns_of(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static void padded(FILE *out, const char *text, int width)
{
	fprintf(out, "  %s%*s", text, width - columns_of(text), "");
}

static void number(FILE *out, int width, int precision, double value, const char *after)
{
	if (isfinite(value))
		fprintf(out, "%*.*f%s", width - columns_of(after), precision, value, after);
	else
		fprintf(out, "%*s", width, "-");
}

static void row(FILE *out, const struct model *model, const struct point *point, int width)
{
	const struct metric_summary *m = point->cell->metrics;
	const struct metric_summary *ops = &m[METRIC_ops_per_second];

	padded(out, model->series[point->series].name, width);
	number(out, 10, 2, ops->median / 1e6, "");
	if (ops->n > 1)
		fprintf(out, "  %8.2f ..%8.2f", ops->interval.low / 1e6, ops->interval.high / 1e6);
	else
		fprintf(out, "  %18s", "");
	number(out, 9, 1, m[METRIC_net_ns_per_op].median, "");
	number(out, 10, 0, m[METRIC_alloc_ns_p99].median, "");
	number(out, 11, 2, m[METRIC_footprint_ratio].median, "x");
	if (point->cell->status != CELL_OK)
		fprintf(out, "  %s: %s", cell_status_names[point->cell->status],
			point->cell->reason);
	putc('\n', out);
}

static void block(FILE *out, const struct model *model, size_t panel, unsigned *order, int width)
{
	unsigned threads = panel_threads(model, panel);
	size_t measured, n;

	fprintf(out, "\n%s, %u thread%s\n", model->panel[panel].name, threads,
		threads == 1 ? "" : "s");
	padded(out, "backend", width);
	fprintf(out, "%10s  %18s%9s%10s%11s\n", "M ops/s", "95 % interval", "net ns", "alloc p99",
		"footprint");
	n = panel_order(model, panel, threads, METRIC_ops_per_second, order, &measured);
	for (size_t i = 0; i < n; i++)
		row(out, model, model_point(model, order[i], panel, threads), width);
	for (size_t s = 0; s < model->series_count; s++) {
		const struct point *point = model_point(model, s, panel, threads);
		if (model->series[s].floor && point)
			row(out, model, point, width);
	}
}

int summary_table_print(FILE *out, const char *run_dir, char *why, size_t why_bytes)
{
	struct model *model;
	int width = 12, err = model_load(&run_dir, 1, &model, why, why_bytes);

	if (err)
		return err;
	unsigned *order = calloc(model->series_count + 1, sizeof(*order));
	for (size_t s = 0; s < model->series_count; s++) {
		int columns = columns_of(model->series[s].name) + 1;
		width = columns > width ? columns : width;
	}
	for (size_t p = 0; order && p < model->panels; p++)
		block(out, model, p, order, width);
	free(order);
	model_free(model);
	return 0;
}

/* ---- for programs ---- */

static json_t *metrics_json(const struct cell_summary *cell)
{
	json_t *metrics = json_object();

	for (size_t m = 0; m < METRIC_COUNT; m++) {
		const struct metric_summary *summary = &cell->metrics[m];
		json_t *value = summary->n ? json_pack("{so so so sI}", "median",
						       json_finite(summary->median), "low",
						       json_finite(summary->interval.low), "high",
						       json_finite(summary->interval.high), "n",
						       (json_int_t)summary->n)
					   : json_null();
		json_object_set_new(metrics, metric_table[m].name, value);
	}
	return metrics;
}

static json_t *cell_json(const struct cell_summary *cell)
{
	return json_pack("{so so so sI sI so ss so so so}", "backend",
			 json_text(cell->cell.backend), "display_name",
			 json_text(cell->display_name), "workload", json_text(cell->cell.workload),
			 "threads", (json_int_t)cell->cell.threads, "page_size",
			 (json_int_t)cell->cell.page_size, "backing", json_text(cell->cell.backing),
			 "status", cell_status_names[cell->status], "reason",
			 json_text(cell->reason), "caveats", json_text(cell->caveats), "metrics",
			 metrics_json(cell));
}

int summary_json_print(FILE *out, const char *run_dir, char *why, size_t why_bytes)
{
	struct model *model;
	json_t *document, *cells = json_array();
	int err = model_load(&run_dir, 1, &model, why, why_bytes);

	if (err) {
		json_decref(cells);
		return err;
	}
	for (size_t i = 0; i < model->run[0].cell_count; i++)
		json_array_append_new(cells, cell_json(&model->run[0].cells[i]));
	document = json_pack("{si so so}", "schema", RECORD_SCHEMA, "run",
			     json_text(model->run[0].path), "cells", cells);
	model_free(model);
	if (!document || json_dumpf(document, out, JSON_INDENT(1) | JSON_REAL_PRECISION(12)) ||
	    putc('\n', out) == EOF) {
		snprintf(why, why_bytes, "the summary could not be written");
		err = -EIO;
	}
	json_decref(document);
	return err;
}
