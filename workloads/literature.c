#include "literature.h"

#include <errno.h>
#include <stdlib.h>

#include "trace_internal.h"

const struct workload *const literature_workloads[] = {
	&robson,
	&misfit,
	&pinning,
	&rounding,
	&redis_deletion,
	&redis_eviction,
	&producer_consumer,
	&threadtest,
	&larson,
	&xmalloc,
	NULL,
};

int held_add(struct held *held, uint32_t handle, uint32_t bytes)
{
	uint64_t capacity = held->capacity;
	int rc = trace_reserve((void **)&held->handles, &capacity, held->count,
			       sizeof(*held->handles));

	if (rc == 0)
		rc = trace_reserve((void **)&held->bytes, &held->capacity, held->count,
				   sizeof(*held->bytes));
	if (rc)
		return rc;
	held->handles[held->count] = handle;
	held->bytes[held->count++] = bytes;
	return 0;
}

void held_release(struct held *held)
{
	free(held->handles);
	free(held->bytes);
	*held = (struct held){ 0 };
}

uint32_t pattern_alloc(struct trace_builder *builder, unsigned processor, uint32_t bytes,
		       unsigned tag)
{
	return trace_builder_alloc(builder, processor, POOL_NONPAGED, bytes, bytes, tag);
}

int held_interleave(struct held *all, const struct held *parts, unsigned processors)
{
	uint64_t least = UINT64_MAX;

	for (unsigned p = 0; p < processors; p++)
		if (parts[p].count < least)
			least = parts[p].count;
	for (uint64_t i = 0; i < least; i++)
		for (unsigned p = 0; p < processors; p++)
			if (held_add(all, parts[p].handles[i], parts[p].bytes[i]))
				return -ENOMEM;
	return 0;
}

uint64_t pattern_batch(uint64_t events, uint64_t events_a_block, uint64_t most)
{
	const uint64_t blocks = events / events_a_block + 1, batches = (blocks + most - 1) / most;

	return (blocks + batches - 1) / batches;
}

void held_body(const struct workload_config *config, struct trace_builder *builder, unsigned tag,
	       struct held *held)
{
	trace_builder_phase(builder, TRACE_BODY);
	for (uint64_t done = 0, i = 0; done < config->events && held->count; done += 2, i++) {
		const uint64_t at = i % held->count;
		const unsigned processor = (unsigned)(at % config->processors);

		trace_builder_free(builder, processor, held->handles[at]);
		held->handles[at] = pattern_alloc(builder, processor, held->bytes[at], tag);
	}
}
