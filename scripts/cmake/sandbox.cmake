# Compiles src/sandbox/worker/*.py into the sandbox room, and builds its executable.
function(preimage_sandbox)
  set(folder "${CMAKE_SOURCE_DIR}/src/sandbox/worker")
  set(entries "")
  foreach(name codec candidate remote judge zygote)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${folder}/${name}.py")
    file(READ "${folder}/${name}.py" text)
    string(APPEND entries "    {\"${name}.py\", R\"PREIMAGE(${text})PREIMAGE\"},\n")
  endforeach()
  set(source "${CMAKE_BINARY_DIR}/sandbox/worker_sources.cpp")
  file(CONFIGURE OUTPUT "${source}" @ONLY NEWLINE_STYLE UNIX CONTENT [[
// Made by scripts/cmake/sandbox.cmake.
#include "worker_sources.hpp"

namespace preimage::sandbox {

std::vector<std::pair<std::string, std::string_view>> worker_sources() {
  return {
@entries@  };
}

}  // namespace preimage::sandbox
]])
  target_sources(preimage_sandbox PRIVATE "${source}")
  if(NOT PREIMAGE_FUZZ)
    add_executable(preimage-sandbox "${CMAKE_SOURCE_DIR}/src/sandbox/main.cpp")
    target_link_libraries(preimage-sandbox PRIVATE preimage_sandbox preimage_warnings)
    file(GLOB tests CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/tests/sandbox/*_test.cpp")
    foreach(test IN LISTS tests)
      get_filename_component(unit "${test}" NAME_WE)
      add_dependencies(sandbox_${unit} preimage-sandbox)
      set_tests_properties(sandbox.${unit} PROPERTIES PROCESSORS 2)  # they measure time
    endforeach()
  endif()
endfunction()
