/*
 * The backends: the built-in ones, plugins loaded from shared objects, and malloc libraries behind the
 * same contract. One line in registry.c adds a built-in.
 */
#ifndef POOLBENCH_REGISTRY_H
#define POOLBENCH_REGISTRY_H

#include <stddef.h>

#include "pool.h"

/* The built-in backends, NULL-terminated, in the order in which `list` shows them. */
extern const struct pool_backend *const builtin_backends[];

enum backend_kind { BACKEND_BUILTIN, BACKEND_PLUGIN, BACKEND_LIBRARY };

/* A backend that was found and can create pools. Lives until backend_close. */
struct backend {
	const struct pool_backend *ops;
	enum backend_kind kind;
	char name[64];      /* what figures show: "nt-pool", "jemalloc", a plugin's own name */
	char spec[512];     /* as given on the command line, options included */
	char options[512];  /* the options' part of it, canonical where there is a table; "" if none */
	char proof[512];    /* what really runs: "built-in", or the object's path and build id */
	void *values;       /* parsed options, or NULL */
	void *handle;       /* dlopen's */
	void *library;      /* malloc libraries: the resolved functions */
};

/*
 * Finds what `spec` names and loads it:
 *     NAME[:options]           a built-in, or a well-known malloc library (glibc, mimalloc, jemalloc, ...)
 *     malloc:PATH[:options]    any malloc library, by path or soname
 *     PATH.so[:options]        a plugin (contains a slash, or ends in .so)
 * 0 and *out; or, with a sentence in `why` that names the thing and the remedy: -EINVAL (unknown name, bad
 * option), -ENOENT (a library or file that is not there: says which package has it), -ENOEXEC (not a
 * plugin: no symbol, wrong ABI, caps and hooks disagree). Not thread-safe.
 */
int backend_open(const char *spec, struct backend **out, char *why, size_t why_bytes);
void backend_close(struct backend *backend);

/*
 * A pool of this backend: fills options and values of a copy of `config` from the backend. As
 * pool_backend.create otherwise; `why` as above.
 */
int backend_create_pool(const struct backend *backend, const struct pool_config *config,
			struct pool **out, char *why, size_t why_bytes);

/*
 * A pool's counters: the backend's own, then what its page sources gave it and got back, in pool pages. None
 * where the backend counts nothing. Quiescent. pool.h lists the names that designs have in common.
 */
void backend_counters(const struct pool_backend *ops, struct pool *pool,
		      struct page_source *const pages[POOL_TYPES], pool_counter_visit visit, void *arg);

/* Whether caps and hooks agree and the mandatory hooks are there: 0 or -ENOEXEC with a sentence. */
int backend_validate(const struct pool_backend *ops, char *why, size_t why_bytes);

/* A malloc library that has a short name. */
struct known_library {
	const char *name;    /* "jemalloc" */
	const char *soname;  /* "libjemalloc.so.2"; NULL: the process's own (glibc) */
	const char *package; /* Debian's package that has it */
	const char *summary;
};
extern const struct known_library known_libraries[]; /* ended by a NULL name */

#endif
