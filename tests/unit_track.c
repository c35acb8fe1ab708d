/*
 * What a run's directory gives to a history, and verdicts of simulated histories with a known truth: how often `track
 * check` raises an alarm about nothing, and what it finds. docs/track.md quotes the rates.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "plots_sample.h" /* sample_remove */
#include "results/history_check.h"
#include "results/statistics.h"
#include "track_sample.h"
#include "workloads/random.h"

static struct random chance;

static double uniform(void)
{
	return ((double)(random_next(&chance) >> 11) + 0.5) / 9007199254740992.0;
}

static double normal(void)
{
	return sqrt(-2 * log(uniform())) * cos(2 * M_PI * uniform());
}

/* ---- Student's t against tables ---- */

static void students_t_is_the_tables(void **state)
{
	(void)state;
	/* two-sided 5 % and 1 % points, any statistics book */
	assert_true(fabs(student_quantile(0.05, 1) - 12.7062) < 1e-4);
	assert_true(fabs(student_quantile(0.05, 2) - 4.30265) < 1e-5);
	assert_true(fabs(student_quantile(0.01, 4) - 4.60409) < 1e-5);
	assert_true(fabs(student_quantile(0.05, 5) - 2.57058) < 1e-5);
	assert_true(fabs(student_quantile(0.01, 29) - 2.75639) < 1e-5);
	assert_true(fabs(student_quantile(0.05, 1000) - 1.96234) < 1e-5);
	assert_true(fabs(student_p(0, 7) - 1) < 1e-12);
	assert_true(fabs(student_p(-2.57058, 5) - 0.05) < 1e-6);
}

/* ---- simulated histories ---- */

enum { SIM_RUNS = 40, SIM_CELLS = 4 };

struct simulation {
	struct history history;
	struct history_entry entry;
	struct history_run runs[SIM_RUNS];
	struct history_series series[SIM_CELLS], entry_series[SIM_CELLS];
	struct history_point points[SIM_RUNS * SIM_CELLS], entry_points[SIM_CELLS];
	struct history_decision decisions[4];
};

static struct simulation sim;

static void make_point(struct history_point *point, size_t run, size_t series, double log_value)
{
	*point = (struct history_point){ .run = run,
					 .series = series,
					 .n = 10,
					 .value = exp(log_value),
					 .low = exp(log_value - 0.006),
					 .high = exp(log_value + 0.006),
					 .absolute = 10 };
}

static void make_series(struct history_series *series, size_t cell)
{
	*series = (struct history_series){ .id = (int64_t)cell + 1, .measure = MEASURE_TIME };
	snprintf(series->cell.backend, sizeof(series->cell.backend), "pool-%zu", cell);
	strcpy(series->cell.workload, "irp-storm");
	strcpy(series->cell.backing, "base");
	strcpy(series->trace, "0x1");
}

/* A history of `runs` and a new run; the first cell changes by `step` from run `from` on (the new one is run `runs`). */
static void simulate(size_t runs, double sigma, double spike, double step, size_t from)
{
	memset(&sim, 0, sizeof(sim));
	for (size_t c = 0; c < SIM_CELLS; c++) {
		make_series(&sim.series[c], c);
		make_series(&sim.entry_series[c], c);
	}
	for (size_t r = 0; r <= runs; r++) {
		for (size_t c = 0; c < SIM_CELLS; c++) {
			const bool spiked = spike > 0 && random_below(&chance, 12) == 0;
			const double value = sigma * normal() * (spiked ? spike : 1) +
					     (c == 0 && r >= from ? log1p(step) : 0);

			if (r < runs)
				make_point(&sim.points[c * runs + r], r, c, value);
			else
				make_point(&sim.entry_points[c], 0, c, value);
		}
		if (r < runs)
			snprintf(sim.runs[r].id, sizeof(sim.runs[r].id), "run-%zu", r);
	}
	sim.history = (struct history){ .runs = sim.runs,
					.run_count = runs,
					.series = sim.series,
					.series_count = SIM_CELLS,
					.points = sim.points,
					.point_count = runs * SIM_CELLS,
					.decisions = sim.decisions };
	sim.entry = (struct history_entry){ .series = sim.entry_series,
					    .points = sim.entry_points,
					    .count = SIM_CELLS };
}

static struct check_row *check(void)
{
	struct check_rules rules;
	struct check_row *rows;

	check_rules_init(&rules);
	assert_int_equal(history_check(&sim.entry, &sim.history, &rules, &rows), 0);
	return rows;
}

struct rates {
	double alarms, found, equivalent;
};

