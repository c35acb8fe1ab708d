/* slub: what makes it SLUB, each from the design's own rules. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "allocators/backends.h"
#include "allocators/options.h"
#include "allocators/pages.h"
#include "allocators/slub/slub.h"

#define TAG   POOL_TAG('T', 'e', 's', 't')
#define RANGE ((size_t)1 << 30)
/* Without sheaves, which would stand between the test and the slabs. */
#define CLASSIC "sheaf=0,"

struct rig {
	struct page_source *pages[POOL_TYPES];
	struct pool *pool;
	struct slub_options options;
	jmp_buf stopped;
	struct pool_stop stop;
	bool expects_stop;
};

static void rig_stop(void *arg, const struct pool_stop *stop)
{
	struct rig *rig = arg;

	rig->stop = *stop;
	if (!rig->expects_stop)
		fail_msg("stop %#x/%#llx: %s", stop->code, (unsigned long long)stop->arguments[0],
			 stop->text);
	longjmp(rig->stopped, 1);
}

static void rig_up_sized(struct rig *rig, size_t page_size, const char *options, uint64_t seed)
{
	struct pool_config config = {
		.page_size = page_size,
		.processors = 3,
		.values = &rig->options,
		.seed = seed,
		.stop = rig_stop,
		.stop_arg = rig,
	};
	char why[256];

	memset(rig, 0, sizeof(*rig));
	for (unsigned type = 0; type < POOL_TYPES; type++) {
		struct page_source_config source = {
			.type = type,
			.page_size = page_size,
			.range_bytes = RANGE,
			.node = -1,
		};

		if (page_source_create(&source, &rig->pages[type], why, sizeof(why)) != 0)
			fail_msg("%s", why);
		config.pages[type] = rig->pages[type];
	}
	if (options_parse(slub_backend.options, &rig->options, options, why, sizeof(why)))
		fail_msg("%s", why);
	assert_int_equal(slub_backend.create(&config, &rig->pool), 0);
	assert_int_equal(slub_backend.thread_enter(rig->pool, 0), 0);
}

static void rig_up(struct rig *rig, const char *options)
{
	rig_up_sized(rig, 4096, options, 1);
}

static void rig_check(struct rig *rig)
{
	char why[256] = "";

	if (slub_backend.check(rig->pool, why, sizeof(why)) != 0)
		fail_msg("check: %s", why);
}

static void rig_drop(struct rig *rig)
{
	slub_backend.thread_exit(rig->pool);
	slub_backend.destroy(rig->pool);
	for (unsigned type = 0; type < POOL_TYPES; type++) {
		struct page_source_stats stats;

		page_source_stats(rig->pages[type], &stats);
		assert_int_equal(stats.committed_bytes, 0);
		assert_int_equal(stats.reserved_bytes, 0);
		page_source_destroy(rig->pages[type]);
	}
}

static void rig_down(struct rig *rig)
{
	rig_check(rig);
	rig_drop(rig);
}

static void stand_for(struct rig *rig, unsigned processor)
{
	slub_backend.thread_exit(rig->pool);
	assert_int_equal(slub_backend.thread_enter(rig->pool, processor), 0);
}

static void *take(struct rig *rig, size_t bytes)
{
	void *block = slub_backend.alloc(rig->pool, POOL_NONPAGED, bytes, TAG);

	assert_non_null(block);
	return block;
}

static void give(struct rig *rig, void *block)
{
	slub_backend.free(rig->pool, block, TAG);
}

struct counter_query {
	const char *name;
	uint64_t value;
	bool found;
};

static void counter_visit(void *arg, const char *name, const char *help, uint64_t value)
{
	struct counter_query *query = arg;

	assert_true(strlen(help) > 0);
	if (strcmp(name, query->name) == 0) {
		query->value = value;
		query->found = true;
	}
}

static uint64_t counter(struct rig *rig, const char *name)
{
	struct counter_query query = { .name = name };

	slub_backend.counters(rig->pool, counter_visit, &query);
	assert_true(query.found);
	return query.value;
}

