#include "runtime/base/mutex.h"

#include <gtest/gtest.h>

#include <thread>

namespace warren::base {
namespace {

TEST(Condition, AWaitEndsWithANotification) {
  Mutex mutex;
  Condition changed;
  bool done = false;
  std::thread other([&] {
    const MutexLock lock(&mutex);
    done = true;
    changed.NotifyAll();
  });
  {
    const MutexLock lock(&mutex);
    while (!done) changed.Wait(&mutex, Deadline::Never());
  }
  other.join();
}

TEST(Condition, AWaitEndsWithItsDeadline) {
  Mutex mutex;
  Condition changed;
  const Deadline deadline = Deadline::After(absl::Milliseconds(20));
  const MutexLock lock(&mutex);
  while (deadline.Check().ok()) changed.Wait(&mutex, deadline);
  EXPECT_EQ(deadline.Remaining(), absl::ZeroDuration());
}

TEST(Condition, AWaitNoticesACancellation) {
  Mutex mutex;
  Condition changed;
  int asked = 0;
  const Deadline deadline =
      Deadline::Never().CancelledBy([&] { return ++asked > 3; });
  const MutexLock lock(&mutex);
  while (deadline.Check().ok()) changed.Wait(&mutex, deadline);
  EXPECT_EQ(asked, 4);
}

}  // namespace
}  // namespace warren::base
