/*
 * A history in one file. WAL, so that readers and the one writer do not wait for each other and a process killed in
 * mid-write leaves the state of the last commit; full synchronisation, so that a power cut does too.
 *
 * The file may come from a stranger: nothing in its schema is run (no triggers, views or functions of its own), sizes are
 * limited, and SQLite checks each page as it reads it.
 */
#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store_driver.h"

#define VALUE_BYTES_MAX (16 << 20) /* a field or a row */

struct sqlite_store {
	sqlite3 *handle;
	char path[PATH_MAX];
	bool writing;
};

/* ---- errors ---- */

static int full_or_io(sqlite3 *handle)
{
	const int error = handle ? sqlite3_system_errno(handle) : 0;

	if (error == ENOSPC || error == EDQUOT || error == EFBIG)
		return -ENOSPC;
	return -EIO;
}

/* What an SQLite result means, and what would help. */
static int explain(const struct sqlite_store *store, int result, const struct store_message *why)
{
	const char *path = store->path;
	const char *words = store->handle ? sqlite3_errmsg(store->handle) : sqlite3_errstr(result);
	int error;

	switch (result & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return store_fail(
			why, -EBUSY,
			"the history %s is locked by another process: wait for it to end, or "
			"give --wait more seconds (`fuser %s` names it)",
			path, path);
	case SQLITE_NOTADB:
		return store_fail(
			why, -EBADMSG,
			"%s is no SQLite database, so no history: was another file meant?", path);
	case SQLITE_CORRUPT:
		return store_fail(
			why, -EBADMSG,
			"the history %s is damaged (%s): put a backup in its place, or save what "
			"can be read with `sqlite3 %s .recover | sqlite3 NEW`; runs whose "
			"directories are there can be added again",
			path, words, path);
	case SQLITE_FULL:
		return store_fail(why, -ENOSPC,
				  "no space for the history %s: make room on that file system; "
				  "nothing was stored, and what was there is whole",
				  path);
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return store_fail(why, -EROFS,
				  "the history %s cannot be written: it or its directory is "
				  "read-only; choose another with --store",
				  path);
	case SQLITE_CANTOPEN:
		return store_fail(
			why, -EACCES,
			"cannot open the history %s (%s): choose a file that you may read and "
			"write, in a directory that you may write to, with --store",
			path, words);
	case SQLITE_NOMEM:
		return store_fail(why, -ENOMEM, "the history %s: out of memory", path);
	case SQLITE_TOOBIG:
		return store_fail(
			why, -EBADMSG,
			"the history %s has a value of more than %d MiB: it was not made by "
			"poolbench, or is damaged",
			path, VALUE_BYTES_MAX >> 20);
	case SQLITE_IOERR:
		error = full_or_io(store->handle);
		return store_fail(
			why, error,
			error == -ENOSPC
				? "no space for the history %s (%s): make room on that file system "
				  "or raise the limit on file sizes (ulimit -f); nothing was stored"
				: "the history %s cannot be read or written (%s): is the disk, or "
				  "the network file system, in order?",
			path, words);
	default:
		return store_fail(why, -EIO, "the history %s: %s", path, words);
	}
}

/* ---- opening ---- */

static int check_path(const char *path, bool create, const struct store_message *why)
{
	struct stat status;

	if (strlen(path) >= PATH_MAX)
		return store_fail(why, -ENAMETOOLONG, "--store: that path is too long");
	if (stat(path, &status)) {
		if (errno == ENOENT && create)
			return 0;
		if (errno == ENOENT)
			return store_fail(
				why, -ENOENT,
				"there is no history %s yet: `poolbench track add DIR` starts one, "
				"--store names another",
				path);
		return store_fail(why, -errno, "cannot open the history %s: %s", path,
				  strerror(errno));
	}
	if (S_ISDIR(status.st_mode))
		return store_fail(why, -EISDIR,
				  "%s is a directory: --store wants a file, such as %s/history.db",
				  path, path);
	if (!S_ISREG(status.st_mode))
		return store_fail(why, -EINVAL, "%s is no ordinary file: --store wants one", path);
	return 0;
}

static int run(struct sqlite_store *store, const char *sql, const struct store_message *why)
{
	const int result = sqlite3_exec(store->handle, sql, NULL, NULL, NULL);

	return result == SQLITE_OK ? 0 : explain(store, result, why);
}

