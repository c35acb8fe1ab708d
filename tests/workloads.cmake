# The generators. Under sanitizers they take a while: the time-outs are for those.
poolbench_test(unit_workloads SOURCES unit_workloads.c workload_census.c
	LIBS poolbench_workloads LABELS fast workloads TIMEOUT 300)
poolbench_test(unit_literature SOURCES unit_literature.c workload_census.c
	LIBS poolbench_workloads m LABELS fast workloads TIMEOUT 300)
poolbench_test(unit_workload_options SOURCES unit_workload_options.c workload_census.c
	LIBS poolbench_workloads LABELS fast workloads TIMEOUT 300)
poolbench_test(unit_workload_figures SOURCES unit_workload_figures.c workload_census.c
	LIBS poolbench_workloads LABELS fast workloads TIMEOUT 300)
target_compile_definitions(unit_workload_figures PRIVATE DOCS_DIRECTORY="${PROJECT_SOURCE_DIR}/docs")
poolbench_test(unit_ageing LIBS poolbench_workloads LABELS fast workloads ageing TIMEOUT 300)
# Published blow-ups within 10 %, or explained (docs/blow-ups.md): minutes, so ./check leaves it out.
add_test(NAME blow_ups COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/blow_ups.sh $<TARGET_FILE:poolbench>)
set_tests_properties(blow_ups PROPERTIES LABELS soak TIMEOUT 3600 SKIP_RETURN_CODE 77)
