/* magazine: what makes it Bonwick's slabs with Bonwick and Adams's magazines, from the two papers. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "allocators/magazine/magazine.h"
#include "pool_rig.h"
#include "workloads/random.h"

#define ROUNDS_512 60u /* magazine of 512 bytes: the largest with 32 KiB of objects */

static struct slab_cache *cache_for(struct rig *rig, size_t bytes)
{
	unsigned class = class_find(rig->pool->class_bytes, rig->pool->class_count, bytes);

	assert_int_not_equal(class, 0);
	return cache_of(rig->pool, magazine_id(POOL_NONPAGED, class));
}

static uint64_t depot_visits(const struct slab_cache *cache)
{
	return cache->depot_lock.acquisitions;
}

/* ---- magazines: "Magazines and Vmem", section 3 ---- */

/* "The previous magazine": an allocation and a free in turn never touch the depot, wherever they start. */
static void alternation_never_touches_the_depot(void **state)
{
	void *held[3 * ROUNDS_512];
	struct rig rig;

	(void)state;
	rig_up(&rig, &magazine_backend, NULL);
	for (unsigned start = 0; start < 3 * ROUNDS_512; start++) {
		struct slab_cache *cache = cache_for(&rig, 512);
		uint64_t visits;

		held[start] = take(&rig, 512);
		give(&rig, take(&rig, 512));
		visits = depot_visits(cache);
		for (unsigned i = 0; i < 1000; i++)
			give(&rig, take(&rig, 512));
		assert_int_equal(depot_visits(cache), visits);
	}
	for (unsigned i = 0; i < 3 * ROUNDS_512; i++)
		give(&rig, held[i]);
	rig_down(&rig);
}

/*
 * Why there is a previous magazine: bursts of up to M that go back and forth never touch the depot either once one
 * has brought them a magazine, wherever they start. With one magazine bursts of two already would.
 */
static void bursts_of_a_magazine_never_touch_the_depot(void **state)
{
	static const unsigned bursts[] = { 2, 3, ROUNDS_512 / 2, ROUNDS_512 };
	void *held[4 * ROUNDS_512];

	(void)state;
	for (size_t b = 0; b < sizeof(bursts) / sizeof(*bursts); b++) {
		struct rig rig;
		struct slab_cache *cache;

		rig_up(&rig, &magazine_backend, NULL);
		cache = cache_for(&rig, 512);
		for (unsigned start = 0; start < 3 * ROUNDS_512; start++) {
			uint64_t visits = 0;

			held[start] = take(&rig, 512);
			for (unsigned round = 0; round < 20; round++) {
				for (unsigned i = 1; i <= bursts[b]; i++)
					held[start + i] = take(&rig, 512);
				for (unsigned i = 1; i <= bursts[b]; i++)
					give(&rig, held[start + i]);
				if (round == 2)
					visits = depot_visits(cache);
			}
			assert_int_equal(depot_visits(cache), visits);
		}
		give_many(&rig, held, 3 * ROUNDS_512);
		rig_down(&rig);
	}
}

/*
 * The paper's model: at worst one visit for M rounds. In a steady state, here a random walk of bursts up to 3M
 * that returns to where it began, the miss rate of each direction is at most 1/M, and it does not fall to
 * nothing: a burst beyond what two magazines hold has to visit.
 */
static void visits_are_one_in_m_at_most(void **state)
{
	enum { MOST = 3 * ROUNDS_512, BURSTS = 2000 };
	void *held[MOST];
	struct random random;
	struct rig rig;
	struct slab_cache *cache;
	uint64_t operations = 0, before, visits;

	(void)state;
	rig_up(&rig, &magazine_backend, "depot=1M,interval=1048576");
	cache = cache_for(&rig, 512);
	assert_int_equal(magazine_rounds[cache->size], ROUNDS_512);
	for (unsigned i = 0; i < MOST; i++) /* warm: enough magazines in the depot */
		held[i] = take(&rig, 512);
	for (unsigned i = 0; i < MOST; i++)
		give(&rig, held[i]);
	random_seed(&random, 5);
	before = depot_visits(cache);
	for (unsigned burst = 0; burst < BURSTS; burst++) {
		unsigned count = random_between(&random, 1, MOST);

		for (unsigned i = 0; i < count; i++)
			held[i] = take(&rig, 512);
		for (unsigned i = 0; i < count; i++)
			give(&rig, held[i]);
		operations += 2 * count;
	}
	visits = depot_visits(cache) - before;
	assert_true(visits <= operations / ROUNDS_512);
	assert_true(visits > operations / ROUNDS_512 / 20);
	rig_down(&rig);
}

