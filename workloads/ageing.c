#include "ageing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"
#include "workload.h"

#define LAPS_MOST   500u
#define SEED_STREAM 0x414745494E47 /* keeps our chance apart from the workloads' */
#define TRIES       4 /* other parameters that a workload refuses before a lap keeps the ones asked for */
#define MILLION     1000000u
#define HANDLE_NONE UINT32_MAX

/* clang-format off */
const struct option_def ageing_option_table[] = {
	OPTION_REAL(struct ageing_options, survivors, "0.02", 0, 0.5, "1", "share of objects that outlive their lap"),
	OPTION_UINT(struct ageing_options, keep, "4", 1, 100, "laps", "most laps that a survivor lives on"),
	OPTION_REAL(struct ageing_options, leaks, "0.005", 0, 0.5, "1", "share of objects held until the next drain"),
	OPTION_UINT(struct ageing_options, drain, "4", 1, 500, "laps", "laps from one drain of leaks to the next"),
	OPTION_BOOL(struct ageing_options, swing, "on", "other parameters in each lap but the first and the last"),
	OPTION_END
};
/* clang-format on */

int ageing_parse(const char *text, struct ageing_options *out, char *why, size_t why_bytes)
{
	struct ageing_options options = { 0 };
	char error[256], *end;
	const unsigned long laps = strtoul(text, &end, 10);

	if (end == text || *text < '0' || *text > '9' || (*end && *end != ':') || laps < 2 ||
	    laps > LAPS_MOST) {
		snprintf(why, why_bytes,
			 "wants 2 to %u laps (the last is held against the first), and options "
			 "behind a colon: 12:survivors=0.05,keep=8",
			 LAPS_MOST);
		return -EINVAL;
	}
	if (options_parse(ageing_option_table, &options, *end ? end + 1 : NULL, error,
			  sizeof(error)) != 0) {
		snprintf(why, why_bytes, "%s", error);
		return -EINVAL;
	}
	options.laps = (unsigned)laps;
	*out = options;
	return 0;
}

/* ---- other parameters ---- */

/* Exact in binary, so that the same on any machine. */
static double swing_of(struct random *random)
{
	static const double factors[] = { 0.5, 0.625, 0.75, 0.875, 1, 1.25, 1.5, 1.75, 2 };

	return factors[random_below(random, sizeof(factors) / sizeof(*factors))];
}

static double scaled(double value, const struct option_def *option, struct random *random)
{
	value *= swing_of(random);
	return value < option->min ? option->min : value > option->max ? option->max : value;
}

static void swing_values(const struct option_def *option, void *values, struct random *random)
{
	for (; option->name; option++) {
		char *member = (char *)values + option->offset;

		if (option->type == OPTION_TYPE_UINT)
			*(unsigned *)(void *)member = (unsigned)scaled(*(unsigned *)(void *)member,
								       option, random);
		else if (option->type == OPTION_TYPE_SIZE)
			*(size_t *)(void *)member = (size_t)scaled(
				(double)*(size_t *)(void *)member, option, random);
		else if (option->type == OPTION_TYPE_REAL)
			*(double *)(void *)member = scaled(*(double *)(void *)member, option,
							   random);
	}
}

/* The trace of a lap between the first and the last. */
static int other_trace(const char *spec, unsigned processors, uint64_t events,
		       struct random *random, struct trace **out, char *why, size_t why_bytes)
{
	int error = -EINVAL;

	for (int i = 0; i < TRIES && error == -EINVAL; i++) {
		char other[1024];

		error = workload_vary(spec, swing_values, random, other, sizeof(other), why,
				      why_bytes);
		if (!error)
			error = workload_trace(other, processors, events, random_next(random), out,
					       why, why_bytes);
	}
	return error == -EINVAL ? workload_trace(spec, processors, events, random_next(random), out,
						 why, why_bytes)
				: error;
}

/* ---- composing ---- */

/* An object that is still to be freed when its lap's own free comes by. */
struct debt {
	uint64_t at; /* events of the lap that are to be done first */
	uint32_t handle;
	uint16_t processor;
};

struct debts {
	struct debt *at;
	size_t count, room;
};

struct composer {
	const struct ageing_options *options;
	struct trace_builder *builder;
	struct random random;
	struct debts *due; /* [laps + 1]; the last: behind the last lap */
	unsigned lap;
	const struct trace *trace; /* of this lap */
	uint64_t events, done; /* of this lap */
	size_t paid; /* of due[lap] */
	uint32_t *handle; /* [slots of the lap's trace] */
	uint8_t *fate; /* [slots]: laps that the object outlives this one; 0: none */
	unsigned *tags; /* [tags of the lap's trace] the builder's index */
	uint8_t *irql; /* [processors] */
	int error;
};

