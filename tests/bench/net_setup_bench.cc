// net_setup_bench [ROUNDS [PODS…]]: milliseconds of PodNetwork::Attach
// ("setup") and Detach ("teardown") on a bridge that already has PODS pods
// (default: 100 rounds at 0 and at 100 pods), for IPv4 and dual stack, in a
// network namespace of its own. The namespaces of the pods are made outside the
// measured time; the links are deleted after it, which "drain" shows, for all
// rounds together.

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "netplugin/bridge/network.h"
#include "netplugin/ip.h"
#include "netplugin/netlink/netns.h"
#include "runtime/base/clock.h"
#include "runtime/base/deadline.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"

namespace warren::netplugin {
namespace {

constexpr int kSkip = 77;  // ctest: not on this host

double NowMs() { return base::SystemClock().MonotonicNow() / 1e6; }

struct Samples {
  std::vector<double> ms;
  double At(double quantile) {
    std::sort(ms.begin(), ms.end());
    return ms.empty() ? 0 : ms[static_cast<size_t>(quantile * (ms.size() - 1))];
  }
};

const base::Deadline kForever = base::Deadline::Never();

struct Pod {
  NetworkState state;
  base::UniqueFd netns;
};

absl::StatusOr<base::UniqueFd> NewNetns() {
  ASSIGN_OR_RETURN(const base::UniqueFd home, OpenOwnNetns());
  if (unshare(CLONE_NEWNET) != 0) return base::ErrnoError(errno, "unshare");
  auto made = OpenOwnNetns();
  if (setns(home.get(), CLONE_NEWNET) != 0) std::abort();
  return made;
}

absl::StatusOr<Pod> AddPod(PodNetwork& network, const std::string& id,
                           Samples* samples) {
  Pod pod;
  ASSIGN_OR_RETURN(pod.netns, NewNetns());
  PodRequest request;
  request.sandbox_id = id;
  ASSIGN_OR_RETURN(pod.state, network.Prepare(request, kForever));
  const double start = NowMs();
  ASSIGN_OR_RETURN(Attachment attachment,
                   network.Attach(pod.state, pod.netns.get(), kForever));
  samples->ms.push_back(NowMs() - start);
  pod.state = std::move(attachment.state);
  return pod;
}

absl::Status Measure(const std::vector<const char*>& ranges, int rounds,
                     int present) {
  BridgeNetworkOptions options;
  for (const char* range : ranges) {
    ASSIGN_OR_RETURN(IpPrefix prefix, IpPrefix::Parse(range));
    options.ranges.push_back(prefix);
  }
  options.link_grace = absl::Hours(1);  // deletion is measured by itself
  ASSIGN_OR_RETURN(auto network, BridgeNetwork::Create(options));
  RETURN_IF_ERROR(network->Init());
  Samples ignored;
  Samples setup;
  Samples teardown;
  std::vector<Pod> pods;
  for (int i = 0; i < present; ++i) {
    ASSIGN_OR_RETURN(Pod pod,
                     AddPod(*network, absl::StrCat("present-", i), &ignored));
    pods.push_back(std::move(pod));
  }
  for (int i = 0; i < rounds; ++i) {
    ASSIGN_OR_RETURN(Pod pod,
                     AddPod(*network, absl::StrCat("round-", i), &setup));
    const double start = NowMs();
    RETURN_IF_ERROR(network->Detach(pod.state, kForever));
    teardown.ms.push_back(NowMs() - start);
  }
  const double start = NowMs();
  RETURN_IF_ERROR(network->Drain(kForever));
  const double drain = NowMs() - start;
  std::printf(
      "%-10s %4d pods  setup p50 %.2f p90 %.2f max %.2f  "
      "teardown p50 %.3f p90 %.3f max %.3f  drain %.0f ms\n",
      ranges.size() > 1 ? "dual stack" : "IPv4", present, setup.At(0.5),
      setup.At(0.9), setup.At(1), teardown.At(0.5), teardown.At(0.9),
      teardown.At(1), drain);
  return network->Clean();
}

int Main(const std::vector<std::string>& args) {
  std::vector<int> numbers;
  for (const std::string& arg : args) {
    int number = 0;
    if (!absl::SimpleAtoi(arg, &number) || number < 0) {
      std::fprintf(stderr, "\"%s\" is not a number\n", arg.c_str());
      return 2;
    }
    numbers.push_back(number);
  }
  if (numbers.empty()) numbers = {100};
  if (numbers.size() == 1) numbers.insert(numbers.end(), {0, 100});
  if (unshare(CLONE_NEWNET) != 0) {
    std::fprintf(stderr, "no network namespace of its own: %s\n",
                 std::strerror(errno));
    return kSkip;
  }
  for (size_t i = 1; i < numbers.size(); ++i) {
    for (const auto& ranges :
         {std::vector<const char*>{"10.88.0.0/16"},
          std::vector<const char*>{"10.88.0.0/16", "fd88::/64"}}) {
      const absl::Status status = Measure(ranges, numbers[0], numbers[i]);
      if (status.ok()) continue;
      std::fprintf(stderr, "%s\n", status.ToString().c_str());
      return 1;
    }
  }
  return 0;
}

}  // namespace
}  // namespace warren::netplugin

int main(int argc, char** argv) {
  return warren::netplugin::Main({argv + 1, argv + argc});
}
