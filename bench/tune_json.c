/* The tuning as a document: for programs, and for the figures. Verdicts are words, what is not known is null. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/tune.h"
#include "results/record_json.h"
#include "results/summary.h"

#define TUNE_SCHEMA 1

static json_t *ratio_json(const struct paired_ratio *ratio)
{
	if (!ratio->pairs)
		return json_null();
	return json_pack("{sI so so so so}", "pairs", (json_int_t)ratio->pairs, "ratio",
			 json_finite(ratio->ratio), "low", json_finite(ratio->interval.low), "high",
			 json_finite(ratio->interval.high), "level",
			 json_finite(ratio->interval.coverage));
}

/* Whatever prints to a file, as a string; null where memory ran out. */
static json_t *printed_json(const struct tune_session *session, unsigned setting,
			    void (*print)(const struct tune_session *, unsigned, FILE *))
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *file = open_memstream(&text, &bytes);
	json_t *string;

	if (!file)
		return json_null();
	print(session, setting, file);
	string = fclose(file) == 0 ? json_text(text) : json_null();
	free(text);
	return string;
}

static json_t *words_json(const struct tune_session *session, const struct cell_summary *cells,
			  size_t count)
{
	char *text = NULL, *rest, *line;
	size_t bytes = 0;
	FILE *file = open_memstream(&text, &bytes);
	json_t *lines = json_array();

	if (!file)
		return lines;
	tune_print_words(session, cells, count, file);
	rest = fclose(file) == 0 ? text : NULL;
	while ((line = strsep(&rest, "\n")))
		if (*line)
			json_array_append_new(lines, json_text(line));
	free(text);
	return lines;
}

/* ---- a setting under a condition ---- */

static const enum metric shown[] = {
	METRIC_ops_per_second,         METRIC_ns_per_op,
	METRIC_dtlb_misses_per_op,     METRIC_page_faults,
	METRIC_major_faults,           METRIC_commits,
	METRIC_alloc_ns_p99,           METRIC_free_ns_p99,
	METRIC_resident_bytes_peak,    METRIC_committed_bytes_peak,
	METRIC_footprint_ratio,        METRIC_internal_fragmentation,
	METRIC_external_fragmentation,
};

static json_t *metrics_json(const struct cell_summary *cell)
{
	json_t *object = json_object();

	for (size_t i = 0; i < sizeof(shown) / sizeof(*shown); i++)
		json_object_set_new(object, metric_table[shown[i]].name,
				    cell ? json_finite(cell->metrics[shown[i]].median)
					 : json_null());
	return object;
}

static json_t *aspects_json(const struct tune_session *session, unsigned setting,
			    unsigned condition)
{
	json_t *object = json_object();

	for (int aspect = 0; aspect < TUNE_ASPECTS; aspect++) {
		struct paired_ratio ratio = { 0 };

		if (tune_over_baseline(session, setting, condition, (enum tune_aspect)aspect,
				       &ratio) == 0)
			json_object_set_new(object, tune_aspect_table[aspect].name,
					    ratio_json(&ratio));
	}
	return object;
}

static json_t *setting_json(const struct tune_session *session, const struct cell_summary *cells,
			    size_t count, unsigned i)
{
	const struct tune_setting *setting = &session->settings[i];
	const struct race_entry *entry = &session->entries[i];
	const bool measured = setting->status == CELL_OK && session->blocks;
	json_t *conditions = json_array(), *object;
	struct paired_ratio score = { 0 };

	for (unsigned c = 0; c < session->condition_count && measured; c++)
		json_array_append_new(
			conditions,
			json_pack("{so so}", "over_baseline", aspects_json(session, i, c),
				  "metrics",
				  metrics_json(tune_summary(session, cells, count, i, c))));
	if (measured && session->answered)
		tune_score_ratio(session, i, session->race.leader, &score);
	object = json_pack("{so so sI ss ss ss so si so so}", "name", json_text(setting->name),
			   "backend", json_text(setting->backend), "page_size",
			   (json_int_t)setting->page_size, "backing", setting->backing, "status",
			   cell_status_names[setting->status], "standing",
			   tune_standing(session, i), "reason", json_text(setting->reason),
			   "blocks", (int)setting->blocks, "score_over_answer",
			   measured && session->answered ? ratio_json(&score) : json_null(),
			   "conditions", conditions);
	if (object && entry->state == RACE_DROPPED) {
		json_object_set_new(object, "dropped_after_blocks",
				    json_integer(entry->dropped_after));
		json_object_set_new(object, "dropped_for",
				    json_text(session->settings[entry->dropped_by].name));
	}
	return object;
}

