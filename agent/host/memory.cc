#include "agent/host/memory.h"

#include <absl/base/thread_annotations.h>
#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>

#include "runtime/base/mutex.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"

namespace warren::agent {
namespace {

// How calls wake the thread; process-wide and never destroyed.
struct CallBell {
  std::atomic<bool> rung = false;
  base::Mutex mutex;
  base::Condition changed;  // rung, or ending
  bool ending ABSL_GUARDED_BY(mutex) = false;
};

CallBell& Bell() {
  static auto& bell = *new CallBell;
  return bell;
}

// False when the thread has to end.
bool AwaitCall() {
  CallBell& bell = Bell();
  const base::MutexLock lock(&bell.mutex);
  while (!bell.rung && !bell.ending) {
    bell.changed.Wait(&bell.mutex, base::Deadline::Never());
  }
  return !bell.ending;
}

bool Pause(absl::Duration pause) {
  CallBell& bell = Bell();
  const base::Deadline deadline = base::Deadline::After(pause);
  const base::MutexLock lock(&bell.mutex);
  while (!bell.ending && deadline.Check().ok()) {
    bell.changed.Wait(&bell.mutex, deadline);
  }
  return !bell.ending;
}

// Needs no memory itself. Nothing when the kernel does not tell.
MemoryUse ReadMemoryUse() {
  MemoryUse use;
  const base::UniqueFd statm(open("/proc/self/statm", O_RDONLY | O_CLOEXEC));
  char text[256] = {};
  if (!statm.valid() || read(statm.get(), text, sizeof(text) - 1) <= 0) {
    return use;
  }
  long long resident = 0;
  long long of_files = 0;
  if (sscanf(text, "%*d %lld %lld", &resident, &of_files) != 2) return use;
  const struct mallinfo2 heap = mallinfo2();
  use.resident = (resident - of_files) * sysconf(_SC_PAGESIZE);
  use.allocated = static_cast<int64_t>(heap.uordblks + heap.hblkhd);
  return use;
}

// Whether there was something to give.
bool GiveBack(TrimRule* rule) {
  if (!rule->Worth(ReadMemoryUse())) return false;
  malloc_trim(0);
  rule->Trimmed(ReadMemoryUse());
  return true;
}

}  // namespace

void BoundMemory() {
  mallopt(M_ARENA_MAX, kArenas);
  // Setting it also keeps it from growing.
  mallopt(M_MMAP_THRESHOLD, kOwnMappingBytes);
  mallopt(M_TRIM_THRESHOLD, kTopBytes);
}

bool TrimRule::Worth(const MemoryUse& now) {
  left_ = std::min(left_, now.Idle());
  return now.Idle() > left_ + kWorthBytes;
}

absl::StatusOr<std::unique_ptr<MemoryReturn>> MemoryReturn::Start() {
  std::unique_ptr<MemoryReturn> memory(new MemoryReturn);
  {
    const base::MutexLock lock(&Bell().mutex);
    Bell().ending = false;
  }
  pthread_t thread = {};
  const int error = pthread_create(&thread, nullptr, &Main, nullptr);
  if (error != 0) {
    return base::ErrnoError(error, "start a thread that gives memory back");
  }
  memory->thread_ = thread;
  return memory;
}

MemoryReturn::~MemoryReturn() {
  if (!thread_.has_value()) return;
  {
    const base::MutexLock lock(&Bell().mutex);
    Bell().ending = true;
    Bell().changed.NotifyAll();
  }
  pthread_join(*thread_, nullptr);
}

void MemoryReturn::CallEnded() {
  CallBell& bell = Bell();
  if (bell.rung || bell.rung.exchange(true)) return;
  const base::MutexLock lock(&bell.mutex);
  bell.changed.NotifyAll();
}

void* MemoryReturn::Main(void* /*unused*/) {
  TrimRule rule;
  while (AwaitCall()) {
    for (int quiet = 0; quiet < kQuietLooks;) {
      if (!Pause(kPeriod)) return nullptr;
      const bool called = Bell().rung.exchange(false);
      const bool given = GiveBack(&rule);
      quiet = called || given ? 0 : quiet + 1;
    }
  }
  return nullptr;
}

}  // namespace warren::agent
