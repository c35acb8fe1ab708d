#include "record_json.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "series.h"

#define DUMP_FLAGS (JSON_COMPACT | JSON_REAL_PRECISION(17))

/* ---- the scalar fields of a record: one table writes and reads them ---- */

enum field_type {
	FIELD_TEXT,
	FIELD_UNSIGNED,
	FIELD_INT,
	FIELD_SIZE,
	FIELD_U64, /* a JSON integer */
	FIELD_U64_TEXT, /* decimal in a string */
	FIELD_HEX_TEXT, /* "0x..." in a string */
	FIELD_REAL,
	FIELD_NAME /* an enumeration by its names */
};

struct field {
	const char *key;
	enum field_type type;
	bool required;
	size_t offset, bytes;
	const char *const *names;
};

#define FIELD(key, member, type, required, names) \
	{ \
		key, type, required, offsetof(struct record, member), \
			sizeof(((struct record *)0)->member), names \
	}

static const struct field fields[] = {
	FIELD("backend", cell.backend, FIELD_TEXT, true, NULL),
	FIELD("workload", cell.workload, FIELD_TEXT, true, NULL),
	FIELD("threads", cell.threads, FIELD_UNSIGNED, true, NULL),
	FIELD("page_size", cell.page_size, FIELD_SIZE, true, NULL),
	FIELD("backing", cell.backing, FIELD_TEXT, true, NULL),
	FIELD("pass", pass, FIELD_NAME, true, pass_names),
	FIELD("repetition", repetition, FIELD_UNSIGNED, true, NULL),
	FIELD("order", order, FIELD_UNSIGNED, false, NULL),
	FIELD("status", status, FIELD_NAME, true, cell_status_names),
	FIELD("reason", reason, FIELD_TEXT, false, NULL),
	FIELD("display_name", display_name, FIELD_TEXT, false, NULL),
	FIELD("proof", proof, FIELD_TEXT, false, NULL),
	FIELD("caveats", caveats, FIELD_TEXT, false, NULL),
	FIELD("seed", seed, FIELD_U64_TEXT, false, NULL),
	FIELD("trace_checksum", trace_checksum, FIELD_HEX_TEXT, false, NULL),
	FIELD("operations", operations, FIELD_U64, false, NULL),
	FIELD("operations_total", operations_total, FIELD_U64, false, NULL),
	FIELD("started_unix_seconds", started_unix_seconds, FIELD_REAL, false, NULL),
	FIELD("wall_seconds", wall_seconds, FIELD_REAL, false, NULL),
	FIELD("harness_bytes", harness_bytes, FIELD_REAL, false, NULL),
	FIELD("bound", bound, FIELD_INT, false, NULL),
	FIELD("nonpaged_locked", nonpaged_locked, FIELD_INT, false, NULL),
};

#define FIELDS (sizeof(fields) / sizeof(*fields))

/* ---- writing ---- */

json_t *json_text(const char *text)
{
	json_t *value = json_string(text);
	char *ascii;

	if (value)
		return value;
	ascii = strdup(text); /* not UTF-8, as a path or a cut sentence may be */
	if (!ascii)
		return NULL;
	for (char *c = ascii; *c; c++) {
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	}
	value = json_string(ascii);
	free(ascii);
	return value;
}

