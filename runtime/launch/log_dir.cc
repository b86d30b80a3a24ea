#include "runtime/launch/log_dir.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <utility>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/base/path.h"
#include "runtime/base/status.h"

namespace warren::runtime {
namespace {

constexpr int kMaxLinks = 40;  // path_resolution(7)

// The directory `name` in `parent`, made with mode 0755 if it is missing.
absl::StatusOr<base::UniqueFd> MakeAndEnter(int parent,
                                            const std::string& name) {
  const bool made = mkdirat(parent, name.c_str(), 0755) == 0;
  if (!made && errno != EEXIST) {
    return base::ErrnoError(errno, absl::StrCat("mkdir ", name));
  }
  ASSIGN_OR_RETURN(
      base::UniqueFd fd,
      base::OpenAt(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  // Whatever the daemon's umask.
  if (made && fchmod(fd.get(), 0755) != 0) {
    return base::ErrnoError(errno, absl::StrCat("chmod ", name));
  }
  return fd;
}

// Whether only root can have made the symlink `link` in `parent`.
absl::StatusOr<bool> IsRootsOwn(int parent, const struct stat& link) {
  struct stat st;
  if (fstat(parent, &st) != 0) return base::ErrnoError(errno, "stat");
  return link.st_uid == 0 && st.st_uid == 0 &&
         (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

absl::StatusOr<std::string> TargetOf(int link) {
  std::string target(PATH_MAX, '\0');
  const ssize_t size = readlinkat(link, "", target.data(), target.size());
  if (size < 0) return base::ErrnoError(errno, "readlink");
  target.resize(static_cast<size_t>(size));
  return target;
}

// Walks an absolute path whose parts are still to come, the next one last.
class LogWalk {
 public:
  explicit LogWalk(absl::string_view path) { Add(path); }

  absl::StatusOr<base::UniqueFd> Run() {
    RETURN_IF_ERROR(ToRoot());
    while (!parts_.empty()) {
      const std::string part = std::move(parts_.back());
      parts_.pop_back();
      RETURN_IF_ERROR_IN(Enter(part), part);
    }
    return std::move(current_);
  }

 private:
  void Add(absl::string_view path) {
    std::vector<std::string> more =
        absl::StrSplit(path, '/', absl::SkipEmpty());
    parts_.insert(parts_.end(), more.rbegin(), more.rend());
  }

  absl::Status ToRoot() {
    ASSIGN_OR_RETURN(current_,
                     base::OpenAt(AT_FDCWD, "/", O_PATH | O_DIRECTORY));
    return absl::OkStatus();
  }

  absl::Status Enter(const std::string& part) {
    auto next = base::OpenAt(current_.get(), part, O_PATH | O_NOFOLLOW);
    if (base::GetErrno(next.status()) == ENOENT) {
      next = MakeAndEnter(current_.get(), part);
    }
    RETURN_IF_ERROR(next.status());
    struct stat st;
    if (fstat(next->get(), &st) != 0) return base::ErrnoError(errno, "stat");
    if (S_ISLNK(st.st_mode)) return Follow(next->get(), st);
    if (!S_ISDIR(st.st_mode)) return base::ErrnoError(ENOTDIR, "open");
    current_ = *std::move(next);
    return absl::OkStatus();
  }

  absl::Status Follow(int link, const struct stat& st) {
    ASSIGN_OR_RETURN(const bool ours, IsRootsOwn(current_.get(), st));
    if (!ours) {
      return absl::FailedPreconditionError(
          "is a symlink that others than root can have made");
    }
    if (++links_ > kMaxLinks) return base::ErrnoError(ELOOP, "open");
    ASSIGN_OR_RETURN(const std::string target, TargetOf(link));
    Add(target);
    return target[0] == '/' ? ToRoot() : absl::OkStatus();
  }

  base::UniqueFd current_;
  std::vector<std::string> parts_;
  int links_ = 0;
};

absl::StatusOr<base::UniqueFd> OpenLogDirectory(const std::string& path) {
  auto directory = LogWalk(path).Run();
  if (directory.ok()) return directory;
  return base::Annotate(directory.status(),
                        absl::StrCat("log_directory ", path));
}

}  // namespace

absl::Status CheckLogPath(const std::string& log_directory,
                          const std::string& log_path) {
  if (log_directory.empty() || log_path.empty()) return absl::OkStatus();
  RETURN_IF_ERROR_IN(base::CleanPath(log_directory).status(), "log_directory");
  if (log_path[0] == '/' || log_path.back() == '/' ||
      log_path.find('\0') != std::string::npos || log_path.size() > 4000) {
    return absl::InvalidArgumentError(
        "log_path: not the relative path of a file");
  }
  for (absl::string_view part : absl::StrSplit(log_path, '/')) {
    if (part.empty() || part == "." || part == ".." || part.size() > 255) {
      return absl::InvalidArgumentError(
          "log_path: \".\", \"..\" and empty parts are not allowed");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<LogPlace> OpenLogPlace(const std::string& log_directory,
                                      const std::string& log_path) {
  LogPlace place;
  if (log_directory.empty() || log_path.empty()) return place;
  RETURN_IF_ERROR(CheckLogPath(log_directory, log_path));
  ASSIGN_OR_RETURN(place.dir, OpenLogDirectory(log_directory));
  std::vector<std::string> parts = absl::StrSplit(log_path, '/');
  place.name = parts.back();
  parts.pop_back();
  for (const std::string& part : parts) {
    ASSIGN_OR_RETURN_IN(place.dir, MakeAndEnter(place.dir.get(), part),
                        log_path);
  }
  return place;
}

}  // namespace warren::runtime
