/* The answer in words: what to use, what it gains, what else would do, why, and how sure that is. */
#include <math.h>
#include <string.h>

#include "bench/tune.h"
#include "results/summary.h"

#define LISTED 4 /* names before "and N more" */

/* ---- effects ---- */

/* "9.1 % faster (7.2 .. 11.0)": how much better or worse, as a person would say it, with its interval. */
static void print_effect(const struct paired_ratio *ratio, const char *better, const char *worse,
			 bool inverse, FILE *file)
{
	const double r = ratio->ratio;
	/* How far it is from 1, in its own direction: of a speed, which is 1 / r; of an amount, which is r. */
	const double sign = inverse == (r > 1) ? -1 : 1;
	const double gain = sign * ((inverse ? 1 / r : r) - 1);
	const double one = sign * ((inverse ? 1 / ratio->interval.low : ratio->interval.low) - 1);
	const double other = sign *
			     ((inverse ? 1 / ratio->interval.high : ratio->interval.high) - 1);
	const double low = fmin(one, other), high = fmax(one, other);

	fprintf(file, "%.*f %% %s", gain < 0.0995 ? 1 : 0, 100 * gain, r > 1 ? worse : better);
	if (high - low >= 0.001) /* bytes are often the same every time */
		fprintf(file, " (%.1f .. %.1f)", 100 * low, 100 * high);
}

static bool is_known(const struct paired_ratio *ratio)
{
	return ratio->pairs && isfinite(ratio->ratio);
}

static bool excludes_one(const struct paired_ratio *ratio)
{
	return ratio->interval.low > 1 || ratio->interval.high < 1;
}

static void print_speed(const struct paired_ratio *ratio, FILE *file)
{
	if (excludes_one(ratio))
		print_effect(ratio, "faster", "slower", true, file);
	else
		fprintf(file, "as fast (%+.1f .. %+.1f %%)", 100 * (1 / ratio->interval.high - 1),
			100 * (1 / ratio->interval.low - 1));
}

/* Below half a per cent, memory is the same to anybody. */
static void print_memory(const struct paired_ratio *ratio, FILE *file)
{
	if (fabs(ratio->ratio - 1) < 0.005)
		fputs("in the same memory", file);
	else {
		fputs(ratio->ratio > 1 ? "for " : "in ", file);
		print_effect(ratio, "less memory", "more memory", false, file);
	}
}

static void print_latency(const struct paired_ratio *ratio, FILE *file)
{
	fputs("p99 ", file);
	if (excludes_one(ratio))
		print_effect(ratio, "lower", "higher", false, file);
	else
		fprintf(file, "the same (%+.1f .. %+.1f %%)", 100 * (ratio->interval.low - 1),
			100 * (ratio->interval.high - 1));
}

/* All three aspects, those that the goal weighs first. */
static void print_gains(const struct tune_session *session, unsigned condition, FILE *file)
{
	static void (*const print[TUNE_ASPECTS])(const struct paired_ratio *, FILE *) = {
		[TUNE_SPEED] = print_speed,
		[TUNE_MEMORY] = print_memory,
		[TUNE_LATENCY] = print_latency,
	};
	const char *separator = "";

	for (int weighed = 1; weighed >= 0; weighed--) {
		for (int aspect = 0; aspect < TUNE_ASPECTS; aspect++) {
			struct paired_ratio ratio;

			if ((session->options.weights[aspect] > 0) != weighed ||
			    tune_confirmed(session, condition, (enum tune_aspect)aspect, &ratio) ||
			    !is_known(&ratio))
				continue;
			fputs(separator, file);
			print[aspect](&ratio, file);
			separator = ", ";
		}
	}
}

/* ---- sentences ---- */

static void print_conditions(const struct tune_session *session, FILE *file)
{
	for (unsigned c = 0; c < session->condition_count; c++)
		fprintf(file, "%s%s, %u thread%s", c ? "; " : "", session->conditions[c].workload,
			session->conditions[c].threads,
			session->conditions[c].threads == 1 ? "" : "s");
}

