/* What the tests of slub add to the pools' common rig: slabs and caches from the inside. */
#ifndef POOLBENCH_TESTS_SLUB_RIG_H
#define POOLBENCH_TESTS_SLUB_RIG_H

#include "allocators/slub/slub.h"
#include "pool_rig.h"

/* Without sheaves, which would stand between the test and the slabs. */
#define CLASSIC "sheaf=0,"

static inline struct slab *slab_of(struct rig *rig, const void *block)
{
	return slub_entry_slab(*slub_entry(&rig->pool->pages[POOL_NONPAGED], block));
}

static inline struct slub_cache *cache_of(struct rig *rig, size_t bytes)
{
	return &rig->pool->caches[POOL_NONPAGED][rig->pool->class_of[(bytes - 1) / 16]];
}

/* A full slab, left by its processor; the blocks of another follow. */
static inline void fill_slabs(struct rig *rig, void **blocks, unsigned slabs)
{
	for (unsigned i = 0; i < slabs * 32; i++)
		blocks[i] = take(rig, 128);
	take(rig, 128); /* so that the last one is left too */
}

#endif
