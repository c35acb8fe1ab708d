/* What a comparison says: a table for people, Markdown for a pull request, the pairs as CSV. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/ab.h"

bool ab_shown(const struct ab_session *session, const struct ab_cell *cell, int series)
{
	const enum pass pass = ab_series_table[series].pass;

	return session->options.plan.passes[pass] &&
	       (cell->tracks[series].measured || cell->failed[pass][0]);
}

static const char *verdict_of(const struct ab_track *track)
{
	return verdict_names[track->trial->verdict];
}

/* "20+20": pairs of the search, and of the confirming batch. */
static void describe_pairs(const struct trial *trial, char *text, size_t bytes)
{
	if (trial->confirmed)
		snprintf(text, bytes, "%zu+%zu", trial->searched, trial->confirmed);
	else
		snprintf(text, bytes, "%zu", trial->searched);
}

static void describe_p(double p, char *text, size_t bytes)
{
	if (isnan(p))
		snprintf(text, bytes, "-");
	else if (p < 0.0001)
		snprintf(text, bytes, "%.0e", p);
	else
		snprintf(text, bytes, "%.4f", p);
}

static void describe_value(double value, int series, char *text, size_t bytes)
{
	if (isnan(value))
		snprintf(text, bytes, "-");
	else if (series == AB_FOOTPRINT)
		snprintf(text, bytes, "%.2f MiB", value / (1 << 20));
	else
		snprintf(text, bytes, "%.4g", value);
}

void ab_cell_title(const struct ab_cell *cell, char *text, size_t bytes)
{
	char pages[48] = "own pages";

	if (cell->b.page_size || cell->a.page_size)
		snprintf(pages, sizeof(pages), "%zuK pages, %s",
			 (cell->b.page_size ? cell->b.page_size : cell->a.page_size) >> 10,
			 cell->b.backing);
	snprintf(text, bytes, "%s, %u thread%s, %s", cell->a.workload, cell->a.threads,
		 cell->a.threads == 1 ? "" : "s", pages);
}

/* What the instrument was shown to do in this session. */
static void print_controls(const struct ab_session *session, const struct ab_cell *cell,
			   const char *indent, FILE *file)
{
	const struct ab_track *track = &cell->tracks[AB_TIME];
	const struct trial *trial = track->trial;
	const double alpha = verdict_look_alpha(&session->rules[PASS_THROUGHPUT]);

	if (cell->quiet.readings && session->options.plan.quiet_wait > 0)
		fprintf(file,
			"%swaited %.1f s for a core to itself (%u measured again); %u of "
			"%lu shared one all the same\n",
			indent, cell->quiet.waited_seconds, cell->quiet.again,
			cell->quiet.disturbed, cell->quiet.readings - cell->quiet.again);
	if (!track->measured || !trial->controls)
		return;
	fprintf(file, "%sA against A: %.4f (%.4f .. %.4f), so changes from %.1f %% on count here\n",
		indent, trial->control_ratio.ratio, trial->control_ratio.interval.low,
		trial->control_ratio.interval.high, 100 * trial->threshold);
	if (!track->planted.pairs)
		return;
	fprintf(file, "%splanted +%.1f %% (by its own clock +%.2f %%): %.4f (%.4f .. %.4f), %s\n",
		indent, 100 * session->options.planted, 100 * cell->true_share,
		track->planted.ratio, track->planted.interval.low, track->planted.interval.high,
		track->planted.p <= alpha && track->planted.ratio > 1 ? "seen" : "NOT SEEN");
}

static void print_notes(const struct ab_cell *cell, const char *indent, FILE *file)
{
	for (int pass = 0; pass < PASSES; pass++)
		if (cell->failed[pass][0])
			fprintf(file, "%s%s pass: %s\n", indent, pass_names[pass],
				cell->failed[pass]);
	for (int series = 0; series < AB_SERIES; series++) {
		const struct ab_track *track = &cell->tracks[series];

		if (track->note)
			fprintf(file, "%s%s: %s\n", indent, ab_series_table[series].name,
				track->note);
		if (track->trial->refuted)
			fprintf(file, "%s%s: %u suspicion%s not confirmed by a second batch\n",
				indent, ab_series_table[series].name, track->trial->refuted,
				track->trial->refuted == 1 ? "" : "s");
	}
}

