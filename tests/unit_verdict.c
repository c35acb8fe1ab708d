/* Verdicts: the rules one by one, and thousands of sessions whose truth is known. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "results/rehearsal.h"
#include "results/verdict.h"

#define MOST 60

/* Pairs around `centre`, `spread` wide, in a fixed pattern without ties. */
static void fill(double *logs, unsigned count, double centre, double spread)
{
	for (unsigned i = 0; i < count; i++)
		logs[i] = centre + spread * (((i * 37) % 61) / 30.0 - 1) * (1 + i * 1e-6);
}

struct bench {
	struct verdict_rules rules;
	double search[MOST], control[MOST], confirm[MOST];
	struct trial trial;
};

static void bench_init(struct bench *bench, double effect, double spread)
{
	verdict_rules_init(&bench->rules);
	trial_init(&bench->trial);
	fill(bench->search, MOST, log1p(effect), spread);
	fill(bench->control, MOST, 0, spread);
	fill(bench->confirm, MOST, log1p(effect), spread);
	bench->trial.search = bench->search;
	bench->trial.control = bench->control;
	bench->trial.confirm = bench->confirm;
	bench->trial.searched = bench->trial.controls = 20;
}

static void a_change_needs_the_second_batch(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 0.05, 0.01);
	assert_int_equal(trials_look(&b.trial, 1, &b.rules, false), 0);
	assert_int_equal(b.trial.state, TRIAL_SUSPECT);
	assert_int_equal(b.trial.verdict, VERDICT_INCONCLUSIVE); /* nothing is said yet */
	b.trial.confirmed = 20;
	assert_int_equal(trial_confirm(&b.trial, &b.rules, false), 0);
	assert_int_equal(b.trial.verdict, VERDICT_REGRESSION);
	assert_true(fabs(b.trial.ratio.ratio - 1.05) < 0.005);
}

static void a_second_batch_may_refute(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 0.05, 0.01);
	fill(b.confirm, MOST, 0, 0.01);
	trials_look(&b.trial, 1, &b.rules, false);
	b.trial.confirmed = 20;
	trial_confirm(&b.trial, &b.rules, false);
	assert_int_equal(b.trial.state, TRIAL_OPEN);
	assert_int_equal(b.trial.refuted, 1);
	/* significant but the other way round: no confirmation either */
	bench_init(&b, 0.05, 0.01);
	fill(b.confirm, MOST, -0.05, 0.01);
	trials_look(&b.trial, 1, &b.rules, true);
	assert_int_equal(b.trial.state, TRIAL_SUSPECT); /* the last look too */
	b.trial.confirmed = 20;
	trial_confirm(&b.trial, &b.rules, true);
	assert_int_equal(b.trial.state, TRIAL_DECIDED);
	assert_int_equal(b.trial.verdict, VERDICT_INCONCLUSIVE);
	/* a suspicion without any confirming pair is none */
	bench_init(&b, 0.05, 0.01);
	trials_look(&b.trial, 1, &b.rules, false);
	trial_confirm(&b.trial, &b.rules, true);
	assert_int_equal(b.trial.verdict, VERDICT_INCONCLUSIVE);
}

static void faster_is_an_improvement(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, -0.05, 0.01);
	trials_look(&b.trial, 1, &b.rules, false);
	b.trial.confirmed = 20;
	trial_confirm(&b.trial, &b.rules, false);
	assert_int_equal(b.trial.verdict, VERDICT_IMPROVEMENT);
	assert_true(verdict_passes(b.trial.verdict));
}

static void small_changes_are_equivalent(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 0, 0.01);
	trials_look(&b.trial, 1, &b.rules, false);
	assert_int_equal(b.trial.state, TRIAL_DECIDED);
	assert_int_equal(b.trial.verdict, VERDICT_EQUIVALENT);
	/* beyond doubt, and too small to matter */
	bench_init(&b, 0.005, 0.001);
	trials_look(&b.trial, 1, &b.rules, false);
	assert_true(b.trial.ratio.p < 1e-4);
	assert_int_equal(b.trial.verdict, VERDICT_EQUIVALENT);
	/* every pair the same: footprints often are */
	bench_init(&b, 0, 0);
	trials_look(&b.trial, 1, &b.rules, false);
	assert_int_equal(b.trial.verdict, VERDICT_EQUIVALENT);
	bench_init(&b, 0.1, 0);
	trials_look(&b.trial, 1, &b.rules, false);
	assert_int_equal(b.trial.state, TRIAL_SUSPECT);
}

