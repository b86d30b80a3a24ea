#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "runtime/image/reference.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using warren::image::ParseReference;
  const auto reference = ParseReference(
      absl::string_view(reinterpret_cast<const char*>(data), size));
  if (!reference.ok()) return 0;
  const auto again = ParseReference(reference->ToString());
  if (!again.ok() || !(*again == *reference)) std::abort();
  return 0;
}
