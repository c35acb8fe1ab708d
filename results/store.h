/*
 * Where histories are kept: an SQLite file, or a PostgreSQL server for a team (an address postgresql://...). Both
 * have the same tables (docs/results-schema.md) and the same rules:
 *
 *  - a run is added whole or not at all, whatever ends the process, the machine or the server;
 *  - writers take turns; readers see one state;
 *  - the schema has a number; an older store is brought up to date by whoever may write it, a newer one is refused;
 *  - nothing is taken out: what is forgotten is marked;
 *  - what is read back is checked: a store may come from a stranger.
 *
 * Errors, with a sentence in `why`: -ENOENT (no store; a library is missing), -EPROTONOSUPPORT (a newer store),
 * -EBUSY (locked), -EBADMSG (damaged, or no store), -EACCES, -EROFS, -EISDIR, -ENOSPC, -EIO, -ENOTCONN (the server),
 * -EINVAL, -ENOMEM. A struct store belongs to one thread.
 */
#ifndef POOLBENCH_STORE_H
#define POOLBENCH_STORE_H

#include "history.h"

#define STORE_SCHEMA       2
#define STORE_DEFAULT      "results/history.db"
#define STORE_WAIT_SECONDS 10

struct store;

/* `create`: a store that is not there is made. `wait_seconds`: for a lock that others hold. */
int store_open(const char *where, bool create, unsigned wait_seconds, struct store **out, char *why,
	       size_t why_bytes);
void store_close(struct store *store);

/* The reference backend that this history's ratios are to; empty before the first run. */
int store_reference(struct store *store, char *reference, size_t bytes, char *why,
		    size_t why_bytes);

enum store_added {
	STORE_ADDED,
	STORE_PRESENT, /* nothing to do: it is there, with as many records or more */
	STORE_GROWN, /* it was there with fewer records, and was replaced */
};

/* Adds a run, in one transaction. -EEXIST: it is there with other contents. */
int store_add(struct store *store, const struct history_entry *entry, enum store_added *added,
	      char *why, size_t why_bytes);

struct history_filter {
	const char *machine, *branch; /* NULL or empty: all */
	unsigned last; /* runs; 0: all */
	double before; /* runs that started before; 0: all */
	bool points, samples;
};

/*
 * The runs that match, with their points and all decisions; for history_release(). Pinned runs of the machine come
 * with them whatever their branch and age.
 */
int store_read(struct store *store, const struct history_filter *filter, struct history *history,
	       char *why, size_t why_bytes);

/*
 * The run that a person means: its id, the start of it, or the start of its commit (7 characters or more); or "last", of
 * `machine` alone, because a team's newest run may be another machine's.
 */
int store_find_run(struct store *store, const char *name, const char *machine,
		   struct history_run *run, char *why, size_t why_bytes);

struct history_machine {
	char fingerprint[FINGERPRINT_BYTES], text[256];
	int64_t runs;
};

/* For free(). */
int store_machines(struct store *store, struct history_machine **machines, size_t *count, char *why,
		   size_t why_bytes);

/* Writes a decision down; id, made and made_by are filled in. */
int store_decide(struct store *store, struct history_decision *decision, char *why,
		 size_t why_bytes);

/* Withdraws those of the kind and run that hold and have the same cells; -ENOENT where there is none. */
int store_withdraw(struct store *store, const struct history_decision *decision, size_t *count,
		   char *why, size_t why_bytes);

#endif
