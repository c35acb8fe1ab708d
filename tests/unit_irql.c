/* IRQL: up by raise, down by lower, a level for each thread. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/irql.h"

/* Every move from every level, by both calls, against the rule written as a table. */
static void moves_follow_the_rules(void **state)
{
	(void)state;
	for (int from = PASSIVE_LEVEL; from <= DISPATCH_LEVEL; from++) {
		for (int to = PASSIVE_LEVEL; to <= DISPATCH_LEVEL; to++) {
			assert_int_equal(irql_lower(PASSIVE_LEVEL), 0);
			assert_int_equal(irql_raise((enum irql)from), 0);
			assert_int_equal(irql_raise((enum irql)to), to >= from ? 0 : -EPERM);
			assert_int_equal(irql_current(), to >= from ? to : from);

			assert_int_equal(irql_lower(PASSIVE_LEVEL), 0);
			assert_int_equal(irql_raise((enum irql)from), 0);
			assert_int_equal(irql_lower((enum irql)to), to <= from ? 0 : -EPERM);
			assert_int_equal(irql_current(), to <= from ? to : from);
		}
	}
	assert_int_equal(irql_lower(PASSIVE_LEVEL), 0);
}

static void what_is_no_level_is_refused(void **state)
{
	(void)state;
	assert_int_equal(irql_raise((enum irql)3), -EINVAL);
	assert_int_equal(irql_lower((enum irql)3), -EINVAL);
	assert_int_equal(irql_raise((enum irql) - 1), -EINVAL);
	assert_int_equal(irql_lower((enum irql) - 1), -EINVAL);
	assert_int_equal(irql_current(), PASSIVE_LEVEL);
}

static void paged_memory_is_for_below_dispatch(void **state)
{
	(void)state;
	assert_true(irql_allows(POOL_PAGED));
	assert_int_equal(irql_raise(APC_LEVEL), 0);
	assert_true(irql_allows(POOL_PAGED));
	assert_int_equal(irql_raise(DISPATCH_LEVEL), 0);
	assert_false(irql_allows(POOL_PAGED));
	assert_true(irql_allows(POOL_NONPAGED));
	assert_int_equal(irql_lower(PASSIVE_LEVEL), 0);
}

static void *level_of_a_new_thread(void *arg)
{
	*(enum irql *)arg = irql_current();
	irql_raise(APC_LEVEL);
	return NULL;
}

static void threads_have_their_own(void **state)
{
	enum irql seen = DISPATCH_LEVEL;
	pthread_t thread;

	(void)state;
	assert_int_equal(irql_raise(DISPATCH_LEVEL), 0);
	assert_int_equal(pthread_create(&thread, NULL, level_of_a_new_thread, &seen), 0);
	pthread_join(thread, NULL);
	assert_int_equal(seen, PASSIVE_LEVEL);
	assert_int_equal(irql_current(), DISPATCH_LEVEL);
	assert_int_equal(irql_lower(PASSIVE_LEVEL), 0);
}

static void levels_have_names(void **state)
{
	(void)state;
	assert_string_equal(irql_name(PASSIVE_LEVEL), "PASSIVE_LEVEL");
	assert_string_equal(irql_name(APC_LEVEL), "APC_LEVEL");
	assert_string_equal(irql_name(DISPATCH_LEVEL), "DISPATCH_LEVEL");
	assert_string_equal(irql_name((enum irql)9), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moves_follow_the_rules),
		cmocka_unit_test(what_is_no_level_is_refused),
		cmocka_unit_test(paged_memory_is_for_below_dispatch),
		cmocka_unit_test(threads_have_their_own),
		cmocka_unit_test(levels_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
