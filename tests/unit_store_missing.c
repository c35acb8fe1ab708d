/* Without libpq: the address of a server is refused with the package's name, and exit code 3 follows from -ENOENT. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "results/store_driver.h"

int store_fail(const struct store_message *why, int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(why->text, why->bytes, format, arguments);
	va_end(arguments);
	return error;
}

static void the_package_is_named(void **state)
{
	char text[512];
	void *database = NULL;
	bool writable;
	const struct store_message why = { text, sizeof(text) };

	(void)state;
	assert_int_equal(
		store_postgres.open("postgresql://h/d", true, 1, &database, &writable, &why),
		-ENOENT);
	assert_null(database);
	assert_non_null(strstr(text, "libpq-dev"));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(the_package_is_named) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
