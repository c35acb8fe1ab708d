/* The two JSON formats of trackers: Bencher's own, and github-action-benchmark's list of values. */
#include <errno.h>

#include "export.h"
#include "record_json.h"

static int write_whole(FILE *out, json_t *json, int error)
{
	if (!error && json_dumpf(json, out, JSON_INDENT(2) | JSON_REAL_PRECISION(17)))
		error = -ENOMEM;
	json_decref(json);
	putc('\n', out);
	return error;
}

/* ---- Bencher Metric Format, version 0 ---- */

static json_t *bmf_metric(const struct metric_summary *summary)
{
	json_t *metric = json_pack("{sf}", "value", summary->median);

	if (export_has_interval(summary)) {
		json_object_set_new(metric, "lower_value", json_real(summary->interval.low));
		json_object_set_new(metric, "upper_value", json_real(summary->interval.high));
	}
	return metric;
}

int export_bmf(FILE *out, const struct export_run *run)
{
	json_t *root = json_object();
	int error = root ? 0 : -ENOMEM;

	for (size_t c = 0; c < run->cell_count && !error; c++) {
		json_t *measures = json_object();
		char name[EXPORT_NAME_BYTES];

		for (int i = 0; i < EXPORT_MEASURES && !error; i++) {
			const struct metric_summary *summary = export_metric(
				&run->cells[c], export_measures[i].metric);

			if (summary && json_object_set_new(measures, export_measures[i].slug,
							   bmf_metric(summary)))
				error = -ENOMEM;
		}
		export_cell_name(&run->cells[c].cell, name);
		if (!json_object_size(measures))
			json_decref(measures);
		else if (json_object_set_new(root, name, measures))
			error = -ENOMEM;
	}
	if (!error && !json_object_size(root))
		error = -ENODATA;
	return write_whole(out, root, error);
}

/* ---- github-action-benchmark, customSmallerIsBetter ---- */

static json_t *custom_entry(const struct cell_summary *cell, enum metric metric,
			    const struct metric_summary *summary)
{
	const struct metric_info *info = &metric_table[metric];
	char name[EXPORT_NAME_BYTES], title[EXPORT_NAME_BYTES + 64], range[96], extra[512];
	json_t *entry;

	export_cell_name(&cell->cell, name);
	snprintf(title, sizeof(title), "%s %s", name, info->name);
	snprintf(extra, sizeof(extra), "%s\nmedian of %zu process%s%s%s", info->help, summary->n,
		 summary->n == 1 ? "" : "es", cell->caveats[0] ? "\n" : "", cell->caveats);
	entry = json_pack("{ss ss sf so}", "name", title, "unit", info->unit, "value",
			  summary->median, "extra", json_text(extra));
	if (export_has_interval(summary)) {
		snprintf(range, sizeof(range), "%.6g .. %.6g (%.3g %%)", summary->interval.low,
			 summary->interval.high, 100 * summary->interval.coverage);
		json_object_set_new(entry, "range", json_string(range));
	}
	return entry;
}

int export_custom_smaller(FILE *out, const struct export_run *run)
{
	json_t *root = json_array();
	int error = root ? 0 : -ENOMEM;

	for (size_t c = 0; c < run->cell_count && !error; c++) {
		for (int i = 0; i < EXPORT_MEASURES && !error; i++) {
			const enum metric metric = export_measures[i].metric;
			const struct metric_summary *summary = export_metric(&run->cells[c],
									     metric);

			if (summary && metric_table[metric].better == BETTER_LOWER &&
			    json_array_append_new(root,
						  custom_entry(&run->cells[c], metric, summary)))
				error = -ENOMEM;
		}
	}
	if (!error && !json_array_size(root))
		error = -ENODATA;
	return write_whole(out, root, error);
}
