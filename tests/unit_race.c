/* Races: the rules one by one, and thousands of races whose truth is known. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "results/race.h"
#include "workloads/random.h"

#define ENTRIES 24
#define MOST    60

/* ---- a stage: entries whose true scores are known ---- */

struct stage {
	struct race_rules rules;
	struct race race;
	struct race_entry entries[ENTRIES];
	double scores[ENTRIES][MOST], truth[ENTRIES];
	unsigned count, samples;
	struct random random;
};

static void stage_init(struct stage *stage, unsigned count, const double *truth, uint64_t seed)
{
	memset(stage, 0, sizeof(*stage));
	random_seed(&stage->random, seed);
	stage->count = count;
	assert_int_equal(race_rules_init(&stage->rules, count, MOST), 0);
	for (unsigned i = 0; i < count; i++) {
		for (unsigned block = 0; block < MOST; block++)
			stage->scores[i][block] = NAN;
		stage->truth[i] = truth[i];
		stage->entries[i] =
			(struct race_entry){ .scores = stage->scores[i], .cost = NAN, .rank = i };
	}
	race_init(&stage->race, &stage->rules, stage->entries, count);
}

/* Nearly normal, and one sample in twelve disturbed for a multiple of the spread, upwards, as neighbours do. */
static double draw_noise(struct stage *stage, double spread)
{
	double sum = -6;

	for (int k = 0; k < 12; k++)
		sum += (double)(random_next(&stage->random) >> 11) * 0x1p-53;
	if (random_chance(&stage->random, 83333))
		return 6 * fabs(sum) * spread;
	return sum * spread;
}

/* `spread` is the standard deviation of one sample; blocks drift much more than that. */
static void measure_block(struct stage *stage, unsigned block, double spread)
{
	const double drift = 5 * spread * sin(block * 0.7);

	for (unsigned i = 0; i < stage->count; i++) {
		if (stage->entries[i].state != RACE_OPEN)
			continue;
		stage->scores[i][block] = stage->truth[i] + drift + draw_noise(stage, spread);
		stage->samples++;
	}
}

static void run_race(struct stage *stage, double spread)
{
	unsigned block = 0;

	while (!stage->race.over) {
		const unsigned until = stage->rules.blocks[stage->race.look];

		for (; block < until; block++)
			measure_block(stage, block, spread);
		assert_int_equal(race_look(&stage->race, until, false), 0);
	}
}

static double best_truth(const struct stage *stage)
{
	double best = INFINITY;

	for (unsigned i = 0; i < stage->count; i++)
		best = fmin(best, stage->truth[i]);
	return best;
}

static unsigned samples_of(const struct stage *stage, unsigned entry)
{
	unsigned count = 0;

	for (unsigned block = 0; block < MOST; block++)
		count += isfinite(stage->scores[entry][block]);
	return count;
}

struct counts {
	unsigned races, settled, wrong, cheapest;
	double confidence, share; /* summed; of the settled ones */
};

static struct counts run_races(unsigned entries, const double *truth, double spread, unsigned races)
{
	static struct stage stage;
	struct counts counts = { .races = races };

	for (unsigned k = 0; k < races; k++) {
		unsigned leader;

		stage_init(&stage, entries, truth, 20240711 + k);
		run_race(&stage, spread);
		leader = stage.race.leader;
		if (!stage.race.settled)
			continue;
		counts.settled++;
		counts.wrong += truth[leader] - best_truth(&stage) >=
				log1p(stage.rules.threshold) - 1e-12;
		counts.cheapest += leader == 0;
		counts.confidence += stage.race.confidence;
		counts.share += (double)stage.samples / (entries * samples_of(&stage, leader));
		assert_true(stage.race.confidence >= 1 - stage.rules.alpha);
	}
	print_message("%u races of %u, spread %.3f: %u settled, %u wrong, mean share %.2f\n", races,
		      entries, spread, counts.settled, counts.wrong,
		      counts.settled ? counts.share / counts.settled : NAN);
	return counts;
}

/* ---- surfaces: ten page sizes on two backings, the second as good as the first ---- */

static void make_valley(double *truth, double octave)
{
	for (unsigned i = 0; i < 20; i++)
		truth[i] = octave * fabs((double)(i / 2) - 4);
}

