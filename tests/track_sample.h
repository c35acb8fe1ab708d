/*
 * Directories of runs for the tests of the history, written through the same calls as real ones; the numbers come
 * from a seed.
 */
#ifndef POOLBENCH_TESTS_TRACK_SAMPLE_H
#define POOLBENCH_TESTS_TRACK_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

struct track_sample {
	uint64_t seed;
	double started; /* Unix seconds */
	double time_factor, footprint_factor; /* of nt-pool under irp-storm; 1 is as always */
	double run_noise; /* standard deviation of a run's level: 0.005 */
	unsigned repetitions;
	const char *machine; /* fingerprint */
	uint64_t trace; /* checksum */
	const char *events; /* value of --events */
	bool crash; /* nt-pool under object-churn crashes */
	const char *plugin; /* path of a plugin called "mine", NULL for none */
	unsigned more_cells; /* of further workloads, to make a run large */
};

/* What a run is unless said otherwise. */
extern const struct track_sample track_sample_usual;

/* Creates the directory. 0, or -1 with the reason on stderr. */
int track_sample_write(const struct track_sample *sample, const char *directory);

#endif
