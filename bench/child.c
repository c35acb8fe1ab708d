#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/resident.h"
#include "results/record_json.h"

#define RESULT_FD    3 /* where the process writes its result */
#define TRACE_FD     4 /* where it finds the trace's image */
#define WATCH_MS     50 /* how often time and memory are looked at */
#define LAST_WORDS   400
#define LAYOUT_BYTES 4096 /* most that the environment is lengthened by */

struct buffer {
	char *text;
	size_t length, capacity;
};

struct child {
	pid_t pid;
	int result_fd, error_fd;
	struct resident_watch watch;
	struct buffer result;
	char last_words[LAST_WORDS + 1];
	size_t last_words_length;
};

/* ---- starting ---- */

/* In the child: descriptors in place, environment of a random length, then exec. */
static void become_measurement(const struct measure_spec *spec, const char *text, int result_fd,
			       int error_fd, const struct child_limits *limits)
{
	char padding[LAYOUT_BYTES + 1];
	size_t length = (size_t)(limits->layout % LAYOUT_BYTES);
	int trace_fd = spec->trace_fd;
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Away from the numbers that are about to be given out. */
	result_fd = fcntl(result_fd, F_DUPFD_CLOEXEC, 16);
	error_fd = fcntl(error_fd, F_DUPFD_CLOEXEC, 16);
	if (trace_fd >= 0)
		trace_fd = fcntl(trace_fd, F_DUPFD_CLOEXEC, 16);
	dup2(null_fd, STDIN_FILENO);
	dup2(null_fd, STDOUT_FILENO);
	dup2(error_fd, STDERR_FILENO);
	dup2(result_fd, RESULT_FD);
	if (trace_fd >= 0)
		dup2(trace_fd, TRACE_FD);
	memset(padding, 'x', length);
	padding[length] = '\0';
	setenv("POOLBENCH_LAYOUT", padding, 1);
	setenv("POOLBENCH_RESULT_FD", "3", 1);
	execl("/proc/self/exe", "poolbench", "measure", text, (char *)NULL);
	dprintf(STDERR_FILENO, "cannot start myself again: %s", strerror(errno));
	_exit(127);
}

static int child_start(const struct measure_spec *spec, const struct child_limits *limits,
		       struct child *child)
{
	struct measure_spec own = *spec;
	int result[2], errors[2], error;
	char *text;

	own.trace_fd = spec->trace_fd >= 0 ? TRACE_FD : -1;
	text = measure_spec_format(&own);
	if (!text)
		return -ENOMEM;
	if (pipe2(result, O_CLOEXEC) != 0) {
		error = -errno;
		free(text);
		return error;
	}
	if (pipe2(errors, O_CLOEXEC) != 0) {
		error = -errno;
		close(result[0]);
		close(result[1]);
		free(text);
		return error;
	}
	child->pid = fork();
	if (child->pid == 0)
		become_measurement(spec, text, result[1], errors[1], limits);
	error = child->pid < 0 ? -errno : 0;
	close(result[1]);
	close(errors[1]);
	free(text);
	child->result_fd = result[0];
	child->error_fd = errors[0];
	return error;
}

/* ---- watching ---- */

/* Reads what is there; false at the end of the stream. */
static bool read_result(struct child *child)
{
	struct buffer *buffer = &child->result;
	ssize_t n;

	if (buffer->length == buffer->capacity) {
		const size_t capacity = buffer->capacity ? 2 * buffer->capacity : 65536;
		char *grown = realloc(buffer->text, capacity);

		if (!grown)
			return false;
		buffer->text = grown;
		buffer->capacity = capacity;
	}
	n = read(child->result_fd, buffer->text + buffer->length,
		 buffer->capacity - buffer->length);
	if (n > 0)
		buffer->length += (size_t)n;
	return n > 0 || (n < 0 && errno == EINTR);
}

/* Keeps the end of what the process says on stderr. */
static bool read_errors(struct child *child)
{
	char text[LAST_WORDS];
	ssize_t n = read(child->error_fd, text, sizeof(text));
	size_t keep;

	if (n <= 0)
		return n < 0 && errno == EINTR;
	keep = LAST_WORDS - (size_t)n;
	if (child->last_words_length > keep) {
		memmove(child->last_words, child->last_words + child->last_words_length - keep,
			keep);
		child->last_words_length = keep;
	}
	memcpy(child->last_words + child->last_words_length, text, (size_t)n);
	child->last_words_length += (size_t)n;
	child->last_words[child->last_words_length] = '\0';
	return true;
}

enum verdict { ENDED, TIMED_OUT, OVER_MEMORY, INTERRUPTED };

