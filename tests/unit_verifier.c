/* Each mistake a caller can make, made in a process of its own: the verifier must name it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "allocators/pages.h"
#include "allocators/registry.h"
#include "bench/bugcheck.h"
#include "bench/finding.h"
#include "bench/irql.h"
#include "bench/irql_enforce.h"
#include "bench/verifier.h"

#define TAG   POOL_TAG('U', 'n', 'i', 't')
#define OTHER POOL_TAG('O', 't', 'h', 'r')

struct rig {
	struct backend *backend;
	struct page_source *pages[POOL_TYPES];
	struct pool *below;
	struct verifier *verifier;
	const struct pool_backend *ops;
	struct pool *pool;
};

static void open_rig_over(struct rig *rig, const char *spec, uint32_t parts,
			  enum verifier_guard guard)
{
	struct pool_config config = { .page_size = 4096, .processors = 1, .stop = finding_stop };
	struct verifier_config wanted = { .parts = parts, .guard = guard };
	char why[256];

	for (int type = 0; type < POOL_TYPES; type++) {
		const struct page_source_config source = { .type = (enum pool_type)type,
							   .page_size = 4096,
							   .node = -1 };

		if (page_source_create(&source, &rig->pages[type], why, sizeof(why)) != 0)
			_exit(9);
		config.pages[type] = rig->pages[type];
	}
	if (backend_open(spec, &rig->backend, why, sizeof(why)) != 0 ||
	    backend_create_pool(rig->backend, &config, &rig->below, why, sizeof(why)) != 0)
		_exit(9);
	wanted.ops = rig->backend->ops;
	wanted.pool = rig->below;
	if (verifier_create(&wanted, &rig->verifier) != 0)
		_exit(9);
	rig->ops = verifier_ops(rig->verifier);
	rig->pool = verifier_pool(rig->verifier);
	if (rig->ops->thread_enter)
		rig->ops->thread_enter(rig->pool, 0);
}

static void open_rig(struct rig *rig, uint32_t parts, enum verifier_guard guard)
{
	open_rig_over(rig, "nt-pool", parts, guard);
}

static void close_rig(struct rig *rig)
{
	if (rig->ops->thread_exit)
		rig->ops->thread_exit(rig->pool);
	rig->ops->destroy(rig->pool);
	verifier_destroy(rig->verifier);
	for (int type = 0; type < POOL_TYPES; type++)
		page_source_destroy(rig->pages[type]);
	backend_close(rig->backend);
}

static char *take(struct rig *rig, enum pool_type type, size_t bytes)
{
	return rig->ops->alloc(rig->pool, type, bytes, TAG);
}

static void give(struct rig *rig, void *block)
{
	rig->ops->free(rig->pool, block, TAG);
}

/* A store that the compiler cannot see through. */
static void poke(char *address)
{
	*(volatile char *)address = 1;
}

/* ---- mistakes ---- */

static void no_mistake(struct rig *rig)
{
	char *blocks[300];

	for (size_t i = 0; i < 300; i++) {
		blocks[i] = take(rig, (enum pool_type)(i % POOL_TYPES), 1 + 31 * i);
		memset(blocks[i], 7, 1 + 31 * i);
	}
	for (size_t i = 0; i < 300; i++)
		give(rig, blocks[i]);
	verifier_expect_nothing_live(rig->verifier);
}

static void zero_bytes(struct rig *rig)
{
	take(rig, POOL_PAGED, 0);
}

static void tag_zero(struct rig *rig)
{
	rig->ops->alloc(rig->pool, POOL_PAGED, 8, 0);
}

static void tag_of_control_characters(struct rig *rig)
{
	rig->ops->alloc(rig->pool, POOL_PAGED, 8, POOL_TAG('a', 7, 'b', 'c'));
}

static void wrong_tag(struct rig *rig)
{
	rig->ops->free(rig->pool, take(rig, POOL_PAGED, 8), OTHER);
}

static void double_free(struct rig *rig)
{
	char *block = take(rig, POOL_PAGED, 8);

	give(rig, block);
	give(rig, block);
}

static void free_null(struct rig *rig)
{
	give(rig, NULL);
}

static void free_of_the_middle(struct rig *rig)
{
	give(rig, take(rig, POOL_PAGED, 64) + 16);
}

static void leak(struct rig *rig)
{
	take(rig, POOL_PAGED, 64);
	take(rig, POOL_NONPAGED, 640);
	verifier_expect_nothing_live(rig->verifier);
}

static void leak_of_two_tags(struct rig *rig)
{
	take(rig, POOL_PAGED, 64);
	rig->ops->alloc(rig->pool, POOL_NONPAGED, 640, OTHER);
	verifier_expect_nothing_live(rig->verifier);
}

static void write_past_end(struct rig *rig)
{
	char *block = take(rig, POOL_PAGED, 64);

	poke(block + 64);
}

