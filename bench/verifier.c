/* The rules of the interface at each call; verifier.h has the terms. */
#include "verifier.h"

#include <errno.h>
#include <execinfo.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bugcheck.h"
#include "bench/finding.h"
#include "bench/irql.h"
#include "bench/special_pool.h"
#include "bench/verifier_table.h"
#include "workloads/random.h"

struct verifier {
	struct pool_backend
		ops; /* what callers see: the backend's name and capabilities, our hooks */
	const struct pool_backend *below;
	struct pool *pool;
	uint32_t parts;
	unsigned special_every;
	struct verifier_low low;
	struct special_pool *special;
	struct verifier_table *table; /* tracking and irql */
	atomic_ullong allocations;
};

#define ANY_SPECIAL (VERIFIER_SPECIAL | VERIFIER_SPECIAL_OVERRUN | VERIFIER_SPECIAL_UNDERRUN)

const char *const verifier_part_names[] = {
	"special", "tracking", "irql", "low-resources", "special-overrun", "special-underrun", NULL,
};

enum verifier_guard verifier_guard_of(uint32_t parts, uint64_t seed)
{
	const uint32_t asked = parts & (VERIFIER_SPECIAL_OVERRUN | VERIFIER_SPECIAL_UNDERRUN);

	if (asked == VERIFIER_SPECIAL_OVERRUN)
		return VERIFIER_GUARD_END;
	if (asked == VERIFIER_SPECIAL_UNDERRUN)
		return VERIFIER_GUARD_START;
	return seed % 2 ? VERIFIER_GUARD_START : VERIFIER_GUARD_END;
}

static struct verifier *verifier_of(struct pool *pool)
{
	return (struct verifier *)(void *)pool;
}

/* A stop with the arguments in the order in which Windows documents them. */
static _Noreturn void stop(const char *rule, uint64_t second, uint64_t third, uint64_t fourth,
			   const struct finding_block *block, const char *text)
{
	const struct bugcheck_rule *entry = bugcheck_rule_find(rule);
	const struct pool_stop detail = {
		.code = entry->code,
		.arguments = { entry->first, second, third, fourth },
		.text = text,
	};

	finding_stop_block(rule, &detail, block);
}

/* ---- who called ---- */

/* The caller of alloc or free and its callers; without tracking the caller alone, for a walk up takes a microsecond. */
static __attribute__((noinline)) void capture(const struct verifier *verifier, void *caller,
					      struct call_stack *stack)
{
	enum { OWN = 2 }; /* this function, and alloc or free */
	void *frame[FINDING_PAST_FRAMES + OWN];
	int frames = verifier->parts & VERIFIER_TRACKING
			     ? backtrace(frame, FINDING_PAST_FRAMES + OWN)
			     : 0;

	stack->frames = 1;
	stack->frame[0] = caller;
	for (int i = OWN + 1; i < frames; i++)
		stack->frame[stack->frames++] = frame[i];
}

static struct finding_past past_of(const char *what, const struct call_stack *stack)
{
	struct finding_past past = { .stack = *stack };

	snprintf(past.what, sizeof(past.what), "%s", what);
	return past;
}

/* ---- alloc ---- */

static bool tag_is_printable(uint32_t tag)
{
	bool ended = false;

	for (unsigned i = 0; i < 4; i++) {
		const uint32_t c = tag >> 8 * i & 0xFF;

		if (c ? ended || c < 0x20 || c > 0x7E : i == 0)
			return false;
		ended = ended || c == 0;
	}
	return true;
}

static void check_request(const struct verifier *verifier, enum pool_type type, size_t bytes,
			  uint32_t tag)
{
	const struct finding_block what = { NULL, bytes, tag, type, NULL, 0 };

	if (bytes == 0)
		stop("zero-bytes", irql_current(), type, tag, &what, "asked for 0 bytes");
	if (tag == 0)
		stop("tag-zero", type, bytes, 0, &what, "asked with tag 0");
	if (!tag_is_printable(tag))
		stop("tag-characters", type, bytes, tag, &what,
		     "a tag is 1 to 4 characters from 0x20 to 0x7E");
	if ((verifier->parts & VERIFIER_IRQL) && !irql_allows(type))
		stop("irql-alloc", irql_current(), type, bytes, &what,
		     "paged pool was asked for at DISPATCH_LEVEL");
}

/* By the allocation's number, so that a seed refuses the same ones again. */
static bool is_refused(const struct verifier *verifier, uint64_t number, uint32_t tag)
{
	const struct verifier_low *low = &verifier->low;
	uint64_t state = low->seed + number;

	if (!(verifier->parts & VERIFIER_LOW_RESOURCES) || number < low->delay ||
	    (low->tag && low->tag != tag))
		return false;
	return (double)(random_splitmix(&state) >> 11) * 0x1p-53 < low->probability;
}

