#include "figures.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define GNUPLOT_SECONDS 120u

const struct figure figure_table[] = {
	{ "throughput", "Throughput: longer is faster",
	  "Allocs and frees a second by all threads together, at the most threads of the run: the "
	  "median "
	  "over fresh processes, with its 95 % confidence interval. The dashed line is the floor: "
	  "the "
	  "same trace through a backend that does nothing. No pool can pass it.",
	  0, prepare_throughput },
	{ "scaling", "Scaling: higher is faster, parallel to the guide is ideal",
	  "The same measurement over the number of threads. The dotted guide is the fastest pool "
	  "at the "
	  "fewest threads, scaled perfectly. A line that flattens or falls meets a lock or a "
	  "shared cache line.",
	  0, prepare_scaling },
	{ "latency", "Latency: a curve further to the left is faster, a steep one is steadier",
	  "The share of single operations that took longer than the time on the x axis. Where a "
	  "curve "
	  "crosses a grey line is that percentile. A long foot is the rare slow operation that a "
	  "driver "
	  "feels at DISPATCH_LEVEL. The clock's own cost is subtracted.",
	  FIGURE_EACH_PANEL, prepare_latency },
	{ "memory", "Memory over the trace: the less colour above the grey, the less waste",
	  "Grey is what callers hold (live). The line is what the kernel says is resident, the "
	  "dots what "
	  "the pool has committed; the tinted gap between is fragmentation, caches and metadata. "
	  "The "
	  "factor beside a name is peak resident over peak live. A line that stays up when the "
	  "grey "
	  "falls is memory that was not given back.",
	  FIGURE_EACH_PANEL, prepare_memory },
	{ "tradeoff", "Speed against memory: up and to the left is better",
	  "Throughput against the footprint ratio (peak resident over peak live). A pool with "
	  "another one "
	  "above and to the left of it is beaten in both; the stepped line joins those that are "
	  "not.",
	  0, prepare_tradeoff },
	{ "waste", "Where the memory goes: shorter is leaner",
	  "Committed bytes that are no caller's, by cause, at the peak of live bytes, in percent "
	  "of live. "
	  "Native designs only: a malloc library does not tell.",
	  0, prepare_waste },
	{ "ab-ratios", "B against A: left of the line is better",
	  "Each cell and series: the Hodges-Lehmann estimate with its exact interval, coloured by "
	  "the verdict. The grey band is the threshold: what is too small to matter, or too small "
	  "to "
	  "be told from this machine's noise. An interval inside the band is EQUIVALENT.",
	  FIGURE_COMPARISON, prepare_ab_ratios },
	{ "ab-pairs", "Every pair: what the verdict rests on",
	  "Each round's times against A's of the same round, in the order in which they were "
	  "measured: B, A once more, and A with a known slow-down planted. Drift and bad moments "
	  "of "
	  "the machine show in all three; what shows in B alone is B.",
	  FIGURE_COMPARISON, prepare_ab_pairs },
	{ "footprint", "Footprint: a pale cell is lean",
	  "Peak resident over peak live of every pool under every workload; the leanest on the "
	  "whole "
	  "is on top. 1.00 would be a pool that keeps nothing beyond what callers hold.",
	  0, prepare_footprint },
	{ "waste-time", "Waste by cause over the trace: the lower, the leaner",
	  "Committed bytes that are no caller's, stacked by cause. What fills quickly and stays is "
	  "caches and headers; what creeps up is fragmentation. The scale is that of the pool at "
	  "work: at the end, where everything is freed, bands may leave it.",
	  FIGURE_EACH_PANEL | FIGURE_FOLDED, prepare_waste_time },
	{ "free-ranges", "Free memory by size of its ranges: mass on the right is usable",
	  "How much free memory lies in ranges of which size, the mean over the trace without its "
	  "drain. Free memory on the left of the dotted line, an OS page, can be used for nothing "
	  "larger.",
	  0, prepare_free_ranges },
	{ "tags", "Who holds the memory: live bytes by tag over the trace",
	  "Stacked, the tags that hold most at the bottom. This is the workload's own picture, the "
	  "same for all pools.",
	  0, prepare_tags },
	{ "heap-map", "The heap, cell by cell: the less pale and pink, the denser",
	  "The pool's memory in order of address, from left to right and top to bottom, in the "
	  "last "
	  "picture before the drain; the same scale for all, so that area is memory. A cell is "
	  "coloured by what fills it; pale cells hold some live bytes, but less than half: they "
	  "pin "
	  "their page.",
	  FIGURE_EACH_PANEL | FIGURE_FOLDED, prepare_heap_map },
	{ "heap-strip", "The heap over the trace: how it fills, ages and empties",
	  "A row a pool, a picture a checkpoint, from the ramp on the left to the drain on the "
	  "right. "
	  "An address is in the same place in all pictures of a row. Colours as above.",
	  FIGURE_EACH_PANEL | FIGURE_FOLDED, prepare_heap_strip },
	{ "ageing", "Ageing: a flat line stays young",
	  "Peak resident over peak live of each lap of the ageing pass. The first and the last lap "
	  "do "
	  "the same work: what lies between their two points is age alone. Laps between them have "
	  "other seeds and parameters.",
	  0, prepare_ageing },
	{ "ageing-waste", "Waste by cause with age",
	  "Committed bytes that are no caller's, by cause, at each lap's peak of live bytes.",
	  FIGURE_EACH_PANEL | FIGURE_FOLDED, prepare_ageing_waste },
	{ "pages", "Page sizes and backings: darker is better",
	  "What each page size costs and gains on each backing, a map a measure. Speed is by pairs "
	  "within blocks "
	  "against the baseline (thin frame); the answer has the thick frame. A setting that could "
	  "not be had is named by its status.",
	  FIGURE_EACH_PANEL | FIGURE_TUNE, prepare_pages },
	{ "front", "Page sizes, speed against memory: up and to the left is better",
	  "A point a setting. One with another above and to the left of it is beaten in both; the "
	  "stepped line "
	  "joins those that are not, and they have their page sizes beside them.",
	  FIGURE_EACH_PANEL | FIGURE_TUNE, prepare_front },
	{ NULL, NULL, NULL, 0, NULL },
};

