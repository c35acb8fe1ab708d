#include "text.h"

#include <stdbool.h>
#include <stddef.h>

int utf8_length(const unsigned char *s)
{
	static const struct {
		unsigned char first, last, low, high;
		int bytes;
	} forms[] = {
		{ 0x01, 0x7f, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (s[0] < forms[i].first || s[0] > forms[i].last)
			continue;
		if (forms[i].bytes > 1 && (s[1] < forms[i].low || s[1] > forms[i].high))
			return 0;
		for (int k = 2; k < forms[i].bytes; k++) {
			if ((s[k] & 0xc0) != 0x80)
				return 0;
		}
		return forms[i].bytes;
	}
	return 0;
}

void markup_text(FILE *out, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	while (*s) {
		const int bytes = utf8_length(s);
		const bool no_character = bytes == 3 && s[0] == 0xef && s[1] == 0xbf &&
					  s[2] >= 0xbe;

		if (!bytes || no_character) /* U+FFFE and U+FFFF are none in XML 1.0 */
			fputs("\xef\xbf\xbd", out);
		else if (*s == '&')
			fputs("&amp;", out);
		else if (*s == '<')
			fputs("&lt;", out);
		else if (*s == '>')
			fputs("&gt;", out);
		else if (*s == '"')
			fputs("&quot;", out);
		else if (*s == '\'')
			fputs("&#39;", out);
		else if (*s < 0x20 || *s == 0x7f)
			putc(' ', out);
		else
			fwrite(s, 1, (size_t)bytes, out);
		s += bytes ? bytes : 1;
	}
}
