/*
 * object-churn: processes, threads and what their handles refer to: the objects that the pools' sizes limit.
 *
 * A process is a fixed list of parts: the process object, its token, its handle table and the table's pages,
 * its threads, and the objects it holds handles to (events, semaphores, mutants, file objects with their
 * names). Its shape follows from its number and the seed, as a service comes back the same after a restart.
 * The population of long-lived objects is all processes' parts; around it files and events come and go by
 * the burst, threads are replaced, handles are closed and opened again, and whole processes exit and start.
 *
 * docs/object-churn.md says where the numbers come from.
 */
#include "activity.h"

#include <errno.h>
#include <stdlib.h>

#define HANDLES_PER_PAGE (POOL_OS_PAGE / HANDLE_ENTRY_BYTES)
#define BURST_FILES      16u
#define BURST_EVENTS     8u
#define BURST_REOPEN     12u
#define NAME_LOW         36u /* file names: each octave from here .. */
#define NAME_HIGH        1152u /* .. to here is as frequent; the mean is 335 bytes (published: 326) */
#define TOKEN_LOW        0x100u /* groups and privileges of a token */
#define TOKEN_HIGH       0x600u
#define UP_TRIES         16u
#define NO_PROCESS       UINT32_MAX

struct object_churn_options {
	unsigned population, processes, threads;
	double files, events, replace, restart, remote;
	int version;
};

/* clang-format off */
static const struct option_def object_churn_table[] = {
	OPTION_UINT(struct object_churn_options, population, "32768", 64, 1 << 24, "objects",
		    "objects that processes hold handles to"),
	OPTION_UINT(struct object_churn_options, processes, "128", 1, 65536, "processes", "processes alive"),
	OPTION_UINT(struct object_churn_options, threads, "14", 1, 1024, "threads", "threads of a process, on average"),
	OPTION_REAL(struct object_churn_options, files, "0.5", 0, 1, "1",
		    "share of bursts that open and close files"),
	OPTION_REAL(struct object_churn_options, events, "0.25", 0, 1, "1",
		    "share of bursts that create events and close them"),
	OPTION_REAL(struct object_churn_options, replace, "0.1", 0, 1, "1",
		    "share of bursts that end threads and start others"),
	OPTION_REAL(struct object_churn_options, restart, "0.01", 0, 1, "1",
		    "share of bursts in which a process exits or starts; what is left closes and reopens handles"),
	OPTION_REAL(struct object_churn_options, remote, "0.25", 0, 1, "1",
		    "share of the bursts on processes that run on another processor than they live on"),
	OPTION_ENUM(struct object_churn_options, version, "22631", windows_version_names, "Windows version of the sizes"),
	OPTION_END
};
/* clang-format on */

struct part {
	uint32_t slot, bytes;
	uint8_t object; /* enum kernel_object */
};

struct process {
	struct part *parts;
	uint32_t count;
	uint32_t first_thread,
		first_handle; /* indices into parts; the threads end where the handles begin */
	bool up;
};

struct population {
	struct stage *stage;
	const struct object_churn_options *options;
	enum windows_version version;
	struct random random;
	uint64_t traits;
	struct share remote;
	struct process *processes;
	uint32_t *
		down; /* [processors]: the process that exited and will be started again, or NO_PROCESS */
};

static uint32_t object_alloc(struct population *population, unsigned processor,
			     enum kernel_object object)
{
	const uint32_t bytes = kernel_object_bytes(object, population->version);

	return stage_alloc(population->stage, processor, object, bytes, bytes);
}

/* The object manager and the owner between them initialise every part as a whole. */
static void part_make(struct population *population, unsigned processor, struct part *part)
{
	part->slot = stage_alloc(population->stage, processor, (enum kernel_object)part->object,
				 part->bytes, part->bytes);
}

static void process_start(struct population *population, unsigned processor,
			  struct process *process)
{
	for (uint32_t i = 0; i < process->count; i++)
		part_make(population, processor, &process->parts[i]);
	process->up = true;
}

/* Handles are closed in the order of the table, then threads go, then what made the process. */
static void process_exit(struct population *population, unsigned processor, struct process *process)
{
	for (uint32_t i = process->first_handle; i < process->count; i++)
		stage_free(population->stage, processor, process->parts[i].slot);
	for (uint32_t i = process->first_handle; i-- > 0;)
		stage_free(population->stage, processor, process->parts[i].slot);
	process->up = false;
}

/* A process that is up: one of this processor's own, or of all for the share that is remote. */
static struct process *pick_process(struct population *population, unsigned processor)
{
	const unsigned processors = population->stage->processors;
	const uint32_t count = population->options->processes;
	const bool remote = share_next(&population->remote, &population->random) ||
			    count < 2 * processors;

