#include "runtime/namespaces/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <set>

namespace warren::runtime {
namespace {

using ::testing::ElementsAre;

constexpr uint64_t kTime = 0x80;  // CLONE_NEWTIME

TEST(Namespaces, TableHasEachKindOnceUserFirst) {
  std::set<uint64_t> flags;
  for (size_t i = 0; i < NamespaceTable().size(); ++i) {
    const NamespaceInfo& info = NamespaceTable()[i];
    EXPECT_EQ(static_cast<size_t>(info.kind), i);
    EXPECT_EQ(&InfoOf(info.kind), &info);
    flags.insert(info.clone_flag);
  }
  EXPECT_EQ(flags.size(), 8u);
  EXPECT_EQ(NamespaceTable()[0].kind, NamespaceKind::kUser);
}

TEST(Namespaces, OrdinaryPod) {
  ContainerSpec c;
  EXPECT_EQ(SandboxCloneFlags(c.sandbox, true),
            uint64_t{CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS} | kTime);
  EXPECT_EQ(ContainerCloneFlags(c),
            uint64_t{CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWCGROUP});
  EXPECT_THAT(JoinedPins(c, true),
              ElementsAre(NamespaceKind::kNet, NamespaceKind::kIpc,
                          NamespaceKind::kUts, NamespaceKind::kTime));
  EXPECT_THAT(JoinedPins(c, false),
              ElementsAre(NamespaceKind::kNet, NamespaceKind::kIpc,
                          NamespaceKind::kUts));
  EXPECT_EQ(ExecSetnsFlags(c, true),
            SandboxCloneFlags(c.sandbox, true) | ContainerCloneFlags(c));
}

TEST(Namespaces, UserNamespaceAndSharedPid) {
  ContainerSpec c;
  c.sandbox.uid_mappings = c.sandbox.gid_mappings = {{0, 65536, 65536}};
  c.sandbox.pid = NamespaceMode::kPod;
  c.pid = NamespaceMode::kPod;
  EXPECT_EQ(SandboxCloneFlags(c.sandbox, false),
            uint64_t{CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET |
                     CLONE_NEWIPC | CLONE_NEWUTS});
  EXPECT_THAT(JoinedPins(c, false),
              ElementsAre(NamespaceKind::kUser, NamespaceKind::kPid,
                          NamespaceKind::kNet, NamespaceKind::kIpc,
                          NamespaceKind::kUts));
  // A container may still have its own.
  c.pid = NamespaceMode::kContainer;
  EXPECT_EQ(ContainerCloneFlags(c) & CLONE_NEWPID, uint64_t{CLONE_NEWPID});
  EXPECT_EQ(JoinedPins(c, false).size(), 4u);
}

TEST(Namespaces, HostsNamespacesAreNotTouched) {
  ContainerSpec c;
  c.sandbox.network = c.sandbox.ipc = c.sandbox.pid = NamespaceMode::kHost;
  c.pid = NamespaceMode::kHost;
  c.privileged = true;
  EXPECT_EQ(SandboxCloneFlags(c.sandbox, false), 0u);
  EXPECT_EQ(ContainerCloneFlags(c), uint64_t{CLONE_NEWNS});
  EXPECT_EQ(ExecSetnsFlags(c, false), uint64_t{CLONE_NEWNS});
  // The host's network comes with the host's name.
  EXPECT_EQ(ModeOf(NamespaceKind::kUts, c, false), NamespaceMode::kHost);
}

TEST(Namespaces, PrivilegedInAUserNamespaceHasCgroupsOfItsOwn) {
  ContainerSpec c;
  c.privileged = true;
  EXPECT_EQ(ModeOf(NamespaceKind::kCgroup, c, false), NamespaceMode::kHost);
  c.sandbox.uid_mappings = c.sandbox.gid_mappings = {{0, 65536, 65536}};
  EXPECT_EQ(ModeOf(NamespaceKind::kCgroup, c, false),
            NamespaceMode::kContainer);
}

TEST(Namespaces, TargetIsEnteredButNotMade) {
  ContainerSpec c;
  c.pid = NamespaceMode::kTarget;
  EXPECT_EQ(ContainerCloneFlags(c) & CLONE_NEWPID, 0u);
  EXPECT_EQ(ExecSetnsFlags(c, false) & CLONE_NEWPID, uint64_t{CLONE_NEWPID});
}

}  // namespace
}  // namespace warren::runtime
