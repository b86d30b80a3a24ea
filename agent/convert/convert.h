#ifndef WARREN_AGENT_CONVERT_CONVERT_H_
#define WARREN_AGENT_CONVERT_CONVERT_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/cdi/spec.h"
#include "agent/cri/cri.h"
#include "agent/host/facts.h"
#include "agent/host/security_modules.h"
#include "netplugin/ip.h"
#include "runtime/image/image_store.h"
#include "runtime/runtime.h"

// CRI requests as the runtime's plain values, checked at this edge and nowhere
// further in. Every refusal names the field: kInvalidArgument for what breaks
// CRI's rules, kUnimplemented for what this build does not do yet,
// kFailedPrecondition for what it cannot enforce on this host. Nothing that
// would loosen a container's confinement is ever ignored. FIELDS.md beside this
// file says what becomes of each field. Pure.
namespace warren::agent {

// The one runtime handler; "" in a request means it too.
inline constexpr char kRuntimeHandler[] = "warren";
absl::Status CheckRuntimeHandler(absl::string_view field,
                                 absl::string_view handler);

// ---- Pod sandboxes --------------------------------------------------------

// Everything of a PodSandboxConfig but its labels and annotations, which are
// kept as they are. `granted`: ids for a pod that asked for none and gets a
// user namespace nevertheless; without effect on one that says what it wants.
absl::StatusOr<runtime::SandboxSpec> ConvertSandbox(
    const std::string& id, const cri::PodSandboxConfig& config,
    const HostFacts& host,
    const std::optional<runtime::IdMapping>& granted = std::nullopt);

// Whether a pod may be granted ids: it says nothing about user namespaces, is
// not privileged and shares no other namespace with the node, which it could
// not use from a user namespace of its own.
bool CanBeGrantedIds(const cri::PodSandboxConfig& config);

// Adds a line for each of the pod's own addresses to its hosts file, so that it
// can resolve its own name (hosts(5)).
void AddOwnName(const std::vector<netplugin::IpPrefix>& addresses,
                runtime::SandboxSpec* spec);

absl::Status CheckSandboxMetadata(absl::string_view field,
                                  const cri::PodSandboxMetadata& metadata);

// ---- Containers -----------------------------------------------------------

// References and pointers are borrowed for the length of the call.
struct ContainerInputs {
  std::string id;
  const cri::ContainerConfig& config;
  const cri::PodSandboxConfig& sandbox_config;  // that of RunPodSandbox
  const runtime::SandboxSpec& sandbox;
  const image::Image& image;
  // Images that mounts name, by the mount's place in the request.
  std::map<int, const image::Image*> volume_images = {};
  SecurityModules modules = {};
  NodePolicy policy = {};
  // What the CDI devices of `config` came to; nullptr = there are none.
  const CdiEdits* cdi = nullptr;
  // config.devices get run_as_user and run_as_group as their owner.
  bool devices_belong_to_user = false;
};

struct ConvertedContainer {
  runtime::ContainerSpec spec;
  int stop_signal = 0;  // Linux number, of the request or of the image
};

absl::StatusOr<ConvertedContainer> ConvertContainer(
    const ContainerInputs& inputs);

// ---- Parts, for other callers and for tests --------------------------------

// `field`: the path of `resources` in messages, "config.linux.resources".
absl::StatusOr<runtime::Resources> ConvertResources(
    absl::string_view field, const cri::LinuxContainerResources& resources);

// Of a request; what was allowed before stays allowed. kInvalidArgument: a
// limit below what any program needs, with which it would end before it does
// anything.
absl::Status CheckMemoryFloor(absl::string_view field,
                              const cri::LinuxContainerResources& resources);

// Absent = unconfined, empty = RuntimeDefault. The deprecated path (of the
// field with "_profile_path" behind its name) is read if the message is
// absent. Whether a Localhost profile exists and is good, the runtime finds
// out in CreateContainer.
absl::StatusOr<runtime::SeccompChoice> ConvertSeccomp(
    absl::string_view field, bool present, const cri::SecurityProfile& profile,
    absl::string_view deprecated_path);
// "/a/b", or one slice in systemd's spelling ("a-b.slice"); "a/b" becomes
// "/a/b". Refused: "/", "." and ".." in it. "" stays "": the default parent.
absl::StatusOr<std::string> CheckCgroupParent(absl::string_view field,
                                              absl::string_view parent);

// ENTRYPOINT and CMD of the image overridden by command and args.
absl::StatusOr<std::vector<std::string>> ProcessArgs(
    const cri::ContainerConfig& config, const image::ImageConfig& image);

// "KEY=value" of the image, then HOSTNAME, then the request; a later one wins.
// PATH and, with a terminal, TERM are added when none of them sets it.
absl::StatusOr<std::vector<std::string>> ProcessEnv(
    const cri::ContainerConfig& config, const image::ImageConfig& image,
    absl::string_view hostname);

}  // namespace warren::agent

#endif  // WARREN_AGENT_CONVERT_CONVERT_H_
