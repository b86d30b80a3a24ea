#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "agent/convert/convert.h"

namespace warren::agent {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;
using ::testing::StartsWith;

struct DeviceCase {
  cri::ContainerConfig config;
  cri::PodSandboxConfig pod;
  runtime::SandboxSpec sandbox;
  image::Image image;
  CdiEdits cdi;
  bool belong_to_user = false;

  explicit DeviceCase(const std::string& text) {
    config.mutable_metadata()->set_name("app");
    if (!google::protobuf::TextFormat::MergeFromString(text, &config)) {
      ADD_FAILURE() << "bad test text: " << text;
    }
    image.config.entrypoint = {"/bin/app"};
  }
  absl::StatusOr<ConvertedContainer> Convert() const {
    ContainerInputs inputs = {std::string(64, 'c'), config, pod, sandbox,
                              image};
    inputs.cdi = &cdi;
    inputs.devices_belong_to_user = belong_to_user;
    return ConvertContainer(inputs);
  }
};

TEST(ConvertDevices, ByPath) {
  DeviceCase test(
      "devices { host_path: '/dev//fuse' container_path: '/dev/f/' "
      "permissions: 'mr' } linux { security_context { "
      "run_as_user { value: 7 } run_as_group { value: 8 } } }");
  runtime::DeviceRequest request;
  request.field = "config.devices[0]";
  request.host_path = "/dev/fuse";
  request.container_path = "/dev/f";
  request.access = runtime::kDeviceMknod | runtime::kDeviceRead;
  auto out = test.Convert();
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_THAT(out->spec.devices, ElementsAre(request));
  test.belong_to_user = true;
  request.uid = 7;
  request.gid = 8;
  out = test.Convert();
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_THAT(out->spec.devices, ElementsAre(request));
}

TEST(ConvertDevices, EveryBadFieldIsNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {"container_path: '/dev/x' permissions: 'r'", "host_path"},
      {"host_path: 'dev/x' container_path: '/dev/x' permissions: 'r'",
       "host_path"},
      {"host_path: '/dev/x' permissions: 'r'", "container_path"},
      {"host_path: '/dev/x' container_path: '/dev/../x' permissions: 'r'",
       "container_path"},
      {"host_path: '/dev/x' container_path: '/dev/x'", "permissions"},
      {"host_path: '/dev/x' container_path: '/dev/x' permissions: 'rr'",
       "permissions"},
      {"host_path: '/dev/x' container_path: '/dev/x' permissions: 'rwx'",
       "permissions"},
      {"host_path: '/dev/x' container_path: '/dev/x' permissions: 'R'",
       "permissions"}};
  for (const auto& [device, field] : cases) {
    const auto status =
        DeviceCase(std::string("devices { host_path: '/dev/ok' container_path: "
                               "'/dev/ok' permissions: 'rwm' } devices { ") +
                   device + " }")
            .Convert()
            .status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << device;
    EXPECT_THAT(std::string(status.message()),
                StartsWith(std::string("config.devices[1].") + field + ": "))
        << device;
  }
}

TEST(ConvertDevices, CdiComesOnTop) {
  DeviceCase test(
      "envs { key: 'A' value: 'request' } envs { key: 'AB' value: 'kept' } "
      "mounts { container_path: '/a' host_path: '/h' } linux { "
      "security_context { run_as_user { value: 1 } supplemental_groups: 5 } }");
  test.cdi.env = {"A=cdi", "NEW=x=y"};
  test.cdi.groups = {5, 6};
  test.cdi.mounts = {{"/lib/v", "/usr/lib/v", true}};
  test.cdi.devices.emplace_back().field = "CDI";
  const auto out = test.Convert();
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_THAT(out->spec.env, Contains("A=cdi"));
  EXPECT_THAT(out->spec.env, Contains("AB=kept"));
  EXPECT_THAT(out->spec.env, Contains("NEW=x=y"));
  EXPECT_THAT(out->spec.env, Not(Contains("A=request")));
  EXPECT_THAT(out->spec.user.supplemental_groups, ElementsAre(5, 6));
  ASSERT_EQ(out->spec.mounts.size(), 2u);
  EXPECT_EQ(out->spec.mounts[1].container_path, "/lib/v");
  EXPECT_EQ(out->spec.devices.size(), 1u);
}

}  // namespace
}  // namespace warren::agent
