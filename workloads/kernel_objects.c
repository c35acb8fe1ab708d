/*
 * Sizes are of x64 structures as public symbol files give them. Two things are computed:
 *
 * - Executive objects carry an object header (0x30) and, before it, optional headers: quota (0x20) when a
 *   process is charged, handle information (0x10) for types that keep a handle count by process, a name
 *   (0x20). Which type carries which is the modelled part; it reproduces the block sizes that are known
 *   from pool dumps of Windows 7: 0x80 for an unnamed event and 0x150 for a file object, pool header in.
 * - A control area is allocated together with its first subsections: kernel_control_area_bytes.
 */
#include "kernel_objects.h"

const char *const windows_version_names[WINDOWS_VERSIONS + 1] = { "7sp1", "1809", "2004", "22631",
								  NULL };

#define HEADER      0x30
#define QUOTA       0x20
#define HANDLE_INFO 0x10

/* clang-format off */
#define SAME(bytes) { bytes, bytes, bytes, bytes }

const struct kernel_object_class kernel_object_classes[KERNEL_OBJECTS] = {
	[OBJECT_IRP] = { "I/O request packet", POOL_TAG('I', 'r', 'p', ' '), POOL_NONPAGED, SAME(0xD0), 0 },
	[OBJECT_IRP_EXTENSION] = { "IRP extension", POOL_TAG('I', 'r', 'p', 'X'), POOL_NONPAGED,
		{ 0, 0x38, 0x40, 0x50 }, 0 },
	[OBJECT_MDL] = { "memory descriptor list", POOL_TAG('M', 'd', 'l', ' '), POOL_NONPAGED, SAME(0x30), 0 },
	[OBJECT_SYSTEM_BUFFER] = { "system buffer of buffered I/O", POOL_TAG('I', 'o', ' ', ' '), POOL_NONPAGED,
		SAME(0), 0 },
	[OBJECT_FILE] = { "file object", POOL_TAG('F', 'i', 'l', 'e'), POOL_NONPAGED, SAME(0xD8),
		HEADER + QUOTA + HANDLE_INFO },
	[OBJECT_FILE_NAME] = { "file name", POOL_TAG('I', 'o', 'N', 'm'), POOL_PAGED, SAME(0), 0 },
	[OBJECT_WORK_ITEM] = { "I/O work item", POOL_TAG('I', 'o', 'W', 'I'), POOL_NONPAGED,
		{ 0x40, 0x58, 0x58, 0x58 }, 0 },
	[OBJECT_COMPLETION_PACKET] = { "I/O completion packet", POOL_TAG('I', 'c', 'p', ' '), POOL_NONPAGED,
		SAME(0x50), 0 },
	[OBJECT_EVENT] = { "event", POOL_TAG('E', 'v', 'e', 'n'), POOL_NONPAGED, SAME(0x18), HEADER + QUOTA },
	[OBJECT_SEMAPHORE] = { "semaphore", POOL_TAG('S', 'e', 'm', 'a'), POOL_NONPAGED, SAME(0x20),
		HEADER + QUOTA },
	[OBJECT_MUTANT] = { "mutant", POOL_TAG('M', 'u', 't', 'a'), POOL_NONPAGED, SAME(0x38),
		HEADER + QUOTA },
	[OBJECT_PROCESS] = { "process", POOL_TAG('P', 'r', 'o', 'c'), POOL_NONPAGED,
		{ 0x4D0, 0x850, 0xA40, 0xB80 }, HEADER + QUOTA },
	[OBJECT_THREAD] = { "thread", POOL_TAG('T', 'h', 'r', 'e'), POOL_NONPAGED,
		{ 0x498, 0x810, 0x898, 0x900 }, HEADER + QUOTA },
	[OBJECT_TOKEN] = { "access token", POOL_TAG('T', 'o', 'k', 'e'), POOL_PAGED,
		{ 0x310, 0x498, 0x498, 0x498 }, HEADER + QUOTA },
	[OBJECT_HANDLE_TABLE] = { "handle table", POOL_TAG('O', 'b', 't', 'b'), POOL_PAGED,
		{ 0x68, 0x80, 0x80, 0x80 }, 0 },
	[OBJECT_HANDLE_PAGE] = { "handle table", POOL_TAG('O', 'b', 't', 'b'), POOL_PAGED, SAME(POOL_OS_PAGE), 0 },
	[OBJECT_KEY_BODY] = { "registry key object", POOL_TAG('K', 'e', 'y', ' '), POOL_PAGED,
		{ 0x58, 0x60, 0x68, 0x70 }, HEADER },
	[OBJECT_KEY_CONTROL_BLOCK] = { "key control block", POOL_TAG('C', 'M', 'k', 'b'), POOL_PAGED,
		{ 0x128, 0x130, 0x138, 0x138 }, 0 },
	[OBJECT_NAME_BLOCK] = { "registry name block", POOL_TAG('C', 'M', 'N', 'b'), POOL_PAGED,
		SAME(NAME_BLOCK_FIXED_BYTES), 0 },
	[OBJECT_NOTIFY_BLOCK] = { "registry notify block", POOL_TAG('C', 'M', 'n', 'b'), POOL_PAGED, SAME(0x58), 0 },
	[OBJECT_UNIT_OF_WORK] = { "registry unit of work", POOL_TAG('C', 'M', 'U', 'w'), POOL_PAGED,
		{ 0x60, 0x78, 0x78, 0x78 }, 0 },
	[OBJECT_TRANSACTION] = { "registry transaction", POOL_TAG('C', 'M', 'T', 'r'), POOL_PAGED,
		{ 0xA8, 0xB8, 0xB8, 0xB8 }, 0 },
	[OBJECT_VALUE_INDEX] = { "cached value index", POOL_TAG('C', 'M', 'I', 'n'), POOL_PAGED, SAME(0), 0 },
	[OBJECT_VALUE] = { "cached registry value", POOL_TAG('C', 'M', 'V', 'a'), POOL_PAGED, SAME(0), 0 },
	[OBJECT_HIVE_BIN] = { "registry hive bin", POOL_TAG('C', 'M', '2', '5'), POOL_PAGED, SAME(0), 0 },
	[OBJECT_SECTION] = { "section object", POOL_TAG('S', 'e', 'c', 't'), POOL_PAGED,
		{ 0x30, 0x40, 0x40, 0x40 }, HEADER + QUOTA },
	[OBJECT_SEGMENT] = { "segment", POOL_TAG('M', 'm', 'S', 'g'), POOL_PAGED,
		{ 0x50, 0x48, 0x48, 0x48 }, 0 },
	[OBJECT_FILE_SEGMENT] = { "mapped file segment", POOL_TAG('M', 'm', 'S', 'm'), POOL_PAGED, SAME(0x30), 0 },
	[OBJECT_CONTROL_AREA] = { "control area of a file", POOL_TAG('M', 'm', 'C', 'a'), POOL_NONPAGED,
		SAME(0x80), 0 },
	[OBJECT_IMAGE_CONTROL_AREA] = { "control area of an image", POOL_TAG('M', 'm', 'C', 'i'), POOL_NONPAGED,
		SAME(0x80), 0 },
	[OBJECT_SUBSECTION] = { "subsection", POOL_TAG('M', 'm', 'S', 'b'), POOL_NONPAGED, SAME(0x38), 0 },
	[OBJECT_FILE_SUBSECTION] = { "subsection of a mapped file", POOL_TAG('M', 'm', 'S', 'd'), POOL_NONPAGED,
		{ 0x68, 0x90, 0x90, 0x98 }, 0 },
	[OBJECT_PROTOTYPE_PTES] = { "prototype PTEs of a section", POOL_TAG('M', 'm', 'S', 't'), POOL_PAGED,
		SAME(0), 0 },
	[OBJECT_VAD] = { "virtual address descriptor", POOL_TAG('V', 'a', 'd', ' '), POOL_NONPAGED,
		{ 0x78, 0x88, 0x88, 0x88 }, 0 },
	[OBJECT_SHORT_VAD] = { "short virtual address descriptor", POOL_TAG('V', 'a', 'd', 'S'), POOL_NONPAGED,
		SAME(0x40), 0 },
	[OBJECT_SHARED_CACHE_MAP] = { "shared cache map", POOL_TAG('C', 'c', 'S', 'c'), POOL_NONPAGED,
		{ 0x1F8, 0x220, 0x228, 0x260 }, 0 },
	[OBJECT_PRIVATE_CACHE_MAP] = { "private cache map", POOL_TAG('C', 'c', 'P', 'c'), POOL_NONPAGED,
		{ 0x68, 0x78, 0x78, 0x78 }, 0 },
};
/* clang-format on */

uint32_t kernel_object_bytes(enum kernel_object object, enum windows_version version)
{
	const struct kernel_object_class *class = &kernel_object_classes[object];

	return class->body[version] ? (uint32_t) class->body[version] + class->header : 0;
}

uint32_t kernel_irp_bytes(unsigned locations, enum windows_version version)
{
	const unsigned large = version >= WINDOWS_2004 ? 14 : 10;
	unsigned class = locations;

	if (locations > 1 && locations <= 4)
		class = 4;
	else if (locations > 4 && locations <= large)
		class = large;
	return kernel_object_bytes(OBJECT_IRP, version) + class * IRP_LOCATION_BYTES;
}

uint32_t kernel_mdl_bytes(unsigned pages)
{
	if (pages < MDL_LOOKASIDE_PAGES)
		pages = MDL_LOOKASIDE_PAGES;
	return kernel_object_bytes(OBJECT_MDL, WINDOWS_7SP1) + pages * PFN_BYTES;
}

uint32_t kernel_control_area_bytes(enum kernel_object subsection, unsigned count,
				   enum windows_version version)
{
	return kernel_object_bytes(OBJECT_CONTROL_AREA, version) +
	       count * kernel_object_bytes(subsection, version);
}
