/*
 * Any bytes as a recording, in every format. Input: a byte that chooses the format (or to find out), then the file.
 * What comes of it is an error with a sentence, or a trace that keeps the rules.
 */
#include <unistd.h>

#include "fuzz.h"
#include "workloads/formats/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct trace *trace = NULL;
	char path[FUZZ_PATH_BYTES], why[256] = "";
	const char *format = NULL;
	unsigned formats = 0;
	int fd, error;

	while (trace_formats[formats])
		formats++;
	if (bytes == 0)
		return 0;
	if (data[0] % (formats + 1) < formats)
		format = trace_formats[data[0] % (formats + 1)]->name;
	fd = fuzz_file(data + 1, bytes - 1, path);
	error = trace_import(path, format, NULL, &trace, why, sizeof(why));
	FUZZ_MUST(error == 0 ? trace != NULL : !trace && why[0]);
	if (trace)
		FUZZ_MUST(trace_validate(trace, why, sizeof(why)) == 0);
	trace_destroy(trace);
	close(fd);
	return 0;
}
