/* slub: sheaves and barns. */
#include "slub_rig.h"
#include "workloads/random.h"

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

/* A full sheaf comes back to who left it, whose cache has its objects; the others' are taken when there is none. */
static void own_sheaves_come_first(unsigned first)
{
	enum { COUNT = 240 };
	struct rig rig;
	void *blocks[2][COUNT];

	rig_up(&rig, &slub_backend, "sheaf=60,barn=10");
	for (unsigned processor = 0; processor < 2; processor++) {
		rig_become(&rig, processor);
		for (unsigned i = 0; i < COUNT; i++)
			blocks[processor][i] = take(&rig, 64);
	}
	for (unsigned processor = 0; processor < 2; processor++) {
		rig_become(&rig, processor);
		for (unsigned i = 0; i < COUNT; i++)
			give(&rig, blocks[processor][i]);
	}
	assert_int_equal(atomic_load(&cache_of(&rig, 64)->full_count), 4);
	/* Processor 1 left the last ones, and 0's are found first by who goes through all. Two are in main and spare of each, two in the barn. */
	for (unsigned turn = 0; turn < 2; turn++) {
		const unsigned processor = turn ^ first;

		rig_become(&rig, processor);
		for (unsigned i = COUNT; i-- > 0;) {
			void *block = take(&rig, 64);
			unsigned of = 0;

			while (of < COUNT && blocks[processor][of] != block)
				of++;
			assert_true(of < COUNT);
		}
	}
	assert_int_equal(atomic_load(&cache_of(&rig, 64)->full_count), 0);
	rig_check(&rig);
	rig_down(&rig);
}

static void one_s_own_sheaves_come_first(void **state)
{
	(void)state;
	own_sheaves_come_first(0);
	own_sheaves_come_first(1);
}

/* Fast allocations are worked out, not counted: they and those that are counted must come to what was done. */
static void the_account_of_allocations_is_exact(void **state)
{
	static const char *const options[] = { "", "sheaf=0", "sheaf=4,barn=1", "hardened=on",
					       "sheaf=60,barn=0" };
	enum { LIVE = 500 };

	(void)state;
	for (unsigned i = 0; i < sizeof(options) / sizeof(*options); i++) {
		void *blocks[LIVE] = { NULL };
		uint64_t allocs = 0, frees = 0;
		struct random random;
		struct rig rig;

		random_seed(&random, 3);
		rig_up(&rig, &slub_backend, options[i]);
		for (unsigned j = 0; j < 20000; j++) {
			/* In waves, so that sheaves fill and empty. */
			const uint32_t at = random_below(&random, j / 1000 % 2 ? LIVE : 50);

			if (j % 500 == 0)
				rig_become(&rig, j / 500 % 3);
			if (j % 7000 == 6999)
				slub_backend.trim(rig.pool);
			if (blocks[at]) {
				give(&rig, blocks[at]);
				blocks[at] = NULL;
				frees++;
			} else {
				blocks[at] = take(&rig, random_between(&random, 1, 2000));
				allocs++;
			}
		}
		assert_int_equal(counter(&rig, "fast_allocs") + counter(&rig, "refills"), allocs);
		assert_int_equal(counter(&rig, "fast_frees") + counter(&rig, "slow_frees"), frees);
		rig_down(&rig);
	}
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
		cmocka_unit_test(one_s_own_sheaves_come_first),
		cmocka_unit_test(the_account_of_allocations_is_exact),
		cmocka_unit_test(a_sheaf_is_emptied_by_one_exchange_a_slab),
		cmocka_unit_test(a_spare_spares_the_barn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
