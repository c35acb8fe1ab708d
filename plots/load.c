#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "results/run_dir.h"

int run_load(const char *path, struct model_run *run, char *why, size_t why_bytes)
{
	char file_name[4200];
	const char *end;
	int err;

	run->path = strdup(path);
	if (!run->path)
		return -ENOMEM;
	for (size_t n = strlen(run->path); n > 1 && run->path[n - 1] == '/'; n--)
		run->path[n - 1] = '\0';
	end = strrchr(run->path, '/');
	snprintf(run->name, sizeof(run->name), "%s", end && end[1] ? end + 1 : run->path);
	err = records_read(run->path, &run->records, &run->count, why, why_bytes);
	if (err)
		return err;
	if (!run->count) {
		snprintf(why, why_bytes, "%s: nothing to show yet: no repetition has finished",
			 run->path);
		return -ENODATA;
	}
	/* the machine is shown where it is known: a run that was killed early has no such file */
	snprintf(file_name, sizeof(file_name), "%s/environment.json", run->path);
	run->environment = json_load_file(file_name, 0, NULL);
	snprintf(file_name, sizeof(file_name), "%s/ab.json", run->path);
	run->comparison = json_load_file(file_name, 0, NULL);
	snprintf(file_name, sizeof(file_name), "%s/tune.json", run->path);
	run->tune = json_load_file(file_name, 0, NULL);
	return summarise(run->records, run->count, &run->cells, &run->cell_count);
}

void run_unload(struct model_run *run)
{
	free(run->path);
	free(run->records);
	free(run->cells);
	json_decref(run->environment);
	json_decref(run->comparison);
	json_decref(run->tune);
}
