#include "metrics_markdown.h"

#include "record.h"

/* A bar in a cell would end it. */
static void cell_text(const char *text, FILE *file)
{
	for (; *text; text++) {
		if (*text == '|')
			fputc('\\', file);
		fputc(*text, file);
	}
}

void metrics_markdown(FILE *file)
{
	static const char *const better[] = {
		[BETTER_NONE] = "-",
		[BETTER_HIGHER] = "higher",
		[BETTER_LOWER] = "lower",
	};

	fputs("| metric | pass | unit | better | what it is |\n|---|---|---|---|---|\n", file);
	for (int i = 0; i < METRIC_COUNT; i++) {
		const struct metric_info *metric = &metric_table[i];

		fprintf(file, "| `%s` | %s | %s | %s | ", metric->name, pass_names[metric->pass],
			metric->unit, better[metric->better]);
		cell_text(metric->help, file);
		fputs(" |\n", file);
	}
}
