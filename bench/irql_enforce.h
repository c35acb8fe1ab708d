/*
 * IRQL enforced by the processor: while a thread is at DISPATCH_LEVEL it cannot touch paged pool, be it read or
 * write, by the workload or by the allocator itself. The touch faults and is reported as
 * IRQL_NOT_LESS_OR_EQUAL with address, IRQL, read or write, and instruction.
 *
 * With protection keys (pkeys(7); x86 servers since 2017) the paged source carries a key, and WRPKRU takes the right
 * away from the calling thread alone, in some 15 ns. Elsewhere the whole source is made inaccessible by mprotect: a
 * system call a change, and for the whole process, so that only one thread may then use the pool.
 */
#ifndef POOLBENCH_IRQL_ENFORCE_H
#define POOLBENCH_IRQL_ENFORCE_H

#include <stdbool.h>
#include <stddef.h>

#include "allocators/pages.h"
#include "bench/finding.h"
#include "bench/irql.h"

enum irql_means { IRQL_BY_NOTHING, IRQL_BY_KEYS, IRQL_BY_PROTECTION };

/* The best that this machine has, without starting anything. */
enum irql_means irql_enforce_means(void);

/* "protection keys", "page protection (slower, one thread)", "nothing". Static. */
const char *irql_means_name(enum irql_means means);

/* Fills *block with the live block that holds the address; false: there is none. Called in a signal handler. */
typedef bool (*irql_find_block)(void *arg, const void *address, struct finding_block *block);

/*
 * Starts it for one source in this process, which has a finding installed (finding.h). `find` may be NULL. 0, or
 * -errno when the kernel refuses, or -EBUSY when it is on already. `means` as irql_enforce_means says.
 */
int irql_enforce_start(struct page_source *paged, enum irql_means means, irql_find_block find,
		       void *arg);

/* Gives access back and forgets the source. All threads are at PASSIVE_LEVEL. */
void irql_enforce_stop(void);

/* The calling thread is about to run at this level: call after irql_raise and before irql_lower. */
void irql_enforce_level(enum irql level);

#endif
