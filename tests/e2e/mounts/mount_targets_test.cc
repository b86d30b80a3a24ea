// Where mounts may go, and that they go nowhere else.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/base/unique_fd.h"
#include "tests/support/command.h"
#include "tests/support/cri_test.h"

namespace warren::test {
namespace {

class MountTargetsTest : public CriTest {
 protected:
  void SetUp() override {
    CriTest::SetUp();
    if (HasFatalFailure()) return;
    host_ = daemon().directory() + "/host";
    ASSERT_EQ(RunCommand({"mkdir", "-p", host_ + "/directory/sub"}).exit_code,
              0);
    pod_ = Pod("pod");
    pod_id_ = RunPod(pod_);
  }
  void TearDown() override {
    RemoveAllPods();
    RunCommand({"umount", "-R", host_ + "/shared"});
    RunCommand({"rm", "-rf", host_});
    CriTest::TearDown();
  }
  // A directory, a file, a link, a socket, a shared tree, a missing path.
  std::vector<std::string> MakeSources() {
    EXPECT_TRUE(WriteHostFile(host_ + "/file", "x"));
    EXPECT_EQ(symlink("directory", (host_ + "/link").c_str()), 0);
    const base::UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    EXPECT_EQ(chdir(host_.c_str()), 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "socket");
    EXPECT_EQ(
        bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)),
        0);
    EXPECT_EQ(chdir("/"), 0);
    const std::string shared = host_ + "/shared";
    EXPECT_EQ(RunCommand({"mkdir", shared}).exit_code, 0);
    EXPECT_EQ(RunCommand({"mount", "-t", "tmpfs", "s", shared}).exit_code, 0);
    EXPECT_EQ(RunCommand({"mount", "--make-shared", shared}).exit_code, 0);
    EXPECT_EQ(RunCommand({"mkdir", shared + "/sub"}).exit_code, 0);
    EXPECT_EQ(
        RunCommand({"mount", "-t", "tmpfs", "t", shared + "/sub"}).exit_code,
        0);
    return {host_ + "/directory", host_ + "/file", host_ + "/link",
            host_ + "/socket",    shared,          host_ + "/missing"};
  }

  std::string host_;
  cri::PodSandboxConfig pod_;
  std::string pod_id_;
};

TEST_F(MountTargetsTest, FS_6_GridOfDestinationsAndSources) {
  const std::set<std::string> kRefused = {
      "",         "/",          "//",       "/.",         "/..",
      "relative", "/proc",      "/proc/",   "/proc/self", "/proc/sys/net",
      "/a/../..", "/x/../proc", "/./proc/1"};
  const std::vector<std::string> kTargets = {
      "",          "/",          "//",         "/.",           "/..",
      "relative",  "/proc",      "/proc/",     "/proc/self",   "/proc/sys/net",
      "/a/../..",  "/x/../proc", "/./proc/1",  "/dev",         "/dev/shm",
      "/dev/null", "/dev/new",   "/dev/pts",   "/sys",         "/sys/fs/cgroup",
      "/sys/fs",   "/etc",       "/etc/hosts", "/etc/hosts/x", "/bin/busybox",
      "/bin",      "/data",      "/data/a/b",  "/tmp",         "/run/x"};
  ASSERT_EQ(kTargets.size(), 30u);
  const std::vector<std::string> sources = MakeSources();
  const std::string before = ReadHostFile("/proc/self/mountinfo");
  int works = 0;
  for (const std::string& target : kTargets) {
    for (const std::string& source : sources) {
      SCOPED_TRACE(target + " <- " + source);
      cri::ContainerConfig config = ContainerConfig("main", {"/bin/true"});
      AddMount(&config, source, target, false);
      if (source == host_ + "/shared") {
        config.mutable_mounts(0)->set_propagation(
            cri::PROPAGATION_BIDIRECTIONAL);
      }
      const auto id = client().CreateContainer(pod_id_, config, pod_);
      if (kRefused.contains(target)) {
        EXPECT_CODE(id.status(), kInvalidArgument);
        EXPECT_THAT(std::string(id.status().message()),
                    testing::HasSubstr("container_path"));
        continue;
      }
      ASSERT_TRUE(id.ok()) << id.status();
      // A directory does not fit a file, and what hides /bin hides the program.
      if (client().StartContainer(*id).ok()) ++works;
      EXPECT_TRUE(client().RemoveContainer(*id).ok());
      EXPECT_EQ(ReadHostFile("/proc/self/mountinfo"), before);
    }
  }
  EXPECT_GT(works, 50);
  EXPECT_EQ(ReadHostFile("/proc/self/mountinfo"), before);
}

