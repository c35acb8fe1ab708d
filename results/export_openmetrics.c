/*
 * OpenMetrics text, version 1.0 (github.com/prometheus/OpenMetrics). Families are gauges only and carry no time
 * stamps, so that readers of the older Prometheus text, such as node_exporter's textfile collector, take them too.
 *
 * A family's name is "poolbench_", the metric's words, and its unit at the end, as the format requires, in base
 * units: "alloc_ns_p99" is poolbench_alloc_p99_seconds, "live_bytes_peak" poolbench_live_peak_bytes, "ns_per_op"
 * poolbench_time_per_op_seconds.
 */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "export.h"
#include "text.h"

static const struct unit {
	const char *ours, *word, *theirs;
	double scale;
} units[] = {
	{ "ns", "ns", "seconds", 1e-9 },
	{ "bytes", "bytes", "bytes", 1 },
	{ "ratio", "ratio", "ratio", 1 },
};

static const struct unit *unit_of(const char *name)
{
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
		if (strcmp(units[i].ours, name) == 0)
			return &units[i];
	return NULL;
}

/* The words of the metric's name without its unit, the unit last; "ns_per" reads "time_per". */
static void family_name(const struct metric_info *metric, char *name, size_t bytes)
{
	const struct unit *unit = unit_of(metric->unit);
	char copy[64], *rest = copy, *word;
	size_t used = (size_t)snprintf(name, bytes, "poolbench");

	snprintf(copy, sizeof(copy), "%s", metric->name);
	while ((word = strsep(&rest, "_"))) {
		if (unit && strcmp(word, unit->word) == 0) {
			if (!rest || strncmp(rest, "per_op", 6) != 0)
				continue;
			word = "time";
		}
		used += (size_t)snprintf(name + used, bytes - used, "_%s", word);
	}
	if (unit)
		snprintf(name + used, bytes - used, "_%s", unit->theirs);
}

/* escaped-string of the format: any UTF-8 but line feeds, quotes and backslashes. */
static void put_escaped(FILE *out, const char *text)
{
	for (const unsigned char *s = (const unsigned char *)text; *s;) {
		const int bytes = utf8_length(s);

		if (!bytes)
			fputs("\xef\xbf\xbd", out);
		else if (*s == '\n')
			fputs("\\n", out);
		else if (*s == '"' || *s == '\\')
			fprintf(out, "\\%c", *s);
		else
			fwrite(s, 1, (size_t)bytes, out);
		s += bytes ? bytes : 1;
	}
}

static void put_label(FILE *out, const char *before, const char *name, const char *value)
{
	fprintf(out, "%s%s=\"", before, name);
	put_escaped(out, value);
	putc('"', out);
}

static void put_cell(FILE *out, const char *family, const struct cell *cell)
{
	fputs(family, out);
	put_label(out, "{", "backend", cell->backend);
	put_label(out, ",", "workload", cell->workload);
	fprintf(out, ",threads=\"%u\",page_size=\"%zu\"", cell->threads, cell->page_size);
	put_label(out, ",", "backing", cell->backing);
}

static void put_family(FILE *out, const char *family, const char *unit, const char *help)
{
	fprintf(out, "# TYPE %s gauge\n", family);
	if (unit)
		fprintf(out, "# UNIT %s %s\n", family, unit);
	fprintf(out, "# HELP %s ", family);
	put_escaped(out, help);
	putc('\n', out);
}

static void put_metric(FILE *out, const struct export_run *run, enum metric metric)
{
	const struct metric_info *info = &metric_table[metric];
	const struct unit *unit = unit_of(info->unit);
	char family[96];
	bool begun = false;

	family_name(info, family, sizeof(family));
	for (size_t c = 0; c < run->cell_count; c++) {
		const struct metric_summary *summary = export_metric(&run->cells[c], metric);

		if (!summary)
			continue;
		if (!begun)
			put_family(out, family, unit ? unit->theirs : NULL, info->help);
		begun = true;
		put_cell(out, family, &run->cells[c].cell);
		fprintf(out, "} %.17g\n", summary->median * (unit ? unit->scale : 1));
	}
}

/* One sample a cell and pass, whatever became of it: what failed is seen here, and only here. */
static void put_status(FILE *out, const struct export_run *run)
{
	put_family(out, "poolbench_pass_ok", NULL,
		   "1 where every repetition of the pass ended OK, else 0 and no numbers of it");
	for (size_t c = 0; c < run->cell_count; c++) {
		const struct cell_summary *cell = &run->cells[c];

		for (int pass = 0; pass < PASSES; pass++) {
			if (!cell->records[pass])
				continue;
			put_cell(out, "poolbench_pass_ok", &cell->cell);
			put_label(out, ",", "pass", pass_names[pass]);
			put_label(out, ",", "status", cell_status_names[cell->pass_status[pass]]);
			fprintf(out, "} %d\n", cell->pass_status[pass] == CELL_OK);
		}
	}
}

static void put_origin(FILE *out, const struct export_run *run)
{
	const json_t *environment = run->environment;
	const char *machine = json_string_value(
		json_object_get(environment, "machine_fingerprint"));
	const char *commit = json_string_value(
		json_object_get(json_object_get(environment, "build"), "git_commit"));
	double started = INFINITY;

	for (size_t i = 0; i < run->count; i++)
		started = fmin(started, run->records[i].started_unix_seconds);
	if (!isfinite(started))
		return;
	put_family(out, "poolbench_run_started_seconds", "seconds",
		   "when the run began, since 1970; where: the machine's fingerprint");
	put_label(out, "poolbench_run_started_seconds{", "machine", machine ? machine : "unknown");
	put_label(out, ",", "poolbench_commit", commit ? commit : "unknown");
	fprintf(out, "} %.3f\n", started);
}

int export_openmetrics(FILE *out, const struct export_run *run)
{
	put_origin(out, run);
	if (run->cell_count)
		put_status(out, run);
	for (int metric = 0; metric < METRIC_COUNT; metric++)
		put_metric(out, run, (enum metric)metric);
	fputs("# EOF\n", out);
	return 0;
}
