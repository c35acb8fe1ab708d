/*
 * Random operations as a trace. Every seed has a temper of its own: sizes around one place or everywhere,
 * few or many live at once, frees in the order of allocation, the reverse or at random, near or remote. What one
 * temper never does is another's habit: a bug that needs a deep list, a full page or a run of one size meets
 * the seed that makes it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/stress.h"
#include "workloads/random.h"
#include "workloads/workload.h"

#define MIX_EVENTS    6000u
#define SMALL_EVENTS  3000u
#define SMALL_MOST    12000u /* events of a whole trace, prologue too */
#define LONG_MOST     40000u
#define MIX_TAGS      12u
#define POPULATION    2048u
#define SHORTAGE_OVER 2u /* times the room that is asked for */
#define AVERAGE_MIXED 2000u /* bytes of a block, about */
#define AVERAGE_PAGES 11000u

enum sizes { SIZES_SMALL, SIZES_MIXED, SIZES_EDGES, SIZES_PAGES, SIZES_SWEEP, SIZES_KINDS };
enum order { ORDER_RANDOM, ORDER_LIFO, ORDER_FIFO, ORDERS };

struct mix {
	struct trace_builder *builder;
	struct random random;
	const struct stress_round *round;
	enum sizes sizes;
	enum order order;
	uint32_t population; /* live at once, about */
	uint32_t remote; /* parts per million of the frees */
	uint32_t dispatch; /* parts per million of nonpaged operations */
	uint32_t paged; /* parts per million of the allocations */
	unsigned tags[MIX_TAGS];
	uint32_t sweep;
	uint32_t live, first; /* a ring of live objects: first .. first + live */
	struct {
		uint32_t handle;
		uint16_t processor;
		bool paged;
	} objects[POPULATION];
};

/* A power of two or a page, or just beside one. */
static uint32_t edge_size(struct random *random)
{
	const uint32_t power = 16u << random_below(random, 12);
	const uint32_t near = power + random_between(random, 0, 48);

	return near > 24 ? near - 24 : 1;
}

static uint32_t mixed_size(struct random *random)
{
	const uint32_t kind = random_below(random, 1000);

	if (kind < 750)
		return random_between(random, 1, 512);
	if (kind < 970)
		return random_between(random, 513, 4096);
	if (kind < 998)
		return random_between(random, 4097, 64u << 10);
	return random_between(random, 64u << 10, 600u << 10);
}

static uint32_t next_size(struct mix *mix)
{
	struct random *random = &mix->random;

	switch (mix->sizes) {
	case SIZES_SMALL:
		return random_between(random, 1, 256);
	case SIZES_EDGES:
		return edge_size(random);
	case SIZES_PAGES:
		return random_between(random, 2048, 20000);
	case SIZES_SWEEP:
		return 1 + mix->sweep++ % 4200;
	default:
		return mixed_size(random);
	}
}

static void add_alloc(struct mix *mix)
{
	const unsigned processor = random_below(&mix->random, mix->round->processors);
	const bool paged = random_chance(&mix->random, mix->paged);
	const bool raise = !paged && random_chance(&mix->random, mix->dispatch);
	const uint32_t place = (mix->first + mix->live++) % POPULATION;
	const uint32_t bytes = next_size(mix);

	if (raise)
		trace_builder_irql(mix->builder, processor, TRACE_RAISE, DISPATCH_LEVEL);
	mix->objects[place].handle = trace_builder_alloc(
		mix->builder, processor, paged ? POOL_PAGED : POOL_NONPAGED, bytes, bytes,
		mix->tags[random_below(&mix->random, MIX_TAGS)]);
	mix->objects[place].processor = (uint16_t)processor;
	mix->objects[place].paged = paged;
	if (raise)
		trace_builder_irql(mix->builder, processor, TRACE_LOWER, PASSIVE_LEVEL);
}

/* Which goes next, by the seed's order; its place is then filled by the last. */
static void add_free(struct mix *mix)
{
	const uint32_t last = (mix->first + mix->live - 1) % POPULATION;
	uint32_t place = last;
	unsigned processor;
	bool raise;

	if (mix->order == ORDER_RANDOM)
		place = (mix->first + random_below(&mix->random, mix->live)) % POPULATION;
	else if (mix->order == ORDER_FIFO)
		place = mix->first;
	processor = random_chance(&mix->random, mix->remote)
			    ? random_below(&mix->random, mix->round->processors)
			    : mix->objects[place].processor;
	raise = !mix->objects[place].paged && random_chance(&mix->random, mix->dispatch);
	if (raise)
		trace_builder_irql(mix->builder, processor, TRACE_RAISE, DISPATCH_LEVEL);
	trace_builder_free(mix->builder, processor, mix->objects[place].handle);
	if (raise)
		trace_builder_irql(mix->builder, processor, TRACE_LOWER, PASSIVE_LEVEL);
	if (mix->order == ORDER_FIFO)
		mix->first = (mix->first + 1) % POPULATION;
	else
		mix->objects[place] = mix->objects[last];
	mix->live--;
}

