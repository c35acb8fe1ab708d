/*
 * The page source's account held against the kernel's: smaps and mincore, at every checkpoint of
 * random runs.
 */
#include "allocators/poison.h"
#include "pages_support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "workloads/random.h"

#define SLOTS              64
#define STEPS              400
#define STEPS_A_CHECKPOINT 20
#define HUGE_PAGES_FILE    "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
#define HUGE_PAGES         24

/* The resident bytes of committed pages by mincore, asked page by page of the pool. */
static size_t mincore_bytes(struct page_source *source, char *run, size_t bytes)
{
	unsigned char present[512];
	size_t total = 0;

	for (size_t at = 0; at < bytes; at += source->page_size) {
		if (!page_source_is_committed(source, run + at, source->page_size))
			continue;
		assert_int_equal(mincore(run + at, source->page_size, present), 0);
		for (size_t i = 0; i < source->page_size / 4096; i++)
			total += (present[i] & 1) * 4096u;
	}
	return total;
}

/*
 * Committed bytes are what the test believes, and resident ones what the kernel says in two ways.
 */
static void checkpoint(struct page_source *source, char *run, size_t run_bytes, size_t committed,
		       size_t resident)
{
	const struct page_source_stats stats = stats_of(source);
	struct kernel_account kernel;

	assert_int_equal(stats.committed_bytes, committed);
	assert_near(resident_of(source), resident);
	assert_near(mincore_bytes(source, run, run_bytes), resident);
	if (!kernel_account(source, &kernel))
		return;
	assert_near(kernel.resident + kernel.hugetlb, resident);
	if (stats.locked && kernel.hugetlb == 0)
		assert_near(kernel.locked, resident);
}

/*
 * Random commits and decommits of parts of one run; paged pages are touched when committed, some of
 * them only later.
 */
static void random_run_of(struct page_source_config config, uint32_t count)
{
	struct page_source *source = open_source(config);
	const size_t slot_bytes = 3 * config.page_size, run_bytes = count * slot_bytes;
	char *run = page_source_reserve(source, run_bytes, 0);
	struct {
		size_t bytes, touched;
	} slots[SLOTS] = { 0 };
	size_t committed = 0, touched = 0;
	struct random random;

	assert_non_null(run);
	random_seed(&random, config.page_size + config.type);
	for (int step = 0; step < STEPS; step++) {
		const uint32_t i = random_below(&random, count);
		char *slot = run + i * slot_bytes;

		if (slots[i].bytes) {
			page_source_decommit(source, slot, slots[i].bytes);
			committed -= slots[i].bytes;
			touched -= slots[i].touched;
			slots[i].bytes = slots[i].touched = 0;
		} else {
			slots[i].bytes = random_between(&random, 1, 3) * config.page_size;
			assert_int_equal(page_source_commit(source, slot, slots[i].bytes), 0);
			slots[i].touched = config.type == POOL_NONPAGED ||
							   config.backing == PAGE_BACKING_HUGETLB
						   ? slots[i].bytes
						   : random_below(&random, 4) * config.page_size;
			if (slots[i].touched > slots[i].bytes)
				slots[i].touched = slots[i].bytes;
			memset(slot, 0x5A, slots[i].touched);
			committed += slots[i].bytes;
			touched += slots[i].touched;
		}
		if (step % STEPS_A_CHECKPOINT == 0)
			checkpoint(source, run, run_bytes, committed, touched);
	}
	for (uint32_t i = 0; i < count; i++) {
		if (slots[i].bytes)
			page_source_decommit(source, run + i * slot_bytes, slots[i].bytes);
	}
	checkpoint(source, run, run_bytes, 0, 0);
	page_source_destroy(source);
}

static void random_run(struct page_source_config config)
{
	random_run_of(config, SLOTS);
}

static void base_pages_agree_with_the_kernel(void **state)
{
	(void)state;
	for (int type = 0; type < POOL_TYPES; type++) {
		for (size_t page_size = 4 * KIB; page_size <= MIB; page_size *= 4)
			random_run((struct page_source_config){ .type = (enum pool_type)type,
								.page_size = page_size,
								.range_bytes = GIB,
								.node = -1 });
		/* Pages as large as a huge one, on small ones. */
		random_run_of((struct page_source_config){ .type = (enum pool_type)type,
							   .page_size = 2 * MIB,
							   .range_bytes = GIB,
							   .node = -1 },
			      16);
	}
}

