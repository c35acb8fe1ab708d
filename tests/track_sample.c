#include "track_sample.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "results/run_dir.h"
#include "workloads/random.h"

const struct track_sample track_sample_usual = {
	.seed = 1,
	.started = 1.79e9,
	.time_factor = 1,
	.footprint_factor = 1,
	.run_noise = 0.005,
	.repetitions = 8,
	.machine = "00112233445566aa",
	.trace = 0x1234,
	.events = "20000",
};

static struct random chance;

static double normal(void)
{
	const double a = ((double)(random_next(&chance) >> 11) + 0.5) / 9007199254740992.0;
	const double b = ((double)(random_next(&chance) >> 11) + 0.5) / 9007199254740992.0;

	return sqrt(-2 * log(a)) * cos(2 * M_PI * b);
}

struct writing {
	const struct track_sample *sample;
	struct run_dir *run;
	char why[512];
	unsigned order;
};

static void begin(struct writing *writing, struct record *record, const char *backend,
		  const char *workload, enum pass pass, unsigned repetition)
{
	record_clear(record);
	snprintf(record->cell.backend, sizeof(record->cell.backend), "%s", backend);
	snprintf(record->cell.workload, sizeof(record->cell.workload), "%s", workload);
	snprintf(record->display_name, sizeof(record->display_name), "%s",
		 strchr(backend, '/') ? "mine" : backend);
	strcpy(record->cell.backing, "base");
	record->cell.threads = 1;
	record->cell.page_size = strcmp(backend, "glibc") ? 4096 : 0;
	record->pass = pass;
	record->repetition = repetition;
	record->order = writing->order++;
	record->seed = writing->sample->seed;
	record->trace_checksum = writing->sample->trace;
	record->operations = 20000;
	record->started_unix_seconds = writing->sample->started + record->order;
	record->wall_seconds = 0.5;
	record->nonpaged_locked = 1;
	record->bound = 1;
}

static int append(struct writing *writing, const struct record *record)
{
	struct result result;

	result_clear(&result);
	result.record = *record;
	return run_dir_append(writing->run, &result, writing->why, sizeof(writing->why));
}

/* Speed of the machine in this repetition: falls on all backends alike. */
static int write_repetition(struct writing *writing, const char *backend, const char *workload,
			    unsigned repetition, double nanoseconds, double mebibytes, double speed)
{
	const bool crashes = writing->sample->crash && !strcmp(backend, "nt-pool") &&
			     !strcmp(workload, "object-churn");
	struct record record;
	int error;

	begin(writing, &record, backend, workload, PASS_THROUGHPUT, repetition);
	if (crashes) {
		record.status = CELL_CRASHED;
		strcpy(record.reason, "signal 11 in alloc");
	} else {
		record.metrics[METRIC_ns_per_op] = nanoseconds * speed * 1.02;
		record.metrics[METRIC_ns_per_op_q1] = nanoseconds * speed * exp(0.01 * normal());
		record.metrics[METRIC_instructions_per_op] = 10 * nanoseconds;
	}
	error = append(writing, &record);
	if (error || repetition > 1)
		return error;
	begin(writing, &record, backend, workload, PASS_MEMORY, repetition);
	record.metrics[METRIC_resident_bytes_peak] =
		floor(mebibytes * 256 * (1 + 0.0005 * normal())) * 4096;
	return append(writing, &record);
}

static int write_workload(struct writing *writing, const char *workload, bool changed)
{
	const struct track_sample *sample = writing->sample;
	const double time = changed ? sample->time_factor : 1;
	const double bytes = changed ? sample->footprint_factor : 1;
	const double level = exp(sample->run_noise * normal());
	int error = 0;

	for (unsigned r = 0; r < sample->repetitions && !error; r++) {
		const double speed = 1 + 0.3 * fabs(normal());

		error = write_repetition(writing, "null", workload, r, 5, 4, speed);
		if (!error)
			error = write_repetition(writing, "nt-pool", workload, r, 12 * time * level,
						 20 * bytes, speed);
		if (!error)
			error = write_repetition(writing, "glibc", workload, r, 25, 24, speed);
		if (!error && sample->plugin)
			error = write_repetition(writing, sample->plugin, workload, r, 9, 18,
						 speed);
	}
	return error;
}

