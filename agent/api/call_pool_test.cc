#include "agent/api/call_pool.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <atomic>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/base/deadline.h"
#include "runtime/base/unique_fd.h"

namespace warren::agent {
namespace {

void Await(const std::atomic<int>& count, int wanted) {
  while (count < wanted) std::this_thread::yield();
}

TEST(WorkersTest, RunsEverythingWithABoundedNumberOfThreads) {
  std::atomic<int> inside = 0;
  std::atomic<int> most = 0;
  std::atomic<int> done = 0;
  {
    auto workers = base::Workers::Start(3);
    ASSERT_TRUE(workers.ok()) << workers.status();
    for (int i = 0; i < 500; ++i) {
      (*workers)->Run([&] {
        const int now = ++inside;
        int seen = most;
        while (seen < now && !most.compare_exchange_weak(seen, now)) {
        }
        std::this_thread::yield();
        --inside;
        ++done;
      });
    }
    EXPECT_LE((*workers)->threads(), 3);
  }
  EXPECT_EQ(done, 500) << "the destructor runs what is queued";
  EXPECT_LE(most, 3);
}

// A task that waits for a later one would hang with too few threads.
TEST(WorkersTest, ATaskThatWaitsKeepsNoOtherFromAThread) {
  auto workers = base::Workers::Start(4);
  ASSERT_TRUE(workers.ok()) << workers.status();
  std::atomic<int> arrived = 0;
  for (int i = 0; i < 4; ++i) {
    (*workers)->Run([&] {
      ++arrived;
      Await(arrived, 4);
    });
  }
  Await(arrived, 4);
}

class ParkingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto parking = Parking::Start();
    ASSERT_TRUE(parking.ok()) << parking.status();
    parking_ = *std::move(parking);
    auto workers = base::Workers::Start(2);
    ASSERT_TRUE(workers.ok()) << workers.status();
    workers_ = *std::move(workers);
  }
  void Park(Pause pause, std::stop_token stop = {}) {
    parking_->Park(std::move(pause), std::move(stop), workers_.get(),
                   [this] { ++resumed_; });
  }

  std::unique_ptr<Parking> parking_;
  std::unique_ptr<base::Workers> workers_;  // ends first
  std::atomic<int> resumed_ = 0;
};

TEST_F(ParkingTest, ADescriptorATimeAChangeAndAStopEndAPause) {
  const base::UniqueFd event(eventfd(0, EFD_CLOEXEC));
  Park({.fds = {{event.get(), POLLIN, 0}}});
  std::function<void()> change;
  std::atomic<int> unwatched = 0;
  Park({.fds = {}, .watch = [&](std::function<void()> wake) {
          change = std::move(wake);
          return [&] { ++unwatched; };
        }});
  std::stop_source source;
  Park({}, source.get_token());
  EXPECT_EQ(parking_->parked(), 3);
  EXPECT_EQ(resumed_, 0);
  eventfd_write(event.get(), 1);
  Await(resumed_, 1);
  change();
  Await(resumed_, 2);
  EXPECT_EQ(unwatched, 1);
  change();  // late: nobody waits any more
  source.request_stop();
  Await(resumed_, 3);
  Park({.fds = {},
        .until_ns =
            base::Deadline::After(absl::Milliseconds(20)).monotonic_ns()});
  Park({.fds = {},
        .until_ns = base::Deadline::After(absl::Hours(1)).monotonic_ns()},
       source.get_token());
  Await(resumed_, 5);
  EXPECT_EQ(parking_->parked(), 0);
  // The same descriptor again: it is not watched any more.
  Park({.fds = {{event.get(), POLLIN, 0}}});
  Await(resumed_, 6);
}

TEST_F(ParkingTest, WhatIsOverBeforeItIsParkedIsResumedOnce) {
  for (int i = 0; i < 200; ++i) {
    std::stop_source source;
    source.request_stop();
    Park({.fds = {},
          .until_ns = 0,
          .watch =
              [](std::function<void()> wake) {
                wake();
                return [] {};
              }},
         source.get_token());
  }
  Await(resumed_, 200);
  workers_.reset();
  EXPECT_EQ(resumed_, 200);
}

TEST_F(ParkingTest, TimesEndInTheirOrder) {
  std::vector<int> order;
  auto one = base::Workers::Start(1);
  ASSERT_TRUE(one.ok());
  const int64_t now =
      base::Deadline::After(absl::ZeroDuration()).monotonic_ns();
  for (const int ms : {60, 20, 40}) {
    parking_->Park({.fds = {}, .until_ns = now + ms * 1'000'000}, {},
                   one->get(), [&order, ms, this] {
                     order.push_back(ms);
                     ++resumed_;
                   });
  }
  Await(resumed_, 3);
  one->reset();
  EXPECT_EQ(order, (std::vector<int>{20, 40, 60}));
}

// As when the descriptors of a call cannot be watched for want of memory.
TEST_F(ParkingTest, ADescriptorThatCannotBeWatchedIsLookedAtLater) {
  Park({.fds = {{-1, POLLIN, 0}}});
  Await(resumed_, 1);
}

TEST_F(ParkingTest, ManyThreadsParkAndWake) {
  constexpr int kEach = 300;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this] {
      for (int i = 0; i < kEach; ++i) {
        std::stop_source source;
        const base::UniqueFd event(eventfd(1, EFD_CLOEXEC));
        std::atomic<int> mine = 0;
        parking_->Park(
            {.fds = {{event.get(), POLLIN, 0}},
             .until_ns =
                 base::Deadline::After(absl::Microseconds(i)).monotonic_ns()},
            source.get_token(), workers_.get(), [&] {
              ++resumed_;
              ++mine;
            });
        source.request_stop();
        Await(mine, 1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(resumed_, 4 * kEach);
  EXPECT_EQ(parking_->parked(), 0);
}

}  // namespace
}  // namespace warren::agent
