/* The run's directory: what a kill, a full disk and a second writer do to it. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "results/run_dir.h"

static char root[64], why[512];

static int make_root(void **state)
{
	(void)state;
	strcpy(root, "/tmp/poolbench-run-XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", root);
	return system(command);
}

static void sample_cell(struct cell *cell)
{
	memset(cell, 0, sizeof(*cell));
	strcpy(cell->backend, "slub:cpu_partial=30,x=1");
	strcpy(cell->workload, "irp-storm");
	strcpy(cell->backing, "base");
	cell->threads = 2;
	cell->page_size = 65536;
}

static void sample_plan(struct run_plan *plan)
{
	struct cell cell;

	memset(plan, 0, sizeof(*plan));
	plan->seed = UINT64_MAX;
	plan->repetitions = 5;
	plan->passes = 1u << PASS_THROUGHPUT | 1u << PASS_MEMORY;
	sample_cell(&cell);
	assert_int_equal(run_plan_add_option(plan, "backend", "slub,\"tlsf\""), 0);
	assert_int_equal(run_plan_add_option(plan, "quick", ""), 0);
	assert_int_equal(run_plan_add_cell(plan, &cell), 0);
	cell.threads = 1;
	assert_int_equal(run_plan_add_cell(plan, &cell), 0);
}

static struct run_dir *create(const char *out)
{
	struct run_plan plan;
	struct run_dir *run = NULL;
	int error;

	sample_plan(&plan);
	error = run_dir_create(root, out, &plan, &run, why, sizeof(why));
	if (error)
		fail_msg("%s", why);
	run_plan_release(&plan);
	return run;
}

/* One repetition with `points` rows of memory and of laps. */
static void sample_result(struct result *result, unsigned repetition, size_t points)
{
	result_clear(result);
	sample_cell(&result->record.cell);
	result->record.repetition = repetition;
	result->record.operations = 1000;
	result->record.metrics[METRIC_ns_per_op] = 5 + repetition;
	result->memory = calloc(points, sizeof(*result->memory));
	result->memory_points = points;
	result->lap_ns_per_op = calloc(points, sizeof(double));
	result->laps = points;
	for (size_t i = 0; i < points; i++) {
		result->memory[i].event = i;
		result->memory[i].committed_bytes = NAN;
		result->lap_ns_per_op[i] = 0.1 + (double)i;
	}
}

static int append(struct run_dir *run, unsigned repetition, size_t points)
{
	struct result result;
	int error;

	sample_result(&result, repetition, points);
	error = run_dir_append(run, &result, why, sizeof(why));
	result_release(&result);
	return error;
}

static char *slurp(const char *directory, const char *name)
{
	char path[8192], *text = calloc(1, 1 << 20);
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "r");
	assert_non_null(file);
	text[fread(text, 1, (1 << 20) - 1, file)] = '\0';
	fclose(file);
	return text;
}

static void add_text(const char *directory, const char *name, const char *text)
{
	char path[8192];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "a");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void assert_records(const char *directory, size_t expect)
{
	struct record *records;
	size_t count;

	if (records_read(directory, &records, &count, why, sizeof(why)))
		fail_msg("%s", why);
	assert_int_equal(count, expect);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(records[i].repetition, i);
	free(records);
}

static void a_new_run_has_its_plan_and_headers(void **state)
{
	struct run_dir *run = create(NULL);
	struct run_plan plan;
	struct cell cell;
	char *text;

	(void)state;
	assert_int_equal(strncmp(run_dir_path(run), root, strlen(root)), 0);
	assert_int_equal(run_plan_read(run_dir_path(run), &plan, why, sizeof(why)), 0);
	assert_true(plan.seed == UINT64_MAX);
	assert_int_equal(plan.repetitions, 5);
	assert_int_equal(plan.passes, 1u << PASS_THROUGHPUT | 1u << PASS_MEMORY);
	assert_string_equal(run_plan_option(&plan, "backend"), "slub,\"tlsf\"");
	assert_string_equal(run_plan_option(&plan, "quick"), "");
	assert_null(run_plan_option(&plan, "none"));
	assert_int_equal(plan.cell_count, 2);
	sample_cell(&cell);
	assert_true(cell_same(&plan.cells[0], &cell));
	run_plan_release(&plan);

	text = slurp(run_dir_path(run), "latency.csv");
	assert_string_equal(text, "backend,workload,threads,page_size,backing,repetition,"
				  "op,low_ns,high_ns,count\n");
	free(text);
	run_dir_close(run);
}

