/*
 * conformance [--full] [--threads] [--only CHECK] [--expect CHECK/RULE] [--covers FILE] [SPEC...]
 *
 * Runs the suite on each backend named, or on every backend of the registry. Exit: 0 all rules kept; 1 one was
 * broken; 2 usage; 77 (skipped, to ctest) when the one library asked for is not on this machine.
 *
 * --expect CHECK/RULE turns it round: that check alone is run, and the result is 0 only if it found that rule
 * broken. That is how the suite itself is tested, on allocators with planted bugs. --covers FILE checks that
 * every backend of the registry has a line in FILE, the list from which the tests are made.
 */
#include "conformance.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK_SECONDS 240
#define EXIT_SKIPPED  77

/* What a check's process leaves for its parent: shared memory, so that it outlives a crash. */
struct report {
	atomic_bool taken;
	char rule[32];
	char text[512];
};

static struct report *report;

static const struct environment {
	size_t page_size;
	unsigned processors;
	bool full; /* only with --full */
} environments[] = {
	{ 4 << 10, 2, false }, { 64 << 10, 4, false }, { 2 << 20, 1, false }, { 4 << 10, 1, true },
	{ 4 << 10, 4, true },  { 16 << 10, 1, true },  { 16 << 10, 2, true }, { 16 << 10, 4, true },
	{ 64 << 10, 1, true }, { 64 << 10, 2, true },  { 2 << 20, 2, true },  { 2 << 20, 4, true },
};

static const struct check *const check_tables[] = { block_checks, memory_checks, walk_checks,
						    thread_checks };

#define COUNT_OF(array) (sizeof(array) / sizeof(*(array)))

_Noreturn void violated(const char *rule, const char *format, ...)
{
	va_list arguments;

	/* The first to see something tells it; the others may only see what follows from it. */
	if (!atomic_exchange(&report->taken, true)) {
		snprintf(report->rule, sizeof(report->rule), "%s", rule);
		va_start(arguments, format);
		vsnprintf(report->text, sizeof(report->text), format, arguments);
		va_end(arguments);
		_exit(1);
	}
	for (;;)
		pause();
}

/* Turns a child's death into a broken rule, where the child did not name one. */
static void judge(int status)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	if (report->rule[0])
		return;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) {
		snprintf(report->rule, sizeof(report->rule), "hang");
		snprintf(report->text, sizeof(report->text), "not done after %d s", CHECK_SECONDS);
		return;
	}
	snprintf(report->rule, sizeof(report->rule), "crash");
	if (WIFSIGNALED(status))
		snprintf(report->text, sizeof(report->text), "killed by signal %d (%s)",
			 WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(report->text, sizeof(report->text),
			 "ended with status %d (a sanitizer's, if it reported above)",
			 WEXITSTATUS(status));
}

