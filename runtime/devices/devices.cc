#include "runtime/devices/devices.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/look.h"
#include "runtime/base/path.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"
#include "runtime/identity/id_map.h"

namespace warren::runtime {
namespace {

constexpr int kMaxDepth = 16;

bool IsDevice(const struct stat& st) {
  return S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode);
}

DeviceNode NodeOf(const struct stat& st, std::string container_path,
                  std::string host_path) {
  DeviceNode node;
  node.container_path = std::move(container_path);
  node.host_path = std::move(host_path);
  node.number = {st.st_mode & S_IFMT, major(st.st_rdev), minor(st.st_rdev)};
  node.mode = st.st_mode & 07777;
  node.uid = st.st_uid;
  node.gid = st.st_gid;
  return node;
}

absl::Status Bad(const DeviceRequest& request, absl::string_view what,
                 absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat(request.field, ".", what, ": ", why));
}

// All nodes below a directory, by descriptor and without following links.
class Walk {
 public:
  // `skip`: names right below the first directory.
  Walk(dev_t file_system, size_t limit, const std::set<std::string>& skip)
      : file_system_(file_system), limit_(limit), skip_(skip) {}

  // `directory` is open for reading. kResourceExhausted above the limit.
  absl::Status Add(int directory, const std::string& target,
                   const std::string& path, int depth = 0) {
    ASSIGN_OR_RETURN(std::vector<std::string> names,
                     base::ListDir(directory, "."));
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) {
      if (depth == 0 && skip_.count(name) != 0) continue;
      RETURN_IF_ERROR(AddOne(directory, name, absl::StrCat(target, "/", name),
                             absl::StrCat(path, "/", name), depth));
    }
    return absl::OkStatus();
  }

  std::vector<DeviceNode> nodes;

 private:
  absl::Status AddOne(int directory, const std::string& name,
                      const std::string& target, const std::string& path,
                      int depth) {
    struct stat st;
    // Gone meanwhile: it need not have been there.
    if (fstatat(directory, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      if (base::ProvesAbsence(errno)) return absl::OkStatus();
      return base::ErrnoError(errno, absl::StrCat("look at ", path));
    }
    if (IsDevice(st) && !IsReservedDeviceTarget(target)) {
      if (nodes.size() >= limit_) {
        return absl::ResourceExhaustedError(
            absl::StrCat("holds more than ", limit_, " devices"));
      }
      nodes.push_back(NodeOf(st, target, path));
      return absl::OkStatus();
    }
    if (!S_ISDIR(st.st_mode) || st.st_dev != file_system_ ||
        depth >= kMaxDepth) {
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(
        const std::optional<base::UniqueFd> sub,
        base::ToLook(base::OpenAt(directory, name,
                                  O_RDONLY | O_DIRECTORY | O_NOFOLLOW)));
    if (!sub.has_value()) return absl::OkStatus();  // removed meanwhile
    return Add(sub->get(), target, path, depth + 1);
  }

  const dev_t file_system_;
  const size_t limit_;
  const std::set<std::string>& skip_;
};

absl::StatusOr<std::vector<DeviceNode>> FromHost(const DeviceRequest& request,
                                                 const std::string& target) {
  const auto place = base::OpenAt(AT_FDCWD, request.host_path, O_PATH);
  if (!place.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat(request.field, ".host_path: ", place.status().message()));
  }
  struct stat st;
  if (fstat(place->get(), &st) != 0) {
    return base::ErrnoError(errno, request.host_path);
  }
  if (IsDevice(st)) {
    return std::vector<DeviceNode>{NodeOf(st, target, request.host_path)};
  }
  if (!S_ISDIR(st.st_mode)) {
    return Bad(request, "host_path", "is neither a device nor a directory");
  }
  ASSIGN_OR_RETURN_IN(const base::UniqueFd directory,
                      base::OpenAt(place->get(), ".", O_RDONLY | O_DIRECTORY),
                      absl::StrCat(request.field, ".host_path"));
  static const std::set<std::string> kNone;
  Walk walk(st.st_dev, kMaxDevices, kNone);
  const absl::Status walked =
      walk.Add(directory.get(), target == "/" ? "" : target, request.host_path);
  if (absl::IsResourceExhausted(walked)) {
    return Bad(request, "host_path", walked.message());
  }
  RETURN_IF_ERROR_IN(walked, absl::StrCat(request.field, ".host_path"));
  return std::move(walk.nodes);
}