static void print_answer(const struct tune_session *session, FILE *file)
{
	const struct tune_setting *answer = &session->settings[session->race.leader];
	const struct tune_setting *baseline = &session->settings[session->baseline];

	if (!session->race.settled)
		fputs("Not settled. So far: ", file);
	if (answer == baseline) {
		fprintf(file, "%s %s. No other setting %s %.3g %% better or more.\n",
			session->race.settled ? "Keep" : "keep", answer->name,
			session->race.settled ? "is" : "was found to be",
			100 * session->options.threshold);
		return;
	}
	fprintf(file, "%s %s", session->race.settled ? "Use" : "use", answer->name);
	if (session->pairs) {
		fputs(": ", file);
		print_gains(session, session->condition_count, file);
		fprintf(file, ", against %s", baseline->name);
	}
	fputs(".\n", file);
	for (unsigned c = 0; c < session->condition_count && session->condition_count > 1; c++) {
		fprintf(file, "  %s, %u thread%s: ", session->conditions[c].workload,
			session->conditions[c].threads,
			session->conditions[c].threads == 1 ? "" : "s");
		print_gains(session, c, file);
		fputc('\n', file);
	}
}

static void print_names(const struct tune_session *session, const unsigned *list, unsigned count,
			FILE *file)
{
	for (unsigned i = 0; i < count && i < LISTED; i++)
		fprintf(file, "%s%s", i ? "; " : "", session->settings[list[i]].name);
	if (count > LISTED)
		fprintf(file, "; and %u more", count - LISTED);
}

/* The next larger page that differs from the answer in nothing else; the count if there is none. */
static unsigned next_page(const struct tune_session *session)
{
	const struct tune_setting *answer = &session->settings[session->race.leader];
	unsigned found = session->setting_count;

	for (unsigned i = 0; i < session->setting_count; i++) {
		const struct tune_setting *setting = &session->settings[i];

		if (setting->status == CELL_OK && setting->page_size > answer->page_size &&
		    strcmp(setting->backend, answer->backend) == 0 &&
		    strcmp(setting->backing, answer->backing) == 0 &&
		    (found == session->setting_count ||
		     setting->page_size < session->settings[found].page_size))
			found = i;
	}
	return found;
}

/* "slower" where speed is all that counts. */
static void print_score(const struct tune_session *session, const struct paired_ratio *ratio,
			FILE *file)
{
	const bool speed = session->options.weights[TUNE_SPEED] >= 1;

	if (excludes_one(ratio))
		print_effect(ratio, speed ? "faster" : "better", speed ? "slower" : "worse", true,
			     file);
	else
		fprintf(file, "level (%+.1f .. %+.1f %%)", 100 * (ratio->interval.low - 1),
			100 * (ratio->interval.high - 1));
}

static void print_beyond(const struct tune_session *session, FILE *file)
{
	const unsigned next = next_page(session);
	struct paired_ratio ratio;
	char page[16];

	if (!session->race.settled)
		return;
	if (next == session->setting_count) {
		fputs("It is the largest page that could be measured there.\n", file);
		return;
	}
	if (tune_score_ratio(session, next, session->race.leader, &ratio) || !is_known(&ratio))
		return;
	tune_page_name(session->settings[next].page_size, page, sizeof(page));
	fprintf(file, "Beyond that nothing is gained: the next page size, %s, is ", page);
	print_score(session, &ratio, file);
	fputs(".\n", file);
}

static unsigned collect(const struct tune_session *session, const char *standing, unsigned *list)
{
	unsigned count = 0;

	for (unsigned i = 0; i < session->setting_count; i++)
		if (strcmp(tune_standing(session, i), standing) == 0)
			list[count++] = i;
	return count;
}

