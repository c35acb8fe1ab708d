#include "retention.h"

#include <errno.h>
#include <stdlib.h>

int retention_init(struct retention *retention, uint32_t count)
{
	*retention = (struct retention){ .count = count,
					 .oldest = RETENTION_NONE,
					 .newest = RETENTION_NONE };
	retention->objects = calloc(count, sizeof(*retention->objects));
	return retention->objects ? 0 : -ENOMEM;
}

void retention_fini(struct retention *retention)
{
	free(retention->objects);
	retention->objects = NULL;
}

bool retention_resident(const struct retention *retention, uint32_t object)
{
	return retention->objects[object].resident;
}

static void list_append(struct retention *retention, uint32_t object)
{
	struct retained *retained = &retention->objects[object];

	retained->older = retention->newest;
	retained->newer = RETENTION_NONE;
	retained->listed = true;
	if (retention->newest == RETENTION_NONE)
		retention->oldest = object;
	else
		retention->objects[retention->newest].newer = object;
	retention->newest = object;
	retention->listed++;
}

static void list_remove(struct retention *retention, uint32_t object)
{
	struct retained *retained = &retention->objects[object];

	if (!retained->listed)
		return;
	if (retained->older == RETENTION_NONE)
		retention->oldest = retained->newer;
	else
		retention->objects[retained->older].newer = retained->newer;
	if (retained->newer == RETENTION_NONE)
		retention->newest = retained->older;
	else
		retention->objects[retained->newer].older = retained->older;
	retained->listed = false;
	retention->listed--;
}

static void set_resident(struct retention *retention, uint32_t object, bool resident)
{
	struct retained *retained = &retention->objects[object];

	retained->resident = resident;
	retention->resident += resident ? 1 : UINT32_MAX;
	/* It was equal to what is remembered and now differs, or the other way about. */
	retention->changed += resident != retained->was_resident ? 1 : UINT32_MAX;
}

void retention_insert(struct retention *retention, uint32_t object)
{
	set_resident(retention, object, true);
	list_append(retention, object);
}

void retention_remove(struct retention *retention, uint32_t object)
{
	list_remove(retention, object);
	set_resident(retention, object, false);
}

void retention_reference(struct retention *retention, uint32_t object)
{
	list_remove(retention, object);
	retention->objects[object].references++;
}

void retention_release(struct retention *retention, uint32_t object)
{
	if (--retention->objects[object].references == 0)
		list_append(retention, object);
}

void retention_remember(struct retention *retention)
{
	for (uint32_t i = 0; i < retention->count; i++)
		retention->objects[i].was_resident = retention->objects[i].resident;
	retention->changed = 0;
}
