/* slub: sheaves and barns. */
#include "slub_rig.h"

static void full_sheaves_travel_through_the_barn(void **state)
{
	struct rig rig;
	void *blocks[360];
	uint64_t fills;

	(void)state;
	rig_up(&rig, &slub_backend, "sheaf=60,barn=10");
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
	rig_become(&rig, 1);
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
	rig_up(&rig, &slub_backend, "sheaf=60,barn=0");
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
	rig_up(&rig, &slub_backend, "");
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_sheaves_travel_through_the_barn),
		cmocka_unit_test(a_sheaf_is_emptied_by_one_exchange_a_slab),
		cmocka_unit_test(a_spare_spares_the_barn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
