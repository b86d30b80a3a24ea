#include "runtime/seccomp/compiler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>

#include <string>

#include "runtime/seccomp/capability_bit.h"
#include "runtime/seccomp/filter_machine.h"
#include "runtime/seccomp/profile_json.h"

namespace warren::seccomp {
namespace {

using ::testing::HasSubstr;

class CompilerTest : public testing::Test {
 protected:
  void SetUp() override {
    if (seccomp_arch_native() != SCMP_ARCH_X86_64) {
      GTEST_SKIP() << "numbers below are those of x86_64";
    }
    host_ = {SCMP_ARCH_X86_64, {6, 1}, /*x32=*/true};
  }

  absl::StatusOr<Program> Try(const std::string& json,
                              uint64_t capabilities = 0) {
    auto profile = ParseProfile(json);
    if (!profile.ok()) return profile.status();
    return Compile(*profile, capabilities, host_);
  }
  void Build(const std::string& json, uint64_t capabilities = 0) {
    auto program = Try(json, capabilities);
    ASSERT_TRUE(program.ok()) << program.status();
    program_ = *std::move(program);
  }
  // Rules in a profile that allows everything else.
  void BuildRules(const std::string& rules, uint64_t capabilities = 0) {
    Build("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[" + rules + "]}",
          capabilities);
  }
  std::string Call(uint32_t number,
                   std::initializer_list<uint64_t> arguments = {}) {
    return Number(AUDIT_ARCH_X86_64, number, arguments);
  }
  std::string Number(uint32_t arch, uint32_t number,
                     std::initializer_list<uint64_t> arguments = {}) {
    return Describe(Evaluate(program_.instructions, arch, number, arguments));
  }

  Host host_;
  Program program_;
};

constexpr uint32_t kRead = 0;
constexpr uint32_t kGetpid = 39;
constexpr uint32_t kMkdir = 83;

TEST_F(CompilerTest, EveryAction) {
  const struct {
    const char* action;
    const char* result;
  } kTable[] = {{R"("action":"SCMP_ACT_KILL")", "kill thread"},
                {R"("action":"SCMP_ACT_KILL_THREAD")", "kill thread"},
                {R"("action":"SCMP_ACT_KILL_PROCESS")", "kill process"},
                {R"("action":"SCMP_ACT_TRAP")", "trap"},
                {R"("action":"SCMP_ACT_ERRNO")", "errno 1"},
                {R"("action":"SCMP_ACT_ERRNO","errnoRet":0)", "errno 0"},
                {R"("action":"SCMP_ACT_ERRNO","errnoRet":4094)", "errno 4094"},
                {R"("action":"SCMP_ACT_ERRNO","errno":"ENOSYS")", "errno 38"},
                {R"("action":"SCMP_ACT_TRACE")", "trace 1"},
                {R"("action":"SCMP_ACT_TRACE","errnoRet":700)", "trace 700"},
                {R"("action":"SCMP_ACT_LOG")", "log"},
                {R"("action":"SCMP_ACT_ALLOW")", "allow"}};
  for (const auto& [action, result] : kTable) {
    BuildRules(std::string(R"({"names":["mkdir"],)") + action + "}");
    EXPECT_EQ(Call(kMkdir), result) << action;
    EXPECT_EQ(Call(kRead), "allow") << action;
  }
  Build(R"({"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":22})");
  EXPECT_EQ(Call(kRead), "errno 22");
  Build(R"({"defaultAction":"SCMP_ACT_ERRNO","defaultErrno":"EPIPE"})");
  EXPECT_EQ(Call(kRead), "errno 32");
}

TEST_F(CompilerTest, EveryComparison) {
  const uint64_t big = uint64_t{1} << 40;
  const struct {
    const char* check;
    uint64_t hit;
    uint64_t miss;
  } kTable[] = {
      {R"("op":"SCMP_CMP_NE","value":5)", 4, 5},
      {R"("op":"SCMP_CMP_LT","value":5)", 4, 5},
      {R"("op":"SCMP_CMP_LE","value":5)", 5, 6},
      {R"("op":"SCMP_CMP_EQ","value":5)", 5, 5 + big},
      {R"("op":"SCMP_CMP_GE","value":5)", 5, 4},
      {R"("op":"SCMP_CMP_GT","value":5)", big, 5},
      {R"("op":"SCMP_CMP_MASKED_EQ","value":6,"valueTwo":2)", 0xfa, 0xfe}};
  for (const auto& [check, hit, miss] : kTable) {
    BuildRules(std::string(R"({"names":["mkdir"],"action":"SCMP_ACT_TRAP",)") +
               R"("args":[{"index":1,)" + check + "}]}");
    EXPECT_EQ(Call(kMkdir, {0, hit}), "trap") << check;
    EXPECT_EQ(Call(kMkdir, {0, miss}), "allow") << check;
  }
}

TEST_F(CompilerTest, SeveralComparisons) {
  BuildRules(R"({"names":["mkdir"],"action":"SCMP_ACT_TRAP","args":[
      {"index":0,"value":1,"op":"SCMP_CMP_EQ"},
      {"index":5,"value":2,"op":"SCMP_CMP_EQ"}]})");
  EXPECT_EQ(Call(kMkdir, {1, 0, 0, 0, 0, 2}), "trap");
  EXPECT_EQ(Call(kMkdir, {1, 0, 0, 0, 0, 3}), "allow") << "all must hold";
  BuildRules(R"({"names":["mkdir"],"action":"SCMP_ACT_TRAP","args":[
      {"index":0,"value":1,"op":"SCMP_CMP_EQ"},
      {"index":0,"value":2,"op":"SCMP_CMP_EQ"}]})");
  EXPECT_EQ(Call(kMkdir, {1}), "trap") << "one argument twice: either";
  EXPECT_EQ(Call(kMkdir, {2}), "trap");
  EXPECT_EQ(Call(kMkdir, {3}), "allow");
}

