#include "comparison.h"

#include <math.h>

const char *comparison_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

double comparison_number(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_number(value) ? json_number_value(value) : NAN;
}

double comparison_change(const json_t *object, const char *key)
{
	return 100 * (comparison_number(object, key) - 1);
}

bool comparison_shown(const json_t *series)
{
	return comparison_number(json_object_get(series, "b_over_a"), "pairs") > 0 ||
	       json_is_true(json_object_get(series, "gate"));
}
