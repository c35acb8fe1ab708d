/* The rounds of a session, backend by backend, and what is told of them. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/clock.h"
#include "bench/cmd.h"
#include "bench/irql_enforce.h"
#include "bench/stress.h"
#include "results/record_json.h"

#define SHRINK_SECONDS 5.0

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
	(void)number;
	interrupted = 1;
}

/* What a backend's rounds came to. */
struct outcome {
	const char *spec;
	const char *verdict; /* "sound", "finding", "skipped", "missing", "inconclusive", "usage" */
	char why[512];
	uint64_t rounds, operations, failures;
	uint64_t start_ns;
	double seconds;
	json_t *finding; /* or NULL */
};

static uint64_t trace_events(const struct trace *trace)
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

/* ---- one finding ---- */

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
	*events = trace_events(shrunk);
	error = trace_write(shrunk, path, why, sizeof(why));
	trace_destroy(shrunk);
	if (error) {
		fprintf(stderr, "poolbench stress: %s\n", why);
		*note = "the trace could not be written";
		return false;
	}
	return true;
}

static void tell_finding(const struct stress_session *session, const struct stress_round *round,
			 const struct trace *trace, const struct finding *finding,
			 struct outcome *outcome)
{
	char repeat[1024], path[4096];
	struct finding_context context = {
		.backend = round->backend->spec,
		.scenario = session->plan.systematic ? "systematic failure"
						     : stress_scenario_names[round->scenario],
		.seed = round->seed,
		.repeat = repeat,
		.trace_events_before = trace_events(trace),
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

/* What a child left: true if the backend's rounds are over. */
static bool judge_round(const struct stress_session *session, const struct stress_round *round,
			const struct trace *trace, const struct finding *finding,
			struct outcome *outcome)
{
	outcome->rounds++;
	outcome->operations += atomic_load(&finding->operations);
	outcome->failures += atomic_load(&finding->failures);
	if (!finding->rule[0] || interrupted)
		return interrupted;
	if (strcmp(finding->rule, "harness") == 0) {
		outcome->verdict = "inconclusive";
		snprintf(outcome->why, sizeof(outcome->why), "%s", finding->text);
		return true;
	}
	tell_finding(session, round, trace, finding, outcome);
	return true;
}

/* ---- rounds ---- */

/* True if the backend's rounds are over. */
static bool play_round(const struct stress_session *session, stress_play *play,
		       const struct stress_round *round, struct finding *finding,
		       struct outcome *outcome)
{
	struct trace *trace;
	bool over;
	int error = stress_trace(round, &trace, outcome->why, sizeof(outcome->why));

	if (error) {
		outcome->verdict = error == -EINVAL ? "usage" : "inconclusive";
		return true;
	}
	error = stress_child(play, round, trace, session->timeout_seconds, finding);
	if (error) {
		outcome->verdict = "inconclusive";
		snprintf(outcome->why, sizeof(outcome->why), "no child process: %s",
			 strerror(-error));
		over = true;
	} else {
		over = judge_round(session, round, trace, finding, outcome);
	}
	trace_destroy(trace);
	return over;
}

static enum stress_scenario nth_scenario(uint32_t scenarios, unsigned nth)
{
	nth %= (unsigned)__builtin_popcount(scenarios);
	for (;; scenarios &= scenarios - 1)
		if (nth-- == 0)
			return (enum stress_scenario)__builtin_ctz(scenarios);
}

static void play_rounds(const struct stress_session *session, const struct backend *backend,
			struct finding *finding, struct outcome *outcome)
{
	const uint32_t scenarios = stress_scenarios(&session->plan, backend);
	const uint64_t end = clock_read_ns(CLOCK_MONOTONIC) + (uint64_t)(session->seconds * 1e9);

	if (!scenarios) {
		outcome->verdict = "skipped";
		snprintf(outcome->why, sizeof(outcome->why),
			 "none of these scenarios applies: it takes no memory from page sources");
		return;
	}
	for (unsigned r = 0; !session->rounds || r < session->rounds; r++) {
		struct stress_round round;

		if (!session->rounds && r && clock_read_ns(CLOCK_MONOTONIC) > end)
			return;
		stress_round_of(&session->plan, backend, nth_scenario(scenarios, r),
				session->seed + r, &round);
		if (play_round(session, stress_round_play, &round, finding, outcome))
			return;
	}
}

static void play_systematic(const struct stress_session *session, const struct backend *backend,
			    struct finding *finding, struct outcome *outcome)
{
	const char *spec;

