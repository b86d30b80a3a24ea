// What root of a pod's user namespace, with every capability, cannot undo: the
// mounts that were made for its container, and their flags.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "tests/kernel/shim_host.h"
#include "tests/kernel/shim_mounts.h"

namespace warren::test {
namespace {

using shim::v1::MountOp;

constexpr uint64_t kUserPod =
    CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWUSER;
constexpr uint64_t kLockedSafe =
    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

MountOp* AddOp(ContainerLaunch* launch, MountOp::Kind kind,
               const std::string& target) {
  MountOp* op = launch->container()->add_mounts();
  op->set_kind(kind);
  op->set_target(target);
  return op;
}

class ShimLock : public ShimTest {
 protected:
  // Which pid namespace: the container's own, and that of the pod.
  static constexpr uint64_t kPidModes[] = {0, CLONE_NEWPID};

  ContainerLaunch WithCovers(const std::string& script, const Pod& pod) {
    ContainerLaunch launch = Container(script, &pod);
    PutFile(launch.rootfs.get(), "etc/secret", "SECRET\n", 0666);
    PutFile(launch.rootfs.get(), "home/hidden", "SECRET\n", 0666);
    for (const char* path : {"/etc/secret", "/proc/version", "/home"}) {
      AddOp(&launch, MountOp::MASK, path);
    }
    AddOp(&launch, MountOp::READONLY, "/proc/sys");
    return launch;
  }
};

TEST_F(ShimLock, FS_4_RootOfTheUserNamespaceUncoversNothing) {
  for (const uint64_t extra : kPidModes) {
    Pod pod = MakePod(kUserPod | extra);
    ContainerLaunch launch = WithCovers(
        "exec 2>/dev/null; cd /; m=busybox; $m mkdir /tmp/a /tmp/b; "
        "for t in /etc/secret /home /proc/version /proc/sys; do "
        "$m umount $t && echo umount $t; $m umount -l $t && echo detach $t; "
        "$m mount --move $t /tmp/a && echo move $t; done; "
        // A copy of what is below, without what covers it.
        "for t in / /etc /proc; do $m mount --bind $t /tmp/b && "
        "echo bind $t; done; "
        "$m mount -o remount,bind,rw none /proc/sys && echo remount; "
        "$m umount -l /proc && echo proc; "
        // With all that is below it goes, and takes the covers along.
        "$m mount --rbind / /tmp/a && echo copied; "
        "$m umount -l /tmp/a/etc/secret && echo umount of the copy; "
        "cat /etc/secret /tmp/a/etc/secret /proc/version; ls /home "
        "/tmp/a/home; echo x >/proc/sys/kernel/domainname && echo written",
        pod);
    ASSERT_EQ(fchownat(launch.rootfs.get(), "tmp", kHostIds, kHostIds, 0), 0);
    const ContainerEnd end = Run(std::move(launch));
    ASSERT_TRUE(end.status.ok()) << end.status;
    EXPECT_EQ(end.output, "copied\n/home:\n\n/tmp/a/home:\n");
    DropPod(&pod);
  }
}

TEST_F(ShimLock, FS_4_RootOfTheUserNamespaceClearsNoFlag) {
  Pod pod = MakePod(kUserPod);
  ContainerLaunch launch = Container(
      "exec 2>/dev/null; m=busybox; for t in / /v /dev/pts; do "
      "for o in rw dev suid exec rw,dev,suid,exec,noatime; do "
      "$m mount -o remount,bind,$o none $t && echo $o $t; done; done; "
      "touch /x /v/x && echo written; /v/true && echo run; "
      "$m umount /v && echo gone; "
      "cut -d' ' -f5,6 /proc/self/mountinfo | grep -E '^/(v|dev/pts)? '",
      &pod);
  base::UniqueFd volume = MakeTmpfs(kHostIds);
  PutFile(volume.get(), "true", "#!/bin/true\n", 0755);
  MountOp* op = AddOp(&launch, MountOp::ATTACH, "/v");
  op->set_fd(launch.fds.Add(std::move(volume)));
  op->set_attributes(kLockedSafe | MOUNT_ATTR_RDONLY);
  launch.container()->set_readonly_rootfs(true);
  const ContainerEnd end = Run(std::move(launch));
  ASSERT_TRUE(end.status.ok()) << end.status;
  EXPECT_EQ(end.output,
            "/ ro,relatime\n/dev/pts rw,nosuid,noexec,relatime\n"
            "/v ro,nosuid,nodev,noexec,relatime\n");
  DropPod(&pod);
}

// procMount: Unmasked is what a container needs that mounts a procfs: the
// kernel gives none to a user namespace that sees none in full view.
TEST_F(ShimLock, FS_4_AFreshProcfsNeedsOneThatNothingCovers) {
  for (const uint64_t extra : kPidModes) {
    Pod pod = MakePod(kUserPod | extra);
    const std::string script =
        "busybox mkdir /tmp/p /tmp/s; "
        "busybox mount -t proc p /tmp/p 2>/dev/null && ls -d /tmp/p/1 && "
        "cat /tmp/p/$$/comm; "
        "busybox mount -t tmpfs t /tmp/s && echo tmpfs";
    ContainerLaunch covered = WithCovers(script, pod);
    ContainerLaunch open = Container(script, &pod);
    for (const ContainerLaunch* launch : {&covered, &open}) {
      ASSERT_EQ(fchownat(launch->rootfs.get(), "tmp", kHostIds, kHostIds, 0),
                0);
    }
    EXPECT_EQ(Run(std::move(covered)).output, "tmpfs\n");
    EXPECT_EQ(Run(std::move(open)).output, "/tmp/p/1\nsh\ntmpfs\n");
    DropPod(&pod);
  }
}

// Fresh file systems of the pod's own namespaces, which only their owner gets.
TEST_F(ShimLock, FileSystemsOfThePodsNamespacesCanBeMounted) {
  Pod pod = MakePod(kUserPod);
  ContainerLaunch launch = Container(
      "cd /tmp; mkdir s q d; busybox mount -t sysfs s s && ls s/class/net; "
      "busybox mount -t mqueue q q && echo mqueue; "
      "busybox mount -t devpts d d && echo devpts",
      &pod);
  ASSERT_EQ(fchownat(launch.rootfs.get(), "tmp", kHostIds, kHostIds, 0), 0);
  MountOp* sys = AddOp(&launch, MountOp::NEW_FS, "/sys");
  sys->set_fs_type("sysfs");
  sys->set_attributes(kLockedSafe);
  EXPECT_EQ(Run(std::move(launch)).output, "lo\nmqueue\ndevpts\n");
  DropPod(&pod);
}

// The namespace that the program runs in is the pod's, sessions join it, and of
// those on the way nothing stays: neither the process nor the namespaces.
TEST_F(ShimLock, TheProgramsMountNamespaceIsThePods) {
  for (const uint64_t extra : kPidModes) {
    Pod pod = MakePod(kUserPod | extra);
    ContainerLaunch launch = Container("exec sleep 1000", &pod);
    const runtime::Launched launched = Start(&launch);
    const pid_t pid = launched.process.pid;
    const std::string proc = "/proc/" + std::to_string(pid);
    const base::UniqueFd mnt(
        open((proc + "/ns/mnt").c_str(), O_RDONLY | O_CLOEXEC));
    const base::UniqueFd owner(ioctl(mnt.get(), NS_GET_USERNS));
    EXPECT_EQ(Inode(owner.get()), Inode(pod.OpenPin("user").get()));
    FdList fds;
    ExecPipes pipes;
    auto request = ExecRequest(launched, {"readlink", "/proc/self/ns/mnt"},
                               true, &fds, &pipes);
    {
      auto session = launcher().LaunchExec(request, fds.Numbers());
      ASSERT_TRUE(session.ok()) << session.status();
      fds = FdList();
      EXPECT_EQ(Drain(pipes.out.get()),
                "mnt:[" + std::to_string(Inode(mnt.get())) + "]\n");
      ASSERT_TRUE(session->Wait(InTime()).ok());
    }
    const std::string shim = std::to_string(launched.shim.id.pid);
    EXPECT_TRUE(Eventually([&] {
      return Slurp(AT_FDCWD, "/proc/" + shim + "/task/" + shim + "/children") ==
             std::to_string(pid) + " ";
    }));
    KillAndAwait(launched);
    DropPod(&pod);
  }
}

TEST_F(ShimLock, ATerminalHasItsNameInside) {
  Pod pod = MakePod(kUserPod);
  ContainerLaunch launch =
      Container("tty; readlink /proc/self/fd/1; echo x >/dev/console", &pod);
  launch.container()->set_tty(true);
  EXPECT_EQ(Run(std::move(launch)).output, "/dev/pts/0\n/dev/pts/0\nx\n");
  DropPod(&pod);
}

TEST_F(ShimLock, OwnersAreTheirsAsThePodSeesThem) {
  for (const uint64_t extra : kPidModes) {
    Pod pod = MakePod(kUserPod | extra);
    ContainerLaunch launch = Container(
        "stat -c '%n %u:%g' / /dev /dev/pts /dev/pts/ptmx /dev/console "
        "/proc/self/ /proc/self/fd/1; ls -d /made/by/us; "
        "stat -c '%n %u:%g' /made/by /wd; pwd",
        &pod);
    launch.container()->set_tty(true);
    launch.container()->mutable_process()->set_cwd("/wd");
    MountOp* op = AddOp(&launch, MountOp::ATTACH, "/made/by/us");
    op->set_fd(launch.fds.Add(MakeTmpfs(kHostIds)));
    EXPECT_EQ(Run(std::move(launch)).output,
              "/ 0:0\n/dev 0:0\n/dev/pts 0:0\n/dev/pts/ptmx 0:0\n"
              "/dev/console 0:5\n/proc/self/ 0:0\n/proc/self/fd/1 0:0\n"
              "/made/by/us\n/made/by 0:0\n/wd 0:0\n/wd\n");
    DropPod(&pod);
  }
}

// A slave of the host's mount stays one: what comes in keeps its flags, what
// the container does stays inside.
TEST_F(ShimLock, WhatIsMountedOnTheHostLaterComesIn) {
  const std::string shared = directory() + "/shared";
  ASSERT_EQ(mkdir(shared.c_str(), 0755), 0);
  ASSERT_EQ(mount("s", shared.c_str(), "tmpfs", 0, nullptr), 0);
  ASSERT_EQ(mount(nullptr, shared.c_str(), nullptr, MS_SHARED, nullptr), 0);
  ASSERT_EQ(mkdir((shared + "/later").c_str(), 0755), 0);
  ASSERT_EQ(mkdir((shared + "/own").c_str(), 0777), 0);
  Pod pod = MakePod(kUserPod);
  ContainerLaunch launch = Container(
      "busybox mount -t tmpfs own /v/own; "
      "until test -e /v/later/file; do busybox usleep 10000; done; "
      "cat /v/later/file; "
      "busybox mount -o remount,bind,rw none /v/later; touch /v/later/x; "
      "grep -c ' / / .* shared:' /proc/self/mountinfo",
      &pod);
  MountOp* op = AddOp(&launch, MountOp::ATTACH, "/v");
  op->set_fd(launch.fds.Add(base::UniqueFd(open_tree(
      AT_FDCWD, shared.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC))));
  op->set_propagation(MS_SLAVE);
  launch.container()->set_rootfs_propagation(MS_SHARED);
  const runtime::Launched launched = Start(&launch);
  const base::UniqueFd later = MakeTmpfs(0);
  PutFile(later.get(), "file", "seen\n");
  mount_attr attr = {};
  attr.attr_set = MOUNT_ATTR_RDONLY;
  ASSERT_EQ(mount_setattr(later.get(), "", AT_EMPTY_PATH, &attr, sizeof(attr)),
            0);
  ASSERT_EQ(move_mount(later.get(), "", AT_FDCWD, (shared + "/later").c_str(),
                       MOVE_MOUNT_F_EMPTY_PATH),
            0);
  AwaitEnd(launched);
  const std::string output = LogText(Slurp(launch.log_dir.get(), "0.log"));
  EXPECT_NE(output.find("seen\n"), std::string::npos) << output;
  EXPECT_NE(output.find("/v/later/x: Read-only"), std::string::npos) << output;
  EXPECT_NE(output.find("\n1\n"), std::string::npos) << output;
  EXPECT_EQ(Slurp(AT_FDCWD, "/proc/self/mounts").find("own /"),
            std::string::npos);
  ASSERT_EQ(umount2(shared.c_str(), MNT_DETACH), 0);
  DropPod(&pod);
}

// A start that fails in or behind the lock leaves no process.
TEST_F(ShimLock, AStartThatFailsLeavesNothing) {
  Pod pod = MakePod(kUserPod);
  // Orphans of the shim would be ours.
  ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
  const std::string self = std::to_string(getpid());
  const std::string children = "/proc/" + self + "/task/" + self + "/children";
  for (const char* program : {"/no/such/program", ""}) {
    ContainerLaunch launch = Container("true", &pod);
    if (program[0] != '\0') {
      launch.container()->mutable_process()->set_args(0, program);
    } else {
      AddOp(&launch, MountOp::SYMLINK, "/proc/self/no");
    }
    const ContainerEnd end = Run(std::move(launch));
    EXPECT_FALSE(end.status.ok());
    EXPECT_TRUE(Eventually([&] { return Slurp(AT_FDCWD, children).empty(); }))
        << Slurp(AT_FDCWD, children);
  }
  ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0), 0);
  DropPod(&pod);
}

}  // namespace
}  // namespace warren::test
