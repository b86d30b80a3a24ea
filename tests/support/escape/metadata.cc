#include "tests/support/escape/metadata.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <initializer_list>

namespace warren::escape {
namespace {

constexpr mode_t kMode = 0777;
constexpr uid_t kOwner = 1;

const char* Said(int result) {
  return result == 0 ? "OK" : strerrorname_np(errno);
}

// Through the path and through a descriptor of it, which may be another way;
// what worked either way is what counts.
const char* Either(const char* by_path, const char* by_descriptor) {
  return strcmp(by_descriptor, "OK") == 0 ? by_descriptor : by_path;
}

// The user's attributes are for files and directories only; a trusted one
// needs a capability of the host, a label of a security module another.
const char* SetAttribute(const char* path) {
  const char* said = "";
  for (const char* name : {"user.mine", "trusted.mine", "security.mine"}) {
    said = Said(setxattr(path, name, "x", 1, 0));
    if (strcmp(said, "OK") == 0 || strcmp(said, "EROFS") == 0) return said;
  }
  return said;
}

void Try(const char* path) {
  struct stat st;
  if (lstat(path, &st) != 0) {
    printf("%s missing\n", path);
    return;
  }
  const timespec times[2] = {{1000, 0}, {1000, 0}};
  const int place = open(path, O_PATH | O_CLOEXEC);
  char link[64];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", place);
  printf("%s chmod=%s chown=%s utimes=%s setxattr=%s\n", path,
         Either(Said(chmod(path, kMode)), Said(chmod(link, kMode))),
         Either(Said(chown(path, kOwner, kOwner)),
                Said(chown(link, kOwner, kOwner))),
         Either(Said(utimensat(AT_FDCWD, path, times, 0)),
                Said(utimensat(AT_FDCWD, link, times, 0))),
         SetAttribute(path));
  close(place);
}

void TryBelow(const char* directory) {
  DIR* dir = opendir(directory);
  if (dir == nullptr) return;
  while (const dirent* entry = readdir(dir)) {
    const char* name = entry->d_name;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) continue;
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    Try(path);
    if (entry->d_type == DT_DIR) TryBelow(path);
  }
  closedir(dir);
}

}  // namespace

int ChangeMetadata(int count, char** paths) {
  for (int i = 0; i < count; ++i) Try(paths[i]);
  for (int fd = 0; fd < 3; ++fd) {
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    Try(path);
    printf("%d fchmod=%s fchown=%s\n", fd, Said(fchmod(fd, kMode)),
           Said(fchown(fd, kOwner, kOwner)));
  }
  TryBelow("/dev");
  return 0;
}

}  // namespace warren::escape
