#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "runtime/image/registry/hosts_file.h"

// hosts.toml: a file of the operator, but one that many tools write.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using warren::registry::ParseHosts;
  const auto hosts =
      ParseHosts(std::string(reinterpret_cast<const char*>(data), size),
                 "/nonexistent", "registry.example");
  if (hosts.ok() && hosts->empty()) std::abort();
  return 0;
}
