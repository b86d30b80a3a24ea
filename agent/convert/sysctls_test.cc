#include "agent/convert/sysctls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

namespace warren::agent {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::StartsWith;

constexpr char kPing[] = "net.ipv4.ping_group_range";
constexpr char kPorts[] = "net.ipv4.ip_unprivileged_port_start";

class SysctlsTest : public testing::Test {
 protected:
  absl::Status Convert(const std::map<std::string, std::string>& asked) {
    cri::LinuxPodSandboxConfig config;
    config.mutable_sysctls()->insert(asked.begin(), asked.end());
    spec_.sysctls.clear();
    return ConvertSysctls(config, decided_before_, &spec_);
  }
  std::string Error(const std::map<std::string, std::string>& asked) {
    const absl::Status status = Convert(asked);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return std::string(status.message());
  }
  void Map(uint32_t host_id, uint32_t length) {
    spec_.gid_mappings = {{0, host_id, length}};
  }

  bool decided_before_ = false;
  runtime::SandboxSpec spec_;
};

TEST_F(SysctlsTest, PresetsGiveWayToWhatIsAsked) {
  ASSERT_TRUE(Convert({}).ok());
  EXPECT_THAT(spec_.sysctls,
              ElementsAre(Pair(kPorts, "0"), Pair(kPing, "0 2147483647")));
  ASSERT_TRUE(Convert({{kPorts, "80"}, {"kernel.shm_rmid_forced", "1"}}).ok());
  EXPECT_THAT(spec_.sysctls,
              ElementsAre(Pair("kernel.shm_rmid_forced", "1"),
                          Pair(kPorts, "80"), Pair(kPing, "0 2147483647")));
}

TEST_F(SysctlsTest, OnlyOfThePodsOwnNamespaces) {
  EXPECT_THAT(Error({{"vm.swappiness", "1"}}),
              StartsWith("config.linux.sysctls["));
  spec_.network = runtime::NamespaceMode::kHost;
  EXPECT_THAT(Error({{"net.a", "1"}}), HasSubstr("host's network namespace"));
  ASSERT_TRUE(Convert({}).ok());
  EXPECT_TRUE(spec_.sysctls.empty());
}

// Rows are {asked for in the pod's ids, as the kernel gets it}.
TEST_F(SysctlsTest, C33_GroupsAreThePodsOwn) {
  Map(131072, 65536);
  const std::map<std::string, std::string> kTable = {
      {"0 65535", "131072 196607"},
      {"7\t8", "131079 131080"},
      {"  0  0 ", "131072 131072"},
      {"1 0", "131073 131072"},  // nobody
  };
  for (const auto& [asked, written] : kTable) {
    ASSERT_TRUE(Convert({{kPing, asked}}).ok()) << asked;
    EXPECT_THAT(spec_.sysctls,
                ElementsAre(Pair(kPorts, "0"), Pair(kPing, written)));
  }
  ASSERT_TRUE(Convert({}).ok());
  EXPECT_THAT(spec_.sysctls,
              ElementsAre(Pair(kPorts, "0"), Pair(kPing, "131072 196607")));
  for (const char* unmapped : {"0 2147483647", "0 65536", "65536 0"}) {
    EXPECT_THAT(Error({{kPing, unmapped}}),
                AllOf(HasSubstr(kPing), HasSubstr("has 0..65535")));
  }
  decided_before_ = true;  // REL-3: no stranger, whatever it was given then
  EXPECT_TRUE(Convert({{kPing, "0 2147483647"}}).ok());
  decided_before_ = false;
  for (const char* odd : {"", "1", "1 2 3", "a b", "-1 0", "0 4294967296"}) {
    EXPECT_THAT(Error({{kPing, odd}}), HasSubstr("is not two group ids"));
  }
}

// The kernel would refuse the preset, and with it a pod that asked for nothing.
TEST_F(SysctlsTest, NoPresetThatTheKernelRefuses) {
  Map(2147483648u - 65536, 65536);
  ASSERT_TRUE(Convert({}).ok());
  EXPECT_EQ(spec_.sysctls.size(), 2u);
  Map(2147483648u - 65535, 65536);
  ASSERT_TRUE(Convert({}).ok());
  EXPECT_THAT(spec_.sysctls, ElementsAre(Pair(kPorts, "0")));
}

}  // namespace
}  // namespace warren::agent
