#include "runtime/cgroup/freezer.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <utility>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/base/unique_fd.h"

namespace warren::runtime {
namespace {

absl::StatusOr<base::UniqueFd> OpenFrozen(int at, const std::string& name) {
  return base::OpenAt(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

// Thaws one cgroup; the names of those right below it.
std::vector<std::string> ThawOne(int directory) {
  base::WriteControlAt(directory, "freezer.state", "THAWED").IgnoreError();
  std::vector<std::string> below;
  const auto names = base::ListDir(directory, ".");
  // What cannot be listed is looked at again with the next SIGKILL.
  if (!names.ok()) return below;
  for (const std::string& name : *names) {
    struct stat st;
    if (fstatat(directory, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISDIR(st.st_mode)) {
      below.push_back(name);
    }
  }
  return below;
}

bool IsFrozenItself(const CgroupTree& tree, const std::string& path) {
  const auto directory = tree.Open(path);
  // lint: allow absence: only a message says more
  if (!directory.ok()) return false;
  const auto frozen =
      base::ReadFileAt(directory->get(), "freezer.self_freezing");
  return frozen.ok() && *frozen == "1\n";
}

}  // namespace

void ThawTree(int directory) {
  auto current = OpenFrozen(directory, ".");
  // lint: allow absence: it is thawed again with the next SIGKILL
  if (!current.ok()) return;
  // Names that are still to be visited, for each level of the way down.
  std::vector<std::vector<std::string>> levels = {ThawOne(current->get())};
  while (!levels.empty()) {
    if (levels.back().empty()) {
      levels.pop_back();
      if (levels.empty()) return;
      current = OpenFrozen(current->get(), "..");
      // lint: allow absence: as above
      if (!current.ok()) return;
      continue;
    }
    const std::string name = std::move(levels.back().back());
    levels.back().pop_back();
    auto below = OpenFrozen(current->get(), name);
    // lint: allow absence: removed meanwhile, or as above
    if (!below.ok()) continue;
    current = std::move(below);
    levels.push_back(ThawOne(current->get()));
  }
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
