// Cgroups that a container made in its own: any number, at any depth, walked on
// a small stack with a handful of descriptors.
#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/base/giant_tree_testing.h"
#include "runtime/base/mountinfo.h"
#include "runtime/base/process.h"
#include "runtime/cgroup/freezer.h"
#include "runtime/cgroup/tree.h"
#include "tests/kernel/runtime_host.h"

namespace warren::runtime {
namespace {

using base::testing::FewDescriptors;
using base::testing::MakeDeep;
using base::testing::OnSmallStack;

constexpr int kLevels = 1500;

// On each version that this machine has: the v1 freezer, v2.
class GiantCgroups : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string wanted = GetParam();
    const auto text = base::ReadFileAt(AT_FDCWD, "/proc/self/mountinfo");
    ASSERT_TRUE(text.ok()) << text.status();
    const auto mounts = base::ParseMountInfo(*text);
    ASSERT_TRUE(mounts.ok()) << mounts.status();
    for (const base::MountEntry& mount : *mounts) {
      if (mount.fs_type != (wanted == "v1" ? "cgroup" : "cgroup2")) continue;
      if (wanted == "v1" &&
          mount.super_options.find("freezer") == std::string::npos) {
        continue;
      }
      root_ = mount.target;
    }
    if (root_.empty()) GTEST_SKIP() << "no cgroup " << wanted;
    tree_.emplace(*base::OpenAt(AT_FDCWD, root_, O_PATH | O_DIRECTORY));
    auto made = base::MakeDirs(AT_FDCWD, root_ + leaf(), 0755);
    if (!made.ok()) GTEST_SKIP() << made.status();
    top_ = *base::OpenAt(AT_FDCWD, root_ + leaf(), O_RDONLY | O_DIRECTORY);
  }
  void TearDown() override {
    if (child_.has_value()) {
      base::SendSignal(child_->pidfd.get(), SIGKILL).IgnoreError();
      base::AwaitFd(child_->pidfd.get(), POLLIN, base::Deadline::Never())
          .IgnoreError();
      base::Reap(child_->pidfd.get()).IgnoreError();
    }
    if (!tree_.has_value()) return;
    const absl::Status removed = tree_->Remove(CgroupParent() + "/giant");
    EXPECT_TRUE(removed.ok()) << removed;
    tree_->RemoveIfEmpty(CgroupParent());
  }
  std::string leaf() const { return CgroupParent() + "/giant/leaf"; }

  // The deepest directory of `levels` called "d" below the leaf.
  base::UniqueFd Deepest(int levels) const {
    base::UniqueFd at = *base::DupFd(top_.get());
    for (int i = 0; i < levels; ++i) {
      at = *base::OpenAt(at.get(), "d", O_RDONLY | O_DIRECTORY);
    }
    return at;
  }
  // A process in the cgroup `directory`.
  pid_t Sleeper(int directory) {
    base::SpawnOptions options;
    options.path = "/bin/sleep";
    options.args = {"sleep", "600"};
    options.fds = {-1, -1, -1};
    auto child = base::Spawn(options);
    EXPECT_TRUE(child.ok()) << child.status();
    child_ = *std::move(child);
    const absl::Status moved = base::WriteControlAt(
        directory, "cgroup.procs", absl::StrCat(child_->id.pid));
    EXPECT_TRUE(moved.ok()) << moved;
    return child_->id.pid;
  }
  void ExpectRemoved() {
    const absl::Status removed = tree_->Remove(leaf());
    EXPECT_TRUE(removed.ok()) << removed;
    EXPECT_FALSE(tree_->Exists(leaf()));
  }

  std::string root_;
  std::optional<CgroupTree> tree_;
  base::UniqueFd top_;
  std::optional<base::Child> child_;
};

TEST_P(GiantCgroups, REL_18_C30_NestedOnesAreListedAndRemoved) {
  ASSERT_EQ(MakeDeep(top_.get(), kLevels, "d"), 0);
  const pid_t pid = Sleeper(Deepest(kLevels).get());
  // One more below each of some levels, to be found on the way back.
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(mkdirat(Deepest(i).get(), "z", 0755), 0);
  }
  const FewDescriptors few(6);
  EXPECT_TRUE(OnSmallStack([&] {
    const auto pids = tree_->Processes(leaf());
    ASSERT_TRUE(pids.ok()) << pids.status();
    EXPECT_EQ(*pids, std::vector<pid_t>({pid}));
    const absl::Status killed =
        KillListed([&] { return tree_->Processes(leaf()); },
                   test::Patience(absl::Seconds(10)));
    EXPECT_TRUE(killed.ok()) << killed;
    ExpectRemoved();
  }));
}

