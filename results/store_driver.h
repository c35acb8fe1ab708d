/*
 * What is under a history: a database that speaks the few words of SQL that SQLite and PostgreSQL share. A driver
 * opens it, runs statements inside transactions and says in a sentence what went wrong and what would help.
 * Statements and schema are the same for all (store_schema.c, store_*.c).
 *
 * Parameters are $1, $2 ... Every writer takes the store's one write lock at begin(), so that what it reads stays
 * true until it commits. One thread a connection.
 */
#ifndef POOLBENCH_STORE_DRIVER_H
#define POOLBENCH_STORE_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum store_value_type { STORE_NULL, STORE_INTEGER, STORE_REAL, STORE_TEXT };

/* A parameter or a field. Text is NUL-terminated and belongs to whoever made it, fields until the next row. */
struct store_value {
	enum store_value_type type;
	int64_t integer;
	double real;
	const char *text;
};

/* One row; 0 to go on, or -errno, which ends the query and is what it returns. */
typedef int (*store_row)(const struct store_value *fields, unsigned count, void *argument);

struct store_message {
	char *text;
	size_t bytes;
};

struct store_driver {
	const char *name;
	/* Names of the tables that are there, one a row. */
	const char *tables_sql;
	/*
	 * 0, or with a sentence: -ENOENT (nothing there and `create` is false; the library is missing), -EACCES, -EROFS,
	 * -EISDIR, -EBADMSG (no database, damaged), -EBUSY, -ENOTCONN (the server), -EINVAL (the address), -ENOMEM.
	 * `writable` says what was possible.
	 */
	int (*open)(const char *where, bool create, unsigned wait_seconds, void **database,
		    bool *writable, const struct store_message *why);
	void (*close)(void *database);
	/* A transaction: with `write` the only writer, else one that sees a single state. */
	int (*begin)(void *database, bool write, const struct store_message *why);
	int (*commit)(void *database, const struct store_message *why);
	/* Never fails: what is not committed is gone. */
	void (*rollback)(void *database);
	/* One statement. `row` may be NULL. Errors as open, and -ENOSPC, -EIO. */
	int (*query)(void *database, const char *sql, const struct store_value *parameters,
		     unsigned count, store_row row, void *argument,
		     const struct store_message *why);
};

extern const struct store_driver store_sqlite, store_postgres;

/* Fills `why` and returns `error`, negative. */
__attribute__((format(printf, 3, 4))) int store_fail(const struct store_message *why, int error,
						     const char *format, ...);

/* ---- fields and parameters ---- */

struct store_value store_text(const char *text); /* NULL is NULL */
struct store_value store_integer(int64_t value);
struct store_value store_real(double value); /* NaN is NULL */

/*
 * A field of a database that a stranger may have written. False where it is of another type, does not fit or is not
 * finite; NULL reads as NaN and, with `null_ok`, as an empty text.
 */
bool store_read_text(const struct store_value *field, char *text, size_t bytes, bool null_ok);
bool store_read_integer(const struct store_value *field, int64_t low, int64_t high, int64_t *value);
bool store_read_real(const struct store_value *field, double *value);

#endif
