poolbench_test(unit_stress LIBS poolbench_bench LABELS fast unit_stress)
target_compile_definitions(unit_stress PRIVATE PLANTED_BUGS="${CMAKE_CURRENT_SOURCE_DIR}/planted_bugs.txt")
poolbench_test(unit_verifier LIBS poolbench_bench LABELS fast unit_verifier)

# `poolbench stress` from outside. Each planted bug must be found at default settings and rightly named. (A file, so
# that the soak, which tries each with many seeds, reads the same.)
set(stress_directory "${CMAKE_CURRENT_BINARY_DIR}/stress")
file(MAKE_DIRECTORY "${stress_directory}")
set(planted_file "${CMAKE_CURRENT_SOURCE_DIR}/planted_bugs.txt")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${planted_file}")
file(STRINGS "${planted_file}" planted REGEX "^[^#]")
foreach(entry ${planted})
	string(REGEX REPLACE " .*" "" name "${entry}")
	string(REGEX REPLACE ".* " "" rule "${entry}")
	if(POOLBENCH_SANITIZE MATCHES "address")
		string(APPEND rule "|poison") # may see it first
	endif()
	add_test(NAME stress:finds-${name} COMMAND poolbench stress --no-shrink --out "${stress_directory}"
		--backend "$<TARGET_FILE:broken_${name}>")
	set_tests_properties(stress:finds-${name} PROPERTIES LABELS "stress;broken" TIMEOUT 60
		PASS_REGULAR_EXPRESSION "\n  rule      (${rule}):")
endforeach()

# What they are made from has no bug.
add_test(NAME stress:sound COMMAND poolbench stress --seconds 5 --backend "$<TARGET_FILE:broken_sound>")
set_tests_properties(stress:sound PROPERTIES LABELS "stress;broken" TIMEOUT 60)

# Every commit of every native design, with each of its option sets, in every workload fails once. (`specs` are the
# conformance suite's; a test there sees to it that every built-in is among them.)
set(native ${specs})
list(FILTER native EXCLUDE REGEX "^(null|glibc|mimalloc|jemalloc|tcmalloc|tbbmalloc)(:|$)")
list(JOIN native "," native)
add_test(NAME stress:systematic COMMAND poolbench stress --faults systematic --backend "${native}")
set_tests_properties(stress:systematic PROPERTIES LABELS stress TIMEOUT 600)

add_test(NAME stress:cli COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/stress_cli.sh" $<TARGET_FILE:poolbench>
	"${CMAKE_CURRENT_BINARY_DIR}/broken")
set_tests_properties(stress:cli PROPERTIES LABELS "stress;cli" TIMEOUT 200)

# Twenty seeds each: some twenty minutes.
add_test(NAME stress:planted-bugs COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/stress_soak.sh" $<TARGET_FILE:poolbench>
	"${CMAKE_CURRENT_BINARY_DIR}/broken")
set_tests_properties(stress:planted-bugs PROPERTIES LABELS soak TIMEOUT 7200)

# The figure "verification costs at most 10 times": a quiet machine is needed.
add_executable(perf_verify perf_verify.c)
target_link_libraries(perf_verify PRIVATE poolbench_build poolbench_bench)
add_test(NAME perf_verify COMMAND perf_verify 10)
set_tests_properties(perf_verify PROPERTIES LABELS perf TIMEOUT 300)

# The figure "under 50 ns a raise and lower with protection keys": skipped without them.
add_executable(perf_irql perf_irql.c)
target_link_libraries(perf_irql PRIVATE poolbench_build poolbench_bench)
add_test(NAME perf_irql COMMAND perf_irql 50)
set_tests_properties(perf_irql PROPERTIES LABELS perf TIMEOUT 120 SKIP_RETURN_CODE 77)

# What only an address sanitizer's build sees: the backend touches what it has handed out or given back.
if(POOLBENCH_SANITIZE MATCHES "address")
	foreach(name reads_decommitted scribbles writes_freed)
		add_test(NAME poison:${name} COMMAND poolbench stress --no-shrink --out "${stress_directory}"
			--backend "$<TARGET_FILE:broken_${name}>")
		set_tests_properties(poison:${name} PROPERTIES LABELS "fast;stress;broken" TIMEOUT 60
			PASS_REGULAR_EXPRESSION "\n  rule      poison:")
	endforeach()
	add_test(NAME poison:sound COMMAND poolbench stress --seconds 2)
	set_tests_properties(poison:sound PROPERTIES LABELS "fast;stress" TIMEOUT 120)
endif()

# The same backends under the thread sanitizer, which ends a round at its first data race.
if(POOLBENCH_SANITIZE MATCHES "thread")
	add_test(NAME races:race COMMAND poolbench stress --no-shrink --out "${stress_directory}" --scenario threads
		--backend "$<TARGET_FILE:broken_race>")
	set_tests_properties(races:race PROPERTIES LABELS "fast;stress;broken" TIMEOUT 60
		ENVIRONMENT TSAN_OPTIONS=halt_on_error=1 PASS_REGULAR_EXPRESSION "ThreadSanitizer: data race")
	add_test(NAME races:sound COMMAND poolbench stress --scenario threads --seconds 2)
	set_tests_properties(races:sound PROPERTIES LABELS "fast;stress" TIMEOUT 180
		ENVIRONMENT TSAN_OPTIONS=halt_on_error=1)
endif()
