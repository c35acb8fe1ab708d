/* A finding for people, like a stop screen, and for programs. */
#include <ctype.h>
#include <execinfo.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bugcheck.h"
#include "bench/finding.h"
#include "bench/irql.h"
#include "results/record_json.h"

static void tag_text(uint32_t tag, char text[8])
{
	for (unsigned i = 0; i < 4; i++) {
		const int c = (int)(tag >> 8 * i & 0xFF);

		text[i] = isprint(c) ? (char)c : '.';
	}
	text[4] = '\0';
}

static const char *type_name(int32_t type)
{
	return type == POOL_PAGED ? "paged" : "nonpaged";
}

static void print_frames(FILE *stream, const struct finding *finding)
{
	char **symbols;

	if (!finding->frames)
		return;
	symbols = backtrace_symbols((void *const *)finding->frame, (int)finding->frames);
	fprintf(stream, "  backtrace\n");
	for (uint32_t i = 0; i < finding->frames; i++)
		fprintf(stream, "    %2u %s\n", i, symbols ? symbols[i] : "?");
	free(symbols);
}

void finding_print(FILE *stream, const struct finding *finding,
		   const struct finding_context *context)
{
	const struct bugcheck_rule *rule = bugcheck_rule_find(finding->rule);
	char tag[8];

	fprintf(stream,
		"\n*** STOP: 0x%08" PRIX32 " (0x%" PRIX64 ", 0x%" PRIX64 ", 0x%" PRIX64
		", 0x%" PRIX64 ")  %s\n",
		finding->code, finding->arguments[0], finding->arguments[1], finding->arguments[2],
		finding->arguments[3], bugcheck_name(finding->code));
	fprintf(stream, "  backend   %s\n", context->backend);
	fprintf(stream, "  rule      %s: %s\n", finding->rule, rule ? rule->broken : "");
	fprintf(stream, "  seen      %s\n", finding->text);
	if (finding->address) {
		tag_text(finding->tag, tag);
		fprintf(stream, "  block     0x%" PRIx64 ", %" PRIu64 " bytes, tag '%s', %s\n",
			finding->address, finding->bytes, tag, type_name(finding->type));
	}
	if (finding->processor >= 0)
		fprintf(stream, "  where     processor %d at %s, %s\n", finding->processor,
			irql_name((enum irql)finding->irql), finding->stage);
	else
		fprintf(stream, "  where     %s\n",
			finding->stage[0] ? finding->stage : "between stages");
	if (atomic_load(&finding->fail_nth))
		fprintf(stream, "  failing   commit %llu of the %s source\n",
			(unsigned long long)atomic_load(&finding->fail_nth),
			type_name(atomic_load(&finding->fail_type)));
	print_frames(stream, finding);
	fprintf(stream, "  seed      %" PRIu64 " (scenario %s)\n", context->seed,
		context->scenario);
	fprintf(stream, "  repeat    %s\n", context->repeat);
	if (context->trace)
		fprintf(stream,
			"  trace     poolbench stress --replay %s   (%" PRIu64
			" events, shrunk from %" PRIu64 ")\n",
			context->trace, context->trace_events, context->trace_events_before);
	if (context->note)
		fprintf(stream, "  note      %s\n", context->note);
}

static json_t *json_u64(uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%" PRIx64, value);
	return json_string(text);
}

static json_t *frames_json(const struct finding *finding)
{
	char **symbols = backtrace_symbols((void *const *)finding->frame, (int)finding->frames);
	json_t *frames = json_array();

	for (uint32_t i = 0; symbols && i < finding->frames; i++)
		json_array_append_new(frames, json_text(symbols[i]));
	free(symbols);
	return frames;
}

json_t *finding_json(const struct finding *finding, const struct finding_context *context)
{
	json_t *object = json_object(), *arguments = json_array();
	char tag[8], seed[24];

	for (int i = 0; i < 4; i++)
		json_array_append_new(arguments, json_u64(finding->arguments[i]));
	snprintf(seed, sizeof(seed), "%" PRIu64, context->seed);
	tag_text(finding->tag, tag);
	json_object_set_new(object, "rule", json_text(finding->rule));
	json_object_set_new(object, "code", json_u64(finding->code));
	json_object_set_new(object, "name", json_text(bugcheck_name(finding->code)));
	json_object_set_new(object, "arguments", arguments);
	json_object_set_new(object, "seen", json_text(finding->text));
	json_object_set_new(object, "block",
			    finding->address ? json_u64(finding->address) : json_null());
	json_object_set_new(object, "bytes",
			    finding->address ? json_integer((json_int_t)finding->bytes)
					     : json_null());
	json_object_set_new(object, "tag", finding->address ? json_text(tag) : json_null());
	json_object_set_new(object, "pool_type",
			    finding->address ? json_text(type_name(finding->type)) : json_null());
	json_object_set_new(object, "processor",
			    finding->processor >= 0 ? json_integer(finding->processor)
						    : json_null());
	json_object_set_new(object, "irql", json_text(irql_name((enum irql)finding->irql)));
	json_object_set_new(object, "stage", json_text(finding->stage));
	json_object_set_new(object, "failing_commit",
			    json_integer((json_int_t)atomic_load(&finding->fail_nth)));
	json_object_set_new(object, "backtrace", frames_json(finding));
	json_object_set_new(object, "seed", json_text(seed));
	json_object_set_new(object, "scenario", json_text(context->scenario));
	json_object_set_new(object, "repeat", json_text(context->repeat));
	json_object_set_new(object, "trace",
			    context->trace ? json_text(context->trace) : json_null());
	json_object_set_new(object, "trace_events",
			    json_integer((json_int_t)context->trace_events));
	json_object_set_new(object, "note", context->note ? json_text(context->note) : json_null());
	return object;
}
