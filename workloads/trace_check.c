/* The rules that every trace keeps, checked event by event in the real order. */
#include "trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "trace_internal.h"

#define PROCESSOR_NONE UINT16_MAX

/* What a slot holds. */
struct slot_content {
	uint32_t bytes;
	uint16_t tag;
	bool paged, full;
};

struct slot_state {
	struct slot_content now,
		start; /* start: at the body's start, valid once the body named it */
	uint16_t owner; /* who filled it last */
	uint16_t filler, emptier; /* the only ones in this phase, or PROCESSOR_NONE */
	uint8_t named_in; /* the phase that named it last, plus 1 */
	bool in_body; /* the body named it */
	bool remote_claim; /* the body's first free of what it found here: was it flagged remote? */
	bool has_claim;
};

int trace_checker_init(struct trace_checker *checker, const struct trace *tables, char *why,
		       size_t why_bytes)
{
	*checker = (struct trace_checker){ .tables = tables, .why = why, .why_bytes = why_bytes };
	checker->irql = calloc(tables->processors, sizeof(*checker->irql));
	return checker->irql ? 0 : trace_fail(-ENOMEM, why, why_bytes, "out of memory");
}

void trace_checker_destroy(struct trace_checker *checker)
{
	free(checker->slots);
	free(checker->irql);
	checker->slots = NULL;
	checker->irql = NULL;
}

static int broken(const struct trace_checker *checker, const char *rule)
{
	return trace_fail(-EINVAL, checker->why, checker->why_bytes, "event %llu: %s",
			  (unsigned long long)checker->events, rule);
}

static int check_phase_end(const struct trace_checker *checker)
{
	for (unsigned p = 0; p < checker->tables->processors; p++)
		if (checker->irql[p] != PASSIVE_LEVEL)
			return broken(checker, "a processor is raised at the end of a phase");
	if (checker->phase == TRACE_BODY && checker->changed)
		return broken(checker, "the body does not end as it began");
	return 0;
}

/* The slot's state, made if it is the first time that it is named. NULL: out of memory. */
static struct slot_state *slot_state(struct trace_checker *checker, uint32_t slot)
{
	struct slot_state *state, *grown;
	uint32_t known = checker->slots_known;

	if (slot >= known) {
		known = slot < 32 ? 64 : slot > UINT32_MAX / 2 ? UINT32_MAX : slot * 2;
		grown = realloc(checker->slots, (size_t)known * sizeof(*grown));
		if (!grown)
			return NULL;
		memset(grown + checker->slots_known, 0,
		       (size_t)(known - checker->slots_known) * sizeof(*grown));
		checker->slots = grown;
		checker->slots_known = known;
	}
	state = &checker->slots[slot];
	if (state->named_in != checker->phase + 1) {
		state->named_in = (uint8_t)(checker->phase + 1);
		state->filler = state->emptier = PROCESSOR_NONE;
	}
	if (checker->phase == TRACE_BODY && !state->in_body) {
		state->in_body = true;
		state->start = state->now;
	}
	return state;
}

static bool differs(const struct slot_state *state)
{
	const struct slot_content *a = &state->now, *b = &state->start;

	if (!a->full || !b->full)
		return a->full != b->full;
	return a->bytes != b->bytes || a->tag != b->tag || a->paged != b->paged;
}

static const char *check_alloc(struct trace_checker *checker, struct slot_state *state,
			       unsigned processor, const struct trace_event *event)
{
	if (state->now.full)
		return "allocation into a slot that is full";
	if (event->touch > event->bytes)
		return "more is touched than allocated";
	if (event->flags & ~(unsigned)TRACE_PAGED)
		return "unknown flag";
	if (state->filler != PROCESSOR_NONE && state->filler != processor)
		return "a slot is filled by two processors in one phase";
	state->filler = state->owner = (uint16_t)processor;
	if (state->has_claim && checker->phase == TRACE_BODY) {
		if (state->remote_claim != (state->filler != state->emptier))
			return "the remote flag of a free is wrong";
		state->has_claim = false;
	}
	state->now = (struct slot_content){ .bytes = event->bytes,
					    .tag = event->tag,
					    .paged = (event->flags & TRACE_PAGED) != 0,
					    .full = true };
	checker->live++;
	return NULL;
}

static const char *check_free(struct trace_checker *checker, struct slot_state *state,
			      unsigned processor, const struct trace_event *event)
{
	const bool remote = (event->flags & TRACE_REMOTE) != 0;

	if (!state->now.full)
		return "free of a slot that is empty";
	if (event->touch || (event->flags & ~(unsigned)(TRACE_PAGED | TRACE_REMOTE)))
		return "unknown flag";
	if (state->now.bytes != event->bytes || state->now.tag != event->tag ||
	    state->now.paged != ((event->flags & TRACE_PAGED) != 0))
		return "a free that is not of what the slot holds";
	if (state->emptier != PROCESSOR_NONE && state->emptier != processor)
		return "a slot is emptied by two processors in one phase";
	state->emptier = (uint16_t)processor;
	if (checker->phase == TRACE_BODY && state->filler == PROCESSOR_NONE) {
		/* Allocated by the prologue or the lap before: told when this lap fills it again. */
		state->has_claim = true;
		state->remote_claim = remote;
	} else if (remote != (state->owner != processor)) {
		return "the remote flag of a free is wrong";
	}
	state->now.full = false;
	checker->live--;
	return NULL;
}

