#include "rehearsal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const unsigned within[3] = { 40, 60, 80 };

struct stage_cell {
	double *search, *control, *confirm;
	unsigned pairs; /* drawn for it so far, confirmation in */
};

static double draw_noise(const struct rehearsal *rehearsal, struct random *random)
{
	const double noise = rehearsal->noise[random_below(random, (uint32_t)rehearsal->noises)];

	return random_next(random) >> 63 ? noise : -noise;
}

static int hold_look(const struct rehearsal *rehearsal, unsigned look, struct random *random,
		     struct stage_cell *cells, struct trial *trials, bool *suspicious)
{
	const struct verdict_rules *rules = rehearsal->rules;
	const bool final = look + 1 == rules->looks;
	const double shift = log1p(rehearsal->effect);
	int error;

	for (unsigned c = 0; c < rehearsal->cells; c++) {
		struct trial *trial = &trials[c];

		if (trial->state != TRIAL_OPEN)
			continue;
		for (; trial->searched < rules->pairs[look]; trial->searched++, cells[c].pairs++) {
			cells[c].search[trial->searched] = shift + draw_noise(rehearsal, random);
			cells[c].control[trial->searched] = draw_noise(rehearsal, random);
		}
		trial->controls = trial->searched;
	}
	error = trials_look(trials, rehearsal->cells, rules, final);
	for (unsigned c = 0; c < rehearsal->cells && !error; c++) {
		struct trial *trial = &trials[c];

		if (trial->state != TRIAL_SUSPECT)
			continue;
		*suspicious = true;
		for (unsigned i = 0; i < rules->confirm_pairs; i++, cells[c].pairs++)
			cells[c].confirm[i] = shift + draw_noise(rehearsal, random);
		trial->confirmed = rules->confirm_pairs;
		error = trial_confirm(trial, rules, final);
	}
	return error;
}

static void count_session(const struct rehearsal *rehearsal, const struct stage_cell *cells,
			  const struct trial *trials, bool suspicious,
			  struct rehearsal_counts *counts)
{
	enum verdict worst = trials[0].verdict;

	for (unsigned c = 1; c < rehearsal->cells; c++)
		worst = verdict_worse(worst, trials[c].verdict);
	counts->sessions++;
	counts->verdicts[worst]++;
	counts->suspicious += suspicious;
	counts->pairs += cells[0].pairs;
	for (int i = 0; i < 3; i++)
		counts->found_within[i] += trials[0].verdict == VERDICT_REGRESSION &&
					   cells[0].pairs <= within[i];
}

static int hold_session(const struct rehearsal *rehearsal, struct random *random,
			struct stage_cell *cells, struct trial *trials,
			struct rehearsal_counts *counts)
{
	bool suspicious = false;
	int error = 0;

	for (unsigned c = 0; c < rehearsal->cells; c++) {
		trial_init(&trials[c]);
		trials[c].search = cells[c].search;
		trials[c].control = cells[c].control;
		trials[c].confirm = cells[c].confirm;
		cells[c].pairs = 0;
	}
	for (unsigned look = 0; look < rehearsal->rules->looks && !error; look++)
		error = hold_look(rehearsal, look, random, cells, trials, &suspicious);
	if (!error)
		count_session(rehearsal, cells, trials, suspicious, counts);
	return error;
}

int rehearse(const struct rehearsal *rehearsal, unsigned sessions, struct random *random,
	     struct rehearsal_counts *counts)
{
	const struct verdict_rules *rules = rehearsal->rules;
	const size_t most = rules->pairs[rules->looks - 1], room = 2 * most + rules->confirm_pairs;
	struct stage_cell *cells = calloc(rehearsal->cells, sizeof(*cells));
	struct trial *trials = calloc(rehearsal->cells, sizeof(*trials));
	double *logs = calloc(rehearsal->cells * room, sizeof(*logs));
	int error = cells && trials && logs ? 0 : -ENOMEM;

	for (unsigned c = 0; c < rehearsal->cells && !error; c++) {
		cells[c].search = logs + c * room;
		cells[c].control = cells[c].search + most;
		cells[c].confirm = cells[c].control + most;
	}
	for (unsigned i = 0; i < sessions && !error; i++)
		error = hold_session(rehearsal, random, cells, trials, counts);
	free(cells);
	free(trials);
	free(logs);
	return error;
}
