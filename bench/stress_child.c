/* A round in a child of its own: what crashes or hangs there is a finding here. */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/bugcheck.h"
#include "bench/clock.h"
#include "bench/stress.h"

#define WATCH_MS     100
#define ANSWER_MS    500
#define STARVED_MOST 4u

/* ---- hangs ---- */

/* Processor time that the child has had, in ns; 0: not known. */
static uint64_t processor_ns(pid_t child)
{
	struct timespec time;
	clockid_t clock;

	if (clock_getcpuclockid(child, &clock) != 0 || clock_gettime(clock, &time) != 0)
		return 0;
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* Calls `visit` for each of the child's threads until it says true; whether it did. */
static bool any_thread(pid_t child, bool (*visit)(pid_t child, int thread))
{
	char path[48];
	struct dirent *entry;
	bool found = false;
	DIR *threads;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)child);
	threads = opendir(path);
	while (threads && !found && (entry = readdir(threads)))
		if (atoi(entry->d_name) > 0)
			found = visit(child, atoi(entry->d_name));
	if (threads)
		closedir(threads);
	return found;
}

/* Running, or waiting for a processor or for memory. */
static bool is_runnable(pid_t child, int thread)
{
	char path[64], state = '?';
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", (int)child, thread);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
		state = '?';
	fclose(file);
	return state == 'R' || state == 'D';
}

/*
 * Waits until the child ends (its end of the pipe closes), or has made no progress for so long. On a busy machine
 * a child may get no processor for seconds: one that could run, and had less than half of the time, is not hanging,
 * up to STARVED_MOST times that long.
 */
static bool ends_in_time(pid_t child, int fd, struct finding *finding, unsigned timeout_seconds)
{
	const uint64_t most_ns = (uint64_t)timeout_seconds * 1000000000u;
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	unsigned long long seen = atomic_load(&finding->operations);
	uint64_t since = clock_read_ns(CLOCK_MONOTONIC), had = processor_ns(child);

	for (;;) {
		const unsigned long long now = atomic_load(&finding->operations);
		uint64_t waited;

		if (poll(&wait, 1, WATCH_MS) > 0)
			return true;
		if (now != seen) {
			since = clock_read_ns(CLOCK_MONOTONIC);
			had = processor_ns(child);
		}
		seen = now;
		waited = clock_read_ns(CLOCK_MONOTONIC) - since;
		if (waited > STARVED_MOST * most_ns ||
		    (waited > most_ns &&
		     (processor_ns(child) - had > most_ns / 2 || !any_thread(child, is_runnable))))
			return false;
	}
}

static bool is_worker(pid_t child, int thread)
{
	return thread != (int)child;
}

static bool ask_worker(pid_t child, int thread)
{
	if (is_worker(child, thread))
		syscall(SYS_tgkill, child, thread, SIGUSR1);
	return false;
}

/* Asks the child's threads where they are; the first to answer tells. Its main thread only waits for the others. */
static void ask_where(pid_t child)
{
	if (!any_thread(child, is_worker))
		kill(child, SIGUSR1);
	any_thread(child, ask_worker);
}

static void note_end(struct finding *finding, const char *rule, uint64_t first, const char *text)
{
	snprintf(finding->rule, sizeof(finding->rule), "%s", rule);
	snprintf(finding->text, sizeof(finding->text), "%s", text);
	finding->code = bugcheck_rule_find(rule)->code;
	finding->arguments[0] = first;
}

/* Turns an end without a finding into one. */
static void judge(struct finding *finding, int status, bool timed_out, unsigned timeout_seconds)
{
	char text[128];

	if (finding->rule[0] || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
		return;
	if (timed_out) {
		snprintf(text, sizeof(text), "no operation was finished for %u s", timeout_seconds);
		note_end(finding, "hang", 0, text);
	} else if (WIFSIGNALED(status)) {
		snprintf(text, sizeof(text), "killed by SIG%s", sigabbrev_np(WTERMSIG(status)));
		note_end(finding, "crash", (uint64_t)WTERMSIG(status), text);
	} else {
		snprintf(text, sizeof(text), "the process ended by itself with status %d",
			 WEXITSTATUS(status));
		note_end(finding, "crash", 0, text);
	}
}

static void reap(pid_t child, int *status)
{
	while (waitpid(child, status, 0) < 0 && errno == EINTR)
		;
}

int stress_child(stress_play *play, const struct stress_round *round, const struct trace *trace,
		 unsigned timeout_seconds, struct finding *finding)
{
	bool timed_out;
	int ends[2], status;
	pid_t child;

	finding_reset(finding);
	if (pipe(ends) != 0)
		return -errno;
	fflush(NULL);
	child = fork();
	if (child < 0) {
		close(ends[0]);
		close(ends[1]);
		return -errno;
	}
	if (child == 0) {
		close(ends[0]);
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* no stray rounds when the parent is killed */
		finding_install(finding);
		play(round, trace, finding);
		_exit(0);
	}
	close(ends[1]);
	timed_out = !ends_in_time(child, ends[0], finding, timeout_seconds);
	if (timed_out) {
		struct pollfd wait = { .fd = ends[0], .events = POLLIN };

		ask_where(child);
		poll(&wait, 1, ANSWER_MS);
		kill(child, SIGKILL);
	}
	reap(child, &status);
	close(ends[0]);
	judge(finding, status, timed_out, timeout_seconds);
	return 0;
}
