#include "format.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "allocators/options.h"
#include "recording.h"
#include "source.h"
#include "workloads/trace_internal.h"

const struct trace_format *const trace_formats[] = {
	&linux_kmem_format,
	&csapp_format,
	&glibc_wl_format,
	NULL,
};

static int format_named(const char *name, const struct trace_format **out, char *why,
			size_t why_bytes)
{
	const char *names[sizeof(trace_formats) / sizeof(*trace_formats)];
	const char *near;
	size_t count = 0;

	for (; trace_formats[count]; count++) {
		names[count] = trace_formats[count]->name;
		if (!strcmp(names[count], name)) {
			*out = trace_formats[count];
			return 0;
		}
	}
	near = name_suggest(name, names, count);
	return trace_fail(-EINVAL, why, why_bytes, "no format '%s'%s%s%s", name,
			  near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static int format_sniffed(const char *path, struct line_source *source,
			  const struct trace_format **out, char *why, size_t why_bytes)
{
	const char *head = line_source_head(source);

	for (size_t i = 0; trace_formats[i]; i++) {
		if (trace_formats[i]->sniff(head)) {
			*out = trace_formats[i];
			return 0;
		}
	}
	return trace_fail(-EINVAL, why, why_bytes,
			  "%s does not begin like any format that is known; name one by --format",
			  path);
}

static int import(const char *path, const struct trace_format *format, struct line_source *source,
		  const char *origin, struct trace **out, char *why, size_t why_bytes)
{
	struct recording *recording = recording_create();
	const char *slash = strrchr(path, '/');
	char made[512];
	int ret;

	if (!recording)
		return trace_fail(-ENOMEM, why, why_bytes, "out of memory for a recording");
	ret = format->import(source, recording, why, why_bytes);
	if (!ret && line_source_error(source)) {
		ret = line_source_error(source);
		trace_fail(ret, why, why_bytes, "cannot read %s: %s", path,
			   ret == -EILSEQ ? "its compression is damaged" : strerror(-ret));
	}
	if (!ret) {
		snprintf(made, sizeof(made), "%s: %s", format->name, slash ? slash + 1 : path);
		ret = recording_finish(recording, origin ? origin : made, out, why, why_bytes);
	}
	recording_destroy(recording);
	return ret;
}

int trace_import(const char *path, const char *format, const char *origin, struct trace **out,
		 char *why, size_t why_bytes)
{
	const struct trace_format *found = NULL;
	struct line_source *source;
	int ret = format ? format_named(format, &found, why, why_bytes) : 0;

	if (!ret)
		ret = line_source_open(path, &source, why, why_bytes);
	if (ret)
		return ret;
	if (!found)
		ret = format_sniffed(path, source, &found, why, why_bytes);
	if (!ret)
		ret = import(path, found, source, origin, out, why, why_bytes);
	line_source_close(source);
	return ret;
}
