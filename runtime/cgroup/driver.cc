#include "runtime/cgroup/driver.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <absl/strings/strip.h>
#include <fcntl.h>

#include <algorithm>

#include "runtime/base/file.h"
#include "runtime/base/mountinfo.h"
#include "runtime/base/status.h"
#include "runtime/cgroup/v1.h"
#include "runtime/cgroup/v2.h"
#include "runtime/devices/filter.h"

namespace warren::runtime {
namespace {

constexpr absl::string_view kSlice = ".slice";

absl::Status BadParent(absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("cgroup_parent: ", why));
}

// Elements of a parent path, each of them a plain directory name.
absl::StatusOr<std::vector<std::string>> ParentElements(
    absl::string_view parent) {
  if (parent.size() > 2048) return BadParent("longer than 2048 bytes");
  std::vector<std::string> elements;
  for (absl::string_view part :
       absl::StrSplit(parent, '/', absl::SkipEmpty())) {
    if (part == "." || part == "..") {
      return BadParent("\".\" and \"..\" are not allowed");
    }
    if (part.size() > 255) return BadParent("an element exceeds 255 bytes");
    for (const char c : part) {
      // Includes NUL and newline; v1 control files speak in lines.
      if (static_cast<unsigned char>(c) < 0x21 || c == 0x7f) {
        return BadParent("blanks and control characters are not allowed");
      }
    }
    // "memory.max" and the like belong to the kernel (cgroups(7)).
    elements.emplace_back(part);
  }
  return elements;
}

// "a-b.slice" lives at "/a.slice/a-b.slice" (systemd.slice(5)).
absl::StatusOr<std::string> ExpandSlice(absl::string_view name) {
  const absl::string_view stem = absl::StripSuffix(name, kSlice);
  if (stem == "-") return std::string("/");
  std::string path;
  std::string prefix;
  for (absl::string_view part : absl::StrSplit(stem, '-')) {
    if (part.empty()) return BadParent("not the name of a slice");
    absl::StrAppend(&prefix, prefix.empty() ? "" : "-", part);
    absl::StrAppend(&path, "/", prefix, kSlice);
  }
  return path;
}

// The last one hides those before it.
const base::MountEntry* FindMount(const std::vector<base::MountEntry>& mounts,
                                  const std::string& target,
                                  const char* fs_type) {
  const base::MountEntry* found = nullptr;
  for (const base::MountEntry& m : mounts) {
    if (m.target == target && m.fs_type == fs_type) found = &m;
  }
  return found;
}

// Whether the kernel keeps a cgroup namespace from writing to its own root.
bool Delegates(const base::MountEntry& mount) {
  const std::vector<absl::string_view> options =
      absl::StrSplit(mount.super_options, ',');
  return std::find(options.begin(), options.end(), "nsdelegate") !=
         options.end();
}

}  // namespace

absl::StatusOr<std::string> CgroupParentPath(absl::string_view parent,
                                             absl::string_view default_parent) {
  ASSIGN_OR_RETURN(const auto elements,
                   ParentElements(parent.empty() ? default_parent : parent));
  if (!elements.empty() && absl::EndsWith(elements.back(), kSlice)) {
    return ExpandSlice(elements.back());
  }
  return absl::StrCat("/", absl::StrJoin(elements, "/"));
}

std::string ProgramsPath(const CgroupLeaf& leaf) {
  return leaf.inner.empty() ? leaf.path
                            : absl::StrCat(leaf.path, "/", leaf.inner);
}

absl::StatusOr<std::string> CgroupPath(absl::string_view parent,
                                       absl::string_view default_parent,
                                       absl::string_view id) {
  ASSIGN_OR_RETURN(const std::string directory,
                   CgroupParentPath(parent, default_parent));
  const bool is_root = directory.size() == 1;  // "/"
  const std::string base = is_root ? std::string() : directory;
  if (absl::EndsWith(base, kSlice)) {
    return absl::StrCat(base, "/warren-", id, ".scope");
  }
  return absl::StrCat(base, "/", id);
}

absl::StatusOr<std::unique_ptr<CgroupDriver>> MakeCgroupDriver(
    const std::string& root, absl::string_view mountinfo,
    const std::string& own_parent) {
  ASSIGN_OR_RETURN(const auto mounts, base::ParseMountInfo(mountinfo));
  if (const base::MountEntry* v2 = FindMount(mounts, root, "cgroup2")) {
    ASSIGN_OR_RETURN(base::UniqueFd fd,
                     base::OpenAt(AT_FDCWD, root, O_PATH | O_DIRECTORY));
    return std::make_unique<CgroupV2>(std::move(fd), CanFilterDevices(),
                                      Delegates(*v2));
  }
  ASSIGN_OR_RETURN(auto hierarchies, FindV1Hierarchies(root, mounts));
  if (hierarchies.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("no cgroup file system is mounted below ", root));
  }
  return std::make_unique<CgroupV1>(std::move(hierarchies), own_parent);
}

}  // namespace warren::runtime
