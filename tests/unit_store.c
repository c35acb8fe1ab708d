/*
 * The store in a file: what is added is there once and whole, with two writers at once and with writers that are
 * killed; an old version is brought up to date, and what is no store, damaged, locked or hostile is refused with words
 * and left as it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "plots_sample.h"
#include "results/store.h"
#include "results/store_driver.h"
#include "track_sample.h"

enum { RUNS = 8 };

static char root[64], why[2048];

static const char *in_root(const char *name)
{
	static char paths[4][128];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", root, name);
	return path;
}

static struct history_entry entries[RUNS];

static int make_runs(void **state)
{
	(void)state;
	/* in memory where there is such a place: what a kill leaves does not depend on the disk, the time does */
	snprintf(root, sizeof(root), "%s/unit_store.XXXXXX",
		 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	if (!mkdtemp(root))
		return -1;
	for (unsigned i = 0; i < RUNS; i++) {
		struct track_sample sample = track_sample_usual;
		char name[16];

		snprintf(name, sizeof(name), "run%u", i);
		sample.seed = i + 1;
		sample.started += 86400.0 * i;
		sample.more_cells = 12;
		if (track_sample_write(&sample, in_root(name)) ||
		    history_entry_read(in_root(name), "null", &entries[i], why, sizeof(why)))
			return -1;
		strcpy(entries[i].run.branch, i % 2 ? "feature" : "main");
		snprintf(entries[i].run.commit, sizeof(entries[i].run.commit), "%07u", 1234567 + i);
	}
	return 0;
}

static int remove_runs(void **state)
{
	(void)state;
	for (unsigned i = 0; i < RUNS; i++)
		history_entry_release(&entries[i]);
	sample_remove(root);
	return 0;
}

static struct store *open_store(const char *path, bool create)
{
	struct store *store = NULL;
	const int error = store_open(path, create, 10, &store, why, sizeof(why));

	if (error)
		fail_msg("%s: %s", path, why);
	return store;
}

static enum store_added add(struct store *store, const struct history_entry *entry)
{
	enum store_added added = STORE_PRESENT;

	if (store_add(store, entry, &added, why, sizeof(why)))
		fail_msg("%s", why);
	return added;
}

static struct history read_all(struct store *store, const struct history_filter *filter)
{
	struct history history;

	if (store_read(store, filter, &history, why, sizeof(why)))
		fail_msg("%s", why);
	return history;
}

/* ---- plain SQL, from beside ---- */

static int first_text(void *out, int columns, char **values, char **names)
{
	(void)columns;
	(void)names;
	snprintf(out, 256, "%s", values[0] ? values[0] : "NULL");
	return 0;
}

static void sql(const char *path, const char *text, char *answer)
{
	sqlite3 *handle;
	char unused[256];

	assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
	sqlite3_busy_timeout(handle, 10000);
	if (sqlite3_exec(handle, text, first_text, answer ? answer : unused, NULL) != SQLITE_OK)
		fail_msg("%s: %s", text, sqlite3_errmsg(handle));
	sqlite3_close(handle);
}

/* Every run has all of its points, and the file is sound. */
static void assert_sound(const char *path)
{
	char answer[256];
	struct store *store = open_store(path, false);
	struct history history = read_all(store, &(struct history_filter){ .points = true });

	for (size_t i = 0; i < history.run_count; i++)
		assert_int_equal(history.runs[i].points, entries[0].count);
	assert_int_equal(history.point_count, history.run_count * entries[0].count);
	history_release(&history);
	store_close(store);
	sql(path, "PRAGMA integrity_check", answer);
	assert_string_equal(answer, "ok");
	answer[0] = '\0';
	sql(path, "PRAGMA foreign_key_check", answer);
	assert_string_equal(answer, "");
}

/* ---- what goes in comes out ---- */

