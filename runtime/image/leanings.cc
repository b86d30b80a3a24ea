#include "runtime/image/leanings.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <iterator>
#include <utility>
#include <vector>

#include "runtime/base/status.h"
#include "runtime/image/limits.h"
#include "runtime/image/tar_entry.h"

namespace warren::image {
namespace {

size_t DirectoryBytes(const std::string& path) { return path.size() + 2; }
size_t LinkBytes(const std::string& path, const std::string& target) {
  return path.size() + target.size() + 3;
}

absl::Status BadLeanings() {
  return absl::InvalidArgumentError("list of what a layer leans on is damaged");
}

// Takes one text that ends in NUL; it must be a clean path.
absl::StatusOr<std::string> TakePath(absl::string_view* text) {
  const size_t end = text->find('\0');
  if (end == absl::string_view::npos) return BadLeanings();
  const std::string path(text->substr(0, end));
  text->remove_prefix(end + 1);
  ASSIGN_OR_RETURN(const std::vector<std::string> parts, CleanPath(path));
  if (absl::StrJoin(parts, "/") != path) return BadLeanings();
  return path;
}

}  // namespace

absl::Status Leanings::Count(size_t bytes) {
  bytes_ += bytes;
  if (bytes_ > kMaxLeaningBytes ||
      directories_.size() + links_.size() > kMaxLeanings) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "layer has more than ", kMaxLeanings, " directories that it does not ",
        "list and links to files that it lacks, or ", kMaxLeaningBytes,
        " bytes of their names"));
  }
  return absl::OkStatus();
}

absl::Status Leanings::AddDirectory(const std::string& path) {
  if (!directories_.insert(path).second) return absl::OkStatus();
  return Count(DirectoryBytes(path));
}

absl::Status Leanings::AddLink(const std::string& path,
                               const std::string& target) {
  RemoveTree(path);
  links_.emplace(path, target);
  return Count(LinkBytes(path, target));
}

void Leanings::EraseDirectory(std::set<std::string>::iterator it) {
  bytes_ -= DirectoryBytes(*it);
  directories_.erase(it);
}

void Leanings::EraseLink(std::map<std::string, std::string>::iterator it) {
  bytes_ -= LinkBytes(it->first, it->second);
  links_.erase(it);
}

void Leanings::RemoveDirectory(const std::string& path) {
  const auto it = directories_.find(path);
  if (it != directories_.end()) EraseDirectory(it);
}

void Leanings::RemoveTree(const std::string& path) {
  RemoveDirectory(path);
  if (const auto it = links_.find(path); it != links_.end()) EraseLink(it);
  const std::string below = absl::StrCat(path, "/");
  for (auto it = directories_.lower_bound(below);
       it != directories_.end() && absl::StartsWith(*it, below);) {
    EraseDirectory(it++);
  }
  for (auto it = links_.lower_bound(below);
       it != links_.end() && absl::StartsWith(it->first, below);) {
    EraseLink(it++);
  }
}

std::optional<std::string> Leanings::LinkTarget(const std::string& path) const {
  const auto it = links_.find(path);
  if (it == links_.end()) return std::nullopt;
  return it->second;
}

std::string Leanings::Encode() const {
  const absl::string_view end("\0", 1);
  std::string text;
  text.reserve(bytes_);
  for (const std::string& path : directories_) {
    absl::StrAppend(&text, "d", path, end);
  }
  for (const auto& [path, target] : links_) {
    absl::StrAppend(&text, "l", path, end, target, end);
  }
  return text;
}

absl::StatusOr<Leanings> Leanings::Decode(absl::string_view text) {
  Leanings result;
  absl::string_view rest = text;
  while (!rest.empty()) {
    const char kind = rest.front();
    rest.remove_prefix(1);
    ASSIGN_OR_RETURN(const std::string path, TakePath(&rest));
    if (kind == 'd') {
      RETURN_IF_ERROR(result.AddDirectory(path));
    } else if (kind == 'l') {
      ASSIGN_OR_RETURN(const std::string target, TakePath(&rest));
      if (path.empty() || target.empty()) return BadLeanings();
      RETURN_IF_ERROR(result.AddLink(path, target));
    } else {
      return BadLeanings();
    }
  }
  // Also the order, and that nothing comes twice.
  if (result.Encode() != text) return BadLeanings();
  return result;
}

}  // namespace warren::image
