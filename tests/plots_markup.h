/* A small check that markup is well-formed: every element that opens closes, in order. */
#ifndef POOLBENCH_TESTS_PLOTS_MARKUP_H
#define POOLBENCH_TESTS_PLOTS_MARKUP_H

#include <stddef.h>

/*
 * 1 if all elements nest; 0 with the reason. With `html`, elements that HTML never closes (img, meta, br) need
 * no end, and a style element's text is not read. Attribute values must be quoted; "&" must begin a reference.
 */
int markup_balanced(const char *text, int html, char *why, size_t why_bytes);

#endif
