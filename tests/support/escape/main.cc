// warren_escape_probe [pid=N] [disk=MAJ:MIN] [secret=PATH] [shm=KEY]
// [abstract=NAME]: tries every known way out of a container and prints a line
// for each: its name and "OK" (it worked), the name of an errno, or the signal
// that ended it.
// warren_escape_probe hunt-programs|hunt|trace|rights=PATH, key-add NAME,
// key-find NAME: hunt.h; metadata PATH…: metadata.h.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/support/escape/attempts.h"
#include "tests/support/escape/hunt.h"
#include "tests/support/escape/metadata.h"

namespace warren::escape {

int Refusal(long result) { return result < 0 ? errno : 0; }

int TryOpen(const char* path, int flags) {
  const int fd = open(path, flags | O_CLOEXEC);
  if (fd < 0) return errno;
  close(fd);
  return 0;
}

int TryWrite(const char* path, const char* text) {
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  const int error = Refusal(write(fd, text, strlen(text)));
  close(fd);
  return error;
}

int TryRead(const char* path) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  char byte;
  const ssize_t n = read(fd, &byte, 1);
  const int error = n < 0 ? errno : n == 0 ? ENODATA : 0;
  close(fd);
  return error;
}

namespace {

constexpr unsigned kSecondsEach = 10;

Target ParseTarget(int argc, char** argv) {
  Target target;
  for (int i = 1; i < argc; ++i) {
    char* value = strchr(argv[i], '=');
    if (value == nullptr) continue;
    *value++ = 0;
    if (strcmp(argv[i], "pid") == 0) target.pid = atoi(value);
    if (strcmp(argv[i], "secret") == 0) target.secret = value;
    if (strcmp(argv[i], "shm") == 0) target.shm_key = atoi(value);
    if (strcmp(argv[i], "abstract") == 0) target.abstract = value;
    if (strcmp(argv[i], "disk") == 0) {
      sscanf(value, "%u:%u", &target.disk_major, &target.disk_minor);
    }
  }
  return target;
}

// A child of its own: some attempts change what this process is.
void Run(const Attempt& attempt, const Target& target) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(kSecondsEach);
    _exit(attempt.run(target));
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) {
    printf("%s LOST\n", attempt.name);
  } else if (WIFSIGNALED(status)) {
    printf("%s SIG%s\n", attempt.name, sigabbrev_np(WTERMSIG(status)));
  } else if (WEXITSTATUS(status) == 0) {
    printf("%s OK\n", attempt.name);
  } else {
    printf("%s %s\n", attempt.name, strerrorname_np(WEXITSTATUS(status)));
  }
}

int Main(int argc, char** argv) {
  setvbuf(stdout, nullptr, _IONBF, 0);
  if (argc == 2) {
    if (strcmp(argv[1], "hunt-programs") == 0) return Hunt(Prey::kPrograms);
    if (strcmp(argv[1], "hunt") == 0) return Hunt(Prey::kAll);
    if (strcmp(argv[1], "trace") == 0) return Hunt(Prey::kAllAndTrace);
    if (strncmp(argv[1], "rights=", 7) == 0) {
      return Hunt(Prey::kRights, argv[1] + 7);
    }
  }
  if (argc >= 2 && strcmp(argv[1], "metadata") == 0) {
    return ChangeMetadata(argc - 2, argv + 2);
  }
  if (argc == 3) {
    if (strcmp(argv[1], "key-add") == 0) return AddSessionKey(argv[2]);
    if (strcmp(argv[1], "key-find") == 0) return FindKey(argv[2]);
  }
  const Target target = ParseTarget(argc, argv);
  for (const auto attempts :
       {FileAttempts(), MountAttempts(), ProcessAttempts(), KernelAttempts()}) {
    for (const Attempt& attempt : attempts) Run(attempt, target);
  }
  return 0;
}

}  // namespace
}  // namespace warren::escape

int main(int argc, char** argv) { return warren::escape::Main(argc, argv); }
