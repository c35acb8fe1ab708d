/*
 * Which blocks are live, and which were freed of late: the verifier's table.
 *
 * Sharded by address: each shard has a mutex, an open-addressing table of live blocks (linear probing, at most half
 * full, deletion by moving later ones back) and a ring of its latest frees, by which a double free is told from
 * an address that never was a block.
 */
#ifndef POOLBENCH_VERIFIER_TABLE_H
#define POOLBENCH_VERIFIER_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocators/pool.h"
#include "bench/finding.h"

struct tracked_block {
	const void *block;
	size_t bytes;
	uint64_t serial; /* of allocations */
	uint32_t tag;
	enum pool_type type;
	struct call_stack allocated, freed; /* by whom; freed: of one that is */
};

struct verifier_table;

struct verifier_table *verifier_table_create(void); /* NULL: out of memory */
void verifier_table_destroy(struct verifier_table *table);

/* 0, or -ENOMEM. An entry of that address is replaced: the backend handed it out again. Any thread. */
int verifier_table_add(struct verifier_table *table, const struct tracked_block *block);

enum tracked_state { TRACKED_LIVE, TRACKED_FREED, TRACKED_NEVER };

/*
 * Takes a live block out, which is then remembered as freed by `freed`, and tells what it was in *out; of one that
 * was freed lately, by whom. Any thread.
 */
enum tracked_state verifier_table_remove(struct verifier_table *table, const void *block,
					 const struct call_stack *freed, struct tracked_block *out);

/* Visits every live block; quiet. */
void verifier_table_walk(struct verifier_table *table,
			 void (*visit)(void *arg, const struct tracked_block *block), void *arg);

/* verifier_leaks.c: visits each tag that has live blocks, most bytes first; how many tags. Quiet. */
size_t verifier_table_leaks(struct verifier_table *table,
			    void (*visit)(void *arg, const struct finding_leak *leak), void *arg);

#endif
