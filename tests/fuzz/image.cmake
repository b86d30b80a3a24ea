# libFuzzer targets of what strangers' images go through.  Built only with
#   cmake -DCMAKE_CXX_COMPILER=clang++ -DWARREN_FUZZ=ON ...
# and run by hand: build/…/fuzz_image_tar -max_total_time=600 CORPUS_DIR
option(WARREN_FUZZ "build the fuzz targets (clang only)" OFF)
if(NOT WARREN_FUZZ)
  return()
endif()
if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  message(FATAL_ERROR "WARREN_FUZZ needs clang")
endif()

# The parsers are compiled once more, with coverage.  What another directory's
# CMake file found by pkg-config is not seen here.
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(nlohmann_json REQUIRED)
find_package(ZLIB REQUIRED)
set(image ${PROJECT_SOURCE_DIR}/runtime/image)
add_library(warren_image_fuzzed STATIC EXCLUDE_FROM_ALL
  ${image}/archive_reader.cc ${image}/digest.cc ${image}/json.cc
  ${image}/manifest.cc ${image}/platform.cc ${image}/reference.cc ${image}/refs_file.cc
  ${image}/tar_entry.cc ${image}/tar_header.cc ${image}/tar_pax.cc
  ${image}/tar_reader.cc ${image}/unpack/decompressor.cc
  ${PROJECT_SOURCE_DIR}/runtime/base/file.cc
  ${PROJECT_SOURCE_DIR}/runtime/base/status.cc)
set(sanitizers address,undefined,fuzzer-no-link)
target_compile_options(warren_image_fuzzed PUBLIC -g -O1
  -fsanitize=${sanitizers} -fno-sanitize-recover=all)
target_link_libraries(warren_image_fuzzed PUBLIC warren_flags absl::status
  absl::statusor absl::strings OpenSSL::Crypto nlohmann_json::nlohmann_json
  ZLIB::ZLIB PkgConfig::ZSTD)

foreach(target reference documents tar archive decompressor)
  add_executable(fuzz_image_${target} fuzz/image_${target}_fuzz.cc)
  target_link_libraries(fuzz_image_${target} PRIVATE warren_image_fuzzed)
  target_link_options(fuzz_image_${target} PRIVATE
    -fsanitize=address,undefined,fuzzer)
endforeach()
