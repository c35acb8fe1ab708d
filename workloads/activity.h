/*
 * Activities: the workloads as machines that can be stepped, so that `mixed` runs several at once without
 * knowing any of them.
 *
 * An activity populates (the prologue), then is stepped: one step is one burst of one processor's work, as
 * the modelled driver would do it, from the first call to the last. It knows at any time how many events it
 * would take to return to the state after populate (its debt), and does so when it is told to settle. That
 * is what makes the body of a trace repeatable: the run stops when events + debt reach what was asked for.
 *
 * Chance is drawn per activity, from the seed and a salt of its own; shares that are parameters are dealt
 * out evenly (struct share) instead of drawn one by one, so that 0.4 means 40 % of any stretch of the trace.
 */
#ifndef POOLBENCH_ACTIVITY_H
#define POOLBENCH_ACTIVITY_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel_objects.h"
#include "random.h"
#include "trace.h"
#include "workload.h"

/* What all activities of one trace emit into. */
struct stage {
	struct trace_builder *builder;
	unsigned processors;
	unsigned tag_index[KERNEL_OBJECTS]; /* STAGE_NO_TAG until first used */
};

#define STAGE_NO_TAG UINT32_MAX

struct activity_kind {
	/* 0 and *state set, or -errno. `options` outlive the activity. */
	int (*create)(struct stage *stage, const void *options, uint64_t seed, void **state);
	void (*destroy)(void *state); /* NULL is fine */
	void (*populate)(void *state);
	void (*step)(void *state, unsigned processor);
	/* Events that settle would emit now: an estimate, good to a few per cent. */
	uint64_t (*debt)(const void *state);
	void (*settle)(void *state);
};

/* One file each. A workload of one activity is named like it. */
extern const struct activity_kind irp_storm_activity, registry_churn_activity,
	section_mapping_activity, object_churn_activity;
extern const struct workload irp_storm, registry_churn, section_mapping, object_churn, mixed;

/* An activity and its weight in a mixture: its part of the events. */
struct activity_part {
	const struct activity_kind *kind;
	const void *options;
	uint32_t weight; /* >= 1 */
	uint32_t salt;   /* of its chance: whatever the other parts are, the same part does the same */
};

/*
 * Runs the parts together into the builder: prologue, then a body of about config->events. count >= 1.
 * 0 or -errno.
 */
int activities_generate(const struct workload_config *config, struct trace_builder *builder,
			const struct activity_part *parts, unsigned count);

/* The same for a workload of a single activity. */
int activity_generate(const struct workload_config *config, struct trace_builder *builder,
		      const struct activity_kind *kind);

/* Emitting: the object's pool and tag are its class's. Touch is capped at bytes. */
uint32_t stage_alloc(struct stage *stage, unsigned processor, enum kernel_object object,
		     uint32_t bytes, uint32_t touch);
void stage_free(struct stage *stage, unsigned processor, uint32_t slot);
void stage_raise(struct stage *stage, unsigned processor, enum irql to);
void stage_lower(struct stage *stage, unsigned processor, enum irql to);

#define MILLION 1000000u

/*
 * A share of decisions, dealt out evenly: of any n in a row, n * ppm / 10^6 are true, give or take two. Which
 * ones is left to chance, lest processors that take turns fall into step with it.
 */
struct share {
	int32_t ppm, owed;
};

void share_init(struct share *share, uint32_t ppm); /* ppm <= MILLION */
bool share_next(struct share *share, struct random *random);

/* An option's part in 0 .. 1 as parts per million, rounded: the only place where a real number enters. */
uint32_t parts_per_million(double part);

/*
 * A number of 0 .. count-1, the low ones more often: four in five fall in the first fifth, of these again four
 * in five in its first fifth, and so on (the self-similar 80-20 rule).
 */
uint32_t random_skewed(struct random *random, uint32_t count);

/* A number in low .. about high, each octave of it equally often; 1 <= low <= high. */
uint32_t random_octaves(struct random *random, uint32_t low, uint32_t high);

/* A mixing function: an object's fixed traits (the length of a key's name) by its number. */
uint64_t trait_of(uint64_t seed, uint64_t number);

#endif
