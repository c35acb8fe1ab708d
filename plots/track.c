/* The data of a cell's picture, and all pictures of a history. */
#include "track.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PANEL_HEIGHT 230u
#define LABELS_MOST  14u /* commits along the x axis */

/* What a mark says; track.gp knows the same numbers. */
enum mark { MARK_GOOD, MARK_OLD, MARK_FORGOTTEN, MARK_PINNED };

void track_cell_title(const struct history_series *series, char *text, size_t bytes)
{
	const struct cell *cell = &series->cell;
	char pages[48] = "own pages";

	if (cell->page_size)
		snprintf(pages, sizeof(pages), "%zuK pages, %s", cell->page_size >> 10,
			 cell->backing);
	snprintf(text, bytes, "%.120s, %.120s, %u thread%s, %s", cell->backend, cell->workload,
		 cell->threads, cell->threads == 1 ? "" : "s", pages);
}

/* ---- one panel ---- */

static double per_cent(double value, double baseline)
{
	return 100 * (value / baseline - 1);
}

static enum mark mark_of(const struct history *history, const struct course *course, size_t index)
{
	const struct history_point *point = &history->points[index];

	if (history->runs[point->run].forgotten)
		return MARK_FORGOTTEN;
	if (course->pinned == index)
		return MARK_PINNED;
	for (size_t i = 0; i < course->count; i++)
		if (course->points[i] == index)
			return MARK_GOOD;
	return MARK_OLD;
}

static double baseline_of(const struct history *history, const struct course *course)
{
	if (course->pinned != SIZE_MAX)
		return history->points[course->pinned].value;
	return course->count ? exp(course->levels[course->baseline].centre) : NAN;
}

/* What is in sight of a panel, in per cent; room on top for the words at change points. */
struct sight {
	double low, high;
};

/* x, change, low, high, mark: a line a run; failed runs have no number and the mark -1. */
static void write_points(struct drawing *drawing, const struct history *history,
			 const struct track_series *series, double baseline,
			 const struct sight *sight)
{
	size_t count;
	const struct history_point *points = history_points(history, series->index, &count);
	const size_t first = (size_t)(points - history->points);

	for (size_t i = 0; i < count; i++) {
		const size_t x = points[i].run + 1;
		const double change = per_cent(points[i].value, baseline);

		if (points[i].n && isfinite(baseline)) /* what is out of sight lies at the edge */
			fprintf(drawing->data, "%zu %.6g %.6g %.6g %d\n", x,
				fmax(sight->low, fmin(sight->high, change)),
				per_cent(points[i].low, baseline),
				per_cent(points[i].high, baseline),
				mark_of(history, &series->course, first + i));
		else
			fprintf(drawing->data, "%zu 0 0 0 -1\n", x);
	}
	fputs("\n\n", drawing->data);
}

/* What a level's line says. */
enum line { LINE_PAST, LINE_BASELINE, LINE_WORSE, LINE_LEVEL };

static enum line line_of(const struct track_view *view, const struct course *course, size_t level)
{
	if (level == course->baseline)
		return LINE_BASELINE;
	if (level < course->baseline)
		return LINE_PAST;
	return course_ratio(course, level) >= 1 + view->rules->change_threshold ? LINE_WORSE
										: LINE_LEVEL;
}

/* x, change and the kind of line: two ends a level */
static void write_levels(struct drawing *drawing, const struct track_view *view,
			 const struct course *course, double baseline)
{
	const struct history *history = view->history;

	for (size_t i = 0; i < course->level_count && course->count; i++) {
		const struct level *level = &course->levels[i];
		const size_t from = history->points[course->points[level->first]].run;
		const size_t to =
			history->points[course->points[level->first + level->count - 1]].run;

		fprintf(drawing->data, "%.2f %.6g %d\n%.2f %.6g %d\n\n", (double)from + 0.6,
			per_cent(exp(level->centre), baseline), line_of(view, course, i),
			(double)to + 1.4, per_cent(exp(level->centre), baseline),
			line_of(view, course, i));
	}
	if (!course->count)
		fputs("NaN NaN 0\n\n", drawing->data);
	fputs("\n", drawing->data);
}

static void short_commit(const struct history_run *run, char *text, size_t bytes)
{
	if (*run->commit)
		snprintf(text, bytes, "%.7s%s", run->commit, strchr(run->commit, '-') ? "+" : "");
	else
		snprintf(text, bytes, "run %.13s", run->id);
}

