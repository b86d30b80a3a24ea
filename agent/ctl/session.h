#ifndef WARREN_AGENT_CTL_SESSION_H_
#define WARREN_AGENT_CTL_SESSION_H_

#include <absl/status/statusor.h>

#include <CLI/CLI.hpp>
#include <functional>
#include <ostream>

#include "agent/ctl/client.h"

// What every command works with.
namespace warren::agent::ctl {

// Exit codes of warrenctl. `exec` passes on the code of the command it ran
// and uses kExitExecFailed for its own failures.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;       // the daemon said no
inline constexpr int kExitUsage = 2;        // the command line is wrong
inline constexpr int kExitUnreachable = 3;  // no daemon answers on the socket
inline constexpr int kExitNotFound = 4;     // no such pod, container, image
inline constexpr int kExitExecFailed = 125;

// Where a run of warrenctl writes, and how.
struct Output {
  std::ostream* out = nullptr;  // results
  std::ostream* err = nullptr;  // errors
  bool terminal = false;        // `out` is one: draw and colour
  bool colour = false;
};

// One run of warrenctl, as its commands see it; all borrowed.
struct Session {
  Client& client;
  Output output;
  bool json = false;  // replies as JSON instead of tables and pictures

  std::ostream& out() const { return *output.out; }
  std::ostream& err() const { return *output.err; }
};

// What the chosen subcommand does, set by its parser callback; the value is
// the exit code.
using Action = std::function<absl::StatusOr<int>(Session&)>;

// Each adds its subcommands to `app`; the one that is given sets *action.
void AddNodeCommands(CLI::App& app, Action* action);
void AddPodCommands(CLI::App& app, Action* action);
void AddContainerCommands(CLI::App& app, Action* action);
void AddLogCommand(CLI::App& app, Action* action);
void AddImageCommands(CLI::App& app, Action* action);
void AddRunCommand(CLI::App& app, Action* action);

}  // namespace warren::agent::ctl

#endif  // WARREN_AGENT_CTL_SESSION_H_