static void noise_is_inconclusive_and_widens_the_threshold(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 0.03, 0.2);
	trials_look(&b.trial, 1, &b.rules, false);
	assert_int_equal(b.trial.state, TRIAL_OPEN);
	assert_true(b.trial.threshold > b.rules.threshold);
	trials_look(&b.trial, 1, &b.rules, true);
	assert_int_equal(b.trial.state, TRIAL_DECIDED);
	assert_int_equal(b.trial.verdict, VERDICT_INCONCLUSIVE);
	assert_false(verdict_passes(b.trial.verdict));
	/* five pairs can never have an interval of the level: no verdict from them */
	bench_init(&b, 0, 0.001);
	b.trial.searched = 5;
	trials_look(&b.trial, 1, &b.rules, true);
	assert_int_equal(b.trial.verdict, VERDICT_INCONCLUSIVE);
	/* and none from no pair at all */
	bench_init(&b, 0, 0.001);
	b.trial.searched = b.trial.controls = 0;
	trials_look(&b.trial, 1, &b.rules, true);
	assert_int_equal(b.trial.verdict, VERDICT_INCONCLUSIVE);
}

/* Neighbours that come and go: two of twenty control pairs are 30 % off, both by chance the same way. */
static void two_disturbed_pairs_do_not_hide_a_change(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 0.03, 0.01);
	b.control[4] = b.control[11] = 0.3;
	b.search[7] = -0.3;
	b.search[13] = 0.3;
	trials_look(&b.trial, 1, &b.rules, false);
	assert_true(b.trial.threshold <= 0.021);
	assert_int_equal(b.trial.state, TRIAL_SUSPECT);
	/* a third of them is noise, and counts */
	bench_init(&b, 0.03, 0.01);
	for (int i = 0; i < 20; i += 3)
		b.control[i] = i % 2 ? 0.3 : -0.3;
	trials_look(&b.trial, 1, &b.rules, false);
	assert_true(b.trial.threshold > 0.05);
}

/* One cell in which p is just small enough alone, and is not in a family of ten. */
static void holm_keeps_the_family(void **state)
{
	struct bench b[10];
	struct trial trials[10];

	(void)state;
	for (int i = 0; i < 10; i++) {
		bench_init(&b[i], i ? 0 : 0.021, 0.04);
		trials[i] = b[i].trial;
	}
	assert_int_equal(trials_look(trials, 1, &b[0].rules, false), 0);
	assert_int_equal(trials[0].state, TRIAL_SUSPECT);
	trials[0] = b[0].trial;
	assert_int_equal(trials_look(trials, 10, &b[0].rules, false), 0);
	assert_int_equal(trials[0].state, TRIAL_OPEN);
	assert_true(fabs(trials[0].p_holm - 10 * trials[0].ratio.p) < 1e-12);
	/* what is decided still counts: the family does not shrink between looks */
	for (int i = 1; i < 10; i++)
		trial_unknown(&trials[i]);
	trials_look(trials, 10, &b[0].rules, false);
	assert_int_equal(trials[0].state, TRIAL_OPEN);
	assert_int_equal(trials[1].verdict, VERDICT_UNKNOWN);
}

static void a_differing_control_is_seen(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, 0, 0.01);
	trials_look(&b.trial, 1, &b.rules, false);
	assert_false(trial_control_differs(&b.trial, &b.rules));
	bench_init(&b, 0, 0.01);
	fill(b.control, MOST, 0.05, 0.01);
	trials_look(&b.trial, 1, &b.rules, false);
	assert_true(trial_control_differs(&b.trial, &b.rules));
}