	if ((backend->ops->caps & (POOL_CAP_NATIVE | POOL_CAP_FLOOR)) != POOL_CAP_NATIVE) {
		outcome->verdict = "skipped";
		snprintf(
			outcome->why, sizeof(outcome->why),
			"its commits cannot be made to fail: it takes no memory from page sources");
		return;
	}
	for (unsigned i = 0; (spec = stress_workload(i)); i++) {
		struct stress_round round = {
			.backend = backend,
			.scenario = STRESS_WORKLOADS,
			.seed = session->seed,
			.processors = 1,
			.page_size = 4096,
			.laps = 1,
			.workload = session->plan.workload ? session->plan.workload : spec,
			.events_small = true,
		};

		if (play_round(session, stress_systematic_play, &round, finding, outcome) ||
		    session->plan.workload)
			return;
	}
}

static void run_spec(const struct stress_session *session, struct finding *finding,
		     struct outcome *outcome)
{
	struct backend *backend;
	int error = backend_open(outcome->spec, &backend, outcome->why, sizeof(outcome->why));

	outcome->start_ns = clock_read_ns(CLOCK_MONOTONIC);
	outcome->verdict = "sound";
	if (error) {
		outcome->verdict = error == -EINVAL ? "usage" : "missing";
		return;
	}
	if (session->plan.systematic)
		play_systematic(session, backend, finding, outcome);
	else
		play_rounds(session, backend, finding, outcome);
	outcome->seconds = seconds_since(outcome->start_ns);
	backend_close(backend);
}

/* ---- telling ---- */

static void tell_outcome(const struct stress_session *session, const struct outcome *outcome)
{
	FILE *stream = session->json ? stderr : stdout;

	if (strcmp(outcome->verdict, "usage") == 0 || strcmp(outcome->verdict, "missing") == 0) {
		fprintf(stderr, "poolbench stress: %s\n", outcome->why);
		return;
	}
	fprintf(stream, "%s: %s%s%s: %" PRIu64 " rounds, %" PRIu64 " operations verified",
		outcome->spec, outcome->verdict, outcome->why[0] ? ": " : "", outcome->why,
		outcome->rounds, outcome->operations);
	if (session->plan.systematic)
		fprintf(stream, ", %" PRIu64 " commits failed one by one", outcome->failures);
	fprintf(stream, " in %.1f s\n", outcome->seconds);
	fflush(stream);
}

static json_t *outcome_json(const struct outcome *outcome)
{
	json_t *object = json_object();

	json_object_set_new(object, "backend", json_text(outcome->spec));
	json_object_set_new(object, "verdict", json_string(outcome->verdict));
	json_object_set_new(object, "reason",
			    outcome->why[0] ? json_text(outcome->why) : json_null());
	json_object_set_new(object, "rounds", json_integer((json_int_t)outcome->rounds));
	json_object_set_new(object, "operations", json_integer((json_int_t)outcome->operations));
	json_object_set_new(object, "failed_commits", json_integer((json_int_t)outcome->failures));
	json_object_set_new(object, "elapsed_seconds", json_finite(outcome->seconds));
	json_object_set_new(object, "finding", outcome->finding ? outcome->finding : json_null());
	return object;
}

static int exit_code(const char *verdict)
{
	static const struct {
		const char *verdict;
		int code;
	} codes[] = { { "sound", EXIT_GOOD },      { "skipped", EXIT_GOOD },
		      { "finding", EXIT_FAILED },  { "usage", EXIT_USAGE },
		      { "missing", EXIT_MISSING }, { "inconclusive", EXIT_INCONCLUSIVE } };

	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
		if (strcmp(codes[i].verdict, verdict) == 0)
			return codes[i].code;
	return EXIT_FAILED;
}

/* A finding outweighs everything; of the rest the first that is not good stands. */
static int worse(int code, int other)
{
	if (code == EXIT_FAILED || other == EXIT_FAILED)
		return EXIT_FAILED;
	return code ? code : other;
}

static int tell_all(const struct stress_session *session, json_t *backends, int code)
{
	json_t *document;
	char seed[24];

	if (!session->json) {
		json_decref(backends);
		return code;
	}
	document = json_object();
	snprintf(seed, sizeof(seed), "%" PRIu64, session->seed);
	json_object_set_new(document, "schema", json_string("poolbench-stress-1"));
	json_object_set_new(document, "verdict",
			    json_string(code == EXIT_GOOD     ? "sound"
					: code == EXIT_FAILED ? "finding"
							      : "incomplete"));
	json_object_set_new(document, "seed", json_string(seed));
	json_object_set_new(document, "irql_enforcement",
			    json_string(irql_means_name(irql_enforce_means())));
	json_object_set_new(document, "backends", backends);
	if (json_dumpf(document, stdout, JSON_INDENT(2)) != 0 || putchar('\n') == EOF)
		code = EXIT_FAILED;
	json_decref(document);
	return code;
}

int stress_session_run(const struct stress_session *session)
{
	const struct sigaction action = { .sa_handler = on_interrupt };
	struct finding *finding = finding_create();
	json_t *backends = json_array();
	int code = EXIT_GOOD;

	if (!finding || !backends) {
		fprintf(stderr, "poolbench stress: out of memory\n");
		return EXIT_FAILED;
	}
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	for (const char *const *spec = session->specs; *spec && !interrupted; spec++) {
		struct outcome outcome = { .spec = *spec };

		run_spec(session, finding, &outcome);
		tell_outcome(session, &outcome);
		code = worse(code, exit_code(outcome.verdict));
		json_array_append_new(backends, outcome_json(&outcome));
	}
	finding_destroy(finding);
	return tell_all(session, backends, interrupted ? worse(code, EXIT_INCONCLUSIVE) : code);
}

/* ---- replay ---- */

/* The round that a file asks for: its own words, or those of a trace from elsewhere with the backend given. */
static int replay_round(const struct stress_session *session, const struct trace *trace,
			struct stress_round *round, char *spec, size_t spec_bytes, char *why,
			size_t why_bytes)
{
	const char *given = session->specs[0];
	char rule[64];
	int error = stress_origin_parse(trace->origin, round, rule, sizeof(rule), spec, spec_bytes,
					why, why_bytes);

	if (error == -ENOENT && given) {
		*round = (struct stress_round){ .scenario = STRESS_WORKLOADS,
						.seed = session->seed,
						.page_size = 4096,
						.laps = 1 };
		error = 0;
	}
	if (given)
		snprintf(spec, spec_bytes, "%s", given);
	round->processors = trace->processors;
	round->verify |= session->plan.verify;
	return error;
}

static int replay_trace(const struct stress_session *session, const char *path,
			const struct trace *trace, struct finding *finding)
{
	struct finding_context context = { .trace_events = trace_events(trace) };
	struct stress_round round;
	struct backend *backend;
	char spec[512], why[512], repeat[4200];
	int error = replay_round(session, trace, &round, spec, sizeof(spec), why, sizeof(why));

	if (error) {
		fprintf(stderr, "poolbench stress: %s: %s%s\n", path, why,
			error == -ENOENT ? ": name the backend with --backend" : "");
		return EXIT_USAGE;
	}
	error = backend_open(spec, &backend, why, sizeof(why));
	if (error) {
		fprintf(stderr, "poolbench stress: %s\n", why);
		return exit_code_of(error);
	}
	round.backend = backend;
	error = stress_child(stress_round_play, &round, trace, session->timeout_seconds, finding);
	if (error) {
		fprintf(stderr, "poolbench stress: no child process: %s\n", strerror(-error));
		backend_close(backend);
		return EXIT_FAILED;
	}
	snprintf(repeat, sizeof(repeat), "poolbench stress --replay %s", path);
	context.backend = spec;
	context.scenario = stress_scenario_names[round.scenario];
	context.seed = round.seed;
	context.repeat = repeat;
	if (session->json) {
		struct outcome outcome = {
			.spec = spec,
			.verdict = finding->rule[0] ? "finding" : "sound",
			.rounds = 1,
			.operations = atomic_load(&finding->operations),
		};
		json_t *backends = json_array();

		if (finding->rule[0])
			outcome.finding = finding_json(finding, &context);
		json_array_append_new(backends, outcome_json(&outcome));
		tell_all(session, backends, exit_code(outcome.verdict));
	} else if (finding->rule[0]) {
		finding_print(stdout, finding, &context);
	} else {
		printf("%s: sound: %llu operations verified of %s\n", spec,
		       (unsigned long long)atomic_load(&finding->operations), path);
	}
	backend_close(backend);
	return finding->rule[0] ? EXIT_FAILED : EXIT_GOOD;
}

int stress_session_replay(const struct stress_session *session, const char *path)
{
	struct finding *finding = finding_create();
	struct trace *trace;
	char why[512];
	int code, error = trace_read(path, &trace, why, sizeof(why));

	if (error || !finding) {
		fprintf(stderr, "poolbench stress: %s\n", error ? why : "out of memory");
		return error == -ENOENT ? EXIT_MISSING : EXIT_USAGE;
	}
	code = replay_trace(session, path, trace, finding);
	trace_destroy(trace);
	finding_destroy(finding);
	return code;
}
