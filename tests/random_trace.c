#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "random_trace.h"
#include "workloads/random.h"

#define TAG POOL_TAG('T', 'e', 's', 't')

struct live {
	uint32_t handle, class;
	bool paged;
};

struct generator {
	struct trace_builder *builder;
	struct random random;
	unsigned processors;
	struct live live[4096];
	unsigned count;
	unsigned tags[3];
};

static void generate_alloc(struct generator *g, uint32_t class)
{
	const unsigned processor = random_below(&g->random, g->processors);
	const bool paged = class % 2;
	struct live *live = &g->live[g->count++];

	live->class = class;
	live->paged = paged;
	live->handle = trace_builder_alloc(g->builder, processor,
					   paged ? POOL_PAGED : POOL_NONPAGED, 16 + class * 24,
					   class, g->tags[class % 3]);
}

static void generate_free(struct generator *g, unsigned index)
{
	const unsigned processor = random_below(&g->random, g->processors);
	const struct live live = g->live[index];
	const bool raise = !live.paged && random_chance(&g->random, 300000);

	g->live[index] = g->live[--g->count];
	if (raise)
		trace_builder_irql(g->builder, processor, TRACE_RAISE, DISPATCH_LEVEL);
	trace_builder_free(g->builder, processor, live.handle);
	if (raise)
		trace_builder_irql(g->builder, processor, TRACE_LOWER, PASSIVE_LEVEL);
}

struct trace *random_trace(unsigned processors, unsigned start, unsigned events, uint64_t seed)
{
	static struct generator g;
	unsigned classes[8] = { 0 };
	struct trace *trace = NULL;
	char why[200] = "";

	g = (struct generator){ .processors = processors };
	random_seed(&g.random, seed);
	g.builder = trace_builder_create(processors);
	assert_non_null(g.builder);
	for (unsigned i = 0; i < 3; i++)
		g.tags[i] = trace_builder_tag(g.builder, TAG + i, i ? "other" : "first");
	for (unsigned i = 0; i < 3 * start; i++) {
		if (g.count && random_below(&g.random, 3) == 0)
			generate_free(&g, random_below(&g.random, g.count));
		else
			generate_alloc(&g, random_below(&g.random, 8));
	}
	for (unsigned i = 0; i < g.count; i++)
		classes[g.live[i].class]++;
	trace_builder_phase(g.builder, TRACE_BODY);
	trace_builder_mark(g.builder, 0, "body");
	for (unsigned i = 0; i < events; i++) {
		if (g.count && (g.count > 2 * start + 8 || random_below(&g.random, 2)))
			generate_free(&g, random_below(&g.random, g.count));
		else
			generate_alloc(&g, random_below(&g.random, 8));
	}
	/* Back to the multiset that was there: the workload's part of the bargain. */
	for (unsigned i = 0; i < g.count;) {
		if (classes[g.live[i].class]) {
			classes[g.live[i++].class]--;
			continue;
		}
		generate_free(&g, i);
	}
	for (uint32_t class = 0; class < 8; class ++)
		while (classes[class]--)
			generate_alloc(&g, class);
	if (seed % 2) { /* an epilogue of its own, of a half */
		trace_builder_phase(g.builder, TRACE_EPILOGUE);
		for (unsigned i = g.count / 2; i; i--)
			generate_free(&g, random_below(&g.random, g.count));
	}
	if (trace_builder_finish(g.builder, "random", seed, &trace, why, sizeof(why)))
		fail_msg("seed %llu: %s", (unsigned long long)seed, why);
	trace_builder_destroy(g.builder);
	return trace;
}
