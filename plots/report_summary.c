/* The page's first section: the verdict in words, then what to distrust. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "html.h"
#include "report.h"

#define CANARY_NOISE 0.05 /* quartile range over median: a quiet machine stays well below */
#define CELL_NOISE   0.10

/* ---- the verdict ---- */

/* Whether the first is better than the second beyond doubt: medians of several whose intervals do not touch. */
static int is_apart(const struct model *model, size_t panel, enum metric metric,
		    const unsigned *order)
{
	unsigned threads = panel_threads(model, panel);
	const struct metric_summary *first =
		&model_point(model, order[0], panel, threads)->cell->metrics[metric];
	const struct metric_summary *second =
		&model_point(model, order[1], panel, threads)->cell->metrics[metric];

	if (first->n < 2 || second->n < 2)
		return first->median !=
		       second->median; /* bytes of one repetition: no interval to ask */
	return metric_table[metric].better == BETTER_HIGHER
		       ? first->interval.low > second->interval.high
		       : first->interval.high < second->interval.low;
}

static void cell_winner(FILE *out, const struct model *model, size_t panel, enum metric metric,
			double scale, const char *format, const char *label)
{
	unsigned threads = panel_threads(model, panel);
	unsigned *order = calloc(model->series_count + 1, sizeof(*order));
	size_t measured = 0;

	html(out, "<td data-label=\"%s\">", label);
	if (order)
		panel_order(model, panel, threads, metric, order, &measured);
	if (!measured) {
		html(out, "<span class=\"soft\">nobody was measured</span></td>");
		free(order);
		return;
	}
	const struct point *best = model_point(model, order[0], panel, threads);
	const struct metric_summary *first = &best->cell->metrics[metric];
	html(out, "<b>%s</b> ", model->series[order[0]].name);
	html(out, format, first->median / scale);
	if (measured > 1) {
		const struct point *next = model_point(model, order[1], panel, threads);
		const struct metric_summary *second = &next->cell->metrics[metric];
		if (is_apart(model, panel, metric, order))
			html(out, "; <span class=\"soft\">next %s, %.2f times that</span>",
			     model->series[order[1]].name, second->median / first->median);
		else
			html(out,
			     "; <span class=\"soft\">level with %s: their intervals overlap</span>",
			     model->series[order[1]].name);
	}
	html(out, "</td>");
	free(order);
}

static void verdict_table(FILE *out, const struct model *model)
{
	html(out, "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"The best of "
		  "each workload\">\n"
		  "<table class=\"verdict\">\n<caption>The best of each workload, at its most "
		  "threads; the floor does not compete."
		  "</caption>\n<thead><tr><th scope=\"col\">workload</th><th scope=\"col\" "
		  "class=\"n\">threads</th>"
		  "<th scope=\"col\">fastest</th><th scope=\"col\">leanest (peak resident over "
		  "peak live)</th>"
		  "<th scope=\"col\">steadiest alloc (p99.9)</th></tr></thead>\n<tbody>\n");
	for (size_t p = 0; p < model->panels; p++) {
		html(out,
		     "<tr><th scope=\"row\" class=\"wrap\">%s</th><td class=\"n\" "
		     "data-label=\"threads\">%u</td>",
		     model->panel[p].name, panel_threads(model, p));
		cell_winner(out, model, p, METRIC_ops_per_second, 1e6, "%.1f M ops/s", "fastest");
		cell_winner(out, model, p, METRIC_footprint_ratio, 1, "%.2f×", "leanest");
		cell_winner(out, model, p, METRIC_alloc_ns_p99_9, 1, "%.0f ns",
			    "steadiest alloc, p99.9");
		html(out, "</tr>\n");
	}
	html(out, "</tbody></table></div>\n");
}

