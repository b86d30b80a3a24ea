#include "tests/support/escape/rights.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace warren::escape {
namespace {

struct Status {
  bool read = false;
  uint64_t capabilities = 0;  // of all five sets together
  uint64_t bounding = 0;
  int seccomp = 0;
};

Status StatusOf(const char* path) {
  Status status;
  FILE* file = fopen(path, "re");
  if (file == nullptr) return status;
  char line[300];
  while (fgets(line, sizeof(line), file) != nullptr) {
    if (strncmp(line, "Cap", 3) == 0) {
      const uint64_t set = strtoull(line + 8, nullptr, 16);
      status.capabilities |= set;
      if (strncmp(line, "CapBnd", 6) == 0) status.bounding = set;
    }
    if (strncmp(line, "Seccomp:", 8) == 0) {
      status.seccomp = atoi(line + 8);
      status.read = true;
    }
  }
  fclose(file);
  return status;
}

bool IsThere(pid_t pid, const char* link, const char* below) {
  char path[1024];
  snprintf(path, sizeof(path), "/proc/%d/%s%s", pid, link, below);
  return access(path, F_OK) == 0;
}

}  // namespace

Own WhatIsOwn(const char* secret) {
  const Status status = StatusOf("/proc/self/status");
  return {status.bounding, status.seccomp, secret};
}

const char* MoreThanOwn(pid_t pid, const Own& own, char* detail, size_t size) {
  detail[0] = 0;
  char path[64];
  snprintf(path, sizeof(path), "/proc/%d/status", pid);
  const Status status = StatusOf(path);
  if (!status.read) return nullptr;  // it has ended
  if ((status.capabilities & ~own.bounding) != 0) {
    snprintf(detail, size, "%lx",
             static_cast<unsigned long>(status.capabilities));
    return "capabilities";
  }
  if (status.seccomp < own.seccomp) return "no-filter";
  snprintf(detail, size, "%s", own.secret);
  if (IsThere(pid, "root", own.secret) || IsThere(pid, "cwd", own.secret)) {
    return "root-of-the-node";
  }
  snprintf(detail, size, "no /bin/sh below its root");
  return IsThere(pid, "root", "/bin/sh") ? nullptr : "root";
}

}  // namespace warren::escape
