#include "plots_markup.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define DEPTH 64

struct markup {
	char open[DEPTH][32];
	int depth;
	const char *at;
};

static int is_void(const char *name)
{
	static const char *const names[] = { "img", "meta", "br", "wbr", "hr", "link", "input" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i], name) == 0)
			return 1;
	}
	return 0;
}

/* Moves past one tag; NULL or what is wrong. */
static const char *markup_tag(struct markup *markup, int html)
{
	int closing = markup->at[1] == '/', empty = 0;
	const char *s = markup->at + 1 + closing;
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-");
	char name[32];

	if (!n || n >= sizeof(name))
		return "a '<' that begins no tag";
	memcpy(name, s, n);
	name[n] = '\0';
	for (s += n; *s && *s != '>'; s++) {
		if (*s == '<')
			return "a '<' within a tag";
		if (*s == '"' || *s == '\'') {
			s = strchr(s + 1, *s);
			if (!s)
				return "an attribute without its end";
		}
		empty = *s == '/';
	}
	if (!*s)
		return "a tag without its end";
	markup->at = s + 1;
	if (closing) {
		if (!markup->depth || strcmp(markup->open[markup->depth - 1], name) != 0)
			return "an end tag that fits no open element";
		markup->depth--;
	} else if (!empty && !(html && is_void(name))) {
		if (markup->depth == DEPTH)
			return "elements nest too deep";
		strcpy(markup->open[markup->depth++], name);
		if (html && strcmp(name, "style") == 0)
			markup->at = strstr(markup->at, "</style>") ? strstr(markup->at, "</style>")
								    : markup->at;
	}
	return NULL;
}

static int is_reference(const char *s)
{
	size_t n = s[1] == '#' ? 2 : 1;

	while (isalnum((unsigned char)s[n]))
		n++;
	return n > 1 && s[n] == ';';
}

int markup_balanced(const char *text, int html, char *why, size_t why_bytes)
{
	struct markup markup = { .at = text };
	const char *wrong = NULL;

	while (*markup.at && !wrong) {
		if (strncmp(markup.at, "<!--", 4) == 0) {
			const char *end = strstr(markup.at, "-->");
			wrong = end ? NULL : "a comment without its end";
			markup.at = end ? end + 3 : markup.at;
		} else if (markup.at[0] == '<' && (markup.at[1] == '!' || markup.at[1] == '?')) {
			markup.at += strcspn(markup.at, ">");
		} else if (*markup.at == '<') {
			const char *here = markup.at;
			wrong = markup_tag(&markup, html);
			markup.at = wrong ? here : markup.at;
		} else if (*markup.at == '&' && !is_reference(markup.at)) {
			wrong = "an '&' that begins no reference";
		} else {
			markup.at++;
		}
	}
	if (!wrong && markup.depth)
		wrong = markup.open[markup.depth - 1];
	if (wrong)
		snprintf(why, why_bytes, "%s at: %.60s", wrong, markup.at);
	return !wrong;
}
