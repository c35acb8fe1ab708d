/*
 * JUnit XML: what CI servers take for test results. One document is one suite; its cases are kept as text until the
 * end, for the suite's element begins with their numbers. No call fails on its own: junit_end() says whether
 * memory ran out. Any bytes may stand in texts. A struct junit belongs to one thread.
 */
#ifndef POOLBENCH_JUNIT_H
#define POOLBENCH_JUNIT_H

#include <stdbool.h>
#include <stdio.h>

#include "verdict.h"

enum junit_outcome {
	JUNIT_PASSED,
	JUNIT_FAILURE, /* what was tested is not as it should be */
	JUNIT_ERROR, /* it could not be tested */
	JUNIT_SKIPPED,
	JUNIT_OUTCOMES
};

/*
 * What a verdict that could not be reached is to be: "skipped", "error" or "failure". 0 or -EINVAL. Servers fail a
 * job for the latter two.
 */
#define JUNIT_OUTCOME_NAMES "skipped, error or failure"
int junit_outcome_parse(const char *text, enum junit_outcome *out);

/*
 * The outcome of a verdict: a gate passes or fails by it; what does not gate passes, for the exit code of the command
 * says the same.
 */
enum junit_outcome junit_outcome_of(enum verdict verdict, bool gate, enum junit_outcome undecided);

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

/*
 * The case that stands for all where there is none: nothing could be compared, and a document without cases would
 * look like a good day. Adds nothing where there are cases.
 */
void junit_add_whole(struct junit *junit, const char *classname, enum verdict verdict,
		     enum junit_outcome undecided);

/* Writes the document and frees it. 0, -ENOMEM, or -EIO where `out` does not take it. */
int junit_end(struct junit *junit, FILE *out);
void junit_discard(struct junit *junit); /* NULL is fine */

#endif
