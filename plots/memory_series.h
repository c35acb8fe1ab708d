/* The checkpoints of a run's memory.csv or ageing.csv, as figures want them: a list a contender. */
#ifndef POOLBENCH_PLOTS_MEMORY_SERIES_H
#define POOLBENCH_PLOTS_MEMORY_SERIES_H

#include <stddef.h>

#include "figures.h"

#define MIB 1048576.0

enum cause {
	CAUSE_ROUNDING,
	CAUSE_HEADER,
	CAUSE_CACHED,
	CAUSE_FREE,
	CAUSE_FREE_PAGE,
	CAUSE_METADATA,
	CAUSES
};

struct memory_sample {
	double event, lap, live, committed, resident, cause[CAUSES]; /* NaN: not told */
};

/* One series in one panel: the checkpoints of the first repetition that has any. */
struct memory_series {
	struct memory_sample *samples;
	size_t count, room;
	double repetition;
};

/* The series of every contender in a panel, for memory_series_free. A run without the file has none. */
int memory_series_read(const struct model *model, size_t panel, const char *file,
		       struct memory_series **out);
void memory_series_free(const struct model *model, struct memory_series *all);

/* The checkpoint with the most live bytes; NULL where there is none. */
const struct memory_sample *memory_series_peak(const struct memory_series *series);

/* The sum of the causes; NaN where they are not told. */
double memory_sample_waste(const struct memory_sample *sample);

/* cause_name[], cause_rgb[] from 1, and the count `causes`. */
void prepare_causes(struct drawing *drawing);

/* A number of a data file: " 1.5", or " NaN". */
void data_number(FILE *data, double value);

#endif
