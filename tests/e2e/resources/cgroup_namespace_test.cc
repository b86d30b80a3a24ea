// A container without a filter that makes user and cgroup namespaces of its
// own, mounts the hierarchies and writes to their roots.
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tests/e2e/resources/resources_test.h"
#include "tests/support/ledger_probes.h"
#include "tests/support/node_namespace.h"

namespace warren::test {
namespace {

constexpr char kLimits[] =
    "cpu_shares: 512 cpu_quota: 50000 cpu_period: 100000 cpuset_cpus: '0' "
    "memory_limit_in_bytes: 50331648 unified { key: 'pids.max' value: '40' }";

// Every limit taken off at the root of the namespace: "changed FILE" for what
// the kernel took.
constexpr char kTakeOff[] = R"(
  w() { [ -e "/cg/$1" ] || return; (echo "$2" >"/cg/$1") 2>/dev/null &&
        echo "changed $1"; }
  w memory/memory.memsw.limit_in_bytes -1; w memory/memory.limit_in_bytes -1
  w pids/pids.max max; w cpu/cpu.shares 262144; w cpu/cpu.cfs_quota_us -1
  w cpuset/cpuset.cpus 0-1; w devices/devices.allow a
  w unified/memory.max max; w unified/memory.swap.max max
  w unified/pids.max max; w unified/cpu.max max; w unified/cpuset.cpus 0-1
  true)";

std::vector<Limit> Limits() {
  return {{"cpu.shares", "512", "cpu.weight", "59"},
          {"cpu.cfs_quota_us", "50000", "cpu.max", "50000 100000"},
          {"cpuset.cpus", "0", "cpuset.cpus", "0"},
          {"memory.limit_in_bytes", "50331648", "memory.max", "50331648"},
          {"memory.memsw.limit_in_bytes", "50331648", "memory.swap.max", "0"},
          {"pids.max", "40", "pids.max", "40"}};
}

class CgroupNamespaceTest : public ResourcesTest {
 protected:
  static bool V2() { return HostFileExists("/sys/fs/cgroup/cgroup.procs"); }
  cri::ContainerConfig Limited(const std::string& name,
                               const std::string& script) {
    cri::ContainerConfig config = ShellConfig(name, script);
    AddProbe(&config);
    *Resources(&config) = ParseResources(kLimits);
    return config;
  }
  cri::ContainerConfig Idle(const std::string& name) {
    return Limited(name, "trap 'exit 0' TERM; while :; do sleep 0.1; done");
  }
  // stdout of a script in a cgroup namespace of its own.
  std::string Inside(const std::string& id, const std::string& script) {
    return Output(id, {"/probe", "cgroups", "sh", "-c", script});
  }
};

TEST_F(CgroupNamespaceTest, EXE_11_LimitsTakenOffInsideHoldOutside) {
  const std::string id = Start(Idle("main"));
  const std::string taken = Inside(id, kTakeOff);
  if (!V2()) {
    // Else it would show nothing.
    EXPECT_THAT(taken, testing::HasSubstr("changed memory/memory.limit"));
    EXPECT_THAT(taken, testing::HasSubstr("changed pids/pids.max"));
    EXPECT_THAT(taken, testing::HasSubstr("changed cpu/cpu.cfs_quota_us"));
  }
  EXPECT_THAT(taken, testing::Not(testing::HasSubstr("changed cpuset")));
  EXPECT_THAT(taken, testing::Not(testing::HasSubstr("changed devices")));
  EXPECT_THAT(taken, testing::Not(testing::HasSubstr("changed unified")));
  ExpectLimits(id, Limits());
  const auto hog =
      client().ExecSync(id, {"timeout", "20", "/probe", "eat", "200"});
  ASSERT_TRUE(hog.ok()) << hog.status();
  EXPECT_EQ(hog->exit_code(), 137) << "memory";
  const auto device = client().ExecSync(
      id, {"sh", "-c", "mknod /mem c 1 1; head -c 1 /mem || echo closed"});
  ASSERT_TRUE(device.ok()) << device.status();
  EXPECT_THAT(device->stdout(), testing::HasSubstr("closed"));
  // What it wrote is no obstacle, and gone after an update.
  const absl::Status updated = Update(
      id, ParseResources("cpu_quota: 20000 memory_limit_in_bytes: 41943040"));
  EXPECT_TRUE(updated.ok()) << updated;
  if (!V2()) {
    EXPECT_EQ(ShellOutput(id,
                          "cat /sys/fs/cgroup/memory/memory.limit_in_bytes "
                          "/sys/fs/cgroup/cpu*/cpu.cfs_quota_us | sort -u"),
              "20000\n41943040\n");
    ExpectLimits(id, {{"memory.limit_in_bytes", "41943040", "", ""},
                      {"cpu.cfs_quota_us", "20000", "", ""}});
  }
  // Last: what it could fork stays for a moment.
  const auto forks = client().ExecSync(
      id, {"sh", "-c",
           "i=0; while [ $i -lt 60 ]; do sleep 3 & i=$((i+1)); done; wait"});
  ASSERT_TRUE(forks.ok()) << forks.status();
  EXPECT_THAT(forks->stderr(), testing::HasSubstr("fork"));
}

// JVM, Go and .NET look there.
TEST_F(CgroupNamespaceTest, EXE_11_AProgramReadsItsLimitsAtItsRoot) {
  const std::string id = Start(Idle("main"));
  const std::string read =
      V2() ? "cd /sys/fs/cgroup; cat memory.max cpu.max pids.max"
           : "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes "
             "cpu*/cpu.cfs_quota_us cpu*/cpu.cfs_period_us cpu*/cpu.shares "
             "cpuset/cpuset.cpus pids/pids.max | tr '\\n' ' '";
  EXPECT_EQ(ShellOutput(id, read), V2() ? "50331648\n50000 100000\n40\n"
                                        : "50331648 50000 100000 512 0 40 ");
  const absl::Status updated =
      Update(id, ParseResources("cpu_shares: 1024 cpu_quota: 100000 "
                                "memory_limit_in_bytes: 67108864"));
  ASSERT_TRUE(updated.ok()) << updated;
  EXPECT_EQ(ShellOutput(id, read), V2() ? "67108864\n100000 100000\n40\n"
                                        : "67108864 100000 100000 1024 0 40 ");
}

// v1 counts a kill where the victim was.
TEST_F(CgroupNamespaceTest, D17_AKillInANestedCgroupIsOomKilled) {
  if (V2()) GTEST_SKIP() << "v2 counts them in every cgroup above";
  cri::ContainerConfig config = ContainerConfig(
      "main",
      {"/probe", "cgroups", "sh", "-c",
       "mkdir -p /cg/memory/a/b && echo 0 >/cg/memory/a/b/cgroup.procs && "
       "exec /probe eat 200"});
  AddProbe(&config);
  *Resources(&config) = ParseResources(kLimits);
  const cri::ContainerStatus status = WaitExited(Start(config));
  EXPECT_EQ(status.exit_code(), 137);
  EXPECT_EQ(status.reason(), "OOMKilled");
}

// docker-in-docker, systemd and k3s leave such; a kubelet removes the pod's
// directory itself and keeps the pod Terminating while it cannot.
TEST_F(CgroupNamespaceTest, C30_NothingOfNestedOnesKeepsThePodsParent) {
  KubeletCgroup kubelet("nested");
  cri::PodSandboxConfig pod = Pod("nested");
  pod.mutable_linux()->set_cgroup_parent(kubelet.path());
  const std::string pod_id = RunPod(pod);
  const std::string id = Run(pod_id, pod, Idle("main"));
  const std::string made =
      Inside(id, R"(for h in /cg/cpu /cg/pids /cg/unified; do
               [ -e $h ] && mkdir -p $h/a/b/c && echo made
             done
             for i in $(seq 50); do mkdir /cg/memory/$i 2>/dev/null; done
             for h in /cg/pids/a/b /cg/unified/a/b; do
               [ -e $h ] && echo 0 >$h/cgroup.procs
             done
             sleep 1000 >/dev/null 2>&1 &)");
  EXPECT_THAT(made, testing::HasSubstr("made"));
  int deep = 0;
  for (const std::string& directory : Cgroups()) {
    deep +=
        absl::StrContains(directory, id) && absl::EndsWith(directory, "/a/b/c");
  }
  EXPECT_GT(deep, 0);
  EXPECT_TRUE(client().RemoveContainer(id).ok());
  for (const std::string& mount : CgroupMounts()) {
    const std::string parent = mount + kubelet.path();
    EXPECT_TRUE(rmdir(parent.c_str()) == 0 || errno == ENOENT)
        << parent << ": " << strerror(errno);
  }
  RemoveAllPods();
}

}  // namespace
}  // namespace warren::test