static void rows_are_quoted_and_nan_is_empty(void **state)
{
	struct run_dir *run = create(NULL);
	char *text;

	(void)state;
	assert_int_equal(append(run, 0, 1), 0);
	text = slurp(run_dir_path(run), "memory.csv");
	assert_string_equal(strchr(text, '\n') + 1,
			    "\"slub:cpu_partial=30,x=1\",irp-storm,2,65536,base,0,"
			    "0,0,0,0,0,,0,0,0,0,0,0,0,0,0,0\n");
	free(text);
	text = slurp(run_dir_path(run), "laps.csv");
	assert_string_equal(strchr(text, '\n') + 1,
			    "\"slub:cpu_partial=30,x=1\",irp-storm,2,65536,base,0,0,0.1\n");
	free(text);
	run_dir_close(run);
}

static void out_must_be_new_or_empty(void **state)
{
	char out[128];
	struct run_dir *run, *again = NULL;
	struct run_plan plan;

	(void)state;
	snprintf(out, sizeof(out), "%s/deep/down", root);
	run = create(out);
	assert_string_equal(run_dir_path(run), out);
	run_dir_close(run);
	sample_plan(&plan);
	assert_int_equal(run_dir_create(NULL, out, &plan, &again, why, sizeof(why)), -EEXIST);
	assert_non_null(strstr(why, "--resume"));
	assert_null(again);
	run_plan_release(&plan);
}

static void a_file_in_the_way_is_an_error(void **state)
{
	char out[128];
	struct run_dir *run = NULL;
	struct run_plan plan;

	(void)state;
	add_text(root, "file", "x");
	snprintf(out, sizeof(out), "%s/file/run", root);
	sample_plan(&plan);
	assert_int_equal(run_dir_create(NULL, out, &plan, &run, why, sizeof(why)), -ENOTDIR);
	assert_non_null(strstr(why, out));
	run_plan_release(&plan);
}

static void appended_repetitions_are_known_and_taken_once(void **state)
{
	struct run_dir *run = create(NULL);
	struct cell cell;

	(void)state;
	sample_cell(&cell);
	assert_false(run_dir_has(run, &cell, PASS_THROUGHPUT, 0));
	assert_int_equal(append(run, 0, 0), 0);
	assert_true(run_dir_has(run, &cell, PASS_THROUGHPUT, 0));
	assert_false(run_dir_has(run, &cell, PASS_LATENCY, 0));
	assert_false(run_dir_has(run, &cell, PASS_THROUGHPUT, 1));
	cell.threads++;
	assert_false(run_dir_has(run, &cell, PASS_THROUGHPUT, 0));
	assert_int_equal(append(run, 0, 0), -EEXIST);
	assert_records(run_dir_path(run), 1);
	run_dir_close(run);
}

/* A kill between the rows and the record, and one in the middle of the record's line. */
static void resume_drops_what_was_half_written(void **state)
{
	struct run_dir *run = create(NULL);
	char path[4200], *memory, *memory_after, *records, *records_after;
	struct run_plan plan;
	struct cell cell;

	(void)state;
	strcpy(path, run_dir_path(run));
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(append(run, i, 4), 0);
	run_dir_close(run);
	memory = slurp(path, "memory.csv");
	records = slurp(path, "records.jsonl");
	add_text(path, "memory.csv", "\"slub:cpu_partial=30,x=1\",irp-storm,2,65536,base,3,1\nslu");
	add_text(path, "records.jsonl", "{\"schema\":1,\"backend\":\"slu");
	assert_records(path, 3);

	assert_int_equal(run_dir_open_resume(path, &plan, &run, why, sizeof(why)), 0);
	assert_int_equal(plan.cell_count, 2);
	run_plan_release(&plan);
	memory_after = slurp(path, "memory.csv");
	records_after = slurp(path, "records.jsonl");
	assert_string_equal(memory, memory_after);
	assert_string_equal(records, records_after);
	sample_cell(&cell);
	assert_int_equal(run_dir_count(run), 3);
	assert_true(run_dir_has(run, &cell, PASS_THROUGHPUT, 2));
	assert_false(run_dir_has(run, &cell, PASS_THROUGHPUT, 3));
	assert_int_equal(append(run, 3, 4), 0);
	run_dir_close(run);
	assert_records(path, 4);
	free(memory);
	free(memory_after);
	free(records);
	free(records_after);
}

