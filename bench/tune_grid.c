/* The grid: which backend specs, times which page sizes, times which backings. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "allocators/options.h"
#include "allocators/registry.h"
#include "bench/tune.h"

#define KEYS_MAX 32
#define WORDS    24 /* values of one key */

/* One option of the backend with its alternatives. */
struct axis {
	char key[64];
	char values[WORDS][64];
	unsigned count;
};

struct specs {
	char (*spec)[512];
	unsigned count;
};

void tune_page_name(size_t page_size, char *text, size_t bytes)
{
	if (page_size >= (size_t)1 << 20)
		snprintf(text, bytes, "%zuM", page_size >> 20);
	else
		snprintf(text, bytes, "%zuK", page_size >> 10);
}

/* ---- backend specs ---- */

/* "order=1|3"; a flag alone, "hardened", has the one value "on". */
static int parse_axis(char *text, const char *separator, struct axis *axis, char *why,
		      size_t why_bytes)
{
	char *rest = text, *word;

	memset(axis, 0, sizeof(*axis));
	word = strsep(&rest, "=");
	if (!*word || strlen(word) >= sizeof(axis->key) || (rest && !*rest)) {
		snprintf(why, why_bytes, "'%s': wants an option with its values, as %s", text,
			 *separator == '|' ? "slub:order=1|3" : "--vary order=1,3");
		return -EINVAL;
	}
	snprintf(axis->key, sizeof(axis->key), "%s", word);
	if (!rest)
		snprintf(axis->values[axis->count++], sizeof(axis->values[0]), "on");
	while ((word = strsep(&rest, separator))) {
		if (axis->count == WORDS || strlen(word) >= sizeof(axis->values[0])) {
			snprintf(why, why_bytes, "%s: at most %d values, none too long", axis->key,
				 WORDS);
			return -EINVAL;
		}
		snprintf(axis->values[axis->count++], sizeof(axis->values[0]), "%s", word);
	}
	return 0;
}

static int add_axis(struct axis *axes, unsigned *count, char *text, const char *separator,
		    char *why, size_t why_bytes)
{
	int error;

	if (*count == KEYS_MAX) {
		snprintf(why, why_bytes, "at most %d options", KEYS_MAX);
		return -EINVAL;
	}
	error = parse_axis(text, separator, &axes[*count], why, why_bytes);
	for (unsigned i = 0; i < *count && !error; i++) {
		if (strcmp(axes[i].key, axes[*count].key) == 0) {
			snprintf(why, why_bytes, "%s is given twice", axes[i].key);
			error = -EINVAL;
		}
	}
	*count += !error;
	return error;
}

/* "slub:order=1|3,barn=4" and every --vary but 'pages' into axes; `name` gets "slub". */
static int parse_axes(const struct tune_options *options, char *name, struct axis *axes,
		      unsigned *count, bool *pages, char *why, size_t why_bytes)
{
	char copy[512], *rest, *word, *colon;
	int error = 0;

	snprintf(copy, sizeof(copy), "%s", options->backend);
	/* malloc:PATH:options is a library, which is refused below by what it is */
	colon = strchr(copy, ':');
	if (strncmp(copy, "malloc:", 7) == 0)
		colon = NULL;
	rest = colon ? colon + 1 : NULL;
	if (colon)
		*colon = '\0';
	strcpy(name, copy);
	while (!error && (word = strsep(&rest, ",")))
		error = add_axis(axes, count, word, "|", why, why_bytes);
	for (unsigned i = 0; i < options->varies && !error; i++) {
		char vary[sizeof(options->vary[0])];

		strcpy(vary, options->vary[i]);
		if (strcmp(vary, "pages") == 0)
			*pages = true;
		else
			error = add_axis(axes, count, vary, ",", why, why_bytes);
	}
	return error;
}

