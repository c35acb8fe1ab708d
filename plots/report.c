/* The page's frame and its figures. */
#include "report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "html.h"

void report_path(const char *const *run_dirs, const char *out, char *path, size_t bytes)
{
	if (out)
		snprintf(path, bytes, "%s", out);
	else
		snprintf(path, bytes, "%s/report.html", run_dirs[0]);
}

/* Beside the page; a run's own page has its figures in plots/, where DESIGN puts them. */
static void plots_path(const char *const *run_dirs, const char *out, char *path, size_t bytes)
{
	if (!out) {
		snprintf(path, bytes, "%s/plots", run_dirs[0]);
		return;
	}
	size_t length = strlen(out);
	if (length > 5 && strcmp(out + length - 5, ".html") == 0)
		length -= 5;
	snprintf(path, bytes, "%.*s-plots", (int)length, out);
}

static size_t competitors(const struct model *model)
{
	size_t n = 0;

	for (size_t i = 0; i < model->series_count; i++)
		n += !model->series[i].floor;
	return n;
}

void report_head(FILE *out, const char *title)
{
	char css[4300];

	html(out,
	     "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	     "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	     "<title>poolbench: %s</title>\n<style>\n",
	     title);
	snprintf(css, sizeof(css), "%s/report.css", plots_directory());
	html_file(out, css);
	html(out, "</style>\n</head>\n<body>\n<main>\n");
}

void report_end(FILE *out)
{
	html(out, "</main>\n</body>\n</html>\n");
}

static void page_head(FILE *out, const struct model *model)
{
	report_head(out, model->run[0].name);
	html(out, "<header>\n");
	if (model->run[0].comparison)
		html(out, "<h1>Is B slower than A?</h1>\n");
	else if (model_tune(model))
		html(out, "<h1>Pages for %s</h1>\n",
		     json_string_value(json_object_get(model_tune(model), "backend")));
	else
		html(out, "<h1>%zu pool allocator%s under %zu workload%s</h1>\n",
		     competitors(model), competitors(model) == 1 ? "" : "s", model->panels,
		     model->panels == 1 ? "" : "s");
	html(out, "<p class=\"soft\">poolbench, run%s", model->runs == 1 ? "" : "s");
	for (size_t r = 0; r < model->runs; r++) {
		if (model->runs > 1)
			html(out, "%s [%zu]", r ? "," : "", r + 1);
		html(out, " <code>%s</code>", model->run[r].name);
	}
	html(out, "; threads:");
	for (size_t t = 0; t < model->thread_counts; t++)
		html(out, "%s %u", t ? "," : "", model->threads[t]);
	html(out,
	     "</p>\n<nav aria-label=\"Contents\"><ul>\n<li><a href=\"#summary\">%s</a></li>\n"
	     "<li><a href=\"#figures\">Figures</a></li>\n",
	     model_tune(model) ? "The answer" : "Summary");
	if (!model->run[0].comparison)
		html(out, "<li><a href=\"#tables\">Tables</a></li>\n");
	html(out,
	     "<li><a href=\"#machine\">The machine</a></li>\n"
	     "<li><a href=\"#reproduce\">How to reproduce</a></li>\n"
	     "<li><a href=\"#glossary\">What the numbers mean</a></li>\n</ul></nav>\n</header>\n");
}

void report_picture(FILE *out, const struct picture *picture, const char *plots_dir)
{
	char path[4400];

	snprintf(path, sizeof(path), "%s/%s.svg", plots_dir, picture->stem);
	html(out,
	     "<figure>\n<div class=\"scroll\" tabindex=\"0\" role=\"group\" "
	     "aria-label=\"%s\">\n<img alt=\"%s\" "
	     "width=\"%u\" height=\"%u\" src=\"",
	     picture->title, picture->alt, picture->width, picture->height);
	html_data_uri(out, path, "image/svg+xml");
	html(out, "\">\n</div>\n</figure>\n");
}

/* Where each kind of figure is: the page is long. */
static void page_figure_list(FILE *out, const struct picture *pictures, size_t count)
{
	html(out, "<nav aria-label=\"Figures\"><ul>\n");
	for (size_t i = 0; i < count; i++)
		if (!i || pictures[i].figure != pictures[i - 1].figure)
			html(out, "<li><a href=\"#figure-%s\">%s</a></li>\n",
			     pictures[i].figure->name, pictures[i].figure->name);
	html(out, "</ul></nav>\n");
}

