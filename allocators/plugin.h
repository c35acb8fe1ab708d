/* Plugins: backends in shared objects of their own. For the registry alone. */
#ifndef POOLBENCH_PLUGIN_H
#define POOLBENCH_PLUGIN_H

#include <stddef.h>

#include "pool.h"

/*
 * Loads `path` and finds its backend. 0, *ops and *handle (for plugin_unload); or, with a sentence in `why`,
 * -ENOENT (no such file) or -ENOEXEC (not a plugin of this version). Not thread-safe.
 */
int plugin_load(const char *path, const struct pool_backend **ops, void **handle, char *why,
		size_t why_bytes);
void plugin_unload(void *handle);

#endif
