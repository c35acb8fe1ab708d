/* Checks with many threads: a processor each, blocks that are freed elsewhere, threads that come and go. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "conformance.h"

enum { RING_SLOTS = 64, SHARED_SLOTS = 256, OWN_SLOTS = 256, PROCESSORS_MOST = 64 };

struct worker {
	struct suite *suite;
	unsigned processor;
	size_t events;
	struct exchange *exchange;
};

/* A slot is empty when its block's address is NULL; whoever takes it owns it. */
struct exchange {
	_Atomic(struct block *) rings[PROCESSORS_MOST][RING_SLOTS];
	_Atomic(struct block *) shared[SHARED_SLOTS];
};

static void run_workers(struct suite *suite, void *(*run)(void *), struct exchange *exchange,
			size_t events)
{
	pthread_t threads[PROCESSORS_MOST];
	struct worker workers[PROCESSORS_MOST];

	for (unsigned i = 0; i < suite->processors; i++) {
		workers[i] = (struct worker){ suite, i, events, exchange };
		if (pthread_create(&threads[i], NULL, run, &workers[i]) != 0)
			violated("suite", "no thread");
	}
	for (unsigned i = 0; i < suite->processors; i++)
		pthread_join(threads[i], NULL);
}

static void verify_quiet(struct suite *suite, const char *when)
{
	suite_enter(suite, 0);
	suite_check(suite, when);
	suite_walk(suite, NULL, 0);
	if (suite->ops->trim)
		suite->ops->trim(suite->pool);
	suite_check(suite, "after trim");
	suite_walk(suite, NULL, 0);
	suite_close(suite);
}

static struct block *heap_block(void)
{
	struct block *block = malloc(sizeof(*block));

	if (!block)
		violated("suite", "out of memory");
	return block;
}

/* ------------------------------------------------------------------------------------------------
 * A ring: every block is born on one processor and dies on the next.
 */

static void *ring_worker(void *arg)
{
	struct worker *worker = arg;
	struct suite *suite = worker->suite;
	_Atomic(struct block *) *out = worker->exchange->rings[worker->processor];
	_Atomic(struct block *) *in =
		worker->exchange->rings[(worker->processor + 1) % suite->processors];
	size_t sent = 0, received = 0;
	struct random random;

	random_seed(&random, worker->processor);
	suite_enter(suite, worker->processor);
	while (sent < worker->events || received < worker->events) {
		bool idle = true;
		struct block *block;

		if (sent < worker->events &&
		    !atomic_load_explicit(&out[sent % RING_SLOTS], memory_order_acquire)) {
			block = heap_block();
			block_take(suite, block, (enum pool_type)(sent % POOL_TYPES),
				   random_bytes(&random), random_next(&random));
			atomic_store_explicit(&out[sent++ % RING_SLOTS], block,
					      memory_order_release);
			idle = false;
		}
		block = received < worker->events
				? atomic_exchange_explicit(&in[received % RING_SLOTS], NULL,
							   memory_order_acq_rel)
				: NULL;
		if (block) {
			block_give(suite, block);
			free(block);
			received++;
			idle = false;
		}
		if (idle)
			sched_yield();
	}
	suite_exit(suite);
	return NULL;
}

static void remote_frees(struct suite *suite)
{
	struct exchange *exchange = calloc(1, sizeof(*exchange));

	suite_open(suite);
	suite_exit(suite);
	run_workers(suite, ring_worker, exchange, suite_scale(suite, 80000) / suite->processors);
	verify_quiet(suite, "after remote frees");
	free(exchange);
}

/* ------------------------------------------------------------------------------------------------
 * Mixed: blocks of one's own, and a table from which anyone takes and frees what anyone put there.
 */

static void exchange_one(struct suite *suite, struct exchange *exchange, struct random *random,
			 struct block *given)
{
	_Atomic(struct block *) *slot = &exchange->shared[random_below(random, SHARED_SLOTS)];
	struct block *block = atomic_exchange_explicit(slot, given, memory_order_acq_rel);

	if (block) {
		block_give(suite, block);
		free(block);
	}
}

