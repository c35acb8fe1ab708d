/*
 * The paging file: blocks at commit, real write-out by the balance-set thread, hard faults back, a
 * full disk.
 */
#include "pages_support.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "workloads/random.h"

#define PATIENCE_MS 20000

static const struct page_source_config paging_config = {
	.type = POOL_PAGED,
	.page_size = 4 * KIB,
	.range_bytes = 256 * MIB,
	.node = -1,
	.paging_file = true,
};

/* Skips the test where no directory at hand is on a disk. */
static struct page_source *open_paging(size_t resident_bytes)
{
	struct page_source_config config = paging_config;
	struct page_source *source;
	char why[256];
	int error;

	config.paged_resident_bytes = resident_bytes;
	error = page_source_create(&config, &source, why, sizeof(why));
	if (error == -ENODEV) {
		print_message("%s\n", why);
		skip();
	}
	if (error)
		fail_msg("page_source_create: %s", why);
	return source;
}

static void sleep_ms(long milliseconds)
{
	nanosleep(&(struct timespec){ milliseconds / 1000, milliseconds % 1000 * 1000000 }, NULL);
}

static long hard_faults(void)
{
	struct rusage usage;

	assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
	return usage.ru_majflt;
}

/*
 * Bytes on disk of the paging file: the one unlinked file of the range's size that this process
 * holds open.
 */
static size_t file_bytes(const struct page_source *source)
{
	DIR *directory = opendir("/proc/self/fd");
	struct dirent *entry;
	size_t bytes = SIZE_MAX;

	assert_non_null(directory);
	while ((entry = readdir(directory))) {
		struct stat status;

		if (fstat(atoi(entry->d_name), &status) == 0 && S_ISREG(status.st_mode) &&
		    status.st_nlink == 0 && (size_t)status.st_size == source->range_bytes)
			bytes = (size_t)status.st_blocks * 512;
	}
	closedir(directory);
	return bytes;
}

/* Waits until at most `bytes` are resident. */
static bool wait_resident(struct page_source *source, size_t bytes)
{
	for (int waited = 0; waited < PATIENCE_MS; waited += 5) {
		if (resident_of(source) <= bytes)
			return true;
		sleep_ms(5);
	}
	return false;
}

static void fill(char *run, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += sizeof(size_t))
		*(size_t *)(void *)(run + at) = at * 0x9E3779B97F4A7C15u + 1;
}

static void assert_filled(const char *run, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += sizeof(size_t)) {
		if (*(const size_t *)(const void *)(run + at) != at * 0x9E3779B97F4A7C15u + 1)
			fail_msg("contents lost at offset %zu", at);
	}
}

static void untrimmed_pages_stay_and_agree_with_the_kernel(void **state)
{
	struct page_source *source = open_paging(0);
	char *run = page_source_take(source, 16 * MIB, 0);
	struct kernel_account kernel;

	(void)state;
	assert_non_null(run);
	assert_int_equal(resident_of(source), 0);
	fill(run, 8 * MIB);
	assert_true(kernel_account(source, &kernel));
	assert_near(kernel.resident, 8 * MIB);
	assert_near(resident_of(source), 8 * MIB);
	assert_int_equal(stats_of(source).committed_bytes, 16 * MIB);
	assert_int_equal(stats_of(source).paged_out_bytes, 0);
	page_source_destroy(source);
}

/* Blocks are there from the commit on and go with the decommit, as do pages in memory. */
static void random_runs_agree_with_file_and_kernel(void **state)
{
	struct page_source *source = open_paging(0);
	char *run = page_source_reserve(source, 64 * MIB, 0);
	size_t committed = 0, sizes[64] = { 0 };
	struct random random;

	(void)state;
	random_seed(&random, 1);
	for (int step = 0; step < 300; step++) {
		const uint32_t i = random_below(&random, 64);
		char *slot = run + i * MIB;

		if (sizes[i]) {
			page_source_decommit(source, slot, sizes[i]);
			committed -= sizes[i];
			sizes[i] = 0;
		} else {
			sizes[i] = random_between(&random, 1, 256) * 4 * KIB;
			assert_int_equal(page_source_commit(source, slot, sizes[i]), 0);
			assert_int_equal(slot[0], 0);
			assert_int_equal(slot[sizes[i] - 1], 0);
			memset(slot, 1, sizes[i]);
			committed += sizes[i];
		}
		if (step % 20 == 0) {
			struct kernel_account kernel;

			assert_int_equal(stats_of(source).committed_bytes, committed);
			assert_near(resident_of(source), committed);
			assert_true(kernel_account(source, &kernel));
			assert_near(kernel.resident, committed);
			/* Besides data the file may hold a few blocks of extents. */
			assert_in_range(file_bytes(source), committed, committed + 256 * KIB);
		}
	}
	page_source_destroy(source);
}

