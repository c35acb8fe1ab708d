/* The registry: what a specification means, what a backend proves, and every sentence for a bad one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "allocators/registry.h"

#ifndef BROKEN_DIRECTORY
#error "the build says where the broken plugins are"
#endif

static void expect_refusal(const char *spec, int status, const char *expect)
{
	struct backend *backend = NULL;
	char why[512] = "";
	int error = backend_open(spec, &backend, why, sizeof(why));

	if (error != status)
		fail_msg("%s: status %d instead of %d: '%s'", spec, error, status, why);
	if (!strstr(why, expect))
		fail_msg("%s: '%s' lacks '%s'", spec, why, expect);
	assert_null(backend);
}

static struct backend *open_good(const char *spec)
{
	struct backend *backend = NULL;
	char why[512] = "";

	if (backend_open(spec, &backend, why, sizeof(why)) != 0)
		fail_msg("%s: %s", spec, why);
	return backend;
}

static void builtins_are_valid_and_have_distinct_names(void **state)
{
	(void)state;
	for (int i = 0; builtin_backends[i]; i++) {
		char why[512];

		if (backend_validate(builtin_backends[i], why, sizeof(why)) != 0)
			fail_msg("built-in %d: %s", i, why);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(builtin_backends[i]->name,
						builtin_backends[j]->name);
		for (int j = 0; known_libraries[j].name; j++)
			assert_string_not_equal(builtin_backends[i]->name, known_libraries[j].name);
		backend_close(open_good(builtin_backends[i]->name));
	}
}

static void options_become_canonical(void **state)
{
	struct backend *backend;

	(void)state;
	backend = open_good("null:scratch=64K");
	assert_string_equal(backend->name, "null");
	assert_string_equal(backend->spec, "null:scratch=64K");
	assert_string_equal(backend->options, "scratch=65536");
	assert_string_equal(backend->proof, "built-in");
	assert_int_equal(*(size_t *)backend->values, 65536);
	backend_close(backend);

	/* Said or not, a default is a default. */
	backend = open_good("null:scratch=4096K");
	assert_string_equal(backend->options, "");
	backend_close(backend);
	backend = open_good("null");
	assert_int_equal(*(size_t *)backend->values, 4 << 20);
	backend_close(backend);
}

static void bad_names_are_refused_with_a_near_one(void **state)
{
	char longest[700];

	(void)state;
	expect_refusal("nul", -EINVAL, "did you mean 'null'");
	expect_refusal("jemaloc", -EINVAL, "did you mean 'jemalloc'");
	expect_refusal("zebra", -EINVAL, "poolbench list backends");
	expect_refusal("", -EINVAL, "no backend ''");
	expect_refusal("malloc:", -EINVAL, "malloc:PATH");
	expect_refusal("null:scrach=1M", -EINVAL,
		       "null: no option 'scrach': did you mean 'scratch'");
	expect_refusal("null:scratch=1", -EINVAL, "4096");
	expect_refusal("glibc:alloc=malloc", -EINVAL, "together");
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	expect_refusal(longest, -EINVAL, "longer than");
}

static void bad_plugins_are_refused_with_the_remedy(void **state)
{
	char path[] = "/tmp/unit_registry_XXXXXX.so";
	int fd = mkstemps(path, 3);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "int main", 8), 8);
	close(fd);
	expect_refusal(path, -ENOEXEC, "cc -shared");
	unlink(path);

	expect_refusal("./nowhere/mine.so", -ENOENT, "./nowhere/mine.so");
	expect_refusal("mine.so:depth=1", -ENOENT, "plugin mine.so: No such file");
	expect_refusal("/tmp", -ENOEXEC, "not an ELF object");
	expect_refusal(BROKEN_DIRECTORY "/no_symbol.so", -ENOEXEC, "no symbol pool_backend");
	expect_refusal(BROKEN_DIRECTORY "/wrong_abi.so", -ENOEXEC, "version 1000");
	expect_refusal(BROKEN_DIRECTORY "/caps_disagree.so", -ENOEXEC,
		       "caps has POOL_CAP_WALK but there is no hook walk");
	expect_refusal(BROKEN_DIRECTORY "/overlap.so:depth=1", -EINVAL, "no option 'depth'");
}

