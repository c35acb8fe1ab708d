/* What the tests of nt-pool stand on: two page sources, a pool, and a stop that jumps back. */
#ifndef POOLBENCH_NT_POOL_RIG_H
#define POOLBENCH_NT_POOL_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "allocators/backends.h"
#include "allocators/nt_pool/nt_pool.h"
#include "allocators/options.h"
#include "allocators/pages.h"

#define TAG POOL_TAG('T', 'e', 's', 't')

struct rig {
	struct page_source *pages[POOL_TYPES];
	struct pool *pool;
	struct nt_options options;
	jmp_buf stopped;
	struct pool_stop stop;
	bool expects_stop;
};

struct tally {
	const struct rig *rig;
	size_t bytes[POOL_TYPES][POOL_RANGE_KINDS];
	size_t used_blocks;
};

/* A pool on the rig's sources with its options; this thread enters it. create's error. */
int rig_pool(struct rig *rig);
/* Page sources only. */
void rig_sources(struct rig *rig, size_t page_size);
/* Sources, options and pool; any failure fails the test. */
void rig_up(struct rig *rig, size_t page_size, const char *options);
size_t rig_committed(const struct rig *rig, enum pool_type type);
void rig_check(struct rig *rig);
/* Nothing may be left in the sources. */
void rig_sources_down(struct rig *rig);
/* check, destroy, and rig_sources_down. */
void rig_down(struct rig *rig);
void *take(struct rig *rig, enum pool_type type, size_t bytes);
void give(struct rig *rig, void *block);
/* One of the pool's counters, which must exist. */
uint64_t counter(struct rig *rig, const char *name);
/* The walk tiles what is committed: the sums are equal, so nothing is met twice or left out. */
struct tally rig_walk(struct rig *rig);
uintptr_t page_of(const void *block);
size_t offset_of(const void *block);

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
	} while (0)

#endif
