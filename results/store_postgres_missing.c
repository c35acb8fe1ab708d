/* In place of store_postgres.c where libpq was not there when this was built. */
#include <errno.h>

#include "store_driver.h"

static int missing_open(const char *where, bool create, unsigned wait_seconds, void **database,
			bool *writable, const struct store_message *why)
{
	(void)where;
	(void)create;
	(void)wait_seconds;
	(void)database;
	(void)writable;
	return store_fail(
		why, -ENOENT,
		"this poolbench was built without PostgreSQL: apt-get install libpq-dev, and build "
		"it again; a history in a file needs nothing");
}

const struct store_driver store_postgres = { .name = "PostgreSQL", .open = missing_open };