static void *mixed_worker(void *arg)
{
	struct worker *worker = arg;
	struct suite *suite = worker->suite;
	struct block own[OWN_SLOTS] = { { .at = NULL } };
	struct random random;

	random_seed(&random, 100 + worker->processor);
	suite_enter(suite, worker->processor);
	for (size_t i = 0; i < worker->events; i++) {
		struct block *block = &own[random_below(&random, OWN_SLOTS)];
		enum pool_type type = (enum pool_type)random_below(&random, POOL_TYPES);

		if (random_chance(&random, 250000)) {
			struct block *given = heap_block();

			block_take(suite, given, type, random_bytes(&random), random_next(&random));
			exchange_one(suite, worker->exchange, &random, given);
		} else if (block->at) {
			block_give(suite, block);
		} else {
			block_take(suite, block, type, random_bytes(&random), random_next(&random));
		}
	}
	for (size_t i = 0; i < OWN_SLOTS; i++)
		block_give(suite, &own[i]);
	suite_exit(suite);
	return NULL;
}

static void drain_shared(struct suite *suite, struct exchange *exchange)
{
	suite_enter(suite, 0);
	for (size_t i = 0; i < SHARED_SLOTS; i++) {
		struct block *block = atomic_load(&exchange->shared[i]);

		if (block)
			block_give(suite, block);
		free(block);
		atomic_store(&exchange->shared[i], NULL);
	}
	suite_exit(suite);
}

static void mixed_threads(struct suite *suite)
{
	struct exchange *exchange = calloc(1, sizeof(*exchange));

	suite_open(suite);
	suite_exit(suite);
	run_workers(suite, mixed_worker, exchange, suite_scale(suite, 160000) / suite->processors);
	drain_shared(suite, exchange);
	verify_quiet(suite, "after mixed threads");
	free(exchange);
}

/* Threads that end, and others that take over their processors with what was cached there. */
static void threads_come_and_go(struct suite *suite)
{
	struct exchange *exchange = calloc(1, sizeof(*exchange));

	suite_open(suite);
	suite_exit(suite);
	for (int round = 0; round < 8; round++)
		run_workers(suite, mixed_worker, exchange,
			    suite_scale(suite, 16000) / suite->processors);
	drain_shared(suite, exchange);
	verify_quiet(suite, "after threads came and went");
	free(exchange);
}

/* ------------------------------------------------------------------------------------------------
 * Exhaustion and failed commits while several threads are at it.
 */

static void *starved_worker(void *arg)
{
	struct worker *worker = arg;
	struct suite *suite = worker->suite;
	struct block own[OWN_SLOTS] = { { .at = NULL } };
	struct random random;

	random_seed(&random, 200 + worker->processor);
	suite_enter(suite, worker->processor);
	for (size_t i = 0; i < worker->events; i++) {
		struct block *block = &own[random_below(&random, OWN_SLOTS)];

		if (block->at)
			block_give(suite, block);
		else
			block_try(suite, block, (enum pool_type)random_below(&random, POOL_TYPES),
				  random_bytes(&random), random_next(&random));
	}
	for (size_t i = 0; i < OWN_SLOTS; i++)
		block_give(suite, &own[i]);
	suite_exit(suite);
	return NULL;
}

static void starved_threads(struct suite *suite)
{
	const struct page_faults faults = { .fail_probability = 0.2, .seed = 17 };
	struct exchange *exchange = calloc(1, sizeof(*exchange));

	suite_open(suite);
	suite_exit(suite);
	for (int type = 0; type < POOL_TYPES; type++) {
		page_source_set_limit(suite->pages[type],
				      suite->base_bytes[type] + 4 * suite->page_size + (1u << 20));
		page_source_set_faults(suite->pages[type], &faults);
	}
	run_workers(suite, starved_worker, exchange, suite_scale(suite, 80000) / suite->processors);
	verify_quiet(suite, "after starvation");
	free(exchange);
}

const struct check thread_checks[] = {
	{ "remote-frees", remote_frees, 0, 0, false },
	{ "mixed-threads", mixed_threads, 0, 0, false },
	{ "threads-come-and-go", threads_come_and_go, 0, 0, true },
	{ "starved-threads", starved_threads, POOL_CAP_NATIVE, POOL_CAP_FLOOR, false },
	{ NULL, NULL, 0, 0, false },
};