static struct slab *slab_of(struct rig *rig, const void *block)
{
	return slub_entry_slab(*slub_entry(&rig->pool->pages[POOL_NONPAGED], block));
}

static struct slub_cache *cache_of(struct rig *rig, size_t bytes)
{
	return &rig->pool->caches[POOL_NONPAGED][rig->pool->class_of[(bytes - 1) / 16]];
}

static size_t committed(const struct rig *rig, enum pool_type type)
{
	struct page_source_stats stats;

	page_source_stats(rig->pages[type], &stats);
	return stats.committed_bytes;
}

/* ---- classes and slabs ---- */

static void sizes_go_to_the_kmalloc_classes(void **state)
{
	static const size_t classes[] = {
		16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192
	};
	struct rig rig;
	size_t class_index = 0;

	(void)state;
	rig_up(&rig, "");
	for (size_t bytes = 1; bytes <= 20000; bytes++) {
		void *block = take(&rig, bytes);
		size_t whole = (bytes + 4095) / 4096 * 4096;

		if (class_index < 12 && bytes > classes[class_index])
			class_index++;
		assert_int_equal(slub_backend.block_bytes(rig.pool, block),
				 class_index < 12 ? classes[class_index] : whole);
		give(&rig, block);
	}
	rig_down(&rig);
}

/* Linux prints the same on a machine of two or three processors: /proc/slabinfo, objperslab, pagesperslab. */
static void the_order_is_linux_s(void **state)
{
	static const struct {
		uint32_t bytes, objects, pages;
	} expected[] = {
		{ 16, 256, 1 },  { 32, 128, 1 }, { 64, 64, 1 },  { 128, 32, 1 },
		{ 192, 21, 1 },  { 256, 16, 1 }, { 512, 16, 2 }, { 1024, 16, 4 },
		{ 2048, 16, 8 }, { 4096, 8, 8 }, { 8192, 4, 8 },
	};
	struct rig rig;

	(void)state;
	rig_up(&rig, CLASSIC);
	for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++) {
		void *block = take(&rig, expected[i].bytes);

		assert_int_equal(slab_of(&rig, block)->objects, expected[i].objects);
		assert_int_equal(slab_of(&rig, block)->pages, expected[i].pages);
		give(&rig, block);
	}
	rig_down(&rig);
	/* With larger pool pages a single one is enough. */
	rig_up_sized(&rig, 65536, CLASSIC, 1);
	assert_int_equal(slub_objects_in(65536, 96), 16 * 42);
	assert_int_equal(cache_of(&rig, 4096)->pages, 1);
	assert_int_equal(cache_of(&rig, 8192)->pages, 2); /* 12 objects, as many as are wished */
	rig_down(&rig);
	/* order= bounds it, and min_objects= raises it. */
	rig_up(&rig, "order=0");
	assert_int_equal(cache_of(&rig, 2048)->pages, 1);
	assert_int_equal(cache_of(&rig, 8192)->pages, 2); /* the least that holds one */
	rig_down(&rig);
	rig_up(&rig, "min_objects=64");
	assert_int_equal(cache_of(&rig, 256)->pages, 4);
	rig_down(&rig);
}

static void objects_of_96_and_192_bytes_never_cross_a_page(void **state)
{
	static const uint32_t sizes[] = { 96, 192 };
	struct rig rig;

	(void)state;
	rig_up_sized(&rig, 16384, CLASSIC, 1);
	for (size_t s = 0; s < 2; s++) {
		struct slab slab = { .base = (char *)0x10000, .bytes = sizes[s] };

		slab.objects = slub_objects_in(16384, sizes[s]);
		assert_int_equal(slab.objects, 4 * (4096 / sizes[s]));
		for (uint32_t i = 0; i < slab.objects; i++) {
			uintptr_t at = (uintptr_t)slub_object_at(&slab, i);

			assert_int_equal(at / 4096, (at + sizes[s] - 1) / 4096);
			assert_int_equal(slub_object_index(&slab, (void *)at), i);
		}
	}
	rig_down(&rig);
}

