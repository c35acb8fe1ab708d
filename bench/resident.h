/*
 * How much memory a process really has, by the kernel's word.
 *
 * Why not /proc/self/statm: its numbers are counters that every thread or processor updates in
 * batches (64 events a thread before Linux 6.2, per-processor counters after), so they lag behind
 * by up to hundreds of KiB. /proc/PID/smaps_rollup walks the page tables instead: exact, and dearer
 * (0.1 to 0.3 ms for each 10 MiB of small pages), which is for the memory pass, never inside a
 * timed region.
 *
 * What is summed: Anonymous (heap, stacks, private mappings; transparent huge pages are in it),
 * hugetlb pages (which no Rss contains) and shmem. File pages are left out: code and libraries
 * differ between backends without being pool memory. The pages of a paging file are file pages too;
 * they are in file_bytes, with those of the libraries; the page source knows its own exactly.
 *
 * Freed lazily (MADV_FREE) means resident until the kernel wants it back: it is counted, and said
 * apart.
 */
#ifndef POOLBENCH_RESIDENT_H
#define POOLBENCH_RESIDENT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * shmem and file pages are this process's share (a page that two processes map counts half), and 0
 * with kernels that have no Pss_Shmem and Pss_File lines.
 */
struct resident_sample {
	uint64_t resident_bytes; /* anonymous + hugetlb + shmem */
	uint64_t anonymous_bytes; /* includes lazy_free_bytes */
	uint64_t hugetlb_bytes; /* private and shared */
	uint64_t shmem_bytes;
	uint64_t file_bytes;
	uint64_t lazy_free_bytes; /* given up by MADV_FREE, not yet taken */
	uint64_t swap_bytes;
};

/*
 * An open smaps_rollup, read again and again. Belongs to the process that opened it; not to its
 * children.
 */
struct resident_reader {
	int fd;
};

/* 0; -ENOENT: no smaps_rollup (before Linux 4.14, or no /proc); -errno. */
int resident_open(struct resident_reader *reader);
void resident_close(struct resident_reader *reader);
/*
 * The calling process now. 0, or -errno; -EILSEQ: not in the format known. No allocation.
 * Thread-safe.
 */
int resident_read(const struct resident_reader *reader, struct resident_sample *sample);
/* The arithmetic of resident_read, for itself. 0 or -EILSEQ. */
int resident_parse(const char *text, struct resident_sample *sample);

/*
 * Another process from outside, cheaply, for a memory limit that a parent watches: resident bytes
 * of /proc/PID/statm. They include file pages and lag as said above: good enough for a limit, not
 * for a figure.
 */
struct resident_watch {
	int fd;
	uint64_t page_bytes;
};

/* 0; -ESRCH: no such process; -errno. */
int resident_watch_open(struct resident_watch *watch, pid_t pid);
void resident_watch_close(struct resident_watch *watch);
/*
 * 0; -ESRCH: the process has ended. hugetlb pages are not in it: the kernel does not count them
 * here.
 */
int resident_watch_read(const struct resident_watch *watch, uint64_t *bytes);

#endif
