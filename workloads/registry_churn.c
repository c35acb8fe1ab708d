/*
 * registry-churn: applications and services at the registry, all of it paged pool.
 *
 * Keys are a tree; key 0 is the root and key k's parent is (k - 1) / FANOUT. An open key has a key control
 * block, which refers to its parent's, so the way to the root is resident too, and a name block, which keys
 * of the same name share. Opening a key gives the application a key body of its own. A control block that
 * nobody uses any more is retained; when there are more of those than the cache is for, the oldest
 * quarter goes. Thus key bodies churn while control blocks live long.
 *
 * A query leaves an index of the key's values and the value it read behind its control block; setting a value
 * throws both away, and answers who waits for a notification. Installers create volatile keys in batches,
 * in a hive bin of their own, sometimes in a transaction, and delete them again.
 *
 * docs/registry-churn.md says where the numbers come from.
 */
#include "activity.h"
#include "retention.h"

#include <errno.h>
#include <stdlib.h>

#define FANOUT         8u
#define ROOT           0u
#define OPENS_MAX      8u /* keys an application has open at once in one burst */
#define VOLATILE_MAX   24u /* keys of an installer's batch */
#define NAMES_PER_KEYS 4u /* one distinct name for so many keys */
#define TRIM_PARTS     4u /* the cache is trimmed by one part in so many */
#define TWO_PAGE_BINS \
	93000u /* ppm of hive bins with two pages: makes their mean the published 4,476 bytes */
#define NO_SLOT UINT32_MAX

struct registry_churn_options {
	unsigned keys, cached, handles, bins, notify;
	double set, create, transactions;
	int version;
};

/* clang-format off */
static const struct option_def registry_churn_table[] = {
	OPTION_UINT(struct registry_churn_options, keys, "8192", 64, 1 << 22, "keys", "keys in the tree"),
	OPTION_UINT(struct registry_churn_options, cached, "2048", 4, 1 << 20, "blocks",
		    "control blocks of closed keys kept before a quarter of them is trimmed"),
	OPTION_UINT(struct registry_churn_options, handles, "842", 0, 1 << 20, "keys",
		    "keys held open for long, by the whole machine"),
	OPTION_UINT(struct registry_churn_options, bins, "1024", 0, 1 << 20, "bins", "hive bins of the loaded hives"),
	OPTION_UINT(struct registry_churn_options, notify, "128", 0, 1 << 16, "blocks",
		    "keys on which somebody waits for a change"),
	OPTION_REAL(struct registry_churn_options, set, "0.15", 0, 1, "1", "share of bursts that set values"),
	OPTION_REAL(struct registry_churn_options, create, "0.05", 0, 1, "1",
		    "share of bursts that create and delete a batch of keys"),
	OPTION_REAL(struct registry_churn_options, transactions, "0.2", 0, 1, "1",
		    "share of the batches that are one transaction"),
	OPTION_ENUM(struct registry_churn_options, version, "22631", windows_version_names, "Windows version of the sizes"),
	OPTION_END
};
/* clang-format on */

struct key {
	uint32_t block; /* slot of the control block, while resident */
	uint32_t index, value; /* slots of what queries cached; NO_SLOT without */
	bool was_cached; /* at the beginning of the body */
};

struct name {
	uint32_t slot, users;
};

/* A key somebody holds open. */
struct handle {
	uint32_t key, body;
};

/* A volatile key of an installer's batch. */
struct volatile_key {
	uint32_t block, name, body, unit_of_work;
};

struct registry {
	struct stage *stage;
	const struct registry_churn_options *options;
	enum windows_version version;
	struct random random;
	uint64_t traits; /* seed of the keys' names and values */
	struct bursts {
		struct share set, create, transactions;
	} * bursts; /* [processors] */
	struct retention blocks; /* control blocks by key */
	struct key *keys;
	struct name *names;
	uint32_t name_count;
	struct handle *handles;
	uint32_t next_handle;
	uint32_t *notify;
	uint32_t next_notify;
	uint32_t caches_changed; /* keys whose cached value differs from was_cached */
};

