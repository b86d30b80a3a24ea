#include "runtime/cgroup/freezer.h"

#include <absl/status/statusor.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/string_view.h>

#include <cstddef>

#include "runtime/base/file.h"

namespace warren::runtime {
namespace {

bool IsFrozenItself(const CgroupTree& tree, const std::string& path) {
  const auto directory = tree.Open(path);
  // lint: allow absence: only a message says more
  if (!directory.ok()) return false;
  const auto frozen =
      base::ReadFileAt(directory->get(), "freezer.self_freezing");
  return frozen.ok() && *frozen == "1\n";
}

}  // namespace

void ThawTree(const CgroupTree& tree, const std::string& path) {
  // What could not be visited is thawed with the next SIGKILL.
  tree.Walk(path,
            [](int directory, absl::string_view name,
               size_t /*depth*/) -> absl::StatusOr<bool> {
              base::WriteControlAt(
                  directory, absl::StrCat(name, "/freezer.state"), "THAWED")
                  .IgnoreError();
              return true;
            })
      .IgnoreError();
}

std::optional<std::string> FrozenAbove(const CgroupTree& tree,
                                       const std::string& path) {
  std::string above = path;
  for (;;) {
    const size_t slash = above.rfind('/');
    // The root cannot be frozen.
    if (slash == std::string::npos || slash == 0) return std::nullopt;
    above.resize(slash);
    if (IsFrozenItself(tree, above)) return above;
  }
}

}  // namespace warren::runtime
