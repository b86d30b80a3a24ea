// What mounts look like inside: read-only, owners, sources of every kind, and
// the mounts that every container has.
#include <absl/strings/str_split.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <map>
#include <string>
#include <vector>

#include "runtime/base/unique_fd.h"
#include "tests/support/command.h"
#include "tests/support/cri_test.h"

namespace warren::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr uint32_t kStart = 6 * 65536;

class MountAttributesTest : public CriTest {
 protected:
  void SetUp() override {
    CriTest::SetUp();
    if (HasFatalFailure()) return;
    host_ = daemon().directory() + "/host";
    ASSERT_EQ(RunCommand({"mkdir", "-p", host_ + "/sub"}).exit_code, 0);
  }
  void TearDown() override {
    RemoveAllPods();
    RunCommand({"umount", "-R", host_ + "/sub"});
    RunCommand({"rm", "-rf", host_});
    CriTest::TearDown();
  }
  static cri::LinuxContainerSecurityContext* Security(
      cri::ContainerConfig* config) {
    return config->mutable_linux()->mutable_security_context();
  }
  static void Map(cri::ContainerConfig* config, uint32_t host_id) {
    cri::Mount* mount = config->mutable_mounts(config->mounts_size() - 1);
    for (cri::IDMapping* m :
         {mount->add_uidmappings(), mount->add_gidmappings()}) {
      m->set_host_id(host_id);
      m->set_length(65536);
    }
  }
  // target -> "type options" of /proc/mounts inside.
  std::map<std::string, std::string> MountsOf(const std::string& id) {
    std::map<std::string, std::string> mounts;
    const std::string text = ShellOutput(id, "cat /proc/mounts");
    for (const auto& line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
      const std::vector<std::string> f = absl::StrSplit(line, ' ');
      mounts[f[1]] = f[2] + " " + f[3];
    }
    return mounts;
  }

  std::string host_;
};

TEST_F(MountAttributesTest, ReadonlyIsTheTopRecursiveAllOfIt) {
  ASSERT_EQ(
      RunCommand({"mount", "-t", "tmpfs", "sub", host_ + "/sub"}).exit_code, 0);
  cri::ContainerConfig config = IdleConfig("main");
  AddMount(&config, host_, "/top", true);
  AddMount(&config, host_, "/all", true);
  config.mutable_mounts(1)->set_recursive_read_only(true);
  const std::string id = RunAlone(config);
  EXPECT_EQ(ShellOutput(id,
                        "for f in /top/x /top/sub/x /all/x /all/sub/x; do "
                        "touch $f 2>/dev/null && echo $f; done; true"),
            "/top/sub/x\n");
  EXPECT_TRUE(WriteHostFile(host_ + "/sub/y", "")) << "the node's own is rw";
  const auto status = client().Call<cri::StatusResponse>(cri::StatusRequest());
  ASSERT_TRUE(status.ok());
  for (const auto& handler : status->runtime_handlers()) {
    EXPECT_TRUE(handler.features().recursive_read_only_mounts());
  }
}

TEST_F(MountAttributesTest, OwnersAreMappedInAPodWithAUserNamespace) {
  ASSERT_TRUE(WriteHostFile(host_ + "/roots", "x", 0600));
  ASSERT_TRUE(WriteHostFile(host_ + "/apps", "x", 0600));
  ASSERT_EQ(chown((host_ + "/apps").c_str(), 1000, 1001), 0);
  cri::PodSandboxConfig pod = Pod("pod");
  UseUserNamespace(NamespaceOptions(&pod), kStart);
  const std::string pod_id = RunPod(pod);
  cri::ContainerConfig config = IdleConfig("main");
  UseUserNamespace(NamespaceOptions(&config), kStart);
  AddMount(&config, host_, "/plain", false);
  AddMount(&config, host_, "/mapped", false);
  Map(&config, kStart);
  AddMount(&config, host_, "/otherwise", false);  // not as the pod's ids
  Map(&config, kStart + 100);
  const std::string id = Run(pod_id, pod, config);
  EXPECT_EQ(ShellOutput(id,
                        "stat -c %u:%g /mapped/roots /mapped/apps "
                        "/plain/roots /otherwise/roots /otherwise/apps"),
            "0:0\n1000:1001\n65534:65534\n100:100\n1100:1101\n");
  EXPECT_EQ(ShellOutput(id,
                        "cat /mapped/roots; touch /mapped/new; "
                        "cat /plain/roots 2>/dev/null || echo none"),
            "xnone\n");
  struct stat st;
  ASSERT_EQ(stat((host_ + "/new").c_str(), &st), 0);
  EXPECT_EQ(st.st_uid, 0u);
}

