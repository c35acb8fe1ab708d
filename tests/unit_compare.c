/* Two stored runs: rank sums against tables, verdicts on made-up runs, reasons to refuse. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "results/compare.h"
#include "results/rank_sum.h"
#include "workloads/random.h"

#define REPETITIONS 12

/* R: wilcox.test(x, y) for samples without ties; by hand: all 3 above all 4 is 2 / C(7,3). */
static void rank_sums_match_enumeration(void **state)
{
	const double x[] = { 1, 2, 3, 4 }, y[] = { 5, 6, 7 }, z[] = { 2.5, 3.5, 10 };
	const double ties[] = { 1, 1, 1 };
	struct interval interval;
	double p, shift;

	(void)state;
	assert_int_equal(rank_sum_test(x, 4, y, 3, &p), 0);
	assert_true(fabs(p - 2.0 / 35) < 1e-12);
	/* ranks of z are 3, 5, 7: 15 of 6 .. 18; 7 of 35 subsets have at least 15 */
	rank_sum_test(x, 4, z, 3, &p);
	assert_true(fabs(p - 2 * 7.0 / 35) < 1e-12);
	rank_sum_test(ties, 3, ties, 3, &p);
	assert_true(fabs(p - 1) < 1e-12);
	rank_sum_test(x, 0, y, 3, &p);
	assert_true(isnan(p));
	rank_sum_shift(x, 4, y, 3, 0.9, &shift, &interval);
	assert_true(fabs(shift - 3.5) < 1e-12); /* differences 1..6, as (1,2,2,3,3,3,4,4,4,5,5,6) */
	/* P(U = 0) is 1/35 a side, P(U <= 1) is 2/35: 88.6 % would be too little */
	assert_true(fabs(interval.coverage - (1 - 2.0 / 35)) < 1e-9);
	assert_true(fabs(interval.low - 1) < 1e-12 && fabs(interval.high - 6) < 1e-12);
}

/* The exact distribution and the approximation meet where one takes over from the other. */
static void approximation_meets_the_exact_test(void **state)
{
	double x[41], y[41], exact, approximate;

	(void)state;
	for (int i = 0; i < 41; i++) { /* one value more changes next to nothing */
		x[i] = 10 * i;
		y[i] = 10 * i + 95;
	}
	rank_sum_test(x, 40, y, 40, &exact);
	rank_sum_test(x, 41, y, 41, &approximate);
	assert_true(exact > 0 && exact < 0.5);
	assert_true(fabs(log(approximate / exact)) < 0.3);
}

/* ---- made-up runs ---- */

struct made_run {
	struct record records[2 * REPETITIONS];
	struct run_plan plan;
};

/* The floor at `floor_ns` and one backend at `share` of it, each repetition at its own speed of the machine. */
static void make_run(struct made_run *run, const char *backend, double floor_ns, double share,
		     uint64_t seed)
{
	struct random random;

	memset(run, 0, sizeof(*run));
	random_seed(&random, seed);
	for (unsigned r = 0; r < REPETITIONS; r++) {
		const double speed = 1 + random_below(&random, 1000) / 1000.0;

		for (int side = 0; side < 2; side++) {
			struct record *record = &run->records[2 * r + (unsigned)side];

			record_clear(record);
			snprintf(record->cell.backend, sizeof(record->cell.backend), "%s",
				 side ? backend : "null");
			snprintf(record->display_name, sizeof(record->display_name), "%s",
				 side ? "mine" : "null");
			strcpy(record->cell.workload, "irp-storm");
			strcpy(record->cell.backing, "base");
			record->cell.threads = 1;
			record->cell.page_size = 4096;
			record->repetition = r;
			record->trace_checksum = 42;
			record->metrics[METRIC_ns_per_op_q1] =
				floor_ns * speed * (side ? share : 1) *
				(1 + (random_below(&random, 1000) - 500.0) * 1e-5);
		}
	}
}

static const struct compare_rules rules = { .alpha = 0.01, .threshold = 0.05, .reference = "null" };

static struct compare_row compare_one(const struct made_run *base, const struct made_run *new_run)
{
	struct compare_row *rows, row;
	size_t count;

	assert_int_equal(compare_records(base->records, 2 * REPETITIONS, new_run->records,
					 2 * REPETITIONS, &rules, &rows, &count),
			 0);
	assert_int_equal(count, 1);
	row = rows[0];
	free(rows);
	return row;
}

static struct made_run base, other;

static void the_machine_divides_out(void **state)
{
	struct compare_row row;

	(void)state;
	/* twice as slow a machine, the same backend */
	make_run(&base, "slub", 3, 4, 1);
	make_run(&other, "slub", 6, 4, 2);
	row = compare_one(&base, &other);
	assert_int_equal(row.verdict, VERDICT_EQUIVALENT);
	assert_int_equal(row.base_values, REPETITIONS);
	make_run(&other, "slub", 6, 4.5, 2);
	row = compare_one(&base, &other);
	assert_int_equal(row.verdict, VERDICT_REGRESSION);
	assert_true(fabs(row.ratio - 1.125) < 0.01);
	make_run(&other, "slub", 1, 3.5, 2);
	assert_int_equal(compare_one(&base, &other).verdict, VERDICT_IMPROVEMENT);
	/* significant, and too small to matter */
	make_run(&other, "slub", 6, 4.08, 2);
	row = compare_one(&base, &other);
	assert_true(row.p < 0.01);
	assert_int_equal(row.verdict, VERDICT_EQUIVALENT);
}

