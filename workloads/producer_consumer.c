/*
 * producer-consumer and xmalloc: memory that one processor allocates and another frees.
 *
 * producer-consumer: the program of Berger, McKinley, Blumofe and Wilson, "Hoard: a scalable memory allocator for
 * multithreaded applications", ASPLOS 2000, section 2.2 (blowup). Processors take turns: one allocates `live` bytes,
 * the next frees them. The program never needs more than `live`; an allocator whose heaps keep what was allocated from
 * them holds it once a processor, one whose heaps keep what was freed to them without bound.
 *
 * xmalloc: after Lever and Boreham, "malloc() performance in a multithreaded Linux environment", USENIX 2000, in the
 * form of mimalloc-bench's xmalloc-test: half of the threads allocate, the others free, in batches.
 */
#include <errno.h>
#include <stdlib.h>

#include "literature.h"

/* ---- producer-consumer ---- */

struct turns_options {
	size_t live, size, pin;
};

static const struct option_def turns_table[] = {
	OPTION_SIZE(struct turns_options, live, "8M", 1 << 16, 1 << 30,
		    "allocated by one processor, freed by the next"),
	OPTION_SIZE(struct turns_options, size, "256", 16, 1 << 16, "of a block"),
	OPTION_SIZE(struct turns_options, pin, "0", 0, 1 << 24,
		    "one block in so many bytes of each processor's first turn stays, so that no "
		    "page of it can be given away; 0: none"),
	OPTION_END
};

struct turns {
	struct trace_builder *builder;
	uint32_t *handles;
	uint64_t count;
	uint32_t bytes;
	unsigned tag;
};

static void produce(struct turns *turns, unsigned processor)
{
	for (uint64_t i = 0; i < turns->count; i++)
		turns->handles[i] = pattern_alloc(turns->builder, processor, turns->bytes,
						  turns->tag);
}

/* Frees all but every `stride`-th; 0 keeps none. */
static void consume(struct turns *turns, unsigned processor, uint64_t stride)
{
	for (uint64_t i = 0; i < turns->count; i++)
		if (!stride || i % stride)
			trace_builder_free(turns->builder, processor, turns->handles[i]);
}

static int turns_generate(const struct workload_config *config, struct trace_builder *builder)
{
	const struct turns_options *options = config->options;
	const unsigned n = config->processors;
	struct turns turns = {
		.builder = builder,
		.bytes = (uint32_t)options->size,
		.count = options->live / options->size + 1,
		.tag = trace_builder_tag(builder, POOL_TAG('W', 'o', 'r', 'k'), "a piece of work"),
	};
	uint64_t stride = options->pin / options->size;
	unsigned turn = 0;

	if (options->pin && stride < 2)
		stride = 2;
	turns.handles = calloc(turns.count, sizeof(*turns.handles));
	if (!turns.handles)
		return -ENOMEM;
	/* The first round is the prologue: with it every heap has its memory. */
	for (; turn < n; turn++) {
		produce(&turns, turn);
		consume(&turns, (turn + 1) % n, stride);
	}
	trace_builder_phase(builder, TRACE_BODY);
	/* Turns are made shorter rather than few: all of a round, or processors would have unlike shares. */
	if (turns.count > config->events / (2 * n) + 1)
		turns.count = config->events / (2 * n) + 1;
	while (trace_builder_events(builder) < config->events || turn % n) {
		produce(&turns, turn % n);
		consume(&turns, (turn + 1) % n, 0);
		turn++;
	}
	free(turns.handles);
	return 0;
}

const struct workload producer_consumer = {
	.name = "producer-consumer",
	.summary = "one allocates, the next frees, in turns: the blowup of private heaps (Hoard)",
	.options = turns_table,
	.options_bytes = sizeof(struct turns_options),
	.generate = turns_generate,
};

/* ---- xmalloc ---- */

struct xmalloc_options {
	size_t size;
	unsigned batch, batches;
};

static const struct option_def xmalloc_table[] = {
	OPTION_SIZE(struct xmalloc_options, size, "64", 1, 1 << 16, "of a block"),
	OPTION_UINT(struct xmalloc_options, batch, "4096", 1, 65536, "blocks",
		    "handed over together"),
	OPTION_UINT(struct xmalloc_options, batches, "4", 1, 64, "batches",
		    "on their way from a pair's allocating thread to its freeing one"),
	OPTION_END
};

/* An odd processor out frees its own. */
static int xmalloc_generate(const struct workload_config *config, struct trace_builder *builder)
{
	const struct xmalloc_options *options = config->options;
	const unsigned n = config->processors;
	const unsigned tag = trace_builder_tag(builder, POOL_TAG('B', 'a', 't', 'c'), "of a batch");
	const uint64_t share = config->events / (2 * n) + 1;
	const uint64_t batch = options->batch < share ? options->batch : share;
	const uint64_t ahead = batch * options->batches, each = batch * n;
	uint32_t *ring = calloc(ahead * n, sizeof(*ring));
	uint64_t made = 0, gone = 0; /* batches of each pair */

	if (!ring)
		return -ENOMEM;
	trace_builder_phase(builder, TRACE_BODY);
	while (gone < made || !made || made * each * 2 < config->events) {
		const bool more = made * each * 2 < config->events || !made;
		const uint64_t to = (more ? made : gone) % options->batches * batch;

		for (unsigned p = 0; p < n && more; p++)
			for (uint64_t i = 0; i < batch; i++)
				ring[p * ahead + to + i] = pattern_alloc(
					builder, p + 1 < n ? p & ~1u : p, (uint32_t)options->size,
					tag);
		made += more;
		if (more && made - gone < options->batches)
			continue;
		for (unsigned p = 0; p < n; p++)
			for (uint64_t i = 0; i < batch; i++)
				trace_builder_free(
					builder, p | (p < (n & ~1u) ? 1 : 0),
					ring[p * ahead + gone % options->batches * batch + i]);
		gone++;
	}
	free(ring);
	return 0;
}

const struct workload xmalloc = {
	.name = "xmalloc",
	.summary = "half of the processors allocate, the others free, in batches",
	.options = xmalloc_table,
	.options_bytes = sizeof(struct xmalloc_options),
	.generate = xmalloc_generate,
};
