/*
 * A run's directory for the tests of figures and report, written through the same calls as a real one: the
 * shapes are those of real runs (several backends, five workloads, 1 and 2 threads, failed cells), the numbers
 * come from a formula and are the same every time.
 */
#ifndef POOLBENCH_TESTS_PLOTS_SAMPLE_H
#define POOLBENCH_TESTS_PLOTS_SAMPLE_H

#include <stddef.h>

enum sample {
	SAMPLE_WHOLE, /* ten backends, five workloads, a cell of each kind of failure */
	SAMPLE_HOSTILE, /* names that would break a script, a page or a CSV file if they were trusted */
	SAMPLE_FAILED /* nothing but failures */
};

/* Names of SAMPLE_HOSTILE, as a command line could give them. */
#define HOSTILE_BACKEND  "./it's_a \"bad\" <b>plugin</b>`false`@x{^2}$HOME\\n%s.so:a=1,b='2'"
#define HOSTILE_NAME     "it's_a \"bad\" <b>plugin</b>`false`@x{^2}"
#define HOSTILE_WORKLOAD "trace:/tmp/x\"y'\\n,_z^{2}</style><script>alert(1)</script>.pbt"

/* Makes a directory under $TMPDIR with the run in it and fills `path`. 0 or -1 with the reason on stderr. */
int sample_run(enum sample kind, char *path, size_t bytes);

/* Removes a directory and everything in it. */
void sample_remove(const char *path);

/* A whole file as a string, for free(); NULL if it cannot be read. *bytes may be NULL. */
char *sample_read(const char *path, size_t *bytes);

#endif