/* change_x[], change_text[], change_bad[] of a panel, from `used` on; how many. */
static size_t write_changes(struct drawing *drawing, const struct history *history,
			    const struct course *course, size_t panel, size_t used)
{
	const size_t before = used;

	for (size_t i = 1; i < course->level_count; i++) {
		const struct level *level = &course->levels[i];
		const size_t run = history->points[course->points[level->first]].run;
		const double change = 100 * expm1(level->centre - course->levels[i - 1].centre);
		char commit[32], text[80];

		short_commit(&history->runs[run], commit, sizeof(commit));
		snprintf(text, sizeof(text), "%+.1f %% at %s", change, commit);
		used++;
		fprintf(drawing->variables,
			"change_panel[%zu] = %zu\nchange_x[%zu] = %.1f\nchange_bad[%zu] = %d\n",
			used, panel + 1, used, (double)run + 0.5, used, change > 0);
		drawing_array_text(drawing, "change_text", used, text);
	}
	return used - before;
}

/* At least 3 % each way, so that quiet series are not blown up; forgotten runs do not count. */
static struct sight sight_of(const struct history *history, const struct track_series *series,
			     double baseline)
{
	size_t count;
	const struct history_point *points = history_points(history, series->index, &count);
	struct sight sight = { -3, 3 };

	for (size_t i = 0; i < count; i++) {
		if (!points[i].n || !isfinite(baseline) || history->runs[points[i].run].forgotten)
			continue;
		sight.low = fmin(sight.low, per_cent(points[i].low, baseline));
		sight.high = fmax(sight.high, per_cent(points[i].high, baseline));
	}
	sight.low -= 0.08 * (sight.high - sight.low);
	sight.high += 0.25 * (sight.high - sight.low);
	return sight;
}

static void write_panel(struct drawing *drawing, const struct track_view *view,
			const struct track_series *series, size_t panel)
{
	const struct history *history = view->history;
	const struct measure_info *info = &measure_table[history->series[series->index].measure];
	const double baseline = baseline_of(history, &series->course);
	const struct sight sight = sight_of(history, series, baseline);
	char note[160], value[60] = "none yet";

	if (isfinite(baseline) && !strcmp(info->unit, "bytes"))
		snprintf(value, sizeof(value), "%.2f MiB", baseline / (1 << 20));
	else if (isfinite(baseline))
		snprintf(value, sizeof(value), "%.4g %s", baseline,
			 info->relative ? "times" : info->unit);
	snprintf(note, sizeof(note), "%s%.40s%s; %sbaseline %s", info->relative ? "over " : "",
		 info->relative ? view->reference : "", info->relative ? "'s" : "as measured",
		 series->course.pinned != SIZE_MAX ? "pinned " : "", value);
	drawing_array_text(drawing, "panel_name", panel + 1, info->name);
	drawing_array_text(drawing, "panel_note", panel + 1, note);
	fprintf(drawing->variables, "panel_low[%zu] = %.6g\npanel_high[%zu] = %.6g\n", panel + 1,
		sight.low, panel + 1, sight.high);
	write_points(drawing, history, series, baseline, &sight);
	write_levels(drawing, view, &series->course, baseline);
}

/* ---- what all panels share ---- */

/* Where a person accepted a change, in the panels that it is about: accept_panel[], accept_x[]. */
static void write_accepts(struct drawing *drawing, const struct track_subject *subject)
{
	const struct history *history = subject->view->history;
	const struct track_cell *cell = subject->cell;
	size_t used = 0;

	fprintf(drawing->variables, "array accept_x[%zu]\narray accept_panel[%zu]\n",
		history->decision_count * cell->count + 1,
		history->decision_count * cell->count + 1);
	for (size_t panel = 0; panel < cell->count; panel++) {
		for (size_t d = 0; d < history->decision_count; d++) {
			const struct history_decision *decision = &history->decisions[d];
			size_t run = 0;

			while (run < history->run_count &&
			       strcmp(decision->run, history->runs[run].id) != 0)
				run++;
			if (decision->kind != DECISION_ACCEPT || run == history->run_count ||
			    !decision_holds(decision, &history->series[cell->series[panel].index]))
				continue;
			used++;
			fprintf(drawing->variables,
				"accept_x[%zu] = %.1f; accept_panel[%zu] = %zu\n", used,
				(double)run + 0.5, used, panel + 1);
		}
	}
	fprintf(drawing->variables, "accepts = %zu\n", used);
}

