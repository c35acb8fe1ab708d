/* Orders of processors from hwloc's tree; placement.h says what each policy promises. */
#include "placement.h"

#include <errno.h>
#include <hwloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Above any machine; bounds what a list may name, so that a bitmap stays small. */
#define PROCESSOR_LIMIT (1u << 16)

struct placement {
	hwloc_topology_t topology;
	hwloc_bitmap_t usable;
	unsigned count;
};

/* ---- the machine ---- */

static int fail(char *why, size_t why_bytes, int error, const char *doing)
{
	snprintf(why, why_bytes, "%s: %s", doing, strerror(error));
	return -error;
}

static int load(const char *synthetic, struct placement *placement, char *why, size_t why_bytes)
{
	if (hwloc_topology_init(&placement->topology))
		return fail(why, why_bytes, errno ? errno : ENOMEM, "hwloc_topology_init");
	if (synthetic && hwloc_topology_set_synthetic(placement->topology, synthetic))
		return fail(why, why_bytes, EINVAL, "synthetic topology");
	/* Processors outside the cpuset are kept, to tell "not allowed" from "does not exist". */
	if (hwloc_topology_set_flags(placement->topology, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED) ||
	    hwloc_topology_load(placement->topology))
		return fail(why, why_bytes, errno ? errno : EIO, "hwloc_topology_load");
	return 0;
}

/* usable = online, allowed by the cpuset, and in the mask of this thread. */
static int find_usable(struct placement *placement, char *why, size_t why_bytes)
{
	hwloc_topology_t topology = placement->topology;
	hwloc_bitmap_t bound = hwloc_bitmap_alloc();

	placement->usable = hwloc_bitmap_dup(hwloc_topology_get_allowed_cpuset(topology));
	if (!bound || !placement->usable) {
		hwloc_bitmap_free(bound);
		return fail(why, why_bytes, ENOMEM, "set of processors");
	}
	hwloc_bitmap_and(placement->usable, placement->usable,
			 hwloc_topology_get_topology_cpuset(topology));
	/* Where the mask cannot be read (a synthetic machine), the cpuset alone counts. */
	if (hwloc_topology_is_thissystem(topology) &&
	    !hwloc_get_cpubind(topology, bound, HWLOC_CPUBIND_THREAD))
		hwloc_bitmap_and(placement->usable, placement->usable, bound);
	hwloc_bitmap_free(bound);
	return 0;
}

static int count_usable(struct placement *placement, char *why, size_t why_bytes)
{
	int weight = hwloc_bitmap_weight(placement->usable);

	if (weight < 1)
		return fail(why, why_bytes, ENXIO, "no processor that may be used");
	placement->count = (unsigned)weight;
	return 0;
}

int placement_create(struct placement **out, char *why, size_t why_bytes)
{
	struct placement *placement = calloc(1, sizeof(*placement));
	int error;

	if (!placement)
		return fail(why, why_bytes, ENOMEM, "placement");
	error = load(NULL, placement, why, why_bytes);
	if (!error)
		error = find_usable(placement, why, why_bytes);
	if (!error)
		error = count_usable(placement, why, why_bytes);
	if (error) {
		placement_destroy(placement);
		return error;
	}
	*out = placement;
	return 0;
}

void placement_destroy(struct placement *placement)
{
	if (!placement)
		return;
	hwloc_bitmap_free(placement->usable);
	if (placement->topology)
		hwloc_topology_destroy(placement->topology);
	free(placement);
}

unsigned placement_usable(const struct placement *placement)
{
	return placement->count;
}

static hwloc_obj_t find_pu(const struct placement *placement, unsigned processor)
{
	return hwloc_get_pu_obj_by_os_index(placement->topology, processor);
}

/* ---- lists ---- */

/* One number, at *text, which is moved behind it. */
static bool parse_number(const char **text, unsigned *out)
{
	unsigned long value = 0;
	const char *at = *text;

	if (*at < '0' || *at > '9')
		return false;
	for (; *at >= '0' && *at <= '9'; at++) {
		value = value * 10 + (unsigned long)(*at - '0');
		if (value >= PROCESSOR_LIMIT)
			value = PROCESSOR_LIMIT;
	}
	*text = at;
	*out = (unsigned)value;
	return true;
}

/* "3" or "2-5", up to the next comma or the end. */
static bool parse_range(const char **text, unsigned *first, unsigned *last)
{
	if (!parse_number(text, first))
		return false;
	*last = *first;
	if (**text == '-') {
		++*text;
		if (!parse_number(text, last))
			return false;
	}
	return *first <= *last && (!**text || **text == ',');
}

