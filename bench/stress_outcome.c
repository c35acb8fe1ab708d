/* Outcomes for people and for programs. */
#include "bench/stress_outcome.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench/cmd.h"
#include "bench/irql_enforce.h"
#include "results/record_json.h"

void stress_tell_outcome(const struct stress_session *session, const struct stress_outcome *outcome)
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

json_t *stress_outcome_json(const struct stress_outcome *outcome)
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

int stress_exit_code(const char *verdict)
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

int stress_worse(int code, int other)
{
	if (code == EXIT_FAILED || other == EXIT_FAILED)
		return EXIT_FAILED;
	return code ? code : other;
}

int stress_tell_all(const struct stress_session *session, json_t *backends, int code)
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
