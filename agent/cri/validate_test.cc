#include "agent/cri/validate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/cri/sysctl_policy.h"
#include "agent/cri/time_offset.h"

namespace warren::agent {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(Validate, API_6_ValuesAreShownShortAndEscaped) {
  EXPECT_EQ(Shown("a\nb\xff"), "\"a\\nb\\xff\"");
  EXPECT_LT(Shown(std::string(1 << 20, 'x')).size(), 80u);
}

TEST(Validate, STR_1_BytesThatSplitLines) {
  for (const std::string& bad : {std::string("a\nb"), std::string("a\rb"),
                                 std::string("a\0b", 3), std::string("\n")}) {
    EXPECT_THAT(std::string(CheckName("f", bad).message()), StartsWith("f: "));
    EXPECT_FALSE(CheckHostname("f", bad).ok());
    EXPECT_FALSE(CheckEnvKey("f", bad).ok());
    EXPECT_FALSE(CheckAbsolutePath("f", "/" + bad).ok());
    EXPECT_FALSE(CheckRelativePath("f", bad).ok());
  }
  // The byte counts, not its spelling.
  EXPECT_TRUE(CheckText("f", "a\\nb", 10).ok());
}

TEST(Validate, Hostnames) {
  for (const char* good : {"a", "web-0.svc.example", "A1", "0", "a.b.c"}) {
    EXPECT_TRUE(CheckHostname("f", good).ok()) << good;
  }
  EXPECT_TRUE(CheckHostname("f", std::string(62, 'a') + ".b").ok());
  for (const std::string& bad :
       {std::string(""), std::string("-a"), std::string("a-"),
        std::string("a..b"), std::string(".a"), std::string("a."),
        std::string("a_b"), std::string("ä"), std::string("a b"),
        std::string(64, 'a'), std::string(62, 'a') + ".bb"}) {
    EXPECT_FALSE(CheckHostname("f", bad).ok()) << bad;
  }
}

TEST(Validate, Paths) {
  EXPECT_EQ(*CheckAbsolutePath("f", "/"), "/");
  EXPECT_EQ(*CheckAbsolutePath("f", "//a///b/"), "/a/b");
  EXPECT_EQ(*CheckAbsolutePath("f", "/a/..b/c.."), "/a/..b/c..");
  for (const char* bad : {"", "a", "/..", "/a/../b", "/a/.", "/./a"}) {
    EXPECT_FALSE(CheckAbsolutePath("f", bad).ok()) << bad;
  }
  EXPECT_EQ(*CheckRelativePath("f", "a//b"), "a/b");
  for (const char* bad : {"", "/a", "..", "a/..", "../a", "a/./b"}) {
    EXPECT_FALSE(CheckRelativePath("f", bad).ok()) << bad;
  }
  EXPECT_FALSE(CheckAbsolutePath("f", "/" + std::string(4096, 'a')).ok());
}

TEST(Validate, EnvKeys) {
  EXPECT_TRUE(CheckEnvKey("f", "a.b-c d").ok());
  EXPECT_FALSE(CheckEnvKey("f", "").ok());
  EXPECT_FALSE(CheckEnvKey("f", "A=B").ok());
}

TEST(Validate, EXE_5_IdsAreInRange) {
  EXPECT_TRUE(CheckId("f", 0).ok());
  EXPECT_TRUE(CheckId("f", INT32_MAX).ok());
  EXPECT_FALSE(CheckId("f", -1).ok());
  EXPECT_FALSE(CheckId("f", int64_t{INT32_MAX} + 1).ok());
  EXPECT_FALSE(CheckId("f", int64_t{1} << 32).ok());
}

TEST(SysctlPolicy, STR_2_OnlyOfNamespacesThatThePodOwns) {
  const auto check = [](const char* name, bool net, bool ipc) {
    return CheckSysctl("sysctls", name, "1", net, ipc).ok();
  };
  for (const char* name :
       {"net.ipv4.ip_forward", "net.ipv6.conf.eth0.forwarding",
        "net.core.somaxconn"}) {
    EXPECT_TRUE(check(name, true, true)) << name;
    EXPECT_FALSE(check(name, false, true)) << name;
  }
  for (const char* name :
       {"kernel.shm_rmid_forced", "kernel.msgmax", "kernel.sem",
        "fs.mqueue.msg_max", "kernel.shmall"}) {
    EXPECT_TRUE(check(name, true, true)) << name;
    EXPECT_FALSE(check(name, true, false)) << name;
  }
  for (const char* name :
       {"", "kernel.core_pattern", "vm.overcommit_memory", "fs.file-max",
        "kernel.sem.x", "kernel.semx", "kernel.shm.x", "net", "net.", "net..x",
        "net/ipv4/ip_forward", "net.ipv4.../../kernel", "net.ipv4.a+b",
        "NET.ipv4.x", " net.ipv4.x", "kernel.hostname"}) {
    EXPECT_FALSE(check(name, true, true)) << name;
  }
}

TEST(SysctlPolicy, STR_2_Values) {
  const auto check = [](const std::string& value) {
    return CheckSysctl("sysctls", "net.a", value, true, true);
  };
  EXPECT_TRUE(check("0 2147483647").ok());
  EXPECT_TRUE(check(std::string(256, '1')).ok());
  EXPECT_FALSE(check(std::string(257, '1')).ok());
  EXPECT_FALSE(check("1\n2").ok());
  EXPECT_THAT(std::string(check("1\n2").message()),
              HasSubstr("sysctls[\"net.a\"]"));
}

TEST(TimeOffset, Values) {
  constexpr int64_t kUptime = 100'000'000'000;  // 100 s
  const struct {
    const char* text;
    int64_t nanoseconds;
  } good[] = {{"0", 0},
              {"86400", 86'400'000'000'000},
              {"+1", 1'000'000'000},
              {"-1.5", -1'500'000'000},
              {"0.000000001", 1},
              {"-0.25", -250'000'000},
              {"007", 7'000'000'000},
              {"-100", -100'000'000'000},
              {"4600000000", 4'600'000'000'000'000'000}};
  for (const auto& c : good) {
    const auto value = ParseTimeOffset("f", c.text, kUptime);
    ASSERT_TRUE(value.ok()) << c.text << value.status();
    EXPECT_EQ(*value, c.nanoseconds) << c.text;
  }
  for (const char* bad : {"",
                          "-",
                          "+",
                          ".",
                          "1.",
                          ".5",
                          "1.0000000001",
                          "1e3",
                          "0x10",
                          " 1",
                          "1 ",
                          "1s",
                          "--1",
                          "nan",
                          "inf",
                          "-100.000000001",
                          "4600000001",
                          "99999999999999999999",
                          "1,5",
                          "1\n"}) {
    EXPECT_THAT(
        std::string(ParseTimeOffset("f", bad, kUptime).status().message()),
        StartsWith("f: "))
        << bad;
  }
}

}  // namespace
}  // namespace warren::agent
