#include "runtime/launch/exit_watcher.h"

#include <absl/synchronization/mutex.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "runtime/base/process.h"

namespace warren::runtime {
namespace {

base::Child EndsAtOnce() {
  base::SpawnOptions options;
  options.path = "/bin/true";
  options.args = {"true"};
  options.fds = {-1, -1, -1};
  auto child = base::Spawn(options);
  EXPECT_TRUE(child.ok()) << child.status();
  return child.ok() ? *std::move(child) : base::Child();
}

// What callbacks did.
class Calls {
 public:
  // One callback: counts, reaps, then waits while `hang` says so.
  ExitWatcher::Callback Make(bool hang) {
    return [this, hang](base::UniqueFd pidfd) {
      EXPECT_TRUE(base::Reap(pidfd.get()).ok());
      absl::MutexLock lock(&mutex_);
      ++calls_;
      if (hang) mutex_.Await(absl::Condition(&open_));
    };
  }
  void Await(int calls) {
    absl::MutexLock lock(&mutex_);
    const auto enough = [&] { return calls_ >= calls; };
    mutex_.Await(absl::Condition(&enough));
    EXPECT_EQ(calls_, calls) << "each end is told once";
  }
  void Open() {
    absl::MutexLock lock(&mutex_);
    open_ = true;
  }

 private:
  absl::Mutex mutex_;
  int calls_ ABSL_GUARDED_BY(mutex_) = 0;
  bool open_ ABSL_GUARDED_BY(mutex_) = false;
};

TEST(ExitWatcher, REL_11_ACallbackThatHangsHoldsUpNoOther) {
  Calls calls;
  auto watcher = ExitWatcher::Start();
  ASSERT_TRUE(watcher.ok()) << watcher.status();
  for (int i = 1; i < ExitWatcher::kThreads; ++i) {
    ASSERT_TRUE((*watcher)->Watch(EndsAtOnce().pidfd, calls.Make(true)).ok());
  }
  calls.Await(ExitWatcher::kThreads - 1);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE((*watcher)->Watch(EndsAtOnce().pidfd, calls.Make(false)).ok());
  }
  calls.Await(ExitWatcher::kThreads - 1 + 100);
  calls.Open();
}

TEST(ExitWatcher, ACallbackMayWatchAnotherProcess) {
  Calls calls;
  auto watcher = ExitWatcher::Start();
  ASSERT_TRUE(watcher.ok()) << watcher.status();
  base::UniqueFd next = EndsAtOnce().pidfd;
  const auto again = [&](base::UniqueFd pidfd) {
    EXPECT_TRUE(base::Reap(pidfd.get()).ok());
    EXPECT_TRUE((*watcher)->Watch(std::move(next), calls.Make(false)).ok());
  };
  ASSERT_TRUE((*watcher)->Watch(EndsAtOnce().pidfd, again).ok());
  calls.Await(1);
}

TEST(ExitWatcher, WhatCannotBeWatchedIsAnError) {
  auto watcher = ExitWatcher::Start();
  ASSERT_TRUE(watcher.ok()) << watcher.status();
  EXPECT_FALSE((*watcher)->Watch(base::UniqueFd(), [](base::UniqueFd) {}).ok());
}

}  // namespace
}  // namespace warren::runtime
