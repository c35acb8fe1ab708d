/*
 * Which processor a thread is bound to: --bind compact | scatter | none | CPULIST.
 *
 *   compact   neighbours first: all hardware threads of a core, all cores of a package, then the
 *             next package. What threads share, they share as much as possible.
 *   scatter   far apart first: a package each, then within a package an L3 each, then a core each;
 *             a second hardware thread of any core only when every core has one.
 *   none      not bound: the scheduler decides.
 *   CPULIST   "0,2-5,9": numbers as the kernel has them (lscpu), in the order written: thread 0
 *             gets the first. A number twice is refused.
 *
 * Only processors that the process may use count: online, in its cpuset, and in the affinity mask
 * of the thread that calls placement_create (call it before binding that one).
 *
 * Threads: a placement does not change; any number of threads may use one.
 */
#ifndef POOLBENCH_PLACEMENT_H
#define POOLBENCH_PLACEMENT_H

#include <limits.h>
#include <stddef.h>

#define PLACEMENT_UNBOUND UINT_MAX /* in place of a processor: do not bind */

struct placement;

/* This machine. 0 and *out (owned by the caller), or -errno with a sentence in `why`. */
int placement_create(struct placement **out, char *why, size_t why_bytes);
/*
 * A machine by hwloc's description, "package:2 core:4 pu:2", for tests; `allowed` is a CPULIST of
 * the processors that may be used, NULL for all. Binding to it fails with -ENOSYS.
 */
int placement_create_synthetic(const char *description, const char *allowed, struct placement **out,
			       char *why, size_t why_bytes);
void placement_destroy(struct placement *placement); /* NULL is fine */

/* Number of processors that may be used, >= 1. */
unsigned placement_usable(const struct placement *placement);

/*
 * Fills processors[0 .. threads-1] with the kernel's numbers for threads 0 .. threads-1 according
 * to `bind` (PLACEMENT_UNBOUND for none). With more threads than processors the order starts again
 * from its beginning. -EINVAL (not a policy and not a list), -ENXIO (no such processor), -EACCES
 * (it exists, but this process may not use it), -EEXIST (twice in the list), -ENOMEM; each with a
 * sentence in `why`.
 */
int placement_order(const struct placement *placement, const char *bind, unsigned threads,
		    unsigned *processors, char *why, size_t why_bytes);

/*
 * Binds the calling thread; PLACEMENT_UNBOUND leaves it as it is. 0 or -errno with a sentence in
 * `why`.
 */
int placement_bind(const struct placement *placement, unsigned processor, char *why,
		   size_t why_bytes);

/* NUMA nodes of the machine, >= 1. */
unsigned placement_nodes(const struct placement *placement);
/* NUMA node, by hwloc's logical index as page sources want it, nearest to a processor; -1: no such processor. */
int placement_node(const struct placement *placement, unsigned processor);

/* Writes hwloc's XML of the machine; lstopo -i shows it. 0 or -errno with a sentence in `why`. */
int placement_export(const struct placement *placement, const char *path, char *why,
		     size_t why_bytes);

#endif
