#include "bench/recording.h"

#include <errno.h>
#include <stdio.h>

#include "bench/placement.h"
#include "results/environment.h"

int recording_resume(const char *directory, const char *mark, const char *command,
		     recording_set set, void *arg, struct run_dir **run, char *why,
		     size_t why_bytes)
{
	struct run_plan stored = { 0 };
	int error = run_dir_open_resume(directory, &stored, run, why, why_bytes);

	if (error)
		return error;
	if (mark && !run_plan_option(&stored, mark)) {
		snprintf(why, why_bytes, "%s was not made by this command: %s --resume", directory,
			 command);
		error = -EINVAL;
	}
	for (size_t i = 0; !error && i < stored.option_count; i++)
		error = set(arg, stored.options[i].name, stored.options[i].value, why, why_bytes);
	run_plan_release(&stored);
	return error;
}

/* The machine's topology: a run is worth having without it, so a failure is only said. */
static void write_topology(struct run_dir *run)
{
	struct placement *placement = NULL;
	char path[4096], why[256] = "";

	snprintf(path, sizeof(path), "%s/topology.xml", run_dir_path(run));
	if (placement_create(&placement, why, sizeof(why)) != 0 ||
	    placement_export(placement, path, why, sizeof(why)) != 0)
		fprintf(stderr, "poolbench: no topology.xml: %s\n", why);
	placement_destroy(placement);
}

int recording_measure(struct run_dir *run, const struct run_plan *plan,
		      int (*measure)(void *arg, struct run_dir *run, char *why, size_t why_bytes),
		      void *arg, char *why, size_t why_bytes)
{
	json_t *previous = environment_read(run_dir_path(run));
	json_t *environment = environment_begin(plan, previous);
	int error = -ENOMEM;

	snprintf(why, why_bytes, "out of memory");
	if (environment)
		error = environment_write(run, environment, why, why_bytes);
	if (!error) {
		write_topology(run);
		error = measure(arg, run, why, why_bytes);
	}
	if (!error)
		error = environment_end(environment);
	if (!error)
		error = environment_write(run, environment, why, why_bytes);
	if (!error)
		error = run_dir_finish(run, why, why_bytes);
	json_decref(environment);
	json_decref(previous);
	return error;
}
