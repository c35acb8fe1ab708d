#include "verdict.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/random.h"

#define NOISE_LEVEL    0.99
#define POWER_CONTROLS 6 /* below that, resampling says nothing */

const char *const verdict_names[VERDICTS + 1] = { "EQUIVALENT", "IMPROVEMENT", "INCONCLUSIVE",
						  "REGRESSION", "UNKNOWN",     NULL };

/* ---- rules ---- */

void verdict_rules_init(struct verdict_rules *rules)
{
	*rules = (struct verdict_rules){
		.alpha = 0.05,
		.confirm_alpha = 0.05,
		.threshold = 0.02,
		.looks = 3,
		.pairs = { 20, 40, 60 },
		.confirm_pairs = 20,
	};
}

int verdict_rules_looks(struct verdict_rules *rules, unsigned first, unsigned most)
{
	if (first == 0 || first > most)
		return -EINVAL;
	rules->looks = 0;
	rules->pairs[rules->looks++] = first;
	if ((first + most) / 2 > first)
		rules->pairs[rules->looks++] = (first + most) / 2;
	if (most > first)
		rules->pairs[rules->looks++] = most;
	return 0;
}

double verdict_look_alpha(const struct verdict_rules *rules)
{
	return rules->alpha / rules->looks;
}

enum verdict verdict_worse(enum verdict a, enum verdict b)
{
	static const int badness[VERDICTS] = {
		[VERDICT_IMPROVEMENT] = 0, [VERDICT_EQUIVALENT] = 1, [VERDICT_INCONCLUSIVE] = 2,
		[VERDICT_UNKNOWN] = 3,     [VERDICT_REGRESSION] = 4,
	};

	return badness[a] > badness[b] ? a : b;
}

bool verdict_passes(enum verdict verdict)
{
	return verdict == VERDICT_EQUIVALENT || verdict == VERDICT_IMPROVEMENT;
}

/* ---- numbers ---- */

int log_ratio(const double *logs, size_t count, double level, struct paired_ratio *out)
{
	struct paired_ratio result = { .pairs = count, .p = NAN };
	struct signed_rank test;
	double centre;
	int error = hodges_lehmann(logs, count, level, &centre, &result.interval);

	if (!error)
		error = signed_rank_test(logs, count, &test);
	if (error)
		return error;
	result.ratio = exp(centre);
	result.interval.low = exp(result.interval.low);
	result.interval.high = exp(result.interval.high);
	if (count)
		result.p = test.p;
	*out = result;
	return 0;
}

static int find_threshold(const struct trial *trial, const struct verdict_rules *rules, double *out)
{
	double half_width;
	int error = signed_rank_half_width(trial->control, trial->controls, NOISE_LEVEL,
					   &half_width);

	if (error)
		return error;
	*out = rules->threshold;
	if (trial->controls)
		*out = fmax(*out, expm1(half_width));
	return 0;
}

static int look_numbers(struct trial *trial, const struct verdict_rules *rules)
{
	const double level = 1 - verdict_look_alpha(rules);
	int error = log_ratio(trial->search, trial->searched, level, &trial->ratio);

	if (!error)
		error = log_ratio(trial->control, trial->controls, level, &trial->control_ratio);
	return error ? error : find_threshold(trial, rules, &trial->threshold);
}

/* ---- the decision ---- */

/* +1: slower and as much as the threshold is possible; -1: faster; 0: neither. */
static int direction_of(const struct paired_ratio *ratio, double threshold)
{
	if (ratio->ratio > 1 && ratio->interval.high >= 1 + threshold)
		return 1;
	if (ratio->ratio < 1 && ratio->interval.low <= 1 / (1 + threshold))
		return -1;
	return 0;
}

static bool within_threshold(const struct trial *trial, double threshold, double level)
{
	/* too few pairs for an interval of the level prove nothing */
	return trial->ratio.interval.coverage >= level &&
	       trial->ratio.interval.high < 1 + threshold &&
	       trial->ratio.interval.low > 1 / (1 + threshold);
}

static void decide(struct trial *trial, enum verdict verdict)
{
	trial->verdict = verdict;
	trial->state = TRIAL_DECIDED;
}

