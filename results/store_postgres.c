/*
 * A history in a PostgreSQL server, for many machines and branches. Every transaction is the server's own, so that a
 * connection that is lost in mid-write leaves nothing; writers queue at one advisory lock.
 */
#include <errno.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store_driver.h"

/* The key of the lock under which one writes: the letters of "poolhist". */
#define WRITE_LOCK     "SELECT pg_advisory_xact_lock(8101816766061704052)"

#define PARAMETERS_MAX 24

/* Of the server's catalogue pg_type: never change. */
enum { OID_INT8 = 20, OID_INT2 = 21, OID_INT4 = 23, OID_FLOAT8 = 701 };

struct postgres_store {
	PGconn *connection;
	char shown[512]; /* the address without a password */
};

/* ---- what is shown ---- */

/* "postgresql://ann:secret@host/db?password=x" -> "postgresql://ann:...@host/db"; a query may hold secrets too. */
static void show_address(const char *where, char *shown, size_t bytes)
{
	const char *host = strstr(where, "://");
	const char *end = where + strcspn(where, "?");
	const char *at, *colon = NULL;

	host = host ? host + 3 : where;
	at = memchr(host, '@', (size_t)(end - host));
	if (at)
		colon = memchr(host, ':', (size_t)(at - host));
	if (colon)
		snprintf(shown, bytes, "%.*s:...%.*s", (int)(colon - where), where, (int)(end - at),
			 at);
	else
		snprintf(shown, bytes, "%.*s", (int)(end - where), where);
}

/* libpq's words on one line. */
static void first_line(const char *words, char *line, size_t bytes)
{
	snprintf(line, bytes, "%s", words && *words ? words : "no reason given");
	line[strcspn(line, "\n")] = '\0';
}

/* ---- errors ---- */

static int lost(const struct postgres_store *store, const struct store_message *why)
{
	char words[300];

	first_line(PQerrorMessage(store->connection), words, sizeof(words));
	return store_fail(
		why, -ENOTCONN,
		"the server of %s went away (%s): nothing that was not confirmed is stored; "
		"run the same command again when it is back, that is safe",
		store->shown, words);
}

static int explain(const struct postgres_store *store, const PGresult *result,
		   const struct store_message *why)
{
	const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
	char words[300];

	if (PQstatus(store->connection) != CONNECTION_OK)
		return lost(store, why);
	first_line(result ? PQresultErrorMessage(result) : PQerrorMessage(store->connection), words,
		   sizeof(words));
	if (!state)
		state = "";
	if (!strcmp(state, "55P03") || !strcmp(state, "40P01") || !strcmp(state, "40001"))
		return store_fail(why, -EBUSY,
				  "the history %s is locked by another writer: try again, or give "
				  "--wait more seconds",
				  store->shown);
	if (!strcmp(state, "53100") || !strcmp(state, "53400"))
		return store_fail(why, -ENOSPC,
				  "the server of %s has no space left (%s): nothing was stored",
				  store->shown, words);
	if (!strcmp(state, "42501") || !strcmp(state, "25006"))
		return store_fail(
			why, -EACCES,
			"the history %s may not be written (%s): ask for the right to, or use "
			"another account",
			store->shown, words);
	if (!strncmp(state, "57P", 3))
		return store_fail(why, -ENOTCONN,
				  "the server of %s is shutting down or starting (%s): nothing was "
				  "stored; try again when it is up",
				  store->shown, words);
	if (!strncmp(state, "XX", 2))
		return store_fail(why, -EBADMSG, "the history %s is damaged (%s): restore a backup",
				  store->shown, words);
	return store_fail(why, -EIO, "the history %s: %s", store->shown, words);
}

/* ---- opening ---- */

static int check_address(const char *where, const struct store_message *why)
{
	char *words = NULL, line[200];
	PQconninfoOption *options = PQconninfoParse(where, &words);

	if (options) {
		PQconninfoFree(options);
		return 0;
	}
	first_line(words, line, sizeof(line));
	PQfreemem(words);
	return store_fail(why, -EINVAL,
			  "--store: no address of a PostgreSQL server (%s); such as "
			  "postgresql://USER@HOST/DATABASE",
			  line);
}

static void postgres_close(void *database)
{
	struct postgres_store *store = database;

	if (!store)
		return;
	PQfinish(store->connection);
	free(store);
}

static void ignore_notices(void *argument, const PGresult *result)
{
	(void)argument;
	(void)result;
}

static int set_up(struct postgres_store *store, unsigned wait_seconds, bool *writable,
		  const struct store_message *why)
{
	char sql[160];
	PGresult *result;
	int error = 0;

	PQsetNoticeReceiver(store->connection, ignore_notices, NULL);
	snprintf(sql, sizeof(sql), "SET lock_timeout = '%us'; SET extra_float_digits = 1;",
		 wait_seconds ? wait_seconds : 1);
	result = PQexec(store->connection, sql);
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		error = explain(store, result, why);
	PQclear(result);
	*writable = true;
	return error;
}

