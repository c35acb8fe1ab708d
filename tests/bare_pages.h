/*
 * Pages that a test maps and touches behind a sanitizer's back: its interceptors and its shadow
 * memory would add faults and resident pages of their own to what the test counts.
 */
#ifndef POOLBENCH_BARE_PAGES_H
#define POOLBENCH_BARE_PAGES_H

#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BARE_PAGE 4096u

/* What a thread sanitizer's shadow may still grow by between two samples; nothing without one. */
#if defined(__has_feature)
#define BARE_THREAD_SANITIZER __has_feature(thread_sanitizer)
#elif defined(__SANITIZE_THREAD__)
#define BARE_THREAD_SANITIZER 1
#else
#define BARE_THREAD_SANITIZER 0
#endif
#define BARE_SLACK (BARE_THREAD_SANITIZER ? 64 * BARE_PAGE : 0)

/* MAP_FAILED, or readable and writable small pages, untouched. */
static inline char *bare_map(size_t bytes, int flags, int fd)
{
	char *pages = (char *)syscall(SYS_mmap, NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (pages != MAP_FAILED)
		madvise(pages, bytes, MADV_NOHUGEPAGE);
	return pages;
}

static inline void bare_unmap(char *pages, size_t bytes)
{
	syscall(SYS_munmap, pages, bytes);
}

/* Writes a byte of each page. */
__attribute__((no_sanitize("thread"), no_sanitize("address"))) static inline void
bare_touch(char *pages, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += BARE_PAGE)
		((volatile char *)pages)[i] = 1;
}

#endif
