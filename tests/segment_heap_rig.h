/*
 * What the tests of segment-heap share: a heap over page sources of its own, blocks of one tag, and
 * stops that are expected. A stop that is not fails the test.
 */
#ifndef POOLBENCH_TESTS_SEGMENT_HEAP_RIG_H
#define POOLBENCH_TESTS_SEGMENT_HEAP_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "allocators/segment_heap/segment_heap.h"

#define TAG   POOL_TAG('T', 'e', 's', 't')
#define KIB   ((size_t)1 << 10)
#define MIB   ((size_t)1 << 20)
/* Only the variable-size layer and the back end, each free at once. */
#define BARE "lfh=off,lookaside=off,vs_delay=0"

struct rig {
	struct page_source *pages[POOL_TYPES];
	struct pool *pool;
	struct sh_options options;
	jmp_buf stopped;
	struct pool_stop stop;
	bool expects_stop;
};

extern const struct pool_backend *const ops;

/* Nonpaged and paged sources of 4 KiB pages, three processors; the caller stands for the first. */
void rig_up(struct rig *rig, const char *options);
void rig_up_seeded(struct rig *rig, const char *options, uint64_t seed);
/* Checks, destroys, and sees that everything went back. */
void rig_down(struct rig *rig);
/* The same without the check: for a heap that was found corrupt. */
void rig_drop(struct rig *rig);
/* The calling thread stands for another processor from now on. */
void rig_become(struct rig *rig, unsigned processor);
size_t rig_committed(const struct rig *rig); /* nonpaged bytes */

/* Nonpaged blocks, filled with 0x5A. */
void *take(struct rig *rig, size_t bytes);
void give(struct rig *rig, void *block);
void take_many(struct rig *rig, void **blocks, size_t count, size_t bytes);
void give_many(struct rig *rig, void **blocks, size_t count);
size_t bytes_of(struct rig *rig, const void *block);
uint64_t counter(struct rig *rig, const char *name);
/* Frees what should not be freed: the stop's code and first argument. */
void expect_stop(struct rig *rig, void *block, uint32_t tag, uint32_t code, uint64_t reason);

#endif
