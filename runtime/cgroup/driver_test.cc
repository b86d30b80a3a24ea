#include "runtime/cgroup/driver.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/cgroup/fake_tree.h"
#include "runtime/cgroup/v1.h"
#include "runtime/cgroup/v2.h"

namespace warren::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(CgroupPath, PlainAndSystemdSpelling) {
  struct Case {
    const char* parent;
    const char* path;  // "" = refused
  };
  const std::vector<Case> cases = {
      {"", "/warren/ID"},
      {"/", "/ID"},
      {"/kubepods/burstable/podX", "/kubepods/burstable/podX/ID"},
      {"kubepods//a/", "/kubepods/a/ID"},
      {"kubepods.slice", "/kubepods.slice/warren-ID.scope"},
      {"kubepods-burstable-pod1_2.slice",
       "/kubepods.slice/kubepods-burstable.slice/"
       "kubepods-burstable-pod1_2.slice/warren-ID.scope"},
      // Already expanded: the last element decides.
      {"/kubepods.slice/kubepods-burstable.slice",
       "/kubepods.slice/kubepods-burstable.slice/warren-ID.scope"},
      {"/test.slice", "/test.slice/warren-ID.scope"},
      {"-.slice", "/ID"},
      {"a--b.slice", ""},
      {"-a.slice", ""},
      {".slice", ""},
      {"a/../b", ""},
      {"..", ""},
      {"a/./b", ""},
      {"a b", ""},
      {"a\nb", ""},
  };
  for (const Case& c : cases) {
    auto path = CgroupPath(c.parent, "/warren", "ID");
    if (*c.path == '\0') {
      EXPECT_EQ(path.status().code(), absl::StatusCode::kInvalidArgument)
          << c.parent;
      EXPECT_THAT(path.status().message(), HasSubstr("cgroup_parent"));
    } else {
      EXPECT_EQ(path.value_or(""), c.path) << c.parent;
    }
  }
  EXPECT_FALSE(CgroupPath(absl::string_view("/a\0b", 4), "/w", "ID").ok());
  EXPECT_FALSE(CgroupPath("/" + std::string(256, 'a'), "/w", "ID").ok());
}

TEST(CgroupValues, WeightFormula) {
  const std::vector<std::pair<int64_t, uint64_t>> cases = {
      {0, 0},          {1, 1},          {2, 1},          {3, 2},
      {102, 17},       {512, 59},       {1024, 100},     {2048, 174},
      {262143, 10000}, {262144, 10000}, {1 << 30, 10000}};
  for (const auto& [shares, weight] : cases) {
    EXPECT_EQ(CpuWeightFromShares(shares), weight) << shares;
  }
}

// "file=value", with "?" behind what may be missing.
std::vector<std::string> Texts(
    const absl::StatusOr<std::vector<ControlValue>>& values) {
  if (!values.ok()) return {std::string(values.status().message())};
  std::vector<std::string> texts;
  for (const ControlValue& v : *values) {
    texts.push_back(v.file + "=" + v.value + (v.best_effort ? "?" : ""));
  }
  return texts;
}

TEST(CgroupValues, V2) {
  Resources r;
  EXPECT_TRUE(V2Values(r)->empty());
  r.cpu_shares = 1024;
  r.cpu_quota_us = -1;
  r.cpu_period_us = 50000;
  r.memory_limit_bytes = 100;
  r.pids_limit = -1;
  r.cpuset_cpus = "0-1";
  r.hugepage_limits = {{"2MB", 0}};
  r.unified = {{"memory.high", "90"}, {"memory.swap.max", "7"}};
  EXPECT_THAT(
      Texts(V2Values(r)),
      ElementsAre("cpu.weight=100", "cpu.max=max 50000", "cpuset.cpus=0-1",
                  "memory.max=100", "pids.max=max", "hugetlb.2MB.max=0?",
                  "memory.high=90", "memory.swap.max=7"));
  Resources quota;
  quota.cpu_quota_us = 5000;
  EXPECT_THAT(Texts(V2Values(quota)), ElementsAre("cpu.max=5000 100000"));
  for (const char* bad : {"", "memory", "../x.y", "a/b.c", ".x", "cgroup.kill",
                          "a.b\n", "cgroup.procs", "..", "memory.max/../x"}) {
    Resources u;
    u.unified = {{bad, "1"}};
    EXPECT_EQ(V2Values(u).status().code(), absl::StatusCode::kInvalidArgument)
        << bad;
  }
}

