# libheadwater.so for programs that embed the runtime, and what `cmake --install` installs. The library keeps every
# dependency to itself: a consumer needs the headers in runtime/headwater and nothing else.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

add_library(headwater_shared SHARED $<TARGET_OBJECTS:headwater_actors>)
add_library(headwater::headwater ALIAS headwater_shared)
target_link_libraries(headwater_shared PRIVATE headwater_flags headwater_actors)
target_link_options(headwater_shared PRIVATE
  "LINKER:--version-script=${CMAKE_CURRENT_LIST_DIR}/headwater.map" LINKER:--no-undefined)
target_compile_features(headwater_shared INTERFACE cxx_std_20)
target_include_directories(headwater_shared INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/runtime> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
set_target_properties(headwater_shared PROPERTIES
  OUTPUT_NAME headwater EXPORT_NAME headwater VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
  LINK_DEPENDS "${CMAKE_CURRENT_LIST_DIR}/headwater.map")

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/headwater)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/headwaterConfig.cmake.in
  ${PROJECT_BINARY_DIR}/headwaterConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/headwaterConfigVersion.cmake COMPATIBILITY SameMinorVersion)

install(TARGETS headwater_shared EXPORT headwaterTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library NAMELINK_COMPONENT library)
install(EXPORT headwaterTargets NAMESPACE headwater:: DESTINATION ${package_dir} COMPONENT library)
install(FILES ${PROJECT_BINARY_DIR}/headwaterConfig.cmake ${PROJECT_BINARY_DIR}/headwaterConfigVersion.cmake
  DESTINATION ${package_dir} COMPONENT library)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/runtime/headwater/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/headwater
  COMPONENT library FILES_MATCHING PATTERN *.h)

install(TARGETS headwater RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT command)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/topologies/ DESTINATION ${CMAKE_INSTALL_DATADIR}/headwater/topologies
  COMPONENT command FILES_MATCHING PATTERN *.yaml)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/tools/models/ DESTINATION ${CMAKE_INSTALL_DATADIR}/headwater/models
  COMPONENT command FILES_MATCHING PATTERN *.py PATTERN *.json PATTERN __pycache__ EXCLUDE)
