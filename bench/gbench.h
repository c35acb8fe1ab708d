/*
 * Google Benchmark for C: what its C++ interface offers, as functions and plain data.
 *
 * One family is registered by gbench_register and shaped by the functions that follow it;
 * gbench_run then measures every family in each of its argument sets and thread counts. Works with
 * libbenchmark 1.7.1 to 1.9.5, whose interfaces differ (1.7.1 takes plain function pointers for
 * set-up and says "error" where 1.8 says "skipped"); the differences end in gbench.cc.
 *
 * Errors. Functions that return int return 0 or -errno. What the library answers with abort() when
 * it was built with its checks on (Debian's is) is found here first and returned as an error. The
 * library itself still calls exit() for --help, for a value of a --benchmark_ option that it cannot
 * parse and for a --benchmark_out that it cannot open. No C++ exception leaves these functions; no
 * longjmp, pthread_exit or cancellation may leave a callback.
 *
 * Threads. Registration, gbench_initialise, gbench_run and gbench_shutdown belong to one thread at
 * a time. A benchmark's function is called once on each of its threads at the same time, each with
 * a state of its own and all with the same `arg`; the first calls of keep_running on all threads
 * return together (a barrier), and so do the last. Set-up, tear-down and reporters are called on
 * the thread that called gbench_run while no thread of the benchmark runs.
 */
#ifndef POOLBENCH_GBENCH_H
#define POOLBENCH_GBENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gbench; /* a registered family; owned by this module until gbench_clear or gbench_shutdown */
struct gbench_state; /* one thread of a benchmark that runs; valid during the callback only */

enum gbench_unit { GBENCH_NANOSECOND, GBENCH_MICROSECOND, GBENCH_MILLISECOND, GBENCH_SECOND };

enum gbench_clock {
	GBENCH_CPU_TIME, /* the default: CPU time, summed over the threads, decides */
	GBENCH_REAL_TIME, /* wall time decides how long to run, and divides rates */
	GBENCH_MANUAL_TIME, /* the sum of gbench_set_iteration_time; takes the place of wall time */
	GBENCH_PROCESS_CPU_TIME, /* CPU time of the whole process decides */
	GBENCH_PROCESS_CPU_AND_REAL_TIME /* the process's CPU time is reported, wall time decides */
};

/*
 * Or-ed together. What is kept is summed over the threads first; then these are applied, INVERT
 * last.
 */
enum gbench_counter_flag {
	GBENCH_COUNTER_PLAIN = 0,
	GBENCH_COUNTER_RATE = 1 << 0, /* divided by the seconds of the family's clock */
	GBENCH_COUNTER_AVG_THREADS = 1 << 1, /* divided by the number of threads */
	GBENCH_COUNTER_ITERATION_INVARIANT = 1 << 2, /* multiplied by the iterations */
	GBENCH_COUNTER_AVG_ITERATIONS = 1 << 3, /* divided by the iterations */
	GBENCH_COUNTER_INVERT = 1 << 4, /* 1 / value */
	GBENCH_COUNTER_1024 = 1 << 5 /* "k" is 1024 on the console */
};

typedef void (*gbench_function)(struct gbench_state *state, void *arg);
typedef void (*gbench_fixture)(const struct gbench_state *state, void *arg);

/* ---- the library ---- */

/*
 * Takes the --benchmark_ options out of argv (argc is updated, argv[0] stays). Call once, before
 * gbench_run. May exit the process: see above.
 */
int gbench_initialise(int *argc, char **argv);
/* Names what is left in argv behind argv[0] on stderr; true if there was anything. */
bool gbench_report_unrecognised(int argc, char **argv);
/*
 * One more line in the context of reports; call before gbench_run. -EEXIST: the key is already
 * there.
 */
int gbench_add_context(const char *key, const char *value);
/*
 * The version of libbenchmark, "1.7.1": what the library says (1.8.4 on), else what it was built
 * against.
 */
