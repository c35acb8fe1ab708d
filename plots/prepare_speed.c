/* The data of the figures about time: throughput, scaling, latency; and speed against memory. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "csv.h"
#include "figures.h"

#define MILLION 1e6

/*
 * Who has no mark in a panel, and why: panel_missing[panel], "" if nobody. What could not be measured is
 * never just absent.
 */
static void write_missing(struct drawing *drawing, size_t panel, size_t index, enum metric metric)
{
	const struct model *model = drawing->model;
	unsigned threads = panel_threads(model, panel), more = 0;
	char text[256] = "";

	for (size_t s = 0; s < model->series_count; s++) {
		const struct point *point = model_point(model, s, panel, threads);
		size_t n = strlen(text);
		if (model->series[s].floor || !point || point_has(point, metric))
			continue;
		enum cell_status status = point->cell->pass_status[metric_table[metric].pass];
		if (n + strlen(model->series[s].name) < 36)
			snprintf(text + n, sizeof(text) - n, "%s%s %s", n ? ", " : "",
				 model->series[s].name,
				 status == CELL_OK ? "null" : cell_status_names[status]);
		else
			more++;
	}
	if (more)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%u more",
			 text[0] ? " and " : "", more);
	drawing_array_text(drawing, "panel_missing", index, text);
}

static void block_end(FILE *data)
{
	fputs("\n\n", data);
}

/* What stands where a number is missing: the status, with what to read for the reason. */
void prepare_statuses(struct drawing *drawing)
{
	drawing_array_begin(drawing, "status_name", CELL_STATUSES);
	for (size_t i = 0; i < CELL_STATUSES; i++)
		drawing_array_text(drawing, "status_name", i + 1,
				   i == CELL_OK ? "not measured" : cell_status_names[i]);
}

static void write_floor(struct drawing *drawing, size_t panel, unsigned threads)
{
	const struct model *model = drawing->model;
	double floor = NAN;

	for (size_t s = 0; s < model->series_count; s++) {
		const struct point *point = model_point(model, s, panel, threads);
		if (model->series[s].floor && point_has(point, METRIC_ops_per_second))
			floor = point->cell->metrics[METRIC_ops_per_second].median / MILLION;
	}
	fprintf(drawing->variables, "panel_floor[%zu] = ", panel + 1);
	fprintf(drawing->variables, isfinite(floor) ? "%.6g\n" : "NaN\n", floor);
}

/* rank, median, low, high (-1: no number), series, status of the pass: a block a panel */
static size_t throughput_panel(struct drawing *drawing, size_t panel, unsigned *order)
{
	const struct model *model = drawing->model;
	unsigned threads = panel_threads(model, panel);
	size_t measured, n;
	double most = 0;

	n = panel_order(model, panel, threads, METRIC_ops_per_second, order, &measured);
	for (size_t rank = 0; rank < n; rank++) {
		const struct point *point = model_point(model, order[rank], panel, threads);
		const struct metric_summary *e = &point->cell->metrics[METRIC_ops_per_second];
		if (rank < measured) {
			fprintf(drawing->data, "%zu %.9g %.9g %.9g %u %d\n", rank + 1,
				e->median / MILLION, e->interval.low / MILLION,
				e->interval.high / MILLION, order[rank] + 1,
				point->cell->pass_status[PASS_THROUGHPUT]);
			most = fmax(most, e->interval.high / MILLION);
		} else {
			fprintf(drawing->data, "%zu NaN NaN -1 %u %d\n", rank + 1, order[rank] + 1,
				point->cell->pass_status[PASS_THROUGHPUT]);
		}
	}
	if (!n)
		fputs("1 NaN NaN -1 1 0\n", drawing->data);
	block_end(drawing->data);
	fprintf(drawing->variables,
		"panel_rows[%zu] = %zu\npanel_most[%zu] = %.6g\npanel_threads[%zu] = %u\n",
		panel + 1, n ? n : 1, panel + 1, most > 0 ? most : 1, panel + 1, threads);
	write_floor(drawing, panel, threads);
	return measured;
}

