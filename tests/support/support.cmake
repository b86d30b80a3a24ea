# tests/support: what tests of every module share. Who uses what: README.md.
set(S ${CMAKE_CURRENT_SOURCE_DIR}/support)

# How long tests wait: all that root and kernel tests outside a node need.
add_library(warren_test_patience STATIC ${S}/patience.cc)
target_link_libraries(warren_test_patience PUBLIC warren_build warren_base
  absl::strings absl::time)

# A throwaway node for tests that need root, and the leak check.
add_library(warren_test_support STATIC ${S}/command.cc
  ${S}/host_file.cc ${S}/ledger.cc
  ${S}/ledger_probes.cc ${S}/node_namespace.cc ${S}/require.cc
  ${S}/temp_directory.cc)
target_link_libraries(warren_test_support PUBLIC warren_test_patience
  absl::synchronization Threads::Threads)

warren_test(NAME test_support_test LABEL unit LIBS warren_test_support
  SOURCES ${S}/ledger_test.cc)

# main() of such tests: put it into LIBS of warren_test().
add_library(warren_root_test_main STATIC ${S}/root_test_main.cc)
target_link_libraries(warren_root_test_main PUBLIC warren_test_support
  GTest::gtest)

# A CRI client for any endpoint; gRPC is included by cri_channel.cc only.
add_library(warren_cri_client STATIC ${S}/cri_channel.cc ${S}/cri_client.cc
  ${S}/pod_configs.cc)
target_link_libraries(warren_cri_client PUBLIC warren_build warren_proto
  absl::status absl::statusor absl::strings absl::time PRIVATE gRPC::grpc++)

# Images of ordinary software (images/): one directory for all build trees of a
# checkout. Made by the ctest fixture software_images when a test needs them.
set(WARREN_TEST_IMAGES ${CMAKE_BINARY_DIR}/test-images)
set(trees ${PROJECT_SOURCE_DIR}/build)
cmake_path(IS_PREFIX trees ${CMAKE_BINARY_DIR} inside)
if(inside)
  set(WARREN_TEST_IMAGES ${trees}/test-images)
endif()
add_test(NAME software_images
  COMMAND ${S}/images/build_images.py ${WARREN_TEST_IMAGES})
set_tests_properties(software_images PROPERTIES LABELS e2e TIMEOUT 2400
  FIXTURES_SETUP software_images)

# The real daemon, odd images, HTTP.
find_package(OpenSSL REQUIRED)
add_library(warren_e2e_support STATIC ${S}/cri_test.cc ${S}/http_fetch.cc
  ${S}/oci_image.cc ${S}/parent_cgroup.cc ${S}/software_images.cc
  ${S}/warrend_process.cc)
target_link_libraries(warren_e2e_support PUBLIC warren_cri_client
  warren_test_support GTest::gtest PRIVATE OpenSSL::Crypto)
target_compile_definitions(warren_e2e_support PRIVATE
  WARREN_TEST_BINARY_DIR="${CMAKE_BINARY_DIR}"
  WARREN_TEST_IMAGES="${WARREN_TEST_IMAGES}")

# What tests run inside containers; static, mounted from the host.
add_executable(warren_test_probe ${S}/probe_calls.cc ${S}/probe_cgroups.cc
  ${S}/probe_main.cc)
add_executable(warren_escape_probe ${S}/escape/files.cc ${S}/escape/hunt.cc
  ${S}/escape/kernel.cc ${S}/escape/main.cc ${S}/escape/metadata.cc
  ${S}/escape/mounts.cc ${S}/escape/processes.cc ${S}/escape/rights.cc)
# Each file of the escape probe is one table of its own.
set_target_properties(warren_escape_probe PROPERTIES UNITY_BUILD OFF)
foreach(probe warren_test_probe warren_escape_probe)
  target_include_directories(${probe} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_options(${probe} PRIVATE -O1 -Wall -Wextra -Werror)
  target_link_options(${probe} PRIVATE -static)
  set_target_properties(${probe} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/testbin)
endforeach()

set_target_properties(warren_test_patience warren_test_support
  warren_root_test_main warren_cri_client warren_e2e_support
  PROPERTIES WARREN_TEST ON WARREN_CLIENT ON)