/*
 * While pages are taken away, resident is what the page cache holds by mincore; what smaps shows mapped is part of
 * it, as a page on standby is in memory and not mapped. Looked at when the balance set has come to rest.
 */
static void trimmed_pages_agree_with_the_kernel(void **state)
{
	struct page_source *source = open_paging(4 * MIB);
	char *run = page_source_take(source, 16 * MIB, 0);
	unsigned char present[4096];
	struct kernel_account kernel;
	struct random random;

	(void)state;
	assert_non_null(run);
	random_seed(&random, 1);
	for (int round = 0; round < 8; round++) {
		size_t in_cache = 0, before;

		for (int i = 0; i < 1024; i++)
			run[random_below(&random, 4096) * 4 * KIB] = (char)(i | 1);
		assert_true(wait_resident(source, 4 * MIB));
		do {
			before = resident_of(source);
			sleep_ms(40);
		} while (resident_of(source) != before);
		assert_int_equal(mincore(run, 16 * MIB, present), 0);
		for (size_t i = 0; i < 4096; i++)
			in_cache += (present[i] & 1) * 4 * KIB;
		assert_near(resident_of(source), in_cache);
		assert_true(kernel_account(source, &kernel));
		assert_true(kernel.resident <= in_cache + in_cache / 100);
	}
	page_source_destroy(source);
}

static void pages_written_out_fault_back_hard(void **state)
{
	struct page_source *source = open_paging(2 * MIB);
	char *run = page_source_take(source, 16 * MIB, 0);
	unsigned char present[4096];
	size_t pages_in = 0;
	long before;

	(void)state;
	assert_non_null(run);
	fill(run, 16 * MIB);
	assert_true(wait_resident(source, 2 * MIB));
	assert_true(stats_of(source).paged_out_bytes >= 14 * MIB);
	assert_int_equal(mincore(run, 16 * MIB, present), 0);
	for (size_t i = 0; i < 4096; i++)
		pages_in += present[i] & 1;
	assert_true(pages_in <= 2 * MIB / 4096);

	before = hard_faults();
	assert_filled(run, 16 * MIB);
	/*
	 * 14 MiB at least were on disk only: each page of them was read back by a fault of its own.
	 */
	assert_true(hard_faults() - before >= (long)(14 * MIB / 4096 * 9 / 10));
	assert_true(wait_resident(source, 2 * MIB));
	page_source_decommit(source, run, 16 * MIB);
	assert_int_equal(resident_of(source), 0);
	assert_int_equal(page_source_commit(source, run, 16 * MIB), 0);
	for (size_t at = 0; at < 16 * MIB; at += 4096)
		assert_int_equal(run[at], 0);
	page_source_destroy(source);
}

struct writer {
	struct page_source *source;
	pthread_t thread;
	uint64_t seed;
	size_t lost; /* pages that did not hold what was last written */
};

/*
 * Counts up in random pages while the balance-set thread takes them away; some are given back and
 * taken anew.
 */
