/* The canary: its work is really done, comes out as it must, and takes time. */
#include <math.h>
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

/*
 * No bar for the machine: only that both parts take time, and that the additions are done more than one at once, or the
 * ratio could not tell a shared core: 4000 x 12 of them one after the other would be three times as long as 5000
 * multiplications and additions.
 */
static void sharing_is_a_ratio(void **state)
{
	double lowest = 1e9;

	(void)state;
	for (int i = 0; i < 20; i++) {
		const double sharing = canary_sharing();

		assert_true(isfinite(sharing) && sharing > 0.01);
		lowest = fmin(lowest, sharing);
	}
	print_message("additions over the chain: %.3f\n", lowest);
	assert_true(lowest < 48000 / (5000 * 4.0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(work_is_done_and_checked),
		cmocka_unit_test(sharing_is_a_ratio),
		cmocka_unit_test(its_memory_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
