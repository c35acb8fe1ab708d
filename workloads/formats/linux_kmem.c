/*
 * Linux kernel slab traffic: the kmem tracepoints kmalloc, kfree, kmem_cache_alloc and kmem_cache_free, and
 * older kernels' kmalloc_node and kmem_cache_alloc_node, as text:
 *
 *     perf script -F cpu,time,event,trace    [001]  1733.449550: kmem:kmalloc: call_site=f+0x24 ptr=0x...
 *     perf script                            fio  812 [001]  1733.449550: kmem:kmalloc: call_site=...
 *     tracefs trace, trace_pipe              fio-812  [001] .....  1733.449550: kmalloc: call_site=...
 *     trace-cmd report                       fio-812  [001]  1733.449550: kmalloc: (f+0x24) call_site=...
 *
 * Lines are taken in their order, which these tools make that of time. Of other tracepoints, and of comments,
 * nothing is taken; "LOST n EVENTS" is counted.
 *
 * - The tag is the cache's name, or the call site without its offset: for kmalloc, and for caches of kernels
 *   before 6.1, whose tracepoints do not tell the name.
 * - All slab memory is nonpaged. GFP_ATOMIC and GFP_NOWAIT, which may not sleep, mean DISPATCH_LEVEL.
 * - Touched at birth: everything with __GFP_ZERO, else the first 128 bytes (two cache lines, a list head and
 *   the fields of a constructor; what is larger is mostly a buffer that somebody fills later).
 * - kmalloc(0) gives a pointer that is no memory (16), a failed allocation NULL: neither is an allocation.
 *   A free of either does nothing in the kernel: it counts as a free of NULL.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "recording.h"
#include "source.h"
#include "workloads/trace_internal.h"

#define TOUCH_BYTES   128u
#define ZERO_SIZE_PTR 16u /* of the kernel's include/linux/slab.h */

enum kmem_event { KMEM_NONE, KMEM_KMALLOC, KMEM_CACHE_ALLOC, KMEM_FREE };

static const struct {
	const char *name;
	enum kmem_event event;
} kmem_events[] = {
	{ "kmalloc", KMEM_KMALLOC },
	{ "kmalloc_node", KMEM_KMALLOC },
	{ "kmem_cache_alloc", KMEM_CACHE_ALLOC },
	{ "kmem_cache_alloc_node", KMEM_CACHE_ALLOC },
	{ "kfree", KMEM_FREE },
	{ "kmem_cache_free", KMEM_FREE },
};

/* The event that a word of `bytes` names ("kmem:kfree" or "kfree", without the colon). */
static enum kmem_event event_named(const char *word, size_t bytes)
{
	if (bytes > 5 && !memcmp(word, "kmem:", 5)) {
		word += 5;
		bytes -= 5;
	}
	for (size_t i = 0; i < sizeof(kmem_events) / sizeof(*kmem_events); i++)
		if (strlen(kmem_events[i].name) == bytes &&
		    !memcmp(kmem_events[i].name, word, bytes))
			return kmem_events[i].event;
	return KMEM_NONE;
}

/* Whether a word is "[012]", and the number in it. */
static bool processor_word(const char *word, size_t bytes, unsigned *processor)
{
	unsigned value = 0;

	if (bytes < 3 || bytes > 8 || word[0] != '[' || word[bytes - 1] != ']')
		return false;
	for (size_t i = 1; i < bytes - 1; i++) {
		if (!isdigit((unsigned char)word[i]))
			return false;
		value = value * 10 + (unsigned)(word[i] - '0');
	}
	*processor = value;
	return true;
}

/* The last number in brackets before the event: a task's name may have brackets too. */
static enum kmem_event parse_front(const char *line, bool *has_processor, unsigned *processor,
				   const char **fields)
{
	*has_processor = false;
	for (const char *word = line; *word;) {
		size_t bytes;

		word += strspn(word, " \t");
		bytes = strcspn(word, " \t");
		if (processor_word(word, bytes, processor)) {
			*has_processor = true;
		} else if (bytes > 1 && word[bytes - 1] == ':') {
			const enum kmem_event event = event_named(word, bytes - 1);

			if (event != KMEM_NONE) {
				*fields = word + bytes;
				return event;
			}
		}
		word += bytes;
	}
	return KMEM_NONE;
}

/* The value of "key=value", up to a blank. NULL if there is none. */
static const char *field(const char *fields, const char *key, size_t *bytes)
{
	const size_t key_bytes = strlen(key);

	for (const char *word = fields; *word;) {
		size_t word_bytes;

		word += strspn(word, " \t");
		word_bytes = strcspn(word, " \t");
		if (word_bytes > key_bytes && word[key_bytes] == '=' &&
		    !memcmp(word, key, key_bytes)) {
			*bytes = word_bytes - key_bytes - 1;
			return word + key_bytes + 1;
		}
		word += word_bytes;
	}
	return NULL;
}

