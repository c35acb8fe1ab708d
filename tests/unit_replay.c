/* Replay: consistent cuts, waiting slots, sums, failed allocations, images of traces. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/barrier.h"
#include "bench/replay.h"
#include "bench/trace_image.h"
#include "workloads/random.h"

#define PROCESSORS 3
#define BODY_PAIRS 2000
#define SLOTS_LIVE 64

/* ---- a pool that notices misuse: every block is a cell that is held once ---- */

struct pool {
	_Atomic unsigned live[1 << 16];
	atomic_uint next, errors, allocs, frees;
	unsigned refuse_above; /* requests larger than this fail */
};

static void *book_alloc(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	(void)type;
	(void)tag;
	if (bytes > pool->refuse_above)
		return NULL;
	for (unsigned tries = 0; tries < 1 << 17; tries++) {
		unsigned i = atomic_fetch_add(&pool->next, 1) % (1 << 16);
		unsigned expected = 0;

		if (atomic_compare_exchange_strong(&pool->live[i], &expected, 1)) {
			atomic_fetch_add(&pool->allocs, 1);
			return (char *)0x100000 + 4096 * (size_t)i;
		}
	}
	return NULL;
}

static void book_free(struct pool *pool, void *block, uint32_t tag)
{
	(void)tag;
	if (atomic_exchange(&pool->live[((uintptr_t)block - 0x100000) / 4096], 0) != 1)
		atomic_fetch_add(&pool->errors, 1);
	atomic_fetch_add(&pool->frees, 1);
}

static size_t book_block_bytes(struct pool *pool, const void *block)
{
	(void)pool;
	(void)block;
	return 4096;
}

static const struct pool_backend book_backend = {
	.abi = POOL_ABI,
	.name = "book",
	.summary = "keeps the book",
	.alloc = book_alloc,
	.free = book_free,
	.block_bytes = book_block_bytes,
};

/* ---- a trace whose frees are mostly remote ---- */

static struct trace *make_trace(void)
{
	struct trace_builder *builder = trace_builder_create(PROCESSORS);
	uint32_t slots[SLOTS_LIVE];
	struct random random;
	struct trace *trace = NULL;
	unsigned tag;
	char why[256];

	assert_non_null(builder);
	random_seed(&random, 7);
	tag = trace_builder_tag(builder, POOL_TAG('T', 'e', 's', 't'), "test");
	for (unsigned i = 0; i < SLOTS_LIVE; i++)
		slots[i] = trace_builder_alloc(builder, i % PROCESSORS, POOL_NONPAGED, 100, 0, tag);
	trace_builder_phase(builder, TRACE_BODY);
	for (unsigned i = 0; i < BODY_PAIRS; i++) {
		unsigned victim = random_below(&random, SLOTS_LIVE);

		trace_builder_free(builder, random_below(&random, PROCESSORS), slots[victim]);
		slots[victim] = trace_builder_alloc(builder, random_below(&random, PROCESSORS),
						    POOL_NONPAGED, 100, 0, tag);
	}
	if (trace_builder_finish(builder, "test", 7, &trace, why, sizeof(why)) != 0)
		fail_msg("%s", why);
	trace_builder_destroy(builder);
	return trace;
}

/* Every cut must be a prefix of the real order: no free before its allocation, no fill of a full slot. */
static void cuts_are_prefixes_of_the_real_order(void **state)
{
	static const unsigned parts[] = { 1, 2, 7, 200, 100000 };
	struct trace *trace = make_trace();

	(void)state;
	for (size_t n = 0; n < sizeof(parts) / sizeof(*parts); n++) {
		uint64_t *cuts = replay_cuts(trace, TRACE_BODY, parts[n]);

		assert_non_null(cuts);
		for (unsigned part = 0; part <= parts[n]; part++) {
			const uint64_t *cut = &cuts[(size_t)part * PROCESSORS];
			int *filled = calloc(trace->slots, sizeof(*filled));

			for (unsigned p = 0; p < PROCESSORS; p++) {
				for (uint64_t i = 0; i < cut[p]; i++) {
					const struct trace_event *e = &trace->streams[p].events[i];

					filled[e->slot] += e->kind == TRACE_ALLOC ? 1 : -1;
				}
				if (part > 0)
					assert_true(cut[p] >= cut[(int)p - PROCESSORS]);
			}
			for (uint32_t s = 0; s < trace->slots; s++)
				assert_in_range(filled[s], 0, 1);
			free(filled);
		}
		for (unsigned p = 0; p < PROCESSORS; p++) {
			assert_int_equal(cuts[p], trace->streams[p].start[TRACE_BODY]);
			assert_int_equal(cuts[(size_t)parts[n] * PROCESSORS + p],
					 trace->streams[p].start[TRACE_EPILOGUE]);
		}
		free(cuts);
	}
	trace_destroy(trace);
}

struct replayer {
	struct replay *replay;
	struct replay_sums *sums;
	struct barrier *barrier;
	const uint64_t *cuts;
	unsigned processor, parts;
	uint64_t failed;
};

static void *replay_thread(void *arg)
{
	struct replayer *r = arg;
	const struct trace_stream *stream = &r->replay->trace->streams[r->processor];

	r->failed += replay_events(r->replay, r->processor, 0, stream->start[TRACE_BODY]);
	barrier_wait(r->barrier);
	for (unsigned lap = 0; lap < 3; lap++) {
		for (unsigned part = 0; part < r->parts; part++) {
			const uint64_t first = r->cuts[part * PROCESSORS + r->processor];
			const uint64_t last = r->cuts[(part + 1) * PROCESSORS + r->processor];

			r->failed += replay_events_counted(r->replay, r->processor, first,
							   last - first, r->sums);
			barrier_wait(r->barrier);
		}
	}
	r->failed += replay_events(r->replay, r->processor, stream->start[TRACE_EPILOGUE],
				   stream->count[TRACE_EPILOGUE]);
	return NULL;
}

