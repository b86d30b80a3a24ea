#ifndef WARREN_RUNTIME_INIT_TARGET_H_
#define WARREN_RUNTIME_INIT_TARGET_H_

#include <sys/types.h>

// Paths of the container, opened inside its root only (FS-1). Every function
// returns 0 or errno. Async-signal-safe, no allocation.
namespace warren::init {

struct TargetOptions {
  bool create = false;    // make what is missing, directories 0755
  bool is_file = false;   // what the last component becomes: file or directory
  bool no_links = false;  // ELOOP when any component is a symlink (FS-2)
};

// Opens `path` below `root` as if that were "/", O_PATH. Symlinks stay inside
// the root; links of procfs that lead elsewhere are refused (ELOOP). With
// `create` a dangling symlink is followed to where it points inside the root
// and that is made.
int OpenTarget(int root, const char* path, const TargetOptions& options,
               int* fd);

// Splits "…/name": the directory is opened as by OpenTarget (made when
// missing),
// `*name` points into `path`. EINVAL for names like "", "." and "..".
int OpenParent(int root, const char* path, bool no_links, int* fd,
               const char** name);

// openat2(2) with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS and `resolve`.
// Returns a descriptor or -1 with errno.
int OpenInside(int root, const char* path, int flags, unsigned long resolve);

}  // namespace warren::init

#endif  // WARREN_RUNTIME_INIT_TARGET_H_
