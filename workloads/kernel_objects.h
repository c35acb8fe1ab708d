/*
 * The vocabulary of the modelled system: which structures drivers and the kernel take from the pools, how many
 * bytes each has in which version of Windows, under which tag, in which pool. docs/kernel-objects.md says
 * where each number comes from.
 */
#ifndef POOLBENCH_KERNEL_OBJECTS_H
#define POOLBENCH_KERNEL_OBJECTS_H

#include <stdint.h>

#include "allocators/pool.h"

enum windows_version { WINDOWS_7SP1, WINDOWS_1809, WINDOWS_2004, WINDOWS_22631, WINDOWS_VERSIONS };

/* For OPTION_ENUM: "7sp1", "1809", "2004", "22631", NULL. */
extern const char *const windows_version_names[WINDOWS_VERSIONS + 1];

enum kernel_object {
	OBJECT_IRP,               /* + IRP_LOCATION_BYTES a stack location */
	OBJECT_IRP_EXTENSION,
	OBJECT_MDL,               /* + PFN_BYTES a page */
	OBJECT_SYSTEM_BUFFER,     /* size is the transfer's */
	OBJECT_FILE,
	OBJECT_FILE_NAME,         /* size is the name's */
	OBJECT_WORK_ITEM,
	OBJECT_COMPLETION_PACKET,
	OBJECT_EVENT,
	OBJECT_SEMAPHORE,
	OBJECT_MUTANT,
	OBJECT_PROCESS,
	OBJECT_THREAD,
	OBJECT_TOKEN,             /* + variable part: groups and privileges */
	OBJECT_HANDLE_TABLE,
	OBJECT_HANDLE_PAGE,       /* one OS page of handle table entries */
	OBJECT_KEY_BODY,
	OBJECT_KEY_CONTROL_BLOCK,
	OBJECT_NAME_BLOCK,        /* NAME_BLOCK_FIXED_BYTES + one byte a character */
	OBJECT_NOTIFY_BLOCK,
	OBJECT_UNIT_OF_WORK,
	OBJECT_TRANSACTION,
	OBJECT_VALUE_INDEX,       /* PFN_BYTES a value */
	OBJECT_VALUE,             /* size is the value's */
	OBJECT_HIVE_BIN,          /* multiples of an OS page */
	OBJECT_SECTION,
	OBJECT_SEGMENT,           /* of images and page-file sections */
	OBJECT_FILE_SEGMENT,      /* of mapped data files */
	OBJECT_CONTROL_AREA,      /* of data files and page-file sections */
	OBJECT_IMAGE_CONTROL_AREA,
	OBJECT_SUBSECTION,        /* extends an image's control area */
	OBJECT_FILE_SUBSECTION,   /* extends a data file's control area */
	OBJECT_PROTOTYPE_PTES,    /* PTE_BYTES a page of the file */
	OBJECT_VAD,
	OBJECT_SHORT_VAD,
	OBJECT_SHARED_CACHE_MAP,
	OBJECT_PRIVATE_CACHE_MAP,
	KERNEL_OBJECTS
};

#define IRP_LOCATION_BYTES 0x48u
#define PFN_BYTES 8u
#define PTE_BYTES 8u
#define NAME_BLOCK_FIXED_BYTES 0x1Au
#define HANDLE_ENTRY_BYTES 0x10u
#define MDL_LOOKASIDE_PAGES 23u /* a memory descriptor list of up to so many pages has room for that many */

struct kernel_object_class {
	const char *name;
	uint32_t tag;
	enum pool_type type;
	uint16_t body[WINDOWS_VERSIONS]; /* bytes of the structure; 0: the version has none */
	uint16_t header;                 /* bytes of object header and optional headers in front */
};

extern const struct kernel_object_class kernel_object_classes[KERNEL_OBJECTS];

/* Bytes asked for, object headers in, variable part not. 0 where this version has no such structure. */
uint32_t kernel_object_bytes(enum kernel_object object, enum windows_version version);

/* Bytes of an IRP with so many stack locations, as the I/O manager rounds them to its lookaside classes. */
uint32_t kernel_irp_bytes(unsigned locations, enum windows_version version);

/* Bytes of a memory descriptor list for `pages` pages: the lookaside list's size up to its room. */
uint32_t kernel_mdl_bytes(unsigned pages);

/* Bytes of a control area with so many subsections of this kind behind it, in one block. */
uint32_t kernel_control_area_bytes(enum kernel_object subsection, unsigned count,
				   enum windows_version version);

#endif
