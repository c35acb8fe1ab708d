/* The page's tables: a table a workload, and the backends' own counters. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "html.h"
#include "report.h"
#include "results/counter_summary.h"

#define MIB 1048576.0

/* What a table of results shows, in order. */
static const struct result_column {
	const char *heading;
	enum metric metric;
	double scale;
	const char *format; /* of a number divided by scale */
	int interval; /* with its confidence interval */
} result_columns[] = {
	{ "M ops/s", METRIC_ops_per_second, 1e6, "%.2f", 1 },
	{ "ns/op", METRIC_ns_per_op, 1, "%.1f", 0 },
	{ "net ns/op", METRIC_net_ns_per_op, 1, "%.1f", 0 },
	{ "alloc p99 ns", METRIC_alloc_ns_p99, 1, "%.0f", 0 },
	{ "alloc p99.9 ns", METRIC_alloc_ns_p99_9, 1, "%.0f", 0 },
	{ "free p99 ns", METRIC_free_ns_p99, 1, "%.0f", 0 },
	{ "footprint ratio", METRIC_footprint_ratio, 1, "%.2f", 0 },
	{ "peak resident MiB", METRIC_resident_bytes_peak, MIB, "%.1f", 0 },
	{ "external fragmentation", METRIC_external_fragmentation, 0.01, "%.1f %%", 0 },
	{ "internal fragmentation", METRIC_internal_fragmentation, 0.01, "%.1f %%", 0 },
	{ "instructions/op", METRIC_instructions_per_op, 1, "%.1f", 0 },
};
#define RESULT_COLUMNS (sizeof(result_columns) / sizeof(result_columns[0]))

/* The best median of a panel at a number of threads, the floor left out; NaN if there is none to beat. */
static double best_of(const struct model *model, size_t panel, unsigned threads, enum metric metric)
{
	unsigned *order = calloc(model->series_count + 1, sizeof(*order));
	size_t measured = 0;
	double best = NAN;

	if (order)
		panel_order(model, panel, threads, metric, order, &measured);
	if (measured > 1)
		best = model_point(model, order[0], panel, threads)->cell->metrics[metric].median;
	free(order);
	return best;
}

static void number_cell(FILE *out, const struct result_column *column,
			const struct metric_summary *m, int is_best)
{
	if (!isfinite(m->median)) {
		html(out, "<td class=\"n soft\"><abbr title=\"not measured\">–</abbr></td>");
		return;
	}
	fprintf(out, "<td class=\"n\"><span%s>", is_best ? " class=\"best\"" : "");
	html(out, column->format, m->median / column->scale);
	html(out, "</span>");
	if (column->interval && m->n > 1) {
		html(out, "<br><span class=\"range\">");
		html(out, column->format, m->interval.low / column->scale);
		html(out, " to ");
		html(out, column->format, m->interval.high / column->scale);
		html(out, "</span>");
	}
	html(out, "</td>");
}

static void result_row(FILE *out, const struct model *model, const struct point *point,
		       const double *best, const int *shown, int group)
{
	const struct contender *series = &model->series[point->series];
	const struct cell_summary *cell = point->cell;
	char colour[8];

	snprintf(colour, sizeof(colour), "#%06x", series->style.rgb & 0xffffffu);
	fprintf(out, "<tr class=\"%s%s\">", series->floor ? "floor " : "", group ? "group" : "");
	html(out,
	     "<th scope=\"row\"><span class=\"swatch\" style=\"background:%s\"></span>%s%s</th>",
	     colour, series->name, series->floor ? " (the floor)" : "");
	html(out, "<td class=\"n\">%u</td>", point->threads);
	/* the reason is in the summary: here it would push the numbers apart */
	fprintf(out, "<td%s>%s</td>", cell->status == CELL_OK ? "" : " class=\"bad\"",
		cell_status_names[cell->status]);
	for (size_t c = 0; c < RESULT_COLUMNS; c++) {
		const struct metric_summary *m = &cell->metrics[result_columns[c].metric];
		if (shown[c])
			number_cell(out, &result_columns[c], m,
				    !series->floor && m->median == best[c]);
	}
	html(out, "</tr>\n");
}

