/*
 * The data of the figures about fragmentation: waste by cause over time and over a machine's age, the footprint of
 * every backend under every workload, and free ranges by size.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "csv.h"
#include "memory_series.h"

/* ---- waste by cause: over time, and by lap of the ageing pass ---- */

/* Most waste while the pool is in use: the drain, where all is free, would press everything else flat. */
static double most_waste(const struct memory_series *m)
{
	const struct memory_sample *peak = memory_series_peak(m);
	double most = 0;

	for (size_t i = 0; i < m->count; i++)
		if (m->samples[i].live >= peak->live / 2)
			most = fmax(most, memory_sample_waste(&m->samples[i]));
	return most / MIB;
}

static int tells_causes(const struct memory_series *m)
{
	return m->count && isfinite(memory_sample_waste(&m->samples[0]));
}

static void waste_row(FILE *data, double x, const struct memory_sample *sample)
{
	data_number(data, x);
	for (size_t c = 0; c < CAUSES; c++)
		data_number(data, sample->cause[c] / MIB);
	putc('\n', data);
}

/* The checkpoint of a lap with the most live bytes: a row a lap. */
static double ageing_rows(FILE *data, const struct memory_series *m)
{
	double most = 0;

	for (size_t i = 0; i < m->count;) {
		const struct memory_sample *peak = &m->samples[i];
		const double lap = peak->lap;

		for (; i < m->count && m->samples[i].lap == lap; i++)
			if (m->samples[i].live > peak->live)
				peak = &m->samples[i];
		if (i == m->count) /* behind the last lap */
			break;
		waste_row(data, lap + 1, peak);
		most = fmax(most, memory_sample_waste(peak) / MIB);
	}
	return most;
}

static double time_rows(FILE *data, const struct memory_series *m)
{
	for (size_t i = 0; i < m->count; i++)
		waste_row(data, m->samples[i].event / 1e6, &m->samples[i]);
	return most_waste(m);
}

/* x, then MiB a cause: a block a native backend, the leanest first. */
static int prepare_waste_panels(struct drawing *drawing, const char *file,
				double (*rows)(FILE *data, const struct memory_series *m),
				enum metric order_by)
{
	const struct model *model = drawing->model;
	unsigned threads = panel_threads(model, drawing->panel);
	unsigned *order = calloc(model->series_count + 1, sizeof(*order));
	struct memory_series *all = NULL;
	size_t measured, n, panels = 0, drawn = 0;
	double most = 0, last = 0, laps = 0;
	int err = order ? memory_series_read(model, drawing->panel, file, &all) : -ENOMEM;

	if (err) {
		free(order);
		return err;
	}
	prepare_series(drawing);
	prepare_causes(drawing);
	fprintf(drawing->variables, "array panel_series[%zu]\n", model->series_count);
	drawing_array_begin(drawing, "panel_missing", model->series_count);
	n = panel_order(model, drawing->panel, threads, order_by, order, &measured);
	for (size_t k = 0; k < n; k++) {
		const struct memory_series *m = &all[order[k]];
		const char *missing = panel_failure(model, order[k], drawing->panel,
						    metric_table[order_by].pass);
		if (!tells_causes(m) && !*missing)
			continue;
		fprintf(drawing->variables, "panel_series[%zu] = %u\n", ++panels, order[k] + 1);
		drawing_array_text(drawing, "panel_missing", panels, missing);
		if (tells_causes(m)) {
			drawn++;
			most = fmax(most, rows(drawing->data, m));
			last = fmax(last, m->samples[m->count - 1].event / 1e6);
			laps = fmax(laps, m->samples[m->count - 1].lap);
		} else {
			fputs("NaN NaN NaN NaN NaN NaN NaN\n", drawing->data);
		}
		fputs("\n\n", drawing->data);
	}
	memory_series_free(model, all);
	free(order);
	drawing_text(drawing, "workload", model->panel[drawing->panel].name);
	fprintf(drawing->variables, "panels = %zu\nmost = %.6g\nlast = %.6g\nlaps = %g\n", panels,
		most > 0 ? most : 1, last, laps);
	drawing->height = (unsigned)(130 + (panels + 3) / 4 * 215);
	return drawn ? 0 : 1;
}

int prepare_waste_time(struct drawing *drawing)
{
	return prepare_waste_panels(drawing, "memory.csv", time_rows, METRIC_footprint_ratio);
}

int prepare_ageing_waste(struct drawing *drawing)
{
	return prepare_waste_panels(drawing, "ageing.csv", ageing_rows,
				    METRIC_ageing_footprint_last);
}

/* ---- ageing: the footprint by lap ---- */