static void transparent_huge_pages_agree_with_the_kernel(void **state)
{
	struct page_source_config config = { .page_size = 2 * MIB,
					     .backing = PAGE_BACKING_THP,
					     .node = -1 };
	struct page_source *source;
	struct kernel_account kernel;
	char why[256];

	(void)state;
	if (page_source_create(&config, &source, why, sizeof(why)) != 0) {
		print_message("%s\n", why);
		skip();
	}
	assert_non_null(page_source_take(source, 32 * MIB, 0));
	assert_true(kernel_account(source, &kernel));
	/* Memory may be too fragmented for all of them, hardly for any. */
	assert_true(kernel.huge >= 2 * MIB);
	page_source_destroy(source);
	random_run(config);
	config.type = POOL_PAGED;
	random_run(config);
}

/*
 * Pool pages smaller than a huge page: what the kernel adds around them is shown as resident, and
 * all of it goes with the last of them.
 */
static void parts_of_a_transparent_huge_page(void **state)
{
	struct page_source_config config = {
		.type = POOL_PAGED, .page_size = 4 * KIB, .backing = PAGE_BACKING_THP, .node = -1
	};
	struct page_source *source;
	struct kernel_account kernel;
	char why[256], *run;

	(void)state;
	if (page_source_create(&config, &source, why, sizeof(why)) != 0) {
		print_message("%s\n", why);
		skip();
	}
	run = page_source_take(source, 64 * KIB, 2 * MIB);
	memset(run, 1, 64 * KIB);
	assert_true(kernel_account(source, &kernel));
	assert_int_equal(resident_of(source), kernel.resident);
	assert_int_equal(stats_of(source).committed_bytes, 64 * KIB);
	/* A page that goes early comes back zero; its neighbours keep what they hold. */
	page_source_decommit(source, run + 4 * KIB, 4 * KIB);
	assert_int_equal(page_source_commit(source, run + 4 * KIB, 4 * KIB), 0);
	assert_int_equal(run[4 * KIB], 0);
	assert_int_equal(run[4 * KIB - 1], 1);
	assert_int_equal(run[8 * KIB], 1);
	page_source_decommit(source, run, 32 * KIB);
	page_source_decommit(source, run + 32 * KIB, 32 * KIB);
	assert_true(kernel_account(source, &kernel));
	assert_int_equal(kernel.resident, 0);
	page_source_destroy(source);
}

static long huge_pages_before = -1;

static long huge_pages_read(void)
{
	FILE *file = fopen(HUGE_PAGES_FILE, "re");
	long count = -1;

	if (file) {
		if (fscanf(file, "%ld", &count) != 1)
			count = -1;
		fclose(file);
	}
	return count;
}

static void huge_pages_write(long count)
{
	FILE *file = fopen(HUGE_PAGES_FILE, "we");

	if (file) {
		fprintf(file, "%ld\n", count);
		fclose(file);
	}
}

static int huge_pages_borrow(void **state)
{
	(void)state;
	huge_pages_before = huge_pages_read();
	if (huge_pages_before == 0)
		huge_pages_write(HUGE_PAGES);
	return 0;
}

static int huge_pages_return(void **state)
{
	(void)state;
	if (huge_pages_before == 0)
		huge_pages_write(0);
	return 0;
}

static struct page_source *open_hugetlb(size_t page_size, enum pool_type type)
{
	if (huge_pages_read() < HUGE_PAGES) {
		print_message("needs %d huge pages of 2 MiB (sysctl vm.nr_hugepages)\n",
			      HUGE_PAGES);
		skip();
	}
	return open_source((struct page_source_config){ .type = type,
							.page_size = page_size,
							.backing = PAGE_BACKING_HUGETLB,
							.range_bytes = GIB,
							.node = -1 });
}

