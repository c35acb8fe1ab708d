# Writes OUT, a header with the commit of SOURCE; only when it changed, so that nothing is rebuilt for nothing.
# Run at build time, because commits are made without configuring again.
set(commit unknown)
find_package(Git QUIET)
if(GIT_FOUND AND EXISTS "${SOURCE}/.git")
	execute_process(COMMAND "${GIT_EXECUTABLE}" -C "${SOURCE}" describe --always --dirty --abbrev=40
		--match=none-but-the-commit OUTPUT_VARIABLE described RESULT_VARIABLE failed
		OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
	if(NOT failed AND described)
		set(commit "${described}")
	endif()
endif()
set(text "#define BUILD_GIT_COMMIT \"${commit}\"\n")
set(old "")
if(EXISTS "${OUT}")
	file(READ "${OUT}" old)
endif()
if(NOT old STREQUAL text)
	file(WRITE "${OUT}" "${text}")
endif()
