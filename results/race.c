#include "race.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "verdict.h"

#define FIRST_BLOCKS  3 /* where a margin can be told from noise */
#define TYPICAL_LOOKS 7 /* to lay out the looks, whose number depends on where they lie */
#define MARGIN_VALUES 12 /* changes from block to block, below which there is no margin */
#define MARGIN_CHANCE \
	0.04 /* q at most; cbrt of the level where that is less, so that three are enough */
#define COST_TOLERANCE 1.02

/* ---- rules ---- */

static double level_of(const struct race_rules *rules, unsigned comparisons)
{
	return rules->alpha / (2.0 * comparisons * rules->looks);
}

unsigned race_blocks_needed(const struct race_rules *rules, unsigned entries)
{
	const double level = level_of(rules, entries > 1 ? entries - 1 : 1);

	/* all differences positive has probability 2^-n; a drop has half the level */
	return (unsigned)ceil(log2(2 / level));
}

int race_rules_init(struct race_rules *rules, unsigned entries, unsigned most)
{
	unsigned needed, at;

	*rules = (struct race_rules){ .alpha = 0.05, .threshold = 0.02, .looks = TYPICAL_LOOKS };
	if (entries < 1 || most < 2 || most > RACE_BLOCKS_MAX)
		return -EINVAL;
	needed = race_blocks_needed(rules, entries);
	rules->looks = 0;
	if ((entries - 1) * (FIRST_BLOCKS - 1) >= MARGIN_VALUES && most > FIRST_BLOCKS) {
		rules->blocks[rules->looks++] = FIRST_BLOCKS;
		if (most > (FIRST_BLOCKS + needed) / 2)
			rules->blocks[rules->looks++] = (FIRST_BLOCKS + needed) / 2;
	}
	for (at = needed; at < most && rules->looks < RACE_LOOKS_MAX - 1; at += at / 2)
		rules->blocks[rules->looks++] = at;
	rules->blocks[rules->looks++] = most;
	return 0;
}

void race_init(struct race *race, const struct race_rules *rules, struct race_entry *entries,
	       unsigned count)
{
	static const struct paired_ratio none = { .ratio = NAN,
						  .interval = { NAN, NAN, 0 },
						  .p = NAN };

	*race = (struct race){ .rules = *rules, .entries = entries, .count = count, .margin = NAN };
	for (unsigned i = 0; i < count; i++) {
		entries[i].estimate = entries[i].p = NAN;
		entries[i].ratio = none;
	}
}

bool race_cheaper(const struct race_entry *a, const struct race_entry *b)
{
	if (a->cost * COST_TOLERANCE < b->cost)
		return true;
	if (b->cost * COST_TOLERANCE < a->cost)
		return false;
	return a->rank < b->rank;
}

/* ---- differences ---- */

/* a less b in the blocks that have both; `differences` has room for all of them. */
static size_t common_differences(const struct race_entry *a, const struct race_entry *b,
				 unsigned blocks, double *differences)
{
	size_t count = 0;

	for (unsigned block = 0; block < blocks; block++)
		if (isfinite(a->scores[block]) && isfinite(b->scores[block]))
			differences[count++] = a->scores[block] - b->scores[block];
	return count;
}

int race_ratio(const struct race *race, unsigned over, unsigned under, unsigned blocks,
	       struct paired_ratio *out)
{
	double logs[RACE_BLOCKS_MAX];
	const size_t count = common_differences(&race->entries[over], &race->entries[under], blocks,
						logs);

	return log_ratio(logs, count, 1 - 2 * level_of(&race->rules, race->comparisons), out);
}

static bool is_racing(const struct race_entry *entry)
{
	return entry->state == RACE_OPEN || entry->state == RACE_RESTING;
}

