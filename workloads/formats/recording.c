#include "recording.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "workloads/trace_internal.h"

/* Of the recorded system's numbers; far above any that a trace can have after renumbering. */
#define PROCESSOR_LIMIT 65536u

struct recorded_event {
	uint64_t address;
	uint32_t bytes, touch; /* bytes 0: a free */
	uint16_t processor, tag;
	uint8_t type;
	bool atomic;
};

struct recorded_tag {
	uint32_t tag;
	uint32_t variants; /* of this tag that were tried for names that begin alike */
	char *name; /* the name space's letter in front */
};

/* Open addressing; a slot is free if address is 0. Entries are never removed, only made not live. */
struct address_entry {
	uint64_t address;
	uint32_t handle; /* OBJECT_NONE: not live */
	uint16_t owner;
};

struct recording {
	struct recorded_event *events;
	uint64_t count, capacity;
	struct recorded_tag *tags;
	uint64_t tag_count, tags_capacity;
	uint32_t *tag_hash; /* by name: index + 1 */
	uint32_t *tag_used; /* by 4-byte tag: index + 1 */
	uint32_t tag_hash_size;
	struct trace_losses losses;
	bool no_memory, too_many_tags;
};

struct recording *recording_create(void)
{
	return calloc(1, sizeof(struct recording));
}

void recording_destroy(struct recording *recording)
{
	if (!recording)
		return;
	for (uint64_t i = 0; i < recording->tag_count; i++)
		free(recording->tags[i].name);
	free(recording->tags);
	free(recording->tag_hash);
	free(recording->tag_used);
	free(recording->events);
	free(recording);
}

/* ---- tags ---- */

static uint32_t name_hash(const char *name)
{
	uint32_t hash = 2166136261u;

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 16777619u;
	return hash ^ hash >> 15;
}

static uint32_t name_place(const struct recording *recording, const char *name)
{
	uint32_t place = name_hash(name) & (recording->tag_hash_size - 1);

	while (recording->tag_hash[place] &&
	       strcmp(recording->tags[recording->tag_hash[place] - 1].name, name))
		place = (place + 1) & (recording->tag_hash_size - 1);
	return place;
}

static uint32_t tag_place(const struct recording *recording, uint32_t tag)
{
	uint32_t place = (tag * 0x9E3779B1u) >> 7 & (recording->tag_hash_size - 1);

	while (recording->tag_used[place] &&
	       recording->tags[recording->tag_used[place] - 1].tag != tag)
		place = (place + 1) & (recording->tag_hash_size - 1);
	return place;
}

/* Keeps both tables at most half full. */
static int tag_hash_grow(struct recording *recording)
{
	const uint32_t size = recording->tag_hash_size ? recording->tag_hash_size * 2 : 256;
	uint32_t *by_name, *by_tag;

	if (recording->tag_count * 2 < recording->tag_hash_size)
		return 0;
	by_name = calloc(size, sizeof(*by_name));
	by_tag = calloc(size, sizeof(*by_tag));
	if (!by_name || !by_tag) {
		free(by_name);
		free(by_tag);
		return -ENOMEM;
	}
	free(recording->tag_hash);
	free(recording->tag_used);
	recording->tag_hash = by_name;
	recording->tag_used = by_tag;
	recording->tag_hash_size = size;
	for (uint32_t i = 0; i < recording->tag_count; i++) {
		by_name[name_place(recording, recording->tags[i].name)] = i + 1;
		by_tag[tag_place(recording, recording->tags[i].tag)] = i + 1;
	}
	return 0;
}

/* "bio-184" is 'bio-'; other names that begin so are 'bio0', 'bio1', ... 'bioz', then 'bi00' and on. */
static uint32_t tag_make(struct recording *recording, const char *name)
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	char text[4] = { ' ', ' ', ' ', ' ' };
	struct recorded_tag *first;
	uint32_t tag, used;

	for (int i = 0; i < 4 && name[i]; i++)
		text[i] = name[i] >= 0x21 && name[i] <= 0x7e ? name[i] : '?';
	tag = POOL_TAG(text[0], text[1], text[2], text[3]);
	used = recording->tag_used[tag_place(recording, tag)];
	first = used ? &recording->tags[used - 1] : NULL;
	while (recording->tag_used[tag_place(recording, tag)]) {
		uint32_t rest = first->variants++, span = 36;
		int places = 1;

		for (; rest >= span && places < 4; span *= 36, places++)
			rest -= span; /* all of fewer places have been tried */
		for (int i = 3; i > 3 - places; i--, rest /= 36)
			text[i] = digits[rest % 36];
		tag = POOL_TAG(text[0], text[1], text[2], text[3]);
	}
	return tag;
}

