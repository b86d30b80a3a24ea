#include "runtime/namespaces/table.h"

#include <sched.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace warren::runtime {

const std::array<NamespaceInfo, kNamespaceKinds>& NamespaceTable() {
  static constexpr std::array<NamespaceInfo, kNamespaceKinds> kTable = {{
      {NamespaceKind::kUser, "user", CLONE_NEWUSER, true},
      {NamespaceKind::kMnt, "mnt", CLONE_NEWNS, false},
      {NamespaceKind::kPid, "pid", CLONE_NEWPID, true},
      {NamespaceKind::kNet, "net", CLONE_NEWNET, true},
      {NamespaceKind::kIpc, "ipc", CLONE_NEWIPC, true},
      {NamespaceKind::kUts, "uts", CLONE_NEWUTS, true},
      {NamespaceKind::kCgroup, "cgroup", CLONE_NEWCGROUP, false},
      {NamespaceKind::kTime, "time", CLONE_NEWTIME, true},
  }};
  return kTable;
}

const NamespaceInfo& InfoOf(NamespaceKind kind) {
  return NamespaceTable()[static_cast<size_t>(kind)];
}

bool HasUserNamespace(const SandboxSpec& spec) {
  return !spec.uid_mappings.empty();
}

NamespaceMode ModeOf(NamespaceKind kind, const SandboxSpec& spec,
                     bool time_namespaces) {
  switch (kind) {
    case NamespaceKind::kUser:
      return HasUserNamespace(spec) ? NamespaceMode::kPod
                                    : NamespaceMode::kHost;
    case NamespaceKind::kPid:
      return spec.pid;
    case NamespaceKind::kNet:
      return spec.network;
    case NamespaceKind::kIpc:
      return spec.ipc;
    case NamespaceKind::kUts:
      // The host's name goes with the host's network.
      return spec.network == NamespaceMode::kHost ? NamespaceMode::kHost
                                                  : NamespaceMode::kPod;
    case NamespaceKind::kTime:
      return time_namespaces ? NamespaceMode::kPod : NamespaceMode::kHost;
    case NamespaceKind::kMnt:
    case NamespaceKind::kCgroup:
      return NamespaceMode::kContainer;
  }
  return NamespaceMode::kHost;
}

NamespaceMode ModeOf(NamespaceKind kind, const ContainerSpec& spec,
                     bool time_namespaces) {
  if (kind == NamespaceKind::kPid) return spec.pid;
  // A privileged container manages the host's cgroups and must see them. In a
  // user namespace it could neither manage nor even mount them.
  if (kind == NamespaceKind::kCgroup && spec.privileged &&
      !HasUserNamespace(spec.sandbox)) {
    return NamespaceMode::kHost;
  }
  return ModeOf(kind, spec.sandbox, time_namespaces);
}

uint64_t SandboxCloneFlags(const SandboxSpec& spec, bool time_namespaces) {
  uint64_t flags = 0;
  for (const NamespaceInfo& info : NamespaceTable()) {
    if (info.of_pod &&
        ModeOf(info.kind, spec, time_namespaces) == NamespaceMode::kPod) {
      flags |= info.clone_flag;
    }
  }
  return flags;
}

uint64_t ContainerCloneFlags(const ContainerSpec& spec) {
  uint64_t flags = 0;
  for (const NamespaceInfo& info : NamespaceTable()) {
    if (ModeOf(info.kind, spec, false) == NamespaceMode::kContainer) {
      flags |= info.clone_flag;
    }
  }
  return flags;
}

std::vector<NamespaceKind> JoinedPins(const ContainerSpec& spec,
                                      bool time_namespaces) {
  std::vector<NamespaceKind> kinds;
  for (const NamespaceInfo& info : NamespaceTable()) {
    if (info.of_pod &&
        ModeOf(info.kind, spec, time_namespaces) == NamespaceMode::kPod) {
      kinds.push_back(info.kind);
    }
  }
  return kinds;
}

uint64_t ExecSetnsFlags(const ContainerSpec& spec, bool time_namespaces) {
  uint64_t flags = 0;
  for (const NamespaceInfo& info : NamespaceTable()) {
    if (ModeOf(info.kind, spec, time_namespaces) != NamespaceMode::kHost) {
      flags |= info.clone_flag;
    }
  }
  return flags;
}

}  // namespace warren::runtime
