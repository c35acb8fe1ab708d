/*
 * Verdicts on paired measurements: is B slower than A, faster, the same, or is it not known yet?
 *
 * What is judged is a trial: one metric of one cell, as natural logarithms of ratios, a pair each:
 *
 *     search    ln(B/A)    the pairs that raise a suspicion or settle that there is none
 *     control   ln(A'/A)   A against itself, as many and in the same rounds: what noise alone does
 *     confirm   ln(B/A)    an independent batch, measured only after a suspicion
 *
 * The rule, at each of a few looks with more and more search pairs:
 *
 *   threshold    the larger of the user's and the trial's own noise: half the width of the 99 % signed-rank
 *                interval of the control, in the mean over all signs, which are fair coins
 *                (signed_rank_half_width): what A against A exceeds in one session of a hundred
 *                with this many pairs.
 *   suspicion    the signed-rank p-value, after Holm's correction over the family of trials, is at
 *                most alpha/looks, and the effect reaches the threshold: a change of that size lies
 *                within the interval or below it. (To ask that the estimate itself be at least the
 *                threshold would miss every second change of exactly that size, for ever.)
 *   verdict      REGRESSION or IMPROVEMENT when the confirming batch says the same: one-sided p
 *                at most confirm_alpha and an estimate of at least half the threshold. If it does not,
 *                the search goes on.
 *   EQUIVALENT   the interval, at the look's level, lies within the threshold on both sides: the user's while
 *                more pairs can be had, the trial's at the last look.
 *   INCONCLUSIVE neither, after the last look.
 *   UNKNOWN      there is nothing to compare with.
 *
 * Error rates. The order within a pair is random, so that under "no difference" every sign is a fair coin
 * whatever the machine's drift: the test is exact. Bonferroni over the looks bounds false suspicions of a family
 * by alpha; a verdict needs the confirming batch too: alpha/2 * confirm_alpha for each direction, 0.125 %
 * of the sessions at the defaults. References: see statistics.h; for the looks, P. Armitage, C. K. McPherson
 * and B. C. Rowe, Repeated significance tests on accumulating data (1969), here with the crude, safe bound.
 *
 * Pure functions, thread-safe. Those that return int return 0 or -ENOMEM.
 */
#ifndef POOLBENCH_VERDICT_H
#define POOLBENCH_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "statistics.h"

enum verdict {
	VERDICT_EQUIVALENT,
	VERDICT_IMPROVEMENT,
	VERDICT_INCONCLUSIVE,
	VERDICT_REGRESSION,
	VERDICT_UNKNOWN,
	VERDICTS
};
extern const char *const verdict_names[VERDICTS + 1]; /* "EQUIVALENT" ..., NULL */

#define VERDICT_LOOKS_MAX 8

struct verdict_rules {
	double alpha;         /* of the whole search, all looks: 0.05 */
	double confirm_alpha; /* one-sided: 0.05 */
	double threshold;     /* smallest change that matters, as a ratio less 1: 0.02 */
	unsigned looks;
	unsigned pairs[VERDICT_LOOKS_MAX]; /* search pairs at each look, ascending */
	unsigned confirm_pairs;
};

/* The defaults: looks at 20, 40 and 60 pairs, 20 to confirm. */
void verdict_rules_init(struct verdict_rules *rules);

/* Looks at `first`, half way and `most` pairs; one look where they are equal. -EINVAL: first > most or 0. */
int verdict_rules_looks(struct verdict_rules *rules, unsigned first, unsigned most);

/* What the looks decide each at: alpha / looks; and the level of their intervals, 1 less that. */
double verdict_look_alpha(const struct verdict_rules *rules);

enum trial_state { TRIAL_OPEN, TRIAL_SUSPECT, TRIAL_DECIDED };

struct trial {
	const double *search, *control, *confirm; /* logarithms; the caller's */
	size_t searched, controls, confirmed;

	enum trial_state state;
	enum verdict verdict; /* INCONCLUSIVE until decided */
	double threshold;     /* this trial's, as a ratio less 1 */
	struct paired_ratio ratio, control_ratio, confirm_ratio; /* intervals at the look's level */
	double p_holm;
	unsigned refuted; /* suspicions that the confirming batch did not share */
};

/* Everything zero but the state, OPEN, and the verdict, INCONCLUSIVE; NaN in all numbers. */
void trial_init(struct trial *trial);

/*
 * A look at a family: every trial that is OPEN gets its numbers, and is then DECIDED (EQUIVALENT), a SUSPECT
 * whose confirming pairs the caller now fetches, or still OPEN. `count` is the size of the family, decided trials
 * included; `final`: an OPEN trial is DECIDED too, as INCONCLUSIVE.
 */
int trials_look(struct trial *trials, size_t count, const struct verdict_rules *rules, bool final);

/* After the confirming batch of a SUSPECT: DECIDED, or OPEN again (`final`: INCONCLUSIVE). */
int trial_confirm(struct trial *trial, const struct verdict_rules *rules, bool final);

/* A trial that cannot be measured: DECIDED as UNKNOWN. */
void trial_unknown(struct trial *trial);

/* Whether the control looks like a difference of at least the user's threshold: such a session proves nothing. */
bool trial_control_differs(const struct trial *trial, const struct verdict_rules *rules);

/*
 * The ratio of logarithms as they are in a trial: as paired_ratio(), on logs.
 */
int log_ratio(const double *logs, size_t count, double level, struct paired_ratio *out);

/*
 * The chance to raise a suspicion with `pairs` pairs when the true ratio is 1 + effect, by resampling the control
 * with random signs `draws` times (seeded: the same numbers give the same chance). NaN without at least six
 * control pairs.
 */
int trial_power(const struct trial *trial, const struct verdict_rules *rules, unsigned pairs,
		double effect, unsigned draws, uint64_t seed, double *power);

/* The worst of two for a gate: REGRESSION, then UNKNOWN, INCONCLUSIVE, EQUIVALENT, IMPROVEMENT. */
enum verdict verdict_worse(enum verdict a, enum verdict b);

/* Only EQUIVALENT and IMPROVEMENT pass. */
bool verdict_passes(enum verdict verdict);

#endif