static uint32_t object_alloc(struct registry *registry, unsigned processor,
			     enum kernel_object object)
{
	const uint32_t bytes = kernel_object_bytes(object, registry->version);

	return stage_alloc(registry->stage, processor, object, bytes, bytes);
}

/* Names of 4 to 40 characters; GUIDs, which have 38, are an eighth of them. */
static uint32_t name_bytes(const struct registry *registry, uint32_t name)
{
	const uint64_t trait = trait_of(registry->traits, name);

	if (trait % 8 == 0)
		return NAME_BLOCK_FIXED_BYTES + 38;
	return NAME_BLOCK_FIXED_BYTES + 4 + (uint32_t)(trait >> 8) % 21;
}

static uint32_t key_name(const struct registry *registry, uint32_t key)
{
	return (uint32_t)(trait_of(registry->traits + 1, key) % registry->name_count);
}

static uint32_t key_values(const struct registry *registry, uint32_t key)
{
	return 1 + (uint32_t)(trait_of(registry->traits + 2, key) % 16);
}

/* The key's hot value as it is cached: numbers mostly, else text. */
static uint32_t value_bytes(const struct registry *registry, uint32_t key)
{
	const uint64_t trait = trait_of(registry->traits + 3, key);
	const uint32_t head = 0x18 + 2 * (4 + (uint32_t)(trait >> 32) % 21);

	return head + (trait % 2 ? 4 : 8 + (uint32_t)(trait >> 8) % 249);
}

static void name_use(struct registry *registry, unsigned processor, uint32_t name)
{
	const uint32_t bytes = name_bytes(registry, name);

	if (registry->names[name].users++ == 0)
		registry->names[name].slot = stage_alloc(registry->stage, processor,
							 OBJECT_NAME_BLOCK, bytes, bytes);
}

static void name_drop(struct registry *registry, unsigned processor, uint32_t name)
{
	if (--registry->names[name].users == 0)
		stage_free(registry->stage, processor, registry->names[name].slot);
}

static void note_cache_change(struct registry *registry, const struct key *key, bool cached)
{
	registry->caches_changed += cached != key->was_cached ? 1 : UINT32_MAX;
}

static void cache_fill(struct registry *registry, unsigned processor, uint32_t number)
{
	struct key *key = &registry->keys[number];
	const uint32_t index_bytes = PFN_BYTES * key_values(registry, number);
	const uint32_t bytes = value_bytes(registry, number);

	if (key->index != NO_SLOT)
		return;
	key->index = stage_alloc(registry->stage, processor, OBJECT_VALUE_INDEX, index_bytes,
				 index_bytes);
	key->value = stage_alloc(registry->stage, processor, OBJECT_VALUE, bytes, bytes);
	note_cache_change(registry, key, true);
}

static void cache_drop(struct registry *registry, unsigned processor, uint32_t number)
{
	struct key *key = &registry->keys[number];

	if (key->index == NO_SLOT)
		return;
	stage_free(registry->stage, processor, key->value);
	stage_free(registry->stage, processor, key->index);
	key->index = NO_SLOT;
	note_cache_change(registry, key, false);
}

static void block_make(struct registry *registry, unsigned processor, uint32_t key)
{
	registry->keys[key].block = object_alloc(registry, processor, OBJECT_KEY_CONTROL_BLOCK);
	name_use(registry, processor, key_name(registry, key));
	retention_insert(&registry->blocks, key);
	if (key != ROOT)
		retention_reference(&registry->blocks, (key - 1) / FANOUT);
}

static void block_destroy(struct registry *registry, unsigned processor, uint32_t key)
{
	retention_remove(&registry->blocks, key);
	cache_drop(registry, processor, key);
	stage_free(registry->stage, processor, registry->keys[key].block);
	name_drop(registry, processor, key_name(registry, key));
	if (key != ROOT)
		retention_release(&registry->blocks, (key - 1) / FANOUT);
}

