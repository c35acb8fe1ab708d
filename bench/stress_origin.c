/* A round as text, in the origin of the trace that repeats it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "allocators/options.h"
#include "bench/stress.h"

#define ORIGIN     "stress:"
#define BACKEND_IS ",backend=" /* last, because a specification has commas of its own */

struct origin_values {
	char rule[OPTION_TEXT_BYTES];
	int scenario;
	size_t seed_high, seed_low, page_size, room, fail_nth, fail_every, fault_seed_high,
		fault_seed_low, delay;
	unsigned laps, fault_types, one_failure, verify, tag_high, tag_low;
	double fail_probability, low_probability;
};

static const struct option_def origin_options[] = {
	OPTION_TEXT(struct origin_values, rule, "", "what was broken"),
	OPTION_ENUM(struct origin_values, scenario, "mix", stress_scenario_names, "scenario"),
	OPTION_SIZE(struct origin_values, seed_high, "0", 0, 4294967295.0,
		    "upper half of the seed"),
	OPTION_SIZE(struct origin_values, seed_low, "0", 0, 4294967295.0, "lower half of the seed"),
	OPTION_SIZE(struct origin_values, page_size, "4K", 4096, 2 << 20, "pool page"),
	OPTION_SIZE(struct origin_values, room, "0", 0, 1e15, "limit over what create took"),
	OPTION_SIZE(struct origin_values, fail_nth, "0", 0, 1e15, "only this commit fails"),
	OPTION_SIZE(struct origin_values, fail_every, "0", 0, 1e15,
		    "every so many commits one fails"),
	OPTION_SIZE(struct origin_values, fault_seed_high, "0", 0, 4294967295.0, "of the failures"),
	OPTION_SIZE(struct origin_values, fault_seed_low, "0", 0, 4294967295.0, "of the failures"),
	OPTION_SIZE(struct origin_values, delay, "0", 0, 1e15,
		    "allocations before the first refused"),
	OPTION_UINT(struct origin_values, laps, "1", 1, 1000, "laps", "laps of the body"),
	OPTION_UINT(struct origin_values, one_failure, "0", 0, 1, "1",
		    "systematic failure's one commit"),
	OPTION_UINT(struct origin_values, fault_types, "0", 0, 3, "bits", "whose commits fail"),
	OPTION_UINT(struct origin_values, verify, "0", 0, VERIFIER_PARTS, "bits",
		    "the verifier's parts"),
	OPTION_UINT(struct origin_values, tag_high, "0", 0, 65535, "1",
		    "of the tag that is refused"),
	OPTION_UINT(struct origin_values, tag_low, "0", 0, 65535, "1",
		    "of the tag that is refused"),
	OPTION_REAL(struct origin_values, fail_probability, "0", 0, 1, "1",
		    "share of commits that fail"),
	OPTION_REAL(struct origin_values, low_probability, "0", 0, 1, "1",
		    "share of allocations refused"),
	OPTION_END,
};

size_t stress_origin_format(const struct stress_round *round, const char *rule, char *text,
			    size_t text_bytes)
{
	struct origin_values values = {
		.scenario = (int)round->scenario,
		.seed_high = round->seed >> 32,
		.seed_low = round->seed & UINT32_MAX,
		.page_size = round->page_size,
		.room = round->room_bytes,
		.fail_nth = round->faults.fail_nth,
		.fail_every = round->faults.fail_every,
		.fault_seed_high = round->faults.seed >> 32,
		.fault_seed_low = round->faults.seed & UINT32_MAX,
		.delay = round->low.delay,
		.laps = round->laps,
		.fault_types = round->fault_types,
		.one_failure = round->one_failure,
		.verify = round->verify,
		.tag_high = round->low.tag >> 16,
		.tag_low = round->low.tag & 0xFFFF,
		.fail_probability = round->faults.fail_probability,
		.low_probability = round->low.probability,
	};
	char options[1024];

	snprintf(values.rule, sizeof(values.rule), "%s", rule);
	options_format(origin_options, &values, options, sizeof(options));
	return (size_t)snprintf(text, text_bytes, ORIGIN "%s" BACKEND_IS "%s", options,
				round->backend->spec);
}

int stress_origin_parse(const char *text, struct stress_round *round, char *rule, size_t rule_bytes,
			char *spec, size_t spec_bytes, char *why, size_t why_bytes)
{
	const char *backend = strstr(text, BACKEND_IS);
	struct origin_values values;
	char options[1024], detail[256];
	int length;

	if (strncmp(text, ORIGIN, strlen(ORIGIN)) != 0 || !backend) {
		snprintf(why, why_bytes, "it does not come from poolbench stress ('%.60s')", text);
		return -ENOENT;
	}
	length = snprintf(options, sizeof(options), "%.*s",
			  (int)(backend - text - (ptrdiff_t)strlen(ORIGIN)), text + strlen(ORIGIN));
	if (length < 0 || (size_t)length >= sizeof(options) ||
	    options_parse(origin_options, &values, options, detail, sizeof(detail)) != 0 ||
	    (values.page_size & (values.page_size - 1))) {
		snprintf(why, why_bytes, "its origin is not one that this version writes: '%.80s'",
			 text);
		return -EINVAL;
	}
	*round = (struct stress_round){
		.scenario = (enum stress_scenario)values.scenario,
		.seed = (uint64_t)values.seed_high << 32 | values.seed_low,
		.page_size = values.page_size,
		.room_bytes = values.room,
		.faults = { values.fail_nth, values.fail_every, values.fail_probability,
			    (uint64_t)values.fault_seed_high << 32 | values.fault_seed_low },
		.laps = values.laps,
		.fault_types = values.fault_types,
		.one_failure = values.one_failure,
		.verify = values.verify,
		.low = { values.low_probability, values.delay,
			 values.tag_high << 16 | values.tag_low,
			 (uint64_t)values.seed_high << 32 | values.seed_low },
	};
	snprintf(rule, rule_bytes, "%s", values.rule);
	snprintf(spec, spec_bytes, "%s", backend + strlen(BACKEND_IS));
	return 0;
}
