/* Writing: a run with its points, and decisions. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store_internal.h"

static double now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- a run ---- */

struct adding {
	const struct history_entry *entry;
	enum store_added added;
	bool present;
	int64_t records; /* that the store has */
	char digest[17], reference[512];
	int64_t series, next_series; /* found, or to be made */
};

static int note_present(const struct store_value *fields, unsigned count, void *argument)
{
	struct adding *adding = argument;

	(void)count;
	adding->present = true;
	if (!store_read_integer(&fields[0], 0, INT64_MAX, &adding->records) ||
	    !store_read_text(&fields[1], adding->digest, sizeof(adding->digest), false))
		return -EBADMSG;
	return 0;
}

static int note_reference(const struct store_value *fields, unsigned count, void *argument)
{
	struct adding *adding = argument;

	(void)count;
	return store_read_text(&fields[0], adding->reference, sizeof(adding->reference), false)
		       ? 0
		       : -EBADMSG;
}

static int note_integer(const struct store_value *fields, unsigned count, void *argument)
{
	(void)count;
	return store_read_integer(&fields[0], 0, INT64_MAX, argument) ? 0 : -EBADMSG;
}

/* The first run fixes the reference of all that follow. */
static int agree_reference(struct store *store, struct adding *adding,
			   const struct store_message *why)
{
	const struct store_value name = store_text(adding->entry->reference);
	int error = store_query(store, "SELECT value FROM track_meta WHERE name = 'reference'",
				NULL, 0, note_reference, adding, why);

	if (error)
		return error;
	if (!*adding->reference)
		return store_query(store,
				   "INSERT INTO track_meta (name, value) VALUES ('reference', $1)",
				   &name, 1, NULL, NULL, why);
	if (!strcmp(adding->reference, adding->entry->reference))
		return 0;
	return store_fail(
		why, -EINVAL,
		"this history's ratios are to '%s', not to '%s': they cannot be mixed; keep "
		"another history with --store",
		adding->reference, adding->entry->reference);
}

static int find_present(struct store *store, struct adding *adding, const struct store_message *why)
{
	const struct history_run *run = &adding->entry->run;
	const struct store_value id = store_text(run->id);
	int error = store_query(store, "SELECT records, digest FROM track_run WHERE id = $1", &id,
				1, note_present, adding, why);

	if (error == -EBADMSG)
		return store_strange(why, "row in track_run");
	if (error || !adding->present)
		return error;
	if ((uint64_t)adding->records < run->records) {
		adding->added = STORE_GROWN;
		return 0;
	}
	adding->added = STORE_PRESENT;
	if ((uint64_t)adding->records > run->records || !strcmp(adding->digest, run->digest))
		return 0;
	return store_fail(
		why, -EEXIST,
		"run %s is in the history with other records: its directory was changed since "
		"it was added; the history keeps what it has",
		run->id);
}

static int write_run(struct store *store, struct adding *adding, const struct store_message *why)
{
	const struct history_entry *entry = adding->entry;
	const struct history_run *run = &entry->run;
	const struct store_value machine[] = { store_text(run->machine),
					       store_text(entry->machine_text) };
	const struct store_value settings[] = { store_text(run->settings),
						store_text(entry->settings_text) };
	const struct store_value values[] = {
		store_text(run->id),       store_text(run->machine),
		store_text(run->settings), store_text(run->branch),
		store_text(run->commit),   store_real(run->started),
		store_real(now_seconds()), store_integer((int64_t)run->records),
		store_text(run->digest),   store_text(run->made_with),
	};
	int error = store_query(
		store,
		"INSERT INTO track_machine (fingerprint, description) VALUES ($1, $2) "
		"ON CONFLICT (fingerprint) DO NOTHING",
		machine, 2, NULL, NULL, why);

	if (!error)
		error = store_query(store,
				    "INSERT INTO track_settings (digest, options) VALUES ($1, $2) "
				    "ON CONFLICT (digest) DO NOTHING",
				    settings, 2, NULL, NULL, why);
	if (!error && adding->added == STORE_GROWN)
		error = store_query(store, "DELETE FROM track_point WHERE run = $1", values, 1,
				    NULL, NULL, why);
	if (error)
		return error;
	return store_query(
		store,
		"INSERT INTO track_run (id, machine, settings, branch, commit_id, started, "
		"added, records, digest, made_with) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) "
		"ON CONFLICT (id) DO UPDATE SET records = excluded.records, "
		"digest = excluded.digest, added = excluded.added",
		values, 10, NULL, NULL, why);
}

/* Series are numbered under the write lock, so that the next number is known once a run. */
static int number_series(struct store *store, struct adding *adding,
			 const struct history_series *series, const struct store_message *why)
{
	const struct store_value key[] = {
		store_text(series->machine),
		store_text(series->settings),
		store_text(series->cell.backend),
		store_text(series->cell.workload),
		store_integer(series->cell.threads),
		store_integer((int64_t)series->cell.page_size),
		store_text(series->cell.backing),
		store_text(series->trace),
		store_text(measure_table[series->measure].name),
		store_integer(adding->next_series),
	};
	int error;

	adding->series = -1;
	error = store_query(
		store,
		"SELECT id FROM track_series WHERE machine = $1 AND settings = $2 AND "
		"backend = $3 AND workload = $4 AND threads = $5 AND page_size = $6 AND "
		"backing = $7 AND trace = $8 AND measure = $9",
		key, 9, note_integer, &adding->series, why);
	if (error || adding->series >= 0)
		return error;
	adding->series = adding->next_series++;
	return store_query(
		store,
		"INSERT INTO track_series (machine, settings, backend, workload, threads, "
		"page_size, backing, trace, measure, id) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
		key, 10, NULL, NULL, why);
}