unsigned recording_tag(struct recording *recording, char space, const char *name, size_t name_bytes)
{
	char key[256];
	uint32_t place;

	snprintf(key, sizeof(key), "%c%.*s", space, (int)(name_bytes < 250 ? name_bytes : 250),
		 name);
	if (tag_hash_grow(recording)) {
		recording->no_memory = true;
		return 0;
	}
	place = name_place(recording, key);
	if (recording->tag_hash[place])
		return recording->tag_hash[place] - 1;
	if (recording->tag_count == TRACE_MAX_TAGS) {
		recording->too_many_tags = true;
		return 0;
	}
	if (trace_reserve((void **)&recording->tags, &recording->tags_capacity,
			  recording->tag_count, sizeof(*recording->tags))) {
		recording->no_memory = true;
		return 0;
	}
	recording->tags[recording->tag_count] =
		(struct recorded_tag){ .tag = tag_make(recording, key + 1), .name = strdup(key) };
	if (!recording->tags[recording->tag_count].name) {
		recording->no_memory = true;
		return 0;
	}
	recording->tag_hash[place] = (uint32_t)recording->tag_count + 1;
	place = tag_place(recording, recording->tags[recording->tag_count].tag);
	recording->tag_used[place] = (uint32_t)++recording->tag_count;
	return (unsigned)recording->tag_count - 1;
}

/* ---- what was seen ---- */

static void record(struct recording *recording, unsigned processor,
		   const struct recorded_event *event)
{
	if (processor >= PROCESSOR_LIMIT) {
		recording->losses.malformed_lines++;
		return;
	}
	if (trace_reserve((void **)&recording->events, &recording->capacity, recording->count,
			  sizeof(*recording->events))) {
		recording->no_memory = true;
		return;
	}
	recording->events[recording->count] = *event;
	recording->events[recording->count++].processor = (uint16_t)processor;
}

void recording_alloc(struct recording *recording, unsigned processor, uint64_t address,
		     enum pool_type type, uint32_t bytes, uint32_t touch, unsigned tag, bool atomic)
{
	record(recording, processor,
	       &(struct recorded_event){ .address = address,
					 .bytes = bytes,
					 .touch = touch,
					 .tag = (uint16_t)tag,
					 .type = (uint8_t)type,
					 .atomic = atomic });
}

void recording_free(struct recording *recording, unsigned processor, uint64_t address)
{
	if (address)
		record(recording, processor, &(struct recorded_event){ .address = address });
	else
		recording->losses.null_frees++;
}

void recording_malformed(struct recording *recording)
{
	recording->losses.malformed_lines++;
}

void recording_lost(struct recording *recording, uint64_t events)
{
	recording->losses.lost_events += events;
}

uint64_t recording_events(const struct recording *recording)
{
	return recording->count;
}

/* ---- the trace ---- */

struct assembly {
	struct trace_builder *builder;
	uint16_t *renumbered; /* [PROCESSOR_LIMIT] */
	struct address_entry *addresses;
	uint64_t size; /* power of two */
	struct trace_losses losses;
};

static struct address_entry *find_address(const struct assembly *assembly, uint64_t address)
{
	uint64_t place = (address * 0x9E3779B97F4A7C15u) >> 20 & (assembly->size - 1);

	while (assembly->addresses[place].address && assembly->addresses[place].address != address)
		place = (place + 1) & (assembly->size - 1);
	return &assembly->addresses[place];
}

static void assemble_alloc(struct assembly *assembly, unsigned processor,
			   const struct recorded_event *event)
{
	struct address_entry *entry = find_address(assembly, event->address);
	struct trace_builder *builder = assembly->builder;

	if (entry->address && entry->handle != OBJECT_NONE) {
		trace_builder_free(builder, entry->owner, entry->handle);
		assembly->losses.implied_frees++;
	}
	if (event->atomic)
		trace_builder_irql(builder, processor, TRACE_RAISE, DISPATCH_LEVEL);
	entry->address = event->address;
	entry->owner = (uint16_t)processor;
	entry->handle = trace_builder_alloc(builder, processor, (enum pool_type)event->type,
					    event->bytes, event->touch, event->tag);
	if (event->atomic)
		trace_builder_irql(builder, processor, TRACE_LOWER, PASSIVE_LEVEL);
}