static void runs_go_in_once_and_come_out_whole(void **state)
{
	const char *path = in_root("plain.db");
	struct store *store = open_store(path, true);
	struct history history;
	char reference[64];

	(void)state;
	store_reference(store, reference, sizeof(reference), why, sizeof(why));
	assert_string_equal(reference, "");
	for (unsigned i = RUNS; i-- > 0;)
		assert_int_equal(add(store, &entries[i]), STORE_ADDED);
	for (unsigned i = 0; i < RUNS; i++)
		assert_int_equal(add(store, &entries[i]), STORE_PRESENT);
	store_reference(store, reference, sizeof(reference), why, sizeof(why));
	assert_string_equal(reference, "null");
	history = read_all(store, &(struct history_filter){ .points = true, .samples = true });
	assert_int_equal(history.run_count, RUNS);
	for (size_t i = 0; i < RUNS; i++) {
		assert_string_equal(history.runs[i].id, entries[i].run.id); /* by time */
		assert_string_equal(history.runs[i].commit, entries[i].run.commit);
		assert_true(history.runs[i].started == entries[i].run.started);
	}
	for (size_t i = 0; i < history.point_count; i++) {
		const struct history_point *got = &history.points[i];
		const struct history_entry *entry = &entries[got->run];
		size_t j = 0;

		while (entry->series[j].measure != history.series[got->series].measure ||
		       !cell_same(&entry->series[j].cell, &history.series[got->series].cell))
			j++;
		assert_true(got->value == entry->points[j].value);
		assert_true(got->low == entry->points[j].low &&
			    got->absolute == entry->points[j].absolute);
		assert_int_equal(got->n, entry->points[j].n);
		assert_true(fabs(got->samples[0] / entry->points[j].samples[0] - 1) < 1e-8);
	}
	history_release(&history);
	history = read_all(store,
			   &(struct history_filter){ .branch = "main", .last = 2, .points = true });
	assert_int_equal(history.run_count, 2);
	assert_string_equal(history.runs[1].id, entries[6].run.id);
	assert_int_equal(history.point_count, 2 * entries[0].count);
	history_release(&history);
	history = read_all(store, &(struct history_filter){ .before = entries[3].run.started });
	assert_int_equal(history.run_count, 3);
	history_release(&history);
	store_close(store);
	assert_sound(path);
}

static void growth_and_change_are_told_apart(void **state)
{
	struct store *store = open_store(in_root("grown.db"), true);
	struct history_entry less = entries[0];
	enum store_added added;

	(void)state;
	less.run.records -= 5;
	less.count -= 3;
	strcpy(less.run.digest, "0000000000000000");
	assert_int_equal(add(store, &less), STORE_ADDED);
	assert_int_equal(add(store, &entries[0]), STORE_GROWN);
	assert_int_equal(add(store, &less), STORE_PRESENT);
	less.run.records = entries[0].run.records;
	assert_int_equal(store_add(store, &less, &added, why, sizeof(why)), -EEXIST);
	assert_non_null(strstr(why, "was changed"));
	snprintf(less.reference, sizeof(less.reference), "glibc");
	assert_int_equal(store_add(store, &less, &added, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "'null', not to 'glibc'"));
	store_close(store);
	assert_sound(in_root("grown.db"));
}

static void decisions_are_kept_and_taken_back(void **state)
{
	struct store *store = open_store(in_root("plain.db"), false);
	struct history_decision decision = { .kind = DECISION_FORGET,
					     .reason = "it's \"bad\"; --" };
	struct history_run run;
	struct history history;
	size_t count;

	(void)state;
	assert_int_equal(store_find_run(store, "1234569", NULL, &run, why, sizeof(why)), 0);
	assert_string_equal(run.id, entries[2].run.id);
	assert_int_equal(store_find_run(store, "last", NULL, &run, why, sizeof(why)), 0);
	assert_string_equal(run.id, entries[RUNS - 1].run.id);
	assert_int_equal(store_find_run(store, "2026", NULL, &run, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "any of 8"));
	assert_int_equal(store_find_run(store, "", NULL, &run, why, sizeof(why)), -EINVAL);
	assert_int_equal(store_find_run(store, "xyz", NULL, &run, why, sizeof(why)), -EINVAL);
	strcpy(decision.run, entries[2].run.id);
	assert_int_equal(store_decide(store, &decision, why, sizeof(why)), 0);
	history = read_all(store, &(struct history_filter){ .last = 0 });
	assert_true(history.runs[2].forgotten && !history.runs[3].forgotten);
	assert_string_equal(history.decisions[0].reason, "it's \"bad\"; --");
	assert_true(*history.decisions[0].made_by && history.decisions[0].made > 1e9);
	history_release(&history);
	strcpy(decision.reason, "was good");
	assert_int_equal(store_withdraw(store, &decision, &count, why, sizeof(why)), 0);
	assert_int_equal(count, 1);
	assert_int_equal(store_withdraw(store, &decision, &count, why, sizeof(why)), -ENOENT);
	history = read_all(store, &(struct history_filter){ .last = 0 });
	assert_false(history.runs[2].forgotten);
	assert_int_equal(history.decision_count, 1); /* it stays on record */
	assert_string_equal(history.decisions[0].withdrawn_reason, "was good");
	history_release(&history);
	/* a pinned run comes with the others, whatever its branch */
	decision.kind = DECISION_PIN;
	strcpy(decision.run, entries[1].run.id);
	assert_int_equal(store_decide(store, &decision, why, sizeof(why)), 0);
	history = read_all(store,
			   &(struct history_filter){ .branch = "main", .last = 2, .points = true });
	assert_int_equal(history.run_count, 3);
	assert_true(history.runs[0].outside && !history.runs[1].outside);
	assert_int_equal(history.point_count, 3 * entries[0].count);
	history_release(&history);
	store_close(store);
}

