#include "runtime/seccomp/program_cache.h"

#include <gtest/gtest.h>
#include <linux/capability.h>

#include <string>
#include <thread>
#include <vector>

#include "runtime/seccomp/capability_bit.h"

namespace warren::seccomp {
namespace {

std::string Denies(int value) {
  return R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir"],
      "action":"SCMP_ACT_ERRNO","errnoRet":)" +
         std::to_string(value) + "}]}";
}

TEST(ProgramCache, OneProgramForWhatIsAlike) {
  ProgramCache cache(*ThisHost());
  const auto first = cache.RuntimeDefault(Bit(CAP_CHOWN));
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(*first, *cache.RuntimeDefault(Bit(CAP_KILL)))
      << "the profile depends on neither";
  EXPECT_NE(*first, *cache.RuntimeDefault(Bit(CAP_SYS_ADMIN)));
  EXPECT_EQ(cache.size(), 2u);
  const auto one = cache.FromJson(Denies(1), 0);
  ASSERT_TRUE(one.ok()) << one.status();
  EXPECT_EQ(*one, *cache.FromJson(Denies(1), ~uint64_t{0}));
  EXPECT_NE(*one, *cache.FromJson(Denies(2), 0));
  EXPECT_EQ(cache.size(), 4u);
  EXPECT_FALSE(cache.FromJson("{}", 0).ok());
  EXPECT_FALSE(cache.FromJson("", 0).ok()) << "not the default profile";
  EXPECT_EQ(cache.size(), 4u) << "errors are not kept";
}

TEST(ProgramCache, IsBounded) {
  ProgramCache cache(*ThisHost());
  const auto kept = cache.FromJson(Denies(0), 0);
  ASSERT_TRUE(kept.ok()) << kept.status();
  const int count = static_cast<int>(ProgramCache::kMaxPrograms);
  for (int i = 1; i < 2 * count; ++i) {
    ASSERT_TRUE(cache.FromJson(Denies(i), 0).ok());
    ASSERT_EQ(*kept, *cache.FromJson(Denies(0), 0)) << "used all the time";
  }
  EXPECT_EQ(cache.size(), ProgramCache::kMaxPrograms);
  // Five that leave no room for a sixth.
  for (int i = 0; i < 6; ++i) {
    ASSERT_TRUE(cache.FromJson(std::string(800'000, ' ') + Denies(i), 0).ok());
  }
  EXPECT_LE(cache.size(), 5u);
}

TEST(ProgramCache, ManyAtOnce) {
  ProgramCache cache(*ThisHost());
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&cache, i] {
      for (int n = 0; n < 20; ++n) {
        EXPECT_TRUE(cache.FromJson(Denies(n % 3), 0).ok());
        if (n % 10 == i) {
          EXPECT_TRUE(cache.RuntimeDefault(0).ok());
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(cache.size(), 4u);
}

}  // namespace
}  // namespace warren::seccomp