TEST_F(MountTargetsTest, DevAndSysAreOrdinaryTargets) {
  for (const char* target : {"/dev", "/sys", "/dev/shm", "/sys/fs/cgroup"}) {
    cri::ContainerConfig config = IdleConfig("main");
    AddMount(&config, host_ + "/directory", target, true);
    const std::string id = Run(pod_id_, pod_, config);
    EXPECT_EQ(ShellOutput(id, std::string("ls ") + target), "sub\n") << target;
    EXPECT_TRUE(client().RemoveContainer(id).ok());
  }
}

// A link that a volume holds leads to the container's own procfs, a volume
// brings the node's along: what they show is not covered. All of the latter may
// be.
TEST_F(MountTargetsTest, FS_6_NothingLiesInTheProcfsOfAVolume) {
  ASSERT_EQ(symlink("/proc", (host_ + "/directory/link").c_str()), 0);
  const struct {
    const char* target;
    bool works;
  } kCases[] = {{"/v/link/sys", false},
                {"/v/link", false},
                {"/host/proc/sys/net", false},
                {"/host/proc", true}};
  for (const auto& c : kCases) {
    cri::ContainerConfig config = IdleConfig("main");
    AddMount(&config, host_ + "/directory", "/v", false);
    AddMount(&config, "/", "/host", true);
    AddMount(&config, host_ + "/directory", c.target, false);
    const auto id = client().CreateContainer(pod_id_, config, pod_);
    ASSERT_TRUE(id.ok()) << id.status();
    const absl::Status started = client().StartContainer(*id);
    EXPECT_EQ(started.ok(), c.works) << c.target << started;
    if (c.works) {
      EXPECT_EQ(ShellOutput(*id, std::string("ls ") + c.target), "link\nsub\n");
    } else {
      EXPECT_THAT(std::string(started.message()), testing::HasSubstr(c.target));
    }
    EXPECT_TRUE(client().RemoveContainer(*id).ok());
  }
}

// A pod-mate that exchanges a directory of their common volume with a link to
// the node's root, again and again, while containers start that have a mount
// below it, and one of the directory itself.
TEST_F(MountTargetsTest, FS_1_StartsAgainstASwappingPodMate) {
  const std::string outside = daemon().directory() + "/outside";
  ASSERT_EQ(RunCommand({"mkdir", "-p", outside}).exit_code, 0);
  const std::string volume = host_ + "/volume";
  ASSERT_EQ(RunCommand({"mkdir", "-p", volume + "/d"}).exit_code, 0);
  ASSERT_EQ(symlink(("../../../../../../../.." + outside).c_str(),
                    (volume + "/l").c_str()),
            0);
  const base::UniqueFd directory(
      open(volume.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  std::atomic<bool> stop{false};
  std::atomic<int> swaps{0};
  std::thread mate([&] {
    while (!stop) {
      syscall(SYS_renameat2, directory.get(), "d", directory.get(), "l", 2);
      ++swaps;
    }
  });
  const std::string before = ReadHostFile("/proc/self/mountinfo");
  int started = 0;
  for (int i = 0; i < 60; ++i) {
    cri::ContainerConfig config = ContainerConfig("main", {"/bin/true"});
    config.mutable_metadata()->set_attempt(i);
    AddMount(&config, volume, "/v", false);
    AddMount(&config, host_ + "/directory", "/v/d/made", false);
    const auto id = client().CreateContainer(pod_id_, config, pod_);
    ASSERT_TRUE(id.ok()) << id.status();
    if (client().StartContainer(*id).ok()) ++started;
    EXPECT_TRUE(client().RemoveContainer(*id).ok());
  }
  stop = true;
  mate.join();
  EXPECT_GT(started, 0);
  EXPECT_GT(swaps, 1000);
  EXPECT_EQ(RunCommand({"ls", "-A", outside}).out, "");
  EXPECT_EQ(ReadHostFile("/proc/self/mountinfo"), before);
}

// What we are given stays what it was (FS-10).
TEST_F(MountTargetsTest, FS_10_SourcesKeepOwnerModeAndLabel) {
  ASSERT_TRUE(WriteHostFile(host_ + "/directory/file", "x", 0640));
  ASSERT_EQ(chown((host_ + "/directory").c_str(), 7, 8), 0);
  const auto facts = [&] {
    return RunCommand({"stat", "-c", "%n %u %g %a %C %z", host_ + "/directory",
                       host_ + "/directory/file"})
        .out;
  };
  const std::string before = facts();
  cri::ContainerConfig config = IdleConfig("main");
  AddMount(&config, host_ + "/directory", "/v", false);
  config.mutable_mounts(0)->set_selinux_relabel(true);
  AddMount(&config, host_ + "/directory", "/ro", true);
  config.mutable_mounts(1)->set_recursive_read_only(true);
  Run(pod_id_, pod_, config);
  RemoveAllPods();
  EXPECT_EQ(facts(), before);
}

}  // namespace
}  // namespace warren::test