static void looks_are_laid_out(void **state)
{
	struct verdict_rules rules;

	(void)state;
	verdict_rules_init(&rules);
	assert_int_equal(verdict_rules_looks(&rules, 20, 60), 0);
	assert_int_equal(rules.looks, 3);
	assert_int_equal(rules.pairs[1], 40);
	assert_true(fabs(verdict_look_alpha(&rules) - 0.05 / 3) < 1e-12);
	assert_int_equal(verdict_rules_looks(&rules, 20, 20), 0);
	assert_int_equal(rules.looks, 1);
	assert_int_equal(verdict_rules_looks(&rules, 20, 21), 0);
	assert_int_equal(rules.looks, 2);
	assert_int_not_equal(verdict_rules_looks(&rules, 21, 20), 0);
	assert_int_not_equal(verdict_rules_looks(&rules, 0, 20), 0);
}

static void gates_take_the_worst(void **state)
{
	(void)state;
	assert_int_equal(verdict_worse(VERDICT_EQUIVALENT, VERDICT_IMPROVEMENT),
			 VERDICT_EQUIVALENT);
	assert_int_equal(verdict_worse(VERDICT_INCONCLUSIVE, VERDICT_EQUIVALENT),
			 VERDICT_INCONCLUSIVE);
	assert_int_equal(verdict_worse(VERDICT_REGRESSION, VERDICT_UNKNOWN), VERDICT_REGRESSION);
	assert_false(verdict_passes(VERDICT_UNKNOWN));
	assert_false(verdict_passes(VERDICT_REGRESSION));
	assert_string_equal(verdict_names[VERDICT_INCONCLUSIVE], "INCONCLUSIVE");
}

/* ---- sessions with a known truth ---- */

#define NOISES 4096

/*
 * Noise as a shared machine makes it: the difference of two log-normal times of which one in twelve was disturbed for
 * a multiple of the spread. `spread` is the standard deviation of an undisturbed pair.
 */
static void make_noise(double *noise, double spread, struct random *random)
{
	for (int i = 0; i < NOISES; i++) {
		double sum = 0;

		for (int k = 0; k < 12; k++)
			sum += (double)(random_next(random) >> 11) * 0x1p-53;
		noise[i] = (sum - 6) * spread;
		if (random_chance(random, 83333))
			noise[i] *= 6;
	}
}

static struct rehearsal_counts hold(double spread, double effect, unsigned cells, unsigned sessions)
{
	static double noise[NOISES];
	struct rehearsal_counts counts = { 0 };
	struct verdict_rules rules;
	struct random random;
	const struct rehearsal rehearsal = {
		.noise = noise, .noises = NOISES, .cells = cells, .effect = effect, .rules = &rules
	};

	verdict_rules_init(&rules);
	random_seed(&random, 20240607);
	make_noise(noise, spread, &random);
	assert_int_equal(rehearse(&rehearsal, sessions, &random, &counts), 0);
	assert_int_equal(counts.sessions, sessions);
	return counts;
}

static void no_false_alarms(void **state)
{
	const struct rehearsal_counts quiet = hold(0.012, 0, 1, 4000);
	const struct rehearsal_counts noisy = hold(0.06, 0, 1, 1000);
	const struct rehearsal_counts family = hold(0.02, 0, 6, 500);

	(void)state;
	/* at most 1 %, with room for the chance of 4000 draws at the design's 0.125 % */
	assert_true(quiet.verdicts[VERDICT_REGRESSION] <= 40);
	assert_true(quiet.verdicts[VERDICT_IMPROVEMENT] <= 40);
	assert_true(noisy.verdicts[VERDICT_REGRESSION] <= 10);
	assert_true(family.verdicts[VERDICT_REGRESSION] <= 5);
	/* the search alone keeps its 5 %, three standard deviations allowed; and is not simply blind */
	assert_true(quiet.suspicious <= 4000 * 0.05 + 3 * sqrt(4000 * 0.05 * 0.95));
	assert_true(noisy.suspicious > 0);
	/* a quiet cell is also told to be equivalent, and soon */
	assert_true(quiet.verdicts[VERDICT_EQUIVALENT] >= 3800);
	assert_true(quiet.pairs <= 4000 * 25);
}