/* One that is cheaper than the answer, with what speaks for and against it. */
static void print_undecided(const struct tune_session *session, unsigned setting, bool more,
			    FILE *file)
{
	const double cost = session->entries[setting].cost /
			    session->entries[session->race.leader].cost;
	struct paired_ratio ratio;

	fprintf(file, "%s%s", more ? "; " : "", session->settings[setting].name);
	if (tune_score_ratio(session, setting, session->race.leader, &ratio) == 0 &&
	    is_known(&ratio)) {
		fputs(", ", file);
		print_score(session, &ratio, file);
	}
	if (isfinite(cost) && fabs(cost - 1) >= 0.005)
		fprintf(file, ", with %.0f %% %s memory", 100 * fabs(cost - 1),
			cost < 1 ? "less" : "more");
}

static void print_rivals(const struct tune_session *session, FILE *file)
{
	unsigned list[TUNE_SETTINGS_MAX];
	unsigned count = collect(session, "level", list);

	if (count && session->race.settled) {
		fputs("As good, but not cheaper: ", file);
		print_names(session, list, count, file);
		fputs(".\n", file);
	}
	count = collect(session, "undecided", list);
	if (count) {
		fputs("Not decided whether it is as good: ", file);
		for (unsigned i = 0; i < count && i < LISTED; i++)
			print_undecided(session, list[i], i > 0, file);
		fputs(". More --blocks or --budget would tell.\n", file);
	}
	count = collect(session, "open", list);
	if (count && !session->race.settled) {
		fputs("May be better yet: ", file);
		print_names(session, list, count, file);
		fprintf(file, ". %s\n",
			session->out_of_budget
				? "A larger --budget would tell, or a quieter machine."
				: "A larger --threshold, more --blocks or a quieter "
				  "machine would tell.");
	}
}

/* ---- why ---- */

struct reason {
	enum metric metric;
	const char *what, *format;
	double scale;
	bool always; /* said even where it does not change */
};

static const struct reason reasons[] = {
	{ METRIC_dtlb_misses_per_op, "dTLB misses an operation", "%.3g", 1, true },
	{ METRIC_commits, "commits", "%.0f", 1, false },
	{ METRIC_page_faults, "page faults", "%.0f", 1, false },
	{ METRIC_major_faults, "major faults", "%.0f", 1, false },
	{ METRIC_committed_bytes_peak, "committed", "%.2f MiB", 1 << 20, true },
	{ METRIC_resident_bytes_peak, "resident", "%.2f MiB", 1 << 20, true },
	{ METRIC_internal_fragmentation, "waste inside blocks", "%.1f %%", 0.01, true },
	{ METRIC_external_fragmentation, "outside", "%.1f %%", 0.01, true },
};

static void print_why(const struct tune_session *session, const struct cell_summary *cells,
		      size_t count, unsigned condition, FILE *file)
{
	const struct cell_summary *from = tune_summary(session, cells, count, session->baseline,
						       condition);
	const struct cell_summary *to = tune_summary(session, cells, count, session->race.leader,
						     condition);
	const char *separator = " ";

	if (!from || !to || from == to)
		return;
	fprintf(file, "Why, %s with %u thread%s:", session->conditions[condition].workload,
		session->conditions[condition].threads,
		session->conditions[condition].threads == 1 ? "" : "s");
	for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++) {
		const double a = from->metrics[reasons[i].metric].median / reasons[i].scale;
		const double b = to->metrics[reasons[i].metric].median / reasons[i].scale;

		if (!isfinite(a) || !isfinite(b) || (!reasons[i].always && fabs(a - b) < 0.5))
			continue;
		fprintf(file, "%s%s ", separator, reasons[i].what);
		fprintf(file, reasons[i].format, a);
		fputs(" -> ", file);
		fprintf(file, reasons[i].format, b);
		separator = ", ";
	}
	fprintf(file, ".%s\n",
		isfinite(to->metrics[METRIC_dtlb_misses_per_op].median)
			? ""
			: " (This machine does not count dTLB misses.)");
}

/* ---- single conditions, what is missing, how sure ---- */