	for (unsigned tries = 0; tries < UP_TRIES; tries++) {
		uint32_t number;

		if (remote)
			number = random_below(&population->random, count);
		else
			number = random_below(&population->random, count / processors) *
					 processors +
				 processor;
		if (population->processes[number].up)
			return &population->processes[number];
	}
	return NULL;
}

static void burst_files(struct population *population, unsigned processor)
{
	uint32_t files[BURST_FILES], names[BURST_FILES];
	const uint32_t count = random_between(&population->random, 1, BURST_FILES);

	for (uint32_t i = 0; i < count; i++) {
		const uint32_t bytes = random_octaves(&population->random, NAME_LOW, NAME_HIGH);

		files[i] = object_alloc(population, processor, OBJECT_FILE);
		names[i] = stage_alloc(population->stage, processor, OBJECT_FILE_NAME, bytes,
				       bytes);
	}
	for (uint32_t i = 0; i < count; i++) {
		stage_free(population->stage, processor, names[i]);
		stage_free(population->stage, processor, files[i]);
	}
}

static void burst_events(struct population *population, unsigned processor)
{
	uint32_t events[BURST_EVENTS];
	const uint32_t count = random_between(&population->random, 1, BURST_EVENTS);

	for (uint32_t i = 0; i < count; i++)
		events[i] = object_alloc(population, processor, OBJECT_EVENT);
	for (uint32_t i = count; i-- > 0;)
		stage_free(population->stage, processor, events[i]);
}

/* A worker thread is started before the one that it replaces has ended. */
static void burst_replace(struct population *population, unsigned processor)
{
	struct process *process = pick_process(population, processor);
	const uint32_t count = random_between(&population->random, 1, 4);

	if (!process)
		return;
	for (uint32_t i = 0; i < count; i++) {
		struct part *thread = &process->parts[random_between(
			&population->random, process->first_thread, process->first_handle - 1)];
		const uint32_t ended = thread->slot;

		part_make(population, processor, thread);
		stage_free(population->stage, processor, ended);
	}
}

/* A process closes a run of its handles and opens as much again, the other way round. */
static void burst_reopen(struct population *population, unsigned processor)
{
	struct process *process = pick_process(population, processor);
	uint32_t handles, count, first;

	if (!process)
		return;
	handles = process->count - process->first_handle;
	count = random_between(&population->random, 1, BURST_REOPEN);
	if (count > handles)
		count = handles;
	if (count == 0)
		return;
	first = process->first_handle + random_below(&population->random, handles - count + 1);
	for (uint32_t i = first; i < first + count; i++)
		stage_free(population->stage, processor, process->parts[i].slot);
	for (uint32_t i = first + count; i-- > first;)
		part_make(population, processor, &process->parts[i]);
}

/* A process exits; the next time round it is started again, into whatever has changed since. */
static void burst_restart(struct population *population, unsigned processor)
{
	uint32_t *down = &population->down[processor];
	struct process *process;

	if (*down != NO_PROCESS) {
		process_start(population, processor, &population->processes[*down]);
		*down = NO_PROCESS;
		return;
	}
	process = pick_process(population, processor);
	if (!process)
		return;
	process_exit(population, processor, process);
	*down = (uint32_t)(process - population->processes);
}

static void population_step(void *state, unsigned processor)
{
	struct population *population = state;
	const struct object_churn_options *options = population->options;
	const uint32_t files = parts_per_million(options->files);
	const uint32_t events = files + parts_per_million(options->events);
	const uint32_t replace = events + parts_per_million(options->replace);
	const uint32_t restart = replace + parts_per_million(options->restart);
	const uint32_t draw = random_below(&population->random, MILLION);

	if (draw < files)
		burst_files(population, processor);
	else if (draw < events)
		burst_events(population, processor);
	else if (draw < replace)
		burst_replace(population, processor);
	else if (draw < restart)
		burst_restart(population, processor);
	else
		burst_reopen(population, processor);
}

/* Processes start one after the other, each on the processor that it lives on. */
static void population_populate(void *state)
{
	struct population *population = state;

	for (uint32_t i = 0; i < population->options->processes; i++)
		process_start(population, i % population->stage->processors,
			      &population->processes[i]);
}

static uint64_t population_debt(const void *state)
{
	const struct population *population = state;
	uint64_t debt = 0;

	for (unsigned p = 0; p < population->stage->processors; p++)
		if (population->down[p] != NO_PROCESS)
			debt += population->processes[population->down[p]].count;
	return debt;
}

static void population_settle(void *state)
{
	struct population *population = state;

	for (unsigned p = 0; p < population->stage->processors; p++)
		if (population->down[p] != NO_PROCESS)
			burst_restart(population, p);
}

/* Half of all handles are events, a third file objects; the rest semaphores and mutants. */
static enum kernel_object handle_object(uint64_t trait)
{
	const uint64_t draw = trait % 100;