/* Parses the path: control blocks for the key and all above it, from the first that is not resident down. */
static void block_need(struct registry *registry, unsigned processor, uint32_t key)
{
	uint32_t path[32];
	unsigned depth = 0;

	while (!retention_resident(&registry->blocks, key)) {
		path[depth++] = key;
		if (key == ROOT)
			break;
		key = (key - 1) / FANOUT;
	}
	while (depth > 0)
		block_make(registry, processor, path[--depth]);
}

/* The worker of delayed closes: when the list is too long, its oldest quarter goes. */
static void blocks_trim(struct registry *registry, unsigned processor)
{
	const uint32_t limit = registry->options->cached;

	if (registry->blocks.listed <= limit)
		return;
	while (registry->blocks.listed > limit - limit / TRIM_PARTS)
		block_destroy(registry, processor, registry->blocks.oldest);
}

static struct handle key_open(struct registry *registry, unsigned processor, uint32_t key)
{
	struct handle handle = { .key = key };

	block_need(registry, processor, key);
	retention_reference(&registry->blocks, key);
	handle.body = object_alloc(registry, processor, OBJECT_KEY_BODY);
	return handle;
}

static void key_close(struct registry *registry, unsigned processor, struct handle handle)
{
	stage_free(registry->stage, processor, handle.body);
	retention_release(&registry->blocks, handle.key);
}

/* Somebody's wait is over; it asks again at once. */
static void notify_fire(struct registry *registry, unsigned processor)
{
	uint32_t *slot;

	if (registry->options->notify == 0)
		return;
	slot = &registry->notify[registry->next_notify];
	registry->next_notify = (registry->next_notify + 1) % registry->options->notify;
	stage_free(registry->stage, processor, *slot);
	*slot = object_alloc(registry, processor, OBJECT_NOTIFY_BLOCK);
}

/*
 * An application reads its settings: a key, some keys below it (nested, so they are closed in reverse), a
 * query in each. With `set` it writes the last of them too.
 */
static void burst_settings(struct registry *registry, unsigned processor, bool set)
{
	struct handle open[OPENS_MAX];
	const uint32_t count = random_between(&registry->random, 2, OPENS_MAX);
	uint32_t key = random_skewed(&registry->random, registry->options->keys);

	for (uint32_t i = 0; i < count; i++) {
		const uint32_t child = key * FANOUT + 1 + random_skewed(&registry->random, FANOUT);

		open[i] = key_open(registry, processor, key);
		cache_fill(registry, processor, key);
		key = child < registry->options->keys
			      ? child
			      : random_skewed(&registry->random, registry->options->keys);
	}
	if (set) {
		cache_drop(registry, processor, open[count - 1].key);
		notify_fire(registry, processor);
	}
	for (uint32_t i = count; i-- > 0;)
		key_close(registry, processor, open[i]);
}

static struct volatile_key volatile_create(struct registry *registry, unsigned processor,
					   bool in_transaction)
{
	struct volatile_key key;
	const uint32_t bytes = NAME_BLOCK_FIXED_BYTES + random_between(&registry->random, 4, 40);

	key.name = stage_alloc(registry->stage, processor, OBJECT_NAME_BLOCK, bytes, bytes);
	key.block = object_alloc(registry, processor, OBJECT_KEY_CONTROL_BLOCK);
	key.body = object_alloc(registry, processor, OBJECT_KEY_BODY);
	key.unit_of_work = in_transaction ? object_alloc(registry, processor, OBJECT_UNIT_OF_WORK)
					  : NO_SLOT;
	return key;
}

