// Another user of the node: uid 1000 reaches nothing of ours, by name or by
// socket.
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/command.h"
#include "tests/support/cri_test.h"

namespace warren::test {
namespace {

constexpr uint32_t kOtherUserIds = 10 * 65536;
constexpr uid_t kStranger = 1000;
// Nobody's on the machine: what has it was made by the daemon of one test.
constexpr char kMark[] = "2037846";

class OtherUserTest : public CriTest {
 protected:
  void SetUp() override {
    CriTest::SetUp();
    // What keeps strangers out shall be the daemon's own directories, made as a
    // package or a service manager would leave them to it.
    for (std::string path = daemon().directory(); path.size() > 1;
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

  // "device:inode" and path of all that find shows; the stranger's own walk
  // if `who` is AsStranger.
  using Walk = std::map<std::string, std::string>;
  static Walk Found(CommandResult (*who)(std::vector<std::string>),
                    std::vector<std::string> where) {
    where.insert(where.begin(), "find");
    // What other programs keep is of no interest, and processes come and go.
    for (const char* word : {"(", "-path", "/proc", "-o", "-path", "/sys", ")",
                             "-prune", "-o", "-printf", "%D:%i %p\\0"}) {
      where.push_back(word);
    }
    Walk walk;
    const std::string out = who(where).out;
    for (const auto& line : absl::StrSplit(out, '\0', absl::SkipEmpty())) {
      walk.insert(std::pair<std::string, std::string>(
          absl::StrSplit(line, absl::MaxSplits(' ', 1))));
    }
    return walk;
  }
  // Below the directories that the daemon has for itself.
  Walk Ours() {
    Walk ours = Found([](auto command) { return RunCommand(command); },
                      {daemon().state_dir(), daemon().run_dir()});
    for (auto i = ours.begin(); i != ours.end();) {
      const bool top =
          i->second == daemon().state_dir() || i->second == daemon().run_dir();
      i = top ? ours.erase(i) : std::next(i);
    }
    return ours;
  }

  std::vector<std::pair<std::string, mode_t>> closed_;
};

TEST_F(OtherUserTest, FS_9_NothingOfOursIsReached) {
  const std::string control = daemon().directory() + "/control";
  ASSERT_TRUE(WriteHostFile(control, "for everybody", 0644));
  ASSERT_EQ(AsStranger({"cat", control}).out, "for everybody");
  // What a start leaves behind counts too. Others use the machine's /tmp: the
  // daemon has a group of its own, and so has all that it makes there.
  daemon().wrapper = {"/usr/bin/setpriv", absl::StrCat("--regid=", kMark),
                      "--clear-groups"};
  KillDaemon();
  StartDaemon();
  daemon().wrapper.clear();
  cri::PodSandboxConfig pod = Pod("pod");
  Run(RunPod(pod), pod, IdleConfig("main"));
  cri::PodSandboxConfig mapped = Pod("mapped");
  UseUserNamespace(NamespaceOptions(&mapped), kOtherUserIds);
  cri::ContainerConfig config = IdleConfig("main");
  UseUserNamespace(NamespaceOptions(&config), kOtherUserIds);
  Run(RunPod(mapped), mapped, config);
  const auto marked = [](std::vector<std::string> find) {
    for (const char* word : {"-gid", kMark}) find.push_back(word);
    return RunCommand(find).out;
  };
  EXPECT_NE(marked({"find", daemon().run_dir()}), "");
  EXPECT_EQ(marked({"find", "/tmp", "/var/tmp", "/dev/shm", "-maxdepth", "1"}),
            "")
      << "nothing in directories that everybody may write to";
  for (const std::string& top : {daemon().state_dir(), daemon().run_dir()}) {
    const std::string all = RunCommand({"find", top, "-mindepth", "1"}).out;
    ASSERT_NE(all, "");
    EXPECT_EQ(AsStranger({"find", top, "-mindepth", "1"}).out, "");
    // Not by guessing either: a directory that can be walked through but not
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
  KillDaemon();
  StartDaemon();
}

// All that a user of the node can see of it, whatever the way there: nothing is
// a file of ours, by another name or in another place either, and nothing is
// named after a pod or a container.
TEST_F(OtherUserTest, FS_9_AWalkThroughTheNodeMeetsNothingOfOurs) {
  cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  const std::string id = Run(pod_id, pod, IdleConfig("main"));
  const std::string control = daemon().directory() + "/second-name";
  ASSERT_EQ(link((daemon().state_dir() + "/lock").c_str(), control.c_str()), 0);
  const Walk before = Ours();
  const Walk seen = Found(AsStranger, {"/"});
  const Walk after = Ours();
  ASSERT_EQ(unlink(control.c_str()), 0);
  EXPECT_GT(before.size(), 20u);
  EXPECT_GT(seen.size(), 1000u);
  std::vector<std::string> reached;
  for (const auto& [inode, path] : seen) {
    // Numbers of files that are gone are used again at once.
    const auto was = before.find(inode);
    const auto is = after.find(inode);
    if (was != before.end() && is != after.end() && was->second == is->second) {
      reached.push_back(path);
    }
    for (const std::string& name : {pod_id, id}) {
      EXPECT_FALSE(absl::StrContains(path, name)) << path;
    }
  }
  EXPECT_EQ(reached, std::vector<std::string>{control})
      << "a second name in an open directory is all that is to be found";
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
