// Leaves with an inner cgroup (CgroupLeaf::inner), and those of older agents.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "runtime/cgroup/fake_tree.h"
#include "runtime/cgroup/leaf_sampler.h"
#include "runtime/cgroup/v1.h"
#include "runtime/cgroup/v2.h"

namespace warren::runtime {
namespace {

using ::testing::ElementsAre;

class InnerTest : public FakeTree {
 protected:
  // What a kernel makes with the directory, at both levels.
  void MakeBoth(const std::string& file, const std::string& text) {
    const size_t slash = file.rfind('/');
    MakeFile(file, text);
    MakeFile(file.substr(0, slash) + "/container" + file.substr(slash), text);
  }
  // Hierarchies with files that every leaf needs.
  CgroupV1 V1() {
    for (const char* file :
         {"/memory.limit_in_bytes", "/memory.memsw.limit_in_bytes", "/tasks"}) {
      MakeBoth(std::string("/memory/pods/leaf") + file, "");
    }
    MakeBoth("/pids/pods/leaf/pids.max", "");
    MakeBoth("/pids/pods/leaf/tasks", "");
    MakeFile("/freezer/pods/leaf/tasks", "");
    MakeFile("/freezer/pods/leaf/cgroup.procs", "7\n");
    for (const char* file : {"/cpuset.cpus", "/cpuset.mems"}) {
      MakeFile(std::string("/cpuset/pods") + file, "0-3\n");
      MakeBoth(std::string("/cpuset/pods/leaf") + file, "\n");
    }
    MakeBoth("/cpuset/pods/leaf/tasks", "");
    MakeBoth("/devices/pods/leaf/tasks", "");
    for (const char* file : {"/devices.deny", "/devices.allow"}) {
      MakeFile(std::string("/devices/pods/leaf") + file, "");
    }
    MakeFile("/systemd/own/leaf/tasks", "");
    std::vector<V1Hierarchy> hierarchies;
    for (const char* name :
         {"memory", "pids", "freezer", "cpuset", "devices", "systemd"}) {
      const std::string controller = name;
      hierarchies.push_back(
          {controller,
           {controller == "systemd" ? "name=systemd" : controller},
           false,
           Open("/" + controller)});
    }
    return CgroupV1(std::move(hierarchies), "/own");
  }
  bool There(const std::string& path) {
    return access((root() + path).c_str(), F_OK) == 0;
  }
  // Paths below the root that descriptors lead to.
  std::vector<std::string> PathsOf(const std::vector<base::UniqueFd>& fds) {
    std::vector<std::string> paths;
    for (const base::UniqueFd& fd : fds) {
      char path[4096] = {};
      const std::string link = "/proc/self/fd/" + std::to_string(fd.get());
      EXPECT_GT(readlink(link.c_str(), path, sizeof(path) - 1), 0);
      paths.push_back(std::string(path).substr(root().size()));
    }
    return paths;
  }
  std::string PathOf(base::UniqueFd fd) {
    std::vector<base::UniqueFd> fds;
    fds.push_back(std::move(fd));
    return PathsOf(fds)[0];
  }
  static CgroupLeaf Leaf() {
    CgroupLeaf leaf("/pods/leaf", "/own");
    leaf.inner = "container";
    return leaf;
  }
  static Resources Limits() {
    Resources r;
    r.memory_limit_bytes = 4096;
    r.pids_limit = 9;
    r.cpuset_cpus = "1";
    return r;
  }
};

TEST_F(InnerTest, EXE_11_LimitsHoldOutsideAndAreCopiedInside) {
  CgroupV1 v1 = V1();
  EXPECT_EQ(v1.InnerName(), "container");
  const absl::Status made = v1.Create(Leaf(), Limits(), StandardDeviceRules());
  ASSERT_TRUE(made.ok()) << made;
  for (const char* level : {"/pods/leaf", "/pods/leaf/container"}) {
    const std::string at = level;
    EXPECT_EQ(Read("/memory" + at + "/memory.limit_in_bytes"), "4096");
    EXPECT_EQ(Read("/memory" + at + "/memory.memsw.limit_in_bytes"), "4096");
    EXPECT_EQ(Read("/pids" + at + "/pids.max"), "9");
    EXPECT_EQ(Read("/cpuset" + at + "/cpuset.cpus").substr(0, 1), "1");
    EXPECT_EQ(Read("/cpuset" + at + "/cpuset.mems"), "0-3\n");
  }
  EXPECT_EQ(Read("/devices/pods/leaf/devices.deny"), "a");
  EXPECT_FALSE(There("/freezer/pods/leaf/container"));
  EXPECT_FALSE(There("/systemd/own/leaf/container"));
}

TEST_F(InnerTest, EXE_11_ProgramsAreInTheInnerOne) {
  CgroupV1 v1 = V1();
  auto placement = v1.OpenPlacement(Leaf());
  ASSERT_TRUE(placement.ok()) << placement.status();
  EXPECT_THAT(
      PathsOf(placement->v1_procs),
      ElementsAre("/memory/pods/leaf/container/tasks",
                  "/pids/pods/leaf/container/tasks", "/freezer/pods/leaf/tasks",
                  "/cpuset/pods/leaf/container/tasks",
                  "/devices/pods/leaf/container/tasks",
                  "/systemd/own/leaf/tasks"));
  EXPECT_EQ(PathOf(*v1.OpenProcsFile(Leaf())),
            "/freezer/pods/leaf/cgroup.procs");
  EXPECT_EQ(*v1.JoiningLeaf(Leaf(), 7), Leaf());
}

// Those of older agents stay as they are.
TEST_F(InnerTest, EXE_11_ALeafWithoutAnInnerOneIsAsItWas) {
  CgroupV1 v1 = V1();
  const CgroupLeaf old("/pods/leaf", "/own");
  ASSERT_TRUE(v1.Create(old, Limits(), StandardDeviceRules()).ok());
  EXPECT_EQ(Read("/pids/pods/leaf/pids.max"), "9");
  EXPECT_EQ(Read("/pids/pods/leaf/container/pids.max"), "") << "not ours";
  auto placement = v1.OpenPlacement(old);
  ASSERT_TRUE(placement.ok()) << placement.status();
  EXPECT_EQ(PathsOf(placement->v1_procs)[0], "/memory/pods/leaf/tasks");
  Resources more = Limits();
  more.pids_limit = 99;
  ASSERT_TRUE(v1.Update(old, Limits(), more).ok());
  EXPECT_EQ(Read("/pids/pods/leaf/pids.max"), "99");
  EXPECT_EQ(Read("/pids/pods/leaf/container/pids.max"), "");
}

TEST_F(InnerTest, EXE_11_AnUpdateChangesBothOrNone) {
  CgroupV1 v1 = V1();
  ASSERT_TRUE(v1.Create(Leaf(), Limits(), std::nullopt).ok());
  Resources more = Limits();
  more.pids_limit = 99;
  ASSERT_TRUE(v1.Update(Leaf(), Limits(), more).ok());
  EXPECT_EQ(Read("/pids/pods/leaf/pids.max"), "99");
  EXPECT_EQ(Read("/pids/pods/leaf/container/pids.max"), "99");
  // A directory where a file should be cannot be written: EISDIR.
  ASSERT_EQ(unlink((root() + "/memory/pods/leaf/container/"
                             "memory.limit_in_bytes")
                       .c_str()),
            0);
  MakeFile("/memory/pods/leaf/container/memory.limit_in_bytes/x", "");
  Resources bad = more;
  bad.pids_limit = 11;
  bad.memory_limit_bytes = 8192;
  EXPECT_FALSE(v1.Update(Leaf(), more, bad).ok());
  EXPECT_EQ(Read("/pids/pods/leaf/pids.max").substr(0, 2), "99");
  EXPECT_EQ(Read("/memory/pods/leaf/memory.limit_in_bytes").substr(0, 4),
            "4096");
}

TEST_F(InnerTest, OomKillsBelowTheLeafAreItsOwn) {
  CgroupV1 v1 = V1();
  const auto killed = [&] {
    return *v1.HadOomKill(Leaf(), base::Deadline::Never());
  };
  const std::string none = "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n";
  const std::string one = "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n";
  MakeBoth("/memory/pods/leaf/memory.oom_control", none);
  EXPECT_FALSE(killed());
  MakeFile("/memory/pods/leaf/container/a/b/memory.oom_control", one);
  EXPECT_TRUE(killed());
  MakeFile("/memory/pods/leaf/container/a/b/memory.oom_control", none);
  EXPECT_FALSE(killed());
  MakeFile("/memory/pods/leaf/container/memory.oom_control", one);
  EXPECT_TRUE(killed());
  // Figures and the shim look where its programs are.
  EXPECT_EQ(PathOf(std::move(v1.OpenDirectories(Leaf())->victims)),
            "/memory/pods/leaf/container");
  EXPECT_EQ(PathOf(*v1.OpenOomFile(Leaf())),
            "/memory/pods/leaf/container/memory.oom_control");
  CgroupLeaf gone = Leaf();
  gone.path = "/pods/gone";
  EXPECT_FALSE(*v1.HadOomKill(gone, base::Deadline::Never()));
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      v1.HadOomKill(Leaf(), base::Deadline::After(absl::ZeroDuration()))
          .status()));
}