/* Runs one check in a process of its own. False, with the report filled, if a rule was broken. */
static bool run_check(const struct check *check, const struct suite *suite)
{
	int status;
	pid_t child;

	memset(report, 0, sizeof(*report));
	fflush(NULL);
	child = fork();
	if (child < 0) {
		perror("conformance: fork");
		exit(2);
	}
	if (child == 0) {
		struct suite mine = *suite;

		alarm(CHECK_SECONDS);
		check->run(&mine);
		exit(0);
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	judge(status);
	return report->rule[0] == '\0';
}

struct tally {
	unsigned run, broken;
	bool expected_seen;
};

/* What a run is limited to. */
struct limits {
	bool full;
	bool threads; /* only the checks that run more than one thread: what tsan has to see */
	const char *only; /* a check's name, or NULL */
	const char *expect; /* "CHECK/RULE", or NULL */
};

static bool is_wanted(const struct limits *limits, const struct check *check)
{
	const size_t length = strlen(check->name);

	if (limits->only && strcmp(limits->only, check->name) != 0)
		return false;
	return !limits->expect ||
	       (strncmp(limits->expect, check->name, length) == 0 && limits->expect[length] == '/');
}

/* Whether `expect`, "CHECK/RULE", is what was just found. */
static bool is_expected(const char *expect, const struct check *check)
{
	char found[96];

	snprintf(found, sizeof(found), "%s/%s", check->name, report->rule);
	return expect && strcmp(expect, found) == 0;
}

static void tell(const struct check *check, const struct suite *suite)
{
	printf("  BROKEN %s: %s\n    in %s, page size %zu, %u processors\n", report->rule,
	       report->text, check->name, suite->page_size, suite->processors);
}

static void run_environment(struct suite *suite, bool first, const struct limits *limits,
			    struct tally *tally)
{
	for (size_t table = 0; table < COUNT_OF(check_tables); table++) {
		for (const struct check *check = check_tables[table]; check->name; check++) {
			if ((limits->threads && check_tables[table] != thread_checks) ||
			    !suite_has(suite, check->needs) ||
			    (suite->ops->caps & check->forbids) || (check->once && !first) ||
			    !is_wanted(limits, check))
				continue;
			tally->run++;
			if (run_check(check, suite))
				continue;
			tally->broken++;
			tally->expected_seen |= is_expected(limits->expect, check);
			tell(check, suite);
		}
	}
}

/* 0, 1 or EXIT_SKIPPED, as main's. */
static int run_spec(const char *spec, const struct limits *limits)
{
	struct backend *backend;
	struct tally tally = { 0, 0, false };
	char why[512];
	int error = backend_open(spec, &backend, why, sizeof(why));

	if (error) {
		printf("%s: %s\n", spec, why);
		return error == -ENOENT ? EXIT_SKIPPED : 1;
	}
	printf("%s: %s\n", spec, backend->proof);
	for (size_t i = 0; i < COUNT_OF(environments); i++) {
		struct suite suite = {
			.backend = backend,
			.ops = backend->ops,
			.page_size = environments[i].page_size,
			.processors = environments[i].processors,
			.full = limits->full,
		};

		if (!environments[i].full || limits->full)
			run_environment(&suite, i == 0, limits, &tally);
	}
	printf("%s: %u checks, %u broken\n", spec, tally.run, tally.broken);
	backend_close(backend);
	if (tally.run == 0) {
		printf("%s: no check of that name applies\n", spec);
		return 1;
	}
	if (!limits->expect)
		return tally.broken != 0;
	if (!tally.expected_seen)
		printf("%s: expected %s\n", spec, limits->expect);
	return !tally.expected_seen;
}

static int run_registry(const struct limits *limits)
{
	int result = 0;

	for (int i = 0; builtin_backends[i]; i++)
		result |= run_spec(builtin_backends[i]->name, limits) == 1;
	for (int i = 0; known_libraries[i].name; i++)
		result |= run_spec(known_libraries[i].name, limits) == 1;
	return result;
}

/* ------------------------------------------------------------------------------------------------
 * The list of specifications.
 */

static bool file_lists(FILE *file, const char *name)
{
	char line[512];
	bool found = false;

	rewind(file);
	while (!found && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		found = strcmp(line, name) == 0;
	}
	return found;
}

static int check_coverage(const char *path)
{
	FILE *file = fopen(path, "re");
	int missing = 0;

	if (!file) {
		perror(path);
		return 2;
	}
	for (int i = 0; builtin_backends[i]; i++) {
		if (file_lists(file, builtin_backends[i]->name))
			continue;
		printf("%s lacks the line '%s'\n", path, builtin_backends[i]->name);
		missing = 1;
	}
	for (int i = 0; known_libraries[i].name; i++) {
		if (file_lists(file, known_libraries[i].name))
			continue;
		printf("%s lacks the line '%s'\n", path, known_libraries[i].name);
		missing = 1;
	}
	fclose(file);
	return missing;
}

static int usage(void)
{
	fprintf(stderr,
		"usage: conformance [--full] [--threads] [--only CHECK] [--expect CHECK/RULE] "
		"[--covers FILE] [SPEC...]\n");
	return 2;
}

int main(int argc, char **argv)
{
	struct limits limits = { .full = false };
	int result = 0, at = 1;

	report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (report == MAP_FAILED) {
		perror("conformance: mmap");
		return 2;
	}
	for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
		if (strcmp(argv[at], "--full") == 0)
			limits.full = true;
		else if (strcmp(argv[at], "--expect") == 0 && at + 1 < argc)
			limits.expect = argv[++at];
		else if (strcmp(argv[at], "--threads") == 0)
			limits.threads = true;
		else if (strcmp(argv[at], "--only") == 0 && at + 1 < argc)
			limits.only = argv[++at];
		else if (strcmp(argv[at], "--covers") == 0 && at + 1 < argc)
			return check_coverage(argv[at + 1]);
		else
			return usage();
	}
	if (at == argc)
		return run_registry(&limits);
	for (; at < argc; at++) {
		int one = run_spec(argv[at], &limits);

		result = result == 1 ? 1 : one;
	}
	return result;
}
