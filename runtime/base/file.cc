#include "runtime/base/file.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <memory>

#include "runtime/base/status.h"

#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020  // Linux 6.3
#endif

namespace warren::base {
namespace {

absl::StatusOr<UniqueFd> OpenAt2(int dirfd, const std::string& path, int flags,
                                 mode_t mode, uint64_t resolve) {
  open_how how = {};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? mode : 0;
  how.resolve = resolve;
  for (;;) {
    UniqueFd fd(static_cast<int>(
        syscall(SYS_openat2, dirfd, path.c_str(), &how, sizeof(how))));
    if (fd.valid()) return fd;
    // EAGAIN: a rename raced with "..", the kernel asks to try again.
    if (errno == EINTR || errno == EAGAIN) continue;
    return ErrnoError(errno, absl::StrCat("open ", path));
  }
}

using DirStream = std::unique_ptr<DIR, int (*)(DIR*)>;

absl::StatusOr<DirStream> OpenDirStream(UniqueFd fd) {
  DIR* dir = fdopendir(fd.get());
  if (dir == nullptr) return ErrnoError(errno, "fdopendir");
  (void)fd.release();
  return DirStream(dir, closedir);
}

absl::StatusOr<std::vector<std::string>> Names(UniqueFd fd) {
  ASSIGN_OR_RETURN(DirStream dir, OpenDirStream(std::move(fd)));
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = readdir(dir.get())) {
    const absl::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  if (errno != 0) return ErrnoError(errno, "readdir");
  return names;
}

}  // namespace

absl::StatusOr<UniqueFd> OpenAt(int dirfd, const std::string& path, int flags,
                                mode_t mode) {
  for (;;) {
    UniqueFd fd(openat(dirfd, path.c_str(), flags | O_CLOEXEC, mode));
    if (fd.valid()) return fd;
    if (errno != EINTR) return ErrnoError(errno, absl::StrCat("open ", path));
  }
}

absl::StatusOr<UniqueFd> OpenInRoot(int rootfd, const std::string& path,
                                    int flags, mode_t mode) {
  return OpenAt2(rootfd, path, flags, mode,
                 RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

absl::StatusOr<UniqueFd> OpenBeneath(int dirfd, const std::string& path,
                                     int flags, mode_t mode) {
  return OpenAt2(dirfd, path, flags, mode,
                 RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}

absl::StatusOr<UniqueFd> MakeDirs(int dirfd, const std::string& path,
                                  mode_t mode) {
  const bool absolute = !path.empty() && path[0] == '/';
  ASSIGN_OR_RETURN(UniqueFd current,
                   OpenAt(absolute ? AT_FDCWD : dirfd, absolute ? "/" : ".",
                          O_PATH | O_DIRECTORY));
  for (absl::string_view part : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    const std::string name(part);
    if (mkdirat(current.get(), name.c_str(), mode) != 0 && errno != EEXIST) {
      return ErrnoError(errno, absl::StrCat("mkdir ", path));
    }
    ASSIGN_OR_RETURN(current,
                     OpenAt(current.get(), name, O_PATH | O_DIRECTORY));
  }
  return current;
}

absl::StatusOr<std::string> ReadFd(int fd, size_t limit) {
  std::string data;
  char buffer[16 * 1024];
  for (;;) {
    const ssize_t n = read(fd, buffer, sizeof(buffer));
    if (n == 0) return data;
    if (n < 0) {
      if (errno == EINTR) continue;
      return ErrnoError(errno, "read");
    }
    if (data.size() + static_cast<size_t>(n) > limit) {
      return absl::ResourceExhaustedError(
          absl::StrCat("file is larger than ", limit, " bytes"));
    }
    data.append(buffer, static_cast<size_t>(n));
  }
}

absl::StatusOr<std::string> ReadFileAt(int dirfd, const std::string& path,
                                       size_t limit) {
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenAt(dirfd, path, O_RDONLY));
  ASSIGN_OR_RETURN_IN(std::string data, ReadFd(fd.get(), limit), path);
  return data;
}

absl::Status WriteFd(int fd, absl::string_view data) {
  while (!data.empty()) {
    const ssize_t n = write(fd, data.data(), data.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      return ErrnoError(errno, "write");
    }
    data.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

absl::Status WriteControlAt(int dirfd, const std::string& path,
                            absl::string_view data) {
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenAt(dirfd, path, O_WRONLY));
  for (;;) {
    if (write(fd.get(), data.data(), data.size()) >= 0) {
      return absl::OkStatus();
    }
    if (errno != EINTR) {
      return ErrnoError(errno, absl::StrCat("write ", path));
    }
  }
}

absl::Status WriteFileAtomic(int dirfd, const std::string& name,
                             absl::string_view data, mode_t mode,
                             bool durable) {
  static std::atomic<uint64_t> serial{0};
  const std::string temporary =
      absl::StrCat(".", name, ".", getpid(), ".", serial.fetch_add(1));
  ASSIGN_OR_RETURN(
      UniqueFd fd,
      OpenAt(dirfd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode));
  absl::Status status = WriteFd(fd.get(), data);
  if (status.ok() && durable && fsync(fd.get()) != 0) {
    status = ErrnoError(errno, "fsync");
  }
  if (status.ok() &&
      renameat(dirfd, temporary.c_str(), dirfd, name.c_str()) != 0) {
    status = ErrnoError(errno, "rename");
  }
  if (!status.ok()) {
    unlinkat(dirfd, temporary.c_str(), 0);
    return Annotate(status, absl::StrCat("write ", name));
  }
  if (durable) {
    ASSIGN_OR_RETURN(const UniqueFd dir,
                     OpenAt(dirfd, ".", O_RDONLY | O_DIRECTORY));
    if (fsync(dir.get()) != 0) return ErrnoError(errno, "fsync directory");
  }
  return absl::OkStatus();
}

void SpreadDirectories(int dirfd) {
  // Not every ioctl works on the O_PATH descriptor that it may be.
  auto dir = OpenAt(dirfd, ".", O_RDONLY | O_DIRECTORY);
  int flags = 0;
  if (!dir.ok() || ioctl(dir->get(), FS_IOC_GETFLAGS, &flags) != 0 ||
      (flags & FS_TOPDIR_FL) != 0) {
    return;
  }
  flags |= FS_TOPDIR_FL;
  ioctl(dir->get(), FS_IOC_SETFLAGS, &flags);
}

absl::StatusOr<std::vector<std::string>> ListDir(int dirfd,
                                                 const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(dirfd, path, O_RDONLY | O_DIRECTORY));
  return Names(std::move(fd));
}

absl::StatusOr<UniqueFd> SealedMemfd(const char* name, absl::string_view data,
                                     bool executable) {
  UniqueFd fd(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid()) return ErrnoError(errno, "memfd_create");
  RETURN_IF_ERROR(WriteFd(fd.get(), data));
  if (fchmod(fd.get(), executable ? 0500 : 0400) != 0) {
    return ErrnoError(errno, "fchmod memfd");
  }
  if (lseek(fd.get(), 0, SEEK_SET) != 0) return ErrnoError(errno, "lseek");
  // Whoever reaches it through /proc/<pid>/exe must not make it a file that
  // nobody can execute any more (FS-11). Before Linux 6.3 there is no such
  // seal.
  if (executable && fcntl(fd.get(), F_ADD_SEALS, F_SEAL_EXEC) != 0 &&
      errno != EINVAL) {
    return ErrnoError(errno, "seal memfd");
  }
  // EBUSY: somebody else holds a page at this moment (migration, DAMON); the
  // kernel has waited for a moment already (memfd_wait_for_pins).
  constexpr int kSeals =
      F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
  constexpr int kTries = 20;
  for (int tries = 1; fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0; ++tries) {
    if (errno != EBUSY || tries == kTries) {
      return ErrnoError(errno, "seal memfd");
    }
  }
  return fd;
}

absl::StatusOr<Pipe> MakePipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoError(errno, "pipe2");
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

absl::StatusOr<UniqueFd> DupFd(int fd) {
  UniqueFd copy(fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!copy.valid()) return ErrnoError(errno, "dup");
  return copy;
}

}  // namespace warren::base
