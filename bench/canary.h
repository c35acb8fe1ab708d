/*
 * The canary: two pieces of work that are always the same, timed beside every measurement. When
 * they take longer than in other processes of a run, the machine was disturbed, whatever its steal
 * time says.
 *
 *   arithmetic   a chain of 200,000 dependent multiplications and additions: shows a lower clock and
 *                preemption; not a busy sibling thread, beside which a chain is as fast as alone
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
 * Whether this core is shared now: the time of a fixed number of independent additions, as many at once as a core can
 * start, over that of a fixed chain of dependent steps. Two hardware threads of a core share the places in which
 * instructions start. A chain that waits for its own multiplications leaves nearly all of them free, and takes the
 * same time beside a busy sibling; the additions then take 5 to 60 % longer, as an allocator's code does. The clock's
 * speed cancels out. What the ratio is on a core of one's own is the machine's; a session learns it (bench/quiet.h).
 *
 * The mean of the fastest nine tenths of 300 runs of 4 us, so that a neighbour's short pauses do not look like quiet and a
 * preemption does not look like a neighbour; some 1.3 ms. On the calling thread; needs no canary.
 */
double canary_sharing(void);

/*
 * Does both once, on the calling thread. 0; -EILSEQ: a result is wrong, and the times mean nothing.
 */
int canary_run(struct canary *canary, struct canary_times *times);

#endif