/* Every prefix of records.jsonl is a run that can be read and resumed with its whole lines. */
static void any_cut_of_the_records_resumes(void **state)
{
	struct run_dir *run = create(NULL);
	char path[4200], file[4300], *text;
	size_t first, bytes;

	(void)state;
	strcpy(path, run_dir_path(run));
	assert_int_equal(append(run, 0, 1), 0);
	assert_int_equal(append(run, 1, 1), 0);
	run_dir_close(run);
	text = slurp(path, "records.jsonl");
	bytes = strlen(text);
	first = (size_t)(strchr(text, '\n') + 1 - text);
	snprintf(file, sizeof(file), "%s/records.jsonl", path);
	for (size_t cut = bytes; cut-- > 0;) {
		if (cut % 97 && cut != first && cut != first - 1)
			continue;
		assert_int_equal(truncate(file, 0), 0);
		text[cut] = '\0';
		add_text(path, "records.jsonl", text);
		if (run_dir_open_resume(path, NULL, &run, why, sizeof(why)))
			fail_msg("cut at %zu: %s", cut, why);
		assert_int_equal(run_dir_count(run), cut >= first);
		run_dir_close(run);
	}
	free(text);
}

static void a_killed_child_loses_nothing_finished(void **state)
{
	struct run_dir *run = create(NULL);
	char path[4200];
	struct record *records;
	size_t count;
	int pipes[2], status;
	unsigned finished = 0, got;
	pid_t child;

	(void)state;
	strcpy(path, run_dir_path(run));
	run_dir_close(run);
	assert_int_equal(pipe(pipes), 0);
	child = fork();
	if (!child) {
		if (run_dir_open_resume(path, NULL, &run, why, sizeof(why)))
			_exit(1);
		for (unsigned i = 0; i < 100000; i++) {
			if (append(run, i, 200) || write(pipes[1], &i, sizeof(i)) != sizeof(i))
				_exit(1);
		}
		_exit(0);
	}
	close(pipes[1]);
	while (finished < 20 && read(pipes[0], &got, sizeof(got)) == sizeof(got))
		finished = got + 1;
	kill(child, SIGKILL);
	while (read(pipes[0], &got, sizeof(got)) == sizeof(got))
		finished = got + 1;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(run_dir_open_resume(path, NULL, &run, why, sizeof(why)), 0);
	assert_true(run_dir_count(run) >= finished);
	assert_int_equal(records_read(path, &records, &count, why, sizeof(why)), 0);
	assert_int_equal(count, run_dir_count(run));
	free(records);
	run_dir_close(run);
	close(pipes[0]);
}

static void damage_before_the_end_is_refused_by_line(void **state)
{
	struct run_dir *run = create(NULL);
	struct record *records = NULL;
	char path[4200];
	size_t count;

	(void)state;
	strcpy(path, run_dir_path(run));
	assert_int_equal(append(run, 0, 0), 0);
	run_dir_close(run);
	add_text(path, "records.jsonl", "{\"schema\":1,\"back\n");
	assert_int_equal(records_read(path, &records, &count, why, sizeof(why)), -EBADMSG);
	assert_non_null(strstr(why, "line 2"));
	assert_int_equal(run_dir_open_resume(path, NULL, &run, why, sizeof(why)), -EBADMSG);
	assert_null(records);
}

static void lost_rows_are_noticed(void **state)
{
	struct run_dir *run = create(NULL);
	char path[4200], file[4300];

	(void)state;
	strcpy(path, run_dir_path(run));
	assert_int_equal(append(run, 0, 3), 0);
	run_dir_close(run);
	snprintf(file, sizeof(file), "%s/laps.csv", path);
	assert_int_equal(truncate(file, 20), 0);
	assert_int_equal(run_dir_open_resume(path, NULL, &run, why, sizeof(why)), -EBADMSG);
	assert_non_null(strstr(why, "laps.csv"));
}