int prepare_throughput(struct drawing *drawing)
{
	const struct model *model = drawing->model;
	unsigned *order = calloc(model->series_count + 1, sizeof(*order));
	size_t measured = 0, rows = 0;

	if (!order)
		return -ENOMEM;
	prepare_series(drawing);
	prepare_panels(drawing);
	prepare_statuses(drawing);
	fprintf(drawing->variables,
		"array panel_rows[%zu]\narray panel_most[%zu]\narray panel_floor[%zu]\n"
		"array panel_threads[%zu]\n",
		model->panels, model->panels, model->panels, model->panels);
	for (size_t p = 0; p < model->panels; p++)
		measured += throughput_panel(drawing, p, order);
	free(order);
	for (size_t s = 0; s < model->series_count; s++)
		rows += !model->series[s].floor;
	fprintf(drawing->variables, "rows = %zu\n", rows);
	drawing->height = prepare_bar_columns(drawing, 76, 86 + 24 * rows);
	return measured ? 0 : 1;
}

/* ---- scaling ---- */

/* threads, median, low, high: a block a series, all series of one panel after the other */
static size_t scaling_panel(struct drawing *drawing, size_t panel)
{
	const struct model *model = drawing->model;
	double guide = NAN;
	size_t drawn = 0;

	for (size_t s = 0; s < model->series_count; s++) {
		int any = 0;
		for (size_t t = 0; t < model->thread_counts && !model->series[s].floor; t++) {
			const struct point *point = model_point(model, s, panel, model->threads[t]);
			if (!point_has(point, METRIC_ops_per_second))
				continue;
			const struct metric_summary *e =
				&point->cell->metrics[METRIC_ops_per_second];
			fprintf(drawing->data, "%u %.9g %.9g %.9g\n", point->threads,
				e->median / MILLION, e->interval.low / MILLION,
				e->interval.high / MILLION);
			if (t == 0 && !(guide >= e->median / MILLION))
				guide = e->median / MILLION;
			any++;
		}
		if (!any)
			fputs("1 NaN NaN NaN\n", drawing->data);
		drawn += any > 1;
		block_end(drawing->data);
	}
	fprintf(drawing->variables,
		isfinite(guide) ? "panel_guide[%zu] = %.9g\n" : "panel_guide[%zu] = NaN\n",
		panel + 1, guide);
	return drawn;
}

static void write_competitors(struct drawing *drawing)
{
	const struct model *model = drawing->model;
	size_t n = 0;

	fprintf(drawing->variables, "array legend[%zu]\n", model->series_count + 1);
	for (size_t s = 0; s < model->series_count; s++) {
		if (!model->series[s].floor)
			fprintf(drawing->variables, "legend[%zu] = %zu\n", ++n, s + 1);
	}
	fprintf(drawing->variables, "legends = %zu\n", n);
}

int prepare_scaling(struct drawing *drawing)
{
	const struct model *model = drawing->model;
	size_t drawn = 0;

	if (model->thread_counts < 2)
		return 1;
	prepare_series(drawing);
	prepare_panels(drawing);
	write_competitors(drawing);
	fprintf(drawing->variables,
		"array panel_guide[%zu]\nthreads_least = %u\nthreads_most = %u\n"
		"thread_counts = %zu\narray threads[%zu]\n",
		model->panels, model->threads[0], model->threads[model->thread_counts - 1],
		model->thread_counts, model->thread_counts);
	for (size_t t = 0; t < model->thread_counts; t++)
		fprintf(drawing->variables, "threads[%zu] = %u\n", t + 1, model->threads[t]);
	drawing_array_begin(drawing, "panel_missing", model->panels);
	for (size_t p = 0; p < model->panels; p++) {
		drawn += scaling_panel(drawing, p);
		write_missing(drawing, p, p + 1, METRIC_ops_per_second);
	}
	drawing->height = (unsigned)(150 + (model->panels + 2) / 3 * 300);
	return drawn ? 0 : 1;
}

/* ---- tradeoff ---- */

