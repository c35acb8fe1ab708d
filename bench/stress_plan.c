/* What a seed means: the round that follows from it; rounds as text, in a trace's origin. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allocators/options.h"
#include "bench/irql_enforce.h"
#include "bench/stress.h"
#include "workloads/random.h"
#include "workloads/workload.h"

#define LAPS          8u
#define SHORTAGE_LAPS 6u
#define ORIGIN        "stress:"
#define BACKEND_IS    ",backend=" /* last, because a specification has commas of its own */

const char *const stress_scenario_names[STRESS_SCENARIOS + 1] = {
	"mix", "threads", "workloads", "shortage", "failures", "irql", NULL,
};

/* A population that is small and a tree that is narrow: the same code, a hundredth of the events. */
static const char *const small_workloads[] = {
	"irp-storm:depth=16,files=32,transfer=64K",
	"registry-churn:keys=128,cached=16,handles=16,bins=8,notify=8",
	"section-mapping:files=32,cached=16,largest=256K",
	"object-churn:population=128,processes=4,threads=3",
};

/* A workload without a line above runs with its defaults; stress_trace thins what is long. */
const char *stress_workload(unsigned index)
{
	unsigned at = 0;

	while (at < index && workloads[at])
		at++;
	if (!workloads[at])
		return NULL;
	for (size_t i = 0; i < sizeof(small_workloads) / sizeof(*small_workloads); i++) {
		const size_t length = strcspn(small_workloads[i], ":");

		if (strlen(workloads[at]->name) == length &&
		    strncmp(small_workloads[i], workloads[at]->name, length) == 0)
			return small_workloads[i];
	}
	return workloads[at]->name;
}

uint32_t stress_scenarios(const struct stress_plan *plan, const struct backend *backend)
{
	const uint32_t caps = backend->ops->caps;
	uint32_t scenarios = 1u << STRESS_MIX | 1u << STRESS_THREADS | 1u << STRESS_WORKLOADS;

	if ((caps & POOL_CAP_NATIVE) && !(caps & POOL_CAP_FLOOR))
		scenarios |= 1u << STRESS_SHORTAGE | 1u << STRESS_FAILURES | 1u << STRESS_IRQL;
	return scenarios & plan->scenarios;
}

static size_t page_size_of(struct random *random)
{
	static const size_t sizes[] = { 4096, 4096, 4096, 65536, 65536, 16384, 16384, 2u << 20 };

	return sizes[random_below(random, 8)];
}

/* From what a few small blocks need to what a design that takes megabytes at a time can begin with. */
static void choose_shortage(struct stress_round *round, struct random *random)
{
	const size_t pages = 4 * round->page_size;

	round->room_bytes = (size_t)random_between(random, 64, 128)
			    << (10 + random_below(random, 7));
	if (round->room_bytes < pages)
		round->room_bytes = pages;
	round->room_bytes &= ~(round->page_size - 1);
	round->laps = SHORTAGE_LAPS;
}

static void choose_faults(struct stress_round *round, struct random *random)
{
	round->fault_types = random_between(random, 1, 3);
	round->faults.seed = random_next(random);
	if (random_below(random, 2))
		round->faults.fail_every = random_between(random, 2, 40);
	else
		round->faults.fail_probability = random_between(random, 1, 50) / 100.0;
}

static unsigned count_workloads(void)
{
	unsigned count = 0;

	while (stress_workload(count))
		count++;
	return count;
}

void stress_round_of(const struct stress_plan *plan, const struct backend *backend,
		     enum stress_scenario scenario, uint64_t seed, struct stress_round *out)
{
	struct stress_round round = {
		.backend = backend,
		.scenario = scenario,
		.seed = seed,
		.processors = plan->threads,
		.laps = LAPS,
		.verify = plan->verify,
		.low = plan->low,
		.workload = plan->workload,
		.events = plan->events,
	};
	struct random random;

	random_seed(&random, seed ^ 0x7374726573730000u);
	round.page_size = page_size_of(&random);
	if (scenario == STRESS_WORKLOADS && !round.workload)
		round.workload = stress_workload(random_below(&random, count_workloads()));
	if (scenario == STRESS_MIX || scenario == STRESS_SHORTAGE)
		round.processors = 1;
	if (scenario == STRESS_SHORTAGE)
		choose_shortage(&round, &random);
	if (scenario == STRESS_FAILURES)
		choose_faults(&round, &random);
	if (scenario == STRESS_IRQL) {
		round.verify |= VERIFIER_IRQL;
		round.laps = 3;
	}
	if ((round.verify & VERIFIER_LOW_RESOURCES) && round.low.probability <= 0)
		round.low.probability = VERIFIER_LOW_PROBABILITY;
	round.low.seed = seed;
	if (plan->faults_given) {
		round.faults = plan->faults;
		round.faults.seed = seed;
		round.fault_types = 3;
	}
	/* Page protection is the whole process's: another thread would be shut out with the one that raised. */
	if ((round.verify & VERIFIER_IRQL) && irql_enforce_means() != IRQL_BY_KEYS)
		round.processors = 1;
	*out = round;
}

/* ---- fault plans ---- */

struct fault_values {
	double probability;
	size_t nth, every, delay;
	char tag[OPTION_TEXT_BYTES];
};

static const struct option_def fault_options[] = {
	OPTION_SIZE(struct fault_values, nth, "0", 0, 1e15, "only this commit fails"),
	OPTION_SIZE(struct fault_values, every, "0", 0, 1e15, "every so many commits one fails"),
	OPTION_REAL(struct fault_values, probability, "0", 0, 1, "1",
		    "share of commits, or with delay or tag of allocations, that fail"),
	OPTION_SIZE(struct fault_values, delay, "0", 0, 1e15,
		    "allocations before the first is refused"),
	OPTION_TEXT(struct fault_values, tag, "", "only allocations of this tag are refused"),
	OPTION_END,
};

static int parse_tag(const char *text, uint32_t *tag)
{
	const size_t length = strlen(text);
	char padded[4] = { ' ', ' ', ' ', ' ' };

	if (length == 0 || length > 4)
		return -EINVAL;
	memcpy(padded, text, length);
	*tag = POOL_TAG(padded[0], padded[1], padded[2], padded[3]);
	return 0;
}

int stress_faults_parse(const char *text, struct stress_plan *plan, char *why, size_t why_bytes)
{
	struct fault_values values;
	char detail[256];

	if (strcmp(text, "systematic") == 0) {
		plan->systematic = true;
		return 0;
	}
	if (options_parse(fault_options, &values, text, detail, sizeof(detail)) != 0) {
		snprintf(why, why_bytes, "--faults %s: %s", text, detail);
		return -EINVAL;
	}
	if (values.delay || values.tag[0]) {
		plan->verify |= VERIFIER_LOW_RESOURCES;
		plan->low.delay = values.delay;
		plan->low.probability = values.probability;
		if (values.tag[0] && parse_tag(values.tag, &plan->low.tag) != 0) {
			snprintf(why, why_bytes, "--faults: tag '%s' is not 1 to 4 characters",
				 values.tag);
			return -EINVAL;
		}
		values.probability = 0;
	}
	plan->faults = (struct page_faults){
		.fail_nth = values.nth,
		.fail_every = values.every,
		.fail_probability = values.probability,
	};
	plan->faults_given = values.nth || values.every || values.probability > 0;
	if (plan->faults_given || (plan->verify & VERIFIER_LOW_RESOURCES))
		return 0;
	snprintf(why, why_bytes, "--faults %s: nothing would fail: give nth, every or probability",
		 text);
	return -EINVAL;
}

/* ---- a round as text ---- */

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
