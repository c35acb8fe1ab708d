/*
 * Any bytes as calls of the contract, on every backend and option set that the conformance suite knows. Each block is
 * held to all that stress asks of one; check and walk are asked whenever the input says so and at the end, when
 * everything has been freed and the pool is gone.
 *
 * Input: option set, page size and processors, limit, failures (a byte each); then calls of three bytes: what, slot,
 * size. One thread, which stands for one processor after another.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/stress.h"
#include "fuzz.h"

#define SLOTS       256u
#define SPECS_MOST  128u
#define RANGE_BYTES ((size_t)1 << 30)
#define LIMIT_UNIT  ((size_t)64 << 10)
#define LIMIT_BYTES \
	((size_t)64 \
	 << 20) /* where the input sets none: an input of a few bytes is not to take all memory */

static struct backend *backends[SPECS_MOST];
static unsigned backend_count;

/* Native backends that promise something: a malloc library shares its heap with the fuzzer. */
static bool is_wanted(const struct backend *backend)
{
	return (backend->ops->caps & (POOL_CAP_NATIVE | POOL_CAP_FLOOR)) == POOL_CAP_NATIVE;
}

static void open_backends(void)
{
	FILE *file = fopen(CONFORMANCE_SPECS, "r");
	char line[512], why[256];

	FUZZ_MUST(file);
	while (fgets(line, sizeof(line), file) && backend_count < SPECS_MOST) {
		struct backend *backend;

		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '#' || line[0] == '\0' ||
		    backend_open(line, &backend, why, sizeof(why)) != 0)
			continue;
		if (is_wanted(backend))
			backends[backend_count++] = backend;
		else
			backend_close(backend);
	}
	fclose(file);
	FUZZ_MUST(backend_count);
}

/* ---- a pool ---- */

struct player {
	struct stress_run run;
	struct stress_round round;
	struct trace trace; /* only its counts: how many processors and slots there are */
	struct finding finding;
	struct stress_slot slots[SLOTS];
	unsigned processor;
	uint64_t serial;
};

static void open_source(struct player *player, enum pool_type type)
{
	const struct page_source_config config = {
		.type = type,
		.page_size = player->round.page_size,
		.range_bytes = RANGE_BYTES,
		.node = -1,
	};
	char why[256];

	FUZZ_MUST(page_source_create(&config, &player->run.pages[type], why, sizeof(why)) == 0);
}

static void open_pool(struct player *player)
{
	struct stress_run *run = &player->run;
	char why[256];

	for (int type = 0; type < POOL_TYPES; type++)
		open_source(player, (enum pool_type)type);
	const struct pool_config config = {
		.page_size = player->round.page_size,
		.processors = player->trace.processors,
		.pages = { run->pages[POOL_NONPAGED], run->pages[POOL_PAGED] },
		.seed = 1,
		.stop = finding_stop,
	};
	FUZZ_MUST(backend_create_pool(player->round.backend, &config, &run->pool, why,
				      sizeof(why)) == 0);
	for (int type = 0; type < POOL_TYPES; type++) {
		struct page_source_stats stats;

		page_source_stats(run->pages[type], &stats);
		run->base_bytes[type] = stats.committed_bytes;
	}
}

/* `limit` and `every` as the input says; 0: none. */
static void set_shortage(struct player *player, unsigned limit, unsigned every)
{
	const struct page_faults faults = { .fail_every = every };

	for (int type = 0; type < POOL_TYPES; type++) {
		const size_t room = limit ? limit * LIMIT_UNIT : LIMIT_BYTES;

		page_source_set_limit(player->run.pages[type], player->run.base_bytes[type] + room);
		page_source_set_faults(player->run.pages[type], &faults);
	}
}

static void enter(struct player *player, unsigned processor)
{
	player->processor = processor;
	if (player->run.ops->thread_enter)
		FUZZ_MUST(player->run.ops->thread_enter(player->run.pool, processor) == 0);
}

static void leave(struct player *player)
{
	if (player->run.ops->thread_exit)
		player->run.ops->thread_exit(player->run.pool);
}

/* ---- calls ---- */

/* Small, around a page, pages, and up to 1 MiB. */
static uint32_t size_of(unsigned code)
{
	if (code < 144)
		return code * 7 + 1;
	if (code < 224)
		return 1008 + (code - 144) * 53;
	if (code < 252)
		return (code - 223) * POOL_OS_PAGE - 8 * (code % 3);
	return (uint32_t)(code - 251) * ((uint32_t)256 << 10) - 16 * (code % 2);
}

