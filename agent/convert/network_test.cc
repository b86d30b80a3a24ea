#include "agent/convert/network.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

namespace warren::agent {
namespace {

using ::testing::StartsWith;

absl::StatusOr<netplugin::PodRequest> ConvertNetworkOf(
    const std::string& text) {
  cri::PodSandboxConfig config;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &config));
  return ConvertNetwork("id-1", config);
}

absl::StatusOr<netplugin::PodRequest> WithIngress(const std::string& value) {
  return ConvertNetworkOf("annotations { key: '" +
                          std::string(kIngressBandwidth) + "' value: '" +
                          value + "' }");
}

TEST(ConvertNetwork, CarriesAllThatAPodAsksFor) {
  const auto request = ConvertNetworkOf(
      "metadata { name: 'web' namespace: 'shop' uid: 'u-1' attempt: 2 } "
      "port_mappings { container_port: 80 host_port: 8080 } "
      "port_mappings { protocol: UDP container_port: 53 host_port: 53 "
      "  host_ip: '192.0.2.1' } "
      "port_mappings { protocol: SCTP container_port: 9 host_port: -1 } "
      "annotations { key: 'kubernetes.io/ingress-bandwidth' value: '10M' } "
      "annotations { key: 'kubernetes.io/egress-bandwidth' value: '1Gi' } "
      "annotations { key: 'other' value: 'kept' }");
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->sandbox_id, "id-1");
  EXPECT_EQ(request->name, "web");
  EXPECT_EQ(request->ns, "shop");
  EXPECT_EQ(request->uid, "u-1");
  ASSERT_EQ(request->ports.size(), 3u);
  EXPECT_EQ(request->ports[0].protocol, netplugin::Protocol::kTcp);
  EXPECT_EQ(request->ports[0].container_port, 80);
  EXPECT_EQ(request->ports[0].host_port, 8080);
  EXPECT_EQ(request->ports[0].host_ip.family(), 0);
  EXPECT_EQ(request->ports[1].protocol, netplugin::Protocol::kUdp);
  EXPECT_EQ(request->ports[1].host_ip.ToString(), "192.0.2.1");
  EXPECT_EQ(request->ports[2].protocol, netplugin::Protocol::kSctp);
  EXPECT_EQ(request->ports[2].host_port, 0);
  EXPECT_EQ(request->bandwidth.ingress, 10'000'000u);
  EXPECT_EQ(request->bandwidth.egress, 1u << 30);
  EXPECT_EQ(request->annotations.at("other"), "kept");
  EXPECT_TRUE(request->addresses.empty());
}

TEST(ConvertNetwork, BandwidthIsAQuantityOrAbsent) {
  EXPECT_EQ(ConvertNetworkOf("")->bandwidth.ingress, std::nullopt);
  const std::pair<const char*, uint64_t> good[] = {
      {"1000", 1000},          {"1k", 1000},       {"1.5M", 1'500'000},
      {"10Ki", 10'240},        {"1e6", 1'000'000}, {"2E3", 2000},
      {"1P", 1000000000000000}};
  for (const auto& [text, bits] : good) {
    const auto request = WithIngress(text);
    ASSERT_TRUE(request.ok()) << request.status();
    EXPECT_EQ(request->bandwidth.ingress, bits) << text;
  }
  for (const char* bad :
       {"", "fast", "-10M", "10X", "10 M", "1.2.3M", "inf", "nan", "0x10000",
        "999", "0", "1e16", "2P", "1Ei", "e6", "1e", "M", ".5M", "10m"}) {
    const auto request = WithIngress(bad);
    EXPECT_TRUE(absl::IsInvalidArgument(request.status())) << bad;
    EXPECT_THAT(
        std::string(request.status().message()),
        StartsWith(
            "config.annotations[\"kubernetes.io/ingress-bandwidth\"]: "));
  }
}

TEST(ConvertNetwork, BandwidthIsRefusedByName) {
  EXPECT_TRUE(CheckNetworkIsBuilt(*ConvertNetworkOf("")).ok());
  for (const char* key : {kIngressBandwidth, kEgressBandwidth}) {
    const auto request = ConvertNetworkOf(
        "annotations { key: '" + std::string(key) + "' value: '10M' }");
    const absl::Status status = CheckNetworkIsBuilt(*request);
    EXPECT_TRUE(absl::IsUnimplemented(status)) << status;
    EXPECT_THAT(std::string(status.message()),
                StartsWith("config.annotations[\"" + std::string(key)));
  }
}

}  // namespace
}  // namespace warren::agent