static void print_alone(const struct tune_session *session, FILE *file)
{
	for (unsigned c = 0; c < session->condition_count && session->condition_count > 1; c++) {
		const struct tune_condition *condition = &session->conditions[c];

		if (condition->answer == session->race.leader)
			continue;
		fprintf(file, "%s, %u thread%s, alone would take %s%s.\n", condition->workload,
			condition->threads, condition->threads == 1 ? "" : "s",
			session->settings[condition->answer].name,
			condition->settled ? "" : " (not settled)");
	}
}

/* One line a reason, with the settings that it holds for. */
static void print_missing(const struct tune_session *session, FILE *file)
{
	for (unsigned i = 0; i < session->setting_count; i++) {
		const struct tune_setting *setting = &session->settings[i];
		unsigned list[TUNE_SETTINGS_MAX], count = 0;
		bool said = false;

		for (unsigned j = 0; j < session->setting_count; j++) {
			const struct tune_setting *other = &session->settings[j];

			if (other->status != setting->status ||
			    strcmp(other->reason, setting->reason) != 0)
				continue;
			said |= j < i;
			list[count++] = j;
		}
		if (setting->status == CELL_OK || said)
			continue;
		fprintf(file, "%s, %u setting%s: %s (", cell_status_names[setting->status], count,
			count == 1 ? "" : "s", setting->reason);
		print_names(session, list, count, file);
		fputs(")\n", file);
	}
}

static void print_too_small(const struct tune_session *session, FILE *file)
{
	const double share = session->surveyed_processes ? (double)session->survey_processes /
								   session->surveyed_processes
							 : 0;

	fprintf(file,
		"Nothing can be said: --budget %.3gs ended after %u of the %u processes that look "
		"at every setting once.",
		session->options.budget_seconds, session->surveyed_processes,
		session->survey_processes);
	if (share > 0)
		fprintf(file, " One look takes about %.0f s, an answer some five times that.",
			ceil(session->seconds * share));
	fputs(" A larger --budget, fewer --page-size and --backing, or less --events.\n", file);
}

/* Where nothing is sure: how far the race has come. */
static void print_progress(const struct tune_session *session, FILE *file)
{
	unsigned list[TUNE_SETTINGS_MAX];
	const unsigned worse = collect(session, "worse", list);

	fprintf(file, "Not settled: %u settings are proven worse, %u may be better yet", worse,
		collect(session, "open", list));
}

static void print_sure(const struct tune_session *session, FILE *file)
{
	const double confidence = session->race.confidence;

	if (session->race.settled)
		fprintf(file,
			"Settled: at least %.4g %% sure that nothing in the grid is %.3g %% "
			"better",
			fmin(99.9, floor(1000 * confidence) / 10),
			100 * session->options.threshold);
	else if (confidence > 0.005)
		fprintf(file, "Not settled: %.0f %% sure, 95 %% wanted", 100 * confidence);
	else
		print_progress(session, file);
	fprintf(file, "; %u blocks, %u processes in %.1f s, %.0f %% of the full grid's time%s.\n",
		session->blocks, session->processes, session->seconds,
		100 * tune_spent_seconds(session) / tune_full_seconds(session),
		session->out_of_budget ? "; stopped by --budget" : "");
}

void tune_print_words(const struct tune_session *session, const struct cell_summary *cells,
		      size_t count, FILE *file)
{
	fprintf(file, "%s under ", session->options.backend);
	print_conditions(session, file);
	fprintf(file, "; goal: %s\n\n", session->options.goal);
	if (session->answered) {
		print_answer(session, file);
		print_beyond(session, file);
		print_rivals(session, file);
		print_alone(session, file);
		for (unsigned c = 0; c < session->condition_count; c++)
			print_why(session, cells, count, c, file);
		print_sure(session, file);
	} else if (!session->surveyed) {
		print_too_small(session, file);
	} else {
		fputs("No answer: no setting could be measured to the end.\n", file);
	}
	print_missing(session, file);
}
