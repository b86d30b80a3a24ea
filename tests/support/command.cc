#include "tests/support/command.h"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "runtime/base/file.h"
#include "runtime/base/process.h"

namespace warren::test {
namespace {

std::string Find(const std::string& program) {
  if (program.find('/') != std::string::npos) return program;
  for (const char* directory : {"/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"}) {
    if (access((directory + program).c_str(), X_OK) == 0)
      return directory + program;
  }
  return program;
}

// Reads both pipes until the last writer is gone.
void Drain(int out, int err, CommandResult* result) {
  std::array<pollfd, 2> fds = {pollfd{out, POLLIN, 0}, pollfd{err, POLLIN, 0}};
  std::array<std::string*, 2> texts = {&result->out, &result->err};
  while (fds[0].fd >= 0 || fds[1].fd >= 0) {
    if (poll(fds.data(), fds.size(), -1) < 0) continue;
    for (size_t i = 0; i < fds.size(); ++i) {
      if (fds[i].fd < 0 || fds[i].revents == 0) continue;
      char buffer[4096];
      const ssize_t n = read(fds[i].fd, buffer, sizeof(buffer));
      if (n > 0) {
        texts[i]->append(buffer, n);
      } else {
        fds[i].fd = -1;
      }
    }
  }
}

}  // namespace

CommandResult RunCommand(const std::vector<std::string>& args) {
  CommandResult result;
  auto out = base::MakePipe();
  auto err = base::MakePipe();
  if (!out.ok() || !err.ok()) return result;
  base::SpawnOptions options;
  options.path = Find(args[0]);
  options.args = args;
  options.env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C",
                 "HOME=/root"};
  options.fds = {-1, out->write.get(), err->write.get()};
  auto child = base::Spawn(options);
  if (!child.ok()) {
    result.err = std::string(child.status().message());
    return result;
  }
  out->write.reset();
  err->write.reset();
  Drain(out->read.get(), err->read.get(), &result);
  base::WaitExit(child->pidfd.get(), absl::InfiniteDuration()).IgnoreError();
  auto status = base::Reap(child->pidfd.get());
  if (!status.ok()) return result;
  result.exit_code =
      WIFEXITED(*status) ? WEXITSTATUS(*status) : 128 + WTERMSIG(*status);
  return result;
}

}  // namespace warren::test