/* ---- several processes ---- */

/* In a child: adds every run, `rounds` times over. */
static void adder(const char *path, unsigned rounds)
{
	struct store *store;
	enum store_added added;
	int error = store_open(path, true, 20, &store, why, sizeof(why));

	for (unsigned i = 0; i < rounds * RUNS && !error; i++)
		error = store_add(store, &entries[(i + (unsigned)getpid()) % RUNS], &added, why,
				  sizeof(why));
	if (error)
		fprintf(stderr, "adder: %s\n", why);
	_exit(error ? 1 : 0);
}

static pid_t start_adder(const char *path, unsigned rounds)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0)
		adder(path, rounds);
	assert_true(pid > 0);
	return pid;
}

static void writers_at_once(void **state)
{
	const char *path = in_root("several.db");
	pid_t pids[4];

	(void)state;
	for (int i = 0; i < 4; i++) /* they race to create it, too */
		pids[i] = start_adder(path, 2);
	for (int i = 0; i < 4; i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	assert_sound(path);
	struct store *store = open_store(path, false);
	struct history history = read_all(store, &(struct history_filter){ .last = 0 });
	assert_int_equal(history.run_count, RUNS);
	history_release(&history);
	store_close(store);
}

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* How long one that nobody kills takes here and now. */
static double adder_seconds(void)
{
	const double begin = seconds_now();
	int status;

	waitpid(start_adder(in_root("unkilled.db"), 1), &status, 0);
	assert_int_equal(status, 0);
	return seconds_now() - begin;
}

/* Killed after a time that sweeps over the whole of it, several times over; each time the store is sound. */
static void killed_in_mid_write(void **state)
{
	const double whole = adder_seconds();
	unsigned in_the_middle = 0;

	(void)state;
	for (unsigned round = 0; round < 40; round++) {
		const double wait_seconds = whole * (0.05 + 0.1 * (round % 10));
		struct timespec pause = { (time_t)wait_seconds,
					  (long)(1e9 * (wait_seconds - floor(wait_seconds))) };
		char name[32], path[128];
		struct store *store;
		struct history history;
		int status, error;
		pid_t pid;

		snprintf(name, sizeof(name), "killed%u.db", round);
		snprintf(path, sizeof(path), "%s", in_root(name));
		pid = start_adder(path, 1);
		nanosleep(&pause, NULL);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		error = store_open(path, false, 10, &store, why, sizeof(why));
		if (error == -ENOENT)
			continue; /* not made yet */
		if (error)
			fail_msg("after a kill: %s", why);
		history = read_all(store, &(struct history_filter){ .last = 0 });
		in_the_middle += history.run_count > 0 && history.run_count < RUNS;
		history_release(&history);
		store_close(store);
		assert_sound(path);
	}
	/* and what was lost can be added again */
	start_adder(in_root("killed0.db"), 1);
	int status;
	wait(&status);
	assert_int_equal(status, 0);
	assert_sound(in_root("killed0.db"));
	printf("%u of 40 kills left some of the runs\n", in_the_middle);
	assert_true(in_the_middle > 0);
}

/* ---- versions ---- */

static void execute_file(const char *path, const char *script)
{
	size_t bytes;
	char *text = sample_read(script, &bytes);

	assert_non_null(text);
	sql(path, text, NULL);
	free(text);
}

static void version_1_is_brought_up_to_date(void **state)
{
	const char *path = in_root("old.db");
	struct store *store;
	struct history history;
	char answer[256];

	(void)state;
	execute_file(path, HISTORY_V1);
	store = open_store(path, false);
	history = read_all(store, &(struct history_filter){ .points = true, .samples = true });
	assert_int_equal(history.run_count, 2);
	assert_string_equal(history.runs[0].id, "20260131T120000Z-0a1b2c3d");
	assert_true(history.runs[0].started == 1769860800.25);
	assert_int_equal(history.series_count, 2);
	assert_int_equal(history.point_count, 3);
	/* by cell, then measure, then run: time of both runs, footprint of the first */
	assert_int_equal(history.series[0].measure, MEASURE_TIME);
	assert_true(history.points[0].value == 2.5 && history.points[0].samples[2] == 2.625);
	assert_true(isnan(history.points[0].absolute));
	assert_int_equal(history.points[1].status, CELL_CRASHED);
	assert_string_equal(history.points[1].reason, "signal 11");
	assert_true(history.points[2].value == 2097152);
	assert_int_equal(history.decision_count, 1);
	assert_string_equal(history.decisions[0].made_by, "ann");
	history_release(&history);
	assert_int_equal(add(store, &entries[0]), STORE_ADDED);
	store_close(store);
	sql(path, "SELECT value FROM track_meta WHERE name = 'schema'", answer);
	assert_string_equal(answer, "2");
	/* the tables of an old store that was migrated are those of a new one */
	sql(path,
	    "SELECT group_concat(name || ' ' || type || ' ' || pk) FROM "
	    "pragma_table_info('track_point')",
	    answer);
	char fresh[256];
	sql(in_root("plain.db"),
	    "SELECT group_concat(name || ' ' || type || ' ' || pk) FROM "
	    "pragma_table_info('track_point')",
	    fresh);
	assert_string_equal(answer, fresh);
}

static int open_error(const char *path, bool create)
{
	struct store *store = NULL;
	const int error = store_open(path, create, 0, &store, why, sizeof(why));

	store_close(store);
	return error;
}

static void a_newer_version_is_left_alone(void **state)
{
	const char *path = in_root("newer.db");
	char answer[256];

	(void)state;
	execute_file(path, HISTORY_V1);
	sql(path, "UPDATE track_meta SET value = '7' WHERE name = 'schema'", NULL);
	assert_int_equal(open_error(path, true), -EPROTONOSUPPORT);
	assert_non_null(strstr(why, "version 7"));
	assert_non_null(strstr(why, "newer"));
	sql(path, "SELECT value FROM track_meta WHERE name = 'schema'", answer);
	assert_string_equal(answer, "7");
}

/* ---- what is no store ---- */

static void write_file(const char *path, const void *data, size_t bytes)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, bytes, file), bytes);
	fclose(file);
}

