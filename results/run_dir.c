#include "run_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "files.h"
#include "google_json.h"
#include "hash.h"
#include "record_json.h"
#include "series.h"

#define PLAN_FILE "run.plan.json"

struct finished {
	uint64_t hash;
	struct cell cell;
	enum pass pass;
	unsigned repetition;
};

struct run_dir {
	char path[PATH_MAX];
	int directory, lock, records;
	int csv[SERIES];
	off_t records_end, csv_end[SERIES]; /* what is committed */
	struct finished *finished;
	size_t finished_count, finished_room;
};

/* ---- what is there already ---- */

static uint64_t repetition_hash(const struct cell *cell, enum pass pass, unsigned repetition)
{
	uint64_t hash = HASH_SEED;

	hash = hash_bytes(hash, cell->backend, strlen(cell->backend) + 1);
	hash = hash_bytes(hash, cell->workload, strlen(cell->workload) + 1);
	hash = hash_bytes(hash, cell->backing, strlen(cell->backing) + 1);
	hash = hash_bytes(hash, &cell->threads, sizeof(cell->threads));
	hash = hash_bytes(hash, &cell->page_size, sizeof(cell->page_size));
	hash = hash_bytes(hash, &pass, sizeof(pass));
	return hash_bytes(hash, &repetition, sizeof(repetition));
}

bool run_dir_has(const struct run_dir *run, const struct cell *cell, enum pass pass,
		 unsigned repetition)
{
	uint64_t hash = repetition_hash(cell, pass, repetition);

	for (size_t i = 0; i < run->finished_count; i++) {
		const struct finished *entry = &run->finished[i];

		if (entry->hash == hash && entry->pass == pass && entry->repetition == repetition &&
		    cell_same(&entry->cell, cell))
			return true;
	}
	return false;
}