/* "slub is fastest in 3 of 5 workloads, in 1 of them level with the next", for whoever is first most often. */
static void verdict_sentence(FILE *out, const struct model *model, enum metric metric,
			     const char *what)
{
	unsigned *order = calloc(model->series_count + 1, sizeof(*order));
	unsigned *wins = calloc(model->series_count + 1, sizeof(*wins));
	unsigned *level = calloc(model->series_count + 1, sizeof(*level));
	unsigned decided = 0;
	size_t best = 0, measured;

	for (size_t p = 0; order && wins && level && p < model->panels; p++) {
		panel_order(model, p, panel_threads(model, p), metric, order, &measured);
		if (!measured)
			continue;
		decided++;
		wins[order[0]]++;
		level[order[0]] += measured > 1 && !is_apart(model, p, metric, order);
	}
	for (size_t s = 1; decided && s < model->series_count; s++) {
		if (wins[s] > wins[best])
			best = s;
	}
	if (decided) {
		html(out, "<b>%s</b> is %s in %u of %u workload%s", model->series[best].name, what,
		     wins[best], decided, decided == 1 ? "" : "s");
		if (level[best])
			html(out, ", in %u of them level with the next", level[best]);
		html(out, ". ");
	}
	free(order);
	free(wins);
	free(level);
}

/* ---- what went wrong, and what to distrust ---- */

static int same_failure(const struct point *a, const struct point *b)
{
	return a->series == b->series && a->cell->status == b->cell->status &&
	       strcmp(a->cell->reason, b->cell->reason) == 0;
}

static int said_before(const struct model *model, size_t index)
{
	for (size_t i = 0; i < index; i++) {
		if (model->point[i].cell->status != CELL_OK &&
		    same_failure(&model->point[i], &model->point[index]))
			return 1;
	}
	return 0;
}

static void failure_item(FILE *out, const struct model *model, size_t index)
{
	const struct point *point = &model->point[index];
	unsigned cells = 0;

	html(out, "<li><b>%s</b> <span class=\"bad\">%s</span>: %s <span class=\"soft\">(",
	     model->series[point->series].name, cell_status_names[point->cell->status],
	     point->cell->reason[0] ? point->cell->reason : "no reason recorded");
	for (size_t i = index; i < model->points; i++) {
		const struct point *other = &model->point[i];
		if (other->cell->status == CELL_OK || !same_failure(point, other))
			continue;
		if (++cells <= 6)
			html(out, "%s%s, %u thread%s", cells > 1 ? "; " : "",
			     model->panel[other->panel].name, other->threads,
			     other->threads == 1 ? "" : "s");
	}
	if (cells > 6)
		html(out, "; and %u more cells", cells - 6);
	html(out, ")</span></li>\n");
}

static void failures(FILE *out, const struct model *model)
{
	size_t bad = 0;

	for (size_t i = 0; i < model->points; i++)
		bad += model->point[i].cell->status != CELL_OK;
	if (!bad) {
		html(out, "<p>All %zu cells were measured.</p>\n", model->points);
		return;
	}
	html(out,
	     "<div class=\"warnings\" role=\"note\">\n<p><b>%zu of %zu cells have no full "
	     "result.</b></p>\n<ul>\n",
	     bad, model->points);
	for (size_t i = 0; i < model->points; i++) {
		if (model->point[i].cell->status != CELL_OK && !said_before(model, i))
			failure_item(out, model, i);
	}
	html(out, "</ul>\n</div>\n");
}

/* The quartile range of a canary over its median, over all processes of a run; NaN for fewer than four. */
static double canary_noise(const struct model_run *run, enum metric metric)
{
	double *values = calloc(run->count + 1, sizeof(*values)), noise = NAN;
	size_t n = 0;

	for (size_t i = 0; values && i < run->count; i++)
		values[n++] = run->records[i].metrics[metric];
	n = values ? sort_finite(values, n) : 0;
	if (n >= 4)
		noise = (sorted_quantile(values, n, 0.75) - sorted_quantile(values, n, 0.25)) /
			sorted_median(values, n);
	free(values);
	return noise;
}