/* lap, resident peak / live peak of the lap, resident / live at its end: a block a series */
static size_t ageing_curve(FILE *data, const struct memory_series *m, double *most, double *laps)
{
	size_t drawn = 0;

	for (size_t i = 0; i < m->count;) {
		const double lap = m->samples[i].lap;
		double live = 0, resident = 0;

		for (; i < m->count && m->samples[i].lap == lap; i++) {
			live = fmax(live, m->samples[i].live);
			resident = fmax(resident, m->samples[i].resident);
		}
		if (i == m->count)
			break;
		data_number(data, lap + 1);
		data_number(data, live >= MIB ? resident / live : NAN);
		data_number(data, (m->samples[i - 1].resident - m->samples[i - 1].live) / MIB);
		putc('\n', data);
		if (live >= MIB)
			*most = fmax(*most, resident / live);
		*laps = fmax(*laps, lap + 1);
		drawn++;
	}
	if (!drawn)
		fputs("NaN NaN NaN\n", data);
	fputs("\n\n", data);
	return drawn;
}

int prepare_ageing(struct drawing *drawing)
{
	const struct model *model = drawing->model;
	unsigned char *seen = calloc(model->series_count + 1, 1);
	size_t drawn = 0, legends = 0;
	double laps = 1;
	int err = seen ? 0 : -ENOMEM;

	prepare_series(drawing);
	prepare_panels(drawing);
	fprintf(drawing->variables, "array panel_most[%zu]\narray legend[%zu]\n", model->panels,
		model->series_count);
	for (size_t p = 0; p < model->panels && !err; p++) {
		struct memory_series *all;
		double most = 1;

		err = memory_series_read(model, p, "ageing.csv", &all);
		for (size_t s = 0; s < model->series_count && !err; s++) {
			struct memory_series none = { 0 };
			size_t of_it = ageing_curve(drawing->data,
						    model->series[s].floor ? &none : &all[s], &most,
						    &laps);
			seen[s] |= of_it > 0;
			drawn += of_it;
		}
		fprintf(drawing->variables, "panel_most[%zu] = %.6g\n", p + 1, most);
		if (!err)
			memory_series_free(model, all);
	}
	for (size_t s = 0; s < model->series_count && !err; s++)
		if (seen[s])
			fprintf(drawing->variables, "legend[%zu] = %zu\n", ++legends, s + 1);
	free(seen);
	fprintf(drawing->variables, "legends = %zu\nlaps = %g\n", legends, laps);
	drawing->height = (unsigned)(150 + (model->panels + 2) / 3 * 240);
	return err ? err : drawn ? 0 : 1;
}

/* ---- the footprint of everything ---- */

/* column, row, ratio (-1: none), status: a cell a line. Rows are backends, the leanest on the whole first. */
static double mean_log_footprint(const struct model *model, size_t series, size_t *cells)
{
	double sum = 0;

	*cells = 0;
	for (size_t p = 0; p < model->panels; p++) {
		const struct point *point = model_point(model, series, p, panel_threads(model, p));
		if (!point_has(point, METRIC_footprint_ratio))
			continue;
		sum += log(point->cell->metrics[METRIC_footprint_ratio].median);
		(*cells)++;
	}
	return *cells ? sum / (double)*cells : INFINITY;
}

static size_t footprint_order(const struct model *model, unsigned *order)
{
	double *key = calloc(model->series_count + 1, sizeof(*key));
	size_t n = 0, cells;

	for (unsigned s = 0; key && s < model->series_count; s++) {
		size_t at = n;
		if (model->series[s].floor)
			continue;
		key[s] = mean_log_footprint(model, s, &cells);
		for (; at && key[order[at - 1]] > key[s]; at--)
			order[at] = order[at - 1];
		order[at] = s;
		n++;
	}
	free(key);
	return n;
}

static int footprint_cell(struct drawing *drawing, size_t panel, unsigned series, size_t row)
{
	const struct point *point = model_point(drawing->model, series, panel,
						panel_threads(drawing->model, panel));
	const int has = point_has(point, METRIC_footprint_ratio);

	fprintf(drawing->data, "%zu %zu", panel + 1, row + 1);
	data_number(drawing->data, has ? point->cell->metrics[METRIC_footprint_ratio].median : -1);
	fprintf(drawing->data, " %d\n",
		has || !point ? 0 : (int)point->cell->pass_status[PASS_MEMORY]);
	return has;
}

int prepare_footprint(struct drawing *drawing)
{
	const struct model *model = drawing->model;
	unsigned *order = calloc(model->series_count + 1, sizeof(*order));
	size_t n, drawn = 0;

	if (!order)
		return -ENOMEM;
	prepare_series(drawing);
	prepare_panels(drawing);
	prepare_statuses(drawing);
	n = footprint_order(model, order);
	fprintf(drawing->variables, "rows = %zu\narray row_series[%zu]\n", n, n ? n : 1);
	for (size_t row = 0; row < n; row++) {
		fprintf(drawing->variables, "row_series[%zu] = %u\n", row + 1, order[row] + 1);
		for (size_t p = 0; p < model->panels; p++)
			drawn += (size_t)footprint_cell(drawing, p, order[row], row);
	}
	free(order);
	drawing->height = (unsigned)(120 + n * 30);
	return drawn ? 0 : 1;
}

