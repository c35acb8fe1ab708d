#include "html.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "results/text.h"

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
			markup_text(out, va_arg(arguments, const char *));
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
