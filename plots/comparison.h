/* Reading a comparison's document (ab.json), which may lack anything. */
#ifndef POOLBENCH_PLOTS_COMPARISON_H
#define POOLBENCH_PLOTS_COMPARISON_H

#include <jansson.h>
#include <stdbool.h>

/* A member's text, "" where there is none; its number, NaN where there is none. */
const char *comparison_text(const json_t *object, const char *key);
double comparison_number(const json_t *object, const char *key);
/* A member that is a ratio, as a change in per cent. */
double comparison_change(const json_t *object, const char *key);
/* Whether a series has anything to say: it was measured, or it gates and could not be. */
bool comparison_shown(const json_t *series);

#endif
