/* The options that shape a plan, on the command line of every command that has one. */
#ifndef POOLBENCH_PLAN_ARGP_H
#define POOLBENCH_PLAN_ARGP_H

#include <argp.h>
#include <stdbool.h>

#define PLAN_ARGP_KEY  0x1000 /* + index into plan_option_table: below PLAN_ARGP_OWN */
#define PLAN_ARGP_OWN  0x2000 /* a command's own keys start here */
#define PLAN_ARGP_MOST 80 /* options that a command may have, the ending one in */

/*
 * Appends an entry for each option of plan_option_table that `takes` (NULL: all) does not refuse, and then `own`, which
 * a zero entry ends. `options` has room for PLAN_ARGP_MOST, and gets a zero entry at its end.
 */
void plan_argp_fill(struct argp_option *options, bool (*takes)(const char *name),
		    const struct argp_option *own);

/* The name of the option behind a key, or NULL: no plan's. */
const char *plan_argp_name(int key);

#endif
