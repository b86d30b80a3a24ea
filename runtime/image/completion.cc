#include "runtime/image/completion.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <set>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "runtime/image/limits.h"
#include "runtime/image/tar_entry.h"

namespace warren::image {
namespace {

constexpr int kDirectoryOpen = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
constexpr mode_t kDefaultMode = 0755;

// What a directory hands on to one that no archive lists.
struct Likeness {
  uid_t uid = 0;
  gid_t gid = 0;
  mode_t mode = kDefaultMode;
  std::map<std::string, std::string> xattrs;  // "user.*"
  timespec mtime = {};                        // handed on, not compared

  bool IsDefault() const {
    return uid == 0 && gid == 0 && mode == kDefaultMode && xattrs.empty();
  }
};

absl::StatusOr<std::string> XattrOf(int directory, const std::string& name) {
  std::string value(kMaxXattrValueBytes, '\0');
  const ssize_t n =
      fgetxattr(directory, name.c_str(), value.data(), value.size());
  if (n < 0) return base::ErrnoError(errno, "read an extended attribute");
  value.resize(static_cast<size_t>(n));
  return value;
}

// The attributes that the unpacker keeps on directories.
absl::StatusOr<std::map<std::string, std::string>> XattrsOf(int directory) {
  std::map<std::string, std::string> xattrs;
  std::string names(kMaxXattrValueBytes, '\0');  // XATTR_LIST_MAX is the same
  const ssize_t n = flistxattr(directory, names.data(), names.size());
  if (n < 0 && errno == EOPNOTSUPP) return xattrs;
  if (n < 0) return base::ErrnoError(errno, "list extended attributes");
  names.resize(static_cast<size_t>(n));
  for (const absl::string_view view :
       absl::StrSplit(names, '\0', absl::SkipEmpty())) {
    const std::string name(view);
    if (!absl::StartsWith(name, "user.") ||
        absl::StartsWith(name, "user.overlay.")) {
      continue;
    }
    ASSIGN_OR_RETURN(xattrs[name], XattrOf(directory, name));
  }
  return xattrs;
}

absl::StatusOr<Likeness> LikenessOf(const LayerStack& stack, size_t layer,
                                    const std::string& path) {
  ASSIGN_OR_RETURN(
      const base::UniqueFd directory,
      base::OpenBeneath(stack.layer(layer).directory.get(),
                        path.empty() ? "." : path, kDirectoryOpen));
  struct stat st;
  if (fstat(directory.get(), &st) != 0) return base::ErrnoError(errno, "fstat");
  Likeness likeness;
  likeness.uid = st.st_uid;
  likeness.gid = st.st_gid;
  likeness.mode = st.st_mode & 07777;
  likeness.mtime = st.st_mtim;
  ASSIGN_OR_RETURN(likeness.xattrs, XattrsOf(directory.get()));
  return likeness;
}

class Planner {
 public:
  explicit Planner(const LayerStack& stack) : stack_(stack) {}
  absl::StatusOr<Completion> Plan();

 private:
  absl::Status CheckSize() const;
  absl::Status PlanDirectory(const std::string& path);
  absl::Status PlanLink(size_t layer, const std::string& path,
                        const std::string& target);
  // `path` and all above it, as they are in the whole tree.
  absl::Status AddDirectories(std::string path);
  void Remark(std::string sentence);

  const LayerStack& stack_;
  Completion result_;
  size_t remarks_ = 0;
};

absl::Status Planner::CheckSize() const {
  size_t bytes = 0;
  for (size_t i = 1; i < stack_.size(); ++i) {
    const Leanings& leanings = *stack_.layer(i).leanings;
    bytes += leanings.bytes();
  }
  if (bytes > kMaxStackLeaningBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the layers lean on each other in too many places: more "
                     "than ",
                     kMaxStackLeaningBytes, " bytes of names"));
  }
  return absl::OkStatus();
}

void Planner::Remark(std::string sentence) {
  if (++remarks_ <= kMaxRemarks) result_.remarks.push_back(std::move(sentence));
}

absl::Status Planner::AddDirectories(std::string path) {
  for (;;) {
    if (result_.directories.count(path) > 0) return absl::OkStatus();
    ASSIGN_OR_RETURN(const LayerStack::Origin origin, stack_.OriginOf(path));
    result_.directories.emplace(path, origin.source);
    if (path.empty()) return absl::OkStatus();
    path = SplitPath(path).first;
  }
}

absl::Status Planner::PlanDirectory(const std::string& path) {
  ASSIGN_OR_RETURN(const LayerStack::Origin origin, stack_.OriginOf(path));
  if (!origin.hidden_link.empty()) {
    Remark(absl::StrCat("the link \"", Printable(path), "\" to \"",
                        Printable(origin.hidden_link), "\" of layer ",
                        origin.link_layer + 1,
                        " is hidden by a directory: layer ", *origin.holder + 1,
                        " has members below that name, and neither the "
                        "directory nor the link itself"));
  }
  if (!origin.source.has_value() || origin.source == origin.holder) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const Likeness likeness,
                   LikenessOf(stack_, *origin.source, path));
  return likeness.IsDefault() ? absl::OkStatus() : AddDirectories(path);
}