static void a_valley_is_found_in_less_than_half(void **state)
{
	double truth[20];
	struct counts quiet, noisy;

	(void)state;
	make_valley(truth, 0.05);
	quiet = run_races(20, truth, 0.01, 300);
	assert_true(quiet.settled >= 297);
	assert_true(quiet.wrong <= 5);
	assert_true(quiet.share < 0.5 * quiet.settled);
	noisy = run_races(20, truth, 0.03, 60);
	assert_true(noisy.wrong <= 3);
	assert_true(noisy.share < 0.5 * noisy.settled);
}

static void small_steps_are_not_taken_for_none(void **state)
{
	double truth[20];
	struct counts counts;

	(void)state;
	/* each step is worth more than the threshold: only the bottom is right */
	make_valley(truth, 0.021);
	counts = run_races(20, truth, 0.01, 300);
	assert_true(counts.settled >= 270);
	assert_true(counts.wrong <= 300 * 0.05);
}

static void among_equals_the_cheapest(void **state)
{
	double truth[20] = { 0 };
	struct counts counts;

	(void)state;
	counts = run_races(20, truth, 0.008, 100);
	assert_true(counts.settled >= 97);
	assert_int_equal(counts.wrong, 0);
	assert_true(counts.cheapest >= 95);
}

/* The truth lies at the edge: one entry is better than all others by exactly the threshold. */
static void the_error_rate_holds_where_it_is_hardest(void **state)
{
	double truth[20];
	struct counts counts;

	(void)state;
	for (unsigned i = 0; i < 20; i++)
		truth[i] = i == 13 ? 0 : log1p(0.02);
	counts = run_races(20, truth, 0.012, 200);
	assert_true(counts.wrong <= 200 * 0.05);
	counts = run_races(2, truth + 12, 0.012, 1000);
	assert_true(counts.wrong <= 1000 * 0.05);
}

static void noise_settles_nothing(void **state)
{
	double truth[20];
	struct counts counts;

	(void)state;
	make_valley(truth, 0.021);
	counts = run_races(20, truth, 0.3, 40);
	assert_true(counts.settled <= 4);
	assert_true(counts.wrong <= 2);
}

/* ---- rules ---- */

static void looks_depend_on_the_family(void **state)
{
	struct race_rules rules;

	(void)state;
	assert_int_equal(race_rules_init(&rules, 20, 60), 0);
	assert_int_equal(rules.blocks[0], 3);
	assert_int_equal(rules.blocks[rules.looks - 1], 60);
	assert_true(race_blocks_needed(&rules, 20) > race_blocks_needed(&rules, 2));
	for (unsigned i = 1; i < rules.looks; i++)
		assert_true(rules.blocks[i] > rules.blocks[i - 1]);
	/* two entries have too few differences to tell what noise does */
	assert_int_equal(race_rules_init(&rules, 2, 60), 0);
	assert_true(rules.blocks[0] > 8);
	assert_int_equal(race_rules_init(&rules, 20, 2), 0);
	assert_int_equal(rules.looks, 1);
	assert_int_equal(race_rules_init(&rules, 20, 1), -EINVAL);
	assert_int_equal(race_rules_init(&rules, 20, RACE_BLOCKS_MAX + 1), -EINVAL);
	assert_int_equal(race_rules_init(&rules, 0, 20), -EINVAL);
}

static void cost_comes_before_rank(void **state)
{
	const struct race_entry lean = { .cost = 100, .rank = 5 }, fat = { .cost = 110, .rank = 1 };
	const struct race_entry same = { .cost = 101, .rank = 1 };
	const struct race_entry unknown = { .cost = NAN, .rank = 7 };

	(void)state;
	assert_true(race_cheaper(&lean, &fat));
	assert_false(race_cheaper(&fat, &lean));
	assert_true(race_cheaper(&same, &lean)); /* within two per cent: by rank */
	assert_true(race_cheaper(&lean, &unknown));
	assert_false(race_cheaper(&unknown, &lean));
}

