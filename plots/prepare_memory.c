/* The data of the figures about bytes: memory over the trace, and waste by cause. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "memory_series.h"

/* million events, live, committed, resident in MiB: a block a drawn panel */
static void memory_block(struct drawing *drawing, const struct memory_series *m, double *most,
			 double *last)
{
	for (size_t i = 0; i < m->count; i++) {
		const struct memory_sample *sample = &m->samples[i];
		data_number(drawing->data, sample->event / 1e6);
		data_number(drawing->data, sample->live / MIB);
		data_number(drawing->data, sample->committed / MIB);
		data_number(drawing->data, sample->resident / MIB);
		putc('\n', drawing->data);
		*most = fmax(*most,
			     fmax(sample->live, fmax(sample->committed, sample->resident)) / MIB);
		*last = fmax(*last, sample->event / 1e6);
	}
	if (!m->count)
		fputs("NaN NaN NaN NaN\n", drawing->data);
	fputs("\n\n", drawing->data);
}

int prepare_memory(struct drawing *drawing)
{
	const struct model *model = drawing->model;
	unsigned threads = panel_threads(model, drawing->panel);
	unsigned *order = calloc(model->series_count + 1, sizeof(*order));
	struct memory_series *all = NULL;
	size_t measured, n, drawn = 0;
	double most = 0, last = 0;
	int err = order ? memory_series_read(model, drawing->panel, "memory.csv", &all) : -ENOMEM;

	if (err) {
		free(order);
		return err;
	}
	prepare_series(drawing);
	n = panel_order(model, drawing->panel, threads, METRIC_footprint_ratio, order, &measured);
	fprintf(drawing->variables, "panels = %zu\n", n);
	fprintf(drawing->variables, "array panel_series[%zu]\n", n ? n : 1);
	drawing_array_begin(drawing, "panel_note", n);
	drawing_array_begin(drawing, "panel_missing", n);
	for (size_t k = 0; k < n; k++) {
		const struct point *point = model_point(model, order[k], drawing->panel, threads);
		char note[64] = "";
		if (k < measured)
			snprintf(note, sizeof(note), "%.2f×",
				 point->cell->metrics[METRIC_footprint_ratio].median);
		fprintf(drawing->variables, "panel_series[%zu] = %u\n", k + 1, order[k] + 1);
		drawing_array_text(drawing, "panel_note", k + 1, note);
		enum cell_status status = point->cell->pass_status[PASS_MEMORY];
		drawing_array_text(drawing, "panel_missing", k + 1,
				   all[order[k]].count ? ""
				   : status == CELL_OK ? "not measured"
						       : cell_status_names[status]);
		drawn += all[order[k]].count > 0;
		memory_block(drawing, &all[order[k]], &most, &last);
	}
	memory_series_free(model, all);
	free(order);
	drawing_text(drawing, "workload", model->panel[drawing->panel].name);
	fprintf(drawing->variables, "threads = %u\nmost = %.6g\nlast = %.6g\n", threads, most,
		last);
	drawing->height = (unsigned)(130 + (n + 3) / 4 * 215);
	return drawn ? 0 : 1;
}

/* ---- waste by cause ---- */

static double waste_of(const struct memory_series *m, double *percent)
{
	const struct memory_sample *peak = memory_series_peak(m);
	double sum = 0;
	int any = 0;

	for (size_t c = 0; c < CAUSES; c++) {
		percent[c] = 0;
		if (!peak || !(peak->live > 0) || !isfinite(peak->cause[c]))
			continue;
		percent[c] = 100 * peak->cause[c] / peak->live;
		sum += percent[c];
		any = 1;
	}
	return any ? sum : NAN;
}

/* rank, series, then a percentage a cause: a block a panel, the leanest first */
static int waste_panel(struct drawing *drawing, size_t panel, size_t *rows)
{
	const struct model *model = drawing->model;
	struct memory_series *all;
	double percent[CAUSES], last = -1;
	size_t last_series = 0, rank = 0;
	int err = memory_series_read(model, panel, "memory.csv", &all);

	if (err)
		return err;
	for (;;) {
		/* the next in order of the sum: few series, so a pass each is enough */
		double best = INFINITY;
		size_t best_series = 0;
		for (size_t s = 0; s < model->series_count; s++) {
			double sum = model->series[s].floor ? NAN : waste_of(&all[s], percent);
			if (sum < best && (sum > last || (sum == last && s > last_series))) {
				best = sum;
				best_series = s;
			}
		}
		if (!isfinite(best))
			break;
		waste_of(&all[best_series], percent);
		fprintf(drawing->data, "%zu %zu", ++rank, best_series + 1);
		for (size_t c = 0; c < CAUSES; c++)
			data_number(drawing->data, percent[c]);
		putc('\n', drawing->data);
		last = best;
		last_series = best_series;
	}
	if (!rank)
		fputs("1 1 NaN NaN NaN NaN NaN NaN\n", drawing->data);
	fputs("\n\n", drawing->data);
	fprintf(drawing->variables, "panel_rows[%zu] = %zu\n", panel + 1, rank);
	*rows = rank > *rows ? rank : *rows;
	memory_series_free(model, all);
	return 0;
}

int prepare_waste(struct drawing *drawing)
{
	const struct model *model = drawing->model;
	size_t rows = 0;
	int err = 0;

	prepare_series(drawing);
	prepare_panels(drawing);
	prepare_causes(drawing);
	fprintf(drawing->variables, "array panel_rows[%zu]\n", model->panels);
	for (size_t p = 0; p < model->panels && !err; p++)
		err = waste_panel(drawing, p, &rows);
	fprintf(drawing->variables, "rows = %zu\n", rows);
	drawing->height = prepare_bar_columns(drawing, 100, 78 + 26 * rows);
	return err ? err : rows ? 0 : 1;
}
