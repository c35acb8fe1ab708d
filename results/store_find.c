/* Looking for one run by what a person calls it, and the machines that a store knows. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store_internal.h"

static bool starts_with(const char *text, const char *start)
{
	return !strncmp(text, start, strlen(start));
}

int store_find_run(struct store *store, const char *name, const char *machine,
		   struct history_run *run, char *why, size_t why_bytes)
{
	const bool is_last = !strcmp(name, "last");
	const struct history_filter all = { .machine = is_last ? machine : NULL };
	const struct store_message message = { why, why_bytes };
	struct history history;
	size_t matches = 0, match = 0;
	int error = store_read(store, &all, &history, why, why_bytes);

	if (error)
		return error;
	for (size_t i = 0; i < history.run_count; i++) {
		const struct history_run *candidate = &history.runs[i];
		const bool last = is_last && i + 1 == history.run_count;

		if (last || (*name && starts_with(candidate->id, name)) ||
		    (strlen(name) >= 7 && starts_with(candidate->commit, name))) {
			matches++;
			match = i;
		}
	}
	if (matches == 1)
		*run = history.runs[match];
	else if (matches)
		error = store_fail(
			&message, -EINVAL,
			"'%s' may be any of %zu runs: give more of its id (`poolbench track "
			"list`)",
			name, matches);
	else
		error = store_fail(&message, -EINVAL,
				   "the history has no run '%s': an id, its start, the start of a "
				   "commit, or 'last' is wanted (`poolbench track list`)",
				   name);
	history_release(&history);
	return error;
}

struct machines {
	struct history_machine *list;
	size_t count, room;
};

static int note_machine(const struct store_value *fields, unsigned count, void *argument)
{
	struct machines *machines = argument;
	struct history_machine *list = store_grow(machines->list, machines->count, &machines->room,
						  sizeof(*list));

	(void)count;
	if (!list)
		return -ENOMEM;
	machines->list = list;
	list += machines->count;
	if (!store_read_text(&fields[0], list->fingerprint, sizeof(list->fingerprint), false) ||
	    !store_read_text(&fields[1], list->text, sizeof(list->text), false) ||
	    !store_read_integer(&fields[2], 0, INT64_MAX, &list->runs))
		return -EBADMSG;
	machines->count++;
	return 0;
}

int store_machines(struct store *store, struct history_machine **machines, size_t *count, char *why,
		   size_t why_bytes)
{
	const struct store_message message = { why, why_bytes };
	struct machines found = { NULL, 0, 0 };
	int error;

	why[0] = '\0';
	error = store_query(
		store,
		"SELECT m.fingerprint, m.description, (SELECT count(*) FROM track_run r WHERE "
		"r.machine = m.fingerprint) FROM track_machine m ORDER BY m.fingerprint",
		NULL, 0, note_machine, &found, &message);
	if (error == -EBADMSG && !why[0])
		store_strange(&message, "row in track_machine");
	if (error) {
		free(found.list);
		return error;
	}
	*machines = found.list;
	*count = found.count;
	return 0;
}