static void a_second_writer_is_kept_out(void **state)
{
	struct run_dir *run = create(NULL), *second = NULL;
	char path[4200], process[32];

	(void)state;
	strcpy(path, run_dir_path(run));
	assert_int_equal(run_dir_open_resume(path, NULL, &second, why, sizeof(why)), -EBUSY);
	snprintf(process, sizeof(process), "%ld", (long)getpid());
	assert_non_null(strstr(why, process));
	assert_null(second);
	run_dir_close(run);
	assert_int_equal(run_dir_open_resume(path, NULL, &second, why, sizeof(why)), 0);
	run_dir_close(second);
}

static void what_is_not_a_run_is_not_touched(void **state)
{
	char path[128];
	struct run_dir *run = NULL;

	(void)state;
	assert_int_equal(run_dir_open_resume(root, NULL, &run, why, sizeof(why)), -ENOENT);
	assert_non_null(strstr(why, "run.plan.json"));
	snprintf(path, sizeof(path), "%s/records.jsonl", root);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(run_dir_open_resume("/nonexistent", NULL, &run, why, sizeof(why)),
			 -ENOENT);
}

/*
 * A write that stops half way, by the limit on file sizes: the files are as before and the run goes
 * on.
 */
static void a_full_file_rolls_back(void **state)
{
	struct run_dir *run = create(NULL);
	struct rlimit old, small;
	char path[4200], *before, *after;
	int error;

	(void)state;
	strcpy(path, run_dir_path(run));
	assert_int_equal(append(run, 0, 10), 0);
	before = slurp(path, "memory.csv");
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = strlen(before) + 100;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	error = append(run, 1, 1000);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(error, -EFBIG);
	assert_non_null(strstr(why, "memory.csv"));
	assert_non_null(strstr(why, "ulimit"));
	after = slurp(path, "memory.csv");
	assert_string_equal(before, after);
	assert_records(path, 1);
	assert_int_equal(append(run, 1, 10), 0);
	run_dir_close(run);
	assert_records(path, 2);
	free(before);
	free(after);
}

/* The same where the record's own line does not fit any more. */
static void a_record_that_does_not_fit_takes_its_rows_along(void **state)
{
	struct run_dir *run = create(NULL);
	struct rlimit old, small;
	char path[4200], *records, *laps, *laps_after;
	int error;

	(void)state;
	strcpy(path, run_dir_path(run));
	for (unsigned i = 0; i < 20; i++) /* records.jsonl is to be the longest file */
		assert_int_equal(append(run, i, 1), 0);
	records = slurp(path, "records.jsonl");
	laps = slurp(path, "laps.csv");
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = strlen(records) + 10;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	error = append(run, 20, 1);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(error, -EFBIG);
	assert_non_null(strstr(why, "records.jsonl"));
	laps_after = slurp(path, "laps.csv");
	assert_string_equal(laps, laps_after);
	run_dir_close(run);
	assert_records(path, 20);
	free(records);
	free(laps);
	free(laps_after);
}

static void replaced_files_are_whole_or_old(void **state)
{
	struct run_dir *run = create(NULL);
	struct rlimit old, small;
	static char large[1 << 16];
	char *text;
	int error;

	(void)state;
	assert_int_equal(run_dir_write(run, "environment.json", "{}\n", 3, why, sizeof(why)), 0);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 1000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	error = run_dir_write(run, "environment.json", large, sizeof(large), why, sizeof(why));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(error, -EFBIG);
	text = slurp(run_dir_path(run), "environment.json");
	assert_string_equal(text, "{}\n");
	free(text);
	run_dir_close(run);
}

/*
 * In a child with a small file system of its own: repetitions until it is full. 0, or the line that
 * failed.
 */
static int fill_a_disk(void)
{
	struct run_dir *run;
	struct record *records;
	size_t count;
	unsigned finished = 0;
	char path[4200];
	int error;

	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", root, "tmpfs", 0, "size=256k"))
		return 77;
	run = create(NULL);
	strcpy(path, run_dir_path(run));
	while (!(error = append(run, finished, 20)))
		finished++;
	if (error != -ENOSPC || !strstr(why, path) || !strstr(why, "make room"))
		return __LINE__;
	if (finished < 10 || run_dir_count(run) != finished)
		return __LINE__;
	run_dir_close(run);
	if (records_read(path, &records, &count, why, sizeof(why)) || count != finished)
		return __LINE__;
	free(records);
	if (mount("none", root, "tmpfs", MS_REMOUNT, "size=1m") || /* room was made */
	    run_dir_open_resume(path, NULL, &run, why, sizeof(why)) ||
	    run_dir_count(run) != finished || append(run, finished, 20))
		return __LINE__;
	run_dir_close(run);
	return 0;
}

