# Traces, trace files and importers.
poolbench_test(unit_trace SOURCES unit_trace.c random_trace.c LIBS poolbench_workloads LABELS fast trace)
poolbench_test(unit_trace_file SOURCES unit_trace_file.c random_trace.c LIBS poolbench_workloads
	LABELS fast trace TIMEOUT 240)
poolbench_test(unit_linux_kmem LIBS poolbench_workloads PkgConfig::ZSTD LABELS fast trace linux_kmem TIMEOUT 120)
poolbench_test(unit_importers LIBS poolbench_workloads LABELS fast trace TIMEOUT 240)
target_compile_definitions(unit_importers PRIVATE SAMPLES_DIRECTORY="${CMAKE_CURRENT_SOURCE_DIR}/samples")
