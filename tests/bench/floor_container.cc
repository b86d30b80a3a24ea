#include "tests/bench/floor_container.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "runtime/base/file.h"
#include "tests/bench/floor_network.h"

namespace warren::bench {
namespace {

constexpr char kSleep[] = "1000017";  // as in workload.h

pid_t Clone3(uint64_t flags, int* pidfd) {
  clone_args args = {};
  args.flags = flags | (pidfd != nullptr ? CLONE_PIDFD : 0);
  args.pidfd = reinterpret_cast<uint64_t>(pidfd);
  args.exit_signal = SIGCHLD;
  const auto pid = static_cast<pid_t>(syscall(SYS_clone3, &args, sizeof(args)));
  MustHold(pid >= 0, "clone3");
  return pid;
}

int OpenNamespace(pid_t pid, const char* kind) {
  const std::string path = "/proc/" + std::to_string(pid) + "/ns/" + kind;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  MustHold(fd >= 0, path.c_str());
  return fd;
}

std::vector<std::string> CgroupTrees() {
  std::vector<std::string> trees;
  for (const char* name : {"pids", "memory", "cpu"}) {
    const std::string tree = std::string("/sys/fs/cgroup/") + name;
    struct stat st;
    if (stat((tree + "/cgroup.procs").c_str(), &st) == 0) {
      trees.push_back(tree);
    }
  }
  if (trees.empty()) trees.emplace_back("/sys/fs/cgroup");
  return trees;
}

void WritePid(const std::string& file, pid_t pid) {
  const std::string text = std::to_string(pid);
  const int fd = open(file.c_str(), O_WRONLY | O_CLOEXEC);
  MustHold(fd >= 0 && write(fd, text.data(), text.size()) > 0, file.c_str());
  close(fd);
}

// In the container's first process.
[[noreturn]] void RunChild(const FloorSandbox& sandbox,
                           const std::string& directory,
                           const std::string& lower) {
  MustHold(setns(sandbox.net, CLONE_NEWNET) == 0, "setns net");
  MustHold(setns(sandbox.ipc, CLONE_NEWIPC) == 0, "setns ipc");
  MustHold(setns(sandbox.uts, CLONE_NEWUTS) == 0, "setns uts");
  const std::string options = "lowerdir=" + lower + ",upperdir=" + directory +
                              "/upper,workdir=" + directory + "/work";
  const std::string root = directory + "/root";
  MustHold(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0,
           "private mounts");
  MustHold(mount("overlay", root.c_str(), "overlay", 0, options.c_str()) == 0,
           "mount overlay");
  MustHold(chdir(root.c_str()) == 0, "chdir");
  MustHold(mount("proc", "proc", "proc", 0, nullptr) == 0, "mount proc");
  MustHold(mount("tmpfs", "dev", "tmpfs", 0, "mode=755") == 0, "mount dev");
  MustHold(mount("sysfs", "sys", "sysfs", MS_RDONLY, nullptr) == 0,
           "mount sysfs");
  MustHold(syscall(SYS_pivot_root, ".", ".") == 0, "pivot_root");
  MustHold(umount2(".", MNT_DETACH) == 0 && chdir("/") == 0, "old root");
  execl("/bin/busybox", "sleep", kSleep, nullptr);
  MustHold(false, "execve");
  _exit(1);
}

}  // namespace

FloorSandbox MakeSandbox() {
  int gate[2];
  MustHold(pipe2(gate, O_CLOEXEC) == 0, "pipe");
  const pid_t pid = Clone3(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS, nullptr);
  if (pid == 0) {
    char byte;
    close(gate[1]);
    _exit(read(gate[0], &byte, 1) == 0 ? 0 : 1);  // until the parent has fds
  }
  const FloorSandbox sandbox = {OpenNamespace(pid, "net"),
                                OpenNamespace(pid, "ipc"),
                                OpenNamespace(pid, "uts")};
  close(gate[0]);
  close(gate[1]);
  MustHold(waitpid(pid, nullptr, 0) == pid, "waitpid");
  return sandbox;
}

void CloseSandbox(const FloorSandbox& sandbox) {
  close(sandbox.net);
  close(sandbox.ipc);
  close(sandbox.uts);
}

void MakeLower(const std::string& directory) {
  mkdir((directory + "/lower").c_str(), 0755);
  for (const char* name : {"/bin", "/proc", "/sys", "/dev"}) {
    mkdir((directory + "/lower" + name).c_str(), 0755);
  }
  const auto program = base::ReadFileAt(AT_FDCWD, "/bin/busybox", 16 << 20);
  MustHold(program.ok(), "read busybox");
  const int fd = open((directory + "/lower/bin/busybox").c_str(),
                      O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
  MustHold(fd >= 0 && base::WriteFd(fd, *program).ok(), "write busybox");
  close(fd);
}

void MakeCgroupParent(const std::string& parent) {
  for (const std::string& tree : CgroupTrees()) {
    MustHold(base::MakeDirs(AT_FDCWD, tree + parent, 0755).ok(), "cgroups");
  }
}

void RemoveCgroupParent(const std::string& parent) {
  for (const std::string& tree : CgroupTrees()) rmdir((tree + parent).c_str());
}

FloorContainer StartContainer(const FloorSandbox& sandbox,
                              const std::string& base,
                              const std::string& cgroup_parent, int serial) {
  const std::string directory = base + "/" + std::to_string(serial);
  mkdir(directory.c_str(), 0755);
  for (const char* name : {"/upper", "/work", "/root"}) {
    MustHold(mkdir((directory + name).c_str(), 0755) == 0, "mkdir");
  }
  int go[2];
  int execed[2];
  MustHold(pipe2(go, O_CLOEXEC) == 0 && pipe2(execed, O_CLOEXEC) == 0, "pipe");
  const pid_t pid =
      Clone3(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWCGROUP, nullptr);
  if (pid == 0) {
    char byte;
    close(go[1]);
    MustHold(read(go[0], &byte, 1) == 0, "wait for cgroups");
    RunChild(sandbox, directory, base + "/lower");
  }
  for (const std::string& tree : CgroupTrees()) {
    const std::string cgroup =
        tree + cgroup_parent + "/" + std::to_string(serial);
    MustHold(mkdir(cgroup.c_str(), 0755) == 0, "mkdir cgroup");
    WritePid(cgroup + "/cgroup.procs", pid);
  }
  close(go[0]);
  close(go[1]);
  close(execed[1]);
  char byte;  // close-on-exec: end of file means that execve worked
  MustHold(read(execed[0], &byte, 1) == 0, "exec");
  close(execed[0]);
  return {pid, serial};
}

void ExecTrue(const FloorContainer& container) {
  int output[2];
  MustHold(pipe2(output, O_CLOEXEC) == 0, "pipe");
  const int target =
      static_cast<int>(syscall(SYS_pidfd_open, container.pid, 0));
  MustHold(target >= 0, "pidfd_open");
  const pid_t pid = Clone3(0, nullptr);
  if (pid == 0) {
    MustHold(setns(target, CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWCGROUP |
                               CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) == 0,
             "setns");
    dup2(output[1], STDOUT_FILENO);
    const pid_t inner = Clone3(0, nullptr);
    if (inner == 0) {
      execl("/bin/busybox", "true", nullptr);
      _exit(127);
    }
    int status = 0;
    waitpid(inner, &status, 0);
    _exit(WEXITSTATUS(status));
  }
  close(output[1]);
  char byte;
  while (read(output[0], &byte, 1) > 0) {
  }
  int status = 0;
  MustHold(waitpid(pid, &status, 0) == pid && status == 0, "exec of true");
  close(output[0]);
  close(target);
}

void StopContainer(const FloorContainer& container, const std::string& base,
                   const std::string& cgroup_parent) {
  MustHold(kill(container.pid, SIGKILL) == 0, "kill");
  MustHold(waitpid(container.pid, nullptr, 0) == container.pid, "waitpid");
  const std::string name = std::to_string(container.serial);
  for (const std::string& tree : CgroupTrees()) {
    const std::string cgroup = tree + cgroup_parent + "/" + name;
    while (rmdir(cgroup.c_str()) != 0 && errno == EBUSY) sched_yield();
  }
  const std::string directory = base + "/" + name;
  for (const char* part : {"/upper", "/work/work", "/work", "/root", ""}) {
    rmdir((directory + part).c_str());
  }
}

}  // namespace warren::bench