TEST_F(CompilerTest, Conditions) {
  const struct {
    const char* condition;
    uint64_t capabilities;
    bool counts;
  } kTable[] = {
      {R"("includes":{})", 0, true},
      {R"("includes":{"caps":["CAP_BPF"]})", 0, false},
      {R"("includes":{"caps":["CAP_BPF"]})", Bit(CAP_BPF), true},
      {R"("includes":{"caps":["CAP_BPF","CAP_KILL"]})", Bit(CAP_BPF), false},
      {R"("excludes":{"caps":["CAP_BPF","CAP_KILL"]})", Bit(CAP_BPF), false},
      {R"("excludes":{"caps":["CAP_BPF"]})", Bit(CAP_KILL), true},
      {R"("includes":{"arches":["amd64","arm64"]})", 0, true},
      {R"("includes":{"arches":["SCMP_ARCH_X86_64"]})", 0, true},
      {R"("includes":{"arches":["s390x"]})", 0, false},
      {R"("excludes":{"arches":["s390x"]})", 0, true},
      {R"("excludes":{"arches":["x86_64"]})", 0, false},
      {R"("includes":{"minKernel":"6.1"})", 0, true},
      {R"("includes":{"minKernel":"4.8"})", 0, true},
      {R"("includes":{"minKernel":"6.2"})", 0, false},
      {R"("includes":{"minKernel":"10.0"})", 0, false},
      {R"("excludes":{"minKernel":"6.1"})", 0, false},
      {R"("excludes":{"minKernel":"6.2"})", 0, true}};
  for (const auto& [condition, capabilities, counts] : kTable) {
    BuildRules(std::string(R"({"names":["mkdir"],"action":"SCMP_ACT_TRAP",)") +
                   condition + "}",
               capabilities);
    EXPECT_EQ(Call(kMkdir), counts ? "trap" : "allow") << condition;
  }
}

TEST_F(CompilerTest, Architectures) {
  const std::string rest =
      R"("syscalls":[{"names":["getpid"],"action":"SCMP_ACT_ALLOW"}]})";
  Build(R"({"defaultAction":"SCMP_ACT_ERRNO",)" + rest);
  EXPECT_EQ(Call(kGetpid), "allow");
  EXPECT_EQ(Number(AUDIT_ARCH_I386, 20), "errno 1");
  EXPECT_EQ(Number(AUDIT_ARCH_X86_64, 0x40000000 + kGetpid), "errno 1");
  for (const char* text : {R"("architectures":["SCMP_ARCH_X86","SCMP_ARCH_X32",
            "SCMP_ARCH_MIPS"],)",
                           R"("archMap":[{"architecture":"SCMP_ARCH_X86_64",
            "subArchitectures":["SCMP_ARCH_X86","SCMP_ARCH_X32"]}],)"}) {
    Build(R"({"defaultAction":"SCMP_ACT_ERRNO",)" + std::string(text) + rest);
    EXPECT_EQ(Call(kGetpid), "allow") << "the node's own is always meant";
    EXPECT_EQ(Number(AUDIT_ARCH_I386, 20), "allow") << text;
    EXPECT_EQ(Number(AUDIT_ARCH_I386, kGetpid), "errno 1") << text;
    EXPECT_EQ(Number(AUDIT_ARCH_X86_64, 0x40000000 + kGetpid), "allow");
  }
  BuildRules(R"({"names":["mkdir"],"action":"SCMP_ACT_TRAP"})");
  EXPECT_EQ(Number(AUDIT_ARCH_I386, 39), "kill process")
      << "a deny list cannot be passed by in another architecture";
}

