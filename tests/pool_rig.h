/*
 * What the tests of a design stand on: a pool over page sources of its own, blocks of one tag, and stops that
 * are expected. A stop that is not fails the test, and so does a pool that leaves anything in its sources.
 */
#ifndef POOLBENCH_TESTS_POOL_RIG_H
#define POOLBENCH_TESTS_POOL_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "allocators/backends.h"
#include "allocators/pages.h"

#define TAG            POOL_TAG('T', 'e', 's', 't')
#define KIB            ((size_t)1 << 10)
#define MIB            ((size_t)1 << 20)

#define RIG_PROCESSORS 3u

struct rig {
	const struct pool_backend *ops;
	struct page_source *pages[POOL_TYPES];
	struct pool *pool;
	max_align_t values[32]; /* parsed options */
	jmp_buf stopped;
	struct pool_stop stop;
	bool expects_stop;
};

/* Sources of so large pages and parsed options, no pool yet. Any failure fails the test, here and below. */
void rig_sources(struct rig *rig, const struct pool_backend *ops, size_t page_size,
		 const char *options);
/* A pool on them; this thread stands for processor 0. create's error. */
int rig_pool(struct rig *rig, uint64_t seed);
/* Both, with pages of 4 KiB, or another size, and seed 1, or another. */
void rig_up(struct rig *rig, const struct pool_backend *ops, const char *options);
void rig_up_sized(struct rig *rig, const struct pool_backend *ops, size_t page_size,
		  const char *options);
void rig_up_seeded(struct rig *rig, const struct pool_backend *ops, const char *options,
		   uint64_t seed);

/* The pool's own check. */
void rig_check(struct rig *rig);
/* Check, destroy, and nothing may be left in the sources. */
void rig_down(struct rig *rig);
/* The same without the check: for a pool that was found corrupt. */
void rig_drop(struct rig *rig);
/* What rig_drop does last. */
void rig_sources_down(struct rig *rig);
/* This thread stands for another processor from now on. */
void rig_become(struct rig *rig, unsigned processor);

struct page_source_stats rig_stats(const struct rig *rig, enum pool_type type);
size_t rig_committed(const struct rig *rig, enum pool_type type);
/* One of the pool's counters, which must exist. */
uint64_t counter(struct rig *rig, const char *name);

/* Blocks filled with 0x5A; nonpaged, or of a type. */
void *take(struct rig *rig, size_t bytes);
void *take_of(struct rig *rig, enum pool_type type, size_t bytes);
void take_many(struct rig *rig, void **blocks, size_t count, size_t bytes);
void give(struct rig *rig, void *block);
void give_many(struct rig *rig, void **blocks, size_t count);
size_t bytes_of(struct rig *rig, const void *block);

static inline uintptr_t page_of(const void *block)
{
	return (uintptr_t)block & ~(uintptr_t)(POOL_OS_PAGE - 1);
}

static inline size_t offset_of(const void *block)
{
	return (uintptr_t)block & (POOL_OS_PAGE - 1);
}

struct tally {
	size_t bytes[POOL_TYPES][POOL_RANGE_KINDS];
	size_t used_blocks;
};
/* What walk meets. It tiles what is committed: the sums are equal, so nothing is met twice or left out. */
struct tally rig_walk(struct rig *rig);

/* Frees what should not be freed: the stop's code and first argument. */
void expect_stop(struct rig *rig, void *block, uint32_t tag, uint32_t code, uint64_t reason);

/* The statement must end in a stop with this code and first argument. */
#define assert_stop(rig, code_, argument, statement) \
	do { \
		(rig)->expects_stop = true; \
		if (setjmp((rig)->stopped) == 0) { \
			statement; \
			fail_msg("no stop: %s", #statement); \
		} \
		(rig)->expects_stop = false; \
		assert_int_equal((rig)->stop.code, code_); \
		assert_int_equal((rig)->stop.arguments[0], argument); \
		assert_true(strlen((rig)->stop.text) > 0); \
	} while (0)

#endif