static void a_leaner_equal_is_preferred(void **state)
{
	static struct stage stage;
	const double truth[8] = { 0, 0, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3 };

	(void)state;
	stage_init(&stage, 8, truth, 7);
	for (unsigned i = 0; i < 8; i++)
		stage.entries[i].cost = i == 1 ? 100 : 200;
	run_race(&stage, 0.005);
	assert_true(stage.race.settled);
	assert_int_equal(stage.race.leader, 1);
	/* the far ones went early, and it is said who proved it */
	assert_int_equal(stage.entries[5].state, RACE_DROPPED);
	assert_int_equal(stage.entries[5].dropped_after, 3);
	assert_true(stage.entries[5].dropped_by < 2);
	assert_int_equal(samples_of(&stage, 5), 3);
	assert_true(fabs(stage.entries[5].ratio.ratio - exp(0.3)) < 0.05);
	assert_true(stage.entries[0].ratio.interval.low > 1 / 1.02);
}

/* A cheaper entry that is one and a half per cent worse: within the threshold, but not as good. */
static void a_cheaper_one_may_stay_undecided(void **state)
{
	static struct stage stage;
	const double truth[2] = { 0.015, 0 };
	unsigned undecided = 0, wrong = 0;

	(void)state;
	for (unsigned k = 0; k < 200; k++) {
		stage_init(&stage, 2, truth, k);
		run_race(&stage, 0.012);
		undecided += stage.race.settled && stage.race.undecided;
		wrong += stage.race.undecided && stage.race.leader == 0;
	}
	assert_true(undecided > 0);
	assert_int_equal(wrong, 0);
}

static void what_is_out_is_not_in_the_race(void **state)
{
	static struct stage stage;
	const double truth[8] = { -1, 0, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3 };

	(void)state;
	stage_init(&stage, 8, truth, 11);
	stage.entries[0].state = RACE_OUT;
	run_race(&stage, 0.005);
	assert_true(stage.race.settled);
	assert_int_equal(stage.race.leader, 1);
	assert_int_equal(stage.race.comparisons, 6);
	/* one that fails on the way is out, even as the leader */
	stage_init(&stage, 8, truth, 12);
	for (unsigned block = 0; block < 3; block++)
		measure_block(&stage, block, 0.005);
	assert_int_equal(race_look(&stage.race, 3, false), 0);
	assert_int_equal(stage.race.leader, 0);
	stage.entries[0].state = RACE_OUT;
	for (unsigned i = 1; i < 8; i++)
		stage.entries[i].state = RACE_OPEN;
	for (unsigned block = 3; block < 20; block++)
		measure_block(&stage, block, 0.005);
	assert_int_equal(race_look(&stage.race, 20, true), 0);
	assert_true(stage.race.settled);
	assert_int_equal(stage.race.leader, 1);
}

static void one_alone_has_won(void **state)
{
	static struct stage stage;
	const double truth[1] = { 0 };

	(void)state;
	stage_init(&stage, 1, truth, 1);
	run_race(&stage, 0.01);
	assert_true(stage.race.settled);
	assert_int_equal(stage.race.leader, 0);
}

/* A budget that ends too soon: an answer is named, and not called settled. */
static void a_short_race_is_not_settled(void **state)
{
	static struct stage stage;
	const double truth[4] = { 0.01, 0, 0.02, 0.01 };

	(void)state;
	stage_init(&stage, 4, truth, 3);
	for (unsigned block = 0; block < 3; block++)
		measure_block(&stage, block, 0.01);
	assert_int_equal(race_look(&stage.race, 3, true), 0);
	assert_true(stage.race.over);
	assert_false(stage.race.settled);
	assert_true(stage.race.confidence < 0.95);
	assert_true(stage.race.leader < 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(looks_depend_on_the_family),
		cmocka_unit_test(cost_comes_before_rank),
		cmocka_unit_test(a_leaner_equal_is_preferred),
		cmocka_unit_test(a_cheaper_one_may_stay_undecided),
		cmocka_unit_test(what_is_out_is_not_in_the_race),
		cmocka_unit_test(one_alone_has_won),
		cmocka_unit_test(a_short_race_is_not_settled),
		cmocka_unit_test(a_valley_is_found_in_less_than_half),
		cmocka_unit_test(small_steps_are_not_taken_for_none),
		cmocka_unit_test(among_equals_the_cheapest),
		cmocka_unit_test(the_error_rate_holds_where_it_is_hardest),
		cmocka_unit_test(noise_settles_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
