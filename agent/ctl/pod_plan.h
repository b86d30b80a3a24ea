#ifndef WARREN_AGENT_CTL_POD_PLAN_H_
#define WARREN_AGENT_CTL_POD_PLAN_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/cri/cri.h"

// A pod as a person describes it to `warrenctl run`, by flags or by a short
// YAML file (pod_file.h), and as the requests that make it. Pure.
namespace warren::agent::ctl {

// Pods that `run` made carry this label; `rm` then also removes their logs.
inline constexpr char kMadeByLabel[] = "warren.dev/made-by";

struct MountPlan {
  std::string host_path;
  std::string container_path;
  bool readonly = false;
};

// Which filter of system calls: Warren's own, none, or a profile of the node.
struct SeccompPlan {
  enum class Kind : uint8_t { kDefault, kUnconfined, kProfile };
  Kind kind = Kind::kDefault;
  std::string profile;  // kProfile: absolute path on the node
};

struct ContainerPlan {
  std::string name;
  std::string image;
  std::vector<std::string> command;  // replaces the image's entrypoint
  std::vector<std::string> args;     // replaces the image's command
  std::map<std::string, std::string> env;
  std::vector<MountPlan> mounts;
  std::string working_dir;
  std::string user;  // "1000", "1000:1000", "name"
  bool readonly_rootfs = false;
  bool privileged = false;
  int64_t memory_bytes = 0;  // 0 = no limit
  // Safe unless asked otherwise: no kubelet adds these to a person's pod.
  // Without effect on a privileged container, but for the limit.
  SeccompPlan seccomp;
  int64_t pids_limit = 1024;  // processes and threads; 0 = none of its own
  bool allow_new_privileges = false;  // setuid programs: sudo, ping
};

// Host ids [base, base + length) are 0… inside, for users and groups.
struct UsernsPlan {
  uint32_t base = 0;
  uint32_t length = 65536;
};

struct PodPlan {
  std::string name;
  std::string namespace_name = "default";
  std::string hostname;              // empty = the pod's name
  std::optional<UsernsPlan> userns;  // none = the node's user namespace
  cri::NamespaceMode network = cri::POD;
  cri::NamespaceMode pid = cri::CONTAINER;
  cri::NamespaceMode ipc = cri::POD;
  std::string cgroup_parent;
  std::map<std::string, std::string> labels;
  std::map<std::string, std::string> annotations;
  std::vector<ContainerPlan> containers;
};

// "65536" or "65536:1000"; kInvalidArgument says what is wrong.
absl::StatusOr<UsernsPlan> ParseUserns(absl::string_view text);

// "boottime=86400,monotonic=-3.5" -> the annotations that ask for it.
absl::Status AddTimeOffsets(absl::string_view text, PodPlan* plan);

// "pod", "container" or "host" as a mode.
absl::StatusOr<cri::NamespaceMode> ParseMode(absl::string_view text);

// "HOST:CONTAINER[:ro]".
absl::StatusOr<MountPlan> ParseMount(absl::string_view text);

// "default", "unconfined" or the absolute path of a profile.
absl::StatusOr<SeccompPlan> ParseSeccomp(absl::string_view text);

// "64Mi", "1G", "4096" as bytes: Ki, Mi, Gi, Ti are powers of 1024, k, M, G of
// 1000.
absl::StatusOr<int64_t> ParseBytes(absl::string_view text);

// kInvalidArgument when a name, an image or every container is missing, or two
// containers have one name. The daemon checks the rest.
absl::Status CheckPlan(const PodPlan& plan);

// The pod part of the requests. `uid` tells this pod from others of its name;
// logs go to a directory of its own below `log_root`.
cri::PodSandboxConfig ToPodConfig(const PodPlan& plan, const std::string& uid,
                                  const std::string& log_root);

// The container part. kInvalidArgument names a user that cannot be one.
absl::StatusOr<cri::ContainerConfig> ToContainerConfig(
    const PodPlan& pod, const ContainerPlan& plan);

}  // namespace warren::agent::ctl

#endif  // WARREN_AGENT_CTL_POD_PLAN_H_
