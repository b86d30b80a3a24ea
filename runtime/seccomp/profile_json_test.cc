#include "runtime/seccomp/profile_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>

#include <string>

namespace warren::seccomp {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ParseProfile, Everything) {
  const auto profile = ParseProfile(R"({
    "$schema": "x", "comment": "of the whole",
    "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 2,
    "defaultErrno": "ENOENT",
    "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_RISCV64"],
    "flags": ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"],
    "syscalls": [
      {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW", "args": null,
       "comment": "", "includes": {}, "excludes": {"caps": ["CAP_BPF"]}},
      {"name": "mkdir", "action": "SCMP_ACT_KILL",
       "args": [{"index": 1, "value": 18446744073709551615, "valueTwo": 3,
                 "op": "SCMP_CMP_MASKED_EQ"}],
       "includes": {"arches": ["amd64"], "minKernel": "5.10",
                    "caps": ["CAP_SYS_ADMIN"]}}]})");
  ASSERT_TRUE(profile.ok()) << profile.status();
  EXPECT_EQ(profile->default_action, (Action{ActionKind::kErrno, 2}));
  EXPECT_EQ(profile->architectures.size(), 1u);
  EXPECT_FALSE(profile->newer_calls_are_missing);
  ASSERT_EQ(profile->rules.size(), 2u);
  EXPECT_THAT(profile->rules[0].names, ElementsAre("read", "write"));
  EXPECT_EQ(profile->rules[0].action.kind, ActionKind::kAllow);
  const Rule& rule = profile->rules[1];
  EXPECT_THAT(rule.names, ElementsAre("mkdir"));
  EXPECT_EQ(rule.action.kind, ActionKind::kKillThread);
  ASSERT_EQ(rule.arguments.size(), 1u);
  EXPECT_EQ(rule.arguments[0].index, 1u);
  EXPECT_EQ(rule.arguments[0].comparison, Comparison::kMaskedEqual);
  EXPECT_EQ(rule.arguments[0].value, UINT64_MAX);
  EXPECT_EQ(rule.arguments[0].value_two, 3u);
  EXPECT_THAT(rule.includes.arches, ElementsAre("amd64"));
  EXPECT_EQ(rule.includes.min_kernel, (KernelVersion{5, 10}));
  EXPECT_EQ(profile->Capabilities(),
            uint64_t{1} << CAP_BPF | uint64_t{1} << CAP_SYS_ADMIN);
}

TEST(ParseProfile, BadDocuments) {
  const struct {
    std::string text;
    const char* complaint;
  } kTable[] = {
      {"", "not valid JSON"},
      {"{", "not valid JSON"},
      {"[]", "not a JSON object"},
      {"null", "not a JSON object"},
      {std::string(2 << 20, ' '), "larger than"},
      {std::string(100, '['), "nested deeper"},
      {"{}", "defaultAction: is missing"},
      {R"({"defaultAction":1})", "defaultAction: is no string"},
      {R"({"defaultAction":"ALLOW"})", "defaultAction: \"ALLOW\" is unknown"},
      {R"({"defaultAction":"SCMP_ACT_NOTIFY"})",
       "defaultAction: SCMP_ACT_NOTIFY is not supported"},
      {R"({"defaultAction":"SCMP_ACT_LOG","defaultAction":"SCMP_ACT_LOG"})",
       "key twice"},
      {R"({"defaultAction":"SCMP_ACT_LOG","defaultErrnoRet":1})",
       "defaultErrnoRet: means nothing with SCMP_ACT_LOG"},
      {R"({"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":4095})",
       "defaultErrnoRet: is no whole number of 0..4094"},
      {R"({"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":-1})",
       "defaultErrnoRet: is no whole number"},
      {R"({"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":"1"})",
       "defaultErrnoRet: is no whole number"},
      {R"({"defaultAction":"SCMP_ACT_ERRNO","defaultErrno":"EODD"})",
       "defaultErrno: \"EODD\" is no error's name"},
      {R"({"defaultAction":"SCMP_ACT_ERRNO","defaultErrno":"EPERM",)"
       R"("defaultErrnoRet":2})",
       "defaultErrno: is not the defaultErrnoRet beside it"}};
  for (const auto& [text, complaint] : kTable) {
    const auto profile = ParseProfile(text);
    EXPECT_TRUE(absl::IsInvalidArgument(profile.status())) << complaint;
    EXPECT_THAT(std::string(profile.status().message()), HasSubstr(complaint));
    EXPECT_LT(profile.status().message().size(), 300u);
  }
}

// Texts that stand beside a good defaultAction.
TEST(ParseProfile, BadParts) {
  const struct {
    const char* text;
    const char* complaint;
  } kTable[] = {
      {R"("sycalls":[])", "\"sycalls\": is unknown here"},
      {R"("syscalls":{})", "syscalls: is no list"},
      {R"("syscalls":[1])", "syscalls[0]: is not an object"},
      {R"("listenerPath":"/s")", "listenerPath: belongs to SCMP_ACT_NOTIFY"},
      {R"("architectures":"x")", "architectures: is no list"},
      {R"("architectures":[7])", "architectures[0]: is no string"},
      {R"("architectures":["amd64"])", "architectures: \"amd64\" is unknown"},
      {R"("architectures":["SCMP_ARCH_X86"],"archMap":[{"architecture":
          "SCMP_ARCH_X86"}])",
       "archMap: stands beside \"architectures\""},
      {R"("archMap":[{"arch":"SCMP_ARCH_X86"}])",
       "archMap[0].\"arch\": is unknown here"},
      {R"("archMap":[{}])", "archMap[0].architecture: \"\" is unknown"},
      {R"("archMap":[{"architecture":"SCMP_ARCH_X86","subArchitectures":
          ["odd"]}])",
       "archMap[0].subArchitectures: \"odd\" is unknown"},
      {R"("flags":["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"])",
       "flags: \"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV\" is unknown"}};
  for (const auto& [text, complaint] : kTable) {
    const auto profile = ParseProfile(R"({"defaultAction":"SCMP_ACT_ERRNO",)" +
                                      std::string(text) + "}");
    EXPECT_TRUE(absl::IsInvalidArgument(profile.status())) << text;
    EXPECT_THAT(std::string(profile.status().message()), HasSubstr(complaint));
  }
}