/* ratio, M ops/s of those that nobody beats in both: with the fastest first, who is leaner than all before */
static void frontier_block(struct drawing *drawing, size_t panel, const unsigned *order,
			   size_t measured)
{
	unsigned threads = panel_threads(drawing->model, panel);
	double leanest = INFINITY;

	for (size_t rank = 0; rank < measured; rank++) {
		const struct point *point = model_point(drawing->model, order[rank], panel,
							threads);
		double ratio = point->cell->metrics[METRIC_footprint_ratio].median;
		if (!(ratio < leanest))
			continue;
		leanest = ratio;
		fprintf(drawing->data, "%.9g %.9g\n", ratio,
			point->cell->metrics[METRIC_ops_per_second].median / MILLION);
	}
	if (!isfinite(leanest))
		fputs("NaN NaN\n", drawing->data);
	block_end(drawing->data);
}

/* ratio, ratio low, high, M ops/s, low, high, series; then the frontier: two blocks a panel */
static size_t tradeoff_panel(struct drawing *drawing, size_t panel, unsigned *order, double *range)
{
	const struct model *model = drawing->model;
	unsigned threads = panel_threads(model, panel);
	size_t measured, drawn = 0;
	double most = 0;

	panel_order(model, panel, threads, METRIC_ops_per_second, order, &measured);
	for (size_t rank = 0; rank < measured; rank++) {
		const struct point *point = model_point(model, order[rank], panel, threads);
		const struct metric_summary *speed = &point->cell->metrics[METRIC_ops_per_second];
		const struct metric_summary *ratio = &point->cell->metrics[METRIC_footprint_ratio];
		if (!point_has(point, METRIC_footprint_ratio))
			continue;
		fprintf(drawing->data, "%.9g %.9g %.9g %.9g %.9g %.9g %u\n", ratio->median,
			ratio->interval.low, ratio->interval.high, speed->median / MILLION,
			speed->interval.low / MILLION, speed->interval.high / MILLION,
			order[rank] + 1);
		most = fmax(most, speed->interval.high / MILLION);
		range[0] = fmin(range[0], ratio->interval.low);
		range[1] = fmax(range[1], ratio->interval.high);
		drawn++;
	}
	if (!drawn)
		fputs("NaN NaN NaN NaN NaN NaN 1\n", drawing->data);
	block_end(drawing->data);
	frontier_block(drawing, panel, order, measured);
	fprintf(drawing->variables, "panel_drawn[%zu] = %zu\npanel_most[%zu] = %.6g\n", panel + 1,
		drawn, panel + 1, most);
	return drawn;
}

int prepare_tradeoff(struct drawing *drawing)
{
	const struct model *model = drawing->model;
	unsigned *order = calloc(model->series_count + 1, sizeof(*order));
	double range[2] = { 1, 1.2 }; /* of the footprint ratio, the same in all panels */
	size_t drawn = 0;

	if (!order)
		return -ENOMEM;
	prepare_series(drawing);
	prepare_panels(drawing);
	write_competitors(drawing);
	fprintf(drawing->variables, "array panel_drawn[%zu]\narray panel_most[%zu]\n",
		model->panels, model->panels);
	drawing_array_begin(drawing, "panel_missing", model->panels);
	for (size_t p = 0; p < model->panels; p++) {
		drawn += tradeoff_panel(drawing, p, order, range);
		write_missing(drawing, p, p + 1, METRIC_footprint_ratio);
	}
	free(order);
	fprintf(drawing->variables, "ratio_least = %.6g\nratio_most = %.6g\n", range[0], range[1]);
	drawing->height = (unsigned)(150 + (model->panels + 2) / 3 * 310);
	return drawn ? 0 : 1;
}

/* ---- latency ---- */

/* One series' histogram of one kind of operation, summed over the repetitions. */
struct histogram {
	struct bin {
		double high_ns, count;
	} * bins;
	size_t count, room;
};

static int histogram_add(struct histogram *h, double high_ns, double count)
{
	size_t low = 0, high = h->count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		if (h->bins[middle].high_ns < high_ns)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < h->count && h->bins[low].high_ns <= high_ns) {
		h->bins[low].count += count;
		return 0;
	}
	if (h->count == h->room) {
		size_t room = h->room ? h->room * 2 : 256;
		struct bin *bins = realloc(h->bins, room * sizeof(*bins));
		if (!bins)
			return -ENOMEM;
		h->bins = bins;
		h->room = room;
	}
	memmove(&h->bins[low + 1], &h->bins[low], (h->count - low) * sizeof(*h->bins));
	h->bins[low] = (struct bin){ high_ns, count };
	h->count++;
	return 0;
}