/* Where one processor only takes and another only gives, full magazines go across and no slab is touched. */
static void full_magazines_cross_processors(void **state)
{
	enum { COUNT = 10 * ROUNDS_512 };
	void *blocks[COUNT];
	struct rig rig;
	struct slab_cache *cache;
	uint64_t slab_frees, slab_allocations;

	(void)state;
	rig_up(&rig, &magazine_backend, "interval=1048576,depot=1M");
	cache = cache_for(&rig, 512);
	for (unsigned round = 0; round < 4; round++) {
		slab_frees = cache->slab_frees;
		slab_allocations = cache->slab_allocations;
		for (unsigned i = 0; i < COUNT; i++)
			blocks[i] = take(&rig, 512);
		assert_int_equal(rig.ops->thread_enter(rig.pool, 1), 0);
		for (unsigned i = 0; i < COUNT; i++)
			give(&rig, blocks[i]);
		assert_int_equal(rig.ops->thread_enter(rig.pool, 0), 0);
	}
	assert_int_equal(cache->slab_frees, slab_frees);
	assert_true(cache->slab_allocations - slab_allocations <= 2 * ROUNDS_512);
	assert_true(cache->full_loads >= 3 * (COUNT / ROUNDS_512 - 2));
	rig_down(&rig);
}

/* A full magazine comes back to who left it, whose cache has the memory; another's when there is none. */
static void own_magazines_come_first(unsigned first)
{
	enum { COUNT = 4 * ROUNDS_512 };
	static void *blocks[2][COUNT];
	struct rig rig;

	rig_up(&rig, &magazine_backend, "interval=1048576,depot=1M");
	for (unsigned processor = 0; processor < 2; processor++) {
		rig_become(&rig, processor);
		for (unsigned i = 0; i < COUNT; i++)
			blocks[processor][i] = take(&rig, 512);
	}
	for (unsigned processor = 0; processor < 2; processor++) {
		rig_become(&rig, processor);
		for (unsigned i = 0; i < COUNT; i++)
			give(&rig, blocks[processor][i]);
	}
	rig_check(&rig);
	for (unsigned turn = 0; turn < 2; turn++) {
		const unsigned processor = turn ^ first;

		rig_become(&rig, processor);
		/* Two magazines or so are its slot's, and the rest its own in the depot; but for what fills left over. */
		for (unsigned i = 0; i < COUNT; i++) {
			void *block = take(&rig, 512);
			unsigned of = 0;

			while (of < COUNT && blocks[1 - processor][of] != block)
				of++;
			assert_int_equal(of, COUNT);
		}
	}
	rig_down(&rig);
}

static void one_s_own_magazines_come_first(void **state)
{
	(void)state;
	own_magazines_come_first(0);
	own_magazines_come_first(1);
}

/* A depot that is visited under contention gets larger magazines; outgrown ones are replaced. */
static void magazines_grow_by_contention(void **state)
{
	enum { COUNT = 1000 };
	static void *blocks[COUNT];
	struct rig rig;
	struct slab_cache *cache;
	unsigned size;

	(void)state;
	rig_up(&rig, &magazine_backend, "interval=16,contention=3,depot=16M");
	cache = cache_for(&rig, 512);
	size = cache->size;
	for (unsigned round = 0; round < 40; round++) {
		for (unsigned i = 0; i < COUNT; i++)
			blocks[i] = take(&rig, 512);
		for (unsigned i = 0; i < COUNT; i++)
			give(&rig, blocks[i]);
		if (round == 19) /* none so far */
			assert_int_equal(cache->size, size);
		/* As if others had held the lock: more often than the threshold in each interval. */
		if (round >= 19)
			cache->contended = 4;
	}
	assert_true(cache->size > size);
	assert_true(cache->size <= cache->size_max);
	assert_int_equal(cache->grown, cache->size - size);
	rig_check(&rig);
	for (const struct magazine *empty = rig.pool->processors[0].shelves[cache->id].empty; empty;
	     empty = empty->next)
		assert_int_equal(empty->size, cache->size);
	rig_down(&rig);
}

