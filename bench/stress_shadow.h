/*
 * The shadow: which bytes of the address space are live blocks, exactly, while many threads allocate and free.
 *
 *     page's entry:  | whole | count |        granules: | owner | owner | ... 256 of 16 bytes
 *
 * Blocks are aligned to 16 bytes (or a finding already), so two that share no byte share no granule. Each granule
 * has the number of its owner: 0 none. A page that one block covers wholly has its owner in `whole` and
 * leaves the granules alone, so that a block of megabytes costs a word a page.
 *
 * Concurrency. Claims are atomic exchanges from 0, so that of two threads that were given the same bytes
 * at least one sees the other. Between `whole` and the granules: who claims granules raises `count` and then reads
 * `whole`; who claims the page sets `whole` and then reads `count`; both sequentially consistent, so that not
 * both can miss the other (Dekker's argument). A range is added after alloc returned it and removed before
 * free is called: a backend that keeps its promises never makes a claim fail.
 *
 * Memory: tables are mapped when an address is first met, 1 KiB for a page of small blocks, 8 bytes for others.
 */
#ifndef POOLBENCH_STRESS_SHADOW_H
#define POOLBENCH_STRESS_SHADOW_H

#include <stddef.h>
#include <stdint.h>

struct shadow;

/* NULL: no address space for the tables. */
struct shadow *shadow_create(void);
void shadow_destroy(struct shadow *shadow); /* NULL is fine */

/*
 * Marks [block, block + bytes) as `owner`'s, which is not 0. 0, or the owner of a range that it overlaps; what was
 * marked until then stays (the caller reports and ends). UINT32_MAX: no memory for the tables. Any thread.
 */
uint32_t shadow_add(struct shadow *shadow, const void *block, size_t bytes, uint32_t owner);

/* Takes the marks away; the range is one that was added. Any thread. */
void shadow_remove(struct shadow *shadow, const void *block, size_t bytes);

/* Whose the address is; 0: nobody's. Any thread, signal handlers too. */
uint32_t shadow_owner(struct shadow *shadow, const void *address);

#endif