TEST(CgroupValues, SwapIsWhatIsAskedForOrNone) {
  struct Case {
    int64_t memory;
    int64_t swap;
    std::vector<std::string> v1;
    std::vector<std::string> v2;
  };
  const char* limit = "memory.limit_in_bytes=";
  const char* memsw = "memory.memsw.limit_in_bytes=";
  const auto text = [](const char* file, const char* value) {
    return std::string(file) + value;
  };
  const std::vector<Case> cases = {
      {0, 0, {}, {}},
      {100,
       0,
       {text(limit, "100"), text(memsw, "100?")},
       {"memory.max=100", "memory.swap.max=0?"}},
      {100,
       100,
       {text(limit, "100"), text(memsw, "100")},
       {"memory.max=100", "memory.swap.max=0"}},
      {100,
       150,
       {text(limit, "100"), text(memsw, "150")},
       {"memory.max=100", "memory.swap.max=50"}},
      {100,
       -1,
       {text(limit, "100"), text(memsw, "-1?")},
       {"memory.max=100", "memory.swap.max=max?"}},
      {-1,
       0,
       {text(limit, "-1"), text(memsw, "-1?")},
       {"memory.max=max", "memory.swap.max=max?"}},
      {0, -1, {text(memsw, "-1?")}, {"memory.swap.max=max?"}},
  };
  for (const Case& c : cases) {
    Resources r;
    r.memory_limit_bytes = c.memory;
    r.memory_swap_limit_bytes = c.swap;
    EXPECT_EQ(Texts(V1Values(r)), c.v1) << c.memory << " " << c.swap;
    EXPECT_EQ(Texts(V2Values(r)), c.v2) << c.memory << " " << c.swap;
  }
  for (const auto& [memory, swap] :
       {std::pair<int64_t, int64_t>{100, 50}, {0, 50}, {-1, 50}}) {
    Resources r;
    r.memory_limit_bytes = memory;
    r.memory_swap_limit_bytes = swap;
    for (const auto& values : {V1Values(r), V2Values(r)}) {
      EXPECT_EQ(values.status().code(), absl::StatusCode::kInvalidArgument);
      EXPECT_THAT(values.status().message(),
                  HasSubstr("memory_swap_limit_in_bytes: "));
    }
  }
}

