/* The table of a tuning, and the command that uses its answer. */
#include <math.h>
#include <string.h>

#include "bench/tune.h"
#include "results/summary.h"

/* An interval of so few pairs that it covers less is not shown as one of 95 %. */
#define INTERVAL_LEAST 0.9

/* ---- table ---- */

static int name_width(const struct tune_session *session)
{
	size_t width = 8;

	for (unsigned i = 0; i < session->setting_count; i++)
		if (strlen(session->settings[i].name) > width)
			width = strlen(session->settings[i].name);
	return (int)(width > 60 ? 60 : width);
}

static void print_number(int width, int precision, double value, FILE *file)
{
	if (isfinite(value))
		fprintf(file, "%*.*f", width, precision, value);
	else
		fprintf(file, "%*s", width, "-");
}

static void print_speed(const struct tune_session *session, unsigned i, unsigned c, FILE *file)
{
	struct paired_ratio ratio = { .ratio = NAN };
	char text[64] = "-";

	if (i == session->baseline)
		snprintf(text, sizeof(text), "baseline");
	else if (!tune_over_baseline(session, i, c, TUNE_SPEED, &ratio) && isfinite(ratio.ratio) &&
		 ratio.interval.coverage < INTERVAL_LEAST)
		snprintf(text, sizeof(text), "%+.1f", 100 * (1 / ratio.ratio - 1));
	else if (isfinite(ratio.ratio))
		snprintf(text, sizeof(text), "%+.1f (%+.1f .. %+.1f)", 100 * (1 / ratio.ratio - 1),
			 100 * (1 / ratio.interval.high - 1), 100 * (1 / ratio.interval.low - 1));
	fprintf(file, "%25s", text);
}

static void print_row(const struct tune_session *session, const struct cell_summary *cells,
		      size_t count, unsigned i, unsigned c, int width, FILE *file)
{
	const struct tune_setting *setting = &session->settings[i];
	const struct cell_summary *cell = tune_summary(session, cells, count, i, c);

	fprintf(file, "  %-*.*s", width, width, setting->name);
	if (setting->status != CELL_OK || !cell) {
		fprintf(file, "  %s\n", tune_standing(session, i));
		return;
	}
	print_speed(session, i, c, file);
	/* by the laps that are raced: medians of laps are the neighbours' as much as the pool's */
	print_number(9, 2,
		     1e3 * session->conditions[c].threads /
			     cell->metrics[session->options.statistic].median,
		     file);
	print_number(8, 0, cell->metrics[METRIC_alloc_ns_p99].median, file);
	print_number(10, 2, cell->metrics[METRIC_resident_bytes_peak].median / (1 << 20), file);
	print_number(8, 1, cell->metrics[METRIC_internal_fragmentation].median * 100, file);
	print_number(8, 1, cell->metrics[METRIC_external_fragmentation].median * 100, file);
	print_number(9, 0, cell->metrics[METRIC_commits].median, file);
	print_number(9, 0, cell->metrics[METRIC_page_faults].median, file);
	if (session->options.plan.prototype.paging_file)
		print_number(9, 0, cell->metrics[METRIC_major_faults].median, file);
	if (isfinite(cell->metrics[METRIC_dtlb_misses_per_op].median))
		print_number(9, 3, cell->metrics[METRIC_dtlb_misses_per_op].median, file);
	fprintf(file, "%7u  %s\n", setting->blocks, tune_standing(session, i));
}

static bool has_tlb(const struct cell_summary *cells, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (isfinite(cells[i].metrics[METRIC_dtlb_misses_per_op].median))
			return true;
	return false;
}

void tune_print_table(const struct tune_session *session, const struct cell_summary *cells,
		      size_t count, FILE *file)
{
	const int width = name_width(session);

	for (unsigned c = 0; c < session->condition_count; c++) {
		const struct tune_condition *condition = &session->conditions[c];

		fprintf(file, "\n%s, %u thread%s\n  %-*s%25s%9s%8s%10s%8s%8s%9s%9s%s%s%7s\n",
			condition->workload, condition->threads, condition->threads == 1 ? "" : "s",
			width, "", "% faster (95 %)", "M ops/s", "p99 ns", "MiB", "% in", "% out",
			"commits", "faults",
			session->options.plan.prototype.paging_file ? "    major" : "",
			has_tlb(cells, count) ? "     dTLB" : "", "blocks");
		for (unsigned i = 0; i < session->setting_count; i++)
			print_row(session, cells, count, i, c, width, file);
	}
	fputs("\n% faster: pairs within blocks against the baseline; MiB: peak resident; % in, "
	      "% out: of blocks that is no caller's,\nof committed that is no block's, at the "
	      "peak; "
	      "commits, faults: in the timed region\n",
	      file);
}

/* ---- the command ---- */

/* For a POSIX shell: in quotes where it has to be. */
static void print_shell_word(const char *word, FILE *file)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%";

	if (*word && strspn(word, plain) == strlen(word)) {
		fputs(word, file);
		return;
	}
	fputc('\'', file);
	for (; *word; word++) {
		if (*word == '\'')
			fputs("'\\''", file);
		else
			fputc(*word, file);
	}
	fputc('\'', file);
}

void tune_print_setting(const struct tune_session *session, unsigned i, FILE *file)
{
	const struct tune_setting *setting = &session->settings[i];
	char page[16];

	tune_page_name(setting->page_size, page, sizeof(page));
	fputs("--backend ", file);
	print_shell_word(setting->backend, file);
	fprintf(file, " --page-size %s --backing %s", page, setting->backing);
}

static bool is_of_tune(const char *name)
{
	if (strcmp(name, "page-size") == 0 || strcmp(name, "backing") == 0)
		return true; /* the setting says them */
	for (const struct tune_option *option = tune_option_table; option->name; option++)
		if (strcmp(option->name, name) == 0)
			return true;
	return false;
}

/* With the options of the plan that were given, the last of each, and those that tune chooses otherwise than run. */
void tune_print_command(const struct tune_session *session, unsigned i, FILE *file)
{
	const struct run_plan *record = &session->options.record;

	fputs("poolbench run ", file);
	tune_print_setting(session, i, file);
	for (size_t k = 0; k < record->option_count; k++) {
		const struct run_option *option = &record->options[k];
		bool again = false;

		for (size_t later = k + 1; later < record->option_count; later++)
			again |= strcmp(record->options[later].name, option->name) == 0;
		if (again || is_of_tune(option->name))
			continue;
		fprintf(file, " --%s ", option->name);
		print_shell_word(option->value, file);
	}
	if (!run_plan_option(record, "events"))
		fprintf(file, " --events %llu",
			(unsigned long long)session->options.plan.prototype.events);
	if (!run_plan_option(record, "laps"))
		fprintf(file, " --laps %u", session->options.plan.prototype.laps);
	if (!run_plan_option(record, "checkpoints"))
		fprintf(file, " --checkpoints %u", session->options.plan.prototype.checkpoints);
}
