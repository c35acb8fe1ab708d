/* The canary: its work is really done, comes out as it must, and takes time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/canary.h"

/* More than two turns of the walk's cycle. */
#define RUNS 40

static void work_is_done_and_checked(void **state)
{
	struct canary *canary = NULL;
	struct canary_times best = { 1e18, 1e18 };

	(void)state;
	assert_int_equal(canary_create(&canary), 0);
	for (int i = 0; i < RUNS; i++) {
		struct canary_times times = { 0 };

		/* The product is compared with a closed form, the walk with its stations. */
		assert_int_equal(canary_run(canary, &times), 0);
		if (times.arithmetic_ns < best.arithmetic_ns)
			best.arithmetic_ns = times.arithmetic_ns;
		if (times.memory_ns < best.memory_ns)
			best.memory_ns = times.memory_ns;
	}
	/*
	 * Not a bar for the machine: 200,000 multiplications and 4096 loads that wait for each
	 * other take at least a cycle each, and no processor has 10 of them in a nanosecond.
	 */
	assert_true(best.arithmetic_ns > 200000 / 10.0);
	assert_true(best.memory_ns > 4096 / 10.0);
	print_message("arithmetic %.0f us, memory %.0f us\n", best.arithmetic_ns / 1000,
		      best.memory_ns / 1000);
	canary_destroy(canary);
	canary_destroy(NULL);
}

static void its_memory_is_known(void **state)
{
	(void)state;
	assert_in_range(canary_bytes(), 4u << 20, (4u << 20) + 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(work_is_done_and_checked),
		cmocka_unit_test(its_memory_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
