/*
 * The sampler: one fresh process a sample, or the record that an earlier session left of it. What a comparison (ab)
 * and a tuning (tune) have in common: every record goes into a run's directory as it comes, a sample is known
 * by cell, pass and repetition, and the chance in the order of measurement comes from the seed and the place in the
 * session only, so that a session that is resumed goes the way it would have gone.
 *
 * Not thread-safe; one at a time, as the launcher in it.
 */
#ifndef POOLBENCH_SAMPLER_H
#define POOLBENCH_SAMPLER_H

#include <stddef.h>
#include <stdint.h>

#include "bench/launcher.h"
#include "bench/plan.h"
#include "results/run_dir.h"

struct sampler {
	struct run_dir *dir; /* the caller's */
	struct launcher *launcher;
	struct record *known;
	size_t known_count;
	uint64_t order_seed;
	unsigned processes; /* started now; what was resumed is not counted */
	char *why; /* the caller's, for the sentence of an error */
	size_t why_bytes;
};

/*
 * `stream` keeps the order's randomness apart from the traces' and other commands'. 0 or -errno with a sentence in
 * `why`, which the sampler goes on using; sampler_close is due in both cases.
 */
int sampler_open(struct sampler *sampler, const struct plan_options *plan, struct run_dir *dir,
		 uint64_t stream, char *why, size_t why_bytes);
void sampler_close(struct sampler *sampler);

/*
 * The record of `spec`, kept under the cell `kept` (a slowed process must not be taken for a plain one; `suffix`,
 * which may be NULL, goes behind its display name). 0, whatever the record's status; -EINTR after a signal, -errno.
 */
int sampler_take(struct sampler *sampler, const struct measure_spec *spec, const struct cell *kept,
		 const char *suffix, struct record *out);

/* Shuffles by the seed and three numbers that say where in the session this is. */
void sampler_shuffle(const struct sampler *sampler, uint64_t a, uint64_t b, uint64_t c,
		     unsigned *list, unsigned count);

#endif