static void the_least_order_is_tried_when_memory_is_short(void **state)
{
	struct rig rig;
	void *block;

	(void)state;
	rig_up(&rig, CLASSIC);
	/* Room for one page of descriptors, one of the map, and one of the slab, not for eight. */
	page_source_set_limit(rig.pages[POOL_NONPAGED], committed(&rig, POOL_NONPAGED) + 3 * 4096);
	block = take(&rig, 2048);
	assert_int_equal(slab_of(&rig, block)->pages, 1);
	assert_int_equal(slab_of(&rig, block)->objects, 2);
	assert_int_equal(counter(&rig, "order_fallback"), 1);
	page_source_set_limit(rig.pages[POOL_NONPAGED], 0);
	give(&rig, block);
	rig_down(&rig);
}

/* ---- the fast paths ---- */

static void fast_path_is_free_of_locks(const char *options, unsigned live)
{
	struct rig rig;
	void *blocks[64];
	uint64_t locks, atomics, fast;

	rig_up(&rig, options);
	/* Into a slab, or a sheaf, with enough objects. */
	for (unsigned i = 0; i < live; i++)
		blocks[i] = take(&rig, 100);
	for (unsigned i = 0; i < live; i++)
		give(&rig, blocks[i]);
	locks = counter(&rig, "lock_acquisitions");
	atomics = counter(&rig, "cmpxchg");
	fast = counter(&rig, "alloc_fastpath") + counter(&rig, "free_fastpath");
	for (unsigned round = 0; round < 1000; round++) {
		for (unsigned i = 0; i < live; i++)
			blocks[i] = take(&rig, 97 + i % 32);
		for (unsigned i = 0; i < live; i++)
			give(&rig, blocks[(i * 7) % live]);
	}
	assert_int_equal(counter(&rig, "lock_acquisitions"), locks);
	assert_int_equal(counter(&rig, "cmpxchg"), atomics);
	assert_int_equal(counter(&rig, "alloc_fastpath") + counter(&rig, "free_fastpath"),
			 fast + 2000 * live);
	rig_down(&rig);
}

static void the_fast_paths_take_no_lock_and_exchange_nothing(void **state)
{
	(void)state;
	fast_path_is_free_of_locks(CLASSIC, 30); /* of the 32 objects of a slab */
	fast_path_is_free_of_locks("", 50); /* of the 60 of a sheaf */
}

static void a_processor_leaves_its_slab_when_it_is_empty(void **state)
{
	struct rig rig;
	void *blocks[33];

	(void)state;
	rig_up(&rig, CLASSIC);
	for (unsigned i = 0; i < 33; i++)
		blocks[i] = take(&rig, 128);
	for (unsigned i = 1; i < 32; i++) {
		assert_ptr_equal(slab_of(&rig, blocks[i]), slab_of(&rig, blocks[0]));
		assert_ptr_equal(blocks[i], (char *)blocks[i - 1] + 128); /* in address order */
	}
	assert_ptr_not_equal(slab_of(&rig, blocks[32]), slab_of(&rig, blocks[0]));
	assert_int_equal(counter(&rig, "deactivate_full"), 1);
	assert_int_equal(counter(&rig, "alloc_slab"), 2);
	/* The one that it left is full and no one's; the current one is frozen. */
	assert_int_equal(slub_state(slab_of(&rig, blocks[0])) & STATE_FROZEN, 0);
	assert_true(slub_state(slab_of(&rig, blocks[32])) & STATE_FROZEN);
	for (unsigned i = 0; i < 33; i++)
		give(&rig, blocks[i]);
	rig_down(&rig);
}

/* ---- the frozen protocol ---- */