const char *gbench_version(void);
/* Forgets all families: handles become invalid. */
void gbench_clear(void);
/*
 * gbench_clear, and frees what the library holds (the custom context). It can be used again
 * afterwards.
 */
void gbench_shutdown(void);
/*
 * `poolbench gbench ...`: the library's own command line over what is registered. 0; 1 for
 * arguments that it does not know.
 */
int gbench_main(int argc, char **argv);

/* ---- registration ---- */

/*
 * `name` is copied; `run` and `arg` are kept. NULL: errno is EINVAL (no name, no function) or
 * ENOMEM.
 */
struct gbench *gbench_register(const char *name, gbench_function run, void *arg);

/*
 * One more set of arguments: the benchmark runs once for each. All sets of a family have the same
 * number of arguments, or it is -EINVAL.
 */
int gbench_args(struct gbench *family, const int64_t *values, size_t count);
/*
 * One-argument sets from low to high: by powers of `multiplier` (>= 2), or in steps (>= 1). low >=
 * 0.
 */
int gbench_range(struct gbench *family, int64_t low, int64_t high, int multiplier);
int gbench_dense_range(struct gbench *family, int64_t low, int64_t high, int step);
/* Names of the arguments, in reports; as many as each set has. Copied. */
int gbench_arg_names(struct gbench *family, const char *const *names, size_t count);
/* One more thread count to run with, >= 1. Without any: one thread. */
int gbench_threads(struct gbench *family, int threads);
/* An exact number of iterations a thread, >= 1; instead of a time. -EBUSY after gbench_min_time. */
int gbench_iterations(struct gbench *family, int64_t iterations);
/* Runs until the family's clock shows this many seconds, > 0. -EBUSY after gbench_iterations. */
int gbench_min_time(struct gbench *family, double seconds);
/*
 * Seconds to run unmeasured first, >= 0; needs gbench_min_time, without which libbenchmark ignores
 * it.
 */
int gbench_min_warmup_time(struct gbench *family, double seconds);
int gbench_repetitions(struct gbench *family, int repetitions);
int gbench_report_aggregates_only(struct gbench *family, bool only);
int gbench_unit(struct gbench *family, enum gbench_unit unit);
/* At most once a family: -EBUSY after that. */
int gbench_clock(struct gbench *family, enum gbench_clock clock);
/*
 * Called before and after each run of the benchmark: once a repetition with fixed iterations; with
 * a time, also once for each try that looks for the number of iterations. Either may be NULL.
 * -EBUSY the second time; -ENOSPC with a library before 1.9.2 when GBENCH_FIXTURES families already
 * have some.
 */
#define GBENCH_FIXTURES 256
int gbench_setup_teardown(struct gbench *family, gbench_fixture setup, gbench_fixture teardown);

/* ---- in a running benchmark ---- */

/*
 * True as long as there is more to do. Timing starts in the first call and ends in the one that
 * returns false. The call costs a few nanoseconds: measure short work in batches.
 */
bool gbench_keep_running(struct gbench_state *state);
/*
 * True when a batch of `iterations` (>= 1; else it is 1) is to be done. The number done is rounded
 * up to whole batches; it is exactly gbench_max_iterations when that is a multiple of the batch.
 */
bool gbench_keep_running_batch(struct gbench_state *state, int64_t iterations);
/*
 * -EINVAL outside the loop or when already so. A loop that ends, or goes on, while paused is
 * resumed.
 */
int gbench_pause_timing(struct gbench_state *state);
int gbench_resume_timing(struct gbench_state *state);
/* Adds to the manual time of the benchmark; seconds >= 0. */
int gbench_set_iteration_time(struct gbench_state *state, double seconds);
/*
 * Ends this thread's loop and marks the run as failed; the first message wins. keep_running returns
 * false from then on. Returning without having run the loop to its end is such an error as well.
 */
