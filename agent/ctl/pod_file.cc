#include "agent/ctl/pod_file.h"

#include <absl/strings/str_cat.h>
#include <yaml-cpp/yaml.h>

#include <functional>
#include <map>
#include <utility>

#include "runtime/base/status.h"

namespace warren::agent::ctl {
namespace {

using Reader = std::function<absl::Status(const YAML::Node&)>;
using Readers = std::map<std::string, Reader>;

absl::Status Fault(const YAML::Node& node, const std::string& text) {
  return absl::InvalidArgumentError(
      absl::StrCat("pod file, line ", node.Mark().line + 1, ": ", text));
}

// Hands every key of a map to its reader; refuses keys without one.
absl::Status ReadMap(const YAML::Node& node, const Readers& readers) {
  if (!node.IsMap()) return Fault(node, "want \"key: value\" lines");
  for (const auto& entry : node) {
    const std::string key = entry.first.as<std::string>();
    const auto reader = readers.find(key);
    if (reader == readers.end()) {
      return Fault(entry.first, absl::StrCat("unknown key \"", key, "\""));
    }
    if (const absl::Status status = reader->second(entry.second);
        !status.ok()) {
      return Fault(entry.first, absl::StrCat(key, ": ", status.message()));
    }
  }
  return absl::OkStatus();
}

// Stores a scalar; yaml-cpp throws on a wrong type (caught in ParsePodFile).
template <class T>
Reader Into(T* target) {
  return [target](const YAML::Node& node) {
    *target = node.as<T>();
    return absl::OkStatus();
  };
}

// Stores what a parser of pod_plan.h makes of the scalar.
template <class T, class Parse>
Reader Parsed(T* target, Parse parse) {
  return [target, parse](const YAML::Node& node) -> absl::Status {
    ASSIGN_OR_RETURN(*target, parse(node.as<std::string>()));
    return absl::OkStatus();
  };
}

// A shell word alone would be a surprise, so that only lists are taken.
Reader IntoWords(std::vector<std::string>* words) {
  return [words](const YAML::Node& node) -> absl::Status {
    if (!node.IsSequence()) {
      return absl::InvalidArgumentError("want a list, e.g. [httpd, -f]");
    }
    *words = node.as<std::vector<std::string>>();
    return absl::OkStatus();
  };
}

Reader IntoMounts(std::vector<MountPlan>* mounts) {
  return [mounts](const YAML::Node& node) -> absl::Status {
    for (const std::string& text : node.as<std::vector<std::string>>()) {
      ASSIGN_OR_RETURN(MountPlan mount, ParseMount(text));
      mounts->push_back(std::move(mount));
    }
    return absl::OkStatus();
  };
}

absl::StatusOr<ContainerPlan> ReadContainer(const YAML::Node& node) {
  ContainerPlan plan;
  RETURN_IF_ERROR(ReadMap(
      node, {{"name", Into(&plan.name)},
             {"image", Into(&plan.image)},
             {"command", IntoWords(&plan.command)},
             {"args", IntoWords(&plan.args)},
             {"env", Into(&plan.env)},
             {"mounts", IntoMounts(&plan.mounts)},
             {"working_dir", Into(&plan.working_dir)},
             {"user", Into(&plan.user)},
             {"readonly_rootfs", Into(&plan.readonly_rootfs)},
             {"privileged", Into(&plan.privileged)},
             {"memory", Parsed(&plan.memory_bytes, ParseBytes)},
             {"seccomp", Parsed(&plan.seccomp, ParseSeccomp)},
             {"pids_limit", Into(&plan.pids_limit)},
             {"allow_new_privileges", Into(&plan.allow_new_privileges)}}));
  return plan;
}

absl::StatusOr<PodPlan> ReadPod(const YAML::Node& node) {
  PodPlan plan;
  std::map<std::string, std::string> offsets;
  RETURN_IF_ERROR(ReadMap(
      node, {{"name", Into(&plan.name)},
             {"namespace", Into(&plan.namespace_name)},
             {"hostname", Into(&plan.hostname)},
             {"userns", Parsed(&plan.userns, ParseUserns)},
             {"time_offset", Into(&offsets)},
             {"network", Parsed(&plan.network, ParseMode)},
             {"pid", Parsed(&plan.pid, ParseMode)},
             {"ipc", Parsed(&plan.ipc, ParseMode)},
             {"cgroup_parent", Into(&plan.cgroup_parent)},
             {"labels", Into(&plan.labels)},
             {"annotations", Into(&plan.annotations)},
             {"containers", [&](const YAML::Node& list) -> absl::Status {
                for (const YAML::Node& item : list) {
                  ASSIGN_OR_RETURN(ContainerPlan container,
                                   ReadContainer(item));
                  plan.containers.push_back(std::move(container));
                }
                return absl::OkStatus();
              }}}));
  for (const auto& [clock, seconds] : offsets) {
    RETURN_IF_ERROR(AddTimeOffsets(absl::StrCat(clock, "=", seconds), &plan));
  }
  return plan;
}

}  // namespace

absl::StatusOr<PodPlan> ParsePodFile(const std::string& yaml) {
  try {
    return ReadPod(YAML::Load(yaml));
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat("pod file, line ", error.mark.line + 1, ": ", error.msg));
  }
}

}  // namespace warren::agent::ctl