static void a_remote_free_to_a_frozen_slab_is_found_by_its_owner(void **state)
{
	struct rig rig;
	void *blocks[32];

	(void)state;
	rig_up(&rig, CLASSIC);
	for (unsigned i = 0; i < 32; i++)
		blocks[i] = take(&rig, 128);
	stand_for(&rig, 1);
	give(&rig, blocks[5]);
	give(&rig, blocks[9]);
	assert_int_equal(counter(&rig, "free_frozen"), 2);
	assert_true(slub_state(slab_of(&rig, blocks[5])) & STATE_FROZEN);
	assert_int_equal(slub_state_inuse(slub_state(slab_of(&rig, blocks[5]))), 30);
	rig_check(&rig);
	/* The owner runs dry and takes both at once, the last freed first. */
	stand_for(&rig, 0);
	assert_ptr_equal(take(&rig, 128), blocks[9]);
	assert_ptr_equal(take(&rig, 128), blocks[5]);
	assert_int_equal(counter(&rig, "alloc_refill"), 1);
	assert_int_equal(counter(&rig, "alloc_slab"), 1);
	for (unsigned i = 0; i < 32; i++)
		give(&rig, blocks[i]);
	rig_down(&rig);
}

/* A full slab, left by its processor; the blocks of another follow. */
static void fill_slabs(struct rig *rig, void **blocks, unsigned slabs)
{
	for (unsigned i = 0; i < slabs * 32; i++)
		blocks[i] = take(rig, 128);
	take(rig, 128); /* so that the last one is left too */
}

static void the_first_free_of_a_full_slab_freezes_it_for_who_frees(void **state)
{
	struct rig rig;
	void *blocks[32];
	struct slab *slab;

	(void)state;
	rig_up(&rig, CLASSIC);
	fill_slabs(&rig, blocks, 1);
	slab = slab_of(&rig, blocks[0]);
	stand_for(&rig, 2);
	give(&rig, blocks[3]);
	assert_true(slub_state(slab) & STATE_FROZEN);
	assert_int_equal(counter(&rig, "cpu_partial_free"), 1);
	assert_ptr_equal(
		rig.pool->cpus[2].caches[POOL_NONPAGED][cache_of(&rig, 128)->class_index].partial,
		slab);
	/* No node lock was taken for it. */
	assert_int_equal(cache_of(&rig, 128)->lock.acquisitions, 0);
	rig_check(&rig);
	/* And it is where processor 2 allocates next. */
	assert_ptr_equal(take(&rig, 128), blocks[3]);
	assert_int_equal(counter(&rig, "cpu_partial_alloc"), 1);
	rig_down(&rig);
}

static void without_cpu_partial_it_goes_to_the_node(void **state)
{
	struct rig rig;
	void *blocks[32];
	struct slab *slab;

	(void)state;
	rig_up(&rig, CLASSIC "cpu_partial=0");
	fill_slabs(&rig, blocks, 1);
	slab = slab_of(&rig, blocks[0]);
	give(&rig, blocks[3]);
	assert_int_equal(slub_state(slab) & STATE_FROZEN, 0);
	assert_ptr_equal(cache_of(&rig, 128)->first, slab);
	assert_int_equal(counter(&rig, "free_add_partial"), 1);
	assert_int_equal(cache_of(&rig, 128)->lock.acquisitions, 1);
	/* Neither the second free nor the third moves it: no lock. */
	give(&rig, blocks[4]);
	give(&rig, blocks[5]);
	assert_int_equal(cache_of(&rig, 128)->lock.acquisitions, 1);
	rig_down(&rig);
}

