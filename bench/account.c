#include "account.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/waste.h"

#define TAG_LIVE_POINTS 64 /* about so many checkpoints have rows in tag_live.csv */

/* ---- one checkpoint ---- */

static void sum_threads(const struct account *account, struct memory_point *point)
{
	const struct trace *trace = &account->m->image.trace;

	for (unsigned p = 0; p < trace->processors; p++) {
		point->live_bytes += (uint64_t)account->sums[p].live_bytes;
		point->live_blocks += (uint64_t)account->sums[p].live_blocks;
		point->block_bytes += (uint64_t)account->sums[p].block_bytes;
		point->event += account->sums[p].operations;
	}
}

/* Returns what is live under the tag. */
static uint64_t update_tag(const struct account *account, unsigned tag)
{
	struct tag_total *total = &account->tags[tag];
	uint64_t live_bytes = 0;

	total->allocs = total->frees = total->bytes_allocated = 0;
	for (unsigned p = 0; p < account->m->image.trace.processors; p++) {
		const struct replay_tag_sums *sums = &account->sums[p].tags[tag];

		total->allocs += sums->allocs;
		total->frees += sums->frees;
		total->bytes_allocated += sums->bytes_allocated;
		live_bytes += (uint64_t)sums->live_bytes;
	}
	if (live_bytes > total->live_peak_bytes)
		total->live_peak_bytes = live_bytes;
	if (total->allocs - total->frees > total->live_peak_blocks)
		total->live_peak_blocks = total->allocs - total->frees;
	return live_bytes;
}

static void copy_tag(char *to, uint32_t tag)
{
	for (int i = 0; i < 4; i++)
		to[i] = (char)(tag >> (8 * i) & 0xFF);
	to[4] = '\0';
}

static void update_tags(struct account *account, const struct memory_point *point)
{
	const struct trace *trace = &account->m->image.trace;
	const bool keep = (account->count - 1) % account->tag_live_every == 0;
	struct tag_live others = { .event = point->event, .lap = point->lap };

	for (unsigned i = 0; i < account->groups.count; i++) {
		const unsigned tag = account->groups.order[i];
		struct tag_live row = others;

		row.live_bytes = update_tag(account, tag);
		row.live_blocks = account->tags[tag].allocs - account->tags[tag].frees;
		if (!keep)
			continue;
		if (i < ACCOUNT_TAGS) {
			copy_tag(row.tag, trace->tag_table[tag].tag);
			account->tag_live[account->tag_live_rows++] = row;
			continue;
		}
		others.live_bytes += row.live_bytes;
		others.live_blocks += row.live_blocks;
	}
	if (keep && account->groups.count > ACCOUNT_TAGS)
		account->tag_live[account->tag_live_rows++] = others;
}

double account_committed_bytes(const struct account *account)
{
	const struct measurement *m = account->m;
	double bytes = 0;

	if (!(m->backend->ops->caps & POOL_CAP_NATIVE))
		return NAN;
	for (int type = 0; type < POOL_TYPES; type++) {
		struct page_source_stats stats;

		page_source_stats(m->pages[type], &stats);
		bytes += (double)stats.committed_bytes;
	}
	return bytes;
}

double account_resident_bytes(const struct account *account)
{
	const struct measurement *m = account->m;
	double bytes = measure_resident_bytes(m);
	size_t paged;

	if (m->spec->paging_file && page_source_resident(m->pages[POOL_PAGED], &paged) == 0)
		bytes += (double)paged;
	return bytes;
}

static void measure_waste(struct account *account, struct memory_point *point)
{
	const struct measurement *m = account->m;
	struct waste_subject subject = { .ops = m->backend->ops,
					 .pool = m->pool,
					 .largest_request = account->largest_request };
	char why[256];

	for (int type = 0; type < POOL_TYPES; type++) {
		struct page_source_stats stats;

		page_source_stats(m->pages[type], &stats);
		subject.committed_bytes[type] = stats.committed_bytes;
	}
	if (waste_measure(&subject, point, &account->free_ranges[account->count - 1], why,
			  sizeof(why)) != 0 &&
	    !account->broken[0])
		snprintf(account->broken, sizeof(account->broken),
			 "the parts do not add up at checkpoint %zu (event %llu): %s",
			 account->count, (unsigned long long)point->event, why);
}

/* What a picture leaves mapped is the harness's own: the pool does not change while it is drawn. */
static void draw_map(struct account *account, const struct memory_point *point)
{
	struct measurement *m = account->m;
	struct resident_sample before, after;

	if (resident_read(&m->resident, &before) != 0 ||
	    heap_map_draw(&account->maps, m, &account->groups, point) != 0 ||
	    resident_read(&m->resident, &after) != 0)
		return;
	m->baseline_bytes += after.resident_bytes - before.resident_bytes;
}

