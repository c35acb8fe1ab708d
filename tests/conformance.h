/*
 * The conformance suite: what every backend of the registry must do to be comparable.
 *
 * Each check runs in a process of its own, on a fresh pool over fresh page sources, so that a backend that
 * crashes or hangs fails one check and says which. Every block is taken and given back through
 * block_take() and block_give(), which hold it to the rules that always apply: alignment, page
 * rules, its page source, block_bytes, tag, contents. suite_close() holds the backend to giving everything back.
 */
#ifndef POOLBENCH_TESTS_CONFORMANCE_H
#define POOLBENCH_TESTS_CONFORMANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocators/pages.h"
#include "allocators/pool.h"
#include "allocators/registry.h"
#include "workloads/random.h"

/* Sanitizers make everything slower by an order of magnitude: fewer repetitions there, the same checks. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

struct suite {
	const struct backend *backend;
	const struct pool_backend *ops;
	size_t page_size; /* pool page */
	unsigned processors;
	bool full; /* all repetitions, else a share that keeps the fast tests fast */
	struct page_source *pages[POOL_TYPES];
	struct pool *pool;
	size_t base_bytes[POOL_TYPES]; /* committed right after create */
};

struct block {
	char *at; /* NULL: none */
	size_t bytes;
	uint64_t seed; /* of the contents */
	uint32_t tag;
	enum pool_type type;
};

/* Ends the check: the rule (a word that tests of the suite look for) and what was seen. Any thread. */
_Noreturn void violated(const char *rule, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static inline bool suite_has(const struct suite *suite, uint32_t caps)
{
	return (suite->ops->caps & caps) == caps;
}

/* `count` of repetitions, cut where the run must be quick. */
size_t suite_scale(const struct suite *suite, size_t count);

/* Sources and a pool. suite_enter() and suite_exit() make the calling thread a processor, and no longer. */
void suite_open_sources(struct suite *suite);
void suite_open(struct suite *suite);
int suite_create_pool(struct suite *suite); /* over open sources; 0 or what create returned */
void suite_enter(struct suite *suite, unsigned processor);
void suite_exit(struct suite *suite);

/* Destroys the pool; nothing may be left reserved or committed. */
void suite_close(struct suite *suite);
void suite_close_sources(struct suite *suite, const char *rule);

size_t suite_committed(struct suite *suite, enum pool_type type);
size_t suite_committed_total(struct suite *suite);

/* The backend's own invariants, where it has the hook. Only at a quiet point. */
void suite_check(struct suite *suite, const char *when);

/*
 * That walk's ranges tile what is committed and that its used ranges are the live ones of `blocks`, where the
 * backend has the hook. Only at a quiet point.
 */
void suite_walk(struct suite *suite, const struct block *blocks, size_t count);

/* A filled block that obeys every rule; false (and *block none) where alloc said NULL. */
bool block_try(struct suite *suite, struct block *block, enum pool_type type, size_t bytes,
	       uint64_t seed);

/* The same where NULL is a violation. */
void block_take(struct suite *suite, struct block *block, enum pool_type type, size_t bytes,
		uint64_t seed);

/* Verifies the contents and frees. A block that is none is left alone. */
void block_give(struct suite *suite, struct block *block);
void block_verify(const struct suite *suite, const struct block *block);

/* That no two of the blocks share a byte. */
void blocks_do_not_overlap(const struct suite *suite, const struct block *blocks, size_t count);

/* A size as callers ask for: mostly small, sometimes pages, now and then many. */
size_t random_bytes(struct random *random);

/* A tag out of four printable characters. */
uint32_t tag_from(uint64_t seed);

struct check {
	const char *name;
	void (*run)(struct suite *suite);
	uint32_t needs, forbids; /* capabilities */
	bool once; /* in one environment is enough */
};

/* Each ended by a NULL name. */
extern const struct check block_checks[], memory_checks[], walk_checks[], thread_checks[];

#endif
