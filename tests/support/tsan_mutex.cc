// Tells ThreadSanitizer what absl::Mutex does.
//
// Debian's Abseil is not built with it, and its Mutex waits by futex(2): no
// lock of ours would order anything, and all that they guard would be called a
// race. Programs of the tsan tree link these definitions, which stand before
// those of the shared library, do the same by calling them, and say what that
// orders. Only what the tree's code uses is here; a new way to wait belongs
// here, too.
#include <absl/synchronization/mutex.h>
#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#include <cstdio>
#include <cstdlib>

// Of the sanitizer's runtime; its header has no declaration of them.
extern "C" void AnnotateIgnoreReadsBegin(const char* file, int line);
extern "C" void AnnotateIgnoreReadsEnd(const char* file, int line);

namespace {

// The shared library's function of this mangled name.
template <typename Function>
Function* Next(const char* member) {
  char name[128];
  std::snprintf(name, sizeof(name), "_ZN4absl7debian3%s", member);
  void* found = dlsym(RTLD_NEXT, name);
  if (found == nullptr) {
    std::fprintf(stderr, "tsan: no %s: another Abseil?\n", name);
    std::abort();
  }
  return reinterpret_cast<Function*>(found);
}

// An unlock, or a wait, evaluates the conditions of others while the lock is
// still held: reads that this thread does after it has said to be done.
class IgnoredReads {
 public:
  IgnoredReads() { AnnotateIgnoreReadsBegin(__FILE__, __LINE__); }
  ~IgnoredReads() { AnnotateIgnoreReadsEnd(__FILE__, __LINE__); }
};

// Readers are ordered with writers, not with each other: what they leave is
// kept apart, for writers alone.
void* OfReaders(absl::Mutex* mutex) {
  return reinterpret_cast<char*>(mutex) + 1;
}

void AcquireAll(absl::Mutex* mutex) {
  __tsan_acquire(mutex);
  __tsan_acquire(OfReaders(mutex));
}

void Release(absl::Mutex* mutex, void* mark, void (*unlock)(absl::Mutex*)) {
  __tsan_release(mark);
  const IgnoredReads ignored;
  unlock(mutex);
}

}  // namespace

void absl::Mutex::Lock() {
  static auto* const next = Next<void(Mutex*)>("5Mutex4LockEv");
  next(this);
  AcquireAll(this);
}

void absl::Mutex::ReaderLock() {
  static auto* const next = Next<void(Mutex*)>("5Mutex10ReaderLockEv");
  next(this);
  __tsan_acquire(this);
}

bool absl::Mutex::TryLock() {
  static auto* const next = Next<bool(Mutex*)>("5Mutex7TryLockEv");
  const bool locked = next(this);
  if (locked) AcquireAll(this);
  return locked;
}

void absl::Mutex::Unlock() {
  static auto* const next = Next<void(Mutex*)>("5Mutex6UnlockEv");
  Release(this, this, next);
}

void absl::Mutex::ReaderUnlock() {
  static auto* const next = Next<void(Mutex*)>("5Mutex12ReaderUnlockEv");
  Release(this, OfReaders(this), next);
}

void absl::Mutex::Await(const Condition& condition) {
  static auto* const next =
      Next<void(Mutex*, const Condition&)>("5Mutex5AwaitERKNS0_9ConditionE");
  __tsan_release(this);
  {
    const IgnoredReads ignored;
    next(this, condition);
  }
  AcquireAll(this);
}

bool absl::Mutex::AwaitWithTimeout(const Condition& condition,
                                   Duration timeout) {
  static auto* const next = Next<bool(Mutex*, const Condition&, Duration)>(
      "5Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE");
  __tsan_release(this);
  bool held;
  {
    const IgnoredReads ignored;
    held = next(this, condition, timeout);
  }
  AcquireAll(this);
  return held;
}
