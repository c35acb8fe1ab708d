/*
 * The page in a real browser: headless Chromium loads it from file:// in a frame as wide as a phone and in one
 * as wide as a desk's screen. Nothing may stick out of the page, every picture must have been decoded, and the
 * console must stay silent. Skipped (77), with the reason, where there is no Chromium.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "plots/report.h"
#include "plots_sample.h"

#define SKIPPED         77
#define BROWSER_SECONDS 100u

static const char *const browsers[] = { "chromium", "chromium-browser", "google-chrome", NULL };
static const char *browser;
static const unsigned widths[] = { 390, 1280 };

/* Runs in the page: counts what is wrong and tells the frame around it. */
static const char probe[] =
	"<script>\n"
	"var errors = 0;\n"
	"addEventListener('error', function () { errors++; }, true);\n"
	"addEventListener('load', function () {\n"
	"	var images = Array.from(document.images), root = document.documentElement;\n"
	"	parent.postMessage([innerWidth, root.clientWidth, root.scrollWidth, "
	"images.length,\n"
	"		images.filter(function (i) { return i.complete && i.naturalWidth > 0; "
	"}).length,\n"
	"		images.filter(function (i) { return !i.alt; }).length, errors,\n"
	"		document.querySelectorAll('section').length].join(' '), '*');\n"
	"});\n"
	"</script>\n</head>";

static const char frame[] =
	"<!DOCTYPE html><html><head><meta charset=\"utf-8\"></head><body>"
	"<script>addEventListener('message', function (e) {"
	" var p = document.createElement('p'); p.textContent = 'measured ' + e.data + ' end';"
	" document.body.appendChild(p); });</script>";

static int on_path(const char *name)
{
	char *path = strdup(getenv("PATH") ? getenv("PATH") : ""), full[1024];
	int found = 0;

	for (char *at = path, *dir; (dir = strsep(&at, ":")) != NULL;) {
		snprintf(full, sizeof(full), "%s/%s", dir, name);
		found |= access(full, X_OK) == 0;
	}
	free(path);
	return found;
}

static void browse_exec(const char *dir, const char *url)
{
	char user[400], words[400], dom[400];

	snprintf(user, sizeof(user), "--user-data-dir=%s/browser", dir);
	snprintf(dom, sizeof(dom), "%s/dom.html", dir);
	snprintf(words, sizeof(words), "%s/browser.log", dir);
	dup2(open(dom, O_WRONLY | O_CREAT | O_TRUNC, 0666), STDOUT_FILENO);
	dup2(open(words, O_WRONLY | O_CREAT | O_TRUNC, 0666), STDERR_FILENO);
	alarm(BROWSER_SECONDS);
	execlp(browser, browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
	       "--no-first-run", "--disable-background-networking", "--disable-component-update",
	       "--disable-sync", "--disable-dev-shm-usage", "--enable-logging=stderr",
	       "--window-size=1400,1000", "--virtual-time-budget=20000", user, "--dump-dom", url,
	       (char *)NULL);
	_exit(127);
}

/* The page of a run with the probe in it, and a frame page that holds it once per width. */
static void write_pages(const char *dir, const char *page)
{
	char path[400];
	const char *head = strstr(page, "</head>");
	FILE *file;

	assert_non_null(head);
	snprintf(path, sizeof(path), "%s/probed.html", dir);
	file = fopen(path, "w");
	assert_non_null(file);
	fprintf(file, "%.*s%s%s", (int)(head - page), page, probe, head + strlen("</head>"));
	fclose(file);
	snprintf(path, sizeof(path), "%s/frame.html", dir);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(frame, file);
	for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++)
		fprintf(file,
			"<iframe src=\"probed.html\" width=\"%u\" height=\"844\" "
			"style=\"border:0\"></iframe>",
			widths[i]);
	fputs("</body></html>\n", file);
	fclose(file);
}

static char *browse(const char *dir)
{
	char url[500], path[400];
	int status;
	pid_t pid;

	snprintf(url, sizeof(url), "file://%s/frame.html", dir);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		browse_exec(dir, url);
	while (waitpid(pid, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	snprintf(path, sizeof(path), "%s/browser.log", dir);
	char *words = sample_read(path, NULL);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("%s ended with status %#x: %s", browser, (unsigned)status,
			 words ? words : "");
	assert_non_null(words);
	if (strstr(words, "CONSOLE"))
		fail_msg("the console is not silent: %s", strstr(words, "CONSOLE"));
	free(words);
	snprintf(path, sizeof(path), "%s/dom.html", dir);
	return sample_read(path, NULL);
}

static void check_run(enum sample kind, unsigned least_images)
{
	char dir[256], path[400], why[600] = "";
	const char *run = dir;
	unsigned seen = 0;

	assert_int_equal(sample_run(kind, dir, sizeof(dir)), 0);
	assert_int_equal(report_make(&run, 1, NULL, why, sizeof(why)), 0);
	report_path(&run, NULL, path, sizeof(path));
	char *page = sample_read(path, NULL);
	assert_non_null(page);
	write_pages(dir, page);
	free(page);
	char *dom = browse(dir);
	assert_non_null(dom);
	for (const char *at = strstr(dom, "<p>measured "); at;
	     at = strstr(at + 1, "<p>measured ")) {
		unsigned inner, client, scroll, images, decoded, mute, errors, sections;
		if (sscanf(at, "<p>measured %u %u %u %u %u %u %u %u end", &inner, &client, &scroll,
			   &images, &decoded, &mute, &errors, &sections) != 8)
			fail_msg("the page told nonsense: %.100s", at);
		print_message("width %u: content %u, %u of %u images decoded, %u errors\n", inner,
			      scroll, decoded, images, errors);
		assert_true(scroll <= client); /* less than inner where there is a scroll bar */
		assert_true(images >= least_images);
		assert_int_equal(decoded, images);
		assert_int_equal(mute, 0);
		assert_int_equal(errors, 0);
		assert_true(sections >= 6);
		for (unsigned i = 0; i < 2; i++)
			seen |= inner == widths[i] ? 1u << i : 0;
	}
	if (seen != 3)
		fail_msg("not measured at every width: %.400s",
			 strstr(dom, "<body") ? strstr(dom, "<body") : dom);
	free(dom);
	sample_remove(dir);
}

static void test_whole_run(void **state)
{
	(void)state;
	check_run(SAMPLE_WHOLE, 14);
}

static void test_hostile_names(void **state)
{
	(void)state;
	check_run(SAMPLE_HOSTILE, 9);
}

static void test_nothing_but_failures(void **state)
{
	(void)state;
	check_run(SAMPLE_FAILED, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_run),
		cmocka_unit_test(test_hostile_names),
		cmocka_unit_test(test_nothing_but_failures),
	};

	for (size_t i = 0; browsers[i] && !browser; i++)
		browser = on_path(browsers[i]) ? browsers[i] : NULL;
	if (!browser) {
		printf("skipped: no Chromium on this machine: apt-get install chromium\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
