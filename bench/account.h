/*
 * The account of a pool's memory at checkpoints, for the passes that stop: what callers hold (from the events),
 * what their blocks take (from the backend), what is committed (from the page sources), what is resident (from the
 * kernel), and where every committed byte went (from the backend's walk, held to the other accounts).
 *
 * Resident is read the same way for all backends: anonymous and huge-page bytes of the process by smaps_rollup,
 * less what was there before the backend came; a paging file's pages, which are not anonymous, are added from the
 * page source. What the harness itself maps later (these tables, pictures of the heap) is added to that baseline.
 *
 * One thread makes a checkpoint while all others wait at a barrier.
 */
#ifndef POOLBENCH_ACCOUNT_H
#define POOLBENCH_ACCOUNT_H

#include <stddef.h>

#include "bench/heap_map.h"
#include "bench/measure.h"
#include "bench/team.h"

#define ACCOUNT_TAGS \
	11 /* tags that are followed one by one in tag_live.csv; the others are one more */

struct account {
	struct measurement *m;
	struct replay_sums *sums; /* [threads] */
	struct tag_total *tags; /* [trace tags] */
	struct memory_point *points;
	struct free_ranges *free_ranges; /* one a point */
	size_t count, capacity;
	struct tag_live *tag_live;
	size_t tag_live_rows, tag_live_every; /* every so many points */
	struct heap_tags groups; /* which tags matter */
	struct heap_map_list maps;
	uint32_t largest_request;
	double resident_peak_bytes; /* so far */
	char broken[320]; /* not empty: the first checkpoint whose parts do not add up, and how */
	void *tables;
	size_t tables_bytes;
};

/* A phase, or a stretch of one, in parts: cuts as of replay_cuts. */
struct account_stage {
	enum trace_phase phase;
	unsigned parts;
	uint64_t *cuts;
};

/* Room for `capacity` checkpoints. 0, or measure_fail's value; account_close is due in both cases. */
int account_open(struct account *account, struct measurement *m, size_t capacity);
void account_close(struct account *account);

/*
 * Replays a stage on the calling thread, with a checkpoint after each part. Laps count up from `lap` every
 * `parts_per_lap`. Returns the allocations that failed.
 */
uint64_t account_replay(struct account *account, struct team *team, unsigned processor,
			const struct account_stage *stage, unsigned lap, unsigned parts_per_lap);

/* What the backend broke, if anything: 0, or measure_fail's value. For the end of the replay. */
int account_judge(const struct account *account);

/* What is resident and committed now (NaN where it cannot be told). */
double account_resident_bytes(const struct account *account);
double account_committed_bytes(const struct account *account);

/* Hands all series but the points to the result. 0, or measure_fail's value. */
int account_keep(struct account *account, struct result *result);

#endif
