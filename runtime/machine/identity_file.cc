#include "runtime/machine/identity_file.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>

#include <optional>

#include "runtime/base/file.h"
#include "runtime/base/regular_file.h"
#include "runtime/base/status.h"
#include "warren/shim/v1/shim.pb.h"

namespace warren::runtime {
namespace {

constexpr char kIdentityFile[] = "identity.pb";
constexpr uint32_t kIdentityVersion = 1;
constexpr size_t kMaxIdentityBytes = 64 << 10;

}  // namespace

absl::Status SaveIdentity(const std::string& dir, const Identity& identity) {
  shim::v1::IdentityFile file;
  file.set_version(kIdentityVersion);
  file.set_cgroup(identity.cgroup.path);
  file.set_own_cgroup_parent(identity.cgroup.own_parent);
  file.set_inner_cgroup(identity.cgroup.inner);
  file.set_pod_init(identity.pod_init);
  ASSIGN_OR_RETURN(const base::UniqueFd fd,
                   base::OpenAt(AT_FDCWD, dir, O_PATH | O_DIRECTORY));
  return base::Annotate(base::WriteFileAtomic(fd.get(), kIdentityFile,
                                              file.SerializeAsString(), 0600),
                        absl::StrCat("write ", dir, "/", kIdentityFile));
}

base::Look<Identity> LoadIdentity(const std::string& dir) {
  const std::string path = absl::StrCat(dir, "/", kIdentityFile);
  ASSIGN_OR_RETURN_IN(
      const std::optional<std::string> text,
      base::ToLook(base::ReadRegularFileAt(AT_FDCWD, path, kMaxIdentityBytes)),
      path);
  if (!text.has_value()) return std::nullopt;
  shim::v1::IdentityFile file;
  if (!file.ParseFromString(*text) || file.version() != kIdentityVersion ||
      file.cgroup().empty()) {
    return absl::DataLossError(absl::StrCat(path, " cannot be read"));
  }
  Identity identity;
  identity.cgroup = {file.cgroup(), file.own_cgroup_parent()};
  identity.cgroup.inner = file.inner_cgroup();
  identity.pod_init = file.pod_init();
  return identity;
}

}  // namespace warren::runtime
