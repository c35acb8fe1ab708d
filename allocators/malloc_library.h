/* Malloc libraries behind the pool contract. For the registry alone; malloc_library.c says what they promise. */
#ifndef POOLBENCH_MALLOC_LIBRARY_H
#define POOLBENCH_MALLOC_LIBRARY_H

#include <stddef.h>

#include "object.h"
#include "options.h"
#include "pool.h"

/* What pool_config.values points to for these backends; `options` fills the three names. */
struct malloc_library_values {
	char alloc[OPTION_TEXT_BYTES], free[OPTION_TEXT_BYTES], usable[OPTION_TEXT_BYTES];
	const struct malloc_library *library;
};

extern const struct option_def malloc_library_options[];

struct malloc_library;

/*
 * Loads `file` (a path or soname; NULL: the process's C library) and resolves its functions: those that
 * `values` names, or the first family it has. 0 and *out; or, with a sentence in `why`, -ENOENT (not there)
 * or -ENOEXEC (its symbols are not what they should be). `name` and `summary` are copied. Not thread-safe.
 */
int malloc_library_open(const char *name, const char *summary, const char *file,
			const struct malloc_library_values *values, struct malloc_library **out,
			char *why, size_t why_bytes);

/* The library itself stays loaded: threads may still have caches in it. NULL is fine. */
void malloc_library_close(struct malloc_library *library);

const struct pool_backend *malloc_library_backend(const struct malloc_library *library);

/* The object in which the allocation function lies. */
void malloc_library_identify(const struct malloc_library *library,
			     struct object_identity *identity);

#endif
