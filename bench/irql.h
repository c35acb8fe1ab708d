/*
 * The calling thread's IRQL, as TRACE_RAISE and TRACE_LOWER set it: a number that a thread carries,
 * with the rules of the interface that is modelled. KeRaiseIrql never lowers and KeLowerIrql never
 * raises; staying where one is is allowed in both. Nothing is masked by it: it says what a thread
 * may touch and allocate.
 *
 * Threads: every thread has a level of its own, PASSIVE_LEVEL at first.
 */
#ifndef POOLBENCH_IRQL_H
#define POOLBENCH_IRQL_H

#include <errno.h>
#include <stdbool.h>

#include "allocators/pool.h"
#include "workloads/trace.h"

/* Read it by irql_current; written here alone. */
extern _Thread_local enum irql irql_of_thread;

static inline enum irql irql_current(void)
{
	return irql_of_thread;
}

/* 0; -EINVAL: not a level; -EPERM: below the current level, which stays. */
static inline int irql_raise(enum irql to)
{
	if ((unsigned)to > DISPATCH_LEVEL)
		return -EINVAL;
	if (to < irql_of_thread)
		return -EPERM;
	irql_of_thread = to;
	return 0;
}

/* 0; -EINVAL: not a level; -EPERM: above the current level, which stays. */
static inline int irql_lower(enum irql to)
{
	if ((unsigned)to > DISPATCH_LEVEL)
		return -EINVAL;
	if (to > irql_of_thread)
		return -EPERM;
	irql_of_thread = to;
	return 0;
}

/*
 * Whether memory of this type may be allocated, freed and touched now: nonpaged at any level
 * modelled here, paged below DISPATCH_LEVEL, where a page fault can still be served.
 */
static inline bool irql_allows(enum pool_type type)
{
	return type == POOL_NONPAGED || irql_of_thread < DISPATCH_LEVEL;
}

/* "PASSIVE_LEVEL", "APC_LEVEL", "DISPATCH_LEVEL"; "?" for anything else. Static. */
const char *irql_name(enum irql level);

#endif
