#include "model.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

/* ---- identities ---- */

static int series_is(const struct contender *series, unsigned run, const struct cell *cell)
{
	return series->run == run && series->page_size == cell->page_size &&
	       strcmp(series->backend, cell->backend) == 0 &&
	       strcmp(series->backing, cell->backing) == 0;
}

static int series_find(const struct model *model, unsigned run, const struct cell *cell)
{
	for (size_t i = 0; i < model->series_count; i++) {
		if (series_is(&model->series[i], run, cell))
			return (int)i;
	}
	return -1;
}

static int panel_find(const struct model *model, const char *workload)
{
	for (size_t i = 0; i < model->panels; i++) {
		if (strcmp(model->panel[i].workload, workload) == 0)
			return (int)i;
	}
	return -1;
}

/* What a name shows on one line: control characters become spaces, a long one is cut at a character. */
static void copy_name(char *out, size_t bytes, const char *in, size_t limit)
{
	size_t n = 0, shown = 0;

	while (in[n] && n + 5 < bytes && shown < limit) {
		unsigned char c = (unsigned char)in[n];
		out[n] = c < 0x20 || c == 0x7f ? ' ' : (char)c;
		n++;
		shown += ((unsigned char)in[n] & 0xc0) != 0x80;
	}
	while (in[n] && n && ((unsigned char)in[n] & 0xc0) == 0x80)
		n--; /* never half a character */
	out[n] = '\0';
	if (in[n])
		strcat(out, "…");
}

static void series_add(struct model *model, unsigned run, const struct cell_summary *cell)
{
	struct contender *series = &model->series[model->series_count++];
	const char *base = cell->display_name[0] ? cell->display_name : cell->cell.backend;

	memset(series, 0, sizeof(*series));
	series->run = run;
	memcpy(series->backend, cell->cell.backend, sizeof(series->backend));
	memcpy(series->backing, cell->cell.backing, sizeof(series->backing));
	memcpy(series->caveats, cell->caveats, sizeof(series->caveats));
	series->page_size = cell->cell.page_size;
	series->floor = cell_is_floor(&cell->cell);
	copy_name(series->base, sizeof(series->base), base, 40);
}

static int slug_taken(const struct model *model, const char *slug)
{
	for (size_t i = 0; i < model->panels; i++) {
		if (strcmp(model->panel[i].slug, slug) == 0)
			return 1;
	}
	return 0;
}

static void panel_add(struct model *model, const char *workload)
{
	struct panel panel = { 0 };
	const char *shown = workload;
	size_t n = 0;

	/* of a recording's path the file is what tells it apart */
	if (strncmp(workload, "trace:", 6) == 0 && strrchr(workload, '/'))
		shown = strrchr(workload, '/') + 1;
	snprintf(panel.workload, sizeof(panel.workload), "%s", workload);
	copy_name(panel.name, sizeof(panel.name), shown, 44);
	for (const char *c = shown; *c && n < 40; c++) {
		if (isalnum((unsigned char)*c))
			panel.slug[n++] = (char)tolower((unsigned char)*c);
		else if (n && panel.slug[n - 1] != '-')
			panel.slug[n++] = '-';
	}
	while (n && panel.slug[n - 1] == '-')
		n--;
	panel.slug[n] = '\0';
	if (!n)
		n = (size_t)snprintf(panel.slug, sizeof(panel.slug), "workload");
	for (unsigned k = 2; slug_taken(model, panel.slug); k++)
		snprintf(panel.slug + n, sizeof(panel.slug) - n, "-%u", k);
	model->panel[model->panels++] = panel;
}

static void threads_add(struct model *model, unsigned threads)
{
	size_t at = 0;

	while (at < model->thread_counts && model->threads[at] < threads)
		at++;
	if ((at < model->thread_counts && model->threads[at] == threads) ||
	    model->thread_counts == sizeof(model->threads) / sizeof(model->threads[0]))
		return;
	memmove(&model->threads[at + 1], &model->threads[at],
		(model->thread_counts - at) * sizeof(model->threads[0]));
	model->threads[at] = threads;
	model->thread_counts++;
}

/* ---- names and looks ---- */

static void format_page_size(char *out, size_t bytes, size_t page_size)
{
	if (page_size >= 1u << 20)
		snprintf(out, bytes, " %zuM", page_size >> 20);
	else
		snprintf(out, bytes, " %zuK", page_size >> 10);
}

/* A name says only what tells this series from its like: options, page size, backing, run. */
static void series_name(const struct model *model, struct contender *series)
{
	int specs = 0, pages = 0, backings = 0, runs = 0;
	char page[32] = "";
	const char *options = strchr(series->backend, ':');

	for (size_t i = 0; i < model->series_count; i++) {
		const struct contender *other = &model->series[i];
		if (strcmp(other->base, series->base) != 0)
			continue;
		specs |= strcmp(other->backend, series->backend) != 0;
		pages |= other->page_size != series->page_size;
		backings |= strcmp(other->backing, series->backing) != 0;
		runs |= other->run != series->run;
	}
	if (pages)
		format_page_size(page, sizeof(page), series->page_size);
	char full[1024], mark[32] = "";
	if (runs)
		snprintf(mark, sizeof(mark), " [%u]", series->run + 1);
	snprintf(full, sizeof(full), "%s%s%s%s%s%s", series->base, specs && options ? options : "",
		 page, backings ? " " : "", backings ? series->backing : "", mark);
	copy_name(series->name, sizeof(series->name), full, 44);
}