static void *alloc_somewhere(struct verifier *verifier, uint64_t number, enum pool_type type,
			     size_t bytes, uint32_t tag)
{
	void *block = NULL;

	if (verifier->special && number % verifier->special_every == 0)
		block = special_pool_alloc(verifier->special, type, bytes, tag);
	return block ? block : verifier->below->alloc(verifier->pool, type, bytes, tag);
}

static void *verifier_alloc(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag)
{
	struct verifier *verifier = verifier_of(pool);
	const uint64_t number = atomic_fetch_add_explicit(&verifier->allocations, 1,
							  memory_order_relaxed);
	struct tracked_block tracked = {
		.bytes = bytes,
		.serial = number,
		.tag = tag,
		.type = type,
	};

	check_request(verifier, type, bytes, tag);
	if (is_refused(verifier, number, tag))
		return NULL;
	tracked.block = alloc_somewhere(verifier, number, type, bytes, tag);
	if (tracked.block && verifier->table)
		capture(verifier, __builtin_return_address(0), &tracked.allocated);
	if (tracked.block && verifier->table &&
	    verifier_table_add(verifier->table, &tracked) != 0) {
		/* It could not be told from a foreign one later. */
		if (!verifier_is_special(verifier, tracked.block))
			verifier->below->free(verifier->pool, (void *)(uintptr_t)tracked.block,
					      tag);
		else
			special_pool_free(verifier->special, (void *)(uintptr_t)tracked.block, tag);
		return NULL;
	}
	return (void *)(uintptr_t)tracked.block;
}

/* ---- free ---- */

/* Takes the block out of the table, if it may be freed, with this tag and at this level. */
static void check_free(struct verifier *verifier, const void *block, uint32_t tag,
		       const struct call_stack *by)
{
	const uint64_t at = (uint64_t)(uintptr_t)block;
	struct finding_block what = { block, 0, tag, POOL_NONPAGED, NULL, 0 };
	struct finding_past past[2];
	struct tracked_block tracked;
	const enum tracked_state state = verifier_table_remove(verifier->table, block, by,
							       &tracked);

	if (state == TRACKED_NEVER)
		stop("foreign-free", at, tag, 0, &what, "no alloc returned this address");
	past[0] = past_of("allocated", &tracked.allocated);
	what = (struct finding_block){ block, tracked.bytes, tracked.tag, tracked.type, past, 1 };
	if (state == TRACKED_FREED) {
		past[1] = past_of("freed before", &tracked.freed);
		what.pasts = 2;
		stop("double-free", (uint64_t)(uintptr_t)tracked.freed.frame[0], tracked.tag, at,
		     &what, "freed before, by the caller in argument 2");
	}
	if (tracked.tag != tag)
		stop("wrong-tag", at, tracked.tag, tag, &what,
		     "allocated with the tag in argument 3, freed with that in argument 4");
	if ((verifier->parts & VERIFIER_IRQL) && !irql_allows(tracked.type))
		stop("irql-free", irql_current(), tracked.type, at, &what,
		     "paged pool was freed at DISPATCH_LEVEL");
}

static void verifier_free(struct pool *pool, void *block, uint32_t tag)
{
	struct verifier *verifier = verifier_of(pool);
	struct call_stack by;

	if (!block)
		stop("foreign-free", 0, tag, 0, NULL, "NULL was freed");
	if (verifier->table) {
		capture(verifier, __builtin_return_address(0), &by);
		check_free(verifier, block, tag, &by);
	}
	if (verifier_is_special(verifier, block))
		special_pool_free(verifier->special, block, tag);
	else
		verifier->below->free(verifier->pool, block, tag);
}

/* ---- the other hooks ---- */

bool verifier_is_special(const struct verifier *verifier, const void *block)
{
	return verifier->special && special_pool_contains(verifier->special, block);
}

static size_t verifier_block_bytes(struct pool *pool, const void *block)
{
	struct verifier *verifier = verifier_of(pool);

	if (verifier_is_special(verifier, block))
		return POOL_OS_PAGE;
	return verifier->below->block_bytes(verifier->pool, block);
}

static int verifier_tag_of(struct pool *pool, const void *block, uint32_t *tag)
{
	struct verifier *verifier = verifier_of(pool);
	struct special_block special;

	if (!verifier_is_special(verifier, block))
		return verifier->below->tag_of(verifier->pool, block, tag);
	if (!special_pool_look(verifier->special, block, &special))
		return -ENODATA;
	*tag = special.tag;
	return 0;
}