static void noise_items(FILE *out, const struct model *model)
{
	unsigned noisy = 0, few = 0, cells = 0, unlocked = 0, unbound = 0;

	for (size_t r = 0; r < model->runs; r++) {
		double arithmetic = canary_noise(&model->run[r], METRIC_canary_arithmetic_ns);
		double memory = canary_noise(&model->run[r], METRIC_canary_memory_ns);
		if (arithmetic > CANARY_NOISE || memory > CANARY_NOISE)
			html(out,
			     "<li><b>A noisy machine.</b> The canaries, loops that do the same in "
			     "every process, "
			     "varied by %.0f %% (arithmetic) and %.0f %% (memory) between "
			     "quartiles in %s. Small "
			     "differences are not to be trusted: <code>poolbench ab</code> pairs "
			     "and interleaves.</li>\n",
			     100 * arithmetic, 100 * memory, model->run[r].name);
		for (size_t i = 0; i < model->run[r].count; i++) {
			unlocked += model->run[r].records[i].nonpaged_locked == 0;
			unbound += !model->run[r].records[i].bound;
		}
	}
	for (size_t i = 0; i < model->points; i++) {
		const struct metric_summary *m = &model->point[i].cell->metrics[METRIC_ns_per_op];
		cells += m->n > 0;
		few += m->n > 0 && m->n < 6;
		noisy += m->n > 3 && (m->q3 - m->q1) / m->median > CELL_NOISE;
	}
	if (noisy)
		html(out,
		     "<li>%u of %u cells vary by more than 10 %% between quartiles of their "
		     "repetitions.</li>\n",
		     noisy, cells);
	if (few)
		html(out,
		     "<li>%u of %u cells have fewer than 6 repetitions: their interval is the "
		     "whole range, and "
		     "that is less than 95 %% sure (93.75 %% for 5, 75 %% for 3).</li>\n",
		     few, cells);
	if (unlocked)
		html(out,
		     "<li>Nonpaged pages were faulted in but not locked in %u of the processes: "
		     "the lock limit "
		     "(<code>ulimit -l</code>) is too low.</li>\n",
		     unlocked);
	if (unbound)
		html(out, "<li>Threads were not bound to processors in %u of the processes.</li>\n",
		     unbound);
}

static void caveat_items(FILE *out, const struct model *model)
{
	for (size_t s = 0; s < model->series_count; s++) {
		const char *caveats = model->series[s].caveats;
		int before = 0;
		for (size_t i = 0; i < s; i++)
			before |= strcmp(model->series[i].caveats, caveats) == 0;
		if (!caveats[0] || before)
			continue;
		html(out, "<li><b>");
		for (size_t i = s, n = 0; i < model->series_count; i++) {
			if (strcmp(model->series[i].caveats, caveats) == 0)
				html(out, "%s%s", n++ ? ", " : "", model->series[i].name);
		}
		html(out, "</b>: %s</li>\n", caveats);
	}
}

void report_summary(FILE *out, const struct model *model)
{
	if (model_tune(model)) {
		html(out, "<section id=\"doubts\">\n<h2>How far to trust it</h2>\n");
	} else {
		html(out, "<section id=\"summary\">\n<h2>Summary</h2>\n<p>");
		verdict_sentence(out, model, METRIC_ops_per_second, "fastest");
		verdict_sentence(out, model, METRIC_footprint_ratio, "leanest");
		html(out, "</p>\n");
		verdict_table(out, model);
	}
	if (!model_tune(model)) /* which says itself what it could not have */
		failures(out, model);
	char *items = NULL;
	size_t bytes = 0;
	FILE *notes = open_memstream(&items, &bytes);
	if (notes) {
		noise_items(notes, model);
		caveat_items(notes, model);
		fclose(notes);
		if (bytes)
			fprintf(out,
				"<div class=\"notes\" role=\"note\">\n<p><b>Read the numbers with "
				"this in mind.</b></p>\n"
				"<ul>\n%s</ul>\n</div>\n",
				items);
		free(items);
	}
	html(out, "</section>\n");
}
