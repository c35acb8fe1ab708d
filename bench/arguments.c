#include "bench/arguments.h"

#include <stdlib.h>
#include <string.h>

#include "allocators/options.h"

double argument_share(struct argp_state *state, const char *option, const char *text, double scale,
		      double most)
{
	char *end;
	const double number = strtod(text, &end);

	if (end == text || (*end && strcmp(end, "%") != 0) || !(number > 0 && number <= most))
		argp_error(state, "--%s %s: wants a number above 0, up to %g", option, text, most);
	return number / scale;
}

unsigned argument_count(struct argp_state *state, const char *option, const char *text,
			unsigned low, unsigned high)
{
	char *end;
	const unsigned long number = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || number < low || number > high)
		argp_error(state, "--%s %s: wants a number from %u to %u", option, text, low, high);
	return (unsigned)number;
}

static void refuse_name(struct argp_state *state, const char *option, const char *word,
			const char *const *names, size_t count)
{
	const char *near = name_suggest(word, names, count);
	char all[512] = "";

	for (size_t i = 0; i < count; i++) {
		strncat(all, i ? ", " : "", sizeof(all) - strlen(all) - 1);
		strncat(all, names[i], sizeof(all) - strlen(all) - 1);
	}
	if (near)
		argp_error(state, "--%s %s: did you mean '%s'? It takes %s", option, word, near,
			   all);
	else
		argp_error(state, "--%s %s: wants %s", option, word, all);
}

void argument_names(struct argp_state *state, const char *option, const char *text,
		    const char *const *names, bool *chosen)
{
	char *copy = strdup(text), *rest = copy, *word;
	size_t count = 0;

	while (names[count])
		chosen[count++] = false;
	while (copy && (word = strsep(&rest, ","))) {
		size_t i = 0;

		while (i < count && strcmp(names[i], word) != 0)
			i++;
		if (i == count)
			refuse_name(state, option, word, names, count);
		else
			chosen[i] = true;
	}
	free(copy);
}