/* Over `times` checks: any cell REGRESSION; the first one REGRESSION; the first one EQUIVALENT. */
static struct rates rates_of(unsigned times, size_t runs, double sigma, double spike, double step,
			     size_t from)
{
	struct rates rates = { 0, 0, 0 };

	for (unsigned i = 0; i < times; i++) {
		bool any = false;
		struct check_row *rows;

		simulate(runs, sigma, spike, step, from);
		rows = check();
		for (size_t c = 0; c < SIM_CELLS; c++)
			any |= rows[c].verdict == VERDICT_REGRESSION;
		rates.alarms += any;
		rates.found += rows[0].verdict == VERDICT_REGRESSION;
		rates.equivalent += rows[0].verdict == VERDICT_EQUIVALENT;
		free(rows);
	}
	rates.alarms /= times;
	rates.found /= times;
	rates.equivalent /= times;
	return rates;
}

/* As rates_of, with a second run of the same commit that has to agree. */
static struct rates confirmed_rates(unsigned times, double spike, double step)
{
	static struct history_point first_points[SIM_CELLS];
	struct rates rates = { 0, 0, 0 };
	struct check_rules rules;

	check_rules_init(&rules);
	for (unsigned i = 0; i < times; i++) {
		struct history_entry first;
		struct check_row *rows, *second;
		bool any = false;

		simulate(20, 0.01, spike, step, 20);
		memcpy(first_points, sim.entry_points, sizeof(first_points));
		first = sim.entry;
		first.points = first_points;
		for (size_t c = 0; c < SIM_CELLS; c++) {
			const bool spiked = spike > 0 && random_below(&chance, 12) == 0;

			make_point(&sim.entry_points[c], 0, c,
				   0.01 * normal() * (spiked ? spike : 1) +
					   (c == 0 ? log1p(step) : 0));
		}
		assert_int_equal(history_check(&first, &sim.history, &rules, &rows), 0);
		second = check();
		history_confirm(rows, SIM_CELLS, second, SIM_CELLS, &rules);
		for (size_t c = 0; c < SIM_CELLS; c++)
			any |= rows[c].verdict == VERDICT_REGRESSION;
		rates.alarms += any;
		rates.found += rows[0].verdict == VERDICT_REGRESSION;
		free(rows);
		free(second);
	}
	rates.alarms /= times;
	rates.found /= times;
	return rates;
}

static void a_second_run_confirms(void **state)
{
	(void)state;
	random_seed(&chance, 15);
	const struct rates spiky = confirmed_rates(2000, 6, 0);
	const struct rates found = confirmed_rates(300, 0, 0.10);

	printf("with a second run: alarms with spikes %.2f %%, 10 %% of sigma 1 %% found %.1f %%\n",
	       100 * spiky.alarms, 100 * found.found);
	assert_true(spiky.alarms <= 0.01);
	assert_true(found.found >= 0.95);
}

static void nothing_raises_no_alarm(void **state)
{
	(void)state;
	random_seed(&chance, 11);
	const struct rates quiet = rates_of(1500, 20, 0.01, 0, 0, 99);
	const struct rates spiky = rates_of(1500, 20, 0.01, 6, 0, 99);
	const struct rates few = rates_of(1500, 5, 0.01, 0, 0, 99);

	printf("four cells, nothing changed: alarms %.2f %%, with spikes %.2f %%, after five runs "
	       "%.2f "
	       "%%; equivalent %.1f %%, %.1f %%, %.1f %%\n",
	       100 * quiet.alarms, 100 * spiky.alarms, 100 * few.alarms, 100 * quiet.equivalent,
	       100 * spiky.equivalent, 100 * few.equivalent);
	assert_true(quiet.alarms <= 0.01);
	/* one run of one cell in twelve is off by sixfold noise: one run cannot know that it is the one */
	assert_true(spiky.alarms <= 0.06);
	assert_true(few.alarms <= 0.01);
	assert_true(quiet.equivalent >= 0.9);
}

static void changes_are_found(void **state)
{
	(void)state;
	random_seed(&chance, 12);
	const struct rates ten = rates_of(300, 20, 0.01, 0, 0.10, 20);
	const struct rates five = rates_of(300, 20, 0.005, 0, 0.06, 20);
	const struct rates slow = rates_of(150, 25, 0.005, 0, 0.02, 16);
	const struct rates three = rates_of(150, 30, 0.01, 0, 0.03, 21);
	const struct rates alone = rates_of(300, 20, 0.005, 0, 0.02, 20);

	printf("found: 10 %% of sigma 1 %% by the first run %.1f %%, 6 %% of sigma 0.5 %% %.1f %%; "
	       "2 %% of "
	       "sigma 0.5 %% by the tenth run %.1f %%, 3 %% of sigma 1 %% by the tenth %.1f %%; 2 "
	       "%% by "
	       "the first: %.1f %%\n",
	       100 * ten.found, 100 * five.found, 100 * slow.found, 100 * three.found,
	       100 * alone.found);
	assert_true(ten.found >= 0.95);
	assert_true(five.found >= 0.95);
	assert_true(slow.found >= 0.5); /* a true 2 % is measured below 2 % every second time */
	assert_true(three.found >= 0.8);
	assert_true(alone.found <= 0.01);
}

