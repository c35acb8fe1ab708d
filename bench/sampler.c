#include "sampler.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/random.h"

int sampler_open(struct sampler *sampler, const struct plan_options *plan, struct run_dir *dir,
		 uint64_t stream, char *why, size_t why_bytes)
{
	const struct launcher_limits limits = { .timeout_seconds = plan->timeout_seconds,
						.memory_bytes = plan->memory_limit_bytes };
	int error;

	*sampler = (struct sampler){ .dir = dir,
				     .order_seed = plan->prototype.seed ^ stream,
				     .why = why,
				     .why_bytes = why_bytes };
	error = records_read(run_dir_path(dir), &sampler->known, &sampler->known_count, why,
			     why_bytes);
	if (!error)
		error = launcher_create(&plan->prototype, &limits, &sampler->launcher, why,
					why_bytes);
	return error;
}

void sampler_close(struct sampler *sampler)
{
	launcher_destroy(sampler->launcher);
	free(sampler->known);
	memset(sampler, 0, sizeof(*sampler));
}

static const struct record *find_known(const struct sampler *sampler, const struct cell *cell,
				       enum pass pass, unsigned repetition)
{
	for (size_t i = 0; i < sampler->known_count; i++) {
		const struct record *record = &sampler->known[i];

		if (record->repetition == repetition && record->pass == pass &&
		    cell_same(&record->cell, cell))
			return record;
	}
	return NULL;
}

int sampler_take(struct sampler *sampler, const struct measure_spec *spec, const struct cell *kept,
		 const char *suffix, struct record *out)
{
	const struct record *known = find_known(sampler, kept, spec->pass, spec->repetition);
	struct measure_spec ordered = *spec;
	struct result result;
	char *name;
	int error;

	if (known) {
		*out = *known;
		return 0;
	}
	ordered.order = (unsigned)run_dir_count(sampler->dir);
	error = launcher_measure(sampler->launcher, &ordered, &result);
	if (error) {
		snprintf(sampler->why, sampler->why_bytes, "cannot start a measuring process: %s",
			 strerror(-error));
		return error;
	}
	result.record.cell = *kept;
	name = result.record.display_name;
	if (suffix)
		strncat(name, suffix, sizeof(result.record.display_name) - strlen(name) - 1);
	sampler->processes++;
	error = run_dir_append(sampler->dir, &result, sampler->why, sampler->why_bytes);
	*out = result.record;
	result_release(&result);
	return error;
}

void sampler_shuffle(const struct sampler *sampler, uint64_t a, uint64_t b, uint64_t c,
		     unsigned *list, unsigned count)
{
	uint64_t state = sampler->order_seed;
	struct random random;

	state = random_splitmix(&state) ^ a;
	state = random_splitmix(&state) ^ b;
	state = random_splitmix(&state) ^ c;
	random_seed(&random, random_splitmix(&state));
	for (unsigned i = count; i > 1; i--) {
		const unsigned j = random_below(&random, i);
		const unsigned other = list[j];

		list[j] = list[i - 1];
		list[i - 1] = other;
	}
}
