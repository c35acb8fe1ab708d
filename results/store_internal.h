/* What the parts of the store share. */
#ifndef POOLBENCH_STORE_INTERNAL_H
#define POOLBENCH_STORE_INTERNAL_H

#include "store.h"
#include "store_driver.h"

struct store {
	const struct store_driver *driver;
	void *database;
	bool writable;
};

/* The statements that make version i + 1 of version i; each list ends with NULL. */
extern const char *const *const store_migrations[STORE_SCHEMA];

int store_query(struct store *store, const char *sql, const struct store_value *parameters,
		unsigned count, store_row row, void *argument, const struct store_message *why);

/* begin, `work`, commit; or rollback and work's error. */
int store_transaction(struct store *store, bool write,
		      int (*work)(struct store *store, void *argument,
				  const struct store_message *why),
		      void *argument, const struct store_message *why);

/* `array` with room for one element more, which is zeroed; NULL when memory ran out, and `array` is as it was. */
void *store_grow(void *array, size_t count, size_t *room, size_t element);

/* -EBADMSG: a row that poolbench never wrote. */
int store_strange(const struct store_message *why, const char *what);

#endif
