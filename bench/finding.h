/*
 * A finding: one broken promise, as the process that saw it left it for its parent.
 *
 * The first to see something tells it and the process ends; what other threads see later may only follow from
 * it. The structure lies in memory shared with the parent, so that it outlives a crash.
 */
#ifndef POOLBENCH_FINDING_H
#define POOLBENCH_FINDING_H

#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

#include "allocators/pool.h"

#define FINDING_FRAMES      24
#define FINDING_PAST_FRAMES 8
#define FINDING_LEAKS       12

/* Who called, as far as it was kept. */
struct call_stack {
	void *frame[FINDING_PAST_FRAMES]; /* innermost first */
	uint32_t frames;
};

/* What is known of a block from before it was found: who allocated it, who freed it, where the other one is from. */
struct finding_past {
	char what[20]; /* "allocated", "freed before" */
	char where[76]; /* in words, or "" */
	struct call_stack stack;
};

struct finding_leak {
	uint32_t tag;
	uint64_t blocks, bytes;
	uint64_t first_serial; /* of the oldest of them, as allocations are counted */
	const void *first_block;
	enum pool_type type; /* of the first one */
	struct call_stack first; /* who allocated the oldest of them */
};

struct finding {
	atomic_int taken;
	char rule[24]; /* a word of bugcheck_rules; "" while there is none */
	uint32_t code;
	uint64_t arguments[4];
	char text[384]; /* what was seen */
	/* The block it is about, where it is about one. */
	uint64_t address, bytes;
	uint32_t tag;
	int32_t type; /* enum pool_type, or -1 */
	struct finding_past past[2];
	uint32_t pasts;
	struct finding_leak leaks[FINDING_LEAKS]; /* most bytes first */
	uint32_t leak_tags; /* all of them: those beyond the array are not told */
	/* Who saw it. */
	int32_t processor; /* -1: between stages */
	int32_t irql;
	char stage[48]; /* "lap 3", "drained" */
	uint32_t frames;
	void *frame
		[FINDING_FRAMES]; /* innermost first; valid in the parent too, which was forked from */
	atomic_ullong operations; /* verified so far: progress, by which a hang is told */
	/* Systematic failure: which commit of which source is failing now; how many runs have had one. */
	atomic_ullong fail_nth, failures;
	atomic_int fail_type;
};

struct finding_block {
	const void *address;
	size_t bytes;
	uint32_t tag;
	enum pool_type type;
	const struct finding_past *past; /* what is known of it, or NULL; at most 2 */
	unsigned pasts;
};

/* Memory for a finding that children share; NULL: out of memory. */
struct finding *finding_create(void);
void finding_destroy(struct finding *finding); /* NULL is fine */

/* Empties it for another child. No child may be running. */
void finding_reset(struct finding *finding);

/* From here on this process reports into `finding`; crashes too (SIGSEGV, SIGBUS, SIGABRT, ...). */
void finding_install(struct finding *finding);

/*
 * Asks `explain` about every fault (SIGSEGV, SIGBUS) before it counts as a crash: it reports what is its own and
 * returns from what is not. `context` is a ucontext_t. Four at most; each once.
 */
void finding_on_fault(void (*explain)(const siginfo_t *info, const void *context));

/* Who the calling thread is, for what it may find: its processor and the stage, which is kept by address. */
void finding_thread(int processor, const char *stage);

/*
 * Reports and ends the process with status 1. `block` may be NULL. Any thread; async-signal-safe enough for a
 * fault's handler (the process ends in it).
 */
_Noreturn void finding_report(const char *rule, const struct finding_block *block,
			      const char *format, ...) __attribute__((format(printf, 3, 4)));

_Noreturn void finding_vreport(const char *rule, const struct finding_block *block,
			       const char *format, va_list arguments);

/* Adds a line to the finding that this thread is about to report. */
void finding_add_leak(const struct finding_leak *leak);

/* As above for a stop with arguments of its own; the rule follows from them, or is "stop". */
_Noreturn void finding_stop(void *unused, const struct pool_stop *stop);

/* The same, with the block that it is about. */
_Noreturn void finding_stop_block(const char *rule, const struct pool_stop *stop,
				  const struct finding_block *block);

/* What is to be said about the run that it came from. */
struct finding_context {
	const char *backend, *scenario;
	uint64_t seed;
	const char *repeat; /* the command that repeats it */
	const char *trace; /* file of the reproducing trace, or NULL */
	uint64_t trace_events, trace_events_before; /* after and before shrinking */
	uint64_t rounds; /* until it was found; 0: not told */
	double found_seconds;
	const char *note; /* or NULL */
};

/* A stop screen of some ten lines. */
void finding_print(FILE *stream, const struct finding *finding,
		   const struct finding_context *context);

/* A new JSON object, or NULL when memory ran out. */
json_t *finding_json(const struct finding *finding, const struct finding_context *context);

#endif