static void *write_randomly(void *argument)
{
	struct writer *writer = argument;
	enum { PAGES = 1024 };
	static _Thread_local uint32_t expect[PAGES];
	char *run = page_source_take(writer->source, PAGES * 4 * KIB, 0);
	struct random random;

	if (!run) {
		writer->lost = PAGES;
		return NULL;
	}
	random_seed(&random, writer->seed);
	for (int step = 0; step < 20000; step++) {
		const uint32_t i = random_below(&random, PAGES);
		uint32_t *cell = (uint32_t *)(void *)(run + i * 4 * KIB + 128);

		writer->lost += *cell != expect[i];
		*cell = ++expect[i];
		if (random_below(&random, 50) == 0) {
			page_source_decommit(writer->source, run + i * 4 * KIB, 4 * KIB);
			if (page_source_commit(writer->source, run + i * 4 * KIB, 4 * KIB) != 0) {
				writer->lost++;
				break;
			}
			expect[i] = 0;
		}
	}
	for (uint32_t i = 0; i < PAGES; i++)
		writer->lost += *(uint32_t *)(void *)(run + i * 4 * KIB + 128) != expect[i];
	page_source_give(writer->source, run, PAGES * 4 * KIB);
	return NULL;
}

static void contents_survive_while_pages_are_taken_away(void **state)
{
	struct page_source *source = open_paging(MIB);
	struct writer writers[2];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		writers[i] = (struct writer){ .source = source, .seed = i };
		assert_int_equal(
			pthread_create(&writers[i].thread, NULL, write_randomly, &writers[i]), 0);
	}
	for (unsigned i = 0; i < 2; i++) {
		pthread_join(writers[i].thread, NULL);
		assert_int_equal(writers[i].lost, 0);
	}
	assert_true(stats_of(source).paged_out_bytes > 0);
	assert_int_equal(stats_of(source).committed_bytes, 0);
	page_source_destroy(source);
}

static long thread_hard_faults(void)
{
	struct rusage usage;

	assert_int_equal(getrusage(RUSAGE_THREAD, &usage), 0);
	return usage.ru_majflt;
}

/*
 * Pages in use are passed over for pages that are not: 1 MiB is touched in every round while 16 MiB
 * are walked through, 256 KiB a round, with 6 MiB resident.
 */
static void pages_in_use_stay(void **state)
{
	enum { ROUNDS = 256, COLD_STEP = 64 };
	struct page_source *source = open_paging(6 * MIB);
	volatile char *hot = page_source_take(source, MIB, 0);
	volatile char *cold = page_source_take(source, 16 * MIB, 0);
	long hot_faults = 0, cold_faults = 0;
	size_t position = 0;

	(void)state;
	memset((char *)cold, 1, 16 * MIB);
	assert_true(wait_resident(source, 6 * MIB));
	memset((char *)hot, 1, MIB);
	for (int round = 0; round < ROUNDS; round++) {
		long before = thread_hard_faults();

		for (size_t at = 0; at < MIB; at += 4096)
			hot[at]++;
		hot_faults += thread_hard_faults() - before;
		before = thread_hard_faults();
		for (int i = 0; i < COLD_STEP; i++, position += 4096)
			cold[position % (16 * MIB)]++;
		cold_faults += thread_hard_faults() - before;
		sleep_ms(2);
	}
	print_message("hard faults: %ld in use, %ld out of use\n", hot_faults, cold_faults);
	assert_true(cold_faults > ROUNDS * COLD_STEP / 4);
	/*
	 * The hand comes round some ten times: without regard to use 256 pages would go nearly as
	 * often.
	 */
	assert_true(hot_faults < 400);
	page_source_destroy(source);
}

static int destroy_in_child(struct page_source *source)
{
	const pid_t child = fork();
	int status;

	if (child == 0) {
		alarm(10);
		page_source_destroy(source);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void a_child_has_no_thread_to_stop(void **state)
{
	struct page_source *source = open_paging(MIB);

	(void)state;
	assert_int_equal(destroy_in_child(source), 0);
	page_source_destroy(source);
}

static void a_directory_in_memory_is_refused(void **state)
{
	struct page_source_config config = paging_config;
	struct page_source *source = NULL;
	char why[256] = "";

	(void)state;
	if (access("/dev/shm", W_OK) != 0) {
		print_message("no /dev/shm here\n");
		skip();
	}
	config.paging_directory = "/dev/shm";
	assert_int_equal(page_source_create(&config, &source, why, sizeof(why)), -ENODEV);
	assert_non_null(strstr(why, "/dev/shm"));
	assert_null(source);
}

static int create_with_file_limit(void)
{
	struct page_source_config config = paging_config;
	struct page_source *source = NULL;
	char why[256] = "";

	if (setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 128 * MIB, 128 * MIB }) != 0)
		return 1;
	if (page_source_create(&config, &source, why, sizeof(why)) != -ENOSPC ||
	    !strstr(why, "ulimit -f"))
		return 2;
	config.range_bytes = 0;
	if (page_source_create(&config, &source, why, sizeof(why)) != 0 ||
	    source->range_bytes > 128 * MIB || !page_source_take(source, 64 * MIB, 0))
		return 3;
	page_source_destroy(source);
	return 0;
}