const struct figure *figure_find(const char *name)
{
	for (const struct figure *figure = figure_table; figure->name; figure++) {
		if (strcmp(figure->name, name) == 0)
			return figure;
	}
	return NULL;
}

const char *plots_directory(void)
{
	const char *override = getenv("POOLBENCH_PLOTS");

	if (override && *override)
		return override;
	return access(POOLBENCH_PLOTS_SOURCE "/common.gp", R_OK) == 0 ? POOLBENCH_PLOTS_SOURCE
								      : POOLBENCH_PLOTS_INSTALLED;
}

/* ---- variables ---- */

/* gnuplot takes everything between single quotes as it is, but for a quote, which is doubled. */
static void write_quoted(FILE *out, const char *text)
{
	putc('\'', out);
	for (; *text; text++) {
		if (*text == '\'')
			putc('\'', out);
		putc((unsigned char)*text < 0x20 ? ' ' : *text, out);
	}
	putc('\'', out);
}

void drawing_text(struct drawing *drawing, const char *name, const char *value)
{
	fprintf(drawing->variables, "%s = ", name);
	write_quoted(drawing->variables, value);
	putc('\n', drawing->variables);
}

void drawing_array_begin(struct drawing *drawing, const char *name, size_t entries)
{
	fprintf(drawing->variables, "array %s[%zu]\n", name, entries ? entries : 1);
}

void drawing_array_text(struct drawing *drawing, const char *name, size_t index, const char *value)
{
	char entry[128];

	snprintf(entry, sizeof(entry), "%s[%zu]", name, index);
	drawing_text(drawing, entry, value);
}

void drawing_number(struct drawing *drawing, const char *name, double value)
{
	fprintf(drawing->variables, isfinite(value) ? "%s = %.9g\n" : "%s = NaN\n", name, value);
}

void prepare_series(struct drawing *drawing)
{
	const struct model *model = drawing->model;

	fprintf(drawing->variables, "series = %zu\n", model->series_count);
	drawing_array_begin(drawing, "series_name", model->series_count);
	fprintf(drawing->variables,
		"array series_rgb[%zu]\narray series_point[%zu]\narray series_dash[%zu]\n",
		model->series_count, model->series_count, model->series_count);
	for (size_t i = 0; i < model->series_count; i++) {
		const struct contender *series = &model->series[i];
		drawing_array_text(drawing, "series_name", i + 1, series->name);
		fprintf(drawing->variables,
			"series_rgb[%zu] = 0x%06x; series_point[%zu] = %d; series_dash[%zu] = %d\n",
			i + 1, series->style.rgb, i + 1, series->style.point, i + 1,
			series->style.dash);
	}
}