static void owe(struct composer *composer, unsigned lap, uint64_t at, uint32_t handle,
		unsigned processor)
{
	const unsigned laps = composer->options->laps;
	struct debts *due = &composer->due[lap < laps ? lap : laps];

	if (due->count == due->room) {
		const size_t room = due->room ? 2 * due->room : 256;
		struct debt *grown = reallocarray(due->at, room, sizeof(*grown));

		if (!grown) {
			composer->error = -ENOMEM;
			return;
		}
		due->at = grown;
		due->room = room;
	}
	due->at[due->count++] = (struct debt){ at, handle, (uint16_t)processor };
}

/* Frees what is due by now, at PASSIVE_LEVEL, where either pool may be freed; a processor that is not is waited for. */
static void pay(struct composer *composer)
{
	const struct debts *due = &composer->due[composer->lap];

	for (; composer->paid < due->count; composer->paid++) {
		const struct debt *debt = &due->at[composer->paid];

		if (debt->at > composer->done || composer->irql[debt->processor] != PASSIVE_LEVEL)
			return;
		trace_builder_free(composer->builder, debt->processor, debt->handle);
	}
}

/* How many laps a new object outlives its own: 0 for most, 255 for one that leaks. */
static uint8_t choose_fate(struct composer *composer)
{
	const struct ageing_options *options = composer->options;
	const uint32_t survivors = (uint32_t)(options->survivors * MILLION);
	const uint32_t leaks = (uint32_t)(options->leaks * MILLION);
	const uint32_t draw = random_below(&composer->random, MILLION);

	if (draw < survivors)
		return (uint8_t)random_between(&composer->random, 1, options->keep);
	return draw - survivors < leaks ? UINT8_MAX : 0;
}

static void settle_free(struct composer *composer, unsigned processor,
			const struct trace_event *event)
{
	const struct ageing_options *options = composer->options;
	const uint32_t handle = composer->handle[event->slot];
	const uint8_t fate = composer->fate[event->slot];
	const unsigned drain = (composer->lap / options->drain + 1) * options->drain;

	if (fate == 0)
		trace_builder_free(composer->builder, processor, handle);
	else if (fate == UINT8_MAX)
		owe(composer, drain, UINT64_MAX, handle, processor);
	else
		owe(composer, composer->lap + fate, random_next(&composer->random) >> 1, handle,
		    processor);
}

static int compose_event(void *arg, enum trace_phase phase, unsigned processor,
			 const struct trace_event *event)
{
	struct composer *composer = arg;
	struct trace_builder *builder = composer->builder;

	(void)phase;
	switch (event->kind) {
	case TRACE_ALLOC:
		composer->handle[event->slot] = trace_builder_alloc(
			builder, processor, event->flags & TRACE_PAGED ? POOL_PAGED : POOL_NONPAGED,
			event->bytes, event->touch, composer->tags[event->tag]);
		composer->fate[event->slot] = choose_fate(composer);
		break;
	case TRACE_FREE:
		settle_free(composer, processor, event);
		break;
	case TRACE_RAISE:
	case TRACE_LOWER:
		trace_builder_irql(builder, processor, (enum trace_kind)event->kind,
				   (enum irql)event->bytes);
		composer->irql[processor] = (uint8_t)event->bytes;
		break;
	default:
		break;
	}
	composer->done++;
	pay(composer);
	return composer->error;
}

static int by_time(const void *a, const void *b)
{
	const struct debt *left = a, *right = b;

	if (left->at != right->at)
		return left->at < right->at ? -1 : 1;
	return left->handle < right->handle ? -1 : left->handle > right->handle;
}

/* Random moments become moments of this lap; leaks, which have none, go in its middle, in order of allocation. */
static void set_moments(struct composer *composer)
{
	struct debts *due = &composer->due[composer->lap];

	for (size_t i = 0; i < due->count; i++) {
		struct debt *debt = &due->at[i];

		debt->at = debt->at == UINT64_MAX ? composer->events / 2
						  : debt->at % composer->events;
	}
	if (due->count)
		qsort(due->at, due->count, sizeof(*due->at), by_time);
}