// Texts of a rule behind a good one.
TEST(ParseProfile, BadRules) {
  const struct {
    const char* text;
    const char* complaint;
  } kTable[] = {
      {R"("action":"SCMP_ACT_KILL")", ".names: is empty"},
      {R"("names":[],"action":"SCMP_ACT_KILL")", ".names: is empty"},
      {R"("names":"a","action":"SCMP_ACT_KILL")", ".names: is no list"},
      {R"("names":[1],"action":"SCMP_ACT_KILL")", ".names[0]: is no string"},
      {R"("names":["a\u0000b"],"action":"SCMP_ACT_KILL")",
       ".names: \"a\\x00\\x62\" is no system call's name"},
      {R"("names":["a"],"name":"b","action":"SCMP_ACT_KILL")",
       ".name: stands beside \"names\""},
      {R"("names":["a"])", ".action: is missing"},
      {R"("names":["a"],"action":"SCMP_ACT_NOTIFY")",
       ".action: SCMP_ACT_NOTIFY is not supported"},
      {R"("names":["a"],"action":"SCMP_ACT_ALLOW","errnoRet":1)",
       ".errnoRet: means nothing with SCMP_ACT_ALLOW"},
      {R"("names":["a"],"action":"SCMP_ACT_TRACE","errnoRet":65536)",
       ".errnoRet: is no whole number of 0..65535"},
      {R"("names":["a"],"action":"SCMP_ACT_KILL","arg":[])",
       ".\"arg\": is unknown here"},
      {R"("names":["a"],"action":"SCMP_ACT_KILL","args":{})",
       ".args: is no list"},
      {R"("names":["a"],"action":"SCMP_ACT_KILL","args":[{"index":6,
          "value":1,"op":"SCMP_CMP_EQ"}])",
       ".args[0].index: is no whole number of 0..5"},
      {R"("names":["a"],"action":"SCMP_ACT_KILL","args":[{"value":1,
          "op":"SCMP_CMP_EQ"}])",
       ".args[0].index: is missing"},
      {R"("names":["a"],"action":"SCMP_ACT_KILL","args":[{"index":1,
          "op":"SCMP_CMP_EQ"}])",
       ".args[0].value: is missing"},
      {R"("names":["a"],"action":"SCMP_ACT_KILL","args":[{"index":1,
          "value":1.5,"op":"SCMP_CMP_EQ"}])",
       ".args[0].value: is no whole number"},
      {R"("names":["a"],"action":"SCMP_ACT_KILL","args":[{"index":1,
          "value":1}])",
       ".args[0].op: is missing"},
      {R"("names":["a"],"action":"SCMP_ACT_KILL","args":[{"index":1,
          "value":1,"op":"EQ"}])",
       ".args[0].op: \"EQ\" is unknown"},
      {R"("names":["a"],"action":"SCMP_ACT_KILL","includes":[])",
       ".includes: is not an object"},
      {R"("names":["a"],"action":"SCMP_ACT_KILL","includes":{"cap":[]})",
       ".includes.\"cap\": is unknown here"},
      {R"("names":["a"],"action":"SCMP_ACT_KILL",
          "excludes":{"caps":["SYS_ADMIN"]})",
       ".excludes.caps: \"SYS_ADMIN\" is no capability"},
      {R"("names":["a"],"action":"SCMP_ACT_KILL",
          "includes":{"minKernel":"new"})",
       ".includes.minKernel: \"new\" is not like \"4.8\""}};
  for (const auto& [text, complaint] : kTable) {
    const auto profile = ParseProfile(
        R"({"defaultAction":"SCMP_ACT_ERRNO","syscalls":[
           {"names":["read"],"action":"SCMP_ACT_ALLOW"},{)" +
        std::string(text) + "}]}");
    EXPECT_TRUE(absl::IsInvalidArgument(profile.status())) << text;
    EXPECT_THAT(std::string(profile.status().message()),
                HasSubstr(std::string("syscalls[1]") + complaint));
  }
}

TEST(ParseProfile, TooMuchOfIt) {
  std::string rules;
  for (size_t i = 0; i <= kMaxRules; ++i) {
    rules += std::string(i == 0 ? "" : ",") +
             R"({"names":["a"],"action":"SCMP_ACT_KILL"})";
  }
  EXPECT_THAT(
      std::string(
          ParseProfile(R"({"defaultAction":"SCMP_ACT_LOG","syscalls":[)" +
                       rules + "]}")
              .status()
              .message()),
      HasSubstr("syscalls: has more than"));
  std::string names;
  for (size_t i = 0; i <= kMaxNames; ++i) names += i == 0 ? "\"a\"" : ",\"a\"";
  EXPECT_THAT(
      std::string(
          ParseProfile(
              R"({"defaultAction":"SCMP_ACT_LOG","syscalls":[{"names":[)" +
              names + R"(],"action":"SCMP_ACT_KILL"}]})")
              .status()
              .message()),
      HasSubstr("syscalls[0]: more than"));
}

}  // namespace
}  // namespace warren::seccomp
