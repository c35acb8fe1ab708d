/* Values of command line options as text: what run, ab and tune parse alike, and how they refuse. */
#ifndef POOLBENCH_OPTION_TEXT_H
#define POOLBENCH_OPTION_TEXT_H

#include <stddef.h>

#include "results/record.h"

/* "--option value: wants ..." in `why`; returns -EINVAL. */
int option_refuse(char *why, size_t why_bytes, const char *option, const char *value,
		  const char *wants);

/* A number from `low` to `high`, both included. 0, or -EINVAL and *out untouched. */
int option_number(const char *value, double low, double high, double *out);

/* "2", "2%": both are two per cent, 0.02; up to `high` per cent. */
int option_percent(const char *value, double high, double *out);

/* "90", "90s", "1.5m", "1h": seconds, 0 included. */
int option_seconds(const char *value, double *out);

/* "median", "mean", "q1" or "min" of a process's laps: the metric that keeps it. */
int option_statistic(const char *value, enum metric *out);
#define OPTION_STATISTICS "median or q1 or min or mean"

#endif
