#ifndef WARREN_TESTS_SUPPORT_ESCAPE_ATTEMPTS_H_
#define WARREN_TESTS_SUPPORT_ESCAPE_ATTEMPTS_H_

#include <sys/types.h>

#include <span>

// The known ways out of a container, each tried for real by warren_escape_probe
// from inside. Static program, no library of ours; single-threaded.
namespace warren::escape {

// Things of the node that the test has laid out, told to the probe.
struct Target {
  pid_t pid = 0;              // a process of the node, in the node's numbers
  unsigned disk_major = 0;    // of the file system with the node's files
  unsigned disk_minor = 0;    // of the same
  const char* secret = "";    // absolute path of a file of the node
  key_t shm_key = 0;          // of a System V segment of the node
  const char* abstract = "";  // name of a listening abstract socket, without @
};

// 0: it worked, the container has got out or may break things outside. Else
// the errno of the call that refused. Runs in a child of its own.
struct Attempt {
  const char* name;
  int (*run)(const Target& target);
};

std::span<const Attempt> FileAttempts();     // files of proc, sys, dev
std::span<const Attempt> MountAttempts();    // mounts, roots, namespaces
std::span<const Attempt> ProcessAttempts();  // processes, IPC, sockets, keys
std::span<const Attempt> KernelAttempts();   // calls that change the kernel

// ---- What several of them use ----

// The errno of a call that returned `result`; 0 when it is not negative.
int Refusal(long result);
// open(2) with these flags, closed again.
int TryOpen(const char* path, int flags);
// Appends to an existing file what the kernel would take or ignore.
int TryWrite(const char* path, const char* text);
// ENODATA when the file opens but has nothing in it (a mask).
int TryRead(const char* path);

}  // namespace warren::escape

#endif  // WARREN_TESTS_SUPPORT_ESCAPE_ATTEMPTS_H_
