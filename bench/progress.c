#include "progress.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bench/clock.h"

void progress_begin(struct progress *progress, unsigned cells, unsigned tasks)
{
	progress->terminal = isatty(STDERR_FILENO);
	progress->cells = cells;
	progress->tasks = tasks;
	progress->begin_ns = monotonic_ns();
	if (!progress->terminal)
		fprintf(stderr, "measuring %u cells in %u fresh processes\n", cells, tasks);
}

static int terminal_columns(void)
{
	struct winsize size;

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

void progress_step(const struct progress *progress, unsigned done, const char *current)
{
	const double elapsed = (double)(monotonic_ns() - progress->begin_ns) * 1e-9;
	char line[512];

	if (!progress->terminal)
		return;
	if (done) {
		const unsigned left =
			(unsigned)(elapsed / done * (progress->tasks - done) + 0.5);

		snprintf(line, sizeof(line), "[%u/%u] %u cells, %u:%02u left: %s", done,
			 progress->tasks, progress->cells, left / 60, left % 60, current);
	} else {
		snprintf(line, sizeof(line), "[0/%u] %u cells: %s", progress->tasks,
			 progress->cells, current);
	}
	fprintf(stderr, "\r\033[K%.*s", terminal_columns() - 1, line);
	fflush(stderr);
}

void progress_end(const struct progress *progress)
{
	if (progress->terminal)
		fprintf(stderr, "\r\033[K");
}