static void hugetlb_pages_agree_with_the_kernel(void **state)
{
	(void)state;
	for (int type = 0; type < POOL_TYPES; type++) {
		struct page_source *source = open_hugetlb(2 * MIB, (enum pool_type)type);
		struct kernel_account kernel;
		char *run = page_source_take(source, 8 * MIB, 0);

		assert_non_null(run);
		for (size_t at = 0; at < 8 * MIB; at += 4 * KIB)
			assert_int_equal(run[at], 0);
		memset(run, 1, 8 * MIB);
		assert_true(kernel_account(source, &kernel));
		assert_int_equal(kernel.hugetlb, 8 * MIB);
		assert_int_equal(resident_of(source), 8 * MIB);
		page_source_decommit(source, run + 2 * MIB, 4 * MIB);
		assert_true(kernel_account(source, &kernel));
		assert_int_equal(kernel.hugetlb, 4 * MIB);
		assert_int_equal(resident_of(source), 4 * MIB);
		page_source_destroy(source);
		random_run_of((struct page_source_config){ .type = (enum pool_type)type,
							   .page_size = 2 * MIB,
							   .backing = PAGE_BACKING_HUGETLB,
							   .range_bytes = GIB,
							   .node = -1 },
			      HUGE_PAGES / 3);
	}
}

static void pool_pages_share_a_hugetlb_page(void **state)
{
	struct page_source *source = open_hugetlb(4 * KIB, POOL_NONPAGED);
	char *run = page_source_take(source, 3 * MIB, 2 * MIB);

	(void)state;
	assert_non_null(run);
	assert_int_equal(stats_of(source).committed_bytes, 3 * MIB);
	assert_int_equal(resident_of(source), 4 * MIB);
	memset(run, 1, 3 * MIB);
	page_source_decommit(source, run + 64 * KIB, 64 * KIB);
	assert_int_equal(page_source_commit(source, run + 64 * KIB, 64 * KIB), 0);
	for (size_t at = 0; at < 192 * KIB; at++)
		assert_int_equal(run[at], at < 64 * KIB || at >= 128 * KIB);
	page_source_decommit(source, run, 2 * MIB);
	assert_int_equal(resident_of(source), 2 * MIB);
	page_source_decommit(source, run + 2 * MIB, MIB);
	assert_int_equal(resident_of(source), 0);
	page_source_destroy(source);
}

/* More than the kernel has: a refusal, not a SIGBUS, and nothing of it stays. */
static void hugetlb_pages_run_out(void **state)
{
	const size_t all = (size_t)huge_pages_read() * 2 * MIB;
	struct page_source *source = open_hugetlb(64 * KIB, POOL_PAGED);
	char *run = page_source_reserve(source, all + 4 * MIB, 2 * MIB);
	struct kernel_account kernel;

	(void)state;
	assert_non_null(run);
	assert_int_equal(page_source_commit(source, run + 64 * KIB, all + 2 * MIB), -ENOMEM);
	assert_int_equal(stats_of(source).committed_bytes, 0);
	assert_int_equal(stats_of(source).committed_peak_bytes, 0);
	assert_int_equal(stats_of(source).failed_commits, 1);
	assert_int_equal(stats_of(source).injected_failures, 0);
	assert_true(kernel_account(source, &kernel));
	assert_int_equal(kernel.hugetlb, 0);
	assert_int_equal(page_source_commit(source, run, 4 * MIB), 0);
	memset(run, 1, 4 * MIB);
	page_source_destroy(source);
}

/* A page that was only read shows the kernel's zero page, which is nobody's memory. */
static void pages_only_read_are_not_resident(void **state)
{
	struct page_source *source = open_source((struct page_source_config){
		.type = POOL_PAGED, .page_size = 4 * KIB, .range_bytes = 64 * MIB, .node = -1 });
	const volatile char *run = page_source_take(source, MIB, 0);
	struct kernel_account kernel;
	int sum = 0;

	(void)state;
	for (size_t at = 0; at < MIB; at += 4 * KIB)
		sum += run[at];
	assert_int_equal(sum, 0);
	assert_true(kernel_account(source, &kernel));
	if (resident_of(source) == MIB)
		print_message("this kernel has no PAGEMAP_SCAN: pages read count as resident\n");
	else
		assert_int_equal(resident_of(source), kernel.resident);
	page_source_destroy(source);
}

static void a_node_binds(void **state)
{
	struct page_source_config config = { .page_size = 4 * KIB,
					     .range_bytes = 64 * MIB,
					     .node = 0 };
	struct page_source *source;
	char why[256];

	(void)state;
	if (page_source_create(&config, &source, why, sizeof(why)) != 0) {
		/* A kernel or container without memory policies. */
		print_message("%s\n", why);
		skip();
	}
	assert_int_equal(source->node, 0);
	assert_non_null(page_source_take(source, MIB, 0));
	assert_int_equal(resident_of(source), MIB);
	page_source_destroy(source);
}

