/* slub: hardened and shuffled free lists, and frees that are none. */
#include "slub_rig.h"

static void a_hardened_link_is_no_address(void **state)
{
	struct rig rig;
	void *a, *b;

	(void)state;
	rig_up(&rig, &slub_backend, CLASSIC);
	a = take(&rig, 64);
	b = take(&rig, 64);
	give(&rig, b);
	give(&rig, a);
	assert_ptr_equal(*(void **)a, b);
	rig_down(&rig);
	rig_up(&rig, &slub_backend, CLASSIC "hardened=on");
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
	rig_up(&rig, &slub_backend, CLASSIC "hardened=on");
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

	rig_up(&rig, &slub_backend, options);
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
	rig_up(&rig, &slub_backend, "hardened=on");
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

	rig_up_seeded(&rig, &slub_backend, options, seed);
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
		cmocka_unit_test(a_hardened_link_is_no_address),
		cmocka_unit_test(a_link_written_after_free_stops_the_hardened_pool),
		cmocka_unit_test(what_is_no_block_is_refused),
		cmocka_unit_test(the_order_of_a_shuffled_slab_follows_the_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
