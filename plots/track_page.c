/* The history's page: what got worse on top, then every picture, the decisions and the runs. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "html.h"
#include "report.h"
#include "track.h"

static void time_of(double unix_seconds, char *text, size_t bytes)
{
	const time_t seconds = (time_t)unix_seconds;
	struct tm utc;

	if (!gmtime_r(&seconds, &utc) || !strftime(text, bytes, "%Y-%m-%d %H:%M", &utc))
		snprintf(text, bytes, "?");
}

static size_t count_worse(const struct track_view *view, const struct track_cell *cells,
			  size_t count)
{
	size_t worse = 0;

	for (size_t i = 0; i < count; i++)
		worse += cells[i].worst >= view->rules->change_threshold;
	return worse;
}

static void page_head(FILE *out, const struct track_view *view, const struct track_cell *cells,
		      size_t count)
{
	const size_t worse = count_worse(view, cells, count);

	report_head(out, "history");
	html(out, "<header>\n<h1>");
	if (worse)
		html(out, "%zu of %zu cells are worse than their baseline", worse, count);
	else
		html(out, "%zu cell%s, none worse than %s baseline", count, count == 1 ? "" : "s",
		     count == 1 ? "its" : "their");
	html(out,
	     "</h1>\n<p class=\"soft\">poolbench, history of branch <code>%s</code> on machine "
	     "<code>%s</code> (%s), %zu runs; times are ratios to <code>%s</code></p>\n"
	     "<nav aria-label=\"Contents\"><ul>\n<li><a href=\"#changes\">Changes</a></li>\n"
	     "<li><a href=\"#figures\">Figures</a></li>\n<li><a "
	     "href=\"#decisions\">Decisions</a></li>\n"
	     "<li><a href=\"#runs\">Runs</a></li>\n</ul></nav>\n</header>\n",
	     *view->branch ? view->branch : "none", view->machine, view->machine_text,
	     view->history->run_count, view->reference);
}

/* What has become of a level. */
static const char *level_now(const struct track_view *view, const struct course *course,
			     size_t level)
{
	if (level == course->baseline)
		return "the baseline now";
	if (level + 1 < course->level_count)
		return "past";
	return course_ratio(course, level) >= 1 + view->rules->change_threshold
		       ? "worse than the baseline"
		       : "near the baseline";
}

static void change_row(FILE *out, const struct track_view *view, const struct track_cell *cell,
		       const struct track_series *series, size_t level)
{
	const struct course *course = &series->course;
	const struct history *history = view->history;
	const struct history_run *run =
		&history->runs[history->points[course->points[course->levels[level].first]].run];
	const double change = expm1(course->levels[level].centre -
				    course->levels[level - 1].centre);
	char title[512], when[40], commit[24];

	snprintf(commit, sizeof(commit), "%.12s", *run->commit ? run->commit : run->id);
	track_cell_title(cell->first, title, sizeof(title));
	time_of(run->started, when, sizeof(when));
	html(out,
	     "<tr><th scope=\"row\" class=\"wrap\"><a href=\"#%s\">%s</a></th><td>%s</td>"
	     "<td class=\"n\"><span class=\"%s\">%+.1f "
	     "%%</span></td><td>%s</td><td><code>%s</code></td>"
	     "<td class=\"n\">%zu</td><td class=\"n\">%.2g</td><td>%s</td></tr>\n",
	     cell->picture.stem, title, measure_table[history->series[series->index].measure].name,
	     change > 0 ? "bad" : "best", 100 * change, when, commit, course->levels[level].count,
	     course->levels[level].p, level_now(view, course, level));
}

static void page_changes(FILE *out, const struct track_view *view, const struct track_cell *cells,
			 size_t count)
{
	size_t changes = 0;

	html(out, "<section id=\"changes\">\n<h2>Changes</h2>\n");
	for (size_t i = 0; i < count; i++)
		for (size_t s = 0; s < cells[i].count; s++)
			changes += cells[i].series[s].course.count
					   ? cells[i].series[s].course.level_count - 1
					   : 0;
	if (!changes) {
		html(out, "<p>No change point: every series is one level.</p>\n</section>\n");
		return;
	}
	html(out,
	     "<p>Where a series changes its level, and stays there for five runs or more: energy "
	     "distance, permutation test, %.3g %% over all series here together. A single run that "
	     "is "
	     "far off is none.</p>\n"
	     "<div class=\"scroll\" tabindex=\"0\" role=\"group\" "
	     "aria-label=\"Changes\">\n<table>\n"
	     "<thead><tr><th scope=\"col\">cell</th><th scope=\"col\">series</th><th scope=\"col\" "
	     "class=\"n\">change</th><th scope=\"col\">since (UTC)</th><th "
	     "scope=\"col\">commit</th>"
	     "<th scope=\"col\" class=\"n\">runs</th><th scope=\"col\" class=\"n\">p</th><th "
	     "scope=\"col\">now</th></tr></thead>\n<tbody>\n",
	     100 * view->rules->alpha);
	for (size_t i = 0; i < count; i++)
		for (size_t s = 0; s < cells[i].count; s++)
			for (size_t l = 1; l < cells[i].series[s].course.level_count; l++)
				change_row(out, view, &cells[i], &cells[i].series[s], l);
	html(out, "</tbody></table></div>\n</section>\n");
}

