#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 64

static const char *const bool_words[] = { "off", "on", "no", "yes", "false", "true", "0", "1" };

/* Multiplier of a size suffix, 0 if it is none. */
static size_t suffix_factor(const char *suffix)
{
	static const char letters[] = "KMGT";
	const char *at;

	if (*suffix == '\0')
		return 1;
	at = strchr(letters, toupper((unsigned char)*suffix));
	if (!at)
		return 0;
	suffix++;
	if (strncmp(suffix, "iB", 2) == 0)
		suffix += 2;
	else if (*suffix == 'B')
		suffix++;
	return *suffix == '\0' ? (size_t)1 << (10 * (at - letters + 1)) : 0;
}

int size_parse(const char *text, size_t *value)
{
	char *end;
	unsigned long long number;
	size_t factor;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	number = strtoull(text, &end, 10);
	factor = suffix_factor(end);
	if (factor == 0)
		return -EINVAL;
	if (errno == ERANGE || number > SIZE_MAX / factor)
		return -ERANGE;
	*value = (size_t)number * factor;
	return 0;
}

/* Levenshtein's distance, both words shorter than NAME_BYTES. */
static size_t edit_distance(const char *a, const char *b)
{
	size_t row[NAME_BYTES + 1];
	size_t columns = strlen(b);

	for (size_t j = 0; j <= columns; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= columns; j++) {
			size_t above = row[j];
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			if (above + 1 < best)
				best = above + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			diagonal = above;
			row[j] = best;
		}
	}
	return row[columns];
}

const char *name_suggest(const char *name, const char *const *candidates, size_t count)
{
	const char *best = NULL;
	size_t best_distance = SIZE_MAX;

	if (strlen(name) >= NAME_BYTES)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		size_t distance;

		if (strlen(candidates[i]) >= NAME_BYTES)
			continue;
		distance = edit_distance(name, candidates[i]);
		if (distance < best_distance) {
			best_distance = distance;
			best = candidates[i];
		}
	}
	return best && best_distance <= 1 + strlen(best) / 3 ? best : NULL;
}

