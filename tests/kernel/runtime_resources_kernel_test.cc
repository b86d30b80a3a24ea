// UpdateResources against the kernel's own cgroups.
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>

#include "runtime/base/file.h"
#include "tests/kernel/runtime_host.h"

namespace warren::runtime {
namespace {

class RuntimeResources : public RuntimeTest {
 protected:
  void SetUp() override {
    RuntimeTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    v2_ = runtime().GetFeatures().cgroup_v2;
    const char* limit = v2_ ? "/sys/fs/cgroup/cgroup.controllers"
                            : "/sys/fs/cgroup/memory/memory.limit_in_bytes";
    const auto text = base::ReadFileAt(AT_FDCWD, limit);
    if (!text.ok() || (v2_ && !absl::StrContains(*text, "memory"))) {
      GTEST_SKIP() << "no cgroups with a memory controller";
    }
  }
  std::vector<std::string> All(const ContainerSpec& spec) {
    const std::vector<const char*> files =
        v2_ ? std::vector<const char*>{"cpu.weight",
                                       "cpu.max",
                                       "cpuset.cpus.effective",
                                       "cpuset.mems.effective",
                                       "memory.max",
                                       "memory.swap.max",
                                       "pids.max"}
            : std::vector<const char*>{"cpu.shares",
                                       "cpu.cfs_quota_us",
                                       "cpu.cfs_period_us",
                                       "cpuset.cpus",
                                       "cpuset.mems",
                                       "memory.limit_in_bytes",
                                       "memory.memsw.limit_in_bytes",
                                       "pids.max"};
    std::vector<std::string> values;
    for (const char* file : files) {
      values.push_back(Control(spec, file));
      // EXE-11: the copy that programs read.
      if (!v2_ && !spec.cgroup.inner.empty()) {
        EXPECT_EQ(Within(spec, file), values.back()) << file;
      }
    }
    return values;
  }
  // v1: first line of a file of the container's inner cgroup.
  static std::string Within(const ContainerSpec& spec,
                            const std::string& file) {
    const std::string controller = file.substr(0, file.find('.'));
    const auto text = base::ReadFileAt(
        AT_FDCWD, absl::StrCat("/sys/fs/cgroup/", controller, CgroupParent(),
                               "/", spec.id, "/container/", file));
    return text.ok() ? text->substr(0, text->find('\n')) : "missing";
  }
  // What All() is with Full().
  std::vector<std::string> FullValues() const {
    if (v2_) {
      return {"59", "5000 10000", "0", "0", "67108864", "67108864", "30"};
    }
    return {"512", "5000", "10000", "0", "0", "67108864", "134217728", "30"};
  }
  // The kernel counts a fork that it refuses where the program is.
  std::string Refusals(const ContainerSpec& spec) {
    const std::string inside = v2_ ? "missing" : Within(spec, "pids.events");
    return inside != "missing" ? inside : Control(spec, "pids.events");
  }
  static Resources Full() {
    Resources r;
    r.cpu_shares = 512;
    r.cpu_quota_us = 5000;
    r.cpu_period_us = 10000;
    r.cpuset_cpus = "0";
    r.cpuset_mems = "0";
    r.memory_limit_bytes = 64 << 20;
    r.memory_swap_limit_bytes = 128 << 20;
    r.pids_limit = 30;
    return r;
  }