static void replay_everything(struct trace *trace, struct pool *pool, struct replay_sums *sums,
			      uint64_t *failed)
{
	struct replayer replayers[PROCESSORS];
	pthread_t threads[PROCESSORS];
	struct barrier barrier;
	struct replay replay;
	uint64_t *cuts = replay_cuts(trace, TRACE_BODY, 50);

	assert_int_equal(replay_create(trace, &book_backend, pool, TOUCH_NONE, &replay), 0);
	barrier_init(&barrier, PROCESSORS);
	for (unsigned p = 0; p < PROCESSORS; p++) {
		sums[p].tags = calloc(trace->tags, sizeof(*sums[p].tags));
		replayers[p] = (struct replayer){ &replay, &sums[p], &barrier, cuts, p, 50, 0 };
		assert_int_equal(pthread_create(&threads[p], NULL, replay_thread, &replayers[p]),
				 0);
	}
	*failed = 0;
	for (unsigned p = 0; p < PROCESSORS; p++) {
		pthread_join(threads[p], NULL);
		*failed += replayers[p].failed;
	}
	free(cuts);
	replay_destroy(&replay);
}

static void laps_leave_the_pool_as_they_found_it(void **state)
{
	struct trace *trace = make_trace();
	struct pool *pool = calloc(1, sizeof(*pool));
	struct replay_sums sums[PROCESSORS] = { 0 };
	int64_t live_bytes = 0, live_blocks = 0;
	uint64_t failed, operations = 0;

	(void)state;
	pool->refuse_above = 1000;
	replay_everything(trace, pool, sums, &failed);
	for (unsigned p = 0; p < PROCESSORS; p++) {
		live_bytes += sums[p].live_bytes;
		live_blocks += sums[p].live_blocks;
		operations += sums[p].operations;
		free(sums[p].tags);
	}
	assert_int_equal(failed, 0);
	assert_int_equal(live_bytes, 0);
	assert_int_equal(live_blocks, 0);
	assert_int_equal(operations, 3 * replay_operations(trace, TRACE_BODY));
	assert_int_equal(atomic_load(&pool->errors), 0);
	assert_int_equal(atomic_load(&pool->allocs), atomic_load(&pool->frees));
	free(pool);
	trace_destroy(trace);
}

static void failed_allocations_are_counted_and_not_freed(void **state)
{
	struct trace *trace = make_trace();
	struct pool *pool = calloc(1, sizeof(*pool));
	struct replay_sums sums[PROCESSORS] = { 0 };
	struct trace_summary summary;
	uint64_t failed;

	(void)state;
	trace_summarise(trace, &summary);
	pool->refuse_above = 50; /* every request is for 100 */
	replay_everything(trace, pool, sums, &failed);
	for (unsigned p = 0; p < PROCESSORS; p++)
		free(sums[p].tags);
	assert_int_equal(failed, SLOTS_LIVE + 3 * (replay_operations(trace, TRACE_BODY) / 2));
	assert_int_equal(atomic_load(&pool->frees), 0);
	free(pool);
	trace_destroy(trace);
}

static void an_image_is_the_trace(void **state)
{
	struct trace *trace = make_trace();
	struct trace_image image;
	const int fd = trace_image_write(trace);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(trace_image_map(fd, &image), 0);
	assert_int_equal(image.trace.processors, trace->processors);
	assert_int_equal(image.trace.slots, trace->slots);
	assert_int_equal(image.trace.checksum, trace->checksum);
	assert_int_equal(image.trace.runs, trace->runs);
	assert_string_equal(image.trace.origin, trace->origin);
	assert_string_equal(image.trace.tag_table[0].name, "test");
	for (unsigned p = 0; p < PROCESSORS; p++)
		assert_memory_equal(image.trace.streams[p].events, trace->streams[p].events,
				    sizeof(struct trace_event) * trace->streams[p].total);
	assert_memory_equal(image.trace.order, trace->order,
			    sizeof(struct trace_run) * trace->runs);
	trace_image_unmap(&image);
	close(fd);
	trace_destroy(trace);
}

static void what_is_no_image_is_refused(void **state)
{
	struct trace_image image;
	char name[] = "/tmp/image-XXXXXX";
	int fd = mkstemp(name);

	(void)state;
	unlink(name);
	assert_int_equal(trace_image_map(fd, &image), -EILSEQ);
	assert_int_equal(ftruncate(fd, 1 << 16), 0);
	assert_int_equal(trace_image_map(fd, &image), -EILSEQ);
	close(fd);
}

static void touch_modes_rewrite_the_trace(void **state)
{
	static const uint32_t expected[TOUCH_MODES] = { 0, 0, 64, 100 };

	(void)state;
	for (int mode = TOUCH_NONE; mode < TOUCH_MODES; mode++) {
		struct trace *trace = make_trace();
		struct replay replay;

		assert_int_equal(
			replay_create(trace, &book_backend, NULL, (enum touch_mode)mode, &replay),
			0);
		assert_int_equal(trace->streams[0].events[0].touch, expected[mode]);
		replay_destroy(&replay);
		trace_destroy(trace);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cuts_are_prefixes_of_the_real_order),
		cmocka_unit_test(laps_leave_the_pool_as_they_found_it),
		cmocka_unit_test(failed_allocations_are_counted_and_not_freed),
		cmocka_unit_test(an_image_is_the_trace),
		cmocka_unit_test(what_is_no_image_is_refused),
		cmocka_unit_test(touch_modes_rewrite_the_trace),
	};

	return cmocka_run_group_tests_name("replay", tests, NULL, NULL);
}
