#ifndef WARREN_RUNTIME_MOUNTS_POD_FILES_H_
#define WARREN_RUNTIME_MOUNTS_POD_FILES_H_

#include <absl/status/statusor.h>

#include "runtime/base/unique_fd.h"
#include "runtime/runtime.h"

namespace warren::runtime {

// hostname, hosts and resolv.conf of a pod (kPodFiles): 0644, owned by the
// pod's root, on a small tmpfs of their own, detached.
//
// Its containers may write to them, so the file system is capped (LOG-2):
// kPodFilesSpare bytes beyond what is in it at first, then ENOSPC; the memory
// counts in the writer's cgroup. It holds nothing else, because a process with
// CAP_DAC_READ_SEARCH that sees one file of a file system can open them all
// (open_by_handle_at(2)). Errors are errno's. Thread-safe.
inline constexpr uint64_t kPodFilesSpare = uint64_t{1} << 20;

absl::StatusOr<base::UniqueFd> MakePodFiles(const SandboxSpec& spec);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_MOUNTS_POD_FILES_H_