static void a_full_partial_list_is_drained_to_the_node(void **state)
{
	struct rig rig;
	void *blocks[32 * 12];
	uint32_t most;

	(void)state;
	rig_up(&rig, CLASSIC);
	/* 120 objects, slabs half full: 2 * 120 / 32 slabs, rounded up. */
	most = cache_of(&rig, 128)->cpu_partial_slabs;
	assert_int_equal(most, 8);
	fill_slabs(&rig, blocks, 12);
	for (unsigned i = 0; i < most; i++)
		give(&rig, blocks[i * 32]);
	assert_int_equal(counter(&rig, "cpu_partial_drain"), 0);
	give(&rig, blocks[most * 32]);
	assert_int_equal(counter(&rig, "cpu_partial_drain"), 1);
	assert_int_equal(counter(&rig, "cpu_partial_node"), most);
	assert_int_equal(atomic_load(&cache_of(&rig, 128)->partial_count), most);
	/* All of them under one hold of the lock. */
	assert_int_equal(cache_of(&rig, 128)->lock.acquisitions, 1);
	rig_down(&rig);
}

struct ring {
	struct rig *rig;
	void *_Atomic slots[64];
	unsigned count;
};

static void *ring_consumer(void *arg)
{
	struct ring *ring = arg;

	slub_backend.thread_enter(ring->rig->pool, 1);
	for (unsigned i = 0; i < ring->count; i++) {
		void *_Atomic *slot = &ring->slots[i % 64];
		void *block;

		while (!(block = atomic_exchange(slot, NULL)))
			sched_yield();
		assert_int_equal(*(unsigned *)block, i);
		slub_backend.free(ring->rig->pool, block, TAG);
	}
	slub_backend.thread_exit(ring->rig->pool);
	return NULL;
}

static void remote_frees_race(const char *options)
{
	struct rig rig;
	struct ring ring = { .rig = &rig, .count = 100000 };
	pthread_t thread;

	rig_up(&rig, options);
	assert_int_equal(pthread_create(&thread, NULL, ring_consumer, &ring), 0);
	for (unsigned i = 0; i < ring.count; i++) {
		unsigned *block = take(&rig, 16 << i % 3);

		*block = i;
		while (atomic_load(&ring.slots[i % 64]))
			sched_yield();
		atomic_store(&ring.slots[i % 64], block);
	}
	pthread_join(thread, NULL);
	rig_check(&rig);
	assert_true(slub_backend.trim(rig.pool) > 0);
	rig_check(&rig);
	assert_int_equal(rig.pool->pages[POOL_NONPAGED].top, 0);
	assert_int_equal(counter(&rig, "alloc_slab"), counter(&rig, "free_slab"));
	rig_down(&rig);
}

static void slabs_survive_concurrent_remote_frees(void **state)
{
	(void)state;
	remote_frees_race(CLASSIC);
	remote_frees_race(CLASSIC "cpu_partial=0,min_partial=0,retain=0");
	remote_frees_race(CLASSIC "hardened=on,random=on");
	remote_frees_race("sheaf=4,barn=1");
	remote_frees_race("");
}

/* ---- giving back ---- */

/* The one that becomes empty counts among the min_partial, as in __slab_free(). */
static void a_node_keeps_slabs_up_to_min_partial(void **state)
{
	(void)state;
	for (unsigned min_partial = 0; min_partial < 8; min_partial += 3) {
		struct rig rig;
		unsigned kept = min_partial ? min_partial - 1 : 0;
		void *blocks[32 * 10];
		char options[80];

		snprintf(options, sizeof(options), CLASSIC "cpu_partial=0,retain=0,min_partial=%u",
			 min_partial);
		rig_up(&rig, options);
		fill_slabs(&rig, blocks, 10);
		for (unsigned i = 0; i < 320; i++)
			give(&rig, blocks[i]);
		assert_int_equal(atomic_load(&cache_of(&rig, 128)->partial_count), kept);
		assert_int_equal(counter(&rig, "free_slab"), 10 - kept);
		assert_int_equal(counter(&rig, "pages_returned"), 10 - kept);
		rig_down(&rig);
	}
}