static enum verdict child_watch(struct child *child, const struct child_limits *limits,
				const volatile sig_atomic_t *interrupted)
{
	const uint64_t end = monotonic_ns() + (uint64_t)limits->timeout_seconds * 1000000000u;
	uint64_t resident;
	struct pollfd fds[2] = { { .fd = child->result_fd, .events = POLLIN },
				 { .fd = child->error_fd, .events = POLLIN } };

	while (fds[0].fd >= 0 || fds[1].fd >= 0) {
		poll(fds, 2, WATCH_MS);
		if (fds[0].revents && !read_result(child))
			fds[0].fd = -1;
		if (fds[1].revents && !read_errors(child))
			fds[1].fd = -1;
		if (*interrupted)
			return INTERRUPTED;
		if (monotonic_ns() > end)
			return TIMED_OUT;
		if (limits->memory_bytes && resident_watch_read(&child->watch, &resident) == 0 &&
		    resident > limits->memory_bytes)
			return OVER_MEMORY;
	}
	return ENDED;
}

/* ---- judging ---- */

static void set_status(struct record *record, enum cell_status status, const char *what,
		       const char *last_words)
{
	size_t length = strcspn(last_words, "\n");

	/* The last whole line is usually the one that says why. */
	for (const char *line = last_words; *line; line += strcspn(line, "\n")) {
		line += *line == '\n';
		if (*line && *line != '\n') {
			last_words = line;
			length = strcspn(line, "\n");
		}
	}
	record->status = status;
	snprintf(record->reason, sizeof(record->reason), "%s%s%.*s", what,
		 length ? "; it said: " : "", (int)length, last_words);
}

static void judge(const struct child *child, enum verdict verdict, int status,
		  const struct child_limits *limits, struct record *record)
{
	char what[160];

	if (verdict == TIMED_OUT) {
		snprintf(what, sizeof(what), "stopped after %u s without a result (--timeout)",
			 limits->timeout_seconds);
		set_status(record, CELL_TIMEOUT, what, child->last_words);
	} else if (verdict == OVER_MEMORY) {
		snprintf(what, sizeof(what),
			 "stopped when more than %zu MiB were resident (--memory-limit)",
			 limits->memory_bytes >> 20);
		set_status(record, CELL_EXHAUSTED, what, child->last_words);
	} else if (WIFSIGNALED(status)) {
		snprintf(what, sizeof(what), "killed by SIG%s", sigabbrev_np(WTERMSIG(status)));
		set_status(record, CELL_CRASHED, what, child->last_words);
	} else {
		snprintf(what, sizeof(what), "exit code %d without a result", WEXITSTATUS(status));
		set_status(record, CELL_CRASHED, what, child->last_words);
	}
}

int child_measure(const struct measure_spec *spec, const struct child_limits *limits,
		  const volatile sig_atomic_t *interrupted, struct result *result)
{
	struct child child = { 0 };
	enum verdict verdict;
	char why[256];
	int status, error = child_start(spec, limits, &child);

	if (error)
		return error;
	if (resident_watch_open(&child.watch, child.pid) != 0)
		child.watch.fd = -1; /* it has ended already */
	verdict = child_watch(&child, limits, interrupted);
	if (verdict != ENDED)
		kill(child.pid, SIGKILL);
	while (waitpid(child.pid, &status, 0) < 0 && errno == EINTR)
		;
	close(child.result_fd);
	close(child.error_fd);
	resident_watch_close(&child.watch);
	if (verdict == INTERRUPTED) {
		free(child.result.text);
		return -EINTR;
	}
	if (verdict != ENDED || child.result.length == 0 ||
	    result_from_json(child.result.text, child.result.length, result, why, sizeof(why))) {
		measure_record_init(spec, result);
		judge(&child, verdict, status, limits, &result->record);
	} else if (WIFSIGNALED(status) && result->record.status == CELL_OK) {
		/* It measured, and then crashed while it was cleaning up: not to be believed. */
		result_release(result);
		measure_record_init(spec, result);
		judge(&child, verdict, status, limits, &result->record);
	}
	free(child.result.text);
	return 0;
}

/* ---- the process's own side ---- */

static void emit_result(const struct result *result)
{
	const char *fd_text = getenv("POOLBENCH_RESULT_FD");
	const int fd = fd_text ? atoi(fd_text) : STDOUT_FILENO;
	char *text = result_to_json(result);
	size_t done = 0, length = text ? strlen(text) : 0;

	while (done < length) {
		ssize_t n = write(fd, text + done, length - done);

		if (n > 0)
			done += (size_t)n;
		else if (errno != EINTR)
			break;
	}
	if (fd == STDOUT_FILENO && write(fd, "\n", 1) < 0)
		perror("stdout");
	free(text);
}

int cmd_measure(int argc, char **argv)
{
	struct measure_spec spec;
	struct result result;
	char why[256];
	int failed;

	if (argc != 2 || argv[1][0] != '{') {
		fprintf(stderr,
			"usage: poolbench measure '{\"backend\": \"nt-pool\", \"workload\": "
			"\"irp-storm\"}'\n"
			"One measurement in this process (what the runner starts for each "
			"repetition); the result goes to stdout as JSON.\n");
		return 2;
	}
	if (measure_spec_parse(argv[1], &spec, why, sizeof(why)) != 0) {
		fprintf(stderr, "poolbench measure: %s\n", why);
		return 2;
	}
	failed = measure(&spec, &result, emit_result);
	emit_result(&result);
	result_release(&result);
	return failed ? 1 : 0;
}
