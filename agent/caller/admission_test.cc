#include "agent/caller/admission.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <utility>
#include <vector>

namespace warren::agent {
namespace {

constexpr AdmissionLimits kSmall = {{2, 1, 2, 3, 4}};
constexpr CallClass kClasses[] = {CallClass::kRead, CallClass::kStream,
                                  CallClass::kChange, CallClass::kEnd,
                                  CallClass::kExec};

std::vector<Admission::Place> Fill(Admission* admission, CallClass full) {
  std::vector<Admission::Place> places;
  for (int i = 0; i < kSmall.Of(full); ++i) {
    auto place = admission->Admit(full);
    EXPECT_TRUE(place.ok()) << place.status();
    if (place.ok()) places.push_back(*std::move(place));
  }
  return places;
}

TEST(AdmissionTest, REL_12_AFullClassKeepsNoOtherOut) {
  for (const CallClass full : kClasses) {
    Admission admission(kSmall);
    const std::vector<Admission::Place> places = Fill(&admission, full);
    for (const CallClass call_class : kClasses) {
      EXPECT_EQ(admission.Admit(call_class).ok(), call_class != full)
          << CallClassName(full) << " full, " << CallClassName(call_class);
    }
  }
}

TEST(AdmissionTest, ARefusalNamesTheClassAndItsLimit) {
  Admission admission(kSmall);
  const auto places = Fill(&admission, CallClass::kExec);
  const absl::Status refused = admission.Admit(CallClass::kExec).status();
  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_TRUE(absl::StrContains(refused.message(), "4 calls")) << refused;
  EXPECT_TRUE(absl::StrContains(refused.message(), "\"exec\"")) << refused;
}

TEST(AdmissionTest, APlaceIsGivenBackOnceAndARefusalTakesNone) {
  Admission admission(kSmall);
  {
    auto places = Fill(&admission, CallClass::kEnd);
    EXPECT_FALSE(admission.Admit(CallClass::kEnd).ok());
    EXPECT_EQ(admission.at_work(CallClass::kEnd), 3);
    const Admission::Place moved = std::move(places.back());
    places.pop_back();
    EXPECT_EQ(admission.at_work(CallClass::kEnd), 3);
  }
  EXPECT_EQ(admission.at_work(CallClass::kEnd), 0);
}

TEST(AdmissionTest, ManyThreadsNeverExceedALimit) {
  Admission admission(kSmall);
  std::atomic<int> inside = 0;
  std::atomic<int> most = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        const auto place = admission.Admit(CallClass::kRead);
        if (!place.ok()) continue;
        const int now = ++inside;
        int seen = most;
        while (seen < now && !most.compare_exchange_weak(seen, now)) {
        }
        --inside;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(most, kSmall.Of(CallClass::kRead));
  EXPECT_GT(most, 0);
  EXPECT_EQ(admission.at_work(CallClass::kRead), 0);
}

// What waits without a thread may be many; the rest must fit into gRPC's.
TEST(AdmissionTest, ADrainOfAFullNodeIsAdmitted) {
  EXPECT_GE(kAdmissionLimits.Of(CallClass::kEnd), 1000);
  EXPECT_GE(kAdmissionLimits.Of(CallClass::kExec), 540);
}

}  // namespace
}  // namespace warren::agent
