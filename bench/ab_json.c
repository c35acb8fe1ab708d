/* The comparison as a document: verdicts are words, what is not known is null. */
#include <jansson.h>
#include <math.h>

#include "bench/ab.h"
#include "results/record_json.h"

#define AB_SCHEMA 1

static json_t *ratio_json(const struct paired_ratio *ratio)
{
	return json_pack("{sI so so so so so}", "pairs", (json_int_t)ratio->pairs, "ratio",
			 json_finite(ratio->ratio), "low", json_finite(ratio->interval.low), "high",
			 json_finite(ratio->interval.high), "level",
			 json_finite(ratio->interval.coverage), "p", json_finite(ratio->p));
}

static json_t *series_json(const struct ab_session *session, const struct ab_cell *cell, int series)
{
	const struct ab_track *track = &cell->tracks[series];
	const struct trial *trial = track->trial;
	json_t *object = json_pack(
		"{ss ss ss sb so so so so so so so si so}", "series", ab_series_table[series].name,
		"unit", ab_series_table[series].unit, "verdict", verdict_names[trial->verdict],
		"gate", session->options.gate[series], "a_median", json_finite(track->median_a),
		"b_median", json_finite(track->median_b), "b_over_a", ratio_json(&trial->ratio),
		"p_holm", json_finite(trial->p_holm), "threshold", json_finite(trial->threshold),
		"power", json_finite(track->power), "confirmation",
		trial->confirmed ? ratio_json(&trial->confirm_ratio) : json_null(),
		"refuted_suspicions", (int)trial->refuted, "note",
		track->note ? json_text(track->note) : json_null());

	if (!object)
		return NULL;
	json_object_set_new(object, "a_over_a",
			    trial->controls ? ratio_json(&trial->control_ratio) : json_null());
	json_object_set_new(object, "planted",
			    track->planted.pairs ? ratio_json(&track->planted) : json_null());
	return object;
}

static json_t *cell_json(const struct ab_session *session, const struct ab_cell *cell)
{
	json_t *all = json_array(), *failures = json_object(), *object;
	char name[sizeof(cell->a.backend) + sizeof(cell->a.workload) + 100];
	char title[AB_TITLE_BYTES];

	cell_name(&cell->a, name, sizeof(name));
	ab_cell_title(cell, title, sizeof(title));

	for (int series = 0; series < AB_SERIES; series++)
		if (session->options.plan.passes[ab_series_table[series].pass])
			json_array_append_new(all, series_json(session, cell, series));
	for (int pass = 0; pass < PASSES; pass++)
		if (cell->failed[pass][0])
			json_object_set_new(failures, pass_names[pass],
					    json_text(cell->failed[pass]));
	object = json_pack("{so so so sI so ss so so si sf si si so so}", "cell", json_text(name),
			   "title", json_text(title), "workload", json_text(cell->a.workload),
			   "threads", (json_int_t)cell->a.threads, "page_size",
			   json_integer((json_int_t)(cell->b.page_size ? cell->b.page_size
								       : cell->a.page_size)),
			   "backing", cell->b.backing, "planted_share",
			   json_finite(session->options.planted), "planted_share_by_clock",
			   json_finite(cell->true_share), "slowdown_steps_per_chunk",
			   (int)cell->slow_steps, "quiet_wait_seconds", cell->quiet.waited_seconds,
			   "processes_again", (int)cell->quiet.again, "disturbed_processes",
			   (int)cell->quiet.disturbed, "failures", failures, "series", all);
	return object;
}

char *ab_to_json(const struct ab_session *session)
{
	const struct verdict_rules *rules = &session->rules[PASS_THROUGHPUT];
	json_t *cells = json_array(), *root;
	char *text;

	for (unsigned i = 0; i < session->cell_count; i++)
		json_array_append_new(cells, cell_json(session, &session->cells[i]));
	root = json_pack(
		"{si so so ss si s{sf sf sf si si si} si sf so sb so}", "schema", AB_SCHEMA, "a",
		json_text(session->options.a), "b", json_text(session->options.b), "verdict",
		verdict_names[session->verdict], "exit_code", ab_exit_code(session), "rules",
		"alpha", rules->alpha, "confirm_alpha", rules->confirm_alpha, "threshold",
		rules->threshold, "first_pairs", (int)session->options.pairs, "max_pairs",
		(int)session->options.max_pairs, "confirm_pairs", (int)rules->confirm_pairs,
		"processes", (int)session->processes, "seconds", session->seconds,
		"processor_seconds", json_finite(session->processor_seconds), "out_of_budget",
		session->out_of_budget, "cells", cells);
	text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
	json_decref(root);
	return text;
}
