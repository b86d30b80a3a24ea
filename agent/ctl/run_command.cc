// run
#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <fcntl.h>
#include <sys/random.h>

#include <cerrno>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "agent/ctl/log_files.h"
#include "agent/ctl/pod_file.h"
#include "agent/ctl/pod_plan.h"
#include "agent/ctl/pull_command.h"
#include "agent/ctl/session.h"
#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "runtime/base/undo_stack.h"

namespace warren::agent::ctl {
namespace {

constexpr char kDefaultImage[] = "warren.local/busybox:latest";

struct RunOptions {
  std::string file;
  PodPlan pod;
  ContainerPlan container;
  std::string userns;
  std::string time_offset;
  std::string network = "pod";
  std::string pid = "container";
  std::string ipc = "pod";
  std::vector<std::string> env;
  std::vector<std::string> labels;
  std::vector<std::string> annotations;
  std::vector<std::string> mounts;
  std::string memory;
  std::string seccomp = "default";
  std::string log_root = "/var/log/warren";
};

absl::Status AddPairs(const std::vector<std::string>& texts,
                      std::map<std::string, std::string>* pairs) {
  for (const std::string& text : texts) {
    std::pair<std::string, std::string> pair =
        absl::StrSplit(text, absl::MaxSplits('=', 1));
    if (pair.first.empty() || text.find('=') == std::string::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", text, "\": want KEY=VALUE"));
    }
    pairs->insert_or_assign(std::move(pair.first), std::move(pair.second));
  }
  return absl::OkStatus();
}

absl::StatusOr<PodPlan> FromFlags(const RunOptions& options) {
  PodPlan plan = options.pod;
  ContainerPlan container = options.container;
  container.name = plan.name;
  if (!options.userns.empty()) {
    ASSIGN_OR_RETURN(plan.userns, ParseUserns(options.userns));
  }
  if (!options.time_offset.empty()) {
    RETURN_IF_ERROR(AddTimeOffsets(options.time_offset, &plan));
  }
  ASSIGN_OR_RETURN(plan.network, ParseMode(options.network));
  ASSIGN_OR_RETURN(plan.pid, ParseMode(options.pid));
  ASSIGN_OR_RETURN(plan.ipc, ParseMode(options.ipc));
  RETURN_IF_ERROR(AddPairs(options.labels, &plan.labels));
  RETURN_IF_ERROR(AddPairs(options.annotations, &plan.annotations));
  RETURN_IF_ERROR(AddPairs(options.env, &container.env));
  for (const std::string& text : options.mounts) {
    ASSIGN_OR_RETURN(MountPlan mount, ParseMount(text));
    container.mounts.push_back(std::move(mount));
  }
  if (!options.memory.empty()) {
    ASSIGN_OR_RETURN(container.memory_bytes, ParseBytes(options.memory));
  }
  ASSIGN_OR_RETURN(container.seccomp, ParseSeccomp(options.seccomp));
  plan.containers.push_back(std::move(container));
  return plan;
}

absl::StatusOr<PodPlan> MakePlan(const RunOptions& options) {
  absl::StatusOr<PodPlan> plan;
  if (options.file.empty()) {
    plan = FromFlags(options);
  } else {
    const std::string path =
        options.file == "-" ? "/proc/self/fd/0" : options.file;
    ASSIGN_OR_RETURN(const std::string yaml, base::ReadFileAt(AT_FDCWD, path));
    plan = ParsePodFile(yaml);
  }
  RETURN_IF_ERROR(plan.status());
  RETURN_IF_ERROR(CheckPlan(*plan));
  return plan;
}

// 128 random bits in hex: what tells two pods of one name apart.
absl::StatusOr<std::string> NewUid() {
  std::string bytes(16, '\0');
  if (::getrandom(bytes.data(), bytes.size(), 0) !=
      static_cast<ssize_t>(bytes.size())) {
    return base::ErrnoError(errno, "getrandom");
  }
  return absl::BytesToHexString(bytes);
}

// What has been made so far goes again when a later step fails.
struct Made {
  std::string pod_id;
  std::vector<std::string> container_ids;
};

absl::StatusOr<Made> MakePod(Client& client, const PodPlan& plan,
                             const std::string& log_root) {
  ASSIGN_OR_RETURN(const std::string uid, NewUid());
  cri::RunPodSandboxRequest run;
  *run.mutable_config() = ToPodConfig(plan, uid, log_root);
  ASSIGN_OR_RETURN_IN(const cri::RunPodSandboxResponse pod,
                      client.RunPodSandbox(run),
                      absl::StrCat("run pod ", plan.name));
  std::vector<std::string> logs;
  base::UndoStack undo;  // the last step first
  undo.Push("remove logs", [&logs] {
    RemoveLogFiles(logs);
    return absl::OkStatus();
  });
  undo.Push("remove pod", [&client, id = pod.pod_sandbox_id()] {
    absl::Status status = client.StopPodSandbox(id);
    base::Update(&status, client.RemovePodSandbox(id));
    return status;
  });

  Made made{pod.pod_sandbox_id(), {}};
  for (const ContainerPlan& container : plan.containers) {
    cri::CreateContainerRequest create;
    create.set_pod_sandbox_id(made.pod_id);
    ASSIGN_OR_RETURN(*create.mutable_config(),
                     ToContainerConfig(plan, container));
    *create.mutable_sandbox_config() = run.config();
    ASSIGN_OR_RETURN_IN(const cri::CreateContainerResponse created,
                        client.CreateContainer(create),
                        absl::StrCat("create container ", container.name));
    logs.push_back(absl::StrCat(run.config().log_directory(), "/",
                                create.config().log_path()));
    RETURN_IF_ERROR_IN(client.StartContainer(created.container_id()),
                       absl::StrCat("start container ", container.name));
    made.container_ids.push_back(created.container_id());
  }
  undo.Release();
  return made;
}

