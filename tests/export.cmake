# A run in the formats of other programs.
poolbench_test(unit_export SOURCES unit_export.c openmetrics_check.c plots_sample.c LIBS poolbench_results
	LABELS fast export)
add_executable(export_tool export_tool.c plots_sample.c)
target_link_libraries(export_tool PRIVATE poolbench_bench)
add_test(NAME export COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/export.sh $<TARGET_FILE:export_tool>)
set_tests_properties(export PROPERTIES LABELS "cli;export" TIMEOUT 120 SKIP_RETURN_CODE 77)
