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

static void print_frames(FILE *stream, void *const *frame, uint32_t frames)
{
	char **symbols = frames ? backtrace_symbols(frame, (int)frames) : NULL;

	for (uint32_t i = 0; i < frames; i++)
		fprintf(stream, "    %2u %s\n", i, symbols ? symbols[i] : "?");
	free(symbols);
}

static void print_past(FILE *stream, const struct finding *finding)
{
	for (uint32_t i = 0; i < finding->pasts; i++) {
		const struct finding_past *past = &finding->past[i];

		fprintf(stream, "  %-12s %s\n", past->what, past->where);
		print_frames(stream, past->stack.frame, past->stack.frames);
	}
}

static uint32_t leaks_told(const struct finding *finding)
{
	return finding->leak_tags < FINDING_LEAKS ? finding->leak_tags : FINDING_LEAKS;
}

/* The name of a call site, as backtrace_symbols has it. */
static void site_name(const struct call_stack *stack, char *name, size_t name_bytes)
{
	char **symbols = stack->frames ? backtrace_symbols(stack->frame, 1) : NULL;

	snprintf(name, name_bytes, "%s", symbols ? symbols[0] : "?");
	free(symbols);
}

static void print_leaks(FILE *stream, const struct finding *finding)
{
	char tag[8], site[256];

	for (uint32_t i = 0; i < leaks_told(finding); i++) {
		const struct finding_leak *leak = &finding->leaks[i];

		tag_text(leak->tag, tag);
		site_name(&leak->first, site, sizeof(site));
		fprintf(stream,
			"  leak      tag '%s': %" PRIu64 " blocks, %" PRIu64
			" bytes, the first by %s\n",
			tag, leak->blocks, leak->bytes, site);
	}
	if (finding->leak_tags > FINDING_LEAKS)
		fprintf(stream, "  leak      and %u tags more\n",
			finding->leak_tags - FINDING_LEAKS);
}

/* The block, who found it and what is known of it from before. */
static void print_block(FILE *stream, const struct finding *finding)
{
	char tag[8];

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
}

void finding_print(FILE *stream, const struct finding *finding,
		   const struct finding_context *context)
{
	const struct bugcheck_rule *rule = bugcheck_rule_find(finding->rule);
	fprintf(stream,
		"\n*** STOP: 0x%08" PRIX32 " (0x%" PRIX64 ", 0x%" PRIX64 ", 0x%" PRIX64
		", 0x%" PRIX64 ")  %s\n",
		finding->code, finding->arguments[0], finding->arguments[1], finding->arguments[2],
		finding->arguments[3], bugcheck_name(finding->code));
	fprintf(stream, "  backend   %s\n", context->backend);
	fprintf(stream, "  rule      %s: %s\n", finding->rule, rule ? rule->broken : "");
	fprintf(stream, "  seen      %s\n", finding->text);
	print_block(stream, finding);
	if (finding->frames)
		fprintf(stream, "  backtrace\n");
	print_frames(stream, finding->frame, finding->frames);
	print_past(stream, finding);
	print_leaks(stream, finding);
	fprintf(stream, "  seed      %" PRIu64 " (scenario %s)", context->seed, context->scenario);
	if (context->rounds)
		fprintf(stream, ", in round %" PRIu64 " after %.1f s", context->rounds,
			context->found_seconds);
	fprintf(stream, "\n");
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

static json_t *frames_json(void *const *frame, uint32_t count)
{
	char **symbols = count ? backtrace_symbols(frame, (int)count) : NULL;
	json_t *frames = json_array();

	for (uint32_t i = 0; symbols && i < count; i++)
		json_array_append_new(frames, json_text(symbols[i]));
	free(symbols);
	return frames;
}

static json_t *past_json(const struct finding *finding)
{
	json_t *all = json_array();

	for (uint32_t i = 0; i < finding->pasts; i++) {
		const struct finding_past *past = &finding->past[i];
		json_t *object = json_object();

		json_object_set_new(object, "what", json_text(past->what));
		json_object_set_new(object, "where",
				    past->where[0] ? json_text(past->where) : json_null());
		json_object_set_new(object, "backtrace",
				    frames_json(past->stack.frame, past->stack.frames));
		json_array_append_new(all, object);
	}
	return all;
}

static json_t *leaks_json(const struct finding *finding)
{
	json_t *all = json_array();
	char tag[8], site[256];

	for (uint32_t i = 0; i < leaks_told(finding); i++) {
		const struct finding_leak *leak = &finding->leaks[i];
		json_t *object = json_object();

		tag_text(leak->tag, tag);
		site_name(&leak->first, site, sizeof(site));
		json_object_set_new(object, "tag", json_text(tag));
		json_object_set_new(object, "blocks", json_integer((json_int_t)leak->blocks));
		json_object_set_new(object, "bytes", json_integer((json_int_t)leak->bytes));
		json_object_set_new(object, "first_site", json_text(site));
		json_array_append_new(all, object);
	}
	return all;
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
	json_object_set_new(object, "backtrace", frames_json(finding->frame, finding->frames));
	json_object_set_new(object, "past", past_json(finding));
	json_object_set_new(object, "leaks", leaks_json(finding));
	json_object_set_new(object, "seed", json_text(seed));
	json_object_set_new(object, "scenario", json_text(context->scenario));
	json_object_set_new(object, "round",
			    context->rounds ? json_integer((json_int_t)context->rounds)
					    : json_null());
	json_object_set_new(object, "found_seconds",
			    context->rounds ? json_finite(context->found_seconds) : json_null());
	json_object_set_new(object, "repeat", json_text(context->repeat));
	json_object_set_new(object, "trace",
			    context->trace ? json_text(context->trace) : json_null());
	json_object_set_new(object, "trace_events",
			    json_integer((json_int_t)context->trace_events));
	json_object_set_new(object, "note", context->note ? json_text(context->note) : json_null());
	return object;
}