static int refuse(const struct placement *placement, int error, unsigned processor, char *why,
		  size_t why_bytes)
{
	char allowed[256];

	hwloc_bitmap_list_snprintf(allowed, sizeof(allowed), placement->usable);
	snprintf(why, why_bytes,
		 error == EEXIST ? "processor %u is named twice (usable are %s)"
		 : error == EACCES
			 ? "processor %u exists, but this process may not use it (usable are %s)"
			 : "there is no processor %u on this machine (usable are %s)",
		 processor, allowed);
	return -error;
}

static int check(const struct placement *placement, hwloc_const_bitmap_t seen, unsigned processor)
{
	if (processor >= PROCESSOR_LIMIT || !find_pu(placement, processor))
		return ENXIO;
	if (!hwloc_bitmap_isset(placement->usable, processor))
		return EACCES;
	return hwloc_bitmap_isset(seen, processor) ? EEXIST : 0;
}

/*
 * Appends first..last; *count entries are filled already. Each may be there once: `count` of usable
 * at most.
 */
static int append_range(const struct placement *placement, unsigned first, unsigned last,
			hwloc_bitmap_t seen, unsigned *order, unsigned *count, char *why,
			size_t why_bytes)
{
	for (unsigned processor = first; processor <= last; processor++) {
		int error = check(placement, seen, processor);

		if (error)
			return refuse(placement, error, processor, why, why_bytes);
		if (hwloc_bitmap_set(seen, processor))
			return fail(why, why_bytes, ENOMEM, "set of processors");
		order[(*count)++] = processor;
	}
	return 0;
}

/* `order` has room for all usable processors. */
static int parse_list(const struct placement *placement, const char *list, unsigned *order,
		      unsigned *count, char *why, size_t why_bytes)
{
	hwloc_bitmap_t seen = hwloc_bitmap_alloc();
	const char *at = list;
	int error = 0;

	if (!seen)
		return fail(why, why_bytes, ENOMEM, "set of processors");
	*count = 0;
	for (;;) {
		unsigned first, last;

		if (!parse_range(&at, &first, &last)) {
			snprintf(why, why_bytes,
				 "--bind '%s': want compact, scatter, none, or processors like "
				 "0,2-5",
				 list);
			error = -EINVAL;
			break;
		}
		error = append_range(placement, first, last, seen, order, count, why, why_bytes);
		if (error || !*at)
			break;
		at++;
	}
	hwloc_bitmap_free(seen);
	return error;
}

int placement_create_synthetic(const char *description, const char *allowed, struct placement **out,
			       char *why, size_t why_bytes)
{
	struct placement *placement = calloc(1, sizeof(*placement));
	unsigned *order = NULL, count = 0;
	int error;

	if (!placement)
		return fail(why, why_bytes, ENOMEM, "placement");
	error = load(description, placement, why, why_bytes);
	if (!error)
		error = find_usable(placement, why, why_bytes);
	if (!error)
		error = count_usable(placement, why, why_bytes);
	if (error || !allowed)
		goto out;
	order = calloc(placement->count, sizeof(*order));
	error = order ? parse_list(placement, allowed, order, &count, why, why_bytes)
		      : fail(why, why_bytes, ENOMEM, "order of processors");
	if (error)
		goto out;
	hwloc_bitmap_zero(placement->usable);
	for (unsigned i = 0; i < count; i++)
		hwloc_bitmap_set(placement->usable, order[i]);
	placement->count = count;
out:
	free(order);
	if (error)
		placement_destroy(placement);
	else
		*out = placement;
	return error;
}

/* ---- policies ---- */

/* hwloc numbers processors depth first, so its order is already the compact one. */
static unsigned order_compact(const struct placement *placement, unsigned *order)
{
	unsigned count = 0;

	for (hwloc_obj_t pu = hwloc_get_obj_by_type(placement->topology, HWLOC_OBJ_PU, 0); pu;
	     pu = pu->next_cousin)
		if (hwloc_bitmap_isset(placement->usable, pu->os_index))
			order[count++] = pu->os_index;
	return count;
}

static unsigned usable_below(const struct placement *placement, hwloc_obj_t object)
{
	unsigned count = 0;

	for (int processor = hwloc_bitmap_first(object->cpuset); processor >= 0;
	     processor = hwloc_bitmap_next(object->cpuset, processor))
		count += hwloc_bitmap_isset(placement->usable, (unsigned)processor) != 0;
	return count;
}

/*
 * The n-th processor below an object when its children take turns, those that have run out being
 * passed over. The turn that n falls into is found round by round; n < usable_below(object).
 */
static unsigned nth_in_turns(const struct placement *placement, hwloc_obj_t object, unsigned n)
{
	while (object->type != HWLOC_OBJ_PU) {
		hwloc_obj_t chosen = NULL;
		unsigned round = 0;

		for (;; round++) {
			hwloc_obj_t child = NULL;

			while ((child = hwloc_get_next_child(placement->topology, object, child)) &&
			       !chosen) {
				if (!child->cpuset || hwloc_obj_type_is_memory(child->type) ||
				    usable_below(placement, child) <= round)
					continue;
				if (n == 0)
					chosen = child;
				else
					n--;
			}
			if (chosen)
				break;
		}
		object = chosen;
		n = round;
	}
	return object->os_index;
}

