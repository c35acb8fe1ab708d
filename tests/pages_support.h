/*
 * What the tests of the page source share: opening one, its figures, and the kernel's own account
 * of it.
 */
#ifndef POOLBENCH_PAGES_SUPPORT_H
#define POOLBENCH_PAGES_SUPPORT_H

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "allocators/pages.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

static inline struct page_source *open_source(struct page_source_config config)
{
	struct page_source *source = NULL;
	char why[256] = "";

	if (page_source_create(&config, &source, why, sizeof(why)) != 0)
		fail_msg("page_source_create: %s", why);
	return source;
}

static inline struct page_source_stats stats_of(struct page_source *source)
{
	struct page_source_stats stats;

	page_source_stats(source, &stats);
	return stats;
}

static inline size_t resident_of(struct page_source *source)
{
	size_t bytes = 0;

	assert_int_equal(page_source_resident(source, &bytes), 0);
	return bytes;
}

/* What /proc/self/smaps says about a range of addresses, in bytes. */
struct kernel_account {
	size_t mapped, resident, locked, huge, hugetlb;
};

/*
 * False where smaps cannot be read. Mappings lie inside the range or outside, never across its
 * ends.
 */
static inline bool kernel_account(const struct page_source *source, struct kernel_account *account)
{
	static const struct {
		const char *format;
		size_t offset;
	} fields[] = {
		{ "Size: %zu kB", offsetof(struct kernel_account, mapped) },
		{ "Rss: %zu kB", offsetof(struct kernel_account, resident) },
		{ "Locked: %zu kB", offsetof(struct kernel_account, locked) },
		{ "AnonHugePages: %zu kB", offsetof(struct kernel_account, huge) },
		{ "Private_Hugetlb: %zu kB", offsetof(struct kernel_account, hugetlb) },
	};
	FILE *file = fopen("/proc/self/smaps", "re");
	bool inside = false;
	char line[512];

	memset(account, 0, sizeof(*account));
	if (!file)
		return false;
	while (fgets(line, sizeof(line), file)) {
		unsigned long start, end;
		size_t kib;

		if (sscanf(line, "%lx-%lx ", &start, &end) == 2) {
			inside = page_source_contains(source, (const void *)start);
			continue;
		}
		for (size_t i = 0; inside && i < sizeof(fields) / sizeof(*fields); i++) {
			if (sscanf(line, fields[i].format, &kib) == 1)
				*(size_t *)(void *)((char *)account + fields[i].offset) += kib * KIB;
		}
	}
	fclose(file);
	return true;
}

/* Within 1 % of what is expected. */
static inline bool is_near(size_t value, size_t expected)
{
	const size_t difference = value > expected ? value - expected : expected - value;

	return difference * 100 <= expected;
}

#define assert_near(value, expected) \
	do { \
		const size_t v_ = (value), e_ = (expected); \
		if (!is_near(v_, e_)) \
			fail_msg(#value " is %zu, " #expected " is %zu", v_, e_); \
	} while (0)

#endif
