/*
 * Placement: orders on machines with several packages and hardware threads, lists, and this
 * machine.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/placement.h"

static char why[256];

static void expect_order(const char *machine, const char *allowed, const char *bind,
			 unsigned threads, const unsigned *expected)
{
	struct placement *placement = NULL;
	unsigned order[64];

	assert_int_equal(placement_create_synthetic(machine, allowed, &placement, why, sizeof(why)),
			 0);
	assert_int_equal(placement_order(placement, bind, threads, order, why, sizeof(why)), 0);
	for (unsigned i = 0; i < threads; i++)
		if (order[i] != expected[i])
			fail_msg("%s, %s: thread %u on processor %u, want %u", machine, bind, i,
				 order[i], expected[i]);
	placement_destroy(placement);
}

static int expect_refusal(const char *machine, const char *allowed, const char *bind,
			  const char *word)
{
	struct placement *placement = NULL;
	unsigned order[64];
	int error;

	assert_int_equal(placement_create_synthetic(machine, allowed, &placement, why, sizeof(why)),
			 0);
	error = placement_order(placement, bind, 4, order, why, sizeof(why));
	assert_non_null(strstr(why, word));
	placement_destroy(placement);
	return error;
}

#define ORDER(machine, allowed, bind, ...) \
	expect_order(machine, allowed, bind, \
		     sizeof((unsigned[]){ __VA_ARGS__ }) / sizeof(unsigned), \
		     (unsigned[]){ __VA_ARGS__ })

/* hwloc numbers a synthetic machine depth first: package 0 is 0-7, its core 0 is 0 and 1. */
#define TWO_SOCKETS "package:2 core:4 pu:2"
/* Numbered as Linux numbers most x86 servers: second hardware threads after all first ones. */
#define LINUX_SOCKETS "package:2 core:2 pu:2(indexes=0,4,1,5,2,6,3,7)"