static size_t process_resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	size_t total, resident = 0;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%zu %zu", &total, &resident), 2);
	fclose(file);
	return resident * 4096;
}

static void destroy_gives_everything_back(void **state)
{
	const size_t before = process_resident_bytes();

	(void)state;
	for (int i = 0; i < 20; i++) {
		struct page_source *source = open_source((struct page_source_config){
			.page_size = 4 * KIB, .range_bytes = GIB, .node = -1 });

		assert_non_null(page_source_take(source, 16 * MIB, 0));
		assert_true(process_resident_bytes() >= before + 15 * MIB);
		page_source_destroy(source);
	}
	assert_true(process_resident_bytes() < before + 8 * MIB);
}

/* Runs a function in a child with fewer rights; its exit status: 0 is success. */
static int in_child(int (*function)(void))
{
	const pid_t child = fork();
	int status;

	if (child == 0)
		_exit(function());
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

#define CHILD_SKIPS 77
#define CHILD_EXPECT(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "line %d: " #condition "\n", __LINE__); \
			return 1; \
		} \
	} while (0)

/* Gives up the rights of root, CAP_IPC_LOCK among them. */
static bool become_ordinary(void)
{
	return geteuid() != 0 || setresuid(65534, 65534, 65534) == 0;
}

static int commit_without_lock_rights(rlim_t lock_limit, size_t range_bytes, bool expect_locked)
{
	struct page_source_config config = { .page_size = 4 * KIB,
					     .range_bytes = range_bytes,
					     .node = -1 };
	struct page_source *source;
	struct page_source_stats stats;
	size_t resident;
	char *run;

	if (setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){ lock_limit, lock_limit }) != 0 ||
	    !become_ordinary())
		return CHILD_SKIPS;
	CHILD_EXPECT(page_source_create(&config, &source, NULL, 0) == 0);
	page_source_stats(source, &stats);
	CHILD_EXPECT(stats.locked == expect_locked);
	run = page_source_take(source, 4 * MIB, 0);
	CHILD_EXPECT(run);
	CHILD_EXPECT(page_source_resident(source, &resident) == 0 && resident == 4 * MIB);
	page_source_decommit(source, run, 2 * MIB);
	CHILD_EXPECT(page_source_resident(source, &resident) == 0 && resident == 2 * MIB);
	page_source_destroy(source);
	return 0;
}

static int lock_limit_forbids(void)
{
	return commit_without_lock_rights(64 * KIB, GIB, false);
}

static int lock_limit_suffices(void)
{
	return commit_without_lock_rights(8 * MIB, 8 * MIB, true);
}

static void the_lock_limit_decides(void **state)
{
	const int forbidden = in_child(lock_limit_forbids), allowed = in_child(lock_limit_suffices);

	(void)state;
	if (forbidden == CHILD_SKIPS || allowed == CHILD_SKIPS) {
		print_message("cannot change the lock limit or user here\n");
		skip();
	}
	assert_int_equal(forbidden, 0);
	assert_int_equal(allowed, 0);
}

static int address_limit(void)
{
	struct page_source_config config = { .page_size = 4 * KIB, .node = -1 };
	struct page_source *source = NULL;
	char why[256] = "";

	if (setrlimit(RLIMIT_AS, &(struct rlimit){ 8 * GIB, 8 * GIB }) != 0)
		return CHILD_SKIPS;
	CHILD_EXPECT(page_source_create(&config, &source, why, sizeof(why)) == 0);
	CHILD_EXPECT(source->range_bytes >= GIB && source->range_bytes < 8 * GIB);
	CHILD_EXPECT(page_source_take(source, MIB, 0));
	page_source_destroy(source);
	config.range_bytes = 64 * GIB;
	CHILD_EXPECT(page_source_create(&config, &source, why, sizeof(why)) == -ENOMEM);
	CHILD_EXPECT(strstr(why, "ulimit -v"));
	return 0;
}

static void a_default_range_fits_the_address_limit(void **state)
{
	(void)state;
	/* The sanitizers' shadow alone exceeds any such limit. */
	if (SANITIZED)
		skip();
	assert_int_equal(in_child(address_limit), 0);
}

/*
 * A control group with little memory: commits are refused before its limit, where the kernel would
 * kill. Either version of control groups, where this process may make one.
 */
static char group_directory[64];

