#include "store.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "store_internal.h"

/* ---- messages, fields, parameters ---- */

int store_fail(const struct store_message *why, int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(why->text, why->bytes, format, arguments);
	va_end(arguments);
	return error;
}

int store_strange(const struct store_message *why, const char *what)
{
	return store_fail(
		why, -EBADMSG,
		"the history holds a %s that poolbench never writes: it is damaged, or was not "
		"made by it; put a backup in its place",
		what);
}

struct store_value store_text(const char *text)
{
	return (struct store_value){ .type = text ? STORE_TEXT : STORE_NULL, .text = text };
}

struct store_value store_integer(int64_t value)
{
	return (struct store_value){ .type = STORE_INTEGER, .integer = value };
}

struct store_value store_real(double value)
{
	return (struct store_value){ .type = isfinite(value) ? STORE_REAL : STORE_NULL,
				     .real = value };
}

bool store_read_text(const struct store_value *field, char *text, size_t bytes, bool null_ok)
{
	if (field->type == STORE_NULL && null_ok) {
		text[0] = '\0';
		return true;
	}
	return field->type == STORE_TEXT &&
	       (size_t)snprintf(text, bytes, "%s", field->text) < bytes;
}

bool store_read_integer(const struct store_value *field, int64_t low, int64_t high, int64_t *value)
{
	if (field->type != STORE_INTEGER || field->integer < low || field->integer > high)
		return false;
	*value = field->integer;
	return true;
}

bool store_read_real(const struct store_value *field, double *value)
{
	*value = NAN;
	if (field->type == STORE_NULL)
		return true;
	if ((field->type != STORE_REAL && field->type != STORE_INTEGER) || !isfinite(field->real))
		return false;
	*value = field->real;
	return true;
}

void *store_grow(void *array, size_t count, size_t *room, size_t element)
{
	void *larger = array;

	if (count == *room) {
		const size_t wanted = *room ? 2 * *room : 64;

		larger = reallocarray(array, wanted, element);
		if (!larger)
			return NULL;
		*room = wanted;
	}
	memset((char *)larger + count * element, 0, element);
	return larger;
}

/* ---- transactions ---- */

int store_query(struct store *store, const char *sql, const struct store_value *parameters,
		unsigned count, store_row row, void *argument, const struct store_message *why)
{
	return store->driver->query(store->database, sql, parameters, count, row, argument, why);
}

int store_transaction(struct store *store, bool write,
		      int (*work)(struct store *store, void *argument,
				  const struct store_message *why),
		      void *argument, const struct store_message *why)
{
	int error = 0;

	if (write && !store->writable)
		return store_fail(why, -EROFS,
				  "the history cannot be written: the file or its directory is "
				  "read-only; choose another with --store");
	error = store->driver->begin(store->database, write, why);
	if (!error)
		error = work(store, argument, why);
	if (!error)
		error = store->driver->commit(store->database, why);
	if (error)
		store->driver->rollback(store->database);
	return error;
}

/* ---- the schema's version ---- */

struct tables {
	bool meta;
	unsigned others;
};

static int note_table(const struct store_value *fields, unsigned count, void *argument)
{
	struct tables *tables = argument;

	(void)count;
	if (fields[0].type == STORE_TEXT && !strcmp(fields[0].text, "track_meta"))
		tables->meta = true;
	else
		tables->others++;
	return 0;
}

struct meta {
	char format[64], schema[16], reference[512];
	bool strange;
};

static int note_meta(const struct store_value *fields, unsigned count, void *argument)
{
	struct meta *meta = argument;
	const char *name = fields[0].type == STORE_TEXT ? fields[0].text : "";
	bool good = true;

	(void)count;
	if (!strcmp(name, "format"))
		good = store_read_text(&fields[1], meta->format, sizeof(meta->format), false);
	else if (!strcmp(name, "schema"))
		good = store_read_text(&fields[1], meta->schema, sizeof(meta->schema), false);
	else if (!strcmp(name, "reference"))
		good = store_read_text(&fields[1], meta->reference, sizeof(meta->reference), false);
	meta->strange |= !good;
	return 0;
}

static int read_meta(struct store *store, struct meta *meta, const struct store_message *why)
{
	*meta = (struct meta){ .strange = false };
	return store_query(store, "SELECT name, value FROM track_meta", NULL, 0, note_meta, meta,
			   why);
}

