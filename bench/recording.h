/*
 * A run's directory as commands use it: made or gone on with, and the state of the machine kept before and after
 * what is measured into it.
 */
#ifndef POOLBENCH_RECORDING_H
#define POOLBENCH_RECORDING_H

#include <stddef.h>

#include "results/run_dir.h"

/* Sets one option of a stored run again, as from the command line. 0, or -errno with a sentence. */
typedef int (*recording_set)(void *arg, const char *name, const char *value, char *why,
			     size_t why_bytes);

/*
 * Opens the directory to go on with it and hands every option it was made with to `set`. `mark` is an option that
 * tells this command's directories from others', `command` the one to use instead; both may be NULL. As
 * run_dir_open_resume(), and -EINVAL for another command's directory; *run may be set then, too.
 */
int recording_resume(const char *directory, const char *mark, const char *command,
		     recording_set set, void *arg, struct run_dir **run, char *why,
		     size_t why_bytes);

/*
 * Environment and topology, measure(), environment, Google's documents: whatever was measured is in the directory when
 * this returns. 0, or -errno with a sentence.
 */
int recording_measure(struct run_dir *run, const struct run_plan *plan,
		      int (*measure)(void *arg, struct run_dir *run, char *why, size_t why_bytes),
		      void *arg, char *why, size_t why_bytes);

#endif
