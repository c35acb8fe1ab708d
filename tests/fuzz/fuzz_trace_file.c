/* Any bytes as a trace file: refused with a sentence, or a trace that keeps the rules and survives a round trip. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fuzz.h"
#include "workloads/trace.h"

static void read_in_windows(const char *path, const struct trace *whole)
{
	struct trace_reader *reader;
	const struct trace *window;
	enum trace_phase phase;
	uint64_t events = 0, expected = 0;
	char why[256] = "";
	int result;

	result = trace_reader_open(path, &reader, why, sizeof(why));
	FUZZ_MUST(result == 0 || (!whole && why[0]));
	if (result)
		return;
	while ((result = trace_reader_next(reader, 1000, &phase, &window, why, sizeof(why))) == 1)
		for (unsigned p = 0; p < window->processors; p++)
			events += window->streams[p].count[phase];
	FUZZ_MUST(result == 0 || why[0]);
	FUZZ_MUST(result == 0 || !whole);
	trace_reader_close(reader);
	if (!whole)
		return;
	for (int p = 0; p < TRACE_PHASES; p++)
		expected += trace_phase_events(whole, (enum trace_phase)p);
	FUZZ_MUST(events == expected);
}

static void write_and_read(const struct trace *trace)
{
	const char *directory = getenv("TMPDIR");
	char path[4096], why[256] = "";
	struct trace *again;

	snprintf(path, sizeof(path), "%s/fuzz_trace_file.%d.pbt", directory ? directory : "/tmp",
		 (int)getpid());
	FUZZ_MUST(trace_write(trace, path, why, sizeof(why)) == 0);
	FUZZ_MUST(trace_read(path, &again, why, sizeof(why)) == 0);
	FUZZ_MUST(again->checksum == trace->checksum);
	trace_destroy(again);
	unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct trace *trace = NULL;
	char path[FUZZ_PATH_BYTES], why[256] = "";
	const int fd = fuzz_file(data, bytes, path);
	const int error = trace_read(path, &trace, why, sizeof(why));

	FUZZ_MUST(error == 0 ? trace != NULL : !trace && why[0]);
	if (trace) {
		struct trace_summary summary;

		FUZZ_MUST(trace_validate(trace, why, sizeof(why)) == 0);
		trace_summarise(trace, &summary);
		write_and_read(trace);
	}
	read_in_windows(path, trace);
	trace_destroy(trace);
	close(fd);
	return 0;
}
