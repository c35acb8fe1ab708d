/*
 * Stop codes: what Windows would have said of the same fault, so that whoever debugs drivers knows at once
 * what is meant. Names and first arguments are those of Microsoft's public Bug Check Code Reference. A
 * promise of the contract that Windows has no stop for is reported as DRIVER_VERIFIER_DETECTED_VIOLATION with
 * a first argument of BUGCHECK_OWN and above, which Windows does not use.
 */
#ifndef POOLBENCH_BUGCHECK_H
#define POOLBENCH_BUGCHECK_H

#include <stdint.h>

enum bugcheck_code {
	IRQL_NOT_LESS_OR_EQUAL = 0x0A,
	BAD_POOL_HEADER = 0x19,
	KMODE_EXCEPTION_NOT_HANDLED = 0x1E,
	SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION = 0xC1,
	BAD_POOL_CALLER = 0xC2,
	DRIVER_VERIFIER_DETECTED_VIOLATION = 0xC4,
	DRIVER_CORRUPTED_EXPOOL = 0xC5,
	PAGE_FAULT_IN_FREED_SPECIAL_POOL = 0xCC,
	PAGE_FAULT_BEYOND_END_OF_ALLOCATION = 0xCD,
	DRIVER_CORRUPTED_MMPOOL = 0xD0,
	DPC_WATCHDOG_VIOLATION = 0x133
};

#define BUGCHECK_OWN 0x10000u

/* A promise, by the word that findings and tests know it by, and the stop that its breach deserves. */
struct bugcheck_rule {
	const char *rule;
	uint32_t code;     /* enum bugcheck_code */
	uint64_t first;    /* first argument of the stop */
	const char *broken; /* what it means, one line */
};

/* Ended by a NULL rule. Where several rules share a stop, the first one stands for it. */
extern const struct bugcheck_rule bugcheck_rules[];

/* "BAD_POOL_CALLER"; "UNKNOWN_STOP" for a code that is not in the table. Static. */
const char *bugcheck_name(uint32_t code);

/* The rule of that word; the one that a stop with that first argument breaks. NULL: none. */
const struct bugcheck_rule *bugcheck_rule_find(const char *rule);
const struct bugcheck_rule *bugcheck_rule_of(uint32_t code, uint64_t first);

#endif
