#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <set>

#include "runtime/base/file.h"
#include "runtime/base/process.h"
#include "runtime/mounts/pod_files.h"
#include "runtime/namespaces/table.h"
#include "tests/kernel/runtime_host.h"

namespace warren::runtime {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

class RuntimeSandbox : public RuntimeTest {};

uint64_t Inode(const SandboxFacts& facts, NamespaceKind kind) {
  for (const NamespaceFact& fact : facts.namespaces) {
    if (fact.kind == kind) return fact.inode;
  }
  return 0;
}

const NamespaceView* View(const std::vector<NamespaceView>& views,
                          NamespaceKind kind) {
  for (const NamespaceView& view : views) {
    if (view.kind == kind) return &view;
  }
  return nullptr;
}

TEST_F(RuntimeSandbox, MakesAndRemovesWithoutTrace) {
  const SandboxSpec warm_up = Pod();
  Create(warm_up);
  Remove(warm_up);
  const Ledger before = Ledger::Read(dir());
  for (const NamespaceMode pid :
       {NamespaceMode::kContainer, NamespaceMode::kPod, NamespaceMode::kHost}) {
    SandboxSpec pod = Pod();
    pod.pid = pid;
    const SandboxFacts facts = Create(pod);
    EXPECT_EQ(facts.pod_init.pid != 0, pid == NamespaceMode::kPod);
    EXPECT_THAT(runtime().ListSandboxIds(), ::testing::ElementsAre(pod.id));
    ASSERT_TRUE(runtime().StopSandbox(pod, base::Deadline::Never()).ok());
    EXPECT_FALSE(runtime().OpenSandboxNetns(pod.id).ok());
    ASSERT_TRUE(runtime().StopSandbox(pod, base::Deadline::Never()).ok());
    Remove(pod);
    ASSERT_TRUE(runtime().RemoveSandbox(pod, base::Deadline::Never()).ok());
  }
  ExpectEqual(before, Ledger::Read(dir()));
}

TEST_F(RuntimeSandbox, NamespacesAreItsOwnAndStay) {
  const SandboxSpec a = Pod();
  const SandboxSpec b = Pod();
  const SandboxFacts fa = Create(a);
  const SandboxFacts fb = Create(b);
  for (const NamespaceKind kind : {NamespaceKind::kNet, NamespaceKind::kIpc,
                                   NamespaceKind::kUts, NamespaceKind::kTime}) {
    const char* name = InfoOf(kind).name;
    EXPECT_NE(Inode(fa, kind), 0u) << name;
    EXPECT_NE(Inode(fa, kind), Inode(fb, kind)) << name;
    EXPECT_NE(Inode(fa, kind), NamespaceInode(getpid(), name)) << name;
  }
  EXPECT_EQ(Inode(fa, NamespaceKind::kUser), NamespaceInode(getpid(), "user"));
  auto netns = runtime().OpenSandboxNetns(a.id);
  ASSERT_TRUE(netns.ok()) << netns.status();
  struct statfs fs;
  ASSERT_EQ(fstatfs(netns->get(), &fs), 0);
  EXPECT_EQ(fs.f_type, NSFS_MAGIC);
  struct stat st;
  ASSERT_EQ(fstat(netns->get(), &st), 0);
  EXPECT_EQ(st.st_ino, Inode(fa, NamespaceKind::kNet));
}

TEST_F(RuntimeSandbox, UserNamespaceOwnsTheOthers) {
  const SandboxSpec pod = UserNamespacePod();
  const SandboxFacts facts = Create(pod);
  auto view = runtime().InspectSandbox(Resolved(pod));
  ASSERT_TRUE(view.ok()) << view.status();
  const uint64_t user = Inode(facts, NamespaceKind::kUser);
  EXPECT_NE(user, NamespaceInode(getpid(), "user"));
  for (const NamespaceKind kind : {NamespaceKind::kNet, NamespaceKind::kIpc,
                                   NamespaceKind::kUts, NamespaceKind::kTime}) {
    const NamespaceView* v = View(view->namespaces, kind);
    ASSERT_NE(v, nullptr);
    EXPECT_EQ(v->owner_user_inode, user) << InfoOf(kind).name;
    EXPECT_FALSE(v->is_host);
    EXPECT_EQ(v->mode, NamespaceMode::kPod);
  }
  EXPECT_EQ(view->hostname, pod.hostname);
  EXPECT_EQ(view->uid_mappings, pod.uid_mappings);
  EXPECT_EQ(Run(Shell(pod, "stat -c '%u %g %a' /etc/hosts")), "0 0 644\n");
}

TEST_F(RuntimeSandbox, LOG_2_FilesOfAPodAreCappedAndOutliveTheAgent) {
  for (const SandboxSpec& pod : {Pod(), UserNamespacePod()}) {
    const SandboxFacts facts = Create(pod);
    const std::string out =
        Run(Shell(pod,
                  "for f in hosts hostname resolv.conf; do "
                  "dd if=/dev/zero bs=64k count=64 of=/etc/$f 2>&1 | "
                  "grep -o 'No space'; done; "
                  "cat /etc/hosts /etc/hostname /etc/resolv.conf | wc -c"));
    ASSERT_THAT(out, StartsWith("No space\nNo space\nNo space\n"));
    EXPECT_LE(std::stoul(out.substr(27)), kPodFilesSpare + 4096 * 3);
    Restart();
    ASSERT_TRUE(runtime().AdoptSandbox(pod, facts).ok());
    EXPECT_EQ(Run(Shell(pod, "stat -c '%u %g %a' /etc/hosts")), "0 0 644\n");
    EXPECT_THAT(*base::ListDir(AT_FDCWD, dir() + "/run/sandboxes/" + pod.id),
                testing::ElementsAre("identity.pb"));
  }
}

TEST_F(RuntimeSandbox, HostNamespacesAreTheHosts) {
  SandboxSpec pod = Pod();
  pod.network = NamespaceMode::kHost;
  pod.ipc = NamespaceMode::kHost;
  pod.pid = NamespaceMode::kHost;
  Create(pod);
  auto view = runtime().InspectSandbox(Resolved(pod));
  ASSERT_TRUE(view.ok()) << view.status();
  for (const NamespaceKind kind :
       {NamespaceKind::kUser, NamespaceKind::kNet, NamespaceKind::kIpc,
        NamespaceKind::kUts, NamespaceKind::kPid}) {
    const NamespaceView* v = View(view->namespaces, kind);
    ASSERT_NE(v, nullptr);
    EXPECT_TRUE(v->is_host);
    EXPECT_EQ(v->mode, NamespaceMode::kHost);
  }
  EXPECT_FALSE(runtime().OpenSandboxNetns(pod.id).ok());
}

TEST_F(RuntimeSandbox, HolderIsPidOneOfThePod) {
  SandboxSpec pod = Pod();
  pod.pid = NamespaceMode::kPod;
  const SandboxFacts facts = Create(pod);
  EXPECT_EQ(Inode(facts, NamespaceKind::kPid),
            NamespaceInode(facts.pod_init.pid, "pid"));
  auto view = runtime().InspectSandbox(Resolved(pod));
  ASSERT_TRUE(view.ok()) << view.status();
  ASSERT_THAT(view->pod_init, SizeIs(1));
  EXPECT_EQ(view->pod_init[0].host_pid, facts.pod_init.pid);
  EXPECT_EQ(view->pod_init[0].inner_pid, 1);
  ASSERT_TRUE(runtime().StopSandbox(pod, base::Deadline::Never()).ok());
  // Reaped, not a zombie.
  EXPECT_FALSE(base::StartTime(facts.pod_init.pid).ok());
}

TEST_F(RuntimeSandbox, TimeOffsetsAndHostnameAreSeenInside) {
  SandboxSpec pod = Pod();
  pod.time_offsets = {3600'000'000'000, -500'000'000};
  pod.time_offsets_requested = true;
  Create(pod);
  const std::string out = Run(
      Shell(pod, "hostname; cat /etc/hostname; cat /proc/self/timens_offsets"));
  EXPECT_THAT(out, HasSubstr(pod.hostname + "\n" + pod.hostname + "\n"));
  EXPECT_THAT(out, ::testing::ContainsRegex("boottime +3600 +0"));
  EXPECT_THAT(out, ::testing::ContainsRegex("monotonic +-1 +500000000"));
}

TEST_F(RuntimeSandbox, SysctlsAreSetInThePodOnly) {
  SandboxSpec pod = Pod();
  pod.sysctls = {{"kernel.shm_rmid_forced", "1"},
                 {"fs.mqueue.msg_max", "100"},
                 {"net.ipv4.ip_unprivileged_port_start", "0"}};
  Create(pod);
  EXPECT_EQ(Run(Shell(pod,
                      "cat /proc/sys/kernel/shm_rmid_forced "
                      "/proc/sys/fs/mqueue/msg_max "
                      "/proc/sys/net/ipv4/ip_unprivileged_port_start")),
            "1\n100\n0\n");
}

TEST_F(RuntimeSandbox, REL_7_FailureLeavesNothing) {
  const SandboxSpec warm_up = Pod();
  Create(warm_up);
  Remove(warm_up);
  const Ledger before = Ledger::Read(dir());
  SandboxSpec pod = Pod();
  pod.pid = NamespaceMode::kPod;
  pod.sysctls = {{"net.nosuch.key", "1"}};
  auto made = TryCreate(pod);
  EXPECT_FALSE(made.ok());
  EXPECT_THAT(made.status().message(), HasSubstr("make namespaces"));
  SandboxSpec bad = UserNamespacePod();
  bad.uid_mappings[0].container_id = 1;
  EXPECT_EQ(TryCreate(bad).status().code(), absl::StatusCode::kInvalidArgument);
  SandboxSpec parent = Pod();
  parent.pid = NamespaceMode::kPod;
  parent.cgroup_parent = "/warren-test/../escape";
  EXPECT_EQ(TryCreate(parent).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(runtime().ListSandboxIds(), IsEmpty());
  // The parent of the init's cgroup goes with the last pod.
  const SandboxSpec last = Pod();
  Create(last);
  Remove(last);
  ExpectEqual(before, Ledger::Read(dir()));
}

TEST_F(RuntimeSandbox, AdoptionSeesWhatChanged) {
  SandboxSpec pod = Pod();
  pod.pid = NamespaceMode::kPod;
  SandboxFacts facts = Create(pod);
  Restart();
  EXPECT_TRUE(runtime().AdoptSandbox(pod, facts).ok());
  SandboxFacts other = facts;
  other.namespaces[2].inode += 1;
  EXPECT_EQ(runtime().AdoptSandbox(pod, other).code(),
            absl::StatusCode::kFailedPrecondition);
  other = facts;
  other.pod_init.start_time += 1;
  EXPECT_EQ(runtime().AdoptSandbox(pod, other).code(),
            absl::StatusCode::kFailedPrecondition);
  // Ends the pod init of an earlier agent, too.
  Restart();
  ASSERT_TRUE(runtime().StopSandbox(pod, base::Deadline::Never()).ok());
  auto pidfd = base::OpenProcess(facts.pod_init);
  EXPECT_TRUE(!pidfd.ok() ||
              *base::WaitExit(pidfd->get(), test::Patience(absl::Seconds(5))));
  EXPECT_EQ(runtime().AdoptSandbox(pod, facts).code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace warren::runtime
