// pods, stop, rm, ns
#include <absl/strings/str_cat.h>
#include <absl/synchronization/mutex.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "agent/ctl/json.h"
#include "agent/ctl/log_files.h"
#include "agent/ctl/name_match.h"
#include "agent/ctl/picture.h"
#include "agent/ctl/pod_plan.h"
#include "agent/ctl/session.h"
#include "agent/ctl/table.h"
#include "runtime/base/status.h"

namespace warren::agent::ctl {
namespace {

absl::StatusOr<int> ListPods(Session& session) {
  ASSIGN_OR_RETURN(const cri::ListPodSandboxResponse pods,
                   session.client.ListPodSandbox());
  if (session.json) {
    session.out() << ToJson(pods);
    return kExitOk;
  }
  const absl::Time now = absl::Now();
  std::vector<std::vector<std::string>> rows = {
      {"POD ID", "NAME", "NAMESPACE", "STATE", "ADDRESS", "AGE"}};
  for (const cri::PodSandbox& pod : pods.items()) {
    // A pod that goes away meanwhile is shown without address.
    const auto status = session.client.PodSandboxStatus(pod.id());
    rows.push_back({ShortId(pod.id()), pod.metadata().name(),
                    pod.metadata().namespace_(),
                    pod.state() == cri::SANDBOX_READY ? "READY" : "NOTREADY",
                    status.ok() ? status->status().network().ip() : "",
                    FormatAge(pod.created_at(), now)});
  }
  session.out() << FormatTable(rows);
  return kExitOk;
}

// Containers first, side by side with their grace, then the sandbox.
absl::Status StopPod(Session& session, const std::string& id,
                     absl::Duration grace) {
  ASSIGN_OR_RETURN(const cri::ListContainersResponse containers,
                   session.client.ListContainers(id));
  absl::Mutex mutex;
  absl::Status stopped;
  std::vector<std::thread> stops;
  for (const cri::Container& container : containers.containers()) {
    if (container.state() != cri::CONTAINER_RUNNING) continue;
    stops.emplace_back([&, id = container.id()] {
      const absl::Status status = session.client.StopContainer(id, grace);
      absl::MutexLock lock(&mutex);
      base::Update(&stopped, status);
    });
  }
  for (std::thread& stop : stops) stop.join();
  RETURN_IF_ERROR(stopped);
  return session.client.StopPodSandbox(id);
}

absl::Status RemovePod(Session& session, const cri::PodSandbox& pod,
                       bool force) {
  if (pod.state() == cri::SANDBOX_READY && !force) {
    return absl::FailedPreconditionError(
        absl::StrCat("pod ", pod.metadata().name(),
                     " is ready: stop it first or use --force"));
  }
  std::vector<std::string> logs;
  if (pod.labels().contains(kMadeByLabel)) {
    ASSIGN_OR_RETURN(const cri::ListContainersResponse containers,
                     session.client.ListContainers(pod.id()));
    for (const cri::Container& container : containers.containers()) {
      const auto status = session.client.ContainerStatus(container.id());
      if (status.ok()) logs.push_back(status->status().log_path());
    }
  }
  RETURN_IF_ERROR(session.client.StopPodSandbox(pod.id()));
  RETURN_IF_ERROR(session.client.RemovePodSandbox(pod.id()));
  RemoveLogFiles(logs);
  return absl::OkStatus();
}

struct PodOptions {
  std::vector<std::string> pods;
  bool all = false;
  bool force = false;
  double grace_seconds = 10;
};

// Resolves names before anything is touched.
absl::StatusOr<std::vector<cri::PodSandbox>> Chosen(Session& session,
                                                    const PodOptions& options) {
  ASSIGN_OR_RETURN(const cri::ListPodSandboxResponse pods,
                   session.client.ListPodSandbox());
  std::vector<cri::PodSandbox> chosen;
  if (options.all) {
    chosen.assign(pods.items().begin(), pods.items().end());
    return chosen;
  }
  for (const std::string& name : options.pods) {
    ASSIGN_OR_RETURN(cri::PodSandbox pod, MatchPod(pods, name));
    chosen.push_back(std::move(pod));
  }
  return chosen;
}

absl::StatusOr<int> Stop(Session& session, const PodOptions& options) {
  ASSIGN_OR_RETURN(const std::vector<cri::PodSandbox> pods,
                   Chosen(session, options));
  std::vector<std::string> done;
  for (const cri::PodSandbox& pod : pods) {
    RETURN_IF_ERROR_IN(
        StopPod(session, pod.id(), absl::Seconds(options.grace_seconds)),
        absl::StrCat("stop pod ", pod.metadata().name()));
    done.push_back(pod.id());
    if (!session.json) session.out() << pod.id() << "\n";
  }
  if (session.json) session.out() << IdsToJson("podSandboxIds", done);
  return kExitOk;
}

absl::StatusOr<int> Remove(Session& session, const PodOptions& options) {
  ASSIGN_OR_RETURN(const std::vector<cri::PodSandbox> pods,
                   Chosen(session, options));
  std::vector<std::string> done;
  for (const cri::PodSandbox& pod : pods) {
    RETURN_IF_ERROR_IN(RemovePod(session, pod, options.force),
                       absl::StrCat("remove pod ", pod.metadata().name()));
    done.push_back(pod.id());
    if (!session.json) session.out() << pod.id() << "\n";
  }
  if (session.json) session.out() << IdsToJson("podSandboxIds", done);
  return kExitOk;
}

absl::StatusOr<int> ShowNamespaces(Session& session, const std::string& name,
                                   const std::string& drawing) {
  ASSIGN_OR_RETURN(const cri::PodSandbox pod, FindPod(session.client, name));
  ASSIGN_OR_RETURN(const node::InspectPodSandboxResponse view,
                   session.client.InspectPodSandbox(pod.id()));
  if (session.json) {
    session.out() << ToJson(view);
    return kExitOk;
  }
  PictureStyle style;
  style.lines =
      drawing == "lines" || (drawing == "auto" && session.output.terminal);
  style.colour = session.output.colour;
  session.out() << DrawPod(view, style);
  return kExitOk;
}

}  // namespace

void AddPodCommands(CLI::App& app, Action* action) {
  app.add_subcommand("pods", "pods of this node")->callback([action] {
    *action = ListPods;
  });

  auto options = std::make_shared<PodOptions>();
  CLI::App* stop = app.add_subcommand("stop", "stop pods");
  stop->add_option("POD", options->pods, "pods to stop");
  stop->add_flag("--all", options->all, "every pod");
  stop->add_option("--grace", options->grace_seconds,
                   "seconds between the stop signal and SIGKILL")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  stop->callback([action, options] {
    if (options->pods.empty() && !options->all) throw CLI::RequiredError("POD");
    *action = [options](Session& session) { return Stop(session, *options); };
  });

  CLI::App* rm = app.add_subcommand("rm", "remove stopped pods");
  rm->add_option("POD", options->pods, "pods to remove");
  rm->add_flag("--all", options->all, "every pod");
  rm->add_flag("-f,--force", options->force, "stop them first, at once");
  rm->callback([action, options] {
    if (options->pods.empty() && !options->all) throw CLI::RequiredError("POD");
    *action = [options](Session& session) { return Remove(session, *options); };
  });

  CLI::App* ns = app.add_subcommand("ns", "draw a pod's eight namespaces");
  auto pod = std::make_shared<std::string>();
  auto drawing = std::make_shared<std::string>("auto");
  ns->add_option("POD", *pod)->required();
  ns->add_option("--draw", *drawing,
                 "lines, ascii, or auto: lines when on a terminal")
      ->check(CLI::IsMember({"auto", "lines", "ascii"}))
      ->capture_default_str();
  ns->callback([action, pod, drawing] {
    *action = [pod, drawing](Session& session) {
      return ShowNamespaces(session, *pod, *drawing);
    };
  });
}

}  // namespace warren::agent::ctl
