#include "runtime/devices/devices.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "runtime/base/file.h"

namespace warren::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

class Devices : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(mkdtemp(directory_), nullptr); }
  void TearDown() override {
    EXPECT_TRUE(base::RemoveTree(AT_FDCWD, directory_).ok());
  }
  std::string path(const std::string& name) const { return directory_ + name; }
  static DeviceRequest Ask(const std::string& host,
                           const std::string& container) {
    DeviceRequest request;
    request.field = "config.devices[3]";
    request.host_path = host;
    request.container_path = container;
    return request;
  }
  static absl::Status Error(const DeviceRequest& request) {
    return ResolveDevices({request}, {}).status();
  }

  char directory_[64] = "/tmp/devices_test.XXXXXX";
};

TEST_F(Devices, ANodeIsItsNumbers) {
  ASSERT_EQ(symlink("/dev/zero", path("/link").c_str()), 0);
  DeviceRequest request = Ask(path("/link"), "/dev//other/../z");
  request.access = kDeviceRead;
  const auto nodes = ResolveDevices({request}, {});
  ASSERT_TRUE(nodes.ok()) << nodes.status();
  ASSERT_THAT(*nodes, SizeIs(1));
  EXPECT_EQ((*nodes)[0].container_path, "/dev/z");
  EXPECT_EQ((*nodes)[0].number, (DeviceNumber{S_IFCHR, 1, 5}));
  EXPECT_EQ((*nodes)[0].mode, 0666u);
  EXPECT_EQ((*nodes)[0].access, kDeviceRead);
}

TEST_F(Devices, WhatIsNoDeviceIsRefused) {
  ASSERT_TRUE(
      base::OpenAt(AT_FDCWD, path("/file"), O_WRONLY | O_CREAT, 0600).ok());
  absl::Status status = Error(Ask(path("/file"), "/dev/x"));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              StartsWith("config.devices[3].host_path: "));
  status = Error(Ask(path("/missing"), "/dev/x"));
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              StartsWith("config.devices[3].host_path: "));
}

TEST_F(Devices, OfAFolderOnlyNodesCount) {
  ASSERT_EQ(mkdir(path("/sub").c_str(), 0700), 0);
  ASSERT_EQ(symlink("/dev/zero", path("/sub/link").c_str()), 0);
  EXPECT_THAT(*ResolveDevices({Ask(directory_, "/dev/all")}, {}), SizeIs(0));
  // Whatever there is below /dev: never a pseudo terminal of the host, and
  // what the container has of its own is left out.
  const auto all = ResolveDevices({Ask("/dev", "/dev")}, {});
  ASSERT_TRUE(all.ok()) << all.status();
  bool null = false;
  for (const DeviceNode& node : *all) {
    EXPECT_FALSE(IsReservedDeviceTarget(node.container_path));
    EXPECT_EQ(node.host_path, node.container_path);
    null |= node.number == DeviceNumber{S_IFCHR, 1, 3};
  }
  EXPECT_TRUE(null);
}

TEST_F(Devices, ReservedPlaces) {
  for (const char* bad :
       {"/", "/dev", "/dev/", "/dev/pts/0", "/dev/ptmx", "/dev/console",
        "/dev/shm/x", "/proc/x", "/sys", "/dev/x/../fd", "relative", ""}) {
    const absl::Status status = Error(Ask("/dev/null", bad));
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_THAT(std::string(status.message()),
                StartsWith("config.devices[3].container_path: "))
        << bad;
  }
  for (const char* good : {"/dev/ptsx", "/device", "/opt/null", "/dev/null"}) {
    EXPECT_TRUE(Error(Ask("/dev/null", good)).ok()) << good;
  }
}

TEST_F(Devices, TwoAtOnePath) {
  DeviceRequest read = Ask("/dev/null", "/dev/x");
  read.access = kDeviceRead;
  DeviceRequest write = read;
  write.access = kDeviceWrite;
  const auto both = ResolveDevices({read, write}, {});
  ASSERT_TRUE(both.ok());
  ASSERT_THAT(*both, SizeIs(1));
  EXPECT_EQ((*both)[0].access, kDeviceRead | kDeviceWrite);
  EXPECT_THAT(std::string(ResolveDevices({read, Ask("/dev/zero", "/dev/x")}, {})
                              .status()
                              .message()),
              HasSubstr("another device"));
}

TEST_F(Devices, OwnersAreThoseOfThePod) {
  SandboxSpec pod;
  pod.uid_mappings = pod.gid_mappings = {{0, 65536, 100}};
  DeviceRequest request = Ask("", "/dev/x");
  request.number = {S_IFBLK, 8, 1};
  request.gid = 6;
  request.mode = 0640;
  auto nodes = ResolveDevices({request}, pod);
  ASSERT_TRUE(nodes.ok()) << nodes.status();
  EXPECT_THAT(
      *nodes,
      ElementsAre(DeviceNode{
          "/dev/x", "", {S_IFBLK, 8, 1}, 0640, 65536, 65542, kDeviceAll}));
  request.uid = 100;
  EXPECT_THAT(std::string(ResolveDevices({request}, pod).status().message()),
              StartsWith("config.devices[3].uid: "));
}

TEST_F(Devices, HostDevicesAreNoneOfTheContainersOwn) {
  const auto devices = ListHostDevices();
  ASSERT_TRUE(devices.ok()) << devices.status();
  for (const DeviceNode& node : *devices) {
    EXPECT_THAT(node.container_path, StartsWith("/dev/"));
    EXPECT_FALSE(IsReservedDeviceTarget(node.container_path));
    for (const DeviceNode& own : StandardDevices({})) {
      EXPECT_NE(node.container_path, own.container_path);
    }
  }
}

TEST_F(Devices, TheLaterOneIsAbove) {
  const std::vector<DeviceNode> below = {{"/dev/a", "", {S_IFCHR, 1, 3}},
                                         {"/dev/b", "", {S_IFCHR, 1, 5}}};
  const DeviceNode other = {"/dev/a", "", {S_IFCHR, 1, 7}};
  EXPECT_THAT(MergeDevices(below, {other}), ElementsAre(other, below[1]));
}

}  // namespace
}  // namespace warren::runtime
