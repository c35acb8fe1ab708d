/* A saved trace played again. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench/cmd.h"
#include "bench/stress_outcome.h"

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

static void tell_replay(const struct stress_session *session, const char *path,
			const struct stress_round *round, const struct trace *trace,
			const struct finding *finding)
{
	char repeat[4200];
	const struct finding_context context = {
		.backend = round->backend->spec,
		.scenario = stress_scenario_names[round->scenario],
		.seed = round->seed,
		.repeat = repeat,
		.trace_events = stress_trace_events(trace),
	};
	struct stress_outcome outcome = {
		.spec = round->backend->spec,
		.verdict = finding->rule[0] ? "finding" : "sound",
		.rounds = 1,
		.operations = atomic_load(&finding->operations),
	};

	snprintf(repeat, sizeof(repeat), "poolbench stress --replay %s", path);
	if (session->json) {
		json_t *backends = json_array();

		if (finding->rule[0])
			outcome.finding = finding_json(finding, &context);
		json_array_append_new(backends, stress_outcome_json(&outcome));
		stress_tell_all(session, backends, stress_exit_code(outcome.verdict));
	} else if (finding->rule[0]) {
		finding_print(stdout, finding, &context);
	} else {
		printf("%s: sound: %" PRIu64 " operations verified of %s\n", outcome.spec,
		       outcome.operations, path);
	}
}

static int replay_trace(const struct stress_session *session, const char *path,
			const struct trace *trace, struct finding *finding)
{
	struct stress_round round;
	struct backend *backend;
	char spec[512], why[512];
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
	if (error)
		fprintf(stderr, "poolbench stress: no child process: %s\n", strerror(-error));
	else
		tell_replay(session, path, &round, trace, finding);
	backend_close(backend);
	return error || finding->rule[0] ? EXIT_FAILED : EXIT_GOOD;
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