TEST_F(MountAttributesTest, OwnersAreMappedByTheMountsOwnMapping) {
  ASSERT_TRUE(WriteHostFile(host_ + "/file", "x"));
  const Ledger before = TakeLedger(daemon().Scope());
  cri::ContainerConfig config = IdleConfig("main");
  for (const char* target : {"/one", "/two"}) {
    AddMount(&config, host_, target, false);
    Map(&config, 70000);
  }
  AddMount(&config, host_ + "/file", "/three", false);
  Map(&config, 1000);
  std::string pod_id;
  const std::string id = RunAlone(config, &pod_id);
  EXPECT_EQ(ShellOutput(id, "stat -c %u:%g /one/file /two/file /three"),
            "70000:70000\n70000:70000\n1000:1000\n");
  EXPECT_NE(ExitCodeOf(id, {"touch", "/one/new"}), 0)
      << "uid 0 is not in the mapping";
  RemoveAllPods();
  EXPECT_EQ(SettledDiff(before, daemon().Scope()), "");
}

// sysfs cannot be shown with other owners: said, not left out.
TEST_F(MountAttributesTest, OwnersThatCannotBeMappedAreRefused) {
  cri::ContainerConfig config = IdleConfig("main");
  AddMount(&config, "/sys", "/host/sys", true);
  Map(&config, 70000);
  const cri::PodSandboxConfig pod = Pod("pod");
  const auto status =
      client().CreateContainer(RunPod(pod), config, pod).status();
  EXPECT_CODE(status, kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("uidMappings"), HasSubstr("/host/sys")));
}