static void a_path_may_have_colons(void **state)
{
	char directory[] = "/tmp/unit_registry:XXXXXX";
	char link_path[128];
	struct backend *backend;

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(link_path, sizeof(link_path), "%s/a:b=c.so", directory);
	assert_int_equal(symlink(BROKEN_DIRECTORY "/overlap.so", link_path), 0);
	backend = open_good(link_path);
	assert_string_equal(backend->name, "overlap");
	assert_int_equal(backend->kind, BACKEND_PLUGIN);
	assert_non_null(strstr(backend->proof, "a:b=c.so"));
	backend_close(backend);
	strcat(link_path, ":depth=1");
	expect_refusal(link_path, -EINVAL, "no option 'depth'");
	*strrchr(link_path, ':') = '\0';
	unlink(link_path);
	rmdir(directory);
}

static void a_library_must_have_functions_of_its_own(void **state)
{
	struct backend *backend;

	(void)state;
	expect_refusal("malloc:libnowhere.so.7", -ENOENT, "libnowhere.so.7");
	expect_refusal("malloc:" BROKEN_DIRECTORY "/no_malloc.so", -ENOEXEC, "resolves to");
	expect_refusal("malloc:" BROKEN_DIRECTORY "/own_names.so", -ENOEXEC, "alloc=SYMBOL");
	expect_refusal("malloc:" BROKEN_DIRECTORY
		       "/own_names.so:alloc=grab,free=drop,usable=extend",
		       -ENOEXEC, "no function extend");
	backend = open_good("malloc:" BROKEN_DIRECTORY
			    "/own_names.so:alloc=grab,free=drop,usable=extent");
	assert_string_equal(backend->name, "own_names");
	assert_non_null(strstr(backend->proof, "own_names.so"));
	backend_close(backend);
}

/* Whether a known library is here is the machine's business; what is said about it is ours. */
static void known_libraries_open_or_name_their_package(void **state)
{
	(void)state;
	for (const struct known_library *known = known_libraries; known->name; known++) {
		struct backend *backend = NULL;
		char why[512] = "";
		int error = backend_open(known->name, &backend, why, sizeof(why));

		if (error) {
			assert_int_equal(error, -ENOENT);
			assert_non_null(strstr(why, known->package));
			continue;
		}
		assert_string_equal(backend->name, known->name);
		assert_int_equal(backend->kind, BACKEND_LIBRARY);
		assert_int_equal(backend_validate(backend->ops, why, sizeof(why)), 0);
		assert_non_null(
			strstr(backend->proof, known->soname ? known->soname : "libc.so.6"));
		assert_non_null(strstr(backend->proof, "build-id"));
		backend_close(backend);
	}
}

static void disagreements_are_told(void **state)
{
	struct pool_backend ops = *builtin_backends[0];
	char why[512];

	(void)state;
	ops.caps |= POOL_CAP_TRIM;
	ops.trim = NULL;
	assert_int_equal(backend_validate(&ops, why, sizeof(why)), -ENOEXEC);
	assert_non_null(strstr(why, "POOL_CAP_TRIM"));
	ops = *builtin_backends[0];
	ops.block_bytes = NULL;
	assert_int_equal(backend_validate(&ops, why, sizeof(why)), -ENOEXEC);
	assert_non_null(strstr(why, "block_bytes"));
	ops = *builtin_backends[0];
	ops.caps |= 1u << 31;
	assert_int_equal(backend_validate(&ops, why, sizeof(why)), -ENOEXEC);
	assert_non_null(strstr(why, "0x80000000"));
	ops = *builtin_backends[0];
	ops.name = "Not A Name";
	assert_int_equal(backend_validate(&ops, why, sizeof(why)), -ENOEXEC);
	ops = *builtin_backends[0];
	ops.options = NULL;
	ops.options_bytes = 8;
	assert_int_equal(backend_validate(&ops, why, sizeof(why)), -ENOEXEC);
	assert_non_null(strstr(why, "options_bytes"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(builtins_are_valid_and_have_distinct_names),
		cmocka_unit_test(options_become_canonical),
		cmocka_unit_test(bad_names_are_refused_with_a_near_one),
		cmocka_unit_test(bad_plugins_are_refused_with_the_remedy),
		cmocka_unit_test(a_path_may_have_colons),
		cmocka_unit_test(a_library_must_have_functions_of_its_own),
		cmocka_unit_test(known_libraries_open_or_name_their_package),
		cmocka_unit_test(disagreements_are_told),
	};

	return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
