#include "tests/support/warrend_process.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "runtime/base/status.h"
#include "tests/support/host_file.h"
#include "tests/support/node_namespace.h"

namespace warren::test {
namespace {

constexpr size_t kLogTail = 8000;

absl::StatusOr<base::UniqueFd> NotifySocket(const std::string& path) {
  unlink(path.c_str());
  base::UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError("path too long for a socket: " + path);
  }
  std::memcpy(address.sun_path, path.c_str(), path.size());
  if (!fd.valid() || bind(fd.get(), reinterpret_cast<sockaddr*>(&address),
                          sizeof(address)) != 0) {
    return base::ErrnoError(errno, "bind " + path);
  }
  return fd;
}

// Waits until the daemon says READY=1 or is gone.
absl::Status WaitReady(int notify_fd, int pidfd, absl::Time deadline) {
  for (;;) {
    pollfd fds[] = {{notify_fd, POLLIN, 0}, {pidfd, POLLIN, 0}};
    const auto left = absl::ToInt64Milliseconds(deadline - absl::Now());
    if (left <= 0) return absl::DeadlineExceededError("not ready in time");
    if (poll(fds, 2, static_cast<int>(left)) <= 0) continue;
    if (fds[0].revents != 0) {
      char message[512];
      const ssize_t n = recv(notify_fd, message, sizeof(message), 0);
      if (n > 0 &&
          absl::StrContains(absl::string_view(message, n), "READY=1")) {
        return absl::OkStatus();
      }
    } else if (fds[1].revents != 0) {
      return absl::AbortedError("the daemon ended before it was ready");
    }
  }
}

}  // namespace

std::string BinaryDirectory() { return WARREN_TEST_BINARY_DIR "/bin"; }
std::string ProbePath() {
  return WARREN_TEST_BINARY_DIR "/testbin/warren_test_probe";
}
std::string EscapeProbePath() {
  return WARREN_TEST_BINARY_DIR "/testbin/warren_escape_probe";
}

WarrendProcess::WarrendProcess() {
  mkdir(log_dir().c_str(), 0755);
  mkdir(run_dir().c_str(), 0755);
}

WarrendProcess::~WarrendProcess() {
  if (running()) Kill();
  if (std::getenv("WARREN_TEST_SHOW_LOG") != nullptr) {
    std::fprintf(stderr, "---- log of warrend ----\n%s----\n",
                 ReadHostFile(directory() + "/warrend.log").c_str());
  }
}

void WarrendProcess::WriteConfig() {
  const std::string text =
      absl::StrCat("socket = \"", socket(), "\"\nstate_dir = \"", state_dir(),
                   "\"\nrun_dir = \"", run_dir(), "\"\ncgroup_parent = \"",
                   !cgroup_parent.empty() ? cgroup_parent
                   : InNode()             ? CgroupParent()
                                          : "/warren-test-lone",
                   "\"\n", extra_top, "\n[network]\n", extra_network, "\n");
  WriteHostFile(config_file(), text, 0600);
}

absl::StatusOr<base::Child> WarrendProcess::Spawn(
    const std::vector<std::string>& args) {
  WriteConfig();
  base::UniqueFd log(open((directory() + "/warrend.log").c_str(),
                          O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  base::SpawnOptions options;
  options.args = wrapper;
  for (const std::string& arg : {BinaryDirectory() + "/warrend",
                                 std::string("--config"), config_file()}) {
    options.args.push_back(arg);
  }
  options.path = options.args.front();
  options.args.insert(options.args.end(), args.begin(), args.end());
  options.env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                 "NOTIFY_SOCKET=" + directory() + "/notify"};
  for (const char* name :
       {"ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS"}) {
    if (const char* value = std::getenv(name)) {
      options.env.push_back(absl::StrCat(name, "=", value));
    }
  }
  options.fds = {-1, log.get(), log.get()};
  return base::Spawn(options);
}

absl::Status WarrendProcess::Start(absl::Duration patience) {
  ASSIGN_OR_RETURN(const base::UniqueFd notify,
                   NotifySocket(directory() + "/notify"));
  const absl::Time begin = absl::Now();
  ASSIGN_OR_RETURN(child_, Spawn({}));
  const absl::Status ready =
      WaitReady(notify.get(), child_.pidfd.get(), begin + Patience(patience));
  start_time_ = absl::Now() - begin;
  if (ready.ok()) return ready;
  Kill();
  return base::Annotate(ready, "warrend: " + Log());
}

void WarrendProcess::Kill() {
  if (!running()) return;
  base::SendSignal(child_.pidfd.get(), SIGKILL).IgnoreError();
  base::WaitExit(child_.pidfd.get(), absl::InfiniteDuration()).IgnoreError();
  base::Reap(child_.pidfd.get()).IgnoreError();
  child_ = {};
}

absl::StatusOr<int> WarrendProcess::Terminate(absl::Duration patience) {
  RETURN_IF_ERROR(base::SendSignal(child_.pidfd.get(), SIGTERM));
  ASSIGN_OR_RETURN(const bool gone,
                   base::WaitExit(child_.pidfd.get(), Patience(patience)));
  if (!gone) return absl::DeadlineExceededError("still running after SIGTERM");
  ASSIGN_OR_RETURN(const int status, base::Reap(child_.pidfd.get()));
  child_ = {};
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int WarrendProcess::RunToEnd(const std::vector<std::string>& args) {
  auto child = Spawn(args);
  if (!child.ok()) return -1;
  const auto gone =
      base::WaitExit(child->pidfd.get(), Patience(absl::Seconds(20)));
  if (!gone.ok() || !*gone) {
    base::SendSignal(child->pidfd.get(), SIGKILL).IgnoreError();
    base::WaitExit(child->pidfd.get(), absl::InfiniteDuration()).IgnoreError();
  }
  const auto status = base::Reap(child->pidfd.get());
  if (!status.ok()) return -1;
  return WIFEXITED(*status) ? WEXITSTATUS(*status) : 128 + WTERMSIG(*status);
}

std::string WarrendProcess::Log(size_t from) const {
  std::string text = ReadHostFile(directory() + "/warrend.log");
  text.erase(0, std::min(from, text.size()));
  if (text.size() > kLogTail) text.erase(0, text.size() - kLogTail);
  return text;
}

LedgerScope WarrendProcess::Scope() const {
  return {.directories = {state_dir(), run_dir()},
          .ignored = {"images", "pod_ranges", "quarantine"},
          .pins_file = run_dir() + "/pins.mnt",
          .daemon = running() ? pid() : 0};
}

long WarrendProcess::StatusValue(const std::string& key) const {
  return std::strtol(ProcessStatus(pid(), key).c_str(), nullptr, 10);
}

}  // namespace warren::test
