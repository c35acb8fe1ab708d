/* Medians of counters over a cell's repetitions. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "results/counter_summary.h"

static struct record record_of(const char *backend, enum pass pass, unsigned repetition,
			       uint64_t hits, uint64_t operations)
{
	struct record record;

	record_clear(&record);
	snprintf(record.cell.backend, sizeof(record.cell.backend), "%s", backend);
	snprintf(record.cell.workload, sizeof(record.cell.workload), "irp-storm");
	snprintf(record.display_name, sizeof(record.display_name), "%.*s",
		 (int)strcspn(backend, ":"), backend);
	record.cell.threads = 2;
	record.pass = pass;
	record.repetition = repetition;
	record.operations_total = operations;
	record.counters = 2;
	record.counter[0] = (struct record_counter){ "hits", hits };
	record.counter[1] = (struct record_counter){ "steps_max", 7 };
	return record;
}

static void medians_are_of_the_first_pass_that_counts(void **state)
{
	struct record records[] = {
		record_of("a", PASS_MEMORY, 0, 1000, 10),
		record_of("a", PASS_THROUGHPUT, 0, 50, 100),
		record_of("a", PASS_THROUGHPUT, 1, 10, 100),
		record_of("a", PASS_THROUGHPUT, 2, 90, 300),
		record_of("a:x=on", PASS_MEMORY, 0, 8, 0),
		record_of("a", PASS_THROUGHPUT, 3, 99999, 100),
		record_of("b", PASS_THROUGHPUT, 0, 1, 1),
	};
	struct counter_summary *list;
	size_t count;

	(void)state;
	records[5].status = CELL_CRASHED;
	records[6].counters = 0;
	assert_int_equal(counters_summarise(records, 7, &list, &count), 0);
	assert_int_equal(count, 2);
	assert_string_equal(list[0].cell.backend, "a");
	assert_int_equal(list[0].pass, PASS_THROUGHPUT);
	assert_int_equal(list[0].repetitions, 3);
	assert_true(list[0].operations == 100);
	assert_true(counter_median_find(&list[0], "hits")->events == 50);
	/* Of the ratios 0.5, 0.1, 0.3: not the ratio of medians. */
	assert_true(counter_median_find(&list[0], "hits")->per_operation == 0.3);
	assert_true(counter_median_find(&list[0], "steps_max")->events == 7);
	assert_true(isnan(counter_median_find(&list[0], "steps_max")->per_operation));
	assert_null(counter_median_find(&list[0], "misses"));
	/* An old record does not say how many operations there were. */
	assert_int_equal(list[1].pass, PASS_MEMORY);
	assert_true(counter_median_find(&list[1], "hits")->events == 8);
	assert_true(isnan(counter_median_find(&list[1], "hits")->per_operation));
	assert_ptr_equal(counter_summary_find(list, count, &records[4].cell), &list[1]);
	assert_null(counter_summary_find(list, count, &records[6].cell));
	free(list);
}

static void nothing_is_no_summary(void **state)
{
	struct record none = record_of("a", PASS_LATENCY, 0, 1, 1);
	struct counter_summary *list;
	size_t count = 1;

	(void)state;
	none.counters = 0;
	assert_int_equal(counters_summarise(&none, 1, &list, &count), 0);
	assert_int_equal(count, 0);
	assert_null(list);
	assert_int_equal(counters_summarise(NULL, 0, &list, &count), 0);
	assert_null(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(medians_are_of_the_first_pass_that_counts),
		cmocka_unit_test(nothing_is_no_summary),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
