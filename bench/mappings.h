/* Stretches of this process's address space, by the kernel's word: what is whose, and what of it is resident. */
#ifndef POOLBENCH_MAPPINGS_H
#define POOLBENCH_MAPPINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAPPINGS_MAX 512u

struct mapping {
	uintptr_t start, end;
};

struct mappings {
	struct mapping at[MAPPINGS_MAX]; /* what does not fit is left out */
	size_t count;
};

/*
 * The private, anonymous, writable mappings in order of address; with `heap`, what brk has given, too. No
 * allocation. 0 or -errno.
 */
int mappings_read(struct mappings *mappings, bool heap);

void mappings_add(struct mappings *mappings, const void *start, size_t bytes);

/* Cuts every stretch of `without` out of `mappings`. */
void mappings_subtract(struct mappings *mappings, const struct mappings *without);

/* Drops the stretch that holds this address, if there is one. */
void mappings_drop(struct mappings *mappings, const void *address);

/* Joins neighbours that are no more than `gap` bytes apart. */
void mappings_join(struct mappings *mappings, size_t gap);

/* Calls visit for every resident page (of POOL_OS_PAGE) of a stretch. 0 or -errno. */
int mapping_resident(const struct mapping *mapping, void (*visit)(void *arg, uintptr_t page),
		     void *arg);

#endif
