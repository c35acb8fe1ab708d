/* One finding: its trace shrunk and saved, the command that repeats it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench/clock.h"
#include "bench/stress_outcome.h"

#define SHRINK_SECONDS 5.0

uint64_t stress_trace_events(const struct trace *trace)
{
	uint64_t events = 0;

	for (int phase = 0; phase < TRACE_PHASES; phase++)
		events += trace_phase_events(trace, (enum trace_phase)phase);
	return events;
}

static double seconds_since(uint64_t start_ns)
{
	return (double)(clock_read_ns(CLOCK_MONOTONIC) - start_ns) * 1e-9;
}

/* Letters, digits and dashes of a specification, for a file's name. */
static void plain_name(const char *spec, char *name, size_t name_bytes)
{
	const char *slash = strrchr(spec, '/');
	size_t used = 0;

	for (const char *c = slash ? slash + 1 : spec; *c && *c != ':' && used + 1 < name_bytes;
	     c++)
		name[used++] = strchr("/.,= ", *c) ? '-' : *c;
	name[used] = '\0';
}

static void repeat_command(const struct stress_session *session, const struct stress_round *round,
			   char *text, size_t text_bytes)
{
	int used = snprintf(text, text_bytes, "poolbench stress --backend %s --seed %" PRIu64,
			    round->backend->spec, round->seed);

	if (session->plan.systematic)
		used += snprintf(text + used, text_bytes - (size_t)used, " --faults systematic");
	else
		used += snprintf(text + used, text_bytes - (size_t)used,
				 " --scenario %s --rounds 1 --threads %u",
				 stress_scenario_names[round->scenario], session->plan.threads);
	if (session->plan.events && (size_t)used < text_bytes)
		used += snprintf(text + used, text_bytes - (size_t)used, " --events %" PRIu64,
				 session->plan.events);
	if (session->plan.workload && (size_t)used < text_bytes)
		snprintf(text + used, text_bytes - (size_t)used, " --workload %s",
			 session->plan.workload);
}

/* Saves a reproducing trace, shrunk if it can be. `note` says why there is none. */
static bool save_trace(const struct stress_session *session, const struct stress_round *round,
		       const struct trace *trace, const struct finding *finding, char *path,
		       size_t path_bytes, uint64_t *events, const char **note)
{
	struct stress_round needed = *round;
	struct trace *shrunk = NULL;
	char name[64], why[256];
	int error;

	if (session->plan.systematic) {
		needed.one_failure = true;
		needed.faults.fail_nth = atomic_load(&finding->fail_nth);
		needed.fault_types = 1u << atomic_load(&finding->fail_type);
	}
	error = stress_shrink(&needed, trace, finding->rule, session->timeout_seconds,
			      session->shrink ? SHRINK_SECONDS : 0.0, &shrunk);
	if (error) {
		*note = error == -ENOENT
				? "it did not come again at once: the threads' timing is part "
				  "of it; repeat the seed"
				: "no memory to shrink the trace";
		return false;
	}
	plain_name(round->backend->spec, name, sizeof(name));
	snprintf(path, path_bytes, "%s/stress-%s-%s-%" PRIu64 ".pbt", session->out, name,
		 finding->rule, round->seed);
	*events = stress_trace_events(shrunk);
	error = trace_write(shrunk, path, why, sizeof(why));
	trace_destroy(shrunk);
	if (error) {
		fprintf(stderr, "poolbench stress: %s\n", why);
		*note = "the trace could not be written";
		return false;
	}
	return true;
}

void stress_tell_finding(const struct stress_session *session, const struct stress_round *round,
			 const struct trace *trace, const struct finding *finding,
			 struct stress_outcome *outcome)
{
	char repeat[1024], path[4096];
	struct finding_context context = {
		.backend = round->backend->spec,
		.scenario = session->plan.systematic ? "systematic failure"
						     : stress_scenario_names[round->scenario],
		.seed = round->seed,
		.repeat = repeat,
		.trace_events_before = stress_trace_events(trace),
		.rounds = outcome->rounds,
		.found_seconds = seconds_since(outcome->start_ns),
	};

	repeat_command(session, round, repeat, sizeof(repeat));
	if (save_trace(session, round, trace, finding, path, sizeof(path), &context.trace_events,
		       &context.note))
		context.trace = path;
	if (!session->json)
		finding_print(stdout, finding, &context);
	outcome->finding = finding_json(finding, &context);
	outcome->verdict = "finding";
	snprintf(outcome->why, sizeof(outcome->why), "%s", finding->rule);
}

void stress_tell_load(const struct stress_session *session, const struct finding *finding,
		      struct stress_outcome *outcome)
{
	char repeat[1024];
	const struct finding_context context = {
		.backend = outcome->spec,
		.scenario = "loading it",
		.seed = session->seed,
		.repeat = repeat,
	};

	snprintf(repeat, sizeof(repeat), "poolbench stress --backend %s", outcome->spec);
	if (!session->json)
		finding_print(stdout, finding, &context);
	outcome->finding = finding_json(finding, &context);
	outcome->verdict = "finding";
	snprintf(outcome->why, sizeof(outcome->why), "%s", finding->rule);
}
