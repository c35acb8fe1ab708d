/*
 * The backend contract: what a pool allocator must provide to be compared.
 *
 * This header and <poolbench/pages.h> are all that a plugin needs. A plugin is a shared object that
 * exports `const struct pool_backend pool_backend`; it links with nothing of poolbench: what it calls
 * it reaches through the tables it is handed.
 *
 * Life of a pool:  create -> { thread_enter -> alloc/free ... -> thread_exit } -> destroy.
 *
 * Threads. alloc, free, block_bytes and tag_of may be called by any number of threads at once, each of
 * which has called thread_enter with an index of its own and not yet thread_exit. create, destroy, trim,
 * walk, check and counters are called while no other call into the same pool is under way.
 */
#ifndef POOLBENCH_POOL_H
#define POOLBENCH_POOL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised whenever a structure in this header or in pages.h changes its meaning or layout. */
#define POOL_ABI 1u

/* Every block is aligned to this, whatever its size. */
#define POOL_ALIGNMENT 16u

/* The operating system's page, to which POOL_CAP_PAGE_RULES refers (not the pool page). */
#define POOL_OS_PAGE 4096u

struct page_source;
struct pool;
struct option_def;

enum pool_type {
	POOL_NONPAGED, /* always resident: may be touched at any IRQL */
	POOL_PAGED,    /* may be written to the paging file: only below DISPATCH_LEVEL */
	POOL_TYPES
};

/* A tag is four characters, the first in the lowest byte, as in Windows: POOL_TAG('I', 'r', 'p', ' '). */
#define POOL_TAG(a, b, c, d) \
	((uint32_t)(uint8_t)(a) | (uint32_t)(uint8_t)(b) << 8 | (uint32_t)(uint8_t)(c) << 16 | \
	 (uint32_t)(uint8_t)(d) << 24)

/*
 * What a backend promises. A bit that names a hook is set exactly when the hook is there; the registry
 * refuses a backend where they disagree.
 */
enum pool_cap {
	POOL_CAP_NATIVE = 1 << 0,      /* takes every byte from its page sources, control data too */
	POOL_CAP_PAGE_RULES = 1 << 1,  /* >= OS page: page-aligned; smaller: never crosses an OS page */
	POOL_CAP_RESIDENT = 1 << 2,    /* nonpaged blocks lie in the nonpaged page source */
	POOL_CAP_GLOBAL_LOCK = 1 << 3, /* one lock a pool type by design: does not scale, and says so */
	POOL_CAP_TAGS = 1 << 4,        /* hook tag_of */
	POOL_CAP_TRIM = 1 << 5,        /* hook trim */
	POOL_CAP_WALK = 1 << 6,        /* hook walk */
	POOL_CAP_CHECK = 1 << 7,       /* hook check */
	POOL_CAP_COUNTERS = 1 << 8,    /* hook counters */
	POOL_CAP_FLOOR = 1 << 9        /* keeps no promise about contents: blocks may overlap (null only) */
};

/*
 * Corruption that a backend notices by itself, in the terms of a Windows stop screen: for instance
 * code 0x19 (BAD_POOL_HEADER), arguments[0] = 5 (neighbours disagree).
 */
struct pool_stop {
	uint32_t code;
	uint64_t arguments[4];
	const char *text; /* one line a person can act on; valid during the call only */
};

/* Owned by the caller; valid during create() only, except what the members point to where it is said. */
struct pool_config {
	size_t page_size;      /* pool page in bytes: a power of two, POOL_OS_PAGE .. 2 MiB */
	unsigned processors;   /* indices 0 .. processors-1 will enter; >= 1 */
	struct page_source *pages[POOL_TYPES]; /* outlive the pool; never NULL */
	const char *options;   /* the text after the backend's name, "key=value,...", or NULL */
	const void *values;    /* options parsed by the backend's table into options_bytes; NULL if no table */
	uint64_t seed;         /* for a backend that randomises; the same seed gives the same choices */
	/* Reports corruption; does not return. May be kept and called from any thread. Never NULL. */
	void (*stop)(void *stop_arg, const struct pool_stop *stop);
	void *stop_arg;        /* stays valid while the pool lives */
};

/*
 * What a stretch of pool memory holds. The ranges that walk reports tile what is committed: every
 * committed byte lies in exactly one of them, so that the causes of waste add up.
 */
