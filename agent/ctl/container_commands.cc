// ps, exec
#include <absl/strings/str_cat.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/ctl/json.h"
#include "agent/ctl/name_match.h"
#include "agent/ctl/session.h"
#include "agent/ctl/table.h"
#include "runtime/base/status.h"

namespace warren::agent::ctl {
namespace {

const char* StateName(cri::ContainerState state) {
  switch (state) {
    case cri::CONTAINER_CREATED:
      return "CREATED";
    case cri::CONTAINER_RUNNING:
      return "RUNNING";
    case cri::CONTAINER_EXITED:
      return "EXITED";
    default:
      return "UNKNOWN";
  }
}

absl::StatusOr<int> ListContainers(Session& session, bool all) {
  ASSIGN_OR_RETURN(cri::ListContainersResponse containers,
                   session.client.ListContainers(""));
  if (session.json) {
    session.out() << ToJson(containers);
    return kExitOk;
  }
  ASSIGN_OR_RETURN(const cri::ListPodSandboxResponse pods,
                   session.client.ListPodSandbox());
  std::map<std::string, std::string> pod_names;
  for (const cri::PodSandbox& pod : pods.items()) {
    pod_names[pod.id()] = pod.metadata().name();
  }
  const absl::Time now = absl::Now();
  std::vector<std::vector<std::string>> rows = {
      {"CONTAINER ID", "POD/NAME", "STATE", "IMAGE", "AGE"}};
  for (const cri::Container& container : containers.containers()) {
    if (!all && container.state() != cri::CONTAINER_RUNNING) continue;
    rows.push_back({ShortId(container.id()),
                    absl::StrCat(pod_names[container.pod_sandbox_id()], "/",
                                 container.metadata().name()),
                    StateName(container.state()), container.image().image(),
                    FormatAge(container.created_at(), now)});
  }
  session.out() << FormatTable(rows);
  return kExitOk;
}

struct ExecOptions {
  std::string container;
  std::vector<std::string> command;
  int64_t timeout_seconds = 0;
};

absl::StatusOr<int> Exec(Session& session, const ExecOptions& options) {
  ASSIGN_OR_RETURN(const cri::Container container,
                   FindContainer(session.client, options.container));
  cri::ExecSyncRequest request;
  request.set_container_id(container.id());
  request.set_timeout(options.timeout_seconds);
  for (const std::string& argument : options.command) request.add_cmd(argument);
  ASSIGN_OR_RETURN(const cri::ExecSyncResponse response,
                   session.client.ExecSync(request));
  if (session.json) {
    session.out() << ToJson(response);
  } else {
    session.out() << response.stdout();
    session.out().flush();
    session.err() << response.stderr();
  }
  return response.exit_code();
}

}  // namespace

void AddContainerCommands(CLI::App& app, Action* action) {
  CLI::App* ps = app.add_subcommand("ps", "running containers of this node");
  auto all = std::make_shared<bool>(false);
  ps->add_flag("-a,--all", *all, "also those that do not run");
  ps->callback([action, all] {
    *action = [all](Session& session) { return ListContainers(session, *all); };
  });

  CLI::App* exec = app.add_subcommand(
      "exec",
      "run a command in a container and wait for it; its exit code is ours, "
      "125 means that it could not be run");
  auto options = std::make_shared<ExecOptions>();
  exec->add_option("CONTAINER", options->container, "POD/CONTAINER, name or id")
      ->required();
  exec->add_option("COMMAND", options->command, "after --: program, arguments")
      ->required();
  exec->add_option("--limit", options->timeout_seconds,
                   "seconds until the command is killed, 0 = none")
      ->check(CLI::NonNegativeNumber);
  exec->callback([action, options] {
    *action = [options](Session& session) { return Exec(session, *options); };
  });
}

}  // namespace warren::agent::ctl
