/*
 * The shadow: which bytes of the address space are live blocks, exactly, while many threads allocate and free.
 *
 *     a bit for 16 bytes, a word for 1 KiB:    .... 1111 1110 0000 0000 1111 ....
 *                                                   block               block
 *
 * Blocks are aligned to 16 bytes (or a finding already), so two that share no byte share no bit.
 *
 * Concurrency. A claim is an atomic OR of a word, which tells what was set before: of two threads that were given
 * the same bytes the later one sees the other's bits, whatever the order of their words. A range is added after
 * alloc returned it and removed before free is called: a backend that keeps its promises never makes a claim fail.
 * A block of 600 bytes is one or two words, so that looking costs less than filling it. Whose a bit is, is not kept:
 * who has to know looks through the live blocks, once, for the process is about to end.
 *
 * Memory: tables are mapped when an address is first met, 8 MiB of addresses for each GiB, of which only the pages
 * that are used take room: 32 bytes a page of blocks.
 */
#ifndef POOLBENCH_STRESS_SHADOW_H
#define POOLBENCH_STRESS_SHADOW_H

#include <stdbool.h>
#include <stddef.h>

struct shadow;

/* NULL: no address space for the tables. */
struct shadow *shadow_create(void);
void shadow_destroy(struct shadow *shadow); /* NULL is fine */

/*
 * Marks [block, block + bytes). 0; -EEXIST: some of it was marked already, and all of it is now (the caller reports
 * and ends); -ENOMEM: no memory for the tables. Any thread.
 */
int shadow_add(struct shadow *shadow, const void *block, size_t bytes);

/* Takes the marks away; the range is one that was added. Any thread. */
void shadow_remove(struct shadow *shadow, const void *block, size_t bytes);

/* Whether the address is marked. Any thread, signal handlers too. */
bool shadow_has(struct shadow *shadow, const void *address);

#endif
