#include "tests/kernel/shim_mounts.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "runtime/base/file.h"

namespace warren::test {

using base::UniqueFd;

void Must(bool ok, const char* what) {
  if (ok) return;
  fprintf(stderr, "test set-up: %s: %s\n", what, strerror(errno));
  abort();
}

void InMountNamespace(int mnt_ns_fd, const std::function<void()>& fn) {
  std::thread([&] {
    Must(unshare(CLONE_FS) == 0, "unshare fs");
    if (mnt_ns_fd >= 0) {
      Must(setns(mnt_ns_fd, CLONE_NEWNS) == 0, "setns mnt");
    } else {
      Must(unshare(CLONE_NEWNS) == 0, "unshare mnt");
      Must(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0,
           "make private");
    }
    fn();
  }).join();
}

namespace {

void PivotToTmpfs(const std::string& scratch) {
  Must(mount("tmpfs", scratch.c_str(), "tmpfs", 0, "mode=0755") == 0, "tmpfs");
  Must(chdir(scratch.c_str()) == 0, "chdir");
  Must(mkdir("proc", 0555) == 0 && mkdir("sys", 0555) == 0, "mkdir");
  Must(mount("proc", "proc", "proc", 0, nullptr) == 0, "proc");
  Must(mount("sysfs", "sys", "sysfs", 0, nullptr) == 0, "sysfs");
  Must(syscall(SYS_pivot_root, ".", ".") == 0, "pivot_root");
  Must(umount2(".", MNT_DETACH) == 0, "umount old root");
  Must(chdir("/") == 0, "chdir");
}

UniqueFd OwnMountNamespace() {
  UniqueFd fd(open("/proc/thread-self/ns/mnt", O_RDONLY | O_CLOEXEC));
  Must(fd.valid(), "open mnt namespace");
  return fd;
}

}  // namespace

UniqueFd MakeTemplate(const std::string& scratch, UniqueFd* null) {
  UniqueFd fd;
  InMountNamespace(-1, [&] {
    PivotToTmpfs(scratch);
    fd = OwnMountNamespace();
    Must(mkdir("/null", 0755) == 0 &&
             mount("tmpfs", "/null", "tmpfs", 0, nullptr) == 0 &&
             mkdir("/null/dev", 0755) == 0 &&
             mknod("/null/dev/null", S_IFCHR, makedev(1, 3)) == 0 &&
             chmod("/null/dev/null", 0666) == 0 &&
             mount(nullptr, "/null", nullptr, MS_REMOUNT | MS_RDONLY,
                   nullptr) == 0,
         "null device");
    const UniqueFd copy(
        open_tree(AT_FDCWD, "/null", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
    null->reset(openat(copy.get(), "dev/null", O_PATH | O_CLOEXEC));
    Must(null->valid(), "null device");
  });
  return fd;
}

UniqueFd CloneMount(int mnt_ns_fd, int dirfd, const std::string& path) {
  UniqueFd fd;
  InMountNamespace(mnt_ns_fd, [&] {
    fd.reset(
        open_tree(dirfd, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  });
  return fd;
}

UniqueFd MakePinNamespace(const std::string& scratch, UniqueFd* root) {
  UniqueFd fd;
  InMountNamespace(-1, [&] {
    PivotToTmpfs(scratch);
    fd = OwnMountNamespace();
    Must(umount("/sys") == 0 && umount("/proc") == 0, "umount");
    root->reset(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  });
  return fd;
}

UniqueFd MakeTmpfs(uint32_t owner) {
  const UniqueFd fs(fsopen("tmpfs", FSOPEN_CLOEXEC));
  const std::string id = std::to_string(owner);
  Must(fs.valid() &&
           fsconfig(fs.get(), FSCONFIG_SET_STRING, "mode", "0755", 0) == 0 &&
           fsconfig(fs.get(), FSCONFIG_SET_STRING, "uid", id.c_str(), 0) == 0 &&
           fsconfig(fs.get(), FSCONFIG_SET_STRING, "gid", id.c_str(), 0) == 0 &&
           fsconfig(fs.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0,
       "fsopen tmpfs");
  UniqueFd fd(fsmount(fs.get(), FSMOUNT_CLOEXEC, 0));
  Must(fd.valid(), "fsmount tmpfs");
  return fd;
}

void PutFile(int dir, const std::string& path, const std::string& data,
             uint32_t mode) {
  const size_t slash = path.rfind('/');
  if (slash != std::string::npos) {
    Must(base::MakeDirs(dir, path.substr(0, slash), 0755).ok(), "mkdir -p");
  }
  const auto fd = base::OpenAt(dir, path, O_WRONLY | O_CREAT | O_TRUNC, mode);
  Must(fd.ok() && base::WriteFd(fd->get(), data).ok(), path.c_str());
  Must(fchmod(fd->get(), mode) == 0, "fchmod");
}

UniqueFd MakeRootfs(uint32_t owner) {
  UniqueFd root = MakeTmpfs(owner);
  static const std::string* const kBusybox = [] {
    auto data = base::ReadFileAt(AT_FDCWD, "/bin/busybox", 16 << 20);
    Must(data.ok(), "/bin/busybox (package busybox-static)");
    return new std::string(*std::move(data));
  }();
  PutFile(root.get(), "bin/busybox", *kBusybox, 0755);
  for (const char* name :
       {"sh",    "cat",    "echo",     "ls",       "id",   "sleep",  "true",
        "false", "stat",   "grep",     "readlink", "head", "tail",   "wc",
        "seq",   "kill",   "hostname", "mount",    "dd",   "printf", "touch",
        "mkdir", "setsid", "ps",       "pwd",      "yes",  "tr",     "cut",
        "sort",  "chown",  "ln",       "rm",       "tty",  "stty"}) {
    const std::string path = std::string("bin/") + name;
    Must(symlinkat("busybox", root.get(), path.c_str()) == 0, "symlink");
  }
  for (const char* directory : {"etc", "tmp", "home"}) {
    Must(mkdirat(root.get(), directory, 0755) == 0, "mkdir");
  }
  for (const char* path : {"bin", "bin/busybox", "etc", "tmp", "home"}) {
    Must(fchownat(root.get(), path, owner, owner, 0) == 0, "chown");
  }
  return root;
}

}  // namespace warren::test
