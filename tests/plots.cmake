# The figures and the page, from sample runs that are written as real ones are.
poolbench_test(plots_figures SOURCES plots_figures.c plots_markup.c plots_sample.c LIBS poolbench_plots
	LABELS fast plots TIMEOUT 300)
poolbench_test(plots_report SOURCES plots_report.c plots_markup.c plots_sample.c LIBS poolbench_plots
	LABELS fast plots TIMEOUT 300)
poolbench_test(plots_comparison SOURCES plots_comparison.c plots_markup.c plots_sample.c LIBS poolbench_plots
	LABELS fast plots ab TIMEOUT 180)
poolbench_test(plots_tune SOURCES plots_tune.c plots_markup.c plots_sample.c LIBS poolbench_plots
	LABELS fast plots tune TIMEOUT 180)
# In headless Chromium; not among the fast ones, because a browser takes seconds to start.
poolbench_test(plots_browser SOURCES plots_browser.c plots_sample.c LIBS poolbench_plots
	LABELS plots TIMEOUT 400)
# The figure "a heap map of a 1 GiB pool in under 5 s": ./check leaves it out, a quiet machine is needed.
add_executable(perf_heap_map perf_heap_map.c plots_sample.c)
target_link_libraries(perf_heap_map PRIVATE poolbench_bench)
add_test(NAME perf_heap_map COMMAND perf_heap_map 5)
set_tests_properties(perf_heap_map PROPERTIES LABELS perf TIMEOUT 120)
