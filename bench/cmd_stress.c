/* poolbench stress: holds backends to every promise of the contract. */
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allocators/options.h"
#include "bench/cmd.h"
#include "bench/stress.h"
#include "workloads/workload.h"

#define SPECS 64

struct stress_arguments {
	struct stress_session session;
	const char *specs[SPECS + 1];
	size_t spec_count;
	const char *replay;
};

enum { KEY_EVENTS = 256, KEY_ROUNDS, KEY_SCENARIO, KEY_TIMEOUT, KEY_REPLAY, KEY_NO_SHRINK };

static const struct argp_option stress_options[] = {
	{ "backend", 'b', "LIST", 0, "Backends (default: all built-in ones)", 0 },
	{ "seconds", 't', "S", 0, "Time for each backend (default: 10)", 0 },
	{ "seed", 's', "N", 0, "Seed of the first round; each has the next (default: 1)", 0 },
	{ "threads", 'n', "N", 0, "Threads where there are many (default: 4)", 0 },
	{ "workload", 'w', "SPEC", 0, "This workload instead of random operations", 0 },
	{ "events", KEY_EVENTS, "N", 0, "Events of a lap (default: some thousands)", 0 },
	{ "scenario", KEY_SCENARIO, "LIST", 0,
	  "mix, threads, workloads, shortage, failures, irql (default: all in turn)", 0 },
	{ "rounds", KEY_ROUNDS, "N", 0, "So many rounds instead of a time", 0 },
	{ "faults", 'f', "PLAN", 0,
	  "Failing commits: nth=K, every=K, probability=P; with delay=N or tag=TAG refused "
	  "allocations; "
	  "or systematic: every commit of every workload, one by one",
	  0 },
	{ "verify", 'v', "LIST", 0,
	  "Verifier: special (or special-overrun, special-underrun), tracking, irql, low-resources",
	  0 },
	{ "timeout", KEY_TIMEOUT, "S", 0, "Without progress for so long it is a hang (default: 5)",
	  0 },
	{ "replay", KEY_REPLAY, "FILE", 0, "Play a saved trace again", 0 },
	{ "out", 'o', "DIR", 0, "Where reproducing traces go (default: .)", 0 },
	{ "no-shrink", KEY_NO_SHRINK, NULL, 0, "Save reproducing traces as they are", 0 },
	{ "json", 'j', NULL, 0, "One JSON document on stdout", 0 },
	{ 0 },
};

/* "y=2" after "slub:x=1" belongs to it. Cut in place: argv is ours. */
static void add_specs(struct stress_arguments *arguments, char *list, struct argp_state *state)
{
	char *start = list;

	for (char *c = list;; c++) {
		const char *next = c + 1;
		const size_t word = strcspn(next, ",:=");

		if (*c == ',' && next[word] == '=' && strchr(start, ':') && strchr(start, ':') < c)
			continue;
		if (*c != ',' && *c != '\0')
			continue;
		if (arguments->spec_count == SPECS)
			argp_error(state, "more than %d backends", SPECS);
		if (c > start)
			arguments->specs[arguments->spec_count++] = start;
		if (*c == '\0')
			return;
		*c = '\0';
		start = c + 1;
	}
}

/* A list of words as bits: their places in `names`. */
static uint32_t parse_bits(const char *option, char *list, const char *const *names,
			   struct argp_state *state)
{
	uint32_t bits = 0;

	for (char *word = strtok(list, ","); word; word = strtok(NULL, ",")) {
		size_t place = 0, count = 0;
		const char *near;

		while (names[count])
			count++;
		while (names[place] && strcmp(names[place], word) != 0)
			place++;
		near = name_suggest(word, names, count);
		if (!names[place])
			argp_error(state, "--%s: no '%s'%s%s%s", option, word,
				   near ? "; did you mean '" : "", near ? near : "",
				   near ? "'?" : "");
		bits |= 1u << place;
	}
	if (!bits)
		argp_error(state, "--%s: an empty list", option);
	return bits;
}

static double parse_number(const char *option, const char *text, double min, double max,
			   struct argp_state *state)
{
	char *end;
	const double value = strtod(text, &end);