static void look_at(struct trial *trial, const struct verdict_rules *rules, bool final)
{
	const double alpha = verdict_look_alpha(rules);
	/* noise is no excuse while more pairs can be had */
	const double threshold = final ? trial->threshold : rules->threshold;

	if (trial->p_holm <= alpha && direction_of(&trial->ratio, trial->threshold))
		trial->state = TRIAL_SUSPECT;
	else if (within_threshold(trial, threshold, 1 - alpha))
		decide(trial, VERDICT_EQUIVALENT);
	else if (final)
		decide(trial, VERDICT_INCONCLUSIVE);
}

void trial_init(struct trial *trial)
{
	static const struct paired_ratio none = { .ratio = NAN,
						  .interval = { NAN, NAN, 0 },
						  .p = NAN };

	*trial = (struct trial){ .state = TRIAL_OPEN,
				 .verdict = VERDICT_INCONCLUSIVE,
				 .threshold = NAN,
				 .ratio = none,
				 .control_ratio = none,
				 .confirm_ratio = none,
				 .p_holm = NAN };
}

void trial_unknown(struct trial *trial)
{
	decide(trial, VERDICT_UNKNOWN);
}

/*
 * Trials that are decided enter Holm's correction as p = 1: the family keeps its size, so that what is left of it
 * cannot gain from having been looked at before.
 */
int trials_look(struct trial *trials, size_t count, const struct verdict_rules *rules, bool final)
{
	double *p = calloc(count + 1, sizeof(*p));
	int error = p ? 0 : -ENOMEM;

	for (size_t i = 0; i < count && !error; i++) {
		p[i] = 1;
		if (trials[i].state != TRIAL_OPEN)
			continue;
		error = look_numbers(&trials[i], rules);
		p[i] = trials[i].ratio.p;
	}
	if (!error)
		error = holm_adjust(p, p, count);
	for (size_t i = 0; i < count && !error; i++) {
		if (trials[i].state != TRIAL_OPEN)
			continue;
		trials[i].p_holm = p[i];
		look_at(&trials[i], rules, final);
	}
	free(p);
	return error;
}

int trial_confirm(struct trial *trial, const struct verdict_rules *rules, bool final)
{
	const int direction = direction_of(&trial->ratio, trial->threshold);
	const double least = direction * log1p(trial->threshold) / 2;
	struct signed_rank test;
	double p, effect;
	int error = log_ratio(trial->confirm, trial->confirmed, 1 - 2 * rules->confirm_alpha,
			      &trial->confirm_ratio);

	if (!error)
		error = signed_rank_test(trial->confirm, trial->confirmed, &test);
	if (error)
		return error;
	p = direction > 0 ? test.p_greater : test.p_less;
	effect = log(trial->confirm_ratio.ratio);
	if (trial->confirmed && p <= rules->confirm_alpha &&
	    (direction > 0 ? effect >= least : effect <= least)) {
		decide(trial, direction > 0 ? VERDICT_REGRESSION : VERDICT_IMPROVEMENT);
		return 0;
	}
	trial->refuted++;
	trial->state = TRIAL_OPEN;
	if (final)
		decide(trial, VERDICT_INCONCLUSIVE);
	return 0;
}

bool trial_control_differs(const struct trial *trial, const struct verdict_rules *rules)
{
	return trial->control_ratio.p <= verdict_look_alpha(rules) &&
	       fabs(log(trial->control_ratio.ratio)) >= log1p(rules->threshold);
}

/* ---- power ---- */

int trial_power(const struct trial *trial, const struct verdict_rules *rules, unsigned pairs,
		double effect, unsigned draws, uint64_t seed, double *power)
{
	const double shift = log1p(effect);
	double *logs = malloc((pairs + (size_t)1) * sizeof(*logs));
	struct random random;
	unsigned found = 0;
	int error = logs ? 0 : -ENOMEM;

	*power = NAN;
	if (trial->controls < POWER_CONTROLS || !draws) {
		free(logs);
		return error;
	}
	random_seed(&random, seed);
	for (unsigned draw = 0; draw < draws && !error; draw++) {
		struct paired_ratio ratio;

		for (unsigned i = 0; i < pairs; i++) {
			const double noise =
				trial->control[random_below(&random, (uint32_t)trial->controls)];

			logs[i] = shift + (random_next(&random) >> 63 ? noise : -noise);
		}
		error = log_ratio(logs, pairs, 1 - verdict_look_alpha(rules), &ratio);
		if (!error)
			found += ratio.p <= verdict_look_alpha(rules) &&
				 direction_of(&ratio, trial->threshold) != 0;
	}
	if (!error)
		*power = (double)found / draws;
	free(logs);
	return error;
}
