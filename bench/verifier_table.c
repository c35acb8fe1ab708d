/* The table of live and lately freed blocks; verifier_table.h has the structure. */
#include "verifier_table.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define SHARDS       64u
#define FIRST_PLACES 256u
#define FREED        256u

struct shard {
	_Alignas(64) pthread_mutex_t lock;
	struct tracked_block *places; /* a NULL block: empty */
	size_t count, size; /* size is a power of two */
	struct tracked_block freed[FREED];
	uint64_t frees;
};

struct verifier_table {
	struct shard shards[SHARDS];
};

static uint64_t hash(const void *block)
{
	return ((uint64_t)(uintptr_t)block >> 4) * 0x9E3779B97F4A7C15u;
}

static struct shard *shard_of(struct verifier_table *table, const void *block)
{
	return &table->shards[hash(block) >> 58];
}

static size_t home(const struct shard *shard, const void *block)
{
	return (size_t)(hash(block) >> 8) & (shard->size - 1);
}

/* The place of a block, or the empty place where it belongs. */
static struct tracked_block *find(const struct shard *shard, const void *block)
{
	size_t i = home(shard, block);

	while (shard->places[i].block && shard->places[i].block != block)
		i = (i + 1) & (shard->size - 1);
	return &shard->places[i];
}

struct verifier_table *verifier_table_create(void)
{
	struct verifier_table *table = aligned_alloc(64, sizeof(*table));

	if (!table)
		return NULL;
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *shard = &table->shards[i];

		*shard = (struct shard){ .size = FIRST_PLACES };
		pthread_mutex_init(&shard->lock, NULL);
		shard->places = calloc(FIRST_PLACES, sizeof(*shard->places));
		if (!shard->places) {
			while (i-- > 0)
				free(table->shards[i].places);
			free(table);
			return NULL;
		}
	}
	return table;
}

void verifier_table_destroy(struct verifier_table *table)
{
	if (!table)
		return;
	for (unsigned i = 0; i < SHARDS; i++) {
		free(table->shards[i].places);
		pthread_mutex_destroy(&table->shards[i].lock);
	}
	free(table);
}

/* Keeps the table at most half full. With the lock held. */
static int grow(struct shard *shard)
{
	const struct tracked_block *old = shard->places;
	const size_t old_size = shard->size;
	struct tracked_block *places;

	if (2 * (shard->count + 1) <= shard->size)
		return 0;
	places = calloc(2 * old_size, sizeof(*places));
	if (!places)
		return -ENOMEM;
	shard->places = places;
	shard->size = 2 * old_size;
	for (size_t i = 0; i < old_size; i++)
		if (old[i].block)
			*find(shard, old[i].block) = old[i];
	free((void *)old);
	return 0;
}

int verifier_table_add(struct verifier_table *table, const struct tracked_block *block)
{
	struct shard *shard = shard_of(table, block->block);
	struct tracked_block *place;
	int error;

	pthread_mutex_lock(&shard->lock);
	error = grow(shard);
	if (!error) {
		place = find(shard, block->block);
		shard->count += place->block == NULL;
		*place = *block;
	}
	pthread_mutex_unlock(&shard->lock);
	return error;
}

/* Empties a place, and moves back those behind it whose way from home leads over it (Knuth 6.4, algorithm R). */
static void empty_place(struct shard *shard, struct tracked_block *place)
{
	const size_t mask = shard->size - 1;
	size_t hole = (size_t)(place - shard->places);

	for (size_t i = (hole + 1) & mask; shard->places[i].block; i = (i + 1) & mask) {
		const size_t way = (i - home(shard, shard->places[i].block)) & mask;

		if (way >= ((i - hole) & mask)) {
			shard->places[hole] = shard->places[i];
			hole = i;
		}
	}
	shard->places[hole].block = NULL;
	shard->count--;
}

static bool find_freed(const struct shard *shard, const void *block, struct tracked_block *out)
{
	const uint64_t kept = shard->frees < FREED ? shard->frees : FREED;

	for (uint64_t i = 1; i <= kept; i++) {
		const struct tracked_block *freed = &shard->freed[(shard->frees - i) % FREED];

		if (freed->block == block) {
			*out = *freed;
			return true;
		}
	}
	return false;
}

enum tracked_state verifier_table_remove(struct verifier_table *table, const void *block,
					 const struct call_stack *by, struct tracked_block *out)
{
	struct shard *shard = shard_of(table, block);
	enum tracked_state state = TRACKED_NEVER;
	struct tracked_block *place, *freed;

	pthread_mutex_lock(&shard->lock);
	place = find(shard, block);
	if (place->block) {
		*out = *place;
		empty_place(shard, place);
		freed = &shard->freed[shard->frees++ % FREED];
		*freed = *out;
		freed->freed = *by;
		state = TRACKED_LIVE;
	} else if (find_freed(shard, block, out)) {
		state = TRACKED_FREED;
	}
	pthread_mutex_unlock(&shard->lock);
	return state;
}

void verifier_table_walk(struct verifier_table *table,
			 void (*visit)(void *arg, const struct tracked_block *block), void *arg)
{
	for (unsigned i = 0; i < SHARDS; i++)
		for (size_t j = 0; j < table->shards[i].size; j++)
			if (table->shards[i].places[j].block)
				visit(arg, &table->shards[i].places[j]);
}