static bool group_write(const char *name, const char *text)
{
	char path[128];
	FILE *file;
	bool ok;

	snprintf(path, sizeof(path), "%s/%s", group_directory, name);
	file = fopen(path, "we");
	if (!file)
		return false;
	ok = fputs(text, file) >= 0;
	return fclose(file) == 0 && ok;
}

static bool group_make(void)
{
	snprintf(group_directory, sizeof(group_directory), "/sys/fs/cgroup/memory/poolbench-%d",
		 (int)getpid());
	if (mkdir(group_directory, 0755) == 0)
		return group_write("memory.limit_in_bytes", "67108864");
	snprintf(group_directory, sizeof(group_directory), "/sys/fs/cgroup/poolbench-%d",
		 (int)getpid());
	return mkdir(group_directory, 0755) == 0 && group_write("memory.max", "67108864");
}

static int commit_until_refused(void)
{
	struct page_source_config config = { .page_size = 64 * KIB, .node = -1 };
	struct page_source *source;
	size_t committed = 0;
	char *run;

	if (!group_write("cgroup.procs", "0"))
		return CHILD_SKIPS;
	CHILD_EXPECT(page_source_create(&config, &source, NULL, 0) == 0);
	run = page_source_reserve(source, GIB, 0);
	while (committed < GIB && page_source_commit(source, run + committed, 64 * KIB) == 0)
		committed += 64 * KIB;
	CHILD_EXPECT(committed >= 40 * MIB && committed <= 64 * MIB);
	CHILD_EXPECT(page_source_commit(source, run + committed, 512 * MIB) == -ENOMEM);
	/* What is given back can be had again. */
	page_source_decommit(source, run, 8 * MIB);
	CHILD_EXPECT(page_source_commit(source, run, 4 * MIB) == 0);
	page_source_destroy(source);
	return 0;
}

static void commits_stop_short_of_the_group_limit(void **state)
{
	int status = CHILD_SKIPS;

	(void)state;
	/* The address sanitizer's own memory about the pages would be charged to the group, too. */
	if (!POISONING && group_make())
		status = in_child(commit_until_refused);
	rmdir(group_directory);
	if (status == CHILD_SKIPS) {
		print_message("cannot make a control group with a memory limit here\n");
		skip();
	}
	assert_int_equal(status, 0);
}

/* A child of fork shares nothing: it works on, and may destroy, its own copy. */
static struct page_source *inherited;

static int use_inherited(void)
{
	size_t resident;
	char *run = page_source_take(inherited, MIB, 0);

	CHILD_EXPECT(run && run[0] == 0);
	memset(run, 2, MIB);
	CHILD_EXPECT(page_source_resident(inherited, &resident) == 0 && resident == 2 * MIB);
	page_source_give(inherited, run, MIB);
	CHILD_EXPECT(page_source_resident(inherited, &resident) == 0 && resident == MIB);
	page_source_destroy(inherited);
	return 0;
}

static void a_child_has_its_own(void **state)
{
	char *run;

	(void)state;
	inherited = open_source((struct page_source_config){ .page_size = 4 * KIB, .node = -1 });
	run = page_source_take(inherited, MIB, 0);
	memset(run, 1, MIB);
	assert_int_equal(in_child(use_inherited), 0);
	assert_int_equal(run[MIB - 1], 1);
	assert_int_equal(stats_of(inherited).committed_bytes, MIB);
	page_source_destroy(inherited);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base_pages_agree_with_the_kernel),
		cmocka_unit_test(transparent_huge_pages_agree_with_the_kernel),
		cmocka_unit_test(parts_of_a_transparent_huge_page),
		cmocka_unit_test_setup_teardown(hugetlb_pages_agree_with_the_kernel,
						huge_pages_borrow, huge_pages_return),
		cmocka_unit_test_setup_teardown(pool_pages_share_a_hugetlb_page, huge_pages_borrow,
						huge_pages_return),
		cmocka_unit_test_setup_teardown(hugetlb_pages_run_out, huge_pages_borrow,
						huge_pages_return),
		cmocka_unit_test(pages_only_read_are_not_resident),
		cmocka_unit_test(a_node_binds),
		cmocka_unit_test(destroy_gives_everything_back),
		cmocka_unit_test(the_lock_limit_decides),
		cmocka_unit_test(a_default_range_fits_the_address_limit),
		cmocka_unit_test(commits_stop_short_of_the_group_limit),
		cmocka_unit_test(a_child_has_its_own),
	};

	return cmocka_run_group_tests_name("pages-kernel", tests, NULL, NULL);
}
