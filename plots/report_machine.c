/* The page's end: the machine, how to do it again, what the numbers mean. */
#include <stdlib.h>
#include <string.h>

#include "html.h"
#include "report.h"
#include "results/run_plan.h"
#include "results/text.h"

#define MACHINE_DEPTH 4

static void scalar(FILE *out, const json_t *value)
{
	if (json_is_string(value))
		html(out, "%s", json_string_value(value));
	else if (json_is_integer(value))
		fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else if (json_is_real(value))
		html(out, "%.6g", json_real_value(value));
	else if (json_is_boolean(value))
		html(out, "%s", json_is_true(value) ? "yes" : "no");
	else
		html(out, "<span class=\"soft\">unknown</span>");
}

static void entry(FILE *out, const char *name, const json_t *value)
{
	const json_t *item;
	size_t i;

	html(out, "<dt>");
	for (const char *c = name; *c; c++)
		html(out, "%s", (char[]){ *c == '_' ? ' ' : *c, '\0' });
	html(out, "</dt><dd>");
	if (json_is_array(value)) {
		json_array_foreach(value, i, item)
		{
			html(out, "%s", i ? ", " : "");
			if (json_is_object(item) || json_is_array(item)) {
				char *text = json_dumps(item, JSON_COMPACT);
				html(out, "%s", text ? text : "");
				free(text);
			} else {
				scalar(out, item);
			}
		}
	} else {
		scalar(out, value);
	}
	html(out, "</dd>\n");
}

/* Nested objects become one list, their names joined: "memory total bytes". */
static void entries(FILE *out, const json_t *object, const char *prefix, int depth)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)object, name, value)
	{
		char full[256];
		snprintf(full, sizeof(full), "%.120s%s%.120s", prefix, prefix[0] ? " " : "", name);
		if (json_is_object(value) && depth < MACHINE_DEPTH)
			entries(out, value, full, depth + 1);
		else
			entry(out, full, value);
	}
}

/* What is said of the run as a whole first, then a list a topic: machine, build, options, ... */
static void machine_list(FILE *out, const json_t *environment)
{
	const char *name;
	json_t *value;

	html(out, "<dl>\n");
	json_object_foreach((json_t *)environment, name, value)
	{
		if (!json_is_object(value))
			entry(out, name, value);
	}
	html(out, "</dl>\n");
	json_object_foreach((json_t *)environment, name, value)
	{
		if (!json_is_object(value) || !json_object_size(value))
			continue;
		html(out, "<h4>%s</h4>\n<dl>\n", name);
		entries(out, value, "", 1);
		html(out, "</dl>\n");
	}
}

void report_machine(FILE *out, const struct model *model)
{
	html(out, "<section id=\"machine\">\n<h2>The machine</h2>\n");
	for (size_t r = 0; r < model->runs; r++) {
		if (model->runs > 1)
			html(out, "<h3>[%zu] %s</h3>\n", r + 1, model->run[r].name);
		if (!json_is_object(model->run[r].environment)) {
			html(out, "<p>Not recorded: <code>environment.json</code> is missing or "
				  "unreadable.</p>\n");
			continue;
		}
		machine_list(out, model->run[r].environment);
	}
	html(out, "</section>\n");
}

/* ---- how to do it again ---- */

/* For a POSIX shell: plain where nothing needs quotes. */
static void shell_word(FILE *out, const char *word)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%";

	if (*word && strspn(word, plain) == strlen(word)) {
		html(out, "%s", word);
		return;
	}
	html(out, "'");
	for (; *word; word++) {
		if (*word == '\'')
			html(out, "%s", "'\\''");
		else
			markup_text(out, (char[]){ *word, '\0' });
	}
	html(out, "'");
}

static void command_line(FILE *out, const struct model_run *run)
{
	struct run_plan plan;
	char why[256];

	if (run_plan_read(run->path, &plan, why, sizeof(why))) {
		html(out,
		     "<p>The run's plan is not there (%s); the records' seed is "
		     "<code>%zu</code>.</p>\n",
		     why, (size_t)run->records[0].seed);
		return;
	}
	html(out, "<pre><code>poolbench %s", run->tune ? "tune" : "run");
	for (size_t i = 0; i < plan.option_count; i++) {
		html(out, " \\\n    --%s", plan.options[i].name);
		if (plan.options[i].value[0]) {
			html(out, " ");
			shell_word(out, plan.options[i].value);
		}
	}
	if (!run_plan_option(&plan, "seed"))
		html(out, " \\\n    --seed %zu", (size_t)plan.seed);
	html(out, "</code></pre>\n");
	run_plan_release(&plan);
}

void report_reproduce(FILE *out, const struct model *model)
{
	html(out, "<section id=\"reproduce\">\n<h2>How to reproduce</h2>\n<p>The same seed and "
		  "options give the same "
		  "trace, byte for byte, on any machine; the times are this machine's.</p>\n");
	for (size_t r = 0; r < model->runs; r++)
		command_line(out, &model->run[r]);
	html(out, "<p>This page and its figures again, from the run's files "
		  "alone:</p>\n<pre><code>poolbench report");
	for (size_t r = 0; r < model->runs; r++) {
		html(out, " ");
		shell_word(out, model->run[r].path);
	}
	html(out, "</code></pre>\n</section>\n");
}

void report_glossary(FILE *out)
{
	html(out,
	     "<section id=\"glossary\">\n<h2>What the numbers mean</h2>\n"
	     "<p><b>ns/op</b> is the time of one alloc or free, the harness's own share in; "
	     "<b>net</b> has the "
	     "floor, the same trace through a backend that does nothing, taken off. An interval is "
	     "the median's, "
	     "from order statistics over fresh processes. <b>Live</b> is what callers hold, "
	     "<b>committed</b> what "
	     "the pool took, <b>resident</b> what the kernel says is in memory: three different "
	     "numbers. A dash "
	     "was not measured; it is never a zero.</p>\n"
	     "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"All "
	     "metrics\">\n<table>\n<thead><tr>"
	     "<th scope=\"col\">metric</th><th scope=\"col\">unit</th><th scope=\"col\">better</th>"
	     "<th scope=\"col\">meaning</th></tr></thead>\n<tbody>\n");
	for (size_t m = 0; m < METRIC_COUNT; m++) {
		const struct metric_info *info = &metric_table[m];
		html(out,
		     "<tr><th scope=\"row\"><code>%s</code></th><td>%s</td><td>%s</td><td "
		     "class=\"wrap\">%s</td></tr>\n",
		     info->name, info->unit,
		     info->better == BETTER_HIGHER  ? "higher"
		     : info->better == BETTER_LOWER ? "lower"
						    : "–",
		     info->help);
	}
	html(out, "</tbody></table></div>\n</section>\n");
}