static int parse_bool(const char *text, bool *value)
{
	for (size_t i = 0; i < sizeof(bool_words) / sizeof(*bool_words); i++) {
		if (strcmp(text, bool_words[i]) == 0) {
			*value = i & 1;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_number(const struct option_def *option, const char *text, double *value)
{
	char *end;

	if (option->type == OPTION_TYPE_REAL) {
		*value = strtod(text, &end);
		if (end == text || *end || !isfinite(*value))
			return -EINVAL;
	} else {
		size_t size;
		int error = size_parse(text, &size);

		if (error)
			return error;
		*value = (double)size;
	}
	return *value < option->min || *value > option->max ? -ERANGE : 0;
}

static int parse_name(const struct option_def *option, const char *text, int *value)
{
	for (int i = 0; option->names[i]; i++) {
		if (strcmp(text, option->names[i]) == 0) {
			*value = i;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_value(const struct option_def *option, const char *text, char *member)
{
	double number;
	int error;

	switch (option->type) {
	case OPTION_TYPE_BOOL:
		return parse_bool(text, (bool *)member);
	case OPTION_TYPE_ENUM:
		return parse_name(option, text, (int *)(void *)member);
	case OPTION_TYPE_TEXT:
		if (strlen(text) >= OPTION_TEXT_BYTES)
			return -ERANGE;
		memcpy(member, text, strlen(text) + 1);
		return 0;
	case OPTION_TYPE_UINT:
	case OPTION_TYPE_SIZE:
	case OPTION_TYPE_REAL:
		break;
	}
	error = parse_number(option, text, &number);
	if (error)
		return error;
	if (option->type == OPTION_TYPE_UINT)
		*(unsigned *)(void *)member = (unsigned)number;
	else if (option->type == OPTION_TYPE_SIZE)
		*(size_t *)(void *)member = (size_t)number;
	else
		*(double *)(void *)member = number;
	return 0;
}

/* What an option accepts, for an error message. */
static void describe_range(const struct option_def *option, char *text, size_t bytes)
{
	size_t used = 0;

	switch (option->type) {
	case OPTION_TYPE_BOOL:
		snprintf(text, bytes, "on or off");
		break;
	case OPTION_TYPE_ENUM:
		text[0] = '\0';
		for (int i = 0; option->names[i] && used < bytes; i++)
			used += (size_t)snprintf(text + used, bytes - used, "%s%s", i ? " or " : "",
						 option->names[i]);
		break;
	case OPTION_TYPE_TEXT:
		snprintf(text, bytes, "at most %d characters", OPTION_TEXT_BYTES - 1);
		break;
	case OPTION_TYPE_UINT:
	case OPTION_TYPE_SIZE:
	case OPTION_TYPE_REAL:
		snprintf(text, bytes, "%.10g to %.10g%s%s", option->min, option->max,
			 option->unit ? " " : "", option->unit ? option->unit : "");
		break;
	}
}

static const struct option_def *option_find(const struct option_def *table, const char *name,
					    char *error, size_t error_bytes)
{
	const char *names[NAME_BYTES] = { NULL };
	size_t count = 0;
	const char *near;

	for (const struct option_def *option = table; option->name; option++) {
		if (strcmp(option->name, name) == 0)
			return option;
		if (count < NAME_BYTES)
			names[count++] = option->name;
	}
	near = name_suggest(name, names, count);
	if (near)
		snprintf(error, error_bytes, "no option '%s': did you mean '%s'?", name, near);
	else if (count == 0)
		snprintf(error, error_bytes, "no option '%s': it takes none", name);
	else
		snprintf(error, error_bytes, "no option '%s': the first of them is '%s'", name,
			 names[0]);
	return NULL;
}

static int option_set(const struct option_def *option, void *values, const char *text, char *error,
		      size_t error_bytes)
{
	char range[256];

	if (parse_value(option, text, (char *)values + option->offset) == 0)
		return 0;
	describe_range(option, range, sizeof(range));
	snprintf(error, error_bytes, "option %s=%s: wants %s", option->name, text, range);
	return -EINVAL;
}

/* One "name=value" or bare "name" of a bool; `item` is NUL-terminated and may be changed. */
static int parse_item(const struct option_def *table, void *values, char *item, char *error,
		      size_t error_bytes)
{
	char *equals = strchr(item, '=');
	const struct option_def *option;

	if (equals)
		*equals = '\0';
	option = option_find(table, item, error, error_bytes);
	if (!option)
		return -EINVAL;
	if (!equals && option->type != OPTION_TYPE_BOOL) {
		snprintf(error, error_bytes, "option '%s' needs a value: %s=...", item, item);
		return -EINVAL;
	}
	return option_set(option, values, equals ? equals + 1 : "on", error, error_bytes);
}

int options_parse(const struct option_def *table, void *values, const char *text, char *error,
		  size_t error_bytes)
{
	static const struct option_def none[] = { OPTION_END };
	char *copy, *rest, *item;
	int status = 0;

	if (!table)
		table = none;
	for (const struct option_def *option = table; option->name && status == 0; option++)
		status = option_set(option, values, option->default_text, error, error_bytes);
	if (status || !text)
		return status;
	copy = rest = strdup(text);
	if (!copy) {
		snprintf(error, error_bytes, "out of memory");
		return -ENOMEM;
	}
	while (status == 0 && (item = strsep(&rest, ",")))
		if (*item)
			status = parse_item(table, values, item, error, error_bytes);
	free(copy);
	return status;
}

static void format_value(const struct option_def *option, const char *member, char *text,
			 size_t bytes)
{
	switch (option->type) {
	case OPTION_TYPE_BOOL:
		snprintf(text, bytes, "%s", *(const bool *)member ? "on" : "off");
		break;
	case OPTION_TYPE_UINT:
		snprintf(text, bytes, "%u", *(const unsigned *)(const void *)member);
		break;
	case OPTION_TYPE_SIZE:
		snprintf(text, bytes, "%zu", *(const size_t *)(const void *)member);
		break;
	case OPTION_TYPE_REAL:
		snprintf(text, bytes, "%.17g", *(const double *)(const void *)member);
		break;
	case OPTION_TYPE_ENUM:
		snprintf(text, bytes, "%s", option->names[*(const int *)(const void *)member]);
		break;
	case OPTION_TYPE_TEXT:
		snprintf(text, bytes, "%s", member);
		break;
	}
}

size_t options_format(const struct option_def *table, const void *values, char *text,
		      size_t text_bytes)
{
	size_t used = 0;

	if (text_bytes)
		text[0] = '\0';
	for (const struct option_def *option = table; option && option->name; option++) {
		char value[OPTION_TEXT_BYTES];
		size_t room = used < text_bytes ? text_bytes - used : 0;

		format_value(option, (const char *)values + option->offset, value, sizeof(value));
		used += (size_t)snprintf(room ? text + used : NULL, room, "%s%s=%s",
					 used ? "," : "", option->name, value);
	}
	return used;
}
