/* Checkpoints from the CSV files. */
#include "memory_series.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "csv.h"

static const struct {
	const char *column, *name;
	unsigned rgb;
} cause_table[CAUSES] = {
	[CAUSE_ROUNDING] = { "rounding_bytes", "rounding up", 0x332288 },
	[CAUSE_HEADER] = { "header_bytes", "block headers", 0x88ccee },
	[CAUSE_CACHED] = { "cached_bytes", "cached for reuse", 0x44aa99 },
	[CAUSE_FREE] = { "free_bytes", "free, between blocks", 0xddcc77 },
	[CAUSE_FREE_PAGE] = { "free_page_bytes", "whole free pages", 0xcc6677 },
	[CAUSE_METADATA] = { "metadata_bytes", "the pool's tables", 0x999999 },
};

static int memory_series_add(struct memory_series *m, const struct memory_sample *sample)
{
	if (m->count == m->room) {
		size_t room = m->room ? m->room * 2 : 256;
		struct memory_sample *samples = realloc(m->samples, room * sizeof(*samples));
		if (!samples)
			return -ENOMEM;
		m->samples = samples;
		m->room = room;
	}
	m->samples[m->count++] = *sample;
	return 0;
}

static int memory_rows(const struct model *model, size_t run, size_t panel, struct csv *csv,
		       struct memory_series *all)
{
	unsigned threads = panel_threads(model, panel);
	struct csv_cell_columns columns;
	int event = csv_column(csv, "event"), live = csv_column(csv, "live_bytes");
	int committed = csv_column(csv, "committed_bytes"),
	    resident = csv_column(csv, "resident_bytes");
	int lap = csv_column(csv, "lap"), repetition = csv_column(csv, "repetition"), cause[CAUSES],
	    err = 0;

	csv_cell_find(csv, &columns);
	for (size_t c = 0; c < CAUSES; c++)
		cause[c] = csv_column(csv, cause_table[c].column);
	while (!err && csv_next(csv)) {
		for (size_t s = 0; s < model->series_count && !err; s++) {
			const struct contender *series = &model->series[s];
			if (series->run != run ||
			    !csv_cell_is(csv, &columns, series->backend,
					 model->panel[panel].workload, threads, series->page_size,
					 series->backing))
				continue;
			struct memory_sample sample = { .event = csv_number(csv, event),
							.lap = csv_number(csv, lap),
							.live = csv_number(csv, live),
							.committed = csv_number(csv, committed),
							.resident = csv_number(csv, resident) };
			for (size_t c = 0; c < CAUSES; c++)
				sample.cause[c] = csv_number(csv, cause[c]);
			if (!all[s].count)
				all[s].repetition = csv_number(csv, repetition);
			if (all[s].repetition == csv_number(csv, repetition))
				err = memory_series_add(&all[s], &sample);
		}
	}
	return err;
}

void memory_series_free(const struct model *model, struct memory_series *all)
{
	for (size_t s = 0; all && s < model->series_count; s++)
		free(all[s].samples);
	free(all);
}

int memory_series_read(const struct model *model, size_t panel, const char *file,
		       struct memory_series **out)
{
	struct memory_series *all = calloc(model->series_count + 1, sizeof(*all));
	int err = all ? 0 : -ENOMEM;

	for (size_t r = 0; r < model->runs && !err; r++) {
		char path[4400];
		struct csv *csv;
		snprintf(path, sizeof(path), "%s/%s", model->run[r].path, file);
		err = csv_open(path, &csv);
		if (err == -ENOENT || err == -EBADMSG) {
			err = 0;
			continue;
		}
		if (!err) {
			err = memory_rows(model, r, panel, csv, all);
			csv_close(csv);
		}
	}
	if (err) {
		memory_series_free(model, all);
		return err;
	}
	*out = all;
	return 0;
}

void data_number(FILE *data, double value)
{
	fprintf(data, isfinite(value) ? " %.9g" : " NaN", value);
}

const struct memory_sample *memory_series_peak(const struct memory_series *m)
{
	const struct memory_sample *peak = NULL;

	for (size_t i = 0; i < m->count; i++) {
		if (!peak || m->samples[i].live > peak->live)
			peak = &m->samples[i];
	}
	return peak;
}

double memory_sample_waste(const struct memory_sample *sample)
{
	double sum = 0;

	for (size_t c = 0; c < CAUSES; c++)
		sum += sample->cause[c];
	return sum;
}

void prepare_causes(struct drawing *drawing)
{
	fprintf(drawing->variables, "causes = %d\narray cause_rgb[%d]\n", CAUSES, CAUSES);
	drawing_array_begin(drawing, "cause_name", CAUSES);
	for (size_t c = 0; c < CAUSES; c++) {
		drawing_array_text(drawing, "cause_name", c + 1, cause_table[c].name);
		fprintf(drawing->variables, "cause_rgb[%zu] = 0x%06x\n", c + 1, cause_table[c].rgb);
	}
}
