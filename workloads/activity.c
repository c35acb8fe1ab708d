#include "activity.h"

#include <errno.h>
#include <stdlib.h>

uint32_t stage_alloc(struct stage *stage, unsigned processor, enum kernel_object object,
		     uint32_t bytes, uint32_t touch)
{
	const struct kernel_object_class *class = &kernel_object_classes[object];

	if (stage->tag_index[object] == STAGE_NO_TAG)
		stage->tag_index[object] = trace_builder_tag(stage->builder, class->tag,
							     class->name);
	return trace_builder_alloc(stage->builder, processor, class->type, bytes,
				   touch < bytes ? touch : bytes, stage->tag_index[object]);
}

void stage_free(struct stage *stage, unsigned processor, uint32_t slot)
{
	trace_builder_free(stage->builder, processor, slot);
}

void stage_raise(struct stage *stage, unsigned processor, enum irql to)
{
	trace_builder_irql(stage->builder, processor, TRACE_RAISE, to);
}

void stage_lower(struct stage *stage, unsigned processor, enum irql to)
{
	trace_builder_irql(stage->builder, processor, TRACE_LOWER, to);
}

uint32_t parts_per_million(double part)
{
	return (uint32_t)(part * MILLION + 0.5);
}

void share_init(struct share *share, uint32_t ppm)
{
	share->ppm = (int32_t)ppm;
	share->owed = 0;
}

/* What is owed stays between -1 and 1 million, whatever the threshold: that is the bound of the error. */
bool share_next(struct share *share, struct random *random)
{
	share->owed += share->ppm;
	if (share->owed <= (int32_t)random_below(random, MILLION))
		return false;
	share->owed -= (int32_t)MILLION;
	return true;
}

uint32_t random_skewed(struct random *random, uint32_t count)
{
	while (count > 1 && random_chance(random, 800000))
		count = (count + 4) / 5;
	return random_below(random, count);
}

uint32_t random_octaves(struct random *random, uint32_t low, uint32_t high)
{
	uint32_t octaves = 0;
	uint32_t base;

	while (low << (octaves + 1) <= high)
		octaves++;
	if (octaves == 0)
		return random_between(random, low, high);
	base = low << random_below(random, octaves);
	return random_between(random, base, 2 * base);
}

uint64_t trait_of(uint64_t seed, uint64_t number)
{
	uint64_t state = seed ^ number * 0xD1342543DE82EF95u;

	return random_splitmix(&state);
}

/* Steps in a row without an event after which the builder must have given up (it keeps its error). */
#define IDLE_STEPS_MAX 10000u

/* One part under way. */
struct actor {
	const struct activity_part *part;
	void *state;
	uint64_t emitted; /* events of its steps so far */
	/* Whose turn it is. By part: with a common turn two parts could keep to a processor each. */
	unsigned processor;
};

/* The actor that lags most behind its weight. */
static struct actor *next_actor(struct actor *actors, unsigned count)
{
	struct actor *next = actors;

	for (struct actor *actor = actors + 1; actor < actors + count; actor++)
		if (actor->emitted * next->part->weight < next->emitted * actor->part->weight)
			next = actor;
	return next;
}

static uint64_t total_debt(const struct actor *actors, unsigned count)
{
	uint64_t debt = 0;

	for (unsigned i = 0; i < count; i++)
		debt += actors[i].part->kind->debt(actors[i].state);
	return debt;
}

static void run_body(struct stage *stage, struct actor *actors, unsigned count, uint64_t events)
{
	struct trace_builder *builder = stage->builder;
	unsigned idle = 0;

	trace_builder_phase(builder, TRACE_BODY);
	do {
		struct actor *actor = next_actor(actors, count);
		const uint64_t before = trace_builder_events(builder);
		uint64_t emitted;

		actor->part->kind->step(actor->state, actor->processor);
		emitted = trace_builder_events(builder) - before;
		actor->emitted += emitted;
		actor->processor = (actor->processor + 1) % stage->processors;
		idle = emitted ? 0 : idle + 1;
	} while (idle < IDLE_STEPS_MAX &&
		 trace_builder_events(builder) + total_debt(actors, count) < events);
	for (unsigned i = 0; i < count; i++)
		actors[i].part->kind->settle(actors[i].state);
}

int activities_generate(const struct workload_config *config, struct trace_builder *builder,
			const struct activity_part *parts, unsigned count)
{
	struct stage stage = { .builder = builder, .processors = config->processors };
	struct actor *actors = calloc(count, sizeof(*actors));
	int rc = actors ? 0 : -ENOMEM;

	for (unsigned i = 0; i < KERNEL_OBJECTS; i++)
		stage.tag_index[i] = STAGE_NO_TAG;
	for (unsigned i = 0; rc == 0 && i < count; i++) {
		actors[i].part = &parts[i];
		rc = parts[i].kind->create(&stage, parts[i].options,
					   trait_of(config->seed, parts[i].salt), &actors[i].state);
	}
	if (rc == 0) {
		for (unsigned i = 0; i < count; i++)
			parts[i].kind->populate(actors[i].state);
		run_body(&stage, actors, count, config->events);
	}
	for (unsigned i = 0; actors && i < count; i++)
		parts[i].kind->destroy(actors[i].state);
	free(actors);
	return rc;
}

int activity_generate(const struct workload_config *config, struct trace_builder *builder,
		      const struct activity_kind *kind)
{
	const struct activity_part part = { .kind = kind, .options = config->options, .weight = 1 };

	return activities_generate(config, builder, &part, 1);
}