static int lap_tables(struct composer *composer)
{
	const struct trace *trace = composer->trace;

	composer->handle = calloc(trace->slots + 1u, sizeof(*composer->handle));
	composer->fate = calloc(trace->slots + 1u, sizeof(*composer->fate));
	composer->tags = calloc(trace->tags + 1u, sizeof(*composer->tags));
	if (!composer->handle || !composer->fate || !composer->tags)
		return -ENOMEM;
	for (unsigned t = 0; t < trace->tags; t++)
		composer->tags[t] = trace_builder_tag(composer->builder, trace->tag_table[t].tag,
						      trace->tag_table[t].name);
	return 0;
}

static int compose_lap(struct composer *composer, const struct trace *trace)
{
	int error;

	composer->trace = trace;
	composer->done = composer->paid = 0;
	composer->events = 0;
	for (int phase = 0; phase < TRACE_PHASES; phase++)
		composer->events += trace_phase_events(trace, (enum trace_phase)phase);
	error = lap_tables(composer);
	if (!error) {
		set_moments(composer);
		error = trace_walk(trace, compose_event, composer);
	}
	if (!error) {
		composer->done = UINT64_MAX;
		pay(composer);
		trace_builder_mark(composer->builder, 0, AGEING_MARK);
	}
	free(composer->handle);
	free(composer->fate);
	free(composer->tags);
	return error;
}

static int compose_all(struct composer *composer, const char *spec, unsigned processors,
		       uint64_t events, uint64_t seed, char *why, size_t why_bytes)
{
	const unsigned laps = composer->options->laps;
	int error = 0;

	for (unsigned lap = 0; lap < laps && !error; lap++) {
		const bool same = lap == 0 || lap + 1 == laps || !composer->options->swing;
		struct trace *trace = NULL;

		composer->lap = lap;
		if (same)
			error = workload_trace(
				spec, processors, events,
				lap == 0 || lap + 1 == laps ? seed : random_next(&composer->random),
				&trace, why, why_bytes);
		else
			error = other_trace(spec, processors, events, &composer->random, &trace,
					    why, why_bytes);
		if (!error)
			error = compose_lap(composer, trace);
		trace_destroy(trace);
	}
	if (!error) { /* behind the last lap: all that is left */
		composer->lap = laps;
		composer->paid = 0;
		composer->events = 1;
		set_moments(composer);
		pay(composer);
	}
	return error;
}

int ageing_trace(const char *spec, unsigned processors, uint64_t events, uint64_t seed,
		 const struct ageing_options *options, struct trace **out, char *why,
		 size_t why_bytes)
{
	struct composer composer = { .options = options,
				     .builder = trace_builder_create(processors),
				     .due = calloc(options->laps + 1u, sizeof(*composer.due)),
				     .irql = calloc(processors, sizeof(*composer.irql)) };
	char origin[1024];
	int error = composer.builder && composer.due && composer.irql ? 0 : -ENOMEM;

	why[0] = '\0';
	random_seed(&composer.random, seed ^ SEED_STREAM);
	if (!error) {
		trace_builder_phase(composer.builder, TRACE_BODY);
		error = compose_all(&composer, spec, processors, events, seed, why, why_bytes);
	}
	if (!error) {
		snprintf(origin, sizeof(origin), "%s, aged %u laps", spec, options->laps);
		error = trace_builder_finish(composer.builder, origin, seed, out, why, why_bytes);
	}
	if (error && !why[0])
		snprintf(why, why_bytes, "ageing %s: %s", spec, strerror(-error));
	for (unsigned lap = 0; composer.due && lap <= options->laps; lap++)
		free(composer.due[lap].at);
	free(composer.due);
	free(composer.irql);
	trace_builder_destroy(composer.builder);
	return error;
}

/* ---- where laps end ---- */

struct lap_list {
	const struct trace *trace;
	uint64_t *ends, done;
	size_t count, most;
};

static int note_mark(void *arg, enum trace_phase phase, unsigned processor,
		     const struct trace_event *event)
{
	struct lap_list *list = arg;

	(void)processor;
	if (phase != TRACE_BODY)
		return 0;
	list->done++;
	if (event->kind != TRACE_MARK ||
	    strcmp(list->trace->mark_names[event->slot], AGEING_MARK) != 0)
		return 0;
	if (list->count < list->most)
		list->ends[list->count] = list->done;
	list->count++;
	return 0;
}

size_t ageing_lap_ends(const struct trace *trace, uint64_t *ends, size_t most)
{
	struct lap_list list = { .trace = trace, .ends = ends, .most = most };

	trace_walk(trace, note_mark, &list);
	return list.count;
}
