// Preys on processes that enter the container: what an exec session or a
// neighbour's start is before its own program runs is Warren's, and out of
// reach (EXE-1, EXE-2).
#include "tests/support/escape/hunt.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/support/escape/rights.h"

namespace warren::escape {
namespace {

constexpr int kMaxCaught = 256;

// Counted over the whole hunt.
struct Bag {
  long seen = 0;     // looks at a process
  long foreign = 0;  // programs of Warren that could be opened (O_PATH)
  long hits = 0;     // what must never work
  long stopped = 0;  // kRights: stopped processes,
  long early = 0;    // and how many of them were Warren's still
  int caught[kMaxCaught] = {};
  int count = 0;
};

void Print(const Bag& bag) {
  printf("seen=%ld foreign=%ld hits=%ld stopped=%ld caught=%ld\n", bag.seen,
         bag.foreign, bag.hits, bag.stopped, bag.early);
}

void Hit(Bag* bag, pid_t pid, const char* what, const char* detail) {
  ++bag->hits;
  printf("HIT %d %s %s\n", pid, what, detail);
}

void PathOf(pid_t pid, const char* name, char (&path)[300]) {
  snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
}

// Does this link of procfs lead to a program of Warren, which no file system
// of the container has? `name` becomes what it leads to.
bool IsForeign(const char* path, char (&name)[300]) {
  const ssize_t n = readlink(path, name, sizeof(name) - 1);
  if (n <= 0) return false;
  name[n] = 0;
  return strstr(name, "memfd:") != nullptr ||
         strstr(name, "warren-shim") != nullptr;
}

// Keeps the program open for as long as there is room: it may be written to
// once nobody runs it any more.
void CatchProgram(Bag* bag, pid_t pid) {
  char name[300];
  char path[300];
  PathOf(pid, "exe", path);
  if (!IsForeign(path, name)) return;
  const int fd = open(path, O_PATH | O_CLOEXEC);
  if (fd < 0) return;
  // Between the two calls the process may have executed a program of the
  // container, which the container may well write to: what counts is the file
  // that was opened, and that cannot change any more.
  snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
  if (!IsForeign(path, name)) {
    close(fd);
    return;
  }
  ++bag->foreign;
  int& place = bag->caught[bag->count++ % kMaxCaught];
  if (place > 0) close(place);
  place = fd;
}

void WriteToCaught(Bag* bag) {
  for (int i = 0; i < kMaxCaught && i < bag->count; ++i) {
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", bag->caught[i]);
    char name[300];
    if (!IsForeign(path, name)) continue;  // for its name: it was one before
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) continue;
    if (write(fd, "#", 1) == 1) Hit(bag, 0, "written", name);
    if (ftruncate(fd, 0) == 0) Hit(bag, 0, "truncated", name);
    close(fd);
  }
}

// A stopped process cannot change what it is between two looks.
void Trace(Bag* bag, pid_t pid) {
  if (ptrace(PTRACE_SEIZE, pid, nullptr, nullptr) != 0) return;
  int status = 0;
  char name[300];
  char path[300];
  PathOf(pid, "exe", path);
  if (ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr) == 0 &&
      waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status)) {
    if (IsForeign(path, name)) Hit(bag, pid, "traced", name);
    ptrace(PTRACE_DETACH, pid, nullptr, nullptr);
  }
}

// Descriptors of a finished exec are pipes, a terminal and the null device.
void LookAtDescriptors(Bag* bag, pid_t pid) {
  char path[300];
  PathOf(pid, "fd", path);
  DIR* directory = opendir(path);
  if (directory == nullptr) return;
  while (const dirent* entry = readdir(directory)) {
    char link[300];
    const ssize_t n =
        readlinkat(dirfd(directory), entry->d_name, link, sizeof(link) - 1);
    if (n <= 0) continue;
    link[n] = 0;
    if (strncmp(link, "pipe:", 5) != 0 && strncmp(link, "/dev/", 5) != 0) {
      Hit(bag, pid, "descriptor", link);
    }
  }
  closedir(directory);
}

void LookAtEnvironment(Bag* bag, pid_t pid) {
  char path[300];
  PathOf(pid, "environ", path);
  char text[4096];
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  const ssize_t n = read(fd, text, sizeof(text));
  close(fd);
  if (n > 0 && memmem(text, n, "NOTIFY_SOCKET", 13) != nullptr) {
    Hit(bag, pid, "environ", "NOTIFY_SOCKET");
  }
}

// The same where it is permitted: what does the stopped process have?
void LookAtRights(Bag* bag, pid_t pid, const Own& own) {
  if (ptrace(PTRACE_SEIZE, pid, nullptr, nullptr) != 0) return;
  int status = 0;
  if (ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr) == 0 &&
      waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status)) {
    char name[300];
    char path[300];
    PathOf(pid, "exe", path);
    ++bag->stopped;
    if (IsForeign(path, name)) ++bag->early;
    char detail[200];
    const char* what = MoreThanOwn(pid, own, detail, sizeof(detail));
    if (what != nullptr) Hit(bag, pid, what, detail);
    LookAtDescriptors(bag, pid);
    LookAtEnvironment(bag, pid);
    ptrace(PTRACE_DETACH, pid, nullptr, nullptr);
  }
}

void Look(Bag* bag, pid_t pid, Prey prey, const Own& own) {
  ++bag->seen;
  if (prey == Prey::kRights) {
    LookAtRights(bag, pid, own);
    return;
  }
  CatchProgram(bag, pid);
  if (prey == Prey::kPrograms) return;
  LookAtDescriptors(bag, pid);
  LookAtEnvironment(bag, pid);
  if (prey == Prey::kAllAndTrace) Trace(bag, pid);
}

}  // namespace

int Hunt(Prey prey, const char* secret) {
  static Bag bag;
  const Own own = WhatIsOwn(secret);
  // Said whenever it has doubled: few lines, and whoever reads the log may
  // wait for a number.
  long told = 0;
  long told_foreign = 0;
  printf("ready\n");
  while (access("/stop", F_OK) != 0) {
    DIR* proc = opendir("/proc");
    if (proc == nullptr) return 1;
    while (const dirent* entry = readdir(proc)) {
      const pid_t pid = atoi(entry->d_name);
      // The container's own first process is a shell, and this is us.
      if (pid > 1 && pid != getpid()) Look(&bag, pid, prey, own);
    }
    closedir(proc);
    WriteToCaught(&bag);
    if (bag.seen >= 2 * told + 1 || bag.foreign >= 2 * told_foreign + 1) {
      told = bag.seen;
      told_foreign = bag.foreign;
      Print(bag);
    }
  }
  Print(bag);
  return 0;
}

int AddSessionKey(const char* name) {
  const long key =
      syscall(SYS_add_key, "user", name, "x", 1, KEY_SPEC_SESSION_KEYRING);
  printf("%s\n", key > 0 ? "added" : strerrorname_np(errno));
  return 0;
}

int FindKey(const char* name) {
  const long key = syscall(SYS_request_key, "user", name, nullptr, 0);
  printf("%s\n", key > 0 ? "found" : strerrorname_np(errno));
  return 0;
}

}  // namespace warren::escape
