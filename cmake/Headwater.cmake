# Warnings, sanitizers, compiler cache and linker that every target shares, and the helpers that make targets.

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}
    ${PROJECT_SOURCE_DIR}/cmake/cached_compiler ${CCACHE_PROGRAM})
endif()
find_program(MOLD_PROGRAM mold)
if(MOLD_PROGRAM)
  add_link_options(-fuse-ld=mold)
endif()

add_library(headwater_flags INTERFACE)
# -Wrestrict is wrong about string concatenation in GCC 12 (gcc.gnu.org/PR105651).
target_compile_options(headwater_flags INTERFACE -Wall -Wextra -Werror -Wno-restrict -fno-omit-frame-pointer)
if(HEADWATER_SANITIZE)
  add_compile_options(-fsanitize=${HEADWATER_SANITIZE} -fno-sanitize-recover=all -g1)
  add_link_options(-fsanitize=${HEADWATER_SANITIZE})
  # GCC 12 sees phantom overruns in instrumented standard-library code.
  target_compile_options(headwater_flags INTERFACE -Wno-error)
endif()

# headwater_library(name SOURCES ... LINK ...): a static library of this project.
function(headwater_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK;PRIVATE_LINK" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC ${ARG_LINK} PRIVATE headwater_flags ${ARG_PRIVATE_LINK})
endfunction()

# headwater_include_root(target scope base folder...): what includes of this target's headers are searched in, a folder
# of the build tree with links to the headers in base/folder alone. Includes keep their spelling, "folder/name.h", and
# one that goes against the layers finds nothing, since only the roots of what a target links are searched.
function(headwater_include_root target scope base)
  set(root ${PROJECT_BINARY_DIR}/include/${target})
  file(REMOVE_RECURSE ${root})
  foreach(folder ${ARGN})
    file(GLOB headers CONFIGURE_DEPENDS RELATIVE ${base} ${base}/${folder}/*.h)
    file(MAKE_DIRECTORY ${root}/${folder})
    foreach(header ${headers})
      file(CREATE_LINK ${base}/${header} ${root}/${header} SYMBOLIC)
    endforeach()
  endforeach()
  target_include_directories(${target} ${scope} ${root})
endfunction()

# headwater_test(name DIR LINK ...): every *_test.cc in DIR as one GoogleTest program. Compiled with little optimisation:
# what is tested has its own.
function(headwater_test name dir)
  file(GLOB sources CONFIGURE_DEPENDS "${dir}/*_test.cc")
  add_executable(${name} ${sources})
  target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O1>)
  target_precompile_headers(${name} PRIVATE <gmock/gmock.h> <gtest/gtest.h>)
  target_link_libraries(${name} PRIVATE headwater_flags headwater_test_support GTest::gtest GTest::gmock GTest::gtest_main ${ARGN})
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST NO_PRETTY_VALUES PROPERTIES TIMEOUT 300 LABELS ${name}
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
endfunction()
