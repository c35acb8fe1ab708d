/*
 * misfit: the worst case of best fit, which always takes the smallest hole that is large enough.
 *
 * 1. Source: Robson showed that best fit can be driven to a heap of about m times what is live, m being the largest
 *    block in units of the smallest, where first fit needs about log2 m times (Worst case fragmentation of first fit and
 *    best fit storage allocation strategies, Computer Journal 20(3), 1977; The Art of Computer Programming, vol. 1,
 *    exercises 2.5-42 and 43). The program below is our own. It is not his, and reaches a third of his bound.
 *
 * 2. The program makes holes of h units, for h = first .. m - 1 in turn, each fenced off by a pin of one unit. One
 *    hole takes five steps; before them no hole is larger than h - 1, as those of h units are plugged:
 *
 *        A = alloc(h + 1), B = alloc(h)        |...| A: h + 1 | B: h |      no hole fits either: new memory
 *        free(A), plug = alloc(h)              |...| plug: h |1| B: h |     the only hole that fits leaves a sliver
 *        pin = alloc(1)                        |...| plug: h |pin| B |      which is the smallest of all holes
 *        free(B)                               |...| plug: h |pin|
 *
 *    At the end of a turn its plugs are freed. Its k holes cost k units for good, and h k during the turn.
 *
 * 3. Bounds. With n units live, k = c n / h, and first = m / 3, pins need c n ln 3 and plugs c n at once, so that
 *    c = 1 / (1 + ln 3), and the heap comes to c n (m - first) = 0.32 m n.
 *
 * 4. First fit puts the same pins into the first holes it finds and needs a small part of that. So does whoever
 *    rounds sizes up, keeps freed blocks by size, or splits off nothing so small.
 *
 * The prologue plays the program, each processor for itself with its share of `live`; then come blocks of m units up
 * to `live`, which the body replaces one by one.
 */
#include <errno.h>
#include <stdlib.h>

#include "literature.h"

/* ln 3 in parts of 2^16: c is computed in integers. */
#define LN_3    71998u
#define ONE     65536u
#define RESERVE 3u /* blocks A and B of a step, and the next one's rounding */

struct misfit_options {
	size_t live, unit, header;
	unsigned sizes;
};

static const struct option_def misfit_table[] = {
	OPTION_SIZE(struct misfit_options, live, "2M", 1 << 16, 1 << 30,
		    "bytes live at most, all processors together"),
	OPTION_UINT(struct misfit_options, sizes, "64", 6, 1024, "units", "the largest block"),
	OPTION_SIZE(struct misfit_options, unit, "64", 16, 4096, "the smallest block, header in"),
	OPTION_SIZE(struct misfit_options, header, "0", 0, 15,
		    "of it and of every other block, not requested: the backend's own"),
	OPTION_END
};

struct misfit {
	const struct misfit_options *options;
	struct trace_builder *builder;
	unsigned processor, tag;
	uint32_t *plugs;
	uint32_t live, limit; /* units */
};

static uint32_t take(struct misfit *play, uint32_t units)
{
	play->live += units;
	return pattern_alloc(
		play->builder, play->processor,
		units * (uint32_t)play->options->unit - (uint32_t)play->options->header, play->tag);
}

static void give(struct misfit *play, uint32_t handle, uint32_t units)
{
	play->live -= units;
	trace_builder_free(play->builder, play->processor, handle);
}

/* A hole of h units, plugged, with a pin behind it. */
static uint32_t make_hole(struct misfit *play, uint32_t h)
{
	const uint32_t a = take(play, h + 1), b = take(play, h);
	uint32_t plug;

	give(play, a, h + 1);
	plug = take(play, h);
	take(play, 1);
	give(play, b, h);
	return plug;
}

static void turn(struct misfit *play, uint32_t h)
{
	const uint64_t wanted = (uint64_t)play->limit * ONE / (ONE + LN_3) / h; /* c n / h */
	uint32_t made = 0;

	while (made < wanted && play->live + RESERVE * (h + 1) <= play->limit)
		play->plugs[made++] = make_hole(play, h);
	for (uint32_t i = 0; i < made; i++)
		give(play, play->plugs[i], h);
}

static int play_processor(struct misfit *play, struct held *held)
{
	const uint32_t sizes = play->options->sizes;
	int rc = 0;

	play->live = 0;
	for (uint32_t h = sizes / 3; h < sizes; h++)
		turn(play, h);
	while (rc == 0 && play->live + sizes <= play->limit) {
		const uint32_t bytes = sizes * (uint32_t)play->options->unit -
				       (uint32_t)play->options->header;

		rc = held_add(held, take(play, sizes), bytes);
	}
	return rc;
}

static int misfit_generate(const struct workload_config *config, struct trace_builder *builder)
{
	const struct misfit_options *options = config->options;
	struct held all = { 0 }, *parts = calloc(config->processors, sizeof(*parts));
	struct misfit play = {
		.options = options,
		.builder = builder,
		.tag = trace_builder_tag(builder, POOL_TAG('M', 'i', 's', 'f'), "a block"),
		.limit = (uint32_t)(options->live / options->unit / config->processors),
	};
	int rc = 0;

	if (play.limit < 16 * options->sizes)
		play.limit = 16 * options->sizes;
	play.plugs = calloc(play.limit, sizeof(*play.plugs));
	if (!parts || !play.plugs)
		rc = -ENOMEM;
	for (; rc == 0 && play.processor < config->processors; play.processor++)
		rc = play_processor(&play, &parts[play.processor]);
	if (rc == 0)
		rc = held_interleave(&all, parts, config->processors);
	if (rc == 0)
		held_body(config, builder, play.tag, &all);
	for (unsigned p = 0; parts && p < config->processors; p++)
		held_release(&parts[p]);
	free(parts);
	free(play.plugs);
	held_release(&all);
	return rc;
}

const struct workload misfit = {
	.name = "misfit",
	.summary =
		"pins where best fit alone puts them: it wastes in proportion to the largest block",
	.options = misfit_table,
	.options_bytes = sizeof(struct misfit_options),
	.generate = misfit_generate,
};
