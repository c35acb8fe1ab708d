/* Values of options that several subcommands take, for their argp parsers: what is wrong ends with usage. */
#ifndef POOLBENCH_ARGUMENTS_H
#define POOLBENCH_ARGUMENTS_H

#include <argp.h>
#include <stdbool.h>

/* A number above 0, up to `most`, perhaps with a % behind it; divided by `scale`. */
double argument_share(struct argp_state *state, const char *option, const char *text, double scale,
		      double most);

/* A whole number from low to high. */
unsigned argument_count(struct argp_state *state, const char *option, const char *text,
			unsigned low, unsigned high);

/* A comma-separated list of `names` (ended by NULL): chosen[i] says whether names[i] is in it. */
void argument_names(struct argp_state *state, const char *option, const char *text,
		    const char *const *names, bool *chosen);

#endif
