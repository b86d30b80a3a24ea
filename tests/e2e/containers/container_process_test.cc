// What the program of a container is given: arguments, environment, directory,
// user, groups, capabilities, root, mounts.
#include <sys/stat.h>

#include <string>

#include "tests/support/command.h"
#include "tests/support/cri_test.h"

namespace warren::test {
namespace {

class ContainerProcessTest : public CriTest {
 protected:
  static cri::LinuxContainerSecurityContext* Security(
      cri::ContainerConfig* config) {
    return config->mutable_linux()->mutable_security_context();
  }
  // Capability mask of PID 1 of the container, by its name in
  // /proc/1/status.
  uint64_t Mask(const std::string& id, const std::string& name) {
    const std::string text =
        ShellOutput(id, "grep " + name + " /proc/1/status");
    return std::stoull("0" + text.substr(text.find(':') + 2), nullptr, 16);
  }
};

TEST_F(ContainerProcessTest, EnvironmentAndWorkingFolder) {
  cri::ContainerConfig config = IdleConfig("main");
  config.set_working_dir("/made/for/me");
  auto* env = config.add_envs();
  env->set_key("BYTES");
  env->set_value("a\xff\tb");
  const std::string id = RunAlone(config);
  EXPECT_EQ(ShellOutput(id, "tr '\\0' '\\n' </proc/1/environ | grep BYTES"),
            "BYTES=a\xff\tb\n");
  EXPECT_EQ(ShellOutput(id, "readlink /proc/1/cwd; pwd"),
            "/made/for/me\n/made/for/me\n");
  EXPECT_THAT(ShellOutput(id, "echo $PATH"), testing::HasSubstr("/bin"));
}

TEST_F(ContainerProcessTest, UserAndGroupsFromTheRequest) {
  cri::ContainerConfig config = IdleConfig("main");
  Security(&config)->mutable_run_as_user()->set_value(1000);
  Security(&config)->mutable_run_as_group()->set_value(2000);
  Security(&config)->add_supplemental_groups(1234);
  Security(&config)->set_supplemental_groups_policy(cri::Strict);
  const std::string id = RunAlone(config);
  EXPECT_EQ(ShellOutput(id, "id -u; id -g; id -G"), "1000\n2000\n2000 1234\n");
  const auto user = StatusOf(id).user().linux();
  EXPECT_EQ(user.uid(), 1000);
  EXPECT_EQ(user.gid(), 2000);
  EXPECT_THAT(user.supplemental_groups(),
              testing::UnorderedElementsAre(2000, 1234));
}

TEST_F(ContainerProcessTest, AnUnknownNumberIsAUserOfGroup0) {
  cri::ContainerConfig config = IdleConfig("main");
  Security(&config)->mutable_run_as_user()->set_value(4711);
  EXPECT_EQ(ShellOutput(RunAlone(config), "id -u; id -g"), "4711\n0\n");
}

TEST_F(ContainerProcessTest, CapabilitiesAreTheDefaultsPlusAndMinus) {
  cri::ContainerConfig none = IdleConfig("none");
  Security(&none)->mutable_capabilities()->add_drop_capabilities("ALL");
  EXPECT_EQ(Mask(RunAlone(none), "CapEff"), 0u);

  cri::ContainerConfig one = IdleConfig("one");
  Security(&one)->mutable_capabilities()->add_drop_capabilities("ALL");
  Security(&one)->mutable_capabilities()->add_add_capabilities(
      "net_bind_service");
  const std::string id = RunAlone(one);
  for (const char* set : {"CapEff", "CapPrm", "CapBnd"}) {
    EXPECT_EQ(Mask(id, set), 1u << 10) << set;
  }
  EXPECT_EQ(Mask(id, "CapInh"), 0u);
  EXPECT_EQ(Mask(id, "CapAmb"), 0u);

  const uint64_t defaults = Mask(RunAlone(IdleConfig("defaults")), "CapEff");
  EXPECT_TRUE(defaults & (1 << 0)) << "CHOWN";
  EXPECT_FALSE(defaults & (1 << 12)) << "NET_ADMIN";
  EXPECT_FALSE(defaults & (1 << 21)) << "SYS_ADMIN";
}

TEST_F(ContainerProcessTest, NoNewPrivilegesIsPassedOn) {
  cri::ContainerConfig config = IdleConfig("main");
  Security(&config)->set_no_new_privs(true);
  const std::string id = RunAlone(config);
  EXPECT_THAT(ShellOutput(id, "grep NoNewPrivs /proc/1/status"),
              testing::EndsWith("1\n"));
  EXPECT_THAT(ShellOutput(id, "grep NoNewPrivs /proc/self/status"),
              testing::EndsWith("1\n"))
      << "exec sessions too";
}

TEST_F(ContainerProcessTest, MaskedAndReadOnlyPaths) {
  cri::ContainerConfig config = IdleConfig("main");
  Security(&config)->add_masked_paths("/proc/version");
  Security(&config)->add_masked_paths("/proc/irq");
  Security(&config)->add_masked_paths("/no/such/path");
  Security(&config)->add_readonly_paths("/proc/sys");
  const std::string id = RunAlone(config);
  EXPECT_EQ(ShellOutput(id, "cat /proc/version"), "");
  EXPECT_EQ(ShellOutput(id, "find /proc/irq -mindepth 1 | wc -l"), "0\n");
  EXPECT_NE(ExitCodeOf(id, {"sh", "-c", "echo 1 > /proc/sys/kernel/panic"}), 0);
}

TEST_F(ContainerProcessTest, AReadOnlyRootIsReadOnly) {
  cri::ContainerConfig config = IdleConfig("main");
  Security(&config)->set_readonly_rootfs(true);
  AddMount(&config, daemon().directory() + "/volume", "/volume", false);
  const std::string id = RunAlone(config);
  EXPECT_NE(ExitCodeOf(id, {"touch", "/file"}), 0);
  EXPECT_NE(ExitCodeOf(id, {"touch", "/etc/hosts"}), 0);
  EXPECT_EQ(ExitCodeOf(id, {"touch", "/volume/file"}), 0);
  EXPECT_TRUE(HostFileExists(daemon().directory() + "/volume/file"));
}

TEST_F(ContainerProcessTest, MountsAreBoundAndMissingHostPathsMade) {
  const std::string host = daemon().directory() + "/host";
  ASSERT_EQ(RunCommand({"mkdir", "-p", host + "/real"}).exit_code, 0);
  ASSERT_EQ(RunCommand({"ln", "-s", "real", host + "/link"}).exit_code, 0);
  ASSERT_TRUE(WriteHostFile(host + "/real/file", "from outside"));
  cri::ContainerConfig config = IdleConfig("main");
  AddMount(&config, host + "/link", "/data/deep", true);
  AddMount(&config, host + "/real/file", "/etc/single", true);
  AddMount(&config, host + "/made", "/made", false);
  const std::string id = RunAlone(config);
  EXPECT_EQ(ShellOutput(id, "cat /data/deep/file /etc/single"),
            "from outsidefrom outside");
  EXPECT_NE(ExitCodeOf(id, {"touch", "/data/deep/new"}), 0);
  ShellOutput(id, "echo inside > /made/file");
  EXPECT_EQ(ReadHostFile(host + "/made/file"), "inside\n");
}

TEST_F(ContainerProcessTest, TheBaseMountsAndDevicesAreThere) {
  const std::string id = RunAlone(IdleConfig("main"));
  const std::string mounts = ShellOutput(id, "cat /proc/mounts");
  for (const char* line :
       {"proc /proc proc ", "tmpfs /dev tmpfs ", "devpts /dev/pts devpts ",
        "mqueue /dev/mqueue mqueue ", "sysfs /sys sysfs ro"}) {
    EXPECT_THAT(mounts, testing::HasSubstr(line));
  }
  EXPECT_THAT(mounts, testing::HasSubstr(" /dev/shm tmpfs "));
  for (const char* device :
       {"null", "zero", "full", "random", "urandom", "tty"}) {
    EXPECT_EQ(
        ShellOutput(id, std::string("test -c /dev/") + device + " && echo yes"),
        "yes\n");
  }
  EXPECT_EQ(ShellOutput(id, "echo x > /dev/null; head -c 2 /dev/zero | wc -c"),
            "2\n");
}

TEST_F(ContainerProcessTest, NothingOfTheAgentGetsInside) {
  const std::string id = RunAlone(IdleConfig("main"));
  // Only the standard streams; no descriptor leads out of the root.
  EXPECT_EQ(ShellOutput(id, "ls /proc/1/fd | wc -l"), "3\n");
  EXPECT_EQ(ShellOutput(id, "test -e /proc/1/root/.oldroot; echo $?"), "1\n");
  EXPECT_EQ(ShellOutput(id,
                        "tr '\\0' '\\n' </proc/1/environ | "
                        "grep -c NOTIFY_SOCKET"
                        " || true"),
            "0\n");
}

}  // namespace
}  // namespace warren::test