/* A claim of the backend's own account, named for when it was made. */
static void keep_claim(void *arg, const char *name, const char *help, uint64_t value)
{
	struct record *record = arg;
	struct record_counter *counter = record->counter;
	char peak_name[sizeof(counter->name)];

	(void)help;
	if (strncmp(name, POOL_COUNTER_LEVEL, strlen(POOL_COUNTER_LEVEL)) != 0)
		return;
	snprintf(peak_name, sizeof(peak_name), "peak_%s", name);
	while (counter < record->counter + record->counters && strcmp(counter->name, peak_name))
		counter++;
	if (counter == record->counter + record->counters) {
		if (record->counters == RECORD_COUNTERS)
			return;
		record->counters++;
		memcpy(counter->name, peak_name, sizeof(peak_name));
	}
	counter->value = value;
}

/* What a malloc library says of itself when the kernel says most, so that the two can be held together. */
static void note_peak(struct account *account, double resident_bytes)
{
	struct measurement *m = account->m;

	if (resident_bytes <= account->resident_peak_bytes || !m->backend->ops->counters)
		return;
	account->resident_peak_bytes = resident_bytes;
	m->backend->ops->counters(m->pool, keep_claim, &m->result->record);
}

static void take_checkpoint(struct account *account, unsigned lap)
{
	struct memory_point *point;

	if (account->count == account->capacity)
		return;
	point = &account->points[account->count++];
	memset(point, 0, sizeof(*point));
	point->lap = lap;
	sum_threads(account, point);
	update_tags(account, point);
	point->resident_bytes = account_resident_bytes(account);
	point->committed_bytes = account_committed_bytes(account);
	note_peak(account, point->resident_bytes);
	measure_waste(account, point);
	if (heap_map_due(&account->maps, account->count - 1))
		draw_map(account, point);
}

/* ---- the replay ---- */

uint64_t account_replay(struct account *account, struct team *team, unsigned processor,
			const struct account_stage *stage, unsigned lap, unsigned parts_per_lap)
{
	const struct replay *replay = &account->m->replay;
	const unsigned n = replay->trace->processors;
	const uint64_t *cut = &stage->cuts[processor];
	uint64_t failed = 0;

	account->maps.stacks[processor] = &failed;
	for (unsigned part = 0; part < stage->parts; part++, cut += n) {
		failed += replay_events_counted(replay, processor, cut[0], cut[n] - cut[0],
						&account->sums[processor]);
		barrier_wait_asleep(&team->barrier);
		if (processor == 0)
			take_checkpoint(account, lap + part / parts_per_lap);
		barrier_wait_asleep(&team->barrier);
	}
	return failed;
}

int account_judge(const struct account *account)
{
	struct measurement *m = account->m;
	char why[256] = "";

	for (unsigned p = 0; p < m->image.trace.processors; p++)
		if (account->sums[p].broken)
			return measure_fail(m, CELL_CORRUPT, "%s (block %p, %u bytes)",
					    account->sums[p].broken, account->sums[p].broken_block,
					    account->sums[p].broken_bytes);
	if (account->broken[0])
		return measure_fail(m, CELL_CORRUPT, "%s", account->broken);
	if (m->backend->ops->check && m->backend->ops->check(m->pool, why, sizeof(why)) != 0)
		return measure_fail(m, CELL_CORRUPT, "check after the drain: %s", why);
	return 0;
}

/* ---- life ---- */