static int verifier_enter(struct pool *pool, unsigned processor)
{
	return verifier_of(pool)->below->thread_enter(verifier_of(pool)->pool, processor);
}

static void verifier_exit(struct pool *pool)
{
	verifier_of(pool)->below->thread_exit(verifier_of(pool)->pool);
}

static size_t verifier_trim(struct pool *pool)
{
	return verifier_of(pool)->below->trim(verifier_of(pool)->pool);
}

static int verifier_walk(struct pool *pool, pool_visit visit, void *arg)
{
	return verifier_of(pool)->below->walk(verifier_of(pool)->pool, visit, arg);
}

static int verifier_check(struct pool *pool, char *why, size_t why_bytes)
{
	return verifier_of(pool)->below->check(verifier_of(pool)->pool, why, why_bytes);
}

static void verifier_counters(struct pool *pool, pool_counter_visit visit, void *arg)
{
	verifier_of(pool)->below->counters(verifier_of(pool)->pool, visit, arg);
}

static void verifier_destroy_pool(struct pool *pool)
{
	if (pool)
		verifier_of(pool)->below->destroy(verifier_of(pool)->pool);
}

/* Hooks of ours exactly where the backend has its own. */
static void make_ops(struct verifier *verifier)
{
	const struct pool_backend *below = verifier->below;
	struct pool_backend *ops = &verifier->ops;

	*ops = *below;
	ops->create = NULL; /* it is made over a pool, not instead of one */
	ops->destroy = verifier_destroy_pool;
	ops->alloc = verifier_alloc;
	ops->free = verifier_free;
	ops->block_bytes = verifier_block_bytes;
	ops->thread_enter = below->thread_enter ? verifier_enter : NULL;
	ops->thread_exit = below->thread_exit ? verifier_exit : NULL;
	ops->trim = below->trim ? verifier_trim : NULL;
	ops->walk = below->walk ? verifier_walk : NULL;
	ops->check = below->check ? verifier_check : NULL;
	ops->tag_of = below->tag_of ? verifier_tag_of : NULL;
	ops->counters = below->counters ? verifier_counters : NULL;
}

/* ---- life ---- */

int verifier_create(const struct verifier_config *config, struct verifier **out)
{
	struct verifier *verifier = calloc(1, sizeof(*verifier));
	int error = 0;

	if (!verifier)
		return -ENOMEM;
	verifier->below = config->ops;
	verifier->pool = config->pool;
	verifier->parts = config->parts;
	verifier->special_every = config->special_every ? config->special_every : 1;
	verifier->low = config->low;
	make_ops(verifier);
	if (config->parts & (VERIFIER_TRACKING | VERIFIER_IRQL)) {
		verifier->table = verifier_table_create();
		error = verifier->table ? 0 : -ENOMEM;
	}
	if (!error && (config->parts & ANY_SPECIAL))
		error = special_pool_create(config->guard == VERIFIER_GUARD_START,
					    &verifier->special);
	if (error) {
		verifier_destroy(verifier);
		return error;
	}
	*out = verifier;
	return 0;
}

void verifier_destroy(struct verifier *verifier)
{
	if (!verifier)
		return;
	special_pool_destroy(verifier->special);
	verifier_table_destroy(verifier->table);
	free(verifier);
}

const struct pool_backend *verifier_ops(const struct verifier *verifier)
{
	return &verifier->ops;
}

struct pool *verifier_pool(struct verifier *verifier)
{
	return (struct pool *)(void *)verifier;
}

void verifier_set_low(struct verifier *verifier, const struct verifier_low *low)
{
	verifier->low = *low;
}

/* ---- leaks ---- */

size_t verifier_leaks(struct verifier *verifier,
		      void (*visit)(void *arg, const struct finding_leak *leak), void *arg)
{
	return verifier->table ? verifier_table_leaks(verifier->table, visit, arg) : 0;
}

static void tell_leak(void *arg, const struct finding_leak *leak)
{
	struct finding_leak *worst = arg;

	if (!worst->blocks)
		*worst = *leak;
	finding_add_leak(leak);
}

void verifier_expect_nothing_live(struct verifier *verifier)
{
	struct finding_leak worst = { .blocks = 0 };
	struct finding_past past;
	struct finding_block what;

	if (!verifier_leaks(verifier, tell_leak, &worst))
		return;
	past = past_of("allocated", &worst.first);
	what = (struct finding_block){ worst.first_block, worst.bytes, worst.tag,
				       worst.type,        &past,       1 };
	stop("leaked-blocks", worst.blocks, worst.bytes, (uint64_t)(uintptr_t)worst.first.frame[0],
	     &what, "arguments: 0x62, blocks of this tag, bytes, the first one's caller");
}
