#include <absl/strings/str_cat.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "runtime/base/path.h"
#include "runtime/image/tar_reader.h"

namespace {

using namespace warren::image;

class Checker : public TarSink {
 public:
  absl::Status BeginEntry(const TarEntry& entry) override {
    if (entry.path.empty() || entry.path.find('\0') != std::string::npos) {
      std::abort();
    }
    base::CleanPath(entry.path).status().IgnoreError();
    size_ = entry.size;
    next_ = 0;
    absl::StrAppend(&seen, static_cast<int>(entry.type), entry.path, "|",
                    entry.link, "|", entry.size, "|");
    return absl::OkStatus();
  }
  absl::Status Data(uint64_t offset, absl::string_view bytes) override {
    if (offset < next_ || offset > size_ || bytes.size() > size_ - offset) {
      std::abort();
    }
    next_ = offset + bytes.size();
    absl::StrAppend(&seen, bytes);
    return absl::OkStatus();
  }
  absl::Status EndEntry() override {
    seen += "\n";
    return absl::OkStatus();
  }

  std::string seen;

 private:
  uint64_t size_ = 0;
  uint64_t next_ = 0;
};

bool Read(absl::string_view tar, size_t chunk, std::string* seen) {
  Checker checker;
  TarReader reader(&checker, 1000);
  bool ok = true;
  while (ok && !tar.empty()) {
    ok = reader.Feed(tar.substr(0, chunk)).ok();
    tar.remove_prefix(std::min(chunk, tar.size()));
  }
  ok = ok && reader.Finish().ok();
  *seen = checker.seen;
  return ok;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view tar(reinterpret_cast<const char*>(data), size);
  std::string whole;
  std::string pieces;
  const bool ok = Read(tar, size + 1, &whole);
  if (Read(tar, 100, &pieces) != ok) std::abort();
  if (ok && whole != pieces) std::abort();
  return 0;
}