static void a_file_limit_is_met_without_a_signal(void **state)
{
	pid_t child;
	int status;

	(void)state;
	page_source_destroy(open_paging(0)); /* skips where there is no disk */
	child = fork();
	if (child == 0)
		_exit(create_with_file_limit());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* A file system of 32 MiB in a file, mounted on a directory of its own. */
static char disk_directory[] = "/var/tmp/poolbench-disk-XXXXXX";
static bool disk_is_mounted;

static int small_disk_mount(void **state)
{
	char command[512];

	(void)state;
	if (geteuid() != 0 || !mkdtemp(disk_directory))
		return 0;
	snprintf(command, sizeof(command),
		 "{ truncate -s 32M %s.image && mkfs.ext4 -q -m 0 %s.image && "
		 "mount -o loop %s.image %s; } >/dev/null 2>&1",
		 disk_directory, disk_directory, disk_directory, disk_directory);
	disk_is_mounted = system(command) == 0;
	return 0;
}

static int small_disk_unmount(void **state)
{
	char path[512];

	(void)state;
	if (disk_is_mounted)
		umount(disk_directory);
	disk_is_mounted = false;
	snprintf(path, sizeof(path), "%s.image", disk_directory);
	unlink(path);
	rmdir(disk_directory);
	return 0;
}

static void a_full_disk_refuses_the_commit(void **state)
{
	struct page_source_config config = paging_config;
	struct page_source *source;
	size_t taken = 0;
	char *run;

	(void)state;
	if (!disk_is_mounted) {
		print_message("needs root, mkfs.ext4 and a loop device\n");
		skip();
	}
	config.paging_directory = disk_directory;
	config.paged_resident_bytes = MIB;
	source = open_source(config);
	run = page_source_reserve(source, 128 * MIB, 0);
	assert_int_equal(page_source_commit(source, run, 128 * MIB), -ENOMEM);
	assert_int_equal(stats_of(source).committed_bytes, 0);
	/* Nothing of the refused commit is kept from the others. */
	while (page_source_commit(source, run + taken, MIB) == 0)
		taken += MIB;
	assert_in_range(taken, 16 * MIB, 32 * MIB);
	fill(run, taken); /* no SIGBUS: the blocks are there */
	assert_true(wait_resident(source, 2 * MIB));
	assert_filled(run, taken);
	assert_int_equal(page_source_commit(source, run + taken, MIB), -ENOMEM);
	page_source_decommit(source, run, 2 * MIB);
	assert_int_equal(page_source_commit(source, run + taken, MIB), 0);
	memset(run + taken, 1, MIB);
	page_source_destroy(source);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(untrimmed_pages_stay_and_agree_with_the_kernel),
		cmocka_unit_test(random_runs_agree_with_file_and_kernel),
		cmocka_unit_test(trimmed_pages_agree_with_the_kernel),
		cmocka_unit_test(pages_written_out_fault_back_hard),
		cmocka_unit_test(contents_survive_while_pages_are_taken_away),
		cmocka_unit_test(pages_in_use_stay),
		cmocka_unit_test(a_child_has_no_thread_to_stop),
		cmocka_unit_test(a_directory_in_memory_is_refused),
		cmocka_unit_test(a_file_limit_is_met_without_a_signal),
		cmocka_unit_test_setup_teardown(a_full_disk_refuses_the_commit, small_disk_mount,
						small_disk_unmount),
	};

	return cmocka_run_group_tests_name("pages-paging", tests, NULL, NULL);
}
