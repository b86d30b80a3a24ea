#ifndef WARREN_TESTS_FAKES_LATE_ADDRESS_NETWORK_H_
#define WARREN_TESTS_FAKES_LATE_ADDRESS_NETWORK_H_

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "netplugin/pod_network.h"

namespace warren::test {

// What a network of the shape of CNI keeps outside the agent: its plugins'
// own database of addresses. A value that outlives the agent.
using PluginDatabase = std::map<std::string, std::string>;  // id -> address

// A second network behind the seam: one that knows a pod's addresses only once
// Attach has asked somebody else for them, as with CNI plugins.
//
//   Prepare  reserves nothing and knows no address. The state keeps what the
//            plugins will be told of the pod, so that Detach can tell them the
//            same after the agent died.
//   Attach   the plugins choose an address; the state keeps their answer.
//   Detach   works with the state of Prepare, and for a pod they do not know.
//   Check    asks the plugins.
//
// Its format is "late-address 1\n<name>/<namespace>\n<answer>\n". Thread-safe.
class LateAddressNetwork : public netplugin::PodNetwork {
 public:
  // `plugins` is borrowed; it is what outlives the agent.
  explicit LateAddressNetwork(PluginDatabase* plugins) : plugins_(plugins) {}

  // The plugins do not answer from now on.
  void Silence();
  // Pods that Detach told the plugins of, as "<name>/<namespace>".
  std::vector<std::string> detached() const;

  absl::Status Init() override;
  absl::Status SetPodRanges(const std::vector<netplugin::IpPrefix>& ranges,
                            const base::Deadline& deadline) override;
  netplugin::Health CheckHealth() override;
  absl::StatusOr<netplugin::NetworkState> Prepare(
      const netplugin::PodRequest& request,
      const base::Deadline& deadline) override;
  absl::StatusOr<netplugin::Attachment> Attach(
      const netplugin::NetworkState& state, int netns_fd,
      const base::Deadline& deadline) override;
  absl::Status Detach(const netplugin::NetworkState& state,
                      const base::Deadline& deadline) override;
  absl::StatusOr<netplugin::PodCheck> Check(
      const netplugin::NetworkState& state, int netns_fd,
      const base::Deadline& deadline) override;
  absl::StatusOr<int> RemoveOrphans(const std::vector<std::string>& live_ids,
                                    const base::Deadline& deadline) override;
  absl::StatusOr<netplugin::NetnsView> Inspect(int netns_fd) override;
  absl::Status Clean() override;

 private:
  mutable std::mutex mutex_;  // guards all below
  PluginDatabase* const plugins_;
  bool silent_ = false;
  std::vector<std::string> detached_;
};

}  // namespace warren::test

#endif  // WARREN_TESTS_FAKES_LATE_ADDRESS_NETWORK_H_
