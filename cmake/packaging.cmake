if(TARGET poolbench)
	install(TARGETS poolbench COMPONENT runtime)
endif()

# cpack -G DEB: one package with the program and the headers for plugins.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME poolbench)
set(CPACK_PACKAGE_VENDOR poolbench)
set(CPACK_PACKAGE_CONTACT "poolbench <poolbench@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_RESOURCE_FILE_LICENSE "${PROJECT_SOURCE_DIR}/LICENSE")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION devel)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS gnuplot-nox)
# Peers at run time, never linked: each is listed as missing when it is.
set(CPACK_DEBIAN_PACKAGE_SUGGESTS
	"libmimalloc2.0, libjemalloc2, libtcmalloc-minimal4, libtbbmalloc2")
set(CPACK_STRIP_FILES OFF)
include(CPack)