/* Magazines that lie in the depot over a whole interval are outside of the working set and go. */
static void idle_magazines_are_reaped(void **state)
{
	enum { COUNT = 40 * ROUNDS_512 };
	static void *blocks[COUNT];
	struct rig rig;
	struct slab_cache *cache;
	size_t full;

	(void)state;
	rig_up(&rig, &magazine_backend, "interval=64,depot=16M");
	cache = cache_for(&rig, 512);
	for (unsigned i = 0; i < COUNT; i++)
		blocks[i] = take(&rig, 512);
	for (unsigned i = 0; i < COUNT; i++)
		give(&rig, blocks[i]);
	full = cache->full_count;
	assert_true(full > 30);
	for (unsigned round = 0; round < 200; round++) { /* a working set of some 4 magazines */
		for (unsigned i = 0; i < 6 * ROUNDS_512; i++)
			blocks[i] = take(&rig, 512);
		for (unsigned i = 0; i < 6 * ROUNDS_512; i++)
			give(&rig, blocks[i]);
	}
	assert_true(cache->full_count < 10);
	assert_true(cache->reaped >= full - 10);
	assert_true(cache->slabs <= (10 + 4) * ROUNDS_512 / 8 + 2);
	rig_down(&rig);
}

static void a_depot_has_its_limit(void **state)
{
	enum { COUNT = 4000 };
	static void *blocks[COUNT];
	struct rig rig;
	struct slab_cache *cache;

	(void)state;
	rig_up(&rig, &magazine_backend, "depot=64K");
	cache = cache_for(&rig, 512);
	for (unsigned i = 0; i < COUNT; i++)
		blocks[i] = take(&rig, 512);
	for (unsigned i = 0; i < COUNT; i++)
		give(&rig, blocks[i]);
	assert_true(cache->full_count * ROUNDS_512 * 512 <= 64 * KIB);
	assert_true(cache->overflows > 0);
	assert_true(cache->out <= 128 + 2 * ROUNDS_512);
	rig_down(&rig);
}

/* ---- slabs: "The Slab Allocator" ---- */

/* Each slab goes back when its last object does; one empty one is kept. */
static void a_slab_returns_when_it_is_complete(void **state)
{
	enum { SLABS = 20 };
	static void *blocks[SLABS * 64];
	struct rig rig;
	struct slab_cache *cache;
	unsigned per_slab;

	(void)state;
	rig_up(&rig, &magazine_backend, "magazines=off");
	cache = cache_for(&rig, 208);
	per_slab = cache->objects;
	for (unsigned i = 0; i < SLABS * per_slab; i++)
		blocks[i] = take(&rig, 208);
	assert_int_equal(cache->slabs, SLABS);
	/* All but one object of each: nothing can go. */
	for (unsigned slab = 0; slab < SLABS; slab++)
		for (unsigned i = 1; i < per_slab; i++)
			give(&rig, blocks[slab * per_slab + i]);
	assert_int_equal(cache->slabs_destroyed, 0);
	for (unsigned slab = 0; slab < SLABS; slab++)
		give(&rig, blocks[slab * per_slab]);
	assert_int_equal(cache->slabs_destroyed, SLABS - 1);
	assert_int_equal(cache->slabs, 1);
	assert_int_equal(cache->out, 0);
	rig_down(&rig);
}

/* Partial slabs are used up before a new one is made: what was freed is filled again. */
static void partial_slabs_come_first(void **state)
{
	enum { COUNT = 400 };
	void *blocks[COUNT];
	struct rig rig;
	struct slab_cache *cache;
	uint64_t made;

	(void)state;
	rig_up(&rig, &magazine_backend, "magazines=off");
	cache = cache_for(&rig, 304);
	for (unsigned i = 0; i < COUNT; i++)
		blocks[i] = take(&rig, 304);
	made = cache->slabs_made;
	for (unsigned i = 0; i < COUNT; i += 2)
		give(&rig, blocks[i]);
	for (unsigned i = 0; i < COUNT; i += 2)
		blocks[i] = take(&rig, 304);
	assert_int_equal(cache->slabs_made, made);
	rig_down(&rig);
}

