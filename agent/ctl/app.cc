#include "agent/ctl/app.h"

#include <algorithm>
#include <string>
#include <vector>

namespace warren::agent::ctl {
namespace {

constexpr char kDefaultSocket[] = "/run/warren/warrend.sock";

int ExitCode(const absl::Status& status, bool exec) {
  if (exec) return kExitExecFailed;
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
      return kExitUnreachable;
    case absl::StatusCode::kNotFound:
      return kExitNotFound;
    default:
      return kExitFailed;
  }
}

// Parses; returns an exit code, or -1 when there is something to do.
int Parse(CLI::App& app, std::vector<std::string> args, const Output& output) {
  std::reverse(args.begin(), args.end());  // CLI11 takes them from the back
  try {
    app.parse(std::move(args));
  } catch (const CLI::Success& success) {  // --help, --version
    return app.exit(success, *output.out, *output.err);
  } catch (const CLI::ParseError& error) {
    app.exit(error, *output.out, *output.err);
    return kExitUsage;
  }
  return -1;
}

}  // namespace

int RunWarrenctl(const std::vector<std::string>& args, const Output& output) {
  CLI::App app(
      "warrenctl looks at and drives one warrend.\n"
      "Pods and containers are given by name, by id or by the start of an "
      "id; a container also as POD/CONTAINER.",
      "warrenctl");
  std::string socket = kDefaultSocket;
  bool json = false;
  double timeout_seconds = 120;
  app.add_option("--socket", socket, "socket of the daemon")
      ->envname("WARREN_SOCKET")
      ->capture_default_str();
  app.add_flag("--json", json, "print what the daemon said, as JSON");
  app.add_option("--timeout", timeout_seconds, "seconds for one call")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.require_subcommand(1);
  app.fallthrough();  // --json and --socket also after the command

  Action action;
  AddNodeCommands(app, &action);
  AddPodCommands(app, &action);
  AddRunCommand(app, &action);
  AddContainerCommands(app, &action);
  AddLogCommand(app, &action);
  AddImageCommands(app, &action);
  if (const int code = Parse(app, args, output); code >= 0) return code;

  Client client(socket);
  client.set_timeout(absl::Seconds(timeout_seconds));
  Session session{client, output, json};
  const absl::StatusOr<int> result = action(session);
  if (result.ok()) return *result;
  *output.err << "warrenctl: " << result.status().message() << "\n";
  return ExitCode(result.status(), app.got_subcommand("exec"));
}

}  // namespace warren::agent::ctl