static void planted_changes_are_found(void **state)
{
	const struct rehearsal_counts two = hold(0.012, 0.02, 1, 1000);
	const struct rehearsal_counts three = hold(0.012, 0.03, 1, 1000);
	const struct rehearsal_counts large = hold(0.06, 0.02, 1, 500);

	(void)state;
	assert_true(two.found_within[1] >= 950);
	assert_true(three.found_within[0] >= 950);
	/* in such noise 2 % cannot be found reliably; what matters is that few such cells pass */
	assert_true(large.verdicts[VERDICT_REGRESSION] < 450);
}

/* Pairs of which one in twenty is 30 % off, as beside a neighbour that is not waited for. */
static void a_few_far_pairs_cost_little(void **state)
{
	static double noise[NOISES];
	struct rehearsal_counts none = { 0 }, three = { 0 };
	struct verdict_rules rules;
	struct random random;
	struct rehearsal rehearsal = { noise, NOISES, 1, 0, &rules };

	(void)state;
	verdict_rules_init(&rules);
	random_seed(&random, 11);
	make_noise(noise, 0.01, &random);
	for (int i = 0; i < NOISES; i += 20)
		noise[i] = 0.3;
	assert_int_equal(rehearse(&rehearsal, 2000, &random, &none), 0);
	rehearsal.effect = 0.03;
	assert_int_equal(rehearse(&rehearsal, 1000, &random, &three), 0);
	assert_true(none.verdicts[VERDICT_REGRESSION] <= 20);
	assert_true(three.found_within[0] >= 900);
}

static void power_agrees_with_the_sessions(void **state)
{
	struct bench b;
	double small, large, none;

	(void)state;
	bench_init(&b, 0, 0.02);
	trials_look(&b.trial, 1, &b.rules, false);
	assert_int_equal(trial_power(&b.trial, &b.rules, 20, 0.02, 400, 7, &small), 0);
	assert_int_equal(trial_power(&b.trial, &b.rules, 40, 0.02, 400, 7, &large), 0);
	assert_int_equal(trial_power(&b.trial, &b.rules, 20, 0, 400, 7, &none), 0);
	assert_true(small > 0.5 && small <= large && large > 0.95);
	assert_true(none <= 0.05);
	b.trial.controls = 3;
	assert_int_equal(trial_power(&b.trial, &b.rules, 20, 0.02, 400, 7, &small), 0);
	assert_true(isnan(small));
}

/* ---- sessions on a machine that changes while it measures ---- */

/*
 * Time goes by process by process. The machine gets slower all the while, and a neighbour comes (one process in 20) and
 * goes (one in 10), who costs 30 %. `waits`: the end of such a moment is waited for; at one look of 50 the neighbour
 * seems to be gone and is not. A pair's two processes are apart by what the random order of four puts
 * between them, as in a round of the comparison.
 */
struct weather {
	struct random *random;
	double drift; /* of the logarithm, a process */
	bool waits, neighbour;
	unsigned processes;
};

static double next_process(struct weather *weather)
{
	double sum = 0;

	do {
		if (random_chance(weather->random, weather->neighbour ? 100000 : 50000))
			weather->neighbour = !weather->neighbour;
	} while (weather->neighbour && weather->waits && !random_chance(weather->random, 20000));
	for (int k = 0; k < 12; k++)
		sum += (double)(random_next(weather->random) >> 11) * 0x1p-53;
	return weather->drift * weather->processes++ + (weather->neighbour ? 0.3 : 0) +
	       0.006 * (sum - 6);
}

static void next_round(struct weather *weather, double effect, double *b, double *control)
{
	unsigned order[4] = { 0, 1, 2, 3 };
	double log_ns[4];

	for (unsigned i = 4; i > 1; i--) {
		const unsigned j = random_below(weather->random, i), other = order[j];

		order[j] = order[i - 1];
		order[i - 1] = other;
	}
	for (unsigned i = 0; i < 4; i++)
		log_ns[order[i]] = next_process(weather);
	*b = log_ns[1] - log_ns[0] + log1p(effect);
	*control = log_ns[2] - log_ns[0];
}