/* Small slabs carry their header, large ones have a record; either way the geometry is its own inverse. */
static void slabs_are_small_or_large(void **state)
{
	struct rig rig;
	unsigned embedded = 0, external = 0;

	(void)state;
	rig_up(&rig, &magazine_backend, "magazines=off");
	for (unsigned class = 1; class <= rig.pool->class_count; class ++) {
		const size_t bytes = rig.pool->class_bytes[class];
		struct slab_cache *cache = cache_for(&rig, bytes);
		char *object = take(&rig, bytes);
		struct slab *slab = slab_of(cache, object);

		embedded += cache->embedded;
		external += !cache->embedded;
		assert_int_equal(cache->embedded, (size_t)((char *)slab - slab->memory) < 4096);
		assert_true(cache->objects * bytes <= cache->slab_bytes);
		for (unsigned i = 0; i < cache->objects; i++) {
			char *at = slab_object(cache, slab, i);

			assert_int_equal(slab_index(cache, slab, at), i);
			assert_int_equal(slab_index(cache, slab, at + 8), cache->objects);
			if (bytes < 4096)
				assert_int_equal((uintptr_t)at / 4096,
						 ((uintptr_t)at + bytes - 1) / 4096);
		}
	}
	assert_true(embedded > 10 && external > 5);
	rig_down(&rig);
}

/* Slabs of one cache start their objects at different lines, as many as the slack of a page has. */
static void slabs_are_coloured(void **state)
{
	struct rig rig;
	struct slab_cache *cache;

	(void)state;
	rig_up(&rig, &magazine_backend, "magazines=off");
	cache = cache_for(&rig, 208); /* 19 of 208 and a header of 48: 96 bytes are left */
	assert_int_equal(cache->colours, 1);
	for (unsigned slab = 0; slab < 6; slab++) {
		const char *object = take(&rig, 208);

		assert_int_equal(slab_of(cache, object)->colour, slab % 2 * 64);
		assert_int_equal((uintptr_t)object % 4096, slab % 2 * 64);
		for (unsigned i = 1; i < cache->objects; i++)
			take(&rig, 208);
	}
	rig_down(&rig);
	rig_up(&rig, &magazine_backend, "magazines=off,colour=off");
	assert_int_equal(cache_for(&rig, 208)->colours, 0);
	rig_down(&rig);
}

/* Between two classes another could save nothing: as many objects would fit into a page. */
static void classes_are_fractions_of_a_page(void **state)
{
	struct rig rig;

	(void)state;
	rig_up(&rig, &magazine_backend, NULL);
	for (size_t bytes = 1; bytes <= 4096; bytes++) {
		size_t class = cache_for(&rig, bytes)->bytes, rounded = (bytes + 15) & ~15ul;

		assert_true(class >= bytes);
		assert_int_equal(4096 / class, 4096 / rounded);
	}
	rig_down(&rig);
}

static void a_second_free_is_stopped(void **state)
{
	struct rig rig;
	void *block, *large;

	(void)state;
	rig_up(&rig, &magazine_backend, "magazines=off");
	block = take(&rig, 100);
	take(&rig, 100);
	large = take(&rig, 100000);
	give(&rig, block);
	give(&rig, large);
	rig.expects_stop = true;
	if (setjmp(rig.stopped) == 0) {
		give(&rig, block);
		fail_msg("not stopped");
	}
	assert_int_equal(rig.stop.code, 0xC2);
	if (setjmp(rig.stopped) == 0) {
		give(&rig, large);
		fail_msg("not stopped");
	}
	if (setjmp(rig.stopped) == 0) {
		give(&rig, &rig);
		fail_msg("not stopped");
	}
	assert_int_equal(rig.stop.arguments[0], 0x99);
	rig.expects_stop = false;
	rig_down(&rig);
}

/* ---- vmem's quantum caches: section 4 ---- */

/* Small multiples of the quantum come from caches: the arena sees slabs, and no tag is made a block. */
static void quantum_caches_serve_small_multiples(void **state)
{
	enum { COUNT = 5000 };
	static void *blocks[COUNT];
	struct rig rig;
	const struct vmem *arena;
	uint64_t segments;

	(void)state;
	rig_up(&rig, &vmem_backend, "cached=512");
	arena = &rig.pool->arenas[POOL_NONPAGED];
	for (unsigned i = 0; i < COUNT; i++)
		blocks[i] = take(&rig, 1 + i % 512);
	assert_true(arena->allocations < COUNT / 8);
	for (unsigned i = 0; i < COUNT; i++)
		give(&rig, blocks[i]);
	segments = arena->allocations;
	for (unsigned i = 0; i < COUNT; i++)
		give(&rig, take(&rig, 1 + i % 512));
	assert_true(arena->allocations - segments <= 32);
	segments = arena->allocations;
	give(&rig, take(&rig, 513));
	assert_int_equal(arena->allocations, segments + 1);
	rig_down(&rig);
}