static void assemble_free(struct assembly *assembly, unsigned processor, uint64_t address)
{
	struct address_entry *entry = find_address(assembly, address);

	if (!entry->address || entry->handle == OBJECT_NONE) {
		assembly->losses.unknown_frees++;
		return;
	}
	trace_builder_free(assembly->builder, processor, entry->handle);
	entry->handle = OBJECT_NONE;
}

/* What is still live is freed in the order of allocation, which is that of the handles. */
static int live_compare(const void *left, const void *right)
{
	const struct address_entry *a = left, *b = right;

	return a->handle < b->handle ? -1 : a->handle > b->handle;
}

static void drain(struct assembly *assembly)
{
	uint64_t live = 0;

	trace_builder_mark(assembly->builder, 0, RECORDING_END_MARK);
	for (uint64_t i = 0; i < assembly->size; i++)
		if (assembly->addresses[i].address && assembly->addresses[i].handle != OBJECT_NONE)
			assembly->addresses[live++] = assembly->addresses[i];
	qsort(assembly->addresses, (size_t)live, sizeof(*assembly->addresses), live_compare);
	for (uint64_t i = 0; i < live; i++)
		trace_builder_free(assembly->builder, assembly->addresses[i].owner,
				   assembly->addresses[i].handle);
}

/* How many processors there are, which get their new numbers. */
static unsigned renumber(const struct recording *recording, struct assembly *assembly)
{
	unsigned processors = 0;

	for (uint64_t i = 0; i < recording->count; i++)
		assembly->renumbered[recording->events[i].processor] = 1;
	for (unsigned p = 0; p < PROCESSOR_LIMIT; p++)
		if (assembly->renumbered[p])
			assembly->renumbered[p] = (uint16_t)processors++;
	return processors;
}

static int assemble(const struct recording *recording, struct assembly *assembly, char *why,
		    size_t why_bytes)
{
	unsigned processors;

	for (assembly->size = 64; assembly->size < recording->count * 2;)
		assembly->size *= 2;
	assembly->addresses = calloc((size_t)assembly->size, sizeof(*assembly->addresses));
	assembly->renumbered = calloc(PROCESSOR_LIMIT, sizeof(*assembly->renumbered));
	if (!assembly->addresses || !assembly->renumbered)
		return trace_fail(-ENOMEM, why, why_bytes, "out of memory for a recording");
	processors = renumber(recording, assembly);
	if (processors > TRACE_MAX_PROCESSORS)
		return trace_fail(-EOVERFLOW, why, why_bytes,
				  "%u processors; a trace has %u at most", processors,
				  TRACE_MAX_PROCESSORS);
	assembly->builder = trace_builder_create(processors);
	if (!assembly->builder)
		return trace_fail(-ENOMEM, why, why_bytes, "out of memory for a recording");
	for (uint64_t i = 0; i < recording->tag_count; i++)
		trace_builder_tag(assembly->builder, recording->tags[i].tag,
				  recording->tags[i].name + 1);
	trace_builder_phase(assembly->builder, TRACE_BODY);
	for (uint64_t i = 0; i < recording->count; i++) {
		const struct recorded_event *event = &recording->events[i];
		const unsigned processor = assembly->renumbered[event->processor];

		if (event->bytes)
			assemble_alloc(assembly, processor, event);
		else
			assemble_free(assembly, processor, event->address);
	}
	drain(assembly);
	trace_builder_recorded(assembly->builder, &assembly->losses);
	return 0;
}

int recording_finish(struct recording *recording, const char *origin, struct trace **out, char *why,
		     size_t why_bytes)
{
	struct assembly assembly = { .losses = recording->losses };
	int ret;

	if (recording->no_memory)
		return trace_fail(-ENOMEM, why, why_bytes, "out of memory for a recording");
	if (recording->too_many_tags)
		return trace_fail(-EOVERFLOW, why, why_bytes, "more than %u tags", TRACE_MAX_TAGS);
	if (!recording->count)
		return trace_fail(-EINVAL, why, why_bytes,
				  "no allocations or frees in the recording");
	ret = assemble(recording, &assembly, why, why_bytes);
	if (!ret)
		ret = trace_builder_finish(assembly.builder, origin, 0, out, why, why_bytes);
	trace_builder_destroy(assembly.builder);
	free(assembly.addresses);
	free(assembly.renumbered);
	return ret;
}
