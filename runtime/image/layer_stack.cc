#include "runtime/image/layer_stack.h"

#include <absl/strings/str_split.h>
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "runtime/image/unpack_protocol.h"

namespace warren::image {
namespace {

constexpr int kStackFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

absl::StatusOr<bool> HidesBelow(int directory) {
  char value = 0;
  const ssize_t n = fgetxattr(directory, kOpaqueXattr, &value, 1);
  if (n >= 0) return n == 1 && value == 'y';
  if (errno == ENODATA || errno == EOPNOTSUPP || errno == ERANGE) return false;
  return base::ErrnoError(errno, "look whether a directory is opaque");
}

}  // namespace

absl::StatusOr<std::string> ReadLinkAt(int directory, const std::string& name) {
  char target[PATH_MAX];
  const ssize_t n = readlinkat(directory, name.c_str(), target, sizeof(target));
  if (n < 0) return base::ErrnoError(errno, "read a link");
  return std::string(target, static_cast<size_t>(n));
}

std::pair<std::string, std::string> SplitPath(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {"", path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

absl::StatusOr<LayerStack::Sight> LayerStack::Look(
    size_t layer, const std::string& path) const {
  Sight sight;
  ASSIGN_OR_RETURN(
      sight.parent,
      base::OpenBeneath(layers_[layer].directory.get(), ".", kStackFlags));
  if (path.empty()) {
    if (fstat(sight.parent.get(), &sight.st) != 0) {
      return base::ErrnoError(errno, "look at the root of a layer");
    }
    sight.kind = Kind::kDirectory;
    return sight;
  }
  const std::vector<std::string> parts = absl::StrSplit(path, '/');
  for (size_t i = 0; i < parts.size(); ++i) {
    const int directory = sight.parent.get();
    ASSIGN_OR_RETURN(const bool opaque, HidesBelow(directory));
    sight.hides_below = sight.hides_below || opaque;
    if (fstatat(directory, parts[i].c_str(), &sight.st, AT_SYMLINK_NOFOLLOW) !=
        0) {
      if (errno != ENOENT) return base::ErrnoError(errno, "look into a layer");
      sight.kind = sight.hides_below ? Kind::kHidden : Kind::kAbsent;
      return sight;
    }
    const bool last = i + 1 == parts.size();
    const mode_t type = sight.st.st_mode & S_IFMT;
    const bool whiteout = type == S_IFCHR && sight.st.st_rdev == makedev(0, 0);
    if (whiteout || (!last && type != S_IFDIR)) {
      sight.kind = Kind::kHidden;
      return sight;
    }
    if (last) {
      sight.kind = type == S_IFDIR   ? Kind::kDirectory
                   : type == S_IFLNK ? Kind::kLink
                                     : Kind::kOther;
      return sight;
    }
    ASSIGN_OR_RETURN(sight.parent,
                     base::OpenBeneath(directory, parts[i], kStackFlags));
  }
  return sight;
}

absl::StatusOr<LayerStack::Origin> LayerStack::OriginOf(
    const std::string& path) const {
  Origin origin;
  for (size_t i = layers_.size(); i > 0; --i) {
    const size_t layer = i - 1;
    ASSIGN_OR_RETURN(const Sight sight, Look(layer, path));
    if (sight.kind == Kind::kAbsent) continue;
    if (sight.kind != Kind::kDirectory) {
      if (sight.kind == Kind::kLink && origin.holder.has_value()) {
        ASSIGN_OR_RETURN(
            origin.hidden_link,
            ReadLinkAt(sight.parent.get(), SplitPath(path).second));
        origin.link_layer = layer;
      }
      return origin;
    }
    if (!origin.holder.has_value()) origin.holder = layer;
    if (!layers_[layer].leanings->HasDirectory(path)) {
      origin.source = layer;
      return origin;
    }
    if (sight.hides_below) return origin;
  }
  return origin;
}

absl::StatusOr<std::optional<LayerStack::File>> LayerStack::FileBelow(
    size_t layer, std::string target) const {
  while (layer > 0) {
    --layer;
    ASSIGN_OR_RETURN(const Sight sight, Look(layer, target));
    if (sight.kind == Kind::kAbsent) continue;
    if (sight.kind != Kind::kLink && sight.kind != Kind::kOther) break;
    auto further = layers_[layer].leanings->LinkTarget(target);
    if (!further.has_value()) return File{layer, std::move(target)};
    target = *std::move(further);
  }
  return std::optional<File>();
}

absl::StatusOr<bool> LayerStack::IsCovered(size_t layer,
                                           const std::string& path) const {
  for (size_t above = layer + 1; above < layers_.size(); ++above) {
    ASSIGN_OR_RETURN(const Sight sight, Look(above, path));
    if (sight.kind != Kind::kAbsent) return true;
  }
  return false;
}

}  // namespace warren::image