static char *samples_text(const struct history_point *point)
{
	json_t *array = json_array();
	char *text;

	for (size_t i = 0; i < point->n; i++)
		json_array_append_new(array, json_real(point->samples[i]));
	text = json_dumps(array, JSON_COMPACT | JSON_REAL_PRECISION(9));
	json_decref(array);
	return text;
}

static int write_point(struct store *store, const struct adding *adding,
		       const struct history_point *point, const struct store_message *why)
{
	char *samples = samples_text(point);
	const struct store_value values[] = {
		store_integer(adding->series),
		store_text(adding->entry->run.id),
		store_text(cell_status_names[point->status]),
		store_text(point->reason),
		store_integer((int64_t)point->n),
		store_real(point->value),
		store_real(point->low),
		store_real(point->high),
		store_real(point->absolute),
		store_text(samples),
	};
	int error = samples ? store_query(
				      store,
				      "INSERT INTO track_point (series, run, status, reason, n, "
				      "value, low, high, absolute, samples) "
				      "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
				      values, 10, NULL, NULL, why)
			    : store_fail(why, -ENOMEM, "out of memory");

	free(samples);
	return error;
}

static int add_work(struct store *store, void *argument, const struct store_message *why)
{
	struct adding *adding = argument;
	const struct history_entry *entry = adding->entry;
	int error = agree_reference(store, adding, why);

	if (!error)
		error = find_present(store, adding, why);
	if (error || adding->added == STORE_PRESENT)
		return error;
	error = write_run(store, adding, why);
	if (!error)
		error = store_query(store, "SELECT coalesce(max(id), 0) + 1 FROM track_series",
				    NULL, 0, note_integer, &adding->next_series, why);
	for (size_t i = 0; i < entry->count && !error; i++) {
		error = number_series(store, adding, &entry->series[entry->points[i].series], why);
		if (!error)
			error = write_point(store, adding, &entry->points[i], why);
	}
	return error == -EBADMSG && !why->text[0] ? store_strange(why, "number of a series")
						  : error;
}

int store_add(struct store *store, const struct history_entry *entry, enum store_added *added,
	      char *why, size_t why_bytes)
{
	const struct store_message message = { why, why_bytes };
	struct adding adding = { .entry = entry, .added = STORE_ADDED };
	int error;

	why[0] = '\0';
	error = store_transaction(store, true, add_work, &adding, &message);
	if (!error)
		*added = adding.added;
	return error;
}

/* ---- decisions ---- */

static void name_user(char *name, size_t bytes)
{
	const struct passwd *user = getpwuid(geteuid());

	if (user && *user->pw_name)
		snprintf(name, bytes, "%s", user->pw_name);
	else
		snprintf(name, bytes, "user %lu", (unsigned long)geteuid());
}

static int decide_work(struct store *store, void *argument, const struct store_message *why)
{
	struct history_decision *decision = argument;
	struct store_value values[9];
	int error = store_query(store, "SELECT coalesce(max(id), 0) + 1 FROM track_decision", NULL,
				0, note_integer, &decision->id, why);

	if (error)
		return error;
	values[0] = store_integer(decision->id);
	values[1] = store_text(decision_names[decision->kind]);
	values[2] = store_text(decision->run);
	values[3] = store_text(decision->backend);
	values[4] = store_text(decision->workload);
	values[5] = store_text(decision->measure);
	values[6] = store_text(decision->reason);
	values[7] = store_text(decision->made_by);
	values[8] = store_real(decision->made);
	return store_query(
		store,
		"INSERT INTO track_decision (id, kind, run, backend, workload, measure, reason, "
		"made_by, made) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
		values, 9, NULL, NULL, why);
}

int store_decide(struct store *store, struct history_decision *decision, char *why,
		 size_t why_bytes)
{
	const struct store_message message = { why, why_bytes };

	decision->made = now_seconds();
	decision->withdrawn = NAN;
	name_user(decision->made_by, sizeof(decision->made_by));
	return store_transaction(store, true, decide_work, decision, &message);
}

struct withdrawing {
	const struct history_decision *decision;
	int64_t count;
};

static int withdraw_work(struct store *store, void *argument, const struct store_message *why)
{
	struct withdrawing *withdrawing = argument;
	const struct history_decision *decision = withdrawing->decision;
	const struct store_value values[] = {
		store_text(decision_names[decision->kind]),
		store_text(decision->run),
		store_text(decision->backend),
		store_text(decision->workload),
		store_text(decision->measure),
		store_real(now_seconds()),
		store_text(decision->reason),
	};
	int error = store_query(
		store,
		"SELECT count(*) FROM track_decision WHERE kind = $1 AND run = $2 AND "
		"backend = $3 AND workload = $4 AND measure = $5 AND withdrawn IS NULL",
		values, 5, note_integer, &withdrawing->count, why);

	if (error)
		return error;
	if (!withdrawing->count)
		return store_fail(why, -ENOENT, "no '%s' of run %s that holds for just these cells",
				  decision_names[decision->kind], decision->run);
	return store_query(
		store,
		"UPDATE track_decision SET withdrawn = $6, withdrawn_reason = $7 WHERE "
		"kind = $1 AND run = $2 AND backend = $3 AND workload = $4 AND measure = $5 "
		"AND withdrawn IS NULL",
		values, 7, NULL, NULL, why);
}

int store_withdraw(struct store *store, const struct history_decision *decision, size_t *count,
		   char *why, size_t why_bytes)
{
	const struct store_message message = { why, why_bytes };
	struct withdrawing withdrawing = { .decision = decision };
	int error = store_transaction(store, true, withdraw_work, &withdrawing, &message);

	if (!error)
		*count = (size_t)withdrawing.count;
	return error;
}
