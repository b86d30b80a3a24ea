#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "runtime/base/file.h"
#include "runtime/image/archive_reader.h"

namespace {

// One directory for the run, emptied after each input.
const std::string& Directory() {
  static const std::string& directory = *new std::string([] {
    char name[] = "/tmp/warren-fuzz-XXXXXX";
    if (mkdtemp(name) == nullptr) std::abort();
    return std::string(name);
  }());
  return directory;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace warren;
  const auto directory =
      base::OpenAt(AT_FDCWD, Directory(), O_RDONLY | O_DIRECTORY);
  if (!directory.ok()) std::abort();
  image::ArchiveReader reader(directory->get(), 1 << 20);
  const absl::Status written = reader.Write(
      absl::string_view(reinterpret_cast<const char*>(data), size));
  const bool whole = written.ok() && reader.Finish().ok();
  const auto names = base::ListDir(directory->get(), ".");
  if (!names.ok()) std::abort();
  for (const std::string& name : *names) {
    const auto digest = image::Digest::FromHex(name);
    if (!digest.ok()) std::abort();
    if (whole) {
      const auto blob = base::ReadFileAt(directory->get(), name);
      if (!blob.ok() || image::Digest::Of(*blob) != *digest) std::abort();
    }
    if (!base::RemoveTree(directory->get(), name).ok()) std::abort();
  }
  return 0;
}
