// What root of a pod's user namespace may do to the mounts of its container,
// with every capability and without a seccomp filter: add to them, and no more.
#include <string>
#include <vector>

#include "tests/support/command.h"
#include "tests/support/cri_test.h"

namespace warren::test {
namespace {

constexpr uint32_t kLockedIds = 11 * 65536;

class LockedMountsTest : public CriTest {
 protected:
  // A pod of its own with every capability; `pid` is the pid mode.
  std::string RunMighty(cri::ContainerConfig config, cri::NamespaceMode pid,
                        std::string* pod_id = nullptr) {
    cri::PodSandboxConfig pod = Pod(NextName());
    UseUserNamespace(NamespaceOptions(&pod), kLockedIds);
    UseUserNamespace(NamespaceOptions(&config), kLockedIds);
    NamespaceOptions(&config)->set_pid(pid);
    if (pid == cri::POD) NamespaceOptions(&pod)->set_pid(pid);
    auto* security = Security(&config);
    security->mutable_capabilities()->add_add_capabilities("ALL");
    security->mutable_seccomp()->set_profile_type(
        cri::SecurityProfile::Unconfined);
    const std::string made = RunPod(pod);
    if (pod_id != nullptr) *pod_id = made;
    if (pid == cri::TARGET) {
      cri::ContainerConfig target = IdleConfig("target");
      UseUserNamespace(NamespaceOptions(&target), kLockedIds);
      NamespaceOptions(&config)->set_target_id(Run(made, pod, target));
    }
    return Run(made, pod, config);
  }
  static cri::LinuxContainerSecurityContext* Security(
      cri::ContainerConfig* config) {
    return config->mutable_linux()->mutable_security_context();
  }
  std::string NextName() { return "pod-" + std::to_string(pods_++); }