/* ---- free ranges by size ---- */

#define BINS 28 /* record.h's */

struct spectrum {
	double bytes[BINS], points;
	double repetition;
};

/* Sums over the checkpoints; the drain, where everything is free, is left out by its lap. */
static int spectrum_read(const struct model *model, size_t run, size_t panel, struct spectrum *all,
			 double last_lap)
{
	unsigned threads = panel_threads(model, panel);
	struct csv_cell_columns columns;
	int bin[BINS], lap, err;
	struct csv *csv;
	char path[4400];

	snprintf(path, sizeof(path), "%s/free_ranges.csv", model->run[run].path);
	err = csv_open(path, &csv);
	if (err)
		return err == -ENOENT || err == -EBADMSG ? 0 : err;
	csv_cell_find(csv, &columns);
	lap = csv_column(csv, "lap");
	for (int i = 0; i < BINS; i++) {
		char name[32];
		snprintf(name, sizeof(name), "bytes_%llu", 16ull << i);
		bin[i] = csv_column(csv, name);
	}
	while (csv_next(csv)) {
		for (size_t s = 0; s < model->series_count; s++) {
			const struct contender *series = &model->series[s];
			if (series->run != run ||
			    (last_lap > 0 && csv_number(csv, lap) >= last_lap) ||
			    !csv_cell_is(csv, &columns, series->backend,
					 model->panel[panel].workload, threads, series->page_size,
					 series->backing))
				continue;
			for (int i = 0; i < BINS; i++)
				all[s].bytes[i] += csv_number(csv, bin[i]);
			all[s].points++;
		}
	}
	csv_close(csv);
	return 0;
}

/* The lap number of the drain: the last there is. */
static int last_lap_of(const struct model *model, size_t panel, double *lap)
{
	struct memory_series *all;
	int err = memory_series_read(model, panel, "memory.csv", &all);

	*lap = 0;
	if (err)
		return err;
	for (size_t s = 0; s < model->series_count; s++)
		if (all[s].count)
			*lap = fmax(*lap, all[s].samples[all[s].count - 1].lap);
	memory_series_free(model, all);
	return 0;
}

/* size (bytes), mean KiB free in ranges of that size: a block a series */
static double spectrum_block(FILE *data, const struct spectrum *spectrum, double *largest)
{
	double most = 0;

	for (int i = 0; i < BINS; i++) {
		double kib = spectrum->points ? spectrum->bytes[i] / spectrum->points / 1024 : NAN;
		fprintf(data, "%llu", 16ull << i);
		data_number(data, kib >= 0.5 ? kib : NAN);
		putc('\n', data);
		most = kib > most ? kib : most;
		*largest = kib >= 0.5 ? fmax(*largest, (double)(16ull << i)) : *largest;
	}
	fputs("\n\n", data);
	return most;
}

int prepare_free_ranges(struct drawing *drawing)
{
	const struct model *model = drawing->model;
	unsigned char *seen = calloc(model->series_count + 1, 1);
	size_t legends = 0;
	double all_most = 1, largest = 65536;
	int err = seen ? 0 : -ENOMEM;

	prepare_series(drawing);
	prepare_panels(drawing);
	fprintf(drawing->variables, "array legend[%zu]\n", model->series_count);
	for (size_t p = 0; p < model->panels && !err; p++) {
		struct spectrum *all = calloc(model->series_count + 1, sizeof(*all));
		double last_lap;

		err = all ? last_lap_of(model, p, &last_lap) : -ENOMEM;
		for (size_t r = 0; r < model->runs && !err; r++)
			err = spectrum_read(model, r, p, all, last_lap);
		for (size_t s = 0; s < model->series_count && !err; s++) {
			double most = spectrum_block(drawing->data, &all[s], &largest);
			all_most = fmax(all_most, most);
			seen[s] |= most >= 0.5;
		}
		free(all);
	}
	for (size_t s = 0; s < model->series_count && !err; s++)
		if (seen[s])
			fprintf(drawing->variables, "legend[%zu] = %zu\n", ++legends, s + 1);
	free(seen);
	fprintf(drawing->variables, "legends = %zu\nmost = %.6g\nlargest = %.9g\n", legends,
		all_most, largest);
	drawing->height = (unsigned)(150 + (model->panels + 2) / 3 * 240);
	return err ? err : legends ? 0 : 1;
}
