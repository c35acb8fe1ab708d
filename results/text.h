/* Text from strangers: names of plugins, reasons, paths may hold any bytes. Thread-safe. */
#ifndef POOLBENCH_TEXT_H
#define POOLBENCH_TEXT_H

#include <stdio.h>

/* The bytes of a well-formed UTF-8 sequence at `s` (RFC 3629), 0 for any other and for the end. */
int utf8_length(const unsigned char *s);

/*
 * As content of an element or of a quoted attribute of HTML or XML. Bytes that are not UTF-8 become U+FFFD, control
 * characters, which XML 1.0 has no place for, spaces.
 */
void markup_text(FILE *out, const char *text);

#endif
