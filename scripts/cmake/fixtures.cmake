# Unpacks test data that is kept in archives (scripts/fixtures/pack.sh), beside the archive, where what lies there
# was unpacked from another one. Refuses where that would lose what a script has written there since.
function(preimage_unpack folder)
  set(archive "${CMAKE_SOURCE_DIR}/${folder}.tar.xz")
  set(unpacked "${CMAKE_SOURCE_DIR}/${folder}/.archive")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${archive}")
  file(SHA256 "${archive}" now)
  set(before "")
  if(EXISTS "${unpacked}")
    file(READ "${unpacked}" before)
  endif()
  if(NOT before STREQUAL now)
    file(GLOB_RECURSE files LIST_DIRECTORIES false "${CMAKE_SOURCE_DIR}/${folder}/*")
    list(REMOVE_ITEM files "${unpacked}")
    foreach(file IN LISTS files)  # those of an archive are of 1970
      if("${file}" IS_NEWER_THAN "${unpacked}")
        message(FATAL_ERROR "${file} was written after ${folder} was unpacked, and ${folder}.tar.xz has changed "
          "meanwhile: unpacking it would lose the file. Move ${folder} away, configure, copy into it what you want "
          "to keep and run scripts/fixtures/pack.sh ${folder}; or remove ${folder}.")
      endif()
    endforeach()
    file(REMOVE_RECURSE "${CMAKE_SOURCE_DIR}/${folder}")
    get_filename_component(parent "${archive}" DIRECTORY)
    file(ARCHIVE_EXTRACT INPUT "${archive}" DESTINATION "${parent}")
    file(WRITE "${unpacked}" "${now}")
  endif()
endfunction()

foreach(folder tests/compat tests/lm/fixtures tests/text/fixtures)
  preimage_unpack(${folder})
endforeach()
