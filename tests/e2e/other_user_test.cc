// Another user of the node: uid 1000 reaches nothing of ours, by name or by
// socket.
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "tests/support/command.h"
#include "tests/support/cri_test.h"

namespace warren::test {
namespace {

constexpr uint32_t kStart = 10 * 65536;
constexpr uid_t kStranger = 1000;

class OtherUserTest : public CriTest {
 protected:
  void SetUp() override {
    CriTest::SetUp();
    // What keeps strangers out shall be the daemon's own folders, made as a
    // package or a service manager would leave them to it.
    for (std::string path = daemon().folder(); path.size() > 1;
         path.resize(path.rfind('/'))) {
      struct stat st;
      ASSERT_EQ(stat(path.c_str(), &st), 0);
      if ((st.st_mode & 0055) == 0055 || path == "/tmp") continue;
      closed_.push_back({path, st.st_mode & 07777});
      ASSERT_EQ(chmod(path.c_str(), 0755), 0);
    }
  }
  void TearDown() override {
    for (const auto& [path, mode] : closed_) chmod(path.c_str(), mode);
    CriTest::TearDown();
  }
  static CommandResult AsStranger(std::vector<std::string> command) {
    std::vector<std::string> all = {"setpriv", "--reuid=1000", "--regid=1000",
                                    "--clear-groups", "--inh-caps=-all"};
    all.insert(all.end(), command.begin(), command.end());
    return RunCommand(all);
  }

  std::vector<std::pair<std::string, mode_t>> closed_;
};

TEST_F(OtherUserTest, FS_9_NothingOfOursIsReached) {
  const std::string control = daemon().folder() + "/control";
  ASSERT_TRUE(WriteHostFile(control, "for everybody", 0644));
  ASSERT_EQ(AsStranger({"cat", control}).out, "for everybody");
  cri::PodSandboxConfig pod = Pod("pod");
  Run(RunPod(pod), pod, IdleConfig("main"));
  cri::PodSandboxConfig mapped = Pod("mapped");
  UseUserNamespace(NamespaceOptions(&mapped), kStart);
  cri::ContainerConfig config = IdleConfig("main");
  UseUserNamespace(NamespaceOptions(&config), kStart);
  Run(RunPod(mapped), mapped, config);
  for (const std::string& top : {daemon().state_dir(), daemon().run_dir()}) {
    const std::string all = RunCommand({"find", top, "-mindepth", "1"}).out;
    ASSERT_NE(all, "");
    EXPECT_EQ(AsStranger({"find", top, "-mindepth", "1"}).out, "");
    // Not by guessing either: a folder that can be walked through but not
    // listed would do for a known name.
    int checked = 0;
    for (const auto& path : absl::StrSplit(all, '\n', absl::SkipEmpty())) {
      // All near the top, and a sample of the deep.
      if (++checked % 50 != 0 &&
          std::count(path.begin(), path.end(), '/') >
              std::count(top.begin(), top.end(), '/') + 3) {
        continue;
      }
      EXPECT_NE(AsStranger({"test", "-e", std::string(path)}).exit_code, 0)
          << path;
    }
  }
  const std::string strays =
      RunCommand({"find", "/tmp", "/var/tmp", "/dev/shm", "-maxdepth", "1",
                  "-name", "*warren*", "-newer", daemon().config_file()})
          .out;
  EXPECT_EQ(strays, "") << "nothing in folders that everybody may write to";
}

TEST_F(OtherUserTest, API_1_TheSocketIsClosedToOthers) {
  const std::string path = daemon().socket();
  const pid_t child = fork();
  if (child == 0) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size());
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (setgid(kStranger) != 0 || setuid(kStranger) != 0) _exit(255);
    _exit(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) ==
                  0
              ? 0
              : errno);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), EACCES);
}

TEST_F(OtherUserTest, API_1_NoSocketOfOursHasAnAbstractName) {
  cri::PodSandboxConfig pod = Pod("pod");
  NamespaceOptions(&pod)->set_network(cri::NODE);
  pod.clear_hostname();
  cri::ContainerConfig config = IdleConfig("main");
  NamespaceOptions(&config)->set_network(cri::NODE);
  const std::string id = Run(RunPod(pod), pod, config);
  EXPECT_EQ(ShellOutput(id, "grep @ /proc/net/unix || true"), "");
  EXPECT_NE(ShellOutput(id, "grep warrend.sock /proc/net/unix"), "")
      << "it is the node's table";
}

}  // namespace
}  // namespace warren::test
