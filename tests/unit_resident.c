/* Resident memory: what is mapped and touched appears to the byte, what is not does not. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "bare_pages.h"
#include "bench/resident.h"

#define BYTES (4000u * BARE_PAGE)

static struct resident_reader reader;

static int open_reader(void **state)
{
	(void)state;
	return resident_open(&reader);
}

static int close_reader(void **state)
{
	(void)state;
	resident_close(&reader);
	return 0;
}

static struct resident_sample sample_now(void)
{
	struct resident_sample sample;

	assert_int_equal(resident_read(&reader, &sample), 0);
	return sample;
}

/* To the byte, but for a thread sanitizer's own memory. */
static void assert_growth(uint64_t before, uint64_t after, uint64_t bytes)
{
	assert_in_range(after - before, bytes, bytes + BARE_SLACK);
}

static char *map(int flags, int fd)
{
	char *pages = bare_map(BYTES, flags, fd);

	assert_true(pages != MAP_FAILED);
	return pages;
}

static void warm_up(void)
{
	/* Stack and library pages of the first calls would count as growth. */
	sample_now();
	bare_unmap(map(MAP_PRIVATE | MAP_ANONYMOUS, -1), BYTES);
	sample_now();
}

static void anonymous_memory_is_exact(void **state)
{
	struct resident_sample before, mapped, touched, dropped;
	char *pages;

	(void)state;
	warm_up();
	before = sample_now();
	pages = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	mapped = sample_now();
	bare_touch(pages, BYTES);
	touched = sample_now();
	assert_int_equal(madvise(pages, BYTES, MADV_DONTNEED), 0);
	dropped = sample_now();
	bare_unmap(pages, BYTES);
	/* Page tables are not resident memory of the process; reservation is none either. */
	assert_growth(before.anonymous_bytes, mapped.anonymous_bytes, 0);
	assert_growth(mapped.anonymous_bytes, touched.anonymous_bytes, BYTES);
	assert_growth(mapped.resident_bytes, touched.resident_bytes, BYTES);
	assert_growth(mapped.resident_bytes, dropped.resident_bytes, 0);
}

static void lazily_freed_memory_is_counted_and_said(void **state)
{
	struct resident_sample before, freed;
	char *pages = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);

	(void)state;
	bare_touch(pages, BYTES);
	before = sample_now();
	if (madvise(pages, BYTES, MADV_FREE)) {
		bare_unmap(pages, BYTES);
		skip();
	}
	freed = sample_now();
	/* The kernel may take some back at once, and moves pages to the lazy list in batches. */
	assert_true(freed.lazy_free_bytes > before.lazy_free_bytes);
	assert_true(freed.lazy_free_bytes <= freed.anonymous_bytes);
	bare_unmap(pages, BYTES);
}

static void shared_memory_is_counted(void **state)
{
	struct resident_sample before, after;
	int fd = memfd_create("resident", MFD_CLOEXEC);
	char *pages;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, BYTES), 0);
	before = sample_now();
	pages = map(MAP_SHARED, fd);
	bare_touch(pages, BYTES);
	after = sample_now();
	assert_int_equal(after.shmem_bytes - before.shmem_bytes, BYTES);
	assert_growth(before.resident_bytes, after.resident_bytes, BYTES);
	bare_unmap(pages, BYTES);
	close(fd);
}

static void file_pages_are_apart(void **state)
{
	char path[] = "poolbench-resident-XXXXXX";
	struct resident_sample before, after;
	int fd = mkstemp(path);
	char *pages;

	(void)state;
	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(ftruncate(fd, BYTES), 0);
	before = sample_now();
	pages = map(MAP_SHARED, fd);
	bare_touch(pages, BYTES);
	after = sample_now();
	bare_unmap(pages, BYTES);
	close(fd);
	/*
	 * On tmpfs a file is shmem; in either case it is not anonymous. Half, because our share of
	 * libraries falls and rises as other processes start and end.
	 */
	assert_true(after.file_bytes + after.shmem_bytes >=
		    before.file_bytes + before.shmem_bytes + BYTES / 2);
	if (after.shmem_bytes == before.shmem_bytes)
		assert_true(after.resident_bytes < before.resident_bytes + BYTES / 10);
}