static void strangers_are_refused(void **state)
{
	const char *path = in_root("stranger.db");
	char noise[9000];

	(void)state;
	assert_int_equal(open_error(in_root("nowhere.db"), false), -ENOENT);
	assert_non_null(strstr(why, "track add"));
	assert_int_not_equal(access(in_root("nowhere.db"), F_OK), 0); /* looking makes nothing */
	assert_int_equal(open_error(root, true), -EISDIR);
	assert_int_equal(open_error("/dev/null", true), -EINVAL);
	assert_int_equal(open_error(in_root("run0/records.jsonl/x.db"), true), -ENOTDIR);
	memset(noise, 'x', sizeof(noise));
	write_file(path, noise, sizeof(noise));
	assert_int_equal(open_error(path, true), -EBADMSG);
	assert_non_null(strstr(why, "no SQLite database"));
	unlink(path);
	sql(path, "CREATE TABLE recipes (id INTEGER, text TEXT)", NULL);
	assert_int_equal(open_error(path, true), -EBADMSG);
	assert_non_null(strstr(why, "something else"));
	unlink(path);
	execute_file(path, HISTORY_V1);
	sql(path, "CREATE TRIGGER t AFTER INSERT ON track_run BEGIN DELETE FROM track_point; END",
	    NULL);
	assert_int_equal(open_error(path, true), -EBADMSG);
	assert_non_null(strstr(why, "triggers"));
}

static int read_error(const char *path)
{
	const struct history_filter filter = { .points = true, .samples = true };
	struct history history;
	struct store *store;
	int error = store_open(path, false, 1, &store, why, sizeof(why));

	if (error)
		return error;
	error = store_read(store, &filter, &history, why, sizeof(why));
	if (!error)
		history_release(&history);
	store_close(store);
	return error;
}