absl::Status ApplyOwner(const DeviceRequest& request,
                        const SandboxSpec& sandbox, DeviceNode* node) {
  if (request.mode.has_value()) node->mode = *request.mode;
  if (request.uid.has_value()) {
    const auto uid = ToHostId(sandbox.uid_mappings, *request.uid);
    if (!uid.has_value()) {
      return Bad(request, "uid", "is not mapped in the pod's user namespace");
    }
    node->uid = *uid;
  }
  if (request.gid.has_value()) {
    const auto gid = ToHostId(sandbox.gid_mappings, *request.gid);
    if (!gid.has_value()) {
      return Bad(request, "gid", "is not mapped in the pod's user namespace");
    }
    node->gid = *gid;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<DeviceNode>> ResolveOne(const DeviceRequest& request,
                                                   const SandboxSpec& sandbox) {
  ASSIGN_OR_RETURN_IN(const std::string target,
                      base::CleanPath(request.container_path),
                      absl::StrCat(request.field, ".container_path"));
  std::vector<DeviceNode> nodes;
  if (request.number.has_value()) {
    const DeviceNumber& number = *request.number;
    nodes.push_back({target, "", number, 0666, 0, 0, kDeviceAll});
    nodes[0].uid = ToHostId(sandbox.uid_mappings, 0).value_or(0);
    nodes[0].gid = ToHostId(sandbox.gid_mappings, 0).value_or(0);
  } else {
    ASSIGN_OR_RETURN(nodes, FromHost(request, target));
  }
  for (DeviceNode& node : nodes) {
    if (IsReservedDeviceTarget(node.container_path)) {
      return Bad(request, "container_path",
                 absl::StrCat("\"", node.container_path,
                              "\" is reserved for the container's own files"));
    }
    if (request.type.value_or(node.number.type) != node.number.type) {
      return Bad(request, "host_path", "is a device of another type");
    }
    node.access = request.access;
    RETURN_IF_ERROR(ApplyOwner(request, sandbox, &node));
  }
  return nodes;
}

}  // namespace

absl::StatusOr<std::vector<DeviceNode>> ResolveDevices(
    const std::vector<DeviceRequest>& requests, const SandboxSpec& sandbox) {
  std::vector<DeviceNode> all;
  std::map<std::string, size_t> places;
  for (const DeviceRequest& request : requests) {
    ASSIGN_OR_RETURN(const std::vector<DeviceNode> nodes,
                     ResolveOne(request, sandbox));
    for (const DeviceNode& node : nodes) {
      const auto [place, fresh] =
          places.try_emplace(node.container_path, all.size());
      if (fresh) {
        if (all.size() >= kMaxDevices) {
          return Bad(request, "host_path",
                     absl::StrCat("with it there are more than ", kMaxDevices,
                                  " devices"));
        }
        all.push_back(node);
        continue;
      }
      DeviceNode& known = all[place->second];
      if (known.number != node.number) {
        return Bad(request, "container_path",
                   absl::StrCat("another device is at \"", node.container_path,
                                "\" already"));
      }
      known.access |= node.access;
    }
  }
  return all;
}

absl::StatusOr<std::vector<DeviceNode>> ListHostDevices() {
  // Each container has its own of these, and of all that is reserved.
  static const auto* const kSkip = new std::set<std::string>{
      "null", "zero", "full", "random", "urandom", "tty"};
  ASSIGN_OR_RETURN(const base::UniqueFd dev,
                   base::OpenAt(AT_FDCWD, "/dev", O_RDONLY | O_DIRECTORY));
  struct stat st;
  if (fstat(dev.get(), &st) != 0) return base::ErrnoError(errno, "/dev");
  Walk walk(st.st_dev, kMaxHostDevices, *kSkip);
  RETURN_IF_ERROR_IN(walk.Add(dev.get(), "/dev", "/dev"),
                     "privileged: devices of the host");
  return std::move(walk.nodes);
}

std::vector<DeviceNode> StandardDevices(const SandboxSpec& sandbox) {
  struct Device {
    const char* path;
    uint32_t major;
    uint32_t minor;
  };
  // Linux' admin-guide/devices.
  constexpr Device kDevices[] = {{"/dev/null", 1, 3},    {"/dev/zero", 1, 5},
                                 {"/dev/full", 1, 7},    {"/dev/random", 1, 8},
                                 {"/dev/urandom", 1, 9}, {"/dev/tty", 5, 0}};
  const uint32_t uid = ToHostId(sandbox.uid_mappings, 0).value_or(0);
  const uint32_t gid = ToHostId(sandbox.gid_mappings, 0).value_or(0);
  std::vector<DeviceNode> nodes;
  for (const Device& d : kDevices) {
    nodes.push_back({d.path,
                     d.path,
                     {S_IFCHR, d.major, d.minor},
                     0666,
                     uid,
                     gid,
                     kDeviceAll});
  }
  return nodes;
}

std::vector<DeviceNode> MergeDevices(std::vector<DeviceNode> below,
                                     const std::vector<DeviceNode>& above) {
  std::map<std::string, size_t> places;
  for (size_t i = 0; i < below.size(); ++i) {
    places[below[i].container_path] = i;
  }
  for (const DeviceNode& node : above) {
    const auto [place, fresh] =
        places.try_emplace(node.container_path, below.size());
    if (fresh) {
      below.push_back(node);
    } else {
      below[place->second] = node;
    }
  }
  return below;
}

bool IsReservedDeviceTarget(const std::string& path) {
  const auto at_or_below = [&](absl::string_view parent) {
    return absl::StartsWith(path, parent) &&
           (path.size() == parent.size() || path[parent.size()] == '/');
  };
  if (path == "/" || path == "/dev") return true;
  for (const char* own :
       {"/proc", "/sys", "/dev/fd", "/dev/stdin", "/dev/stdout", "/dev/stderr",
        "/dev/ptmx", "/dev/console", "/dev/pts", "/dev/shm", "/dev/mqueue"}) {
    if (at_or_below(own)) return true;
  }
  return false;
}

}  // namespace warren::runtime