static void the_format_is_parsed(void **state)
{
	static const char text[] = "1000-2000 ---p 00000000 00:00 0   [rollup]\n"
				   "Rss:                1616 kB\n"
				   "Pss_File:             11 kB\n"
				   "Pss_Shmem:             7 kB\n"
				   "Anonymous:           112 kB\n"
				   "LazyFree:              3 kB\n"
				   "Shared_Hugetlb:     2048 kB\n"
				   "Private_Hugetlb:    4096 kB\n"
				   "Swap:                  5 kB\n"
				   "SwapPss:               9 kB\n";
	struct resident_sample sample;
	char copy[sizeof(text)];

	(void)state;
	assert_int_equal(resident_parse(text, &sample), 0);
	assert_int_equal(sample.anonymous_bytes, 112 * 1024);
	assert_int_equal(sample.hugetlb_bytes, (2048 + 4096) * 1024);
	assert_int_equal(sample.shmem_bytes, 7 * 1024);
	assert_int_equal(sample.file_bytes, 11 * 1024);
	assert_int_equal(sample.lazy_free_bytes, 3 * 1024);
	assert_int_equal(sample.swap_bytes, 5 * 1024);
	assert_int_equal(sample.resident_bytes, (112 + 2048 + 4096 + 7) * 1024);
	assert_int_equal(resident_parse("", &sample), -EILSEQ);
	/* A line that is cut off or has another unit is not read as a number. */
	memcpy(copy, text, sizeof(text));
	memcpy(strstr(copy, "Anonymous"), "anonymous", 9);
	assert_int_equal(resident_parse(copy, &sample), -EILSEQ);
	memcpy(copy, text, sizeof(text));
	memcpy(strstr(copy, "112 kB"), "112 MB", 6);
	assert_int_equal(resident_parse(copy, &sample), -EILSEQ);
}

static void a_child_is_watched_from_outside(void **state)
{
	struct resident_watch watch;
	uint64_t bytes = 0, grown = 0;
	int ready[2], go[2];
	char byte = 0;
	pid_t child;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(go), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		char *pages = bare_map(4 * BYTES, MAP_PRIVATE | MAP_ANONYMOUS, -1);

		if (read(go[0], &byte, 1) == 1 && pages != MAP_FAILED) {
			bare_touch(pages, 4 * BYTES);
			if (write(ready[1], &byte, 1) == 1)
				pause();
		}
		_exit(1);
	}
	assert_int_equal(resident_watch_open(&watch, child), 0);
	assert_int_equal(resident_watch_read(&watch, &bytes), 0);
	assert_true(bytes > 0);
	assert_int_equal(write(go[1], &byte, 1), 1);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(resident_watch_read(&watch, &grown), 0);
	/* 64 MB; the kernel's counters lag by much less than one. */
	assert_true(grown - bytes > 60000000 && grown - bytes < 70000000);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	assert_int_equal(resident_watch_read(&watch, &bytes), -ESRCH);
	resident_watch_close(&watch);
	assert_int_equal(resident_watch_open(&watch, child), -ESRCH);
	resident_watch_close(&watch);
	close(ready[0]), close(ready[1]), close(go[0]), close(go[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(anonymous_memory_is_exact),
		cmocka_unit_test(lazily_freed_memory_is_counted_and_said),
		cmocka_unit_test(shared_memory_is_counted),
		cmocka_unit_test(file_pages_are_apart),
		cmocka_unit_test(the_format_is_parsed),
		cmocka_unit_test(a_child_is_watched_from_outside),
	};

	if (access("/proc/self/smaps_rollup", R_OK)) {
		print_message("skipped: this kernel has no /proc/self/smaps_rollup\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, open_reader, close_reader);
}
