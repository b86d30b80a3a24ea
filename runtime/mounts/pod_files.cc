#include "runtime/mounts/pod_files.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/mount_calls.h"
#include "runtime/base/status.h"
#include "runtime/identity/id_map.h"

namespace warren::runtime {
namespace {

absl::Status WriteFile(int dir_fd, const char* name, const std::string& text,
                       uid_t uid, gid_t gid) {
  ASSIGN_OR_RETURN(
      const base::UniqueFd fd,
      base::OpenAt(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
                   0644));
  RETURN_IF_ERROR_IN(base::WriteFd(fd.get(), text), name);
  // 0644 whatever the daemon's umask: programs of any user read them.
  if (fchmod(fd.get(), 0644) != 0 || fchown(fd.get(), uid, gid) != 0) {
    return base::ErrnoError(errno, name);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<base::UniqueFd> MakePodFiles(const SandboxSpec& spec) {
  const std::pair<const char*, std::string> files[] = {
      {"hostname", absl::StrCat(spec.hostname, "\n")},
      {"hosts", spec.hosts},
      {"resolv.conf", spec.resolv_conf},
  };
  uint64_t size = kPodFilesSpare;
  for (const auto& [name, text] : files) size += text.size();
  // Inodes: the root, the files, and a few more, because extended attributes
  // count as well (tmpfs(5)).
  ASSIGN_OR_RETURN(
      base::UniqueFd fs,
      base::NewFileSystem(
          "tmpfs",
          {{"mode", "0755"}, {"size", absl::StrCat(size)}, {"nr_inodes", "8"}},
          MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
  const uid_t uid = ToHostId(spec.uid_mappings, 0).value_or(0);
  const gid_t gid = ToHostId(spec.gid_mappings, 0).value_or(0);
  for (const auto& [name, text] : files) {
    RETURN_IF_ERROR(WriteFile(fs.get(), name, text, uid, gid));
  }
  return fs;
}

}  // namespace warren::runtime
