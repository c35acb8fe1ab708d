/* poolbench list BACKEND --counters: what a design counts of itself, and what a run counted. */
#ifndef POOLBENCH_LIST_COUNTERS_H
#define POOLBENCH_LIST_COUNTERS_H

#include <stdbool.h>

/*
 * Prints the counters of the cells of `spec` in the run `directory` (NULL: the newest run under results/runs that
 * has any), or, where there is no run, their names. A name alone means that backend with whatever options. An
 * exit code.
 */
int list_counters(const char *spec, const char *directory, bool json);

#endif
