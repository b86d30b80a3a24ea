#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "runtime/image/unpack/decompressor.h"

namespace {

using namespace warren::image;

bool Expand(absl::string_view data, Compression compression, size_t chunk,
            std::string* out) {
  constexpr size_t kMax = 32 << 20;
  const auto decompressor = Decompressor::Create(compression);
  const auto take = [out](absl::string_view bytes) -> absl::Status {
    if (out->size() > kMax) return absl::ResourceExhaustedError("enough");
    out->append(bytes.data(), bytes.size());
    return absl::OkStatus();
  };
  while (!data.empty()) {
    if (!decompressor->Feed(data.substr(0, chunk), take).ok()) return false;
    data.remove_prefix(std::min(chunk, data.size()));
  }
  return decompressor->Finish().ok();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  for (const Compression compression :
       {Compression::kGzip, Compression::kZstd}) {
    std::string whole;
    std::string pieces;
    if (!Expand(text, compression, size + 1, &whole)) continue;
    if (Expand(text, compression, 61, &pieces) && whole != pieces) {
      std::abort();
    }
  }
  return 0;
}