static int postgres_open(const char *where, bool create, unsigned wait_seconds, void **database,
			 bool *writable, const struct store_message *why)
{
	/* What stands before dbname is a default that the address may override; what stands behind it is ours. */
	const char *const keys[] = { "connect_timeout",
				     "keepalives_idle",
				     "tcp_user_timeout",
				     "dbname",
				     "client_encoding",
				     "fallback_application_name",
				     NULL };
	const char *const values[] = { "10", "30", "30000", where, "UTF8", "poolbench", NULL };
	struct postgres_store *store;
	char words[300];
	int error = check_address(where, why);

	(void)create; /* tables are made by the schema; a database is the administrator's to make */
	if (error)
		return error;
	store = calloc(1, sizeof(*store));
	if (!store)
		return store_fail(why, -ENOMEM, "out of memory");
	show_address(where, store->shown, sizeof(store->shown));
	store->connection = PQconnectdbParams(keys, values, 1);
	if (PQstatus(store->connection) != CONNECTION_OK) {
		first_line(PQerrorMessage(store->connection), words, sizeof(words));
		error = store_fail(
			why, -ENOTCONN,
			"cannot reach the history %s: %s. Is the server running, and are host, "
			"user and database right?",
			store->shown, words);
	} else {
		error = set_up(store, wait_seconds, writable, why);
	}
	if (error) {
		postgres_close(store);
		return error;
	}
	*database = store;
	return 0;
}

/* ---- statements ---- */

/* Text of every parameter in one buffer; numbers so that they read back as they are. */
static void write_parameters(const struct store_value *values, unsigned count, char (*numbers)[40],
			     const char **texts)
{
	for (unsigned i = 0; i < count; i++) {
		texts[i] = NULL;
		if (values[i].type == STORE_INTEGER)
			snprintf(numbers[i], sizeof(numbers[i]), "%" PRId64, values[i].integer);
		else if (values[i].type == STORE_REAL)
			snprintf(numbers[i], sizeof(numbers[i]), "%.17g", values[i].real);
		if (values[i].type == STORE_TEXT)
			texts[i] = values[i].text;
		else if (values[i].type != STORE_NULL)
			texts[i] = numbers[i];
	}
}

static void fetch(const PGresult *result, int row, int column, struct store_value *value)
{
	*value = (struct store_value){ .type = STORE_NULL };
	if (PQgetisnull(result, row, column))
		return;
	value->text = PQgetvalue(result, row, column);
	switch (PQftype(result, column)) {
	case OID_INT8:
	case OID_INT4:
	case OID_INT2:
		value->type = STORE_INTEGER;
		value->integer = strtoll(value->text, NULL, 10);
		value->real = (double)value->integer;
		break;
	case OID_FLOAT8:
		value->type = STORE_REAL;
		value->real = strtod(value->text, NULL);
		break;
	default:
		value->type = STORE_TEXT;
	}
}

static int visit_rows(const PGresult *result, store_row row, void *argument)
{
	struct store_value fields[PARAMETERS_MAX];
	const int columns = PQnfields(result);
	int error = 0;

	for (int i = 0; i < PQntuples(result) && !error; i++) {
		for (int c = 0; c < columns && c < PARAMETERS_MAX; c++)
			fetch(result, i, c, &fields[c]);
		error = row(fields, (unsigned)columns, argument);
	}
	return error;
}

static int postgres_query(void *database, const char *sql, const struct store_value *parameters,
			  unsigned count, store_row row, void *argument,
			  const struct store_message *why)
{
	struct postgres_store *store = database;
	char numbers[PARAMETERS_MAX][40];
	const char *texts[PARAMETERS_MAX];
	PGresult *result;
	ExecStatusType status;
	int error = 0;

	write_parameters(parameters, count, numbers, texts);
	result = PQexecParams(store->connection, sql, (int)count, NULL, texts, NULL, NULL, 0);
	status = PQresultStatus(result);
	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		error = explain(store, result, why);
	else if (row)
		error = visit_rows(result, row, argument);
	PQclear(result);
	return error;
}

/* ---- transactions ---- */

static int postgres_begin(void *database, bool write, const struct store_message *why)
{
	int error = postgres_query(
		database, write ? "BEGIN" : "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", NULL,
		0, NULL, NULL, why);

	return error || !write ? error
			       : postgres_query(database, WRITE_LOCK, NULL, 0, NULL, NULL, why);
}

static int postgres_commit(void *database, const struct store_message *why)
{
	return postgres_query(database, "COMMIT", NULL, 0, NULL, NULL, why);
}

static void postgres_rollback(void *database)
{
	struct postgres_store *store = database;

	if (PQtransactionStatus(store->connection) != PQTRANS_IDLE)
		PQclear(PQexec(store->connection, "ROLLBACK"));
}

const struct store_driver store_postgres = {
	.name = "PostgreSQL",
	.tables_sql =
		"SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema() AND "
		"tablename LIKE 'track\\_%'",
	.open = postgres_open,
	.close = postgres_close,
	.begin = postgres_begin,
	.commit = postgres_commit,
	.rollback = postgres_rollback,
	.query = postgres_query,
};