void prepare_panels(struct drawing *drawing)
{
	const struct model *model = drawing->model;

	fprintf(drawing->variables, "panels = %zu\n", model->panels);
	drawing_array_begin(drawing, "panel_name", model->panels);
	for (size_t i = 0; i < model->panels; i++)
		drawing_array_text(drawing, "panel_name", i + 1, model->panel[i].name);
}

/* Characters, not bytes. */
static size_t characters(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

unsigned prepare_bar_columns(struct drawing *drawing, size_t around, size_t panel_height)
{
	const struct model *model = drawing->model;
	size_t longest = 0, columns;

	for (size_t i = 0; i < model->series_count; i++) {
		size_t n = characters(model->series[i].name);
		longest = n > longest ? n : longest;
	}
	columns = model->panels > 1 && longest <= 24 ? 2 : 1;
	fprintf(drawing->variables, "columns = %zu\nname_width = %zu\n", columns,
		20 + longest * 36 / 5);
	return (unsigned)(around + (model->panels + columns - 1) / columns * panel_height);
}

/* ---- running gnuplot ---- */

static void last_words(const char *path, char *out, size_t bytes)
{
	FILE *file = fopen(path, "re");
	char line[400];

	while (file && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (strspn(line, " \t^") != strlen(line))
			snprintf(out, bytes, "%s", line);
	}
	if (file)
		fclose(file);
}

/* In the child: words go to the log, the user's own gnuplot settings and locale stay out, a hang ends. */
static void gnuplot_exec(const char *script, const char *log)
{
	int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	if (fd >= 0) {
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
	}
	setenv("LC_ALL", "C.UTF-8", 1);
	alarm(GNUPLOT_SECONDS);
	execlp("gnuplot", "gnuplot", "-d", script, (char *)NULL);
	_exit(errno == ENOENT ? 127 : 126);
}

static pid_t gnuplot_start(const char *script, const char *log)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0)
		gnuplot_exec(script, log);
	return pid < 0 ? -errno : pid;
}

static int gnuplot_finish(pid_t pid, const char *script, const char *log, char *why,
			  size_t why_bytes)
{
	int status;
	char words[400] = "no message";

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
		snprintf(why, why_bytes,
			 "gnuplot is not installed: apt-get install gnuplot-nox, then "
			 "`poolbench report DIR` draws the figures from the data that are there");
		return -ENOENT;
	}
	last_words(log, words, sizeof(words));
	if (WIFSIGNALED(status))
		snprintf(words, sizeof(words), "ended by signal %d", WTERMSIG(status));
	snprintf(why, why_bytes, "gnuplot failed on %s: %s", script, words);
	return -EIO;
}

/* ---- one picture ---- */

static int make_directory(const char *path, char *why, size_t why_bytes)
{
	if (mkdir(path, 0777) == 0 || errno == EEXIST)
		return 0;
	int err = -errno;
	snprintf(why, why_bytes, "%s: %s", path, strerror(-err));
	return err;
}

/* The driver: variables, then the script once for each kind of file. */
static void write_driver(struct drawing *drawing, const struct figure *figure, const char *out_dir,
			 const char *stem)
{
	static const char *const formats[] = { "svg", "png" };
	static const char *const parts[] = { "heading", "legend", "legend_end", "cause_legend",
					     "heap_looks" };
	char path[4400];

	drawing_number(drawing, "width", drawing->width);
	drawing_number(drawing, "height", drawing->height);
	snprintf(path, sizeof(path), "%s/data/%s.dat", out_dir, stem);
	drawing_text(drawing, "data", path);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		char name[32];
		snprintf(name, sizeof(name), "%s_script", parts[i]);
		snprintf(path, sizeof(path), "%s/%s.gp", plots_directory(), parts[i]);
		drawing_text(drawing, name, path);
	}
	for (size_t i = 0; i < 2; i++) {
		fprintf(drawing->variables, "reset\nformat = '%s'\n", formats[i]);
		snprintf(path, sizeof(path), "%s/%s.%s.part", out_dir, stem, formats[i]);
		drawing_text(drawing, "picture", path);
		snprintf(path, sizeof(path), "%s/common.gp", plots_directory());
		fprintf(drawing->variables, "load ");
		write_quoted(drawing->variables, path);
		snprintf(path, sizeof(path), "%s/%s.gp", plots_directory(), figure->name);
		fprintf(drawing->variables, "\nload ");
		write_quoted(drawing->variables, path);
		fprintf(drawing->variables, "\nunset output\n");
	}
}