/* 61 bytes end 3 bytes before the guard page: only the pattern can tell. */
static void write_into_slack(struct rig *rig)
{
	char *block = take(rig, POOL_PAGED, 61);

	poke(block + 61);
	give(rig, block);
}

static void write_before_start(struct rig *rig)
{
	char *block = take(rig, POOL_PAGED, 64);

	poke(block - 1);
	give(rig, block);
}

static void use_after_free(struct rig *rig)
{
	char *block = take(rig, POOL_NONPAGED, 64);

	give(rig, block);
	poke(block);
}

static void alloc_paged_at_dispatch(struct rig *rig)
{
	irql_raise(DISPATCH_LEVEL);
	take(rig, POOL_PAGED, 8);
}

static void free_paged_at_dispatch(struct rig *rig)
{
	char *block = take(rig, POOL_PAGED, 8);

	irql_raise(DISPATCH_LEVEL);
	give(rig, block);
}

static void nonpaged_at_dispatch(struct rig *rig)
{
	irql_raise(DISPATCH_LEVEL);
	give(rig, take(rig, POOL_NONPAGED, 8));
	irql_lower(PASSIVE_LEVEL);
}

static void touch_paged_at(struct rig *rig, enum irql_means means, enum irql level)
{
	char *block = take(rig, POOL_PAGED, 64);

	if (irql_enforce_start(rig->pages[POOL_PAGED], means, NULL, NULL) != 0)
		_exit(9);
	irql_raise(level);
	irql_enforce_level(level);
	poke(block);
	irql_enforce_level(PASSIVE_LEVEL);
	irql_lower(PASSIVE_LEVEL);
	poke(block);
	irql_enforce_stop();
	give(rig, block);
}

static void touch_paged_at_dispatch(struct rig *rig)
{
	touch_paged_at(rig, irql_enforce_means(), DISPATCH_LEVEL);
}

static void touch_paged_at_dispatch_unkeyed(struct rig *rig)
{
	touch_paged_at(rig, IRQL_BY_PROTECTION, DISPATCH_LEVEL);
}

static void touch_paged_at_apc(struct rig *rig)
{
	touch_paged_at(rig, irql_enforce_means(), APC_LEVEL);
}

static void wild_store(struct rig *rig)
{
	char *volatile nowhere = (char *)8;

	(void)rig;
	poke(nowhere);
}

/* ---- */

#define SPECIAL  VERIFIER_SPECIAL
#define TRACKING VERIFIER_TRACKING

static const struct mistake {
	const char *name;
	void (*make)(struct rig *rig);
	uint32_t parts;
	enum verifier_guard guard;
	const char *rule; /* "": none may be found */
	uint32_t code;
	uint64_t first;
} mistakes[] = {
	{ "none, tracked", no_mistake, TRACKING, 0, "", 0, 0 },
	{ "none, special", no_mistake, SPECIAL | TRACKING, VERIFIER_GUARD_END, "", 0, 0 },
	{ "none, special, start", no_mistake, SPECIAL | TRACKING, VERIFIER_GUARD_START, "", 0, 0 },
	{ "zero bytes", zero_bytes, 0, 0, "zero-bytes", 0xC2, 0 },
	{ "tag 0", tag_zero, 0, 0, "tag-zero", 0xC2, 0x9B },
	{ "tag", tag_of_control_characters, 0, 0, "tag-characters", 0xC4, BUGCHECK_OWN + 14 },
	{ "wrong tag", wrong_tag, TRACKING, 0, "wrong-tag", 0xC2, 0xA },
	{ "wrong tag, special", wrong_tag, SPECIAL, 0, "wrong-tag", 0xC2, 0xA },
	{ "double free", double_free, TRACKING, 0, "double-free", 0xC2, 7 },
	{ "double free, special", double_free, SPECIAL, 0, "double-free", 0xC2, 7 },
	{ "free of NULL", free_null, 0, 0, "foreign-free", 0xC2, 0x46 },
	{ "free of the middle", free_of_the_middle, TRACKING, 0, "foreign-free", 0xC2, 0x46 },
	{ "free of the middle, special", free_of_the_middle, SPECIAL, 0, "foreign-free", 0xC2,
	  0x46 },
	{ "leak", leak, TRACKING, 0, "leaked-blocks", 0xC4, 0x62 },
	{ "overrun", write_past_end, SPECIAL, VERIFIER_GUARD_END, "overrun", 0xCD, 0 },
	{ "slack", write_into_slack, SPECIAL, VERIFIER_GUARD_END, "past-end", 0xC1, 0x24 },
	{ "front", write_before_start, SPECIAL, VERIFIER_GUARD_END, "near-block", 0xC1, 0x23 },
	{ "underrun", write_before_start, SPECIAL, VERIFIER_GUARD_START, "underrun", 0xC1,
	  BUGCHECK_OWN + 15 },
	{ "use after free", use_after_free, SPECIAL, VERIFIER_GUARD_END, "use-after-free", 0xCC,
	  0 },
	{ "use after free, start", use_after_free, SPECIAL, VERIFIER_GUARD_START, "use-after-free",
	  0xCC, 0 },
	{ "paged alloc at DISPATCH", alloc_paged_at_dispatch, VERIFIER_IRQL, 0, "irql-alloc", 0xC2,
	  8 },
	{ "paged free at DISPATCH", free_paged_at_dispatch, VERIFIER_IRQL, 0, "irql-free", 0xC2,
	  9 },
	{ "nonpaged at DISPATCH", nonpaged_at_dispatch, VERIFIER_IRQL, 0, "", 0, 0 },
	{ "paged touch at DISPATCH", touch_paged_at_dispatch, 0, 0, "irql-touch", 0x0A, 0 },
	{ "the same without keys", touch_paged_at_dispatch_unkeyed, 0, 0, "irql-touch", 0x0A, 0 },
	{ "paged touch at APC", touch_paged_at_apc, 0, 0, "", 0, 0 },
	{ "wild store", wild_store, SPECIAL, 0, "crash", 0x1E, 0 },
};