static void write_labels(struct drawing *drawing, const struct history *history)
{
	const size_t step = (history->run_count + LABELS_MOST - 1) / LABELS_MOST;
	size_t used = 0;

	drawing_array_begin(drawing, "label_text", history->run_count);
	fprintf(drawing->variables, "array label_x[%zu]\n", history->run_count);
	for (size_t i = 0; i < history->run_count; i += step) {
		char text[32];

		short_commit(&history->runs[i], text, sizeof(text));
		fprintf(drawing->variables, "label_x[%zu] = %zu\n", ++used, i + 1);
		drawing_array_text(drawing, "label_text", used, text);
	}
	fprintf(drawing->variables, "labels = %zu\n", used);
}

static void day_of(double unix_seconds, char *text, size_t bytes)
{
	const time_t seconds = (time_t)unix_seconds;
	struct tm utc;

	if (!gmtime_r(&seconds, &utc) || !strftime(text, bytes, "%Y-%m-%d", &utc))
		snprintf(text, bytes, "?");
}

static void write_heading(struct drawing *drawing, const struct track_subject *subject)
{
	const struct track_view *view = subject->view;
	const struct history *history = view->history;
	char title[512], line[512], first[32], last[32];

	track_cell_title(subject->cell->first, title, sizeof(title));
	day_of(history->runs[0].started, first, sizeof(first));
	day_of(history->runs[history->run_count - 1].started, last, sizeof(last));
	snprintf(line, sizeof(line),
		 "change against the baseline in %%, lower is better; %zu runs of %.60s, %s to %s; "
		 "whiskers: 95 %% of a run",
		 history->run_count, *view->branch ? view->branch : "no branch", first, last);
	drawing_text(drawing, "heading", title);
	drawing_text(drawing, "subheading", line);
	fprintf(drawing->variables, "runs = %zu\n", history->run_count);
}

static int prepare_track(struct drawing *drawing)
{
	const struct track_subject *subject = drawing->subject;
	const struct track_cell *cell = subject->cell;
	size_t changes = 0, most = 1;

	for (size_t i = 0; i < cell->count; i++)
		most += cell->series[i].course.level_count;
	write_heading(drawing, subject);
	write_labels(drawing, subject->view->history);
	write_accepts(drawing, subject);
	fprintf(drawing->variables, "panels = %zu\narray panel_low[%zu]\narray panel_high[%zu]\n",
		cell->count, cell->count, cell->count);
	drawing_array_begin(drawing, "panel_name", cell->count);
	drawing_array_begin(drawing, "panel_note", cell->count);
	fprintf(drawing->variables,
		"array change_panel[%zu]\narray change_x[%zu]\narray change_bad[%zu]\n"
		"array change_text[%zu]\n",
		most, most, most, most);
	for (size_t i = 0; i < cell->count; i++) {
		write_panel(drawing, subject->view, &cell->series[i], i);
		changes += write_changes(drawing, subject->view->history, &cell->series[i].course,
					 i, changes);
	}
	fprintf(drawing->variables, "changes = %zu\npanel_height = %u\n", changes, PANEL_HEIGHT);
	drawing->height = 96 + PANEL_HEIGHT * (unsigned)cell->count;
	return 0;
}

const struct figure track_figure = {
	"track", "The history: what lies lower is better",
	"Each mark is a run, its height the change against the baseline. Horizontal lines are the "
	"levels "
	"between change points; the baseline's is blue, one that is worse and was not accepted "
	"red. A dashed line is a "
	"change point with "
	"the commit that it came with, a dotted one a change that somebody accepted.",
	0, prepare_track
};

/* ---- all cells ---- */

static bool is_wanted(const struct track_view *view, const struct history_series *series)
{
	return view->measures[series->measure] &&
	       (!view->backend || !strcmp(view->backend, series->cell.backend)) &&
	       (!view->workload || !strcmp(view->workload, series->cell.workload));
}

static bool same_picture(const struct history_series *a, const struct history_series *b)
{
	return cell_same(&a->cell, &b->cell) && !strcmp(a->settings, b->settings) &&
	       !strcmp(a->trace, b->trace);
}

static void cells_release(struct track_cell *cells, size_t count)
{
	for (size_t i = 0; cells && i < count; i++) {
		for (size_t s = 0; s < cells[i].count; s++)
			course_release(&cells[i].series[s].course);
		free(cells[i].series);
	}
	free(cells);
}

