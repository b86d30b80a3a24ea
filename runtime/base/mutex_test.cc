#include "runtime/base/mutex.h"

#include <gtest/gtest.h>

#include <stop_token>
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

TEST(Condition, REL_12_AWaitEndsAtOnceWithAStop) {
  for (int round = 0; round < 200; ++round) {
    Mutex mutex;
    Condition changed;
    std::stop_source source;
    const Deadline deadline =
        Deadline::After(absl::Hours(1)).CancelledBy(source.get_token());
    EXPECT_EQ(deadline.Slice() > absl::Minutes(1), true) << "it would poll";
    std::thread other([&] { source.request_stop(); });
    {
      const MutexLock lock(&mutex);
      while (deadline.Check().ok()) changed.Wait(&mutex, deadline);
    }
    EXPECT_TRUE(absl::IsCancelled(deadline.Check()));
    other.join();
  }
}

}  // namespace
}  // namespace warren::base