static void all_empty_slabs_are_returned_by_trim(const char *options)
{
	struct rig rig;
	void *blocks[2000];
	size_t before[POOL_TYPES], given;

	rig_up(&rig, options);
	for (unsigned type = 0; type < POOL_TYPES; type++)
		before[type] = committed(&rig, type);
	for (unsigned i = 0; i < 2000; i++) {
		blocks[i] = slub_backend.alloc(rig.pool, i % 2, 1 + i * 37 % 9000, TAG);
		assert_non_null(blocks[i]);
	}
	given = committed(&rig, POOL_NONPAGED) + committed(&rig, POOL_PAGED);
	for (unsigned i = 0; i < 2000; i++)
		give(&rig, blocks[i]);
	assert_true(slub_backend.trim(rig.pool) > 0);
	for (unsigned type = 0; type < POOL_TYPES; type++)
		assert_int_equal(committed(&rig, type), before[type]);
	assert_true(given > before[0] + before[1]);
	rig_down(&rig);
}

static void empty_slabs_are_returned(void **state)
{
	(void)state;
	all_empty_slabs_are_returned_by_trim(CLASSIC);
	all_empty_slabs_are_returned_by_trim("");
	all_empty_slabs_are_returned_by_trim("hardened=on,random=on");
}

static void page_runs_are_kept_for_reuse(void **state)
{
	struct rig rig;
	void *block, *other;
	uint64_t taken;

	(void)state;
	rig_up(&rig, "retain=64K");
	block = take(&rig, 40000);
	assert_int_equal(slub_backend.block_bytes(rig.pool, block), 40960);
	taken = counter(&rig, "pages_taken");
	give(&rig, block);
	other = take(&rig, 39000);
	assert_ptr_equal(other, block);
	assert_int_equal(counter(&rig, "pages_taken"), taken);
	assert_int_equal(counter(&rig, "runs_reused"), 1);
	block = take(&rig, 40000);
	give(&rig, other);
	give(&rig, block); /* 80 KiB would be more than is kept */
	assert_int_equal(counter(&rig, "pages_returned"), 10);
	rig_down(&rig);
}

static void threads_that_stand_for_no_processor_are_served(void **state)
{
	struct rig rig;
	void *block;

	(void)state;
	rig_up(&rig, "");
	slub_backend.thread_exit(rig.pool);
	block = take(&rig, 100);
	give(&rig, block);
	assert_ptr_equal(take(&rig, 100), block);
	assert_int_equal(rig.pool->outsider_lock.acquisitions, 3);
	assert_int_equal(slub_backend.thread_enter(rig.pool, 3), -EINVAL);
	rig_down(&rig);
}

/* ---- sheaves ---- */

static void full_sheaves_travel_through_the_barn(void **state)
{
	struct rig rig;
	void *blocks[360];
	uint64_t fills;

	(void)state;
	rig_up(&rig, "sheaf=60,barn=10");
	for (unsigned i = 0; i < 360; i++)
		blocks[i] = take(&rig, 64);
	for (unsigned i = 0; i < 360; i++)
		give(&rig, blocks[i]);
	/* 360 objects: two sheaves on the processor, four in the barn, none in slabs again. */
	assert_int_equal(counter(&rig, "barn_put"), 4);
	assert_int_equal(counter(&rig, "sheaf_flush"), 0);
	assert_int_equal(atomic_load(&cache_of(&rig, 64)->full_count), 4);
	rig_check(&rig);
	/* Another processor lives on them without a look at a slab. */
	stand_for(&rig, 1);
	fills = counter(&rig, "sheaf_refill");
	for (unsigned i = 0; i < 240; i++)
		take(&rig, 64);
	assert_int_equal(counter(&rig, "barn_get"), 4);
	assert_int_equal(counter(&rig, "sheaf_refill"), fills);
	take(&rig, 64);
	assert_int_equal(counter(&rig, "sheaf_refill"), fills + 1);
	rig_down(&rig);
}

