/*
 * threadtest and larson: the two programs by which allocators for threads have been compared since 2000.
 *
 * threadtest (Berger et al., ASPLOS 2000, section 5.1): again and again each of t threads allocates its share of
 * 100,000 blocks of 8 bytes, and then frees them.
 *
 * larson (Larson and Krishnan, "Memory allocation for long-running server applications", ISMM 1998): each thread
 * has some blocks of random sizes, and replaces one at random by one of another random size. After a while it
 * leaves them to the next thread, which frees what it did not allocate. Here two blocks are replaced at a time and
 * trade sizes, so that the body ends as it began; the blocks go round the processors.
 */
#include <errno.h>
#include <stdlib.h>

#include "literature.h"
#include "random.h"

/* ---- threadtest ---- */

struct threadtest_options {
	unsigned objects;
	size_t size;
};

static const struct option_def threadtest_table[] = {
	OPTION_UINT(struct threadtest_options, objects, "100000", 1, 10000000, "blocks",
		    "allocated and then freed, all processors together"),
	OPTION_SIZE(struct threadtest_options, size, "8", 1, 1 << 16, "of a block"), OPTION_END
};

static int threadtest_generate(const struct workload_config *config, struct trace_builder *builder)
{
	const struct threadtest_options *options = config->options;
	const unsigned n = config->processors;
	const unsigned tag = trace_builder_tag(builder, POOL_TAG('F', 'o', 'o', ' '), "a block");
	const uint64_t mine = pattern_batch(config->events, 2 * n, options->objects / n + 1);
	uint32_t *handles = calloc(mine * n, sizeof(*handles));

	if (!handles)
		return -ENOMEM;
	trace_builder_phase(builder, TRACE_BODY);
	while (trace_builder_events(builder) < config->events) {
		for (uint64_t i = 0; i < mine * n; i++)
			handles[i] = pattern_alloc(builder, (unsigned)(i % n),
						   (uint32_t)options->size, tag);
		for (uint64_t i = 0; i < mine * n; i++)
			trace_builder_free(builder, (unsigned)(i % n), handles[i]);
	}
	free(handles);
	return 0;
}

const struct workload threadtest = {
	.name = "threadtest",
	.summary = "each processor allocates many small blocks and frees them (Hoard)",
	.options = threadtest_table,
	.options_bytes = sizeof(struct threadtest_options),
	.generate = threadtest_generate,
};

/* ---- larson ---- */

struct larson_options {
	unsigned blocks, rounds;
	size_t smallest, largest;
};

static const struct option_def larson_table[] = {
	OPTION_UINT(struct larson_options, blocks, "5000", 2, 1000000, "blocks", "a processor"),
	OPTION_SIZE(struct larson_options, smallest, "8", 1, 1 << 16, "block"),
	OPTION_SIZE(struct larson_options, largest, "1000", 1, 1 << 16, "block"),
	OPTION_UINT(struct larson_options, rounds, "1", 1, 10000, "1",
		    "times that a processor replaces as many blocks as it has, until it hands "
		    "them on"),
	OPTION_END
};

/* Two of a processor's blocks go, and two of each other's size come in their places. */
static void trade(struct trace_builder *builder, struct random *random, struct held *blocks,
		  unsigned processor, unsigned tag)
{
	const uint32_t count = (uint32_t)blocks->count;
	const uint32_t a = random_below(random, count);
	const uint32_t b = (a + 1 + random_below(random, count - 1)) % count;
	const uint32_t bytes = blocks->bytes[a];

	trace_builder_free(builder, processor, blocks->handles[a]);
	trace_builder_free(builder, processor, blocks->handles[b]);
	blocks->bytes[a] = blocks->bytes[b];
	blocks->bytes[b] = bytes;
	blocks->handles[a] = pattern_alloc(builder, processor, blocks->bytes[a], tag);
	blocks->handles[b] = pattern_alloc(builder, processor, blocks->bytes[b], tag);
}

static int larson_fill(const struct workload_config *config, struct trace_builder *builder,
		       struct random *random, struct held *owners, unsigned tag)
{
	const struct larson_options *options = config->options;
	const uint32_t low = (uint32_t)options->smallest;
	const uint32_t high = options->largest > low ? (uint32_t)options->largest : low;
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < options->blocks; i++)
		for (unsigned p = 0; rc == 0 && p < config->processors; p++) {
			const uint32_t bytes = random_between(random, low, high);

			rc = held_add(&owners[p], pattern_alloc(builder, p, bytes, tag), bytes);
		}
	return rc;
}

static int larson_generate(const struct workload_config *config, struct trace_builder *builder)
{
	const struct larson_options *options = config->options;
	const unsigned n = config->processors;
	const unsigned tag = trace_builder_tag(builder, POOL_TAG('L', 'a', 'r', 's'), "a block");
	const uint64_t term = (uint64_t)options->rounds * options->blocks / 2 + 1;
	struct held *owners = calloc(n, sizeof(*owners));
	struct random random;
	int rc = owners ? 0 : -ENOMEM;

	random_seed(&random, config->seed);
	if (rc == 0)
		rc = larson_fill(config, builder, &random, owners, tag);
	trace_builder_phase(builder, TRACE_BODY);
	for (uint64_t i = 0; rc == 0 && trace_builder_events(builder) < config->events; i++)
		for (unsigned p = 0; p < n; p++)
			trade(builder, &random, &owners[(p + i / term) % n], p, tag);
	for (unsigned p = 0; owners && p < n; p++)
		held_release(&owners[p]);
	free(owners);
	return rc;
}

const struct workload larson = {
	.name = "larson",
	.summary = "a server's threads: blocks of random sizes that go from thread to thread",
	.options = larson_table,
	.options_bytes = sizeof(struct larson_options),
	.generate = larson_generate,
};
