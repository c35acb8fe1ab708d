/*
 * How much memory is left, so that a commit that would end in the out-of-memory killer is refused
 * instead.
 *
 * The kernel seldom refuses to fault a page in: it kills. So nonpaged commits look first at what
 * the machine has available and at the limit of the process's control group (either version), and
 * keep a reserve of both. A look costs some 50 microseconds; it grants a budget, an eighth of what
 * is left, that further commits use up before the next look. Other processes can use memory up in
 * between: this makes a kill rare, not impossible.
 */
#include "pages_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RESERVE_MOST  ((int64_t)128 << 20)
#define RESERVE_SHARE 16 /* of all memory, if that is less */
#define BUDGET_SHARE  8 /* of what is left */

/*
 * The number after `key` at the start of a line, or on the first line if `key` is "". -1 if there
 * is none.
 */
static int64_t file_number(const char *path, const char *key)
{
	const size_t key_bytes = strlen(key);
	FILE *file = fopen(path, "re");
	int64_t number = -1;
	char line[256];

	if (!file)
		return -1;
	while (number < 0 && fgets(line, sizeof(line), file)) {
		if (strncmp(line, key, key_bytes) == 0 &&
		    sscanf(line + key_bytes, "%" SCNd64, &number) != 1 && key_bytes == 0)
			break;
	}
	fclose(file);
	return number;
}

static int64_t after_reserve(int64_t left, int64_t total)
{
	const int64_t share = total / RESERVE_SHARE;

	return left - (share < RESERVE_MOST ? share : RESERVE_MOST);
}

static int64_t machine_left(void)
{
	const int64_t available = file_number("/proc/meminfo", "MemAvailable:");

	if (available < 0)
		return INT64_MAX;
	return after_reserve(available * 1024,
			     (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE));
}

/* What names version 1 and 2 of control groups give the same things. */
struct group_names {
	const char *root, *limit, *usage, *reclaimable;
};

static const struct group_names group_versions[] = {
	{ "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
	  "total_inactive_file " },
	{ "/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file " },
};

static int64_t group_left(const struct page_memory *memory)
{
	const struct group_names *names = &group_versions[memory->group_version];
	char path[PAGE_GROUP_BYTES + 64];
	int64_t limit, usage, reclaimable;

	if (memory->group[0] == '\0')
		return INT64_MAX;
	snprintf(path, sizeof(path), "%s/%s", memory->group, names->limit);
	limit = file_number(path, "");
	snprintf(path, sizeof(path), "%s/%s", memory->group, names->usage);
	usage = file_number(path, "");
	if (limit < 0 || usage < 0)
		return INT64_MAX;
	snprintf(path, sizeof(path), "%s/memory.stat", memory->group);
	reclaimable = file_number(path, names->reclaimable);
	return after_reserve(limit - usage + (reclaimable > 0 ? reclaimable : 0), limit);
}

void page_memory_init(struct page_memory *memory)
{
	char line[PAGE_GROUP_BYTES];
	FILE *file = fopen("/proc/self/cgroup", "re");

	atomic_init(&memory->budget, 0);
	memory->group[0] = '\0';
	if (!file)
		return;
	/*
	 * "4:memory:/path" of version 1, or "0::/path" of version 2; both can be there, and the
	 * first rules.
	 */
	while (fgets(line, sizeof(line), file)) {
		const char *colon = strchr(line, ':');
		char *path = colon ? strchr(colon + 1, ':') : NULL;
		const bool first = path && strncmp(colon, ":memory:", 8) == 0;

		if (!first && (!path || path != colon + 1))
			continue;
		path[strcspn(path, "\n")] = '\0';
		memory->group_version = first ? 0 : 1;
		snprintf(memory->group, sizeof(memory->group), "%s%s",
			 group_versions[memory->group_version].root, path + 1);
		if (first)
			break;
	}
	fclose(file);
}

bool page_memory_allows(struct page_memory *memory, size_t bytes)
{
	const int64_t wanted = (int64_t)bytes;
	int64_t left, group;

	if (atomic_fetch_sub_explicit(&memory->budget, wanted, memory_order_relaxed) >= wanted)
		return true;
	left = machine_left();
	group = group_left(memory);
	if (group < left)
		left = group;
	left -= wanted;
	atomic_store_explicit(&memory->budget, left > 0 ? left / BUDGET_SHARE : 0,
			      memory_order_relaxed);
	return left >= 0;
}
