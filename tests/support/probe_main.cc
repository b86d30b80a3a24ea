// warren_test_probe: what e2e tests ask of the kernel from inside a container
// and busybox cannot. Static, no dependencies; one verb per run.
//   clocks      CLOCK_BOOTTIME and CLOCK_MONOTONIC in nanoseconds
//   ipc-make K  a shm segment, a semaphore set and a queue with key K
//   ipc-has K   "yes" or "no": is there a shm segment with key K?
//   eat M       touches M MiB of memory, then prints "full" and waits
//   nest D N    N directories, each in the one before, below the directory D
//   wide D N    N directories side by side in D
//   names D N   N files with names of 255 bytes in D
//   blocked     calls that the default seccomp profile blocks, and their errno
//   call N A…   one system call by number, and its errno
//   cgroups C…  the command C in a cgroup namespace of its own, in which every
//               hierarchy is mounted below /cg
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "tests/support/probe_calls.h"
#include "tests/support/probe_cgroups.h"

namespace {

long long Nanoseconds(clockid_t clock) {
  timespec now = {};
  clock_gettime(clock, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

int Clocks() {
  std::printf("%lld %lld\n", Nanoseconds(CLOCK_BOOTTIME),
              Nanoseconds(CLOCK_MONOTONIC));
  return 0;
}

int IpcMake(key_t key) {
  const bool made = shmget(key, 4096, IPC_CREAT | 0600) >= 0 &&
                    semget(key, 1, IPC_CREAT | 0600) >= 0 &&
                    msgget(key, IPC_CREAT | 0600) >= 0;
  if (!made) std::perror("ipc-make");
  return made ? 0 : 1;
}

int IpcHas(key_t key) {
  std::puts(shmget(key, 0, 0) >= 0 ? "yes" : "no");
  return 0;
}

int Eat(size_t mebibytes) {
  const size_t size = mebibytes << 20;
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 1;
  std::memset(memory, 1, size);
  std::puts("full");
  std::fflush(stdout);
  return pause();
}

// No path leads to what these make: by mkdir and chdir.
int Nest(const char* directory, long count) {
  if (chdir(directory) != 0) return 1;
  for (long i = 0; i < count; ++i) {
    if (mkdir("nested", 0755) != 0 || chdir("nested") != 0) {
      std::perror("nest");
      return 1;
    }
  }
  return 0;
}

int Fill(const char* directory, long count, bool with_directories) {
  if (chdir(directory) != 0) return 1;
  char name[256];
  for (long i = 0; i < count; ++i) {
    std::memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    const int n = std::snprintf(name, 32, "%ld", i);
    if (!with_directories) name[n] = '-';
    const int error =
        with_directories ? mkdir(name, 0755) : mknod(name, S_IFREG | 0644, 0);
    if (error != 0) {
      std::perror("fill");
      return 1;
    }
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const char* verb = argc > 1 ? argv[1] : "";
  const long number = argc > 2 ? std::strtol(argv[2], nullptr, 0) : 0;
  if (std::strcmp(verb, "clocks") == 0) return Clocks();
  if (std::strcmp(verb, "ipc-make") == 0) return IpcMake(number);
  if (std::strcmp(verb, "ipc-has") == 0) return IpcHas(number);
  if (std::strcmp(verb, "eat") == 0) return Eat(number);
  if (argc > 3 && std::strcmp(verb, "nest") == 0) {
    return Nest(argv[2], std::atol(argv[3]));
  }
  if (argc > 3 && std::strcmp(verb, "wide") == 0) {
    return Fill(argv[2], std::atol(argv[3]), true);
  }
  if (argc > 3 && std::strcmp(verb, "names") == 0) {
    return Fill(argv[2], std::atol(argv[3]), false);
  }
  if (std::strcmp(verb, "blocked") == 0) return warren::test::TryBlockedCalls();
  if (std::strcmp(verb, "call") == 0) {
    return warren::test::TryCall(argc - 2, argv + 2);
  }
  if (argc > 2 && std::strcmp(verb, "cgroups") == 0) {
    return warren::test::EnterCgroupNamespace(argv + 2);
  }
  std::fprintf(stderr, "unknown verb \"%s\"\n", verb);
  return 2;
}
