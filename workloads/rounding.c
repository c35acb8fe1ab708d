/*
 * rounding: blocks of one size, or of all sizes between two, and nothing else: what headers and size classes cost.
 * A size just above a class is the worst case, which the authors of allocators publish as a bound.
 */
#include <errno.h>

#include "literature.h"
#include "random.h"

struct rounding_options {
	size_t live, size, largest;
};

static const struct option_def rounding_table[] = {
	OPTION_SIZE(struct rounding_options, live, "8M", 1 << 16, 1 << 30,
		    "requested bytes, all processors together"),
	OPTION_SIZE(struct rounding_options, size, "1025", 1, 1 << 20, "of a block"),
	OPTION_SIZE(struct rounding_options, largest, "0", 0, 1 << 20,
		    "sizes are even between `size` and this; 0: all are `size`"),
	OPTION_END
};

static int rounding_generate(const struct workload_config *config, struct trace_builder *builder)
{
	const struct rounding_options *options = config->options;
	const unsigned tag = trace_builder_tag(builder, POOL_TAG('R', 'o', 'u', 'n'), "a block");
	const uint32_t low = (uint32_t)options->size;
	const uint32_t high = options->largest > low ? (uint32_t)options->largest : low;
	struct held held = { 0 };
	struct random random;
	int rc = 0;

	random_seed(&random, config->seed);
	while (rc == 0 && (trace_builder_live_bytes(builder) < options->live || !held.count)) {
		for (unsigned p = 0; rc == 0 && p < config->processors; p++) {
			const uint32_t bytes = random_between(&random, low, high);

			rc = held_add(&held, pattern_alloc(builder, p, bytes, tag), bytes);
		}
	}
	if (rc == 0)
		held_body(config, builder, tag, &held);
	held_release(&held);
	return rc;
}

const struct workload rounding = {
	.name = "rounding",
	.summary = "blocks of one size, just above a size class: the bounds that authors publish",
	.options = rounding_table,
	.options_bytes = sizeof(struct rounding_options),
	.generate = rounding_generate,
};