absl::Status Planner::PlanLink(size_t layer, const std::string& path,
                               const std::string& target) {
  ASSIGN_OR_RETURN(auto file, stack_.FileBelow(layer, target));
  if (!file.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "layer ", layer + 1, " of ", stack_.size(), ": \"", Printable(path),
        "\" is a hard link to \"", Printable(target),
        "\", which is no file in it or in a layer below"));
  }
  ASSIGN_OR_RETURN(const bool covered, stack_.IsCovered(layer, path));
  if (covered) return absl::OkStatus();
  result_.links.emplace(path, *std::move(file));
  return AddDirectories(SplitPath(path).first);
}

absl::StatusOr<Completion> Planner::Plan() {
  RETURN_IF_ERROR(CheckSize());
  std::set<std::string> seen;
  for (size_t layer = 0; layer < stack_.size(); ++layer) {
    const Leanings& leanings = *stack_.layer(layer).leanings;
    for (const auto& [path, target] : leanings.links()) {
      RETURN_IF_ERROR(PlanLink(layer, path, target));
    }
    if (layer == 0) continue;  // nothing is below it
    for (const std::string& path : leanings.directories()) {
      if (seen.insert(path).second) RETURN_IF_ERROR(PlanDirectory(path));
    }
  }
  if (remarks_ > kMaxRemarks) {
    result_.remarks.back() =
        absl::StrCat(remarks_ - kMaxRemarks + 1, " further links are hidden");
  }
  return std::move(result_);
}

absl::Status ApplyLikeness(int directory, const Likeness& likeness) {
  if (fchown(directory, likeness.uid, likeness.gid) != 0 ||
      fchmod(directory, likeness.mode) != 0) {
    return base::ErrnoError(errno, "set the owner and mode of a directory");
  }
  for (const auto& [name, value] : likeness.xattrs) {
    if (fsetxattr(directory, name.c_str(), value.data(), value.size(), 0) !=
        0) {
      return base::ErrnoError(errno, "set an extended attribute");
    }
  }
  return absl::OkStatus();
}

absl::Status SetTime(int directory, const timespec& time) {
  const timespec times[2] = {time, time};
  if (futimens(directory, times) != 0) {
    return base::ErrnoError(errno, "set the time of a directory");
  }
  return absl::OkStatus();
}

absl::StatusOr<base::UniqueFd> OpenMade(int target, const std::string& path) {
  return base::OpenBeneath(target, path.empty() ? "." : path, kDirectoryOpen);
}

absl::Status MakeLink(const LayerStack& stack, const LayerStack::File& file,
                      const std::string& path, int target) {
  const auto [from, from_name] = SplitPath(file.path);
  const auto [to, to_name] = SplitPath(path);
  ASSIGN_OR_RETURN(const base::UniqueFd source,
                   OpenMade(stack.layer(file.layer).directory.get(), from));
  ASSIGN_OR_RETURN(const base::UniqueFd place, OpenMade(target, to));
  if (linkat(source.get(), from_name.c_str(), place.get(), to_name.c_str(),
             0) != 0) {
    return base::ErrnoError(errno, "link a file of a lower layer");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Completion> PlanCompletion(const LayerStack& stack) {
  return Planner(stack).Plan();
}

absl::StatusOr<LayerSize> MakeCompletion(const LayerStack& stack,
                                         const Completion& completion,
                                         int target) {
  constexpr uint64_t kBlock = 4096;
  LayerSize size;
  std::vector<std::pair<std::string, timespec>> times;
  // Sorted: what is above a directory comes before it.
  for (const auto& [path, layer] : completion.directories) {
    if (!path.empty()) {
      const auto [above, name] = SplitPath(path);
      ASSIGN_OR_RETURN(const base::UniqueFd parent, OpenMade(target, above));
      if (mkdirat(parent.get(), name.c_str(), 0700) != 0) {
        return base::ErrnoError(errno, "make a directory");
      }
    }
    Likeness likeness;
    if (layer.has_value()) {
      ASSIGN_OR_RETURN(likeness, LikenessOf(stack, *layer, path));
    }
    ASSIGN_OR_RETURN(const base::UniqueFd made, OpenMade(target, path));
    RETURN_IF_ERROR(ApplyLikeness(made.get(), likeness));
    times.emplace_back(path, likeness.mtime);
    size.bytes += kBlock;
    ++size.inodes;
  }
  for (const auto& [path, file] : completion.links) {
    RETURN_IF_ERROR(MakeLink(stack, file, path, target));
  }
  for (const auto& [path, time] : times) {
    ASSIGN_OR_RETURN(const base::UniqueFd made, OpenMade(target, path));
    RETURN_IF_ERROR(SetTime(made.get(), time));
  }
  return size;
}

Digest CompletionId(const std::vector<Digest>& diff_ids) {
  std::string text = "warren-completion 1";
  for (const Digest& diff_id : diff_ids) {
    absl::StrAppend(&text, "\n", diff_id.ToString());
  }
  return Digest::Of(text);
}

}  // namespace warren::image
