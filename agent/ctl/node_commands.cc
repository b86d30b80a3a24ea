// version, status, reconcile
#include <absl/strings/str_cat.h>

#include <string>
#include <vector>

#include "agent/ctl/json.h"
#include "agent/ctl/session.h"
#include "agent/ctl/table.h"
#include "runtime/base/status.h"

namespace warren::agent::ctl {
namespace {

absl::StatusOr<int> ShowVersion(Session& session) {
  ASSIGN_OR_RETURN(const cri::VersionResponse version,
                   session.client.Version());
  if (session.json) {
    session.out() << ToJson(version);
    return kExitOk;
  }
  session.out() << FormatTable(
      {{"warrenctl", WARREN_VERSION},
       {version.runtime_name(), version.runtime_version()},
       {"CRI", version.runtime_api_version()}});
  return kExitOk;
}

// Conditions as lines, then what pods may ask for. Exit code 1 when the node
// is not ready, so that scripts can wait for it.
absl::StatusOr<int> ShowStatus(Session& session, bool verbose) {
  ASSIGN_OR_RETURN(const cri::StatusResponse response,
                   session.client.Status(verbose));
  bool ready = true;
  std::vector<std::vector<std::string>> rows = {
      {"CONDITION", "STATUS", "REASON", "MESSAGE"}};
  for (const auto& condition : response.status().conditions()) {
    ready = ready && condition.status();
    rows.push_back({condition.type(), condition.status() ? "true" : "false",
                    condition.reason(), condition.message()});
  }
  const int code = ready ? kExitOk : kExitFailed;
  if (session.json) {
    session.out() << ToJson(response);
    return code;
  }
  session.out() << FormatTable(rows);
  for (const auto& handler : response.runtime_handlers()) {
    if (!handler.name().empty()) continue;
    session.out() << "user namespaces: "
                  << (handler.features().user_namespaces() ? "yes" : "no")
                  << "\n";
  }
  for (const auto& [key, value] : response.info()) {
    session.out() << Printable(key) << ": " << Printable(value) << "\n";
  }
  return code;
}

absl::StatusOr<int> Reconcile(Session& session) {
  RETURN_IF_ERROR(session.client.Reconcile());
  return kExitOk;
}

}  // namespace

void AddNodeCommands(CLI::App& app, Action* action) {
  app.add_subcommand("version", "versions of this program and the daemon")
      ->callback([action] { *action = ShowVersion; });

  app.add_subcommand(
         "reconcile",
         "have the daemon compare records and kernel now; \"status\" "
         "says what is left")
      ->callback([action] { *action = Reconcile; });

  CLI::App* status =
      app.add_subcommand("status", "is the node ready for pods?");
  auto verbose = std::make_shared<bool>(false);
  status->add_flag("-v,--verbose", *verbose, "details as the daemon has them");
  status->callback([action, verbose] {
    *action = [verbose](Session& session) {
      return ShowStatus(session, *verbose);
    };
  });
}

}  // namespace warren::agent::ctl