static void call_free(struct player *player, unsigned number)
{
	struct stress_slot *slot = &player->slots[number];

	if (atomic_load(&slot->state) != SLOT_FULL)
		return;
	stress_block_dies(&player->run, &slot->block);
	player->run.ops->free(player->run.pool, slot->block.at, slot->block.tag);
	atomic_store(&slot->state, SLOT_EMPTY);
}

static void call_alloc(struct player *player, unsigned number, enum pool_type type, unsigned code)
{
	struct stress_run *run = &player->run;
	struct stress_slot *slot = &player->slots[number];

	call_free(player, number);
	slot->block = (struct stress_block){
		.bytes = size_of(code),
		.tag = POOL_TAG('F', 'u', 'z', '0' + code % 10),
		.type = type,
		.serial = player->serial++,
	};
	slot->block.at = run->ops->alloc(run->pool, type, slot->block.bytes, slot->block.tag);
	if (!slot->block.at) {
		FUZZ_MUST(stress_refused_commits(run) > 0); /* else NULL has no excuse */
		return;
	}
	stress_block_resident(run, &slot->block);
	stress_block_born(run, &slot->block);
	atomic_store(&slot->state, SLOT_FULL);
}

/* What is only asked while no thread is in the pool. */
static void call_quiet(struct player *player, unsigned what)
{
	leave(player);
	if (what % 2 && player->run.ops->trim)
		player->run.ops->trim(player->run.pool);
	stress_check(&player->run);
	stress_walk(&player->run);
	enter(player, player->processor);
}

static void call(struct player *player, const uint8_t *at)
{
	struct stress_slot *slot = &player->slots[at[1]];
	const unsigned what = at[0] % 16;

	if (what < 7) {
		call_alloc(player, at[1], at[0] & 16 ? POOL_PAGED : POOL_NONPAGED, at[2]);
	} else if (what < 12) {
		call_free(player, at[1]);
	} else if (what == 12) {
		if (atomic_load(&slot->state) == SLOT_FULL)
			stress_block_touch(&player->run, &slot->block, player->serial++);
	} else if (what == 13) {
		leave(player);
		enter(player, at[1] % player->trace.processors);
	} else if (what == 14) {
		call_quiet(player, at[1]);
	} else {
		set_shortage(player, at[1], at[2]);
	}
}

/* ---- an input ---- */

/* With memory to be had again the pool must work as if nothing had been; then nothing may be left of it. */
static void finish(struct player *player)
{
	struct stress_run *run = &player->run;

	set_shortage(player, 0, 0);
	for (unsigned type = 0; type < POOL_TYPES; type++) {
		call_alloc(player, type, (enum pool_type)type, 7);
		FUZZ_MUST(atomic_load(&player->slots[type].state) == SLOT_FULL);
	}
	for (unsigned i = 0; i < SLOTS; i++)
		call_free(player, i);
	leave(player);
	stress_drained(run);
	run->ops->destroy(run->pool);
	for (int type = 0; type < POOL_TYPES; type++) {
		struct page_source_stats stats;

		page_source_stats(run->pages[type], &stats);
		FUZZ_MUST(stats.committed_bytes == 0 && stats.reserved_bytes == 0);
		page_source_destroy(run->pages[type]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static const size_t page_sizes[] = { 4096, 16384, 65536, 2097152 };
	struct player *player;

	if (bytes < 4)
		return 0;
	if (!backend_count)
		open_backends();
	player = calloc(1, sizeof(*player));
	FUZZ_MUST(player);
	player->round.backend = backends[data[0] % backend_count];
	player->round.page_size = page_sizes[data[1] % 4];
	player->trace.processors = 1 + data[1] / 4 % 4;
	player->trace.slots = SLOTS;
	player->run = (struct stress_run){
		.round = &player->round,
		.trace = &player->trace,
		.ops = player->round.backend->ops,
		.slots = player->slots,
		.finding = &player->finding,
		.shadow = player->round.backend->ops->caps & POOL_CAP_FLOOR ? NULL
									    : shadow_create(),
	};
	open_pool(player);
	set_shortage(player, data[2], data[3]);
	enter(player, 0);
	for (size_t i = 4; i + 3 <= bytes; i += 3)
		call(player, data + i);
	finish(player);
	shadow_destroy(player->run.shadow);
	free(player);
	return 0;
}