/* Values of other types, sizes and meanings than poolbench writes: each is refused with words. */
static void hostile_values_are_refused(void **state)
{
	static const char *const deeds[] = {
		"UPDATE track_run SET started = -1e300",
		"UPDATE track_run SET added = 'yesterday'",
		"UPDATE track_run SET id = x'00ff' WHERE rowid = 2",
		"UPDATE track_run SET branch = hex(randomblob(400))",
		"UPDATE track_run SET records = -1",
		"UPDATE track_series SET threads = 1e30",
		"UPDATE track_series SET page_size = -4096",
		"UPDATE track_series SET measure = 'beauty' WHERE id = 1",
		"UPDATE track_series SET backend = hex(randomblob(2000)) WHERE id = 1",
		"UPDATE track_point SET status = 'FINE'",
		"UPDATE track_point SET value = -2 WHERE n > 0",
		"UPDATE track_point SET value = 9e999 WHERE n > 0",
		"UPDATE track_point SET n = 1000000000",
		"UPDATE track_point SET n = n + 1",
		"UPDATE track_point SET samples = '[1,2,\"three\"]' WHERE n = 3",
		"UPDATE track_point SET samples = '[[[[[['",
		"UPDATE track_point SET samples = x'00'",
		"UPDATE track_point SET reason = hex(randomblob(1000))",
		"UPDATE track_decision SET kind = 'destroy'",
		"UPDATE track_decision SET made = 'never'",
		"UPDATE track_meta SET value = '-1' WHERE name = 'schema'",
		"UPDATE track_meta SET value = hex(randomblob(5000)) WHERE name = 'format'",
		"UPDATE track_meta SET value = 'other' WHERE name = 'format'",
		"DELETE FROM track_meta",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(deeds) / sizeof(*deeds); i++) {
		const char *path = in_root("hostile.db");

		unlink(path);
		execute_file(path, HISTORY_V1);
		sql(path, deeds[i], NULL);
		if (read_error(path) != -EBADMSG)
			fail_msg("%s was not refused: %s", deeds[i], why);
		assert_non_null(strstr(why, "poolbench never writes"));
	}
}

/* Bytes turned over and files cut short anywhere: refused or read, never a crash or a hang. */
static void damage_never_crashes(void **state)
{
	unsigned refused = 0;
	size_t bytes;
	char *text;

	(void)state;
	execute_file(in_root("sound.db"), HISTORY_V1);
	text = sample_read(in_root("sound.db"), &bytes);
	assert_non_null(text);
	for (unsigned i = 0; i < 400; i++) {
		char *copy = malloc(bytes);
		const size_t where = (i * 2654435761u) % bytes;

		memcpy(copy, text, bytes);
		for (size_t k = where; k < where + 1 + i % 40 && k < bytes; k++)
			copy[k] = (char)(copy[k] ^ (i % 2 ? 0xff : 0x15));
		write_file(in_root("damaged.db"), copy, i % 5 ? bytes : where + 1);
		free(copy);
		refused += read_error(in_root("damaged.db")) != 0;
		unlink(in_root("damaged.db-wal"));
		unlink(in_root("damaged.db-shm"));
	}
	printf("%u of 400 damaged files refused\n", refused);
	assert_true(refused > 40); /* the others hit what no value is kept in */
	free(text);
}

static void locked_is_said(void **state)
{
	const char *path = in_root("locked.db");
	struct store *store = open_store(path, true), *other;
	enum store_added added;
	sqlite3 *holder;

	(void)state;
	add(store, &entries[0]);
	store_close(store);
	assert_int_equal(sqlite3_open(path, &holder), SQLITE_OK);
	assert_int_equal(sqlite3_exec(holder, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(store_open(path, true, 1, &other, why, sizeof(why)), 0);
	/* readers do not mind */
	struct history history = read_all(other, &(struct history_filter){ .points = true });
	assert_int_equal(history.run_count, 1);
	history_release(&history);
	assert_int_equal(store_add(other, &entries[1], &added, why, sizeof(why)), -EBUSY);
	assert_non_null(strstr(why, "--wait"));
	sqlite3_exec(holder, "ROLLBACK", NULL, NULL, NULL);
	sqlite3_close(holder);
	assert_int_equal(add(other, &entries[1]), STORE_ADDED);
	store_close(other);
	assert_sound(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_go_in_once_and_come_out_whole),
		cmocka_unit_test(growth_and_change_are_told_apart),
		cmocka_unit_test(decisions_are_kept_and_taken_back),
		cmocka_unit_test(writers_at_once),
		cmocka_unit_test(killed_in_mid_write),
		cmocka_unit_test(version_1_is_brought_up_to_date),
		cmocka_unit_test(a_newer_version_is_left_alone),
		cmocka_unit_test(strangers_are_refused),
		cmocka_unit_test(hostile_values_are_refused),
		cmocka_unit_test(damage_never_crashes),
		cmocka_unit_test(locked_is_said),
	};

	return cmocka_run_group_tests(tests, make_runs, remove_runs);
}
