#include "team.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct team_member {
	struct team *team;
	uint64_t (*work)(struct team *team, unsigned processor, void *arg);
	pthread_t thread;
	unsigned processor;
};

static void *member_run(void *arg)
{
	struct team_member *member = arg;
	struct team *team = member->team;

	if (measure_thread_enter(team->measurement, member->processor) != 0)
		atomic_store(&team->failed, true);
	barrier_wait(&team->barrier);
	if (atomic_load(&team->failed))
		return NULL;
	atomic_fetch_add(&team->failed_allocs, member->work(team, member->processor, team->arg));
	measure_thread_exit(team->measurement);
	return NULL;
}

int team_run(struct measurement *measurement,
	     uint64_t (*work)(struct team *team, unsigned processor, void *arg), void *arg)
{
	const unsigned threads = measurement->image.trace.processors;
	struct team_member *members = calloc(threads, sizeof(*members));
	struct team team = { .measurement = measurement, .arg = arg };
	unsigned started = 0;
	int error = 0;

	if (!members)
		return measure_fail(measurement, CELL_CRASHED, "out of memory");
	barrier_init(&team.barrier, threads);
	for (; started < threads && !error; started++) {
		members[started] = (struct team_member){ &team, work, 0, started };
		error = pthread_create(&members[started].thread, NULL, member_run,
				       &members[started]);
	}
	/* Those that started wait at the barrier for ever: the process ends with this record. */
	if (error)
		return measure_fail(measurement, CELL_CRASHED, "cannot start thread %u: %s",
				    started - 1, strerror(error));
	for (unsigned i = 0; i < threads; i++)
		pthread_join(members[i].thread, NULL);
	free(members);
	if (atomic_load(&team.failed))
		return -ECANCELED;
	if (atomic_load(&team.failed_allocs))
		return measure_fail(measurement, CELL_EXHAUSTED, "%llu allocations returned NULL",
				    (unsigned long long)atomic_load(&team.failed_allocs));
	return 0;
}
