# The libFuzzer targets of what registries and operators write; see
# image.cmake.
if(NOT WARREN_FUZZ)
  return()
endif()
find_package(CURL REQUIRED)
set(registry ${PROJECT_SOURCE_DIR}/runtime/image/registry)
set(base ${PROJECT_SOURCE_DIR}/runtime/base)
add_library(warren_registry_fuzzed STATIC EXCLUDE_FROM_ALL
  ${registry}/answer.cc ${registry}/authorizer.cc ${registry}/blob_fetch.cc
  ${registry}/challenge.cc ${registry}/credentials.cc
  ${registry}/document_type.cc ${registry}/host_session.cc
  ${registry}/hosts_file.cc ${registry}/redirects.cc ${registry}/retry.cc
  ${registry}/token_client.cc ${registry}/transport.cc ${registry}/url.cc
  ${base}/clock.cc ${base}/deadline.cc ${base}/look.cc
  ${base}/regular_file.cc)
target_link_libraries(warren_registry_fuzzed PUBLIC warren_image_fuzzed
  CURL::libcurl absl::time)
foreach(target texts hosts)
  add_executable(fuzz_registry_${target} fuzz/registry_${target}_fuzz.cc)
  target_link_libraries(fuzz_registry_${target} PRIVATE warren_registry_fuzzed)
  target_link_options(fuzz_registry_${target} PRIVATE
    -fsanitize=address,undefined,fuzzer)
endforeach()