/* The rows of one number of threads: the fastest first, the floor last. */
static void result_group(FILE *out, const struct model *model, size_t panel, unsigned threads,
			 const int *shown)
{
	unsigned *order = calloc(model->series_count + 1, sizeof(*order));
	double best[RESULT_COLUMNS];
	size_t measured, n = 0;

	if (!order)
		return;
	for (size_t c = 0; c < RESULT_COLUMNS; c++)
		best[c] = best_of(model, panel, threads, result_columns[c].metric);
	n = panel_order(model, panel, threads, METRIC_ops_per_second, order, &measured);
	for (size_t i = 0; i < n; i++)
		result_row(out, model, model_point(model, order[i], panel, threads), best, shown,
			   i == 0);
	for (size_t s = 0; s < model->series_count; s++) {
		const struct point *point = model_point(model, s, panel, threads);
		if (model->series[s].floor && point)
			result_row(out, model, point, best, shown, 0);
	}
	free(order);
}

static void result_table(FILE *out, const struct model *model, size_t panel)
{
	int shown[RESULT_COLUMNS] = { 0 };

	/* a column that nobody has (no counters on this machine) is left out */
	for (size_t i = 0; i < model->points; i++) {
		for (size_t c = 0; c < RESULT_COLUMNS; c++)
			shown[c] |= model->point[i].panel == panel &&
				    point_has(&model->point[i], result_columns[c].metric);
	}
	html(out,
	     "<h3>%s</h3>\n<div class=\"scroll\" tabindex=\"0\" role=\"group\" "
	     "aria-label=\"Results of %s\">\n"
	     "<table>\n<caption>Medians over the repetitions",
	     model->panel[panel].name, model->panel[panel].name);
	if (strcmp(model->panel[panel].name, model->panel[panel].workload) != 0)
		html(out, " of <code>%s</code>", model->panel[panel].workload);
	html(out, "; ★ is the best at that number of threads.</caption>\n<thead><tr>"
		  "<th scope=\"col\">backend</th><th scope=\"col\" class=\"n\">threads</th><th "
		  "scope=\"col\">status</th>");
	for (size_t c = 0; c < RESULT_COLUMNS; c++) {
		if (shown[c])
			html(out, "<th scope=\"col\" class=\"n\">%s%s</th>",
			     result_columns[c].heading,
			     result_columns[c].interval ? " (95 % interval)" : "");
	}
	html(out, "</tr></thead>\n<tbody>\n");
	for (size_t t = model->thread_counts; t-- > 0;)
		result_group(out, model, panel, model->threads[t], shown);
	html(out, "</tbody></table></div>\n");
}

void report_tables(FILE *out, const struct model *model)
{
	html(out, "<section id=\"tables\">\n<h2>All numbers</h2>\n");
	for (size_t p = 0; p < model->panels; p++)
		result_table(out, model, p);
	html(out, "</section>\n");
}

/* ---- the backends' own counters ---- */

/* An operation's share in large, all events below; a maximum has no share. */
static void counter_value(FILE *out, const struct counter_median *median)
{
	if (!median)
		html(out, "<td class=\"n soft\">–</td>");
	else if (isnan(median->per_operation))
		html(out, "<td class=\"n\">%.0f</td>", median->events);
	else
		html(out, "<td class=\"n\">%.4g<br><span class=\"range\">%.0f</span></td>",
		     median->per_operation, median->events);
}

static void counter_row(FILE *out, const struct counter_summary *const *cells, size_t panels,
			const char *name)
{
	html(out, "<tr><th scope=\"row\">%s</th>", name);
	for (size_t p = 0; p < panels; p++)
		counter_value(out, cells[p] ? counter_median_find(cells[p], name) : NULL);
	html(out, "</tr>\n");
}

/* The rows of the first panel that has any: all cells of a series have the same. */
static void counter_table(FILE *out, const struct model *model, size_t series,
			  const struct counter_summary *const *cells)
{
	const struct counter_summary *first = NULL;

	for (size_t p = 0; p < model->panels && !first; p++)
		first = cells[p];
	if (!first)
		return;
	html(out,
	     "<h3>%s</h3>\n<div class=\"scroll\" tabindex=\"0\" role=\"group\" "
	     "aria-label=\"Counters of "
	     "%s\">\n<table>\n<thead><tr><th scope=\"col\">counter</th>",
	     model->series[series].name, model->series[series].name);
	for (size_t p = 0; p < model->panels; p++)
		html(out, "<th scope=\"col\" class=\"n\">%s</th>", model->panel[p].name);
	html(out, "</tr></thead>\n<tbody>\n");
	for (unsigned c = 0; c < first->count; c++)
		counter_row(out, cells, model->panels, first->counter[c].name);
	html(out, "</tbody></table></div>\n");
}

