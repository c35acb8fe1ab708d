/*
 * The verifier: a layer over any pool that holds its callers to the rules of the interface, as Driver Verifier does
 * with drivers. It is a backend itself (verifier_ops, verifier_pool), so that whatever drives a pool drives it.
 *
 *     caller -> verifier -> special pool (a page and a guard page a block)   where it takes part
 *                        -> the backend                                      all else
 *
 *     special         guard pages behind (or in front of) blocks, patterns around them, freed ones out of reach
 *     tracking        every live block with tag, size, caller: leaks by tag, wrong tags, double and foreign frees
 *     irql            allocations and frees at levels that forbid them
 *     low resources   NULL at random, after a delay, of one tag or of all
 *
 * Zero bytes and tags that are none are always reported. What is broken goes to finding_stop_block: a process that
 * uses a verifier has a finding installed, and ends with it.
 *
 * Thread safety: as the contract's: alloc and free by any thread; the rest while all is quiet.
 */
#ifndef POOLBENCH_VERIFIER_H
#define POOLBENCH_VERIFIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocators/pool.h"
#include "bench/finding.h"

enum verifier_part {
	VERIFIER_SPECIAL = 1 << 0,
	VERIFIER_TRACKING = 1 << 1,
	VERIFIER_IRQL = 1 << 2,
	VERIFIER_LOW_RESOURCES = 1 << 3,
	VERIFIER_SPECIAL_OVERRUN = 1 << 4, /* special pool, guarded at the end */
	VERIFIER_SPECIAL_UNDERRUN = 1 << 5, /* guarded at the start */
	VERIFIER_PARTS = (1 << 6) - 1
};
/* By bit: "special", "tracking", "irql", "low-resources", "special-overrun", "special-underrun", NULL. */
extern const char *const verifier_part_names[];

/* Which end of a special-pool block lies against a guard page. */
enum verifier_guard { VERIFIER_GUARD_END, VERIFIER_GUARD_START };

/* What the parts ask for; where they leave it open, or ask for both, one by the seed's parity. */
enum verifier_guard verifier_guard_of(uint32_t parts, uint64_t seed);

/* Driver Verifier's own: 600 allocations in 10000. */
#define VERIFIER_LOW_PROBABILITY 0.06

struct verifier_low {
	double probability; /* of each allocation that the rest lets through; 0: none */
	uint64_t delay; /* allocations before the first that may be refused */
	uint32_t tag; /* only of this tag; 0: any */
	uint64_t seed;
};

struct verifier_config {
	const struct pool_backend *ops; /* of the pool underneath; outlives the verifier */
	struct pool *pool;
	uint32_t parts; /* enum verifier_part */
	enum verifier_guard guard;
	unsigned
		special_every; /* every so many requests of a page or less go to special pool; 0: all */
	struct verifier_low low;
};

struct verifier;

/*
 * 0 and *out; -ENOMEM; -EBUSY: another verifier of this process has a special pool (there is one fault handler).
 */
int verifier_create(const struct verifier_config *config, struct verifier **out);

/* Forgets everything; the pool underneath stays. NULL is fine. */
void verifier_destroy(struct verifier *verifier);

/* What its callers use instead of the backend's. `destroy` destroys the pool underneath, not the verifier. */
const struct pool_backend *verifier_ops(const struct verifier *verifier);
struct pool *verifier_pool(struct verifier *verifier);

/* Whether the block is in special pool, and so not in the backend's. Any thread. */
bool verifier_is_special(const struct verifier *verifier, const void *block);

/* Changes the plan of refusals. While all is quiet. */
void verifier_set_low(struct verifier *verifier, const struct verifier_low *low);

/* Visits each tag that has live blocks, most bytes first; how many tags. Needs tracking (else 0). */
size_t verifier_leaks(struct verifier *verifier,
		      void (*visit)(void *arg, const struct finding_leak *leak), void *arg);

/* Reports what is live by tag, as a leak (0xC4/0x62) of the tag with the most bytes. Needs tracking. */
void verifier_expect_nothing_live(struct verifier *verifier);

#endif
