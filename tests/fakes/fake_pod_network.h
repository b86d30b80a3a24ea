#ifndef WARREN_TESTS_FAKES_FAKE_POD_NETWORK_H_
#define WARREN_TESTS_FAKES_FAKE_POD_NETWORK_H_

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "netplugin/pod_network.h"
#include "tests/fakes/faults.h"

namespace warren::test {

// A network with one IPv4 and one IPv6 range. Reservations die with the agent,
// links do not. A reservation that is taken twice, an Attach without one and a
// state that this fake did not make are errors of the caller and counted.
// States without opaque bytes (of records older than the seam) are fine.
// Thread-safe.
class FakePodNetwork : public netplugin::PodNetwork {
 public:
  explicit FakePodNetwork(Faults* faults, std::set<std::string> links = {});

  // ---- For tests ----
  std::set<std::string> links() const;   // by sandbox id
  std::set<std::string> leases() const;  // reservations, by sandbox id
  int misuses() const;
  void DropLink(const std::string& sandbox_id);  // somebody deletes it

  // ---- PodNetwork ----
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
  // Says kLost of a pod whose link is gone.
  absl::StatusOr<netplugin::PodCheck> Check(
      const netplugin::NetworkState& state, int netns_fd,
      const base::Deadline& deadline) override;
  absl::StatusOr<int> RemoveOrphans(const std::vector<std::string>& live_ids,
                                    const base::Deadline& deadline) override;
  absl::StatusOr<netplugin::NetnsView> Inspect(int netns_fd) override;
  absl::Status Clean() override;

 private:
  Faults* const faults_;
  mutable std::mutex mutex_;  // guards all below
  std::set<std::string> links_;
  std::set<std::string> leases_;
  uint64_t next_ = 1;
  int misuses_ = 0;
};

}  // namespace warren::test

#endif  // WARREN_TESTS_FAKES_FAKE_POD_NETWORK_H_
