# Images on a real file system with the real unpacker.
add_library(warren_image_fixture STATIC EXCLUDE_FROM_ALL
  root/image_fixture.cc)
target_link_libraries(warren_image_fixture
  PUBLIC warren_image_testing warren_test_patience GTest::gtest)
target_compile_definitions(warren_image_fixture
  PUBLIC WARREN_UNPACK_PROGRAM="$<TARGET_FILE:warren-unpack>")
add_dependencies(warren_image_fixture warren-unpack)

warren_test(NAME image_root_test LABEL root THREADS TIMEOUT 1200
  SOURCES root/image_import_test.cc root/image_lies_test.cc
    root/image_life_test.cc root/image_doubt_test.cc root/image_pull_test.cc
  LIBS warren_image_fixture warren_image_pull warren_registry_testing)
warren_test(NAME image_layer_test LABEL root THREADS TIMEOUT 1200
  SOURCES root/image_layer_test.cc root/image_whiteout_test.cc
    root/image_hostile_test.cc root/image_bombs_test.cc
    root/image_confine_test.cc root/image_mutation_test.cc
    root/image_compose_test.cc root/image_escape_test.cc root/image_spelling_test.cc
    root/image_stack_test.cc root/layer_model.cc
  LIBS warren_image_fixture warren_unpack_core)