/* An installer: a batch of keys comes into being below an open key, is used, and is deleted in order. */
static void burst_batch(struct registry *registry, unsigned processor)
{
	struct volatile_key keys[VOLATILE_MAX];
	const uint32_t count = random_between(&registry->random, 4, VOLATILE_MAX);
	const bool in_transaction = share_next(&registry->bursts[processor].transactions,
					       &registry->random);
	const struct handle parent = key_open(
		registry, processor, random_skewed(&registry->random, registry->options->keys));
	uint32_t transaction = NO_SLOT;
	uint32_t bin;

	if (in_transaction)
		transaction = object_alloc(registry, processor, OBJECT_TRANSACTION);
	/* The volatile part of the hive grows by a bin, of which the creation writes the header and cells. */
	bin = stage_alloc(registry->stage, processor, OBJECT_HIVE_BIN, POOL_OS_PAGE,
			  0x20 + count * 0x60);
	for (uint32_t i = 0; i < count; i++)
		keys[i] = volatile_create(registry, processor, in_transaction);
	for (uint32_t i = 0; in_transaction && i < count; i++)
		stage_free(registry->stage, processor, keys[i].unit_of_work);
	if (in_transaction)
		stage_free(registry->stage, processor, transaction);
	for (uint32_t i = 0; i < count; i++) {
		stage_free(registry->stage, processor, keys[i].body);
		stage_free(registry->stage, processor, keys[i].block);
		stage_free(registry->stage, processor, keys[i].name);
	}
	stage_free(registry->stage, processor, bin);
	key_close(registry, processor, parent);
}

/* A service restarts: one of the keys held for long is closed and opened again. */
static void handle_reopen(struct registry *registry, unsigned processor)
{
	struct handle *handle;

	if (registry->options->handles == 0)
		return;
	handle = &registry->handles[registry->next_handle];
	registry->next_handle = (registry->next_handle + 1) % registry->options->handles;
	key_close(registry, processor, *handle);
	*handle = key_open(registry, processor, handle->key);
}

static void registry_step(void *state, unsigned processor)
{
	struct registry *registry = state;

	if (share_next(&registry->bursts[processor].create, &registry->random)) {
		burst_batch(registry, processor);
		handle_reopen(registry, processor);
	} else {
		burst_settings(registry, processor,
			       share_next(&registry->bursts[processor].set, &registry->random));
	}
	blocks_trim(registry, processor);
}

static void remember(struct registry *registry)
{
	retention_remember(&registry->blocks);
	for (uint32_t i = 0; i < registry->options->keys; i++)
		registry->keys[i].was_cached = registry->keys[i].index != NO_SLOT;
	registry->caches_changed = 0;
}

/*
 * The machine boots: hives are loaded, services open their keys, and applications come and go until the cache
 * has been trimmed once, or all keys are known.
 */
static void registry_populate(void *state)
{
	struct registry *registry = state;
	const struct registry_churn_options *options = registry->options;
	const unsigned processors = registry->stage->processors;
	const uint32_t limit = options->cached;
	uint64_t steps = 0;

	/* A loaded bin is read from its file: all of it is written. */
	for (uint32_t i = 0; i < options->bins; i++) {
		const uint32_t pages = random_chance(&registry->random, TWO_PAGE_BINS) ? 2 : 1;

		stage_alloc(registry->stage, i % processors, OBJECT_HIVE_BIN, pages * POOL_OS_PAGE,
			    pages * POOL_OS_PAGE);
	}
	for (uint32_t i = 0; i < options->handles; i++)
		registry->handles[i] = key_open(registry, i % processors,
						random_skewed(&registry->random, options->keys));
	for (uint32_t i = 0; i < options->notify; i++)
		registry->notify[i] = object_alloc(registry, i % processors, OBJECT_NOTIFY_BLOCK);
	/* Half way between a trimmed cache and a full one. */
	while (registry->blocks.listed < limit - limit / TRIM_PARTS / 2 && steps < options->keys)
		registry_step(registry, (unsigned)(steps++ % processors));
	remember(registry);
}

