#include "bench/plan_argp.h"

#include <stddef.h>

#include "bench/plan.h"

void plan_argp_fill(struct argp_option *options, bool (*takes)(const char *name),
		    const struct argp_option *own)
{
	int count = 0;

	for (int i = 0; plan_option_table[i].name && count < PLAN_ARGP_MOST - 1; i++) {
		const struct plan_option *option = &plan_option_table[i];

		if (!takes || takes(option->name))
			options[count++] = (struct argp_option){ .name = option->name,
								 .key = PLAN_ARGP_KEY + i,
								 .arg = option->argument,
								 .doc = option->help };
	}
	for (; (own->name || own->doc) && count < PLAN_ARGP_MOST - 1; own++)
		options[count++] = *own;
	options[count] = (struct argp_option){ 0 };
}

const char *plan_argp_name(int key)
{
	return key >= PLAN_ARGP_KEY && key < PLAN_ARGP_OWN
		       ? plan_option_table[key - PLAN_ARGP_KEY].name
		       : NULL;
}
