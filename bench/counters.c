/* perf_event groups and fault counts; counters.h says what is promised. */
#include "counters.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* perf_event_open(2): a cache event is cache | operation << 8 | result << 16. */
#define CACHE_READ_MISSES(cache) \
	((uint64_t)(cache) | (uint64_t)PERF_COUNT_HW_CACHE_OP_READ << 8 | \
	 (uint64_t)PERF_COUNT_HW_CACHE_RESULT_MISS << 16)

const struct counter_event counter_hardware[COUNTER_HARDWARE] = {
	[COUNTER_INSTRUCTIONS] = { "instructions", PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS },
	[COUNTER_CYCLES] = { "cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES },
	[COUNTER_L1D_MISSES] = { "l1d_misses", PERF_TYPE_HW_CACHE,
				 CACHE_READ_MISSES(PERF_COUNT_HW_CACHE_L1D) },
	[COUNTER_DTLB_MISSES] = { "dtlb_misses", PERF_TYPE_HW_CACHE,
				  CACHE_READ_MISSES(PERF_COUNT_HW_CACHE_DTLB) },
};

const struct counter_event counter_software[COUNTER_SOFTWARE] = {
	[COUNTER_TASK_CLOCK_NS] = { "task_clock_ns", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK },
	[COUNTER_PAGE_FAULTS] = { "page_faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS },
	[COUNTER_SWITCHES] = { "context_switches", PERF_TYPE_SOFTWARE,
			       PERF_COUNT_SW_CONTEXT_SWITCHES },
	[COUNTER_MIGRATIONS] = { "cpu_migrations", PERF_TYPE_SOFTWARE,
				 PERF_COUNT_SW_CPU_MIGRATIONS },
};

static int read_paranoid(void)
{
	FILE *file = fopen("/proc/sys/kernel/perf_event_paranoid", "re");
	int level = -100;

	if (!file)
		return level;
	if (fscanf(file, "%d", &level) != 1)
		level = -100;
	fclose(file);
	return level;
}

void counters_explain(const char *event, int error, char *why, size_t why_bytes)
{
	switch (error) {
	case ENOENT:
	case EOPNOTSUPP:
	case ENODEV:
		snprintf(why, why_bytes,
			 "%s: this machine has no such performance counter (a virtual machine "
			 "usually "
			 "has none; run on hardware, or let the hypervisor expose the PMU)",
			 event);
		break;
	case EACCES:
	case EPERM:
		snprintf(why, why_bytes,
			 "%s: not allowed: kernel.perf_event_paranoid is %d and must be 2 or less "
			 "(sysctl kernel.perf_event_paranoid=2), or CAP_PERFMON is needed; a "
			 "container's "
			 "seccomp filter may forbid perf_event_open as well",
			 event, read_paranoid());
		break;
	case ENOSYS:
		snprintf(why, why_bytes, "%s: this kernel has no perf_event_open", event);
		break;
	case EINVAL:
		snprintf(why, why_bytes,
			 "%s: does not fit into one group with the events before it, or the kernel "
			 "does "
			 "not know it",
			 event);
		break;
	case EMFILE:
	case ENFILE:
		snprintf(why, why_bytes, "%s: no file descriptors left (ulimit -n)", event);
		break;
	default:
		snprintf(why, why_bytes, "%s: %s", event, strerror(error));
		break;
	}
}

static int open_event(const struct counter_event *event, int leader)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = event->type,
		.config = event->config,
		.disabled = leader < 0, /* the group follows its leader */
		.exclude_kernel = 1,
		.exclude_hv = 1,
		.read_format = PERF_FORMAT_GROUP | PERF_FORMAT_TOTAL_TIME_ENABLED |
			       PERF_FORMAT_TOTAL_TIME_RUNNING,
	};

	return (int)syscall(SYS_perf_event_open, &attr, 0, -1, leader, PERF_FLAG_FD_CLOEXEC);
}

int counters_open(struct counters *counters, const struct counter_event *events, unsigned count,
		  char *why, size_t why_bytes)
{
	int first_refusal = 0;

	*counters = (struct counters){ .events = events, .leader = -1 };
	if (!count || count > COUNTERS_MAX)
		return -EINVAL;
	counters->count = count;
	for (unsigned i = 0; i < count; i++) {
		counters->fd[i] = open_event(&events[i], counters->leader);
		if (counters->fd[i] >= 0) {
			counters->opened++;
			if (counters->leader < 0)
				counters->leader = counters->fd[i];
			continue;
		}
		counters->refused[i] = errno;
		if (!first_refusal) {
			first_refusal = counters->refused[i];
			if (why && why_bytes)
				counters_explain(events[i].name, first_refusal, why, why_bytes);
		}
	}
	return -first_refusal;
}

void counters_close(struct counters *counters)
{
	for (unsigned i = 0; i < counters->count; i++)
		if (counters->fd[i] >= 0)
			close(counters->fd[i]);
	*counters = (struct counters){ .leader = -1 };
}

int counters_start(struct counters *counters)
{
	if (counters->leader < 0)
		return 0;
	if (ioctl(counters->leader, PERF_EVENT_IOC_RESET, PERF_IOC_FLAG_GROUP) ||
	    ioctl(counters->leader, PERF_EVENT_IOC_ENABLE, PERF_IOC_FLAG_GROUP))
		return -errno;
	return 0;
}

int counters_stop(struct counters *counters)
{
	if (counters->leader < 0)
		return 0;
	return ioctl(counters->leader, PERF_EVENT_IOC_DISABLE, PERF_IOC_FLAG_GROUP) ? -errno : 0;
}

static void clear_values(struct counter_values *values)
{
	*values = (struct counter_values){ 0 };
	for (unsigned i = 0; i < COUNTERS_MAX; i++)
		values->value[i] = NAN;
}

int counters_decode(const struct counters *counters, const uint64_t *raw, size_t words,
		    struct counter_values *values)
{
	const uint64_t *next = raw + 3;
	double scale;

	clear_values(values);
	if (words < 3 || raw[0] != counters->opened || words < 3 + raw[0])
		return -EIO;
	values->enabled_ns = raw[1];
	values->running_ns = raw[2];
	values->exact = raw[2] && raw[1] == raw[2];
	if (!raw[2])
		return 0;
	scale = (double)raw[1] / (double)raw[2];
	for (unsigned i = 0; i < counters->count; i++)
		if (counters->fd[i] >= 0)
			values->value[i] = (double)*next++ * scale;
	return 0;
}

int counters_read(const struct counters *counters, struct counter_values *values)
{
	uint64_t raw[3 + COUNTERS_MAX];
	ssize_t bytes;

	clear_values(values);
	if (counters->leader < 0)
		return 0;
	bytes = read(counters->leader, raw, sizeof(raw));
	if (bytes < 0)
		return -errno;
	return counters_decode(counters, raw, (size_t)bytes / sizeof(raw[0]), values);
}

int faults_read(enum fault_scope scope, struct fault_counts *counts)
{
	struct rusage usage;

	if (getrusage(scope == FAULTS_OF_THREAD ? RUSAGE_THREAD : RUSAGE_SELF, &usage))
		return -errno;
	counts->major_faults = (uint64_t)usage.ru_majflt;
	counts->page_faults = (uint64_t)usage.ru_minflt + (uint64_t)usage.ru_majflt;
	return 0;
}

struct fault_counts faults_between(const struct fault_counts *before,
				   const struct fault_counts *after)
{
	return (struct fault_counts){
		.page_faults = after->page_faults - before->page_faults,
		.major_faults = after->major_faults - before->major_faults,
	};
}
