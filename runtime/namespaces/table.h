#ifndef WARREN_RUNTIME_NAMESPACES_TABLE_H_
#define WARREN_RUNTIME_NAMESPACES_TABLE_H_

#include <array>
#include <cstdint>
#include <vector>

#include "runtime/runtime.h"

// The one table of the eight namespace kinds: what each is called, which clone
// flag makes it (clone(2), namespaces(7)) and whether the pod or each container
// has its own. All code that makes, pins, joins or draws namespaces walks this
// table in its order. `time_namespaces`: whether the kernel has them (Linux
// 5.6, CONFIG_TIME_NS). Pure.
namespace warren::runtime {

struct NamespaceInfo {
  NamespaceKind kind;
  // Name in /proc/<pid>/ns and of the pin in the pod's directory.
  const char* name;
  uint64_t clone_flag;  // CLONE_NEW*
  // One for the pod, made and pinned by CreateSandbox and joined by each of
  // its containers; otherwise made anew for each container.
  bool of_pod;
};

// In the order in which they are made and joined: user first, so that it owns
// all that follow (user_namespaces(7)).
const std::array<NamespaceInfo, kNamespaceKinds>& NamespaceTable();
const NamespaceInfo& InfoOf(NamespaceKind kind);

// Which namespace of that kind a pod, or a container of it, lives in. For a
// pod, kContainer means that each container gets its own.
NamespaceMode ModeOf(NamespaceKind kind, const SandboxSpec& spec,
                     bool time_namespaces);
NamespaceMode ModeOf(NamespaceKind kind, const ContainerSpec& spec,
                     bool time_namespaces);

bool HasUserNamespace(const SandboxSpec& spec);

// CLONE_NEW* of what CreateSandbox makes. 0 = the pod has only the host's.
uint64_t SandboxCloneFlags(const SandboxSpec& spec, bool time_namespaces);
// CLONE_NEW* of what StartContainer makes: mnt always, pid and cgroup where the
// container has its own.
uint64_t ContainerCloneFlags(const ContainerSpec& spec);
// The pod's namespaces that a container joins by their pins, in order. pid is
// among them with mode kPod only; a target's comes from the target.
std::vector<NamespaceKind> JoinedPins(const ContainerSpec& spec,
                                      bool time_namespaces);
// CLONE_NEW* of what an exec session enters: all that differ from the host's.
uint64_t ExecSetnsFlags(const ContainerSpec& spec, bool time_namespaces);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_NAMESPACES_TABLE_H_
