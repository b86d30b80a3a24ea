#ifndef WARREN_TESTS_SUPPORT_WARREND_PROCESS_H_
#define WARREN_TESTS_SUPPORT_WARREND_PROCESS_H_

#include <absl/status/status.h>
#include <absl/time/time.h>

#include <string>
#include <vector>

#include "runtime/base/process.h"
#include "tests/support/host_file.h"
#include "tests/support/ledger.h"
#include "tests/support/temp_directory.h"

namespace warren::test {

// The real daemon of this build tree with files, cgroups and (inside a node)
// a network of its own. Starting is by hand, so that a test can kill and
// restart it. The destructor kills it and everything below its directories is
// removed; pods that still run are left to the node's end. Thread-compatible.
class WarrendProcess {
 public:
  WarrendProcess();
  ~WarrendProcess();
  WarrendProcess(const WarrendProcess&) = delete;
  WarrendProcess& operator=(const WarrendProcess&) = delete;

  // Lines for the configuration file: before the first table, and in
  // [network] and [image]. Take effect at the next Start().
  std::string extra_top;
  std::string extra_network;
  // In place of the node's own.
  std::string cgroup_parent;
  // A program with its arguments that runs the daemon ("setpriv …"); empty =
  // none. It must exec, so that the pid stays.
  std::vector<std::string> wrapper;

  // Starts it and waits for READY=1 on its NOTIFY_SOCKET. The error carries
  // the end of its log.
  absl::Status Start(absl::Duration patience = absl::Seconds(30));
  // SIGKILL, then reaps it. What it left behind stays.
  void Kill();
  // SIGTERM; exit code, or 128 + n, or an error after `patience`.
  absl::StatusOr<int> Terminate(absl::Duration patience = absl::Seconds(15));
  // Runs the same binary with the same configuration plus `args` to its end,
  // as a second process.
  int RunToEnd(const std::vector<std::string>& args);

  bool running() const { return child_.pidfd.valid(); }
  pid_t pid() const { return child_.id.pid; }
  const std::string& directory() const { return directory_.path(); }
  std::string state_dir() const { return directory() + "/state"; }
  std::string run_dir() const { return directory() + "/run"; }
  std::string log_dir() const { return directory() + "/logs"; }
  std::string socket() const { return run_dir() + "/warrend.sock"; }
  std::string config_file() const { return directory() + "/warrend.toml"; }
  // The end of its log, of what was written after the first `from` bytes.
  std::string Log(size_t from = 0) const;
  size_t LogSize() const {
    return ReadHostFile(directory() + "/warrend.log").size();
  }
  // From SIGKILL-proof start of the process to READY=1, of the last Start().
  absl::Duration start_time() const { return start_time_; }

  // For the leak check of this daemon.
  LedgerScope Scope() const;
  // A line of /proc/<pid>/status ("VmRSS", "Threads"), 0 when not there.
  long StatusValue(const std::string& key) const;

 private:
  void WriteConfig();
  absl::StatusOr<base::Child> Spawn(const std::vector<std::string>& args);

  TempDirectory directory_;
  base::Child child_;
  absl::Duration start_time_;
};

// Directories of this build tree.
std::string BinaryDirectory();  // of warrend and warrenctl
std::string ProbePath();        // of warren_test_probe
std::string EscapeProbePath();  // of warren_escape_probe

}  // namespace warren::test

#endif  // WARREN_TESTS_SUPPORT_WARREND_PROCESS_H_
