#include "runtime/cgroup/v2.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <fcntl.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/look.h"
#include "runtime/base/status.h"
#include "runtime/cgroup/oom_kills.h"
#include "runtime/cgroup/update.h"
#include "runtime/devices/filter.h"

namespace warren::runtime {
namespace {

// "+cpu +memory" for what the level has and does not pass on yet; "" when
// nothing is missing.
absl::StatusOr<std::string> MissingControllers(int directory) {
  ASSIGN_OR_RETURN(const std::string available,
                   base::ReadFileAt(directory, "cgroup.controllers"));
  ASSIGN_OR_RETURN(const std::string enabled,
                   base::ReadFileAt(directory, "cgroup.subtree_control"));
  const std::vector<std::string> on =
      absl::StrSplit(enabled, absl::ByAnyChar(" \n"), absl::SkipEmpty());
  std::string request;
  for (absl::string_view name :
       absl::StrSplit(available, absl::ByAnyChar(" \n"), absl::SkipEmpty())) {
    bool have = false;
    for (const std::string& o : on) have |= o == name;
    if (!have) absl::StrAppend(&request, request.empty() ? "+" : " +", name);
  }
  return request;
}

absl::Status EnableIn(int directory) {
  ASSIGN_OR_RETURN(const std::string request, MissingControllers(directory));
  if (request.empty()) return absl::OkStatus();
  if (base::WriteControlAt(directory, "cgroup.subtree_control", request).ok()) {
    return absl::OkStatus();
  }
  // One controller that cannot be passed on (cpu with real-time processes
  // about) must not take the others down with it.
  for (absl::string_view one : absl::StrSplit(request, ' ')) {
    base::WriteControlAt(directory, "cgroup.subtree_control", one)
        .IgnoreError();
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<CgroupMount> CgroupV2::Mounts() const {
  return {{"", "cgroup2", {}}};
}

absl::Status CgroupV2::EnableControllers(const std::string& path) {
  std::string level;
  const std::vector<std::string> parts =
      absl::StrSplit(path, '/', absl::SkipEmpty());
  for (size_t i = 0; i < parts.size(); ++i) {
    ASSIGN_OR_RETURN(const base::UniqueFd directory,
                     tree_.Open(level.empty() ? "/" : level));
    RETURN_IF_ERROR_IN(EnableIn(directory.get()),
                       absl::StrCat("controllers of \"", level, "/\""));
    absl::StrAppend(&level, "/", parts[i]);
  }
  return absl::OkStatus();
}

absl::Status CgroupV2::Create(const CgroupLeaf& leaf,
                              const Resources& resources,
                              const std::optional<DeviceRules>& devices) {
  const absl::Status status = Build(leaf, resources, devices);
  if (!status.ok()) Delete(leaf, base::Deadline::Never()).IgnoreError();
  return status;
}

absl::Status CgroupV2::Build(const CgroupLeaf& leaf, const Resources& resources,
                             const std::optional<DeviceRules>& devices) {
  ASSIGN_OR_RETURN(const auto values, V2Values(resources));
  ASSIGN_OR_RETURN(
      const base::UniqueFd directory,
      tree_.Make(leaf.path, [](int, int) { return absl::OkStatus(); }));
  RETURN_IF_ERROR(EnableControllers(leaf.path));
  if (filter_devices_ && devices.has_value()) {
    RETURN_IF_ERROR_IN(AttachDeviceFilter(directory.get(), *devices),
                       "device filter");
  }
  for (const ControlValue& value : values) {
    RETURN_IF_ERROR(WriteValue({directory.get(), value}, base::WriteControlAt));
  }
  return leaf.inner.empty() ? absl::OkStatus()
                            : BuildInner(leaf, directory.get(), values);
}

absl::Status CgroupV2::BuildInner(const CgroupLeaf& leaf, int outer,
                                  const std::vector<ControlValue>& values) {
  RETURN_IF_ERROR_IN(EnableIn(outer), "controllers of the leaf");
  ASSIGN_OR_RETURN(const base::UniqueFd inner,
                   tree_.Make(ProgramsPath(leaf),
                              [](int, int) { return absl::OkStatus(); }));
  for (const ControlValue& value : values) {
    if (!HasDefault(value.file)) continue;
    RETURN_IF_ERROR(WriteValue({inner.get(), value}, base::WriteControlAt));
  }
  return absl::OkStatus();
}

absl::Status CgroupV2::Update(const CgroupLeaf& leaf, const Resources& from,
                              const Resources& to) {
  ASSIGN_OR_RETURN(const auto old_values, V2Values(from));
  ASSIGN_OR_RETURN(const auto new_values, V2Values(to));
  ASSIGN_OR_RETURN(const auto changed, ChangedValues(old_values, new_values));
  if (changed.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const base::UniqueFd directory, tree_.Open(leaf.path));
  base::UniqueFd inner;
  if (!leaf.inner.empty()) {
    ASSIGN_OR_RETURN(inner, tree_.Open(ProgramsPath(leaf)));
  }
  std::vector<ControlWrite> writes;
  for (const ControlValue& value : changed) {
    if (value.file == "memory.max") {
      const std::optional<int64_t> limit = MemoryBytes(value.value);
      if (limit.has_value())
        RETURN_IF_ERROR(MakeRoomV2(directory.get(), *limit));
    }
    writes.push_back({directory.get(), value});
    // No order of the two is refused here: what is above counts (cgroup-v2,
    // "Resource Distribution Models").
    if (inner.valid() && HasDefault(value.file)) {
      writes.push_back({inner.get(), value});
    }
  }
  return WriteAllOrNone(writes);
}

absl::StatusOr<CgroupPlacement> CgroupV2::OpenPlacement(
    const CgroupLeaf& leaf) {
  CgroupPlacement placement;
  ASSIGN_OR_RETURN(placement.v2_dir, tree_.Open(ProgramsPath(leaf)));
  return placement;
}

absl::StatusOr<CgroupLeaf> CgroupV2::JoiningLeaf(const CgroupLeaf& leaf,
                                                 pid_t first) {
  const std::string path = ProgramsPath(leaf);
  ASSIGN_OR_RETURN(const base::UniqueFd directory, tree_.Open(path));
  ASSIGN_OR_RETURN(const std::string passed_on,
                   base::ReadFileAt(directory.get(), "cgroup.subtree_control"));
  if (absl::StripAsciiWhitespace(passed_on).empty()) return leaf;
  // One that has left it altogether is no guide.
  ASSIGN_OR_RETURN(const auto found, tree_.DirectoryOf(path, first));
  return found.has_value() ? CgroupLeaf(*found) : leaf;
}

absl::StatusOr<base::UniqueFd> CgroupV2::OpenOomFile(const CgroupLeaf& leaf) {
  ASSIGN_OR_RETURN(const base::UniqueFd directory, tree_.Open(leaf.path));
  auto events = base::OpenAt(directory.get(), "memory.events", O_RDONLY);
  if (!events.ok() && base::GetErrno(events.status()) == ENOENT) {
    return base::UniqueFd();
  }
  return events;
}

absl::StatusOr<bool> CgroupV2::HadOomKill(const CgroupLeaf& leaf,
                                          const base::Deadline& /*deadline*/) {
  ASSIGN_OR_RETURN(const std::optional<base::UniqueFd> directory,
                   base::ToLook(tree_.Open(leaf.path)));
  return directory.has_value() ? SaysOomKill(directory->get(), "memory.events")
                               : false;
}

absl::StatusOr<LeafDirectories> CgroupV2::OpenDirectories(
    const CgroupLeaf& leaf) {
  LeafDirectories directories;
  ASSIGN_OR_RETURN(directories.unified, tree_.Open(leaf.path));
  return directories;
}

absl::StatusOr<base::UniqueFd> CgroupV2::OpenProcsFile(const CgroupLeaf& leaf) {
  ASSIGN_OR_RETURN(const base::UniqueFd directory,
                   tree_.Open(ProgramsPath(leaf)));
  return base::OpenAt(directory.get(), "cgroup.procs", O_RDONLY);
}

absl::StatusOr<std::vector<pid_t>> CgroupV2::Processes(const CgroupLeaf& leaf) {
  return tree_.Processes(leaf.path);
}

absl::Status CgroupV2::KillAll(const CgroupLeaf& leaf, absl::Duration timeout) {
  auto directory = tree_.Open(leaf.path);
  if (!directory.ok()) {
    if (base::GetErrno(directory.status()) == ENOENT) return absl::OkStatus();
    return directory.status();
  }
  if (IsUnpopulated(directory->get())) return absl::OkStatus();
  // Since Linux 5.14, and it wakes frozen cgroups; before: one by one.
  const absl::Status killed =
      base::WriteControlAt(directory->get(), "cgroup.kill", "1");
  if (!killed.ok()) {
    base::WriteControlAt(directory->get(), "cgroup.freeze", "0").IgnoreError();
    return KillListed([&] { return Processes(leaf); }, timeout);
  }
  ASSIGN_OR_RETURN(const bool empty,
                   WaitUnpopulated(directory->get(), timeout));
  if (!empty) {
    return absl::DeadlineExceededError(
        absl::StrCat("processes in ", leaf.path, " do not die"));
  }
  return absl::OkStatus();
}

absl::Status CgroupV2::Delete(const CgroupLeaf& leaf,
                              const base::Deadline& deadline) {
  return tree_.Remove(leaf.path, deadline);
}

void CgroupV2::DeleteIfEmpty(const std::string& parent) {
  tree_.RemoveIfEmpty(parent);
}

}  // namespace warren::runtime
