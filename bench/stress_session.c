/* The rounds of a session, backend by backend. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/clock.h"
#include "bench/cmd.h"
#include "bench/irql_enforce.h"
#include "bench/stress_outcome.h"

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
	(void)number;
	interrupted = 1;
}

/* What a child left: true if the backend's rounds are over. */
static bool judge_round(const struct stress_session *session, const struct stress_round *round,
			const struct trace *trace, const struct finding *finding,
			struct stress_outcome *outcome)
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
	stress_tell_finding(session, round, trace, finding, outcome);
	return true;
}

/* ---- rounds ---- */

/* True if the backend's rounds are over. */
static bool play_round(const struct stress_session *session, stress_play *play,
		       const struct stress_round *round, struct finding *finding,
		       struct stress_outcome *outcome)
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
			struct finding *finding, struct stress_outcome *outcome)
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
			    struct finding *finding, struct stress_outcome *outcome)
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

static const char *probed_spec; /* for the child */

static void probe_load(const struct stress_round *round, const struct trace *trace,
		       struct finding *finding)
{
	struct backend *backend;
	char why[512];

	(void)round;
	(void)trace;
	(void)finding;
	finding_thread(-1, "loading");
	if (backend_open(probed_spec, &backend, why, sizeof(why)) == 0)
		backend_close(backend);
}

/* First in a child: a library that crashes while it is loaded must not take along what was found so far. */
static bool can_be_loaded(const struct stress_session *session, struct finding *finding,
			  struct stress_outcome *outcome)
{
	probed_spec = outcome->spec;
	if (stress_child(probe_load, NULL, NULL, session->timeout_seconds, finding) != 0 ||
	    !finding->rule[0])
		return true;
	stress_tell_load(session, finding, outcome);
	return false;
}

static void run_spec(const struct stress_session *session, struct finding *finding,
		     struct stress_outcome *outcome)
{
	struct backend *backend;
	int error;

	outcome->start_ns = clock_read_ns(CLOCK_MONOTONIC);
	if (!can_be_loaded(session, finding, outcome))
		return;
	error = backend_open(outcome->spec, &backend, outcome->why, sizeof(outcome->why));
	outcome->verdict = "sound";
	if (error) {
		outcome->verdict = error == -EINVAL ? "usage" : "missing";
		return;
	}
	if (session->plan.systematic)
		play_systematic(session, backend, finding, outcome);
	else
		play_rounds(session, backend, finding, outcome);
	outcome->seconds = (double)(clock_read_ns(CLOCK_MONOTONIC) - outcome->start_ns) * 1e-9;
	backend_close(backend);
}

/* Once, and not where it does not matter. */
static void tell_means(const struct stress_session *session)
{
	const enum irql_means means = irql_enforce_means();

	if (means != IRQL_BY_KEYS && !session->plan.systematic &&
	    ((session->plan.scenarios >> STRESS_IRQL & 1) ||
	     (session->plan.verify & VERIFIER_IRQL)))
		fprintf(stderr, "poolbench stress: IRQL is enforced by %s\n",
			irql_means_name(means));
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
	tell_means(session);
	for (const char *const *spec = session->specs; *spec && !interrupted; spec++) {
		struct stress_outcome outcome = { .spec = *spec };

		run_spec(session, finding, &outcome);
		stress_tell_outcome(session, &outcome);
		code = stress_worse(code, stress_exit_code(outcome.verdict));
		json_array_append_new(backends, stress_outcome_json(&outcome));
	}
	finding_destroy(finding);
	return stress_tell_all(session, backends,
			       interrupted ? stress_worse(code, EXIT_INCONCLUSIVE) : code);
}
