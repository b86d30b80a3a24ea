#include "agent/options/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

namespace warren::agent {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<CommandLine> ParseArguments(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "warrend");
  return ParseCommandLine(static_cast<int>(arguments.size()), arguments.data());
}

std::string ConfigError(const std::string& text) {
  Options options;
  const absl::Status status = ApplyConfig(text, "w.toml", &options);
  EXPECT_FALSE(status.ok()) << text;
  return std::string(status.message());
}

TEST(OptionsTest, DefaultsAreThoseOfTheManual) {
  const absl::StatusOr<CommandLine> line = ParseArguments({});
  ASSERT_TRUE(line.ok()) << line.status();
  const Options& options = line->options;
  EXPECT_EQ(options.socket, "/run/warren/warrend.sock");
  EXPECT_EQ(options.state_dir, "/var/lib/warren");
  EXPECT_EQ(options.run_dir, "/run/warren");
  EXPECT_EQ(options.cgroup_parent, "/warren");
  ASSERT_EQ(options.pod_ranges.size(), 1u);
  EXPECT_EQ(options.pod_ranges[0].ToString(), "10.88.0.0/16");
  EXPECT_EQ(options.pids_limit, 0);
  EXPECT_EQ(options.log_cpu_percent, 75);
  EXPECT_FALSE(options.socket_group.has_value());
  EXPECT_FALSE(options.default_image.has_value());
  EXPECT_FALSE(line->check_config);
}

TEST(OptionsTest, FileSetsEveryKey) {
  Options options;
  const absl::Status status = ApplyConfig(R"(
socket = "/s/w.sock"
socket_group = "0"
state_dir = "/state"
run_dir = "/r"
cgroup_parent = "pods.slice"
log_level = "debug"
max_connections = 7
pids_limit = 4096
log_cpu_percent = 20
userns = "auto"
userns_pool = "1048576:131072"
userns_min_host_id = 100000
[security]
ambient_capabilities = true
apparmor_default_profile = "warren default"
[network]
pod_ranges = ["10.1.0.0/16", "fd00:1::/64"]
bridge = "br-pods"
mtu = 1400
table = "pods_1"
[image]
default_image = ""
[devices]
cdi_spec_dirs = ["/a/cdi"]
owner = "user"
)",
                                          "w.toml", &options);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(options.socket, "/s/w.sock");
  EXPECT_EQ(options.socket_group, gid_t{0});
  EXPECT_EQ(options.state_dir, "/state");
  EXPECT_EQ(options.run_dir, "/r");
  EXPECT_EQ(options.cgroup_parent, "pods.slice");
  EXPECT_EQ(options.log_level, "debug");
  EXPECT_EQ(options.max_connections, 7);
  EXPECT_EQ(options.pids_limit, 4096);
  EXPECT_EQ(options.log_cpu_percent, 20);
  EXPECT_TRUE(options.userns_auto);
  EXPECT_EQ(options.userns_pool, (IdSpan{1048576, 131072}));
  EXPECT_EQ(options.userns_min_host_id, 100000u);
  EXPECT_TRUE(options.ambient_capabilities);
  EXPECT_EQ(options.apparmor_default_profile, "warren default");
  ASSERT_EQ(options.pod_ranges.size(), 2u);
  EXPECT_EQ(options.pod_ranges[1].ToString(), "fd00:1::/64");
  EXPECT_EQ(options.bridge, "br-pods");
  EXPECT_EQ(options.mtu, 1400);
  EXPECT_EQ(options.table, "pods_1");
  EXPECT_EQ(options.default_image, "");
  EXPECT_EQ(options.cdi_directories, std::vector<std::string>{"/a/cdi"});
  EXPECT_TRUE(options.devices_belong_to_user);
}

TEST(OptionsTest, MistakesNameTheLine) {
  EXPECT_EQ(ConfigError("\nsoket = \"/a\"\n"), "w.toml:2: soket: unknown key");
  EXPECT_EQ(ConfigError("[network]\nmtu = 1\n"),
            "w.toml:2: network.mtu: must be 0 or at least 1280");
  EXPECT_EQ(ConfigError("\n\n[netwrok]\n"),
            "w.toml:3: unknown section netwrok");
  EXPECT_THAT(ConfigError("socket = \"/a\"\nsocket = \"/b\"\n"),
              HasSubstr("w.toml:2"));
  EXPECT_THAT(ConfigError("socket = \n"), HasSubstr("w.toml:1"));
}

