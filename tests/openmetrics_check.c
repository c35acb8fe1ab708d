#include "openmetrics_check.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "results/text.h"

#define FAMILIES 200
#define SAMPLES  5000

enum descriptor { DESCRIPTOR_TYPE, DESCRIPTOR_UNIT, DESCRIPTOR_HELP, DESCRIPTORS };
static const char *const descriptors[DESCRIPTORS] = { "TYPE", "UNIT", "HELP" };

struct reader {
	const char *at; /* in the line */
	unsigned line;
	char families[FAMILIES][96];
	size_t family_count; /* the last one is the current one */
	bool seen[DESCRIPTORS], sampled;
	char *sets[SAMPLES]; /* label sets of the current family */
	size_t set_count;
	struct openmetrics_sample sample;
	char error[256];
};

static bool fail(struct reader *reader, const char *format, ...)
{
	char text[200];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (!reader->error[0])
		snprintf(reader->error, sizeof(reader->error), "line %u: %s", reader->line, text);
	return false;
}

static bool take(struct reader *reader, const char *word)
{
	const size_t length = strlen(word);

	if (strncmp(reader->at, word, length) != 0)
		return false;
	reader->at += length;
	return true;
}

/* metricname and label-name: metric names may hold colons, too. */
static bool take_name(struct reader *reader, bool metric, char *name, size_t bytes)
{
	size_t length = 0;

	while (isalnum((unsigned char)reader->at[length]) || reader->at[length] == '_' ||
	       (metric && reader->at[length] == ':'))
		length++;
	if (!length || isdigit((unsigned char)*reader->at) || length >= bytes)
		return fail(reader, "no name: '%.20s'", reader->at);
	snprintf(name, bytes, "%.*s", (int)length, reader->at);
	reader->at += length;
	return true;
}

/* escaped-string up to a quote or the line's end, unescaped into `out`. */
static bool take_escaped(struct reader *reader, char *out, size_t bytes)
{
	size_t used = 0;

	while (*reader->at && *reader->at != '\n' && *reader->at != '"') {
		const int length = utf8_length((const unsigned char *)reader->at);

		if (!length)
			return fail(reader, "not UTF-8");
		if (used + 5 > bytes)
			return fail(reader, "too long for this test");
		if (*reader->at == '\\') {
			if (!strchr("n\\\"", reader->at[1]) || !reader->at[1])
				return fail(reader, "no such escape: '%.2s'", reader->at);
			out[used++] = reader->at[1] == 'n' ? '\n' : reader->at[1];
			reader->at += 2;
			continue;
		}
		memcpy(out + used, reader->at, (size_t)length);
		used += (size_t)length;
		reader->at += length;
	}
	out[used] = '\0';
	return true;
}

static void forget_sets(struct reader *reader)
{
	while (reader->set_count)
		free(reader->sets[--reader->set_count]);
}

/* Families come one after the other, and none comes back. */
static bool enter_family(struct reader *reader, const char *name)
{
	if (reader->family_count && strcmp(reader->families[reader->family_count - 1], name) == 0)
		return true;
	for (size_t i = 0; i < reader->family_count; i++)
		if (strcmp(reader->families[i], name) == 0)
			return fail(reader, "%s comes back", name);
	if (reader->family_count == FAMILIES)
		return fail(reader, "too many families for this test");
	snprintf(reader->families[reader->family_count++], sizeof(reader->families[0]), "%s", name);
	memset(reader->seen, 0, sizeof(reader->seen));
	reader->sampled = false;
	forget_sets(reader);
	return true;
}

static bool read_unit(struct reader *reader, const char *family)
{
	char unit[64];
	const size_t length = strlen(family);

	if (!take_name(reader, true, unit, sizeof(unit)))
		return false;
	if (length < strlen(unit) + 2 || family[length - strlen(unit) - 1] != '_' ||
	    strcmp(family + length - strlen(unit), unit) != 0)
		return fail(reader, "%s does not end in _%s", family, unit);
	return true;
}

