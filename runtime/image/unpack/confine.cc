#include "runtime/image/unpack/confine.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "runtime/image/limits.h"
#include "runtime/image/unpack/seccomp.h"

namespace warren::image {
namespace {

using base::ErrnoError;

absl::Status SetLimit(__rlimit_resource resource, uint64_t value,
                      const char* name) {
  rlimit limit = {value, value};
  rlimit now = {};
  // A limit that is lower already stays as it is.
  if (getrlimit(resource, &now) == 0 && now.rlim_max < value) {
    limit = {now.rlim_max, now.rlim_max};
  }
  if (setrlimit(resource, &limit) != 0) return ErrnoError(errno, name);
  return absl::OkStatus();
}

// A detached mount of the directory behind `target`.
absl::StatusOr<base::UniqueFd> DetachedMount(int target) {
  base::UniqueFd tree(static_cast<int>(
      syscall(SYS_open_tree, target, "",
              OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH)));
  if (!tree.valid()) return ErrnoError(errno, "open_tree");
  mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                        MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSYMFOLLOW;
  attributes.propagation = MS_PRIVATE;
  if (syscall(SYS_mount_setattr, tree.get(), "", AT_EMPTY_PATH, &attributes,
              sizeof(attributes)) != 0) {
    return ErrnoError(errno, "mount_setattr");
  }
  return tree;
}

// The map of the namespace we are in, each id to itself: "inside outside
// count" lines of /proc/self/?id_map become "inside inside count".
absl::StatusOr<std::string> IdentityMap(const char* path) {
  // lint: allow read: of procfs
  ASSIGN_OR_RETURN(const std::string own, base::ReadFileAt(AT_FDCWD, path));
  std::string map;
  const char* rest = own.c_str();
  unsigned long inside = 0;
  unsigned long outside = 0;
  unsigned long count = 0;
  int used = 0;
  while (sscanf(rest, "%lu %lu %lu%n", &inside, &outside, &count, &used) == 3) {
    absl::StrAppend(&map, inside, " ", inside, " ", count, "\n");
    rest += used;
  }
  if (map.empty()) return ErrnoError(EINVAL, path);
  return map;
}

// Only a process that stayed outside may map more than itself. It waits for a
// byte, writes the maps of process `pid` and leaves with an errno.
[[noreturn]] void WriteMaps(int go, pid_t pid, const std::string& uid_map,
                            const std::string& gid_map) {
  char byte;
  if (read(go, &byte, 1) != 1) _exit(ECANCELED);
  const std::string directory = absl::StrCat("/proc/", pid);
  for (const auto& [name, map] :
       {std::pair("/gid_map", &gid_map), std::pair("/uid_map", &uid_map)}) {
    const absl::Status status =
        base::WriteControlAt(AT_FDCWD, absl::StrCat(directory, name), *map);
    if (!status.ok()) _exit(base::GetErrno(status));
  }
  _exit(0);
}

absl::Status WaitFor(pid_t mapper) {
  int status = 0;
  while (waitpid(mapper, &status, 0) < 0) {
    if (errno != EINTR) return ErrnoError(errno, "waitpid");
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
  return ErrnoError(WIFEXITED(status) ? WEXITSTATUS(status) : EINTR,
                    "map the ids of the user namespace");
}

absl::Status EnterNamespaces() {
  ASSIGN_OR_RETURN(const std::string uid_map,
                   IdentityMap("/proc/self/uid_map"));
  ASSIGN_OR_RETURN(const std::string gid_map,
                   IdentityMap("/proc/self/gid_map"));
  ASSIGN_OR_RETURN(base::Pipe go, base::MakePipe());
  const pid_t self = getpid();
  const pid_t mapper = fork();
  if (mapper < 0) return ErrnoError(errno, "fork");
  if (mapper == 0) {
    go.write.reset();
    WriteMaps(go.read.get(), self, uid_map, gid_map);
  }
  absl::Status entered;
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC |
              CLONE_NEWUTS) != 0) {
    entered = ErrnoError(errno, "unshare");
    if (errno == ENOSPC) {
      entered = absl::ResourceExhaustedError(
          "no user namespace to unpack in (see user.max_user_namespaces)");
    }
  } else if (write(go.write.get(), "x", 1) != 1) {
    entered = ErrnoError(errno, "start the mapper");
  }
  go.write.reset();
  const absl::Status mapped = WaitFor(mapper);
  return entered.ok() ? mapped : entered;
}

// Makes `tree` the root of the mount namespace and drops all other mounts.
absl::Status PivotInto(int tree) {
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return ErrnoError(errno, "make mounts private");
  }
  ASSIGN_OR_RETURN(const base::UniqueFd root,
                   base::OpenAt(AT_FDCWD, "/", O_PATH | O_DIRECTORY));
  if (syscall(SYS_move_mount, tree, "", root.get(), "",
              MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
    return ErrnoError(errno, "move_mount");
  }
  if (fchdir(tree) != 0) return ErrnoError(errno, "fchdir");
  // Old and new root at one place: the old one ends up on top of the new one
  // and goes with the next call (pivot_root(2), "pivot_root(".", ".")").
  if (syscall(SYS_pivot_root, ".", ".") != 0) {
    return ErrnoError(errno, "pivot_root");
  }
  if (umount2(".", MNT_DETACH) != 0) return ErrnoError(errno, "umount2");
  if (chdir("/") != 0) return ErrnoError(errno, "chdir");
  return absl::OkStatus();
}

absl::Status DropCapabilities() {
  constexpr uint32_t kKeep = (1u << CAP_CHOWN) | (1u << CAP_DAC_OVERRIDE) |
                             (1u << CAP_FOWNER) | (1u << CAP_FSETID) |
                             (1u << CAP_SETFCAP);
  for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; ++cap) {
    if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0) {
      return ErrnoError(errno, "drop the bounding set");
    }
  }
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  data[0].effective = data[0].permitted = kKeep;
  if (syscall(SYS_capset, &header, data) != 0) {
    return ErrnoError(errno, "capset");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status LimitResources() {
  RETURN_IF_ERROR(SetLimit(RLIMIT_CORE, 0, "RLIMIT_CORE"));
  RETURN_IF_ERROR(SetLimit(RLIMIT_DATA, kUnpackDataBytes, "RLIMIT_DATA"));
  RETURN_IF_ERROR(SetLimit(RLIMIT_AS, kUnpackAddressSpaceBytes, "RLIMIT_AS"));
  RETURN_IF_ERROR(SetLimit(RLIMIT_NOFILE, kUnpackFiles, "RLIMIT_NOFILE"));
  return SetLimit(RLIMIT_CPU, kUnpackCpuSeconds, "RLIMIT_CPU");
}

absl::StatusOr<base::UniqueFd> EnterDirectory(int target) {
  // Before the new user namespace: only here may a mount be cloned that the
  // host's table holds.
  ASSIGN_OR_RETURN(base::UniqueFd tree, DetachedMount(target));
  RETURN_IF_ERROR(EnterNamespaces());
  RETURN_IF_ERROR(PivotInto(tree.get()));
  tree.reset();
  umask(0);
  // Everything inherited would lead out of here, `target` first.
  if (close_range(3, ~0u, 0) != 0) return ErrnoError(errno, "close_range");
  return base::OpenAt(AT_FDCWD, "/", O_RDONLY | O_DIRECTORY);
}

absl::Status LockDown(int result_fd) {
  RETURN_IF_ERROR(DropCapabilities());
  // Only now: a change of credentials would forget it (prctl(2)).
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) {
    return ErrnoError(errno, "PR_SET_PDEATHSIG");
  }
  pollfd reader = {result_fd, 0, 0};
  if (poll(&reader, 1, 0) != 0) return ErrnoError(EPIPE, "parent is gone");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return ErrnoError(errno, "PR_SET_NO_NEW_PRIVS");
  }
  return LoadSeccompFilter();
}

}  // namespace warren::image
