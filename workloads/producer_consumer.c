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
	/* Whole rounds, or processors would have unlike shares: turns are made shorter to fit them in. */
	turns.count = pattern_batch(config->events, 2 * n, turns.count);
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

struct handover {
	struct trace_builder *builder;
	uint32_t *ring; /* [processors][batches][batch]; a pair's are its allocating processor's */
	uint64_t batch;
	unsigned batches, processors, tag;
	uint32_t bytes;
};

/* The n-th batch of every pair: 2i allocates it and 2i + 1 frees it. An odd processor out has half of one, its own. */
static void hand_over(const struct handover *handover, uint64_t n, bool free_it)
{
	for (unsigned p = 0; p < handover->processors; p += 2) {
		const bool alone = p + 1 == handover->processors;
		uint32_t *part = handover->ring +
				 (p * handover->batches + n % handover->batches) * handover->batch;

		for (uint64_t i = 0; i < handover->batch; i += alone ? 2 : 1) {
			if (free_it)
				trace_builder_free(handover->builder, alone ? p : p + 1, part[i]);
			else
				part[i] = pattern_alloc(handover->builder, p, handover->bytes,
							handover->tag);
		}
	}
}

static int xmalloc_generate(const struct workload_config *config, struct trace_builder *builder)
{
	const struct xmalloc_options *options = config->options;
	struct handover handover = {
		.builder = builder,
		.batch = pattern_batch(config->events, config->processors, options->batch),
		.batches = options->batches,
		.processors = config->processors,
		.tag = trace_builder_tag(builder, POOL_TAG('B', 'a', 't', 'c'), "of a batch"),
		.bytes = (uint32_t)options->size,
	};
	uint64_t made = 0, gone = 0;

	handover.ring = calloc(handover.batch * handover.batches * config->processors,
			       sizeof(*handover.ring));
	if (!handover.ring)
		return -ENOMEM;
	trace_builder_phase(builder, TRACE_BODY);
	do {
		while (made - gone < handover.batches &&
		       made * handover.batch * config->processors < config->events)
			hand_over(&handover, made++, false);
		hand_over(&handover, gone++, true);
	} while (gone < made);
	free(handover.ring);
	return 0;
}

const struct workload xmalloc = {
	.name = "xmalloc",
	.summary = "half of the processors allocate, the others free, in batches",
	.options = xmalloc_table,
	.options_bytes = sizeof(struct xmalloc_options),
	.generate = xmalloc_generate,
};