void gbench_skip_with_error(struct gbench_state *state, const char *message);
int gbench_set_bytes_processed(struct gbench_state *state, int64_t bytes);
int gbench_set_items_processed(struct gbench_state *state, int64_t items);
/* The label of the run; the last thread to set it wins. */
int gbench_set_label(struct gbench_state *state, const char *label);
/* Set it after the loop. The value of a counter of the same name is replaced on this thread. */
int gbench_set_counter(struct gbench_state *state, const char *name, double value, unsigned flags);

/*
 * Argument number `index` of this run; 0 where it has no such argument. Set-up and tear-down may
 * ask.
 */
int64_t gbench_arg(const struct gbench_state *state, size_t index);
size_t gbench_arg_count(const struct gbench_state *state);
int gbench_thread_index(const struct gbench_state *state);
int gbench_thread_count(const struct gbench_state *state);
int64_t gbench_max_iterations(const struct gbench_state *state); /* planned, on this thread */
int64_t gbench_iterations_done(const struct gbench_state *state);
bool gbench_failed(const struct gbench_state *state); /* this thread skipped */

/*
 * Makes the compiler believe that the value is used, and that memory is read and written. No code.
 */
static inline void gbench_use(const void *value)
{
	__asm__ volatile("" : : "g"(value) : "memory");
}

/* ---- results ---- */

struct gbench_counter {
	const char *name;
	double value; /* as reported: rates already divided */
	unsigned flags; /* as they were set */
};

/* One line of a report; everything it points to is valid during the callback only. */
struct gbench_result {
	const char *name; /* full: "family/64/real_time/threads:2", aggregates "..._mean" */
	const char *family; /* as registered */
	bool aggregate; /* mean, median, stddev, cv over the repetitions */
	bool percentage; /* an aggregate whose values are ratios (cv), not times */
	const char *aggregate_name; /* "mean", ...; "" when not an aggregate */
	const char *label; /* "" if none */
	bool failed;
	const char *error; /* "" if not failed */
	int64_t iterations; /* all threads together; of an aggregate: repetitions */
	/*
	 * Per iteration, in `unit`, as the library reports it. With threads its meaning varies:
	 * before 1.9.0 the mean of the threads' wall time, since then their sum, over the
	 * iterations of all threads. real_seconds is the same everywhere: compute with that where
	 * it matters.
	 */
	double real_time, cpu_time;
	double real_seconds; /* whole run, mean over the threads; or the manual time */
	double cpu_seconds; /* whole run; sum over the threads */
	enum gbench_unit unit;
	int64_t threads;
	int64_t repetition; /* 0 .. repetitions-1; -1 for an aggregate */
	int64_t repetitions;
	const struct gbench_counter *counters; /* by name */
	size_t counter_count;
};

struct gbench_context {
	const char *executable, *host_name; /* "" where not known */
	const char *library_version;
	bool library_debug; /* libbenchmark was built with its assertions on */
	int processors;
	double cycles_per_second;
	int scaling; /* frequency scaling: 1 on, 0 off, -1 not known */
	size_t name_width; /* of the longest name */
};

struct gbench_reporter {
	/* Once, before anything runs; non-zero: nothing runs. */
	int (*context)(void *arg, const struct gbench_context *context);
	void (*result)(void *arg, const struct gbench_result *result);
	void (*finish)(void *arg); /* after the last */
	void *arg;
};

/* Where reports go. All at once if wanted; members may be NULL or false. */
struct gbench_outputs {
	bool console; /* the library's table on stdout */
	const char *json_path; /* the library's JSON; the file is replaced */
	const struct gbench_reporter *reporter;
};

/*
 * Runs what matches the regular expression `filter` (NULL: --benchmark_filter, or everything).
 * `outputs` NULL is the library's default: --benchmark_format on stdout. --benchmark_out is served
 * as well. `matched`, which may be NULL, receives the number of benchmarks that matched. Errors:
 * -errno of json_path, before anything ran, or -EIO when it could not be written; -ENOMEM.
 */
int gbench_run(const char *filter, const struct gbench_outputs *outputs, size_t *matched);

#ifdef __cplusplus
}
#endif

#endif
