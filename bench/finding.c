/* Findings: kept by the process that saw them; finding.h has the terms. */
#include "finding.h"

#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "allocators/poison.h"
#include "bench/bugcheck.h"
#include "bench/irql.h"

static struct finding *current;
static _Thread_local int thread_processor = -1;
static _Thread_local const char *thread_stage = "";

struct finding *finding_create(void)
{
	struct finding *finding = mmap(NULL, sizeof(*finding), PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (finding == MAP_FAILED)
		return NULL;
	finding_reset(finding);
	return finding;
}

void finding_destroy(struct finding *finding)
{
	if (finding)
		munmap(finding, sizeof(*finding));
}

void finding_reset(struct finding *finding)
{
	memset(finding, 0, sizeof(*finding));
	finding->type = -1;
	finding->processor = -1;
}

void finding_thread(int processor, const char *stage)
{
	thread_processor = processor;
	thread_stage = stage;
}

/* Waits for ever where another thread was first: the process is about to end. */
static void take(void)
{
	if (!atomic_exchange(&current->taken, 1))
		return;
	for (;;)
		pause();
}

static void note_thread(void)
{
	current->processor = thread_processor;
	current->irql = (int32_t)irql_current();
	snprintf(current->stage, sizeof(current->stage), "%s", thread_stage);
}

static void note_frames(void)
{
	int frames = backtrace(current->frame, FINDING_FRAMES);

	current->frames = frames > 0 ? (uint32_t)frames : 0;
}

static void note_block(const struct finding_block *block)
{
	if (!block)
		return;
	current->address = (uint64_t)(uintptr_t)block->address;
	current->bytes = block->bytes;
	current->tag = block->tag;
	current->type = (int32_t)block->type;
	for (; current->pasts < block->pasts && current->pasts < 2; current->pasts++)
		current->past[current->pasts] = block->past[current->pasts];
	current->arguments[1] = current->address;
	current->arguments[2] = current->bytes;
	current->arguments[3] = current->tag;
}

/* The rule is written last: with it the finding is there. */
static void note_rule(const char *rule)
{
	const struct bugcheck_rule *entry = bugcheck_rule_find(rule);

	if (entry) {
		current->code = entry->code;
		current->arguments[0] = entry->first;
	}
	snprintf(current->rule, sizeof(current->rule), "%s", rule);
}

/* Where nobody asked for findings (a unit test, a fuzzer): says it, and ends in a way that is noticed. */
static _Noreturn void report_to_nobody(const char *rule, const char *text)
{
	fprintf(stderr, "%s: %s\n", rule, text);
	abort();
}

_Noreturn void finding_vreport(const char *rule, const struct finding_block *block,
			       const char *format, va_list arguments)
{
	char text[sizeof(current->text)];

	vsnprintf(text, sizeof(text), format, arguments);
	if (!current)
		report_to_nobody(rule, text);
	take();
	memcpy(current->text, text, sizeof(text));
	note_thread();
	note_frames();
	note_block(block);
	note_rule(rule);
	_exit(1);
}

_Noreturn void finding_report(const char *rule, const struct finding_block *block,
			      const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	finding_vreport(rule, block, format, arguments);
}

void finding_add_leak(const struct finding_leak *leak)
{
	if (current && current->leak_tags < FINDING_LEAKS)
		current->leaks[current->leak_tags] = *leak;
	if (current)
		current->leak_tags++;
}

_Noreturn void finding_stop_block(const char *rule, const struct pool_stop *stop,
				  const struct finding_block *block)
{
	if (!current)
		report_to_nobody(rule, stop->text ? stop->text : "");
	take();
	snprintf(current->text, sizeof(current->text), "%s", stop->text ? stop->text : "");
	note_thread();
	note_frames();
	note_block(block);
	note_rule(rule);
	current->code = stop->code;
	memcpy(current->arguments, stop->arguments, sizeof(current->arguments));
	_exit(1);
}

_Noreturn void finding_stop(void *unused, const struct pool_stop *stop)
{
	(void)unused;
	finding_stop_block("stop", stop, NULL);
}

/* ---- crashes ---- */

#define EXPLAINERS 4

static void (*explainers[EXPLAINERS])(const siginfo_t *info, const void *context);

void finding_on_fault(void (*explain)(const siginfo_t *info, const void *context))
{
	for (size_t i = 0; i < EXPLAINERS; i++) {
		if (explainers[i] == explain)
			return;
		if (!explainers[i]) {
			explainers[i] = explain;
			return;
		}
	}
}

static void on_crash(int number, siginfo_t *info, void *context)
{
	if (number == SIGSEGV || number == SIGBUS)
		for (size_t i = 0; i < EXPLAINERS && explainers[i]; i++)
			explainers[i](info, context);
	take();
	if (number == SIGABRT)
		snprintf(current->text, sizeof(current->text), "SIGABRT: it gave up by itself");
	else
		snprintf(current->text, sizeof(current->text), "SIG%s at address %p",
			 sigabbrev_np(number), info->si_addr);
	note_thread();
	note_frames();
	note_rule("crash");
	current->arguments[0] = (uint64_t)number;
	if (number != SIGABRT)
		current->arguments[1] = (uint64_t)(uintptr_t)info->si_addr;
	_exit(1);
}

#if POISONING
/* What the sanitizer saw first: its whole report is on stderr, its first line becomes the finding's text. */
static void on_sanitizer(const char *report)
{
	const char *what = strstr(report, "AddressSanitizer: ");

	take();
	snprintf(current->text, sizeof(current->text), "%.*s", what ? (int)strcspn(what, "\n") : 0,
		 what ? what : "");
	note_thread();
	note_frames();
	note_rule("poison");
	_exit(1);
}
#endif

/* The parent asks where a process that hangs is. */
static void on_question(int number)
{
	(void)number;
	if (atomic_exchange(&current->taken, 1))
		return;
	snprintf(current->text, sizeof(current->text), "no operation was finished in time");
	note_thread();
	note_frames();
	note_rule("hang");
	_exit(1);
}

void finding_install(struct finding *finding)
{
	static const int crashes[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
	struct sigaction action = { .sa_sigaction = on_crash, .sa_flags = SA_SIGINFO };
	void *warm[2];

	current = finding;
	(void)backtrace(warm, 2); /* loads what it needs now, not inside a handler */
	for (size_t i = 0; i < sizeof(crashes) / sizeof(*crashes); i++)
		sigaction(crashes[i], &action, NULL);
#if POISONING
	__asan_set_error_report_callback(on_sanitizer);
#endif
	action.sa_flags = 0;
	action.sa_handler = on_question;
	sigaction(SIGUSR1, &action, NULL);
}
