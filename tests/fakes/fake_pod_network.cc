#include "tests/fakes/fake_pod_network.h"

#include <algorithm>
#include <utility>

#include "runtime/base/status.h"

namespace warren::test {
namespace {

std::string Prepared(const std::string& id) { return "prepared " + id; }
std::string Attached(const std::string& id) { return "attached " + id; }

bool IsOurs(const netplugin::NetworkState& state) {
  return state.opaque.empty() || state.opaque == Prepared(state.sandbox_id) ||
         state.opaque == Attached(state.sandbox_id);
}

}  // namespace

FakePodNetwork::FakePodNetwork(Faults* faults, std::set<std::string> links)
    : faults_(faults), links_(std::move(links)) {}

std::set<std::string> FakePodNetwork::links() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return links_;
}

std::set<std::string> FakePodNetwork::leases() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return leases_;
}

int FakePodNetwork::misuses() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return misuses_;
}

void FakePodNetwork::DropLink(const std::string& sandbox_id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  links_.erase(sandbox_id);
}

absl::Status FakePodNetwork::Init() { return absl::OkStatus(); }

absl::Status FakePodNetwork::SetPodRanges(
    const std::vector<netplugin::IpPrefix>&, const base::Deadline&) {
  return absl::OkStatus();
}

netplugin::Health FakePodNetwork::CheckHealth() { return {true, "", ""}; }

absl::StatusOr<netplugin::NetworkState> FakePodNetwork::Prepare(
    const netplugin::PodRequest& request, const base::Deadline&) {
  RETURN_IF_ERROR(faults_->Before("Network.Prepare"));
  const std::lock_guard<std::mutex> lock(mutex_);
  netplugin::NetworkState state;
  state.sandbox_id = request.sandbox_id;
  state.opaque = Prepared(request.sandbox_id);
  for (const char* range : {"10.1.0.0/16", "fd00:1::/64"}) {
    netplugin::IpPrefix address = *netplugin::IpPrefix::Parse(range);
    address.address = address.address.Plus(next_);
    state.addresses.push_back(address);
  }
  ++next_;
  if (!leases_.insert(request.sandbox_id).second) ++misuses_;
  return state;
}

absl::StatusOr<netplugin::Attachment> FakePodNetwork::Attach(
    const netplugin::NetworkState& state, int netns_fd, const base::Deadline&) {
  RETURN_IF_ERROR(faults_->Before("Network.Attach"));
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (netns_fd < 0 || leases_.count(state.sandbox_id) == 0 ||
        state.opaque != Prepared(state.sandbox_id)) {
      ++misuses_;
    }
    links_.insert(state.sandbox_id);
  }
  faults_->After("Network.Attach");
  netplugin::Attachment attachment;
  attachment.state = state;
  attachment.state.opaque = Attached(state.sandbox_id);
  attachment.host_ifname = "wrn" + state.sandbox_id.substr(0, 11);
  attachment.pod_ifname = "eth0";
  return attachment;
}

absl::Status FakePodNetwork::Detach(const netplugin::NetworkState& state,
                                    const base::Deadline&) {
  RETURN_IF_ERROR(faults_->Before("Network.Detach"));
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!IsOurs(state)) ++misuses_;
    links_.erase(state.sandbox_id);
    leases_.erase(state.sandbox_id);
  }
  faults_->After("Network.Detach");
  return absl::OkStatus();
}

absl::StatusOr<netplugin::PodCheck> FakePodNetwork::Check(
    const netplugin::NetworkState& state, int, const base::Deadline&) {
  netplugin::PodCheck check;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    leases_.insert(state.sandbox_id);
    if (!IsOurs(state)) ++misuses_;
    if (links_.count(state.sandbox_id) == 0) {
      check.verdict = netplugin::PodCheck::Verdict::kLost;
      check.problem = "its link is gone";
    }
  }
  // The reservation is held even if nothing can be said of the pod.
  RETURN_IF_ERROR(faults_->Before("Network.Check"));
  check.state = state;
  check.state.opaque = Attached(state.sandbox_id);
  return check;
}

absl::StatusOr<int> FakePodNetwork::RemoveOrphans(
    const std::vector<std::string>& live_ids, const base::Deadline&) {
  RETURN_IF_ERROR(faults_->Before("Network.RemoveOrphans"));
  const std::lock_guard<std::mutex> lock(mutex_);
  int removed = 0;
  for (auto it = links_.begin(); it != links_.end();) {
    if (std::find(live_ids.begin(), live_ids.end(), *it) == live_ids.end() &&
        leases_.count(*it) == 0) {
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
