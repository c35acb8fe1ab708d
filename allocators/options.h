/*
 * Typed options: one table gives parsing, `poolbench list`, --help and the docs.
 *
 *     struct slub_options { unsigned cpu_partial; bool random; };
 *     static const struct option_def slub_option_table[] = {
 *             OPTION_UINT(struct slub_options, cpu_partial, "30", 0, 1024, "slabs", "slabs kept a processor"),
 *             OPTION_BOOL(struct slub_options, random, "off", "shuffle the free list of a new slab"),
 *             OPTION_END
 *     };
 *
 * Text form: "name=value,name=value"; a bool may stand alone ("random" is "random=on"). Sizes take the
 * suffixes K, M, G (powers of 1024). The members' C types are fixed by the option's type, see below.
 */
#ifndef POOLBENCH_OPTIONS_H
#define POOLBENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum option_type {
	OPTION_TYPE_BOOL, /* bool: on/off, yes/no, true/false, 1/0 */
	OPTION_TYPE_UINT, /* unsigned */
	OPTION_TYPE_SIZE, /* size_t, in bytes */
	OPTION_TYPE_REAL, /* double, finite */
	OPTION_TYPE_ENUM, /* int: index into `names` */
	OPTION_TYPE_TEXT  /* char[OPTION_TEXT_BYTES], no comma */
};

#define OPTION_TEXT_BYTES 256

struct option_def {
	const char *name; /* NULL ends the table */
	enum option_type type;
	size_t offset;            /* of the member in the structure that is filled */
	const char *default_text; /* parsed as if it had been given */
	double min, max;          /* inclusive; UINT, SIZE and REAL only */
	const char *const *names; /* ENUM only, NULL-terminated */
	const char *unit;         /* "bytes", "blocks", "1" ... for people */
	const char *help;         /* one line */
};

#define OPTION_BOOL(s, m, def, help_) \
	{ #m, OPTION_TYPE_BOOL, offsetof(s, m), def, 0, 1, NULL, "on|off", help_ }
#define OPTION_UINT(s, m, def, lo, hi, unit_, help_) \
	{ #m, OPTION_TYPE_UINT, offsetof(s, m), def, lo, hi, NULL, unit_, help_ }
#define OPTION_SIZE(s, m, def, lo, hi, help_) \
	{ #m, OPTION_TYPE_SIZE, offsetof(s, m), def, lo, hi, NULL, "bytes", help_ }
#define OPTION_REAL(s, m, def, lo, hi, unit_, help_) \
	{ #m, OPTION_TYPE_REAL, offsetof(s, m), def, lo, hi, NULL, unit_, help_ }
#define OPTION_ENUM(s, m, def, names_, help_) \
	{ #m, OPTION_TYPE_ENUM, offsetof(s, m), def, 0, 0, names_, "name", help_ }
#define OPTION_TEXT(s, m, def, help_) \
	{ #m, OPTION_TYPE_TEXT, offsetof(s, m), def, 0, 0, NULL, "text", help_ }
#define OPTION_END { NULL, OPTION_TYPE_BOOL, 0, NULL, 0, 0, NULL, NULL, NULL }

/*
 * Fills `values` (all defaults first, then `text`, which may be NULL or empty). 0, or -EINVAL with a sentence
 * in `error` that names the option, its range, and a near name for an unknown one. Thread-safe.
 */
int options_parse(const struct option_def *table, void *values, const char *text, char *error,
		  size_t error_bytes);

/* The inverse, canonical: every option in table order, "a=1,b=on". Bytes needed without the NUL. */
size_t options_format(const struct option_def *table, const void *values, char *text, size_t text_bytes);

/* "64K" -> 65536. 0, -EINVAL (no number, unknown suffix) or -ERANGE. `value` is untouched on failure. */
int size_parse(const char *text, size_t *value);

/* The candidate nearest to `name` by edit distance if it is near enough to be a slip, else NULL. */
const char *name_suggest(const char *name, const char *const *candidates, size_t count);

#ifdef __cplusplus
}
#endif
#endif