/* A pointer: hexadecimal with or without 0x, or one of the spellings of NULL. */
static bool parse_pointer(const char *fields, uint64_t *pointer)
{
	size_t bytes;
	const char *text = field(fields, "ptr", &bytes);
	char *end;

	if (!text)
		return false;
	if ((bytes == 5 && !memcmp(text, "(nil)", 5)) ||
	    (bytes == 6 && !memcmp(text, "(null)", 6))) {
		*pointer = 0;
		return true;
	}
	if (!bytes || !isxdigit((unsigned char)*text))
		return false;
	errno = 0;
	*pointer = strtoull(text, &end, 16);
	if (*pointer <= ZERO_SIZE_PTR)
		*pointer = 0;
	return !errno && end == text + bytes;
}

static bool parse_bytes(const char *fields, uint64_t *value)
{
	size_t bytes;
	const char *text = field(fields, "bytes_req", &bytes);
	char *end;

	if (!text || !isdigit((unsigned char)*text))
		return false;
	errno = 0;
	*value = strtoull(text, &end, 10);
	return !errno && end == text + bytes && *value <= UINT32_MAX;
}

/* Whether "A|B|C" has one of two names. */
static bool has_flag(const char *flags, size_t bytes, const char *name)
{
	const size_t name_bytes = strlen(name);

	for (size_t at = 0; at < bytes;) {
		const char *bar = memchr(flags + at, '|', bytes - at);
		const size_t end = bar ? (size_t)(bar - flags) : bytes;

		if (end - at == name_bytes && !memcmp(flags + at, name, name_bytes))
			return true;
		at = end + 1;
	}
	return false;
}

static unsigned parse_tag(struct recording *recording, enum kmem_event event, const char *fields)
{
	size_t bytes;
	const char *name = event == KMEM_CACHE_ALLOC ? field(fields, "name", &bytes) : NULL;

	if (name && bytes)
		return recording_tag(recording, 'c', name, bytes);
	name = field(fields, "call_site", &bytes);
	if (!name || !bytes)
		return recording_tag(recording, 's', "unknown", 7);
	for (size_t i = 0; i < bytes; i++)
		if (name[i] == '+')
			bytes = i;
	return recording_tag(recording, 's', name, bytes);
}

static bool take_alloc(struct recording *recording, enum kmem_event event, unsigned processor,
		       const char *fields)
{
	uint64_t pointer, bytes;
	size_t flag_bytes = 0;
	const char *flags = field(fields, "gfp_flags", &flag_bytes);
	uint32_t touch;

	if (!parse_pointer(fields, &pointer) || !parse_bytes(fields, &bytes) || !flags)
		return false;
	if (!pointer || !bytes)
		return true;
	touch = (uint32_t)bytes;
	if (touch > TOUCH_BYTES && !has_flag(flags, flag_bytes, "__GFP_ZERO"))
		touch = TOUCH_BYTES;
	recording_alloc(recording, processor, pointer, POOL_NONPAGED, (uint32_t)bytes, touch,
			parse_tag(recording, event, fields),
			has_flag(flags, flag_bytes, "GFP_ATOMIC") ||
				has_flag(flags, flag_bytes, "GFP_NOWAIT"));
	return true;
}

/* "CPU:1 [LOST 1234 EVENTS]" and its like. */
static bool take_lost(struct recording *recording, const char *line)
{
	const char *lost = strcasestr(line, "lost");
	char *end;
	uint64_t count;

	if (!lost || !strcasestr(lost, "event"))
		return false;
	count = strtoull(lost + 4, &end, 10);
	if (end == lost + 4)
		return false;
	recording_lost(recording, count);
	return true;
}

/* Whether a line is of some other tracepoint: has a word in brackets and one that ends in a colon after it. */
static bool is_other_event(const char *line, bool has_processor)
{
	return has_processor && strstr(line, ": ");
}

static void take_line(struct recording *recording, const char *line)
{
	const char *fields = NULL;
	bool has_processor, good = false;
	unsigned processor = 0;
	uint64_t pointer;
	enum kmem_event event;

	line += strspn(line, " \t\r");
	if (!*line || *line == '#')
		return;
	event = parse_front(line, &has_processor, &processor, &fields);
	if (event == KMEM_NONE) {
		if (!take_lost(recording, line) && !is_other_event(line, has_processor))
			recording_malformed(recording);
		return;
	}
	if (has_processor && event == KMEM_FREE) {
		good = parse_pointer(fields, &pointer);
		if (good)
			recording_free(recording, processor, pointer);
	} else if (has_processor) {
		good = take_alloc(recording, event, processor, fields);
	}
	if (!good)
		recording_malformed(recording);
}

static int linux_kmem_import(struct line_source *source, struct recording *recording, char *why,
			     size_t why_bytes)
{
	char *line;

	(void)why;
	(void)why_bytes;
	while ((line = line_source_next(source)))
		take_line(recording, line);
	return 0;
}

static bool linux_kmem_sniff(const char *head)
{
	while (*head) {
		const size_t bytes = strcspn(head, "\n");
		const char *site = memmem(head, bytes, "call_site=", 10);

		if (site && memmem(site, bytes - (size_t)(site - head), " ptr=", 5))
			return true;
		head += bytes;
		head += *head == '\n';
	}
	return false;
}

const struct trace_format linux_kmem_format = {
	.name = "linux-kmem",
	.summary =
		"Linux kmem tracepoints, as perf script, trace_pipe or trace-cmd report print them",
	.sniff = linux_kmem_sniff,
	.import = linux_kmem_import,
};
