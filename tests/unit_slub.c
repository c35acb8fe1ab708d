/* slub: what makes it SLUB: classes, slabs and their states, each from the design's own rules. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "slub_rig.h"

/* ---- classes and slabs ---- */

static void sizes_go_to_the_kmalloc_classes(void **state)
{
	static const size_t classes[] = {
		16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192
	};
	struct rig rig;
	size_t class_index = 0;

	(void)state;
	rig_up(&rig, &slub_backend, "");
	for (size_t bytes = 1; bytes <= 20000; bytes++) {
		void *block = take(&rig, bytes);
		size_t whole = (bytes + 4095) / 4096 * 4096;

		if (class_index < 12 && bytes > classes[class_index])
			class_index++;
		assert_int_equal(bytes_of(&rig, block),
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
	rig_up(&rig, &slub_backend, CLASSIC);
	for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++) {
		void *block = take(&rig, expected[i].bytes);

		assert_int_equal(slab_of(&rig, block)->objects, expected[i].objects);
		assert_int_equal(slab_of(&rig, block)->pages, expected[i].pages);
		give(&rig, block);
	}
	rig_down(&rig);
	/* With larger pool pages a single one is enough. */
	rig_up_sized(&rig, &slub_backend, 65536, CLASSIC);
	assert_int_equal(slub_objects_in(65536, 96), 16 * 42);
	assert_int_equal(cache_of(&rig, 4096)->pages, 1);
	assert_int_equal(cache_of(&rig, 8192)->pages, 2); /* 12 objects, as many as are wished */
	rig_down(&rig);
	/* order= bounds it, and min_objects= raises it. */
	rig_up(&rig, &slub_backend, "order=0");
	assert_int_equal(cache_of(&rig, 2048)->pages, 1);
	assert_int_equal(cache_of(&rig, 8192)->pages, 2); /* the least that holds one */
	rig_down(&rig);
	rig_up(&rig, &slub_backend, "min_objects=64");
	assert_int_equal(cache_of(&rig, 256)->pages, 4);
	rig_down(&rig);
}

static void objects_of_96_and_192_bytes_never_cross_a_page(void **state)
{
	static const uint32_t sizes[] = { 96, 192 };
	struct rig rig;

	(void)state;
	rig_up_sized(&rig, &slub_backend, 16384, CLASSIC);
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

/* ---- the fast paths ---- */

static void fast_path_is_free_of_locks(const char *options, unsigned live)
{
	struct rig rig;
	void *blocks[64];
	uint64_t locks, atomics, fast;

	rig_up(&rig, &slub_backend, options);
	/* Into a slab, or a sheaf, with enough objects. */
	for (unsigned i = 0; i < live; i++)
		blocks[i] = take(&rig, 100);
	for (unsigned i = 0; i < live; i++)
		give(&rig, blocks[i]);
	locks = counter(&rig, "lock_acquisitions");
	atomics = counter(&rig, "cmpxchg");
	fast = counter(&rig, "fast_allocs") + counter(&rig, "fast_frees");
	for (unsigned round = 0; round < 1000; round++) {
		for (unsigned i = 0; i < live; i++)
			blocks[i] = take(&rig, 97 + i % 32);
		for (unsigned i = 0; i < live; i++)
			give(&rig, blocks[(i * 7) % live]);
	}
	assert_int_equal(counter(&rig, "lock_acquisitions"), locks);
	assert_int_equal(counter(&rig, "cmpxchg"), atomics);
	assert_int_equal(counter(&rig, "fast_allocs") + counter(&rig, "fast_frees"),
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
	rig_up(&rig, &slub_backend, CLASSIC);
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
	rig_up(&rig, &slub_backend, CLASSIC);
	for (unsigned i = 0; i < 32; i++)
		blocks[i] = take(&rig, 128);
	rig_become(&rig, 1);
	give(&rig, blocks[5]);
	give(&rig, blocks[9]);
	assert_int_equal(counter(&rig, "free_frozen"), 2);
	assert_true(slub_state(slab_of(&rig, blocks[5])) & STATE_FROZEN);
	assert_int_equal(slub_state_inuse(slub_state(slab_of(&rig, blocks[5]))), 30);
	rig_check(&rig);
	/* The owner runs dry and takes both at once, the last freed first. */
	rig_become(&rig, 0);
	assert_ptr_equal(take(&rig, 128), blocks[9]);
	assert_ptr_equal(take(&rig, 128), blocks[5]);
	assert_int_equal(counter(&rig, "alloc_refill"), 1);
	assert_int_equal(counter(&rig, "alloc_slab"), 1);
	for (unsigned i = 0; i < 32; i++)
		give(&rig, blocks[i]);
	rig_down(&rig);
}

static void the_first_free_of_a_full_slab_freezes_it_for_who_frees(void **state)
{
	struct rig rig;
	void *blocks[32];
	struct slab *slab;

	(void)state;
	rig_up(&rig, &slub_backend, CLASSIC);
	fill_slabs(&rig, blocks, 1);
	slab = slab_of(&rig, blocks[0]);
	rig_become(&rig, 2);
	give(&rig, blocks[3]);
	assert_true(slub_state(slab) & STATE_FROZEN);
	assert_int_equal(counter(&rig, "cpu_partial_free"), 1);
	assert_ptr_equal(rig.pool->cpus[2].rows[slub_row(cache_of(&rig, 128))].partial, slab);
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
	rig_up(&rig, &slub_backend, CLASSIC "cpu_partial=0");
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
	rig_up(&rig, &slub_backend, CLASSIC);
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

	rig_up(&rig, &slub_backend, options);
	assert_int_equal(pthread_create(&thread, NULL, ring_consumer, &ring), 0);
	for (unsigned i = 0; i < ring.count; i++) {
		unsigned *block = take(&rig, (size_t)16 << i % 3);

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

/* ---- outsiders ---- */

static void threads_that_stand_for_no_processor_are_served(void **state)
{
	struct rig rig;
	void *block;

	(void)state;
	rig_up(&rig, &slub_backend, "");
	slub_backend.thread_exit(rig.pool);
	block = take(&rig, 100);
	give(&rig, block);
	assert_ptr_equal(take(&rig, 100), block);
	assert_int_equal(rig.pool->outsider_lock.acquisitions, 3);
	assert_int_equal(slub_backend.thread_enter(rig.pool, 3), -EINVAL);
	rig_down(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_go_to_the_kmalloc_classes),
		cmocka_unit_test(the_order_is_linux_s),
		cmocka_unit_test(objects_of_96_and_192_bytes_never_cross_a_page),
		cmocka_unit_test(the_fast_paths_take_no_lock_and_exchange_nothing),
		cmocka_unit_test(a_processor_leaves_its_slab_when_it_is_empty),
		cmocka_unit_test(a_remote_free_to_a_frozen_slab_is_found_by_its_owner),
		cmocka_unit_test(the_first_free_of_a_full_slab_freezes_it_for_who_frees),
		cmocka_unit_test(without_cpu_partial_it_goes_to_the_node),
		cmocka_unit_test(a_full_partial_list_is_drained_to_the_node),
		cmocka_unit_test(slabs_survive_concurrent_remote_frees),
		cmocka_unit_test(threads_that_stand_for_no_processor_are_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
