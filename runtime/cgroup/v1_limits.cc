// The limits of a v1 leaf: written when it is made, and changed.
#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <fcntl.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "runtime/cgroup/levels.h"
#include "runtime/cgroup/update.h"
#include "runtime/cgroup/v1.h"

namespace warren::runtime {
namespace {

// A new cpuset is empty, and nothing can enter it, until it is given what its
// parent has; cgroup.clone_children lets the kernel do that for what we make
// below.
absl::Status InheritCpuset(int parent, int directory) {
  for (const char* file : {"cpuset.cpus", "cpuset.mems"}) {
    ASSIGN_OR_RETURN(const std::string own, base::ReadFileAt(directory, file));
    if (own != "\n" && !own.empty()) continue;
    ASSIGN_OR_RETURN(const std::string value, base::ReadFileAt(parent, file));
    RETURN_IF_ERROR(base::WriteControlAt(directory, file, value));
  }
  return absl::OkStatus();
}

absl::Status RestrictDevices(int directory, const DeviceRules& rules) {
  RETURN_IF_ERROR(base::WriteControlAt(directory, "devices.deny", "a"));
  ASSIGN_OR_RETURN(const base::UniqueFd allow,
                   base::OpenAt(directory, "devices.allow", O_WRONLY));
  for (const DeviceRule& rule : rules) {
    const std::string text = ToV1Text(rule);
    RETURN_IF_ERROR_IN(base::WriteFd(allow.get(), text),
                       absl::StrCat("devices.allow \"", text, "\""));
  }
  return absl::OkStatus();
}

absl::Status WriteValues(const V1Hierarchy& h, int directory,
                         const std::vector<ControlValue>& values) {
  for (const ControlValue& v : values) {
    if (!h.Has(v.controller)) continue;
    RETURN_IF_ERROR(WriteValue({directory, v}, base::WriteControlAt));
  }
  return absl::OkStatus();
}

// The directories of a leaf whose limits change, by controller.
class Levels {
 public:
  struct Directories {
    base::UniqueFd outer;
    base::UniqueFd inner;  // invalid when there is none
  };

  Directories& Of(const std::string& controller) { return open_[controller]; }
  int Directory(Level level, const std::string& controller) const {
    const auto at = open_.find(controller);
    if (at == open_.end()) return -1;
    return level == Level::kOuter ? at->second.outer.get()
                                  : at->second.inner.get();
  }
  std::string Now(Level level, const std::string& file) const {
    const int at = Directory(level, file.substr(0, file.find('.')));
    if (at < 0) return "";
    std::string text = base::ReadFileAt(at, file).value_or("");
    absl::StripAsciiWhitespace(&text);
    return text;
  }

 private:
  std::map<std::string, Directories> open_;
};

}  // namespace

absl::Status CgroupV1::Create(const CgroupLeaf& leaf,
                              const Resources& resources,
                              const std::optional<DeviceRules>& devices) {
  const absl::Status status = Build(leaf, resources, devices);
  if (!status.ok()) Delete(leaf, base::Deadline::Never()).IgnoreError();
  return status;
}

absl::Status CgroupV1::Build(const CgroupLeaf& leaf, const Resources& resources,
                             const std::optional<DeviceRules>& devices) {
  ASSIGN_OR_RETURN(const std::vector<ControlValue> values, V1Values(resources));
  RETURN_IF_ERROR(CheckMounted(values));
  for (const V1Hierarchy& h : hierarchies_) {
    RETURN_IF_ERROR(BuildIn(h, leaf, values, devices));
  }
  return absl::OkStatus();
}

absl::Status CgroupV1::BuildIn(
    const V1Hierarchy& h, const CgroupLeaf& leaf,
    const std::vector<ControlValue>& values,
    const std::optional<DeviceRules>& devices) const {
  const bool cpuset = h.Has("cpuset");
  const std::string where = absl::StrCat("cgroup hierarchy ", h.name);
  const bool with_inner = !leaf.inner.empty() && h.CarriesLimits();
  // Of a leaf that is taken over: a cgroup with others in it takes no rules of
  // devices (devcgroup_update_access: EINVAL).
  if (with_inner) h.tree.RemoveIfEmpty(ProgramsIn(h, leaf));
  ASSIGN_OR_RETURN_IN(const base::UniqueFd outer,
                      h.tree.Make(PathIn(h, leaf),
                                  [&](int parent, int made) -> absl::Status {
                                    if (!cpuset) return absl::OkStatus();
                                    return InheritCpuset(parent, made);
                                  }),
                      where);
  RETURN_IF_ERROR(WriteValues(h, outer.get(), values));
  if (devices.has_value() && h.Has("devices")) {
    RETURN_IF_ERROR(RestrictDevices(outer.get(), *devices));
  }
  if (!with_inner) return absl::OkStatus();
  // Rules of devices are the parent's in a new cgroup, and never more than
  // these (devcgroup_online, parent_has_perm of security/device_cgroup.c).
  ASSIGN_OR_RETURN_IN(const base::UniqueFd inner,
                      CgroupTree::MakeChild(outer.get(), leaf.inner), where);
  if (cpuset) RETURN_IF_ERROR(InheritCpuset(outer.get(), inner.get()));
  return WriteValues(h, inner.get(), values);
}

absl::Status CgroupV1::CheckMounted(
    const std::vector<ControlValue>& values) const {
  for (const ControlValue& v : values) {
    if (v.best_effort || Find(v.controller) != nullptr) continue;
    return absl::FailedPreconditionError(
        absl::StrCat(v.field, ": the host mounts no cgroup controller \"",
                     v.controller, "\", needed for ", v.file));
  }
  return absl::OkStatus();
}

absl::Status CgroupV1::Update(const CgroupLeaf& leaf, const Resources& from,
                              const Resources& to) {
  Resources had = from;
  // What v1 does not have was never written.
  std::erase_if(had.unified,
                [](const auto& entry) { return entry.first != kPidsMax; });
  ASSIGN_OR_RETURN(const auto old_values, V1Values(had));
  ASSIGN_OR_RETURN(const auto new_values, V1Values(to));
  ASSIGN_OR_RETURN(auto changed, ChangedValues(old_values, new_values));
  RETURN_IF_ERROR(CheckMounted(changed));
  std::erase_if(changed, [&](const ControlValue& v) {
    return Find(v.controller) == nullptr;  // best effort
  });
  Levels levels;
  for (ControlValue& v : changed) {
    const V1Hierarchy& h = *Find(v.controller);
    Levels::Directories& at = levels.Of(v.controller);
    if (!at.outer.valid()) {
      ASSIGN_OR_RETURN(at.outer, h.tree.Open(PathIn(h, leaf)));
      if (!leaf.inner.empty()) {
        ASSIGN_OR_RETURN(at.inner, h.tree.Open(ProgramsIn(h, leaf)));
      }
    }
    if (v.value.empty()) {  // a cpuset: what the parent has
      ASSIGN_OR_RETURN(v.value, base::ReadFileAt(at.outer.get(),
                                                 absl::StrCat("../", v.file)));
      absl::StripAsciiWhitespace(&v.value);
    }
  }
  const auto now = [&](Level level, const std::string& file) {
    return levels.Now(level, file);
  };
  const std::vector<LevelWrite> plan =
      leaf.inner.empty() ? PlanOneLevel(std::move(changed), now)
                         : PlanBothLevels(std::move(changed), now);
  std::vector<ControlWrite> writes;
  for (const LevelWrite& write : plan) {
    writes.push_back(
        {levels.Directory(write.level, write.value.controller), write.value});
  }
  return WriteAllOrNone(writes);
}

}  // namespace warren::runtime
