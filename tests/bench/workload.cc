#include "tests/bench/workload.h"

#include <absl/strings/str_cat.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/clock.h>
#include <sys/stat.h>

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "runtime/base/status.h"
#include "tests/support/pod_configs.h"

namespace warren::bench {
namespace {

namespace cri = ::runtime::v1;

// A pod on its way through the phases.
struct Pod {
  cri::PodSandboxConfig config;
  cri::ContainerConfig container_config;
  std::string id;
  std::string container_id;
};

Pod MakePod(const std::string& name, const WorkloadOptions& options) {
  Pod pod;
  pod.config = test::PodConfig(name, options.log_root);
  pod.config.mutable_linux()->set_cgroup_parent(options.cgroup_parent);
  mkdir(pod.config.log_directory().c_str(), 0755);
  pod.container_config =
      test::ContainerConfig("main", {"sleep", kSleepSeconds});
  pod.container_config.mutable_image()->set_image(options.image);
  return pod;
}

// Runs `step` for every pod on `parallel` threads and times each.
absl::Status Phase(std::vector<Pod>* pods, int parallel, const ServerCost& cost,
                   Samples* samples,
                   const std::function<absl::Status(Pod*)>& step) {
  absl::Mutex mutex;
  absl::Status result;
  std::atomic<size_t> next = 0;
  const double cpu_before = cost.CpuSeconds();
  const auto worker = [&] {
    for (size_t i = next++; i < pods->size(); i = next++) {
      const absl::Time begin = absl::Now();
      const absl::Status status = step(&(*pods)[i]);
      const absl::Duration duration = absl::Now() - begin;
      absl::MutexLock lock(&mutex);
      base::Update(&result, status);
      if (!result.ok()) return;
      samples->Add(duration);
    }
  };
  std::vector<std::thread> threads;
  for (int i = 1; i < parallel; ++i) threads.emplace_back(worker);
  worker();
  for (std::thread& thread : threads) thread.join();
  samples->cpu_seconds += cost.CpuSeconds() - cpu_before;
  return result;
}

absl::Status RunPod(test::CriClient* client, Pod* pod) {
  ASSIGN_OR_RETURN_IN(pod->id, client->RunPodSandbox(pod->config),
                      "RunPodSandbox");
  return absl::OkStatus();
}

absl::Status CreateStart(test::CriClient* client, Pod* pod) {
  ASSIGN_OR_RETURN_IN(
      pod->container_id,
      client->CreateContainer(pod->id, pod->container_config, pod->config),
      "CreateContainer");
  return base::Annotate(client->StartContainer(pod->container_id),
                        "StartContainer");
}

absl::Status ExecTrue(test::CriClient* client, const Pod& pod) {
  ASSIGN_OR_RETURN_IN(const auto reply,
                      client->ExecSync(pod.container_id, {"true"}, 30),
                      "ExecSync");
  if (reply.exit_code() == 0) return absl::OkStatus();
  return absl::InternalError("ExecSync: true did not exit with 0");
}

// Idempotent; also used after an error, for pods in any state.
absl::Status StopRemove(test::CriClient* client, Pod* pod) {
  if (pod->id.empty()) return absl::OkStatus();
  if (!pod->container_id.empty()) {
    RETURN_IF_ERROR_IN(client->StopContainer(pod->container_id, 0),
                       "StopContainer");
    RETURN_IF_ERROR_IN(client->RemoveContainer(pod->container_id),
                       "RemoveContainer");
  }
  RETURN_IF_ERROR_IN(client->StopPodSandbox(pod->id), "StopPodSandbox");
  RETURN_IF_ERROR_IN(client->RemovePodSandbox(pod->id), "RemovePodSandbox");
  pod->id.clear();
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Workload>> Workload::Connect(
    const std::string& name, const std::string& socket,
    const std::string& cgroup) {
  ASSIGN_OR_RETURN(ServerCost cost, ServerCost::Of(socket, cgroup));
  std::unique_ptr<Workload> workload(
      new Workload(name, socket, std::move(cost)));
  ASSIGN_OR_RETURN_IN(
      const auto version,
      workload->client_.Call<cri::VersionResponse>(cri::VersionRequest()),
      "Version");
  workload->version_ =
      absl::StrCat(version.runtime_name(), " ", version.runtime_version());
  return workload;
}

std::string Workload::Describe() const {
  return absl::StrCat(version_, ", ", cost_.Describe());
}

absl::StatusOr<Round> Workload::RunRound(const WorkloadOptions& options) {
  Round round;
  std::vector<Pod> pods;
  for (int i = 0; i < options.pods; ++i) {
    pods.push_back(MakePod(absl::StrCat("bench-", ++serial_), options));
  }
  const auto phase = [&](const char* operation,
                         const std::function<absl::Status(Pod*)>& step) {
    return Phase(&pods, options.parallel, cost_, &round.operations[operation],
                 step);
  };
  round.base_pss_kib = cost_.PssKib(kSleepSeconds);
  absl::Status status = phase(
      "run_pod_sandbox", [this](Pod* pod) { return RunPod(&client_, pod); });
  if (status.ok()) {
    status = phase("create_start",
                   [this](Pod* pod) { return CreateStart(&client_, pod); });
  }
  if (status.ok()) {
    status = phase("exec_sync",
                   [this](Pod* pod) { return ExecTrue(&client_, *pod); });
  }
  round.per_pod_pss_kib =
      (cost_.PssKib(kSleepSeconds) - round.base_pss_kib) / options.pods;
  const absl::Status stopped = phase(
      "stop_remove", [this](Pod* pod) { return StopRemove(&client_, pod); });
  base::Update(&status, stopped);
  if (status.ok()) return round;
  for (Pod& pod : pods) StopRemove(&client_, &pod).IgnoreError();
  return base::Annotate(status, name_);
}

}  // namespace warren::bench
