/*
 * A race: which of many settings is best, with as few measurements as an honest answer takes.
 *
 * Entries are measured in blocks: one sample of every entry that is still open, in random order, so that drift falls on
 * all alike and any two entries can be compared by their differences within blocks. A sample is a score, the natural
 * logarithm of a cost: less is better, and a difference of 0.01 is one per cent. At a few looks:
 *
 *   best      the entry with the least Hodges-Lehmann estimate.
 *   dropped   an entry that is proven worse than the best, in one of two ways:
 *             - the exact one-sided signed-rank test of its differences;
 *             - more differences above the margin than chance allows, the margin being what noise exceeds with
 *               probability q on either side. With three blocks the rank test can prove nothing, but three
 *               differences far beyond the noise of all entries can: q^3. The margin is the pooled 1 - 2q quantile of
 *               changes from block to block, which hold the noise twice and the effects not at all.
 *             One that is cheaper than the best stays until it also looks worse by half the threshold.
 *   leader    of the entries within half the threshold of the best, by estimate, the cheapest: least `cost`
 *             (2 per cent count as equal), then least `rank`. What would be answered now.
 *   settled   the leader is proven, by the exact signed-rank test, to be less than the threshold worse than every other
 *             entry that was not dropped, and no cheaper entry is undecided. An entry that needs no more samples for
 *             this rests; if the leader changes, it may be called again.
 *
 * At the last look, or when the caller's budget is spent, an entry that is proven within the threshold of all
 * others is an answer too, even if a cheaper one is undecided.
 *
 * Error. Let b be the best in truth. A wrong answer, one that is worse than b by the threshold or more, needs one of
 * these: b was dropped, by one of at most K - 1 others at one of L looks; or one of at most K - 1 entries that
 * are so much worse was proven within the threshold of b, at one of L looks. Each test has level
 * alpha / (2 (K - 1) L), the two ways to drop half of it each: the union bound is alpha. The signed-rank tests are exact
 * where noise is symmetric about the true difference, which random order within blocks makes it for equal entries; the
 * margin supposes that the noise of b is not much larger than that of the others. tests/unit_race.c holds
 * thousands of races with a known truth to alpha.
 *
 * References: E. Paulson, A sequential procedure for selecting the population with the largest mean (1964), for dropping
 * in stages within an indifference zone; O. Maron and A. W. Moore, Hoeffding races (1994), for the name and the
 * blocks; see statistics.h for the tests.
 *
 * Pure functions, thread-safe. Those that return int return 0 or -ENOMEM.
 */
#ifndef POOLBENCH_RACE_H
#define POOLBENCH_RACE_H

#include <stdbool.h>
#include <stddef.h>

#include "statistics.h"

#define RACE_LOOKS_MAX  16
#define RACE_BLOCKS_MAX 200

struct race_rules {
	double alpha; /* chance of a wrong answer, at most: 0.05 */
	double threshold; /* smallest difference that matters, as a ratio less 1: 0.02 */
	unsigned looks;
	unsigned blocks[RACE_LOOKS_MAX]; /* at each look, ascending */
};

/*
 * Looks for a race of `entries`: after 3 blocks, half-way to and at the number that the rank test needs before it can
 * prove anything here, then half as many again each time up to `most` (2 .. RACE_BLOCKS_MAX). -EINVAL: out of range.
 */
int race_rules_init(struct race_rules *rules, unsigned entries, unsigned most);

/* The least number of blocks after which the rank test can settle anything among so many entries. */
unsigned race_blocks_needed(const struct race_rules *rules, unsigned entries);

enum race_state {
	RACE_OPEN, /* to be measured in the next block */
	RACE_RESTING, /* level with the leader or behind it, and not needed now */
	RACE_DROPPED, /* proven worse */
	RACE_OUT /* could not be measured; the caller says so */
};

struct race_entry {
	/* the caller's */
	double *scores; /* [blocks of the last look]: NaN in blocks in which it was not measured */
	double cost; /* what it takes beside what is scored; NaN: unknown */
	unsigned rank; /* the preference among equals of equal cost */

	enum race_state state; /* RACE_OPEN in the beginning */
	unsigned dropped_by, dropped_after; /* which entry proved it, after how many blocks */
	double estimate; /* ln of this entry over the leader */
	double p; /* that the leader is a threshold worse (or, dropped, that this is not worse): unadjusted */
	struct paired_ratio
		ratio; /* this entry over the leader, in common blocks, at the race's level */
};

struct race {
	struct race_rules rules;
	struct race_entry *entries; /* the caller's */
	unsigned count;

	unsigned look; /* the next one */
	unsigned comparisons; /* K - 1, set at the first look */
	unsigned leader, best;
	bool over, settled; /* over: nothing is open, or the last look was taken */
	unsigned
		undecided; /* cheaper entries than the answer that may be as good; 0 unless at the end */
	double confidence; /* of the leader: 1 less the smallest alpha at which it were settled */
	double margin; /* NaN: too few entries to tell */
};

/* Everything open, nothing looked at. `rules` and `entries` as above. */
void race_init(struct race *race, const struct race_rules *rules, struct race_entry *entries,
	       unsigned count);

/*
 * A look, when all that is open was measured in `blocks` blocks. `last`: there will be no more of them, for the caller's
 * own reasons. At least one entry must not be OUT.
 */
int race_look(struct race *race, unsigned blocks, bool last);

/* One entry over another in their common blocks, at the race's level. */
int race_ratio(const struct race *race, unsigned over, unsigned under, unsigned blocks,
	       struct paired_ratio *out);

/* Whether `a` is preferred to `b` when both are as good: by cost where that differs, else by rank. */
bool race_cheaper(const struct race_entry *a, const struct race_entry *b);

#endif