static int compare_doubles(const void *left, const void *right)
{
	const double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

static double margin_chance(const struct race *race)
{
	/* a little less, so that rounding does not decide whether three are enough */
	return fmin(MARGIN_CHANCE, 0.999 * cbrt(level_of(&race->rules, race->comparisons) / 2));
}

/* The pooled quantile of changes from one common block with the best to the next. */
static int find_margin(struct race *race, unsigned blocks)
{
	double *changes = calloc((size_t)race->count * blocks + 1, sizeof(*changes));
	double differences[RACE_BLOCKS_MAX];
	size_t count = 0;

	race->margin = NAN;
	if (!changes)
		return -ENOMEM;
	for (unsigned i = 0; i < race->count; i++) {
		size_t common;

		if (i == race->best || race->entries[i].state == RACE_OUT)
			continue;
		common = common_differences(&race->entries[i], &race->entries[race->best], blocks,
					    differences);
		for (size_t k = 1; k < common; k++)
			changes[count++] = fabs(differences[k] - differences[k - 1]);
	}
	qsort(changes, count, sizeof(*changes), compare_doubles);
	if (count >= MARGIN_VALUES)
		race->margin = sorted_quantile(changes, count, 1 - 2 * margin_chance(race));
	free(changes);
	return 0;
}

/* P(Bin(n, q) >= k). */
static double binomial_tail(size_t n, size_t k, double q)
{
	double sum = 0;

	for (size_t i = k; i <= n; i++)
		sum += exp(lgamma((double)n + 1) - lgamma((double)i + 1) -
			   lgamma((double)(n - i) + 1) + (double)i * log(q) +
			   (double)(n - i) * log1p(-q));
	return fmin(1, sum);
}

/* ---- dropping ---- */

/* The chance of such differences if the entry is no worse than the best: the smaller of the two ways, doubled. */
static int chance_not_worse(const struct race *race, const double *differences, size_t count,
			    double *p)
{
	struct signed_rank test;
	size_t beyond = 0;
	int error = signed_rank_test(differences, count, &test);

	if (error)
		return error;
	*p = count ? 2 * test.p_greater : 1;
	for (size_t i = 0; i < count; i++)
		beyond += differences[i] > race->margin;
	if (beyond)
		*p = fmin(*p, 2 * binomial_tail(count, beyond, margin_chance(race)));
	return 0;
}

static int drop_the_worse(struct race *race, unsigned blocks)
{
	const struct race_entry *best = &race->entries[race->best];
	const double level = level_of(&race->rules, race->comparisons);
	const double half = log1p(race->rules.threshold) / 2;
	double differences[RACE_BLOCKS_MAX], p;

	for (unsigned i = 0; i < race->count; i++) {
		struct race_entry *entry = &race->entries[i];
		size_t count;
		int error;

		if (i == race->best || !is_racing(entry))
			continue;
		count = common_differences(entry, best, blocks, differences);
		error = chance_not_worse(race, differences, count, &p);
		if (error)
			return error;
		if (p > level ||
		    (race_cheaper(entry, best) && entry->estimate - best->estimate < half))
			continue;
		entry->state = RACE_DROPPED;
		entry->dropped_by = race->best;
		entry->dropped_after = blocks;
		entry->p = p;
	}
	return 0;
}

/* ---- the leader ---- */

static int estimate_all(struct race *race, unsigned reference, unsigned blocks)
{
	double differences[RACE_BLOCKS_MAX];
	struct interval ignored;
	int error = 0;

	race->best = reference;
	for (unsigned i = 0; i < race->count && !error; i++) {
		struct race_entry *entry = &race->entries[i];
		size_t count;

		if (entry->state == RACE_OUT)
			continue;
		count = common_differences(entry, &race->entries[reference], blocks, differences);
		error = hodges_lehmann(differences, count, 0.5, &entry->estimate, &ignored);
		if (is_racing(entry) && entry->estimate < race->entries[race->best].estimate)
			race->best = i;
	}
	return error;
}

/* The cheapest of those within half the threshold of the best; cost first, so that the order is well defined. */
static unsigned find_leader(const struct race *race)
{
	const double limit = race->entries[race->best].estimate + log1p(race->rules.threshold) / 2;
	double least = race->entries[race->best].cost;
	unsigned leader = race->best;

	for (unsigned i = 0; i < race->count; i++)
		if (is_racing(&race->entries[i]) && race->entries[i].estimate <= limit)
			least = fmin(least, race->entries[i].cost);
	for (unsigned i = 0; i < race->count; i++) {
		const struct race_entry *entry = &race->entries[i];

		if (!is_racing(entry) || entry->estimate > limit ||
		    entry->cost > least * COST_TOLERANCE)
			continue;
		if (race->entries[leader].cost > least * COST_TOLERANCE ||
		    entry->rank < race->entries[leader].rank)
			leader = i;
	}
	return leader;
}

/* The chance of these data if `entry` is worse than `other` by the threshold or more. */
static int chance_threshold_worse(const struct race *race, unsigned entry, unsigned other,
				  unsigned blocks, double *p)
{
	double differences[RACE_BLOCKS_MAX];
	const size_t count = common_differences(&race->entries[entry], &race->entries[other],
						blocks, differences);
	struct signed_rank test;
	int error;

	for (size_t i = 0; i < count; i++)
		differences[i] -= log1p(race->rules.threshold);
	error = signed_rank_test(differences, count, &test);
	*p = error || !count ? 1 : test.p_less;
	return error;
}

/* Proves what can be proven for `leader` against all others, and says in *worst how far it is from the rest. */
static int prove(struct race *race, unsigned leader, unsigned blocks, double *worst)
{
	*worst = 0;
	for (unsigned i = 0; i < race->count; i++) {
		struct race_entry *entry = &race->entries[i];
		int error;

		if (i == leader || entry->state == RACE_OUT)
			continue;
		if (is_racing(entry)) {
			error = chance_threshold_worse(race, leader, i, blocks, &entry->p);
			if (error)
				return error;
		}
		*worst = fmax(*worst, entry->p);
	}
	return 0;
}

/* Whether a cheaper entry than the leader may yet turn out to be as good. */
static bool is_undecided(const struct race *race, unsigned i)
{
	const struct race_entry *entry = &race->entries[i];
	const double half = log1p(race->rules.threshold) / 2;

	return i != race->leader && is_racing(entry) &&
	       race_cheaper(entry, &race->entries[race->leader]) &&
	       entry->estimate - race->entries[race->best].estimate > half;
}

/* True: something is open. */
static bool call_the_open(struct race *race)
{
	const double level = level_of(&race->rules, race->comparisons);
	bool open = false;

	for (unsigned i = 0; i < race->count; i++) {
		struct race_entry *entry = &race->entries[i];

		if (i == race->leader || !is_racing(entry))
			continue;
		entry->state = entry->p > level || is_undecided(race, i) ? RACE_OPEN : RACE_RESTING;
		open |= entry->state == RACE_OPEN;
	}
	race->entries[race->leader].state = open ? RACE_OPEN : RACE_RESTING;
	return open;
}

/* No more blocks: the cheapest of those that are proven within the threshold of all others; the leader perhaps. */
static int choose_at_the_end(struct race *race, unsigned blocks)
{
	const double level = level_of(&race->rules, race->comparisons);
	const unsigned leader = race->leader;
	unsigned chosen = race->count;
	double worst = 1;
	int error = 0;

	for (unsigned i = 0; i < race->count && !error; i++) {
		if (!is_racing(&race->entries[i]))
			continue;
		error = prove(race, i, blocks, &worst);
		if (!error && worst <= level &&
		    (chosen == race->count ||
		     race_cheaper(&race->entries[i], &race->entries[chosen])))
			chosen = i;
	}
	race->settled = chosen < race->count;
	race->leader = race->settled ? chosen : leader;
	return error;
}

/* What is shown of each entry: over the leader. */
static int show_ratios(struct race *race, unsigned blocks)
{
	int error = estimate_all(race, race->leader, blocks);

	for (unsigned i = 0; i < race->count && !error; i++)
		if (race->entries[i].state != RACE_OUT)
			error = race_ratio(race, i, race->leader, blocks, &race->entries[i].ratio);
	return error;
}

static unsigned count_undecided(const struct race *race)
{
	unsigned count = 0;

	for (unsigned i = 0; i < race->count; i++)
		count += is_undecided(race, i);
	return count;
}

static void begin(struct race *race)
{
	unsigned contenders = 0;

	for (unsigned i = race->count; i-- > 0;) {
		if (race->entries[i].state == RACE_OUT)
			continue;
		contenders++;
		race->leader = i;
	}
	if (!race->comparisons) /* later failures do not make the family smaller */
		race->comparisons = contenders > 1 ? contenders - 1 : 1;
}

int race_look(struct race *race, unsigned blocks, bool last)
{
	double worst;
	int error;

	if (!race->comparisons || race->entries[race->leader].state == RACE_OUT)
		begin(race);
	race->look++;
	last |= race->look >= race->rules.looks;
	error = estimate_all(race, race->leader, blocks);
	if (!error)
		error = find_margin(race, blocks);
	if (!error)
		error = drop_the_worse(race, blocks);
	if (error)
		return error;
	race->leader = find_leader(race);
	error = prove(race, race->leader, blocks, &worst);
	if (error)
		return error;
	race->settled = !call_the_open(race);
	race->over = race->settled || last;
	if (race->over && !race->settled)
		error = choose_at_the_end(race, blocks);
	if (!error)
		error = prove(race, race->leader, blocks, &worst);
	race->confidence = 1 - fmin(1, worst * race->rules.alpha /
					       level_of(&race->rules, race->comparisons));
	if (!error)
		error = show_ratios(race, blocks);
	race->undecided = race->over ? count_undecided(race) : 0;
	return error;
}
