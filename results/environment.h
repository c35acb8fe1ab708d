/*
 * environment.json: the machine, the build and the options of a run, and the state of the machine
 * before and after it. Whatever cannot be read is null. The name of the host is not recorded, nor
 * are the arguments of the kernel's command line that carry one or an address; runs of one machine
 * are told by a fingerprint.
 */
#ifndef POOLBENCH_ENVIRONMENT_H
#define POOLBENCH_ENVIRONMENT_H

#include <jansson.h>
#include <stddef.h>

#include "run_plan.h"

struct run_dir;

/*
 * The document of a run that begins: "before" is now, "after" is null. `previous` (may be NULL) is
 * the document of the run that is resumed: its states move to "earlier". NULL when memory ran out;
 * for json_decref().
 */
json_t *environment_begin(const struct run_plan *plan, const json_t *previous);

/* Fills "after". 0 or -ENOMEM. */
int environment_end(json_t *environment);

/* Puts it into the run's directory as environment.json. 0 or -errno with `why`. */
int environment_write(struct run_dir *run, const json_t *environment, char *why, size_t why_bytes);

/* The document of an existing run; NULL if there is none or it is damaged. */
json_t *environment_read(const char *directory);

/* The parts, for a machine below `root` ("" is this one). */
json_t *environment_machine(const char *root);
json_t *environment_state(const char *root);
json_t *environment_build(void);

/*
 * 16 hex digits: FNV-1a of CPU model, microcode, processors online, physical cores, memory in whole
 * GiB and the kernel's major version. The same machine keeps it over reboots and minor kernel
 * updates; other microcode makes it another machine, for that changes times.
 */
#define FINGERPRINT_BYTES 17
void environment_fingerprint(const json_t *machine, char *fingerprint);

/* The GNU build id of the running program in hex, or an empty string. */
void build_id(char *text, size_t bytes);

#endif