static void page_figures(FILE *out, const struct picture *pictures, size_t count, const char *plots,
			 const char *missing)
{
	const struct figure *figure = NULL;

	html(out, "<section id=\"figures\">\n");
	if (!count || missing)
		html(out, "<h2>Figures</h2>\n");
	if (missing)
		html(out,
		     "<div class=\"warnings\" role=\"note\"><p><b>Not all figures were drawn.</b> "
		     "%s</p></div>\n",
		     missing);
	else if (!count)
		html(out, "<p>No cell has numbers to draw.</p>\n");
	if (count > 1)
		page_figure_list(out, pictures, count);
	for (size_t i = 0; i < count; i++) {
		if (pictures[i].figure != figure) {
			figure = pictures[i].figure;
			html(out, "<h2 id=\"figure-%s\">%s</h2>\n<p>%s</p>\n", figure->name,
			     figure->title, figure->summary);
		}
		if (figure->flags & FIGURE_FOLDED)
			html(out, "<details%s><summary>%s</summary>\n",
			     i && pictures[i - 1].figure == figure ? "" : " open",
			     pictures[i].title);
		else if (figure->flags & FIGURE_EACH_PANEL)
			html(out, "<h3>%s</h3>\n", pictures[i].title);
		report_picture(out, &pictures[i], plots);
		if (figure->flags & FIGURE_FOLDED)
			html(out, "</details>\n");
	}
	html(out, "</section>\n");
}

static int page_write(const struct model *model, const struct picture *pictures, size_t count,
		      const char *plots, const char *missing, const char *path, char *why,
		      size_t why_bytes)
{
	char part[4400];
	int err = 0;

	snprintf(part, sizeof(part), "%s.part", path);
	FILE *out = fopen(part, "we");
	if (!out) {
		err = -errno;
		snprintf(why, why_bytes, "cannot write %.900s: %s", part, strerror(-err));
		return err;
	}
	page_head(out, model);
	if (model->run[0].comparison) {
		report_comparison(out, model);
		page_figures(out, pictures, count, plots, missing);
	} else if (model_tune(model)) {
		report_tune(out, model);
		page_figures(out, pictures, count, plots, missing);
		report_settings(out, model);
		report_summary(out, model);
	} else {
		report_summary(out, model);
		page_figures(out, pictures, count, plots, missing);
	}
	if (!model->run[0].comparison) {
		report_tables(out, model);
		report_counters(out, model);
	}
	report_machine(out, model);
	report_reproduce(out, model);
	report_glossary(out);
	report_end(out);
	if (ferror(out))
		err = -EIO;
	if (fclose(out))
		err = -errno;
	if (!err && rename(part, path))
		err = -errno;
	if (err) {
		snprintf(why, why_bytes, "cannot write %.900s: %s", path, strerror(-err));
		unlink(part);
	}
	return err;
}

int report_make_only(const char *const *run_dirs, size_t n, const char *out,
		     const char *const *only, char *why, size_t why_bytes)
{
	char path[4300], plots[4300];
	struct model *model;
	struct picture *pictures = NULL;
	size_t count = 0;
	int drawn, err;

	err = model_load(run_dirs, n, &model, why, why_bytes);
	if (err)
		return err;
	report_path(run_dirs, out, path, sizeof(path));
	plots_path(run_dirs, out, plots, sizeof(plots));
	drawn = figures_draw(model, plots, only, &pictures, &count, why, why_bytes);
	if (drawn == 0 || drawn == -ENOENT || drawn == -EIO) {
		char page_why[1024] = "";
		err = page_write(model, pictures, count, plots, drawn ? why : NULL, path, page_why,
				 sizeof(page_why));
		if (err)
			snprintf(why, why_bytes, "%s", page_why);
	}
	free(pictures);
	model_free(model);
	return err ? err : drawn;
}

int report_make(const char *const *run_dirs, size_t n, const char *out, char *why, size_t why_bytes)
{
	return report_make_only(run_dirs, n, out, NULL, why, why_bytes);
}
