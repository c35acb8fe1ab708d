/*
 * The canary: two pieces of work that are always the same, timed beside every measurement. When
 * they take longer than in other processes of a run, the machine was disturbed, whatever its steal
 * time says.
 *
 *   arithmetic   a chain of 200,000 dependent multiplications and additions: shows a lower clock, a
 *                busy sibling thread, preemption
 *   memory       4096 dependent loads along one random cycle through the cache lines of 4 MiB, each
 *                run going on where the last one stopped, so that a line comes again only after all
 *                others: shows neighbours in the shared cache and on the memory bus
 *
 * Each takes some 0.1 to 0.5 ms. Both give a result that is known beforehand, and is checked: a compiler
 * that removed the work would be found out.
 *
 * Threads: one canary, one thread at a time.
 */
#ifndef POOLBENCH_CANARY_H
#define POOLBENCH_CANARY_H

#include <stddef.h>

struct canary;

struct canary_times {
	double arithmetic_ns, memory_ns;
};

/* Maps the walk's 4 MiB and lays the cycle (some ms). 0 and *out, or -ENOMEM. */
int canary_create(struct canary **out);
void canary_destroy(struct canary *canary); /* NULL is fine */
/* Bytes that canary_create maps, for the harness's account of its own memory. */
size_t canary_bytes(void);

/*
 * Does both once, on the calling thread. 0; -EILSEQ: a result is wrong, and the times mean nothing.
 */
int canary_run(struct canary *canary, struct canary_times *times);

#endif
