/*
 * JUnit XML: what CI servers take for test results. One document is one suite; its cases are kept as text until the
 * end, for the suite's element begins with their numbers. No call fails on its own: junit_end() says whether
 * memory ran out. Any bytes may stand in texts. A struct junit belongs to one thread.
 */
#ifndef POOLBENCH_JUNIT_H
#define POOLBENCH_JUNIT_H

#include <stdio.h>

enum junit_outcome {
	JUNIT_PASSED,
	JUNIT_FAILURE, /* what was tested is not as it should be */
	JUNIT_ERROR, /* it could not be tested */
	JUNIT_SKIPPED,
	JUNIT_OUTCOMES
};

struct junit;

/* NULL: out of memory, which the other calls take for a document that junit_end() refuses. */
struct junit *junit_begin(const char *suite);

/* Of the suite: what the results rest on. */
void junit_property(struct junit *junit, const char *name, const char *value);
/* When it began, seconds since 1970; and the machine, which need not be its name. Both may be left out. */
void junit_origin(struct junit *junit, double unix_seconds, const char *machine);

struct junit_case {
	const char *classname, *name;
	double seconds; /* NaN: not known */
	enum junit_outcome outcome;
	const char *type, *message; /* of what is not PASSED */
	const char *output; /* for people, or NULL */
};
void junit_add(struct junit *junit, const struct junit_case *test);

/* Writes the document and frees it. 0, -ENOMEM, or -EIO where `out` does not take it. */
int junit_end(struct junit *junit, FILE *out);

#endif
