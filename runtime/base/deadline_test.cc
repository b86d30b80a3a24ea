#include "runtime/base/deadline.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/unique_fd.h"

namespace warren::base {
namespace {

TEST(Deadline, NeverHasNoEnd) {
  const Deadline never = Deadline::Never();
  EXPECT_EQ(never.Remaining(), absl::InfiniteDuration());
  EXPECT_EQ(never.PollMilliseconds(), -1);
  EXPECT_TRUE(never.Check().ok());
  EXPECT_EQ(Deadline::After(absl::InfiniteDuration()).monotonic_ns(),
            INT64_MAX);
}

TEST(Deadline, TheEarlierOfTwoCounts) {
  const Deadline soon = Deadline::After(absl::Hours(2)).Within(absl::Hours(1));
  EXPECT_LE(soon.Remaining(), absl::Hours(1));
  EXPECT_GT(soon.Remaining(), absl::Minutes(30));
  EXPECT_LE(soon.Within(absl::Hours(9)).Remaining(), absl::Hours(1));
}

TEST(Deadline, ThePastIsOver) {
  for (const Deadline& over :
       {Deadline::After(-absl::Hours(1)), Deadline::After(absl::ZeroDuration()),
        Deadline::At(1), Deadline::After(-absl::InfiniteDuration())}) {
    EXPECT_EQ(over.Remaining(), absl::ZeroDuration());
    EXPECT_TRUE(absl::IsDeadlineExceeded(over.Check()));
    EXPECT_EQ(over.PollMilliseconds(), 0);
  }
}

TEST(Deadline, IsCancelledByAnyOfThem) {
  bool first = false;
  bool second = false;
  const Deadline deadline = Deadline::Never()
                                .CancelledBy([&] { return first; })
                                .CancelledBy(nullptr)
                                .CancelledBy([&] { return second; });
  EXPECT_TRUE(deadline.Check().ok());
  EXPECT_EQ(deadline.Slice(), Deadline::kCancelPoll);
  second = true;
  EXPECT_TRUE(absl::IsCancelled(deadline.Check()));
  second = false;
  first = true;
  EXPECT_TRUE(absl::IsCancelled(deadline.Within(absl::Hours(1)).Check()));
}

TEST(Deadline, ALastMillisecondIsNotASpin) {
  const Deadline short_one =
      Deadline::At(SystemClock().MonotonicNow() + 400'000);
  EXPECT_LE(short_one.PollMilliseconds(), 1);
  EXPECT_EQ(Deadline::After(absl::Hours(2000)).PollMilliseconds(), INT32_MAX);
}

TEST(Deadline, AwaitFdReturnsWhatCameFirst) {
  const UniqueFd event(eventfd(0, EFD_CLOEXEC));
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      AwaitFd(event.get(), POLLIN, Deadline::After(absl::Milliseconds(5)))));
  EXPECT_TRUE(absl::IsCancelled(
      AwaitFd(event.get(), POLLIN,
              Deadline::Never().CancelledBy([] { return true; }))));
  const uint64_t one = 1;
  ASSERT_EQ(write(event.get(), &one, sizeof(one)), ssize_t{sizeof(one)});
  EXPECT_TRUE(AwaitFd(event.get(), POLLIN, Deadline::Never()).ok());
  // One look is always taken.
  EXPECT_TRUE(
      AwaitFd(event.get(), POLLIN, Deadline::After(absl::ZeroDuration())).ok());
}

TEST(Deadline, REL_12_AStopWakesAwaitFdWithoutPolling) {
  const UniqueFd event(eventfd(0, EFD_CLOEXEC));
  std::stop_source source;
  const Deadline deadline = Deadline::Never().CancelledBy(source.get_token());
  EXPECT_EQ(deadline.PollMilliseconds(), -1);
  EXPECT_TRUE(deadline.Check().ok());
  std::thread other([&] { source.request_stop(); });
  EXPECT_TRUE(absl::IsCancelled(AwaitFd(event.get(), POLLIN, deadline)));
  other.join();
  // Also when it was requested before, and through a shorter deadline.
  EXPECT_TRUE(absl::IsCancelled(
      AwaitFd(event.get(), POLLIN, deadline.Within(absl::Hours(1)))));
}

TEST(Deadline, EachOfTwoStopsAndAFunctionCancels) {
  for (int which = 0; which < 3; ++which) {
    std::stop_source first;
    std::stop_source second;
    bool gone = false;
    const Deadline deadline = Deadline::Never()
                                  .CancelledBy(first.get_token())
                                  .CancelledBy(second.get_token())
                                  .CancelledBy([&] { return gone; });
    EXPECT_TRUE(deadline.Check().ok());
    if (which == 0) first.request_stop();
    if (which == 1) second.request_stop();
    gone = which == 2;
    EXPECT_TRUE(absl::IsCancelled(deadline.Check())) << which;
  }
}

}  // namespace
}  // namespace warren::base
