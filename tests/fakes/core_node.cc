#include "tests/fakes/core_node.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "agent/store/lifecycle.h"

namespace warren::test {
namespace {

namespace cri = agent::cri;

template <typename T>
T Must(absl::StatusOr<T> value) {
  if (!value.ok()) {
    std::fprintf(stderr, "%s\n", value.status().ToString().c_str());
    std::abort();
  }
  return *std::move(value);
}

}  // namespace

StateDirectory::StateDirectory() {
  std::string pattern =
      (std::filesystem::temp_directory_path() / "warren-core.XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) std::abort();
  path_ = pattern;
}

StateDirectory::~StateDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::unique_ptr<StateDirectory> StateDirectory::CopyOf(
    const std::string& path) {
  // A writer may rename its temporary file just then: once more.
  for (int attempt = 0; attempt < 100; ++attempt) {
    auto copy = std::make_unique<StateDirectory>();
    std::error_code error;
    std::filesystem::copy(path, copy->path(),
                          std::filesystem::copy_options::recursive, error);
    if (!error) return copy;
  }
  std::abort();
}

CoreNode::CoreNode(const std::string& state_dir, FakeKernel kernel,
                   std::string boot_id, const agent::NodePolicy& policy,
                   agent::IdSpan userns_pool)
    : runtime(&faults, kernel),
      network(&faults, kernel.links),
      images(&faults) {
  images.Add(TestImage());
  store = Must(agent::Store::Open(state_dir, std::move(boot_id)));
  clock.OnAdvance([this] {
    for (const agent::ContainerPtr& c : store->Containers()) c->Wake();
  });
  containers = std::make_unique<agent::ContainerManager>(
      &runtime, &images, store.get(), &clock, policy);
  sandboxes = std::make_unique<agent::PodSandboxManager>(
      &runtime, &network, store.get(), containers.get(), &clock, policy,
      userns_pool);
}

CoreNode::~CoreNode() {
  sandboxes.reset();
  containers.reset();
  store.reset();  // before the images that it holds
}

absl::StatusOr<agent::ReconcileReport> CoreNode::Reconcile() {
  agent::Reconciler reconciler(&runtime, &network, &images, store.get(),
                               sandboxes.get(), containers.get(), &clock);
  return AdoptAndSettleOnce(&reconciler);
}

agent::ReconcileReport SettleOnce(agent::Reconciler* reconciler) {
  agent::ReconcileReport report;
  std::vector<agent::ReconcileKey> keys = reconciler->Scan();
  const auto add = [&keys](const agent::ReconcileKey& key) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      keys.push_back(key);
    }
  };
  for (size_t i = 0; i < keys.size(); ++i) {
    const agent::ReconcileOutcome outcome =
        reconciler->Settle(keys[i], &report);
    for (const agent::ReconcileKey& next : outcome.next) {
      if (next.kind != agent::ReconcileKey::Kind::kScan) {
        add(next);
        continue;
      }
      for (const agent::ReconcileKey& found : reconciler->Scan()) add(found);
    }
  }
  report.unknown = reconciler->Unknown();
  return report;
}

absl::StatusOr<agent::ReconcileReport> AdoptAndSettleOnce(
    agent::Reconciler* reconciler) {
  auto report = reconciler->Adopt();
  if (!report.ok()) return report.status();
  report->unknown.clear();
  report->Add(SettleOnce(reconciler));
  return report;
}

FakeKernel CoreNode::kernel() const {
  FakeKernel kernel = runtime.kernel();
  kernel.links = network.links();
  return kernel;
}

absl::StatusOr<std::string> CoreNode::RunPod(const std::string& name) {
  return sandboxes->Run(PodRequest(name), {});
}

absl::StatusOr<std::string> CoreNode::Create(const std::string& pod,
                                             const std::string& name) {
  auto sandbox = store->FindSandbox(pod);
  if (!sandbox.ok()) return sandbox.status();
  return containers->Create(
      ContainerRequest(pod, (*sandbox)->Get()->record.config(), name), {});
}

std::string CoreNode::MustRunPod(const std::string& name) {
  return Must(RunPod(name));
}

std::string CoreNode::MustCreate(const std::string& pod,
                                 const std::string& name) {
  return Must(Create(pod, name));
}

std::string CoreNode::MustStart(const std::string& pod,
                                const std::string& name) {
  std::string id = MustCreate(pod, name);
  if (!containers->Start(id, {}).ok()) std::abort();
  return id;
}

cri::ContainerStatus CoreNode::ContainerStatus(const std::string& id) {
  return Must(containers->Status(id, false)).status();
}

cri::ContainerStatus CoreNode::AwaitExit(const std::string& id) {
  const agent::ContainerPtr container = Must(store->FindContainer(id));
  for (;;) {
    const uint64_t seen = container->version();
    if (agent::PublicState(container->Get()->record) == cri::CONTAINER_EXITED) {
      return ContainerStatus(id);
    }
    container->WaitForChange(seen, base::Deadline::Never());
  }
}

cri::RunPodSandboxRequest PodRequest(const std::string& name) {
  cri::RunPodSandboxRequest request;
  cri::PodSandboxConfig* config = request.mutable_config();
  config->mutable_metadata()->set_name(name);
  config->mutable_metadata()->set_namespace_("default");
  config->mutable_metadata()->set_uid("uid-" + name);
  config->set_hostname("host-1");
  config->set_log_directory("/var/log/pods/" + name);
  (*config->mutable_labels())["app"] = name;
  (*config->mutable_annotations())["note"] = "kept as it is";
  return request;
}

cri::CreateContainerRequest ContainerRequest(const std::string& pod_id,
                                             const cri::PodSandboxConfig& pod,
                                             const std::string& name) {
  cri::CreateContainerRequest request;
  request.set_pod_sandbox_id(pod_id);
  *request.mutable_sandbox_config() = pod;
  cri::ContainerConfig* config = request.mutable_config();
  config->mutable_metadata()->set_name(name);
  config->mutable_image()->set_image("docker.io/library/app:1");
  config->set_log_path(name + "/0.log");
  (*config->mutable_labels())["tier"] = name;
  // A pid namespace of its own, as a kubelet asks for it.
  config->mutable_linux()
      ->mutable_security_context()
      ->mutable_namespace_options()
      ->set_pid(cri::CONTAINER);
  return request;
}

}  // namespace warren::test