/* Variants of one backend share its colour; mark and dash move on, so that they are told apart. */
static void series_style(struct model *model, size_t index, unsigned *strangers)
{
	struct contender *series = &model->series[index];
	const struct style *known = style_of_known(series->base);
	static const int shapes[] = { 5, 7, 9, 11, 13, 15 };
	unsigned twins = 0;

	for (size_t i = 0; i < index; i++) {
		if (strcmp(model->series[i].base, series->base) != 0)
			continue;
		if (!twins++)
			series->style = model->series[i].style;
	}
	if (!twins) {
		series->style = known ? *known : *style_of_stranger((*strangers)++);
	} else {
		int open = series->style.point % 2 == 0 ? 1 : 0;
		int at = (series->style.point + open - 5) / 2;
		series->style.point = shapes[((unsigned)(at < 0 ? 0 : at) + twins) % 6] - open;
		series->style.dash = (int)(((unsigned)series->style.dash + twins) % 5);
	}
}

/* ---- the whole ---- */

static int model_build(struct model *model)
{
	size_t total = 0;
	unsigned strangers = 0;

	for (size_t r = 0; r < model->runs; r++)
		total += model->run[r].cell_count;
	model->series = calloc(total + 1, sizeof(*model->series));
	model->panel = calloc(total + 1, sizeof(*model->panel));
	model->point = calloc(total + 1, sizeof(*model->point));
	if (!model->series || !model->panel || !model->point)
		return -ENOMEM;
	for (unsigned r = 0; r < model->runs; r++) {
		for (size_t i = 0; i < model->run[r].cell_count; i++) {
			const struct cell_summary *cell = &model->run[r].cells[i];
			if (series_find(model, r, &cell->cell) < 0)
				series_add(model, r, cell);
			if (panel_find(model, cell->cell.workload) < 0)
				panel_add(model, cell->cell.workload);
			threads_add(model, cell->cell.threads);
			model->point[model->points++] = (struct point){
				.series = (unsigned)series_find(model, r, &cell->cell),
				.panel = (unsigned)panel_find(model, cell->cell.workload),
				.threads = cell->cell.threads,
				.cell = cell,
			};
		}
	}
	for (size_t i = 0; i < model->series_count; i++) {
		series_name(model, &model->series[i]);
		series_style(model, i, &strangers);
	}
	return 0;
}

int model_load(const char *const *run_dirs, size_t n, struct model **out, char *why,
	       size_t why_bytes)
{
	struct model *model = calloc(1, sizeof(*model));
	int err = 0;

	if (!model)
		return -ENOMEM;
	model->run = calloc(n + 1, sizeof(*model->run));
	if (!model->run)
		err = -ENOMEM;
	for (size_t i = 0; i < n && !err; i++) {
		err = run_load(run_dirs[i], &model->run[model->runs++], why, why_bytes);
	}
	if (!err)
		err = model_build(model);
	if (err == -ENOMEM)
		snprintf(why, why_bytes, "out of memory while reading the records");
	if (err) {
		model_free(model);
		return err;
	}
	*out = model;
	return 0;
}

void model_free(struct model *model)
{
	if (!model)
		return;
	for (size_t i = 0; i < model->runs; i++)
		run_unload(&model->run[i]);
	free(model->run);
	free(model->series);
	free(model->panel);
	free(model->point);
	free(model);
}

const json_t *model_tune(const struct model *model)
{
	return model->runs == 1 ? model->run[0].tune : NULL;
}

const struct point *model_point(const struct model *model, size_t series, size_t panel,
				unsigned threads)
{
	for (size_t i = 0; i < model->points; i++) {
		const struct point *point = &model->point[i];
		if (point->series == series && point->panel == panel && point->threads == threads)
			return point;
	}
	return NULL;
}

unsigned panel_threads(const struct model *model, size_t panel)
{
	unsigned most = 0;

	for (size_t i = 0; i < model->points; i++) {
		if (model->point[i].panel == panel && model->point[i].threads > most)
			most = model->point[i].threads;
	}
	return most;
}

const char *panel_failure(const struct model *model, size_t series, size_t panel, enum pass pass)
{
	const struct point *point = model_point(model, series, panel, panel_threads(model, panel));

	/* without a record the pass was not asked for, or the cell had failed before */
	return point && point->cell->pass_status[pass] != CELL_OK &&
			       (point->cell->records[pass] || point->cell->status != CELL_OK)
		       ? cell_status_names[point->cell->records[pass]
						   ? point->cell->pass_status[pass]
						   : point->cell->status]
		       : "";
}

int point_has(const struct point *point, enum metric metric)
{
	return point && isfinite(point->cell->metrics[metric].median);
}

size_t panel_order(const struct model *model, size_t panel, unsigned threads, enum metric metric,
		   unsigned *order, size_t *measured)
{
	int sign = metric_table[metric].better == BETTER_HIGHER ? -1 : 1;
	size_t n = 0;

	*measured = 0;
	for (unsigned s = 0; s < model->series_count; s++) {
		const struct point *point = model_point(model, s, panel, threads);
		if (!point || model->series[s].floor)
			continue;
		size_t at = n++;
		if (point_has(point, metric)) {
			double value = sign * point->cell->metrics[metric].median;
			at = 0;
			while (at < *measured &&
			       sign * model_point(model, order[at], panel, threads)
						       ->cell->metrics[metric]
						       .median <=
				       value)
				at++;
			memmove(&order[at + 1], &order[at], (n - 1 - at) * sizeof(*order));
			(*measured)++;
		}
		order[at] = s;
	}
	return n;
}