static int open_flags(struct sqlite_store *store, int flags, unsigned wait_seconds)
{
	int result;

	sqlite3_close(store->handle);
	store->handle = NULL;
	result = sqlite3_open_v2(store->path, &store->handle, flags | SQLITE_OPEN_EXRESCODE, NULL);
	if (result != SQLITE_OK)
		return result;
	sqlite3_busy_timeout(store->handle, (int)wait_seconds * 1000);
	sqlite3_db_config(store->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(store->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(store->handle, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	sqlite3_db_config(store->handle, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	sqlite3_limit(store->handle, SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX);
	result = sqlite3_exec(store->handle, "PRAGMA cell_size_check=ON", NULL, NULL, NULL);
	if (result == SQLITE_OK) /* the first read: is it a database at all? */
		result = sqlite3_exec(store->handle, "SELECT count(*) FROM sqlite_master", NULL,
				      NULL, NULL);
	return result;
}

/*
 * A file in WAL mode needs its helper files beside it, which a directory that cannot be written to does not allow.
 * Where no log is left beside it, the file alone is the whole truth, and as nobody here can change it, it is read as
 * it is.
 */
static int open_immutable(struct sqlite_store *store, unsigned wait_seconds)
{
	char uri[3 * PATH_MAX + 32], log[PATH_MAX + 8], *out = uri + 5, plain[PATH_MAX];
	int result;

	snprintf(log, sizeof(log), "%s-wal", store->path);
	if (access(log, F_OK) == 0)
		return SQLITE_CANTOPEN;
	strcpy(uri, "file:");
	for (const char *c = store->path; *c; c++)
		out += sprintf(out, strchr("%?#", *c) ? "%%%02X" : "%c", (unsigned char)*c);
	strcpy(out, "?immutable=1");
	memcpy(plain, store->path, sizeof(plain));
	if ((size_t)snprintf(store->path, sizeof(store->path), "%s", uri) >= sizeof(store->path))
		return SQLITE_CANTOPEN;
	result = open_flags(store, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, wait_seconds);
	memcpy(store->path, plain, sizeof(plain));
	return result;
}

static int open_file(struct sqlite_store *store, bool create, unsigned wait_seconds, bool *writable,
		     const struct store_message *why)
{
	const int access_flags = SQLITE_OPEN_READWRITE | (create ? SQLITE_OPEN_CREATE : 0);
	const bool read_only = access(store->path, F_OK) == 0 && access(store->path, W_OK) != 0;
	int result = read_only ? SQLITE_READONLY : open_flags(store, access_flags, wait_seconds);

	*writable = result == SQLITE_OK && !sqlite3_db_readonly(store->handle, "main");
	if ((result & 0xff) == SQLITE_CANTOPEN || (result & 0xff) == SQLITE_READONLY) {
		result = open_flags(store, SQLITE_OPEN_READONLY, wait_seconds);
		if (result != SQLITE_OK && access(store->path, R_OK) == 0)
			result = open_immutable(store, wait_seconds);
		*writable = false;
	}
	if (result != SQLITE_OK)
		return explain(store, result, why);
	if (!*writable)
		return 0;
	/* where WAL cannot be had (some network file systems), SQLite stays with its rollback journal: as safe */
	return run(store, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;", why);
}

/* Triggers and views are none of ours, and cannot run here; a file that has them was made to mislead. */
static int refuse_strangers(struct sqlite_store *store, const struct store_message *why)
{
	sqlite3_stmt *statement = NULL;
	int result = sqlite3_prepare_v2(store->handle,
					"SELECT count(*) FROM sqlite_master WHERE type NOT IN "
					"('table', 'index') OR sql LIKE "
					"'CREATE VIRTUAL%'",
					-1, &statement, NULL);
	sqlite3_int64 strange = 0;

	if (result == SQLITE_OK && (result = sqlite3_step(statement)) == SQLITE_ROW) {
		strange = sqlite3_column_int64(statement, 0);
		result = SQLITE_OK;
	}
	sqlite3_finalize(statement);
	if (result != SQLITE_OK)
		return explain(store, result, why);
	if (!strange)
		return 0;
	return store_fail(why, -EBADMSG,
			  "%s has triggers, views or virtual tables: it was not made by poolbench",
			  store->path);
}

static void sqlite_close(void *database)
{
	struct sqlite_store *store = database;

	if (!store)
		return;
	sqlite3_close(store->handle);
	free(store);
}

static int sqlite_open(const char *where, bool create, unsigned wait_seconds, void **database,
		       bool *writable, const struct store_message *why)
{
	struct sqlite_store *store;
	int error = check_path(where, create, why);

	if (error)
		return error;
	store = calloc(1, sizeof(*store));
	if (!store)
		return store_fail(why, -ENOMEM, "out of memory");
	snprintf(store->path, sizeof(store->path), "%s", where);
	error = open_file(store, create, wait_seconds, writable, why);
	if (!error)
		error = refuse_strangers(store, why);
	if (error) {
		sqlite_close(store);
		return error;
	}
	*database = store;
	return 0;
}

/* ---- transactions ---- */

static int sqlite_begin(void *database, bool write, const struct store_message *why)
{
	struct sqlite_store *store = database;

	store->writing = write;
	return run(store, write ? "BEGIN IMMEDIATE" : "BEGIN", why);
}

static int sqlite_commit(void *database, const struct store_message *why)
{
	return run(database, "COMMIT", why);
}

static void sqlite_rollback(void *database)
{
	struct sqlite_store *store = database;

	if (!sqlite3_get_autocommit(store->handle))
		sqlite3_exec(store->handle, "ROLLBACK", NULL, NULL, NULL);
}

/* ---- statements ---- */

static int bind(sqlite3_stmt *statement, const struct store_value *values, unsigned count)
{
	int result = SQLITE_OK;

	for (unsigned i = 0; i < count && result == SQLITE_OK; i++) {
		char name[16];
		int index;

		snprintf(name, sizeof(name), "$%u", i + 1);
		index = sqlite3_bind_parameter_index(statement, name);
		if (!index)
			continue;
		switch (values[i].type) {
		case STORE_NULL:
			result = sqlite3_bind_null(statement, index);
			break;
		case STORE_INTEGER:
			result = sqlite3_bind_int64(statement, index, values[i].integer);
			break;
		case STORE_REAL:
			result = sqlite3_bind_double(statement, index, values[i].real);
			break;
		case STORE_TEXT:
			result = sqlite3_bind_text(statement, index, values[i].text, -1,
						   SQLITE_STATIC);
			break;
		}
	}
	return result;
}

/* False for what no store of ours holds: a blob, or text with a NUL in it. */
static bool fetch(sqlite3_stmt *statement, int column, struct store_value *value)
{
	*value = (struct store_value){ .type = STORE_NULL };
	switch (sqlite3_column_type(statement, column)) {
	case SQLITE_NULL:
		return true;
	case SQLITE_INTEGER:
		value->type = STORE_INTEGER;
		value->integer = sqlite3_column_int64(statement, column);
		value->real = (double)value->integer;
		return true;
	case SQLITE_FLOAT:
		value->type = STORE_REAL;
		value->real = sqlite3_column_double(statement, column);
		return true;
	case SQLITE_TEXT:
		value->type = STORE_TEXT;
		value->text = (const char *)sqlite3_column_text(statement, column);
		return value->text &&
		       strlen(value->text) == (size_t)sqlite3_column_bytes(statement, column);
	default:
		return false;
	}
}

static int sqlite_query(void *database, const char *sql, const struct store_value *parameters,
			unsigned count, store_row row, void *argument,
			const struct store_message *why)
{
	struct sqlite_store *store = database;
	struct store_value fields[24];
	sqlite3_stmt *statement = NULL;
	int result = sqlite3_prepare_v2(store->handle, sql, -1, &statement, NULL), error = 0;

	if (result == SQLITE_OK)
		result = bind(statement, parameters, count);
	while (result == SQLITE_OK && !error) {
		const int columns = sqlite3_column_count(statement);

		result = sqlite3_step(statement);
		if (result != SQLITE_ROW)
			break;
		result = SQLITE_OK;
		for (int i = 0; i < columns && i < (int)(sizeof(fields) / sizeof(*fields)); i++)
			if (!fetch(statement, i, &fields[i]))
				error = store_fail(
					why, -EBADMSG,
					"the history %s holds values that poolbench never "
					"writes: it is damaged, or was not made by it",
					store->path);
		if (!error && row)
			error = row(fields, (unsigned)columns, argument);
	}
	if (!error && result != SQLITE_OK && result != SQLITE_DONE)
		error = explain(store, result, why);
	sqlite3_finalize(statement);
	return error;
}

const struct store_driver store_sqlite = {
	.name = "SQLite",
	.tables_sql =
		"SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
	.open = sqlite_open,
	.close = sqlite_close,
	.begin = sqlite_begin,
	.commit = sqlite_commit,
	.rollback = sqlite_rollback,
	.query = sqlite_query,
};
