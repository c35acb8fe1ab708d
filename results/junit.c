#include "junit.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "text.h"

/* The parts of the suite that come after its opening tag, in the order of the schema. */
enum part { PART_NAME, PART_ORIGIN, PART_PROPERTIES, PART_CASES, PARTS };

struct junit {
	FILE *file[PARTS];
	char *text[PARTS];
	size_t bytes[PARTS];
	unsigned cases, outcomes[JUNIT_OUTCOMES], properties;
	double seconds;
};

static const char *const elements[JUNIT_OUTCOMES] = { NULL, "failure", "error", "skipped" };

int junit_outcome_parse(const char *text, enum junit_outcome *out)
{
	for (int i = JUNIT_FAILURE; i < JUNIT_OUTCOMES; i++) {
		if (strcmp(text, elements[i]) != 0)
			continue;
		*out = (enum junit_outcome)i;
		return 0;
	}
	return -EINVAL;
}

enum junit_outcome junit_outcome_of(enum verdict verdict, bool gate, enum junit_outcome undecided)
{
	if (!gate || verdict_passes(verdict))
		return JUNIT_PASSED;
	return verdict == VERDICT_REGRESSION ? JUNIT_FAILURE : undecided;
}

void junit_discard(struct junit *junit)
{
	if (!junit)
		return;
	for (int part = 0; part < PARTS; part++) {
		if (junit->file[part])
			fclose(junit->file[part]);
		free(junit->text[part]);
	}
	free(junit);
}

struct junit *junit_begin(const char *suite)
{
	struct junit *junit = calloc(1, sizeof(*junit));

	for (int part = 0; part < PARTS && junit; part++) {
		junit->file[part] = open_memstream(&junit->text[part], &junit->bytes[part]);
		if (!junit->file[part]) {
			junit_discard(junit);
			junit = NULL;
		}
	}
	if (junit)
		markup_text(junit->file[PART_NAME], suite);
	return junit;
}

static void put_attribute(FILE *file, const char *name, const char *value)
{
	fprintf(file, " %s=\"", name);
	markup_text(file, value);
	putc('"', file);
}

/* Line feeds are kept; in attributes, readers take them for spaces. */
static void put_lines(FILE *file, const char *text)
{
	char *copy = strdup(text), *rest = copy, *line;

	while (copy && (line = strsep(&rest, "\n"))) {
		markup_text(file, line);
		if (rest)
			putc('\n', file);
	}
	free(copy);
}

void junit_property(struct junit *junit, const char *name, const char *value)
{
	if (!junit)
		return;
	junit->properties++;
	fputs("      <property", junit->file[PART_PROPERTIES]);
	put_attribute(junit->file[PART_PROPERTIES], "name", name);
	put_attribute(junit->file[PART_PROPERTIES], "value", value);
	fputs("/>\n", junit->file[PART_PROPERTIES]);
}

void junit_origin(struct junit *junit, double unix_seconds, const char *machine)
{
	const time_t seconds = isfinite(unix_seconds) ? (time_t)unix_seconds : 0;
	char stamp[40];
	struct tm utc;

	if (!junit)
		return;
	if (isfinite(unix_seconds) && gmtime_r(&seconds, &utc)) {
		strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &utc);
		put_attribute(junit->file[PART_ORIGIN], "timestamp", stamp);
	}
	if (machine)
		put_attribute(junit->file[PART_ORIGIN], "hostname", machine);
}

void junit_add(struct junit *junit, const struct junit_case *test)
{
	FILE *file = junit ? junit->file[PART_CASES] : NULL;
	const char *element = elements[test->outcome];

	if (!junit)
		return;
	junit->cases++;
	junit->outcomes[test->outcome]++;
	fputs("    <testcase", file);
	put_attribute(file, "classname", test->classname);
	put_attribute(file, "name", test->name);
	if (isfinite(test->seconds)) {
		junit->seconds += test->seconds;
		fprintf(file, " time=\"%.3f\"", test->seconds);
	}
	if (!element && !test->output) {
		fputs("/>\n", file);
		return;
	}
	fputs(">\n", file);
	if (element) {
		fprintf(file, "      <%s", element);
		/* a skipped case has no type in the schemas of Ant and Jenkins */
		if (test->type && test->outcome != JUNIT_SKIPPED)
			put_attribute(file, "type", test->type);
		put_attribute(file, "message", test->message ? test->message : "");
		fputs("/>\n", file);
	}
	if (test->output) {
		fputs("      <system-out>", file);
		put_lines(file, test->output);
		fputs("</system-out>\n", file);
	}
	fputs("    </testcase>\n", file);
}

void junit_add_whole(struct junit *junit, const char *classname, enum verdict verdict,
		     enum junit_outcome undecided)
{
	const struct junit_case test = { .classname = classname,
					 .name = "verdict",
					 .seconds = NAN,
					 .outcome = junit_outcome_of(verdict, true, undecided),
					 .type = verdict_names[verdict],
					 .message = "nothing to compare" };

	if (junit && !junit->cases)
		junit_add(junit, &test);
}

static void put_totals(const struct junit *junit, FILE *out)
{
	fprintf(out, " tests=\"%u\" failures=\"%u\" errors=\"%u\"", junit->cases,
		junit->outcomes[JUNIT_FAILURE], junit->outcomes[JUNIT_ERROR]);
}

int junit_end(struct junit *junit, FILE *out)
{
	int error = junit ? 0 : -ENOMEM;

	for (int part = 0; part < PARTS && junit; part++) {
		if (fclose(junit->file[part]))
			error = -ENOMEM;
		junit->file[part] = NULL;
	}
	if (error) {
		junit_discard(junit);
		return error;
	}
	fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"poolbench\"", out);
	put_totals(junit, out);
	fprintf(out, " time=\"%.3f\">\n  <testsuite name=\"%s\"", junit->seconds,
		junit->text[PART_NAME]);
	put_totals(junit, out);
	fprintf(out, " skipped=\"%u\" time=\"%.3f\"%s>\n", junit->outcomes[JUNIT_SKIPPED],
		junit->seconds, junit->text[PART_ORIGIN]);
	if (junit->properties)
		fprintf(out, "    <properties>\n%s    </properties>\n",
			junit->text[PART_PROPERTIES]);
	fprintf(out, "%s  </testsuite>\n</testsuites>\n", junit->text[PART_CASES]);
	error = fflush(out) || ferror(out) ? -EIO : 0;
	junit_discard(junit);
	return error;
}
