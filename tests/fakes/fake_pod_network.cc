#include "tests/fakes/fake_pod_network.h"

#include <algorithm>
#include <utility>

#include "runtime/base/status.h"

namespace warren::test {

FakePodNetwork::FakePodNetwork(Faults* faults, std::set<std::string> links)
    : faults_(faults), links_(std::move(links)) {}

std::set<std::string> FakePodNetwork::links() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return links_;
}

std::set<std::string> FakePodNetwork::leases() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::set<std::string> ids;
  for (const auto& [id, lease] : leases_) ids.insert(id);
  return ids;
}

int FakePodNetwork::misuses() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return misuses_;
}

absl::Status FakePodNetwork::Init() { return absl::OkStatus(); }

absl::Status FakePodNetwork::SetPodRanges(
    const std::vector<netplugin::IpPrefix>&) {
  return absl::OkStatus();
}

netplugin::Health FakePodNetwork::Check() { return {true, "", ""}; }

absl::StatusOr<netplugin::Lease> FakePodNetwork::Allocate(
    const std::string& sandbox_id) {
  RETURN_IF_ERROR(faults_->Before("Network.Allocate"));
  const std::lock_guard<std::mutex> lock(mutex_);
  netplugin::Lease lease;
  lease.sandbox_id = sandbox_id;
  for (const char* range : {"10.1.0.0/16", "fd00:1::/64"}) {
    netplugin::IpPrefix address = *netplugin::IpPrefix::Parse(range);
    address.address = address.address.Plus(next_);
    lease.addresses.push_back(address);
  }
  ++next_;
  if (!leases_.emplace(sandbox_id, lease).second) ++misuses_;
  return lease;
}

void FakePodNetwork::Release(const netplugin::Lease& lease) {
  faults_->Before("Network.Release").IgnoreError();
  const std::lock_guard<std::mutex> lock(mutex_);
  if (leases_.erase(lease.sandbox_id) == 0) ++misuses_;
}

absl::Status FakePodNetwork::Adopt(const netplugin::Lease& lease) {
  RETURN_IF_ERROR(faults_->Before("Network.Adopt"));
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!leases_.emplace(lease.sandbox_id, lease).second) ++misuses_;
  return absl::OkStatus();
}

absl::StatusOr<netplugin::Attachment> FakePodNetwork::Setup(
    const netplugin::Lease& lease, int netns_fd) {
  RETURN_IF_ERROR(faults_->Before("Network.Setup"));
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (netns_fd < 0 || leases_.count(lease.sandbox_id) == 0) ++misuses_;
    links_.insert(lease.sandbox_id);
  }
  faults_->After("Network.Setup");
  netplugin::Attachment attachment;
  attachment.host_ifname = "wrn" + lease.sandbox_id.substr(0, 11);
  attachment.pod_ifname = "eth0";
  return attachment;
}

absl::Status FakePodNetwork::Teardown(const netplugin::Lease& lease) {
  RETURN_IF_ERROR(faults_->Before("Network.Teardown"));
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    links_.erase(lease.sandbox_id);
    leases_.erase(lease.sandbox_id);
  }
  faults_->After("Network.Teardown");
  return absl::OkStatus();
}

absl::StatusOr<int> FakePodNetwork::RemoveOrphans(
    const std::vector<std::string>& live_ids) {
  RETURN_IF_ERROR(faults_->Before("Network.RemoveOrphans"));
  const std::lock_guard<std::mutex> lock(mutex_);
  int removed = 0;
  for (auto it = links_.begin(); it != links_.end();) {
    if (std::find(live_ids.begin(), live_ids.end(), *it) == live_ids.end()) {
      it = links_.erase(it);
      ++removed;
    } else {
      ++it;
    }
  }
  return removed;
}

absl::StatusOr<netplugin::NetnsView> FakePodNetwork::Inspect(int netns_fd) {
  RETURN_IF_ERROR(faults_->Before("Network.Inspect"));
  if (netns_fd < 0) return absl::InternalError("bad descriptor");
  netplugin::NetnsView view;
  view.links = {{"eth0", "02:00:00:00:00:01", 1500, true, {"10.1.0.1/16"}}};
  view.routes = {{"default", "10.1.0.1", "eth0"}};
  return view;
}

absl::Status FakePodNetwork::Clean() { return absl::OkStatus(); }

}  // namespace warren::test