TEST(CgroupValues, V1) {
  Resources r;
  r.cpu_shares = 1;
  r.cpu_quota_us = 5000;
  r.cpu_period_us = 10000;
  r.memory_limit_bytes = 100;
  r.pids_limit = 5;
  r.hugepage_limits = {{"2MB", 4}};
  EXPECT_THAT(Texts(V1Values(r)),
              ElementsAre("cpu.shares=2", "cpu.cfs_period_us=10000",
                          "cpu.cfs_quota_us=5000", "memory.limit_in_bytes=100",
                          "memory.memsw.limit_in_bytes=100?", "pids.max=5",
                          "hugetlb.2MB.limit_in_bytes=4?"));
  EXPECT_EQ(V1Values(r)->back().controller, "hugetlb");
  Resources evil;
  evil.hugepage_limits = {{"../evil", 1}};
  EXPECT_EQ(V1Values(evil).status().code(), absl::StatusCode::kInvalidArgument);
  r.unified = {{"memory.high", "1"}};
  EXPECT_EQ(V1Values(r).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(V1Values(r).status().message(),
              HasSubstr("unified: \"memory.high\""));
  // The one file that is the same in both; it wins over what was converted.
  r = {};
  r.pids_limit = 5;
  r.unified = {{"pids.max", "7"}};
  EXPECT_THAT(Texts(V1Values(r)), ElementsAre("pids.max=7"));
}

TEST_F(FakeTree, V2EnablesControllersDownToTheLeaf) {
  for (const char* level : {"", "/kube", "/kube/pod"}) {
    MakeFile(std::string(level) + "/cgroup.controllers", "cpu memory pids\n");
    MakeFile(std::string(level) + "/cgroup.subtree_control", "");
  }
  MakeFile("/kube/cgroup.subtree_control", "cpu memory pids\n");
  MakeFile("/kube/pod/leaf/memory.max", "");
  MakeFile("/kube/pod/leaf/cpu.weight", "");
  Resources r;
  r.memory_limit_bytes = 4096;
  r.cpu_shares = 1024;
  r.hugepage_limits = {{"1GB", 0}};  // no such file: nothing to limit
  const absl::Status made =
      V2().Create("/kube/pod/leaf", r, StandardDeviceRules());
  ASSERT_TRUE(made.ok()) << made;
  EXPECT_EQ(Read("/cgroup.subtree_control"), "+cpu +memory +pids");
  EXPECT_EQ(Read("/kube/cgroup.subtree_control"), "cpu memory pids\n");
  EXPECT_EQ(Read("/kube/pod/cgroup.subtree_control"), "+cpu +memory +pids");
  EXPECT_EQ(Read("/kube/pod/leaf/memory.max"), "4096");
  EXPECT_EQ(Read("/kube/pod/leaf/cpu.weight"), "100");
  r.pids_limit = 3;
  EXPECT_THAT(V2().Create("/kube/pod/leaf", r, StandardDeviceRules()).message(),
              HasSubstr("pids.max"));
}

TEST_F(FakeTree, V2KillsAndWaits) {
  MakeFile("/leaf/cgroup.kill", "");
  MakeFile("/leaf/cgroup.procs", "");
  MakeFile("/leaf/cgroup.events", "populated 0\nfrozen 0\n");
  ASSERT_TRUE(V2().KillAll("/leaf", absl::Milliseconds(10)).ok());
  EXPECT_EQ(Read("/leaf/cgroup.kill"), "");  // empty: left alone
  MakeFile("/leaf/cgroup.events", "populated 1\nfrozen 0\n");
  EXPECT_EQ(V2().KillAll("/leaf", absl::Milliseconds(10)).code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(Read("/leaf/cgroup.kill"), "1");
  EXPECT_TRUE(V2().KillAll("/nosuch", absl::Milliseconds(10)).ok());
}

TEST_F(FakeTree, V2JoinsTheFirstProcessWhereTheLeafTakesNone) {
  MakeFile("/leaf/cgroup.subtree_control", "\n");
  MakeFile("/leaf/cgroup.procs", "");
  MakeFile("/leaf/a/cgroup.procs", "41\n");
  MakeFile("/leaf/a/b/cgroup.procs", "42\n43\n");
  EXPECT_EQ(V2().JoiningLeaf("/leaf", 42).value_or(""), "/leaf");
  MakeFile("/leaf/cgroup.subtree_control", "memory pids\n");
  EXPECT_EQ(V2().JoiningLeaf("/leaf", 41).value_or(""), "/leaf/a");
  EXPECT_EQ(V2().JoiningLeaf("/leaf", 42).value_or(""), "/leaf/a/b");
  EXPECT_EQ(V2().JoiningLeaf("/leaf", 44).value_or(""), "/leaf");
  EXPECT_FALSE(V2().JoiningLeaf("/nosuch", 41).ok());
}

TEST_F(FakeTree, ProcessesOfNestedCgroups) {
  MakeFile("/leaf/cgroup.procs", "10\n11\n");
  MakeFile("/leaf/a/cgroup.procs", "12\n");
  MakeFile("/leaf/a/b/cgroup.procs", "13\n0\nx\n");
  EXPECT_THAT(*V2().Processes("/leaf"),
              ::testing::UnorderedElementsAre(10, 11, 12, 13));
  EXPECT_TRUE(V2().Processes("/nosuch")->empty());
}

TEST_F(FakeTree, TreeRemovesNestedFolders) {
  ASSERT_TRUE(base::MakeDirs(AT_FDCWD, root() + "/p/leaf/a/b", 0755).ok());
  ASSERT_TRUE(Open().Remove("/p/leaf").ok());
  EXPECT_EQ(access((root() + "/p/leaf").c_str(), F_OK), -1);
  EXPECT_TRUE(Open().Remove("/p/leaf").ok());
  Open().RemoveIfEmpty("/p");
  EXPECT_EQ(access((root() + "/p").c_str(), F_OK), -1);
}

TEST_F(FakeTree, V1KeepsUnknownHierarchiesApart) {
  // A kernel makes these files with the directory.
  MakeFile("/pids/kube/leaf/pids.max", "");
  ASSERT_TRUE(base::MakeDirs(AT_FDCWD, root() + "/systemd", 0755).ok());
  std::vector<V1Hierarchy> hierarchies;
  hierarchies.push_back({"pids", {"pids"}, false, Open("/pids")});
  hierarchies.push_back({"systemd", {"name=systemd"}, false, Open("/systemd")});
  CgroupV1 v1(std::move(hierarchies), "/warren");
  Resources r;
  r.pids_limit = 9;
  const absl::Status made = v1.Create("/kube/leaf", r, StandardDeviceRules());
  ASSERT_TRUE(made.ok()) << made;
  EXPECT_EQ(Read("/pids/kube/leaf/pids.max"), "9");
  EXPECT_EQ(access((root() + "/systemd/warren/leaf").c_str(), F_OK), 0);
  EXPECT_EQ(access((root() + "/systemd/kube").c_str(), F_OK), -1);
  EXPECT_FALSE(v1.ControlsDevices());
  r.memory_limit_bytes = 1;
  EXPECT_EQ(v1.Create("/kube/other", r, StandardDeviceRules()).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(access((root() + "/pids/kube/other").c_str(), F_OK), -1);
}

// Another thread, or an agent that died, made the parent and came no further.
TEST_F(FakeTree, V1FillsAnEmptyCpusetThatIsThereAlready) {
  for (const char* directory : {"", "/pods", "/pods/leaf"}) {
    for (const char* file : {"/cpuset.cpus", "/cpuset.mems"}) {
      MakeFile(std::string("/cpuset") + directory + file,
               *directory == '\0' ? "0-1\n" : "\n");
    }
  }
  std::vector<V1Hierarchy> hierarchies;
  hierarchies.push_back({"cpuset", {"cpuset"}, false, Open("/cpuset")});
  CgroupV1 v1(std::move(hierarchies), "/warren");
  const absl::Status made = v1.Create("/pods/leaf", Resources(), std::nullopt);
  ASSERT_TRUE(made.ok()) << made;
  EXPECT_EQ(Read("/cpuset/pods/cpuset.cpus"), "0-1\n");
  EXPECT_EQ(Read("/cpuset/pods/leaf/cpuset.cpus"), "0-1\n");
  EXPECT_EQ(Read("/cpuset/pods/leaf/cpuset.mems"), "0-1\n");
}

TEST_F(FakeTree, DriverIsWhatIsMounted) {
  const std::string v1 =
      "1 0 0:1 / " + root() + "/pids rw - cgroup cgroup " +
      "rw,pids\n2 0 0:2 / " + root() +
      "/cpu,cpuacct rw - cgroup x rw,cpu,cpuacct\n" + "3 0 0:3 / " + root() +
      "/unified rw - cgroup2 x rw\n" + "4 0 0:4 / " + root() +
      "/systemd rw - cgroup x rw,xattr," + "name=systemd\n5 0 0:5 / " + root() +
      "/a/deep rw - cgroup x rw,memory\n";
  for (const char* name : {"/pids", "/cpu,cpuacct", "/unified", "/systemd"}) {
    ASSERT_EQ(mkdir((root() + name).c_str(), 0755), 0);
  }
  auto driver = MakeCgroupDriver(root(), v1, "/warren");
  ASSERT_TRUE(driver.ok()) << driver.status();
  EXPECT_FALSE((*driver)->IsV2());
  EXPECT_THAT(
      (*driver)->Mounts(),
      ElementsAre(CgroupMount{"pids", "cgroup", {"pids"}},
                  CgroupMount{"cpu,cpuacct", "cgroup", {"cpu", "cpuacct"}},
                  CgroupMount{"unified", "cgroup2", {}},
                  CgroupMount{"systemd", "cgroup", {"name=systemd"}}));
  driver = MakeCgroupDriver(
      root(), "1 0 0:1 / " + root() + " rw - cgroup2 x rw\n", "/warren");
  ASSERT_TRUE(driver.ok()) << driver.status();
  EXPECT_TRUE((*driver)->IsV2());
  EXPECT_EQ(MakeCgroupDriver(root(), "", "/warren").status().code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace warren::runtime
