#include "runtime/image/unpack/layer_tree.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "runtime/image/limits.h"
#include "runtime/image/tar_entry.h"
#include "runtime/image/unpack/inode.h"

namespace warren::image {
namespace {

constexpr int kWalkFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

// One walk: `todo_` is what is left of the path, the next component last.
class Walker {
 public:
  explicit Walker(int root, const std::vector<std::string>& parts)
      : root_(root),
        wanted_(absl::StrJoin(parts, "/")),
        todo_(parts.rbegin(), parts.rend()) {}

  absl::StatusOr<Walked> Walk();

 private:
  absl::Status Bad(absl::string_view why) const {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", Printable(wanted_), "\" ", why));
  }
  absl::Status Restart();
  absl::Status Up();
  absl::Status Enter(std::string name);
  absl::Status Follow(const std::string& name);

  const int root_;
  const std::string wanted_;
  std::vector<std::string> todo_;
  int links_ = 0;
  Walked at_;
};

absl::Status Walker::Restart() {
  at_ = Walked();
  ASSIGN_OR_RETURN(at_.directory, base::OpenBeneath(root_, ".", kWalkFlags));
  return absl::OkStatus();
}

// From the root once more, as the parent may be there where this is missing.
absl::Status Walker::Up() {
  std::vector<std::string> parts = std::move(at_.parts);
  if (!parts.empty()) parts.pop_back();
  todo_.insert(todo_.end(), std::make_move_iterator(parts.rbegin()),
               std::make_move_iterator(parts.rend()));
  return Restart();
}

absl::Status Walker::Follow(const std::string& name) {
  if (++links_ > kMaxLinks) return Bad("leads through too many links");
  char target[kMaxPathBytes];
  const ssize_t n =
      readlinkat(at_.directory.get(), name.c_str(), target, sizeof(target));
  if (n < 0) return FileError(errno, "read the link", wanted_);
  const absl::string_view text(target, static_cast<size_t>(n));
  if (absl::StartsWith(text, "/")) RETURN_IF_ERROR(Restart());
  const std::vector<std::string> parts =
      absl::StrSplit(text, '/', absl::SkipEmpty());
  todo_.insert(todo_.end(), parts.rbegin(), parts.rend());
  return absl::OkStatus();
}

absl::Status Walker::Enter(std::string name) {
  if (absl::StartsWith(name, kWhiteoutPrefix)) {
    return Bad("is below a whiteout");
  }
  if (at_.directory.valid()) {
    const int directory = at_.directory.get();
    at_.hidden = at_.hidden || IsOpaque(directory);
    struct stat st = {};
    const bool found =
        fstatat(directory, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (!found && errno != ENOENT) {
      return FileError(errno, "look at", wanted_);
    }
    if (found && S_ISLNK(st.st_mode)) return Follow(name);
    if (found && S_ISDIR(st.st_mode)) {
      ASSIGN_OR_RETURN(at_.directory,
                       base::OpenBeneath(directory, name, kWalkFlags));
    } else {
      if (found && !IsWhiteout(st)) {
        return Bad("goes through something that is no directory");
      }
      at_.hidden = at_.hidden || found;
      at_.directory.reset();
    }
  }
  at_.parts.push_back(std::move(name));
  return absl::OkStatus();
}

absl::StatusOr<Walked> Walker::Walk() {
  RETURN_IF_ERROR(Restart());
  for (int steps = 0; !todo_.empty(); ++steps) {
    if (steps == kMaxWalkSteps) return Bad("leads through too many parts");
    std::string name = std::move(todo_.back());
    todo_.pop_back();
    if (name == ".") continue;
    RETURN_IF_ERROR(name == ".." ? Up() : Enter(std::move(name)));
  }
  // With one more name it must stay a path that CleanPath takes.
  if (links_ > 0 &&
      (at_.parts.size() >= static_cast<size_t>(kMaxPathDepth) ||
       absl::StrJoin(at_.parts, "/").size() + kMaxNameBytes >= kMaxPathBytes)) {
    return Bad("leads too deep");
  }
  return std::move(at_);
}

// The first thing in the directory that cannot be removed at once, as it has
// something in it; "" when the directory is empty now.
absl::StatusOr<std::string> EmptyUntilFull(int directory) {
  alignas(dirent64) char buffer[32 << 10];
  for (;;) {
    // readdir(3) would need more calls than the filter allows.
    const long n = syscall(SYS_getdents64, directory, buffer, sizeof(buffer));
    if (n < 0) return base::ErrnoError(errno, "read a directory");
    if (n == 0) return std::string();
    for (long at = 0; at < n;) {
      const auto* entry = reinterpret_cast<const dirent64*>(buffer + at);
      at += entry->d_reclen;
      const std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      if (unlinkat(directory, name.c_str(), 0) == 0) continue;
      if (errno != EISDIR) return FileError(errno, "replace", name);
      if (unlinkat(directory, name.c_str(), AT_REMOVEDIR) == 0) continue;
      if (errno != ENOTEMPTY) return FileError(errno, "replace", name);
      return name;
    }
  }
}

absl::Status RemoveFullDirectory(int directory, const std::string& name) {
  std::vector<std::string> path = {name};
  while (!path.empty()) {
    // By path: no descriptor for each level. WalkLayer bounds its length.
    ASSIGN_OR_RETURN(
        base::UniqueFd inside,
        base::OpenBeneath(directory, absl::StrJoin(path, "/"), kWalkFlags));
    ASSIGN_OR_RETURN(std::string full, EmptyUntilFull(inside.get()));
    if (!full.empty()) {
      path.push_back(std::move(full));
      continue;
    }
    const std::string last = std::move(path.back());
    path.pop_back();
    base::UniqueFd above;
    if (!path.empty()) {
      ASSIGN_OR_RETURN(
          above,
          base::OpenBeneath(directory, absl::StrJoin(path, "/"), kWalkFlags));
    }
    if (unlinkat(path.empty() ? directory : above.get(), last.c_str(),
                 AT_REMOVEDIR) != 0) {
      return FileError(errno, "replace", last);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Walked> WalkLayer(int root,
                                 const std::vector<std::string>& parts) {
  return Walker(root, parts).Walk();
}

absl::Status RemoveAt(int directory, const std::string& name) {
  if (unlinkat(directory, name.c_str(), 0) == 0 || errno == ENOENT) {
    return absl::OkStatus();
  }
  if (errno != EISDIR) return FileError(errno, "replace", name);
  if (unlinkat(directory, name.c_str(), AT_REMOVEDIR) == 0) {
    return absl::OkStatus();
  }
  if (errno != ENOTEMPTY) return FileError(errno, "replace", name);
  return RemoveFullDirectory(directory, name);
}

}  // namespace warren::image
