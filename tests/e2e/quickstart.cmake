# The quickstart as a user runs it, in namespaces of its own.
add_test(NAME e2e_quickstart COMMAND
  ${CMAKE_CURRENT_SOURCE_DIR}/e2e/quickstart_test.sh ${CMAKE_BINARY_DIR})
set_tests_properties(e2e_quickstart PROPERTIES LABELS e2e TIMEOUT 180
  SKIP_RETURN_CODE 77 RUN_SERIAL TRUE)