void ab_print_notes(const struct ab_session *session, const struct ab_cell *cell,
		    const char *indent, FILE *file)
{
	print_controls(session, cell, indent, file);
	print_notes(cell, indent, file);
}

static void print_row(const struct ab_session *session, const struct ab_cell *cell, int series,
		      FILE *file)
{
	const struct ab_track *track = &cell->tracks[series];
	const struct trial *trial = track->trial;
	char pairs[24], p[24], a[24], b[24], interval[40] = "-", power[16] = "-";

	describe_pairs(trial, pairs, sizeof(pairs));
	describe_p(trial->p_holm, p, sizeof(p));
	describe_value(track->median_a, series, a, sizeof(a));
	describe_value(track->median_b, series, b, sizeof(b));
	if (!isnan(trial->ratio.ratio))
		snprintf(interval, sizeof(interval), "%.4f (%.4f .. %.4f)", trial->ratio.ratio,
			 trial->ratio.interval.low, trial->ratio.interval.high);
	if (!isnan(track->power))
		snprintf(power, sizeof(power), "%.0f %%", 100 * track->power);
	fprintf(file, "  %-12s %10s %10s  %-26s %8s %7s %6s  %s%s\n", ab_series_table[series].name,
		a, b, interval, p, pairs, power, verdict_of(track),
		session->options.gate[series] ? "" : " (not gating)");
}

void ab_print_table(const struct ab_session *session, FILE *file)
{
	fprintf(file, "A: %s\nB: %s\n", session->options.a, session->options.b);
	for (unsigned i = 0; i < session->cell_count; i++) {
		const struct ab_cell *cell = &session->cells[i];
		char title[AB_TITLE_BYTES], power[24];

		ab_cell_title(cell, title, sizeof(title));
		snprintf(power, sizeof(power), "P(%.3g%%)", 100 * session->options.rules.threshold);
		fprintf(file, "\n%s\n  %-12s %10s %10s  %-26s %8s %7s %6s  verdict\n", title, "",
			"A", "B", "B/A (interval)", "p", "pairs", power);
		for (int series = 0; series < AB_SERIES; series++)
			if (ab_shown(session, cell, series))
				print_row(session, cell, series, file);
		ab_print_notes(session, cell, "  ", file);
	}
	fprintf(file,
		"\nintervals %.2f %%, exact signed rank; p after Holm; P(x) the power to suspect a "
		"change of x with these pairs\n%u processes, %.1f s%s\n%s\n",
		100 * (1 - verdict_look_alpha(&session->rules[PASS_THROUGHPUT])),
		session->processes, session->seconds,
		session->out_of_budget ? ", stopped by --budget" : "",
		verdict_names[session->verdict]);
}

/* A '|' in a plugin's path must not end the column. */
static void print_escaped(const char *text, FILE *file)
{
	for (; *text; text++) {
		if (*text == '|' || *text == '\\')
			fputc('\\', file);
		fputc(*text, file);
	}
}

static void print_markdown_row(const struct ab_session *session, const struct ab_cell *cell,
			       int series, FILE *file)
{
	const struct ab_track *track = &cell->tracks[series];
	const struct trial *trial = track->trial;
	char pairs[24], p[24], title[AB_TITLE_BYTES];

	ab_cell_title(cell, title, sizeof(title));
	describe_pairs(trial, pairs, sizeof(pairs));
	describe_p(trial->p_holm, p, sizeof(p));
	fputs("| ", file);
	print_escaped(title, file);
	fprintf(file, " | %s%s | ", ab_series_table[series].name,
		session->options.gate[series] ? "" : " (not gating)");
	if (isnan(trial->ratio.ratio))
		fputs("- | - ", file);
	else
		fprintf(file, "%+.2f %% | %+.2f .. %+.2f %% ", 100 * (trial->ratio.ratio - 1),
			100 * (trial->ratio.interval.low - 1),
			100 * (trial->ratio.interval.high - 1));
	fprintf(file, "| %s | %s | ", p, pairs);
	if (isnan(track->power))
		fputs("- ", file);
	else
		fprintf(file, "%.0f %% ", 100 * track->power);
	fprintf(file, "| %s%s%s |\n", trial->verdict == VERDICT_REGRESSION ? "**" : "",
		verdict_of(track), trial->verdict == VERDICT_REGRESSION ? "**" : "");
}

