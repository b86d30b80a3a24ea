#include "runtime/shim/sysctl.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "runtime/base/unique_fd.h"

namespace warren::shim {
namespace {

int WriteOnce(int proc_fd, const std::string& path, const std::string& value) {
  open_how how = {};
  how.flags = O_WRONLY | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV |
                RESOLVE_NO_MAGICLINKS;
  const base::UniqueFd fd(static_cast<int>(
      syscall(SYS_openat2, proc_fd, path.c_str(), &how, sizeof(how))));
  if (!fd.valid()) return errno;
  return write(fd.get(), value.data(), value.size()) < 0 ? errno : 0;
}

}  // namespace

std::string SysctlPath(const std::string& name) {
  const size_t first = name.find_first_of("./");
  const char separator = first == std::string::npos ? '.' : name[first];
  std::string path = "sys/";
  bool only_dots = true;  // so far in this part
  for (const char c : name) {
    if (c == '\0') return "";
    if (c == separator) {
      if (only_dots) return "";
      path += '/';
      only_dots = true;
    } else {
      const char out = c == '/' ? '.' : c;
      only_dots = only_dots && out == '.';
      path += out;
    }
  }
  return only_dots ? "" : path;
}

Failure WriteSysctl(int proc_fd, const std::string& name,
                    const std::string& value, uint32_t root_uid) {
  const std::string path = SysctlPath(name);
  if (path.empty()) return Fail("sysctl", EINVAL, name);
  struct statfs fs;
  if (fstatfs(proc_fd, &fs) != 0) return Fail("sysctl", errno, name);
  if (fs.f_type != PROC_SUPER_MAGIC) return Fail("sysctl", EXDEV, name);
  int error = WriteOnce(proc_fd, path, value);
  if (error == EACCES && root_uid != 0) {
    if (syscall(SYS_setresuid, -1, root_uid, -1) != 0) {
      return Fail("sysctl", errno, name);
    }
    error = WriteOnce(proc_fd, path, value);
    // Without the way back nothing that follows would work as it must.
    if (syscall(SYS_setresuid, -1, 0, -1) != 0) abort();
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);  // a change of ids may have set it
  }
  return error == 0 ? Failure{} : Fail("sysctl", error, name);
}

}  // namespace warren::shim