static void a_full_disk_keeps_what_is_finished(void **state)
{
	int status;
	pid_t child;

	(void)state;
	fflush(NULL);
	child = fork();
	if (!child) {
		int line = fill_a_disk();

		_exit(line == 0 || line == 77 ? line : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip(); /* mounting takes privileges */
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void no_permission_is_named(void **state)
{
	struct run_dir *run = NULL;
	struct run_plan plan;
	char out[128];
	int status;
	pid_t child;

	(void)state;
	snprintf(out, sizeof(out), "%s/closed", root);
	assert_int_equal(mkdir(out, 0555), 0);
	strcat(out, "/run");
	fflush(NULL);
	child = fork();
	if (!child) { /* root may write anywhere, so be somebody else */
		int error;

		chmod(root, 0755);
		if (!geteuid() && setuid(65534))
			_exit(2);
		sample_plan(&plan);
		error = run_dir_create(NULL, out, &plan, &run, why, sizeof(why));
		run_plan_release(&plan);
		_exit(error == -EACCES && strstr(why, "--out") ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void finishing_writes_both_documents(void **state)
{
	struct run_dir *run = create(NULL);
	char *text;
	json_t *json;

	(void)state;
	assert_int_equal(append(run, 0, 1), 0);
	assert_int_equal(append(run, 1, 1), 0);
	assert_int_equal(run_dir_finish(run, why, sizeof(why)), 0);
	text = slurp(run_dir_path(run), "run.json");
	json = json_loads(text, 0, NULL);
	assert_int_equal(json_array_size(json_object_get(json, "benchmarks")), 2);
	json_decref(json);
	free(text);
	text = slurp(run_dir_path(run), "tracker.json");
	json = json_loads(text, 0, NULL);
	assert_int_equal(json_array_size(json_object_get(json, "benchmarks")), 1);
	json_decref(json);
	free(text);
	run_dir_close(run);
}

static void malformed_plans_are_refused(void **state)
{
	static const char *const plans[] = {
		"",
		"[]",
		"{}",
		"{\"schema\":1}",
		"{\"schema\":2}",
		"{\"schema\":1,\"seed\":\"-1\",\"repetitions\":1,\"passes\":[],\"options\":{},"
		"\"cells\":[]}",
		"{\"schema\":1,\"seed\":\"1\",\"repetitions\":-1,\"passes\":[],\"options\":{},"
		"\"cells\":[]}",
		"{\"schema\":1,\"seed\":\"1\",\"repetitions\":1,\"passes\":[\"x\"],\"options\":{},"
		"\"cells\":[]}",
		"{\"schema\":1,\"seed\":\"1\",\"repetitions\":1,\"passes\":[],\"options\":{\"a\":1}"
		",\"cells\":[]}",
		"{\"schema\":1,\"seed\":\"1\",\"repetitions\":1,\"passes\":[],\"options\":{},"
		"\"cells\":[{}]}",
	};
	struct run_plan plan;

	(void)state;
	for (size_t i = 0; i < sizeof(plans) / sizeof(*plans); i++) {
		why[0] = '\0';
		assert_true(run_plan_from_json(plans[i], strlen(plans[i]), &plan, why,
					       sizeof(why)) < 0);
		assert_true(*why);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_root, remove_root)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_run_has_its_plan_and_headers),
		TEST(rows_are_quoted_and_nan_is_empty),
		TEST(out_must_be_new_or_empty),
		TEST(a_file_in_the_way_is_an_error),
		TEST(appended_repetitions_are_known_and_taken_once),
		TEST(resume_drops_what_was_half_written),
		TEST(any_cut_of_the_records_resumes),
		TEST(a_killed_child_loses_nothing_finished),
		TEST(damage_before_the_end_is_refused_by_line),
		TEST(lost_rows_are_noticed),
		TEST(a_second_writer_is_kept_out),
		TEST(what_is_not_a_run_is_not_touched),
		TEST(a_full_file_rolls_back),
		TEST(a_record_that_does_not_fit_takes_its_rows_along),
		TEST(replaced_files_are_whole_or_old),
		TEST(a_full_disk_keeps_what_is_finished),
		TEST(no_permission_is_named),
		TEST(finishing_writes_both_documents),
		TEST(malformed_plans_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