static int add_spec(struct specs *specs, const char *spec)
{
	char(*grown)[512];

	for (unsigned i = 0; i < specs->count; i++)
		if (strcmp(specs->spec[i], spec) == 0)
			return 0;
	grown = reallocarray(specs->spec, specs->count + (size_t)1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	specs->spec = grown;
	snprintf(grown[specs->count++], sizeof(*grown), "%s", spec);
	return 0;
}

/* The cross product, the first value of each first. */
static int cross(const char *name, const struct axis *axes, unsigned count, struct specs *specs)
{
	unsigned at[KEYS_MAX] = { 0 };
	int error = 0;

	for (;;) {
		char spec[512];
		size_t used = (size_t)snprintf(spec, sizeof(spec), "%s", name);
		unsigned i;

		for (i = 0; i < count && used < sizeof(spec); i++)
			used += (size_t)snprintf(spec + used, sizeof(spec) - used, "%s%s=%s",
						 i ? "," : ":", axes[i].key, axes[i].values[at[i]]);
		if (used >= sizeof(spec) || specs->count > TUNE_SETTINGS_MAX)
			return -EINVAL;
		error = add_spec(specs, spec);
		for (i = count; i > 0 && ++at[i - 1] == axes[i - 1].count; i--)
			at[i - 1] = 0;
		if (error || i == 0)
			return error;
	}
}

/* ---- page options, from the typed tables ---- */

/* What an option says of itself: whether it decides how a design takes, cuts or keeps pages. */
static bool concerns_pages(const struct option_def *option)
{
	static const char *const words[] = { "page", "slab", "span", "subsegment", "committed" };
	char text[512];

	if (option->type != OPTION_TYPE_UINT && option->type != OPTION_TYPE_SIZE)
		return false;
	snprintf(text, sizeof(text), "%s %s", option->unit, option->help);
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strstr(text, words[i]))
			return true;
	return false;
}

static bool is_logarithm(const struct option_def *option)
{
	return strstr(option->unit, "log2") != NULL;
}

/* The default less and more: a quarter and four times, or one down and up of a logarithm. */
static double neighbour(const struct option_def *option, double value, bool up)
{
	if (is_logarithm(option))
		return up ? value + 1 : value - 1;
	return up ? value * 4 : floor(value / 4);
}

static int add_neighbours(struct specs *specs, unsigned index, const struct option_def *option)
{
	char base[512]; /* adding moves the others */
	bool plain;
	size_t value;
	int error = 0;

	if (size_parse(option->default_text, &value) != 0 || value == 0)
		return 0; /* 0 means "by itself" wherever it is a default */
	memcpy(base, specs->spec[index], sizeof(base));
	plain = !strchr(base, ':');
	for (int up = 0; up < 2 && !error; up++) {
		const double next = neighbour(option, (double)value, up);
		char spec[512];

		if (next < option->min || next > option->max || next < 0)
			continue;
		if ((size_t)snprintf(spec, sizeof(spec), "%s%s%s=%.0f", base, plain ? ":" : ",",
				     option->name, next) >= sizeof(spec))
			return -EINVAL;
		error = add_spec(specs, spec);
	}
	return error;
}

static bool spec_sets(const char *spec, const char *option)
{
	const size_t length = strlen(option);
	const char *at = spec;

	while ((at = strpbrk(at, ":,"))) {
		at++;
		if (strncmp(at, option, length) == 0 && at[length] == '=')
			return true;
	}
	return false;
}

/* One change at a time, around every spec that is there. */
static int vary_pages(const struct backend *backend, struct specs *specs, char *why,
		      size_t why_bytes)
{
	const unsigned bases = specs->count;
	const struct option_def *option = backend->ops->options;
	int error = 0;

	for (; option && option->name && !error; option++)
		for (unsigned i = 0; i < bases && !error && concerns_pages(option); i++)
			if (!spec_sets(specs->spec[i], option->name))
				error = add_neighbours(specs, i, option);
	if (!error && specs->count == bases) {
		snprintf(why, why_bytes,
			 "--vary pages: %s has no option that concerns its pages "
			 "(`poolbench list %s` shows them all)",
			 backend->name, backend->name);
		error = -EINVAL;
	}
	return error;
}

static int check_spec(const char *spec, struct backend **backend, char *why, size_t why_bytes)
{
	int error = backend_open(spec, backend, why, why_bytes);

	if (!error && (*backend)->kind == BACKEND_LIBRARY) {
		snprintf(why, why_bytes,
			 "%s is a malloc library, which maps its own memory: it has no pool page "
			 "size to tune (compare it by `poolbench run`)",
			 spec);
		backend_close(*backend);
		*backend = NULL;
		error = -EINVAL;
	}
	return error;
}

