/* What is live in the verifier's table, added up by tag. */
#include <stdlib.h>

#include "bench/verifier_table.h"

struct leak_list {
	struct finding_leak *leaks;
	size_t count, room;
};

/* The line of a tag, a new one if it has none; NULL: out of memory. */
static struct finding_leak *leak_of(struct leak_list *list, uint32_t tag)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->leaks[i].tag == tag)
			return &list->leaks[i];
	if (list->count == list->room) {
		const size_t room = list->room ? 2 * list->room : 64;
		struct finding_leak *leaks = realloc(list->leaks, room * sizeof(*leaks));

		if (!leaks)
			return NULL;
		list->leaks = leaks;
		list->room = room;
	}
	list->leaks[list->count] = (struct finding_leak){ .tag = tag, .first_serial = UINT64_MAX };
	return &list->leaks[list->count++];
}

static void add_leak(void *arg, const struct tracked_block *block)
{
	struct finding_leak *leak = leak_of(arg, block->tag);

	if (!leak)
		return;
	leak->blocks++;
	leak->bytes += block->bytes;
	if (block->serial < leak->first_serial) {
		leak->first_serial = block->serial;
		leak->first = block->allocated;
		leak->first_block = block->block;
		leak->type = block->type;
	}
}

static int most_bytes_first(const void *a, const void *b)
{
	const struct finding_leak *left = a, *right = b;

	return (left->bytes < right->bytes) - (left->bytes > right->bytes);
}

size_t verifier_table_leaks(struct verifier_table *table,
			    void (*visit)(void *arg, const struct finding_leak *leak), void *arg)
{
	struct leak_list list = { NULL, 0, 0 };

	verifier_table_walk(table, add_leak, &list);
	if (list.count)
		qsort(list.leaks, list.count, sizeof(*list.leaks), most_bytes_first);
	for (size_t i = 0; i < list.count && visit; i++)
		visit(arg, &list.leaks[i]);
	free(list.leaks);
	return list.count;
}