static int add_series(const struct track_view *view, struct track_cell *cell, size_t index,
		      double significance)
{
	struct track_series *series = &cell->series[cell->count];
	int error = course_make(view->history, index, NAN, view->rules, significance,
				&series->course);

	if (error)
		return error;
	series->index = index;
	series->latest = series->course.count && series->course.pinned == SIZE_MAX
				 ? course_ratio(&series->course, series->course.level_count - 1) - 1
				 : NAN;
	if (isfinite(series->latest))
		cell->worst = fmax(cell->worst, series->latest);
	cell->count++;
	return 0;
}

/* The cells that are wanted, in the history's order; each with its series. */
static int gather(const struct track_view *view, struct track_cell **out, size_t *count)
{
	const struct history *history = view->history;
	struct track_cell *cells = calloc(history->series_count + 1, sizeof(*cells));
	size_t used = 0, wanted = 0;
	int error = cells ? 0 : -ENOMEM;

	for (size_t i = 0; i < history->series_count; i++)
		wanted += is_wanted(view, &history->series[i]);
	for (size_t i = 0; i < history->series_count && !error; i++) {
		const struct history_series *series = &history->series[i];

		if (!is_wanted(view, series))
			continue;
		if (!used || !same_picture(cells[used - 1].first, series)) {
			cells[used].first = series;
			cells[used].series = calloc(MEASURES_COUNT, sizeof(struct track_series));
			if (!cells[used++].series)
				error = -ENOMEM;
		}
		if (!error)
			error = add_series(view, &cells[used - 1], i,
					   view->rules->alpha / (double)wanted);
	}
	if (error) {
		cells_release(cells, used);
		return error;
	}
	*out = cells;
	*count = used;
	return 0;
}

static int compare_worst(const void *left, const void *right)
{
	const struct track_cell *a = left, *b = right;

	if (a->worst > b->worst || a->worst < b->worst)
		return a->worst > b->worst ? -1 : 1;
	return a->first < b->first ? -1 : a->first > b->first;
}

/* Lower-case letters, digits and dashes of the title; the number makes it unique. */
static void picture_stem(const char *title, size_t number, char *stem, size_t bytes)
{
	size_t used = (size_t)snprintf(stem, bytes, "track-%03zu-", number + 1);

	for (const char *c = title; *c && used + 1 < bytes && used < 70; c++) {
		const char low = *c >= 'A' && *c <= 'Z' ? (char)(*c | 0x20) : *c;

		if ((low >= 'a' && low <= 'z') || (low >= '0' && low <= '9'))
			stem[used++] = low;
		else if (stem[used - 1] != '-')
			stem[used++] = '-';
	}
	while (stem[used - 1] == '-')
		used--;
	stem[used] = '\0';
}

static int draw_cell(const struct track_view *view, struct track_cell *cell, size_t number,
		     const char *out_dir, char *why, size_t why_bytes)
{
	const struct track_subject subject = { view, cell };
	struct drawing drawing = { .subject = &subject, .width = 1000 };
	struct picture *picture = &cell->picture;
	char title[512];
	int error;

	track_cell_title(cell->first, title, sizeof(title));
	picture->figure = &track_figure;
	picture_stem(title, number, picture->stem, sizeof(picture->stem));
	snprintf(picture->title, sizeof(picture->title), "%.250s", title);
	snprintf(picture->alt, sizeof(picture->alt),
		 "History of %.300s: the change against the baseline, run by run.", title);
	error = figure_draw(&drawing, &track_figure, out_dir, picture->stem, why, why_bytes);
	picture->width = drawing.width;
	picture->height = drawing.height;
	cell->drawn = !error;
	return error;
}

int track_draw(const struct track_view *view, const char *out_dir, char *why, size_t why_bytes)
{
	struct track_cell *cells = NULL;
	size_t count = 0;
	char page_why[1024] = "";
	int error = gather(view, &cells, &count), drawn = 0;

	if (!error && !count) {
		snprintf(why, why_bytes, "nothing to draw: no run here has such a cell and series");
		error = -ENODATA;
	}
	if (!error)
		error = figures_directory(out_dir, why, why_bytes);
	if (!error)
		qsort(cells, count, sizeof(*cells), compare_worst);
	for (size_t i = 0; i < count && !error && !drawn; i++)
		drawn = draw_cell(view, &cells[i], i, out_dir, why, why_bytes);
	if (!error && (drawn == 0 || drawn == -ENOENT || drawn == -EIO)) {
		error = track_page_write(view, cells, count, out_dir, drawn ? why : NULL, page_why,
					 sizeof(page_why));
		if (error)
			snprintf(why, why_bytes, "%s", page_why);
	}
	cells_release(cells, count);
	return error ? error : drawn;
}
