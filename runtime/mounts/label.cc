#include "runtime/mounts/label.h"

#include <absl/status/statusor.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "runtime/base/tree_cursor.h"
#include "runtime/base/unique_fd.h"

namespace warren::runtime {
namespace {

constexpr char kAttribute[] = "security.selinux";
constexpr size_t kMaxLabel = 4096;
// A pod that uses the volume can move a directory while a walk is in it.
constexpr int kAttempts = 20;

// Never labelled themselves; a directory below one may be a volume.
constexpr const char* kNodeDirectories[] = {"/",
                                            "/home",
                                            "/media",
                                            "/mnt",
                                            "/opt",
                                            "/root",
                                            "/run",
                                            "/srv",
                                            "/tmp",
                                            "/var",
                                            "/var/cache",
                                            "/var/lib",
                                            "/var/log",
                                            "/var/run",
                                            "/var/spool",
                                            "/var/tmp",
                                            "/var/lib/kubelet"};
// Never labelled, nor is anything in them.
constexpr const char* kNodeTrees[] = {"/bin",  "/boot",  "/dev",   "/etc",
                                      "/lib",  "/lib32", "/lib64", "/libx32",
                                      "/proc", "/sbin",  "/sys",   "/usr"};

// getxattr(2) and setxattr(2) by the name of a descriptor, because the f…()
// calls refuse one that is O_PATH. For a symlink this is the symlink itself:
// nothing is followed behind the descriptor.
std::string PathOf(int fd) { return absl::StrCat("/proc/self/fd/", fd); }

bool HasLabel(const std::string& path, const std::string& label) {
  char now[kMaxLabel];
  const ssize_t n = getxattr(path.c_str(), kAttribute, now, sizeof(now));
  // With or without a NUL at the end.
  return n >= 0 &&
         absl::string_view(now, strnlen(now, static_cast<size_t>(n))) == label;
}

// ENOTSUP included.
int SetLabel(int fd, const std::string& label) {
  const std::string path = PathOf(fd);
  if (HasLabel(path, label)) return 0;
  return setxattr(path.c_str(), kAttribute, label.c_str(), label.size() + 1,
                  0) == 0
             ? 0
             : errno;
}

absl::Status LabelError(int error) {
  if (error == 0 || error == ENOTSUP) return absl::OkStatus();
  if (error == EROFS) {
    return absl::FailedPreconditionError(
        "SELinux label: the file system is read-only");
  }
  return base::ErrnoError(error, "set the SELinux label");
}

// dirfd/name itself, on the same mount.
absl::StatusOr<base::UniqueFd> OpenEntry(int dirfd, const std::string& name) {
  open_how how = {};
  how.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV;
  const long fd = syscall(SYS_openat2, dirfd, name.c_str(), &how, sizeof(how));
  if (fd < 0) return base::ErrnoError(errno, "open");
  return base::UniqueFd(static_cast<int>(fd));
}

absl::StatusOr<bool> IsDirectory(int fd) {
  struct stat st;
  if (fstat(fd, &st) != 0) return base::ErrnoError(errno, "stat");
  return S_ISDIR(st.st_mode);
}

// Labels an entry; true when it is a directory.
absl::StatusOr<bool> LabelEntry(int directory, const std::string& name,
                                const std::string& label) {
  const auto entry = OpenEntry(directory, name);
  const int error = base::GetErrno(entry.status());
  // Gone, or another mount.
  if (error == ENOENT || error == EXDEV) return false;
  RETURN_IF_ERROR(entry.status());
  RETURN_IF_ERROR(LabelError(SetLabel(entry->get(), label)));
  return IsDirectory(entry->get());
}

absl::Status LabelContents(int place, const std::string& label,
                           size_t max_depth) {
  ASSIGN_OR_RETURN(base::UniqueFd top,
                   base::OpenAt(place, ".", O_RDONLY | O_DIRECTORY));
  return base::WalkTree(
      std::move(top), base::TreeCursor::Place::kFiles, base::Deadline::Never(),
      [&](const base::TreeCursor& cursor,
          const base::TreeCursor::Entry& entry) -> absl::StatusOr<bool> {
        ASSIGN_OR_RETURN_IN(const bool is_directory,
                            LabelEntry(cursor.directory(), entry.name, label),
                            entry.name);
        return is_directory && cursor.depth() + 1 < max_depth;
      });
}

bool SameFile(int fd, const char* path) {
  struct stat here, there;
  return fstat(fd, &here) == 0 && stat(path, &there) == 0 &&
         here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

absl::StatusOr<std::string> FoundAt(int fd) {
  char path[PATH_MAX];
  const ssize_t n = readlink(PathOf(fd).c_str(), path, sizeof(path));
  if (n < 0) return base::ErrnoError(errno, "readlink");
  return std::string(path, static_cast<size_t>(n));
}

bool IsBelow(absl::string_view path, absl::string_view directory) {
  return absl::StartsWith(path, absl::StrCat(directory, "/"));
}

}  // namespace

std::string FileLabelAt(absl::string_view process_label,
                        absl::string_view level) {
  if (process_label.empty()) return "";
  const absl::string_view user =
      process_label.substr(0, process_label.find(':'));
  return absl::StrCat(user, ":object_r:container_file_t:", level);
}

std::string FileLabel(absl::string_view process_label) {
  // The level has colons of its own.
  const std::vector<absl::string_view> parts =
      absl::StrSplit(process_label, absl::MaxSplits(':', 3));
  return FileLabelAt(process_label, parts.size() == 4 ? parts[3] : "s0");
}

absl::Status LabelFile(int fd, const std::string& label) {
  return LabelError(SetLabel(fd, label));
}

absl::Status LabelTree(int place, const std::string& label, int max_depth) {
  const int error = SetLabel(place, label);
  if (error == ENOTSUP) return absl::OkStatus();  // nor has what is in it
  RETURN_IF_ERROR(LabelError(error));
  ASSIGN_OR_RETURN(const bool is_directory, IsDirectory(place));
  if (!is_directory) return absl::OkStatus();
  for (int attempt = 1;; ++attempt) {
    const absl::Status labelled =
        LabelContents(place, label, static_cast<size_t>(max_depth));
    if (!absl::IsAborted(labelled) || attempt == kAttempts) return labelled;
  }
}

absl::Status CheckMayLabel(int place,
                           const std::vector<std::string>& own_directories) {
  ASSIGN_OR_RETURN(const std::string found, FoundAt(place));
  bool of_node = false;
  for (const char* directory : kNodeDirectories)
    of_node |= SameFile(place, directory);
  for (const char* tree : kNodeTrees) {
    of_node |= SameFile(place, tree) || IsBelow(found, tree);
  }
  for (const std::string& directory : own_directories) {
    ASSIGN_OR_RETURN(const base::UniqueFd own,
                     base::OpenAt(AT_FDCWD, directory, O_PATH));
    ASSIGN_OR_RETURN(const std::string at, FoundAt(own.get()));
    of_node |= SameFile(place, directory.c_str()) || IsBelow(found, at) ||
               IsBelow(at, found);
  }
  if (!of_node) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "selinux_relabel: \"", found, "\" belongs to the node itself"));
}

}  // namespace warren::runtime
