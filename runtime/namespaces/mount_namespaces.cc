#include "runtime/namespaces/mount_namespaces.h"

#include <absl/strings/str_cat.h>
#include <absl/synchronization/notification.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/look.h"
#include "runtime/base/mount_calls.h"
#include "runtime/base/status.h"
#include "runtime/namespaces/null_device.h"
#include "runtime/namespaces/table.h"

namespace warren::runtime {
namespace {

constexpr char kPinFile[] = "pins.mnt";

absl::StatusOr<bool> IsNamespaceFile(int fd) {
  struct statfs fs;
  if (fstatfs(fd, &fs) != 0) return base::ErrnoError(errno, "statfs of a pin");
  return fs.f_type == NSFS_MAGIC;
}

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

// A mount namespace can be bound only into an older one, so that there are no
// loops. The kernel compares ids. Since Linux 6.18 every processor takes ids
// from a range of its own, and a newer namespace can have a smaller id (ELOOP).
// One that is made on the same processor as ours has a larger id: so each
// processor is tried.
absl::StatusOr<base::UniqueFd> MakePinned(const std::string& path) {
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

}  // namespace

absl::StatusOr<std::unique_ptr<MountNamespaces>> MountNamespaces::Open(
    const std::string& run_dir) {
  std::unique_ptr<MountNamespaces> result(new MountNamespaces);
  ASSIGN_OR_RETURN_IN(result->template_ns_,
                      MakeOnThread(&result->null_, kAnyCpu),
                      "make the template mount namespace");
  RETURN_IF_ERROR_IN(result->OpenPins(run_dir),
                     "open the pins mount namespace");
  return result;
}

absl::Status MountNamespaces::OpenPins(const std::string& run_dir) {
  ASSIGN_OR_RETURN(const base::UniqueFd directory,
                   base::OpenAt(AT_FDCWD, run_dir, O_PATH | O_DIRECTORY));
  ASSIGN_OR_RETURN(const std::string real_run_dir,
                   base::PathOfFd(directory.get()));
  pin_path_ = absl::StrCat(real_run_dir, "/", kPinFile);
  ASSIGN_OR_RETURN(
      std::optional<base::UniqueFd> found,
      base::ToLook(base::OpenAt(AT_FDCWD, pin_path_, O_RDONLY | O_NONBLOCK)));
  bool pinned = false;
  if (found.has_value()) {
    ASSIGN_OR_RETURN(pinned, IsNamespaceFile(found->get()));
  }
  if (pinned) {
    pins_ = *std::move(found);
  } else {
    // A private bind that a crash left without its pin.
    while (umount2(pin_path_.c_str(), MNT_DETACH) == 0) {
    }
    ASSIGN_OR_RETURN(pins_, MakePinned(pin_path_));
  }
  absl::Notification ready;
  absl::Status entered;
  thread_ = std::thread([this, &ready, &entered] {
    if (unshare(CLONE_FS) != 0 || setns(pins_.get(), CLONE_NEWNS) != 0) {
      entered = base::ErrnoError(errno, "enter");
    } else {
      auto root = base::OpenAt(AT_FDCWD, "/", O_PATH | O_DIRECTORY);
      entered = root.status();
      if (root.ok()) pins_root_ = *std::move(root);
    }
    const bool serve = entered.ok();
    ready.Notify();
    if (serve) Serve();
  });
  ready.WaitForNotification();
  return entered;
}

MountNamespaces::~MountNamespaces() {
  // Pins that cannot be listed may hold a pod.
  const auto pods = pins_root_.valid()
                        ? Pods()
                        : absl::UnavailableError("the pins were not opened");
  const bool unpin = pods.ok() && pods->empty();
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (thread_.joinable()) thread_.join();
  if (unpin) Unpin(pin_path_);
}

void MountNamespaces::Serve() {
  for (;;) {
    std::function<void()> work;
    {
      absl::MutexLock lock(&mutex_);
      const auto due = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return stopping_ || !queue_.empty();
      };
      mutex_.Await(absl::Condition(&due));
      if (queue_.empty()) return;
      work = std::move(queue_.front());
      queue_.pop_front();
    }
    work();
  }
}

absl::Status MountNamespaces::InPins(absl::FunctionRef<absl::Status()> work) {
  absl::Notification done;
  absl::Status result;
  {
    absl::MutexLock lock(&mutex_);
    queue_.push_back([&] {
      result = work();
      done.Notify();
    });
  }
  done.WaitForNotification();
  return result;
}

absl::StatusOr<base::UniqueFd> MountNamespaces::AddPod(const std::string& id,
                                                       int files_fd) {
  RETURN_IF_ERROR(RemovePod(id));
  base::UniqueFd directory;
  const absl::Status made = InPins([&]() -> absl::Status {
    const std::string path = "/" + id;
    if (mkdir(path.c_str(), 0700) != 0) return base::ErrnoError(errno, path);
    ASSIGN_OR_RETURN(
        const base::UniqueFd fs,
        base::NewFileSystem(
            "tmpfs", {{"mode", "0755"}, {"size", "64k"}, {"nr_inodes", "32"}},
            MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
    ASSIGN_OR_RETURN(const base::UniqueFd target,
                     base::OpenAt(AT_FDCWD, path, O_PATH | O_DIRECTORY));
    RETURN_IF_ERROR(base::AttachMount(fs.get(), target.get()));
    ASSIGN_OR_RETURN(directory,
                     base::OpenAt(AT_FDCWD, path, O_PATH | O_DIRECTORY));
    if (files_fd < 0) return absl::OkStatus();
    if (mkdirat(directory.get(), "files", 0700) != 0) {
      return base::ErrnoError(errno, "files");
    }
    ASSIGN_OR_RETURN(
        const base::UniqueFd files,
        base::OpenAt(directory.get(), "files", O_PATH | O_DIRECTORY));
    return base::AttachMount(files_fd, files.get());
  });
  if (!made.ok()) {
    RemovePod(id).IgnoreError();
    return base::Annotate(made, "make the pod's pin directory");
  }
  return directory;
}

absl::Status MountNamespaces::RemovePod(const std::string& id) {
  if (faccessat(pins_root_.get(), id.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) != 0) {
    if (base::ProvesAbsence(errno)) return absl::OkStatus();
    return base::ErrnoError(errno, "look for the pod's pins");
  }
  const absl::Status removed = InPins([&]() -> absl::Status {
    const std::string path = "/" + id;
    // EINVAL: nothing is mounted there (any more).
    while (umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
    }
    if (errno != EINVAL && errno != ENOENT) {
      return base::ErrnoError(errno, "umount");
    }
    if (rmdir(path.c_str()) != 0 && errno != ENOENT) {
      return base::ErrnoError(errno, "rmdir");
    }
    return absl::OkStatus();
  });
  return base::Annotate(removed, "drop the pod's pins");
}

absl::StatusOr<base::UniqueFd> MountNamespaces::OpenPin(
    const std::string& id, NamespaceKind kind) const {
  const char* name = InfoOf(kind).name;
  ASSIGN_OR_RETURN_IN(
      std::optional<base::UniqueFd> fd,
      base::ToLook(base::OpenAt(pins_root_.get(), absl::StrCat(id, "/", name),
                                O_RDONLY | O_NOFOLLOW | O_NONBLOCK)),
      absl::StrCat("open the pod's ", name, " namespace"));
  bool pinned = false;
  if (fd.has_value()) {
    ASSIGN_OR_RETURN(pinned, IsNamespaceFile(fd->get()));
  }
  if (!pinned) {
    return absl::FailedPreconditionError(
        absl::StrCat("the pod's ", name, " namespace is gone"));
  }
  return *std::move(fd);
}

absl::StatusOr<base::UniqueFd> MountNamespaces::Clone(const std::string& path) {
  base::UniqueFd tree;
  RETURN_IF_ERROR(InPins([&]() -> absl::Status {
    ASSIGN_OR_RETURN(tree, base::CloneTree(AT_FDCWD, path, false));
    return absl::OkStatus();
  }));
  return tree;
}

absl::StatusOr<base::UniqueFd> MountNamespaces::CloneShm(
    const std::string& id) {
  return Clone(absl::StrCat("/", id, "/shm"));
}

absl::StatusOr<base::UniqueFd> MountNamespaces::CloneProcfs(
    const std::string& id) {
  const std::string name = absl::StrCat(id, "/proc");
  if (faccessat(pins_root_.get(), name.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) !=
          0 &&
      base::ProvesAbsence(errno)) {
    return absl::NotFoundError("the pod's procfs was not kept");
  }
  return Clone(absl::StrCat("/", name));
}

absl::StatusOr<base::UniqueFd> MountNamespaces::CloneFile(
    const std::string& id, const std::string& name) {
  return Clone(absl::StrCat("/", id, "/files/", name));
}

absl::StatusOr<base::UniqueFd> MountNamespaces::CloneBelow(
    int mount_fd, const std::string& path) {
  // One at a time, by the thread. What a crash leaves is no pod's and is
  // removed as such.
  constexpr char kPlace[] = "/image";
  base::UniqueFd tree;
  RETURN_IF_ERROR(RemovePod(kPlace + 1));
  const absl::Status cloned = InPins([&]() -> absl::Status {
    if (mkdir(kPlace, 0700) != 0) return base::ErrnoError(errno, kPlace);
    ASSIGN_OR_RETURN(const base::UniqueFd target,
                     base::OpenAt(AT_FDCWD, kPlace, O_PATH | O_DIRECTORY));
    absl::Status status = base::AttachMount(mount_fd, target.get());
    if (status.ok()) {
      auto found = base::OpenInRoot(mount_fd, path, O_PATH);
      status = found.status();
      if (found.ok()) {
        auto copy = base::CloneTree(found->get(), "", false);
        status = copy.status();
        if (copy.ok()) tree = *std::move(copy);
      }
      if (umount2(kPlace, MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && status.ok()) {
        status = base::ErrnoError(errno, "take an image off");
      }
    }
    rmdir(kPlace);
    return status;
  });
  if (cloned.ok()) return tree;
  RemovePod(kPlace + 1).IgnoreError();  // or before the next one
  return cloned;
}

absl::StatusOr<std::vector<std::string>> MountNamespaces::Pods() const {
  return base::ListDir(pins_root_.get(), ".");
}

}  // namespace warren::runtime
