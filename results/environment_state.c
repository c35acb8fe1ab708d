/* What of the machine may change while a run goes on, or between two: read before and after. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "environment.h"
#include "record_json.h"
#include "system_text.h"

static json_t *load_average(const char *root)
{
	char text[128];
	double load[3];

	if (!system_text(root, "/proc/loadavg", text, sizeof(text)) ||
	    sscanf(text, "%lf %lf %lf", &load[0], &load[1], &load[2]) != 3)
		return json_null();
	return json_pack("[f,f,f]", load[0], load[1], load[2]);
}

/* The "cpu" line of /proc/stat, in USER_HZ ticks summed over processors. */
static json_t *processor_ticks(const char *root)
{
	static const char *const names[] = { "user",   "nice", "system",  "idle",
					     "iowait", "irq",  "softirq", "steal" };
	char text[4096], line[512], *next = line, *end;
	json_t *ticks;

	if (!system_text(root, "/proc/stat", text, sizeof(text)) ||
	    !system_field(text, "cpu", line, sizeof(line)))
		return json_null();
	ticks = json_object();
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++, next = end) {
		long long value = strtoll(next, &end, 10);

		json_object_set_new(ticks, names[i],
				    end == next ? json_null() : json_integer(value));
	}
	return ticks;
}

/* {"some": {"avg10": .., "total_us": ..}, "full": ...} of one pressure file */
static json_t *pressure(const char *root, const char *path)
{
	char text[512], line[160];
	json_t *object;

	if (!system_text(root, path, text, sizeof(text)))
		return json_null();
	object = json_object();
	for (int i = 0; i < 2; i++) {
		const char *kind = i ? "full" : "some";
		double avg10, avg60, avg300;
		long long total;

		if (system_field(text, kind, line, sizeof(line)) &&
		    sscanf(line, "avg10=%lf avg60=%lf avg300=%lf total=%lld", &avg10, &avg60,
			   &avg300, &total) == 4)
			json_object_set_new(object, kind,
					    json_pack("{sf sf sf sI}", "avg10", avg10, "avg60",
						      avg60, "avg300", avg300, "total_us",
						      (json_int_t)total));
	}
	return object;
}

static json_t *meminfo(const char *root)
{
	static const struct {
		const char *key, *name;
	} fields[] = {
		{ "MemAvailable", "available_bytes" },       { "MemFree", "free_bytes" },
		{ "SwapTotal", "swap_total_bytes" },         { "SwapFree", "swap_free_bytes" },
		{ "AnonHugePages", "anonymous_huge_bytes" },
	};
	char text[8192], value[64];
	json_t *object;

	if (!system_text(root, "/proc/meminfo", text, sizeof(text)))
		return json_null();
	object = json_object();
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		json_object_set_new(object, fields[i].name,
				    system_field(text, fields[i].key, value, sizeof(value))
					    ? json_integer(strtoll(value, NULL, 10) * 1024)
					    : json_null());
	return object;
}

static json_t *huge_page_pools(const char *root)
{
	static const char directory[] = "/sys/kernel/mm/hugepages";
	char path[PATH_MAX];
	struct dirent **names;
	json_t *pools;
	int count;

	if ((size_t)snprintf(path, sizeof(path), "%s%s", root, directory) >= sizeof(path))
		return json_null();
	count = scandir(path, &names, NULL, alphasort);
	if (count < 0)
		return json_null();
	pools = json_object();
	for (int i = 0; i < count; i++) {
		const char *name = names[i]->d_name;

		if (!strncmp(name, "hugepages-", 10)) {
			json_t *pool = json_object();

			snprintf(path, sizeof(path), "%s/%.100s/nr_hugepages", directory, name);
			json_object_set_new(pool, "pages", system_integer(root, path));
			snprintf(path, sizeof(path), "%s/%.100s/free_hugepages", directory, name);
			json_object_set_new(pool, "free", system_integer(root, path));
			json_object_set_new(pools, name + 10, pool);
		}
		free(names[i]);
	}
	free(names);
	return pools;
}

static json_t *transparent_huge_pages(const char *root)
{
	json_t *object = json_object();

	json_object_set_new(object, "enabled",
			    system_string(root, "/sys/kernel/mm/transparent_hugepage/enabled"));
	json_object_set_new(object, "defrag",
			    system_string(root, "/sys/kernel/mm/transparent_hugepage/defrag"));
	json_object_set_new(object, "khugepaged_scan_sleep_ms",
			    system_integer(root, "/sys/kernel/mm/transparent_hugepage/khugepaged/"
						 "scan_sleep_millisecs"));
	return object;
}

/* Text of the first of some files that can be read: the same thing has several homes. */
static json_t *first_string(const char *root, const char *const *paths)
{
	char text[4096];

	for (; *paths; paths++) {
		if (system_text(root, *paths, text, sizeof(text)))
			return json_text(text);
	}
	return json_null();
}

