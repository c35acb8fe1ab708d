/* The page's first section where the run is a tuning: the answer in words, and every setting's standing. */
#include <math.h>
#include <string.h>

#include "html.h"
#include "report.h"

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static void number_cell(FILE *out, const json_t *object, const char *key, double scale,
			const char *format)
{
	const json_t *value = json_object_get(object, key);

	html(out, "<td class=\"n\">");
	if (json_is_number(value))
		html(out, format, json_number_value(value) / scale);
	else
		html(out, "<abbr title=\"not measured\">–</abbr>");
	html(out, "</td>");
}

/* "+9.1 %" and its interval, from a ratio of times. */
static void speed_cell(FILE *out, const json_t *ratio, int baseline)
{
	const json_t *centre = json_object_get(ratio, "ratio");

	html(out, "<td class=\"n\">");
	if (baseline)
		html(out, "baseline");
	else if (json_is_number(centre) && json_number_value(json_object_get(ratio, "level")) < 0.9)
		html(out, "%+.1f %%", 100 * (1 / json_number_value(centre) - 1));
	else if (json_is_number(centre))
		html(out, "%+.1f %%<br><span class=\"range\">%+.1f to %+.1f</span>",
		     100 * (1 / json_number_value(centre) - 1),
		     100 * (1 / json_number_value(json_object_get(ratio, "high")) - 1),
		     100 * (1 / json_number_value(json_object_get(ratio, "low")) - 1));
	else
		html(out, "<abbr title=\"not measured\">–</abbr>");
	html(out, "</td>");
}

static void setting_row(FILE *out, const json_t *setting, size_t condition, int baseline)
{
	const json_t *here = json_array_get(json_object_get(setting, "conditions"), condition);
	const json_t *metrics = json_object_get(here, "metrics");
	const char *standing = text_of(setting, "standing");
	const int answer = strcmp(standing, "answer") == 0 || strcmp(standing, "leads") == 0;
	const int measured = strcmp(text_of(setting, "status"), "OK") == 0;

	html(out, "<tr><th scope=\"row\">%s</th>", text_of(setting, "name"));
	html(out, "<td%s><span%s>%s</span></td>", measured ? "" : " class=\"bad\"",
	     answer ? " class=\"best\"" : "", standing);
	speed_cell(out, json_object_get(json_object_get(here, "over_baseline"), "speed"), baseline);
	number_cell(out, metrics, "resident_bytes_peak", 1048576, "%.2f");
	number_cell(out, metrics, "alloc_ns_p99", 1, "%.0f");
	number_cell(out, metrics, "dtlb_misses_per_op", 1, "%.3f");
	number_cell(out, metrics, "page_faults", 1, "%.0f");
	number_cell(out, metrics, "major_faults", 1, "%.0f");
	number_cell(out, metrics, "commits", 1, "%.0f");
	number_cell(out, metrics, "internal_fragmentation", 0.01, "%.1f");
	number_cell(out, metrics, "external_fragmentation", 0.01, "%.1f");
	number_cell(out, setting, "blocks", 1, "%.0f");
	html(out, "</tr>\n");
}

static void settings_table(FILE *out, const json_t *tune, size_t c)
{
	const json_t *condition = json_array_get(json_object_get(tune, "conditions"), c);
	const json_t *settings = json_object_get(tune, "settings"), *setting;
	const double threads = json_number_value(json_object_get(condition, "threads"));

	html(out,
	     "<h3>%s, %.0f thread%s</h3>\n<div class=\"scroll\" tabindex=\"0\" role=\"group\" "
	     "aria-label=\"Settings\">\n<table>\n<caption>Speed in pairs within blocks against the "
	     "baseline, with its 95 %% interval; blocks: how often it was measured.</caption>\n"
	     "<thead><tr><th scope=\"col\">setting</th><th scope=\"col\">standing</th>",
	     text_of(condition, "workload"), threads, threads > 1 ? "s" : "");
	html(out, "<th scope=\"col\" class=\"n\">faster</th>"
		  "<th scope=\"col\" class=\"n\">peak resident MiB</th>"
		  "<th scope=\"col\" class=\"n\">alloc p99 ns</th>"
		  "<th scope=\"col\" class=\"n\">dTLB misses/op</th>"
		  "<th scope=\"col\" class=\"n\">page faults</th>"
		  "<th scope=\"col\" class=\"n\">major faults</th>"
		  "<th scope=\"col\" class=\"n\">commits</th>"
		  "<th scope=\"col\" class=\"n\">waste inside blocks, %%</th>"
		  "<th scope=\"col\" class=\"n\">outside, %%</th>"
		  "<th scope=\"col\" class=\"n\">blocks</th></tr></thead>\n<tbody>\n");
	for (size_t s = 0; (setting = json_array_get(settings, s)); s++)
		setting_row(out, setting, c,
			    (double)s == json_number_value(json_object_get(tune, "baseline")));
	html(out, "</tbody></table></div>\n");
}

void report_tune(FILE *out, const struct model *model)
{
	const json_t *tune = model_tune(model), *answer = json_object_get(tune, "answer");
	const json_t *words = json_object_get(tune, "words"), *line;

	html(out, "<section id=\"summary\">\n<h2>The answer: %s</h2>\n", text_of(tune, "verdict"));
	for (size_t i = 0; (line = json_array_get(words, i)); i++)
		/* the first line says what was asked, the second is the answer */
		html(out, i == 1 ? "<p><b>%s</b></p>\n" : "<p>%s</p>\n", json_string_value(line));
	if (json_is_object(answer))
		html(out,
		     "<p>The setting, and how to measure it again:</p>\n"
		     "<pre><code>%s\n%s</code></pre>\n",
		     text_of(answer, "options"), text_of(answer, "command"));
	html(out, "</section>\n");
}

void report_settings(FILE *out, const struct model *model)
{
	const json_t *tune = model_tune(model);

	html(out, "<section id=\"settings\">\n<h2>All settings</h2>\n");
	for (size_t c = 0; c < json_array_size(json_object_get(tune, "conditions")); c++)
		settings_table(out, tune, c);
	html(out, "</section>\n");
}
