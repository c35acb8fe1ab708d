/* The verdicts of a comparison as test results. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/ab.h"

/* "B/A 1.0312 (1.0251 .. 1.0377), p 3e-06, 20+20 pairs" */
static void describe(const struct trial *trial, char *text, size_t bytes)
{
	if (isnan(trial->ratio.ratio))
		snprintf(text, bytes, "nothing to compare");
	else
		snprintf(text, bytes, "B/A %.4f (%.4f .. %.4f), p %.2g after Holm, %zu+%zu pairs",
			 trial->ratio.ratio, trial->ratio.interval.low, trial->ratio.interval.high,
			 trial->p_holm, trial->searched, trial->confirmed);
}

/* The numbers, and what the controls and notes of the cell say, as a text of the caller's. */
static char *details_of(const struct ab_session *session, const struct ab_cell *cell, int series,
			const char *numbers)
{
	const struct ab_track *track = &cell->tracks[series];
	char *text = NULL;
	size_t bytes = 0;
	FILE *file = open_memstream(&text, &bytes);

	if (!file)
		return NULL;
	fprintf(file, "%s%s\n%s\n", verdict_names[track->trial->verdict],
		session->options.gate[series] ? "" : " (not gating)", numbers);
	if (!isnan(track->power))
		fprintf(file, "power to suspect a change of %.3g %% with these pairs: %.0f %%\n",
			100 * session->options.rules.threshold, 100 * track->power);
	ab_print_notes(session, cell, "", file);
	fclose(file);
	return text;
}

static void add_series(struct junit *junit, const struct ab_session *session,
		       const struct ab_cell *cell, int series, enum junit_outcome undecided)
{
	const struct ab_track *track = &cell->tracks[series];
	const enum verdict verdict = track->trial->verdict;
	const enum pass pass = ab_series_table[series].pass;
	char title[AB_TITLE_BYTES], numbers[200], *output;
	struct junit_case test = {
		.classname = title,
		.name = ab_series_table[series].name,
		.seconds = NAN,
		.outcome = junit_outcome_of(verdict, session->options.gate[series], undecided),
		.type = verdict_names[verdict],
		.message = numbers,
	};

	ab_cell_title(cell, title, sizeof(title));
	describe(track->trial, numbers, sizeof(numbers));
	if (cell->failed[pass][0]) {
		/* a process that failed is no question of pairs, gating or not */
		test.outcome = JUNIT_ERROR;
		test.message = cell->failed[pass];
	} else if (track->note) {
		test.message = track->note;
	}
	output = details_of(session, cell, series, numbers);
	test.output = output;
	junit_add(junit, &test);
	free(output);
}

int ab_print_junit(const struct ab_session *session, enum junit_outcome undecided, FILE *file)
{
	struct junit *junit = junit_begin("poolbench ab");
	char text[64];

	junit_property(junit, "a", session->options.a);
	junit_property(junit, "b", session->options.b);
	junit_property(junit, "verdict", verdict_names[session->verdict]);
	snprintf(text, sizeof(text), "%.3g %%", 100 * session->options.rules.threshold);
	junit_property(junit, "threshold", text);
	snprintf(text, sizeof(text), "%.1f", session->seconds);
	junit_property(junit, "seconds", text);
	for (unsigned i = 0; i < session->cell_count; i++)
		for (int series = 0; series < AB_SERIES; series++)
			if (ab_shown(session, &session->cells[i], series))
				add_series(junit, session, &session->cells[i], series, undecided);
	junit_add_whole(junit, "poolbench ab", session->verdict, undecided);
	return junit_end(junit, file);
}
