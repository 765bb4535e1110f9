# Compiles src/sandbox/worker/*.py into the sandbox room, and builds its executable.
function(preimage_sandbox)
  set(folder "${CMAKE_SOURCE_DIR}/src/sandbox/worker")
  set(entries "")
  file(GLOB scripts CONFIGURE_DEPENDS "${folder}/*.py")
  foreach(script IN LISTS scripts)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${script}")
    get_filename_component(name "${script}" NAME)
    file(READ "${script}" text)
    string(APPEND entries "    {\"${name}\", R\"PREIMAGE(${text})PREIMAGE\"},\n")
  endforeach()
  set(source "${CMAKE_BINARY_DIR}/sandbox/worker_sources.cpp")
  file(CONFIGURE OUTPUT "${source}" @ONLY NEWLINE_STYLE UNIX CONTENT [[
// Made by scripts/cmake/sandbox.cmake.
#include "supervisor/worker_sources.hpp"

namespace preimage::sandbox {

std::vector<std::pair<std::string, std::string_view>> worker_sources() {
  return {
@entries@  };
}

}  // namespace preimage::sandbox
]])
  target_sources(preimage_sandbox PRIVATE "${source}")
  if(NOT PREIMAGE_FUZZ)
    add_executable(preimage-sandbox "${CMAKE_SOURCE_DIR}/src/sandbox/supervisor/main.cpp")
    target_include_directories(preimage-sandbox PRIVATE "${CMAKE_SOURCE_DIR}/src/sandbox")
    target_link_libraries(preimage-sandbox PRIVATE preimage_sandbox preimage_warnings)
    file(GLOB_RECURSE tests CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/tests/sandbox/*_test.cpp")
    foreach(test IN LISTS tests)
      preimage_test_names("${CMAKE_SOURCE_DIR}" sandbox "${test}" name target)
      add_dependencies(${target} preimage-sandbox)
      set_tests_properties(${name} PROPERTIES PROCESSORS 2)  # they measure time
    endforeach()
  endif()
endfunction()