static enum verdict hold_in(struct weather *weather, double effect, unsigned *pairs)
{
	double search[MOST], control[MOST], confirm[MOST], unused;
	struct verdict_rules rules;
	struct trial trial;

	verdict_rules_init(&rules);
	trial_init(&trial);
	trial.search = search;
	trial.control = control;
	trial.confirm = confirm;
	for (unsigned look = 0; look < rules.looks && trial.state != TRIAL_DECIDED; look++) {
		const bool final = look + 1 == rules.looks;

		for (; trial.searched < rules.pairs[look]; trial.searched++, ++*pairs)
			next_round(weather, effect, &search[trial.searched],
				   &control[trial.searched]);
		trial.controls = trial.searched;
		assert_int_equal(trials_look(&trial, 1, &rules, final), 0);
		if (trial.state != TRIAL_SUSPECT)
			continue;
		for (unsigned i = 0; i < rules.confirm_pairs; i++, ++*pairs)
			next_round(weather, effect, &confirm[i], &unused);
		trial.confirmed = rules.confirm_pairs;
		assert_int_equal(trial_confirm(&trial, &rules, final), 0);
	}
	return trial.verdict;
}

/* Sessions that end as REGRESSION with at most `most` pairs. */
static unsigned regressions(double drift, bool waits, double effect, unsigned sessions,
			    unsigned most)
{
	unsigned found = 0;
	struct random random;

	random_seed(&random, 5);
	for (unsigned i = 0; i < sessions; i++) {
		struct weather weather = { .random = &random, .drift = drift, .waits = waits };
		unsigned pairs = 0;

		found += hold_in(&weather, effect, &pairs) == VERDICT_REGRESSION && pairs <= most;
	}
	print_message("drift %+.2f, %s, %+.0f %%: %u of %u\n", drift, waits ? "waits" : "does not wait",
		      100 * effect, found, sessions);
	return found;
}

static void weather_raises_no_alarm(void **state)
{
	(void)state;
	/* at most 1 % */
	assert_true(regressions(0, false, 0, 1000, 100) <= 10);
	assert_true(regressions(0, true, 0, 2000, 100) <= 20);
	/* a per cent slower with every process, and faster */
	assert_true(regressions(0.01, true, 0, 2000, 100) <= 20);
	assert_true(regressions(-0.01, true, 0, 1000, 100) <= 10);
	assert_true(regressions(0.01, false, 0, 1000, 100) <= 10);
}

static void waiting_is_what_finds_changes(void **state)
{
	const unsigned two = regressions(0, true, 0.02, 500, 60);
	const unsigned three = regressions(0, true, 0.03, 500, 40);

	(void)state;
	assert_true(two >= 475);
	assert_true(three >= 475);
	assert_true(regressions(0, false, 0.03, 500, 40) < 475);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_change_needs_the_second_batch),
		cmocka_unit_test(a_second_batch_may_refute),
		cmocka_unit_test(faster_is_an_improvement),
		cmocka_unit_test(small_changes_are_equivalent),
		cmocka_unit_test(noise_is_inconclusive_and_widens_the_threshold),
		cmocka_unit_test(two_disturbed_pairs_do_not_hide_a_change),
		cmocka_unit_test(holm_keeps_the_family),
		cmocka_unit_test(a_differing_control_is_seen),
		cmocka_unit_test(looks_are_laid_out),
		cmocka_unit_test(gates_take_the_worst),
		cmocka_unit_test(no_false_alarms),
		cmocka_unit_test(planted_changes_are_found),
		cmocka_unit_test(a_few_far_pairs_cost_little),
		cmocka_unit_test(power_agrees_with_the_sessions),
		cmocka_unit_test(weather_raises_no_alarm),
		cmocka_unit_test(waiting_is_what_finds_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
