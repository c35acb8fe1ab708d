# What a plugin is built against: three headers, a CMake package (poolbench::plugin) and a pkg-config file. All of
# it is independent of the architecture, so that it lives under share.
include(CMakePackageConfigHelpers)

add_library(poolbench_plugin INTERFACE)
set_target_properties(poolbench_plugin PROPERTIES EXPORT_NAME plugin)
target_include_directories(poolbench_plugin INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

set(package_directory "${CMAKE_INSTALL_DATADIR}/cmake/poolbench")
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/poolbenchConfig.cmake.in" poolbenchConfig.cmake
	INSTALL_DESTINATION "${package_directory}" NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(poolbenchConfigVersion.cmake COMPATIBILITY SameMinorVersion
	ARCH_INDEPENDENT)
configure_file("${PROJECT_SOURCE_DIR}/cmake/poolbench.pc.in" poolbench.pc @ONLY)

install(FILES pool.h pages.h options.h DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/poolbench"
	COMPONENT development)
install(TARGETS poolbench_plugin EXPORT poolbenchTargets)
install(EXPORT poolbenchTargets NAMESPACE poolbench:: DESTINATION "${package_directory}"
	COMPONENT development)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/poolbenchConfig.cmake"
	"${CMAKE_CURRENT_BINARY_DIR}/poolbenchConfigVersion.cmake"
	DESTINATION "${package_directory}" COMPONENT development)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/poolbench.pc"
	DESTINATION "${CMAKE_INSTALL_DATADIR}/pkgconfig" COMPONENT development)
