/*
 * Special pool: each block on a page of its own, against a page that cannot be touched.
 *
 *     | guard | page 0 | guard | page 1 | guard | ... | page n-1 | guard |
 *
 *     against the end:    | pattern ......... | block ...... slack | guard     slack: up to 15 bytes of pattern
 *     against the start:  guard | block ...... | pattern ......... |
 *
 * A touch beyond the guarded end faults at once; what is written on the other side, or into the slack, is seen
 * by the pattern at free. A freed page is made inaccessible and kept in quarantine, first in first out, until
 * half of all pages are there: a later touch faults too.
 *
 * One a process, for there is one fault handler. Any thread.
 */
#ifndef POOLBENCH_SPECIAL_POOL_H
#define POOLBENCH_SPECIAL_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocators/pool.h"

#define SPECIAL_PATTERN 0xC1u /* as in Windows */

struct special_pool;

/* 0 and *out; -ENOMEM; -EBUSY: there is one. `guard_start`: against the start, else against the end. */
int special_pool_create(bool guard_start, struct special_pool **out);
void special_pool_destroy(struct special_pool *special); /* NULL is fine */

/* NULL: more than a page, or all pages are in use: the caller asks the backend instead. */
void *special_pool_alloc(struct special_pool *special, enum pool_type type, size_t bytes,
			 uint32_t tag);

/* `block` is one that special_pool_contains. Reports what it finds (finding.h). */
void special_pool_free(struct special_pool *special, void *block, uint32_t tag);

bool special_pool_contains(const struct special_pool *special, const void *address);

struct special_block {
	size_t bytes;
	uint32_t tag;
	enum pool_type type;
	bool live;
};

/* What is known of the block whose page holds the address. False: no block was ever there. */
bool special_pool_look(const struct special_pool *special, const void *address,
		       struct special_block *out);

#endif