	if (end == text || *end || !(value >= min) || value > max)
		argp_error(state, "--%s %s: wants a number from %g to %g", option, text, min, max);
	return value;
}

static uint64_t parse_seed(const char *text, struct argp_state *state)
{
	char *end;
	uint64_t value;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (end == text || *end || *text == '-' || errno)
		argp_error(state, "--seed %s: wants a number from 0 to 2^64 - 1", text);
	return value;
}

static void check_workload(const char *spec, struct argp_state *state)
{
	char why[512];

	if (workload_check(spec, why, sizeof(why)) != 0)
		argp_error(state, "--workload: %s", why);
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
	struct stress_arguments *arguments = state->input;
	struct stress_session *session = &arguments->session;
	char why[512];

	switch (key) {
	case 'b':
		add_specs(arguments, text, state);
		return 0;
	case 't':
		session->seconds = parse_number("seconds", text, 0.01, 1e9, state);
		return 0;
	case 's':
		session->seed = parse_seed(text, state);
		return 0;
	case 'n':
		session->plan.threads = (unsigned)parse_number("threads", text, 1, 256, state);
		return 0;
	case 'w':
		check_workload(text, state);
		session->plan.workload = text;
		return 0;
	case KEY_EVENTS:
		session->plan.events = (uint64_t)parse_number("events", text, 100, 1e9, state);
		return 0;
	case KEY_SCENARIO:
		session->plan.scenarios = parse_bits("scenario", text, stress_scenario_names,
						     state);
		return 0;
	case KEY_ROUNDS:
		session->rounds = (unsigned)parse_number("rounds", text, 1, 1e9, state);
		return 0;
	case 'f':
		if (stress_faults_parse(text, &session->plan, why, sizeof(why)) != 0)
			argp_error(state, "%s", why);
		return 0;
	case 'v':
		session->plan.verify |= parse_bits("verify", text, verifier_part_names, state);
		return 0;
	case KEY_TIMEOUT:
		session->timeout_seconds = (unsigned)parse_number("timeout", text, 1, 3600, state);
		return 0;
	case KEY_REPLAY:
		arguments->replay = text;
		return 0;
	case 'o':
		session->out = text;
		return 0;
	case KEY_NO_SHRINK:
		session->shrink = false;
		return 0;
	case 'j':
		session->json = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp stress_argp = {
	.options = stress_options,
	.parser = parse_option,
	.doc = "Breaks backends, or fails to: threads of random operations and small workloads on "
	       "fresh pools, "
	       "in which every promise of the contract is checked on every block. A finding is "
	       "printed like a "
	       "stop screen, with the command and the trace that repeat it."
	       "\vExamples:\n"
	       "  poolbench stress\n"
	       "  poolbench stress --backend ./mine.so --seconds 60 --seed 7\n"
	       "  poolbench stress --backend nt-pool --faults systematic\n"
	       "  poolbench stress --backend nt-pool --verify tracking,low-resources --faults "
	       "probability=0.06,tag=Irp\n"
	       "  poolbench stress --backend slub --workload irp-storm --events 1000000 --verify "
	       "special\n"
	       "  poolbench stress --replay stress-mine-overlap-7.pbt\n"
	       "Exit codes: 0 sound; 1 a finding; 2 usage; 3 something needed is missing; 4 "
	       "inconclusive.",
};

int cmd_stress(int argc, char **argv)
{
	struct stress_arguments arguments = {
		.session = { .plan = { .threads = 4, .scenarios = (1u << STRESS_SCENARIOS) - 1 },
			     .seconds = 10,
			     .seed = 1,
			     .timeout_seconds = 5,
			     .out = ".",
			     .shrink = true },
	};

	argp_err_exit_status = EXIT_USAGE;
	argp_parse(&stress_argp, argc, argv, 0, NULL, &arguments);
	arguments.session.specs = arguments.specs;
	if (arguments.replay)
		return stress_session_replay(&arguments.session, arguments.replay);
	if (!arguments.spec_count)
		for (; builtin_backends[arguments.spec_count] && arguments.spec_count < SPECS;
		     arguments.spec_count++)
			arguments.specs[arguments.spec_count] =
				builtin_backends[arguments.spec_count]->name;
	return stress_session_run(&arguments.session);
}
