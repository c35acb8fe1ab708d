/* What a comparison consists of: cells, trials, memory. */
#include "ab.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "allocators/registry.h"
#include "bench/cmd.h"
#include "workloads/workload.h"

/* Latency and memory passes take longer and vary less, or answer a coarser question: fewer pairs. */
#define SECONDARY_FIRST   12
#define SECONDARY_MOST    20
#define SECONDARY_CONFIRM 10

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static void lay_out_rules(struct ab_session *session)
{
	const struct ab_options *options = &session->options;

	for (int pass = 0; pass < PASSES; pass++) {
		struct verdict_rules *rules = &session->rules[pass];
		const bool main_pass = pass == PASS_THROUGHPUT;

		*rules = options->rules;
		verdict_rules_looks(
			rules, main_pass ? options->pairs : least(options->pairs, SECONDARY_FIRST),
			main_pass ? options->max_pairs : least(options->max_pairs, SECONDARY_MOST));
		if (!main_pass)
			rules->confirm_pairs = least(rules->confirm_pairs, SECONDARY_CONFIRM);
	}
}

/* ---- cells ---- */

static int add_cell(struct ab_session *session, const char *workload, unsigned threads,
		    size_t page_size, const char *backing, const bool library[2])
{
	struct ab_cell *grown = reallocarray(session->cells, session->cell_count + (size_t)1,
					     sizeof(*grown));
	struct cell *sides[2];
	int error = 0;

	if (!grown)
		return -ENOMEM;
	session->cells = grown;
	grown += session->cell_count++;
	memset(grown, 0, sizeof(*grown));
	sides[0] = &grown->a;
	sides[1] = &grown->b;
	for (int side = 0; side < 2 && !error; side++) {
		struct cell *cell = sides[side];

		snprintf(cell->backend, sizeof(cell->backend), "%s",
			 side ? session->options.b : session->options.a);
		snprintf(cell->workload, sizeof(cell->workload), "%s", workload);
		snprintf(cell->backing, sizeof(cell->backing), "%s", backing);
		cell->threads = threads;
		cell->page_size = library[side] ? 0 : page_size;
		error = run_plan_add_cell(&session->options.record, cell);
	}
	return error;
}

/* A malloc library chooses its own pages: it meets the other side at that side's every page size. */
static int add_cells(struct ab_session *session, const bool library[2], char *why, size_t why_bytes)
{
	const struct plan_options *plan = &session->options.plan;
	int error = 0;

	for (char *const *backing = plan->backings; *backing; backing++) {
		if (strcmp(*backing, "base") != 0 && (library[0] || library[1])) {
			snprintf(why, why_bytes,
				 "--backing %s: a malloc library maps its own memory: only base "
				 "can be held to it",
				 *backing);
			return -EINVAL;
		}
	}
	for (char *const *workload = plan->workloads; *workload; workload++)
		for (const unsigned *threads = plan->threads; *threads; threads++)
			for (const size_t *page = plan->page_sizes; *page; page++)
				for (char *const *backing = plan->backings; *backing && !error;
				     backing++)
					if (!library[0] || !library[1] || page == plan->page_sizes)
						error = add_cell(session, *workload, *threads,
								 *page, *backing, library);
	return error;
}

static int check_side(const char *spec, bool *library, char *why, size_t why_bytes)
{
	struct backend *backend = NULL;
	int error = backend_open(spec, &backend, why, why_bytes);

	if (error)
		return error;
	*library = backend->kind == BACKEND_LIBRARY;
	backend_close(backend);
	return 0;
}

static int check_workloads(struct plan_options *plan, char *why, size_t why_bytes)
{
	const bool asked = plan->workloads[0];
	int error = 0;

	for (int i = 0; !asked && workloads[i] && i < PLAN_LIST; i++) {
		plan->workloads[i] = strdup(workloads[i]->name);
		if (!plan->workloads[i])
			return -ENOMEM;
	}
	for (int i = 0; plan->workloads[i] && !error; i++)
		error = workload_check(plan->workloads[i], why, why_bytes);
	return error;
}