static void make_mistake(const struct mistake *mistake, struct finding *finding)
{
	struct rig rig = { .backend = NULL };
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		finding_install(finding);
		open_rig(&rig, mistake->parts, mistake->guard);
		mistake->make(&rig);
		close_rig(&rig);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), mistake->rule[0] ? 1 : 0);
}

static void each_mistake_is_named(void **state)
{
	struct finding *finding = finding_create();

	(void)state;
	assert_non_null(finding);
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(*mistakes); i++) {
		const struct mistake *mistake = &mistakes[i];

		finding_reset(finding);
		print_message("%s\n", mistake->name);
		make_mistake(mistake, finding);
		assert_string_equal(finding->rule, mistake->rule);
		assert_int_equal(finding->code, mistake->code);
		if (mistake->first)
			assert_int_equal(finding->arguments[0], mistake->first);
	}
	finding_destroy(finding);
}

/* Who allocated it and who freed it first; what is live, tag by tag. */
static void findings_tell_the_past(void **state)
{
	static const struct mistake twice = {
		"", double_free, TRACKING, 0, "double-free", 0xC2, 7
	};
	static const struct mistake leaking = { "",  leak_of_two_tags, TRACKING,
						0,   "leaked-blocks",  0xC4,
						0x62 };
	struct finding *finding = finding_create();

	(void)state;
	assert_non_null(finding);
	make_mistake(&twice, finding);
	assert_int_equal(finding->pasts, 2);
	assert_string_equal(finding->past[0].what, "allocated");
	assert_string_equal(finding->past[1].what, "freed before");
	for (int i = 0; i < 2; i++)
		assert_true(finding->past[i].stack.frames > 1);
	assert_ptr_not_equal(finding->past[0].stack.frame[0], finding->past[1].stack.frame[0]);
	finding_reset(finding);
	make_mistake(&leaking, finding);
	assert_int_equal(finding->leak_tags, 2);
	assert_int_equal(finding->leaks[0].tag, OTHER);
	assert_int_equal(finding->leaks[0].blocks, 1);
	assert_int_equal(finding->leaks[0].bytes, 640);
	assert_int_equal(finding->leaks[1].tag, TAG);
	assert_int_equal(finding->leaks[1].bytes, 64);
	finding_destroy(finding);
}

/* Address, IRQL, write, instruction: what a stop screen of 0x0A has. */
static void touch_has_its_arguments(void **state)
{
	static const struct mistake touch = {
		"touch", touch_paged_at_dispatch, 0, 0, "irql-touch", 0x0A, 0
	};
	struct finding *finding = finding_create();

	(void)state;
	assert_non_null(finding);
	make_mistake(&touch, finding);
	assert_int_not_equal(finding->arguments[0], 0);
	assert_int_equal(finding->arguments[1], DISPATCH_LEVEL);
#if defined(__x86_64__)
	assert_int_equal(finding->arguments[2], 1);
	assert_in_range(finding->arguments[3], (uintptr_t)poke - 4096, (uintptr_t)poke + 65536);
#endif
	finding_destroy(finding);
}

