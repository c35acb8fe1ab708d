/*
 * A strict reader of OpenMetrics text 1.0, written from the format's ABNF and rules, as far as gauges without time stamps
 * and exemplars go: what poolbench writes. It refuses everything else.
 */
#ifndef POOLBENCH_TESTS_OPENMETRICS_CHECK_H
#define POOLBENCH_TESTS_OPENMETRICS_CHECK_H

#include <stddef.h>

#define OPENMETRICS_LABELS 16

struct openmetrics_sample {
	const char *family; /* valid during the call only, as are the labels */
	struct {
		char name[64], value[2048]; /* unescaped */
	} label[OPENMETRICS_LABELS];
	size_t labels;
	double value;
};

/* Calls `visit` (may be NULL) for each sample. NULL, or what is wrong, in a static text with the line's number. */
const char *openmetrics_check(const char *text,
			      void (*visit)(const struct openmetrics_sample *sample, void *arg),
			      void *arg);

/* The value of a label, or NULL. */
const char *openmetrics_label(const struct openmetrics_sample *sample, const char *name);

#endif