/* A picture appears whole or not at all: gnuplot writes beside it. */
static int publish(const char *out_dir, const char *stem, char *why, size_t why_bytes)
{
	static const char *const formats[] = { "svg", "png" };

	for (size_t i = 0; i < 2; i++) {
		char part[4500], path[4400];
		struct stat info;
		snprintf(path, sizeof(path), "%s/%s.%s", out_dir, stem, formats[i]);
		snprintf(part, sizeof(part), "%s.part", path);
		if (stat(part, &info) || !info.st_size) {
			snprintf(why, why_bytes, "gnuplot wrote no %s: is the disk full?", path);
			return -EIO;
		}
		if (rename(part, path)) {
			int err = -errno;
			snprintf(why, why_bytes, "%s: %s", path, strerror(-err));
			return err;
		}
	}
	return 0;
}

/* Data and driver into out_dir/data. As prepare. */
static int drawing_prepare(struct drawing *drawing, const struct figure *figure,
			   const char *out_dir, const char *stem, char *why, size_t why_bytes)
{
	char path[4400];
	int err;

	snprintf(path, sizeof(path), "%s/data/%s.dat", out_dir, stem);
	drawing->data = fopen(path, "we");
	snprintf(path, sizeof(path), "%s/data/%s.gp", out_dir, stem);
	drawing->variables = fopen(path, "we");
	err = drawing->data && drawing->variables ? 0 : -errno;
	if (!err)
		err = figure->prepare(drawing);
	if (!err)
		write_driver(drawing, figure, out_dir, stem);
	if (drawing->data && fclose(drawing->data) && err >= 0)
		err = -errno;
	if (drawing->variables && fclose(drawing->variables) && err >= 0)
		err = -errno;
	if (err < 0)
		snprintf(why, why_bytes, "%s/data/%s: %s", out_dir, stem, strerror(-err));
	return err;
}

/* Writes the picture's data and starts to draw it: figure_finish(*pid) is due when this returns 0. As prepare. */
static int figure_start(struct drawing *drawing, const struct figure *figure, const char *out_dir,
			const char *stem, pid_t *pid, char *why, size_t why_bytes)
{
	char script[4400], log[4400];
	int err = drawing_prepare(drawing, figure, out_dir, stem, why, why_bytes);

	if (err)
		return err;
	snprintf(script, sizeof(script), "%s/data/%s.gp", out_dir, stem);
	snprintf(log, sizeof(log), "%s/data/%s.log", out_dir, stem);
	*pid = gnuplot_start(script, log);
	return *pid < 0 ? (int)*pid : 0;
}

static int figure_finish(pid_t pid, const char *out_dir, const char *stem, char *why,
			 size_t why_bytes)
{
	char script[4400], log[4400];
	int err;

	snprintf(script, sizeof(script), "%s/data/%s.gp", out_dir, stem);
	snprintf(log, sizeof(log), "%s/data/%s.log", out_dir, stem);
	err = gnuplot_finish(pid, script, log, why, why_bytes);
	return err ? err : publish(out_dir, stem, why, why_bytes);
}

int figure_draw(struct drawing *drawing, const struct figure *figure, const char *out_dir,
		const char *stem, char *why, size_t why_bytes)
{
	pid_t pid;
	int err = figure_start(drawing, figure, out_dir, stem, &pid, why, why_bytes);

	return err ? err : figure_finish(pid, out_dir, stem, why, why_bytes);
}

static int picture_start(const struct model *model, const struct figure *figure, size_t panel,
			 const char *out_dir, struct picture *picture, pid_t *pid, char *why,
			 size_t why_bytes)
{
	struct drawing drawing = { .model = model, .panel = panel, .width = 1000, .height = 600 };
	int each = (figure->flags & FIGURE_EACH_PANEL) != 0;
	const char *workload = each ? model->panel[panel].name : "";
	int err;

	memset(picture, 0, sizeof(*picture));
	picture->figure = figure;
	snprintf(picture->stem, sizeof(picture->stem), "%s%s%s", figure->name, each ? "-" : "",
		 each ? model->panel[panel].slug : "");
	snprintf(picture->title, sizeof(picture->title), "%s", each ? workload : figure->title);
	snprintf(picture->alt, sizeof(picture->alt), "%s%s%s. The numbers are in the tables below.",
		 figure->title, each ? ", workload " : "", workload);
	err = figure_start(&drawing, figure, out_dir, picture->stem, pid, why, why_bytes);
	picture->width = drawing.width;
	picture->height = drawing.height;
	return err;
}

/* ---- all of them ---- */