static int lay_out_specs(const struct tune_options *options, struct specs *specs, char *why,
			 size_t why_bytes)
{
	struct axis *axes = calloc(KEYS_MAX, sizeof(*axes));
	struct backend *backend = NULL;
	unsigned count = 0;
	bool pages = false;
	char name[512];
	int error = axes ? 0 : -ENOMEM;

	if (!error)
		error = parse_axes(options, name, axes, &count, &pages, why, why_bytes);
	if (!error) {
		error = cross(name, axes, count, specs);
		if (error == -EINVAL)
			snprintf(why, why_bytes, "too many combinations of options, or too long");
	}
	if (!error && pages) {
		error = check_spec(specs->spec[0], &backend, why, why_bytes);
		if (!error)
			error = vary_pages(backend, specs, why, why_bytes);
		backend_close(backend);
	}
	for (unsigned i = 0; i < specs->count && !error; i++) {
		backend = NULL;
		error = check_spec(specs->spec[i], &backend, why, why_bytes);
		backend_close(backend);
	}
	free(axes);
	return error;
}

/* ---- settings ---- */

/* Says the options only where they vary. */
static void name_setting(struct tune_setting *setting, bool options_vary)
{
	const char *options = strchr(setting->backend, ':');
	char page[16];

	tune_page_name(setting->page_size, page, sizeof(page));
	snprintf(setting->name, sizeof(setting->name), "%s pages on %s%s%s", page, setting->backing,
		 options_vary ? ", " : "",
		 !options_vary ? ""
		 : options     ? options + 1
			       : "default options");
}

static int add_setting(struct tune_session *session, const char *spec, bool specs_vary,
		       size_t page_size, const char *backing)
{
	struct tune_setting *setting;

	for (unsigned i = 0; i < session->setting_count; i++) {
		setting = &session->settings[i];
		if (strcmp(setting->backend, spec) == 0 && setting->page_size == page_size &&
		    strcmp(setting->backing, backing) == 0)
			return 0; /* named twice in a list */
	}
	if (session->setting_count == TUNE_SETTINGS_MAX)
		return -E2BIG;
	setting = &session->settings[session->setting_count++];
	memset(setting, 0, sizeof(*setting));
	snprintf(setting->backend, sizeof(setting->backend), "%s", spec);
	snprintf(setting->backing, sizeof(setting->backing), "%s", backing);
	setting->page_size = page_size;
	name_setting(setting, specs_vary);
	return 0;
}

static int compare_sizes(const void *left, const void *right)
{
	const size_t a = *(const size_t *)left, b = *(const size_t *)right;

	return (a > b) - (a < b);
}

/*
 * In the order of preference among equals: the backing that needs least of the system, the options as they are first,
 * the smallest page.
 */
static int add_settings(struct tune_session *session, const struct specs *specs)
{
	struct plan_options *plan = &session->options.plan;
	size_t sizes = 0;
	int error = 0;

	while (plan->page_sizes[sizes])
		sizes++;
	qsort(plan->page_sizes, sizes, sizeof(*plan->page_sizes), compare_sizes);
	for (int i = 0; i < PAGE_BACKINGS && !error; i++)
		for (char *const *backing = plan->backings; *backing; backing++)
			for (unsigned s = 0; s < specs->count; s++)
				for (size_t k = 0; k < sizes && !error; k++)
					if (strcmp(*backing, page_backing_names[i]) == 0)
						error = add_setting(session, specs->spec[s],
								    specs->count > 1,
								    plan->page_sizes[k], *backing);
	return error;
}

int tune_grid(struct tune_session *session, char *why, size_t why_bytes)
{
	struct specs specs = { NULL, 0 };
	int error = lay_out_specs(&session->options, &specs, why, why_bytes);

	session->settings = error ? NULL : calloc(TUNE_SETTINGS_MAX, sizeof(*session->settings));
	if (!error && !session->settings)
		error = -ENOMEM;
	if (!error)
		error = add_settings(session, &specs);
	if (error == -E2BIG) {
		snprintf(why, why_bytes, "more than %d settings: vary less at a time",
			 TUNE_SETTINGS_MAX);
		error = -EINVAL;
	}
	if (!error && session->setting_count == 1) {
		snprintf(why, why_bytes,
			 "%s is the only setting of this grid, so there is nothing to choose: give "
			 "--page-size or --backing more values, or --vary an option",
			 session->settings[0].name);
		error = -EINVAL;
	}
	free(specs.spec);
	return error;
}
