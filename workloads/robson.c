/*
 * robson: the program that makes every allocator that does not move blocks waste memory.
 *
 * 1. Source: J. M. Robson, "Bounds for some functions concerning dynamic storage allocation", JACM 21(3), 1974; the
 *    program, which he gave in the proof, is called P_R and spelled out by Cohen and Petrank, "Limitations of
 *    partial compaction: towards practical bounds", PLDI 2013. With at most M units live and blocks of 1 to n
 *    units, n = 2^steps, whatever the allocator, its heap grows to M (1 + steps / 2) - n + 1 units at least.
 *
 * 2. The program. Step 0 allocates M blocks of one unit. Step i chooses one of two offsets f, frees every block
 *    that covers no address k 2^i + f, and allocates blocks of 2^i units until M units are live again: none of
 *    them fits into a hole, because a survivor lies in every stretch of 2^i. The offset is the one whose
 *    survivors are smaller for the room that they spoil.
 *
 * 3. The program looks at addresses, a trace cannot. So it is played here against a model of a policy in a heap
 *    without headers: first fit by address, best fit, or blocks aligned to their size at the lowest place
 *    (the buddy system's addresses, and SQLite's memsys5). A backend of that policy is met by its own worst case, any other
 *    by somebody else's, which is milder: its figure is no bound.
 *
 * 4. `header` bytes are taken off every request, so that a backend with headers carves exact powers of two.
 *
 * The prologue plays the program, each processor for itself with its share of `live`; the body replaces the
 * blocks of the last step, one by one.
 */
#include <errno.h>
#include <stdlib.h>

#include "literature.h"
#include "trace_internal.h"

enum robson_policy { POLICY_FIRST_FIT, POLICY_BEST_FIT, POLICY_ALIGNED };

static const char *const policy_names[] = { "first-fit", "best-fit", "aligned", NULL };

struct robson_options {
	size_t live, unit, header;
	unsigned steps;
	int policy;
};

static const struct option_def robson_table[] = {
	OPTION_SIZE(struct robson_options, live, "8M", 1 << 16, 1 << 30,
		    "bytes live at most, all processors together; a block of the last step a "
		    "processor at least"),
	OPTION_UINT(struct robson_options, steps, "9", 1, 16, "1",
		    "doublings from the smallest block to the largest"),
	OPTION_SIZE(struct robson_options, unit, "64", 16, 4096, "the smallest block, header in"),
	OPTION_SIZE(struct robson_options, header, "0", 0, 15,
		    "of it and of every other block, not requested: the backend's own"),
	OPTION_ENUM(struct robson_options, policy, "first-fit", policy_names,
		    "the model of the allocator that the program plays against"),
	OPTION_END
};

struct placed {
	uint32_t at, units, handle;
};

struct hole {
	uint32_t at, units;
};

struct model {
	const struct robson_options *options;
	struct trace_builder *builder;
	unsigned processor, tag;
	struct placed *blocks; /* live */
	uint64_t count, capacity;
	struct hole *holes;
	uint64_t hole_count, hole_capacity;
	uint32_t live, limit, offset; /* units */
};

static int by_address(const void *left, const void *right)
{
	const struct placed *a = left, *b = right;

	return a->at < b->at ? -1 : a->at > b->at;
}

static int by_size(const void *left, const void *right)
{
	const struct hole *a = left, *b = right;

	if (a->units != b->units)
		return a->units < b->units ? -1 : 1;
	return a->at < b->at ? -1 : a->at > b->at;
}

/* Whether a block covers an address k 2^step + offset. */
static bool covers(const struct placed *block, uint32_t offset, unsigned step)
{
	const uint32_t behind = (block->at - offset) & ((1u << step) - 1);

	return behind == 0 || (1u << step) - behind < block->units;
}

/* Units that the survivors of an offset spoil: each keeps 2^step from being used as a whole. */
static uint64_t spoiled(const struct model *model, uint32_t offset, unsigned step)
{
	uint64_t units = 0;

	for (uint64_t i = 0; i < model->count; i++)
		if (covers(&model->blocks[i], offset, step))
			units += (1u << step) - model->blocks[i].units;
	return units;
}

static void free_others(struct model *model, unsigned step)
{
	uint64_t kept = 0;

	for (uint64_t i = 0; i < model->count; i++) {
		const struct placed block = model->blocks[i];

		if (covers(&block, model->offset, step)) {
			model->blocks[kept++] = block;
			continue;
		}
		trace_builder_free(model->builder, model->processor, block.handle);
		model->live -= block.units;
	}
	model->count = kept;
}

