/* What a run says at its end: a table for a terminal, or one JSON document for a program. */
#ifndef POOLBENCH_PLOTS_TABLE_H
#define POOLBENCH_PLOTS_TABLE_H

#include <stddef.h>
#include <stdio.h>

/*
 * A block a workload, at its most threads, the fastest first, the floor last; a cell that is not OK with its
 * status and reason. 0 or, with a sentence in `why`, the errors of model_load.
 */
int summary_table_print(FILE *out, const char *run_dir, char *why, size_t why_bytes);

/*
 * {"run", "schema", "cells": [{"backend", "display_name", "workload", "threads", "page_size", "backing",
 * "status", "reason", "caveats", "metrics": {NAME: {"median", "low", "high", "n"} or null}}]}. As above.
 */
int summary_json_print(FILE *out, const char *run_dir, char *why, size_t why_bytes);

#endif
