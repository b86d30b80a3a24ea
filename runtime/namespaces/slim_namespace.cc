#include "runtime/namespaces/slim_namespace.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

#include "runtime/base/file.h"
#include "runtime/base/mount_calls.h"
#include "runtime/base/status.h"
#include "runtime/namespaces/null_device.h"

namespace warren::runtime {
namespace {

// Leaves the host's tree behind: the caller's mount namespace becomes `root`
// (a detached mount) alone. Only for a thread with unshared CLONE_FS in a
// private copy of the mount namespace.
absl::Status PivotInto(int root) {
  // Any directory that exists everywhere will do as the place to pivot from.
  ASSIGN_OR_RETURN(const base::UniqueFd place,
                   base::OpenAt(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY));
  RETURN_IF_ERROR(base::AttachMount(root, place.get()));
  if (fchdir(root) != 0) return base::ErrnoError(errno, "fchdir");
  if (syscall(SYS_pivot_root, ".", ".") != 0) {
    return base::ErrnoError(errno, "pivot_root");
  }
  if (umount2(".", MNT_DETACH) != 0) {
    return base::ErrnoError(errno, "umount old root");
  }
  if (chdir("/") != 0) return base::ErrnoError(errno, "chdir");
  return absl::OkStatus();
}

// Attaches a detached file system at the new directory root/name.
absl::Status MountAt(int root, const char* name,
                     const absl::StatusOr<base::UniqueFd>& fs) {
  RETURN_IF_ERROR(fs.status());
  if (mkdirat(root, name, 0555) != 0) return base::ErrnoError(errno, name);
  ASSIGN_OR_RETURN(const base::UniqueFd target,
                   base::OpenAt(root, name, O_PATH | O_DIRECTORY));
  return base::AttachMount(fs->get(), target.get());
}

// What the template has: procfs, sysfs, and the null device, which is opened.
absl::Status FillTemplate(int root, base::UniqueFd* null) {
  RETURN_IF_ERROR_IN(MountAt(root, "proc", base::NewFileSystem("proc", {}, 0)),
                     "template procfs");
  RETURN_IF_ERROR_IN(MountAt(root, "sys", base::NewFileSystem("sysfs", {}, 0)),
                     "template sysfs");
  RETURN_IF_ERROR_IN(MountAt(root, "null", MakeNullDevice()),
                     "template null device");
  // Through a mount that is nowhere: see kNullName.
  ASSIGN_OR_RETURN(const base::UniqueFd copy,
                   base::CloneTree(root, "null", false));
  ASSIGN_OR_RETURN(*null, base::OpenAt(copy.get(), kNullName, O_PATH));
  return absl::OkStatus();
}

// Opens what cannot be opened any more after the pivot: /proc is the host's.
// With `null` it is the template.
absl::StatusOr<base::UniqueFd> MakeSlimNamespace(base::UniqueFd* null) {
  if (unshare(CLONE_FS | CLONE_NEWNS) != 0) {
    return base::ErrnoError(errno, "unshare mount namespace");
  }
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return base::ErrnoError(errno, "make mounts private");
  }
  ASSIGN_OR_RETURN(
      base::UniqueFd self,
      base::OpenAt(AT_FDCWD, "/proc/thread-self/ns/mnt", O_RDONLY));
  ASSIGN_OR_RETURN(const base::UniqueFd root,
                   base::NewFileSystem("tmpfs", {{"mode", "0755"}},
                                       MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
  RETURN_IF_ERROR(PivotInto(root.get()));
  if (null != nullptr) RETURN_IF_ERROR(FillTemplate(root.get(), null));
  return self;
}

constexpr int kAnyCpu = -1;

// Runs on a thread of its own, because the caller's mount namespace and
// working directory must stay what they are.
absl::StatusOr<base::UniqueFd> MakeOnThread(base::UniqueFd* null, int cpu) {
  absl::StatusOr<base::UniqueFd> result = absl::UnknownError("not run");
  std::thread thread([&] {
    if (cpu != kAnyCpu) {
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(static_cast<size_t>(cpu), &one);
      // Only an attempt more if it fails.
      sched_setaffinity(0, sizeof(one), &one);
    }
    result = MakeSlimNamespace(null);
  });
  thread.join();
  return result;
}

// Binds the namespace over <run>/pins.mnt. The file is first bound over
// itself and made private, so that the pin spreads to no other namespace.
absl::Status Pin(const std::string& path, int namespace_fd) {
  ASSIGN_OR_RETURN(const base::UniqueFd file,
                   base::OpenAt(AT_FDCWD, path, O_RDWR | O_CREAT, 0600));
  ASSIGN_OR_RETURN(const base::UniqueFd self,
                   base::CloneTree(AT_FDCWD, path, false));
  RETURN_IF_ERROR(base::ChangeMount(self.get(), {.propagation = MS_PRIVATE}));
  RETURN_IF_ERROR(base::AttachMount(self.get(), file.get()));
  ASSIGN_OR_RETURN(const base::UniqueFd target,
                   base::OpenAt(AT_FDCWD, path, O_PATH));
  auto bound = base::CloneTree(namespace_fd, "", false);
  absl::Status status = bound.status();
  if (status.ok()) status = base::AttachMount(bound->get(), target.get());
  // A recursive bind of a directory above it leaves it out then. Others can
  // take the flag off ("mount --make-rshared /"); pods' mounts do without it
  // (host_path.h), binds of the host's own may not.
  if (status.ok()) {
    status = base::ChangeMount(self.get(), {.propagation = MS_UNBINDABLE});
  }
  if (!status.ok()) umount2(path.c_str(), MNT_DETACH);
  return status;
}

}  // namespace

absl::StatusOr<base::UniqueFd> MakeTemplateNamespace(base::UniqueFd* null) {
  return MakeOnThread(null, kAnyCpu);
}

// A mount namespace can be bound only into an older one, so that there are no
// loops. The kernel compares ids. Since Linux 6.18 every processor takes ids
// from a range of its own, and a newer namespace can have a smaller id (ELOOP).
// One that is made on the same processor as ours has a larger id: so each
// processor is tried.
absl::StatusOr<base::UniqueFd> MakePinsNamespace(const std::string& path) {
  absl::Status last;
  for (int cpu = kAnyCpu; cpu < CPU_SETSIZE; ++cpu) {
    if (cpu >= sysconf(_SC_NPROCESSORS_CONF)) break;
    ASSIGN_OR_RETURN(base::UniqueFd made, MakeOnThread(nullptr, cpu));
    last = Pin(path, made.get());
    if (last.ok()) return made;
    if (base::GetErrno(last) != ELOOP) break;
  }
  return last;
}

void Unpin(const std::string& path) {
  // The pin and the private bind below it.
  umount2(path.c_str(), MNT_DETACH);
  umount2(path.c_str(), MNT_DETACH);
  unlink(path.c_str());
}

}  // namespace warren::runtime