static int wanted(const struct model *model, const char *const *only, const struct figure *figure)
{
	const bool comparison = model->run[0].comparison != NULL;
	const bool tuning = model_tune(model) != NULL;
	const char *name = figure->name;

	/* pairs are no cells to be ranked, and a slowed process least of all */
	if (((figure->flags & FIGURE_COMPARISON) != 0) != comparison)
		return 0;
	if (!only)
		return ((figure->flags & FIGURE_TUNE) != 0) == tuning;
	for (; *only; only++) {
		if (strcmp(*only, name) == 0)
			return 1;
	}
	return 0;
}

static int check_names(const char *const *only, char *why, size_t why_bytes)
{
	for (; only && *only; only++) {
		if (figure_find(*only))
			continue;
		int n = snprintf(why, why_bytes, "no figure is called \"%s\"; there are:", *only);
		for (const struct figure *f = figure_table;
		     f->name && n > 0 && (size_t)n < why_bytes; f++)
			n += snprintf(why + n, why_bytes - (size_t)n, " %s", f->name);
		return -EINVAL;
	}
	return 0;
}

int figures_directory(const char *out_dir, char *why, size_t why_bytes)
{
	char path[4400];
	int err = make_directory(out_dir, why, why_bytes);

	snprintf(path, sizeof(path), "%s/data", out_dir);
	return err ? err : make_directory(path, why, why_bytes);
}

/* Pictures under way: as many at once as there are processors, finished in the order in which they were begun. */
struct drawing_board {
	const char *out_dir;
	struct picture *list; /* those that are there come first */
	pid_t *pids;
	size_t begun, finished, drawn, at_once;
	int err; /* the first */
	char *why;
	size_t why_bytes;
};

static void board_finish_one(struct drawing_board *board)
{
	const size_t i = board->finished++;
	char later[64]; /* of errors the first is told */
	int err = figure_finish(board->pids[i], board->out_dir, board->list[i].stem,
				board->err ? later : board->why,
				board->err ? sizeof(later) : board->why_bytes);

	if (!err)
		board->list[board->drawn++] = board->list[i];
	else if (!board->err)
		board->err = err;
}

static void board_begin(struct drawing_board *board, const struct model *model,
			const struct figure *figure, size_t panel)
{
	int err;

	if (board->begun - board->finished == board->at_once)
		board_finish_one(board);
	if (board->err)
		return;
	err = picture_start(model, figure, panel, board->out_dir, &board->list[board->begun],
			    &board->pids[board->begun], board->why, board->why_bytes);
	board->begun += err == 0;
	if (err < 0)
		board->err = err;
}

int figures_draw(const struct model *model, const char *out_dir, const char *const *only,
		 struct picture **pictures, size_t *count, char *why, size_t why_bytes)
{
	const size_t most = sizeof(figure_table) / sizeof(figure_table[0]) * (model->panels + 1);
	const long processors = sysconf(_SC_NPROCESSORS_ONLN);
	struct drawing_board board = { .out_dir = out_dir,
				       .at_once = processors > 1 ? (size_t)processors : 1,
				       .why = why,
				       .why_bytes = why_bytes };
	int err = check_names(only, why, why_bytes);

	*pictures = NULL;
	*count = 0;
	if (!err)
		err = figures_directory(out_dir, why, why_bytes);
	if (err)
		return err;
	board.list = *pictures = calloc(most, sizeof(*board.list));
	board.pids = calloc(most, sizeof(*board.pids));
	if (!board.list || !board.pids)
		board.err = -ENOMEM;
	for (const struct figure *figure = figure_table; figure->name && !board.err; figure++) {
		size_t panels = figure->flags & FIGURE_EACH_PANEL ? model->panels : 1;
		for (size_t p = 0; wanted(model, only, figure) && p < panels && !board.err; p++)
			board_begin(&board, model, figure, p);
	}
	while (board.finished < board.begun)
		board_finish_one(&board);
	free(board.pids);
	*count = board.drawn;
	return board.err;
}

int figures_make(const char *const *run_dirs, size_t n, const char *out_dir,
		 const char *const *only, char *why, size_t why_bytes)
{
	char plots[4300];
	struct model *model;
	struct picture *pictures;
	size_t count;
	int err = model_load(run_dirs, n, &model, why, why_bytes);

	if (err)
		return err;
	snprintf(plots, sizeof(plots), "%s/plots", run_dirs[0]);
	out_dir = out_dir ? out_dir : plots;
	err = figures_draw(model, out_dir, only, &pictures, &count, why, why_bytes);
	free(pictures);
	model_free(model);
	return err;
}
