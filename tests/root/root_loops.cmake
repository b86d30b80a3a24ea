# The leak and crash loops: the real daemon, many lives of pods.
set(R ${CMAKE_CURRENT_SOURCE_DIR}/root)
foreach(loop leak_loop crash_loop)
  warren_test(NAME ${loop}_test SOURCES ${R}/${loop}_test.cc
    LIBS warren_e2e_support warren_root_test_main LABEL root TIMEOUT 2400)
  foreach(program warrend warren-shim warren-unpack warren_default_image)
    if(TARGET ${program})
      add_dependencies(${loop}_test ${program})
    endif()
  endforeach()
endforeach()
