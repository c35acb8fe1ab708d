/*
 * What the fuzz targets share. A target is one file with LLVMFuzzerTestOneInput; tests/fuzz/CMakeLists.txt says how
 * it is built: with libFuzzer behind it where there is clang, else with replay.c, which plays the kept corpus.
 */
#ifndef POOLBENCH_FUZZ_H
#define POOLBENCH_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#define FUZZ_PATH_BYTES 32

/* The bytes as a file for code that wants a path. A descriptor, to be closed; ends the process where there is none. */
int fuzz_file(const uint8_t *data, size_t bytes, char path[FUZZ_PATH_BYTES]);

/* A copy with a NUL behind it, for free(). */
char *fuzz_text(const uint8_t *data, size_t bytes);

/* What must hold whatever the input is. */
#define FUZZ_MUST(condition) ((condition) ? (void)0 : fuzz_broken(#condition, __FILE__, __LINE__))
_Noreturn void fuzz_broken(const char *condition, const char *file, int line);

#endif