enum pool_range_kind {
	POOL_RANGE_USED,       /* a block that the caller holds, from its header to its rounded end */
	POOL_RANGE_CACHED,     /* free, but kept for quick reuse: lookaside list, magazine, per-processor list */
	POOL_RANGE_FREE,       /* free inside a pool page that also holds something else */
	POOL_RANGE_FREE_PAGES, /* whole pool pages, free, not given back to the page source */
	POOL_RANGE_METADATA,   /* the allocator's own: slab headers, bitmaps, page tables, struct pool */
	POOL_RANGE_KINDS
};

struct pool_range {
	const void *start;
	size_t bytes;
	enum pool_range_kind kind;
	enum pool_type type;    /* the page source it lies in */
	uint32_t tag;           /* POOL_RANGE_USED with POOL_CAP_TAGS; else 0 */
	uint32_t header_bytes;  /* POOL_RANGE_USED: the part in front of (or behind) the caller's bytes */
	const void *block;      /* POOL_RANGE_USED: what alloc returned; else NULL */
};

/* Returns 0 to go on; anything else ends the walk, which returns it. Must not call into the pool. */
typedef int (*pool_visit)(void *arg, const struct pool_range *range);

/*
 * One of a backend's own counters: events since create(). `name` is lower_case, `help` one line; both static.
 * A name that ends in _max is the most there ever was of something, no sum. One that begins with POOL_COUNTER_LEVEL is
 * a level: bytes by the backend's own account, which may fall.
 *
 * What designs have in common has a common name, so that they can be compared line by line:
 *     fast_allocs, fast_frees   served by what the processor (or the innermost layer) has at hand
 *     refills                   times it had nothing and went to the layer below
 *     splits, merges            blocks cut in two, neighbours made one
 *     lock_acquisitions, lock_contentions   of any lock; those that had to wait
 * A native backend does not count pages: whoever owns the page sources adds pages_taken and pages_returned.
 */
#define POOL_COUNTER_LEVEL "stats_"
typedef void (*pool_counter_visit)(void *arg, const char *name, const char *help, uint64_t value);

struct pool_backend {
	uint32_t abi;        /* POOL_ABI; first, so that a mismatch can be told whatever follows */
	uint32_t caps;       /* enum pool_cap */
	const char *name;    /* lower-case-with-dashes, as on the command line */
	const char *summary; /* one line for `poolbench list` */
	const struct option_def *options; /* typed options (options.h), ended by a NULL name; or NULL */
	size_t options_bytes;         /* size of the structure that `options` fills */

	/* 0 and *out set, or -errno and *out untouched (-EINVAL: an option's value; -ENOMEM: no commit). */
	int (*create)(const struct pool_config *config, struct pool **out);
	/* Gives everything back to the page sources, blocks that are still live included. NULL is fine. */
	void (*destroy)(struct pool *pool);
	/*
	 * `bytes` >= 1. The block is aligned to POOL_ALIGNMENT and not initialised. NULL when the page source
	 * refuses: that is data, not an error, and the pool works on.
	 */
	void *(*alloc)(struct pool *pool, enum pool_type type, size_t bytes, uint32_t tag);
	/* `block` came from alloc and was not freed since; the tag is that of its allocation. Any thread. */
	void (*free)(struct pool *pool, void *block, uint32_t tag);
	/* What a live block really takes, header and rounding included. Source of block_bytes metrics. */
	size_t (*block_bytes)(struct pool *pool, const void *block);

	/* Optional from here on. */
	/* The calling thread stands for `processor` until thread_exit. 0 or -errno. */
	int (*thread_enter)(struct pool *pool, unsigned processor);
	/* The calling thread leaves its processor; what it cached may stay with the processor. */
	void (*thread_exit)(struct pool *pool);
	/* Flushes caches and gives free pages back as the design can; bytes given back. */
	size_t (*trim)(struct pool *pool);
	/* Visits every committed range of both page sources once, in any order. 0, or what visit returned. */
	int (*walk)(struct pool *pool, pool_visit visit, void *arg);
	/* Own invariants: 0, or -EUCLEAN after a call of stop-like detail through `why` (may be NULL). */
	int (*check)(struct pool *pool, char *why, size_t why_bytes);
	/* The tag of a live block in *tag: 0, or -ENODATA where this block (a big one, say) keeps none. */
	int (*tag_of)(struct pool *pool, const void *block, uint32_t *tag);
	void (*counters)(struct pool *pool, pool_counter_visit visit, void *arg);
};

#ifdef __cplusplus
}
#endif
#endif
