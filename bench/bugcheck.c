/* The table of stop codes and rules; bugcheck.h has the terms. */
#include "bugcheck.h"

#include <stddef.h>
#include <string.h>

#define VERIFIER DRIVER_VERIFIER_DETECTED_VIOLATION
#define SPECIAL  SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION

const struct bugcheck_rule bugcheck_rules[] = {
	/* What a block is. */
	{ "overlap", BAD_POOL_HEADER, 3, "a block was handed out that overlaps a live one" },
	{ "alignment", BAD_POOL_CALLER, 0x99, "a block is not 16-byte aligned" },
	{ "page-rules", VERIFIER, BUGCHECK_OWN + 1,
	  "a block of a page is not page-aligned, or a smaller one crosses a page" },
	{ "source", BAD_POOL_CALLER, 0x40, "a block lies outside the page sources" },
	{ "pool-type", VERIFIER, BUGCHECK_OWN + 2, "a block lies in the other pool type's pages" },
	{ "committed", VERIFIER, BUGCHECK_OWN + 3,
	  "a live block lies in pages that were given back" },
	{ "resident", IRQL_NOT_LESS_OR_EQUAL, 0,
	  "a nonpaged block is not resident: a touch at DISPATCH_LEVEL would fault" },
	{ "block-bytes", BAD_POOL_HEADER, 0x20, "block_bytes is too small, or changed while live" },
	{ "tag", BAD_POOL_CALLER, 0xA, "the tag of a live block is not the caller's" },
	{ "contents", DRIVER_CORRUPTED_EXPOOL, 0, "the contents of a live block changed" },
	{ "contents-of-pages", DRIVER_CORRUPTED_MMPOOL, 0,
	  "the contents of a live block of a page or more changed" },
	/* What a pool does. */
	{ "create", VERIFIER, BUGCHECK_OWN + 4, "create failed without a cause" },
	{ "null", VERIFIER, BUGCHECK_OWN + 5, "alloc returned NULL though no commit was refused" },
	{ "impossible", VERIFIER, BUGCHECK_OWN + 6, "a request that nothing can meet got a block" },
	{ "recovery", VERIFIER, BUGCHECK_OWN + 7,
	  "after the shortage was over the pool still refuses, or holds less than before" },
	{ "growth", VERIFIER, BUGCHECK_OWN + 8, "the same work needs more memory from lap to lap" },
	{ "residue", VERIFIER, BUGCHECK_OWN + 9, "memory is kept after all was freed and trimmed" },
	{ "trim", VERIFIER, BUGCHECK_OWN + 10, "trim says other than the page sources saw" },
	{ "walk", BAD_POOL_HEADER, 5, "walk's ranges do not tile what is committed and live" },
	{ "check", BAD_POOL_HEADER, 0x22, "the backend's own check fails" },
	{ "enter", VERIFIER, BUGCHECK_OWN + 11, "thread_enter failed" },
	{ "commit-failure", VERIFIER, BUGCHECK_OWN + 12, "a refused commit was answered wrongly" },
	{ "leak", VERIFIER, 0x62, "memory or addresses are left after destroy" },
	{ "poison", SPECIAL, BUGCHECK_OWN + 17,
	  "memory was touched that is somebody else's (address sanitizer's builds only)" },
	{ "crash", KMODE_EXCEPTION_NOT_HANDLED, 0, "the backend crashed" },
	{ "hang", DPC_WATCHDOG_VIOLATION, 0, "no progress" },
	{ "stop", VERIFIER, BUGCHECK_OWN + 13, "the backend itself noticed corruption" },
	/* What a caller does, by the verifier. */
	{ "zero-bytes", BAD_POOL_CALLER, 0, "an allocation of zero bytes" },
	{ "tag-zero", BAD_POOL_CALLER, 0x9B, "an allocation with tag 0" },
	{ "tag-characters", VERIFIER, BUGCHECK_OWN + 14,
	  "a tag that is not of printable characters" },
	{ "double-free", BAD_POOL_CALLER, 7, "a block was freed that is free already" },
	{ "foreign-free", BAD_POOL_CALLER, 0x46, "an address was freed that no alloc returned" },
	{ "wrong-tag", BAD_POOL_CALLER, 0xA, "a block was freed with another tag" },
	{ "leaked-blocks", VERIFIER, 0x62, "blocks are live at the end" },
	{ "overrun", PAGE_FAULT_BEYOND_END_OF_ALLOCATION, 0, "touched beyond a block's end" },
	{ "underrun", SPECIAL, BUGCHECK_OWN + 15, "touched in front of a block's start" },
	{ "use-after-free", PAGE_FAULT_IN_FREED_SPECIAL_POOL, 0,
	  "touched a block after it was freed" },
	{ "near-block", SPECIAL, 0x23, "bytes beside a special-pool block were written" },
	{ "past-end", SPECIAL, 0x24, "bytes past a special-pool block's end were written" },
	{ "irql-alloc", BAD_POOL_CALLER, 8, "an allocation at a level that forbids it" },
	{ "irql-free", BAD_POOL_CALLER, 9, "a free at a level that forbids it" },
	{ "irql-touch", IRQL_NOT_LESS_OR_EQUAL, 0, "paged pool was touched at DISPATCH_LEVEL" },
	{ "harness", VERIFIER, BUGCHECK_OWN + 16, "the harness lacked something: no finding" },
	{ NULL, 0, 0, NULL },
};

static const struct {
	uint32_t code;
	const char *name;
} names[] = {
	{ IRQL_NOT_LESS_OR_EQUAL, "IRQL_NOT_LESS_OR_EQUAL" },
	{ BAD_POOL_HEADER, "BAD_POOL_HEADER" },
	{ KMODE_EXCEPTION_NOT_HANDLED, "KMODE_EXCEPTION_NOT_HANDLED" },
	{ SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION, "SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION" },
	{ BAD_POOL_CALLER, "BAD_POOL_CALLER" },
	{ DRIVER_VERIFIER_DETECTED_VIOLATION, "DRIVER_VERIFIER_DETECTED_VIOLATION" },
	{ DRIVER_CORRUPTED_EXPOOL, "DRIVER_CORRUPTED_EXPOOL" },
	{ PAGE_FAULT_IN_FREED_SPECIAL_POOL, "PAGE_FAULT_IN_FREED_SPECIAL_POOL" },
	{ PAGE_FAULT_BEYOND_END_OF_ALLOCATION, "PAGE_FAULT_BEYOND_END_OF_ALLOCATION" },
	{ DRIVER_CORRUPTED_MMPOOL, "DRIVER_CORRUPTED_MMPOOL" },
	{ DPC_WATCHDOG_VIOLATION, "DPC_WATCHDOG_VIOLATION" },
};

const char *bugcheck_name(uint32_t code)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (names[i].code == code)
			return names[i].name;
	return "UNKNOWN_STOP";
}

const struct bugcheck_rule *bugcheck_rule_find(const char *rule)
{
	for (const struct bugcheck_rule *entry = bugcheck_rules; entry->rule; entry++)
		if (strcmp(entry->rule, rule) == 0)
			return entry;
	return NULL;
}

const struct bugcheck_rule *bugcheck_rule_of(uint32_t code, uint64_t first)
{
	for (const struct bugcheck_rule *entry = bugcheck_rules; entry->rule; entry++)
		if (entry->code == code && entry->first == first)
			return entry;
	return NULL;
}