  bool v2_ = false;
};

TEST_F(RuntimeResources, ThereAndBackAgain) {
  const SandboxSpec pod = Pod();
  Create(pod);
  ContainerSpec spec = Shell(pod, "while :; do sleep 0.1; done");
  ASSERT_EQ(runtime().ResolveContainer(&spec, {}), absl::OkStatus());
  EXPECT_EQ(spec.cgroup.inner, v2_ ? spec.cgroup.inner : "container");
  Create(spec);
  const std::vector<std::string> untouched = All(spec);
  // Once while it is created, once while it runs.
  for (const bool running : {false, true}) {
    if (running) Start(spec);
    absl::Status updated =
        runtime().UpdateResources(spec.id, {}, Full(), base::Deadline::Never());
    ASSERT_TRUE(updated.ok()) << updated;
    EXPECT_EQ(All(spec), FullValues());
    // What only `from` has goes back to the kernel's defaults.
    updated =
        runtime().UpdateResources(spec.id, Full(), {}, base::Deadline::Never());
    ASSERT_TRUE(updated.ok()) << updated;
    EXPECT_EQ(All(spec), untouched);
  }
  Resources same = Full();
  EXPECT_TRUE(runtime()
                  .UpdateResources(spec.id, {}, Full(), base::Deadline::Never())
                  .ok());
  EXPECT_TRUE(
      runtime()
          .UpdateResources(spec.id, Full(), same, base::Deadline::Never())
          .ok());
  EXPECT_EQ(All(spec), FullValues());
}

TEST_F(RuntimeResources, WhatTheKernelRefusesUndoesTheRest) {
  const SandboxSpec pod = Pod();
  Create(pod);
  ContainerSpec spec = Shell(pod, "while :; do sleep 0.1; done");
  spec.resources = Full();
  ASSERT_EQ(runtime().ResolveContainer(&spec, {}), absl::OkStatus());
  Create(spec);
  Start(spec);
  const std::vector<std::string> before = All(spec);
  Resources bad = Full();
  bad.cpu_shares = 1024;
  bad.cpu_quota_us = -1;
  bad.memory_limit_bytes = 32 << 20;
  bad.cpuset_cpus = "4095";
  const absl::Status refused =
      runtime().UpdateResources(spec.id, Full(), bad, base::Deadline::Never());
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument) << refused;
  EXPECT_THAT(std::string(refused.message()),
              testing::StartsWith("cpuset_cpus: "));
  EXPECT_EQ(All(spec), before);
  EXPECT_FALSE(HasExited(spec.id));
}

TEST_F(RuntimeResources, AnAdoptedContainerIsUpdatedAsBefore) {
  const SandboxSpec pod = Pod();
  const SandboxFacts pod_facts = Create(pod);
  const ContainerSpec spec = Shell(pod, "while :; do sleep 0.1; done");
  const ContainerFacts facts = Create(spec);
  Start(spec);
  Restart();
  ASSERT_TRUE(runtime().AdoptSandbox(pod, pod_facts).ok());
  ASSERT_TRUE(
      runtime().AdoptContainer(spec, facts, base::Deadline::Never()).ok());
  EXPECT_TRUE(runtime()
                  .UpdateResources(spec.id, {}, Full(), base::Deadline::Never())
                  .ok());
  EXPECT_EQ(Control(spec, "memory.limit_in_bytes", "memory.max"), "67108864");
}

TEST_F(RuntimeResources, TheOperatorsPidsLimitIsForThoseWithoutTheirOwn) {
  default_pids_limit_ = 40;
  Restart();
  const SandboxSpec pod = Pod();
  Create(pod);
  const ContainerSpec spec = Shell(pod, "true");
  Create(spec);
  EXPECT_EQ(Control(spec, "pids.max"), "40");
  Resources shares;
  shares.cpu_shares = 7;
  EXPECT_TRUE(runtime()
                  .UpdateResources(spec.id, {}, shares, base::Deadline::Never())
                  .ok());
  EXPECT_EQ(Control(spec, "pids.max"), "40");
  ContainerSpec own = Shell(pod, "true");
  own.resources.pids_limit = 5;
  Create(own);
  EXPECT_EQ(Control(own, "pids.max"), "5");
}

// Made by an agent that knew no inner cgroups: it stays as it was made.
TEST_F(RuntimeResources, EXE_11_ALeafOfAnOlderAgentGoesOn) {
  const SandboxSpec pod = Resolved(Pod());
  const SandboxFacts pod_facts = Create(pod);
  ContainerSpec spec = Shell(pod, "echo up; while :; do sleep 0.1; done");
  ASSERT_EQ(runtime().ResolveContainer(&spec, {}), absl::OkStatus());
  spec.cgroup.inner.clear();
  ContainerFacts facts = Create(spec);
  facts.start = Start(spec);
  WaitLog(spec, "up");
  Restart();
  ASSERT_TRUE(runtime().AdoptSandbox(pod, pod_facts).ok());
  ASSERT_TRUE(
      runtime().AdoptContainer(spec, facts, base::Deadline::Never()).ok());
  // What tells how it was made is there: nothing new is decided.
  ContainerSpec again = spec;
  again.cgroup = {};
  ASSERT_EQ(runtime().ResolveContainer(&again, {}), absl::OkStatus());
  EXPECT_EQ(again.cgroup, spec.cgroup);
  EXPECT_EQ(Within(spec, "pids.max"), "missing");
  const absl::Status updated =
      runtime().UpdateResources(spec.id, {}, Full(), base::Deadline::Never());
  EXPECT_TRUE(updated.ok()) << updated;
  EXPECT_EQ(All(spec), FullValues());
  EXPECT_EQ(Exec(spec, "echo in"), "in\n");
  ASSERT_TRUE(runtime().KillContainer(spec.id).ok());
  EXPECT_EQ(WaitExit(spec).exit_code, 137);
  Remove(spec);
  EXPECT_EQ(Control(spec, "pids.max"), "missing");
}

// EXE-10: in its cgroup before its first instruction, so that the limit holds
// from the first fork on.
TEST_F(RuntimeResources, EXE_10_AForkBombStaysBelowItsOwnLimit) {
  const SandboxSpec pod = Pod();
  Create(pod);
  ContainerSpec spec = Shell(pod, "b() { b | b & }; b; while :; do :; done");
  spec.resources.pids_limit = 20;
  Create(spec);
  Start(spec);
  int peak = 0;
  for (int look = 0; look < 20000; ++look) {
    peak = std::max(peak, std::stoi("0" + Control(spec, "pids.current")));
    if (Refusals(spec) != "max 0") break;
    usleep(1000);
  }
  EXPECT_NE(Refusals(spec), "max 0") << "never at its limit";
  if (Control(spec, "pids.peak") != "missing") {
    peak = std::stoi(Control(spec, "pids.peak"));
  }
  EXPECT_GT(peak, 1);
  EXPECT_LE(peak, 20);
}

// What shims write to logs is charged where they are: not to the agent.
TEST_F(RuntimeResources, EXE_10_ShimsAreInACgroupOfTheirOwn) {
  const std::string place = CgroupParent() + "/shims";
  const SandboxSpec pod = Pod();
  const SandboxFacts pod_facts = Create(pod);
  ContainerSpec spec = Shell(pod, "exec sleep 1000");
  const ContainerFacts spec_facts = Create(spec);
  const StartFacts facts = Start(spec);
  const auto cgroups = [](pid_t pid) {
    return base::ReadFileAt(AT_FDCWD, absl::StrCat("/proc/", pid, "/cgroup"))
        .value_or("");
  };
  const std::string own = cgroups(getpid());
  for (const absl::string_view line :
       absl::StrSplit(cgroups(facts.shim.pid), '\n', absl::SkipEmpty())) {
    // Nothing but a hierarchy that is not mounted may be as here.
    EXPECT_TRUE(absl::EndsWith(line, ":" + place) ||
                (absl::StrContains(own, absl::StrCat(line, "\n")) &&
                 !absl::StrContains(line, ":memory:") &&
                 !absl::StartsWith(line, "0::")))
        << line;
  }
  EXPECT_THAT(cgroups(facts.shim.pid), testing::HasSubstr(place + "\n"));
  EXPECT_THAT(cgroups(facts.process.pid),
              testing::Not(testing::HasSubstr("/shims")));
  EXPECT_THAT(Exec(spec, "cat /proc/self/cgroup"),
              testing::Not(testing::HasSubstr("/shims")));
  // An agent that comes after finds it and goes on there.
  Restart();
  ASSERT_TRUE(runtime().AdoptSandbox(pod, pod_facts).ok());
  ASSERT_TRUE(
      runtime().AdoptContainer(spec, spec_facts, base::Deadline::Never()).ok());
  ContainerSpec other = Shell(pod, "exec sleep 1000");
  Create(other);
  EXPECT_EQ(cgroups(Start(other).shim.pid), cgroups(facts.shim.pid));
  for (const ContainerSpec& ended : {spec, other}) {
    ASSERT_TRUE(runtime().KillContainer(ended.id).ok());
    WaitExit(ended);
    Remove(ended);
  }
  Remove(pod);
  for (const char* hierarchy : {"", "/memory", "/unified", "/pids"}) {
    EXPECT_NE(
        access(absl::StrCat("/sys/fs/cgroup", hierarchy, place).c_str(), F_OK),
        0)
        << hierarchy;
  }
}

}  // namespace
}  // namespace warren::runtime
