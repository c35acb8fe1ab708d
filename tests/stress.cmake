poolbench_test(unit_stress LIBS poolbench_bench LABELS fast unit_stress)
poolbench_test(unit_verifier LIBS poolbench_bench LABELS fast unit_verifier)

# `poolbench stress` from outside. Each planted bug must be found at default settings and rightly named: NAME=RULE, or
# NAME=RULE|RULE where it depends on the threads' timing which of its consequences is seen first.
set(stress_directory "${CMAKE_CURRENT_BINARY_DIR}/stress")
file(MAKE_DIRECTORY "${stress_directory}")
foreach(entry
	"aba=overlap|contents|contents-of-pages|block-bytes|growth|crash"
	check_fails=check
	crashes=crash
	crashes_at_limit=crash
	crosses_pages=page-rules
	deadlocks=hang
	decommits_live=contents|contents-of-pages|block-bytes
	double_after_exhaustion=overlap
	drops_pages=resident
	forgets_tags=tag
	gives_up=recovery|null
	hangs=hang
	keeps_live_blocks=leak
	keeps_memory=residue
	leaks_addresses=leak
	leaks_on_failed_commit=leak
	loses_remote_frees=growth
	misaligned=alignment
	never_reuses=growth
	one_size=alignment
	overflows=impossible
	overlap=overlap
	paged_statistics=irql-touch
	"race=overlap|contents|contents-of-pages|block-bytes|growth|crash"
	rare_split=overlap|contents|block-bytes
	refuses_at_times=null
	scribbles=contents|contents-of-pages
	segfaults=crash
	small_block_bytes=block-bytes
	stale_size=block-bytes
	tramples_headers=block-bytes
	trim_lies=trim
	walk_forgets=walk
	writes_freed=contents|contents-of-pages
	wrong_source=pool-type
	wrong_type=pool-type
)
	string(REGEX REPLACE "=.*" "" name "${entry}")
	string(REGEX REPLACE ".*=" "" rule "${entry}")
	add_test(NAME stress:finds-${name} COMMAND poolbench stress --no-shrink --out "${stress_directory}"
		--backend "$<TARGET_FILE:broken_${name}>")
	set_tests_properties(stress:finds-${name} PROPERTIES LABELS "stress;broken" TIMEOUT 60
		PASS_REGULAR_EXPRESSION "\n  rule      (${rule}):")
endforeach()

# What they are made from has no bug.
add_test(NAME stress:sound COMMAND poolbench stress --seconds 5 --backend "$<TARGET_FILE:broken_sound>")
set_tests_properties(stress:sound PROPERTIES LABELS "stress;broken" TIMEOUT 60)

# Every commit of every built-in backend in every workload fails once.
add_test(NAME stress:systematic COMMAND poolbench stress --faults systematic)
set_tests_properties(stress:systematic PROPERTIES LABELS stress TIMEOUT 120)

add_test(NAME stress:cli COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/stress_cli.sh" $<TARGET_FILE:poolbench>
	"${CMAKE_CURRENT_BINARY_DIR}/broken")
set_tests_properties(stress:cli PROPERTIES LABELS "stress;cli" TIMEOUT 200)
