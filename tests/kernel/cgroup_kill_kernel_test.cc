// Kills of frozen cgroups by the two drivers, each on its real file system, on
// whatever machine: a v1 machine mounts v2's tree as well.
#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/base/mountinfo.h"
#include "runtime/base/process.h"
#include "runtime/cgroup/freezer.h"
#include "runtime/cgroup/v1.h"
#include "runtime/cgroup/v2.h"
#include "tests/kernel/runtime_host.h"

namespace warren::runtime {
namespace {

// A hierarchy of this machine and a tree of our own in it:
//   <parent>/kill/leaf/inner
class CgroupKill : public ::testing::Test {
 protected:
  // Skips where the machine has no such mount.
  void Use(const char* fs_type, const char* file) {
    const auto text = base::ReadFileAt(AT_FDCWD, "/proc/self/mountinfo");
    ASSERT_TRUE(text.ok()) << text.status();
    const auto mounts = base::ParseMountInfo(*text);
    ASSERT_TRUE(mounts.ok()) << mounts.status();
    for (const base::MountEntry& mount : *mounts) {
      if (mount.fs_type != fs_type) continue;
      root_ = mount.target;
      top_ = absl::StrCat(CgroupParent(), "/kill");
      auto made = base::MakeDirs(
          AT_FDCWD, absl::StrCat(root_, top_, "/leaf/inner"), 0755);
      if (made.ok() && Exists(absl::StrCat(top_, "/leaf/", file))) return;
      RemoveTrees();
      root_.clear();
    }
    GTEST_SKIP() << "no " << fs_type << " with " << file;
  }
  void TearDown() override {
    for (base::Child& child : children_) {
      base::SendSignal(child.pidfd.get(), SIGKILL).IgnoreError();
      base::AwaitFd(child.pidfd.get(), POLLIN, base::Deadline::Never())
          .IgnoreError();
      base::Reap(child.pidfd.get()).IgnoreError();
    }
    if (!root_.empty()) RemoveTrees();
  }
  void RemoveTrees() {
    for (const char* sub : {"/leaf/inner", "/leaf", ""}) {
      EXPECT_TRUE(test::Eventually([&] {
        const std::string path = absl::StrCat(root_, top_, sub);
        return rmdir(path.c_str()) == 0 || errno == ENOENT;
      })) << sub;
    }
    rmdir(absl::StrCat(root_, CgroupParent()).c_str());
  }

  bool Exists(const std::string& path) const {
    return access((root_ + path).c_str(), F_OK) == 0;
  }
  void Write(const std::string& path, const std::string& value) {
    const absl::Status written =
        base::WriteControlAt(AT_FDCWD, root_ + path, value);
    ASSERT_TRUE(written.ok()) << path << ": " << written;
  }
  // A process inside the cgroup top_ + `sub`.
  base::Child& Sleeper(const std::string& sub) {
    base::SpawnOptions options;
    options.path = "/bin/sleep";
    options.args = {"sleep", "600"};
    options.fds = {-1, -1, -1};
    auto child = base::Spawn(options);
    EXPECT_TRUE(child.ok()) << child.status();
    children_.push_back(*std::move(child));
    Write(absl::StrCat(top_, sub, "/cgroup.procs"),
          absl::StrCat(children_.back().id.pid));
    return children_.back();
  }
  static bool Dies(const base::Child& child) {
    return base::AwaitFd(
               child.pidfd.get(), POLLIN,
               base::Deadline::After(test::Patience(absl::Seconds(5))))
        .ok();
  }
  CgroupTree Tree() const {
    return CgroupTree(*base::OpenAt(AT_FDCWD, root_, O_PATH | O_DIRECTORY));
  }
  std::unique_ptr<CgroupDriver> V1() const {
    std::vector<V1Hierarchy> hierarchies;
    hierarchies.push_back({"freezer", {"freezer"}, false, Tree()});
    return std::make_unique<CgroupV1>(std::move(hierarchies), CgroupParent());
  }
  std::unique_ptr<CgroupDriver> V2() const {
    return std::make_unique<CgroupV2>(
        *base::OpenAt(AT_FDCWD, root_, O_PATH | O_DIRECTORY));
  }
  std::string leaf() const { return top_ + "/leaf"; }

