// Version, Status, RuntimeConfig, UpdateRuntimeConfig, ImageFsInfo.
#include <absl/strings/str_cat.h>
#include <sys/stat.h>

#include <atomic>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/cri_test.h"
#include "tests/support/ledger_probes.h"

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

// A range may be refused while pods hold addresses of the other one. Whatever
// is answered last, file, Status, bridge and the next pod say the same.
TEST_F(NodeTest, REL_28_PodRangesThatChangeWhilePodsComeAndGo) {
  const auto update = [this](const std::string& cidr) {
    return client()
        .Call<cri::UpdateRuntimeConfigResponse>(PodCidr(cidr))
        .status();
  };
  const auto check = [this] {
    const std::string file = ReadHostFile(daemon().state_dir() + "/pod_ranges");
    const std::string net = file.substr(0, file.find(".0.0/16"));
    cri::StatusRequest verbose;
    verbose.set_verbose(true);
    const auto status = client().Call<cri::StatusResponse>(verbose);
    ASSERT_TRUE(status.ok()) << status.status();
    EXPECT_THAT(status->info().at("config"),
                testing::HasSubstr(net + ".0.0/16"))
        << file;
    EXPECT_THAT(Addresses(), testing::Contains(testing::HasSubstr(net + ".")))
        << file;
    const std::string pod = RunPod(Pod("last"));
    const auto shown = client().PodSandboxStatus(pod);
    ASSERT_TRUE(shown.ok()) << shown.status();
    EXPECT_THAT(shown->status().network().ip(), testing::StartsWith(net + "."))
        << file;
  };
  std::atomic<int> done = 0;
  std::vector<std::thread> threads;
  for (const char* mine : {"10.88.0.0/16", "10.93.0.0/16", "10.94.0.0/16"}) {
    threads.emplace_back([&, mine] {
      for (int i = 0; i < 15; ++i) done += update(mine).ok() ? 1 : 0;
    });
  }
  for (const char* name : {"a", "b"}) {
    threads.emplace_back([&, name] {
      for (int i = 0; i < 10; ++i) {
        const auto id = client().RunPodSandbox(Pod(absl::StrCat(name, i)));
        if (!id.ok()) continue;
        EXPECT_TRUE(client().RemovePodSandbox(*id).ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(done, 0);
  check();
  RemoveAllPods();
  EXPECT_TRUE(Eventually([&] { return update("10.88.0.0/16").ok(); }));
  check();
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