void ab_print_markdown(const struct ab_session *session, FILE *file)
{
	fprintf(file, "### poolbench ab: %s\n\nA is `%s`, B is `%s`.\n\n",
		verdict_names[session->verdict], session->options.a, session->options.b);
	fprintf(file,
		"| cell | series | B against A | interval | p | pairs | power for %.3g %% | "
		"verdict |\n"
		"|---|---|--:|--:|--:|--:|--:|---|\n",
		100 * session->options.rules.threshold);
	for (unsigned i = 0; i < session->cell_count; i++)
		for (int series = 0; series < AB_SERIES; series++)
			if (ab_shown(session, &session->cells[i], series))
				print_markdown_row(session, &session->cells[i], series, file);
	fputs("\n<details><summary>Controls of this session</summary>\n\n", file);
	for (unsigned i = 0; i < session->cell_count; i++) {
		char title[AB_TITLE_BYTES];

		ab_cell_title(&session->cells[i], title, sizeof(title));
		fprintf(file, "%s\n\n", title);
		ab_print_notes(session, &session->cells[i], "- ", file);
		fputc('\n', file);
	}
	fprintf(file,
		"Intervals of %.2f %%, exact signed rank; p after Holm's correction. %u processes, "
		"%.1f s.\n\n</details>\n",
		100 * (1 - verdict_look_alpha(&session->rules[PASS_THROUGHPUT])),
		session->processes, session->seconds);
}

static void print_number(double value, FILE *file)
{
	fputc(',', file);
	if (isfinite(value))
		fprintf(file, "%.17g", value);
}

static void print_batch(const struct ab_cell *cell, const struct ab_batch *batch, int series,
			const char *name, FILE *file)
{
	char title[512];

	cell_name(&cell->a, title, sizeof(title));
	for (unsigned i = 0; i < batch->count; i++) {
		fputc('"', file);
		for (const char *c = title; *c; c++)
			fprintf(file, *c == '"' ? "\"\"" : "%c", *c);
		fprintf(file, "\",%s,%s,%u", ab_series_table[series].name, name, i);
		for (int role = 0; role <= AB_SLOWED; role++)
			print_number(batch->rounds[i].value[role][series], file);
		fputc('\n', file);
	}
}

void ab_print_pairs(const struct ab_session *session, FILE *file)
{
	fputs("cell,series,batch,round,a,b,control,slowed\n", file);
	for (unsigned i = 0; i < session->cell_count; i++) {
		const struct ab_cell *cell = &session->cells[i];

		for (int series = 0; series < AB_SERIES; series++) {
			const enum pass pass = ab_series_table[series].pass;

			if (!cell->tracks[series].measured)
				continue;
			print_batch(cell, &cell->search[pass], series, "search", file);
			print_batch(cell, &cell->confirm[pass], series, "confirm", file);
		}
	}
}

static int write_pairs(const struct ab_session *session, struct run_dir *run, char *why,
		       size_t why_bytes)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *file = open_memstream(&text, &bytes);
	int error;

	if (!file)
		return -ENOMEM;
	ab_print_pairs(session, file);
	error = fclose(file) ? -ENOMEM
			     : run_dir_write(run, "pairs.csv", text, bytes, why, why_bytes);
	free(text);
	return error;
}

int ab_write_verdicts(const struct ab_session *session, struct run_dir *run, char *why,
		      size_t why_bytes)
{
	char *text = ab_to_json(session);
	int error = text ? run_dir_write(run, "ab.json", text, strlen(text), why, why_bytes)
			 : -ENOMEM;

	free(text);
	return error ? error : write_pairs(session, run, why, why_bytes);
}