TEST_F(CompilerTest, X32IsLeftOutWhereTheKernelHasNone) {
  const std::string profile =
      R"({"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X32"],
          "syscalls":[{"names":["getpid"],"action":"SCMP_ACT_ALLOW"}]})";
  Build(profile);
  EXPECT_EQ(Number(AUDIT_ARCH_X86_64, 0x40000000 + kGetpid), "allow");
  host_.x32 = false;
  Build(profile);
  EXPECT_EQ(Number(AUDIT_ARCH_X86_64, 0x40000000 + kGetpid), "errno 1");
  EXPECT_EQ(Call(kGetpid), "allow");
}

TEST_F(CompilerTest, HiddenArgumentsAreNotTakenForGood) {
  const std::string head =
      R"({"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86"],)"
      R"("syscalls":[{"names":["socket","semget"],"action":"SCMP_ACT_ALLOW",)"
      R"("args":[{"index":0,"value":2,"op":"SCMP_CMP_EQ"}]})";
  Build(head + "]}");
  EXPECT_EQ(Number(AUDIT_ARCH_I386, 359, {2}), "allow");
  EXPECT_EQ(Number(AUDIT_ARCH_I386, 359, {3}), "errno 1");
  EXPECT_EQ(Number(AUDIT_ARCH_I386, 102, {1}), "errno 1");
  EXPECT_EQ(Number(AUDIT_ARCH_I386, 117, {2}), "errno 1");
  Build(head + R"(,{"names":["socketcall"],"action":"SCMP_ACT_ALLOW"}]})");
  EXPECT_EQ(Number(AUDIT_ARCH_I386, 102, {1}), "allow") << "it was named";
  EXPECT_EQ(Number(AUDIT_ARCH_I386, 117, {2}), "errno 1");
}

TEST_F(CompilerTest, CallsThatTheLibraryDoesNotKnow) {
  BuildRules(
      R"({"names":["mseal","futex_wait","no_such_call"],
          "action":"SCMP_ACT_ERRNO","errnoRet":9})");
  EXPECT_EQ(Call(462), "errno 9") << "mseal";
  EXPECT_EQ(Call(455), "errno 9") << "futex_wait";
  EXPECT_EQ(Call(463), "allow");
  EXPECT_EQ(Call(kRead), "allow");
  const auto refused = Try(
      R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mseal"],
          "action":"SCMP_ACT_KILL","args":[{"index":0,"value":1,
          "op":"SCMP_CMP_EQ"}]}]})");
  EXPECT_TRUE(absl::IsInvalidArgument(refused.status()));
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("mseal"));
}

TEST_F(CompilerTest, FlagsAndSizes) {
  Build(R"({"defaultAction":"SCMP_ACT_ALLOW","flags":[
      "SECCOMP_FILTER_FLAG_LOG","SECCOMP_FILTER_FLAG_TSYNC"]})");
  EXPECT_EQ(program_.flags, uint32_t{SECCOMP_FILTER_FLAG_LOG});
  std::string rules;
  for (int value = 0; value < 2000; ++value) {
    rules += std::string(value == 0 ? "" : ",") +
             R"({"names":["mkdir"],"action":"SCMP_ACT_TRAP","args":[
             {"index":0,"op":"SCMP_CMP_EQ","value":)" +
             std::to_string(value * 5000000000LL) + "}]}";
  }
  const auto refused =
      Try(R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[)" + rules + "]}");
  EXPECT_TRUE(absl::IsInvalidArgument(refused.status())) << refused.status();
  EXPECT_THAT(std::string(refused.status().message()),
              HasSubstr("the kernel takes 4096"));
}

}  // namespace
}  // namespace warren::seccomp