static void a_sheaf_is_emptied_by_one_exchange_a_slab(void **state)
{
	struct rig rig;
	void *blocks[180];
	uint64_t atomics;

	(void)state;
	rig_up(&rig, "sheaf=60,barn=0");
	for (unsigned i = 0; i < 180; i++)
		blocks[i] = take(&rig, 16);
	for (unsigned i = 0; i < 120; i++)
		give(&rig, blocks[i]);
	atomics = counter(&rig, "cmpxchg");
	/* All of one slab, which has 256 objects. */
	give(&rig, blocks[120]);
	assert_int_equal(counter(&rig, "sheaf_flush"), 1);
	assert_int_equal(counter(&rig, "cmpxchg"), atomics + 1);
	rig_down(&rig);
}

static void a_spare_spares_the_barn(void **state)
{
	struct rig rig;
	void *blocks[60];
	uint64_t barn, locks;

	(void)state;
	rig_up(&rig, "");
	/* As many free as live at most, in two sheaves: a round of 60 moves between them. */
	for (unsigned i = 0; i < 60; i++)
		blocks[i] = take(&rig, 64);
	for (unsigned i = 0; i < 60; i++)
		give(&rig, blocks[i]);
	barn = counter(&rig, "barn_get") + counter(&rig, "barn_put");
	locks = counter(&rig, "lock_acquisitions");
	for (unsigned round = 0; round < 100; round++) {
		for (unsigned i = 0; i < 60; i++)
			blocks[i] = take(&rig, 64);
		for (unsigned i = 0; i < 60; i++)
			give(&rig, blocks[i]);
	}
	assert_int_equal(counter(&rig, "barn_get") + counter(&rig, "barn_put"), barn);
	assert_int_equal(counter(&rig, "lock_acquisitions"), locks);
	rig_down(&rig);
}

/* ---- hardening ---- */

static void a_hardened_link_is_no_address(void **state)
{
	struct rig rig;
	void *a, *b;

	(void)state;
	rig_up(&rig, CLASSIC);
	a = take(&rig, 64);
	b = take(&rig, 64);
	give(&rig, b);
	give(&rig, a);
	assert_ptr_equal(*(void **)a, b);
	rig_down(&rig);
	rig_up(&rig, CLASSIC "hardened=on");
	a = take(&rig, 64);
	b = take(&rig, 64);
	give(&rig, b);
	give(&rig, a);
	assert_ptr_not_equal(*(void **)a, b);
	assert_ptr_equal(slub_link(rig.pool, a), b);
	/* The same value at another place would be another link. */
	assert_ptr_not_equal(slub_link_code(rig.pool, b, *(void **)a), b);
	rig_down(&rig);
}

static void a_link_written_after_free_stops_the_hardened_pool(void **state)
{
	struct rig rig;
	void *block;

	(void)state;
	rig_up(&rig, CLASSIC "hardened=on");
	block = take(&rig, 64);
	give(&rig, block);
	*(uintptr_t *)block ^= 0x40;
	/* Even a flip that leaves the address in its slab's reach: every second object is now in the list. */
	*(uintptr_t *)block = 0x4141414141414141;
	rig.expects_stop = true;
	if (setjmp(rig.stopped) == 0) {
		take(&rig, 64);
		take(&rig, 64);
		fail_msg("a link that leads nowhere was followed");
	}
	assert_int_equal(rig.stop.code, 0x19);
	assert_int_equal(rig.stop.arguments[0], 3);
	assert_int_equal(rig.stop.arguments[1], (uintptr_t)block);
	rig_drop(&rig);
}

static void freeing_twice_stops(const char *options, size_t bytes, uint64_t reason)
{
	struct rig rig;
	void *block;

	rig_up(&rig, options);
	block = take(&rig, bytes);
	give(&rig, block);
	rig.expects_stop = true;
	if (setjmp(rig.stopped) == 0) {
		give(&rig, block);
		fail_msg("freed twice");
	}
	assert_int_equal(rig.stop.code, 0xC2);
	assert_int_equal(rig.stop.arguments[0], reason);
	rig_drop(&rig);
}