/* How many usable hardware threads of its core come before this one. */
static unsigned rank_in_core(const struct placement *placement, unsigned processor)
{
	hwloc_obj_t pu = find_pu(placement, processor);
	hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(placement->topology, HWLOC_OBJ_CORE, pu);
	unsigned rank = 0;

	if (!core)
		return 0;
	for (hwloc_obj_t other = pu->prev_cousin; other; other = other->prev_cousin) {
		if (!hwloc_bitmap_isset(core->cpuset, other->os_index))
			break;
		rank += hwloc_bitmap_isset(placement->usable, other->os_index) != 0;
	}
	return rank;
}

/*
 * Turns at every level of the tree; then, stably, first threads of cores before second ones: where
 * packages have different numbers of cores, turns alone would double up a core of the smaller one
 * too early.
 */
static int order_scatter(const struct placement *placement, unsigned *order)
{
	unsigned *turns = calloc(placement->count, sizeof(*turns));
	unsigned *ranks = calloc(placement->count, sizeof(*ranks));
	unsigned filled = 0;

	if (!turns || !ranks) {
		free(turns);
		free(ranks);
		return -ENOMEM;
	}
	for (unsigned n = 0; n < placement->count; n++) {
		turns[n] = nth_in_turns(placement, hwloc_get_root_obj(placement->topology), n);
		ranks[n] = rank_in_core(placement, turns[n]);
	}
	for (unsigned rank = 0; filled < placement->count; rank++)
		for (unsigned n = 0; n < placement->count; n++)
			if (ranks[n] == rank)
				order[filled++] = turns[n];
	free(turns);
	free(ranks);
	return 0;
}

int placement_order(const struct placement *placement, const char *bind, unsigned threads,
		    unsigned *processors, char *why, size_t why_bytes)
{
	unsigned count = placement->count;
	unsigned *order;
	int error = 0;

	if (!strcmp(bind, "none")) {
		for (unsigned i = 0; i < threads; i++)
			processors[i] = PLACEMENT_UNBOUND;
		return 0;
	}
	order = calloc(count, sizeof(*order));
	if (!order)
		return fail(why, why_bytes, ENOMEM, "order of processors");
	if (!strcmp(bind, "compact"))
		count = order_compact(placement, order);
	else if (!strcmp(bind, "scatter"))
		error = order_scatter(placement, order);
	else
		error = parse_list(placement, bind, order, &count, why, why_bytes);
	if (error == -ENOMEM)
		fail(why, why_bytes, ENOMEM, "order of processors");
	for (unsigned i = 0; !error && i < threads; i++)
		processors[i] = order[i % count];
	free(order);
	return error;
}

/* ---- use ---- */

int placement_bind(const struct placement *placement, unsigned processor, char *why,
		   size_t why_bytes)
{
	hwloc_bitmap_t set;
	char doing[64];
	int error = 0;

	if (processor == PLACEMENT_UNBOUND)
		return 0;
	if (!find_pu(placement, processor))
		return refuse(placement, ENXIO, processor, why, why_bytes);
	set = hwloc_bitmap_alloc();
	snprintf(doing, sizeof(doing), "binding a thread to processor %u", processor);
	if (!set || hwloc_bitmap_only(set, processor))
		error = fail(why, why_bytes, ENOMEM, doing);
	else if (!hwloc_topology_is_thissystem(placement->topology))
		error = fail(why, why_bytes, ENOSYS, doing);
	else if (hwloc_set_cpubind(placement->topology, set, HWLOC_CPUBIND_THREAD))
		error = fail(why, why_bytes, errno ? errno : EIO, doing);
	hwloc_bitmap_free(set);
	return error;
}

unsigned placement_nodes(const struct placement *placement)
{
	return (unsigned)hwloc_get_nbobjs_by_type(placement->topology, HWLOC_OBJ_NUMANODE);
}

int placement_node(const struct placement *placement, unsigned processor)
{
	hwloc_obj_t pu = find_pu(placement, processor);
	hwloc_obj_t node;

	if (!pu || !pu->nodeset)
		return -1;
	node = hwloc_get_numanode_obj_by_os_index(placement->topology,
						  (unsigned)hwloc_bitmap_first(pu->nodeset));
	return node ? (int)node->logical_index : -1;
}

int placement_export(const struct placement *placement, const char *path, char *why,
		     size_t why_bytes)
{
	errno = 0;
	if (hwloc_topology_export_xml(placement->topology, path, 0))
		return fail(why, why_bytes, errno ? errno : EIO, path);
	return 0;
}
