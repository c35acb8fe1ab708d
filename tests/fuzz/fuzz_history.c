/*
 * Any bytes as a history's file: refused with words, or read; and then every series has a course, whose levels cover it
 * in order.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "results/history_check.h"
#include "results/store.h"

static void check_course(const struct history *history, size_t series)
{
	struct check_rules rules;
	struct course course;
	size_t covered = 0;

	check_rules_init(&rules);
	FUZZ_MUST(course_make(history, series, NAN, &rules, 0.05, &course) == 0);
	for (size_t i = 0; i < course.level_count; i++) {
		FUZZ_MUST(course.levels[i].first == covered);
		covered += course.levels[i].count;
	}
	FUZZ_MUST(covered == course.count && course.baseline < course.level_count);
	for (size_t i = 0; i < course.count; i++)
		FUZZ_MUST(isfinite(course.logs[i]));
	course_release(&course);
}

static void read_store(struct store *store)
{
	const struct history_filter filter = { .points = true, .samples = true };
	struct history_machine *machines = NULL;
	struct history history;
	char why[2048] = "", reference[512];
	size_t count;

	if (store_machines(store, &machines, &count, why, sizeof(why)) == 0)
		free(machines);
	else
		FUZZ_MUST(why[0]);
	why[0] = '\0';
	if (store_reference(store, reference, sizeof(reference), why, sizeof(why)) != 0)
		FUZZ_MUST(why[0]);
	why[0] = '\0';
	if (store_read(store, &filter, &history, why, sizeof(why)) != 0) {
		FUZZ_MUST(why[0]);
		return;
	}
	for (size_t i = 0; i < history.point_count; i++)
		FUZZ_MUST(history.points[i].run < history.run_count &&
			  history.points[i].series < history.series_count);
	for (size_t i = 0; i < history.series_count && i < 16; i++)
		check_course(&history, i);
	history_release(&history);
}

/* SQLite wants a name in a directory, for its log lies beside: in memory where there is such a place. */
static void remove_files(const char *path)
{
	static const char *const beside[] = { "", "-wal", "-shm", "-journal" };
	char name[80];

	for (size_t i = 0; i < sizeof(beside) / sizeof(*beside); i++) {
		snprintf(name, sizeof(name), "%s%s", path, beside[i]);
		unlink(name);
	}
}

static void write_file(const char *path, const uint8_t *data, size_t bytes)
{
	FILE *file = fopen(path, "we");

	FUZZ_MUST(file);
	FUZZ_MUST(fwrite(data, 1, bytes, file) == bytes);
	FUZZ_MUST(fclose(file) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	char path[64], why[2048] = "";
	struct store *store = NULL;

	snprintf(path, sizeof(path), "%s/fuzz_history.%ld",
		 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm", (long)getpid());
	write_file(path, data, bytes);
	if (store_open(path, false, 0, &store, why, sizeof(why)) != 0)
		FUZZ_MUST(why[0]);
	else
		read_store(store);
	store_close(store);
	remove_files(path);
	return 0;
}
