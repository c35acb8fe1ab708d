/* The data of the figure of live bytes by tag over the trace. It is the trace's, whatever the backend. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "csv.h"
#include "figures.h"

#define MOST_TAGS 12 /* of a checkpoint in tag_live.csv, the row of all others in */

struct tag_rows {
	char name[MOST_TAGS][8];
	double *share; /* [points][MOST_TAGS] bytes */
	double *event;
	size_t tags, points, room;
	char source[512]; /* backend of the rows: the first that has any */
	char backing[8];
	double page_size, repetition;
};

static int point_for(struct tag_rows *rows, double event)
{
	if (rows->points && rows->event[rows->points - 1] == event)
		return 0;
	if (rows->points == rows->room) {
		const size_t room = rows->room ? 2 * rows->room : 64;
		double *share = realloc(rows->share, room * MOST_TAGS * sizeof(double));
		if (share)
			rows->share = share;
		double *events = realloc(rows->event, room * sizeof(double));
		if (events)
			rows->event = events;
		if (!share || !events)
			return -ENOMEM;
		rows->room = room;
	}
	for (size_t t = 0; t < MOST_TAGS; t++)
		rows->share[rows->points * MOST_TAGS + t] = 0;
	rows->event[rows->points++] = event;
	return 0;
}

static void share_set(struct tag_rows *rows, const char *tag, double bytes)
{
	size_t t = 0;

	while (t < rows->tags && strcmp(rows->name[t], tag) != 0)
		t++;
	if (t == MOST_TAGS)
		return;
	if (t == rows->tags)
		snprintf(rows->name[rows->tags++], sizeof(rows->name[0]), "%s", tag);
	rows->share[(rows->points - 1) * MOST_TAGS + t] = bytes;
}

/* The rows of the first cell of this workload, at the most threads. */
static int tags_read(const struct model *model, size_t run, size_t panel, struct tag_rows *rows)
{
	const unsigned threads = panel_threads(model, panel);
	struct csv_cell_columns columns;
	struct csv *csv;
	char path[4400];
	int tag, event, bytes, repetition, err;

	snprintf(path, sizeof(path), "%s/tag_live.csv", model->run[run].path);
	err = csv_open(path, &csv);
	if (err)
		return err == -ENOENT || err == -EBADMSG ? 0 : err;
	csv_cell_find(csv, &columns);
	tag = csv_column(csv, "tag");
	event = csv_column(csv, "event");
	bytes = csv_column(csv, "live_bytes");
	repetition = csv_column(csv, "repetition");
	while (!err && csv_next(csv)) {
		if (!rows->points &&
		    strcmp(csv_field(csv, columns.workload), model->panel[panel].workload) == 0 &&
		    csv_number(csv, columns.threads) == threads) {
			snprintf(rows->source, sizeof(rows->source), "%s",
				 csv_field(csv, columns.backend));
			snprintf(rows->backing, sizeof(rows->backing), "%s",
				 csv_field(csv, columns.backing));
			rows->page_size = csv_number(csv, columns.page_size);
			rows->repetition = csv_number(csv, repetition);
		}
		if (csv_number(csv, repetition) != rows->repetition ||
		    !csv_cell_is(csv, &columns, rows->source, model->panel[panel].workload, threads,
				 (size_t)rows->page_size, rows->backing))
			continue;
		err = point_for(rows, csv_number(csv, event));
		if (!err)
			share_set(rows, csv_field(csv, tag), csv_number(csv, bytes));
	}
	csv_close(csv);
	return err;
}

/* million events, then MiB a tag: a block a panel; the names go into tag_name[], MOST_TAGS a panel */
static void tags_block(struct drawing *drawing, size_t panel, const struct tag_rows *rows)
{
	double most = 0;

	for (size_t i = 0; i < rows->points; i++) {
		double sum = 0;
		fprintf(drawing->data, "%.9g", rows->event[i] / 1e6);
		for (size_t t = 0; t < MOST_TAGS; t++) {
			fprintf(drawing->data, " %.9g", rows->share[i * MOST_TAGS + t] / 1048576);
			sum += rows->share[i * MOST_TAGS + t] / 1048576;
		}
		putc('\n', drawing->data);
		most = fmax(most, sum);
	}
	if (!rows->points)
		fputs("NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN\n", drawing->data);
	fputs("\n\n", drawing->data);
	for (size_t t = 0; t < MOST_TAGS; t++)
		drawing_array_text(drawing, "tag_name", panel * MOST_TAGS + t + 1,
				   t >= rows->tags         ? ""
				   : rows->name[t][0] == 0 ? "others"
							   : rows->name[t]);
	fprintf(drawing->variables,
		"panel_tags[%zu] = %zu\npanel_most[%zu] = %.6g\npanel_last[%zu] = %.6g\n",
		panel + 1, rows->tags, panel + 1, most > 0 ? most : 1, panel + 1,
		rows->points ? rows->event[rows->points - 1] / 1e6 : 1);
}

int prepare_tags(struct drawing *drawing)
{
	const struct model *model = drawing->model;
	size_t drawn = 0;
	int err = 0;

	prepare_panels(drawing);
	fprintf(drawing->variables,
		"tags_most = %d\narray panel_tags[%zu]\narray panel_most[%zu]\narray "
		"panel_last[%zu]\n",
		MOST_TAGS, model->panels, model->panels, model->panels);
	drawing_array_begin(drawing, "tag_name", model->panels * MOST_TAGS);
	for (size_t p = 0; p < model->panels && !err; p++) {
		struct tag_rows rows = { .points = 0 };
		for (size_t r = 0; r < model->runs && !err && !rows.points; r++)
			err = tags_read(model, r, p, &rows);
		if (!err)
			tags_block(drawing, p, &rows);
		drawn += rows.points;
		free(rows.share);
		free(rows.event);
	}
	drawing->height = (unsigned)(96 + (model->panels + 1) / 2 * 240);
	return err ? err : drawn ? 0 : 1;
}
