#include "html.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

/* The bytes of a well-formed UTF-8 sequence at `s` (RFC 3629), 0 for any other. */
static int utf8_length(const unsigned char *s)
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

void html_text(FILE *out, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	while (*s) {
		int bytes = utf8_length(s);
		if (!bytes)
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

void html(FILE *out, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	while (*format) {
		char spec[16];
		size_t n = strcspn(format, "%");
		fwrite(format, 1, n, out);
		format += n;
		if (!*format)
			break;
		n = strcspn(format + 1, "%sufegz") + 2;
		n += format[n - 1] == 'z';
		if (n >= sizeof(spec))
			break;
		memcpy(spec, format, n);
		spec[n] = '\0';
		format += n;
		switch (spec[n - 1]) {
		case '%':
			putc('%', out);
			break;
		case 's':
			html_text(out, va_arg(arguments, const char *));
			break;
		case 'u':
			if (spec[n - 2] == 'z')
				fprintf(out, "%zu", va_arg(arguments, size_t));
			else
				fprintf(out, "%u", va_arg(arguments, unsigned));
			break;
		default:
			/* a literal of ours, taken apart above */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
			fprintf(out, spec, va_arg(arguments, double));
#pragma GCC diagnostic pop
		}
	}
	va_end(arguments);
}

int html_data_uri(FILE *out, const char *path, const char *mime_type)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	FILE *file = fopen(path, "re");
	unsigned char in[3];
	size_t n;

	if (!file)
		return -errno;
	fprintf(out, "data:%s;base64,", mime_type);
	while ((n = fread(in, 1, 3, file)) > 0) {
		unsigned word = (unsigned)in[0] << 16;
		word |= n > 1 ? (unsigned)in[1] << 8 : 0;
		word |= n > 2 ? in[2] : 0;
		putc(digits[word >> 18], out);
		putc(digits[word >> 12 & 63], out);
		putc(n > 1 ? digits[word >> 6 & 63] : '=', out);
		putc(n > 2 ? digits[word & 63] : '=', out);
	}
	n = (size_t)ferror(file);
	fclose(file);
	return n ? -EIO : 0;
}

int html_file(FILE *out, const char *path)
{
	FILE *file = fopen(path, "re");
	char buffer[4096];
	size_t n;

	if (!file)
		return -errno;
	while ((n = fread(buffer, 1, sizeof(buffer), file)) > 0)
		fwrite(buffer, 1, n, out);
	n = (size_t)ferror(file);
	fclose(file);
	return n ? -EIO : 0;
}
