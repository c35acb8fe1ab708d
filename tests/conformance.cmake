# The conformance suite, one test a line of conformance_specs.txt.
add_executable(conformance conformance.c conformance_suite.c conformance_blocks.c conformance_memory.c
	conformance_walk.c conformance_threads.c)
target_link_libraries(conformance PRIVATE poolbench_build poolbench_allocators)

function(poolbench_conformance_test name)
	cmake_parse_arguments(T "" "TIMEOUT" "ARGUMENTS;LABELS" ${ARGN})
	add_test(NAME ${name} COMMAND conformance ${T_ARGUMENTS})
	set_tests_properties(${name} PROPERTIES LABELS "conformance;${T_LABELS}" TIMEOUT ${T_TIMEOUT}
		SKIP_RETURN_CODE 77 ENVIRONMENT
		"GLIBC_TUNABLES=glibc.rtld.optional_static_tls=16384;TSAN_OPTIONS=atexit_sleep_ms=0")
endfunction()

set(specs_file "${CMAKE_CURRENT_SOURCE_DIR}/conformance_specs.txt")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${specs_file}")
file(STRINGS "${specs_file}" specs REGEX "^[^#]")
# What one thread does, tsan has nothing to say of, and it is slow: there the threads' checks alone.
# How a malloc library, which is not built with tsan, hands memory from thread to thread it cannot see: it would
# call that a race.
set(kind "")
if(POOLBENCH_SANITIZE STREQUAL "thread")
	set(kind --threads)
	list(FILTER specs EXCLUDE REGEX "^(glibc|mimalloc|jemalloc|tcmalloc|tbbmalloc)(:|$)")
endif()
foreach(spec ${specs})
	string(REGEX REPLACE ":.*" "" backend "${spec}")
	poolbench_conformance_test(conformance:${spec} ARGUMENTS ${kind} ${spec} LABELS fast ${backend} TIMEOUT 300)
	# At full length each design once; its option sets, which share most of the code, when there is time.
	set(length stress)
	if(spec MATCHES ":")
		set(length soak)
	endif()
	poolbench_conformance_test(conformance-full:${spec} ARGUMENTS --full ${kind} ${spec} LABELS ${length} ${backend}
		TIMEOUT 1800)
endforeach()
poolbench_conformance_test(conformance:covers-registry ARGUMENTS --covers "${specs_file}" LABELS fast
	TIMEOUT 20)

# The installed package, as a stranger's plugin uses it.
add_test(NAME example-plugin COMMAND "${CMAKE_COMMAND}" -D "BUILD=${PROJECT_BINARY_DIR}"
	-D "SOURCE=${PROJECT_SOURCE_DIR}/allocators/example_plugin" -D "WORK=${CMAKE_CURRENT_BINARY_DIR}/example"
	-D "CONFORMANCE=$<TARGET_FILE:conformance>" -D "SANITIZE=${POOLBENCH_SANITIZE}"
	-D "COMPILER=${CMAKE_C_COMPILER}" -D "GENERATOR=${CMAKE_GENERATOR}" -P "${CMAKE_CURRENT_SOURCE_DIR}/example_plugin.cmake")
set_tests_properties(example-plugin PROPERTIES LABELS "conformance;fast;plugin" TIMEOUT 300
	ENVIRONMENT TSAN_OPTIONS=atexit_sleep_ms=0)
