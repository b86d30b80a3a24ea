#include "runtime/mounts/target_place.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/base/unique_fd.h"

namespace warren::runtime {
namespace {

constexpr int kMaxLinks = 40;  // path_resolution(7)

class Walk {
 public:
  Walk(int root_fd, const std::string& target) : root_fd_(root_fd) {
    ToRoot();
    Add(target);
  }

  // False: too many links.
  bool Run() {
    while (!to_come_.empty()) {
      const std::string part = std::move(to_come_.back());
      to_come_.pop_back();
      if (part == ".") continue;
      if (part == "..") {
        Up();
      } else if (!Enter(part)) {
        return false;
      }
    }
    return true;
  }
  std::string Place() const { return "/" + absl::StrJoin(names_, "/"); }

 private:
  void Add(const std::string& path) {
    const std::vector<std::string> parts =
        absl::StrSplit(path, '/', absl::SkipEmpty());
    to_come_.insert(to_come_.end(), parts.rbegin(), parts.rend());
  }

  void ToRoot() {
    names_.clear();
    missing_ = 0;
    Move(root_fd_, ".");
  }

  // Where that fails, nothing below it is looked at.
  void Move(int directory, const std::string& name) {
    auto next = base::OpenAt(directory, name, O_PATH | O_NOFOLLOW);
    current_ = next.ok() ? *std::move(next) : base::UniqueFd();
  }

  void Up() {
    if (names_.empty()) return;
    names_.pop_back();
    if (missing_ > 0) {
      --missing_;
    } else {
      Move(current_.get(), "..");
    }
  }

  bool Enter(const std::string& part) {
    base::UniqueFd next;
    if (missing_ == 0 && current_.valid()) {
      auto opened = base::OpenAt(current_.get(), part, O_PATH | O_NOFOLLOW);
      if (opened.ok()) next = *std::move(opened);
    }
    struct stat st;
    if (!next.valid() || fstat(next.get(), &st) != 0) {
      names_.push_back(part);
      ++missing_;
      return true;
    }
    if (S_ISLNK(st.st_mode)) return Follow(next.get());
    names_.push_back(part);
    current_ = std::move(next);
    return true;
  }

  bool Follow(int link) {
    if (++links_ > kMaxLinks) return false;
    char text[PATH_MAX];
    const ssize_t size = readlinkat(link, "", text, sizeof(text));
    if (size <= 0) return false;
    const std::string target(text, static_cast<size_t>(size));
    if (target[0] == '/') ToRoot();
    Add(target);
    return true;
  }

  const int root_fd_;
  base::UniqueFd current_;
  std::vector<std::string> names_;    // from the root to where it stands
  std::vector<std::string> to_come_;  // the next one last
  size_t missing_ = 0;                // of names_, the last ones
  int links_ = 0;
};

}  // namespace

std::string PlaceInRoot(int root_fd, const std::string& target) {
  Walk walk(root_fd, target);
  return walk.Run() ? walk.Place() : target;
}

}  // namespace warren::runtime