static void choose_temper(struct mix *mix)
{
	static const uint32_t shares[] = { 0, 50000, 250000, 1000000 };
	struct random *random = &mix->random;

	mix->sizes = (enum sizes)random_below(random, SIZES_KINDS);
	/* Every second round of one thread meets most sizes once: a bug of one size need not wait for its chance. */
	if (mix->round->scenario == STRESS_MIX && mix->round->seed / STRESS_SCENARIOS % 2 == 0)
		mix->sizes = SIZES_SWEEP;
	mix->order = (enum order)random_below(random, ORDERS);
	mix->population = 8u << random_below(random, 8);
	/* Some seeds free all at home; not where threads are what it is about. */
	mix->remote = mix->round->scenario == STRESS_THREADS ? shares[1 + random_below(random, 3)]
							     : shares[random_below(random, 4)];
	mix->dispatch = random_below(random, 2) ? 200000 : 20000;
	mix->paged = 1000000 / 4 * random_between(random, 1, 3);
	mix->sweep = random_below(random, 4200);
	for (unsigned i = 0; i < MIX_TAGS; i++) {
		static const char letters[] =
			"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .";
		const uint64_t bits = random_next(random);

		mix->tags[i] = trace_builder_tag(
			mix->builder,
			POOL_TAG(letters[bits & 63], letters[bits >> 6 & 63],
				 letters[bits >> 12 & 63], letters[bits >> 18 & 63]),
			"stress");
	}
}

/* Waves: up to the population, some way down, up again; nothing at the end. */
static void add_waves(struct mix *mix)
{
	const uint64_t events = mix->round->events ? mix->round->events : MIX_EVENTS;
	uint32_t goal = mix->population;

	for (uint64_t i = 0; i < events; i++) {
		const uint32_t up = mix->live < goal ? 650000 : 350000;

		if (mix->live == goal && goal != mix->population)
			goal = mix->population;
		else if (mix->live >= mix->population && random_below(&mix->random, 4) == 0)
			goal = random_below(&mix->random, mix->population);
		if (mix->live && (mix->live == POPULATION || !random_chance(&mix->random, up)))
			add_free(mix);
		else
			add_alloc(mix);
	}
	while (mix->live)
		add_free(mix);
}

/* Asks for more than there is, in both pools, before anything goes back; in so many objects as there is room for. */
static void add_shortage(struct mix *mix)
{
	const size_t wanted = 2 * SHORTAGE_OVER * mix->round->room_bytes;
	uint32_t count;

	if (wanted > (size_t)POPULATION * AVERAGE_MIXED)
		mix->sizes = SIZES_PAGES;
	else if (mix->sizes == SIZES_SMALL) /* would take too many to fill the room */
		mix->sizes = SIZES_MIXED;
	count = (uint32_t)(wanted / (mix->sizes == SIZES_PAGES ? AVERAGE_PAGES : AVERAGE_MIXED));
	if (count > POPULATION)
		count = POPULATION;
	for (uint32_t i = 0; i < count; i++)
		add_alloc(mix);
	while (mix->live)
		add_free(mix);
}

static int mix_trace(const struct stress_round *round, struct trace **out, char *why,
		     size_t why_bytes)
{
	struct mix *mix = calloc(1, sizeof(*mix));
	int error = -ENOMEM;

	if (mix)
		mix->builder = trace_builder_create(round->processors);
	if (!mix || !mix->builder) {
		snprintf(why, why_bytes, "out of memory");
		goto out;
	}
	mix->round = round;
	random_seed(&mix->random, round->seed);
	choose_temper(mix);
	trace_builder_phase(mix->builder, TRACE_BODY);
	if (round->scenario == STRESS_SHORTAGE)
		add_shortage(mix);
	else
		add_waves(mix);
	error = trace_builder_finish(mix->builder, "stress", round->seed, out, why, why_bytes);
out:
	trace_builder_destroy(mix ? mix->builder : NULL);
	free(mix);
	return error;
}

/* The workload's, for as many processors as wanted; of a recording of fewer, for as many as it has. */
static int workload_for(const struct stress_round *round, uint64_t events, struct trace **out,
			char *why, size_t why_bytes)
{
	int error = -ERANGE;

	for (unsigned processors = round->processors; processors && error == -ERANGE; processors--)
		error = workload_trace(round->workload, processors, events, round->seed, out, why,
				       why_bytes);
	if (!error)
		why[0] = '\0'; /* of what was too many */
	return error;
}

static int small_trace(const struct stress_round *round, struct trace **out, char *why,
		       size_t why_bytes)
{
	const uint64_t wanted = round->events         ? round->events
				: round->events_small ? SMALL_EVENTS
						      : MIX_EVENTS;
	const uint64_t most = round->events         ? UINT64_MAX
			      : round->events_small ? SMALL_MOST
						    : LONG_MOST;
	struct trace *whole;
	uint64_t events = 0;
	int error = workload_for(round, wanted, &whole, why, why_bytes);

	if (error)
		return error;
	for (int phase = 0; phase < TRACE_PHASES; phase++)
		events += trace_phase_events(whole, (enum trace_phase)phase);
	if (events <= most) {
		*out = whole;
		return 0;
	}
	error = stress_thin(whole, most, out);
	trace_destroy(whole);
	if (error)
		snprintf(why, why_bytes, "%s: cannot be thinned: %s", round->workload,
			 strerror(-error));
	return error;
}

int stress_trace(const struct stress_round *round, struct trace **out, char *why, size_t why_bytes)
{
	if (round->workload)
		return small_trace(round, out, why, why_bytes);
	return mix_trace(round, out, why, why_bytes);
}