/* ---- what a history means ---- */

static void gains_move_the_baseline_losses_do_not(void **state)
{
	struct check_row *rows;

	(void)state;
	random_seed(&chance, 13);
	/* better by 8 % for 15 runs: a run at the old level is a regression now */
	simulate(30, 0.003, 0, -0.08, 15);
	sim.entry_points[0].value = 1;
	sim.entry_points[0].low = 0.994;
	sim.entry_points[0].high = 1.006;
	rows = check();
	assert_int_equal(rows[0].verdict, VERDICT_REGRESSION);
	assert_int_equal(rows[0].runs, 15);
	assert_int_equal(rows[0].first_run, 15);
	assert_true(fabs(rows[0].ratio - 1 / 0.92) < 0.01);
	free(rows);
	/* worse by 8 % for 15 runs: a regression still, with its beginning */
	simulate(30, 0.003, 0, 0.08, 15);
	rows = check();
	assert_int_equal(rows[0].verdict, VERDICT_REGRESSION);
	assert_int_equal(rows[0].change_run, 15);
	assert_true(fabs(rows[0].change_ratio - 1.08) < 0.01);
	assert_int_equal(rows[1].verdict, VERDICT_EQUIVALENT);
	free(rows);
	/* accepted: it starts anew there */
	sim.history.decision_count = 1;
	sim.decisions[0] = (struct history_decision){ .kind = DECISION_ACCEPT, .withdrawn = NAN };
	strcpy(sim.decisions[0].run, "run-15");
	strcpy(sim.decisions[0].backend, "pool-0");
	rows = check();
	assert_int_equal(rows[0].verdict, VERDICT_EQUIVALENT);
	assert_int_equal(rows[0].runs, 15);
	assert_int_equal(rows[1].runs, 30); /* not about this one */
	free(rows);
	/* and taken back */
	sim.decisions[0].withdrawn = 1;
	rows = check();
	assert_int_equal(rows[0].verdict, VERDICT_REGRESSION);
	free(rows);
}

static void pins_forgets_and_short_histories(void **state)
{
	double samples[10], pinned[10];
	struct check_row *rows;

	(void)state;
	random_seed(&chance, 14);
	for (int i = 0; i < 10; i++) {
		samples[i] = 1.3 + 0.001 * i;
		pinned[i] = 1 + 0.001 * i;
	}
	/* a spike in the history is forgotten: its noise goes with it */
	simulate(12, 0.003, 0, 0, 99);
	sim.points[4].value = 2;
	rows = check();
	assert_int_equal(rows[0].verdict, VERDICT_INCONCLUSIVE);
	assert_non_null(strstr(rows[0].note, "vary by"));
	free(rows);
	sim.runs[4].forgotten = true;
	rows = check();
	assert_int_equal(rows[0].verdict, VERDICT_EQUIVALENT);
	assert_int_equal(rows[0].runs, 11);
	free(rows);
	/* pinned: the repetitions of two runs are compared */
	sim.entry_points[0].value = 1.3;
	sim.entry_points[0].samples = samples;
	sim.points[2].samples = pinned;
	sim.history.decision_count = 1;
	sim.decisions[0] = (struct history_decision){ .kind = DECISION_PIN, .withdrawn = NAN };
	strcpy(sim.decisions[0].run, "run-2");
	strcpy(sim.decisions[0].backend, "pool-0");
	rows = check();
	assert_int_equal(rows[0].basis, CHECK_PINNED);
	assert_int_equal(rows[0].verdict, VERDICT_REGRESSION);
	assert_true(fabs(rows[0].ratio - 1.3) < 0.01);
	assert_int_equal(rows[1].basis, CHECK_RUNS);
	free(rows);
	/* four runs are too few, none is nothing */
	simulate(4, 0.003, 0, 0, 99);
	rows = check();
	assert_int_equal(rows[0].verdict, VERDICT_INCONCLUSIVE);
	assert_non_null(strstr(rows[0].note, "needs 5"));
	free(rows);
	simulate(0, 0.003, 0, 0, 99);
	rows = check();
	assert_int_equal(rows[0].verdict, VERDICT_UNKNOWN);
	free(rows);
	/* another trace, other options: a new series, and the note says why */
	simulate(10, 0.003, 0, 0, 99);
	strcpy(sim.entry_series[0].trace, "0x2");
	strcpy(sim.entry_series[1].settings, "other");
	strcpy(sim.entry_series[2].cell.backend, "stranger");
	rows = check();
	assert_int_equal(rows[0].verdict, VERDICT_UNKNOWN);
	assert_non_null(strstr(rows[0].note, "another trace"));
	assert_non_null(strstr(rows[1].note, "other options"));
	assert_non_null(strstr(rows[2].note, "no run of the history"));
	assert_int_equal(rows[3].verdict, VERDICT_EQUIVALENT);
	free(rows);
	/* a cell that fails now, and one that always did */
	simulate(10, 0.003, 0, 0, 99);
	sim.entry_points[0] = (struct history_point){
		.series = 0, .status = CELL_CRASHED, .value = NAN, .low = NAN, .high = NAN
	};
	rows = check();
	assert_true(rows[0].failed && rows[0].verdict == VERDICT_UNKNOWN);
	free(rows);
}

