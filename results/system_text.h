/*
 * Small texts of the kernel (/proc, /sys) below a root directory, "" for the real one, so that
 * tests can bring a machine of their own. What cannot be read is JSON null. Thread-safe.
 */
#ifndef POOLBENCH_SYSTEM_TEXT_H
#define POOLBENCH_SYSTEM_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* The file's text, cut at `bytes` - 1 and without blanks at its end. False if it cannot be read. */
bool system_text(const char *root, const char *path, char *text, size_t bytes);

/* As a string, as an integer; null if unreadable (or no integer). */
json_t *system_string(const char *root, const char *path);
json_t *system_integer(const char *root, const char *path);

/*
 * The value in a "key : value" or "key value" file such as cpuinfo or meminfo, first occurrence,
 * without blanks around it. False if there is none.
 */
bool system_field(const char *text, const char *key, char *value, size_t bytes);

#endif
