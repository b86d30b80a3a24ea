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
#include "runtime/namespaces/slim_namespace.h"
#include "runtime/namespaces/table.h"

namespace warren::runtime {
namespace {

constexpr char kPinFile[] = "pins.mnt";

absl::StatusOr<bool> IsNamespaceFile(int fd) {
  struct statfs fs;
  if (fstatfs(fd, &fs) != 0) return base::ErrnoError(errno, "statfs of a pin");
  return fs.f_type == NSFS_MAGIC;
}

}  // namespace

absl::StatusOr<std::unique_ptr<MountNamespaces>> MountNamespaces::Open(
    const std::string& run_dir) {
  std::unique_ptr<MountNamespaces> result(new MountNamespaces);
  ASSIGN_OR_RETURN_IN(result->template_ns_,
                      MakeTemplateNamespace(&result->null_),
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
    ASSIGN_OR_RETURN(pins_, MakePinsNamespace(pin_path_));
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