TEST_P(GiantCgroups, REL_18_C30_ManySiblingsAreListedAndRemoved) {
  constexpr int kSiblings = 1500;
  int last = -1;
  for (int i = 0; i < kSiblings; ++i) {
    const std::string name = absl::StrCat("sibling-", i, "-", i * 7919);
    ASSERT_EQ(mkdirat(top_.get(), name.c_str(), 0755), 0);
    if (i % 3 == 0) {
      ASSERT_EQ(mkdirat(top_.get(), (name + "/inner").c_str(), 0755), 0);
      last = i;
    }
  }
  const base::UniqueFd place = *base::OpenAt(
      top_.get(), absl::StrCat("sibling-", last, "-", last * 7919, "/inner"),
      O_RDONLY | O_DIRECTORY);
  const pid_t pid = Sleeper(place.get());
  const auto pids = tree_->Processes(leaf());
  ASSERT_TRUE(pids.ok()) << pids.status();
  EXPECT_EQ(*pids, std::vector<pid_t>({pid}));
  const auto where = tree_->DirectoryOf(leaf(), pid);
  ASSERT_TRUE(where.ok()) << where.status();
  EXPECT_EQ(where->value_or("none"), absl::StrCat(leaf(), "/sibling-", last,
                                                  "-", last * 7919, "/inner"));
  // What is busy stays, the rest goes; what is left goes later.
  EXPECT_FALSE(tree_->Remove(leaf()).ok());
  EXPECT_TRUE(KillListed([&] { return tree_->Processes(leaf()); },
                         test::Patience(absl::Seconds(10)))
                  .ok());
  ExpectRemoved();
}

TEST_P(GiantCgroups, REL_18_APathThatIsTooLongIsNotFollowed) {
  // 1500 levels of 8 bytes.
  ASSERT_EQ(MakeDeep(top_.get(), kLevels, "elegant"), 0);
  base::UniqueFd at = *base::DupFd(top_.get());
  for (int i = 0; i < kLevels; ++i) {
    at = *base::OpenAt(at.get(), "elegant", O_RDONLY | O_DIRECTORY);
  }
  const pid_t pid = Sleeper(at.get());
  EXPECT_TRUE(OnSmallStack([&] {
    const auto where = tree_->DirectoryOf(leaf(), pid);
    ASSERT_TRUE(where.ok()) << where.status();
    EXPECT_FALSE(where->has_value());
  }));
}

TEST_P(GiantCgroups, REL_12_ADeadlineEndsARemovalAndTheNextOneGoesOn) {
  ASSERT_EQ(MakeDeep(top_.get(), 50, "d"), 0);
  const absl::Status late =
      tree_->Remove(leaf(), base::Deadline::After(absl::ZeroDuration()));
  EXPECT_TRUE(absl::IsDeadlineExceeded(late)) << late;
  EXPECT_TRUE(tree_->Exists(leaf()));
  ExpectRemoved();
}

TEST_P(GiantCgroups, REL_11_C29_AFrozenOneAtTheBottomIsThawed) {
  if (std::string(GetParam()) != "v1") GTEST_SKIP() << "v2 kills the frozen";
  ASSERT_EQ(MakeDeep(top_.get(), kLevels, "d"), 0);
  const base::UniqueFd bottom = Deepest(kLevels);
  ASSERT_TRUE(
      base::WriteControlAt(bottom.get(), "freezer.state", "FROZEN").ok());
  const FewDescriptors few(6);
  EXPECT_TRUE(OnSmallStack([&] { ThawTree(*tree_, leaf()); }));
  EXPECT_EQ(base::ReadFileAt(bottom.get(), "freezer.state").value_or(""),
            "THAWED\n");
}

INSTANTIATE_TEST_SUITE_P(Versions, GiantCgroups, ::testing::Values("v1", "v2"));

}  // namespace
}  // namespace warren::runtime
