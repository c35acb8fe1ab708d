/* What a seed means: the round that follows from it. Plans of failure. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "allocators/options.h"
#include "bench/irql_enforce.h"
#include "bench/stress.h"
#include "workloads/random.h"
#include "workloads/workload.h"

#define LAPS          8u
#define THREADS_LAPS  16u /* what is lost by some frees only takes longer to be seen as growth */
#define SHORTAGE_LAPS 6u

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
		.laps = 2 * plan->threads > LAPS ? 2 * plan->threads : LAPS,
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
	if (scenario == STRESS_MIX || scenario == STRESS_SHORTAGE) {
		round.processors = 1;
		round.laps = LAPS;
	}
	if (scenario == STRESS_THREADS && round.laps < THREADS_LAPS)
		round.laps = THREADS_LAPS;
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
