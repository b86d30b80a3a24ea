#include "tests/fakes/late_address_network.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include "runtime/base/status.h"

namespace warren::test {
namespace {

constexpr char kLateFormat[] = "late-address 1";

struct LateState {
  std::string pod;     // "<name>/<namespace>"
  std::string answer;  // of the plugins; empty before Attach
};

std::string EncodeLate(const LateState& state) {
  return absl::StrCat(kLateFormat, "\n", state.pod, "\n", state.answer, "\n");
}

absl::StatusOr<LateState> DecodeLate(const netplugin::NetworkState& state) {
  const std::vector<std::string> lines = absl::StrSplit(state.opaque, '\n');
  if (lines.size() != 4 || lines[0] != kLateFormat) {
    return absl::InvalidArgumentError("not a state of this network");
  }
  return LateState{lines[1], lines[2]};
}

absl::Status NoAnswer() { return absl::InternalError("no plugin answers"); }

}  // namespace

void LateAddressNetwork::Silence() {
  const std::lock_guard<std::mutex> lock(mutex_);
  silent_ = true;
}

std::vector<std::string> LateAddressNetwork::detached() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return detached_;
}

absl::Status LateAddressNetwork::Init() { return absl::OkStatus(); }

absl::Status LateAddressNetwork::SetPodRanges(
    const std::vector<netplugin::IpPrefix>&, const base::Deadline&) {
  return absl::OkStatus();  // its plugins have ranges of their own
}

netplugin::Health LateAddressNetwork::CheckHealth() { return {true, "", ""}; }

absl::StatusOr<netplugin::NetworkState> LateAddressNetwork::Prepare(
    const netplugin::PodRequest& request, const base::Deadline&) {
  return netplugin::NetworkState{
      request.sandbox_id,
      EncodeLate({absl::StrCat(request.name, "/", request.ns), ""}),
      {}};
}

absl::StatusOr<netplugin::Attachment> LateAddressNetwork::Attach(
    const netplugin::NetworkState& state, int netns_fd,
    const base::Deadline& deadline) {
  RETURN_IF_ERROR(deadline.Check());
  if (netns_fd < 0) return absl::InvalidArgumentError("no namespace");
  ASSIGN_OR_RETURN(LateState own, DecodeLate(state));
  const std::lock_guard<std::mutex> lock(mutex_);
  if (silent_) return NoAnswer();
  own.answer = absl::StrCat("10.7.0.", plugins_->size() + 2, "/24");
  (*plugins_)[state.sandbox_id] = own.answer;
  netplugin::Attachment attachment;
  ASSIGN_OR_RETURN(const auto address, netplugin::IpPrefix::Parse(own.answer));
  attachment.state = {state.sandbox_id, EncodeLate(own), {address}};
  attachment.pod_ifname = "eth0";
  return attachment;
}

absl::Status LateAddressNetwork::Detach(const netplugin::NetworkState& state,
                                        const base::Deadline&) {
  ASSIGN_OR_RETURN(const LateState own, DecodeLate(state));
  const std::lock_guard<std::mutex> lock(mutex_);
  if (silent_) return NoAnswer();
  plugins_->erase(state.sandbox_id);
  detached_.push_back(own.pod);
  return absl::OkStatus();
}

absl::StatusOr<netplugin::PodCheck> LateAddressNetwork::Check(
    const netplugin::NetworkState& state, int, const base::Deadline&) {
  ASSIGN_OR_RETURN(const LateState own, DecodeLate(state));
  const std::lock_guard<std::mutex> lock(mutex_);
  if (silent_) return NoAnswer();
  netplugin::PodCheck check;
  check.state = state;
  const auto found = plugins_->find(state.sandbox_id);
  if (found == plugins_->end() || found->second != own.answer) {
    check.verdict = netplugin::PodCheck::Verdict::kLost;
    check.problem = "the plugins do not know it";
  }
  return check;
}

// Its plugins make no link whose owner this network could tell.
absl::StatusOr<int> LateAddressNetwork::RemoveOrphans(
    const std::vector<std::string>&, const base::Deadline&) {
  return 0;
}

absl::StatusOr<netplugin::NetnsView> LateAddressNetwork::Inspect(int) {
  return netplugin::NetnsView();
}

absl::Status LateAddressNetwork::Clean() { return absl::OkStatus(); }

}  // namespace warren::test
