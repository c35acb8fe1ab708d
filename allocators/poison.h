/*
 * Poison: what an address sanitizer's build is told of pool memory, which it cannot know by itself.
 *
 * The sanitizer follows malloc and the stack; memory from a page source is one mapping to it, good to touch
 * everywhere. So whoever knows better says so: the page source poisons what is reserved without memory or was given
 * back, and the stress harness poisons every block that an owner holds, opening it only while it is the owner that
 * reads or writes. A backend that touches what it has not committed, has decommitted, or has handed out, is then
 * stopped at that instruction. In other builds nothing of this exists.
 *
 * Ranges start at multiples of 16. Thread-safe for ranges that share no 8 bytes.
 */
#ifndef POOLBENCH_POISON_H
#define POOLBENCH_POISON_H

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define POISONING 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISONING 1
#endif
#endif

#ifndef POISONING
#define POISONING 0
#endif

#if POISONING
#include <sanitizer/asan_interface.h>

/* From here on a touch of the range ends the process with a report. */
static inline void poison_close(const void *start, size_t bytes)
{
	__asan_poison_memory_region(start, bytes);
}

/* The range may be touched again. */
static inline void poison_open(const void *start, size_t bytes)
{
	__asan_unpoison_memory_region(start, bytes);
}
#else
static inline void poison_close(const void *start, size_t bytes)
{
	(void)start;
	(void)bytes;
}

static inline void poison_open(const void *start, size_t bytes)
{
	(void)start;
	(void)bytes;
}
#endif

#endif
