#ifndef WARREN_TESTS_KERNEL_SHIM_MOUNTS_H_
#define WARREN_TESTS_KERNEL_SHIM_MOUNTS_H_

#include <cstdint>
#include <functional>
#include <string>

#include "runtime/base/unique_fd.h"

// Mount namespaces and detached file systems for the shim's kernel tests.
// Failures end the process with a message: they are faults of the test.
namespace warren::test {

// Runs `fn` in a thread whose mount namespace, root and working directory are
// its own: first a copy of the caller's, or that behind `mnt_ns_fd`.
void InMountNamespace(int mnt_ns_fd, const std::function<void()>& fn);

// A mount namespace with nothing but a tmpfs, a fresh /proc and a fresh /sys,
// and a null device on a read-only mount, `*null`
// (runtime/namespaces/README.md). `scratch`: an existing directory of the
// caller.
base::UniqueFd MakeTemplate(const std::string& scratch, base::UniqueFd* null);

// A detached copy of the mount at dirfd/path in the mount namespace behind
// `mnt_ns_fd`.
base::UniqueFd CloneMount(int mnt_ns_fd, int dirfd, const std::string& path);

// A mount namespace with nothing but a tmpfs; `*root` is its root directory.
base::UniqueFd MakePinNamespace(const std::string& scratch,
                                base::UniqueFd* root);

// A detached tmpfs with busybox and its links below /bin, every file owned by
// `owner`.
base::UniqueFd MakeRootfs(uint32_t owner);

// Detached tmpfs, root mode 0755 of `owner`.
base::UniqueFd MakeTmpfs(uint32_t owner);

// A file `path` below `dir`, its directories made.
void PutFile(int dir, const std::string& path, const std::string& data,
             uint32_t mode = 0644);

// Dies with `what` and errno when `ok` is false.
void Must(bool ok, const char* what);

}  // namespace warren::test

#endif  // WARREN_TESTS_KERNEL_SHIM_MOUNTS_H_
