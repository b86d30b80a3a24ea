#include "tests/support/node_namespace.h"

#include <absl/strings/escaping.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <thread>

#include "runtime/base/file.h"
#include "tests/support/command.h"

namespace warren::test {
namespace {

constexpr int kSkipped = 77;
constexpr int kFailed = 1;
constexpr char kCgroupRoot[] = "/sys/fs/cgroup";

// Set by the launching process before the node is cloned, read-only after.
struct Node {
  bool inside = false;
  std::string temp_root;
  std::string cgroup_parent;
  int outside_netns = -1;
  std::vector<std::string> cgroup_mounts;
};
Node& TheNode() {
  static auto* node = new Node;
  return *node;
}

bool Complain(const char* what) {
  std::perror(what);
  return false;
}

// fork(2) with namespaces; the caller is single-threaded.
pid_t Clone(unsigned long flags) {
  return static_cast<pid_t>(
      syscall(SYS_clone, flags | SIGCHLD, nullptr, nullptr, nullptr, 0));
}

bool Ip(const std::string& words) {
  std::vector<std::string> args = {"ip"};
  for (const auto& word : absl::StrSplit(words, ' ')) args.emplace_back(word);
  const CommandResult result = RunCommand(args);
  if (result.exit_code == 0) return true;
  std::fprintf(stderr, "ip %s: %s\n", words.c_str(), result.err.c_str());
  return false;
}

std::vector<std::string> FindCgroupMounts() {
  std::vector<std::string> mounts;
  const auto text = base::ReadFileAt(AT_FDCWD, "/proc/self/mounts");
  if (!text.ok()) return mounts;
  for (const auto& line : absl::StrSplit(*text, '\n', absl::SkipEmpty())) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    // Others mount theirs elsewhere, for containers.
    if (absl::StartsWith(words[1], kCgroupRoot) &&
        (words[2] == "cgroup" || words[2] == "cgroup2")) {
      mounts.push_back(words[1]);
    }
  }
  return mounts;
}

bool SetUpLauncher() {
  Node& node = TheNode();
  const char* tmpdir = std::getenv("TMPDIR");
  node.temp_root =
      absl::StrCat(tmpdir != nullptr ? tmpdir : "/tmp", "/warren-node-XXXXXX");
  if (mkdtemp(node.temp_root.data()) == nullptr) return Complain("mkdtemp");
  // Of this run alone, and no common parent that one run would remove while
  // another is about to use it.
  node.cgroup_parent = absl::StrCat(
      "/warren-test-", node.temp_root.substr(node.temp_root.rfind('-') + 1));
  node.cgroup_mounts = FindCgroupMounts();
  if (unshare(CLONE_NEWNET) != 0) return Complain("unshare(CLONE_NEWNET)");
  node.outside_netns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  if (node.outside_netns < 0) return Complain("open netns");
  return Ip("link set lo up");
}

// The outer end of the uplink; `node_pid` as the launching process sees it.
bool WireOutside(pid_t node_pid) {
  return Ip(absl::StrCat("link add up0 type veth peer name eth0 netns ",
                         node_pid)) &&
         Ip("addr add 192.0.2.1/24 dev up0") &&
         Ip("addr add 2001:db8::1/64 dev up0 nodad") && Ip("link set up0 up");
}

// Takes the machine's pinned namespaces (ip netns, Docker, CNI) out of the
// node's mount table, which is private by now: a test may count pins.
bool DropForeignPins() {
  const auto text = base::ReadFileAt(AT_FDCWD, "/proc/self/mounts", 16 << 20);
  if (!text.ok()) return Complain("/proc/self/mounts");
  for (const auto& line : absl::StrSplit(*text, '\n', absl::SkipEmpty())) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    if (words.size() < 3 || words[2] != "nsfs") continue;
    // Blanks in names are written as octal numbers.
    std::string path;
    if (!absl::CUnescape(words[1], &path)) return Complain(words[1].c_str());
    // One that is not at its place any more is below another mount: the
    // machine's own programs do not see it either.
    if (umount2(path.c_str(), MNT_DETACH) != 0 && errno != EINVAL &&
        errno != ENOENT) {
      return Complain(path.c_str());
    }
  }
  return true;
}

