/* Loaded ELF objects: which one an address lies in, and which build of it. For proofs of what really runs. */
#ifndef POOLBENCH_OBJECT_H
#define POOLBENCH_OBJECT_H

#include <stdbool.h>
#include <stddef.h>

struct object_identity {
	char path[384];
	char build_id[72]; /* GNU build id in hex (at most 32 bytes); "" if the object has none */
};

/* The object that contains `address`: 0, or -ENOENT when no loaded object does. Thread-safe. */
int object_identify(const void *address, struct object_identity *identity);

/* Whether `address` lies in the very object that `handle` (dlopen's) stands for, not in a dependency of it. */
bool object_contains(void *handle, const void *address);

#endif
