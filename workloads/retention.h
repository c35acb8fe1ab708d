/*
 * Retention: objects that outlive their last user. The registry keeps control blocks of closed keys, the
 * memory manager keeps control areas of unmapped files: on a list, oldest first, trimmed when it grows long.
 *
 * Objects are numbers 0 .. count-1. Each is absent or resident; a resident one is in use (references > 0) or
 * on the list. The set that is resident can be remembered, and the distance from it is known at any time:
 * this is how an activity knows its debt.
 */
#ifndef POOLBENCH_RETENTION_H
#define POOLBENCH_RETENTION_H

#include <stdbool.h>
#include <stdint.h>

#define RETENTION_NONE UINT32_MAX

struct retention {
	struct retained {
		uint32_t references;
		uint32_t older, newer; /* neighbours on the list */
		bool resident, listed, was_resident;
	} * objects;
	uint32_t count;
	uint32_t oldest, newest; /* RETENTION_NONE where the list is empty */
	uint32_t listed; /* objects on the list */
	uint32_t resident;
	uint32_t changed; /* objects that differ from the remembered set */
};

int retention_init(struct retention *retention, uint32_t count); /* 0 or -ENOMEM */
void retention_fini(struct retention *retention);

bool retention_resident(const struct retention *retention, uint32_t object);
/* An absent object becomes resident, on the list until it is referenced. */
void retention_insert(struct retention *retention, uint32_t object);
/* A resident object that is not referenced becomes absent. */
void retention_remove(struct retention *retention, uint32_t object);
/* A user more; takes the object off the list. The object is resident. */
void retention_reference(struct retention *retention, uint32_t object);
/* A user less; the last one puts the object on the list as its newest. */
void retention_release(struct retention *retention, uint32_t object);

void retention_remember(struct retention *retention);

#endif
