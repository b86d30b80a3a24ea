// Version, Status, RuntimeConfig, UpdateRuntimeConfig, ImageFsInfo.
#include <sys/stat.h>

#include <set>

#include "tests/support/cri_test.h"

namespace warren::test {
namespace {

class NodeTest : public CriTest {};

TEST_F(NodeTest, VersionIsWhatAKubeletAccepts) {
  cri::VersionRequest request;
  request.set_version("ignored");
  const auto reply = client().Call<cri::VersionResponse>(request);
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->version(), "0.1.0");
  EXPECT_EQ(reply->runtime_api_version(), "v1");
  EXPECT_EQ(reply->runtime_name(), "warren");
  EXPECT_THAT(reply->runtime_version(),
              testing::MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+.*"));
}

TEST_F(NodeTest, StatusHasBothConditionsAndTheDefaultHandler) {
  const auto reply = client().Call<cri::StatusResponse>(cri::StatusRequest());
  ASSERT_TRUE(reply.ok()) << reply.status();
  std::set<std::string> ready;
  for (const auto& condition : reply->status().conditions()) {
    if (condition.status()) ready.insert(condition.type());
  }
  EXPECT_TRUE(ready.contains("RuntimeReady"));
  EXPECT_TRUE(ready.contains("NetworkReady"));
  std::multiset<std::string> handlers;
  for (const auto& handler : reply->runtime_handlers()) {
    handlers.insert(handler.name());
  }
  EXPECT_EQ(handlers.count(""), 1u);
  EXPECT_GE(handlers.size(), 2u) << "the default one by name, too";
  EXPECT_EQ(std::set<std::string>(handlers.begin(), handlers.end()).size(),
            handlers.size());
  EXPECT_TRUE(reply->features().supplemental_groups_policy());
  EXPECT_TRUE(reply->info().empty());
}

TEST_F(NodeTest, VerboseStatusNamesTheStateFolder) {
  cri::StatusRequest request;
  request.set_verbose(true);
  const auto reply = client().Call<cri::StatusResponse>(request);
  ASSERT_TRUE(reply.ok()) << reply.status();
  ASSERT_TRUE(reply->info().contains("config"));
  EXPECT_THAT(reply->info().at("config"),
              testing::HasSubstr(daemon().state_dir()));
}

TEST_F(NodeTest, RuntimeConfigNamesTheCgroupDriver) {
  const auto reply =
      client().Call<cri::RuntimeConfigResponse>(cri::RuntimeConfigRequest());
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->linux().cgroup_driver(), cri::CGROUPFS);
}

cri::UpdateRuntimeConfigRequest PodCidr(const std::string& cidr) {
  cri::UpdateRuntimeConfigRequest request;
  request.mutable_runtime_config()->mutable_network_config()->set_pod_cidr(
      cidr);
  return request;
}

TEST_F(NodeTest, UpdateRuntimeConfigTakesPodRanges) {
  const auto update = [this](const std::string& cidr) {
    return client()
        .Call<cri::UpdateRuntimeConfigResponse>(PodCidr(cidr))
        .status();
  };
  EXPECT_TRUE(update("").ok());
  EXPECT_TRUE(update("10.88.0.0/16").ok()) << update("10.88.0.0/16");
  EXPECT_TRUE(update("10.88.0.0/16").ok()) << "repeated";
  for (const char* bad :
       {"10.88.0.0", "10.88.0.0/33", "elephant", "10.88.0.0/16,",
        "10.88.0.0/16,10.89.0.0/33", "fd00::/129", "10.88.0.0/-1", " "}) {
    EXPECT_CODE(update(bad), kInvalidArgument) << "\"" << bad << "\"";
  }
  const auto status = client().Call<cri::StatusResponse>(cri::StatusRequest());
  ASSERT_TRUE(status.ok());
  for (const auto& condition : status->status().conditions()) {
    EXPECT_TRUE(condition.status()) << condition.ShortDebugString();
  }
}

TEST_F(NodeTest, ImageFsInfoHasWhatAKubeletReads) {
  const auto reply =
      client().Call<cri::ImageFsInfoResponse>(cri::ImageFsInfoRequest());
  ASSERT_TRUE(reply.ok()) << reply.status();
  ASSERT_GE(reply->image_filesystems_size(), 1);
  const auto& usage = reply->image_filesystems(0);
  EXPECT_GT(usage.timestamp(), 0);
  EXPECT_TRUE(usage.has_used_bytes());
  EXPECT_GT(usage.used_bytes().value(), 100u << 10) << "busybox is there";
  EXPECT_TRUE(usage.has_inodes_used());
  struct stat st;
  ASSERT_EQ(stat(usage.fs_id().mountpoint().c_str(), &st), 0);
  EXPECT_TRUE(S_ISDIR(st.st_mode));
}

}  // namespace
}  // namespace warren::test
