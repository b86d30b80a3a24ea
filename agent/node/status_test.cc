#include "agent/node/status.h"

#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <string>

namespace warren::agent {
namespace {

using ::testing::HasSubstr;

const cri::RuntimeCondition& Condition(const cri::StatusResponse& response,
                                       const std::string& type) {
  for (const cri::RuntimeCondition& condition :
       response.status().conditions()) {
    if (condition.type() == type) return condition;
  }
  ADD_FAILURE() << "no condition " << type;
  return cri::RuntimeCondition::default_instance();
}

// What a kubelet insists on.
TEST(NodeStatusTest, VersionIsThatOfTheInterface) {
  const cri::VersionResponse version = BuildVersion();
  EXPECT_EQ(version.version(), "0.1.0");
  EXPECT_EQ(version.runtime_name(), "warren");
  EXPECT_EQ(version.runtime_version(), WARREN_VERSION);
  EXPECT_EQ(version.runtime_api_version(), "v1");
}

TEST(NodeStatusTest, DriverIsCgroupfsAndNotTheZeroValue) {
  EXPECT_TRUE(BuildRuntimeConfig().has_linux());
  EXPECT_EQ(BuildRuntimeConfig().linux().cgroup_driver(), cri::CGROUPFS);
}

TEST(NodeStatusTest, HandlersAreNamedAndDefault) {
  NodeFacts facts;
  facts.features.user_namespaces = true;
  const cri::StatusResponse response =
      BuildStatus(Options(), facts, /*verbose=*/false);
  ASSERT_EQ(response.runtime_handlers_size(), 2);
  EXPECT_EQ(response.runtime_handlers(0).name(), "warren");
  EXPECT_EQ(response.runtime_handlers(1).name(), "");
  for (const cri::RuntimeHandler& handler : response.runtime_handlers()) {
    EXPECT_TRUE(handler.features().user_namespaces());
    EXPECT_FALSE(handler.features().recursive_read_only_mounts());
  }
  EXPECT_TRUE(response.features().supplemental_groups_policy());
  EXPECT_TRUE(response.info().empty());
}

TEST(NodeStatusTest, ConditionsSayWhatIsWrong) {
  NodeFacts facts;
  facts.network = {.ready = true, .reason = "", .message = ""};
  cri::StatusResponse response = BuildStatus(Options(), facts, false);
  for (const char* type :
       {"RuntimeReady", "NetworkReady", "RecordsReadable", "ObjectsKnown",
        "NothingLeftOver", "OthersForwarded"}) {
    EXPECT_TRUE(Condition(response, type).status()) << type;
  }
  facts.network = {
      .ready = false, .reason = "BridgeMissing", .message = "no\xFF"};
  facts.quarantined = {"containers/ab"};
  facts.refused = "3 packets";
  facts.unknown = {"container cd: Too many open files"};
  facts.unsettled = {"remove the unknown container ef: Device busy", "more"};
  response = BuildStatus(Options(), facts, false);
  EXPECT_FALSE(Condition(response, "NetworkReady").status());
  EXPECT_EQ(Condition(response, "NetworkReady").reason(), "BridgeMissing");
  EXPECT_EQ(Condition(response, "NetworkReady").message(), "no\xEF\xBF\xBD");
  EXPECT_THAT(Condition(response, "RecordsReadable").message(),
              HasSubstr("containers/ab"));
  EXPECT_THAT(Condition(response, "ObjectsKnown").message(),
              HasSubstr("container cd: Too many"));
  EXPECT_EQ(Condition(response, "NothingLeftOver").reason(), "ReconcileFails");
  EXPECT_THAT(Condition(response, "NothingLeftOver").message(),
              HasSubstr("2 steps fail and are tried again: remove the unknown "
                        "container ef: Device busy; more"));
  EXPECT_FALSE(Condition(response, "OthersForwarded").status());
  EXPECT_EQ(Condition(response, "OthersForwarded").message(), "3 packets");
  EXPECT_TRUE(Condition(response, "RuntimeReady").status());
}

TEST(NodeStatusTest, VerboseInfoIsJson) {
  Options options;
  options.state_dir = "/state \"quoted\"";
  NodeFacts facts;
  facts.features.degraded = {"no \xFF CAP_X"};
  const cri::StatusResponse response = BuildStatus(options, facts, true);
  for (const char* key : {"config", "features"}) {
    google::protobuf::Struct parsed;
    ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(
                    response.info().at(key), &parsed)
                    .ok());
    if (std::string(key) == "config") {
      EXPECT_EQ(parsed.fields().at("stateDir").string_value(),
                options.state_dir);
    }
  }
}

TEST(NodeStatusTest, PodCidrIsAListOfPrefixes) {
  const auto two = ParsePodCidr("10.1.2.0/16, fd00::/64");
  ASSERT_TRUE(two.ok()) << two.status();
  ASSERT_EQ(two->size(), 2u);
  EXPECT_EQ((*two)[0].ToString(), "10.1.0.0/16");
  EXPECT_EQ((*two)[1].ToString(), "fd00::/64");
  for (const char* bad : {"", "10.1.0.0", "x", "10.1.0.0/16,", "10.1.0.0/33",
                          "10.1.0.0/16,10.2.0.0/16", "127.0.0.0/8"}) {
    EXPECT_EQ(ParsePodCidr(bad).status().code(),
              absl::StatusCode::kInvalidArgument)
        << bad;
  }
}

}  // namespace
}  // namespace warren::agent