  std::string root_;
  std::string top_;
  std::vector<base::Child> children_;
};

constexpr absl::Duration kNoWait = absl::ZeroDuration();

TEST_F(CgroupKill, REL_11_V1ThawsTheLeafAndWhatIsBelowIt) {
  Use("cgroup", "freezer.state");
  if (IsSkipped()) return;
  for (const char* frozen : {"/leaf", "/leaf/inner"}) {
    const base::Child& child = Sleeper("/leaf/inner");
    Write(absl::StrCat(top_, frozen, "/freezer.state"), "FROZEN");
    const absl::Status killed = V1()->KillAll(leaf(), kNoWait);
    EXPECT_TRUE(killed.ok() || absl::IsDeadlineExceeded(killed)) << killed;
    EXPECT_TRUE(Dies(child)) << frozen;
  }
}

TEST_F(CgroupKill, REL_11_V1NamesTheFrozenCgroupAboveTheLeaf) {
  Use("cgroup", "freezer.state");
  if (IsSkipped()) return;
  const base::Child& child = Sleeper("/leaf");
  Write(top_ + "/freezer.state", "FROZEN");
  // At once, whatever the patience.
  const absl::Status killed = V1()->KillAll(leaf(), absl::Hours(1));
  EXPECT_TRUE(absl::IsFailedPrecondition(killed)) << killed;
  EXPECT_NE(killed.message().find("\"" + top_ + "\""), std::string::npos)
      << killed;
  Write(top_ + "/freezer.state", "THAWED");
  EXPECT_TRUE(Dies(child)) << "the signal was sent before";
  // Empty, a leaf says nothing about who is frozen.
  Write(top_ + "/freezer.state", "FROZEN");
  EXPECT_TRUE(
      test::Eventually([&] { return V1()->KillAll(leaf(), kNoWait).ok(); }));
  Write(top_ + "/freezer.state", "THAWED");
}

TEST_F(CgroupKill, REL_11_V2KillsWhatIsFrozen) {
  Use("cgroup2", "cgroup.kill");
  if (IsSkipped()) return;
  for (const char* frozen : {"/leaf/inner", "/leaf", ""}) {
    const base::Child& child = Sleeper("/leaf/inner");
    Write(absl::StrCat(top_, frozen, "/cgroup.freeze"), "1");
    const absl::Status killed =
        V2()->KillAll(leaf(), test::Patience(absl::Seconds(5)));
    EXPECT_TRUE(killed.ok()) << frozen << ": " << killed;
    EXPECT_TRUE(Dies(child)) << frozen;
    Write(absl::StrCat(top_, frozen, "/cgroup.freeze"), "0");
    // A cgroup that was killed takes no clone(2) any more.
    RemoveTrees();
    ASSERT_TRUE(
        base::MakeDirs(AT_FDCWD, absl::StrCat(root_, leaf(), "/inner"), 0755)
            .ok());
  }
}

TEST_F(CgroupKill, REL_11_V1ThawsAnyDepthWithOneDescriptor) {
  Use("cgroup", "freezer.state");
  if (IsSkipped()) return;
  constexpr int kDepth = 200;
  std::vector<std::string> made;
  std::string deep = root_ + leaf() + "/inner";
  for (int i = 0; i < kDepth; ++i) {
    deep += "/d";
    ASSERT_EQ(mkdir(deep.c_str(), 0755), 0);
    made.push_back(deep);
  }
  ASSERT_TRUE(
      base::WriteControlAt(AT_FDCWD, deep + "/freezer.state", "FROZEN").ok());
  ThawTree(Tree(), leaf());
  EXPECT_EQ(base::ReadFileAt(AT_FDCWD, deep + "/freezer.state").value_or(""),
            "THAWED\n");
  for (; !made.empty(); made.pop_back()) rmdir(made.back().c_str());
}

}  // namespace
}  // namespace warren::runtime
