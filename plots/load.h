/* Reading one run's directory. */
#ifndef POOLBENCH_PLOTS_LOAD_H
#define POOLBENCH_PLOTS_LOAD_H

#include "model.h"

/* Fills *run, which the caller gives to run_unload whatever is returned. Errors as model_load. */
int run_load(const char *path, struct model_run *run, char *why, size_t why_bytes);
void run_unload(struct model_run *run);

#endif