/* ---- what designs have in common (allocators/pool.h), side by side ---- */

static const char *const common_counters[] = {
	"fast_allocs",       "fast_frees",       "refills",     "splits",         "merges",
	"lock_acquisitions", "lock_contentions", "pages_taken", "pages_returned",
};
#define COMMON_COUNTERS (sizeof(common_counters) / sizeof(*common_counters))

static void common_row(FILE *out, const char *series, const struct counter_summary *cell)
{
	html(out, "<tr><th scope=\"row\">%s</th>", series);
	for (size_t c = 0; c < COMMON_COUNTERS; c++) {
		const struct counter_median *median = counter_median_find(cell, common_counters[c]);

		if (median && isfinite(median->per_operation))
			html(out, "<td class=\"n\">%.4f</td>", median->per_operation);
		else
			html(out, "<td class=\"n soft\">–</td>");
	}
	html(out, "</tr>\n");
}

static void common_table(FILE *out, const struct model *model, unsigned run, size_t panel,
			 const struct counter_summary *summaries, size_t count)
{
	const unsigned threads = panel_threads(model, panel);

	html(out,
	     "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"Counters in "
	     "common under %s\">\n<table>\n<thead><tr><th scope=\"col\">%s, an operation</th>",
	     model->panel[panel].name, model->panel[panel].name);
	for (size_t c = 0; c < COMMON_COUNTERS; c++) {
		const char *name = common_counters[c];
		const size_t word = strcspn(name, "_");
		const int first = (int)(word + (name[word] == '_'));

		/* Two lines where the name has two words: nine columns must fit a page. */
		fprintf(out, "<th scope=\"col\" class=\"n\">%.*s<wbr>%s</th>", first, name,
			name + first);
	}
	html(out, "</tr></thead>\n<tbody>\n");
	for (size_t s = 0; s < model->series_count; s++) {
		const struct point *point = model_point(model, s, panel, threads);
		const struct counter_summary *cell =
			point && model->series[s].run == run
				? counter_summary_find(summaries, count, &point->cell->cell)
				: NULL;

		if (cell)
			common_row(out, model->series[s].name, cell);
	}
	html(out, "</tbody></table></div>\n");
}

/* The tables of one run's series. */
static void run_counters(FILE *out, const struct model *model, unsigned run)
{
	const struct model_run *source = &model->run[run];
	const struct counter_summary **cells = calloc(model->panels + 1, sizeof(*cells));
	struct counter_summary *summaries = NULL;
	size_t count = 0;

	if (cells && counters_summarise(source->records, source->count, &summaries, &count) != 0)
		count = 0;
	for (size_t p = 0; p < model->panels && count; p++)
		common_table(out, model, run, p, summaries, count);
	for (size_t s = 0; cells && s < model->series_count; s++) {
		if (model->series[s].run != run)
			continue;
		for (size_t p = 0; p < model->panels; p++) {
			const struct point *point = model_point(model, s, p,
								panel_threads(model, p));

			cells[p] = point ? counter_summary_find(summaries, count,
								&point->cell->cell)
					 : NULL;
		}
		counter_table(out, model, s, cells);
	}
	free(summaries);
	free(cells);
}

void report_counters(FILE *out, const struct model *model)
{
	char *tables = NULL;
	size_t bytes = 0;
	FILE *text = open_memstream(&tables, &bytes);

	if (!text)
		return;
	for (size_t run = 0; run < model->runs; run++)
		run_counters(text, model, (unsigned)run);
	fclose(text);
	if (bytes)
		fprintf(out,
			"<section id=\"counters\">\n<h2>The backends' own counters</h2>\n<p>What "
			"each "
			"design counts of itself, at the most threads, median over repetitions: "
			"events an "
			"alloc or free, and below them all events since the pool was made. "
			"<code>poolbench "
			"list BACKEND --counters</code> says what each one "
			"counts.</p>\n%s</section>\n",
			tables);
	free(tables);
}