static int check_block(struct trace_checker *checker, unsigned processor,
		       const struct trace_event *event)
{
	struct slot_state *state;
	const char *rule;
	bool differed;

	checker->allocs += event->kind == TRACE_ALLOC;
	if (event->slot >= checker->tables->slots || event->slot >= 8 * checker->allocs)
		return broken(checker, "slot number out of range");
	if (event->tag >= checker->tables->tags || !event->bytes)
		return broken(checker, "tag or size out of range");
	if ((event->flags & TRACE_PAGED) && checker->irql[processor] >= DISPATCH_LEVEL)
		return broken(checker, "paged pool at DISPATCH_LEVEL");
	state = slot_state(checker, event->slot);
	if (!state)
		return trace_fail(-ENOMEM, checker->why, checker->why_bytes, "out of memory");
	differed = checker->phase == TRACE_BODY && differs(state);
	rule = event->kind == TRACE_ALLOC ? check_alloc(checker, state, processor, event)
					  : check_free(checker, state, processor, event);
	if (rule)
		return broken(checker, rule);
	if (checker->phase == TRACE_BODY) {
		checker->changed += differs(state);
		checker->changed -= differed;
	}
	return 0;
}

static int check_irql(struct trace_checker *checker, unsigned processor,
		      const struct trace_event *event)
{
	uint8_t *irql = &checker->irql[processor];

	if (event->bytes > DISPATCH_LEVEL ||
	    (event->kind == TRACE_RAISE ? event->bytes <= *irql : event->bytes >= *irql))
		return broken(checker, "a level that is not raised or lowered to");
	if (event->slot || event->touch || event->tag || event->flags)
		return broken(checker, "a level event carries more than a level");
	*irql = (uint8_t)event->bytes;
	return 0;
}

int trace_checker_event(struct trace_checker *checker, enum trace_phase phase, unsigned processor,
			const struct trace_event *event)
{
	int ret = 0;

	while (checker->phase < phase) {
		ret = check_phase_end(checker);
		if (ret)
			return ret;
		checker->phase++;
	}
	if (phase != checker->phase || processor >= checker->tables->processors)
		return broken(checker, "phase or processor out of range");
	switch (event->kind) {
	case TRACE_ALLOC:
	case TRACE_FREE:
		ret = check_block(checker, processor, event);
		break;
	case TRACE_RAISE:
	case TRACE_LOWER:
		ret = check_irql(checker, processor, event);
		break;
	case TRACE_MARK:
		if (event->slot >= checker->tables->marks || event->bytes || event->touch ||
		    event->tag || event->flags)
			ret = broken(checker, "a mark that has no name, or carries more");
		break;
	default:
		ret = broken(checker, "unknown kind of event");
		break;
	}
	checker->events++;
	return ret;
}

int trace_checker_end(struct trace_checker *checker)
{
	int ret = check_phase_end(checker);

	while (!ret && checker->phase < TRACE_EPILOGUE) {
		checker->phase++;
		ret = check_phase_end(checker);
	}
	if (ret)
		return ret;
	if (checker->live)
		return broken(checker, "objects are live at the end");
	if (checker->tables->slots > 8 * checker->allocs)
		return broken(checker, "more slots than allocations account for");
	return 0;
}

static int validate_visit(void *arg, enum trace_phase phase, unsigned processor,
			  const struct trace_event *event)
{
	return trace_checker_event(arg, phase, processor, event);
}

/* Runs must add up to the streams before anything walks along them. */
static bool runs_agree(const struct trace *trace)
{
	uint64_t seen[TRACE_MAX_PROCESSORS] = { 0 }, left, total = 0;
	enum trace_phase phase = TRACE_PROLOGUE;

	left = trace_phase_events(trace, phase);
	for (uint64_t r = 0; r < trace->runs; r++) {
		while (!left && phase < TRACE_EPILOGUE)
			left = trace_phase_events(trace, ++phase);
		if (trace->order[r].processor >= trace->processors || !trace->order[r].count ||
		    trace->order[r].count > left)
			return false;
		seen[trace->order[r].processor] += trace->order[r].count;
		left -= trace->order[r].count;
	}
	for (unsigned p = 0; p < trace->processors; p++) {
		if (seen[p] != trace->streams[p].total)
			return false;
		total += trace->streams[p].total;
	}
	for (int i = 0; i < TRACE_PHASES; i++)
		total -= trace_phase_events(trace, (enum trace_phase)i);
	return !total;
}

int trace_validate(const struct trace *trace, char *why, size_t why_bytes)
{
	struct trace_checker checker;
	int ret;

	if (!trace->processors || trace->processors > TRACE_MAX_PROCESSORS || !runs_agree(trace))
		return trace_fail(-EINVAL, why, why_bytes,
				  "the order of the events does not add up to the streams");
	ret = trace_checker_init(&checker, trace, why, why_bytes);
	if (!ret)
		ret = trace_walk(trace, validate_visit, &checker);
	if (!ret)
		ret = trace_checker_end(&checker);
	trace_checker_destroy(&checker);
	return ret;
}
