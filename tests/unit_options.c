/* Options: every type, defaults, ranges, suggestions, canonical form. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "allocators/options.h"

struct sample {
	bool hardened;
	unsigned depth;
	size_t span;
	double remote;
	int fit;
	char file[OPTION_TEXT_BYTES];
};

static const char *const fit_names[] = { "first", "best", NULL };

static const struct option_def sample_table[] = {
	OPTION_BOOL(struct sample, hardened, "off", "encode pointers"),
	OPTION_UINT(struct sample, depth, "4", 1, 256, "blocks", "initial depth"),
	OPTION_SIZE(struct sample, span, "64K", 4096, 1 << 20, "bytes a span"),
	OPTION_REAL(struct sample, remote, "0.5", 0, 1, "1", "share"),
	OPTION_ENUM(struct sample, fit, "best", fit_names, "policy"),
	OPTION_TEXT(struct sample, file, "", "a path"),
	OPTION_END,
};

static void defaults_are_filled(void **state)
{
	struct sample s;
	char error[256];

	(void)state;
	assert_int_equal(options_parse(sample_table, &s, NULL, error, sizeof(error)), 0);
	assert_false(s.hardened);
	assert_int_equal(s.depth, 4);
	assert_int_equal(s.span, 65536);
	assert_true(s.remote == 0.5);
	assert_int_equal(s.fit, 1);
	assert_string_equal(s.file, "");
}

static void every_type_is_parsed_and_formatted(void **state)
{
	struct sample s;
	char error[256], text[256];

	(void)state;
	assert_int_equal(options_parse(sample_table, &s,
				       "hardened,depth=7,span=1M,remote=0.25,fit=first,file=/x y",
				       error, sizeof(error)),
			 0);
	assert_true(s.hardened);
	assert_int_equal(s.span, 1 << 20);
	options_format(sample_table, &s, text, sizeof(text));
	assert_string_equal(text,
			    "hardened=on,depth=7,span=1048576,remote=0.25,fit=first,file=/x y");
}

static void errors_name_the_option_and_the_remedy(void **state)
{
	static const struct {
		const char *text, *expect;
	} cases[] = {
		{ "dept=7", "did you mean 'depth'" },
		{ "depth=0", "1 to 256" },
		{ "depth=257", "1 to 256" },
		{ "depth", "needs a value" },
		{ "depth=x", "depth=x" },
		{ "span=9Q", "span=9Q" },
		{ "fit=worst", "first or best" },
		{ "remote=nan", "remote=nan" },
		{ "hardened=maybe", "on or off" },
		{ "remote=1e999", "0 to 1" },
		{ "depth=-1", "depth=-1" },
		{ "span=99999999999999999999", "span=" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct sample s;
		char error[256] = "";

		assert_int_equal(
			options_parse(sample_table, &s, cases[i].text, error, sizeof(error)),
			-EINVAL);
		if (!strstr(error, cases[i].expect))
			fail_msg("%s: '%s' lacks '%s'", cases[i].text, error, cases[i].expect);
	}
}

static void sizes(void **state)
{
	size_t value = 1;

	(void)state;
	assert_int_equal(size_parse("2M", &value), 0);
	assert_int_equal(value, 2 << 20);
	assert_int_equal(size_parse("4KiB", &value), 0);
	assert_int_equal(value, 4096);
	assert_int_equal(size_parse("", &value), -EINVAL);
	assert_int_equal(size_parse("-4K", &value), -EINVAL);
	assert_int_equal(size_parse("16777216T", &value), -ERANGE);
	assert_int_equal(value, 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_filled),
		cmocka_unit_test(every_type_is_parsed_and_formatted),
		cmocka_unit_test(errors_name_the_option_and_the_remedy),
		cmocka_unit_test(sizes),
	};

	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
