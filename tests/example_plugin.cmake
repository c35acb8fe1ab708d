# Installs the package into a directory of its own, builds the example plugin out of the tree against it, once
# through CMake and once through pkg-config, and runs the conformance suite on them (whole on the first).
#     cmake -D BUILD=... -D SOURCE=... -D WORK=... -D CONFORMANCE=... -D SANITIZE=... -D COMPILER=... -D GENERATOR=... -P this
function(run)
	execute_process(COMMAND ${ARGN} RESULT_VARIABLE result)
	if(NOT result EQUAL 0)
		list(JOIN ARGN " " command)
		message(FATAL_ERROR "failed (${result}): ${command}")
	endif()
endfunction()

file(REMOVE_RECURSE "${WORK}")
set(flags "")
if(SANITIZE)
	set(flags "-fsanitize=${SANITIZE}")
endif()
run("${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${WORK}/prefix" --component development)

run("${CMAKE_COMMAND}" -G "${GENERATOR}" -S "${SOURCE}" -B "${WORK}/build" "-DCMAKE_PREFIX_PATH=${WORK}/prefix"
	"-DCMAKE_C_COMPILER=${COMPILER}" "-DCMAKE_C_FLAGS=-Wall -Wextra -Werror ${flags}")
run("${CMAKE_COMMAND}" --build "${WORK}/build")
run("${CONFORMANCE}" "${WORK}/build/first-fit.so")
run("${CONFORMANCE}" --only random-churn "${WORK}/build/first-fit.so:fit=best,grow=64K")

set(ENV{PKG_CONFIG_PATH} "${WORK}/prefix/share/pkgconfig")
execute_process(COMMAND pkg-config --cflags poolbench OUTPUT_VARIABLE cflags RESULT_VARIABLE result
	OUTPUT_STRIP_TRAILING_WHITESPACE)
if(NOT result EQUAL 0 OR NOT cflags MATCHES "prefix")
	message(FATAL_ERROR "pkg-config does not find the installed headers: ${cflags}")
endif()
separate_arguments(cflags)
run("${COMPILER}" -shared -fPIC -O2 ${flags} ${cflags} "${SOURCE}/first_fit.c"
	-o "${WORK}/by-pkg-config.so" -pthread)
run("${CONFORMANCE}" --only random-churn "${WORK}/by-pkg-config.so")
