#include "runtime/devices/directory.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/base/file.h"
#include "runtime/base/mount_calls.h"
#include "runtime/base/status.h"

namespace warren::runtime {
namespace {

absl::Status SetOwner(int directory, const std::string& name, uint32_t uid,
                      uint32_t gid, uint32_t mode) {
  // The owner first: chown(2) clears set-id bits. No other process can reach
  // this file system yet.
  if (fchownat(directory, name.c_str(), uid, gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return base::ErrnoError(errno, absl::StrCat("chown ", name));
  }
  if (fchmodat(directory, name.c_str(), mode, 0) != 0) {
    return base::ErrnoError(errno, absl::StrCat("chmod ", name));
  }
  return absl::OkStatus();
}

// Opens the directory that `path` (relative) lies in, made where it is missing.
absl::StatusOr<base::UniqueFd> OpenParent(int root, absl::string_view path,
                                          uint32_t uid, uint32_t gid,
                                          std::string* name) {
  ASSIGN_OR_RETURN(base::UniqueFd directory,
                   base::OpenAt(root, ".", O_PATH | O_DIRECTORY));
  std::vector<std::string> parts = absl::StrSplit(path, '/', absl::SkipEmpty());
  *name = std::move(parts.back());
  parts.pop_back();
  for (const std::string& part : parts) {
    const bool made = mkdirat(directory.get(), part.c_str(), 0755) == 0;
    if (!made && errno != EEXIST) {
      return base::ErrnoError(errno, absl::StrCat("mkdir ", path));
    }
    if (made) RETURN_IF_ERROR(SetOwner(directory.get(), part, uid, gid, 0755));
    ASSIGN_OR_RETURN(
        directory,
        base::OpenAt(directory.get(), part, O_PATH | O_DIRECTORY | O_NOFOLLOW));
  }
  return directory;
}

absl::Status MakeNode(int directory, const std::string& name,
                      const DeviceNode& node) {
  const DeviceNumber& number = node.number;
  if (mknodat(directory, name.c_str(), number.type | 0600,
              makedev(number.major, number.minor)) != 0) {
    return base::ErrnoError(errno, "mknod");
  }
  return SetOwner(directory, name, node.uid, node.gid, node.mode);
}

}  // namespace

absl::StatusOr<base::UniqueFd> MakeDeviceDirectory(
    const std::string& path, const std::vector<DeviceNode>& nodes,
    uint32_t root_uid, uint32_t root_gid, uint64_t attributes,
    const std::string& label) {
  std::vector<base::FsParameter> parameters = {{"mode", "0755"},
                                               {"size", "65536k"},
                                               {"uid", absl::StrCat(root_uid)},
                                               {"gid", absl::StrCat(root_gid)}};
  if (!label.empty()) parameters.push_back({"context", label});
  ASSIGN_OR_RETURN(base::UniqueFd root,
                   base::NewFileSystem("tmpfs", parameters, attributes));
  for (const DeviceNode& node : nodes) {
    const std::string below = node.container_path.substr(path.size());
    std::string name;
    ASSIGN_OR_RETURN_IN(
        const base::UniqueFd directory,
        OpenParent(root.get(), below, root_uid, root_gid, &name),
        node.container_path);
    RETURN_IF_ERROR_IN(MakeNode(directory.get(), name, node),
                       absl::StrCat("device ", node.container_path));
  }
  return root;
}

}  // namespace warren::runtime