static void page_figures(FILE *out, const struct track_cell *cells, size_t count,
			 const char *out_dir, const char *missing)
{
	html(out, "<section id=\"figures\">\n<h2>%s</h2>\n<p>%s</p>\n", track_figure.title,
	     track_figure.summary);
	if (missing)
		html(out,
		     "<div class=\"warnings\" role=\"note\"><p><b>Not all figures were drawn.</b> "
		     "%s</p></div>\n",
		     missing);
	for (size_t i = 0; i < count; i++) {
		html(out, "<h3 id=\"%s\">%s</h3>\n", cells[i].picture.stem, cells[i].picture.title);
		if (cells[i].drawn)
			report_picture(out, &cells[i].picture, out_dir);
	}
	html(out, "</section>\n");
}

static void decision_item(FILE *out, const struct history_decision *decision)
{
	char when[40];

	time_of(decision->made, when, sizeof(when));
	html(out, "<li><b>%s</b> <code>%s</code>", decision_names[decision->kind], decision->run);
	if (*decision->backend || *decision->workload || *decision->measure)
		html(out, ", only %s %s %s", decision->backend, decision->workload,
		     decision->measure);
	html(out, ": %s <span class=\"soft\">(%s, %s)</span>", decision->reason, decision->made_by,
	     when);
	if (!isnan(decision->withdrawn)) {
		time_of(decision->withdrawn, when, sizeof(when));
		html(out, "; taken back %s: %s", when, decision->withdrawn_reason);
	}
	html(out, "</li>\n");
}

static void page_decisions(FILE *out, const struct history *history)
{
	html(out, "<section id=\"decisions\">\n<h2>Decisions</h2>\n");
	if (!history->decision_count)
		html(out, "<p>None: nothing was accepted, pinned or forgotten.</p>\n");
	else
		html(out, "<ul>\n");
	for (size_t i = 0; i < history->decision_count; i++)
		decision_item(out, &history->decisions[i]);
	html(out, history->decision_count ? "</ul>\n</section>\n" : "</section>\n");
}

static void page_runs(FILE *out, const struct history *history)
{
	html(out,
	     "<section id=\"runs\">\n<h2>Runs</h2>\n"
	     "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"Runs\">\n<table>\n"
	     "<thead><tr><th scope=\"col\" class=\"n\">no.</th><th scope=\"col\">run</th><th "
	     "scope=\"col\">started (UTC)</th><th scope=\"col\">commit</th><th "
	     "scope=\"col\">poolbench</th><th scope=\"col\"></th></tr></thead>\n<tbody>\n");
	for (size_t i = history->run_count; i-- > 0;) {
		const struct history_run *run = &history->runs[i];
		char when[40];

		time_of(run->started, when, sizeof(when));
		html(out,
		     "<tr><td class=\"n\">%zu</td><th scope=\"row\"><code>%s</code></th><td>%s</td>"
		     "<td><code>%s</code></td><td>%s</td><td>%s</td></tr>\n",
		     i + 1, run->id, when, run->commit, run->made_with,
		     run->forgotten ? "forgotten"
		     : run->outside ? "pinned, from elsewhere"
				    : "");
	}
	html(out, "</tbody></table></div>\n</section>\n");
}

int track_page_write(const struct track_view *view, const struct track_cell *cells, size_t count,
		     const char *out_dir, const char *missing, char *why, size_t why_bytes)
{
	char path[4300], part[4400];
	FILE *out;
	int error = 0;

	snprintf(path, sizeof(path), "%s/track.html", out_dir);
	snprintf(part, sizeof(part), "%s.part", path);
	out = fopen(part, "we");
	if (!out) {
		error = -errno;
		snprintf(why, why_bytes, "cannot write %.900s: %s", part, strerror(-error));
		return error;
	}
	page_head(out, view, cells, count);
	page_changes(out, view, cells, count);
	page_figures(out, cells, count, out_dir, missing);
	page_decisions(out, view->history);
	page_runs(out, view->history);
	report_end(out);
	if (ferror(out))
		error = -EIO;
	if (fclose(out))
		error = -errno;
	if (!error && rename(part, path))
		error = -errno;
	if (error) {
		snprintf(why, why_bytes, "cannot write %.900s: %s", path, strerror(-error));
		unlink(part);
	}
	return error;
}
