/*
 * pinning: the worst case of allocators that keep sizes apart. A generation fills the memory with blocks of one
 * size, then all but one a page are freed, and the next generation is of a larger size. Where a page that has
 * served one size serves no other while a block of it lives, every generation takes new memory: with
 * g generations the heap is g times the largest. Where free neighbours are joined, holes are used again.
 *
 * Source: Wilson, Johnstone, Neely and Boles, "Dynamic storage allocation: a survey and critical review", IWMM 1995,
 * on segregated storage. docs/literature.md derives the figure.
 */
#include <errno.h>
#include <stdlib.h>

#include "literature.h"

struct pinning_options {
	size_t live, size, page;
	unsigned growth, generations;
};

static const struct option_def pinning_table[] = {
	OPTION_SIZE(struct pinning_options, live, "8M", 1 << 16, 1 << 30,
		    "a generation, all processors together"),
	OPTION_SIZE(struct pinning_options, size, "64", 16, 1 << 16, "blocks of the first"),
	OPTION_UINT(struct pinning_options, growth, "2", 1, 16, "1",
		    "of the size, from one to the next"),
	OPTION_UINT(struct pinning_options, generations, "6", 1, 16, "1", "how many"),
	OPTION_SIZE(struct pinning_options, page, "4K", 32, 1 << 20,
		    "one block in so many bytes stays; at least every second one goes"),
	OPTION_END
};

/* Allocates a generation and frees all but one a page; the last one stays whole. */
static int generation(const struct workload_config *config, struct trace_builder *builder,
		      unsigned tag, uint32_t bytes, bool last, struct held *held)
{
	const struct pinning_options *options = config->options;
	const uint64_t rows = options->live / config->processors / bytes;
	const uint64_t stride = options->page / bytes < 2 ? 2 : options->page / bytes;

	held->count = 0;
	for (uint64_t i = 0; i < rows; i++)
		for (unsigned p = 0; p < config->processors; p++)
			if (held_add(held, pattern_alloc(builder, p, bytes, tag), bytes))
				return -ENOMEM;
	for (uint64_t i = 0; i < held->count && !last; i++)
		if (i / config->processors % stride)
			trace_builder_free(builder, (unsigned)(i % config->processors),
					   held->handles[i]);
	return 0;
}

static int pinning_generate(const struct workload_config *config, struct trace_builder *builder)
{
	const struct pinning_options *options = config->options;
	const unsigned tag = trace_builder_tag(builder, POOL_TAG('P', 'i', 'n', 's'), "a block");
	struct held held = { 0 };
	size_t bytes = options->size;
	int rc = 0;

	for (unsigned g = 1; rc == 0 && g <= options->generations; g++) {
		const bool last = g == options->generations ||
				  bytes * options->growth > options->live / config->processors;

		rc = generation(config, builder, tag, (uint32_t)bytes, last, &held);
		if (last)
			break;
		bytes *= options->growth;
	}
	if (rc == 0)
		held_body(config, builder, tag, &held);
	held_release(&held);
	return rc;
}

const struct workload pinning = {
	.name = "pinning",
	.summary = "a block a page stays when sizes change: the worst case of size classes",
	.options = pinning_table,
	.options_bytes = sizeof(struct pinning_options),
	.generate = pinning_generate,
};