TEST(OptionsTest, ValuesAreChecked) {
  const std::vector<std::string> bad = {
      "socket = 1",
      "[devices]\ncdi_spec_dirs = \"/a\"",
      "[devices]\ncdi_spec_dirs = [\"a\"]",
      "[devices]\nowner = \"root\"",
      "socket = \"\"",
      "socket = \"run/w.sock\"",
      "socket = \"/run/../w.sock\"",
      "socket = \"/run//w.sock\"",
      "socket = \"/run/w\\n.sock\"",
      "state_dir = \"/\"",
      "socket_group = \"no such group\"",
      "cgroup_parent = \"relative\"",
      "cgroup_parent = \"/a/../b\"",
      "log_level = \"loud\"",
      "max_connections = 0",
      "userns = \"pod\"",
      "userns = true",
      "userns_pool = 65536",
      "userns_pool = \"65536\"",
      "userns_pool = \"65536:65536:1\"",
      "userns_pool = \"0:65536\"",
      "userns_pool = \"65536:0\"",
      "userns_pool = \"65537:65536\"",
      "userns_pool = \"65536:65535\"",
      "userns_pool = \"65536:-65536\"",
      "userns_pool = \"2147418112:131072\"",
      "userns_pool = \"4294967296:65536\"",
      "[security]\nambient_capabilities = \"yes\"",
      "[security]\nambient_capabilities = 1",
      "[security]\napparmor_default_profile = \"a\\nb\"",
      "max_connections = \"many\"",
      "max_connections = 1.5",
      "pids_limit = -1",
      "pids_limit = \"many\"",
      "log_cpu_percent = 0",
      "log_cpu_percent = 101",
      "userns_min_host_id = -1",
      "userns_min_host_id = \"low\"",
      "[network]\npod_ranges = []",
      "[network]\npod_ranges = [\"10.0.0.1/16\"]",
      "[network]\npod_ranges = [\"10.0.0.0/31\"]",
      "[network]\npod_ranges = [\"10.0.0.0/16\", \"10.1.0.0/16\"]",
      "[network]\npod_ranges = [\"pods\"]",
      "[network]\npod_ranges = [1]",
      "[network]\nbridge = \"much-too-long-name\"",
      "[network]\nbridge = \"a/b\"",
      "[network]\nbridge = \"..\"",
      "[network]\nmtu = 70000",
      "[network]\ntable = \"1a\"",
      "[network]\ntable = \"a b\"",
      "[image]\ndefault_image = \"x.tar\"",
  };
  for (const std::string& text : bad) ConfigError(text);
}

TEST(OptionsTest, FlagsWinOverFileAndRootMovesDefaults) {
  char path[] = "/tmp/warren-options-XXXXXX";
  const int fd = mkstemp(path);
  ASSERT_GE(fd, 0);
  std::ofstream(path) << "state_dir = \"/from/file\"\nlog_level = \"error\"\n";
  const absl::StatusOr<CommandLine> line =
      ParseArguments({"--config", path, "--root", "/alt", "--log-level",
                      "debug", "--check-config"});
  close(fd);
  unlink(path);
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_TRUE(line->check_config);
  EXPECT_EQ(line->options.state_dir, "/from/file");
  EXPECT_EQ(line->options.log_level, "debug");
  EXPECT_EQ(line->options.run_dir, "/alt/run/warren");
  EXPECT_EQ(line->options.socket, "/alt/run/warren/warrend.sock");
}

TEST(OptionsTest, TheGrantedIdsAreNoneOfTheNode) {
  Options options;
  EXPECT_TRUE(CheckOptions(options).ok());
  options.userns_min_host_id = options.userns_pool.start;
  EXPECT_TRUE(CheckOptions(options).ok());
  ++options.userns_min_host_id;
  EXPECT_THAT(CheckOptions(options).message(), HasSubstr("userns_min_host_id"));
}

TEST(OptionsTest, BadFlagsAreErrors) {
  EXPECT_FALSE(ParseArguments({"--nonsense"}).ok());
  EXPECT_FALSE(ParseArguments({"extra"}).ok());
  EXPECT_FALSE(ParseArguments({"--socket", "relative"}).ok());
  EXPECT_FALSE(ParseArguments({"--config", "/nonexistent/w.toml"}).ok());
  EXPECT_FALSE(
      ParseArguments({"--socket", ("/" + std::string(120, 'x')).c_str()}).ok());
  EXPECT_FALSE(ParseArguments({"--state-dir", "/a", "--run-dir", "/a"}).ok());
}

TEST(OptionsTest, HelpAndVersionAreOutput) {
  EXPECT_THAT(ParseArguments({"--help"})->output, HasSubstr("--check-config"));
  EXPECT_THAT(ParseArguments({"--version"})->output, HasSubstr(WARREN_VERSION));
}

}  // namespace
}  // namespace warren::agent
