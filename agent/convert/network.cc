#include "agent/convert/network.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>

#include <cstdint>
#include <optional>
#include <utility>

#include "agent/cri/validate.h"
#include "runtime/base/status.h"

namespace warren::agent {
namespace {

struct QuantitySuffix {
  absl::string_view text;
  double factor;
};
constexpr QuantitySuffix kQuantitySuffixes[] = {
    {"", 1},         {"k", 1e3},        {"M", 1e6},       {"G", 1e9},
    {"T", 1e12},     {"P", 1e15},       {"Ki", 1 << 10},  {"Mi", 1 << 20},
    {"Gi", 1 << 30}, {"Ti", 1LL << 40}, {"Pi", 1LL << 50}};
constexpr double kLeastBandwidth = 1e3;
constexpr double kMostBandwidth = 1e15;

std::string AnnotationField(absl::string_view key) {
  return absl::StrCat("config.annotations[\"", key, "\"]");
}

// A quantity of Kubernetes that is not negative: digits with a point or not,
// then a suffix or a decimal exponent.
std::optional<double> ParseQuantity(absl::string_view text) {
  const size_t digits = text.find_first_not_of("0123456789.");
  absl::string_view suffix;
  if (digits != absl::string_view::npos) suffix = text.substr(digits);
  double number = 0;
  // SimpleAtod knows words ("inf") and signs; a quantity begins with a digit.
  if (text.empty() || text[0] < '0' || text[0] > '9') return std::nullopt;
  if (!suffix.empty() && (suffix[0] == 'e' || suffix[0] == 'E')) {
    if (suffix.find_first_not_of("0123456789+-", 1) !=
            absl::string_view::npos ||
        !absl::SimpleAtod(text, &number)) {
      return std::nullopt;
    }
    return number;
  }
  if (!absl::SimpleAtod(text.substr(0, digits), &number)) return std::nullopt;
  for (const QuantitySuffix& known : kQuantitySuffixes) {
    if (known.text == suffix) return number * known.factor;
  }
  return std::nullopt;
}

absl::StatusOr<std::optional<uint64_t>> ConvertBandwidth(
    const cri::PodSandboxConfig& config, const char* key) {
  const auto found = config.annotations().find(key);
  if (found == config.annotations().end()) {
    return std::optional<uint64_t>();
  }
  const std::optional<double> bits = ParseQuantity(found->second);
  if (!bits) {
    return Invalid(
        AnnotationField(key),
        absl::StrCat(Shown(found->second), " is no quantity like \"10M\""));
  }
  if (*bits < kLeastBandwidth || *bits > kMostBandwidth) {
    return Invalid(AnnotationField(key),
                   absl::StrCat(Shown(found->second),
                                " is not within 1k and 1P bits per second"));
  }
  return std::optional<uint64_t>(static_cast<uint64_t>(*bits));
}

netplugin::PortMapping ConvertPort(const cri::PortMapping& port) {
  netplugin::PortMapping out;
  switch (port.protocol()) {
    case cri::UDP:
      out.protocol = netplugin::Protocol::kUdp;
      break;
    case cri::SCTP:
      out.protocol = netplugin::Protocol::kSctp;
      break;
    default:
      break;
  }
  out.container_port = static_cast<uint16_t>(port.container_port());
  // A kubelet says -1 or 0 for "none".
  if (port.host_port() > 0) {
    out.host_port = static_cast<uint16_t>(port.host_port());
  }
  if (auto address = netplugin::IpAddress::Parse(port.host_ip());
      address.ok()) {
    out.host_ip = *address;
  }
  return out;
}

}  // namespace

absl::StatusOr<netplugin::PodRequest> ConvertNetwork(
    const std::string& id, const cri::PodSandboxConfig& config) {
  netplugin::PodRequest request;
  request.sandbox_id = id;
  request.name = config.metadata().name();
  request.ns = config.metadata().namespace_();
  request.uid = config.metadata().uid();
  for (const cri::PortMapping& port : config.port_mappings()) {
    request.ports.push_back(ConvertPort(port));
  }
  ASSIGN_OR_RETURN(request.bandwidth.ingress,
                   ConvertBandwidth(config, kIngressBandwidth));
  ASSIGN_OR_RETURN(request.bandwidth.egress,
                   ConvertBandwidth(config, kEgressBandwidth));
  request.annotations = {config.annotations().begin(),
                         config.annotations().end()};
  return request;
}

absl::Status CheckNetworkIsBuilt(const netplugin::PodRequest& request) {
  if (request.bandwidth.ingress) {
    return NotBuilt(AnnotationField(kIngressBandwidth), "bandwidth limits");
  }
  if (request.bandwidth.egress) {
    return NotBuilt(AnnotationField(kEgressBandwidth), "bandwidth limits");
  }
  return absl::OkStatus();  // host ports are ConvertSandbox's to refuse
}

}  // namespace warren::agent
