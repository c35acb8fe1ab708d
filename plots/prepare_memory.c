/* The data of the figures about bytes: memory over the trace, and waste by cause. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "csv.h"
#include "figures.h"

#define MIB 1048576.0

enum cause {
	CAUSE_ROUNDING,
	CAUSE_HEADER,
	CAUSE_CACHED,
	CAUSE_FREE,
	CAUSE_FREE_PAGE,
	CAUSE_METADATA,
	CAUSES
};

static const struct {
	const char *column, *name;
} cause_table[CAUSES] = {
	[CAUSE_ROUNDING] = { "rounding_bytes", "rounding up" },
	[CAUSE_HEADER] = { "header_bytes", "block headers" },
	[CAUSE_CACHED] = { "cached_bytes", "cached for reuse" },
	[CAUSE_FREE] = { "free_bytes", "free, between blocks" },
	[CAUSE_FREE_PAGE] = { "free_page_bytes", "whole free pages" },
	[CAUSE_METADATA] = { "metadata_bytes", "the pool's tables" },
};

struct memory_sample {
	double event, live, committed, resident, cause[CAUSES];
};

/* One series in one panel: the checkpoints of the first repetition that has any. */
struct memory_series {
	struct memory_sample *samples;
	size_t count, room;
	double repetition;
};

static int memory_series_add(struct memory_series *m, const struct memory_sample *sample)
{
	if (m->count == m->room) {
		size_t room = m->room ? m->room * 2 : 256;
		struct memory_sample *samples = realloc(m->samples, room * sizeof(*samples));
		if (!samples)
			return -ENOMEM;
		m->samples = samples;
		m->room = room;
	}
	m->samples[m->count++] = *sample;
	return 0;
}

static int memory_rows(const struct model *model, size_t run, size_t panel, struct csv *csv,
		       struct memory_series *all)
{
	unsigned threads = panel_threads(model, panel);
	struct csv_cell_columns columns;
	int event = csv_column(csv, "event"), live = csv_column(csv, "live_bytes");
	int committed = csv_column(csv, "committed_bytes"),
	    resident = csv_column(csv, "resident_bytes");
	int repetition = csv_column(csv, "repetition"), cause[CAUSES], err = 0;

	csv_cell_find(csv, &columns);
	for (size_t c = 0; c < CAUSES; c++)
		cause[c] = csv_column(csv, cause_table[c].column);
	while (!err && csv_next(csv)) {
		for (size_t s = 0; s < model->series_count && !err; s++) {
			const struct contender *series = &model->series[s];
			if (series->run != run ||
			    !csv_cell_is(csv, &columns, series->backend,
					 model->panel[panel].workload, threads, series->page_size,
					 series->backing))
				continue;
			struct memory_sample sample = { .event = csv_number(csv, event),
							.live = csv_number(csv, live),
							.committed = csv_number(csv, committed),
							.resident = csv_number(csv, resident) };
			for (size_t c = 0; c < CAUSES; c++)
				sample.cause[c] = csv_number(csv, cause[c]);
			if (!all[s].count)
				all[s].repetition = csv_number(csv, repetition);
			if (all[s].repetition == csv_number(csv, repetition))
				err = memory_series_add(&all[s], &sample);
		}
	}
	return err;
}

static void memory_free(const struct model *model, struct memory_series *all)
{
	for (size_t s = 0; all && s < model->series_count; s++)
		free(all[s].samples);
	free(all);
}

/* The series of every contender in a panel, for memory_free. A run without the file has none. */
static int memory_read(const struct model *model, size_t panel, struct memory_series **out)
{
	struct memory_series *all = calloc(model->series_count + 1, sizeof(*all));
	int err = all ? 0 : -ENOMEM;

	for (size_t r = 0; r < model->runs && !err; r++) {
		char path[4400];
		struct csv *csv;
		snprintf(path, sizeof(path), "%s/memory.csv", model->run[r].path);
		err = csv_open(path, &csv);
		if (err == -ENOENT || err == -EBADMSG) {
			err = 0;
			continue;
		}
		if (!err) {
			err = memory_rows(model, r, panel, csv, all);
			csv_close(csv);
		}
	}
	if (err) {
		memory_free(model, all);
		return err;
	}
	*out = all;
	return 0;
}

static void put(FILE *data, double value)
{
	fprintf(data, isfinite(value) ? " %.9g" : " NaN", value);
}

/* million events, live, committed, resident in MiB: a block a drawn panel */
static void memory_block(struct drawing *drawing, const struct memory_series *m, double *most,
			 double *last)
{
	for (size_t i = 0; i < m->count; i++) {
		const struct memory_sample *sample = &m->samples[i];
		put(drawing->data, sample->event / 1e6);
		put(drawing->data, sample->live / MIB);
		put(drawing->data, sample->committed / MIB);
		put(drawing->data, sample->resident / MIB);
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
	int err = order ? memory_read(model, drawing->panel, &all) : -ENOMEM;

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
	memory_free(model, all);
	free(order);
	drawing_text(drawing, "workload", model->panel[drawing->panel].name);
	fprintf(drawing->variables, "threads = %u\nmost = %.6g\nlast = %.6g\n", threads, most,
		last);
	drawing->height = (unsigned)(130 + (n + 3) / 4 * 215);
	return drawn ? 0 : 1;
}

/* ---- waste by cause ---- */

static const struct memory_sample *peak_of_live(const struct memory_series *m)
{
	const struct memory_sample *peak = NULL;

	for (size_t i = 0; i < m->count; i++) {
		if (!peak || m->samples[i].live > peak->live)
			peak = &m->samples[i];
	}
	return peak;
}

static double waste_of(const struct memory_series *m, double *percent)
{
	const struct memory_sample *peak = peak_of_live(m);
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
	int err = memory_read(model, panel, &all);

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
			put(drawing->data, percent[c]);
		putc('\n', drawing->data);
		last = best;
		last_series = best_series;
	}
	if (!rank)
		fputs("1 1 NaN NaN NaN NaN NaN NaN\n", drawing->data);
	fputs("\n\n", drawing->data);
	fprintf(drawing->variables, "panel_rows[%zu] = %zu\n", panel + 1, rank);
	*rows = rank > *rows ? rank : *rows;
	memory_free(model, all);
	return 0;
}

int prepare_waste(struct drawing *drawing)
{
	const struct model *model = drawing->model;
	size_t rows = 0;
	int err = 0;

	prepare_series(drawing);
	prepare_panels(drawing);
	drawing_array_begin(drawing, "cause_name", CAUSES);
	for (size_t c = 0; c < CAUSES; c++)
		drawing_array_text(drawing, "cause_name", c + 1, cause_table[c].name);
	fprintf(drawing->variables, "causes = %d\narray panel_rows[%zu]\n", CAUSES, model->panels);
	for (size_t p = 0; p < model->panels && !err; p++)
		err = waste_panel(drawing, p, &rows);
	fprintf(drawing->variables, "rows = %zu\n", rows);
	drawing->height = prepare_bar_columns(drawing, 100, 78 + 26 * rows);
	return err ? err : rows ? 0 : 1;
}