/*
 * time, share of operations that took longer, whether to mark it: points at the bins' upper ends. Marks are half
 * a decade of the share apart, however dense the bins are.
 */
static void histogram_write(const struct histogram *h, FILE *data)
{
	double total = 0, beyond, last_mark = 1;

	for (size_t i = 0; i < h->count; i++)
		total += h->bins[i].count;
	beyond = total;
	if (!h->count)
		fputs("NaN NaN 0\n", data);
	else
		fprintf(data, "%.9g 1 0\n", fmax(0.5, h->bins[0].high_ns * 0.98));
	for (size_t i = 0; i < h->count; i++) {
		beyond -= h->bins[i].count;
		/* the last bin has nothing beyond: it ends where one operation is left */
		double share = i + 1 < h->count ? beyond / total : 0.5 / total;
		int mark = share < last_mark * 0.33;
		last_mark = mark ? share : last_mark;
		fprintf(data, "%.9g %.9g %d\n", fmax(0.5, h->bins[i].high_ns), share, mark);
	}
	block_end(data);
}

static int latency_read(const struct model *model, size_t run, size_t panel, unsigned threads,
			struct histogram *histograms)
{
	char path[4400];
	struct csv *csv;
	int err;

	snprintf(path, sizeof(path), "%s/latency.csv", model->run[run].path);
	err = csv_open(path, &csv);
	if (err)
		return err == -ENOENT || err == -EBADMSG ? 0 : err;
	int op = csv_column(csv, "op"), high = csv_column(csv, "high_ns"),
	    count = csv_column(csv, "count");
	struct csv_cell_columns columns;
	csv_cell_find(csv, &columns);
	while (!err && csv_next(csv)) {
		double high_ns = csv_number(csv, high), samples = csv_number(csv, count);
		if (!(samples > 0) || !isfinite(high_ns))
			continue;
		for (size_t s = 0; s < model->series_count && !err; s++) {
			const struct contender *series = &model->series[s];
			if (series->run == run && csv_cell_is(csv, &columns, series->backend,
							      model->panel[panel].workload, threads,
							      series->page_size, series->backing))
				err = histogram_add(
					&histograms[2 * s + (csv_field(csv, op)[0] == 'f')],
					high_ns, samples);
		}
	}
	csv_close(csv);
	return err;
}

int prepare_latency(struct drawing *drawing)
{
	const struct model *model = drawing->model;
	unsigned threads = panel_threads(model, drawing->panel);
	struct histogram *histograms = calloc(2 * model->series_count, sizeof(*histograms));
	size_t drawn = 0;
	double smallest = 1, least = INFINITY, most = 10;
	int err = 0;

	if (!histograms)
		return -ENOMEM;
	for (size_t r = 0; r < model->runs && !err; r++)
		err = latency_read(model, r, drawing->panel, threads, histograms);
	for (size_t i = 0; i < 2 * model->series_count; i++) {
		struct histogram *h = &histograms[i];
		double total = 0;
		if (model->series[i / 2].floor)
			h->count = 0;
		for (size_t b = 0; b < h->count; b++)
			total += h->bins[b].count;
		if (total > 0) {
			smallest = fmin(smallest, 0.5 / total);
			least = fmin(least, fmax(1, h->bins[0].high_ns));
			most = fmax(most, h->bins[h->count - 1].high_ns);
		}
		drawn += h->count > 0;
		histogram_write(h, drawing->data);
		free(h->bins);
	}
	free(histograms);
	prepare_series(drawing);
	write_competitors(drawing);
	drawing_text(drawing, "workload", model->panel[drawing->panel].name);
	drawing_array_begin(drawing, "panel_missing", 1);
	write_missing(drawing, drawing->panel, 1, METRIC_alloc_ns_p50);
	fprintf(drawing->variables, "threads = %u\nsmallest = %.3g\nleast = %.6g\nmost = %.6g\n",
		threads, smallest, isfinite(least) ? least * 0.8 : 1, most);
	drawing->height = 540;
	return err ? err : drawn ? 0 : 1;
}
