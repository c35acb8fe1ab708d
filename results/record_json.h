/*
 * Records and results as JSON. One flat object a record: the cell, what ran, every metric by name
 * (null when it could not be measured), and "counters", the backend's own numbers.
 * docs/results-schema.md is the contract.
 *
 * Doubles are written with 17 significant digits, so that reading gives back the same bits; NaN and
 * the infinities become null and null becomes NaN. `seed` and `trace_checksum` are strings, because
 * many readers turn integers above 2^53 into something else. Text that is not UTF-8 has its foreign
 * bytes replaced by '?'. Thread-safe. Readers ignore keys that they do not know.
 */
#ifndef POOLBENCH_RECORD_JSON_H
#define POOLBENCH_RECORD_JSON_H

#include <jansson.h>
#include <stddef.h>

#include "record.h"

/* One line without the line feed, for free(). NULL when memory ran out. */
char *record_to_json(const struct record *record);
char *result_to_json(const struct result *result);

/*
 * 0; -EINVAL (not JSON, a key missing, of the wrong type or out of range), -EPROTONOSUPPORT
 * (another schema number) or -ENOMEM, with a sentence in `why`. `out` need not be initialised and
 * is untouched on failure. The result is the caller's, for result_release().
 */
int record_from_json(const char *text, size_t length, struct record *out, char *why,
		     size_t why_bytes);
int result_from_json(const char *text, size_t length, struct result *out, char *why,
		     size_t why_bytes);

/* The same on jansson's own objects, for files that carry more than the record. */
json_t *record_json_object(const struct record *record);
int record_json_read(const json_t *object, struct record *out, char *why, size_t why_bytes);

/* A JSON string of any bytes; a number, or null where there is no finite one. */
json_t *json_text(const char *text);
json_t *json_finite(double value);

#endif