/* A control block is at most two events (its name may be shared), a cached value two. */
static uint64_t registry_debt(const void *state)
{
	const struct registry *registry = state;

	return 2ull * registry->blocks.changed + 2ull * registry->caches_changed;
}

/*
 * Back to the set of control blocks and cached values that populate left. Children have higher numbers than
 * their parents: what came is dropped from the highest number down, what went is made from the lowest up.
 */
static void registry_settle(void *state)
{
	struct registry *registry = state;
	const unsigned processors = registry->stage->processors;
	const uint32_t keys = registry->options->keys;

	for (uint32_t i = keys; i-- > 0;)
		if (registry->blocks.objects[i].resident &&
		    !registry->blocks.objects[i].was_resident)
			block_destroy(registry, i % processors, i);
	for (uint32_t i = 0; i < keys; i++) {
		if (!registry->blocks.objects[i].was_resident)
			continue;
		if (!registry->blocks.objects[i].resident)
			block_make(registry, i % processors, i);
		if (registry->keys[i].was_cached)
			cache_fill(registry, i % processors, i);
		else
			cache_drop(registry, i % processors, i);
	}
}

static void registry_destroy(void *state)
{
	struct registry *registry = state;

	if (!registry)
		return;
	retention_fini(&registry->blocks);
	free(registry->keys);
	free(registry->names);
	free(registry->handles);
	free(registry->notify);
	free(registry->bursts);
	free(registry);
}

static int registry_tables(struct registry *registry)
{
	const struct registry_churn_options *options = registry->options;

	registry->name_count = options->keys / NAMES_PER_KEYS;
	registry->keys = calloc(options->keys, sizeof(*registry->keys));
	registry->names = calloc(registry->name_count, sizeof(*registry->names));
	registry->handles = calloc(options->handles + 1, sizeof(*registry->handles));
	registry->bursts = calloc(registry->stage->processors, sizeof(*registry->bursts));
	registry->notify = calloc(options->notify + 1, sizeof(*registry->notify));
	if (!registry->keys || !registry->names || !registry->handles || !registry->bursts ||
	    !registry->notify)
		return -ENOMEM;
	for (uint32_t i = 0; i < options->keys; i++)
		registry->keys[i].index = NO_SLOT;
	for (unsigned p = 0; p < registry->stage->processors; p++) {
		share_init(&registry->bursts[p].set, parts_per_million(options->set));
		share_init(&registry->bursts[p].create, parts_per_million(options->create));
		share_init(&registry->bursts[p].transactions,
			   parts_per_million(options->transactions));
	}
	return retention_init(&registry->blocks, options->keys);
}

static int registry_create(struct stage *stage, const void *values, uint64_t seed, void **state)
{
	struct registry *registry = calloc(1, sizeof(*registry));
	int rc;

	if (!registry)
		return -ENOMEM;
	registry->stage = stage;
	registry->options = values;
	registry->version = (enum windows_version)registry->options->version;
	registry->traits = trait_of(seed, 1);
	random_seed(&registry->random, seed);
	rc = registry_tables(registry);
	if (rc) {
		registry_destroy(registry);
		return rc;
	}
	*state = registry;
	return 0;
}

const struct activity_kind registry_churn_activity = {
	.create = registry_create,
	.destroy = registry_destroy,
	.populate = registry_populate,
	.step = registry_step,
	.debt = registry_debt,
	.settle = registry_settle,
};

static int registry_churn_generate(const struct workload_config *config,
				   struct trace_builder *builder)
{
	return activity_generate(config, builder, &registry_churn_activity);
}

const struct workload registry_churn = {
	.name = "registry-churn",
	.summary = "registry keys opened, queried, set, created, deleted over a cache of control "
		   "blocks",
	.options = registry_churn_table,
	.options_bytes = sizeof(struct registry_churn_options),
	.generate = registry_churn_generate,
};