TEST_F(InnerTest, EXE_11_V2NeedsNoneWhereTheKernelDelegates) {
  for (const auto& [options, inner] :
       {std::pair<std::string, std::string>{"rw,nsdelegate", ""},
        {"rw,nsdelegate,memory_recursiveprot", ""},
        {"rw", "container"},
        {"rw,nsdelegatex", "container"}}) {
    const auto driver = MakeCgroupDriver(
        root(), "1 0 0:1 / " + root() + " rw - cgroup2 x " + options + "\n",
        "/own");
    ASSERT_TRUE(driver.ok()) << driver.status();
    EXPECT_EQ((*driver)->InnerName(), inner) << options;
  }
}

TEST_F(InnerTest, EXE_11_V2WithoutDelegation) {
  for (const char* level :
       {"", "/pods", "/pods/leaf", "/pods/leaf/container"}) {
    MakeFile(std::string(level) + "/cgroup.controllers", "memory pids\n");
    MakeFile(std::string(level) + "/cgroup.subtree_control", "");
  }
  MakeFile("/pods/leaf/container/cgroup.procs", "");
  for (const char* file : {"memory.max", "memory.swap.max", "pids.max"}) {
    MakeBoth(std::string("/pods/leaf/") + file, "");
  }
  MakeFile("/pods/leaf/io.max", "");
  CgroupV2 v2(*base::OpenAt(AT_FDCWD, root(), O_PATH | O_DIRECTORY), false,
              /*nsdelegate=*/false);
  Resources r;
  r.memory_limit_bytes = 4096;
  r.unified = {{"io.max", "8:0 rbps=1"}};  // nobody looks for it inside
  const absl::Status made = v2.Create(Leaf(), r, std::nullopt);
  ASSERT_TRUE(made.ok()) << made;
  EXPECT_EQ(Read("/pods/leaf/cgroup.subtree_control"), "+memory +pids");
  EXPECT_EQ(Read("/pods/leaf/container/cgroup.subtree_control"), "");
  EXPECT_EQ(Read("/pods/leaf/memory.max"), "4096");
  EXPECT_EQ(Read("/pods/leaf/container/memory.max"), "4096");
  EXPECT_EQ(Read("/pods/leaf/io.max"), "8:0 rbps=1");
  EXPECT_EQ(PathOf(std::move(v2.OpenPlacement(Leaf())->v2_dir)),
            "/pods/leaf/container");
  EXPECT_EQ(*v2.JoiningLeaf(Leaf(), 1), Leaf());
  Resources more = r;
  more.memory_limit_bytes = 8192;
  more.pids_limit = 5;
  const absl::Status updated = v2.Update(Leaf(), r, more);
  ASSERT_TRUE(updated.ok()) << updated;
  EXPECT_EQ(Read("/pods/leaf/memory.max"), "8192");
  EXPECT_EQ(Read("/pods/leaf/container/memory.max"), "8192");
  EXPECT_EQ(Read("/pods/leaf/container/pids.max"), "5");
}

}  // namespace
}  // namespace warren::runtime