/* All freed and trimmed: no slab, no span, no magazine and no tag is left; only what create took. */
static void trim_leaves_nothing(void **state)
{
	enum { COUNT = 20000 };
	static void *blocks[COUNT];
	const struct pool_backend *const backends[] = { &magazine_backend, &vmem_backend };

	(void)state;
	for (unsigned which = 0; which < 2; which++) {
		struct random random;
		struct rig rig;
		size_t maps;

		random_seed(&random, 2);
		rig_up(&rig, backends[which], NULL);
		for (unsigned i = 0; i < COUNT; i++)
			blocks[i] = take(&rig, random_between(&random, 1, 5000));
		for (unsigned i = 0; i < COUNT; i++)
			give(&rig, blocks[i]);
		rig.ops->trim(rig.pool);
		maps = page_map_committed(&rig.pool->maps[0]) +
		       page_map_committed(&rig.pool->maps[1]);
		assert_int_equal(rig_committed(&rig, POOL_NONPAGED),
				 rig.pool->own_bytes + maps + 2 * 4 * KIB);
		assert_int_equal(rig_committed(&rig, POOL_PAGED), 0);
		assert_true(maps <= 512 * KIB);
		rig_down(&rig);
	}
}

/* ---- many threads ---- */

struct worker {
	struct rig *rig;
	unsigned processor;
};

static void *storm(void *arg)
{
	enum { HELD = 300 };
	struct worker *worker = arg;
	const struct pool_backend *backend = worker->rig->ops;
	struct random random;
	void *held[HELD] = { NULL };

	backend->thread_enter(worker->rig->pool, worker->processor);
	random_seed(&random, worker->processor);
	for (unsigned i = 0; i < 200000; i++) {
		void **at = &held[random_below(&random, HELD)];

		if (*at)
			backend->free(worker->rig->pool, *at, 0);
		*at = *at && i % 3 ? NULL
				   : backend->alloc(worker->rig->pool, POOL_NONPAGED, 512, 0);
		if (*at)
			*(uint64_t *)*at = i;
	}
	for (unsigned i = 0; i < HELD; i++)
		if (held[i])
			backend->free(worker->rig->pool, held[i], 0);
	backend->thread_exit(worker->rig->pool);
	return NULL;
}

/* Two processors at once, every object back where it belongs. */
static void processors_do_not_disturb_each_other(void **state)
{
	struct rig rig;
	struct worker workers[2];
	pthread_t threads[2];

	(void)state;
	rig_up(&rig, &magazine_backend, "bucket=1K,depot=8K,interval=16,contention=0");
	rig.ops->thread_exit(rig.pool);
	for (unsigned i = 0; i < 2; i++) {
		workers[i] = (struct worker){ &rig, i };
		assert_int_equal(pthread_create(&threads[i], NULL, storm, &workers[i]), 0);
	}
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	rig_check(&rig);
	rig.ops->trim(rig.pool);
	assert_int_equal(cache_for(&rig, 512)->out, 0);
	rig_down(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(alternation_never_touches_the_depot),
		cmocka_unit_test(bursts_of_a_magazine_never_touch_the_depot),
		cmocka_unit_test(visits_are_one_in_m_at_most),
		cmocka_unit_test(full_magazines_cross_processors),
		cmocka_unit_test(one_s_own_magazines_come_first),
		cmocka_unit_test(magazines_grow_by_contention),
		cmocka_unit_test(idle_magazines_are_reaped),
		cmocka_unit_test(a_depot_has_its_limit),
		cmocka_unit_test(a_slab_returns_when_it_is_complete),
		cmocka_unit_test(partial_slabs_come_first),
		cmocka_unit_test(slabs_are_small_or_large),
		cmocka_unit_test(slabs_are_coloured),
		cmocka_unit_test(classes_are_fractions_of_a_page),
		cmocka_unit_test(a_second_free_is_stopped),
		cmocka_unit_test(quantum_caches_serve_small_multiples),
		cmocka_unit_test(trim_leaves_nothing),
		cmocka_unit_test(processors_do_not_disturb_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
