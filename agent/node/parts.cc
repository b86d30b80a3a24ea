#include "agent/node/parts.h"

#include <absl/strings/str_cat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "netplugin/bridge/network.h"
#include "runtime/base/status.h"
#include "runtime/image/local_image_store.h"
#include "runtime/image/pull/registry_puller.h"
#include "runtime/image/registry/curl_transport.h"
#include "runtime/image/registry/proxy.h"
#include "runtime/image/registry/registry_client.h"
#include "runtime/machine/linux_runtime.h"

namespace warren::agent {
namespace {

// Two levels above this program's file.
absl::StatusOr<std::string> Prefix() {
  std::string path(4096, '\0');
  const ssize_t size = readlink("/proc/self/exe", path.data(), path.size());
  if (size < 0) return base::ErrnoError(errno, "readlink /proc/self/exe");
  path.resize(size);
  for (int level = 0; level < 2; ++level) path.resize(path.rfind('/'));
  return path;
}

// The puller with what it stands on.
class NodePuller : public image::ImagePuller {
 public:
  // `store` is borrowed and longer-lived.
  static absl::StatusOr<std::unique_ptr<image::ImagePuller>> Start(
      image::LocalImageStore* store, const Options& options) {
    std::unique_ptr<NodePuller> puller(new NodePuller);
    puller->transport_ = std::make_unique<registry::CurlTransport>(
        "warren/" WARREN_VERSION,
        registry::ProxySettings::FromEnvironment(
            [](const char* name) -> const char* { return getenv(name); }));
    registry::ClientOptions client;
    client.hosts_dir = options.registry_hosts_dir;
    puller->client_ = std::make_unique<registry::RegistryClient>(
        std::move(client), puller->transport_.get());
    ASSIGN_OR_RETURN(puller->puller_, image::RegistryPuller::Start(
                                          store, puller->client_.get(), {}));
    return puller;
  }
  absl::StatusOr<std::unique_ptr<image::PullTicket>> Begin(
      const image::PullRequest& request) override {
    return puller_->Begin(request);
  }

 private:
  NodePuller() = default;
  // Destroyed in reverse order.
  std::unique_ptr<registry::Transport> transport_;
  std::unique_ptr<registry::RegistryClient> client_;
  std::unique_ptr<image::RegistryPuller> puller_;
};

absl::StatusOr<std::unique_ptr<netplugin::PodNetwork>> MakeNetwork(
    const Options& options) {
  netplugin::BridgeNetworkOptions network;
  network.ranges = options.pod_ranges;
  network.bridge = options.bridge;
  network.mtu = options.mtu;
  network.table = options.table;
  network.run_dir = options.run_dir;
  network.forward_others = options.forward_others;
  return netplugin::BridgeNetwork::Create(std::move(network));
}

}  // namespace

absl::StatusOr<NodeParts> MakeNodeParts(const Options& options) {
  NodeParts parts;
  ASSIGN_OR_RETURN(const std::string prefix, Prefix());
  const std::string programs = prefix + "/libexec/warren";
  parts.default_image = options.default_image.value_or(
      prefix + "/share/warren/default-image.tar");

  image::LocalImageStore::Options images;
  images.root = options.state_dir + "/images";
  images.unpack_program = programs + "/warren-unpack";
  ASSIGN_OR_RETURN_IN(auto store,
                      image::LocalImageStore::Open(std::move(images)),
                      "open the image store");
  ASSIGN_OR_RETURN_IN(parts.puller, NodePuller::Start(store.get(), options),
                      "start the registry client");
  parts.images = std::move(store);

  runtime::LinuxRuntimeOptions runtime;
  runtime.state_dir = options.state_dir;
  runtime.run_dir = options.run_dir;
  runtime.default_cgroup_parent = options.cgroup_parent;
  runtime.default_pids_limit = options.pids_limit;
  runtime.log_cpu_percent = static_cast<uint32_t>(options.log_cpu_percent);
  runtime.shim_path = programs + "/warren-shim";
  ASSIGN_OR_RETURN_IN(parts.runtime, runtime::MakeLinuxRuntime(runtime),
                      "start the runtime");
  ASSIGN_OR_RETURN_IN(parts.network, MakeNetwork(options),
                      "start the pod network");
  return parts;
}

}  // namespace warren::agent