json_t *json_finite(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

/* Integers beyond jansson's signed 64 bits are kept as a decimal string rather than bent. */
static json_t *json_u64(uint64_t value)
{
	char text[24];

	if (value <= INT64_MAX)
		return json_integer((json_int_t)value);
	snprintf(text, sizeof(text), "%" PRIu64, value);
	return json_string(text);
}

static json_t *field_to_json(const struct field *field, const struct record *record)
{
	const char *member = (const char *)record + field->offset;
	char text[24];
	unsigned number;
	uint64_t wide;
	size_t size;
	double real;
	int whole;

	switch (field->type) {
	case FIELD_TEXT:
		return json_text(member);
	case FIELD_UNSIGNED:
		memcpy(&number, member, sizeof(number));
		return json_integer(number);
	case FIELD_INT:
		memcpy(&whole, member, sizeof(whole));
		return json_integer(whole);
	case FIELD_SIZE:
		memcpy(&size, member, sizeof(size));
		return json_u64(size);
	case FIELD_U64:
		memcpy(&wide, member, sizeof(wide));
		return json_u64(wide);
	case FIELD_U64_TEXT:
	case FIELD_HEX_TEXT:
		memcpy(&wide, member, sizeof(wide));
		snprintf(text, sizeof(text),
			 field->type == FIELD_HEX_TEXT ? "0x%016" PRIx64 : "%" PRIu64, wide);
		return json_string(text);
	case FIELD_REAL:
		memcpy(&real, member, sizeof(real));
		return json_finite(real);
	case FIELD_NAME:
		memcpy(&number, member, sizeof(number));
		return json_string(field->names[number]);
	}
	return NULL;
}

json_t *record_json_object(const struct record *record)
{
	json_t *object = json_object(), *counters = json_object();
	int error = json_object_set_new(object, "schema", json_integer(RECORD_SCHEMA));

	for (size_t i = 0; i < FIELDS; i++)
		error |= json_object_set_new(object, fields[i].key,
					     field_to_json(&fields[i], record));
	for (size_t i = 0; i < METRIC_COUNT; i++)
		error |= json_object_set_new(object, metric_table[i].name,
					     json_finite(record->metrics[i]));
	for (unsigned i = 0; i < record->counters; i++)
		error |= json_object_set_new(counters, record->counter[i].name,
					     json_u64(record->counter[i].value));
	error |= json_object_set_new(object, "counters", counters);
	if (error) {
		json_decref(object);
		return NULL;
	}
	return object;
}

static json_t *column_to_json(const struct column *column, const char *element)
{
	const char *member = element + column->offset;
	char text[5] = "";
	const char *string;
	uint32_t narrow;
	uint64_t wide;
	double real;

	switch (column->type) {
	case COLUMN_U32:
		memcpy(&narrow, member, sizeof(narrow));
		return json_integer(narrow);
	case COLUMN_U64:
		memcpy(&wide, member, sizeof(wide));
		return json_u64(wide);
	case COLUMN_REAL:
		memcpy(&real, member, sizeof(real));
		return json_finite(real);
	case COLUMN_CHAR:
		text[0] = *member;
		return json_text(text);
	case COLUMN_TEXT:
		return json_text(member);
	case COLUMN_STRING:
		memcpy(&string, member, sizeof(string));
		return json_text(string ? string : "");
	case COLUMN_TAG:
		tag_printable(member, text);
		return json_string(text);
	case COLUMN_INDEX:
		break;
	}
	return NULL;
}

static json_t *series_to_json(const struct series *series, const struct result *result)
{
	json_t *rows = json_array();
	size_t count;
	const char *element = series_data(series, result, &count);
	int error = 0;

	for (size_t i = 0; i < count; i++, element += series->element_bytes) {
		json_t *row = json_array();

		for (size_t c = 0; c < series->column_count; c++) {
			if (series->columns[c].type != COLUMN_INDEX)
				error |= json_array_append_new(
					row, column_to_json(&series->columns[c], element));
		}
		error |= json_array_append_new(rows, row);
	}
	if (error) {
		json_decref(rows);
		return NULL;
	}
	return rows;
}

char *record_to_json(const struct record *record)
{
	json_t *object = record_json_object(record);
	char *text = object ? json_dumps(object, DUMP_FLAGS) : NULL;

	json_decref(object);
	return text;
}

char *result_to_json(const struct result *result)
{
	json_t *object = record_json_object(&result->record);
	char *text = NULL;
	int error = 0;

	for (int i = 0; object && i < SERIES; i++)
		error |= json_object_set_new(object, series_table[i].name,
					     series_to_json(&series_table[i], result));
	if (object && !error)
		text = json_dumps(object, DUMP_FLAGS);
	json_decref(object);
	return text;
}

/* ---- reading ---- */

__attribute__((format(printf, 4, 5))) static int refuse(char *why, size_t why_bytes, int error,
							const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(why, why_bytes, format, arguments);
	va_end(arguments);
	return error;
}

/* A non-negative integer, or one in a string with the prefix 0x or none. */
static bool read_u64(const json_t *value, uint64_t *out)
{
	const char *text = json_string_value(value);
	char *end;

	if (json_is_integer(value) && json_integer_value(value) >= 0) {
		*out = (uint64_t)json_integer_value(value);
		return true;
	}
	if (!text || *text < '0' || *text > '9')
		return false;
	errno = 0;
	*out = strtoull(text, &end, strncmp(text, "0x", 2) ? 10 : 16);
	return !errno && !*end;
}

static bool read_real(const json_t *value, double *out)
{
	if (!json_is_number(value) && !json_is_null(value))
		return false;
	*out = json_is_null(value) ? NAN : json_number_value(value);
	return true;
}

/* Cuts at `bytes`, and then before a UTF-8 sequence rather than within it. */
static bool read_text(const json_t *value, char *to, size_t bytes)
{
	const char *text = json_string_value(value);
	size_t length;

	if (!text)
		return false;
	length = strlen(text);
	if (length >= bytes) {
		length = bytes - 1;
		while (length && ((unsigned char)text[length] & 0xc0) == 0x80)
			length--;
	}
	memcpy(to, text, length);
	to[length] = '\0';
	return true;
}

static bool read_name(const json_t *value, const char *const *names, unsigned *out)
{
	const char *text = json_string_value(value);

	for (unsigned i = 0; text && names[i]; i++) {
		if (!strcmp(names[i], text)) {
			*out = i;
			return true;
		}
	}
	return false;
}

/* FIELD_SIZE is read and written as 64 bits. */
_Static_assert(sizeof(size_t) == sizeof(uint64_t), "poolbench runs on 64-bit machines");

static bool field_from_json(const struct field *field, const json_t *value, struct record *record)
{
	char *member = (char *)record + field->offset;
	json_int_t whole;
	uint64_t wide;
	unsigned number;

	switch (field->type) {
	case FIELD_TEXT:
		/* a key that was cut would name another cell */
		return read_text(value, member, field->bytes) &&
		       (!field->required || json_string_length(value) < field->bytes);
	case FIELD_UNSIGNED:
		if (!read_u64(value, &wide) || wide > UINT_MAX)
			return false;
		number = (unsigned)wide;
		memcpy(member, &number, sizeof(number));
		return true;
	case FIELD_INT:
		whole = json_integer_value(value);
		if (!json_is_integer(value) || whole < INT_MIN || whole > INT_MAX)
			return false;
		memcpy(member, &(int){ (int)whole }, sizeof(int));
		return true;
	case FIELD_SIZE:
	case FIELD_U64:
	case FIELD_U64_TEXT:
	case FIELD_HEX_TEXT:
		return read_u64(value, &wide) && memcpy(member, &wide, sizeof(wide));
	case FIELD_REAL:
		return read_real(value, (double *)(void *)member);
	case FIELD_NAME:
		return read_name(value, field->names, &number) &&
		       memcpy(member, &number, sizeof(number));
	}
	return false;
}

static int read_counters(const json_t *counters, struct record *record, char *why, size_t why_bytes)
{
	const char *name;
	json_t *value;

	if (!counters)
		return 0;
	if (!json_is_object(counters) || json_object_size(counters) > RECORD_COUNTERS)
		return refuse(why, why_bytes, -EINVAL,
			      "'counters' is not an object of at most %d numbers", RECORD_COUNTERS);
	json_object_foreach((json_t *)counters, name, value)
	{
		struct record_counter *counter = &record->counter[record->counters];

		if (strlen(name) >= sizeof(counter->name) || !read_u64(value, &counter->value))
			return refuse(why, why_bytes, -EINVAL, "counter '%.60s' is malformed",
				      name);
		strcpy(counter->name, name);
		record->counters++;
	}
	return 0;
}

int record_json_read(const json_t *object, struct record *out, char *why, size_t why_bytes)
{
	const json_t *schema = json_object_get(object, "schema");
	struct record record;
	int error;

	if (!json_is_integer(schema))
		return refuse(why, why_bytes, -EINVAL, "not a record: 'schema' is missing");
	if (json_integer_value(schema) != RECORD_SCHEMA)
		return refuse(why, why_bytes, -EPROTONOSUPPORT,
			      "the record has schema %lld, this program reads schema %d",
			      (long long)json_integer_value(schema), RECORD_SCHEMA);
	record_clear(&record);
	for (size_t i = 0; i < FIELDS; i++) {
		const json_t *value = json_object_get(object, fields[i].key);

		if (!value && fields[i].required)
			return refuse(why, why_bytes, -EINVAL, "'%s' is missing", fields[i].key);
		if (value && !field_from_json(&fields[i], value, &record))
			return refuse(why, why_bytes, -EINVAL,
				      "'%s' is of the wrong type, too long or out of range",
				      fields[i].key);
	}
	for (size_t i = 0; i < METRIC_COUNT; i++) {
		const json_t *value = json_object_get(object, metric_table[i].name);

		if (value && !read_real(value, &record.metrics[i]))
			return refuse(why, why_bytes, -EINVAL, "'%s' is neither a number nor null",
				      metric_table[i].name);
	}
	error = read_counters(json_object_get(object, "counters"), &record, why, why_bytes);
	if (!error)
		*out = record;
	return error;
}

static bool column_from_json(const struct column *column, const json_t *value, char *element)
{
	char *member = element + column->offset;
	uint64_t wide;
	uint32_t narrow;
	char *string;

	switch (column->type) {
	case COLUMN_U32:
		if (!read_u64(value, &wide) || wide > UINT32_MAX)
			return false;
		narrow = (uint32_t)wide;
		memcpy(member, &narrow, sizeof(narrow));
		return true;
	case COLUMN_U64:
		return read_u64(value, &wide) && memcpy(member, &wide, sizeof(wide));
	case COLUMN_REAL:
		return read_real(value, (double *)(void *)member);
	case COLUMN_CHAR:
		if (!json_is_string(value) || json_string_length(value) != 1)
			return false;
		*member = *json_string_value(value);
		return true;
	case COLUMN_TEXT:
	case COLUMN_TAG:
		return read_text(value, member, column->bytes);
	case COLUMN_STRING:
		string = json_is_string(value) ? strdup(json_string_value(value)) : NULL;
		memcpy(member, &string, sizeof(string));
		return string != NULL;
	case COLUMN_INDEX:
		break;
	}
	return false;
}

static bool row_from_json(const struct series *series, const json_t *row, char *element)
{
	size_t at = 0;

	for (size_t c = 0; c < series->column_count; c++) {
		if (series->columns[c].type == COLUMN_INDEX)
			continue;
		if (!column_from_json(&series->columns[c], json_array_get(row, at), element))
			return false;
		at++;
	}
	return json_array_size(row) == at;
}

static int series_from_json(const struct series *series, const json_t *rows, struct result *result,
			    char *why, size_t why_bytes)
{
	size_t count = json_array_size(rows);
	char *data;

	if (!rows)
		return 0;
	if (!json_is_array(rows))
		return refuse(why, why_bytes, -EINVAL, "'%s' is not an array", series->name);
	if (!count)
		return 0;
	data = calloc(count, series->element_bytes);
	if (!data)
		return refuse(why, why_bytes, -ENOMEM, "no memory for '%s'", series->name);
	series_adopt(series, result, data, count);
	for (size_t i = 0; i < count; i++) {
		if (!row_from_json(series, json_array_get(rows, i),
				   data + i * series->element_bytes))
			return refuse(why, why_bytes, -EINVAL, "'%s': row %zu is malformed",
				      series->name, i);
	}
	return 0;
}

static json_t *load(const char *text, size_t length, char *why, size_t why_bytes)
{
	json_error_t error;
	json_t *object = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);

	if (!object)
		refuse(why, why_bytes, 0, "not JSON: %s at byte %d", error.text, error.position);
	return object;
}

int record_from_json(const char *text, size_t length, struct record *out, char *why,
		     size_t why_bytes)
{
	json_t *object = load(text, length, why, why_bytes);
	int error = object ? record_json_read(object, out, why, why_bytes) : -EINVAL;

	json_decref(object);
	return error;
}

int result_from_json(const char *text, size_t length, struct result *out, char *why,
		     size_t why_bytes)
{
	json_t *object = load(text, length, why, why_bytes);
	struct result result;
	int error;

	if (!object)
		return -EINVAL;
	result_clear(&result);
	error = record_json_read(object, &result.record, why, why_bytes);
	for (int i = 0; !error && i < SERIES; i++)
		error = series_from_json(&series_table[i],
					 json_object_get(object, series_table[i].name), &result,
					 why, why_bytes);
	json_decref(object);
	if (error)
		result_release(&result);
	else
		*out = result;
	return error;
}