static int write_environment(struct writing *writing)
{
	json_t *environment = json_pack("{si ss s{ss si sI} s{ss ss sn}}", "schema", 1,
					"machine_fingerprint", writing->sample->machine, "machine",
					"cpu_model", "Sample <processor> & co", "processors_online",
					2, "memory_bytes", (json_int_t)24 << 30, "build", "version",
					"0.1.0", "git_commit", "0123456789abcdef", "sanitizers");
	char *text = json_dumps(environment, 0);
	int error = run_dir_write(writing->run, "environment.json", text, strlen(text),
				  writing->why, sizeof(writing->why));

	json_decref(environment);
	free(text);
	return error;
}

int track_sample_write(const struct track_sample *sample, const char *directory)
{
	struct run_plan plan = { .seed = sample->seed, .repetitions = sample->repetitions };
	struct writing writing = { .sample = sample };
	int error;

	random_seed(&chance, sample->seed);
	run_plan_add_option(&plan, "backend", "null,nt-pool,glibc");
	run_plan_add_option(&plan, "events", sample->events);
	error = run_dir_create(NULL, directory, &plan, &writing.run, writing.why,
			       sizeof(writing.why));
	if (!error)
		error = write_environment(&writing);
	if (!error)
		error = write_workload(&writing, "irp-storm", true);
	if (!error)
		error = write_workload(&writing, "object-churn", false);
	for (unsigned i = 0; i < sample->more_cells && !error; i++) {
		char workload[40];

		snprintf(workload, sizeof(workload), "irp-storm:depth=%u", i + 1);
		error = write_workload(&writing, workload, false);
	}
	if (error)
		fprintf(stderr, "%s\n", writing.why);
	run_dir_close(writing.run);
	run_plan_release(&plan);
	return error ? -1 : 0;
}

#ifdef TRACK_SAMPLE_PROGRAM
/* track_sample DIR [NAME=VALUE...]: a run for the tests of the command line. */
int main(int argc, char **argv)
{
	struct track_sample sample = track_sample_usual;

	for (int i = 2; i < argc; i++) {
		const char *value = strchr(argv[i], '=');
		const size_t length = value ? (size_t)(value++ - argv[i]) : 0;

		if (!strncmp(argv[i], "seed", length))
			sample.seed = strtoull(value, NULL, 10);
		else if (!strncmp(argv[i], "day", length))
			sample.started = 1.79e9 + 86400 * strtod(value, NULL);
		else if (!strncmp(argv[i], "time", length))
			sample.time_factor = strtod(value, NULL);
		else if (!strncmp(argv[i], "footprint", length))
			sample.footprint_factor = strtod(value, NULL);
		else if (!strncmp(argv[i], "noise", length))
			sample.run_noise = strtod(value, NULL);
		else if (!strncmp(argv[i], "repetitions", length))
			sample.repetitions = (unsigned)strtoul(value, NULL, 10);
		else if (!strncmp(argv[i], "machine", length))
			sample.machine = value;
		else if (!strncmp(argv[i], "trace", length))
			sample.trace = strtoull(value, NULL, 0);
		else if (!strncmp(argv[i], "events", length))
			sample.events = value;
		else if (!strncmp(argv[i], "plugin", length))
			sample.plugin = value;
		else if (!strncmp(argv[i], "crash", length))
			sample.crash = true;
		else if (!strncmp(argv[i], "cells", length))
			sample.more_cells = (unsigned)strtoul(value, NULL, 10);
		else
			return 2;
	}
	return argc < 2 || track_sample_write(&sample, argv[1]) ? 1 : 0;
}
#endif