/* One mapping for everything that is written at checkpoints, so that none of it lies in a heap under test. */
static int map_tables(struct account *account)
{
	const struct trace *trace = &account->m->image.trace;
	const unsigned threads = trace->processors;
	const size_t capacity = account->capacity;
	const size_t live_rows = (capacity / account->tag_live_every + 1) * (ACCOUNT_TAGS + 1);
	const size_t thread_tags = sizeof(struct replay_tag_sums) * (trace->tags + 4u);
	const size_t bytes[] = {
		sizeof(*account->points) * capacity,
		sizeof(*account->free_ranges) * capacity,
		sizeof(*account->tag_live) * live_rows,
		sizeof(*account->m->replay.filled) * ((size_t)trace->slots + 1),
		sizeof(*account->tags) * (trace->tags + 1u),
		sizeof(*account->sums) * threads,
		thread_tags * threads,
	};
	char *at[sizeof(bytes) / sizeof(*bytes)];

	for (size_t i = 0; i < sizeof(bytes) / sizeof(*bytes); i++)
		account->tables_bytes += (bytes[i] + 63) & ~(size_t)63;
	account->tables = table_map(account->tables_bytes);
	if (!account->tables)
		return measure_fail(account->m, CELL_CRASHED, "out of memory for checkpoints");
	at[0] = account->tables;
	for (size_t i = 1; i < sizeof(bytes) / sizeof(*bytes); i++)
		at[i] = at[i - 1] + ((bytes[i - 1] + 63) & ~(size_t)63);
	account->points = (struct memory_point *)(void *)at[0];
	account->free_ranges = (struct free_ranges *)(void *)at[1];
	account->tag_live = (struct tag_live *)(void *)at[2];
	account->m->replay.filled = (const struct trace_event **)(void *)at[3];
	account->tags = (struct tag_total *)(void *)at[4];
	account->sums = (struct replay_sums *)(void *)at[5];
	for (unsigned p = 0; p < threads; p++)
		account->sums[p].tags = (struct replay_tag_sums *)(void *)(at[6] + p * thread_tags);
	return 0;
}

/* One look at the trace: where its tags live, and its largest request. */
static void describe_tags(struct account *account)
{
	const struct trace *trace = &account->m->image.trace;

	for (unsigned t = 0; t < trace->tags; t++) {
		copy_tag(account->tags[t].tag, trace->tag_table[t].tag);
		snprintf(account->tags[t].name, sizeof(account->tags[t].name), "%s",
			 trace->tag_table[t].name);
	}
	for (unsigned p = 0; p < trace->processors; p++) {
		const struct trace_stream *stream = &trace->streams[p];

		for (uint64_t i = 0; i < stream->total; i++) {
			const struct trace_event *event = &stream->events[i];

			if (event->kind != TRACE_ALLOC)
				continue;
			account->tags[event->tag].pool = event->flags & TRACE_PAGED ? 'P' : 'N';
			if (event->bytes > account->largest_request)
				account->largest_request = event->bytes;
		}
	}
}

static void own_mapping(struct measurement *m, const void *start, size_t bytes)
{
	mappings_add(&m->harness, start, (bytes + POOL_OS_PAGE - 1) & ~(size_t)(POOL_OS_PAGE - 1));
}

int account_open(struct account *account, struct measurement *m, size_t capacity)
{
	struct resident_sample before, after;
	int error;

	*account = (struct account){ .m = m, .capacity = capacity };
	account->tag_live_every = capacity / TAG_LIVE_POINTS + (capacity < TAG_LIVE_POINTS);
	if (resident_read(&m->resident, &before) != 0)
		return measure_fail(m, CELL_UNTRUSTED, "cannot read /proc/self/smaps_rollup");
	if (heap_tags_create(&m->image.trace, &account->groups) != 0)
		return measure_fail(m, CELL_CRASHED, "out of memory for the tags");
	error = map_tables(account);
	if (error)
		return error;
	describe_tags(account);
	own_mapping(m, account->tables, account->tables_bytes);
	own_mapping(m, account->groups.order, 1);
	if (resident_read(&m->resident, &after) != 0)
		return measure_fail(m, CELL_UNTRUSTED, "cannot read /proc/self/smaps_rollup");
	m->baseline_bytes += after.resident_bytes - before.resident_bytes;
	return 0;
}

void account_close(struct account *account)
{
	heap_map_release(&account->maps);
	heap_tags_destroy(&account->groups);
	account->m->replay.filled = NULL;
	table_unmap(account->tables, account->tables_bytes);
	account->tables = NULL;
}

static void *copy(const void *rows, size_t count, size_t bytes)
{
	void *made = malloc(bytes * (count + 1));

	return made ? memcpy(made, rows, bytes * count) : NULL;
}

int account_keep(struct account *account, struct result *result)
{
	const unsigned tags = account->m->image.trace.tags;

	result->tags = copy(account->tags, tags, sizeof(*result->tags));
	result->tag_live = copy(account->tag_live, account->tag_live_rows,
				sizeof(*result->tag_live));
	result->free_ranges = copy(account->free_ranges, account->count,
				   sizeof(*result->free_ranges));
	if (!result->tags || !result->tag_live || !result->free_ranges ||
	    heap_map_keep(&account->maps, result) != 0)
		return measure_fail(account->m, CELL_CRASHED, "out of memory");
	result->tag_totals = tags;
	result->tag_live_rows = account->tag_live_rows;
	if (account->m->backend->ops->walk)
		result->free_range_points = account->count;
	return 0;
}