	if (draw < 48)
		return OBJECT_EVENT;
	if (draw < 60)
		return OBJECT_SEMAPHORE;
	return draw < 68 ? OBJECT_MUTANT : OBJECT_FILE;
}

static void part_add(struct process *process, enum kernel_object object, uint32_t bytes)
{
	process->parts[process->count++] = (struct part){ .object = (uint8_t)object,
							  .bytes = bytes };
}

/* A file object has its name beside it, and both count as one handle. */
static void shape_handles(struct population *population, struct process *process, uint32_t handles,
			  struct random *traits)
{
	process->first_handle = process->count;
	for (uint32_t i = 0; i < handles; i++) {
		const enum kernel_object object = handle_object(random_next(traits));

		part_add(process, object, kernel_object_bytes(object, population->version));
		if (object == OBJECT_FILE)
			part_add(process, OBJECT_FILE_NAME,
				 random_octaves(traits, NAME_LOW, NAME_HIGH));
	}
}

static int shape_process(struct population *population, uint32_t number, uint32_t handles)
{
	struct process *process = &population->processes[number];
	const uint32_t pages = (handles + HANDLES_PER_PAGE) / HANDLES_PER_PAGE;
	const enum windows_version version = population->version;
	struct random traits;
	uint32_t threads;

	random_seed(&traits, trait_of(population->traits, number));
	threads = random_between(&traits, 1, 2 * population->options->threads - 1);
	process->parts = calloc(3ull + pages + threads + 2ull * handles, sizeof(*process->parts));
	if (!process->parts)
		return -ENOMEM;
	part_add(process, OBJECT_PROCESS, kernel_object_bytes(OBJECT_PROCESS, version));
	part_add(process, OBJECT_TOKEN,
		 kernel_object_bytes(OBJECT_TOKEN, version) +
			 8 * random_between(&traits, TOKEN_LOW / 8, TOKEN_HIGH / 8));
	part_add(process, OBJECT_HANDLE_TABLE, kernel_object_bytes(OBJECT_HANDLE_TABLE, version));
	for (uint32_t i = 0; i < pages; i++)
		part_add(process, OBJECT_HANDLE_PAGE, POOL_OS_PAGE);
	process->first_thread = process->count;
	for (uint32_t i = 0; i < threads; i++)
		part_add(process, OBJECT_THREAD, kernel_object_bytes(OBJECT_THREAD, version));
	shape_handles(population, process, handles, &traits);
	return 0;
}

/* Processes' sizes differ by octaves: a process has 1, 2, 4 or 8 shares of the population. */
static uint32_t process_weight(const struct population *population, uint32_t number)
{
	return 1u << trait_of(population->traits + 1, number) % 4;
}

static int shape_processes(struct population *population)
{
	const struct object_churn_options *options = population->options;
	uint64_t weights = 0;
	int rc = 0;

	for (uint32_t i = 0; i < options->processes; i++)
		weights += process_weight(population, i);
	for (uint32_t i = 0; rc == 0 && i < options->processes; i++)
		rc = shape_process(population, i,
				   (uint32_t)(options->population *
					      (uint64_t)process_weight(population, i) / weights));
	return rc;
}

static void population_destroy(void *state)
{
	struct population *population = state;

	if (!population)
		return;
	for (uint32_t i = 0; population->processes && i < population->options->processes; i++)
		free(population->processes[i].parts);
	free(population->processes);
	free(population->down);
	free(population);
}

static int population_create(struct stage *stage, const void *values, uint64_t seed, void **state)
{
	struct population *population = calloc(1, sizeof(*population));
	int rc = -ENOMEM;

	if (!population)
		return rc;
	population->stage = stage;
	population->options = values;
	population->version = (enum windows_version)population->options->version;
	population->traits = trait_of(seed, 1);
	random_seed(&population->random, seed);
	share_init(&population->remote, parts_per_million(population->options->remote));
	population->processes = calloc(population->options->processes,
				       sizeof(*population->processes));
	population->down = calloc(stage->processors, sizeof(*population->down));
	if (population->processes && population->down)
		rc = shape_processes(population);
	if (rc) {
		population_destroy(population);
		return rc;
	}
	for (unsigned p = 0; p < stage->processors; p++)
		population->down[p] = NO_PROCESS;
	*state = population;
	return 0;
}

const struct activity_kind object_churn_activity = {
	.create = population_create,
	.destroy = population_destroy,
	.populate = population_populate,
	.step = population_step,
	.debt = population_debt,
	.settle = population_settle,
};

static int object_churn_generate(const struct workload_config *config,
				 struct trace_builder *builder)
{
	return activity_generate(config, builder, &object_churn_activity);
}

const struct workload object_churn = {
	.name = "object-churn",
	.summary = "processes, threads, tokens, handle tables, events and files: what the pool "
		   "limits limit",
	.options = object_churn_table,
	.options_bytes = sizeof(struct object_churn_options),
	.generate = object_churn_generate,
};