// As a kubelet does with imagePullPolicy: IfNotPresent.
absl::Status PullWhatIsMissing(Session& session, const PodPlan& plan) {
  for (const ContainerPlan& container : plan.containers) {
    ASSIGN_OR_RETURN(const cri::ImageStatusResponse status,
                     session.client.ImageStatus(container.image));
    if (status.has_image()) continue;
    node::PullImageRequest request;
    request.set_reference(container.image);
    RETURN_IF_ERROR(Pull(session, request).status());
  }
  return absl::OkStatus();
}

absl::StatusOr<int> Run(Session& session, const RunOptions& options) {
  ASSIGN_OR_RETURN(const PodPlan plan, MakePlan(options));
  RETURN_IF_ERROR(PullWhatIsMissing(session, plan));
  ASSIGN_OR_RETURN(const Made made,
                   MakePod(session.client, plan, options.log_root));
  if (session.json) {
    const nlohmann::json result = {{"podSandboxId", made.pod_id},
                                   {"containerIds", made.container_ids}};
    session.out() << result.dump(2) << "\n";
    return kExitOk;
  }
  session.out() << "pod " << made.pod_id << "\n";
  for (const std::string& id : made.container_ids) {
    session.out() << "container " << id << "\n";
  }
  return kExitOk;
}

void AddPodFlags(CLI::App* run, RunOptions* o) {
  run->add_option("-f,--file", o->file, "YAML file, - for standard input");
  run->add_option("--name", o->pod.name, "of the pod and its container");
  run->add_option("--namespace", o->pod.namespace_name)->capture_default_str();
  run->add_option("--hostname", o->pod.hostname, "default: the pod's name");
  run->add_option("--userns", o->userns,
                  "BASE[:LENGTH]: a user namespace of its own, root inside is "
                  "host id BASE");
  run->add_option("--time-offset", o->time_offset,
                  "boottime=SECONDS,monotonic=SECONDS added to its clocks");
  run->add_option("--network", o->network, "pod or host")
      ->capture_default_str();
  run->add_option("--pid", o->pid, "container, pod or host")
      ->capture_default_str();
  run->add_option("--ipc", o->ipc, "pod or host")->capture_default_str();
  run->add_option("--cgroup-parent", o->pod.cgroup_parent);
  run->add_option("--label", o->labels, "KEY=VALUE")->allow_extra_args(false);
  run->add_option("--annotation", o->annotations, "KEY=VALUE")
      ->allow_extra_args(false);
  run->add_option("--log-root", o->log_root,
                  "the pod's log directory goes here")
      ->capture_default_str();
}

void AddContainerFlags(CLI::App* run, RunOptions* o) {
  o->container.image = kDefaultImage;
  run->add_option("--image", o->container.image)->capture_default_str();
  run->add_option("--env", o->env, "KEY=VALUE")->allow_extra_args(false);
  run->add_option("--mount", o->mounts, "HOST:CONTAINER[:ro]")
      ->allow_extra_args(false);
  run->add_option("--workdir", o->container.working_dir);
  run->add_option("--user", o->container.user, "UID[:GID] or name");
  run->add_option("--memory", o->memory, "limit, e.g. 64Mi");
  run->add_flag("--read-only", o->container.readonly_rootfs,
                "root file system");
  run->add_option("--pids-limit", o->container.pids_limit,
                  "processes and threads; 0: as many as the pod may have")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  run->add_option("--seccomp", o->seccomp,
                  "default, unconfined or the path of a profile on the node")
      ->capture_default_str();
  run->add_flag("--allow-new-privileges", o->container.allow_new_privileges,
                "setuid programs (sudo, ping) work");
  run->add_flag("--privileged", o->container.privileged);
  run->add_option("COMMAND", o->container.command,
                  "after --: program and arguments instead of the image's");
}

}  // namespace

void AddRunCommand(CLI::App& app, Action* action) {
  CLI::App* run = app.add_subcommand(
      "run",
      "run a pod, from flags (one container) or from a YAML file; pulls images "
      "that are missing, prints the ids, leaves no pod when it fails");
  auto options = std::make_shared<RunOptions>();
  AddPodFlags(run, options.get());
  AddContainerFlags(run, options.get());
  run->callback([action, options] {
    if (options->file.empty() == options->pod.name.empty()) {
      throw CLI::ValidationError("run", "want either --file or --name");
    }
    *action = [options](Session& session) { return Run(session, *options); };
  });
}

}  // namespace warren::agent::ctl