static void what_is_no_block_is_refused(void **state)
{
	struct rig rig;
	char *block, outside[16];
	void *wrong[3];

	(void)state;
	freeing_twice_stops(CLASSIC "hardened=on", 64, 7);
	freeing_twice_stops("", 100000, 0x46);
	freeing_twice_stops("retain=0", 100000, 0x46);
	rig_up(&rig, "hardened=on");
	block = take(&rig, 64);
	wrong[0] = outside;
	wrong[1] = block + 16;
	wrong[2] = NULL;
	rig.expects_stop = true;
	for (volatile unsigned i = 0; i < 3; i++) {
		if (setjmp(rig.stopped) == 0) {
			give(&rig, wrong[i]);
			fail_msg("freed what is no block");
		}
		assert_int_equal(rig.stop.code, 0xC2);
		assert_int_equal(rig.stop.arguments[0], i == 1 ? 0x46 : 0x99);
	}
	rig_drop(&rig);
}

static void slab_order(size_t *offsets, uint64_t seed, const char *options)
{
	struct rig rig;
	char *first = NULL;

	rig_up_sized(&rig, 4096, options, seed);
	for (unsigned i = 0; i < 32; i++) {
		char *block = take(&rig, 128);

		if (!first)
			first = slab_of(&rig, block)->base;
		offsets[i] = (size_t)(block - first);
		assert_true(offsets[i] < 4096);
	}
	rig_drop(&rig);
}

static void the_order_of_a_shuffled_slab_follows_the_seed(void **state)
{
	size_t plain[32], one[32], again[32], two[32], seen = 0;

	(void)state;
	slab_order(plain, 1, CLASSIC);
	slab_order(one, 1, CLASSIC "random=on");
	slab_order(again, 1, CLASSIC "random=on");
	slab_order(two, 2, CLASSIC "random=on");
	assert_memory_equal(one, again, sizeof(one));
	assert_memory_not_equal(one, two, sizeof(one));
	assert_memory_not_equal(one, plain, sizeof(one));
	for (unsigned i = 0; i < 32; i++)
		seen |= (size_t)1 << one[i] / 128;
	assert_int_equal(seen, 0xFFFFFFFF); /* each object once */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_go_to_the_kmalloc_classes),
		cmocka_unit_test(the_order_is_linux_s),
		cmocka_unit_test(objects_of_96_and_192_bytes_never_cross_a_page),
		cmocka_unit_test(the_least_order_is_tried_when_memory_is_short),
		cmocka_unit_test(the_fast_paths_take_no_lock_and_exchange_nothing),
		cmocka_unit_test(a_processor_leaves_its_slab_when_it_is_empty),
		cmocka_unit_test(a_remote_free_to_a_frozen_slab_is_found_by_its_owner),
		cmocka_unit_test(the_first_free_of_a_full_slab_freezes_it_for_who_frees),
		cmocka_unit_test(without_cpu_partial_it_goes_to_the_node),
		cmocka_unit_test(a_full_partial_list_is_drained_to_the_node),
		cmocka_unit_test(slabs_survive_concurrent_remote_frees),
		cmocka_unit_test(a_node_keeps_slabs_up_to_min_partial),
		cmocka_unit_test(empty_slabs_are_returned),
		cmocka_unit_test(page_runs_are_kept_for_reuse),
		cmocka_unit_test(threads_that_stand_for_no_processor_are_served),
		cmocka_unit_test(full_sheaves_travel_through_the_barn),
		cmocka_unit_test(a_sheaf_is_emptied_by_one_exchange_a_slab),
		cmocka_unit_test(a_spare_spares_the_barn),
		cmocka_unit_test(a_hardened_link_is_no_address),
		cmocka_unit_test(a_link_written_after_free_stops_the_hardened_pool),
		cmocka_unit_test(what_is_no_block_is_refused),
		cmocka_unit_test(the_order_of_a_shuffled_slab_follows_the_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