/* The version that is there, 0 for none. */
static int read_version(struct store *store, unsigned *version, const struct store_message *why)
{
	struct tables tables = { false, 0 };
	struct meta meta;
	char *end;
	unsigned long number;
	int error = store_query(store, store->driver->tables_sql, NULL, 0, note_table, &tables,
				why);

	*version = 0;
	if (error)
		return error;
	if (!tables.meta && tables.others)
		return store_fail(
			why, -EBADMSG,
			"this %s database belongs to something else (it has tables, but not "
			"those of a history): --store wants a new or an empty one",
			store->driver->name);
	if (!tables.meta)
		return 0;
	error = read_meta(store, &meta, why);
	if (error)
		return error;
	number = strtoul(meta.schema, &end, 10);
	if (meta.strange || strcmp(meta.format, "poolbench history") != 0 || !meta.schema[0] ||
	    *end || number == 0 || number > 1000000)
		return store_strange(why, "table track_meta");
	if (number > STORE_SCHEMA)
		return store_fail(
			why, -EPROTONOSUPPORT,
			"this history has version %lu, and this poolbench knows versions up to "
			"%d: it was written by a newer one, use that (nothing was changed)",
			number, STORE_SCHEMA);
	*version = (unsigned)number;
	return 0;
}

/* Under the write lock: another process may have done it in the meantime. */
static int migrate(struct store *store, void *argument, const struct store_message *why)
{
	unsigned version;
	int error = read_version(store, &version, why);

	(void)argument;
	for (; !error && version < STORE_SCHEMA; version++)
		for (const char *const *step = store_migrations[version]; *step && !error; step++)
			error = store_query(store, *step, NULL, 0, NULL, NULL, why);
	return error;
}

static int prepare(struct store *store, const char *where, bool create,
		   const struct store_message *why)
{
	unsigned version;
	int error = read_version(store, &version, why);

	if (error || version == STORE_SCHEMA)
		return error;
	if (!version && !create)
		return store_fail(
			why, -ENOENT,
			"there is no history in this %s database yet: `poolbench track add DIR` "
			"starts one",
			store->driver->name);
	if (!store->writable)
		return store_fail(
			why, -EROFS,
			"the history %s has version %u and must once be opened where it can be "
			"written, to be brought to version %d: make it writable, or copy it",
			store->driver == &store_sqlite ? where : "there", version, STORE_SCHEMA);
	return store_transaction(store, true, migrate, NULL, why);
}

/* ---- opening ---- */

static bool is_address(const char *where)
{
	return !strncmp(where, "postgresql://", 13) || !strncmp(where, "postgres://", 11);
}

static int make_parent(const char *path, char *why, size_t why_bytes)
{
	const char *slash = strrchr(path, '/');
	char *parent;
	int error;

	if (!slash || slash == path)
		return 0;
	parent = strndup(path, (size_t)(slash - path));
	if (!parent)
		return -ENOMEM;
	error = file_make_directories(parent, why, why_bytes);
	free(parent);
	return error;
}

int store_open(const char *where, bool create, unsigned wait_seconds, struct store **out, char *why,
	       size_t why_bytes)
{
	const struct store_message message = { why, why_bytes };
	struct store *store = calloc(1, sizeof(*store));
	int error = 0;

	if (!store)
		return store_fail(&message, -ENOMEM, "out of memory");
	store->driver = is_address(where) ? &store_postgres : &store_sqlite;
	if (create && !is_address(where))
		error = make_parent(where, why, why_bytes);
	if (!error)
		error = store->driver->open(where, create, wait_seconds, &store->database,
					    &store->writable, &message);
	if (error) {
		free(store);
		return error;
	}
	error = prepare(store, where, create, &message);
	if (error) {
		store_close(store);
		return error;
	}
	*out = store;
	return 0;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	store->driver->close(store->database);
	free(store);
}

int store_reference(struct store *store, char *reference, size_t bytes, char *why, size_t why_bytes)
{
	const struct store_message message = { why, why_bytes };
	struct meta meta;
	int error = read_meta(store, &meta, &message);

	if (!error && meta.strange)
		error = store_strange(&message, "table track_meta");
	if (!error)
		snprintf(reference, bytes, "%s", meta.reference);
	return error;
}