/* Makes room first, so that a record that was written is always remembered. */
static int finished_reserve(struct run_dir *run)
{
	size_t room = run->finished_room ? 2 * run->finished_room : 256;
	struct finished *entries;

	if (run->finished_count < run->finished_room)
		return 0;
	entries = reallocarray(run->finished, room, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	run->finished = entries;
	run->finished_room = room;
	return 0;
}

static void finished_add(struct run_dir *run, const struct record *record)
{
	struct finished *entry = &run->finished[run->finished_count++];

	entry->hash = repetition_hash(&record->cell, record->pass, record->repetition);
	entry->cell = record->cell;
	entry->pass = record->pass;
	entry->repetition = record->repetition;
}

size_t run_dir_count(const struct run_dir *run)
{
	return run->finished_count;
}

const char *run_dir_path(const struct run_dir *run)
{
	return run->path;
}

/* ---- opening ---- */

static struct run_dir *run_dir_new(void)
{
	struct run_dir *run = calloc(1, sizeof(*run));

	if (!run)
		return NULL;
	run->directory = run->lock = run->records = -1;
	for (int i = 0; i < SERIES; i++)
		run->csv[i] = -1;
	return run;
}

void run_dir_close(struct run_dir *run)
{
	if (!run)
		return;
	for (int i = 0; i < SERIES; i++) {
		if (run->csv[i] >= 0)
			close(run->csv[i]);
	}
	if (run->records >= 0)
		close(run->records);
	if (run->lock >= 0)
		close(run->lock);
	if (run->directory >= 0)
		close(run->directory);
	free(run->finished);
	free(run);
}

static int append_open(struct run_dir *run, const char *name, int *fd, char *why, size_t why_bytes)
{
	*fd = openat(run->directory, name, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
	if (*fd < 0)
		return file_explain(why, why_bytes, errno, "cannot open %s/%s", run->path, name);
	return 0;
}

/* Opens and locks everything; creates what is missing. */
static int run_dir_open_files(struct run_dir *run, char *why, size_t why_bytes)
{
	char holder[32] = "";
	int error;

	run->directory = open(run->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (run->directory < 0)
		return file_explain(why, why_bytes, errno, "cannot open the run %s", run->path);
	error = append_open(run, "lock", &run->lock, why, why_bytes);
	if (error)
		return error;
	if (flock(run->lock, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK)
			return file_explain(why, why_bytes, errno, "cannot lock %s", run->path);
		if (pread(run->lock, holder, sizeof(holder) - 1, 0) < 0)
			holder[0] = '\0';
		holder[strcspn(holder, "\n")] = '\0';
		snprintf(why, why_bytes, "%s is being written by another poolbench (process %s)",
			 run->path, *holder ? holder : "unknown");
		return -EBUSY;
	}
	/* the number is for people only: the lock itself is the kernel's */
	if (!ftruncate(run->lock, 0))
		dprintf(run->lock, "%ld\n", (long)getpid());
	error = append_open(run, RUN_DIR_RECORDS, &run->records, why, why_bytes);
	for (int i = 0; !error && i < SERIES; i++)
		error = append_open(run, series_table[i].file, &run->csv[i], why, why_bytes);
	return error;
}

static char *header_text(int i, size_t *bytes)
{
	char *text = NULL;
	FILE *file = open_memstream(&text, bytes);

	if (!file)
		return NULL;
	series_csv_header(&series_table[i], file);
	fclose(file);
	return text;
}

static int write_header(struct run_dir *run, int i, char *why, size_t why_bytes)
{
	size_t bytes;
	char *text = header_text(i, &bytes);
	int error;

	if (!text)
		return file_explain(why, why_bytes, ENOMEM, "cannot write a header");
	error = file_write_all(run->csv[i], text, bytes);
	run->csv_end[i] = (off_t)bytes;
	free(text);
	if (error)
		file_explain(why, why_bytes, -error, "cannot write %s/%s", run->path,
			     series_table[i].file);
	return error;
}

static int directory_is_empty(const char *path)
{
	DIR *directory = opendir(path);
	const struct dirent *entry;
	int entries = 0;

	if (!directory)
		return -errno;
	while (entries <= 2 && (entry = readdir(directory)))
		entries++;
	closedir(directory);
	return entries <= 2;
}

static int use_directory(struct run_dir *run, const char *out, char *why, size_t why_bytes)
{
	int error, empty;

	if ((size_t)snprintf(run->path, sizeof(run->path), "%s", out) >= sizeof(run->path))
		return file_explain(why, why_bytes, ENAMETOOLONG, "cannot use --out");
	error = file_make_directories(out, why, why_bytes);
	if (error)
		return error;
	empty = directory_is_empty(out);
	if (empty < 0)
		return file_explain(why, why_bytes, -empty, "cannot read %s", out);
	if (empty)
		return 0;
	snprintf(why, why_bytes, "%s is not empty; --resume %s goes on with a run that is there",
		 out, out);
	return -EEXIST;
}

static int new_directory(struct run_dir *run, const char *root, char *why, size_t why_bytes)
{
	int error = file_make_directories(root, why, why_bytes);

	for (int attempt = 0; !error && attempt < 16; attempt++) {
		struct timespec now;
		unsigned char id[3];
		char stamp[32];
		struct tm utc;

		clock_gettime(CLOCK_REALTIME, &now);
		gmtime_r(&now.tv_sec, &utc);
		strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &utc);
		if (getrandom(id, sizeof(id), 0) != sizeof(id))
			memcpy(id, &now.tv_nsec, sizeof(id));
		if ((size_t)snprintf(run->path, sizeof(run->path), "%s/%s-%02x%02x%02x", root,
				     stamp, id[0], id[1], id[2]) >= sizeof(run->path))
			return file_explain(why, why_bytes, ENAMETOOLONG, "cannot use %s", root);
		if (!mkdir(run->path, 0777))
			return 0;
		if (errno != EEXIST)
			error = file_explain(why, why_bytes, errno, "cannot create %s", run->path);
	}
	return error ? error : file_explain(why, why_bytes, EEXIST, "cannot create %s", run->path);
}

int run_dir_write(struct run_dir *run, const char *name, const void *data, size_t bytes, char *why,
		  size_t why_bytes)
{
	return file_replace(run->directory, name, run->path, data, bytes, why, why_bytes);
}

static int write_plan(struct run_dir *run, const struct run_plan *plan, char *why, size_t why_bytes)
{
	char *text = run_plan_to_json(plan);
	int error;

	if (!text)
		return file_explain(why, why_bytes, ENOMEM, "cannot write the plan");
	error = run_dir_write(run, PLAN_FILE, text, strlen(text), why, why_bytes);
	free(text);
	return error;
}

int run_dir_create(const char *root, const char *out, const struct run_plan *plan,
		   struct run_dir **run, char *why, size_t why_bytes)
{
	struct run_dir *made = run_dir_new();
	int error;

	if (!made)
		return file_explain(why, why_bytes, ENOMEM, "cannot create a run");
	error = out ? use_directory(made, out, why, why_bytes)
		    : new_directory(made, root ? root : RUN_DIR_ROOT, why, why_bytes);
	if (!error)
		error = run_dir_open_files(made, why, why_bytes);
	if (!error)
		error = write_plan(made, plan, why, why_bytes);
	for (int i = 0; !error && i < SERIES; i++)
		error = write_header(made, i, why, why_bytes);
	if (error) {
		run_dir_close(made);
		return error;
	}
	*run = made;
	return 0;
}

/* ---- resuming ---- */

/* "memory_csv_bytes": the length of memory.csv when the record was written. */
static void end_key(const struct series *series, char *key, size_t bytes)
{
	snprintf(key, bytes, "%s_csv_bytes", series->name);
}

/* Whether a file has no rows: one of a series that came after this run was begun. */
static bool holds_no_row(int i, off_t size)
{
	size_t bytes = 0;
	char *text = size ? header_text(i, &bytes) : NULL;

	free(text);
	return size <= (off_t)bytes;
}

/* How long the CSV files are to be: what the last whole line says. */
static int read_ends(struct run_dir *run, const char *text, size_t used, char *why,
		     size_t why_bytes)
{
	const char *line = text + used - 1;
	json_t *object;
	int error = 0;

	while (line > text && line[-1] != '\n')
		line--;
	object = json_loadb(line, (size_t)(text + used - line), 0, NULL);
	for (int i = 0; !error && i < SERIES; i++) {
		char key[40];
		json_t *end;
		struct stat status;

		end_key(&series_table[i], key, sizeof(key));
		end = json_object_get(object, key);
		run->csv_end[i] = (off_t)json_integer_value(end);
		if (fstat(run->csv[i], &status))
			error = file_explain(why, why_bytes, errno, "cannot read %s/%s", run->path,
					     series_table[i].file);
		else if (!end && holds_no_row(i, status.st_size))
			continue;
		else if (!json_is_integer(end) || run->csv_end[i] <= 0 ||
			 status.st_size < run->csv_end[i])
			error = file_explain(why, why_bytes, EBADMSG,
					     "%s/%s is shorter than " RUN_DIR_RECORDS " says",
					     run->path, series_table[i].file);
	}
	json_decref(object);
	return error;
}

static int cut(struct run_dir *run, int fd, const char *name, off_t bytes, char *why,
	       size_t why_bytes)
{
	if (ftruncate(fd, bytes))
		return file_explain(why, why_bytes, errno, "cannot cut %s/%s", run->path, name);
	return 0;
}

static int resume_files(struct run_dir *run, const char *text, size_t used, char *why,
			size_t why_bytes)
{
	int error = used ? read_ends(run, text, used, why, why_bytes) : 0;

	if (!error)
		error = cut(run, run->records, RUN_DIR_RECORDS, (off_t)used, why, why_bytes);
	run->records_end = (off_t)used;
	for (int i = 0; !error && i < SERIES; i++) {
		error = cut(run, run->csv[i], series_table[i].file, run->csv_end[i], why,
			    why_bytes);
		if (!error && !run->csv_end[i]) /* new, or perhaps killed within a header */
			error = write_header(run, i, why, why_bytes);
	}
	return error;
}

static int resume_records(struct run_dir *run, char *why, size_t why_bytes)
{
	struct record *records;
	size_t bytes, count, used;
	char *text, reason[512];
	int error = file_read_all(run->directory, RUN_DIR_RECORDS, run->path, &text, &bytes, why,
				  why_bytes);

	if (error)
		return error;
	error = records_parse(text, bytes, &records, &count, &used, reason, sizeof(reason));
	if (error) {
		snprintf(why, why_bytes, "%s/" RUN_DIR_RECORDS ": %s", run->path, reason);
		free(text);
		return error;
	}
	error = resume_files(run, text, used, why, why_bytes);
	for (size_t i = 0; !error && i < count; i++) {
		error = finished_reserve(run);
		if (error)
			file_explain(why, why_bytes, -error, "cannot resume %s", run->path);
		else
			finished_add(run, &records[i]);
	}
	free(records);
	free(text);
	return error;
}

int run_dir_open_resume(const char *directory, struct run_plan *plan, struct run_dir **run,
			char *why, size_t why_bytes)
{
	struct run_plan read = { 0 };
	struct run_dir *opened;
	int error = run_plan_read(directory, &read, why,
				  why_bytes); /* before anything is created */

	if (error)
		return error;
	opened = run_dir_new();
	if (!opened)
		error = file_explain(why, why_bytes, ENOMEM, "cannot resume %s", directory);
	else if ((size_t)snprintf(opened->path, sizeof(opened->path), "%s", directory) >=
		 sizeof(opened->path))
		error = file_explain(why, why_bytes, ENAMETOOLONG, "cannot resume");
	if (!error)
		error = run_dir_open_files(opened, why, why_bytes);
	if (!error)
		error = resume_records(opened, why, why_bytes);
	if (error || !plan)
		run_plan_release(&read);
	if (error) {
		run_dir_close(opened);
		return error;
	}
	if (plan)
		*plan = read;
	*run = opened;
	return 0;
}

/* ---- appending ---- */

static int append_series(struct run_dir *run, int i, const struct result *result, off_t *end,
			 char *why, size_t why_bytes)
{
	char *text = NULL;
	size_t count, bytes;
	FILE *file;
	int error;

	*end = run->csv_end[i];
	series_data(&series_table[i], result, &count);
	if (!count)
		return 0;
	file = open_memstream(&text, &bytes);
	if (!file)
		return file_explain(why, why_bytes, ENOMEM, "cannot write a series");
	series_csv_rows(&series_table[i], result, file);
	if (fclose(file)) {
		free(text);
		return file_explain(why, why_bytes, ENOMEM, "cannot write a series");
	}
	error = file_write_all(run->csv[i], text, bytes);
	if (!error && fdatasync(run->csv[i]) && errno != EINVAL)
		error = -errno;
	free(text);
	*end += (off_t)bytes;
	if (error)
		file_explain(why, why_bytes, -error, "cannot write %s/%s", run->path,
			     series_table[i].file);
	return error;
}

static char *record_line(const struct record *record, const off_t *ends, size_t *bytes)
{
	json_t *object = record_json_object(record);
	char *text, *line;

	for (int i = 0; object && i < SERIES; i++) {
		char key[40];

		end_key(&series_table[i], key, sizeof(key));
		json_object_set_new(object, key, json_integer(ends[i]));
	}
	text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
	json_decref(object);
	line = text ? realloc(text, strlen(text) + 2) : NULL;
	if (!line) {
		free(text);
		return NULL;
	}
	strcat(line, "\n");
	*bytes = strlen(line);
	return line;
}

/* Back to what was committed; shrinking works on a full disk too. */
static void roll_back(struct run_dir *run)
{
	int failed = ftruncate(run->records, run->records_end);

	for (int i = 0; i < SERIES; i++)
		failed |= ftruncate(run->csv[i], run->csv_end[i]);
	(void)failed; /* resuming will cut again what could not be cut here */
}

int run_dir_append(struct run_dir *run, const struct result *result, char *why, size_t why_bytes)
{
	const struct record *record = &result->record;
	off_t ends[SERIES];
	char *line = NULL;
	size_t bytes;
	int error;

	if (run_dir_has(run, &record->cell, record->pass, record->repetition))
		return file_explain(why, why_bytes, EEXIST, "repetition %u of %s/%s is recorded",
				    record->repetition, record->cell.backend,
				    record->cell.workload);
	error = finished_reserve(run);
	if (error)
		return file_explain(why, why_bytes, -error, "cannot record a repetition");
	for (int i = 0; !error && i < SERIES; i++)
		error = append_series(run, i, result, &ends[i], why, why_bytes);
	if (!error) {
		line = record_line(record, ends, &bytes);
		error = line ? file_write_all(run->records, line, bytes) : -ENOMEM;
		if (!error && fdatasync(run->records) && errno != EINVAL)
			error = -errno;
		if (error)
			file_explain(why, why_bytes, -error, "cannot write %s/" RUN_DIR_RECORDS,
				     run->path);
	}
	free(line);
	if (error) {
		roll_back(run);
		return error;
	}
	memcpy(run->csv_end, ends, sizeof(ends));
	run->records_end += (off_t)bytes;
	finished_add(run, record);
	return 0;
}

int run_dir_finish(struct run_dir *run, char *why, size_t why_bytes)
{
	return google_json_write(run->path, why, why_bytes);
}