static void compact_fills_a_core_then_a_package(void **state)
{
	(void)state;
	ORDER(TWO_SOCKETS, NULL, "compact", 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
	ORDER(LINUX_SOCKETS, NULL, "compact", 0, 4, 1, 5, 2, 6, 3, 7);
}

static void scatter_takes_packages_then_cores_then_siblings(void **state)
{
	(void)state;
	ORDER(TWO_SOCKETS, NULL, "scatter", 0, 8, 2, 10, 4, 12, 6, 14, 1, 9, 3, 11, 5, 13, 7, 15);
	ORDER(LINUX_SOCKETS, NULL, "scatter", 0, 2, 1, 3, 4, 6, 5, 7);
}

static void scatter_spreads_over_caches_within_a_package(void **state)
{
	(void)state;
	ORDER("package:1 l3:2 core:2 pu:1", NULL, "scatter", 0, 2, 1, 3);
	ORDER("package:1 l3:2 core:2 pu:1", NULL, "compact", 0, 1, 2, 3);
}

static void scatter_uses_every_core_before_any_sibling(void **state)
{
	(void)state;
	/* Package 0 has core 0 left only, package 1 all four: 1 must not come before 10, 12, 14. */
	ORDER(TWO_SOCKETS, "0-1,8-15", "scatter", 0, 8, 10, 12, 14, 1, 9, 11, 13, 15);
	/* The first hardware thread is taken away: the second is then the core's first. */
	ORDER(TWO_SOCKETS, "1-3,8-9", "scatter", 1, 8, 2, 9, 3);
}

static void disallowed_processors_are_left_out(void **state)
{
	(void)state;
	ORDER(TWO_SOCKETS, "3,9,4", "compact", 3, 4, 9);
	assert_int_equal(expect_refusal(TWO_SOCKETS, "0-3", "0,4", "may not use it"), -EACCES);
	assert_non_null(strstr(why, "0-3"));
}

static void more_threads_than_processors_start_again(void **state)
{
	(void)state;
	ORDER("package:1 core:2 pu:1", NULL, "compact", 0, 1, 0, 1, 0);
	ORDER("package:1 core:2 pu:1", NULL, "1", 1, 1, 1);
}

static void lists_keep_their_order(void **state)
{
	(void)state;
	ORDER(TWO_SOCKETS, NULL, "9,3-5,0", 9, 3, 4, 5, 0);
	ORDER(TWO_SOCKETS, NULL, "none", PLACEMENT_UNBOUND, PLACEMENT_UNBOUND);
}

static void bad_lists_are_refused_in_words(void **state)
{
	static const char *const malformed[] = { "",   ",",      "0,",  "0,,1",     "5-3", "-1",
						 "0-", "spread", "0 1", "compact,", "0x1", "1;2" };

	(void)state;
	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
		assert_int_equal(expect_refusal(TWO_SOCKETS, NULL, malformed[i], "scatter"),
				 -EINVAL);
	assert_int_equal(expect_refusal(TWO_SOCKETS, NULL, "0,16", "no processor 16"), -ENXIO);
	assert_int_equal(expect_refusal(TWO_SOCKETS, NULL, "0-99999999999999999999", "16"), -ENXIO);
	assert_int_equal(expect_refusal(TWO_SOCKETS, NULL, "99999999999999999999", "no processor"),
			 -ENXIO);
	assert_int_equal(expect_refusal(TWO_SOCKETS, NULL, "0-3,2", "processor 2 is named twice"),
			 -EEXIST);
}

static void nodes_are_the_nearest(void **state)
{
	struct placement *placement = NULL;

	(void)state;
	assert_int_equal(placement_create_synthetic("package:2 [numa] core:2 pu:1", NULL,
						    &placement, why, sizeof(why)),
			 0);
	assert_int_equal(placement_node(placement, 0), 0);
	assert_int_equal(placement_node(placement, 1), 0);
	assert_int_equal(placement_node(placement, 2), 1);
	assert_int_equal(placement_node(placement, 3), 1);
	assert_int_equal(placement_node(placement, 4), -1);
	assert_int_equal(placement_bind(placement, 0, why, sizeof(why)), -ENOSYS);
	placement_destroy(placement);
}

static void a_nonsense_machine_is_an_error(void **state)
{
	struct placement *placement = NULL;

	(void)state;
	assert_int_equal(
		placement_create_synthetic("flux:capacitor", NULL, &placement, why, sizeof(why)),
		-EINVAL);
	assert_null(placement);
	assert_int_equal(placement_create_synthetic("package:1 core:2 pu:1", "7", &placement, why,
						    sizeof(why)),
			 -ENXIO);
	assert_null(placement);
	placement_destroy(NULL);
}

static void this_thread_is_bound(void **state)
{
	struct placement *placement = NULL, *narrow = NULL;
	unsigned order[2];
	cpu_set_t before, now;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	assert_int_equal(placement_create(&placement, why, sizeof(why)), 0);
	assert_int_equal(placement_usable(placement), CPU_COUNT(&before));
	assert_int_equal(placement_order(placement, "scatter", 2, order, why, sizeof(why)), 0);
	assert_true(CPU_ISSET(order[0], &before));
	assert_int_equal(placement_bind(placement, order[0], why, sizeof(why)), 0);
	assert_int_equal(sched_getaffinity(0, sizeof(now), &now), 0);
	assert_int_equal(CPU_COUNT(&now), 1);
	assert_true(CPU_ISSET(order[0], &now));
	assert_int_equal(sched_getcpu(), (int)order[0]);
	assert_true(placement_node(placement, order[0]) >= 0);
	assert_int_equal(placement_bind(placement, PLACEMENT_UNBOUND, why, sizeof(why)), 0);
	assert_int_equal(placement_bind(placement, 60000, why, sizeof(why)), -ENXIO);

	/* The mask of the thread that asks is respected. */
	assert_int_equal(placement_create(&narrow, why, sizeof(why)), 0);
	assert_int_equal(placement_usable(narrow), 1);
	placement_destroy(narrow);
	placement_destroy(placement);
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

static void the_machine_is_written_as_xml(void **state)
{
	char path[] = "/tmp/poolbench-topology-XXXXXX", line[256];
	struct placement *placement = NULL;
	int topology = 0, file = mkstemp(path);
	FILE *xml;

	(void)state;
	assert_true(file >= 0);
	close(file);
	assert_int_equal(placement_create(&placement, why, sizeof(why)), 0);
	assert_int_equal(placement_export(placement, path, why, sizeof(why)), 0);
	xml = fopen(path, "r");
	assert_non_null(xml);
	while (fgets(line, sizeof(line), xml))
		topology += strstr(line, "<topology") != NULL ||
			    strstr(line, "type=\"PU\"") != NULL;
	fclose(xml);
	unlink(path);
	assert_true(topology >= 2);
	assert_true(placement_export(placement, "/nowhere/at/all.xml", why, sizeof(why)) < 0);
	assert_non_null(strstr(why, "/nowhere/at/all.xml"));
	placement_destroy(placement);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compact_fills_a_core_then_a_package),
		cmocka_unit_test(scatter_takes_packages_then_cores_then_siblings),
		cmocka_unit_test(scatter_spreads_over_caches_within_a_package),
		cmocka_unit_test(scatter_uses_every_core_before_any_sibling),
		cmocka_unit_test(disallowed_processors_are_left_out),
		cmocka_unit_test(more_threads_than_processors_start_again),
		cmocka_unit_test(lists_keep_their_order),
		cmocka_unit_test(bad_lists_are_refused_in_words),
		cmocka_unit_test(nodes_are_the_nearest),
		cmocka_unit_test(a_nonsense_machine_is_an_error),
		cmocka_unit_test(this_thread_is_bound),
		cmocka_unit_test(the_machine_is_written_as_xml),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
