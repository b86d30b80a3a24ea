#include "tests/support/probe_cgroups.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <initializer_list>

namespace warren::test {
namespace {

bool Put(const char* path, const char* text) {
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  const bool put = fd >= 0 && write(fd, text, std::strlen(text)) ==
                                  static_cast<ssize_t>(std::strlen(text));
  if (!put) std::perror(path);
  if (fd >= 0) close(fd);
  return put;
}

}  // namespace

int EnterCgroupNamespace(char** command) {
  if (unshare(CLONE_NEWUSER | CLONE_NEWCGROUP | CLONE_NEWNS) != 0) {
    std::perror("unshare");
    return 1;
  }
  if (!Put("/proc/self/setgroups", "deny") ||
      !Put("/proc/self/uid_map", "0 0 1") ||
      !Put("/proc/self/gid_map", "0 0 1")) {
    return 1;
  }
  mkdir("/cg", 0755);
  if (mount("cg", "/cg", "tmpfs", 0, nullptr) != 0) {
    std::perror("mount /cg");
    return 1;
  }
  int mounted = 0;
  for (const char* name : {"cpu", "cpuacct", "cpuset", "memory", "devices",
                           "freezer", "blkio", "pids", "hugetlb", "unified"}) {
    const bool v2 = std::strcmp(name, "unified") == 0;
    char path[64];
    std::snprintf(path, sizeof(path), "/cg/%s", name);
    mkdir(path, 0755);
    if (mount("cg", path, v2 ? "cgroup2" : "cgroup", 0, v2 ? nullptr : name) ==
        0) {
      ++mounted;
    } else {
      rmdir(path);
    }
  }
  if (mounted == 0) {
    std::fputs("no hierarchy can be mounted\n", stderr);
    return 1;
  }
  execvp(command[0], command);
  std::perror(command[0]);
  return 1;
}

}  // namespace warren::test
