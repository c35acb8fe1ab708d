/* Progress on stderr: a line that is rewritten on a terminal, one line in all elsewhere. */
#ifndef POOLBENCH_PROGRESS_H
#define POOLBENCH_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool terminal;
	unsigned cells, tasks;
	uint64_t begin_ns;
};

void progress_begin(struct progress *progress, unsigned cells, unsigned tasks);
/* `done` of the tasks are over; `current` is about to run. */
void progress_step(const struct progress *progress, unsigned done, const char *current);
void progress_end(const struct progress *progress);

#endif
