/* A comparison's section of the page: the verdict, then each series of each cell. */
#include <math.h>
#include <string.h>

#include "comparison.h"
#include "html.h"
#include "report.h"

static void number_cell(FILE *out, const char *format, double value)
{
	html(out, "<td class=\"n\">");
	if (isfinite(value))
		html(out, format, value);
	else
		html(out, "–");
	html(out, "</td>");
}

static void series_row(FILE *out, const json_t *cell, const json_t *series, int first)
{
	const json_t *ratio = json_object_get(series, "b_over_a");
	const char *verdict = comparison_text(series, "verdict"),
		   *note = comparison_text(series, "note");
	const int gate = json_is_true(json_object_get(series, "gate"));
	const int bytes = strcmp(comparison_text(series, "unit"), "bytes") == 0;
	const double scale = bytes ? 1048576 : 1;

	fprintf(out, "<tr class=\"%s%s\">", first ? "group " : "", gate ? "" : "floor");
	html(out, "<th scope=\"row\" class=\"wrap\">%s</th><td>%s%s</td>",
	     first ? comparison_text(cell, "title") : "", comparison_text(series, "series"),
	     gate ? "" : " (not gating)");
	number_cell(out, bytes ? "%.2f MiB" : "%.4g",
		    comparison_number(series, "a_median") / scale);
	number_cell(out, bytes ? "%.2f MiB" : "%.4g",
		    comparison_number(series, "b_median") / scale);
	number_cell(out, "%+.2f %%", comparison_change(ratio, "ratio"));
	html(out, "<td class=\"n range\">");
	if (isfinite(comparison_number(ratio, "low")))
		html(out, "%+.2f to %+.2f", comparison_change(ratio, "low"),
		     comparison_change(ratio, "high"));
	html(out, "</td>");
	number_cell(out, "%.2f %%", 100 * comparison_number(series, "threshold"));
	number_cell(out, "%.0f %%", 100 * comparison_number(series, "power"));
	fprintf(out, "<td><span%s>",
		strcmp(verdict, "REGRESSION") == 0 && gate ? " class=\"bad\"" : "");
	html(out, "%s</span>%s%s</td></tr>\n", verdict, *note ? ": " : "", note);
}

/* What the controls of a cell showed, in a sentence. */
static void controls(FILE *out, const json_t *cell)
{
	const json_t *time = json_array_get(json_object_get(cell, "series"), 0);
	const double control = comparison_change(json_object_get(time, "a_over_a"), "ratio");
	const double planted = comparison_change(json_object_get(time, "planted"), "ratio");
	const double clock = 100 * comparison_number(cell, "planted_share_by_clock");
	const char *pass, *why;
	json_t *failure;

	html(out, "<li>%s: ", comparison_text(cell, "title"));
	if (isfinite(control))
		html(out, "A differs from A by %+.2f %%", control);
	else
		html(out, "no control was measured");
	if (isfinite(planted) && isfinite(clock))
		html(out, "; a planted %+.2f %% (by its own clock) is seen as %+.2f %%", clock,
		     planted);
	json_object_foreach(json_object_get(cell, "failures"), pass, failure)
	{
		why = json_string_value(failure);
		html(out, "; the %s pass failed: %s", pass, why ? why : "");
	}
	html(out, "</li>\n");
}

void report_comparison(FILE *out, const struct model *model)
{
	const json_t *root = model->run[0].comparison, *cell, *series;
	size_t i, k;

	html(out,
	     "<section id=\"summary\">\n<h2>%s</h2>\n<p>B is <code>%s</code>, A is "
	     "<code>%s</code>.</p>\n"
	     "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"Verdicts\">\n"
	     "<table>\n<caption>Medians of A and B, the change of B against A with its exact "
	     "interval, the threshold from which a change counts, and the power to suspect one of "
	     "the smallest size that matters.</caption>\n"
	     "<thead><tr><th scope=\"col\">cell</th><th scope=\"col\">series</th>"
	     "<th scope=\"col\" class=\"n\">A</th><th scope=\"col\" class=\"n\">B</th>"
	     "<th scope=\"col\" class=\"n\">change</th><th scope=\"col\" class=\"n\">interval</th>"
	     "<th scope=\"col\" class=\"n\">threshold</th><th scope=\"col\" class=\"n\">power</th>"
	     "<th scope=\"col\">verdict</th></tr></thead>\n<tbody>\n",
	     comparison_text(root, "verdict"), comparison_text(root, "b"),
	     comparison_text(root, "a"));
	json_array_foreach(json_object_get(root, "cells"), i, cell)
		json_array_foreach(json_object_get(cell, "series"), k, series)
			series_row(out, cell, series, k == 0);
	html(out, "</tbody>\n</table>\n</div>\n<div class=\"notes\" role=\"note\"><p><b>The "
		  "instrument, checked in this session</b></p><ul>\n");
	json_array_foreach(json_object_get(root, "cells"), i, cell) controls(out, cell);
	html(out, "</ul></div>\n</section>\n");
}