static void missing_baselines_are_unknown(void **state)
{
	(void)state;
	make_run(&base, "slub", 3, 4, 1);
	make_run(&other, "tlsf", 3, 4, 2);
	assert_int_equal(compare_one(&base, &other).verdict, VERDICT_UNKNOWN);
	/* no reference in BASE: nothing to divide by */
	make_run(&other, "slub", 3, 4, 2);
	for (int i = 0; i < 2 * REPETITIONS; i += 2)
		strcpy(base.records[i].cell.backend, "glibc");
	assert_int_equal(compare_one(&base, &other).verdict, VERDICT_UNKNOWN);
	/* a plugin of the same name from another place is the same */
	make_run(&base, "old/mine.so", 3, 4, 1);
	make_run(&other, "new/mine.so", 3, 4, 2);
	assert_int_equal(compare_one(&base, &other).verdict, VERDICT_EQUIVALENT);
	/* failed repetitions are no values */
	for (int i = 1; i < 2 * REPETITIONS; i += 2)
		other.records[i].status = CELL_CRASHED;
	assert_int_equal(compare_one(&base, &other).verdict, VERDICT_UNKNOWN);
	/* five against five have no interval of 99 %: never equivalent */
	make_run(&base, "slub", 3, 4, 1);
	make_run(&other, "slub", 3, 4, 2);
	for (int i = 6; i < 2 * REPETITIONS; i++)
		base.records[i].status = other.records[i].status = CELL_TIMEOUT;
	assert_int_equal(compare_one(&base, &other).verdict, VERDICT_INCONCLUSIVE);
}

/* Two repetitions of the memory pass, as a run of ten has. */
static enum verdict compare_bytes(double base_bytes, double new_bytes, double spread)
{
	struct made_run *runs[2] = { &base, &other };
	struct compare_row *rows;
	enum verdict verdict = VERDICT_UNKNOWN;
	size_t count;

	for (int side = 0; side < 2; side++) {
		make_run(runs[side], "slub", 3, 4, 1);
		for (int i = 0; i < 4; i++) {
			struct record *record = &runs[side]->records[i];

			record->pass = PASS_MEMORY;
			record->metrics[METRIC_resident_bytes_peak] =
				(side ? new_bytes : base_bytes) * (i < 2 ? 1 : spread);
		}
	}
	assert_int_equal(compare_records(base.records, 4, other.records, 4, &rules, &rows, &count),
			 0);
	assert_int_equal(count, 1);
	assert_int_equal(rows[0].series, COMPARE_FOOTPRINT);
	verdict = rows[0].verdict;
	free(rows);
	return verdict;
}

static void few_counts_are_judged_by_their_range(void **state)
{
	(void)state;
	assert_int_equal(compare_bytes(1e6, 1e6, 1), VERDICT_EQUIVALENT);
	assert_int_equal(compare_bytes(1e6, 1.2e6, 1.01), VERDICT_REGRESSION);
	assert_int_equal(compare_bytes(1.2e6, 1e6, 1.01), VERDICT_IMPROVEMENT);
	assert_int_equal(compare_bytes(1e6, 1e6, 1.2), VERDICT_INCONCLUSIVE);
}

static unsigned differences(const char *base_machine, const char *new_machine, char *text,
			    size_t bytes)
{
	json_t *a = json_pack("{s:s, s:{s:n}}", "machine_fingerprint", base_machine, "build",
			      "sanitizers");
	json_t *b = json_pack("{s:s, s:{s:n}}", "machine_fingerprint", new_machine, "build",
			      "sanitizers");
	const struct compare_side sides[2] = { { a, &base.plan, base.records, 2 * REPETITIONS },
					       { b, &other.plan, other.records, 2 * REPETITIONS } };
	const unsigned count = compare_differences(&sides[0], &sides[1], text, bytes);

	json_decref(a);
	json_decref(b);
	return count;
}

static void what_cannot_be_compared_is_named(void **state)
{
	char text[2048], short_text[16];

	(void)state;
	make_run(&base, "slub", 3, 4, 1);
	make_run(&other, "slub", 3, 4, 2);
	assert_int_equal(differences("aa", "aa", text, sizeof(text)), 0);
	assert_string_equal(text, "");
	assert_int_equal(differences("aa", "bb", text, sizeof(text)), 1);
	assert_non_null(strstr(text, "aa / bb"));
	run_plan_add_option(&base.plan, "events", "1000");
	run_plan_add_option(&base.plan, "touch", "all");
	run_plan_add_option(&base.plan, "repetitions", "5"); /* changes no number */
	run_plan_add_option(&other.plan, "touch", "none");
	run_plan_add_option(&other.plan, "laps", "7");
	assert_int_equal(differences("aa", "aa", text, sizeof(text)), 3);
	assert_non_null(strstr(text, "--events: 1000 / the default"));
	assert_non_null(strstr(text, "--touch: all / none"));
	assert_non_null(strstr(text, "--laps: the default / 7"));
	assert_null(strstr(text, "repetitions"));
	for (int i = 0; i < 2 * REPETITIONS; i++)
		other.records[i].trace_checksum = 43;
	assert_int_equal(differences("aa", "aa", text, sizeof(text)), 4);
	assert_non_null(strstr(text, "0x2a / 0x2b"));
	/* a short buffer is filled, not overrun, and the count is right */
	assert_int_equal(differences("aa", "bb", short_text, sizeof(short_text)), 5);
	assert_true(strlen(short_text) < sizeof(short_text));
	run_plan_release(&base.plan);
	run_plan_release(&other.plan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rank_sums_match_enumeration),
		cmocka_unit_test(approximation_meets_the_exact_test),
		cmocka_unit_test(the_machine_divides_out),
		cmocka_unit_test(missing_baselines_are_unknown),
		cmocka_unit_test(few_counts_are_judged_by_their_range),
		cmocka_unit_test(what_cannot_be_compared_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