static bool read_descriptor(struct reader *reader)
{
	char family[96], help[4096];
	int kind = 0;

	while (kind < DESCRIPTORS && !take(reader, descriptors[kind]))
		kind++;
	if (kind == DESCRIPTORS || !take(reader, " "))
		return fail(reader, "no descriptor: '%.20s'", reader->at);
	if (!take_name(reader, true, family, sizeof(family)) || !enter_family(reader, family))
		return false;
	if (reader->seen[kind])
		return fail(reader, "%s twice", descriptors[kind]);
	if (reader->sampled)
		return fail(reader, "%s after samples", descriptors[kind]);
	reader->seen[kind] = true;
	if (!take(reader, " "))
		return fail(reader, "no space");
	switch (kind) {
	case DESCRIPTOR_TYPE:
		return take(reader, "gauge") || fail(reader, "no gauge: '%.20s'", reader->at);
	case DESCRIPTOR_UNIT:
		return read_unit(reader, family);
	default:
		return take_escaped(reader, help, sizeof(help)) &&
		       (*help || fail(reader, "empty help"));
	}
}

static bool read_labels(struct reader *reader)
{
	struct openmetrics_sample *sample = &reader->sample;

	if (!take(reader, "{"))
		return true;
	while (!take(reader, "}")) {
		char *name = sample->label[sample->labels].name;

		if (sample->labels == OPENMETRICS_LABELS)
			return fail(reader, "too many labels for this test");
		if ((sample->labels && !take(reader, ",")) ||
		    !take_name(reader, false, name, sizeof(sample->label[0].name)))
			return fail(reader, "no label: '%.20s'", reader->at);
		if (strncmp(name, "__", 2) == 0)
			return fail(reader, "%s is reserved", name);
		if (openmetrics_label(sample, name))
			return fail(reader, "%s twice", name);
		if (!take(reader, "=\"") ||
		    !take_escaped(reader, sample->label[sample->labels].value,
				  sizeof(sample->label[0].value)) ||
		    !take(reader, "\""))
			return fail(reader, "no value: '%.20s'", reader->at);
		sample->labels++;
	}
	return true;
}

/* realnumber of the ABNF; NaN and the infinities are never ours. */
static bool read_number(struct reader *reader)
{
	const char *from = reader->at;
	char *end;

	reader->at += strspn(reader->at, "+-0123456789.eE");
	reader->sample.value = strtod(from, &end);
	if (end != reader->at || end == from || !isfinite(reader->sample.value))
		return fail(reader, "no number: '%.20s'", from);
	return true;
}

static bool read_sample(struct reader *reader)
{
	const char *line = reader->at;
	char name[96];

	memset(&reader->sample, 0, sizeof(reader->sample));
	if (!take_name(reader, true, name, sizeof(name)) || !enter_family(reader, name))
		return false;
	if (!reader->seen[DESCRIPTOR_TYPE])
		return fail(reader, "%s has no TYPE", name);
	if (!read_labels(reader))
		return false;
	for (size_t i = 0; i < reader->set_count; i++)
		if (strlen(reader->sets[i]) == (size_t)(reader->at - line) &&
		    strncmp(reader->sets[i], line, (size_t)(reader->at - line)) == 0)
			return fail(reader, "the same labels twice");
	if (reader->set_count == SAMPLES)
		return fail(reader, "too many samples for this test");
	reader->sets[reader->set_count++] = strndup(line, (size_t)(reader->at - line));
	reader->sampled = true;
	reader->sample.family = reader->families[reader->family_count - 1];
	return (take(reader, " ") || fail(reader, "no space")) && read_number(reader);
}

const char *openmetrics_check(const char *text,
			      void (*visit)(const struct openmetrics_sample *sample, void *arg),
			      void *arg)
{
	static struct reader reader;
	bool good = true, end = false;

	forget_sets(&reader);
	memset(&reader, 0, sizeof(reader));
	reader.at = text;
	while (good && *reader.at) {
		bool sample = false;

		reader.line++;
		if (end)
			good = fail(&reader, "something after EOF");
		else if (take(&reader, "# EOF"))
			end = true;
		else if (take(&reader, "# "))
			good = read_descriptor(&reader);
		else
			good = sample = read_sample(&reader);
		if (good && !take(&reader, "\n"))
			good = fail(&reader, "the line goes on: '%.20s'", reader.at);
		if (good && sample && visit)
			visit(&reader.sample, arg);
	}
	if (good && !end)
		good = fail(&reader, "no EOF");
	forget_sets(&reader);
	return good ? NULL : reader.error;
}

const char *openmetrics_label(const struct openmetrics_sample *sample, const char *name)
{
	for (size_t i = 0; i < sample->labels; i++)
		if (strcmp(sample->label[i].name, name) == 0)
			return sample->label[i].value;
	return NULL;
}