  int pods_ = 0;
};

TEST_F(LockedMountsTest, FS_4_NothingThatIsCoveredComesToLight) {
  for (const auto pid : {cri::CONTAINER, cri::POD, cri::TARGET}) {
    cri::ContainerConfig config = IdleConfig("main");
    for (const char* path : {"/etc/passwd", "/proc/keys", "/sys/firmware"}) {
      Security(&config)->add_masked_paths(path);
    }
    Security(&config)->add_readonly_paths("/proc/sys");
    const std::string id = RunMighty(config, pid);
    EXPECT_EQ(
        ShellOutput(
            id,
            "exec 2>/dev/null; mkdir /a /b; "
            "for t in /etc/passwd /proc/keys /sys/firmware /proc/sys /proc "
            "/sys; do umount $t && echo umount $t; umount -l $t && "
            "echo detach $t; mount --move $t /a && echo move $t; done; "
            "for t in / /etc /proc /sys; do mount --bind $t /b && "
            "echo bind $t; done; "
            "mount -o remount,bind,rw none /proc/sys && echo remount; "
            "cat /etc/passwd /proc/keys; ls /sys/firmware; "
            "echo x >/proc/sys/kernel/domainname && echo written; true"),
        "")
        << "pid mode " << pid;
    // What it adds is its own to take away.
    EXPECT_EQ(ShellOutput(id,
                          "mount -t tmpfs t /a && echo x >/a/x && cat /a/x && "
                          "umount /a && ls /a; mount --rbind / /b && "
                          "cat /b/etc/passwd && umount -l /b && ls /b"),
              "x\n");
  }
}

TEST_F(LockedMountsTest, FS_4_FlagsOfAMountStay) {
  const std::string host = daemon().directory() + "/locked";
  ASSERT_EQ(RunCommand({"mkdir", "-p", host}).exit_code, 0);
  ASSERT_TRUE(WriteHostFile(host + "/program", "#!/bin/true\n", 0755));
  ASSERT_EQ(
      RunCommand({"chown", "-R",
                  std::to_string(kLockedIds) + ":" + std::to_string(kLockedIds),
                  host})
          .exit_code,
      0);
  cri::ContainerConfig config = IdleConfig("main");
  AddMount(&config, host, "/v", true);
  Security(&config)->set_readonly_rootfs(true);
  const std::string id = RunMighty(config, cri::CONTAINER);
  EXPECT_EQ(ShellOutput(
                id,
                "exec 2>/dev/null; for t in / /v /sys /dev/pts /etc/hosts; do "
                "for o in rw dev suid exec; do "
                "mount -o remount,bind,$o none $t && echo $o $t; done; done; "
                "umount /v && echo gone; touch /x && echo root; "
                "touch /v/x && echo volume; echo x >/etc/hosts && echo hosts; "
                "echo 1 >/sys/kernel/profiling && echo sys; true"),
            "");
}

// procMount: Unmasked is what a container needs that mounts a procfs.
TEST_F(LockedMountsTest, FS_4_AFreshProcfsNeedsEmptyMaskedPaths) {
  const std::string script =
      "mkdir /p /s; mount -t proc p /p 2>/dev/null && "
      "cmp /p/1/comm /proc/1/comm && test -e /p/$$/comm && echo proc; "
      // Read-only, as the container's own is.
      "mount -t sysfs s /s 2>/dev/null && echo writable; "
      "mount -t sysfs -o ro s /s && ls /s/class/net";
  for (const auto pid : {cri::CONTAINER, cri::POD}) {
    for (const bool masked : {true, false}) {
      cri::ContainerConfig config = IdleConfig("main");
      if (masked) {
        Security(&config)->add_masked_paths("/proc/keys");
        Security(&config)->add_readonly_paths("/proc/sys");
      }
      EXPECT_EQ(ShellOutput(RunMighty(config, pid), script),
                masked ? "eth0\nlo\n" : "proc\neth0\nlo\n");
    }
  }
}

TEST_F(LockedMountsTest, OurFileSystemsBelongToRootInside) {
  cri::ContainerConfig config = IdleConfig("main");
  config.set_tty(true);
  const std::string id = RunMighty(config, cri::CONTAINER);
  EXPECT_EQ(ShellOutput(id,
                        "stat -c '%n %u:%g' / /dev /dev/pts /dev/pts/ptmx "
                        "/dev/shm /dev/mqueue /dev/null /dev/console /proc/1 "
                        "/etc/hosts"),
            "/ 0:0\n/dev 0:0\n/dev/pts 0:0\n/dev/pts/ptmx 0:0\n/dev/shm 0:0\n"
            "/dev/mqueue 0:0\n/dev/null 0:0\n/dev/console 0:5\n/proc/1 0:0\n"
            "/etc/hosts 0:0\n");
  EXPECT_EQ(ShellOutput(id, "readlink /proc/1/fd/0"), "/dev/pts/0\n");
  EXPECT_EQ(ShellOutput(id,
                        "touch /dev/shm/x /dev/mqueue/x /dev/x && "
                        "mknod /dev/p p && chown 7 /dev/shm /dev/pts && "
                        "stat -c %u /dev/shm /dev/pts"),
            "7\n7\n");
}

TEST_F(LockedMountsTest, SessionsJoinWhatIsInspectedAfterARestartToo) {
  std::string pod_id;
  const std::string id = RunMighty(IdleConfig("main"), cri::CONTAINER, &pod_id);
  const pid_t pid = HostPid(pod_id, id);
  const uint64_t inode = NamespaceInode(pid, "mnt");
  const auto look = [&] {
    const auto view = client().InspectPodSandbox(pod_id);
    ASSERT_TRUE(view.ok()) << view.status();
    uint64_t user = 0;
    uint64_t owner = 1;
    for (const auto& ns : view->containers(0).namespaces()) {
      if (ns.kind() == "user") user = ns.inode();
      if (ns.kind() != "mnt") continue;
      EXPECT_EQ(ns.inode(), inode);
      owner = ns.owner_user_inode();
    }
    EXPECT_EQ(owner, user);
    EXPECT_EQ(ShellOutput(id, "readlink /proc/self/ns/mnt"),
              "mnt:[" + std::to_string(inode) + "]\n");
    std::string root;
    for (const auto& mount : view->containers(0).mounts()) {
      if (mount.target() == "/") root = mount.fs_type();
    }
    EXPECT_EQ(root, "overlay");
  };
  look();
  KillDaemon();
  StartDaemon();
  look();
}

class LockedPropagationTest : public LockedMountsTest {
 protected:
  void SetUp() override {
    CriTest::SetUp();
    if (HasFatalFailure()) return;
    shared_ = daemon().directory() + "/locked-shared";
    ASSERT_EQ(RunCommand({"mkdir", "-p", shared_}).exit_code, 0);
    ASSERT_EQ(RunCommand({"mount", "-t", "tmpfs", "src", shared_}).exit_code,
              0);
    ASSERT_EQ(RunCommand({"mount", "--make-shared", shared_}).exit_code, 0);
    ASSERT_EQ(RunCommand({"mkdir", "-m", "777", shared_ + "/later",
                          shared_ + "/inside"})
                  .exit_code,
              0);
  }
  void TearDown() override {
    RemoveAllPods();
    RunCommand({"umount", "-R", shared_});
    RunCommand({"rm", "-rf", shared_});
    CriTest::TearDown();
  }
  std::string shared_;
};

TEST_F(LockedPropagationTest, FS_6_WhatTheHostMountsLaterKeepsItsFlags) {
  cri::ContainerConfig config = IdleConfig("main");
  AddMount(&config, shared_, "/v", false);
  config.mutable_mounts(0)->set_propagation(cri::PROPAGATION_HOST_TO_CONTAINER);
  const std::string id = RunMighty(config, cri::CONTAINER);
  const std::string later = shared_ + "/later";
  ASSERT_EQ(RunCommand({"mount", "-t", "tmpfs", "-o", "nosuid", "s", later})
                .exit_code,
            0);
  ASSERT_TRUE(WriteHostFile(later + "/file", "x"));
  EXPECT_EQ(ShellOutput(id, "cat /v/later/file"), "x");
  EXPECT_NE(
      ExitCodeOf(id, {"mount", "-o", "remount,bind,suid", "none", "/v/later"}),
      0);
  EXPECT_EQ(ShellOutput(id, "mount -t tmpfs own /v/inside && echo made"),
            "made\n");
  EXPECT_THAT(ReadHostFile("/proc/self/mounts"),
              testing::Not(testing::HasSubstr("own /")));
  // And goes again.
  ASSERT_EQ(RunCommand({"umount", later}).exit_code, 0);
  EXPECT_EQ(ShellOutput(id, "ls /v/later"), "");
}

}  // namespace
}  // namespace warren::test