static int add_hole(struct model *model, uint32_t at, uint32_t end, uint32_t size)
{
	if (model->options->policy == POLICY_ALIGNED)
		at = (at + size - 1) & ~(size - 1);
	if (at >= end || end - at < size)
		return 0;
	if (trace_reserve((void **)&model->holes, &model->hole_capacity, model->hole_count,
			  sizeof(*model->holes)))
		return -ENOMEM;
	model->holes[model->hole_count++] = (struct hole){ at, end - at };
	return 0;
}

/*
 * The holes in the order in which the policy fills them, the end of the heap last. Blocks of a step are alike, so
 * that a hole is filled up before the next is looked at: of best fit too, which goes on with what is left of it.
 */
static int find_holes(struct model *model, uint32_t size)
{
	uint32_t end = 0;

	model->hole_count = 0;
	if (model->count)
		qsort(model->blocks, (size_t)model->count, sizeof(*model->blocks), by_address);
	for (uint64_t i = 0; i < model->count; i++) {
		if (add_hole(model, end, model->blocks[i].at, size))
			return -ENOMEM;
		end = model->blocks[i].at + model->blocks[i].units;
	}
	if (model->options->policy == POLICY_BEST_FIT && model->hole_count)
		qsort(model->holes, (size_t)model->hole_count, sizeof(*model->holes), by_size);
	return add_hole(model, end, UINT32_MAX, size);
}

static int place(struct model *model, uint32_t at, uint32_t size)
{
	const struct robson_options *options = model->options;
	const uint32_t bytes = size * (uint32_t)options->unit - (uint32_t)options->header;

	if (trace_reserve((void **)&model->blocks, &model->capacity, model->count,
			  sizeof(*model->blocks)))
		return -ENOMEM;
	model->blocks[model->count++] = (struct placed){
		at, size, pattern_alloc(model->builder, model->processor, bytes, model->tag)
	};
	model->live += size;
	return 0;
}

static int fill(struct model *model, uint32_t size)
{
	int rc = find_holes(model, size);

	for (uint64_t i = 0; rc == 0 && i < model->hole_count; i++) {
		struct hole hole = model->holes[i];

		for (; rc == 0 && hole.units >= size && model->limit - model->live >= size;
		     hole.at += size, hole.units -= size)
			rc = place(model, hole.at, size);
	}
	return rc;
}

static int play(struct model *model)
{
	int rc = fill(model, 1);

	for (unsigned step = 1; rc == 0 && step <= model->options->steps; step++) {
		const uint32_t other = model->offset + (1u << (step - 1));

		if (spoiled(model, other, step) > spoiled(model, model->offset, step))
			model->offset = other;
		free_others(model, step);
		rc = fill(model, 1u << step);
	}
	return rc;
}

/* The blocks of the last step, which are the largest, are what the body replaces. */
static int keep_last(const struct model *model, struct held *held)
{
	const struct robson_options *options = model->options;
	const uint32_t last = 1u << options->steps;

	for (uint64_t i = 0; i < model->count; i++)
		if (model->blocks[i].units == last &&
		    held_add(held, model->blocks[i].handle,
			     last * (uint32_t)options->unit - (uint32_t)options->header))
			return -ENOMEM;
	return 0;
}

static int play_processor(const struct workload_config *config, struct trace_builder *builder,
			  unsigned processor, unsigned tag, struct held *held)
{
	const struct robson_options *options = config->options;
	const size_t units = options->live / options->unit / config->processors;
	struct model model = {
		.options = options, .builder = builder, .processor = processor, .tag = tag
	};
	int rc;

	model.limit = (uint32_t)(units < (1u << options->steps) ? 1u << options->steps : units);
	rc = play(&model);
	if (rc == 0)
		rc = keep_last(&model, held);
	free(model.blocks);
	free(model.holes);
	return rc;
}

static int robson_generate(const struct workload_config *config, struct trace_builder *builder)
{
	const unsigned tag = trace_builder_tag(builder, POOL_TAG('R', 'o', 'b', 's'), "a block");
	struct held all = { 0 }, *parts = calloc(config->processors, sizeof(*parts));
	int rc = parts ? 0 : -ENOMEM;

	for (unsigned p = 0; rc == 0 && p < config->processors; p++)
		rc = play_processor(config, builder, p, tag, &parts[p]);
	if (rc == 0)
		rc = held_interleave(&all, parts, config->processors);
	if (rc == 0)
		held_body(config, builder, tag, &all);
	for (unsigned p = 0; parts && p < config->processors; p++)
		held_release(&parts[p]);
	free(parts);
	held_release(&all);
	return rc;
}

const struct workload robson = {
	.name = "robson",
	.summary = "the worst case of any allocator that does not move blocks (Robson 1974)",
	.options = robson_table,
	.options_bytes = sizeof(struct robson_options),
	.generate = robson_generate,
};