TEST_F(MountAttributesTest, AnySourceFindsItsPlace) {
  ASSERT_TRUE(WriteHostFile(host_ + "/file", "file"));
  ASSERT_EQ(symlink("sub", (host_ + "/link").c_str()), 0);
  ASSERT_EQ(symlink("file", (host_ + "/file-link").c_str()), 0);
  ASSERT_EQ(symlink("nowhere", (host_ + "/dangling").c_str()), 0);
  ASSERT_TRUE(WriteHostFile(host_ + "/sub/in", "in"));
  const base::UniqueFd socket_fd(
      socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  ASSERT_EQ(chdir(host_.c_str()), 0);
  snprintf(address.sun_path, sizeof(address.sun_path), "socket");
  ASSERT_EQ(bind(socket_fd.get(), reinterpret_cast<sockaddr*>(&address),
                 sizeof(address)),
            0);
  ASSERT_EQ(chdir("/"), 0);
  cri::ContainerConfig config = IdleConfig("main");
  AddMount(&config, host_ + "/sub", "/a/b", false);  // inside the next
  AddMount(&config, host_ + "/link", "/a", false);
  AddMount(&config, host_ + "/file-link", "/etc/deep/file", true);
  AddMount(&config, host_ + "/socket", "/run/my.sock", false);
  AddMount(&config, host_ + "/made/deep", "/made", false);
  const std::string id = RunAlone(config);
  EXPECT_EQ(ShellOutput(id,
                        "cat /a/in /a/b/in /etc/deep/file; "
                        "test -S /run/my.sock && echo socket"),
            "ininfilesocket\n");
  struct stat st;
  ASSERT_EQ(stat((host_ + "/made/deep").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0755u);
  cri::ContainerConfig bad = IdleConfig("bad");
  AddMount(&bad, host_ + "/dangling", "/d", false);
  const cri::PodSandboxConfig pod = Pod("bad");
  EXPECT_FALSE(client().CreateContainer(RunPod(pod), bad, pod).ok());
}

TEST_F(MountAttributesTest, TheBaseMountsHaveTheirFlags) {
  const auto mounts = MountsOf(RunAlone(IdleConfig("main")));
  const auto kLocked =
      AllOf(HasSubstr("nosuid"), HasSubstr("nodev"), HasSubstr("noexec"));
  EXPECT_THAT(mounts.at("/proc"), AllOf(HasSubstr("proc rw"), kLocked));
  EXPECT_THAT(mounts.at("/dev"),
              AllOf(HasSubstr("tmpfs rw"), HasSubstr("nosuid"),
                    HasSubstr("size=65536k"), HasSubstr("mode=755")));
  EXPECT_THAT(mounts.at("/dev/pts"),
              AllOf(HasSubstr("devpts rw"), HasSubstr("nosuid"),
                    HasSubstr("noexec"), HasSubstr("gid=5"),
                    HasSubstr("mode=620"), HasSubstr("ptmxmode=666")));
  EXPECT_THAT(mounts.at("/dev/mqueue"), AllOf(HasSubstr("mqueue rw"), kLocked));
  EXPECT_THAT(mounts.at("/dev/shm"),
              AllOf(HasSubstr("tmpfs rw"), kLocked, HasSubstr("size=65536k")));
  EXPECT_THAT(mounts.at("/sys"), AllOf(HasSubstr("sysfs ro"), kLocked));
  int cgroups = 0;
  for (const auto& [target, text] : mounts) {
    if (target.find("/sys/fs/cgroup") != 0) continue;
    ++cgroups;
    EXPECT_THAT(text, AllOf(HasSubstr(" ro,"), kLocked)) << target;
  }
  EXPECT_GT(cgroups, 0);
  for (const char* name : {"hostname", "hosts", "resolv.conf"}) {
    EXPECT_THAT(mounts.at(std::string("/etc/") + name), HasSubstr(" rw"));
  }
}

TEST_F(MountAttributesTest, FilesOfThePodFollowTheRootAndGiveWayToMounts) {
  ASSERT_TRUE(WriteHostFile(host_ + "/hosts", "mine\n"));
  cri::ContainerConfig config = IdleConfig("main");
  Security(&config)->set_readonly_rootfs(true);
  AddMount(&config, host_ + "/hosts", "/etc/hosts", false);
  const std::string id = RunAlone(config);
  EXPECT_EQ(ShellOutput(id,
                        "for f in /x /etc/hostname /etc/resolv.conf /etc/hosts "
                        "/dev/shm/x /dev/x; do "
                        "echo mine >> $f && echo $f; done 2>/dev/null; true"),
            "/etc/hosts\n/dev/shm/x\n/dev/x\n");
  EXPECT_EQ(ReadHostFile(host_ + "/hosts"), "mine\nmine\n");
}

// A /dev of the request's own, with a null device that is none: what is masked
// stays masked, what is read-only stays so.
TEST_F(MountAttributesTest, FS_4_MasksHoldUnderADevOfTheRequest) {
  ASSERT_TRUE(WriteHostFile(host_ + "/null", "bogus"));
  ASSERT_TRUE(WriteHostFile(host_ + "/shm", ""));
  cri::ContainerConfig config = IdleConfig("main");
  AddMount(&config, host_, "/dev", false);
  for (const char* path : {"/proc/version", "/proc/tty", "/dev/sub"}) {
    Security(&config)->add_masked_paths(path);
  }
  Security(&config)->add_readonly_paths("/proc/sys");
  const std::string id = RunAlone(config);
  EXPECT_EQ(ShellOutput(id, "cat /dev/null"), "bogus");
  EXPECT_EQ(ShellOutput(id,
                        "cat /proc/version; ls /proc/tty /dev/sub | "
                        "grep -v : || true"),
            "\n");
  EXPECT_THAT(
      ShellOutput(id, "(echo 1 >/proc/sys/kernel/domainname) 2>&1 || true"),
      HasSubstr("Read-only file system"));
  const auto mounts = MountsOf(id);
  EXPECT_EQ(mounts.count("/dev/pts") + mounts.count("/dev/mqueue") +
                mounts.count("/dev/shm"),
            0u)
      << "nothing of ours below";
}

TEST_F(MountAttributesTest, TheNodesDevAndSysCanBeSeenUnprivileged) {
  cri::ContainerConfig config = IdleConfig("main");
  AddMount(&config, "/dev", "/dev", false);
  AddMount(&config, "/sys", "/sys", true);
  AddMount(&config, "/sys", "/host/sys", true);
  const std::string id = RunAlone(config);
  EXPECT_EQ(ShellOutput(id,
                        "ls -d /sys/kernel /host/sys/kernel; "
                        "test -c /dev/null && echo null"),
            "/host/sys/kernel\n/sys/kernel\nnull\n");
  // Its nodes are there, but only the usual ones open (device filter).
  EXPECT_NE(
      ExitCodeOf(id, {"sh", "-c", "mknod /tmp/k c 1 1 && head -c1 /tmp/k"}), 0);
}

TEST_F(MountAttributesTest, MasksAndReadonlyPathsLieOnTopOfMounts) {
  ASSERT_EQ(RunCommand({"cp", "/bin/busybox", host_ + "/true"}).exit_code, 0);
  ASSERT_TRUE(WriteHostFile(host_ + "/sub/file", "x"));
  cri::ContainerConfig config = IdleConfig("main");
  AddMount(&config, host_, "/v", false);
  AddMount(&config, host_, "/w", false);
  Security(&config)->add_masked_paths("/v/true");
  Security(&config)->add_masked_paths("/v/nothing/there");
  Security(&config)->add_readonly_paths("/v/sub");
  Security(&config)->add_readonly_paths("/v/nothing");
  const std::string id = RunAlone(config);
  EXPECT_EQ(ExitCodeOf(id, {"/w/true"}), 0);
  EXPECT_THAT(ShellOutput(id, "/v/true 2>&1 || true"),
              HasSubstr("Permission denied"));
  EXPECT_EQ(ShellOutput(id, "touch /v/x /v/sub/x /w/sub/y 2>&1 || true"),
            "touch: /v/sub/x: Read-only file system\n");
}

// With all that is mounted below it, which stays where it is.
TEST_F(MountAttributesTest, AReadonlyPathIsSoToItsDepths) {
  ASSERT_EQ(
      RunCommand({"mount", "-t", "tmpfs", "sub", host_ + "/sub"}).exit_code, 0);
  ASSERT_TRUE(WriteHostFile(host_ + "/sub/file", "deep"));
  cri::ContainerConfig config = IdleConfig("main");
  AddMount(&config, host_, "/v", false);
  AddMount(&config, host_, "/w", false);
  Security(&config)->add_readonly_paths("/v");
  const std::string id = RunAlone(config);
  EXPECT_EQ(ShellOutput(id,
                        "cat /v/sub/file; for f in /v/x /v/sub/x /w/x "
                        "/w/sub/x; do touch $f 2>/dev/null && echo $f; done"),
            "deep/w/x\n/w/sub/x\n");
}

TEST_F(MountAttributesTest, WhatIsListedIsMaskedAndNothingElse) {
  cri::ContainerConfig bare = IdleConfig("bare");
  const std::string id = RunAlone(bare);
  EXPECT_THAT(ShellOutput(id, "cat /proc/version"), Not(HasSubstr("absent")));
  EXPECT_EQ(ShellOutput(id,
                        "test -s /proc/version; "
                        "cut -d' ' -f2 /proc/mounts | grep ^/proc/ || "
                        "echo none"),
            "none\n");
}

}  // namespace
}  // namespace warren::test
