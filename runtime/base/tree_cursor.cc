#include "runtime/base/tree_cursor.h"

#include <absl/hash/hash.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/string_view.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/look.h"
#include "runtime/base/status.h"

namespace warren::base {
namespace {

constexpr size_t kNamesBytes = 8 << 10;
// Entries between two looks at the deadline.
constexpr unsigned kDeadlineStride = 256;

absl::StatusOr<UniqueFd> OpenBelow(int directory, const char* name) {
  open_how how = {};
  how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
  for (;;) {
    UniqueFd fd(static_cast<int>(
        syscall(SYS_openat2, directory, name, &how, sizeof(how))));
    if (fd.valid()) return fd;
    if (errno == EINTR || errno == EAGAIN) continue;
    return ErrnoError(errno, absl::StrCat("open ", name));
  }
}

uint64_t HashOf(const char* name) {
  return absl::Hash<absl::string_view>()(name);
}

bool IsDot(const char* name) {
  return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

absl::Status Moved() {
  return absl::AbortedError("the tree was changed while it was walked");
}

}  // namespace

absl::StatusOr<TreeCursor> TreeCursor::Make(UniqueFd top, Kind kind,
                                            Place place) {
  struct stat st;
  if (fstat(top.get(), &st) != 0) return ErrnoError(errno, "stat");
  return TreeCursor(std::move(top), st.st_dev, st.st_ino, kind, place);
}

TreeCursor::TreeCursor(UniqueFd top, dev_t device, uint64_t inode, Kind kind,
                       Place place)
    : kind_(kind),
      place_(place),
      device_(device),
      directory_(std::move(top)),
      inode_(inode),
      names_(new char[kNamesBytes]) {}

void TreeCursor::GoTo(UniqueFd directory, uint64_t inode) {
  directory_ = std::move(directory);
  inode_ = inode;
  filled_ = at_ = 0;
  before_ = after_ = 0;
}

absl::Status TreeCursor::Fill() {
  for (;;) {
    const ssize_t n = getdents64(directory_.get(), names_.get(), kNamesBytes);
    if (n < 0 && errno == EINTR) continue;
    // ENOENT: the directory was removed while it is open.
    if (n < 0 && errno != ENOENT) return ErrnoError(errno, "getdents");
    at_ = 0;
    filled_ = n < 0 ? 0 : static_cast<size_t>(n);
    return absl::OkStatus();
  }
}

absl::StatusOr<const TreeCursor::Entry*> TreeCursor::Next() {
  for (;;) {
    if (at_ == filled_) {
      RETURN_IF_ERROR(Fill());
      if (filled_ == 0) return nullptr;
    }
    const auto* entry = reinterpret_cast<const dirent64*>(names_.get() + at_);
    at_ += entry->d_reclen;
    before_ = after_;
    after_ = entry->d_off;
    if (IsDot(entry->d_name)) continue;
    entry_inode_ = entry->d_ino;
    entry_ = {entry->d_name, entry->d_type};
    return &entry_;
  }
}

absl::Status TreeCursor::Rewind() {
  if (lseek(directory_.get(), 0, SEEK_SET) != 0) {
    return ErrnoError(errno, "rewind");
  }
  filled_ = at_ = 0;
  before_ = after_ = 0;
  return absl::OkStatus();
}

absl::Status TreeCursor::Enter(const char* name) {
  if (levels_.size() == kMaxLevels && place_ == Place::kFiles) {
    return ErrnoError(ENAMETOOLONG, "too deep a tree");
  }
  ASSIGN_OR_RETURN(UniqueFd below, OpenBelow(directory_.get(), name));
  struct stat st;
  if (fstat(below.get(), &st) != 0) return ErrnoError(errno, "stat");
  if (st.st_dev != device_) return ErrnoError(EXDEV, name);
  if (levels_.size() == kMaxLevels) {
    levels_.pop_front();
    ++forgotten_;
  }
  levels_.push_back({inode_, HashOf(name), before_});
  GoTo(std::move(below), st.st_ino);
  return absl::OkStatus();
}

absl::Status TreeCursor::Leave() {
  const uint64_t child_inode = inode_;
  auto above = OpenAt(directory_.get(), "..", O_RDONLY | O_DIRECTORY);
  if (!above.ok()) {
    return ProvesAbsence(above.status()) ? Moved() : above.status();
  }
  struct stat st;
  if (fstat(above->get(), &st) != 0) return ErrnoError(errno, "stat");
  if (st.st_dev != device_) return Moved();
  if (levels_.empty()) {
    --forgotten_;
    GoTo(*std::move(above), st.st_ino);
    return Resume(nullptr, child_inode);
  }
  const Level level = levels_.back();
  levels_.pop_back();
  if (st.st_ino != level.inode) return Moved();
  GoTo(*std::move(above), st.st_ino);
  return Resume(&level, child_inode);
}

// Reads from `position` up to and including the entry that `matches`; false
// when it did not come, with `first_only` when it is not the first.
template <typename Matches>
absl::StatusOr<bool> TreeCursor::SkipTo(int64_t position, bool first_only,
                                        Matches matches) {
  if (lseek(directory_.get(), position, SEEK_SET) < 0) {
    return ErrnoError(errno, "seek");
  }
  filled_ = at_ = 0;
  after_ = position;
  for (;;) {
    ASSIGN_OR_RETURN(const Entry* const entry, Next());
    if (entry == nullptr) return false;
    if (matches(*entry)) return true;
    if (first_only) return false;
  }
}

absl::Status TreeCursor::Resume(const Level* level, uint64_t child_inode) {
  if (kind_ == Kind::kRemove) {
    if (level == nullptr) return absl::OkStatus();
    if (lseek(directory_.get(), level->position, SEEK_SET) < 0) {
      return ErrnoError(errno, "seek");
    }
    before_ = after_ = level->position;
    return absl::OkStatus();
  }
  const auto is_child = [&](const Entry& entry) {
    return level == nullptr ? entry_inode_ == child_inode
                            : HashOf(entry.name) == level->child;
  };
  if (level != nullptr) {
    ASSIGN_OR_RETURN(const bool found, SkipTo(level->position, true, is_child));
    if (found) return absl::OkStatus();
  }
  // A position of cgroupfs is the hash of a name. Names with the same hash can
  // be made at will, and one of them must not hide another.
  ASSIGN_OR_RETURN(const bool found, SkipTo(0, false, is_child));
  if (found) return absl::OkStatus();
  if (level == nullptr) return Moved();
  // It has gone meanwhile. Its directory is the one it was, so the rest
  // follows.
  if (lseek(directory_.get(), level->position, SEEK_SET) < 0) {
    return ErrnoError(errno, "seek");
  }
  filled_ = at_ = 0;
  before_ = after_ = level->position;
  return absl::OkStatus();
}

absl::Status WalkTree(
    UniqueFd top, TreeCursor::Place place, const Deadline& deadline,
    absl::FunctionRef<absl::StatusOr<bool>(const TreeCursor& cursor,
                                           const TreeCursor::Entry& entry)>
        visit) {
  ASSIGN_OR_RETURN(
      TreeCursor cursor,
      TreeCursor::Make(std::move(top), TreeCursor::Kind::kLook, place));
  for (unsigned turn = 1;; ++turn) {
    if (turn % kDeadlineStride == 0) RETURN_IF_ERROR(deadline.Check());
    ASSIGN_OR_RETURN(const TreeCursor::Entry* const entry, cursor.Next());
    if (entry == nullptr) {
      if (cursor.depth() == 0) return absl::OkStatus();
      RETURN_IF_ERROR(cursor.Leave());
      continue;
    }
    ASSIGN_OR_RETURN(const bool enter, visit(cursor, *entry));
    if (!enter) continue;
    const absl::Status entered = cursor.Enter(entry->name);
    const int error = GetErrno(entered);
    if (!ProvesAbsence(entered) && error != EXDEV && error != ELOOP) {
      RETURN_IF_ERROR(entered);
    }
  }
}

}  // namespace warren::base