/* ---- the whole ---- */

static json_t *condition_json(const struct tune_session *session, unsigned c)
{
	const struct tune_condition *condition = &session->conditions[c];

	return json_pack("{so sI so sb so}", "workload", json_text(condition->workload), "threads",
			 (json_int_t)condition->threads, "alone",
			 session->answered ? json_text(session->settings[condition->answer].name)
					   : json_null(),
			 "alone_settled", session->answered && condition->settled,
			 "alone_confidence",
			 session->answered ? json_finite(condition->confidence) : json_null());
}

/* The answer over the baseline by the confirming pairs: all conditions together, then each. */
static json_t *confirmed_json(const struct tune_session *session)
{
	json_t *all = json_array();

	for (unsigned c = 0; c <= session->condition_count; c++) {
		json_t *object = json_object();

		for (int aspect = 0; aspect < TUNE_ASPECTS; aspect++) {
			struct paired_ratio ratio = { 0 };

			if (tune_confirmed(session, c, (enum tune_aspect)aspect, &ratio) == 0)
				json_object_set_new(object, tune_aspect_table[aspect].name,
						    ratio_json(&ratio));
		}
		json_array_append_new(all, object);
	}
	return all;
}

static json_t *answer_json(const struct tune_session *session)
{
	const unsigned leader = session->race.leader;

	if (!session->answered)
		return json_null();
	return json_pack("{si so so so sf so}", "setting", (int)leader, "name",
			 json_text(session->settings[leader].name), "options",
			 printed_json(session, leader, tune_print_setting), "command",
			 printed_json(session, leader, tune_print_command), "confidence",
			 session->race.confidence, "over_baseline", confirmed_json(session));
}

static json_t *race_json(const struct tune_session *session)
{
	const double spent = tune_spent_seconds(session);
	const double full = session->answered ? tune_full_seconds(session) : NAN;

	return json_pack("{sf sf so si si sb sf sf sf so}", "alpha", session->rules.alpha,
			 "threshold", session->rules.threshold, "margin",
			 json_finite(session->race.margin), "blocks", (int)session->blocks,
			 "confirming_pairs", (int)session->pairs, "out_of_budget",
			 (int)session->out_of_budget, "budget_seconds",
			 session->options.budget_seconds, "seconds", session->seconds,
			 "process_seconds", spent, "full_grid_seconds", json_finite(full));
}

static const char *verdict_word(const struct tune_session *session)
{
	if (!session->answered)
		return "UNKNOWN";
	return session->race.settled ? "SETTLED" : "INCONCLUSIVE";
}

char *tune_to_json(const struct tune_session *session, const struct cell_summary *cells,
		   size_t count)
{
	json_t *settings = json_array(), *conditions = json_array(), *weights = json_object(),
	       *root;
	char *text;

	for (unsigned i = 0; i < session->setting_count; i++)
		json_array_append_new(settings, setting_json(session, cells, count, i));
	for (unsigned c = 0; c < session->condition_count; c++)
		json_array_append_new(conditions, condition_json(session, c));
	for (int aspect = 0; aspect < TUNE_ASPECTS; aspect++)
		json_object_set_new(weights, tune_aspect_table[aspect].name,
				    json_real(session->options.weights[aspect]));
	root = json_pack("{si ss si so so so ss si so so so so so}", "schema", TUNE_SCHEMA,
			 "verdict", verdict_word(session), "exit_code", tune_exit_code(session),
			 "backend", json_text(session->options.backend), "goal",
			 json_text(session->options.goal), "weights", weights, "statistic",
			 metric_table[session->options.statistic].name, "baseline",
			 (int)session->baseline, "answer", answer_json(session), "race",
			 race_json(session), "words", words_json(session, cells, count),
			 "conditions", conditions, "settings", settings);
	text = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(10)) : NULL;
	json_decref(root);
	return text;
}