/* ---- tables ---- */

static unsigned batch_rounds(const struct verdict_rules *rules, bool confirm)
{
	return confirm ? rules->confirm_pairs : rules->pairs[rules->looks - 1];
}

static int allocate_cell(struct ab_session *session, unsigned index)
{
	struct ab_cell *cell = &session->cells[index];

	for (int pass = 0; pass < PASSES; pass++) {
		const struct verdict_rules *rules = &session->rules[pass];

		cell->search[pass].rounds = calloc(batch_rounds(rules, false),
						   sizeof(struct ab_round));
		cell->confirm[pass].rounds = calloc(batch_rounds(rules, true),
						    sizeof(struct ab_round));
		if (!cell->search[pass].rounds || !cell->confirm[pass].rounds)
			return -ENOMEM;
	}
	for (int series = 0; series < AB_SERIES; series++) {
		struct ab_track *track = &cell->tracks[series];

		track->trial = &session->trials[(size_t)series * session->cell_count + index];
		trial_init(track->trial);
		track->power = track->median_a = track->median_b = NAN;
		track->planted.ratio = track->planted.p = NAN;
		for (int i = 0; i < 4; i++) {
			track->logs[i] = calloc(AB_BATCH, sizeof(double));
			if (!track->logs[i])
				return -ENOMEM;
		}
	}
	cell->true_share = NAN;
	return 0;
}

static int allocate(struct ab_session *session)
{
	int error = 0;

	session->trials = calloc((size_t)session->cell_count * AB_SERIES, sizeof(*session->trials));
	if (!session->trials)
		return -ENOMEM;
	for (unsigned i = 0; i < session->cell_count && !error; i++)
		error = allocate_cell(session, i);
	return error;
}

static void describe_plan(struct ab_options *options)
{
	options->record.seed = options->plan.prototype.seed;
	options->record.repetitions = options->max_pairs;
	for (int pass = 0; pass < PASSES; pass++)
		if (options->plan.passes[pass])
			options->record.passes |= 1u << pass;
}

int ab_create(struct ab_options *options, struct ab_session *out, char *why, size_t why_bytes)
{
	struct ab_session session = { .options = *options };
	bool library[2] = { false, false };
	int error;

	why[0] = '\0';
	memset(options, 0, sizeof(*options));
	error = check_side(session.options.a, &library[0], why, why_bytes);
	if (!error)
		error = check_side(session.options.b, &library[1], why, why_bytes);
	if (!error)
		error = check_workloads(&session.options.plan, why, why_bytes);
	if (!error)
		error = add_cells(&session, library, why, why_bytes);
	if (!error) {
		lay_out_rules(&session);
		describe_plan(&session.options);
		error = allocate(&session);
	}
	if (error) {
		if (!why[0])
			snprintf(why, why_bytes, "%s", strerror(-error));
		ab_release(&session);
		return error;
	}
	session.verdict = VERDICT_UNKNOWN;
	*out = session;
	return 0;
}

void ab_release(struct ab_session *session)
{
	for (unsigned i = 0; i < session->cell_count; i++) {
		struct ab_cell *cell = &session->cells[i];

		for (int pass = 0; pass < PASSES; pass++) {
			free(cell->search[pass].rounds);
			free(cell->confirm[pass].rounds);
		}
		for (int series = 0; series < AB_SERIES; series++)
			for (int k = 0; k < 4; k++)
				free(cell->tracks[series].logs[k]);
	}
	free(session->cells);
	free(session->trials);
	ab_options_release(&session->options);
	memset(session, 0, sizeof(*session));
}

int ab_exit_code(const struct ab_session *session)
{
	bool failed_b = false;

	for (unsigned i = 0; i < session->cell_count; i++)
		failed_b |= session->cells[i].failed_b;
	if (session->verdict == VERDICT_REGRESSION || failed_b)
		return EXIT_FAILED;
	return verdict_passes(session->verdict) ? EXIT_GOOD : EXIT_INCONCLUSIVE;
}