static void low_resources_keep_to_their_plan(void **state)
{
	struct rig rig = { .backend = NULL };
	struct verifier_low low = { .probability = 0.5, .delay = 1000, .tag = TAG, .seed = 3 };
	unsigned refused = 0;

	(void)state;
	open_rig(&rig, VERIFIER_LOW_RESOURCES, 0);
	verifier_set_low(rig.verifier, &low);
	for (unsigned i = 0; i < 3000; i++) {
		void *block = take(&rig, POOL_PAGED, 40);
		void *other = rig.ops->alloc(rig.pool, POOL_PAGED, 40, OTHER);

		assert_non_null(other);
		rig.ops->free(rig.pool, other, OTHER);
		if (2 * i < 1000)
			assert_non_null(block);
		if (block)
			give(&rig, block);
		else
			refused++;
	}
	/* Of 2500 at one half: six standard deviations are 150. */
	assert_in_range(refused, 1100, 1400);
	close_rig(&rig);
}

static void sum_leak(void *arg, const struct finding_leak *leak)
{
	struct finding_leak *seen = arg;

	if (!seen->blocks)
		*seen = *leak;
	else
		assert_true(seen->bytes >= leak->bytes);
}

static void leaks_are_counted_by_tag(void **state)
{
	struct finding_leak most = { 0 };
	struct rig rig = { .backend = NULL };
	void *first, *second, *third;

	(void)state;
	open_rig(&rig, VERIFIER_TRACKING, 0);
	first = take(&rig, POOL_PAGED, 100);
	second = take(&rig, POOL_PAGED, 200);
	third = rig.ops->alloc(rig.pool, POOL_NONPAGED, 50, OTHER);
	assert_int_equal(verifier_leaks(rig.verifier, sum_leak, &most), 2);
	assert_int_equal(most.tag, TAG);
	assert_int_equal(most.blocks, 2);
	assert_int_equal(most.bytes, 300);
	assert_ptr_equal(most.first_block, first);
	assert_true(most.first.frames > 0);
	assert_non_null(most.first.frame[0]);
	give(&rig, first);
	give(&rig, second);
	rig.ops->free(rig.pool, third, OTHER);
	assert_int_equal(verifier_leaks(rig.verifier, NULL, NULL), 0);
	close_rig(&rig);
}

/* What is live when a pool goes is told, whatever the design, and its memory goes back all the same. */
static void live_blocks_are_reported_over_every_design(void **state)
{
	(void)state;
	for (int i = 0; builtin_backends[i]; i++) {
		struct finding_leak most = { 0 };
		struct rig rig = { .backend = NULL };

		if (builtin_backends[i]->caps & POOL_CAP_FLOOR)
			continue;
		open_rig_over(&rig, builtin_backends[i]->name, VERIFIER_TRACKING, 0);
		for (size_t n = 0; n < 200; n++)
			assert_non_null(take(&rig, (enum pool_type)(n % POOL_TYPES), 1 + 97 * n));
		assert_int_equal(verifier_leaks(rig.verifier, sum_leak, &most), 1);
		assert_int_equal(most.tag, TAG);
		assert_int_equal(most.blocks, 200);
		assert_int_equal(most.bytes, 200 + 97 * (199 * 200 / 2));
		rig.ops->thread_exit(rig.pool);
		rig.ops->destroy(rig.pool);
		for (int type = 0; type < POOL_TYPES; type++) {
			struct page_source_stats stats;

			page_source_stats(rig.pages[type], &stats);
			assert_int_equal(stats.committed_bytes, 0);
			assert_int_equal(stats.reserved_bytes, 0);
			page_source_destroy(rig.pages[type]);
		}
		verifier_destroy(rig.verifier);
		backend_close(rig.backend);
	}
}

static void many_blocks_are_tracked(void **state)
{
	enum { COUNT = 40000 };
	static void *blocks[COUNT];
	struct rig rig = { .backend = NULL };

	(void)state;
	open_rig(&rig, VERIFIER_TRACKING, 0);
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < COUNT; i++)
			blocks[i] = take(&rig, POOL_PAGED, 16 + i % 64);
		for (size_t i = 0; i < COUNT; i++)
			give(&rig, blocks[(i * 7919) % COUNT]);
		assert_int_equal(verifier_leaks(rig.verifier, NULL, NULL), 0);
	}
	close_rig(&rig);
}

static void one_special_pool_a_process(void **state)
{
	struct verifier_config config = { .parts = VERIFIER_SPECIAL };
	struct rig rig = { .backend = NULL };
	struct verifier *second = NULL;

	(void)state;
	open_rig(&rig, VERIFIER_SPECIAL, 0);
	config.ops = rig.backend->ops;
	config.pool = rig.below;
	assert_int_equal(verifier_create(&config, &second), -EBUSY);
	assert_null(second);
	close_rig(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_mistake_is_named),
		cmocka_unit_test(findings_tell_the_past),
		cmocka_unit_test(touch_has_its_arguments),
		cmocka_unit_test(low_resources_keep_to_their_plan),
		cmocka_unit_test(leaks_are_counted_by_tag),
		cmocka_unit_test(live_blocks_are_reported_over_every_design),
		cmocka_unit_test(many_blocks_are_tracked),
		cmocka_unit_test(one_special_pool_a_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
