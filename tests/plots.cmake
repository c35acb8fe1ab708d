# The figures and the page, from sample runs that are written as real ones are.
poolbench_test(plots_figures SOURCES plots_figures.c plots_markup.c plots_sample.c LIBS poolbench_plots
	LABELS fast plots TIMEOUT 300)
poolbench_test(plots_report SOURCES plots_report.c plots_markup.c plots_sample.c LIBS poolbench_plots
	LABELS fast plots TIMEOUT 300)
# In headless Chromium; not among the fast ones, because a browser takes seconds to start.
poolbench_test(plots_browser SOURCES plots_browser.c plots_sample.c LIBS poolbench_plots
	LABELS plots TIMEOUT 400)
