#ifndef WARREN_TESTS_SUPPORT_ESCAPE_RIGHTS_H_
#define WARREN_TESTS_SUPPORT_ESCAPE_RIGHTS_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

// What a process of the container has beyond the container's own (EXE-2).
namespace warren::escape {

// What the container has, as this process sees it.
struct Own {
  uint64_t bounding = 0;    // capabilities
  int seccomp = 0;          // mode, as in /proc/<pid>/status
  const char* secret = "";  // absolute path of a file of the node
};
Own WhatIsOwn(const char* secret);

// Looks at a process that the caller has stopped: the node's file below its
// root and working directory, a root that is no container's, capabilities
// outside the bounding set, no filter where there is one. Null: nothing; else a
// word for it, and `detail` is filled.
const char* MoreThanOwn(pid_t pid, const Own& own, char* detail, size_t size);

}  // namespace warren::escape

#endif  // WARREN_TESTS_SUPPORT_ESCAPE_RIGHTS_H_
