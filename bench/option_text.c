#include "option_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int option_refuse(char *why, size_t why_bytes, const char *option, const char *value,
		  const char *wants)
{
	snprintf(why, why_bytes, "--%s %s: wants %s", option, value, wants);
	return -EINVAL;
}

int option_number(const char *value, double low, double high, double *out)
{
	char *end;
	const double number = strtod(value, &end);

	if (end == value || *end || !(number >= low && number <= high))
		return -EINVAL;
	*out = number;
	return 0;
}

/* A number with a unit of one letter behind it, which is cut off. */
static int number_before_unit(const char *value, char unit, double high, double *out)
{
	char text[32];
	size_t length = strlen(value);

	if (length && value[length - 1] == unit)
		length--;
	if (length >= sizeof(text))
		return -EINVAL;
	memcpy(text, value, length);
	text[length] = '\0';
	return option_number(text, 0, high, out);
}

int option_percent(const char *value, double high, double *out)
{
	double number;

	if (number_before_unit(value, '%', high, &number) != 0)
		return -EINVAL;
	*out = number / 100;
	return 0;
}

int option_seconds(const char *value, double *out)
{
	static const struct {
		char unit;
		double seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 } };
	const size_t length = strlen(value);
	double number;

	for (size_t i = 0; length && i < sizeof(units) / sizeof(*units); i++) {
		if (value[length - 1] != units[i].unit)
			continue;
		if (number_before_unit(value, units[i].unit, 1e9, &number) != 0)
			return -EINVAL;
		*out = number * units[i].seconds;
		return 0;
	}
	return option_number(value, 0, 1e9, out);
}

int option_statistic(const char *value, enum metric *out)
{
	static const struct {
		const char *name;
		enum metric metric;
	} names[] = { { "median", METRIC_ns_per_op },
		      { "mean", METRIC_ns_per_op_mean },
		      { "q1", METRIC_ns_per_op_q1 },
		      { "min", METRIC_ns_per_op_min } };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(value, names[i].name) == 0) {
			*out = names[i].metric;
			return 0;
		}
	}
	return -EINVAL;
}