static json_t *frequency(const char *root)
{
	static const char *const turbo[] = { "/sys/devices/system/cpu/cpufreq/boost", NULL };
	json_t *object = json_object();

	json_object_set_new(
		object, "governor",
		system_string(root, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"));
	json_object_set_new(
		object, "driver",
		system_string(root, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_driver"));
	json_object_set_new(
		object, "current_khz",
		system_integer(root, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq"));
	json_object_set_new(object, "boost", first_string(root, turbo));
	json_object_set_new(object, "intel_no_turbo",
			    system_string(root, "/sys/devices/system/cpu/intel_pstate/no_turbo"));
	return object;
}

/* "0-3,8" for the processors that this thread may use. */
static json_t *affinity(void)
{
	char text[4096] = "";
	size_t used = 0;
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		return json_null();
	for (unsigned from = 0, to; from < CPU_SETSIZE; from = to + 1) {
		to = from;
		if (!CPU_ISSET(from, &set))
			continue;
		while (to + 1 < CPU_SETSIZE && CPU_ISSET(to + 1, &set))
			to++;
		used += (size_t)snprintf(text + used, sizeof(text) - used,
					 to > from ? "%s%u-%u" : "%s%u", used ? "," : "", from, to);
		if (used >= sizeof(text))
			break;
	}
	return json_text(text);
}

/*
 * This process's path in the hierarchy of `controller`, "" for version 2; false if it is in none.
 */
static bool cgroup_path(const char *root, const char *controller, char *path, size_t bytes)
{
	char text[8192], *rest = text, *line;

	if (!system_text(root, "/proc/self/cgroup", text, sizeof(text)))
		return false;
	while ((line = strsep(&rest, "\n"))) {
		char *names = strchr(line, ':'), *where = names ? strchr(names + 1, ':') : NULL;

		if (!where)
			continue;
		*where = '\0';
		if (strcmp(names + 1, controller))
			continue;
		snprintf(path, bytes, "%s", strcmp(where + 1, "/") ? where + 1 : "");
		return true;
	}
	return false;
}

/*
 * A limit of this process's control group: version 2's file, else version 1's in its controller's
 * mount, else in that mount's root, which is what a container sees of itself.
 */
static json_t *cgroup_limit(const char *root, const char *file2, const char *controller,
			    const char *file1)
{
	char where[1024], paths[5][1200];
	const char *candidates[6] = { 0 };
	size_t n = 0;

	if (cgroup_path(root, "", where, sizeof(where))) {
		snprintf(paths[n], sizeof(*paths), "/sys/fs/cgroup%s/%s", where, file2);
		n++;
		snprintf(paths[n++], sizeof(*paths), "/sys/fs/cgroup/%s", file2);
	}
	if (cgroup_path(root, controller, where, sizeof(where))) {
		snprintf(paths[n++], sizeof(*paths), "/sys/fs/cgroup/%s%s/%s", controller, where,
			 file1);
		snprintf(paths[n++], sizeof(*paths), "/sys/fs/cgroup/%s/%s", controller, file1);
	}
	for (size_t i = 0; i < n; i++)
		candidates[i] = paths[i];
	return first_string(root, candidates);
}

static json_t *limits(const char *root)
{
	json_t *object = json_object();
	struct rlimit lock;

	json_object_set_new(object, "cgroup_cpu_max",
			    cgroup_limit(root, "cpu.max", "cpu", "cpu.cfs_quota_us"));
	json_object_set_new(object, "cgroup_memory_max",
			    cgroup_limit(root, "memory.max", "memory", "memory.limit_in_bytes"));
	json_object_set_new(object, "cgroup_cpuset",
			    cgroup_limit(root, "cpuset.cpus.effective", "cpuset", "cpuset.cpus"));
	json_object_set_new(object, "locked_memory_bytes",
			    getrlimit(RLIMIT_MEMLOCK, &lock) || lock.rlim_cur == RLIM_INFINITY
				    ? json_null()
				    : json_integer((json_int_t)lock.rlim_cur));
	json_object_set_new(object, "max_map_count",
			    system_integer(root, "/proc/sys/vm/max_map_count"));
	json_object_set_new(object, "overcommit_memory",
			    system_integer(root, "/proc/sys/vm/overcommit_memory"));
	json_object_set_new(object, "perf_event_paranoid",
			    system_integer(root, "/proc/sys/kernel/perf_event_paranoid"));
	return object;
}

json_t *environment_state(const char *root)
{
	json_t *state = json_object();
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	json_object_set_new(state, "unix_seconds",
			    json_real((double)now.tv_sec + (double)now.tv_nsec * 1e-9));
	json_object_set_new(state, "load_average", load_average(root));
	json_object_set_new(state, "processor_ticks", processor_ticks(root));
	json_object_set_new(state, "pressure_cpu", pressure(root, "/proc/pressure/cpu"));
	json_object_set_new(state, "pressure_memory", pressure(root, "/proc/pressure/memory"));
	json_object_set_new(state, "pressure_io", pressure(root, "/proc/pressure/io"));
	json_object_set_new(state, "memory", meminfo(root));
	json_object_set_new(state, "huge_pages", huge_page_pools(root));
	json_object_set_new(state, "transparent_huge_pages", transparent_huge_pages(root));
	json_object_set_new(state, "frequency", frequency(root));
	json_object_set_new(state, "smt_active",
			    system_integer(root, "/sys/devices/system/cpu/smt/active"));
	json_object_set_new(state, "clock_source",
			    system_string(root, "/sys/devices/system/clocksource/clocksource0/"
						"current_clocksource"));
	json_object_set_new(state, "address_space_randomization",
			    system_integer(root, "/proc/sys/kernel/randomize_va_space"));
	json_object_set_new(state, "swappiness", system_integer(root, "/proc/sys/vm/swappiness"));
	json_object_set_new(state, "affinity", affinity());
	json_object_set_new(state, "limits", limits(root));
	return state;
}
