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

// A network with one IPv4 and one IPv6 range. Leases die with the agent, links
// do not. A lease that is taken twice or given back twice is an error of the
// caller and counted. Thread-safe.
class FakePodNetwork : public netplugin::PodNetwork {
 public:
  explicit FakePodNetwork(Faults* faults, std::set<std::string> links = {});

  // ---- For tests ----
  std::set<std::string> links() const;   // by sandbox id
  std::set<std::string> leases() const;  // by sandbox id
  int misuses() const;

  // ---- PodNetwork ----
  absl::Status Init() override;
  absl::Status SetPodRanges(
      const std::vector<netplugin::IpPrefix>& ranges) override;
  netplugin::Health Check() override;
  absl::StatusOr<netplugin::Lease> Allocate(
      const std::string& sandbox_id) override;
  void Release(const netplugin::Lease& lease) override;
  absl::Status Adopt(const netplugin::Lease& lease) override;
  absl::StatusOr<netplugin::Attachment> Setup(const netplugin::Lease& lease,
                                              int netns_fd) override;
  absl::Status Teardown(const netplugin::Lease& lease) override;
  absl::StatusOr<int> RemoveOrphans(
      const std::vector<std::string>& live_ids) override;
  absl::StatusOr<netplugin::NetnsView> Inspect(int netns_fd) override;
  absl::Status Clean() override;

 private:
  Faults* const faults_;
  mutable std::mutex mutex_;  // guards all below
  std::set<std::string> links_;
  std::map<std::string, netplugin::Lease> leases_;
  uint64_t next_ = 1;
  int misuses_ = 0;
};

}  // namespace warren::test

#endif  // WARREN_TESTS_FAKES_FAKE_POD_NETWORK_H_