bool SetUpNode() {
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return Complain("mount --make-rprivate /");
  }
  if (!DropForeignPins()) return false;
  if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC,
            nullptr) != 0) {
    return Complain("mount /proc");
  }
  if (sethostname("warren-test-node", 16) != 0) return Complain("sethostname");
  return Ip("link set lo up") && Ip("addr add 192.0.2.2/24 dev eth0") &&
         Ip("addr add 2001:db8::2/64 dev eth0 nodad") &&
         Ip("link set eth0 up") && Ip("route add default via 192.0.2.1") &&
         Ip("-6 route add default via 2001:db8::1");
}

int ExitCode(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// PID 1 of the node: runs `body` in a child and reaps everything else. Its
// end is the end of every process in the node.
[[noreturn]] void RunInit(int wired_fd, const std::function<int()>& body) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  char wired = 0;
  if (read(wired_fd, &wired, 1) != 1 || !SetUpNode()) _exit(kFailed);
  TheNode().inside = true;
  const pid_t program = Clone(0);
  if (program == 0) {
    const int result = body();
    std::fflush(nullptr);
    std::exit(result);
  }
  for (;;) {
    int status = 0;
    const pid_t dead = waitpid(-1, &status, 0);
    if (dead == program) _exit(ExitCode(status));
  }
}

// rmdir of a cgroup tree, deepest first; the kernel needs a moment to let go
// of a cgroup whose processes have just died.
void RemoveCgroups(const std::string& path) {
  const auto names = base::ListDir(AT_FDCWD, path);
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    struct stat st;
    const std::string child = absl::StrCat(path, "/", name);
    if (lstat(child.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) {
      RemoveCgroups(child);
    }
  }
  for (int tries = 0; tries < 500 && rmdir(path.c_str()) != 0; ++tries) {
    if (errno != EBUSY) return;
    usleep(10000);
  }
}

// The launching process ends the node first when it is told to end.
volatile sig_atomic_t g_init = 0;
void EndNode(int) { kill(g_init, SIGKILL); }

void CleanUp() {
  const Node& node = TheNode();
  for (const std::string& mount : node.cgroup_mounts) {
    RemoveCgroups(mount + node.cgroup_parent);
  }
  const size_t slash = node.temp_root.rfind('/');
  auto parent = base::OpenAt(AT_FDCWD, node.temp_root.substr(0, slash),
                             O_PATH | O_DIRECTORY);
  if (!parent.ok()) return;
  base::RemoveTree(parent->get(), node.temp_root.substr(slash + 1))
      .IgnoreError();
}

}  // namespace

int RunInNode(const std::function<int()>& body) {
  if (geteuid() != 0) {
    std::fprintf(stderr, "SKIPPED: needs root\n");
    return kSkipped;
  }
  if (!SetUpLauncher()) return kFailed;
  int wired[2];
  if (pipe2(wired, O_CLOEXEC) != 0) return kFailed;
  const pid_t init = Clone(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET |
                           CLONE_NEWIPC | CLONE_NEWUTS);
  if (init == 0) {
    close(wired[1]);
    RunInit(wired[0], body);
  }
  if (init < 0) return Complain("clone"), kFailed;
  g_init = init;
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) signal(number, EndNode);
  close(wired[0]);
  if (WireOutside(init)) {
    const ssize_t sent = write(wired[1], "1", 1);
    static_cast<void>(sent);  // a dead child shows in waitpid
  }
  close(wired[1]);
  int status = 0;
  while (waitpid(init, &status, 0) < 0 && errno == EINTR) {
  }
  CleanUp();
  return ExitCode(status);
}

bool InNode() { return TheNode().inside; }
const std::string& TempRoot() { return TheNode().temp_root; }
const std::string& CgroupParent() { return TheNode().cgroup_parent; }
int OutsideNetns() { return TheNode().outside_netns; }
const std::vector<std::string>& CgroupMounts() {
  return TheNode().cgroup_mounts;
}

void RunInNetns(int netns_fd, const std::function<void()>& work) {
  std::thread thread([&] {
    if (setns(netns_fd, CLONE_NEWNET) != 0) {
      std::perror("setns");
      std::abort();
    }
    work();
  });
  thread.join();
}

}  // namespace warren::test
