#include "runtime/base/adopted.h"

#include <absl/base/thread_annotations.h>
#include <absl/status/statusor.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <absl/synchronization/mutex.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <set>
#include <string>

#include "runtime/base/file.h"

namespace warren::base {
namespace {

constexpr size_t kListLimit = 1 << 20;  // some 100,000 children

struct Registry {
  // Shared by those who make a child, until it is in `own`: meanwhile nobody
  // may take it for an adopted one.
  absl::Mutex making;
  absl::Mutex mutex ABSL_ACQUIRED_AFTER(making);
  std::set<pid_t> own ABSL_GUARDED_BY(mutex);
};

Registry& TheRegistry() {
  static Registry* const registry = new Registry;
  return *registry;
}

// The kernel gives adopted ones to the first thread.
absl::StatusOr<std::string> ReadChildren() {
  return ReadFileAt(AT_FDCWD,
                    absl::StrCat("/proc/self/task/", getpid(), "/children"),
                    kListLimit);
}

}  // namespace

void KeepOwnChild(absl::FunctionRef<pid_t()> spawn) {
  Registry& r = TheRegistry();
  absl::ReaderMutexLock making(&r.making);
  const pid_t pid = spawn();
  absl::MutexLock lock(&r.mutex);
  if (pid > 0) r.own.insert(pid);
}

void ForgetOwnChild(absl::FunctionRef<pid_t()> reap) {
  Registry& r = TheRegistry();
  // Under the lock: once reaped, the number may be that of the next child.
  absl::MutexLock lock(&r.mutex);
  r.own.erase(reap());
}

void DisownChild(pid_t pid) {
  Registry& r = TheRegistry();
  absl::MutexLock lock(&r.mutex);
  r.own.erase(pid);
}

void ReapAdopted() {
  Registry& r = TheRegistry();
  absl::MutexLock making(&r.making);
  auto list = ReadChildren();
  if (!list.ok()) list = ReadChildren();
  // lint: allow absence: they are listed again after the next end
  if (!list.ok()) return;
  absl::MutexLock lock(&r.mutex);
  for (absl::string_view word :
       absl::StrSplit(*list, ' ', absl::SkipWhitespace())) {
    pid_t pid = 0;
    if (!absl::SimpleAtoi(word, &pid) || pid <= 0 || r.own.count(pid) != 0) {
      continue;
    }
    siginfo_t ignored = {};
    while (waitid(P_PID, static_cast<id_t>(pid), &ignored, WEXITED | WNOHANG) !=
               0 &&
           errno == EINTR) {
    }
  }
}

}  // namespace warren::base