/* Bytes that never varied: equal is equal, and the least change is one. */
static void counts_that_do_not_vary(void **state)
{
	struct check_row *rows;

	(void)state;
	simulate(10, 0, 0, 0, 99);
	sim.entry_points[0].low = sim.entry_points[0].high = sim.entry_points[0].value = 1;
	sim.entry_points[1].low = sim.entry_points[1].high = sim.entry_points[1].value = 1.06;
	sim.entry_points[2].low = sim.entry_points[2].high = sim.entry_points[2].value = 0.9;
	rows = check();
	assert_int_equal(rows[0].verdict, VERDICT_EQUIVALENT);
	assert_int_equal(rows[1].verdict, VERDICT_REGRESSION);
	assert_int_equal(rows[2].verdict, VERDICT_IMPROVEMENT);
	free(rows);
}

/* ---- from a directory ---- */

static void a_run_becomes_ratios(void **state)
{
	struct track_sample sample = track_sample_usual;
	char root[] = "/tmp/unit_track.XXXXXX", path[64], again[64], why[1024] = "";
	struct history_entry entry, other;
	bool plugin = false;

	(void)state;
	assert_non_null(mkdtemp(root));
	snprintf(path, sizeof(path), "%s/run", root);
	snprintf(again, sizeof(again), "%s/again", root);
	sample.plugin = "/some/where/mine.so:a=1";
	sample.run_noise = 0;
	sample.crash = true;
	assert_int_equal(track_sample_write(&sample, path), 0);
	assert_int_equal(history_entry_read(path, "null", &entry, why, sizeof(why)), 0);
	for (size_t i = 0; i < entry.count; i++) {
		const struct history_series *series = &entry.series[i];
		const struct history_point *point = &entry.points[i];

		assert_string_not_equal(series->cell.backend, "null");
		plugin |= !strcmp(series->cell.backend, "file:mine:a=1");
		if (strcmp(series->cell.backend, "nt-pool") || series->measure != MEASURE_TIME)
			continue;
		if (!strcmp(series->cell.workload, "object-churn")) {
			assert_int_equal(point->status, CELL_CRASHED);
			assert_int_equal(point->n, 0);
			continue;
		}
		/* the machine's speed, up to twofold within the run, divides out */
		assert_int_equal(point->n, 8);
		assert_true(fabs(point->value - 12.0 / 5) < 0.05);
		assert_true(point->absolute > 12);
		assert_string_equal(series->trace, "0x0000000000001234");
	}
	assert_true(plugin);
	assert_string_equal(entry.settings_text, "events=20000");
	/* moved: the same run; another seed: another */
	assert_int_equal(rename(path, again), 0);
	assert_int_equal(history_entry_read(again, "null", &other, why, sizeof(why)), 0);
	assert_string_equal(entry.run.id, other.run.id);
	assert_string_equal(entry.run.digest, other.run.digest);
	history_entry_release(&other);
	sample.seed = 2;
	assert_int_equal(track_sample_write(&sample, path), 0);
	assert_int_equal(history_entry_read(path, "null", &other, why, sizeof(why)), 0);
	assert_string_not_equal(entry.run.id, other.run.id);
	history_entry_release(&other);
	history_entry_release(&entry);
	/* what cannot become one */
	assert_int_equal(history_entry_read(path, "tlsf", &entry, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "--backend tlsf"));
	assert_int_equal(history_entry_read("/nowhere", "null", &entry, why, sizeof(why)), -ENOENT);
	snprintf(again, sizeof(again), "%s/run/environment.json", root);
	assert_int_equal(unlink(again), 0);
	assert_int_equal(history_entry_read(path, "null", &entry, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "which machine"));
	sample_remove(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(students_t_is_the_tables),
		cmocka_unit_test(nothing_raises_no_alarm),
		cmocka_unit_test(a_second_run_confirms),
		cmocka_unit_test(changes_are_found),
		cmocka_unit_test(gains_move_the_baseline_losses_do_not),
		cmocka_unit_test(pins_forgets_and_short_histories),
		cmocka_unit_test(counts_that_do_not_vary),
		cmocka_unit_test(a_run_becomes_ratios),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
